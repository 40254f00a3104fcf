"""What a model costs, by counting: what its operations were really called with.

The formulas of cost.py say what a configuration should cost.  Here nothing is known of any model: one
forward pass runs, every call of an operation is recorded with its arrays, and

    FLOP    each product among the calls counts 2 m n k by the shapes of the arrays it got; in
            backward it counts once more for each operand that gets a gradient
    bytes   every buffer that some call saved for backward counts once, however many views of it
            were saved

so a layer that a formula forgot, or a size it confused, shows as a difference.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..debugging import arrays_in, recording
from . import bert
from .bert import BertConfig
from .cost import BERT_KINDS
from .gpt2 import GPT2Config, GPT2LMHeadModel
from .llama import LlamaConfig, LlamaForCausalLM
from .recurrent import (
    LSTMClassifier,
    LSTMClassifierConfig,
    LSTMLanguageModel,
    LSTMLanguageModelConfig,
)
from .seq2seq import Seq2SeqConfig, Seq2SeqTransformer
from .transformer_lm import TransformerLanguageModel, TransformerLMConfig

MODELS: dict[type, Any] = {
    GPT2Config: GPT2LMHeadModel,
    LlamaConfig: LlamaForCausalLM,
    TransformerLMConfig: TransformerLanguageModel,
    Seq2SeqConfig: Seq2SeqTransformer,
    LSTMClassifierConfig: LSTMClassifier,
    LSTMLanguageModelConfig: LSTMLanguageModel,
}
# operations that are products, or hold some
PRODUCTS = ("linear", "matmul", "scaled_dot_product_attention", "lstm", "gru", "rnn")
TABLES = ("rotary_embedding",)  # what these save are tables that belong to the model


@dataclass(frozen=True)
class StepCount:
    """What one forward pass was seen to do, and what its backward pass will."""

    forward_flop: int
    backward_flop: int
    saved_bytes: int
    flop_by_operation: dict[str, int]


def build_model(config: Any, rng: np.random.Generator) -> Any:
    """A model of this shape with fresh weights; of BERT the one that architectures[0] names."""
    if isinstance(config, BertConfig):
        kind = config.architectures[0] if config.architectures else "BertModel"
        if kind not in BERT_KINDS:
            raise ValueError(f"BertConfig: {kind!r} must be one of {', '.join(BERT_KINDS)}")
        return getattr(bert, kind)(config, rng=rng)
    return MODELS[type(config)](config, rng=rng)


def random_batch(
    config: Any, batch_size: int, length: int, target_length: int | None, rng: np.random.Generator
) -> dict[str, Any]:
    """Random ids and labels, as the arguments of the model of this config."""
    B, T = batch_size, length
    V = config.ntoken if isinstance(config, TransformerLMConfig) else config.vocab_size
    ids = rng.integers(0, V, (B, T))
    if isinstance(config, Seq2SeqConfig):
        S = T if target_length is None else target_length
        return {"input_ids": ids, "labels": rng.integers(0, config.targets, (B, S))}
    if isinstance(config, LSTMClassifierConfig):
        return {"input_ids": ids, "labels": rng.integers(0, max(2, config.num_labels), B)}
    if not isinstance(config, BertConfig):
        return {"input_ids": ids, "labels": ids}
    kind = config.architectures[0] if config.architectures else "BertModel"
    labels: dict[str, Any] = {
        "BertModel": {},
        "BertForMaskedLM": {"labels": ids},
        "BertForPreTraining": {"labels": ids, "next_sentence_label": rng.integers(0, 2, B)},
        "BertForSequenceClassification": {"labels": rng.integers(0, config.num_labels, B)},
        "BertForTokenClassification": {"labels": rng.integers(0, config.num_labels, (B, T))},
        "BertForQuestionAnswering": {
            "start_positions": rng.integers(0, T, B), "end_positions": rng.integers(0, T, B),
        },
    }  # fmt: skip
    return {"input_ids": ids, **labels[kind]}


def training_loss(model: Any, batch: dict[str, Any]) -> Tensor:
    """The loss of a batch; for a model without a head the mean of what it gives."""
    output = model(**batch)
    if output.loss is not None:
        return output.loss
    return output.last_hidden_state.mean() + output.pooler_output.mean()


def count_step(compute: Callable[[], Any], model: Any) -> StepCount:
    """Watch what compute() calls; backward need not run, because the graph tells what it will do.

    Left out of the bytes: parameters, tables of positions, integers, and single numbers.
    """
    flop, backward, nodes = dict.fromkeys(PRODUCTS, 0), 0, []

    def tell(node: Any, values: list, outs: tuple, options: dict) -> None:
        nonlocal backward
        if node.op.name in PRODUCTS:
            forward = _flop(node.op.name, [getattr(v, "shape", None) for v in values])
            flop[node.op.name] += forward
            backward += forward * _gradients(node)
        if any(node.edges):
            nodes.append(node)

    with recording(tell):
        result = compute()
    saved = _buffers(nodes, {id(_owner(p.data)) for p in model.parameters()})
    del result  # it kept the graph, and with it the buffers, alive until they were counted
    seen = {name: count for name, count in flop.items() if count}
    return StepCount(sum(flop.values()), backward, saved, seen)


def _flop(operation: str, shapes: list) -> int:
    """FLOP of the products within one call, from the shapes of its arrays."""
    first, second = shapes[:2]
    if operation == "linear":
        return 2 * math.prod(first) * second[-1]
    if operation == "matmul":
        rows = first if len(first) > 1 else (1, *first)
        columns = second if len(second) > 1 else (*second, 1)
        stack = np.broadcast_shapes(rows[:-2], columns[:-2])
        return 2 * math.prod(stack) * rows[-2] * rows[-1] * columns[-1]
    if operation == "scaled_dot_product_attention":
        q, k, v = shapes[:3]
        return 2 * math.prod(q[:3]) * k[2] * (q[3] + v[3])
    weight_x, weight_h = [s for s in shapes if s is not None and len(s) == 2][-2:]
    B, T, _ = first
    return 2 * B * T * (math.prod(weight_x) + math.prod(weight_h))


def _gradients(node: Any) -> int:
    """How many products as large as forward's the backward pass of a call takes.

    Those that may skip one compute a product for each operand that gets a gradient, the others two.
    """
    if node.op.takes_needs:
        return sum(edge is not None for edge in node.edges[:2])
    return 2 if any(node.edges) else 0


def _owner(array: Any) -> Any:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _buffers(nodes: list, excluded: set[int]) -> int:
    """Bytes of all floating and boolean buffers that the nodes saved, each once."""
    sizes = {}
    for node in nodes:
        for array in () if node.op.name in TABLES else arrays_in(node.saved):
            owner = _owner(array)
            if owner.dtype.kind in "fb" and owner.ndim and id(owner) not in excluded:
                sizes[id(owner)] = owner.nbytes
    return sum(sizes.values())
