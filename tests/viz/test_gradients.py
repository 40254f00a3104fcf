"""Pictures of gradient checks: what they show, and what they say about it."""

import io

import numpy as np
import pytest

from minillm.gradcheck import Finding, GradientReport, check_gradients
from minillm.gradcheck.report import InputCheck
from minillm.ops import multiply_backward, multiply_forward
from minillm.viz import plot_gradient_errors
from minillm.viz.gradients import as_table, label_of


def draw(figure):
    """Render; a glyph that no font has is a warning, and a warning is an error here."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    assert buffer.getvalue().startswith(b"\x89PNG\r\n\x1a\n")
    return figure


def a_row(name, numeric, analytic, probe=None, skipped=()):
    """A row with everything a check fills in."""
    numeric = np.array(numeric, dtype=float)
    for index in skipped:
        numeric[index] = np.nan
    analytic = np.asarray(analytic, dtype=float)
    known = np.isfinite(numeric)
    with np.errstate(all="ignore"):
        errors = np.abs(analytic - numeric) / np.maximum(np.abs(analytic), np.abs(numeric))
    errors = np.where(known, np.where(np.isnan(analytic), np.inf, np.nan_to_num(errors)), 0.0)
    row = InputCheck(name, numeric.shape, int(known.sum()), errors=errors, probe=probe)
    row.analytic_values, row.numeric_values, row.noise = analytic, numeric, 1e-13
    row.skipped = [(index, "a kink") for index in skipped]
    if row.checked:
        place = np.unravel_index(np.argmax(errors), errors.shape)
        row.worst_index = tuple(map(int, place))
        row.relative_error = float(errors[place])
        row.analytic, row.numeric = float(analytic[place]), float(numeric[place])
    return row


def a_report(*rows, factor=None):
    findings = [
        Finding(row.name, "unknown", f"the gradient of {row.name} is wrong", factor=factor)
        for row in rows
        if not row.relative_error <= 1e-6
    ]
    return GradientReport("op", list(rows), findings)


def right_probe(h):
    return 0.1 * h**2 + 2e-16 / h


def panels(report):
    """The three panels of each row, without the colour bars."""
    axes = [a for a in draw(plot_gradient_errors(report)).axes if a.get_label() != "<colorbar>"]
    return [axes[i : i + 3] for i in range(0, len(axes), 3)]


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.fixture
def values(rng):
    return rng.uniform(0.5, 2, (3, 5))


# ------------------------------------------------------------------------------- a whole figure
def test_gradient_errors_have_a_row_for_each_input():
    a, b = np.random.default_rng(0).standard_normal((2, 3, 5))
    report = check_gradients(multiply_forward, multiply_backward, a, b)
    figure = draw(report.plot())
    titles = [axes.get_title() for axes in figure.axes if "worst" in axes.get_title()]
    assert [title.split()[0] for title in titles] == ["a", "b"]
    assert all("(3, 5)" in title and "agrees" in title for title in titles)
    assert figure.get_suptitle() == "multiply: passed"
    bars = [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert len(bars) == 2
    assert all("relative error of the gradient" in label for label in bars)


def test_a_wrong_gradient_is_shown_as_failed():
    def wrong(grad_out, saved):
        grad_a, grad_b = multiply_backward(grad_out, saved)
        return grad_a, 2 * grad_b

    a, b = np.random.default_rng(0).standard_normal((2, 3, 5))
    report = check_gradients(multiply_forward, wrong, a, b)
    figure = draw(plot_gradient_errors(report))
    title, *sentence = figure.get_suptitle().splitlines()
    assert title.startswith("multiply: FAILED at b (")
    assert " ".join(sentence) == report.findings[0].message
    first = figure.axes[0]
    assert first.get_title().startswith("b (3, 5): worst 5e-01, wrong")  # the wrong one on top
    assert (np.asarray(first.get_images()[0].get_array()) > 0.1).all()


def test_errors_alone_make_one_panel_for_each_input(values):
    row = a_row("x", values, values)
    row.analytic_values = row.numeric_values = None
    figure = draw(plot_gradient_errors(GradientReport("op", [row])))
    assert [axes.get_title().split()[0] for axes in figure.axes if axes.get_title()] == ["x"]


def test_at_most_four_inputs_are_drawn_the_wrong_ones_first(values):
    rows = [a_row(f"x{i}", values, values * (2 if i == 6 else 1)) for i in range(7)]
    report = a_report(*rows)
    figure = draw(plot_gradient_errors(report))
    titles = [axes.get_title() for axes in figure.axes if "worst" in axes.get_title()]
    assert [title.split()[0] for title in titles] == ["x6", "x0", "x1", "x2"]
    assert "4 of 7 inputs" in figure.get_suptitle().splitlines()[0]


def test_a_wrong_shape_has_words_in_place_of_pictures(values):
    bad = InputCheck("w", (2, 3), note="wrong shape or dtype")
    good = a_row("x", values, values, right_probe)
    report = GradientReport("op", [good, bad], [Finding("w", "wrong_shape", "another shape")])
    top, below = panels(report)
    assert texts(top[0]) == ["w (2, 3): wrong shape or dtype"]
    assert texts(top[1]) == ["w: not measured at other step sizes"]
    assert texts(top[2]) == ["w: no values to divide"]
    assert below[0].get_title().startswith("x (3, 5)")


def test_a_report_without_inputs_says_so():
    figure = draw(plot_gradient_errors(GradientReport("op")))
    assert texts(figure.axes[0]) == ["no input was compared"]


@pytest.mark.parametrize("shape", [(), (1,), (97,), (1, 1), (2, 3, 5, 7), (401, 3), (3, 401), (0,)])
def test_every_shape_can_be_drawn(shape, rng):
    values = rng.uniform(0.5, 2, shape)
    draw(plot_gradient_errors(a_report(a_row("x", values, values, right_probe))))
    draw(plot_gradient_errors(a_report(a_row("x", values, -values, lambda h: 2.0), factor=-1.0)))


@pytest.mark.parametrize("analytic", [np.nan, np.inf, 0.0, 1e300, -1e-300])
def test_extreme_gradients_can_be_drawn(values, analytic):
    draw(plot_gradient_errors(a_report(a_row("x", values, np.full((3, 5), analytic)))))
    changed = values.copy()
    changed[1, 2] = analytic
    draw(plot_gradient_errors(a_report(a_row("x", values, changed, lambda h: np.nan))))
    draw(plot_gradient_errors(a_report(a_row("x", np.zeros((3, 5)), changed))))


def test_names_with_any_glyph_can_be_drawn(values):
    row = a_row("$w_0$ 权重 😀", values, 2 * values, right_probe)
    report = a_report(row)
    report.name = "f$ \x1b[2J"
    draw(plot_gradient_errors(report))


# --------------------------------------------------------------------------- where it is wrong
def test_the_worst_entry_is_marked_with_its_index(values):
    wrong = values.copy()
    wrong[2, 1] *= 3
    [[heat, *_]] = panels(a_report(a_row("x", values, wrong, right_probe)))
    [mark] = heat.get_lines()
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1, 2)
    assert texts(heat) == ["[2, 1]"]


def test_skipped_entries_are_masked_and_named(values):
    [[heat, *_]] = panels(a_report(a_row("x", values, values, right_probe, skipped=[(0, 4)])))
    mask = np.ma.getmaskarray(heat.get_images()[0].get_array())
    assert mask[0, 4]
    assert mask.sum() == 1
    assert "hatched: not compared" in heat.get_xlabel()
    assert heat.patch.get_hatch()
    [[heat, *_]] = panels(a_report(a_row("x", values, values, right_probe)))
    assert "hatched" not in heat.get_xlabel()


def test_ticks_show_the_index_of_the_leading_axes(rng):
    values = rng.uniform(0.5, 2, (2, 3, 5))
    [[heat, *_]] = panels(a_report(a_row("x", values, values, right_probe)))
    names = [label.get_text() for label in heat.get_yticklabels()]
    assert names == ["0, 0", "0, 1", "0, 2", "1, 0", "1, 1", "1, 2"]
    assert heat.get_ylabel() == "axes 0, 1"
    assert heat.get_xlabel() == "axis 2"


def test_a_large_input_is_drawn_by_the_worst_of_each_block(rng):
    errors = rng.uniform(0, 1e-9, (500, 700))
    errors[321, 5] = 1.0
    row = InputCheck("x", (500, 700), 350000, 1.0, (321, 5), errors=errors)
    table = as_table(row)
    assert table.errors.shape == (167, 175)
    assert table.block == (3, 4)
    assert table.errors[107, 1] == 1.0
    assert table.errors[166, 174] == errors[498:, 696:].max()
    heat = draw(plot_gradient_errors(a_report(row))).axes[0]
    [mark] = heat.get_lines()
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (1, 107)
    assert "worst of 3 x 4 entries" in heat.get_xlabel()
    labels = [int(label.get_text()) for label in heat.get_yticklabels()]
    assert labels == [3 * t for t in heat.get_yticks()]


@pytest.mark.parametrize(("shape", "most"), [((2, 3, 5), 100), ((7, 5), 3), ((11,), 4), ((), 1)])
def test_the_labels_of_a_table_cover_every_entry_once(shape, most):
    table = as_table(InputCheck("x", shape, errors=np.zeros(shape)), most, most)
    covered = np.zeros(shape, dtype=int)
    for i in range(table.errors.shape[0]):
        for j in range(table.errors.shape[1]):
            first, *last = (
                [int(n) for n in part.strip("[]").split(",") if n.strip()]
                for part in label_of(table, i, j).split(" to ")
            )
            end = last[0] if last else first
            if len(shape) > 2:  # one entry a cell here
                assert first == end
            covered[tuple(slice(a, b + 1) for a, b in zip(first, end, strict=True))] += 1
    assert (covered == 1).all()


# ------------------------------------------------------------------------ at which step size
def steps_title(values, probe, factor=1.0):
    [[_, steps, _]] = panels(a_report(a_row("x", values, factor * values, probe)))
    return steps.get_title().replace("\n", " ")


def test_the_curve_of_a_right_gradient_falls(values):
    assert steps_title(values, right_probe).startswith("falls to ")
    assert steps_title(values, right_probe).endswith(": agrees")


def test_the_curve_of_a_wrong_gradient_is_flat(values):
    title = steps_title(values, lambda h: 0.5, factor=2.0)
    assert title == "flat: no step size makes it agree, so the formula is wrong"


def test_a_small_mistake_stops_the_fall(values):
    title = steps_title(values, lambda h: 1e-4 + right_probe(h), factor=1.0001)
    assert title.startswith("stops falling at 1e-04, above the tolerance")


def test_one_step_that_agrees_by_accident_does_not_count(values):
    probe = lambda h: 1e-9 if 2e-6 < h < 5e-6 else 0.5  # noqa: E731
    assert "flat" in steps_title(values, probe, factor=2.0)


def test_a_rough_function_that_passed_is_not_called_wrong(values):
    title = steps_title(values, lambda h: 1e-5 + h)
    assert "wrong" not in title
    assert "this simple formula" in title


def test_the_curve_shows_what_was_measured_and_the_laws_it_follows(values):
    [[_, steps, _]] = panels(a_report(a_row("x", values, values, right_probe)))
    curve, formula, rounding, _tolerance = steps.get_lines()
    h = curve.get_xdata()
    assert (h[0], h[-1]) == (0.1, pytest.approx(1e-12))
    np.testing.assert_allclose(curve.get_ydata(), right_probe(h))
    assert formula.get_ydata()[1] == pytest.approx(0.1 * 0.1**2, rel=0.01)
    assert rounding.get_ydata()[0] == pytest.approx(2e-16 / 1e-12, rel=0.01)
    assert {"formula: h²", "rounding: eps / h", "tolerance 1e-06"} <= set(texts(steps))


def test_a_linear_function_has_no_error_of_the_formula(values):
    [[_, steps, _]] = panels(a_report(a_row("x", values, values, lambda h: 1e-16 / h)))
    assert "formula: h²" not in texts(steps)
    assert "rounding: eps / h" in texts(steps)


def test_steps_that_leave_the_domain_are_left_out(values):
    def probe(h):
        if h > 1e-2:
            raise ValueError("outside the domain")
        return right_probe(h)

    [[_, steps, _]] = panels(a_report(a_row("x", values, values, probe)))
    assert steps.get_lines()[0].get_xdata().max() == pytest.approx(1e-2)

    def never(h):
        raise ValueError("outside the domain")

    [[_, steps, _]] = panels(a_report(a_row("x", values, values, never)))
    assert texts(steps) == ["x: no step size gives a finite number"]


# ---------------------------------------------------------------------------- by which factor
def ratios_panel(numeric, analytic, factor=None):
    [[_, _, ratios]] = panels(a_report(a_row("x", numeric, analytic, right_probe), factor=factor))
    return ratios


@pytest.mark.parametrize(
    ("factor", "title"),
    [
        (1.0, "all 15 ratios are 1: agrees"),
        (-1.0, "all 15 ratios are -1: the sign is wrong"),
        (0.0, "all 15 ratios are 0: there is no gradient"),
        (7**0.5, "all 15 ratios are 2.646: a constant factor"),
        (1e4, "all 15 ratios are 1e+04: a constant factor"),
    ],
)
def test_one_ratio_everywhere_is_named(values, factor, title):
    assert ratios_panel(values, factor * values, factor).get_title() == title


def test_the_factor_has_a_line(values):
    panel = ratios_panel(values, 3 * values, 3.0)
    assert {"1: right", "factor 3", "15"} <= set(texts(panel))
    assert [line.get_xdata()[0] for line in panel.get_lines()] == [1.0, 3.0]


def test_ratios_of_some_wrong_entries_are_counted(values):
    wrong = values.copy()
    wrong[1] *= 1.5
    panel = ratios_panel(values, wrong)
    assert panel.get_title() == "10 of 15 ratios are 1: the others are wrong"
    assert {"10", "5"} <= set(texts(panel))


def test_outliers_are_collected_at_the_ends():
    numeric = np.ones(100)
    analytic = numeric.copy()
    analytic[:2], analytic[2:5] = -1e6, 1e9
    panel = ratios_panel(numeric, analytic)
    assert {"2 below", "3 above", "95"} <= set(texts(panel))
    low, high = panel.get_xlim()
    assert -5 < low < high < 5


def test_every_ratio_is_in_a_bar(rng):
    numeric = rng.uniform(0.5, 2, 200)
    panel = ratios_panel(numeric, numeric * rng.standard_cauchy(200))
    assert sum(bar.get_height() for bar in panel.patches) == 200
    assert "not a constant factor" in panel.get_title()


def test_entries_that_are_zero_on_both_sides_have_no_ratio(values):
    numeric, analytic = values.copy(), values.copy()
    numeric[0, 0] = analytic[0, 0] = 0.0
    numeric[0, 1], analytic[0, 1] = 0.0, 5.0
    panel = ratios_panel(numeric, analytic)
    assert "(1 too small to divide by)" in panel.get_xlabel()
    assert panel.get_title() == "13 of 14 ratios are 1: the others are wrong"
    assert "1 above" in texts(panel)


def test_nan_is_counted(values):
    wrong = values.copy()
    wrong[0, 0] = np.nan
    assert ratios_panel(values, wrong).get_title() == "1 of 15 ratios is NaN"
