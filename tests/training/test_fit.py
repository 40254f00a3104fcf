"""The training loop: what it computes, what it accepts, what it records, and what it refuses."""

import math
from functools import partial

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Tensor, nn
from minillm.data import DataLoader, TextBatches, TextWindows
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import SGD, AdamW, schedule
from minillm.training import History, evaluate, fit


def small_gpt(seed=5, dropout=0.0, **changes):
    sizes = {"vocab_size": 11, "n_positions": 7, "n_embd": 8, "n_layer": 2, "n_head": 2}
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    config = GPT2Config(**{**sizes, **drops, **changes})
    return GPT2LMHeadModel(config, rng=np.random.default_rng(seed))


def squared_error(output, target):
    difference = output - target
    return (difference * difference).mean()


def linear_problem(rows=12):
    """x, y = x @ weight + bias, and that weight and bias."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((rows, 3)).astype(np.float32)
    weight = np.array([[1.0, -2.0], [0.5, 3.0], [-1.5, 0.25]], dtype=np.float32)
    bias = np.array([0.75, -1.25], dtype=np.float32)
    return x, x @ weight + bias, weight, bias


def fit_linear(train, *, lr=0.1, validation=None, **options):
    """A linear model trained by plain gradient descent: (model, optimizer, history)."""
    model = nn.Linear(3, 2, rng=np.random.default_rng(1))
    optimizer = SGD(model.named_parameters(), lr=lr)
    options = {"loss": squared_error, "progress": False, "shuffle": False, **options}
    return model, optimizer, fit(model, optimizer, train, validation, **options)


class Slope(nn.Module):
    """weight . x, whose gradient with respect to the weight is x itself."""

    def __init__(self, *weight):
        self.weight = nn.Parameter(np.array(weight, dtype=np.float32))

    def forward(self, x):
        return (self.weight * x).sum()


def total(output, target):
    return output.sum()


def slope_batches(*gradients):
    return [(np.array(g, dtype=np.float32), np.zeros(1, dtype=np.float32)) for g in gradients]


def fit_slope(*gradients, weight=(0.0,), lr=1.0, steps=None, **options):
    model = Slope(*weight)
    optimizer = SGD(model.named_parameters(), lr=lr)
    options = {"loss": total, "progress": False, "steps": steps or len(gradients), **options}
    history = fit(model, optimizer, slope_batches(*gradients), **options)
    return model.weight.data, history


def log_softmax(z):
    z = z.astype(np.float64)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def literal_loss(model, x, y):
    """Sum of -log p(target) and the number of targets, one target after another."""
    log_p = log_softmax(model(x).logits.numpy())
    values = [-log_p[i, t, y[i, t]] for i, t in np.ndindex(y.shape) if y[i, t] != -100]
    return sum(values), len(values)


def bits(model):
    return b"".join(p.data.tobytes() for p in model.parameters())


# --------------------------------------------------------------------------------- it learns


def test_gradient_descent_finds_the_line_that_made_the_data():
    x, y, weight, bias = linear_problem(24)
    model, _, history = fit_linear((x, y), steps=400, lr=0.2, batch_size=24)
    assert history.losses[-1] < 1e-6 * history.losses[0]
    np.testing.assert_allclose(model.weight.data, weight, atol=1e-3)
    np.testing.assert_allclose(model.bias.data, bias, atol=1e-3)


def test_a_gpt_learns_a_cycle_by_heart():
    ids = np.tile([3, 1, 4, 0, 5, 9, 2, 6], 20)  # each token has one successor: the best loss is 0
    model = small_gpt()
    optimizer = AdamW(model.named_parameters(), lr=0.02)
    fit(model, optimizer, TextBatches(ids, 7, 4), steps=120, loss=F.cross_entropy, progress=False)
    result = evaluate(model, TextWindows(ids, 7), loss=F.cross_entropy)
    assert result["loss"] < 0.1 < math.log(8)


def test_one_step_of_gradient_descent_by_hand():
    # weight 2 - lr * mean(1, 5) = 2 - 0.5 * 3
    weight, history = fit_slope([1.0], [5.0], weight=(2.0,), lr=0.5, steps=1, accumulate=2)
    assert weight.tolist() == [0.5]
    assert history.losses == [6.0]  # mean of 2 * 1 and 2 * 5


# ------------------------------------------------------------------------------- how long


def test_epochs_are_passes_over_the_data():
    x, y, *_ = linear_problem(10)
    _, optimizer, history = fit_linear((x, y), epochs=2, batch_size=4)
    assert optimizer.steps == len(history.losses) == 6  # 4 + 4 + 2 rows, twice
    assert history.history["step"] == [3, 6]


def test_epochs_count_accumulated_batches_once():
    x, y, *_ = linear_problem(12)
    _, optimizer, _ = fit_linear((x, y), epochs=3, batch_size=2, accumulate=3)
    assert optimizer.steps == 6  # 18 batches, 3 in each step


def test_steps_are_optimizer_steps_whatever_the_data():
    x, y, *_ = linear_problem(10)
    _, optimizer, history = fit_linear((x, y), steps=7, batch_size=4, accumulate=2)
    assert optimizer.steps == len(history.losses) == 7


def test_every_epoch_sees_every_row_once_in_a_new_order():
    seen = []

    def loss(output, target):
        seen.append(target[:, 0].tolist())
        return squared_error(output, target)

    x = np.ones((7, 3), dtype=np.float32)
    y = np.repeat(np.arange(7, dtype=np.float32)[:, None], 2, axis=1)
    fit_linear((x, y), epochs=2, batch_size=3, shuffle=True, loss=loss)
    first, second = [row for b in seen[:3] for row in b], [row for b in seen[3:] for row in b]
    assert [len(batch) for batch in seen] == [3, 3, 1] * 2
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second
    assert first != sorted(first)


# ---------------------------------------------------------------------------- kinds of data


def test_arrays_tuples_and_loaders_train_to_the_same_bits():
    x, y, *_ = linear_problem(10)
    tuples = [(x[:4], y[:4]), (x[4:8], y[4:8]), (x[8:], y[8:])]
    endless = (tuples[i % 3] for i in range(100))
    kinds = [(x, y), tuples, endless, DataLoader((x, y), 4, shuffle=False)]
    results = {bits(fit_linear(kind, steps=8, batch_size=4)[0]) for kind in kinds}
    assert len(results) == 1


def fit_gpt(train, **options):
    model = small_gpt()
    optimizer = SGD(model.named_parameters(), lr=0.1)
    history = fit(model, optimizer, train, steps=3, progress=False, **options)
    return bits(model), history


def test_dicts_tuples_and_arrays_use_the_loss_of_the_model(rng):
    ids = rng.integers(0, 11, (2, 7))
    dicts, history = fit_gpt([{"input_ids": ids, "labels": ids}])
    tuples, _ = fit_gpt([(ids, ids)])
    arrays, _ = fit_gpt((ids, ids), shuffle=False)
    assert dicts == tuples == arrays
    nats, count = literal_loss(small_gpt(), ids[:, :-1], ids[:, 1:])
    np.testing.assert_allclose(history.losses[0], nats / count, rtol=1e-5)


def test_a_loss_function_gets_the_logits_and_the_targets(rng):
    x, y = rng.integers(0, 11, (2, 3, 7))
    _, history = fit_gpt([(x, y)], loss=F.cross_entropy)
    nats, count = literal_loss(small_gpt(), x, y)
    np.testing.assert_allclose(history.losses[0], nats / count, rtol=1e-5)


def test_a_batch_that_is_an_array_is_refused():
    """[x, y] is a list of batches, not the pair (x, y): its first batch would be x."""
    x, y, *_ = linear_problem(4)
    with pytest.raises((TypeError, ValueError), match="batch"):
        fit_linear([x, y], steps=1, loss=lambda output, target: output.mean())


# ---------------------------------------------------------------------- the steps of the loop


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_batches_give_the_gradient_of_one_large_batch(rng, parts):
    x, y = rng.integers(0, 11, (2, 8, 7))
    grads = []
    for accumulate in (1, parts):
        model = small_gpt()

        def keep(step, history, model=model):
            grads.append({name: p.grad.copy() for name, p in model.named_parameters()})

        options = {"batch_size": 8 // accumulate, "accumulate": accumulate, "shuffle": False}
        fit(model, SGD(model.named_parameters(), lr=0.1), (x, y), steps=1, loss=F.cross_entropy,
            progress=False, on_step=keep, **options)  # fmt: skip
    for name, whole in grads[0].items():
        np.testing.assert_allclose(grads[1][name], whole, rtol=1e-4, atol=1e-7, err_msg=name)


FIRST_HALF_IGNORED = [0, 0, -100, 0, -100, 1, 2, 1, 2, 1]
LOSSES = {
    "plain": (F.cross_entropy, FIRST_HALF_IGNORED),
    "padding is 0": (partial(F.cross_entropy, ignore_index=0), [0, 0, 0, 1, 0, 1, 2, 1, 2, 1]),
    "weights": (
        partial(F.cross_entropy, weight=np.array([1.0, 5.0, 0.2])),
        [0, 0, 2, 1, -100, 1, 2, 1, 2, 1],
    ),
    "twice partial": (
        partial(partial(F.cross_entropy, ignore_index=0), ignore_index=-1, label_smoothing=0.1),
        [0, -1, -1, 1, 0, -1, 2, 1, 2, 1],
    ),
}


@pytest.mark.filterwarnings("ignore:cross_entropy. every target is ignored")  # of some batches
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("loss", "y"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("sizes", [(10, 1), (4, 3), (5, 2), (2, 5)])
def test_batches_of_any_size_make_the_step_of_the_whole(rng, loss, y, sizes, workers):
    x, y = rng.standard_normal((10, 4)), np.array(y)  # 10 rows in batches of 4: 4 + 4 + 2
    whole = nn.Linear(4, 3, dtype=np.float64, rng=np.random.default_rng(0))
    shared = nn.Linear(4, 3, dtype=np.float64, rng=np.random.default_rng(0))
    loss(whole(x), y).backward()
    grads = {}

    def keep(step, history):
        grads.update({name: p.grad.copy() for name, p in shared.named_parameters()})

    batch_size, accumulate = sizes
    history = fit(shared, SGD(shared.parameters(), lr=0.1), (x, y), epochs=1, loss=loss,
                  batch_size=batch_size, accumulate=accumulate, shuffle=False, workers=workers,
                  on_step=keep, progress=False)  # fmt: skip
    assert len(history.losses) == 1
    assert history.losses[0] == pytest.approx(loss(whole(x), y).item(), rel=1e-12)
    for name, p in whole.named_parameters():
        np.testing.assert_allclose(grads[name], p.grad, rtol=1e-10, atol=1e-14, err_msg=name)
    found = evaluate(whole, (x, y), loss=loss, batch_size=batch_size)["loss"]
    assert found == pytest.approx(loss(whole(x), y).item(), rel=1e-12)


def test_the_last_step_ends_with_the_data(rng):
    rows = []

    class Watch(nn.Linear):
        def forward(self, x):
            rows.append(len(x))
            return super().forward(x)

    x, y = rng.standard_normal((10, 4)).astype(np.float32), rng.integers(0, 3, 10)
    model = Watch(4, 3)
    fit(model, SGD(model.parameters(), lr=0.1), (x, y), epochs=3, loss=F.cross_entropy,
        batch_size=4, accumulate=2, progress=False)  # fmt: skip
    assert sum(rows) == 30  # 9 batches in 5 steps: nothing is seen a fourth time


def test_a_sum_over_targets_is_refused(rng):
    model = nn.Linear(4, 3)
    loss = partial(F.cross_entropy, reduction="sum")
    data = rng.standard_normal((5, 4)).astype(np.float32), np.arange(5) % 3
    with pytest.raises(ValueError, match=r"must be the mean over its targets.*reduction='sum'"):
        fit(model, SGD(model.parameters(), lr=0.1), data, steps=1, loss=loss, progress=False)


def test_the_schedule_sets_the_rate_of_each_step():
    model = Slope(0.0)
    optimizer = SGD(model.named_parameters(), lr=0.4)
    plan = schedule.linear(optimizer, warmup_steps=2, total_steps=6)
    path = [0.0]

    def watch(step, history):
        path.append(float(model.weight.data[0]))

    fit(model, optimizer, slope_batches([1.0]), steps=6, loss=total, schedule=plan,
        on_step=watch, progress=False, evaluate_every=2)  # fmt: skip
    # up by thirds of 0.4, then down by quarters of it
    np.testing.assert_allclose(-np.diff(path), [0.4 / 3, 0.8 / 3, 0.4, 0.3, 0.2, 0.1], rtol=1e-5)


def test_clip_shortens_only_gradients_that_are_too_long():
    weight, _ = fit_slope([3.0, 4.0], [0.03, 0.04], weight=(0.0, 0.0), clip=1.0)
    np.testing.assert_allclose(weight, [-0.63, -0.84], rtol=1e-5)  # length 5 -> 1, then 0.05


def test_without_clip_gradients_are_left_alone():
    assert fit_slope([3.0, 4.0], weight=(0.0, 0.0))[0].tolist() == [-3.0, -4.0]


def test_gradients_do_not_leak_from_step_to_step():
    assert fit_slope([1.0], [10.0], [100.0])[0].tolist() == [-111.0]


# --------------------------------------------------------------------------- the record


def test_history_means_and_steps_by_hand():
    # the weight is 0, -1, -2, ... before each step, and so is the loss
    _, history = fit_slope(*[[1.0]] * 5, evaluate_every=2)
    assert history.losses == [0, -1, -2, -3, -4]
    assert history.history["step"] == [2, 4, 5]
    assert history.history["loss"] == [-0.5, -2.5, -4.0]
    assert history.history["lr"] == [1.0, 1.0, 1.0]
    assert not history.interrupted


def test_history_has_the_validation_loss_of_the_model_as_it_was_then():
    x, y, *_ = linear_problem(6)
    validation = (np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32))
    biases = []
    model = nn.Linear(3, 2, rng=np.random.default_rng(1))

    def watch(step, history):
        biases.append((model.bias.data**2).mean())  # all the output that x = 0 leaves

    history = fit(model, SGD(model.named_parameters(), lr=0.1), (x, y), validation, steps=4,
                  loss=squared_error, on_step=watch, progress=False, evaluate_every=2)  # fmt: skip
    np.testing.assert_allclose(history.history["val_loss"], biases[1::2], rtol=1e-5)
    assert all(len(values) == 2 for values in history.history.values())


def mean_difference(logits, targets):
    return float((logits - targets).mean())


def test_history_has_each_metric_on_the_validation_data():
    x, y, *_ = linear_problem(6)
    metrics = {"difference": mean_difference}
    model, _, history = fit_linear((x, y), epochs=2, validation=(x, y), metrics=metrics)
    assert len(history.history["val_difference"]) == 2
    literal = (x.astype(float) @ model.weight.data + model.bias.data - y).mean()
    np.testing.assert_allclose(history.history["val_difference"][-1], literal, atol=1e-5)


def test_history_has_one_key_per_metric_and_its_validation_twin():
    x, y, *_ = linear_problem(6)
    metrics = {"difference": mean_difference}
    _, _, history = fit_linear((x, y), epochs=2, validation=(x, y), metrics=metrics)
    assert {"loss", "val_loss", "difference", "val_difference"} <= set(history.history)


def test_on_step_is_called_after_each_step_with_the_history_so_far():
    calls = []
    fit_slope(*[[1.0]] * 3, on_step=lambda step, history: calls.append((step, history.losses[:])))
    assert calls == [(1, [0.0]), (2, [0.0, -1.0]), (3, [0.0, -1.0, -2.0])]


def test_history_shows_its_last_entries():
    history = History()
    history.add(step=3, loss=0.25)
    history.add(step=6, loss=0.125)
    assert "0.125" in repr(history)


def test_the_progress_bar_shows_loss_speed_and_rate(capsys):
    fit_slope([1.0], [1.0], progress=True, lr=0.5)
    shown = capsys.readouterr().err
    assert "loss -0.500" in shown
    assert "tokens/s" in shown
    assert "lr 5.0e-01" in shown


# --------------------------------------------------------------------------- float32, same bits


@pytest.mark.parametrize("options", [{}, {"bias": False, "activation_function": "gelu"}])
def test_a_training_step_in_float32_makes_nothing_in_another_precision(monkeypatch, rng, options):
    model = small_gpt(dropout=0.2, **options)
    optimizer = AdamW(model.named_parameters(), lr=0.01, weight_decay=0.1)
    ids = rng.integers(0, 11, (4, 7))
    made, grads = [], []
    original = Tensor.__init__

    def recording(self, *arguments, **keywords):
        original(self, *arguments, **keywords)
        made.append(self.data.dtype)

    monkeypatch.setattr(Tensor, "__init__", recording)
    fit(
        model, optimizer, [(ids, ids)], [(ids, ids)], steps=2, accumulate=2, clip=0.01,
        schedule=schedule.cosine(optimizer, 1, 2), progress=False,
        on_step=lambda step, history: grads.extend(p.grad.dtype for p in model.parameters()),
    )  # fmt: skip
    state = [v.dtype for s in optimizer.state.values() for v in s.values() if hasattr(v, "dtype")]
    assert len(made) > 100
    assert len(grads) == 2 * len(list(model.parameters()))
    assert len(state) == 2 * len(list(model.parameters()))
    weights = [p.data.dtype for p in model.parameters()]
    assert {np.dtype(d) for d in made + grads + state + weights} == {np.dtype(np.float32)}


def train_with_dropout(seed):
    minillm.manual_seed(seed)
    model = small_gpt(dropout=0.3)
    ids = np.random.default_rng(3).integers(0, 11, (6, 7))
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    history = fit(model, optimizer, (ids, ids), ids_pair(ids), epochs=2, batch_size=4,
                  progress=False)  # fmt: skip
    return bits(model), history.losses, history.history


def ids_pair(ids):
    return [(ids, ids)]


def test_the_same_seed_gives_the_same_bits_twice_with_dropout():
    first, second, other = (train_with_dropout(seed) for seed in (8, 8, 9))
    assert first == second
    assert first[0] != other[0]


# -------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either epochs or steps"),
        ({"epochs": 1, "steps": 1}, "either epochs or steps"),
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"steps": -3}, "steps must be an integer of at least 1, got -3"),
        ({"steps": 2.5}, "steps must be an integer of at least 1, got 2.5"),
        ({"epochs": "3"}, "epochs must be an integer of at least 1, got '3'"),
        ({"steps": 1, "accumulate": 0}, "accumulate must be an integer of at least 1, got 0"),
        ({"steps": 1, "evaluate_every": 0}, "evaluate_every must be an integer of at least 1"),
        ({"steps": 1, "batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"steps": 1, "clip": -1.0}, "clip must be above 0, got -1.0"),
        ({"steps": 1, "clip": "norm"}, "clip must be above 0, got 'norm'"),
        ({"steps": 1, "loss": "ce"}, "loss must be a function .* got 'ce'"),
        ({"steps": 1, "metrics": len}, "metrics must be a dict of names and functions"),
        ({"steps": 1, "loss": None}, r"labels|\.loss"),
    ],
)
def test_arguments_without_meaning_are_refused(options, message):
    x, y, *_ = linear_problem()
    with pytest.raises((ValueError, TypeError), match=message):
        fit_linear((x, y), **options)


def test_an_optimizer_of_another_model_is_refused():
    x, y, *_ = linear_problem()
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    before = bits(model)
    with pytest.raises(ValueError, match="no parameter of this model, which therefore would not"):
        fit(model, SGD(other.parameters(), lr=0.1), (x, y), steps=1, loss=F.mean_squared_error)
    with pytest.raises(TypeError, match="optimizer must be an Optimizer, got Linear"):
        fit(model, other, (x, y), steps=1, loss=F.mean_squared_error)
    assert bits(model) == before


def test_a_schedule_of_another_optimizer_is_refused():
    x, y, *_ = linear_problem()
    model = nn.Linear(3, 2)
    optimizer, other = (SGD(model.parameters(), lr=0.1) for _ in range(2))
    options = {"steps": 1, "loss": F.mean_squared_error, "progress": False}
    with pytest.raises(ValueError, match="with that of another the learning rate"):
        fit(model, optimizer, (x, y), schedule=schedule.cosine(other), **options)
    with pytest.raises(ValueError, match="made from this optimizer: with 3 the learning rate"):
        fit(model, optimizer, (x, y), schedule=3, **options)
    with pytest.raises(TypeError, match=r"on_step must be a function of .* got 3"):
        fit(model, optimizer, (x, y), on_step=3, **options)
    with pytest.raises(ValueError, match="checkpoint is empty"):
        fit(model, optimizer, (x, y), checkpoint="", **options)
    with pytest.raises(TypeError, match=r"loss must be a Tensor, .* got float"):
        fit(model, optimizer, (x, y), **options | {"loss": lambda out, y: 1.0})


def test_an_error_before_the_first_step_leaves_the_folder_to_the_next_try(tmp_path):
    x, y, *_ = linear_problem()
    kept = []
    for loss in (
        lambda out, y: F.mean_squared_error(out, y, reduction="sum"),
        F.mean_squared_error,
    ):
        try:
            fit_linear((x, y), steps=1, loss=loss, checkpoint=tmp_path, workers=2)
        except ValueError as error:
            kept.append(error)  # as a notebook does, with everything that the error has seen
    assert len(kept) == 1
    assert "parts" in str(kept[0])
    assert (tmp_path / "checkpoint.json").is_file()


def test_arrays_of_different_length_are_refused():
    x, y, *_ = linear_problem()
    with pytest.raises(ValueError, match=r"equally many rows.*\(12, 3\).*\(5, 2\)"):
        fit_linear((x, y[:5]), steps=1)


def test_empty_data_is_refused():
    x, y, *_ = linear_problem()
    with pytest.raises(ValueError, match="no batch"):
        fit_linear([], steps=1)
    with pytest.raises(ValueError, match="at least one"):
        fit_linear((x[:0], y[:0]), steps=1)


def test_a_generator_that_is_used_up_is_explained():
    x, y, *_ = linear_problem()
    with pytest.raises(ValueError, match="generator can be used only once"):
        fit_linear((batch for batch in [(x, y)] * 3), steps=5)


def test_epochs_of_a_stream_without_end_are_refused():
    with pytest.raises(ValueError, match="steps instead of epochs"):
        fit_linear(iter([]), epochs=1)


def test_a_loss_that_is_not_one_number_is_refused_with_its_shape():
    x, y, *_ = linear_problem()
    with pytest.raises(ValueError, match=r"one number, got shape \(12, 2\)"):
        fit_linear((x, y), steps=1, loss=lambda output, target: output - target)


# -------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize("length", [9, 15, 30, 38])
def test_evaluation_weights_every_target_equally_over_the_whole_split(length):
    ids = np.random.default_rng(2).integers(0, 11, length)
    model = small_gpt(initializer_range=0.8)
    nats = []
    for start in range(0, length - 1, 7):  # a literal loop over windows of 7
        x, y = ids[start : start + 7], ids[start + 1 : start + 8]
        log_p = log_softmax(model(x[None, : len(y)]).logits.numpy())[0]
        nats += [-log_p[t, target] for t, target in enumerate(y)]
    assert len(nats) == length - 1
    result = evaluate(model, TextWindows(ids, 7, batch_size=2), loss=F.cross_entropy)
    np.testing.assert_allclose(result["loss"], np.mean(nats), rtol=1e-5)


def test_evaluation_leaves_ignored_targets_out(rng):
    x, y = rng.integers(0, 11, (2, 4, 7))
    y[0, :] = y[1, 2:] = -100
    model = small_gpt(initializer_range=0.8)
    nats, count = literal_loss(model, x, y)
    assert count == 16
    batches = [(x[1:2], y[1:2]), (x[[0, 2, 3]], y[[0, 2, 3]])]
    result = evaluate(model, batches, loss=F.cross_entropy)
    np.testing.assert_allclose(result["loss"], nats / count, rtol=1e-5)


@pytest.mark.parametrize("as_dict", [False, True])
def test_evaluation_by_the_models_own_loss_weights_every_target_equally(rng, as_dict):
    """A row of T labels holds T - 1 targets: a short batch must not count too much."""
    long, short = rng.integers(0, 11, (3, 7)), rng.integers(0, 11, (3, 2))
    model = small_gpt(initializer_range=0.8)
    sums = [literal_loss(model, ids[:, :-1], ids[:, 1:]) for ids in (long, short)]
    batches = [{"input_ids": i, "labels": i} if as_dict else (i, i) for i in (long, short)]
    result = evaluate(model, batches)
    nats, count = np.sum(sums, axis=0)
    assert count == 3 * 6 + 3 * 1
    np.testing.assert_allclose(result["loss"], nats / count, rtol=1e-5)


def test_evaluation_is_without_dropout_and_returns_to_the_mode_before(rng):
    ids = rng.integers(0, 11, (2, 7))
    model, same = small_gpt(dropout=0.5), small_gpt()
    for mode in (True, False):
        model.train(mode)
        assert evaluate(model, [(ids, ids)]) == evaluate(same, [(ids, ids)])
        assert model.training is model.transformer.h[1].mlp.dropout.training is mode


def test_evaluation_records_nothing_and_changes_nothing(rng):
    ids = rng.integers(0, 11, (2, 7))
    model = small_gpt()
    before = bits(model)
    evaluate(model, [(ids, ids)])
    assert bits(model) == before
    assert all(p.grad is None for p in model.parameters())


def test_metrics_see_the_whole_data_at_once():
    x, y, *_ = linear_problem(10)
    seen = []

    def metric(outputs, targets):
        seen.append((outputs.shape, targets))
        return 0.5

    model = nn.Linear(3, 2)
    options = {"loss": squared_error, "batch_size": 4}
    result = evaluate(model, (x, y), metrics={"half": metric}, **options)
    assert result["half"] == 0.5
    [(shape, targets)] = seen
    assert shape == (10, 2)
    np.testing.assert_array_equal(targets, y)


@pytest.mark.filterwarnings("ignore:cross_entropy. every target")
def test_evaluation_of_nothing_is_refused(rng):
    with pytest.raises(ValueError, match="no data"):
        evaluate(small_gpt(), [])
    ids = rng.integers(0, 11, (2, 7))
    with pytest.raises(ValueError, match="every target is ignored"):
        evaluate(small_gpt(), [(ids, np.full_like(ids, -100))], loss=F.cross_entropy)


def test_the_model_is_ready_to_use_after_training():
    x, y, *_ = linear_problem()
    assert fit_linear((x, y), steps=1)[0].training is False
