"""The study of ways to fine-tune: what learns, what it costs, and what nobody may see."""

import tracemalloc

import numpy as np
import pytest

from minillm.finetuning import save_lora, trainable_parameters
from minillm.tasks import Recipe, TaskSettings, run_task
from minillm.tasks.efficient_tuning import (
    METHODS,
    POSITIONS,
    PlotTask,
    Steps,
    memory_of_step,
    saved_bytes,
    with_new_head,
)
from minillm.tasks.toy_data import ToyData

SMALL = {
    "steps": 3, "train": 80, "test": 6, "layers": 2, "width": 12, "heads": 2, "batch_size": 8,
    "progress": False,
}  # fmt: skip
C, L, R, M, P = 12, 2, 8, 8, 8  # width, layers, rank, bottleneck, prompt


@pytest.fixture(scope="module")
def study():
    """(the data of the study, its sizes, the task, a pretrained model)."""
    settings = TaskSettings(**SMALL)
    recipe = settings.recipe(Recipe())
    data = ToyData.of(recipe, settings)
    task = PlotTask(data, recipe, "english")
    return data, recipe, settings, task, task.pretrain(data, recipe, settings)


def fresh(study):
    """The pretrained encoder under a new head."""
    data, recipe, _, task, pretrained = study
    return with_new_head(pretrained, task.config(recipe), data.rng(3))


def learned_by_hand(name, task):
    """How many numbers learn, by the formulas of the papers."""
    head = C * C + C + C * len(task.plots) + len(task.plots)  # pooler and classifier
    norms = (1 + 2 * L) * 2 * C
    biases = L * (4 * C + 4 * C + C) + norms // 2
    matrices = L * (4 * C * C + 2 * C * 4 * C)
    tables = (len(task.words) + POSITIONS + 2) * C
    return (
        head
        + {
            "full": tables + matrices + biases + norms // 2,
            "head only": 0,
            "LoRA": L * R * (4 * (C + C) + 2 * (C + 4 * C)),
            "BitFit": biases,
            "prompt tuning": P * C,
            "adapters": L * 2 * (2 * C * M + C + M) + norms,
        }[name]
    )


@pytest.mark.parametrize("name", METHODS)
def test_what_learns_and_what_it_costs_is_what_the_formulas_say(name, study):
    data, _, _, task, _ = study
    model = METHODS[name].change(fresh(study), data.rng(4))
    expected = learned_by_hand(name, task)
    assert trainable_parameters(model).trainable == expected
    learning, peak = memory_of_step(model, task.batch())
    assert learning == 3 * 4 * expected  # gradient, m and v, in float32
    assert peak > learning
    assert all(p.grad is None for p in model.parameters())
    header = saved_bytes(model) - 4 * expected
    assert 0 < header < 10_000


@pytest.mark.parametrize("name", METHODS)
def test_what_is_frozen_keeps_its_bits(name, study):
    data, recipe, settings, task, pretrained = study
    before = {n: a.copy() for n, a in pretrained.state_dict().items()}
    tuned = task.tune(name, pretrained, data, recipe, settings)
    for own, array in pretrained.state_dict().items():
        np.testing.assert_array_equal(array, before[own], err_msg=own)
    kept = {
        n.removeprefix("model."): p.data
        for n, p in tuned.model.named_parameters()
        if not p.requires_grad
    }
    assert bool(kept) == (name != "full")
    for own, array in kept.items():
        np.testing.assert_array_equal(array, before[own], err_msg=own)


def test_the_file_of_lora_is_what_peft_reads(study, tmp_path):
    model = METHODS["LoRA"].change(fresh(study), np.random.default_rng(0))
    save_lora(model, tmp_path)
    assert saved_bytes(model) == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_every_way_starts_from_the_pretrained_encoder_and_the_same_head(study):
    task, pretrained = study[3], study[4]
    model = fresh(study)
    stored = pretrained.state_dict()
    taken = [n for n in model.state_dict() if n in stored]
    new = sorted(set(model.state_dict()) - set(taken))
    assert new == ["bert.pooler.dense.bias", "bert.pooler.dense.weight",
                   "classifier.bias", "classifier.weight"]  # fmt: skip
    for name in taken:
        np.testing.assert_array_equal(model.state_dict()[name], stored[name], err_msg=name)
    logits = model(**task.batch()).logits.data
    for name, method in METHODS.items():
        if name != "prompt tuning":  # which reads something more
            found = method.change(fresh(study), np.random.default_rng(0))(**task.batch())
            np.testing.assert_array_equal(found.logits.data, logits, err_msg=name)


def test_no_test_story_is_read_in_either_training(study):
    task = study[3]
    read = {tuple(row) for row in task.unlabelled}
    assert {tuple(row) for row in task.ids(task.labelled.words)} <= read
    assert len(task.labelled) == 80 // 2
    for texts in task.tests.values():
        assert read.isdisjoint(map(tuple, task.ids(texts.words)))


def test_a_trace_of_memory_that_was_on_stays_on(study):
    model, batch = fresh(study), study[3].batch()
    assert not tracemalloc.is_tracing()
    alone = memory_of_step(model, batch)
    assert not tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        ballast = np.zeros(30_000_000, np.int8)
        beside = memory_of_step(model, batch)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert beside[0] == alone[0]
    assert beside[1] < alone[1] + ballast.nbytes / 10


def test_a_step_lowers_the_loss_of_its_batch(study):
    model, batch = fresh(study), study[3].batch()
    step = Steps(model, batch)
    for group in step.optimizer.groups:
        group["lr"] = 1e-2
    before = model(**batch).loss.item()
    for _ in range(5):
        step()
    assert model(**batch).loss.item() < before


def test_the_table_has_every_way_and_chance_is_the_most_frequent_plot(study):
    result = run_task("efficient-tuning", **SMALL)
    assert [row.name for row in result.rows] == [*METHODS, "chance"]
    task = study[3]
    labels = task.labelled.labels.tolist()
    usual = max(range(len(task.plots)), key=labels.count)
    expected = task.tests["test"].labels.tolist().count(usual) / len(task.tests["test"])
    assert result.rows[-1].values["accuracy"] == pytest.approx(expected)
    full, lora = (result.figures[f"{n}, trainable share"] for n in ("full", "LoRA"))
    assert full == 1
    assert lora < 0.5


@pytest.mark.parametrize(
    ("sizes", "message"),
    [({"train": 2, "test": 60}, "the 1 labelled stories have 1 plots"),
     ({"train": 4, "test": 1}, "0 compositional stories have one of these: ask for more")],
)  # fmt: skip
def test_too_few_stories_are_one_clear_line(sizes, message):
    with pytest.raises(ValueError, match=message):
        run_task("efficient-tuning", **{**SMALL, **sizes})
