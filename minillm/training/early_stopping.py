"""Early stopping: end a training when the validation data says that it no longer helps.

A model that goes on learning its training data by heart gets worse on everything else (overfitting).
So `fit` looks at one figure of each evaluation; if it has not improved `patience` times in a row, the
training stops, and the model goes back to the weights it had at its best.
"""

import contextlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import require_number, require_whole
from ..backend import to_numpy
from ..files import read_arrays, write_arrays
from .history import History

MODES = {"min": 1.0, "max": -1.0}


SMALLER = ("loss", "perplexity", "error", "bits", "mse", "mae")
LARGER = ("accuracy", "precision", "recall", "f1", "bleu", "rouge")


def _mode_of(monitor: str) -> str:
    """Whether a smaller or a larger figure is better, by the words of its name.

    Raises   ValueError if they do not tell: the worst weights would be kept for the best

    >>> _mode_of("val_loss"), _mode_of("val_accuracy"), _mode_of("val_rouge_l")
    ('min', 'max', 'max')
    """
    words = str(monitor).lower().replace("-", "_").split("_")
    if any(word in SMALLER for word in words):
        return "min"
    if any(word in LARGER for word in words):
        return "max"
    raise ValueError(
        f"EarlyStopping: the name {monitor!r} does not tell whether smaller or larger is better: add "
        'mode="min" or mode="max"'
    )


class EarlyStopping:
    """When `fit(..., early_stopping=)` stops, and which weights it keeps.

    monitor        the list of History.history to look at, such as "val_loss" or "val_accuracy"
    patience       evaluations in a row without improvement after which the training stops
    min_delta      only a change of more than this is an improvement
    mode           "min" if smaller is better, "max" if larger is; None: by the name of what is
                   monitored, "min" for a loss, perplexity or error, "max" for the metrics of this
                   package
    restore_best   True: when the training ends, the model gets the weights of its best evaluation

    Afterwards best_value, best_step and stopped_at (None if the training ran to its end) tell what
    happened; History has the last two as well.  With a checkpoint folder the best weights lie beside
    the checkpoint, and a training that is resumed stops where an uninterrupted one would.

    >>> from minillm import functional as F
    >>> from minillm.nn import Linear
    >>> from minillm.optim import SGD
    >>> from minillm.training import fit
    >>> x, y = np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    >>> model = Linear(3, 3)
    >>> optimizer = SGD(model.parameters(), lr=1.0)
    >>> wrong = (x, np.array([1, 2, 0]))  # the better it learns, the worse it does on these
    >>> stopping = EarlyStopping(patience=2)
    >>> options = {"loss": F.cross_entropy, "epochs": 50, "progress": False}
    >>> history = fit(model, optimizer, (x, y), wrong, early_stopping=stopping, **options)
    >>> history.best_step, history.stopped_at
    (1, 3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 3,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ) -> None:
        require_whole("EarlyStopping", "patience", patience)
        require_number("EarlyStopping", "min_delta", min_delta, least=0)
        mode = _mode_of(monitor) if mode is None else mode
        if mode not in MODES:
            raise ValueError(f'EarlyStopping: mode must be "min" or "max", got {mode!r}')
        self.monitor, self.patience, self.min_delta = monitor, patience, float(min_delta)
        self.mode, self.restore_best = mode, bool(restore_best)
        self._forget()

    def _forget(self) -> None:
        self.best_value = math.nan
        self.best_step: int | None = None
        self.stopped_at: int | None = None
        self._waited = 0
        self._weights: dict[str, np.ndarray] | None = None
        self._written = False  # are these weights in the folder?

    def begin(self, history: History, folder: "Path | None" = None) -> bool:
        """Start anew, or go on behind the evaluations of a history; True if it is over already.

        folder   of the checkpoint, where the best weights of those evaluations lie

        Raises   ValueError if they do not
        """
        self._forget()
        values = history.history.get(self.monitor, [])
        for step, value in zip(history.history.get("step", []), values, strict=False):
            self._count(int(step), value)
        if self.best_step is not None and self.restore_best and folder is not None:
            self._weights, self._written = self._load(folder), True
        if self._waited >= self.patience:
            self.stopped_at = int(history.history["step"][-1])
        self._tell(history)
        return self.stopped_at is not None

    def update(self, model: Any, history: History) -> bool:
        """Look at the newest evaluation; True if the training is to stop.

        Raises   ValueError if the history has no list of the name `monitor`
        """
        if self.monitor not in history.history:
            raise ValueError(
                f"EarlyStopping: monitor {self.monitor!r} is none of {', '.join(history.history)}"
            )
        step = int(history.history["step"][-1])
        if self._count(step, history.history[self.monitor][-1]) and self.restore_best:
            self._weights = {n: np.array(to_numpy(a)) for n, a in model.state_dict().items()}
            self._written = False
        if self._waited >= self.patience:
            self.stopped_at = step
        self._tell(history)
        return self.stopped_at is not None

    def finish(self, model: Any) -> None:
        """Give the model its best weights, if that is wanted and there was an evaluation."""
        if self._weights is not None:
            model.load_state_dict(self._weights)

    def _count(self, step: int, value: float) -> bool:
        """Whether an evaluation is the best so far; NaN never is."""
        sign = MODES[self.mode]
        better = sign * value < sign * self.best_value - self.min_delta
        if better or (self.best_step is None and not math.isnan(value)):
            self.best_value, self.best_step, self._waited = float(value), int(step), 0
            return True
        self._waited += 1
        return False

    def _tell(self, history: History) -> None:
        history.best_step, history.stopped_at = self.best_step, self.stopped_at

    # ------------------------------------------------------------------------ checkpoints

    def _file(self, folder: Path) -> Path:
        return folder / f"best-{self.best_step:08d}.safetensors"

    def _load(self, folder: Path) -> dict[str, np.ndarray]:
        try:
            return read_arrays(self._file(folder))
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(
                f"EarlyStopping: the best weights, of step {self.best_step}, are not beside the "
                f"checkpoint ({error}): resume with restore_best=False, or start anew"
            ) from None

    def save_best(self, folder: Path) -> None:
        """Write the best weights if they are new; before the checkpoint that needs them."""
        if self._weights is not None and not self._written:
            write_arrays(self._file(folder), self._weights)
            self._written = True

    def remove_older(self, folder: Path) -> None:
        """Remove best weights of earlier evaluations; after the checkpoint has been written."""
        if self._weights is None:
            return
        for path in folder.glob("best-*.safetensors"):
            if path != self._file(folder):
                with contextlib.suppress(OSError):  # a leftover file does no harm
                    path.unlink()
