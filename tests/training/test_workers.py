"""Several threads share a batch: the same gradient as one, the same bits every time, and when not."""

import contextlib
import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minillm
import minillm.functional as F
from minillm import Device, Tensor, nn, no_grad
from minillm.backend import default_generator
from minillm.models import (
    BertConfig,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
)
from minillm.models.output import ModelOutput
from minillm.optim import SGD, Adam, AdamW
from minillm.training import evaluate, fit, gradients
from minillm.training.checkpoint import read_index
from minillm.training.gradients import BatchGradient, choose_workers, one_blas_thread
from minillm.training.objective import split_batch
from tests.device import strict  # noqa: F401  (it makes Device("strict"))

V, T = 11, 7


def small_gpt(dtype="float64", dropout=0.0):
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    config = GPT2Config(vocab_size=V, n_positions=T, n_embd=8, n_layer=2, n_head=2, **drops)
    model = GPT2LMHeadModel(config, rng=np.random.default_rng(5))
    for p in model.parameters():
        p.data = p.data.astype(dtype)
    return model


def text_batch(rows=5, ignored=True):
    rng = np.random.default_rng(3)
    ids, labels = rng.integers(0, V, (2, rows, T))
    if ignored:  # 1 + 6 + 3 targets of 35 do not count: the parts get different weights
        labels[0, 2] = labels[rows - 1, 4:] = -100
        labels[1, :-1] = -100
    return {"input_ids": ids, "labels": labels}


def gradient_of(model, batch, workers, loss=None):
    """(loss, gradients by name) of one batch."""
    with BatchGradient(model, loss, workers) as gradient:
        value, *_ = gradient.add(batch)
        gradient.finish()
    return value, {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("workers", [2, 3, 5, 8])
def test_workers_find_the_gradient_that_one_thread_finds(workers):
    batch = text_batch()
    model = small_gpt()
    output = model(**batch)
    output.loss.backward()
    expected = {name: p.grad for name, p in model.named_parameters()}
    value, grads = gradient_of(small_gpt(), batch, workers)
    assert value == pytest.approx(output.loss.item(), rel=1e-13)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, expected[name], rtol=1e-10, atol=1e-14, err_msg=name)


def test_a_plain_mean_of_parts_would_be_wrong_here():
    """The weights in formula (2) matter for this batch: the test above can fail."""
    model, batch = small_gpt(), text_batch()
    parts = split_batch(batch, 2)
    mean = np.mean([model(**part).loss.item() for part in parts])
    assert abs(mean - model(**batch).loss.item()) > 1e-4


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_same_number_of_workers_gives_the_same_bits(dropout):
    def train():
        minillm.manual_seed(1)
        model = small_gpt("float32", dropout)
        options = {"steps": 6, "clip": 1.0, "workers": 3, "progress": False}
        fit(model, AdamW(model.named_parameters(), lr=1e-2), [text_batch()], **options)
        return [p.data for p in model.parameters()]

    for one, two in zip(train(), train(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_each_part_draws_masks_of_its_own():
    class Drop(nn.Module):
        def __init__(self):
            self.weight, self.dropout = nn.Parameter(np.ones(64)), nn.Dropout(0.5)

        def forward(self, x):
            seen.append(self.dropout(x * self.weight))
            return seen[-1]

    seen: list[Tensor] = []
    rows = np.ones((2, 64))
    for _ in range(2):
        minillm.manual_seed(4)
        gradient_of(Drop(), (rows, rows), 2, loss=lambda out, y: out.mean())
    first, second, again, and_again = (out.data for out in seen)
    assert (first != second).any()
    masks = {first.tobytes(), second.tobytes()}
    assert masks == {again.tobytes(), and_again.tobytes()}


def test_training_with_workers_resumes_with_the_same_bits(tmp_path):
    def train(folder, steps, resume=False, **options):
        minillm.manual_seed(9)
        model = small_gpt("float32", 0.2)
        optimizer = AdamW(model.named_parameters(), lr=1e-2)
        batches = [text_batch(5), text_batch(4), text_batch(3)]
        options = {"evaluate_every": 4, "checkpoint": folder, "progress": False, **options}
        fit(model, optimizer, batches, steps=steps, resume=resume, **options)
        return [p.data for p in model.parameters()]

    whole = train(tmp_path / "whole", 8, workers=2)
    train(tmp_path / "parts", 4, workers=2)
    assert read_index(tmp_path / "parts")["extra"]["workers"] == 2
    halves = train(tmp_path / "parts", 8, resume=True)  # the checkpoint remembers the two
    for one, two in zip(whole, halves, strict=True):
        np.testing.assert_array_equal(one, two)


def test_accumulated_batches_and_metrics_are_those_of_one_thread():
    def train(workers):
        model = small_gpt()
        metrics = {"mean logit": lambda logits, targets: logits.mean()}
        options = {"steps": 3, "accumulate": 2, "metrics": metrics, "progress": False}
        batches = [text_batch(5), text_batch(3)]
        return fit(model, SGD(model.parameters(), lr=0.1), batches, workers=workers, **options)

    one, two = train(1), train(2)
    np.testing.assert_allclose(two.losses, one.losses, rtol=1e-12)
    for name, values in one.history.items():
        np.testing.assert_allclose(two.history[name], values, rtol=1e-10, err_msg=name)


def test_frozen_tied_and_unused_parameters_stay_what_they_are():
    model, plain = small_gpt(), small_gpt()
    for m in (model, plain):
        m.transformer.h[0].mlp.c_fc.weight.requires_grad = False
        m.unused = nn.Parameter(np.ones(3))
    plain(**text_batch()).loss.backward()
    _, grads = gradient_of(model, text_batch(), 2)
    for name, p in plain.named_parameters():
        assert (p.grad is None) == (grads[name] is None), name
    assert grads["transformer.h.0.mlp.c_fc.weight"] is None
    assert grads["unused"] is None


def test_what_happens_to_the_model_between_steps_happens_to_its_replicas():
    model, plain, batch = small_gpt(), small_gpt(), text_batch()
    with BatchGradient(model, None, 2) as gradient:
        gradient.add(batch)
        gradient.finish()
        for m in (model, plain):
            m.zero_grad()
            m.transformer.wte.weight.data = m.transformer.wte.weight.data * 1.5  # another array
            m.transformer.h[1].mlp.c_fc.weight.requires_grad = False
        gradient.add(batch)
        gradient.finish()
    plain(**batch).loss.backward()
    for (name, p), q in zip(plain.named_parameters(), model.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            np.testing.assert_allclose(q.grad, p.grad, rtol=1e-10, atol=1e-14, err_msg=name)


def test_weight_normalised_layers_have_no_gradient_that_gets_lost():
    """Their forward uses no_grad(), which must not switch off recording in the other thread."""
    x, y = np.random.default_rng(2).standard_normal((2, 6, 3))

    def grads(workers):
        model = nn.weight_norm(nn.Linear(3, 3, dtype="float64", rng=np.random.default_rng(0)))
        return gradient_of(model, (x, y), workers, loss=F.mean_squared_error)[1]

    one, two = grads(1), grads(2)
    assert all(np.abs(g).max() > 0 for g in one.values())
    for name, grad in one.items():
        np.testing.assert_allclose(two[name], grad, rtol=1e-10, err_msg=name)


def test_no_grad_in_one_thread_leaves_the_others_recording():
    inside, done = threading.Event(), threading.Event()

    def other():
        with no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    recorded = (Tensor([1.0], requires_grad=True) * 2).requires_grad
    done.set()
    thread.join()
    assert recorded


def test_each_part_runs_in_a_thread_of_its_own_and_under_debug_in_this_one():
    class Names(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones(1))

        def forward(self, x):
            names.append(threading.current_thread().name)
            together.wait(10)
            return x * self.weight

    names: list[str] = []
    together = threading.Barrier(2)  # passes only if both parts are under way at once
    rows = np.ones((4, 1))
    gradient_of(Names(), (rows, rows), 2, loss=F.mean_squared_error)
    assert len(set(names)) == 2
    names.clear()
    together = threading.Barrier(1)
    with minillm.debug():
        gradient_of(Names(), (rows, rows), 2, loss=F.mean_squared_error)
    assert set(names) == {threading.current_thread().name}


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_threads_share_the_updates_and_give_them_back(kind):
    def train(optimizer, **options):
        batch = (np.ones((4, 3), "f"), np.ones((4, 2), "f"))
        fit(
            model, optimizer, [batch], steps=3, loss=F.mean_squared_error, progress=False, **options
        )

    class Watched(kind):
        def update(self, *job):
            threads.add(threading.current_thread().name)
            super().update(*job)

    model, threads = nn.Linear(3, 2), set()
    optimizer = Watched(model.parameters(), lr=0.1)
    train(optimizer, workers=2)
    assert threading.current_thread().name not in threads
    assert all(name.startswith("minillm") for name in threads)
    threads.clear()
    train(optimizer, workers=1)  # the threads are gone, the optimiser works on
    assert threads == {threading.current_thread().name}


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_updates_in_threads_have_the_bits_of_updates_in_turn(kind):
    def train(run):
        rng = np.random.default_rng(8)
        params = [nn.Parameter(rng.standard_normal(size).astype("f")) for size in (5, 70_001, 3)]
        optimizer = kind(params, lr=0.1, weight_decay=0.1)
        optimizer.run = run
        for _ in range(3):
            for p in params:
                p.grad = rng.standard_normal(p.shape).astype("f")
            optimizer.step()
        return params

    with ThreadPoolExecutor(2) as pool:
        for one, two in zip(train(map), train(pool.map), strict=True):
            np.testing.assert_array_equal(one.data, two.data)


def test_an_error_in_a_worker_arrives_with_its_message():
    with pytest.raises(ValueError, match="11"):  # an id outside of the vocabulary
        gradient_of(
            small_gpt(), {"input_ids": np.full((4, T), V), "labels": np.zeros((4, T), int)}, 2
        )


def test_blas_has_one_thread_inside_and_its_own_number_after():
    threads = lambda: [one["num_threads"] for one in gradients._blas().info()]  # noqa: E731
    before = threads()
    with one_blas_thread():
        assert set(threads()) <= {1}
    assert threads() == before


def test_workers_run_with_one_blas_thread_each(monkeypatch):
    class Inside(contextlib.nullcontext):
        def __enter__(self):
            inside.append(True)

        def __exit__(self, *exception):
            inside.pop()

    class Looks(nn.Linear):
        def forward(self, x):
            seen.append(bool(inside))
            return super().forward(x)

    inside, seen = [], []
    monkeypatch.setattr(gradients, "one_blas_thread", Inside)
    x, y = np.ones((4, 3), "f"), np.ones((4, 2), "f")
    gradient_of(Looks(3, 2), (x, y), 2, loss=F.mean_squared_error)
    assert seen == [True, True]
    assert not inside


# ------------------------------------------------------------------------- what is refused


def test_a_loss_that_reads_the_model_itself_is_refused():
    model = nn.Linear(3, 2)
    x, y = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)
    penalty = lambda out, y: F.mean_squared_error(out, y) + (model.weight * model.weight).sum()  # noqa: E731
    with pytest.raises(ValueError, match=r"reads parameters of the model itself.*workers=1"):
        fit(model, SGD(model.parameters(), lr=0.1), (x, y), steps=1, loss=penalty, workers=2)


def test_parameters_outside_of_the_model_are_refused():
    model, extra = nn.Linear(3, 2), nn.Parameter(np.ones(2, np.float32))
    optimizer = SGD([*model.parameters(), extra], lr=0.1)
    x, y = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)
    with pytest.raises(ValueError, match=r"parameters that are not the model's.*workers=1"):
        fit(model, optimizer, (x, y), steps=1, loss=F.mean_squared_error, workers=2)


def log_sum(out, y):
    """No mean over targets: the rows of a batch meet in one logarithm."""
    return F.log(F.mean_squared_error(out, y) + 1.0)


def test_a_loss_of_ones_own_that_is_no_mean_over_targets_is_refused():
    model = nn.Linear(3, 2, rng=np.random.default_rng(0))
    x, y = np.random.default_rng(1).standard_normal((2, 4, 3)).astype(np.float32)
    y, before = y[:, :2], model.weight.numpy().copy()

    def train(loss):
        fit(model, SGD(model.parameters(), lr=0.1), (x, y), steps=1, loss=loss, progress=False,
            workers=2)  # fmt: skip

    with pytest.raises(
        ValueError, match=r"first batch is 0\.341\d+, but the mean of its 2 parts .* 0\.341"
    ):
        train(log_sum)
    np.testing.assert_array_equal(model.weight.numpy(), before)
    train(lambda out, y: F.mean_squared_error(out, y) * 2.0)
    assert (model.weight.numpy() != before).any()


def test_a_loss_that_draws_is_not_taken_for_one_that_is_no_mean():
    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + default_generator().standard_normal((len(x), 2))

    model = Noisy(3, 2, dtype="float64")
    loss = lambda out, y: F.mean_squared_error(out, y)  # noqa: E731
    batch = (np.ones((4, 3)), np.ones((4, 2)))
    assert not gradients._both_sides(model, loss, batch, 2).agree
    fit(model, SGD(model.parameters(), lr=0.1), batch, steps=1, loss=loss, workers=2,
        progress=False)  # fmt: skip


def test_a_first_batch_without_targets_proves_nothing_against_a_loss():
    model = nn.Linear(3, 2)
    x, ignored = np.zeros((4, 3), np.float32), np.full(4, -100)
    loss = lambda out, y: F.cross_entropy(out, y)  # noqa: E731
    with pytest.warns(UserWarning, match="every target is ignored"):
        fit(model, SGD(model.parameters(), lr=0.1), (x, ignored), steps=1, loss=loss, workers=2,
            progress=False)  # fmt: skip


def test_a_generator_of_a_module_is_refused():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5, rng=np.random.default_rng(0)))
    x, y = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)
    with pytest.raises(ValueError, match=r"generator of its own.*workers=1"):
        fit(
            model,
            SGD(model.parameters(), lr=0.1),
            (x, y),
            steps=1,
            loss=F.mean_squared_error,
            workers=2,
        )


@pytest.mark.parametrize("workers", [0, -1, True, 2.0, "two"])
def test_a_number_of_workers_without_meaning_is_refused(workers):
    model = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="workers must be an integer of at least 1"):
        fit(model, SGD(model.parameters(), lr=0.1), [0], steps=1, workers=workers)


def test_a_number_of_ranks_is_not_a_job():
    model = nn.Linear(3, 2)
    with pytest.raises(TypeError, match=r"ranks must be a minillm.cluster.Ranks\(\), got 3"):
        fit(model, SGD(model.parameters(), lr=0.1), [0], steps=1, ranks=3)
    with pytest.raises(TypeError, match="evaluate: ranks must be"):
        evaluate(model, [0], ranks=3)


def test_arrays_with_another_number_of_rows_are_refused():
    batch = {"input_ids": np.zeros((4, T), int), "mask": np.ones((T, T), bool)}
    with pytest.raises(ValueError, match=r"input_ids: 4, mask: 7.*workers=1"):
        split_batch(batch, 2)


def test_parts_without_targets_are_left_out():
    ids, labels = np.zeros((4, T), int), np.zeros((4, T), int)
    labels[:2] = -100
    assert split_batch({"input_ids": ids, "labels": labels, "flag": None}, 2)[0] is None
    assert [part is None for part in split_batch((ids[:2], labels[2:]), 4)] == [True, False] * 2


# ----------------------------------------------------------------------- chosen by themselves


class FourThreads:
    """A linear algebra library that may use four threads."""

    @staticmethod
    def info():
        return [{"num_threads": 4}]


@pytest.fixture
def large_machine(monkeypatch):
    monkeypatch.setattr(gradients, "_blas", FourThreads)
    monkeypatch.setattr(gradients, "usable_cores", lambda: 4)
    monkeypatch.setattr(gradients, "PAYS", 1)


def test_one_worker_for_each_core_where_the_parts_add_up(large_machine):
    assert choose_workers(small_gpt(), None, text_batch(8)) == 4
    linear = nn.Linear(3, 2)
    assert (
        choose_workers(linear, F.mean_squared_error, (np.ones((8, 3), "f"), np.zeros((8, 2), "f")))
        == 4
    )


def test_one_worker_where_the_loss_is_no_mean_over_targets(large_machine):
    class PlusLargest(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            return out - out.max(axis=0)  # compares the rows of a batch with each other

    x, y = np.random.default_rng(0).standard_normal((2, 8, 3)).astype("float32")
    assert choose_workers(PlusLargest(3, 3), F.mean_squared_error, (x, y)) == 1
    assert choose_workers(nn.Linear(3, 3), F.mean_squared_error, (x, y)) == 4


def test_one_worker_for_a_model_that_does_not_count_its_targets(large_machine):
    class Counted(nn.Linear):
        counts = True

        def forward(self, x, labels):
            targets = len(labels) if self.counts else None
            return ModelOutput(
                F.mean_squared_error(super().forward(x), labels), x, num_targets=targets
            )

    batch = {"x": np.ones((8, 3), "f"), "labels": np.zeros((8, 2), "f")}
    model = Counted(3, 2)
    assert choose_workers(model, None, batch) == 4
    model.counts = False
    assert choose_workers(model, None, batch) == 1


def small_bert(kind):
    dropout = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    config = BertConfig(vocab_size=V, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=16, max_position_embeddings=T, **dropout)  # fmt: skip
    return kind(config, dtype="float64", rng=np.random.default_rng(0))


def two_means(kind):
    """A model whose loss is a sum of two means over different numbers of targets, and a batch."""
    batch = text_batch(8)
    labels, places = batch.pop("labels"), np.array([0, 1, 5, 2, 3, 4, 6, 1])
    if kind is BertForPreTraining:
        labels[:3] = -100  # in these rows no word is masked
        return small_bert(kind), batch | {"labels": labels, "next_sentence_label": places % 2}
    return small_bert(kind), batch | {"start_positions": places, "end_positions": 2 * places}


def test_one_worker_for_each_core_where_the_loss_is_a_sum_of_two_means(large_machine):
    model, batch = two_means(BertForPreTraining)
    assert choose_workers(model, None, batch) == 4


@pytest.mark.parametrize("kind", [BertForPreTraining, BertForQuestionAnswering])
def test_each_of_two_means_has_weights_of_its_own(kind):
    model, batch = two_means(kind)
    output = model(**batch)
    output.loss.backward()
    assert len({count for _, count in output.terms}) == 2  # words and pairs; starts and ends
    for workers in (2, 4):
        twin, _ = two_means(kind)
        value, grads = gradient_of(twin, batch, workers)
        assert value == pytest.approx(output.loss.item(), rel=1e-12)
        for name, p in model.named_parameters():
            np.testing.assert_allclose(grads[name], p.grad, rtol=1e-9, atol=1e-14, err_msg=name)
    parts = [{name: values[rows] for name, values in batch.items()}
             for rows in (slice(6), slice(6, 8))]  # fmt: skip
    whole = evaluate(model, [batch])["loss"]
    assert evaluate(model, parts)["loss"] == pytest.approx(whole, rel=1e-12)


def test_labels_that_do_not_count_are_no_targets_of_a_classifier():
    model = small_bert(BertForSequenceClassification)
    ids = text_batch(6)["input_ids"]
    batch = {"input_ids": ids, "labels": np.array([1, -100, 0, -100, -100, 1])}
    parts = [
        {name: values[rows] for name, values in batch.items()} for rows in (slice(2), slice(2, 6))
    ]
    assert model(**batch).num_targets == 3
    whole = evaluate(model, [batch])["loss"]
    assert evaluate(model, parts)["loss"] == pytest.approx(whole, rel=1e-12)


def test_numbers_as_targets_count_one_by_one():
    """The mean squared error is a mean over all entries: rows of sequences are not alike."""
    model = nn.Linear(1, 1, dtype="float64", rng=np.random.default_rng(0))
    draw = np.random.default_rng(1).standard_normal
    long, short = (draw((2, 9, 1)), draw((2, 9, 1))), (draw((2, 2, 1)), draw((2, 2, 1)))
    x, y = (
        np.concatenate([a.ravel(), b.ravel()])[:, None] for a, b in zip(long, short, strict=True)
    )
    expected = ((model(x).numpy() - y) ** 2).mean()
    found = evaluate(model, [long, short], loss=F.mean_squared_error)["loss"]
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_worker_for_a_loss_that_fit_does_not_know(large_machine):
    x, y = np.ones((8, 3), "f"), np.zeros((8, 2), "f")
    assert choose_workers(nn.Linear(3, 2), lambda out, y: F.mean_squared_error(out, y), (x, y)) == 1
    weighted = functools.partial(F.cross_entropy, class_weights=np.ones(2))
    assert choose_workers(nn.Linear(3, 2), weighted, (x, y[:, 0].astype(int))) == 1


def test_one_worker_where_blas_may_have_one_thread(large_machine, monkeypatch):
    monkeypatch.setattr(FourThreads, "info", staticmethod(lambda: [{"num_threads": 1}]))
    assert choose_workers(small_gpt(), None, text_batch(8)) == 1


def test_one_worker_on_a_device_and_for_small_work(large_machine, monkeypatch):
    assert choose_workers(small_gpt().to(Device("strict")), None, text_batch(8)) == 1
    monkeypatch.setattr(gradients, "PAYS", 10**9)
    assert choose_workers(small_gpt(), None, text_batch(8)) == 1


def test_choosing_draws_nothing_that_training_would_miss(large_machine):
    minillm.manual_seed(3)

    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + default_generator().standard_normal(1).astype("f")

    noisy = Noisy(3, 2)
    state = default_generator().bit_generator.state
    choose_workers(noisy, F.mean_squared_error, (np.ones((8, 3), "f"), np.ones((8, 2), "f")))
    model = small_gpt(dropout=0.5)
    model.train()
    choose_workers(model, None, text_batch(8))
    assert default_generator().bit_generator.state == state
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_fit_chooses_and_remembers(large_machine, tmp_path, monkeypatch):
    monkeypatch.setattr(gradients, "one_blas_thread", threading.Lock)
    model = small_gpt("float32")
    fit(model, SGD(model.parameters(), lr=0.1), [text_batch(8)], steps=2, checkpoint=tmp_path,
        progress=False)  # fmt: skip
    assert read_index(tmp_path)["extra"]["workers"] == 4
