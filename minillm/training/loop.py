"""The training loop, in full view: batch -> loss -> backward -> clip -> step -> log."""

import contextlib
import errno
import itertools
import json
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..allocator import keep_freed_memory
from ..arguments import is_number, is_whole, require_whole
from ..autograd import Tensor, no_grad
from ..backend import array_module, default_generator, to_numpy
from ..cluster import Ranks
from ..data import DataLoader
from ..debugging import debug
from ..files import FolderLock
from ..nn import evaluating
from ..optim import Optimizer
from ..optim.clipping import clip_and_read
from .checkpoint import INDEX, load_checkpoint, save_checkpoint
from .early_stopping import EarlyStopping
from .gradients import BatchGradient, choose_workers, require_mean_loss
from .history import History
from .objective import LossSum, count_tokens, forward_batch, logits_of, target_of, terms_of


class NonFiniteLossError(FloatingPointError):
    """The loss or the gradient became NaN or Inf; the message names the step and the operation."""


class NotSavedError(OSError):
    """The training is done, and the model has its weights, but the last checkpoint was not written.

    history   what `fit` would have returned

    >>> NotSavedError(28, "cannot write x: No space left on device", History()).history
    History(0 steps)
    """

    def __init__(self, number: int, message: str, history: History) -> None:
        super().__init__(number, message)
        self.history = history


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
    early_stopping: EarlyStopping | None = None,
    on_step: Callable[[int, History], Any] | None = None,
    workers: int | None = None,
    ranks: Any = None,
    progress: bool = True,
    extra: dict[str, Any] | None = None,
) -> History:
    """Train a model.

    train, validation   arrays (x, y); or an iterable of batches, each a tuple (x, y) or a dict of
                        arguments for the model; or a DataLoader, TextBatches, TextWindows.  Host
                        arrays are carried to the device of the model; integers by its operations
    epochs or steps     how long: passes over the data, or calls of optimizer.step()
    loss                loss(output, target) for batches (x, y), such as F.cross_entropy; without
                        it the model is called with labels=y, or with the dict, and gives its .loss
    metrics             {"accuracy": function(logits, targets)}, on each training batch (with several
                        workers without those parts of it that have no target) and on the whole of the
                        validation data
    schedule            of minillm.optim.schedule; moved on after each step
    clip                largest norm of all gradients together
    accumulate          batches that make one step, a large batch in little memory: its gradient is the
                        mean over all their targets (of a loss that is a sum of two means, such as that
                        of BertForPreTraining, by the targets of the first).  The last step of all
                        epochs may have fewer
    batch_size, shuffle for arrays
    evaluate_every      steps between evaluations; an epoch, or a tenth of all steps, by default
    checkpoint          a folder; saved there after each evaluation, on Ctrl-C, and at the end
    resume              go on from the checkpoint in that folder if there is one: the result has the
                        same bits as a training that was never interrupted
    early_stopping      an EarlyStopping: ends the training when the validation data says so, and
                        gives the model its best weights (but not if Ctrl-C came before)
    on_step             called as on_step(step, history) after each step
    workers             threads that share the rows of each batch, see gradients.py.  By default one for
                        each core where that is known to pay and to give the same mean loss, else 1;
                        the same number gives the same bits, and a checkpoint remembers it
    ranks               minillm.cluster.Ranks(): the processes that share the rows of each batch
    progress            show a bar with the loss, tokens per second and learning rate
    extra               values of your own to keep in the checkpoint, as JSON can hold them

    Returns   the History.  Ctrl-C ends the training after the current step and says where it was
              saved; a second Ctrl-C ends it at once.  After the last step nothing is missing, though
              history.interrupted tells of the Ctrl-C
    Raises    NonFiniteLossError if the loss or gradient is not finite, before it can spoil the
              parameters; FolderInUseError if another process trains into the checkpoint folder;
              NotSavedError, which has the history, if the last checkpoint cannot be written (for
              one before it there is a warning); ValueError for arguments without meaning

    >>> from minillm import functional as F
    >>> from minillm.nn import Linear
    >>> from minillm.optim import SGD
    >>> x, y = np.eye(3, dtype=np.float32), np.array([2, 0, 1])
    >>> model = Linear(3, 3)
    >>> optimizer = SGD(model.parameters(), lr=5.0)
    >>> history = fit(model, optimizer, (x, y), epochs=20, loss=F.cross_entropy, progress=False)
    >>> history.history["loss"][-1] < 0.1
    True
    """
    _begin(model, optimizer, loss, metrics, schedule, on_step, ranks)
    batches, wanted, total, period = _plan(
        train, epochs, steps, accumulate, batch_size, shuffle, evaluate_every
    )
    _check_options(clip, resume, checkpoint, extra, early_stopping, validation)
    saver = _Saver(checkpoint, model, optimizer, schedule, extra, batches, early_stopping, ranks)
    history = History()
    with saver.unlocked_by_errors():
        first = saver.resume(history) if resume else 0
        if early_stopping is not None and early_stopping.begin(history, saver.folder):
            total = first  # it had stopped before
        stream = batches.starting_at(first * accumulate, count=wanted - first * accumulate)
        gradient, stream = _share_out(model, optimizer, loss, stream, workers, ranks, saver)
    bar = _progress_bar(first, total, progress and saver.writes)
    model.train()
    with saver, bar, gradient, _CtrlC(ranks) as ctrl_c:
        for step in range(first + 1, total + 1):
            started = time.perf_counter()
            optimizer.zero_grad()
            model.zero_grad()
            window = list(itertools.islice(stream, accumulate))
            means, counts, seen = list[Any](), list[float](), dict[str, float]()
            for batch in window:
                mean, count, outputs = gradient.add(batch, several=len(window) > 1)
                means, counts = [*means, mean], [*counts, count]
                seen = _add_metrics(seen, metrics, outputs, 1 / len(window), ranks)
            gradient.finish()
            norm, means = clip_and_read(model.parameters(), clip or math.inf, means)
            value = _mean_over_targets(means, counts)
            if not (math.isfinite(value) and math.isfinite(norm)):
                raise NonFiniteLossError(_explain(model, window, loss, step, value, saver))
            optimizer.step()
            if schedule is not None:
                schedule.step()
            history.record(value, seen)
            _show(bar, value, window, started, optimizer.lr)
            if step % period == 0 or step == total:
                history.close_period(step, optimizer.lr)
                if validation is not None:
                    result = evaluate(
                        model, validation, loss=loss, metrics=metrics, batch_size=batch_size,
                        ranks=ranks,
                    )  # fmt: skip
                    history.add(**{f"val_{name}": number for name, number in result.items()})
                if early_stopping is not None and early_stopping.update(model, history):
                    total = step
            if on_step is not None:
                on_step(step, history)
            pressed = ctrl_c.on_any_rank()
            if step % period == 0 or step == total or pressed:
                saver.save(step, history, last=step == total)
            if pressed:
                history.interrupted = True
                saver.say_goodbye(step, step == total, bar)
            if step == total or history.interrupted:
                break
    if early_stopping is not None and len(history.losses) >= total:
        early_stopping.finish(model)
    model.eval()
    return saver.result(history)


def evaluate(
    model: Any,
    data: Any,
    *,
    loss: Callable[[Any, Any], Tensor] | None = None,
    metrics: dict[str, Callable[[np.ndarray, np.ndarray], float]] | None = None,
    batch_size: int = 32,
    ranks: Any = None,
) -> dict[str, float]:
    """The mean loss over all of the data, and each metric: {"loss": ..., "accuracy": ...}.

    Every target counts the same, whatever the size of its batch; dropout is off.  A loss of your own is
    taken for a mean over the targets that are not -100, or not the ignore_index that functools.partial
    has given it (integers; all entries of others).  Metrics get the
    logits and targets of the whole data at once.  The processes of `ranks` share the batches, unless
    there are metrics: then each goes through all of them.

    Raises   ValueError if there is no data

    >>> from minillm import functional as F
    >>> from minillm.nn import Linear
    >>> x, y = np.zeros((5, 2), np.float32), np.array([0, 1, 2, 0, 1])
    >>> model = Linear(2, 3, bias=False)
    >>> round(evaluate(model, (x, y), loss=F.cross_entropy)["loss"], 4)  # log 3: it cannot know
    1.0986
    """
    _check_ranks("evaluate", ranks)
    _check_functions("evaluate", loss, metrics)
    batches = DataLoader(data, batch_size, shuffle=False) if _is_arrays(data) else data
    shared = ranks and not metrics
    found = LossSum()
    logits, targets = [], []
    with no_grad(), evaluating(model):
        for batch in itertools.islice(
            batches, *((ranks.rank, None, ranks.size) if shared else (None,))
        ):
            output, value = forward_batch(model, batch, loss)
            found.add(terms_of(output, value, batch, loss))
            if metrics:
                logits.append(logits_of(output).numpy())
                targets.append(np.asarray(target_of(batch)))
    if shared:
        found.over(ranks)
    if not found.targets.any():
        raise ValueError("evaluate: there is no data: no batch, or every target is ignored")
    result = {"loss": found.value}
    if metrics:
        whole = np.concatenate(logits), np.concatenate(targets)
        result |= {name: float(metric(*whole)) for name, metric in metrics.items()}
    return result


# -------------------------------------------------------------------------------- one batch


def _mean_over_targets(means: list[float], counts: list[float]) -> float:
    whole = sum(counts) or 1  # no target at all: the losses are 0, too
    return sum(mean * (count / whole) for mean, count in zip(means, counts, strict=True))


def _add_metrics(
    seen: dict[str, float], metrics: dict | None, outputs: list, share: float, ranks: Any
) -> dict[str, float]:
    """Metrics of one training batch, added to those of the same step: their mean.

    Where several processes share a batch, each measures its own rows; the mean over all rows counts.
    """
    if not metrics:
        return seen
    rows = float(sum(len(target_of(batch)) for batch, _ in outputs))
    found = np.zeros(len(metrics))
    if outputs:
        logits = np.concatenate([logits_of(output).numpy() for _, output in outputs])
        targets = np.concatenate([np.asarray(target_of(batch)) for batch, _ in outputs])
        found = np.array([float(metric(logits, targets)) for metric in metrics.values()])
    if ranks:
        *sums, rows = ranks.sum([*(found * rows), rows])
        found = np.array(sums) / max(rows, 1.0)
    return {
        name: seen.get(name, 0.0) + float(x) * share for name, x in zip(metrics, found, strict=True)
    }


def _progress_bar(first: int, total: int, shown: bool) -> tqdm:
    return tqdm(total=total, initial=first, disable=not shown, unit="step", dynamic_ncols=True)


def _show(bar: tqdm, loss: float, window: list, started: float, lr: float) -> None:
    rate = sum(map(count_tokens, window)) / (time.perf_counter() - started)
    bar.set_postfix_str(f"loss {loss:.3f}, {rate:,.0f} tokens/s, lr {lr:.1e}", refresh=False)
    bar.update()


# --------------------------------------------------------------------------------- planning


class _Batches:
    """The training data as one endless stream that can start anywhere."""

    def __init__(self, train: Any, batch_size: int, shuffle: bool) -> None:
        self.owned = _is_arrays(train)  # a loader of fit's own: its order must be saved
        if self.owned:
            seed = int(default_generator().integers(2**31))
            train = DataLoader(train, batch_size, shuffle, seed=seed)
        self.train = train

    def starting_at(self, number: int, count: int) -> Iterator[Any]:
        """So many batches from this number on."""
        if hasattr(self.train, "batch"):
            return map(self.train.batch, range(number, number + count))
        return itertools.islice(_repeat(self.train), number, number + count)


def _plan(
    train: Any, epochs: int | None, steps: int | None, accumulate: int, batch_size: int,
    shuffle: bool, evaluate_every: int | None,
) -> tuple[_Batches, int, int, int]:  # fmt: skip
    """(the batches, how many of them, number of steps, steps between evaluations)."""
    if (epochs is None) == (steps is None):
        raise ValueError("fit: give either epochs or steps")
    for name, value in (("epochs", epochs), ("steps", steps), ("accumulate", accumulate),
                        ("evaluate_every", evaluate_every)):  # fmt: skip
        if value is not None:
            require_whole("fit", name, value)
    batches = _Batches(train, batch_size, shuffle)
    length = len(batches.train) if hasattr(batches.train, "__len__") else None
    if length == 0:
        raise ValueError("fit: train holds no batches")
    if steps is not None:
        return batches, steps * accumulate, steps, evaluate_every or max(steps // 10, 1)
    if length is None:
        raise ValueError("fit: these batches have no end (no len), so give steps instead of epochs")
    wanted = (epochs or 0) * length
    total = math.ceil(wanted / accumulate)
    return batches, wanted, total, evaluate_every or math.ceil(length / accumulate)


def _begin(
    model: Any, optimizer: Any, loss: Any, metrics: Any, schedule: Any, on_step: Any, ranks: Any
) -> None:
    """What comes first: the order of the data is drawn from random numbers that the ranks share."""
    keep_freed_memory()
    _check_ranks("fit", ranks)
    _check_functions("fit", loss, metrics)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"fit: optimizer must be an Optimizer, got {type(optimizer).__name__}")
    if schedule is not None and getattr(schedule, "optimizer", None) is not optimizer:
        raise ValueError(
            "fit: schedule must be one of minillm.optim.schedule, made from this optimizer: with "
            f"{'that of another' if hasattr(schedule, 'optimizer') else repr(schedule)} the learning "
            "rate would stay as it is"
        )
    if on_step is not None and not callable(on_step):
        raise TypeError(f"fit: on_step must be a function of (step, history), got {on_step!r}")
    own = {id(p) for p in model.parameters()}
    if own and own.isdisjoint(map(id, _parameters_of(optimizer))):
        raise ValueError(
            "fit: the optimizer holds no parameter of this model, which therefore would not learn: "
            "make the optimizer from model.named_parameters()"
        )
    if ranks:
        ranks.share(model)


def _parameters_of(optimizer: Any) -> list[Tensor]:
    return [p for group in optimizer.groups for _, p in group["params"]]


def _check_functions(where: str, loss: Any, metrics: Any) -> None:
    if loss is not None and not callable(loss):
        raise TypeError(
            f"{where}: loss must be a function of (output, target), such as F.cross_entropy, "
            f"got {loss!r}"
        )
    named = isinstance(metrics, Mapping) and all(map(callable, metrics.values()))
    if metrics is not None and not named:
        raise TypeError(
            f"{where}: metrics must be a dict of names and functions of (logits, targets), got "
            f"{metrics!r}"
        )


def _check_ranks(where: str, ranks: Any) -> None:
    if ranks is not None and not isinstance(ranks, Ranks):
        raise TypeError(f"{where}: ranks must be a minillm.cluster.Ranks(), got {ranks!r}")


def _share_out(
    model: Any, optimizer: Any, loss: Any, stream: Iterator[Any], workers: int | None, ranks: Any,
    saver: "_Saver",
) -> tuple[BatchGradient, Iterator[Any]]:  # fmt: skip
    """(what computes the gradients, the same stream), once the number of workers is settled."""
    if workers is not None and not (is_whole(workers) and workers >= 1):
        raise ValueError(
            f"fit: workers must be an integer of at least 1, got {workers!r}; None to let fit choose"
        )
    chosen = workers or (1 if ranks else saver.workers)  # ranks have the other cores
    if chosen is None or workers or ranks:
        head = list(itertools.islice(stream, 1))
        stream = itertools.chain(head, stream)
        if chosen is None:
            chosen = choose_workers(model, loss, head[0]) if head else 1
        elif head:
            require_mean_loss(model, loss, head[0], chosen * (ranks.size if ranks else 1))
    if chosen * (ranks.size if ranks else 1) > 1:
        own = {id(p) for p in model.parameters()}
        if any(id(p) not in own for p in _parameters_of(optimizer)):
            raise ValueError(
                "fit: the optimizer holds parameters that are not the model's, whose gradients several "
                "workers would mix up: make them part of the model, or use workers=1"
            )
    saver.workers = chosen
    return BatchGradient(model, loss, chosen, ranks, optimizer), stream


def _check_options(
    clip: float | None, resume: bool, checkpoint: Any, extra: dict | None, early_stopping: Any,
    validation: Any,
) -> None:  # fmt: skip
    if clip is not None and not (is_number(clip) and clip > 0):
        raise ValueError(f"fit: clip must be above 0, got {clip!r}; None for no clipping")
    if checkpoint is not None and not str(checkpoint):
        raise ValueError("fit: checkpoint is empty: name a folder, or leave it out")
    if resume and checkpoint is None:
        raise ValueError("fit: resume=True needs checkpoint=FOLDER to go on from")
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise TypeError(
            f"fit: early_stopping must be an EarlyStopping, got {type(early_stopping).__name__}"
        )
    if early_stopping is not None and validation is None:
        if early_stopping.monitor.startswith("val_"):
            raise ValueError(
                f"fit: early_stopping looks at {early_stopping.monitor!r}, which needs validation="
            )
    try:
        json.dumps(extra)
    except (TypeError, ValueError) as error:
        raise ValueError(f"fit: extra must be something that JSON can hold: {error}") from None


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


# ------------------------------------------------------------------------------ when it ends


class _Saver:
    """The checkpoint folder of one training; without a folder it only looks after the parameters."""

    def __init__(
        self, folder: Any, model: Any, optimizer: Any, schedule: Any, extra: dict | None,
        batches: _Batches, early_stopping: EarlyStopping | None, ranks: Any,
    ) -> None:  # fmt: skip
        self.ranks, self.writes = ranks, not ranks or ranks.first  # one process writes for all
        self.folder = None if folder is None else Path(folder)
        self.lock = FolderLock(folder) if folder is not None and self.writes else None
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.extra, self.batches = extra or {}, batches
        self.early_stopping = early_stopping
        self.saved_at: int | None = None  # the step that the folder holds
        self.workers: int | None = None  # the number that this training began with
        self.failure: OSError | None = None  # why the last checkpoint was not written

    def __enter__(self) -> "_Saver":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.lock is not None:
            self.lock.release()

    @contextlib.contextmanager
    def unlocked_by_errors(self) -> Iterator[None]:
        """Whoever tries again after an error in here does not find the folder locked by it."""
        try:
            yield
        except BaseException:
            self.__exit__()
            raise

    def resume(self, history: History) -> int:
        """Load the checkpoint if there is one; a broken one is an error, not a new start."""
        folder = self.folder
        if folder is None or not (folder / INDEX).exists():
            return 0
        state = load_checkpoint(
            folder, self.model, self.optimizer, schedule=self.schedule, history=history
        )
        if self.batches.owned:
            self.batches.train.seed = state["extra"].get("order_seed", self.batches.train.seed)
        self.saved_at, self.workers = state["step"], state["extra"].get("workers")
        return state["step"]

    def save(self, step: int, history: History, last: bool) -> None:
        """Save; a failure stops no training: there is a next time, or `result` tells of it."""
        bad = _not_finite(self.model)
        if bad:
            raise NonFiniteLossError(
                f"step {step}: the optimiser made parameters that are not finite: "
                f"{', '.join(bad[:3])}. {self.kept()}. Try a smaller learning rate"
            )
        if self.folder is None:
            return
        if self.writes:
            self._write(self.folder, step, history, last)
        if self.ranks:
            self.ranks.barrier()  # nobody goes on, or ends, before it is written

    def _write(self, folder: Path, step: int, history: History, last: bool) -> None:
        extra = {**self.extra, "workers": self.workers}
        if self.batches.owned:
            extra["order_seed"] = self.batches.train.seed
        try:
            if self.early_stopping is not None:
                self.early_stopping.save_best(folder)
            save_checkpoint(
                folder, self.model, self.optimizer, step=step, schedule=self.schedule,
                history=history, extra=extra,
            )  # fmt: skip
            if self.early_stopping is not None:
                self.early_stopping.remove_older(folder)
        except OSError as error:
            if last:
                self.failure = error
                return
            warnings.warn(f"step {step}: {error}; the training goes on", stacklevel=4)
        else:
            self.saved_at = step

    def kept(self) -> str:
        """What can be gone back to."""
        if self.saved_at is None:
            return "no checkpoint was saved yet"
        return f"the checkpoint of step {self.saved_at} is kept in {self.folder}"

    def result(self, history: History) -> History:
        """The history; or the error of the last checkpoint, which must not take it along."""
        if self.failure is None:
            return history
        raise NotSavedError(
            self.failure.errno or errno.EIO,
            f"step {len(history.losses)}, the last one: {self.failure.strerror or self.failure}; "
            f"{self.kept()}. The training is done, and the model in memory has what it has learned",
            history,
        ) from self.failure

    def say_goodbye(self, step: int, last: bool, bar: tqdm) -> None:
        """Tell somebody who pressed Ctrl-C what there is to go on with."""
        if last:
            text = f"Ctrl-C came at step {step}, the last one: the training is complete."
        elif self.folder is None:
            text = f"Stopped after step {step}. The model in memory keeps what it has learned."
        elif self.saved_at != step:
            text = f"Stopped after step {step}; {self.kept()}."
        else:
            text = f"Stopped after step {step}, saved in {self.folder}."
            text += " To go on, run the same with resume."
        if self.writes:
            bar.write(text)


def _explain(
    model: Any, window: list, loss: Callable | None, step: int, value: float, saver: _Saver
) -> str:
    """Run the failing batches again under debug() to find the operation that made the first NaN."""
    what = "loss" if not math.isfinite(value) else "gradient"
    culprit = "no operation turned finite numbers into others: a parameter or input holds them"
    try:
        with debug():
            for batch in window:
                model.zero_grad()
                forward_batch(model, batch, loss)[1].backward()
    except FloatingPointError as error:
        culprit = str(error)
    bad = _not_finite(model)
    if bad:
        culprit += f"; parameters that are not finite: {', '.join(bad[:3])}"
    return (
        f"step {step}: the {what} is not finite ({value:g}): {culprit}. The parameters were not "
        f"changed by this step; {saver.kept()}. Try a smaller learning rate, or clip=1.0"
    )


def _not_finite(model: Any) -> list[str]:
    """Names of the parameters that hold NaN or Inf; the device is asked once for all of them."""
    pairs = list(model.named_parameters())
    if not pairs:
        return []
    xp = array_module(pairs[0][1].data)
    finite = to_numpy(xp.stack([xp.isfinite(p.data).all() for _, p in pairs]))
    return [name for (name, _), good in zip(pairs, finite, strict=True) if not good]


class _CtrlC:
    """Within this block Ctrl-C only sets `pressed`; the second one interrupts as usual."""

    def __init__(self, ranks: Any) -> None:
        self.pressed, self.ranks = False, ranks

    def __enter__(self) -> "_CtrlC":
        self.active = threading.current_thread() is threading.main_thread()
        if self.active:
            self.previous = signal.signal(signal.SIGINT, self._press)
        return self

    def _press(self, number: int, frame: Any) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True

    def on_any_rank(self) -> bool:
        """True for all processes as soon as one has been told: they end after the same step."""
        return bool(self.ranks.sum([self.pressed])[0]) if self.ranks else self.pressed

    def __exit__(self, *error: Any) -> None:
        if self.active:
            signal.signal(signal.SIGINT, self.previous)
