"""Pictures: titles, units, and no glyph that a font lacks."""

import io

import numpy as np
import pytest

from minillm.training import History
from minillm.viz import plot_attention, plot_history


def draw(figure):
    """Render; a glyph that no font has is a warning, and a warning is an error here."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG\r\n\x1a\n")
    return figure


def a_history(steps=120, validation=True):
    history = History()
    history.losses = list(np.linspace(4, 2, steps))
    for step in (steps // 2, steps):
        values = {"val_loss": 2.5} if validation else {}
        history.add(step=step, loss=3.0, lr=0.1, **values)
    return history


def attention(heads, T):
    rows = np.tril(np.ones((T, T)))
    return np.broadcast_to(rows / rows.sum(axis=1, keepdims=True), (heads, T, T))


def axes_with_pictures(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def test_the_loss_curve_has_a_title_and_units():
    [axes] = draw(plot_history(a_history())).axes
    assert axes.get_title() == "Loss while training"
    assert axes.get_xlabel() == "step"
    assert "nats per token" in axes.get_ylabel()


def test_the_loss_curve_shows_every_step_and_the_validation_loss():
    [axes] = plot_history(a_history(steps=10)).axes
    each, validation = axes.get_lines()
    assert each.get_xdata().tolist() == list(range(1, 11))
    np.testing.assert_allclose(each.get_ydata(), np.linspace(4, 2, 10))
    assert list(validation.get_xdata()) == [5, 10]
    assert list(validation.get_ydata()) == [2.5, 2.5]


def test_a_long_loss_curve_is_smoothed_by_a_running_mean():
    history = a_history(steps=100)
    history.losses = [0.0, 1.0] * 50
    [axes] = plot_history(history).axes
    smooth = axes.get_lines()[1]
    assert set(np.round(smooth.get_ydata(), 9)) == {0.5}
    assert smooth.get_xdata()[0] == 2
    assert smooth.get_xdata()[-1] == 100


def test_baselines_are_lines_with_their_names():
    [axes] = draw(plot_history(a_history(validation=False), baselines={"uniform": 4.17})).axes
    assert axes.get_lines()[-1].get_ydata()[0] == 4.17
    assert "uniform 4.17" in [text.get_text() for text in axes.texts]


def test_a_history_without_an_evaluation_can_be_drawn():
    history = History()
    history.losses = [2.0, 1.0]
    draw(history.plot())


def test_each_head_has_a_map_with_labels():
    figure = draw(plot_attention(attention(3, 5), list("a b c"), title="Who looks where"))
    panels = axes_with_pictures(figure)
    assert [axes.get_title() for axes in panels] == ["head 0", "head 1", "head 2"]
    assert all("key" in axes.get_xlabel() for axes in panels)
    assert "query" in panels[0].get_ylabel()
    assert figure.get_suptitle() == "Who looks where"
    assert "probability" in [axes.get_ylabel() for axes in figure.axes]
    labels = [label.get_text() for label in panels[0].get_xticklabels()]
    assert labels == ["a", "␣", "b", "␣", "c"]


def test_the_maps_show_the_probabilities():
    p = attention(5, 3)
    figure = plot_attention(p, list("abc"))
    panels = axes_with_pictures(figure)
    assert len(panels) == 5
    for weights, axes in zip(p, panels, strict=True):
        [image] = axes.get_images()
        np.testing.assert_array_equal(image.get_array(), weights)
        assert image.get_clim() == (0, 1)  # the same colours in every head


@pytest.mark.parametrize(
    "tokens",
    [
        list("春眠不觉晓"),
        list("\n\t $a"),
        ["$x$", "_", "^", "\\", "{"],
        list("äßøλж"),
        list("สวัสดี"),
        list("नमस्ते"),
        list("😀🚀"),
        list("a\rb\x0c\x07"),
    ],
    ids=["Chinese", "spaces", "formulas", "European", "Thai", "Hindi", "emoji", "control"],
)
def test_no_label_lacks_a_glyph(tokens):
    draw(plot_attention(attention(2, len(tokens)), tokens))


def test_a_chinese_title_lacks_no_glyph():
    draw(plot_attention(attention(1, 2), ["春", "眠"], title="注意力"))


@pytest.mark.parametrize(
    ("shape", "tokens"),
    [((5, 5), 5), ((2, 5, 5), 4), ((2, 5, 4), 5), ((1, 2, 5, 5), 5), ((0, 5, 5), 5)],
)
def test_wrong_shapes_are_refused(shape, tokens):
    with pytest.raises(ValueError, match="plot_attention"):
        plot_attention(np.zeros(shape), ["a"] * tokens)


def test_names_of_baselines_stand_where_no_curve_ends():
    figure = draw(plot_history(a_history(), baselines={"floor": 1.5, "nothing": 5.0}))
    [axes] = figure.axes
    sides = {text.get_text().split()[0]: text.get_va() for text in axes.texts}
    assert sides == {"floor": "top", "nothing": "bottom"}
    assert axes.get_ylim()[0] < 1.5
