"""Assignments: the same for the same student, new for the next, and graded from the seed alone."""

import ast
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

import minillm
from minillm.classroom import (
    Submission,
    assignment_notebook,
    grade_submission,
    write_assignment,
)
from minillm.classroom.assignment import choose_families, read_plan
from minillm.classroom.families import FAMILIES, Draw
from minillm.classroom.families.base import GRADING_SEEDS, SELF_CHECK_SEED
from minillm.classroom.grading import grade

from .solutions import SOLUTIONS, answer

SEEDS = ("anna", "ben", "Çelik 42")


def functions_of(family, seed, text=None):
    """A student's pair, with the constants of the stub."""
    namespace = {"np": np, **family.constants(seed)}
    exec(SOLUTIONS[family.name] if text is None else text, namespace)
    return namespace[f"{family.name}_forward"], namespace[f"{family.name}_backward"]


# ------------------------------------------------------------------------------- the families


def test_there_are_ten_families_with_constants_that_do_not_collide():
    assert len(FAMILIES) == 10
    assert set(SOLUTIONS) == set(FAMILIES)
    names = [name for family in FAMILIES.values() for name in family.choices]
    assert len(names) == len(set(names))  # all cells of a notebook share one namespace
    for family in FAMILIES.values():
        assert np.prod([len(values) for values in family.choices.values()]) >= 9


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_right_answer_gets_all_points(family, seed):
    result = grade(family.task(seed), *functions_of(family, seed))
    assert result.remarks == []
    assert (result.verdict, result.points) == ("right", family.points)
    assert list(result.parts) == ["forward", *(array.name for array in family.arrays)]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_a_gradient_that_is_wrong_for_one_input_costs_one_part(family):
    forward, backward = functions_of(family, "anna")

    def wrong(grad_out, saved):
        first, *rest = backward(grad_out, saved)
        return (1.5 * first, *rest)

    result = grade(family.task("anna"), forward, wrong)
    parts = len(family.arrays) + 1
    assert result.points == pytest.approx(family.points * (parts - 1) / parts, abs=1e-4)
    assert {r.input for r in result.remarks} == {family.arrays[0].name}


@pytest.mark.parametrize(
    ("name", "constant"), [(f.name, c) for f in FAMILIES.values() for c in f.choices]
)
def test_every_constant_matters(name, constant):
    """Whoever changes a constant in the cell computes something else, and it is noticed."""
    family = FAMILIES[name]
    own = family.constants("anna")
    other = next(v for v in family.choices[constant] if v != own[constant])
    text = SOLUTIONS[name] + f"\n{constant} = {other!r}\n"
    result = grade(family.task("anna"), *functions_of(family, "anna", text))
    assert result.points == 0.0
    assert {r.kind for r in result.remarks} == {"wrong_forward"}


@pytest.mark.parametrize("name", ["sink_softmax", "distance_attention"])
def test_answers_that_overflow_lose_half_of_the_forward(name):
    text = re.sub(r"np\.exp\((z|s) - .*\)", r"np.exp(\1)", SOLUTIONS[name])
    text = text.replace("SINK * np.exp(-top)", "SINK")
    assert text != SOLUTIONS[name]
    result = grade(FAMILIES[name].task("anna"), *functions_of(FAMILIES[name], "anna", text))
    assert [(r.input, r.kind) for r in result.remarks] == [("forward", "unstable")]
    assert result.parts["forward"] == 0.5


def test_no_graded_entry_lies_on_a_kink():
    for seed in (SELF_CHECK_SEED, *GRADING_SEEDS):
        family = FAMILIES["deviation_norm"]
        x = family.inputs(np.random.default_rng(seed))[0]
        for shift in family.choices["SHIFT"]:
            assert np.abs(x - shift * x.mean(axis=-1, keepdims=True)).min() > 0.02
        assert np.abs(FAMILIES["power_pool"].inputs(np.random.default_rng(seed))[0]).min() > 0.02


def test_no_backward_of_a_family_stands_in_the_package():
    for path in sorted(Path(minillm.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_backward"):
                assert node.name.removesuffix("_backward") not in FAMILIES, path
    for path in sorted((Path(minillm.__file__).parent / "classroom" / "families").glob("*.py")):
        assert "backward(" not in path.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------ drawing


def test_the_draw_is_the_one_of_the_first_day():
    """If this changes, notebooks that are with students would be graded with other constants."""
    draw = Draw("anna")
    assert [draw.number(1000) for _ in range(5)] == [117, 554, 348, 822, 957]
    chosen = [family.name for family in choose_families("anna", 3)]
    assert chosen == ["deviation_norm", "leaning_loss", "shifted_mixing"]
    assert FAMILIES["sink_softmax"].constants("anna") == {"TAU": 1.3, "SINK": 1.5}


def test_students_get_different_families_and_constants():
    seeds = [f"student {i}" for i in range(30)]
    selections = {tuple(f.name for f in choose_families(seed)) for seed in seeds}
    assert len(selections) >= 25
    for family in FAMILIES.values():
        constants = {tuple(family.constants(seed).values()) for seed in seeds}
        assert len(constants) >= 6
    for a, b in itertools.combinations(SEEDS, 2):
        assert json.dumps(assignment_notebook(a)) != json.dumps(assignment_notebook(b))


@pytest.mark.parametrize("count", [0, 11, -1])
def test_a_number_of_families_that_does_not_exist_is_refused(count):
    with pytest.raises(ValueError, match="must be within 1 … 10"):
        choose_families("anna", count)


@pytest.mark.parametrize("seed", ["", "  "])
def test_an_empty_seed_is_refused(seed):
    with pytest.raises(ValueError, match="the seed is empty"):
        assignment_notebook(seed)


# ----------------------------------------------------------------------------------- notebook


@pytest.mark.parametrize("count", [1, 5, 10])
def test_the_notebook_is_valid(tmp_path, count):
    nbformat = pytest.importorskip("nbformat")
    path = write_assignment("anna", tmp_path, count)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", ())]
    assert tags == ["answer", "self-check"] * count


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    first = write_assignment("anna", tmp_path / "a").read_bytes()
    assert write_assignment("anna", tmp_path / "b").read_bytes() == first
    assert write_assignment("anna ", tmp_path / "b").read_bytes() != first


def test_an_existing_notebook_is_never_overwritten(tmp_path):
    write_assignment("anna", tmp_path)
    with pytest.raises(FileExistsError, match="may hold answers"):
        write_assignment("anna", tmp_path)


@pytest.mark.parametrize("seed", ["../../anna", "a/b", "søren", "a b", "CON:", "x" * 300])
def test_every_seed_gives_a_harmless_file_name_of_its_own(tmp_path, seed):
    path = write_assignment(seed, tmp_path)
    assert path.parent == tmp_path
    assert re.fullmatch(r"assignment-[A-Za-z0-9_-]+\.ipynb", path.name)
    assert len(path.name) < 80
    assert read_plan(path)[0] == seed


@pytest.mark.parametrize("seed", SEEDS)
def test_formulas_show_the_constants_and_keep_no_placeholder(seed):
    notebook = assignment_notebook(seed, 10)
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        assert not re.search(r"<[A-Z_]+>", text)
        if cell["id"].endswith("-task"):
            family = FAMILIES[cell["id"].removesuffix("-task")]
            for value in family.constants(seed).values():
                assert f"{value:g}" in text


@pytest.mark.parametrize("name", FAMILIES)
def test_the_self_check_runs_and_agrees_with_a_right_answer(name, capsys):
    notebook = assignment_notebook("anna", 10)
    answer(notebook, name)
    namespace = {}
    for part in ("setup", f"{name}-answer", f"{name}-check"):
        [cell] = [cell for cell in notebook["cells"] if cell["id"] == part]
        exec("".join(cell["source"]), namespace)
    out = capsys.readouterr().out
    first, second = re.findall(r"with +(\[.*\])", out)
    np.testing.assert_allclose(
        *(np.fromstring(t[1:-1], sep=" ") for t in (first, second)), atol=1e-4
    )
    assert f"{name}: passed" in out


def test_stubs_say_that_nothing_is_written_yet():
    notebook = assignment_notebook("anna", 1)
    [cell] = [cell for cell in notebook["cells"] if cell["id"].endswith("-answer")]
    namespace = {}
    exec("".join(cell["source"]), namespace)
    [name] = [name for name in namespace if name.endswith("_forward")]
    with pytest.raises(NotImplementedError, match="not written yet"):
        namespace[name](*[None] * namespace[name].__code__.co_argcount)
    assert "Shapes   " in namespace[name].__doc__


# ------------------------------------------------------------------------------------- grading


def graded(folder, notebook, student="anna"):
    path = folder / f"{student}.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return grade_submission(Submission(student, path))


def test_all_right_answers_in_one_notebook_get_all_points(tmp_path):
    notebook = assignment_notebook("anna", 10)
    for name in FAMILIES:
        answer(notebook, name)
    result = graded(tmp_path, notebook)
    assert (result.status, result.seed, result.notes) == ("ok", "anna", [])
    assert result.points == result.max_points == sum(f.points for f in FAMILIES.values())


def test_an_empty_notebook_gets_none(tmp_path):
    result = graded(tmp_path, assignment_notebook("anna", 10))
    assert {function.verdict for function in result.functions} == {"unanswered"}
    assert (result.points, result.max_points) == (0, 128)


def test_half_answers_get_partial_credit(tmp_path):
    notebook = assignment_notebook("anna", 10)
    forward_only = SOLUTIONS["cosine_layer"].split("def cosine_layer_backward")[0]
    answer(notebook, "cosine_layer", forward_only)
    one_missing = SOLUTIONS["power_pool"].replace("w * (grad_w - (grad_w * w).sum())", "w * grad_w")
    answer(notebook, "power_pool", one_missing)
    answer(notebook, "sink_softmax", "1 / 0")
    result = graded(tmp_path, notebook)
    assert (result.status, result.detail.split(", ")[0]) == (
        "import error",
        "in cell 4 of anna.ipynb",
    )
    cosine, pool = result.function("cosine_layer"), result.function("power_pool")
    assert (cosine.verdict, cosine.points) == ("missing", pytest.approx(12 / 3))
    assert (pool.verdict, pool.points) == ("wrong", pytest.approx(12 * 2 / 3, abs=1e-3))
    assert result.function("sink_softmax").detail.endswith("are missing")
    assert result.max_points == 128


def test_answers_to_another_students_notebook_are_worth_nothing(tmp_path):
    theirs, mine = assignment_notebook("ben", 10), assignment_notebook("anna", 10)
    for name in FAMILIES:
        answer(theirs, name)
    theirs["metadata"] = mine["metadata"]
    result = graded(tmp_path, theirs)
    same = [n for n, f in FAMILIES.items() if f.constants("anna") == f.constants("ben")]
    assert result.points == sum(FAMILIES[name].points for name in same)
    assert len(same) <= 1


def test_a_notebook_that_kills_its_process_keeps_its_maximum(tmp_path):
    notebook = assignment_notebook("anna", 3)
    notebook["cells"][1]["source"] = "import os; os._exit(1)"
    result = graded(tmp_path, notebook)
    assert result.status == "exited"
    assert result.points == 0
    assert result.max_points == sum(f.points for f in choose_families("anna", 3))


@pytest.mark.parametrize("metadata", [3, {"seed": 7, "families": "x"}, {"families": 10**9}, None])
def test_odd_metadata_do_no_harm(tmp_path, metadata):
    notebook = assignment_notebook("anna", 1)
    notebook["metadata"]["minillm"] = metadata
    result = graded(tmp_path, notebook)
    assert result.status == "ok"
    assert result.points == 0
