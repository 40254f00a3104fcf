"""The mathematics: every operation as a pure pair of functions on arrays.

    out, saved = layer_norm_forward(x, gamma, beta, eps=1e-5)
    grad_x, grad_gamma, grad_beta = layer_norm_backward(grad_out, saved)

No Tensor, no state, no engine: each file can be read, called and checked alone.  The parameters
of forward before `*` are arrays and get gradients, those after it are options.
"""

from .activations import (
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    silu_backward,
    silu_forward,
)
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
from .gaussian import (
    gaussian_kl_backward,
    gaussian_kl_forward,
    gaussian_sample_backward,
    gaussian_sample_forward,
)
from .gelu import (
    gelu_backward,
    gelu_forward,
)
from .gru import (
    gru_backward,
    gru_forward,
)
from .gumbel_softmax import (
    gumbel_softmax_backward,
    gumbel_softmax_forward,
)
from .layer_norm import (
    layer_norm_backward,
    layer_norm_forward,
)
from .linear import (
    linear_backward,
    linear_forward,
)
from .lora_linear import (
    lora_linear_backward,
    lora_linear_forward,
)
from .losses import (
    binary_cross_entropy_with_logits_backward,
    binary_cross_entropy_with_logits_forward,
    mean_squared_error_backward,
    mean_squared_error_forward,
)
from .lstm import (
    lstm_backward,
    lstm_forward,
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
from .rms_norm import (
    rms_norm_backward,
    rms_norm_forward,
)
from .rnn import (
    rnn_backward,
    rnn_forward,
)
from .rotary_embedding import (
    rotary_embedding_backward,
    rotary_embedding_forward,
    rotary_tables,
)
from .selection import (
    maximum_backward,
    maximum_forward,
    where_backward,
    where_forward,
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
from .weight_norm import (
    weight_norm_backward,
    weight_norm_forward,
)

__all__ = [
    "add_backward",
    "add_forward",
    "attention_probabilities",
    "binary_cross_entropy_with_logits_backward",
    "binary_cross_entropy_with_logits_forward",
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
    "gaussian_kl_backward",
    "gaussian_kl_forward",
    "gaussian_sample_backward",
    "gaussian_sample_forward",
    "gelu_backward",
    "gelu_forward",
    "getitem_backward",
    "getitem_forward",
    "gru_backward",
    "gru_forward",
    "gumbel_softmax_backward",
    "gumbel_softmax_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "linear_backward",
    "linear_forward",
    "log_backward",
    "log_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "lora_linear_backward",
    "lora_linear_forward",
    "lstm_backward",
    "lstm_forward",
    "matmul_backward",
    "matmul_forward",
    "max_backward",
    "max_forward",
    "maximum_backward",
    "maximum_forward",
    "mean_backward",
    "mean_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "multiply_backward",
    "multiply_forward",
    "negative_backward",
    "negative_forward",
    "positional_encoding_backward",
    "positional_encoding_forward",
    "power_backward",
    "power_forward",
    "relu_backward",
    "relu_forward",
    "reshape_backward",
    "reshape_forward",
    "rms_norm_backward",
    "rms_norm_forward",
    "rnn_backward",
    "rnn_forward",
    "rotary_embedding_backward",
    "rotary_embedding_forward",
    "rotary_tables",
    "scaled_dot_product_attention_backward",
    "scaled_dot_product_attention_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
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
    "weight_norm_backward",
    "weight_norm_forward",
    "where_backward",
    "where_forward",
]
