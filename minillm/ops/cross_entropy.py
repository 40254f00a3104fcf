"""Softmax cross-entropy: the loss of a classifier, and of every language model.

Formula.  For one row of V logits z with the right class y, the negative log-likelihood
(Goodfellow, Bengio & Courville 2016, Deep Learning, eq. 6.30) is

    nll = -log p_y = lse(z) - z_y          lse(z) = log sum_j exp(z_j)                    (1)

With class weights w and label smoothing s (Szegedy et al. 2016, arXiv:1512.00567, section 7: the
target is y with probability 1 - s, and any class with s), row n has the loss

    loss_n = (1 - s) w_y (lse - z_y) + (s/V) sum_c w_c (lse - z_c)                        (2)

and the mean divides by the sum of the target weights, sum_n w_{y_n}, as PyTorch does.  Rows whose
target is ignore_index count neither above nor below.

Backward.  d lse / d z_j = exp(z_j) / sum exp = p_j.  Differentiate (2), with W = sum_c w_c:

    d loss_n / d z_j = p_j ((1 - s) w_y + (s/V) W)  -  (1 - s) w_y [j = y]  -  (s/V) w_j  (3)

Without weights and smoothing this is p_j - [j = y]: prediction minus truth.  So backward scales
the probabilities and subtracts one number at the target; no one-hot matrix is ever built.
Check: tests/ops/test_cross_entropy.py    Notebook: notebooks/05_softmax_cross_entropy.ipynb
"""

import warnings

from .. import kernels
from ..arguments import is_number
from ..backend import array_module, beside
from .checks import require_floating, require_ids


def cross_entropy_forward(
    logits, targets, *, ignore_index=-100, label_smoothing=0.0, weight=None, reduction="mean"
):
    """How surprised the model is by the right classes, in nats.

    Shapes   logits (..., V); targets (...) class numbers; weight (V,) or None
             -> () for "mean" and "sum", (...) for "none"
    Dtype    logits and weight floating and equal; targets integer
    Units    nats: divide by log(2) for bits; exp(mean) is the perplexity
    Saves    e = exp(logits - largest) (N, V), its row sums (N, 1), the targets, coefficients (N,)
    Raises   ValueError for shapes that do not fit or an unknown reduction; IdError naming the
             first target outside 0 … V - 1; TypeError for wrong dtypes

    If every target is ignored the loss is 0, with zero gradients and a warning.
    Targets may stay on the host while logits are on a device: there they are checked without waiting.

    >>> import numpy as np
    >>> logits = np.log(np.array([[0.5, 0.25, 0.25]]))
    >>> float(cross_entropy_forward(logits, np.array([0]))[0].round(4))
    0.6931
    """
    xp = array_module(logits, weight)
    _check(logits, targets, ignore_index, label_smoothing, weight, reduction)
    V = logits.shape[-1]
    z = logits.reshape(-1, V)  # (N, V)
    kept = targets.reshape(-1) != ignore_index  # (N,)  asked where the targets are
    if reduction == "mean" and not kept.any():
        warnings.warn("cross_entropy: every target is ignored: the loss is 0", stacklevel=3)
    y, kept = beside(targets.reshape(-1), logits), beside(kept, logits)
    y = xp.where(kept, y, 0)
    rows = xp.arange(len(y))

    e = z - z.max(axis=-1, keepdims=True)  # (N, V)  logits minus the largest, for now
    at_target = xp.where(kept, e[rows, y], 0)  # (N,)
    w_sum = V if weight is None else weight.sum()
    smooth = None
    if label_smoothing:
        smooth = -(e.sum(axis=-1) if weight is None else e @ weight)  # (N,)  sum_c w_c (-z_c)
    xp.exp(e, out=e)
    total = e.sum(axis=-1, keepdims=True)  # (N, 1)
    lse = xp.log(total[:, 0])  # (N,)

    w_y = kept.astype(z.dtype)  # (N,)  0 where ignored
    if weight is not None:
        w_y *= weight[y]
    s = float(label_smoothing)
    loss = xp.where(kept, (1 - s) * w_y * (lse - at_target), 0)  # (N,)  by (2)
    if s:
        loss += xp.where(kept, (s / V) * (w_sum * lse + smooth), 0)
    denominator = None
    if reduction == "mean":
        denominator = w_y.sum()
        denominator = denominator + (denominator == 0)  # 1 instead of 0, without looking at it
        loss = loss.sum() / denominator
    elif reduction == "sum":
        loss = loss.sum()
    else:
        loss = loss.reshape(targets.shape)
    saved = (e, total, y, kept, w_y, weight, w_sum, s, denominator, reduction, logits.shape)
    return loss, saved


def cross_entropy_backward(grad_out, saved):
    """Gradients w.r.t. (logits, targets): (3), and none for integers."""
    e, total, y, kept, w_y, weight, w_sum, s, denominator, reduction, shape = saved
    xp = array_module(e)
    N, V = e.shape
    # forward:  loss = mean, sum or each of loss_n
    per_row = grad_out.reshape(-1) if reduction == "none" else grad_out  # (N,) or ()
    if reduction == "mean":
        per_row = per_row / denominator
    at_target = (1 - s) * w_y * per_row  # (N,)
    spread = kept * (per_row * (s / V))  # (N,)
    # forward:  loss_n by (2)   =>   (3), with p = e / total
    scale = (at_target + spread * w_sum)[:, None] / total  # (N, 1)
    if kernels.usable(e):
        classes, y = xp.arange(V, dtype="int64"), y.astype("int64")
        grad_z = kernels.rows.cross_entropy_backward(
            e, scale[:, 0], y, classes, at_target, spread, weight
        )
        return grad_z.reshape(shape), None
    grad_z = e * scale  # (N, V)
    grad_z[xp.arange(N), y] -= at_target
    if s:
        grad_z -= spread[:, None] * (1 if weight is None else weight)
    return grad_z.reshape(shape), None


def _check(logits, targets, ignore_index, label_smoothing, weight, reduction):
    """Raise for anything that (2) cannot mean."""
    require_floating("cross_entropy", logits=logits, weight=weight, optional=("weight",))
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"cross_entropy: logits {logits.shape} need a last axis of V >= 1 classes")
    if getattr(targets, "shape", None) != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: logits {logits.shape} need targets of shape {logits.shape[:-1]}, "
            f"got {getattr(targets, 'shape', type(targets).__name__)}"
        )
    V = logits.shape[-1]
    require_ids("cross_entropy", "targets", targets, V, unless=ignore_index)
    if weight is not None and weight.shape != (V,):
        raise ValueError(f"cross_entropy: weight must be of shape ({V},), got {weight.shape}")
    if not (is_number(label_smoothing) and 0.0 <= label_smoothing <= 1.0):
        raise ValueError(f"cross_entropy: label_smoothing {label_smoothing!r} must be within 0 … 1")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(
            f"cross_entropy: reduction must be 'mean', 'sum' or 'none', got {reduction!r}"
        )
