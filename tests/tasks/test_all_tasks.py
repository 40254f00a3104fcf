"""What holds for every task: it runs small, fills its table, draws, saves, and says what is wrong."""

import json
import math

import pytest

from minillm.cli import main
from minillm.tasks import (
    TASKS,
    Example,
    Recipe,
    Row,
    TaskResult,
    TaskSettings,
    WordVocabulary,
    choose_examples,
    format_table,
    run_task,
    task_module,
)
from minillm.terminal import COLUMNS, columns_of

SMALL = {
    "steps": 3, "train": 40, "test": 6, "layers": 1, "width": 8, "heads": 2, "batch_size": 8,
    "progress": False,
}  # fmt: skip


NEEDS = {"translation": "sacrebleu", "summarisation": "rouge_score"}  # the extra `tasks`

# after three steps a model may predict nothing at all
pytestmark = pytest.mark.filterwarnings("ignore:.*the result is set to 0")


@pytest.fixture(autouse=True)
def packages(request):
    """A task whose metric is a package's is skipped where that is not installed."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason="needs the extra `tasks`: minillm[tasks]")


@pytest.fixture(scope="module")
def results():
    """Each task is run once, when a test first asks for it."""
    known = {}

    def result(name):
        if name not in known:
            known[name] = run_task(name, **SMALL)
        return known[name]

    return result


@pytest.mark.parametrize("name", TASKS)
def test_a_small_run_fills_the_table(name, results, tmp_path):
    result = results(name)
    assert result.name == name
    assert result.rows
    assert result.columns
    for row in result.rows:
        assert set(row.values) <= set(result.columns), row.name
        assert all(math.isfinite(v) for v in row.values.values() if isinstance(v, float))
    text = str(result)
    assert "�" not in text
    assert max(map(columns_of, text.splitlines())) <= COLUMNS
    files = result.save(tmp_path)
    content = json.loads(files[0].read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content["figures"]
    assert content["settings"]["seed"] == 0
    assert files[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", TASKS)
def test_it_has_a_chance_level_and_worked_examples(name, results):
    result = results(name)
    if task_module(name).KIND == "study":
        return
    assert any("chance" in row.name for row in result.rows)
    assert len(result.examples) == 3
    if all(example.correct for example in result.examples):
        pytest.fail("three steps of training do not make a perfect model: show a failure")


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_figures(name, results):
    if "seconds" in results(name).figures:
        pytest.fail("seconds differ from run to run: keep them in the rows")
    assert run_task(name, **SMALL).figures == results(name).figures


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("data", "nowhere", "data 'nowhere' is not known here: choose from toy"),
        ("steps", 0, "steps must be a whole number of at least 1, got 0"),
        ("heads", 3, "width 8 must be a multiple of heads 3"),
    ],
)
def test_what_makes_no_sense_is_refused(name, option, value, message):
    with pytest.raises(ValueError, match=message):
        run_task(name, **{**SMALL, option: value})


def test_unknown_task_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no task 'juggling': choose from .*semantic-roles"):
        run_task("juggling")
    with pytest.raises(TypeError, match="seed given beside settings"):
        run_task("semantic-roles", TaskSettings(), seed=3)


def test_the_command_lists_runs_and_saves(capsys, tmp_path):
    assert main(["task"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in TASKS)
    assert max(map(columns_of, listed.splitlines())) <= COLUMNS
    sizes = [f"--{n.replace('_', '-')}={v}" for n, v in SMALL.items() if n != "progress"]
    assert main(["task", "semantic-roles", "--out", str(tmp_path / "roles"), *sizes]) == 0
    assert "f1" in capsys.readouterr().out
    assert {p.name for p in (tmp_path / "roles").iterdir()} == {"result.json", "picture.png"}
    assert main(["task", "juggling"]) == 1
    assert "choose from" in capsys.readouterr().err


def test_examples_show_a_failure_if_there_is_one():
    right, wrong = Example("a", "1", "1"), Example("b", "2", "3")
    assert choose_examples([right] * 5 + [wrong]) == [right, right, wrong]
    assert choose_examples([wrong] * 5) == [wrong] * 3
    assert choose_examples([right] * 5) == [right] * 3
    assert choose_examples([right, wrong, wrong, wrong]) == [right, wrong, wrong]


def test_table_aligns_chinese_and_leaves_gaps():
    table = format_table(["F1", "n"], [Row("狗", {"F1": 0.5}), Row("cat", {"n": 12345})])
    assert table.splitlines() == ["        F1       n", "狗   0.500", "cat         12,345"]


def test_result_without_picture_saves_one_file(tmp_path):
    result = TaskResult("t", "title", ["x"], [Row("a", {"x": 1.0})])
    assert [p.name for p in result.save(tmp_path)] == ["result.json"]


def test_vocabulary_refuses_words_that_come_twice_and_knows_unknown_ones():
    with pytest.raises(ValueError, match="'a' comes twice"):
        WordVocabulary(["a", "b", "a"])
    words = WordVocabulary.train([["b", "a", "b", "[PAD]"]], most=1)
    assert words.words[6:] == ["b"]
    assert words.encode(["b", "x"]) == [6, 3]
    assert words.decode([1, 6, 3, 2, 6]) == ["b", "[UNK]"]


def test_recipe_takes_what_was_asked_for():
    recipe = TaskSettings(steps=7, lr=0.5).recipe(Recipe(steps=100, width=64))
    assert (recipe.steps, recipe.lr, recipe.width) == (7, 0.5, 64)
