"""The table of a class: what it adds up, and what each hint level lets out."""

import csv
import io
import json
import re

import pytest

from minillm.classroom import ClassTable, FunctionResult, Remark, SubmissionResult, hint
from minillm.classroom.hints import LEVELS, hints
from minillm.classroom.report import file_report
from minillm.classroom.tables import choose_columns, to_csv, to_html, to_json, to_text

SECRET = "2.6458 times too large"
REMARK = Remark("kernel", "scaled", f"the gradient of kernel is {SECRET}")
REPORT = f"FAILED (scaled):\nthe gradient of\nkernel is {SECRET}"


def function(name, points, *remarks, verdict="wrong", **more):
    return FunctionResult(name, verdict, points=points, remarks=list(remarks), **more)


def class_of_three(level=3):
    anna = SubmissionResult(
        "anna",
        functions=[
            function("softmax", 1.0, verdict="right", parts={"forward": 1.0, "x": 1.0}),
            function(
                "linear",
                0.5,
                REMARK,
                report=f"FAILED (scaled):\nthe gradient of\nkernel is {SECRET}",
            ),
        ],
    )
    ben = SubmissionResult("ben", "time limit", "it did not end", notes=["a note"])
    ben.functions = [
        function("softmax", 0.0, verdict="missing", detail="softmax_backward is missing")
    ]
    eve = SubmissionResult(
        "=eve", functions=[function("linear", 0.25, REMARK), function("own", 1.0)]
    )
    results = [anna, ben, eve]
    return ClassTable(results, choose_columns(results, []), level)


OUTPUTS = {"text": to_text, "csv": to_csv, "html": to_html, "json": to_json}


def test_levels_tell_more_and_more():
    assert [hint(REMARK, 0), hint(REMARK, 1)] == ["", "kernel"]
    assert hint(REMARK, 2).startswith("kernel: scaled (every entry is the same constant")
    assert hint(REMARK, 3) == f"kernel: scaled: the gradient of kernel is {SECRET}"
    assert hints([REMARK, REMARK], 3) == [hint(REMARK, 3)]


@pytest.mark.parametrize("level", [-1, 4, "3"])
def test_levels_that_do_not_exist_are_refused(level):
    with pytest.raises(ValueError, match="must be 0, 1, 2 or 3"):
        hint(REMARK, level)
    with pytest.raises(ValueError, match="must be 0, 1, 2 or 3"):
        ClassTable([], [], level)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("level", LEVELS)
def test_no_output_tells_more_than_its_level(name, level):
    text = OUTPUTS[name](class_of_three(level))
    assert ("kernel" in text) == (level >= 1)
    assert ("scaled" in text) == (level >= 2)
    assert (SECRET in text) == (level >= 3 and name != "text")
    assert ("softmax_backward is missing" in text) == (level >= 1 and name != "text")


@pytest.mark.parametrize("level", LEVELS)
def test_the_report_on_a_file_tells_no_more_than_its_level(level):
    text = file_report(class_of_three().results[0], level)
    assert ("kernel" in text) == (level >= 1)
    assert ("scaled" in text) == (level >= 2)
    assert text.count(SECRET) == (level == 3)  # not in the report and once more as a finding
    assert (SECRET in text) == (level >= 3)
    assert ("pass" in text) == (level == 0)


def test_totals_count_the_columns():
    table = class_of_three()
    assert table.columns == ["linear", "softmax"]
    assert [table.total(result) for result in table.results] == [(1.5, 2), (0, 2), (0.25, 2)]


def test_a_function_that_nobody_else_has_changes_nobodys_total():
    table = class_of_three()
    assert "own" not in table.columns
    assert "not counted: own (in 1)" in to_text(table)
    assert choose_columns(table.results, ["own"]) == ["own"]


def test_an_assignment_counts_its_own_functions():
    mine = SubmissionResult("anna", seed="anna", functions=[function("f", 3.0, max_points=10.0)])
    yours = SubmissionResult("ben", seed="ben", functions=[function("g", 12.0, max_points=12.0)])
    table = ClassTable([mine, yours], choose_columns([mine, yours], []))
    assert table.columns == ["f", "g"]
    assert [table.total(result) for result in table.results] == [(3, 10), (12, 12)]
    assert [table.cell(mine, name) for name in "fg"] == ["3.00", "–"]


def test_csv_has_a_row_for_each_student_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(to_csv(class_of_three()))))
    assert [row["student"] for row in rows] == ["anna", "ben", "'=eve"]
    anna = rows[0]
    assert (anna["softmax"], anna["linear"], anna["total"]) == ("1.00", "0.50", "1.5")
    assert (anna["maximum"], anna["percent"], anna["status"]) == ("2", "75.0", "ok")
    assert rows[1]["detail"] == "it did not end"
    assert SECRET in anna["remarks"]


def test_json_holds_everything():
    data = json.loads(to_json(class_of_three()))
    assert data["functions"] == ["linear", "softmax"]
    anna, ben, _ = data["submissions"]
    assert anna["functions"][0]["parts"] == {"forward": 1.0, "x": 1.0}
    assert anna["functions"][1]["hints"] == [hint(REMARK, 3)]
    assert (ben["status"], ben["notes"]) == ("time limit", ["a note"])


def test_html_escapes_what_students_write():
    evil = SubmissionResult("<script>", "<u>", "<b>", functions=[function("<i>", 0, REMARK)])
    page = to_html(ClassTable([evil], ["<i>"]))
    assert not re.search(r"<(script|i|u|b)>", page)
    assert "&lt;script&gt;" in page
    assert page.count("<td") == 4


def test_text_fits_the_width_with_many_functions():
    for count in (3, 9, 40):
        names = [f"scaled_dot_product_attention_{i}" for i in range(count)]
        results = [SubmissionResult("a" * 60, functions=[function(name, 1.0) for name in names])]
        text = to_text(ClassTable(results, names))
        assert max(map(len, text.splitlines())) <= 88
        assert f"{count:.2f} / {count}" in text


def test_common_mistakes_are_counted_once_per_student():
    assert "    2 x  linear  kernel  scaled" in to_text(class_of_three())
    assert "    2 x  linear  kernel\n" in to_text(class_of_three(1)) + "\n"


def test_the_report_on_a_file_shows_what_it_printed_and_how_it_ended():
    result = SubmissionResult("anna", "time limit", "it did not end", output="\n".join("x" * 30))
    text = file_report(result, 3)
    assert text.startswith("anna: time limit: it did not end\n")
    assert text.count("  | x") == 20
    assert "… and 10 lines more" in text
    assert "name_backward(grad_out, saved)" in file_report(SubmissionResult("anna"), 3)
