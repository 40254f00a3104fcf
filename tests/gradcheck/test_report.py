"""What a report says, as text and as HTML."""

import math

import numpy as np
import pytest

from minillm import Tensor, ops
from minillm.gradcheck import (
    Finding,
    GradientReport,
    GradientSettings,
    check_gradients,
    check_model,
)
from minillm.gradcheck.kinds import KINDS
from minillm.gradcheck.report import error_in_words
from minillm.models import GPT2Config, GPT2LMHeadModel


def cube_forward(x):
    return x * x * x, (x,)


def cube_backward(grad_out, saved):
    return (3 * grad_out * saved[0] * saved[0],)


def wrong_at_one_place(grad_out, saved):
    [grad] = cube_backward(grad_out, saved)
    grad[1, 2] += 10.0
    return (grad,)


@pytest.fixture
def x(rng):
    return rng.uniform(0.5, 2, (2, 3))


def test_a_right_backward_gives_a_report_that_is_true(x):
    report = check_gradients(cube_forward, cube_backward, x)
    assert report
    assert report.passed is True
    assert report.findings == []
    assert report.relative_error < 1e-10
    text = str(report)
    assert text.startswith("cube: passed. 6 entries of 1 inputs")
    assert "agrees to rounding" in text


def test_a_wrong_backward_gives_a_report_that_is_false(x):
    report = check_gradients(cube_forward, wrong_at_one_place, x)
    assert not report
    assert report.passed is False
    assert "FAILED at x" in str(report)


def test_a_finding_names_place_values_and_error(x):
    [finding] = check_gradients(cube_forward, wrong_at_one_place, x).findings
    assert isinstance(finding, Finding)
    assert finding.input == "x"
    assert finding.kind == "wrong_entries"
    assert finding.worst_index == (1, 2)
    assert abs(finding.analytic - finding.numeric - 10) < 1e-6
    larger = max(abs(finding.analytic), abs(finding.numeric))
    assert finding.relative_error == pytest.approx(10 / larger)
    assert finding.factor is None
    assert "1 of 6 entries" in finding.message


def test_the_factor_of_a_scaled_gradient_is_analytic_over_numeric(x):
    backward = lambda g, saved: (0.25 * cube_backward(g, saved)[0],)  # noqa: E731
    [finding] = check_gradients(cube_forward, backward, x).findings
    assert finding.kind == "scaled"
    assert finding.factor == pytest.approx(0.25, rel=1e-8)
    assert finding.analytic / finding.numeric == pytest.approx(0.25, rel=1e-8)


def test_a_factor_that_is_a_size_is_explained():
    x = np.arange(1.0, 8.0)
    forward = lambda x: (x.mean(), (x.shape,))  # noqa: E731
    backward = lambda g, saved: (np.full(saved[0], g),)  # noqa: E731
    [finding] = check_gradients(forward, backward, x).findings
    assert finding.factor == pytest.approx(7)
    assert "7 is the size of an axis" in finding.message


@pytest.mark.parametrize("backward", [cube_backward, wrong_at_one_place])
def test_no_line_is_longer_than_88_columns(x, backward):
    text = str(check_gradients(cube_forward, backward, x))
    assert max(map(len, text.splitlines())) <= 88


def test_no_line_is_longer_than_88_columns_for_a_model_with_long_names():
    config = GPT2Config(vocab_size=7, n_positions=5, n_embd=6, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config, rng=np.random.default_rng(0))
    settings = GradientSettings(max_entries=1, cotangents=1)
    text = str(check_model(model, np.array([[1, 2, 3]]), settings=settings))
    assert "transformer.h.0.attn.c_attn.weight" in text
    assert max(map(len, text.splitlines())) <= 88


def test_long_findings_and_notes_are_wrapped():
    words = "a sentence of many words " * 20
    report = GradientReport("op", findings=[Finding("x", "unknown", words)], notes=[words])
    assert max(map(len, str(report).splitlines())) <= 88
    assert str(report).count("sentence") >= 60  # summary, finding, note: nothing is lost


def test_the_table_has_a_row_for_every_input(rng):
    arrays = rng.standard_normal((2, 3)), rng.standard_normal((3, 5)), rng.standard_normal(5)
    report = check_gradients(ops.linear_forward, ops.linear_backward, *arrays)
    header, *rows = report.rows()
    assert header[0] == "input"
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("x", "(2, 3)", "6"),
        ("weight", "(3, 5)", "15"),
        ("bias", "(5,)", "5"),
    ]


def test_html_has_the_verdict_and_escapes_everything():
    report = GradientReport(
        "a<b>&c",
        findings=[Finding("<script>", "unknown", "1 < 2 & 3 > 2")],
        notes=["<img src=x>"],
    )
    page = report._repr_html_()
    assert "FAILED" in page
    for raw in ("<script>", "<b>&c", "<img", "1 < 2"):
        assert raw not in page
    assert "&lt;script&gt;" in page
    assert "&lt;img src=x&gt;" in page


def test_html_tags_are_balanced(x):
    page = check_gradients(cube_forward, wrong_at_one_place, x)._repr_html_()
    for tag in ("div", "p", "table", "tr", "td", "th", "ul", "li", "b", "code"):
        opened = page.count(f"<{tag}>") + page.count(f"<{tag} ")
        assert opened == page.count(f"</{tag}>") > 0, tag


def test_a_finding_has_one_of_the_documented_kinds():
    assert set(KINDS) == set(
        "sign_flipped scaled transposed missing_broadcast_sum wrong_axis overwritten_duplicates "
        "missing_mean_term missing_sum_term dropped_branch zero_gradient wrong_entries "
        "ignores_upstream mutated_input wrong_shape wrong_dtype not_finite wrong_operand "
        "unknown".split()
    )
    with pytest.raises(ValueError, match=r"Finding\.kind must be one of .*'oops'"):
        Finding("x", "oops", "a message")


def test_an_error_in_words_gets_worse_with_the_error():
    words = [error_in_words(e) for e in (1e-12, 1e-7, 1e-5, 1e-3, 0.5, math.inf)]
    assert len(set(words)) == 6
    assert words[0] == "agrees to rounding"
    assert words[4] == "wrong"


@pytest.mark.parametrize("wrong", [{"tolerance": 0}, {"step": -1e-3}, {"cotangents": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="GradientSettings"):
        GradientSettings(**wrong)


def test_a_gradient_that_is_zero_everywhere_by_right_is_noted_as_untested():
    forward = lambda x: (np.sign(x), (x,))  # noqa: E731
    backward = lambda g, saved: (np.zeros_like(saved[0]),)  # noqa: E731
    report = check_gradients(forward, backward, np.array([2.0, -3.0]))
    assert report.passed
    assert any("vacuous" in note for note in report.notes)


def test_entries_at_the_edge_of_the_domain_are_skipped_and_noted():
    report = check_gradients(ops.sqrt_forward, ops.sqrt_backward, np.array([1.0, 0.0, 4.0]))
    assert report.passed
    assert report.inputs[0].checked == 2
    assert any("1 entries skipped" in note and "[1]" in note for note in report.notes)


def test_a_picture_is_drawn(x):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    report = check_gradients(cube_forward, wrong_at_one_place, x)
    figure = report.plot()
    assert figure is not None
    pyplot.close("all")


def test_tensors_are_no_surprise_to_a_report():
    report = check_gradients(cube_forward, cube_backward, Tensor([1.0, 2.0]).data)
    assert report.passed
