"""Every picture that takes words takes Chinese ones, with a font that has them and without."""

import inspect
import re
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text

from minillm import ops, viz
from minillm.gradcheck import check_gradients
from minillm.gradcheck.chinese import CHINESE
from minillm.viz import figures, missing_glyphs_line

from .test_figures import a_history, attention, draw
from .test_fonts import FAMILY, make_font

WORDS = "春 眠 不觉 晓"
HAN = "[\u2e80-\u9fff]"


def wrong_report():
    """What the checker says in Chinese, for the picture of it."""
    x = np.random.default_rng(0).standard_normal((3, 5))
    return check_gradients(
        lambda x: (np.tanh(x), x), lambda grad_out, x: (grad_out * (1 - np.tanh(x)),), x
    )


def estimates():
    return SimpleNamespace(sizes=(1, 10), variances={"春 眠": [30.0, 3.0], "晓": [4.0, 0.4]})


PICTURES = {
    "plot_attention": lambda: viz.plot_attention(
        attention(2, 3), list("春眠晓"), title="晓 春", names=["春", "眠"]
    ),
    "plot_bars": lambda: viz.plot_bars(
        {"春": [0.5, 0.4], "眠": [0.2, 0.1]}, "晓 春", "不觉", groups=["眠", "晓"], lines={"春": 0.3}
    ),
    "plot_confusion": lambda: viz.plot_confusion([[3, 1], [0, 4]], ["春", "眠"], "晓 春"),
    "plot_curves": lambda: viz.plot_curves(
        {"春": ([1, 2], [3.0, 2.0]), "眠": ([1, 2], [2.0, 1.0], [0.1, 0.1])},
        "晓 春", "不觉", "眠", lines={"晓": 1.5}, log_x=True,
    ),
    "plot_estimators": lambda: viz.plot_estimators(estimates()),
    "plot_gradient_errors": lambda: viz.plot_gradient_errors(wrong_report()),
    "plot_history": lambda: viz.plot_history(a_history(), baselines={"春": 3.0}, title="晓 春"),
    "plot_words": lambda: viz.plot_words([[0, 0], [1, 1]], ["春", "眠"], ["不觉", "晓"], "晓 春"),
}  # fmt: skip


@pytest.fixture
def without_font(monkeypatch):
    """A machine with the font of matplotlib alone."""
    monkeypatch.setattr(figures, "CJK_FONTS", ())
    monkeypatch.setattr(figures, "CJK_FILES", ("no such font",))


@pytest.fixture
def with_font(tmp_path, monkeypatch):
    """A machine with a font that has the characters of these words and of the checker."""
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", list(manager.ttflist))
    monkeypatch.setattr(figures, "CJK_FONTS", (FAMILY,))
    characters = sorted({c for c in "".join(CHINESE.values()) + WORDS if ord(c) > 0x2E00})
    manager.addfont(make_font(tmp_path / "han.ttf", "".join(characters)))
    figures._has_glyph.cache_clear()
    yield
    figures._has_glyph.cache_clear()


@pytest.fixture(autouse=True)
def chinese_checker(monkeypatch):
    monkeypatch.setenv("MINILLM_LANG", "zh")


def words_of(figure):
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_every_function_that_draws_is_tried_here():
    functions = {name for name in viz.__all__ if name.startswith("plot_")}
    assert functions == set(PICTURES)
    assert all(inspect.isfunction(getattr(viz, name)) for name in functions)


@pytest.mark.parametrize("name", PICTURES)
def test_with_a_font_every_word_is_drawn_as_it_is(name, with_font):
    figure = draw(PICTURES[name]())
    words = words_of(figure)
    assert re.search(HAN, words)
    assert "U+" not in words


@pytest.mark.parametrize("name", PICTURES)
def test_without_a_font_words_are_code_points_or_say_what_to_install(name, without_font):
    words = words_of(draw(PICTURES[name]()))
    assert not re.search(HAN, words)
    assert "fonts-noto-cjk" in words or re.search(r"U\+[0-9A-F]{4}", words)


def test_a_verdict_that_cannot_be_drawn_becomes_its_kind_and_what_to_install(without_font):
    title = draw(viz.plot_gradient_errors(wrong_report())).get_suptitle()
    assert "<lambda>: x (wrong_operand)" in title.splitlines()[0]
    advice = " ".join(" ".join(title.splitlines()[1:]).split())
    assert advice.startswith("no installed font can draw the sentence: for Chinese install")


def test_a_verdict_in_english_with_one_foreign_name_stays(without_font, monkeypatch):
    monkeypatch.setenv("MINILLM_LANG", "en")
    report = wrong_report()
    report.findings[0].message = "the gradient of 春 is 2 times too large, everywhere"
    title = draw(viz.plot_gradient_errors(report)).get_suptitle()
    assert "the gradient of U+6625 is 2 times" in " ".join(title.split())


def test_a_long_chinese_verdict_is_broken_at_half_as_many_characters(with_font):
    report = wrong_report()
    report.findings[0].message = "梯度" * 80  # three panels have room for 120 letters
    _, *lines = viz.plot_gradient_errors(report).get_suptitle().splitlines()
    assert [len(line) for line in lines] == [60, 60, 40]


def test_the_line_about_fonts_is_silent_where_all_can_be_drawn(with_font):
    assert missing_glyphs_line(WORDS) is None


def test_english_pictures_need_no_other_font(without_font):
    x = np.ones((2, 3))
    figure = viz.plot_gradient_errors(check_gradients(ops.exp_forward, ops.exp_backward, x))
    assert figure.get_suptitle() == "exp: passed"
