"""Chinese in pictures, with a font that has it and without one; a missing glyph is an error here."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from minillm.viz import figures, missing_glyphs_line, plot_attention, plot_history

from .test_figures import a_history, attention, draw

LINE = "春眠不觉晓"
FAMILY = "Test Han"


def make_font(path, characters):
    """A font in which every one of these characters is a bar."""
    names = [".notdef", *(f"u{ord(c):04X}" for c in characters)]
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    bar = pen.glyph()
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(c): f"u{ord(c):04X}" for c in characters})
    font.setupGlyf(dict.fromkeys(names, bar))
    font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    font.setupHorizontalHeader(ascent=900, descent=-100)
    font.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return str(path)


@pytest.fixture
def without_font(monkeypatch):
    monkeypatch.setattr(figures, "CJK_FONTS", ())


@pytest.fixture
def list_of_fonts(monkeypatch):
    """matplotlib's list of fonts, to be changed by the test; our font is looked for in it."""
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", list(manager.ttflist))
    monkeypatch.setattr(figures, "CJK_FONTS", (FAMILY,))
    figures._look_for_new_fonts.cache_clear()
    yield manager
    figures._look_for_new_fonts.cache_clear()


@pytest.fixture
def with_font(tmp_path, list_of_fonts):
    list_of_fonts.addfont(make_font(tmp_path / "han.ttf", LINE + "诗"))


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_xticklabels()]


def test_with_a_font_labels_and_titles_are_chinese(with_font):
    figure = draw(plot_attention(attention(2, 5), list(LINE), title="春 is spring"))
    assert labels(figure) == list(LINE)
    assert figure.get_suptitle() == "春 is spring"
    [axes] = draw(plot_history(a_history(), title="Loss: 诗.txt")).axes
    assert axes.get_title() == "Loss: 诗.txt"
    assert missing_glyphs_line(LINE + " spring\n") is None


def test_without_a_font_they_are_code_points_and_a_line_says_what_to_install(without_font):
    figure = draw(plot_attention(attention(2, 2), ["春", "a"], title="春 is spring"))
    assert labels(figure) == ["U+6625", "a"]
    assert figure.get_suptitle() == "U+6625 is spring"
    [axes] = draw(plot_history(a_history(), title="Loss: 诗.txt")).axes
    assert axes.get_title() == "Loss: U+8BD7.txt"
    line = missing_glyphs_line("春 is spring")
    assert "characters 春: " in line
    assert "fonts-noto-cjk" in line
    assert "\n" not in line


def test_only_what_no_font_has_is_named(with_font):
    assert "characters 鸟: " in missing_glyphs_line(LINE + "鸟")
    line = missing_glyphs_line("\U00013000")  # a hieroglyph: a Chinese font would not help
    assert "fonts-noto-cjk" not in line


def test_a_long_list_of_missing_characters_is_cut(without_font):
    assert "characters 一丁丂七丄丅丆万…: " in missing_glyphs_line(
        "".join(map(chr, range(0x4E00, 0x4E20)))
    )


def test_a_font_installed_after_matplotlib_made_its_list_is_found(
    tmp_path, list_of_fonts, monkeypatch
):
    path = make_font(tmp_path / "NotoSansCJK-Test.ttf", LINE)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: ["/other/Serif.ttf", path])
    assert labels(draw(plot_attention(attention(1, 5), list(LINE)))) == list(LINE)


def test_labels_longer_than_two_characters_stand_upright(without_font):
    for tokens, angle in ((["a", "b"], 0), (["春", "b"], 90)):
        figure = plot_attention(np.full((1, 2, 2), 0.5), tokens)
        assert {t.get_rotation() for t in figure.axes[0].get_xticklabels()} == {angle}


def test_maps_have_the_names_and_columns_that_are_asked_for():
    places = [(layer, head) for layer in range(3) for head in range(2)]
    names = [f"layer {layer}, head {head}" for layer, head in places]
    figure = draw(plot_attention(attention(6, 3), list("abc"), names=names, columns=2))
    assert [axes.get_title() for axes in figure.axes[:6]] == names
    found = [axes.get_subplotspec() for axes in figure.axes[:6]]
    assert [(p.rowspan.start, p.colspan.start) for p in found] == places
    for wrong in ({"names": names[:3]}, {"columns": 0}):
        with pytest.raises(ValueError, match="names must be 6, one for each map, and columns"):
            plot_attention(attention(6, 3), list("abc"), **wrong)
