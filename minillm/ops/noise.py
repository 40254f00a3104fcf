"""The noise of an operation that draws: given by the caller, or drawn on the host and carried over."""

import math

from ..backend import array_module, beside


def host_noise(operation, name, x, rng, noise, draw):
    """Noise of the shape, dtype and device of the argument `name`, which is x.

    rng, noise   as the operation was given them: at most one of the two
    draw         draw(size=n) -> n numbers in float64, so that one seed gives one noise in all dtypes
    Raises       ValueError if both are given or the shapes differ; TypeError if noise is no array of
                 the dtype of x
    """
    if noise is None:
        drawn = draw(size=math.prod(x.shape)).reshape(x.shape)
        return array_module(x).asarray(drawn.astype(x.dtype))
    if rng is not None:
        raise ValueError(f"{operation}: rng and noise are both given: leave one of them out")
    if getattr(noise, "dtype", None) != x.dtype:
        found = getattr(noise, "dtype", type(noise).__name__)
        raise TypeError(
            f"{operation}: noise must be an array of the dtype of {name}, {x.dtype}, got {found}: "
            f"write noise.astype('{x.dtype}')"
        )
    if noise.shape != x.shape:
        raise ValueError(
            f"{operation}: noise {noise.shape} must have the shape of {name} {x.shape}"
        )
    return beside(noise, x)
