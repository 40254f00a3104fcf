"""Every displayed formula that has code says what the code does."""

import re

import numpy as np
import pytest

from .book import CHAPTERS
from .registry import all_formulas, plain

SHOWN = re.compile(r'<a id="formula-([\w-]+)"></a>\s*\$\$(.*?)\$\$', re.DOTALL)
ANCHOR = re.compile(r'<a id="formula-([\w-]+)"></a>')


def shown_formulas():
    """(chapter's number, name) -> LaTeX, for all pages."""
    found = {}
    for chapter in CHAPTERS:
        text = "\n\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")
        for name, latex in SHOWN.findall(text):
            assert name not in found, f"{chapter.name}: the formula {name} is shown twice"
            found[name] = (chapter.name.split("_")[0], plain(latex))
        assert len(SHOWN.findall(text)) == len(ANCHOR.findall(text)), (
            f"{chapter.name}: an anchor formula-… must stand right before its $$"
        )
    return found


def test_pages_and_transcriptions_have_the_same_formulas():
    assert set(shown_formulas()) == set(all_formulas())


@pytest.mark.parametrize("name", sorted(all_formulas()))
def test_the_page_shows_what_is_transcribed(name):
    chapter, latex = shown_formulas()[name]
    assert (chapter, latex) == all_formulas()[name][:2]


@pytest.mark.parametrize("name", sorted(all_formulas()))
def test_the_formula_is_what_the_operation_computes(name):
    literal, ours = all_formulas()[name].evaluate()
    literal, ours = np.asarray(literal, dtype=float), np.asarray(ours, dtype=float)
    assert literal.shape == ours.shape
    assert literal.size
    assert np.isfinite(literal).all()
    np.testing.assert_allclose(ours, literal, rtol=1e-9, atol=1e-11)
