"""What happened during a training."""

from typing import Any


class History:
    """The record of a training, as `fit` returns it.

    history      per evaluation (or epoch) one entry in each list: "step", "loss" (mean of the
                 training loss since the last entry), "lr", each metric on the training batches, and
                 "val_loss" and "val_<metric>" on the validation data
    losses       the training loss of every single step
    interrupted  True if the training was stopped by Ctrl-C
    stopped_at   the step at which early stopping ended the training; None if it did not
    best_step    the step of the best evaluation, where early stopping looked for one

    >>> History().history
    {}
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.losses: list[float] = []
        self.interrupted = False
        self.stopped_at: int | None = None
        self.best_step: int | None = None
        self._period: list[dict[str, float]] = []  # every step since the last entry

    def add(self, **values: float) -> None:
        """Append one entry to each list."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def record(self, loss: float, metrics: dict[str, float] | None = None) -> None:
        """Note one training step."""
        self.losses.append(loss)
        self._period.append({"loss": loss, **(metrics or {})})

    def close_period(self, step: int, lr: float) -> None:
        """Append the means over all steps since the last entry."""
        names = self._period[0]
        means = {n: sum(row[n] for row in self._period) / len(self._period) for n in names}
        self.add(step=step, lr=lr, **means)
        self._period = []

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {"history": self.history, "losses": self.losses, "period": self._period}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        history = {name: list(values) for name, values in state["history"].items()}
        losses, period = list(state["losses"]), [dict(row) for row in state["period"]]
        self.history, self.losses, self._period = history, losses, period

    def plot(self, **options: Any) -> Any:
        """The loss curve, training and validation: a matplotlib figure."""
        from ..viz import plot_history

        return plot_history(self, **options)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        if self.stopped_at is not None:
            last += f", stopped early at step {self.stopped_at}, best at {self.best_step}"
        return f"History({len(self.losses)} steps{', ' + last if last else ''})"
