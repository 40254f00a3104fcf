"""The mathematics: every operation as a pure pair of functions on arrays.

    out, saved = layer_norm_forward(x, gamma, beta, eps=1e-5)
    grad_x, grad_gamma, grad_beta = layer_norm_backward(grad_out, saved)

No Tensor, no state, no engine: each file can be read, called and checked alone.  The parameters
of forward before `*` are arrays and get gradients, those after it are options.
"""

from .arithmetic import (
    add_backward,
    add_forward,
    divide_backward,
    divide_forward,
    multiply_backward,
    multiply_forward,
    negative_backward,
    negative_forward,
    power_backward,
    power_forward,
    subtract_backward,
    subtract_forward,
)
from .attention import (
    attention_probabilities,
    scaled_dot_product_attention_backward,
    scaled_dot_product_attention_forward,
)
from .cross_entropy import (
    cross_entropy_backward,
    cross_entropy_forward,
)
from .dropout import (
    dropout_backward,
    dropout_forward,
)
from .elementwise import (
    exp_backward,
    exp_forward,
    log_backward,
    log_forward,
    sqrt_backward,
    sqrt_forward,
    tanh_backward,
    tanh_forward,
)
from .embedding import (
    embedding_backward,
    embedding_forward,
)
from .erf import (
    erf_backward,
    erf_forward,
)
from .gelu import (
    gelu_backward,
    gelu_forward,
)
from .layer_norm import (
    layer_norm_backward,
    layer_norm_forward,
)
from .linear import (
    linear_backward,
    linear_forward,
)
from .matmul import (
    matmul_backward,
    matmul_forward,
)
from .positional_encoding import (
    positional_encoding_backward,
    positional_encoding_forward,
    sinusoidal_table,
)
from .reductions import (
    max_backward,
    max_forward,
    mean_backward,
    mean_forward,
    sum_backward,
    sum_forward,
)
from .shaping import (
    concatenate_backward,
    concatenate_forward,
    getitem_backward,
    getitem_forward,
    reshape_backward,
    reshape_forward,
    split_backward,
    split_forward,
    transpose_backward,
    transpose_forward,
)
from .softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)

__all__ = [
    "add_backward",
    "add_forward",
    "attention_probabilities",
    "concatenate_backward",
    "concatenate_forward",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "divide_backward",
    "divide_forward",
    "dropout_backward",
    "dropout_forward",
    "embedding_backward",
    "embedding_forward",
    "erf_backward",
    "erf_forward",
    "exp_backward",
    "exp_forward",
    "gelu_backward",
    "gelu_forward",
    "getitem_backward",
    "getitem_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "linear_backward",
    "linear_forward",
    "log_backward",
    "log_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "matmul_backward",
    "matmul_forward",
    "max_backward",
    "max_forward",
    "mean_backward",
    "mean_forward",
    "multiply_backward",
    "multiply_forward",
    "negative_backward",
    "negative_forward",
    "positional_encoding_backward",
    "positional_encoding_forward",
    "power_backward",
    "power_forward",
    "reshape_backward",
    "reshape_forward",
    "scaled_dot_product_attention_backward",
    "scaled_dot_product_attention_forward",
    "sinusoidal_table",
    "softmax_backward",
    "softmax_forward",
    "split_backward",
    "split_forward",
    "sqrt_backward",
    "sqrt_forward",
    "subtract_backward",
    "subtract_forward",
    "sum_backward",
    "sum_forward",
    "tanh_backward",
    "tanh_forward",
    "transpose_backward",
    "transpose_forward",
]
