"""What happened during a training."""

from typing import Any


class History:
    """The record of a training, as `fit` returns it.

    history      per evaluation (or epoch) one entry in each list: "step", "loss" (mean of the
                 training loss since the last entry), "val_loss", "lr", and each metric
    losses       the training loss of every single step
    interrupted  True if the training was stopped by Ctrl-C

    >>> History().history
    {}
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.losses: list[float] = []
        self.interrupted = False

    def add(self, **values: float) -> None:
        """Append one entry to each list."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {"history": self.history, "losses": self.losses}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.losses = list(state["losses"])

    def plot(self, **options: Any) -> Any:
        """The loss curve, training and validation: a matplotlib figure."""
        from ..viz import plot_history

        return plot_history(self, **options)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self.losses)} steps{', ' + last if last else ''})"
