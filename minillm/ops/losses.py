"""Two more losses: binary cross-entropy from logits, and the mean squared error.

Formula.  For a logit z with the truth t in [0, 1], and p = sigmoid(z), the negative log-likelihood of
a Bernoulli variable (Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.2) is

    loss = -t log p - (1 - t) log(1 - p) = max(z, 0) - t z + log(1 + exp(-|z|))           (1)

The second form follows from log p = -log(1 + exp(-z)) and log(1 - p) = -z + log p; its exponent is
never positive, so nothing overflows and log never sees 0.  The squared error of a prediction x is

    loss = (x - t)^2                                                                      (2)

Backward, with g the gradient that reaches each single loss (grad_out / n for a mean):

    (1):  grad_z = g (p - t)       from d log(1 + exp(z)) / dz = p and d(t z)/dz = t      (3)
    (2):  grad_x = 2 g (x - t)                                                            (4)

Targets are data: they get no gradient, as `gets_no_gradient` tells engine and checker.
Check: tests/ops/test_losses.py    Notebook: notebooks/05_softmax_cross_entropy.ipynb
"""

from ..backend import array_module
from .activations import sigmoid_of
from .checks import gets_no_gradient, require_floating


def _reduce(operation, loss, reduction):
    """The loss of every entry as one number, or as it is."""
    if reduction == "mean":
        if loss.size == 0:
            raise ValueError(f"{operation}: there is nothing to average, the input has no entries")
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def _check(operation, name, x, target, reduction):
    array_module(x, target)
    require_floating(operation, **{name: x, "target": target})
    if x.shape != getattr(target, "shape", ()):
        raise ValueError(f"{operation}: {name} {x.shape} and target {target.shape} must be alike")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            f"{operation}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}"
        )


@gets_no_gradient("targets")
def binary_cross_entropy_with_logits_forward(logits, targets, *, reduction="mean"):
    """How surprised a model of yes or no is by the truth, in nats.

    Shapes   logits, targets: any, alike -> () for "mean" and "sum", the same for "none"
    Dtype    both floating and equal; targets within 0 … 1
    Units    nats
    Saves    logits, targets
    Raises   ValueError if the shapes differ, for an unknown reduction, or for a mean of nothing;
             TypeError if dtypes differ

    >>> import numpy as np
    >>> logits, targets = np.array([0.0, 100.0]), np.array([1.0, 1.0])
    >>> float(binary_cross_entropy_with_logits_forward(logits, targets)[0].round(4))
    0.3466
    """
    operation = "binary_cross_entropy_with_logits"
    xp = array_module(logits)
    _check(operation, "logits", logits, targets, reduction)
    loss = xp.asarray(xp.log1p(xp.exp(-xp.absolute(logits))))
    loss += xp.clip(logits, 0.0, None)
    loss -= targets * logits
    return _reduce(operation, loss, reduction), (logits, targets, reduction)


def binary_cross_entropy_with_logits_backward(grad_out, saved):
    """Gradients w.r.t. (logits, targets): (3), and none for targets."""
    logits, targets, reduction = saved
    # forward:  loss = mean, sum or each of (1)
    g = grad_out / logits.size if reduction == "mean" else grad_out
    grad_z = sigmoid_of(logits)
    grad_z -= targets
    grad_z *= g
    return grad_z, None


@gets_no_gradient("target")
def mean_squared_error_forward(x, target, *, reduction="mean"):
    """The squared distance between a prediction and the truth.

    Shapes   x, target: any, alike -> () for "mean" and "sum", the same for "none"
    Dtype    both floating and equal
    Units    those of x, squared
    Saves    difference, of the shape of x
    Raises   ValueError if the shapes differ, for an unknown reduction, or for a mean of nothing;
             TypeError if dtypes differ

    >>> import numpy as np
    >>> float(mean_squared_error_forward(np.array([1.0, 2.0]), np.array([1.0, 5.0]))[0])
    4.5
    """
    _check("mean_squared_error", "x", x, target, reduction)
    difference = x - target
    loss = _reduce("mean_squared_error", difference * difference, reduction)
    return loss, (difference, reduction)


def mean_squared_error_backward(grad_out, saved):
    """Gradients w.r.t. (x, target): (4), and none for the target."""
    difference, reduction = saved
    # forward:  loss = mean, sum or each of (2)
    g = grad_out / difference.size if reduction == "mean" else grad_out
    return difference * (2 * g), None
