"""What all optimisers share: parameter groups, state by name, saving and loading."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..arguments import require_number
from ..autograd import Tensor
from ..backend import array_module, to_numpy


class Optimizer:
    """Parameters in groups, each with its own options; state kept by parameter name.

    params   Tensors, (name, Tensor) pairs such as model.named_parameters(), or dicts
             {"params": ..., "lr": ...} whose further entries override the defaults for that group
    Raises   ValueError for no parameters, one in two groups, two of one name, one that is the result
             of an operation, or an unknown option

    >>> import numpy as np
    >>> from minillm.optim import SGD
    >>> a, b = Tensor(np.zeros(1), True), Tensor(np.zeros(1), True)
    >>> optimizer = SGD([{"params": [("a", a)]}, {"params": [("b", b)], "lr": 0.5}], lr=0.1)
    >>> [group["lr"] for group in optimizer.groups]
    [0.1, 0.5]
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if hasattr(params, "named_parameters"):
            raise TypeError(
                f"{type(self).__name__}: params is a {type(params).__name__}: write "
                "model.named_parameters() or model.parameters()"
            )
        params = self._list("params", params)
        if not params:
            raise ValueError(f"{type(self).__name__}: there are no parameters to optimise")
        if not any(isinstance(entry, Mapping) for entry in params):
            params = [{"params": params}]
        self.run: Callable = map  # who carries out the updates; `fit` gives threads, for a while
        self.groups: list[dict[str, Any]] = []
        self.state: dict[str, dict[str, Any]] = {}
        self.steps = 0
        seen: set[int] = set()
        names: set[str] = set()
        for group in params:
            entries = self._entries(group, defaults)
            pairs = [self._pair(entry, i + len(names)) for i, entry in enumerate(entries)]
            for name, p in pairs:
                if id(p) in seen or name in names:
                    raise ValueError(f"{type(self).__name__}: parameter {name!r} is given twice")
                seen.add(id(p))
                names.add(name)
            options = {name: _plain(value) for name, value in {**defaults, **group}.items()}
            self.groups.append({**options, "params": pairs})
        for group in self.groups:
            self.check(group)

    def _list(self, what: str, params: Any) -> list[Any]:
        """The parameters, or groups of them, as a list; one alone needs none."""
        if isinstance(params, (Tensor, Mapping)):
            return [params]
        if not isinstance(params, Iterable) or isinstance(params, str):
            raise TypeError(
                f"{type(self).__name__}: {what} must be Tensors, such as model.named_parameters(), "
                f"got {type(params).__name__}"
            )
        return list(params)

    def _entries(self, group: Any, defaults: dict[str, Any]) -> list[Any]:
        """The parameters of a group, whose options must be known."""
        who = type(self).__name__
        if not isinstance(group, Mapping):
            raise TypeError(
                f"{who}: params holds groups and a {type(group).__name__}: write it as a group of its "
                'own, {"params": [...]}'
            )
        unknown = set(group) - set(defaults) - {"params"}
        if unknown:
            raise ValueError(
                f"{who}: unknown option {', '.join(sorted(map(str, unknown)))}; "
                f"a group may set {', '.join(defaults)}"
            )
        if "params" not in group:
            raise ValueError(
                f"{who}: a group has no parameters, only {', '.join(group) or 'nothing'}: write "
                '{"params": [...], ...}'
            )
        return self._list("the params of a group", group["params"])

    @staticmethod
    def _pair(entry: Any, number: int) -> tuple[str, Tensor]:
        """A (name, parameter) pair; parameters without a name are numbered."""
        if isinstance(entry, tuple) and (len(entry) != 2 or not isinstance(entry[0], str)):
            raise TypeError(
                "parameters with names must be pairs (name, Tensor), got a tuple of "
                f"{', '.join(type(part).__name__ for part in entry) or 'nothing'}"
            )
        name, p = entry if isinstance(entry, tuple) else (f"parameter.{number}", entry)
        if not isinstance(p, Tensor):
            raise TypeError(f"parameters must be Tensors, got {type(p).__name__} for {name!r}")
        if p._made_by is not None:
            raise ValueError(
                f"{name!r} is the result of {p._made_by}, so it has no .grad to learn from: pass the "
                "parameters that it was computed from, or detach it"
            )
        return name, p

    def check(self, group: dict[str, Any]) -> None:
        """Raise a ValueError if an option of the group has no meaning."""
        self._require_at_least_0(group, "lr", "weight_decay")

    def _require_at_least_0(self, group: dict[str, Any], *names: str) -> None:
        """Raise a ValueError that names the option, its value and what it should be."""
        for name in names:
            require_number(type(self).__name__, name, group[name], least=0)

    @property
    def lr(self) -> float:
        """The learning rate of the first group."""
        return self.groups[0]["lr"]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.groups:
            for _, p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient, once."""
        self.steps += 1
        jobs = [
            (group, p, p.grad, self.state.setdefault(name, {}))
            for group in self.groups
            for name, p in group["params"]
            if p.grad is not None and p.requires_grad
        ]
        # No update depends on another, so their order is free: the longest first, in case they share
        # the cores.
        jobs.sort(key=lambda job: -job[1].size)
        list(self.run(lambda job: self.update(*job), jobs))  # a map does nothing until it is read

    def update(self, group: dict[str, Any], p: Tensor, grad: Any, state: dict[str, Any]) -> None:
        """Change one parameter in place."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on later: arrays under "state", numbers elsewhere."""
        options = [{k: v for k, v in g.items() if k != "params"} for g in self.groups]
        return {
            "name": type(self).__name__,
            "steps": self.steps,
            "groups": options,
            "state": {
                f"{name}.{key}": value
                for name, entries in self.state.items()
                for key, value in entries.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state_dict of the same kind of optimiser with the same parameters.

        Raises   ValueError that says what does not fit
        """
        require_entries(type(self).__name__, state, "name", "steps", "groups", "state")
        if state["name"] != type(self).__name__ or len(state["groups"]) != len(self.groups):
            raise ValueError(
                f"the saved optimiser is {state['name']} with {len(state['groups'])} groups, "
                f"this one {type(self).__name__} with {len(self.groups)}"
            )
        own = {name: p for group in self.groups for name, p in group["params"]}
        fresh: dict[str, dict[str, Any]] = {}
        for full_name, value in state["state"].items():
            name, _, key = full_name.rpartition(".")
            if name not in own:
                raise ValueError(f"the saved optimiser has a state for {name!r}, which is not here")
            counts = isinstance(value, int) or value.dtype.kind in "iu"  # the steps of Adam
            if not counts and value.shape != own[name].shape:
                raise ValueError(
                    f"the saved state {full_name} has shape {value.shape}, "
                    f"but the parameter has {own[name].shape}"
                )
            xp = array_module(own[name].data)
            fresh.setdefault(name, {})[key] = int(value) if counts else xp.array(to_numpy(value))
        self.steps, self.state = state["steps"], fresh
        for group, options in zip(self.groups, state["groups"], strict=True):
            group.update(options)


def require_entries(who: str, state: Any, *names: str) -> None:
    """What is loaded has the entries of a state_dict.

    Raises   TypeError if it is no dictionary; ValueError that names what is missing

    >>> require_entries("Schedule", {"steps": 3}, "steps", "base")
    Traceback (most recent call last):
    ValueError: Schedule: the saved state has no 'base': pass what state_dict() gave
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"{who}: the saved state must be a dictionary, got {type(state).__name__}: pass what "
            "state_dict() gave"
        )
    missing = ", ".join(repr(name) for name in names if name not in state)
    if missing:
        raise ValueError(f"{who}: the saved state has no {missing}: pass what state_dict() gave")


def _plain(value: Any) -> Any:
    """A Python number in place of NumPy's: a float64 would make float64 of float32 arrays."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value
