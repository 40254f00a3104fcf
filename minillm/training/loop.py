"""The training loop, in full view: batch -> loss -> backward -> clip -> step -> log."""

import itertools
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..autograd import Tensor, no_grad
from ..backend import default_generator, host_number
from ..data import DataLoader
from ..debugging import debug
from ..optim import clip_grad_norm_
from .allocator import keep_freed_memory
from .checkpoint import load_checkpoint, read_index, save_checkpoint
from .history import History


class NonFiniteLossError(FloatingPointError):
    """The loss or the gradient became NaN or Inf; the message names the step and the operation."""


def fit(
    model: Any,
    optimizer: Any,
    train: Any,
    validation: Any = None,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    metrics: dict[str, Callable[[np.ndarray, np.ndarray], float]] | None = None,
    schedule: Any = None,
    clip: float | None = None,
    accumulate: int = 1,
    batch_size: int = 32,
    shuffle: bool = True,
    evaluate_every: int | None = None,
    checkpoint: "str | Path | None" = None,
    resume: bool = False,
    on_step: Callable[[int, History], Any] | None = None,
    progress: bool = True,
    extra: dict[str, Any] | None = None,
) -> History:
    """Train a model.

    train, validation   arrays (x, y); or an iterable of batches, each a tuple (x, y) or a dict of
                        arguments for the model; or a DataLoader, TextBatches, TextWindows
    epochs or steps     how long: passes over the data, or calls of optimizer.step()
    loss                loss(output, target) for batches (x, y), such as F.cross_entropy; without
                        it the model is called with labels=y, or with the dict, and gives its .loss
    metrics             {"accuracy": function(logits, targets)} computed on the validation data
    schedule            of minillm.optim.schedule; moved on after each step
    clip                largest norm of all gradients together
    accumulate          batches whose mean gradient makes one step: a large batch in little memory
    batch_size, shuffle for arrays
    evaluate_every      steps between evaluations; an epoch, or a tenth of all steps, by default
    checkpoint          a folder; saved there after each evaluation, on Ctrl-C, and at the end
    resume              go on from the checkpoint in that folder if there is one: the result has the
                        same bits as a training that was never interrupted
    on_step             called as on_step(step, history) after each step
    progress            show a bar with the loss, tokens per second and learning rate

    Returns   the History.  Ctrl-C ends the training after the current step and says where it was
              saved; a second Ctrl-C ends it at once
    Raises    NonFiniteLossError if the loss or gradient is not finite, before it can spoil the
              parameters; ValueError for arguments without meaning
    """
    stream, total, period = _plan(
        train, epochs, steps, accumulate, batch_size, shuffle, evaluate_every
    )
    keep_freed_memory()
    history, first = History(), 0
    if resume and checkpoint is not None and _has_checkpoint(checkpoint):
        state = load_checkpoint(checkpoint, model, optimizer, schedule=schedule, history=history)
        first = state["step"]
    batches = stream(first * accumulate)
    bar = tqdm(total=total, initial=first, disable=not progress, unit="step", dynamic_ncols=True)
    saved_at = first if first else None
    with bar, _CtrlC() as ctrl_c:
        for step in range(first + 1, total + 1):
            started = time.perf_counter()
            model.train()
            optimizer.zero_grad()
            value, tokens = 0.0, 0
            for batch in itertools.islice(batches, accumulate):
                partial = _batch_loss(model, batch, loss) * (1 / accumulate)
                partial.backward()
                value += host_number(partial.data)
                tokens += _count_tokens(batch)
            norm = clip_grad_norm_(model.parameters(), clip if clip else math.inf)
            if not (math.isfinite(value) and math.isfinite(norm)):
                raise NonFiniteLossError(
                    _explain(model, batch, loss, step, value, checkpoint, saved_at)
                )
            optimizer.step()
            if schedule is not None:
                schedule.step()
            history.losses.append(value)
            rate = tokens / (time.perf_counter() - started)
            bar.set_postfix_str(
                f"loss {value:.3f}, {rate:,.0f} tokens/s, lr {optimizer.lr:.1e}", False
            )
            bar.update()
            if step % period == 0 or step == total:
                recent = history.losses[-(step % period or period) :]
                history.add(step=step, loss=float(np.mean(recent)), lr=optimizer.lr)
                if validation is not None:
                    history.add(**_evaluation(model, validation, loss, metrics, batch_size))
            if on_step is not None:
                on_step(step, history)
            if checkpoint and (step % period == 0 or step == total or ctrl_c.pressed):
                if _save(
                    checkpoint, model, optimizer, step, schedule, history, extra, step == total
                ):
                    saved_at = step
            if ctrl_c.pressed:
                history.interrupted = True
                bar.write(_goodbye(step, checkpoint, saved_at))
                break
    model.eval()
    return history


def evaluate(
    model: Any,
    data: Any,
    *,
    loss: Callable[[Any, Any], Tensor] | None = None,
    metrics: dict[str, Callable[[np.ndarray, np.ndarray], float]] | None = None,
    batch_size: int = 32,
) -> dict[str, float]:
    """The mean loss over all of the data, and each metric: {"loss": ..., "accuracy": ...}.

    Every target counts the same, whatever the size of its batch; dropout is off.  Metrics get the
    logits and targets of the whole data at once.

    Raises   ValueError if there is no data
    """
    batches = DataLoader(data, batch_size, shuffle=False) if _is_arrays(data) else data
    was_training = getattr(model, "training", False)
    model.eval()
    total, count = 0.0, 0
    logits, targets = [], []
    try:
        with no_grad():
            for batch in batches:
                output, value = _forward(model, batch, loss)
                weight = _count_targets(batch)
                total += host_number(value.data) * weight
                count += weight
                if metrics:
                    logits.append(_logits(output).numpy())
                    targets.append(np.asarray(_target(batch)))
    finally:
        model.train(was_training)
    if not count:
        raise ValueError("evaluate: there is no data: no batch, or every target is ignored")
    result = {"loss": total / count}
    if metrics:
        whole = np.concatenate(logits), np.concatenate(targets)
        result |= {name: float(metric(*whole)) for name, metric in metrics.items()}
    return result


# -------------------------------------------------------------------------------- one batch


def _forward(model: Any, batch: Any, loss: Callable | None) -> tuple[Any, Tensor]:
    """(output, loss) of one batch."""
    if isinstance(batch, dict):
        output = model(**batch)
    elif loss is None:
        output = model(batch[0], labels=batch[1])
    else:
        output = model(batch[0])
        return output, loss(_logits(output), batch[1])
    if getattr(output, "loss", None) is None:
        raise ValueError("fit: the model gave no .loss: pass loss=, or batches that hold labels")
    return output, output.loss


def _batch_loss(model: Any, batch: Any, loss: Callable | None) -> Tensor:
    value = _forward(model, batch, loss)[1]
    if value.size != 1:
        raise ValueError(
            f"fit: the loss must be one number, got shape {value.shape}: take its mean"
        )
    return value


def _logits(output: Any) -> Tensor:
    return getattr(output, "logits", output)


def _target(batch: Any) -> Any:
    return batch["labels"] if isinstance(batch, dict) else batch[1]


def _count_targets(batch: Any) -> int:
    """How many targets the mean loss of this batch is a mean over."""
    target = np.asarray(_target(batch))
    if target.dtype.kind not in "iu":
        return len(target)
    return int((target != -100).sum())


def _count_tokens(batch: Any) -> int:
    first = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return int(np.prod(np.shape(first)[:2]))


# --------------------------------------------------------------------------------- planning


def _plan(
    train: Any, epochs: int | None, steps: int | None, accumulate: int, batch_size: int,
    shuffle: bool, evaluate_every: int | None,
) -> tuple[Callable[[int], Iterator[Any]], int, int]:  # fmt: skip
    """(batches from a given number on, number of steps, steps between evaluations)."""
    if (epochs is None) == (steps is None):
        raise ValueError("fit: give either epochs or steps")
    for name, value in (("epochs", epochs), ("steps", steps), ("accumulate", accumulate),
                        ("evaluate_every", evaluate_every)):  # fmt: skip
        if value is not None and value < 1:
            raise ValueError(f"fit: {name} must be at least 1, got {value}")
    if _is_arrays(train):
        seed = int(default_generator().integers(2**31))
        train = DataLoader(train, batch_size, shuffle, seed=seed)
    if epochs is not None and not hasattr(train, "__len__"):
        raise ValueError("fit: these batches have no end (no len), so give steps instead of epochs")
    if hasattr(train, "__len__") and len(train) == 0:
        raise ValueError("fit: train holds no batches")
    if epochs is not None:
        total = math.ceil(epochs * len(train) / accumulate)
        period = evaluate_every or math.ceil(len(train) / accumulate)
    else:
        total = steps or 0
        period = evaluate_every or max(total // 10, 1)

    def stream(start: int) -> Iterator[Any]:
        if hasattr(train, "batch"):
            return (train.batch(i) for i in itertools.count(start))
        return itertools.islice(_repeat(train), start, None)

    return stream, total, period


def _repeat(train: Iterable[Any]) -> Iterator[Any]:
    """All batches, again and again."""
    while True:
        empty = True
        for batch in train:
            empty = False
            yield batch
        if empty:
            raise ValueError(
                "fit: train gave no batch (a generator can be used only once: pass a list, or an "
                "object whose __iter__ starts anew)"
            )


def _is_arrays(data: Any) -> bool:
    """True for a tuple of arrays, as opposed to an iterable of batches."""
    return isinstance(data, tuple) and all(hasattr(a, "shape") for a in data)


def _has_checkpoint(folder: "str | Path") -> bool:
    """True if there is one to go on from; a broken or foreign one is an error, not a new start."""
    if not (Path(folder) / "checkpoint.json").exists():
        return False
    read_index(folder)
    return True


# ------------------------------------------------------------------------------ when it ends


def _evaluation(
    model: Any, validation: Any, loss: Callable | None, metrics: dict | None, batch_size: int
) -> dict[str, float]:
    result = evaluate(model, validation, loss=loss, metrics=metrics, batch_size=batch_size)
    return {f"val_{name}": value for name, value in result.items()}


def _save(
    folder: "str | Path", model: Any, optimizer: Any, step: int, schedule: Any, history: History,
    extra: dict | None, last: bool,
) -> bool:  # fmt: skip
    """Save; a failure in the middle of a training is a warning, because there is a next time."""
    try:
        save_checkpoint(
            folder, model, optimizer, step=step, schedule=schedule, history=history, extra=extra
        )
    except OSError as error:
        if last:
            raise
        warnings.warn(f"step {step}: {error}; the training goes on", stacklevel=3)
        return False
    return True


def _goodbye(step: int, checkpoint: Any, saved_at: int | None) -> str:
    if checkpoint is None:
        return (
            f"Stopped after step {step}. Nothing was saved: fit(…, checkpoint=FOLDER) would have."
        )
    if saved_at != step:
        return f"Stopped after step {step}. {checkpoint} holds step {saved_at or 0}."
    return f"Stopped after step {step}, saved in {checkpoint}. To go on, run the same with resume."


def _explain(
    model: Any, batch: Any, loss: Callable | None, step: int, value: float, checkpoint: Any,
    saved_at: int | None,
) -> str:  # fmt: skip
    """Run the failing batch again under debug() to find the operation that made the first NaN."""
    what = "loss" if not math.isfinite(value) else "gradient"
    try:
        with debug():
            model.zero_grad()
            _batch_loss(model, batch, loss).backward()
        culprit = "no operation turned finite numbers into others: a parameter or input holds them"
    except FloatingPointError as error:
        culprit = str(error)
    bad = [n for n, p in model.named_parameters() if not np.isfinite(p.numpy()).all()]
    if bad:
        culprit += f"; parameters that are not finite: {', '.join(bad[:3])}"
    kept = f"step {saved_at} is kept in {checkpoint}" if saved_at else "no checkpoint was saved yet"
    return (
        f"step {step}: the {what} is not finite ({value:g}): {culprit}. The parameters were not "
        f"changed by this step; {kept}. Try a smaller learning rate, or clip=1.0"
    )


class _CtrlC:
    """Within this block Ctrl-C only sets `pressed`; the second one interrupts as usual."""

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> "_CtrlC":
        self.active = threading.current_thread() is threading.main_thread()
        if self.active:
            self.previous = signal.signal(signal.SIGINT, self._press)
        return self

    def _press(self, number: int, frame: Any) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True

    def __exit__(self, *error: Any) -> None:
        if self.active:
            signal.signal(signal.SIGINT, self.previous)
