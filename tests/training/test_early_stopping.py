"""Early stopping: when it stops, what it keeps, and that a resumed training does the same."""

import math

import numpy as np
import pytest

from minillm import nn
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import SGD, AdamW
from minillm.training import EarlyStopping, History, fit


class Scripted(nn.Module):
    """A model whose weight counts the steps, and whose validation loss follows a list."""

    def __init__(self, *values):
        self.weight = nn.Parameter(np.zeros(1, dtype=np.float32))
        self.values = values

    def forward(self, x):
        return self.weight * 1.0


def scripted_fit(values, stopping, *, steps=None, **options):
    """fit on gradients of -1, so that after step n the weight is n; value n is its validation loss."""
    model = Scripted(*values)
    optimizer = SGD(model.named_parameters(), lr=1.0)

    def loss(output, target):
        if target.shape[0] == 2:  # a training batch
            return -output.sum()
        return (output * 0.0 + np.float32(values[round(float(model.weight.data[0])) - 1])).sum()

    zeros = np.zeros((1, 1), dtype=np.float32), np.zeros(1, dtype=np.int64)
    train = [(np.zeros((2, 1), dtype=np.float32), np.zeros(2, dtype=np.int64))]
    options = {"loss": loss, "evaluate_every": 1, "progress": False, **options}
    history = fit(
        model,
        optimizer,
        train,
        [zeros],
        steps=steps or len(values),
        early_stopping=stopping,
        **options,
    )
    return float(model.weight.data[0]), history


def test_it_stops_after_patience_evaluations_without_improvement():
    values = [5.0, 4.0, 3.0, 3.5, 3.2, 3.1, 0.0]
    weight, history = scripted_fit(values, EarlyStopping(patience=3))
    assert history.history["val_loss"] == pytest.approx(values[:6])
    assert (history.best_step, history.stopped_at, len(history.losses)) == (3, 6, 6)
    assert weight == 3.0  # the best weights are back
    assert "stopped early at step 6, best at 3" in repr(history)


def test_an_improvement_starts_the_count_anew():
    values = [5.0, 6.0, 4.0, 6.0, 3.0, 6.0, 6.0, 0.0]
    _, history = scripted_fit(values, EarlyStopping(patience=2))
    assert (history.best_step, history.stopped_at) == (5, 7)


def test_without_a_stop_the_best_weights_come_back_at_the_end():
    stopping = EarlyStopping(patience=9)
    weight, history = scripted_fit([5.0, 1.0, 3.0], stopping)
    assert weight == 2.0
    assert (history.best_step, history.stopped_at) == (2, None)
    assert (stopping.best_value, stopping.best_step) == (1.0, 2)
    assert "stopped" not in repr(history)


def test_the_last_weights_stay_if_the_best_are_not_wanted():
    weight, history = scripted_fit(
        [1.0, 2.0, 3.0, 0.0], EarlyStopping(patience=2, restore_best=False)
    )
    assert weight == 3.0
    assert (history.best_step, history.stopped_at) == (1, 3)


def test_an_equal_value_is_no_improvement():
    _, history = scripted_fit([2.0, 2.0, 2.0, 1.0], EarlyStopping(patience=2))
    assert (history.best_step, history.stopped_at) == (1, 3)


def test_min_delta_asks_for_more_than_that():
    values = [2.0, 1.75, 1.5, 1.25, 1.0, 0.75]
    _, history = scripted_fit(values, EarlyStopping(patience=3, min_delta=0.5))
    assert (history.best_step, history.stopped_at) == (4, None)  # 2 -> 1.5 is not more than 0.5
    _, history = scripted_fit(values, EarlyStopping(patience=1, min_delta=0.25))
    assert (history.best_step, history.stopped_at) == (1, 2)


def test_larger_is_better_in_mode_max():
    stopping = EarlyStopping("val_score", patience=2, mode="max", min_delta=0.5)
    scores = iter([1.0, 3.0, 3.5, 2.0, 9.0])
    metrics = {"score": lambda logits, targets: 0.0 if len(targets) == 2 else next(scores)}
    weight, history = scripted_fit([1.0] * 5, stopping, metrics=metrics)
    assert (history.best_step, history.stopped_at, weight) == (2, 4, 2.0)


def test_a_value_that_is_no_number_never_counts_as_best():
    stopping = EarlyStopping(patience=2)
    history = History()
    for step, value in enumerate([math.nan, 2.0, math.nan, 3.0], start=1):
        history.add(step=step, val_loss=value)
        stop = stopping.update(Scripted(), history)
    assert stop
    assert (history.best_step, history.stopped_at) == (2, 4)


def test_it_can_be_used_again():
    stopping = EarlyStopping(patience=2)
    first = scripted_fit([0.5, 2.0, 3.0, 4.0], stopping)
    second = scripted_fit([5.0, 4.0, 6.0, 7.0, 8.0], stopping)
    assert (first[1].best_step, second[1].best_step, second[1].stopped_at) == (1, 2, 4)
    assert second[0] == 2.0


# ----------------------------------------------------------------------------------- with files


def gpt_run(folder, steps, *, on_step=None, stopping=None, resume=True):
    """A GPT that learns six texts by heart, and gets worse on others: (bits, history)."""
    config = GPT2Config(vocab_size=9, n_positions=6, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0.2)
    model = GPT2LMHeadModel(config, rng=np.random.default_rng(5))
    ids = np.random.default_rng(1).integers(0, 9, (12, 6))
    optimizer = AdamW(model.named_parameters(), lr=0.005)
    history = fit(
        model, optimizer, (ids[:6], ids[:6]), (ids[6:], ids[6:]), steps=steps, evaluate_every=3,
        early_stopping=stopping or EarlyStopping(patience=4), checkpoint=folder, resume=resume,
        progress=False, batch_size=3, on_step=on_step,
    )  # fmt: skip
    return b"".join(p.data.tobytes() for p in model.parameters()), history


def kill_at(number):
    def on_step(step, history):
        if step == number:
            raise RuntimeError("killed")

    return on_step


def seeded(*arguments, **options):
    import minillm

    minillm.manual_seed(3)
    return gpt_run(*arguments, **options)


@pytest.fixture
def whole(tmp_path):
    """An uninterrupted run, which stops early."""
    bits, history = seeded(tmp_path / "whole", 90)
    assert history.stopped_at is not None
    assert 3 < history.best_step < history.stopped_at < 60
    return bits, history


@pytest.mark.parametrize("after", ["best", "stop"])
def test_a_killed_training_stops_at_the_same_step_with_the_same_bits(tmp_path, whole, after):
    bits, expected = whole
    moment = expected.best_step + 1 if after == "best" else expected.stopped_at - 1
    with pytest.raises(RuntimeError, match="killed"):
        seeded(tmp_path / "cut", 90, on_step=kill_at(moment))
    again, history = seeded(tmp_path / "cut", 90)
    assert again == bits
    assert history.history == expected.history
    assert (history.best_step, history.stopped_at) == (expected.best_step, expected.stopped_at)


def test_resuming_a_training_that_had_stopped_does_nothing_more(tmp_path, whole):
    bits, expected = whole
    again, history = seeded(tmp_path / "whole", 90)
    assert again == bits
    assert len(history.losses) == len(expected.losses)
    assert history.stopped_at == expected.stopped_at


def test_one_file_of_best_weights_lies_beside_the_checkpoint(tmp_path, whole):
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    _, history = whole
    assert names == [
        f"arrays-{history.stopped_at:08d}.safetensors",
        f"best-{history.best_step:08d}.safetensors",
        "checkpoint.json",
    ]


def test_more_patience_goes_on_from_the_last_weights_not_the_best(tmp_path, whole):
    _, expected = whole
    _, history = seeded(tmp_path / "whole", 90, stopping=EarlyStopping(patience=6))
    assert history.stopped_at > expected.stopped_at
    _, straight = seeded(tmp_path / "other", 90, stopping=EarlyStopping(patience=6))
    assert history.history == straight.history


def test_best_weights_that_are_missing(tmp_path, whole):
    _, expected = whole
    (tmp_path / "whole" / f"best-{expected.best_step:08d}.safetensors").unlink()
    message = f"best weights, of step {expected.best_step}, are not beside the checkpoint"
    with pytest.raises(ValueError, match=message):
        seeded(tmp_path / "whole", 90)
    options = EarlyStopping(patience=4, restore_best=False)
    assert seeded(tmp_path / "whole", 90, stopping=options)[1].stopped_at == expected.stopped_at


def test_a_new_training_replaces_the_best_weights_of_an_old_one(tmp_path, whole):
    bits, expected = whole
    best = tmp_path / "whole" / f"best-{expected.best_step:08d}.safetensors"
    content = best.read_bytes()
    best.write_bytes(b"of another training")
    assert seeded(tmp_path / "whole", 90, resume=False)[0] == bits
    assert best.read_bytes() == content


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience must be an integer of at least 1, got 0"),
        ({"patience": 2.5}, "patience must be an integer of at least 1, got 2.5"),
        ({"patience": True}, "patience must be an integer of at least 1, got True"),
        ({"min_delta": -1}, "min_delta must be at least 0, got -1"),
        ({"min_delta": math.nan}, "min_delta must be a finite number"),
        ({"mode": "auto"}, 'mode must be "min" or "max", got \'auto\''),
    ],
)
def test_settings_without_meaning(options, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**options)


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [("val_loss", "min"), ("loss", "min"), ("val_perplexity", "min"), ("val_bits_per_byte", "min"),
     ("val_accuracy", "max"), ("val_macro_f1", "max"), ("val_rouge-l", "max"), ("val_BLEU", "max")],
)  # fmt: skip
def test_the_name_tells_what_is_better(monitor, mode):
    assert EarlyStopping(monitor).mode == mode
    assert EarlyStopping(monitor, mode="max").mode == "max"


def test_the_largest_accuracy_is_kept_and_a_name_that_tells_nothing_refused():
    stopping = EarlyStopping("val_accuracy", patience=2)
    history = History()
    for step, value in enumerate([0.3, 0.6, 0.5], start=1):
        history.add(step=step, val_accuracy=value)
        stopping.update(nn.Linear(1, 1), history)
    assert (stopping.best_step, stopping.best_value) == (2, 0.6)
    with pytest.raises(ValueError, match="'val_score' does not tell whether smaller or larger"):
        EarlyStopping("val_score")


def test_a_name_that_the_history_does_not_have():
    with pytest.raises(ValueError, match="'val_f1' is none of step, lr, loss, val_loss"):
        scripted_fit([1.0, 2.0], EarlyStopping("val_f1"))


def test_fit_needs_validation_data_for_it_and_the_right_type():
    model = nn.Linear(1, 1)
    arguments = model, SGD(model.named_parameters(), lr=1.0), [({}, {})], None
    with pytest.raises(ValueError, match="'val_loss', which needs validation="):
        fit(*arguments, steps=1, early_stopping=EarlyStopping())
    with pytest.raises(TypeError, match="must be an EarlyStopping, got bool"):
        fit(*arguments, steps=1, early_stopping=True)
