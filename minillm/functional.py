"""The index: every operation, one line each, on Tensors.

    import minillm.functional as F
    loss = F.cross_entropy(F.linear(x, weight, bias), targets)

`help(F.softmax)` shows the docstring of its forward; the formula and its derivation are at the top
of the file in `minillm/ops` that the line names.
"""

from . import ops
from .autograd import differentiable

add = differentiable(ops.add_forward, ops.add_backward)
subtract = differentiable(ops.subtract_forward, ops.subtract_backward)
multiply = differentiable(ops.multiply_forward, ops.multiply_backward)
divide = differentiable(ops.divide_forward, ops.divide_backward)
negative = differentiable(ops.negative_forward, ops.negative_backward)
power = differentiable(ops.power_forward, ops.power_backward)
matmul = differentiable(ops.matmul_forward, ops.matmul_backward)
maximum = differentiable(ops.maximum_forward, ops.maximum_backward)
sum = differentiable(ops.sum_forward, ops.sum_backward)
mean = differentiable(ops.mean_forward, ops.mean_backward)
max = differentiable(ops.max_forward, ops.max_backward)
reshape = differentiable(ops.reshape_forward, ops.reshape_backward)
transpose = differentiable(ops.transpose_forward, ops.transpose_backward)
getitem = differentiable(ops.getitem_forward, ops.getitem_backward)
split = differentiable(ops.split_forward, ops.split_backward, outputs=None)
concatenate = differentiable(ops.concatenate_forward, ops.concatenate_backward)
where = differentiable(ops.where_forward, ops.where_backward)
exp = differentiable(ops.exp_forward, ops.exp_backward)
log = differentiable(ops.log_forward, ops.log_backward)
sqrt = differentiable(ops.sqrt_forward, ops.sqrt_backward)
tanh = differentiable(ops.tanh_forward, ops.tanh_backward)
sigmoid = differentiable(ops.sigmoid_forward, ops.sigmoid_backward)
relu = differentiable(ops.relu_forward, ops.relu_backward)
silu = differentiable(ops.silu_forward, ops.silu_backward)
erf = differentiable(ops.erf_forward, ops.erf_backward)
gelu = differentiable(ops.gelu_forward, ops.gelu_backward)
linear = differentiable(ops.linear_forward, ops.linear_backward)
lora_linear = differentiable(ops.lora_linear_forward, ops.lora_linear_backward)
embedding = differentiable(ops.embedding_forward, ops.embedding_backward)
positional_encoding = differentiable(
    ops.positional_encoding_forward, ops.positional_encoding_backward
)
softmax = differentiable(ops.softmax_forward, ops.softmax_backward)
log_softmax = differentiable(ops.log_softmax_forward, ops.log_softmax_backward)
cross_entropy = differentiable(ops.cross_entropy_forward, ops.cross_entropy_backward)
binary_cross_entropy_with_logits = differentiable(
    ops.binary_cross_entropy_with_logits_forward, ops.binary_cross_entropy_with_logits_backward
)
mean_squared_error = differentiable(ops.mean_squared_error_forward, ops.mean_squared_error_backward)
dropout = differentiable(ops.dropout_forward, ops.dropout_backward)
layer_norm = differentiable(ops.layer_norm_forward, ops.layer_norm_backward)
rms_norm = differentiable(ops.rms_norm_forward, ops.rms_norm_backward)
scaled_dot_product_attention = differentiable(
    ops.scaled_dot_product_attention_forward, ops.scaled_dot_product_attention_backward
)
rotary_embedding = differentiable(ops.rotary_embedding_forward, ops.rotary_embedding_backward)
rnn = differentiable(ops.rnn_forward, ops.rnn_backward, outputs=2)
gru = differentiable(ops.gru_forward, ops.gru_backward, outputs=2)
lstm = differentiable(ops.lstm_forward, ops.lstm_backward, outputs=3)
gaussian_sample = differentiable(ops.gaussian_sample_forward, ops.gaussian_sample_backward)
gaussian_kl = differentiable(ops.gaussian_kl_forward, ops.gaussian_kl_backward)
gumbel_softmax = differentiable(ops.gumbel_softmax_forward, ops.gumbel_softmax_backward)
weight_norm = differentiable(ops.weight_norm_forward, ops.weight_norm_backward)


__all__ = [
    "add",
    "binary_cross_entropy_with_logits",
    "concatenate",
    "cross_entropy",
    "divide",
    "dropout",
    "embedding",
    "erf",
    "exp",
    "gaussian_kl",
    "gaussian_sample",
    "gelu",
    "getitem",
    "gru",
    "gumbel_softmax",
    "layer_norm",
    "linear",
    "log",
    "log_softmax",
    "lora_linear",
    "lstm",
    "matmul",
    "max",
    "maximum",
    "mean",
    "mean_squared_error",
    "multiply",
    "negative",
    "positional_encoding",
    "power",
    "relu",
    "reshape",
    "rms_norm",
    "rnn",
    "rotary_embedding",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "softmax",
    "split",
    "sqrt",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "weight_norm",
    "where",
]
