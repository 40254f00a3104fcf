"""Gumbel-softmax: a draw from a categorical distribution through which gradients can pass.

Formula (Jang, Gu & Poole 2017, arXiv:1611.01144, eqs. 1 and 2).  With u uniform on (0, 1) the number
-log(-log u) follows the Gumbel distribution, and the place of the largest of logits_i + gumbel_i is a
draw of i with probability softmax(logits)_i (Gumbel 1954).  A softmax stands in for the place of the
largest, at a temperature tau:

    y = softmax((logits + gumbel) / tau)                                                  (1)

tau -> 0 gives one-hot draws with wild gradients, a large tau rows that are nearly uniform, with calm
ones: E[y] is softmax(logits) only in the limit of tau -> 0.

Backward.  The noise is an input like any other, so (1) of softmax.py holds with x = (logits +
gumbel) / tau, and dx / dlogits = 1 / tau gives the rest:

    grad_logits_i = y_i * (g_i - sum_j g_j y_j) / tau                                     (2)

Straight-through (section 2.2, after Bengio, Léonard & Courville 2013, arXiv:1308.3432).  With
hard=True forward returns the one-hot vector of the largest entry of y.  That is a step function: its
derivative is 0 wherever there is one, and nothing could be learned.  So backward pretends that y had
been returned, and still gives (2).  **This is not the derivative of the hard forward, nor of anything
else that was computed**: it is an estimate, and a biased one.  A gradient check can only hold it
against the soft forward on the same noise, which is what `Case.estimates` in gradcheck/cases.py says.
Check: tests/ops/test_gumbel_softmax.py    Notebook: notebooks/23_estimators.ipynb
"""

import math

from ..arguments import is_number
from ..backend import array_module, default_generator
from .checks import normalize_axes, require_floating, straight_through
from .noise import host_noise


@straight_through("hard")
def gumbel_softmax_forward(logits, *, temperature, hard=False, rng=None, noise=None, axis=-1):
    """Draws of a class for every row: nearly one-hot rows y, or with hard=True the nearest one-hot.

    Shapes   logits: any with at least one axis -> y, the same
    Dtype    floating, kept
    Units    logits in nats (differences are log odds), y are shares that sum to 1
    Saves    y, temperature, axis
    Raises   ValueError if temperature is not positive and finite, the axis does not exist or is
             empty, or rng and noise are both given; TypeError if logits are not floating

    hard    True: one-hot rows, whose gradient is that of y (straight-through)
    rng     draws the Gumbel noise, on the host
    noise   the noise itself, of the shape of logits, instead of rng

    >>> import numpy as np
    >>> logits, zero = np.log(np.array([1.0, 3.0])), np.zeros(2)
    >>> gumbel_softmax_forward(logits, temperature=0.5, noise=zero)[0].round(6)
    array([0.1, 0.9])
    >>> gumbel_softmax_forward(logits, temperature=0.5, noise=zero, hard=True)[0]
    array([0., 1.])
    """
    xp = array_module(logits)
    require_floating("gumbel_softmax", logits=logits)
    if not (is_number(temperature) and 1e-30 <= temperature < math.inf):
        raise ValueError(
            f"gumbel_softmax: temperature = {temperature!r} must be positive (at least 1e-30) and "
            "finite: small for nearly one-hot draws, 1 for soft ones"
        )
    (axis,) = normalize_axes("gumbel_softmax", (axis,), logits.ndim)
    size = logits.shape[axis]
    if size == 0:
        raise ValueError(f"gumbel_softmax: axis {axis} of logits {logits.shape} has no entries")
    draw = default_generator(rng).gumbel
    scores = logits + host_noise("gumbel_softmax", "logits", logits, rng, noise, draw)
    y = (scores - scores.max(axis=axis, keepdims=True)) * (1 / float(temperature))
    xp.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    saved = (y, float(temperature), axis)
    if not hard:
        return y, saved
    places = xp.arange(size).reshape((size,) + (1,) * (logits.ndim - 1 - axis))
    chosen = xp.expand_dims(scores.argmax(axis=axis), axis)  # the scores do not tie, y may
    return (chosen == places).astype(logits.dtype), saved


def gumbel_softmax_backward(grad_out, saved):
    """Gradient w.r.t. logits, by (2); with hard=True that of the soft y, straight through."""
    y, temperature, axis = saved
    # forward:  y = softmax((logits + gumbel) / temperature)
    grad_logits = grad_out * y
    grad_logits -= y * grad_logits.sum(axis=axis, keepdims=True)
    grad_logits *= 1 / temperature
    return (grad_logits,)
