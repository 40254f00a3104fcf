"""What a report says, as text, as HTML and as JSON."""

import html.parser
import json
import math
import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from minillm import Tensor, ops
from minillm.gradcheck import (
    Finding,
    GradientReport,
    GradientSettings,
    check_gradients,
    check_model,
)
from minillm.gradcheck.kinds import FORWARD_KINDS, KINDS
from minillm.gradcheck.report import InputCheck, error_in_words
from minillm.gradcheck.report_text import MOST_ROWS, printable
from minillm.models import GPT2Config, GPT2LMHeadModel


def cube_forward(x):
    return x * x * x, (x,)


def cube_backward(grad_out, saved):
    return (3 * grad_out * saved[0] * saved[0],)


def wrong_at_one_place(grad_out, saved):
    [grad] = cube_backward(grad_out, saved)
    grad[1, 2] += 10.0 * grad_out[1, 2]
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
    assert text.startswith("cube: passed. 6 entries of 1 input, worst")
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
    excess = 10 / (3 * x[1, 2] ** 2)
    assert finding.analytic / finding.numeric == pytest.approx(1 + excess)
    assert finding.relative_error == pytest.approx(excess / (1 + excess))


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
    assert "7" in finding.message


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
    findings = [Finding("x", "unknown", words), Finding("y", "unknown", words + "again")]
    report = GradientReport("op", findings=findings, notes=[words])
    assert max(map(len, str(report).splitlines())) <= 88
    assert str(report).count("sentence") == 60  # two findings and a note: nothing is lost


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


class Page(html.parser.HTMLParser):
    """The text and the attributes of a page; complains about a tag that is not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.words, self.tags = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def attributes(self, tag, name):
        return [attributes.get(name) for t, attributes in self.tags if t == tag]


def test_html_has_the_verdict_and_escapes_everything():
    evil = "<script>'\"&"
    row = InputCheck(evil, (2,), 2, 1.0, (1,), errors=np.ones(2))
    row.skipped = [((0,), evil)]
    findings = [Finding(evil, "unknown", f"1 < 2 {evil}"), Finding("y", "scaled", evil)]
    report = GradientReport(evil, [row], findings, [f"<img src=x> {evil}"], source=evil)
    page = Page(report._repr_html_())
    assert "FAILED" in page.text
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img"})
    assert page.text.count(evil) >= 8
    assert all(style is not None for style in page.attributes("td", "style"))


def test_html_says_passed_in_words_and_colour(x):
    right = check_gradients(cube_forward, cube_backward, x)._repr_html_()
    wrong = check_gradients(cube_forward, wrong_at_one_place, x)._repr_html_()
    assert Page(right).text.startswith("passed cube : 6 entries of 1 input")
    assert Page(wrong).text.startswith("FAILED cube : the gradient check failed at x")
    colour = re.compile("border-left:4px solid (#[0-9A-F]+)")
    assert set(colour.findall(right)).isdisjoint(colour.findall(wrong))


def test_html_suits_light_and_dark_pages(x):
    """No fixed colour of text or background: only borders, and a red over what is there."""
    page = check_gradients(cube_forward, wrong_at_one_place, x)._repr_html_()
    for style in filter(None, Page(page).attributes("table", "style")):
        assert "color:inherit" in style
    assert not re.search(r"[;' ](color|background|background-color):(?!inherit|none)", page)


def test_html_explains_the_kind_and_the_columns(x):
    report = check_gradients(cube_forward, wrong_at_one_place, x)
    page = Page(report._repr_html_())
    assert KINDS[report.findings[0].kind] in page.attributes("code", "title")
    assert all(page.attributes("th", "title"))
    for kind in [*KINDS, *FORWARD_KINDS]:
        Page(GradientReport("op", findings=[Finding("x", kind, "wrong")])._repr_html_())


def test_html_maps_the_wrong_entries():
    errors = np.zeros((3, 5))
    errors[1] = 1.0
    row = InputCheck("x", (3, 5), 14, 1.0, (1, 0), errors=errors, skipped=[((0, 2), "a kink")])
    page = Page(GradientReport("op", [row], [Finding("x", "unknown", "wrong")])._repr_html_())
    assert page.attributes("rect", "fill").count("#CC3311") == 5
    assert page.attributes("rect", "stroke-dasharray").count("2 2") == 1
    assert "[1, 4]: 1.0e+00, wrong" in page.text
    assert "[0, 2]: not compared" in page.text
    passed = Page(GradientReport("op", [row], tolerance=2.0)._repr_html_())
    assert not passed.attributes("rect", "fill")


def test_html_of_a_large_input_stays_small():
    errors = np.ones((500, 700))
    row = InputCheck("x", (500, 700), 350000, 1.0, (0, 0), errors=errors)
    report = GradientReport("op", [row] * 9, [Finding("x", "unknown", "wrong")])
    assert len(report._repr_html_()) < 300_000


def test_html_links_a_notebook_that_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = GradientReport("op", source="soft max.ipynb")
    assert Page(report._repr_html_()).attributes("a", "href") == []
    assert "derivation: soft max.ipynb" in Page(report._repr_html_()).text
    (tmp_path / "soft max.ipynb").write_text("{}", encoding="utf-8")
    assert Page(report._repr_html_()).attributes("a", "href") == ["soft%20max.ipynb"]


def test_html_tags_are_balanced(x):
    report = check_gradients(cube_forward, wrong_at_one_place, x)
    report.findings.append(Finding("y", "scaled", "too large"))
    report.notes.append("a note")
    tags = {tag for tag, _ in Page(report._repr_html_()).tags}  # Page looks at the order
    assert {"div", "p", "table", "tr", "td", "th", "ul", "li", "b", "code", "svg"} <= tags


# ------------------------------------------------------------------------------ text, line by line
def a_failing_report():
    wrong = InputCheck("x", (2, 3), 5, 0.5, (1, 2), 1.0, 2.0)
    wrong.numeric_values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, np.nan]])
    wrong.analytic_values = 0.5 * np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    wrong.skipped = [((1, 2), "a kink")]
    right = InputCheck("weight", (3,), 3, 2e-11, (0,), 3.0, 3.0)
    first = Finding("x", "scaled", "the gradient of x is too small", (1, 2), 1.0, 2.0, 0.5, 0.5)
    second = Finding("grad_out", "mutated_input", "backward overwrote grad_out", (), 0.0, 0.0)
    return GradientReport(
        "op", [right, wrong], [first, second], ["look here"], source="minillm/ops/op.py",
        seconds=0.25, where="op in block.1",
    )  # fmt: skip


def test_the_text_of_a_failing_report():
    assert str(a_failing_report()).splitlines() == [
        "op: FAILED at x (scaled)",
        "  the gradient of x is too small",
        "",
        "  input   shape   entries  worst error  at      backward  numerical  ratio  verdict",
        "  weight  (3,)    3        2.0e-11      [0]     3         3                 agrees",
        "  x       (2, 3)  5 of 6   5.0e-01      [1, 2]  1         2          0.5    wrong",
        "  backward: the value returned at that entry; numerical: what it should be.",
        "  ratio: backward against numerical over all entries, 1 where they agree.",
        "",
        "also wrong:",
        "- grad_out (mutated_input): backward overwrote grad_out",
        "note: look here",
        "note: x: 1 of 6 entries skipped, at [1, 2]: a kink",
        "derivation: minillm/ops/op.py",
    ]


def test_the_summary_is_one_line_with_the_reason():
    expected = "op: FAILED at x (scaled): the gradient of x is too small"
    assert a_failing_report().summary() == expected


def test_a_sentence_is_said_once():
    report = a_failing_report()
    report.findings[1] = Finding("y", "scaled", report.findings[0].message)
    report.notes *= 2
    assert str(report).count("too small") == 1
    assert "- y (scaled): as above" in str(report)
    assert str(report).count("look here") == 1


def test_a_report_that_compared_nothing_does_not_claim_to_have():
    empty = GradientReport("op", [InputCheck("x", (0, 3), note="no entries")])
    assert str(empty).startswith("op: passed, but there was no entry to compare")
    assert "no entries" in str(empty)
    assert str(GradientReport("op")) == "op: passed, but there was no entry to compare"


def test_the_cosine_is_shown_where_the_direction_is_wrong():
    report = a_failing_report()
    assert "cosine" not in str(report)  # it is 1: the ratio says everything
    report.inputs[1].skipped, report.inputs[1].checked = [], 6
    report.inputs[1].analytic_values = np.array([[5.0, 4.0, 3.0], [2.0, 1.0, 0.0]])
    assert "ratio and cosine: " in str(report)
    assert "cosine" in str(report).splitlines()[3]


def test_of_many_inputs_those_that_are_wrong_are_shown():
    rows = [InputCheck(f"w{i}", (3,), 3, 1e-9, (0,), 1.0, 1.0) for i in range(300)]
    rows[250].relative_error = 0.5
    report = GradientReport("model", rows, [Finding("w250", "unknown", "wrong")])
    lines = str(report).splitlines()
    assert any(line.startswith("  w250") and line.endswith("wrong") for line in lines)
    assert "  ... and 280 more inputs: worst error 1.0e-09, agrees to rounding" in lines
    assert len([line for line in lines if re.match("  w[0-9]", line)]) == MOST_ROWS
    assert len(report.rows()) == 301
    report.findings += [Finding(row.name, "unknown", "wrong") for row in rows[:30]]
    assert "... and 280 more inputs: 11 of them wrong" in str(report)


def test_control_characters_cannot_reach_a_terminal():
    report = GradientReport("a\x1b[2J", [InputCheck("b\x07", (1,), 1)], notes=["c\rd\x9b"])
    text = str(report)
    assert all(line.isprintable() for line in text.splitlines())
    assert printable("\x1b[2J") == "\\x1b[2J"
    assert "a\\x1b[2J: passed" in text


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
    assert any("skipped" in note and "[1]" in note for note in report.all_notes())


# ------------------------------------------------------------------------- what a row can tell
def test_the_numbers_of_whole_arrays_by_hand():
    row = InputCheck("x", (3,), 2, skipped=[((2,), "a kink")])
    row.analytic_values, row.numeric_values = [3.0, 4.0, 9.0], [4.0, -3.0, 7.0]
    assert (row.analytic_norm, row.numeric_norm) == (5.0, 5.0)
    assert row.cosine == pytest.approx(0.0, abs=1e-15)
    assert row.ratio == pytest.approx(0.0, abs=1e-15)
    row.analytic_values = [8.0, -6.0, np.nan]
    assert (row.cosine, row.ratio) == (pytest.approx(1), pytest.approx(2))


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_the_numbers_of_whole_arrays_do_not_overflow(size):
    row = InputCheck("x", (2,), 2)
    row.analytic_values, row.numeric_values = size * np.array([-6.0, -8.0]), np.array([3.0, 4.0])
    assert row.analytic_norm == pytest.approx(10 * size)
    assert row.cosine == pytest.approx(-1)
    assert row.ratio == pytest.approx(-2 * size)


@pytest.mark.parametrize(
    ("analytic", "numeric", "ratio"),
    [
        (None, None, math.nan),
        (np.ones(3), np.ones(2), math.nan),
        (np.array([1j, 1]), np.ones(2), math.nan),
        (np.array([np.nan, 1]), np.ones(2), math.nan),
        (np.ones(2), np.zeros(2), math.nan),
        (np.zeros(2), np.ones(2), 0.0),
        (np.ones(0), np.ones(0), math.nan),
    ],
)
def test_a_gradient_without_a_direction_has_no_cosine(analytic, numeric, ratio):
    row = InputCheck("x", (2,), 2, analytic_values=analytic, numeric_values=numeric)
    assert math.isnan(row.cosine)
    assert row.ratio == pytest.approx(ratio, nan_ok=True)


def test_inputs_fail_by_their_error_or_by_a_finding():
    rows = [InputCheck(name, (1,), 1, error) for name, error in
            [("a", 0.0), ("b", 1e-3), ("c", 0.0), ("d", math.nan)]]  # fmt: skip
    report = GradientReport("op", rows, [Finding("c", "mutated_input", "overwritten")])
    assert [row.name for row in report.failed_inputs] == ["b", "c", "d"]


# ------------------------------------------------------------------------------------------ JSON
numbers = st.floats() | st.sampled_from([np.float64(0.5), math.inf, -0.0])
places = st.lists(st.integers(0, 9), max_size=4).map(tuple)
words = st.text(max_size=40) | st.text("x\x1b ", min_size=80, max_size=120)
kinds = st.sampled_from([*KINDS, *FORWARD_KINDS])
findings = st.builds(
    Finding, words, kinds, words, places, numbers, numbers, numbers, st.none() | numbers
)
rows = st.builds(
    InputCheck, words, places, st.integers(0, 9), numbers, places, numbers, numbers, words,
    analytic_values=st.lists(numbers, min_size=2, max_size=2) | st.none(),
    numeric_values=st.lists(numbers, min_size=2, max_size=2) | st.none(),
    noise=numbers,
)  # fmt: skip
reports = st.builds(
    GradientReport, words, st.lists(rows, max_size=40), st.lists(findings, max_size=4),
    st.lists(words, max_size=3), numbers, st.lists(words, max_size=2).map(tuple), words, numbers,
    words,
)  # fmt: skip


@given(reports)
def test_json_is_strict_and_gives_the_same_report_again(report):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = report.to_json()
    again = GradientReport.from_dict(json.loads(text, parse_constant=refuse))
    assert again.to_json() == text
    assert (again.passed, again.rows()) == (report.passed, report.rows())
    assert str(again) == str(report)


@given(reports)
def test_whatever_a_report_holds_it_fits_into_88_columns(report):
    for line in str(report).splitlines():
        assert len(line) <= 88
        assert line.isprintable()
    Page(report._repr_html_())


def test_json_keeps_what_was_skipped_and_the_numbers_of_the_arrays():
    report = a_failing_report()
    again = GradientReport.from_dict(report.to_dict())
    assert again == report
    assert again.inputs[1].skipped == [((1, 2), "a kink")]
    assert (again.inputs[1].ratio, again.inputs[1].cosine) == (0.5, pytest.approx(1))
    assert again.seconds == 0.25
    assert again.where == "op in block.1"


def test_json_by_hand():
    data = a_failing_report().to_dict()
    assert (data["format"], data["version"]) == ("minillm-gradient-report", 1)
    assert data["passed"] is False
    assert data["summary"] == "op: FAILED at x (scaled): the gradient of x is too small"
    assert data["inputs"][1]["verdict"] == data["verdict"] == "wrong"
    assert data["inputs"][1]["shape"] == [2, 3]
    assert data["inputs"][0]["ratio"] == "nan"
    assert data["findings"][0]["factor"] == 0.5
    assert data["findings"][1]["factor"] is None
    assert data["findings"][1]["relative_error"] == "inf"


def test_json_of_a_real_check_is_plain(x):
    report = check_gradients(cube_forward, wrong_at_one_place, x)
    assert json.loads(report.to_json(indent=2)) == report.to_dict()
    assert report.to_json(indent=2).startswith('{\n  "format"')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {**d, "format": "other"}, "with format .*got 'other'"),
        (lambda d: [d], "got 'list'"),
        (lambda d: {**d, "version": 2}, "reads version 1 .*got version 2"),
        (lambda d: {k: v for k, v in d.items() if k != "notes"}, "incomplete.*notes"),
        (lambda d: {**d, "inputs": [{}]}, "incomplete.*name"),
        (lambda d: {**d, "inputs": None}, "incomplete"),
        (lambda d: {**d, "tolerance": "much"}, "incomplete.*much"),
        (lambda d: {**d, "findings": [{**d["findings"][0], "kind": "odd"}]}, r"Finding\.kind.*odd"),
    ],
)
def test_damaged_json_is_refused_in_one_sentence(change, message):
    with pytest.raises(ValueError, match=message) as error:
        GradientReport.from_dict(change(a_failing_report().to_dict()))
    assert "\n" not in str(error.value)


def test_tensors_are_no_surprise_to_a_report():
    report = check_gradients(cube_forward, cube_backward, Tensor([1.0, 2.0]).data)
    assert report.passed
