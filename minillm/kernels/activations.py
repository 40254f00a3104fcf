"""Kernels entry by entry: gelu in both forms, silu, dropout.

    gelu        Phi = erfc(-x / sqrt(2)) / 2            phi = exp(-x^2/2) / sqrt(2 pi)
                out = x Phi                             slope = Phi + x phi
    gelu_tanh   u = sqrt(2/pi) (x + 0.044715 x^3)       t = tanh(u)
                out = x (1 + t)/2                       slope = (1 + t)/2 + x/2 (1 - t^2) du/dx
    silu        s = (1 + tanh(x/2)) / 2                 out = x s
                grad_x = grad_out s (1 + x (1 - s))
    dropout     scale = 1/(1 - p) where kept, else 0    out = x scale

They are derived in gelu.py, activations.py and dropout.py of minillm/ops.
A GPU has erfc and tanh of its own, so that the polynomials of erf.py are not needed.  Where a slope
has x phi(x) or x (1 - t^2), x is cut off at a magnitude beyond which the other factor is 0: else
an infinite x would give inf * 0.  Comparisons do it, which let NaN through, unlike fmin and fmax.
"""

from .kernel import Elementwise

GELU = Elementwise(
    "gelu",
    "T x",
    "T out, T slope",
    """
    const T cdf = T(0.5) * erfc(x * T(-0.70710678118654752440));
    const T near = x < T(-40) ? T(-40) : x > T(40) ? T(40) : x;
    out = x * cdf;
    slope = cdf + near * T(0.39894228040143267794) * exp(T(-0.5) * near * near);
    """,
)

GELU_TANH = Elementwise(
    "gelu_tanh",
    "T x",
    "T out, T slope",
    """
    const T near = x < T(-12) ? T(-12) : x > T(12) ? T(12) : x;
    const T root = T(0.79788456080286535588), cubic = T(0.044715);
    const T t = tanh(root * near * (T(1) + cubic * near * near));
    const T half = T(0.5) * (T(1) + t);
    out = x * half;
    slope = half + T(0.5) * near * (T(1) - t * t) * root * (T(1) + T(3) * cubic * near * near);
    """,
)

SILU = Elementwise(
    "silu",
    "T x",
    "T out, T s",
    """
    s = T(0.5) + T(0.5) * tanh(T(0.5) * x);
    out = x * s;
    """,
)

SILU_BACKWARD = Elementwise(
    "silu_backward",
    "T grad_out, T x, T s",
    "T grad_x",
    "grad_x = grad_out * s * (T(1) + x * (T(1) - s));",
)

DROPOUT = Elementwise(
    "dropout",
    "T x, bool keep, T factor",
    "T out, T scale",
    """
    scale = keep ? factor : T(0);
    out = x * scale;
    """,
)
