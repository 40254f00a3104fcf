"""How a gradient check is made: one frozen dataclass, so that no operation's option can clash."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GradientSettings:
    """Settings of a gradient check.

    tolerance     largest relative error of an entry that still passes
    step          step of the finite difference, relative to the size of the entries
    cotangents    number of random directions in which the output is weighed
    seed          of the generator that draws them
    max_entries   entries checked per parameter of a model (check_model); None for every entry
    large         inputs with more entries than this are checked along directions, and in a sample

    >>> GradientSettings(tolerance=1e-4).cotangents
    2
    """

    tolerance: float = 1e-6
    step: float = 1e-3
    cotangents: int = 2
    seed: int = 0
    max_entries: int | None = 12
    large: int = 4096

    def __post_init__(self) -> None:
        if not (self.tolerance > 0 and self.step > 0 and self.cotangents >= 1):
            raise ValueError(
                "GradientSettings: tolerance and step must be positive and cotangents at least 1, "
                f"got {self.tolerance}, {self.step} and {self.cotangents}"
            )


def settings_of(check: str, settings: Any) -> GradientSettings:
    """The settings that a check was given; the usual ones for None.

    Raises   TypeError if they are something else

    >>> settings_of("check_model", None).tolerance
    1e-06
    """
    if settings is not None and not isinstance(settings, GradientSettings):
        raise TypeError(
            f"{check}: settings must be a GradientSettings, got {type(settings).__name__}: write "
            "settings=GradientSettings(tolerance=1e-6)"
        )
    return settings or GradientSettings()
