"""What a model costs, by formula: parameters, FLOP and memory of a forward pass and a training step.

Nearly all time goes into matrix products.  An entry of a (m, k) @ b (k, n) takes k multiplications
and k additions, so

    FLOP(a @ b) = 2 m n k                                                                   (1)

A linear layer with P = k n weights, applied to N = B·T tokens, thus takes 2 N P: two for each weight
and token.  Attention multiplies no weights, but each query with each key, and each weight with each
value: 2 · (2 B H T S D).  Everything else (norms, activations, softmax, the optimizer) is a few
operations per number, not a few hundred: it costs time by moving memory, and is not counted here.

Backward takes twice as much as forward.  out = a @ b has two gradients (ops/matmul.py),

    grad_a = grad_out @ b^T     2 m k n          grad_b = a^T @ grad_out     2 k n m         (2)

and each is a product as large as forward's.  A training step is therefore three forward passes.

Two well-known approximations stand beside the sum.  Kaplan et al. 2020 (arXiv:2001.08361, eq. 2.2) for
a decoder, per token, with N the parameters without embeddings:

    C_forward = 2 N + 2 L T C                                                               (3)

where the second term is half of what attention takes here: it is what remains if the hidden half of
the scores is never computed, while the operation here computes all of them and hides half.  And with
the attention left out, and D tokens read in all, the rule for a whole training:

    C = 6 N D              2 N D forward, 4 N D backward, by (1) and (2)                     (4)

That is why large models are costly to train.  Both factors of (4) are large, and they grow together:
a model with ten times the parameters also needs about ten times the tokens to make use of them
(Hoffmann et al. 2022, arXiv:2203.15556, table 3), which is a hundred times the FLOP.  GPT-3 has
N = 175e9 and read D = 300e9 tokens: 6 N D = 3.15e23 FLOP, which at 100 GFLOP/s, what a core or two of
a laptop reach, takes a hundred thousand years.

Memory adds a floor below which training cannot start at all: four numbers for every parameter (its
value, its gradient, and Adam's two moments), and what backward needs of every layer, which grows with
the batch, and in attention with the square of the length.

Memory is counted in buffers that stay alive from forward to backward, as the operations' `Saves`
fields name them.  Left out: ids and targets, tables of positions, and single numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arguments import require_whole
from .bert import BertConfig
from .gpt2 import GPT2Config
from .llama import LlamaConfig
from .recurrent import LSTMClassifierConfig, LSTMLanguageModelConfig, RecurrentConfig
from .seq2seq import Seq2SeqConfig
from .transformer_lm import TransformerLMConfig

BERT_KINDS = ("BertModel", "BertForMaskedLM", "BertForPreTraining", "BertForSequenceClassification",
              "BertForTokenClassification", "BertForQuestionAnswering")  # fmt: skip


@dataclass(frozen=True)
class CostPart:
    """One row of the table: all layers' share of one part of the model."""

    name: str
    parameters: int = 0
    flop: int = 0  # of a forward pass
    saved: int = 0  # bytes kept for backward


@dataclass(frozen=True)
class ModelCost:
    """The cost of one batch, part by part.

    parts              one CostPart for each part of the model
    workspace          bytes that the largest operation needs beside what is kept: a language model's
                       logits, the gradients of all steps of a recurrent layer
    cache_per_token    bytes that a token adds to the cache of keys and values in generation
    cache_fixed        bytes of the cache that do not grow: the state of a recurrent model, keys and
                       values of a source
    kaplan_flop        the forward pass by (3), None for models that it does not describe
    tokens             how many tokens go through the layers; half of source and target together, as
                       each of them passes about half of the parameters

    >>> from minillm.models import GPT2Config, model_cost
    >>> cost = model_cost(GPT2Config(), batch_size=1, length=1024)
    >>> f"{cost.parameters:,} parameters, {cost.training_flop / 1e12:.2f} TFLOP"
    '124,439,808 parameters, 0.87 TFLOP'
    >>> cost.part("attention scores").flop == 2 * 12 * 1024 * 1024 * 768
    True
    """

    config: Any
    batch_size: int
    length: int
    target_length: int | None
    itemsize: int
    parts: tuple[CostPart, ...]
    workspace: int
    cache_per_token: int
    cache_fixed: int
    kaplan_flop: int | None
    tokens: float

    def part(self, name: str) -> CostPart:
        """The row of this name.

        Raises   KeyError that lists the names
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(f"there is no part {name!r}, only {', '.join(p.name for p in self.parts)}")

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(part.parameters for part in self.parts)

    @property
    def forward_flop(self) -> int:
        """FLOP of all matrix products of a forward pass, by (1)."""
        return sum(part.flop for part in self.parts)

    @property
    def training_flop(self) -> int:
        """FLOP of a training step: forward, and backward by (2)."""
        return 3 * self.forward_flop

    @property
    def rule_flop(self) -> int:
        """FLOP of a training step by the rule (4), with all parameters."""
        return round(6 * self.parameters * self.tokens)

    @property
    def parameter_bytes(self) -> int:
        """The parameters; their gradients take as much."""
        return self.parameters * self.itemsize

    @property
    def adam_bytes(self) -> int:
        """Adam's two moments, for each parameter."""
        return 2 * self.parameter_bytes

    @property
    def activation_bytes(self) -> int:
        """What forward keeps for backward."""
        return sum(part.saved for part in self.parts)

    @property
    def peak_bytes(self) -> int:
        """The most that a training step needs at one time.

        What forward kept is freed on the way back while the gradients appear, so the two are not there
        in full together: the larger one counts.  Left out: the gradient of a tied embedding comes in
        two parts, and while they are added two more tables of its size exist.  With a large vocabulary
        and a small batch that is 10 to 15 % more than is said here.
        """
        held = self.parameter_bytes + self.adam_bytes
        return held + max(self.parameter_bytes, self.activation_bytes + self.workspace)

    @property
    def inference_bytes(self) -> int:
        """Parameters, and the cache for the whole batch, its sequences as long as the batch's."""
        written = self.length if self.target_length is None else self.target_length
        per_sequence = self.cache_fixed + self.cache_per_token * written
        return self.parameter_bytes + self.batch_size * per_sequence


class _Parts:
    """Adds up rows by name; sizes are those of all layers together where `times` says how many."""

    def __init__(self, itemsize: int) -> None:
        self.itemsize = itemsize
        self.rows: dict[str, list[int]] = {}

    def add(
        self, name: str, *, parameters: int = 0, flop: int = 0, floats: int = 0, flags: int = 0
    ) -> None:
        """Numbers for one row; floats and flags (of one byte) are what is kept for backward."""
        row = self.rows.setdefault(name, [0, 0, 0])
        for i, value in enumerate((parameters, flop, floats * self.itemsize + flags)):
            row[i] += value

    def linear(
        self, name: str, rows: int, inputs: int, outputs: int, *,
        bias: bool = True, tied: bool = False, keeps: bool = True, times: int = 1,
    ) -> None:  # fmt: skip
        """Linear layers; `keeps` unless its input is kept by somebody else already."""
        weight = 0 if tied else inputs * outputs
        self.add(
            name, parameters=times * (weight + bias * outputs),
            flop=times * 2 * rows * inputs * outputs, floats=times * keeps * rows * inputs,
        )  # fmt: skip

    def norm(self, rows: int, width: int, *, vectors: int, times: int = 1) -> None:
        """Norms: x_hat, and one factor for each row."""
        self.add("norms", parameters=times * vectors * width, floats=times * rows * (width + 1))

    def dropout(self, numbers: int, p: float, times: int = 1) -> None:
        """The mask of a dropout, where there is one."""
        if p:
            self.add("dropout masks", floats=times * numbers)

    def attention(
        self, name: str, B: int, H: int, T: int, S: int, D: int, *, p: float, times: int = 1
    ) -> None:
        """softmax(q k^T) v for H heads of width D: q (scaled) and the probabilities are kept."""
        product = times * 2 * B * H * T * S * D
        self.add(f"{name} scores", flop=product, floats=times * B * H * T * (S + D))
        self.add(f"{name} values", flop=product)
        self.dropout(B * H * T * S, p, times)

    def activation(self, name: str, kind: str, numbers: int) -> None:
        """What an activation keeps: relu a flag, gelu the slope, silu x and sigmoid(x)."""
        if kind == "relu":
            self.add(name, flags=numbers)
        else:
            self.add(name, floats=numbers * (2 if kind == "silu" else 1))

    def mlp(
        self, name: str, rows: int, C: int, F: int, kind: str, *,
        bias: bool = True, p: float = 0.0, times: int = 1,
    ) -> None:  # fmt: skip
        """Two linear layers, the activation and, with p, dropout between them."""
        self.linear(name, rows, C, F, bias=bias, times=times)
        self.activation(name, kind, times * rows * F)
        self.dropout(rows * F, p, times)
        self.linear(name, rows, F, C, bias=bias, times=times)

    def loss(self, rows: int, classes: int, times: int = 1) -> None:
        """Cross-entropy: exp(logits), and for each row their sum, a weight and a flag."""
        self.add("loss", floats=times * rows * (classes + 2), flags=times * rows)


@dataclass(frozen=True)
class _Rest:
    """What a formula tells beside its parts; sizes in numbers, not in bytes."""

    workspace: int
    cache_per_token: int = 0
    cache_fixed: int = 0
    decoder: tuple[int, int] | None = None  # L and C of (3)


def model_cost(
    config: Any,
    batch_size: int,
    length: int,
    *,
    target_length: int | None = None,
    dtype: Any = np.float32,
) -> ModelCost:
    """Parameters, FLOP and memory of one batch of `batch_size` sequences of `length` tokens.

    config          GPT2Config, LlamaConfig, BertConfig (with the head that architectures[0] names),
                    TransformerLMConfig, Seq2SeqConfig, LSTMClassifierConfig or
                    LSTMLanguageModelConfig; dropout counts as it acts in training
    target_length   tokens that the decoder of an encoder-decoder writes; `length` if left out
    dtype           of the parameters

    FLOP are exact, the bytes kept for backward too for batches of at least two sequences of two tokens
    (for smaller ones some copies become views).

    Raises   TypeError for another config; ValueError for sizes below 1, or more tokens than positions

    >>> from minillm.models import LSTMClassifierConfig
    >>> cost = model_cost(LSTMClassifierConfig(), batch_size=32, length=100)
    >>> cost.parameters, cost.forward_flop == 2 * 32 * (100 * (50 + 128) * 4 * 128 + 128)
    (141777, True)
    """
    formula = FORMULAS.get(type(config))
    if formula is None:
        known = ", ".join(kind.__name__ for kind in FORMULAS)
        raise TypeError(f"model_cost: config must be one of {known}, got {type(config).__name__}")
    pair = isinstance(config, Seq2SeqConfig)
    if target_length is not None and not pair:
        raise ValueError(
            f"model_cost: target_length is for an encoder-decoder, not for {type(config).__name__}"
        )
    targets = (length if target_length is None else target_length) if pair else None
    sizes = {"batch_size": batch_size, "length": length}
    if targets is not None:
        sizes["target_length"] = targets
    _check_sizes(config, sizes)
    itemsize = np.dtype(dtype).itemsize
    parts = _Parts(itemsize)
    rest = formula(parts, config, *sizes.values())
    found = tuple(CostPart(name, *row) for name, row in parts.rows.items())
    tokens = batch_size * (length if targets is None else (length + targets) / 2)
    kaplan = None
    if rest.decoder is not None:
        tables = ("embedding", "positions", "LM head")
        N = sum(part.parameters for part in found if part.name not in tables)
        L, C = rest.decoder
        kaplan = batch_size * length * (2 * N + 2 * L * length * C)  # (3)
    return ModelCost(
        config, batch_size, length, targets, itemsize, found, rest.workspace * itemsize,
        rest.cache_per_token * itemsize, rest.cache_fixed * itemsize, kaplan, tokens,
    )  # fmt: skip


def _check_sizes(config: Any, sizes: dict[str, int]) -> None:
    """Raise unless all sizes are at least 1, or 2 where each token predicts the next."""
    for name, value in sizes.items():
        require_whole("model_cost", name, value)
    owner = type(config).__name__
    positions = max_length(config)
    for name in ("length", "target_length"):
        if positions is not None and sizes.get(name, 0) > positions:
            raise ValueError(
                f"model_cost: {name} {sizes[name]} is more than the {positions} positions of this "
                f"{owner}: choose at most {positions}"
            )
    if predicts_next(config) and sizes["length"] < 2:
        raise ValueError(
            f"model_cost: length must be at least 2 for {owner}, because each token predicts the "
            f"next, got {sizes['length']}"
        )


def max_length(config: Any) -> int | None:
    """The longest sequence, or None for a recurrent model, which has no limit."""
    return getattr(config, "n_positions", getattr(config, "max_position_embeddings", None))


def predicts_next(config: Any) -> bool:
    """Whether the labels are the ids, moved by one."""
    kinds = (GPT2Config, LlamaConfig, TransformerLMConfig, LSTMLanguageModelConfig)
    return isinstance(config, kinds)


# ------------------------------------------------------------------- one formula for each model


def _gpt2(parts: _Parts, c: GPT2Config, B: int, T: int) -> _Rest:
    V, C, L, H, N = c.vocab_size, c.n_embd, c.n_layer, c.n_head, B * T
    parts.add("embedding", parameters=V * C)
    parts.add("positions", parameters=c.n_positions * C)
    parts.dropout(N * C, c.embd_pdrop)
    parts.norm(N, C, vectors=1 + c.bias, times=2 * L + 1)
    parts.linear("q, k, v", N, C, 3 * C, bias=c.bias, times=L)
    parts.add("q, k, v", floats=L * N * 3 * C)  # k and v are views of the one buffer for all three
    parts.attention("attention", B, H, T, T, C // H, p=c.attn_pdrop, times=L)
    parts.linear("attention output", N, C, C, bias=c.bias, times=L)
    parts.mlp("MLP", N, C, c.n_inner or 4 * C, "gelu", bias=c.bias, times=L)
    parts.dropout(N * C, c.resid_pdrop, times=2 * L)
    parts.linear("LM head", N, C, V, bias=False, tied=c.tie_word_embeddings)
    parts.loss(B * (T - 1), V)
    return _Rest(2 * N * V, cache_per_token=2 * L * C, decoder=(L, C))


def _llama(parts: _Parts, c: LlamaConfig, B: int, T: int) -> _Rest:
    V, C, L, N = c.vocab_size, c.hidden_size, c.num_hidden_layers, B * T
    H, G, D, F = (
        c.num_attention_heads,
        c.num_key_value_heads or 0,
        c.head_dim or 0,
        c.intermediate_size,
    )
    parts.add("embedding", parameters=V * C)
    parts.norm(N, C, vectors=1, times=2 * L + 1)
    parts.linear("q, k, v", N, C, (H + 2 * G) * D, bias=c.attention_bias, times=L)
    parts.add("q, k, v", floats=L * N * 2 * G * D)
    parts.attention("attention", B, H, T, T, D, p=c.attention_dropout, times=L)
    parts.linear("attention output", N, H * D, C, bias=c.attention_bias, times=L)
    parts.linear("MLP", N, C, 2 * F, bias=c.mlp_bias, times=L)  # gate and up
    parts.activation("MLP", "silu", L * N * F)
    parts.add("MLP", floats=L * N * 2 * F)  # both factors of silu(gate) * up
    parts.linear("MLP", N, F, C, bias=c.mlp_bias, times=L)
    parts.linear("LM head", N, C, V, bias=False, tied=c.tie_word_embeddings)
    parts.loss(B * (T - 1), V)
    return _Rest(2 * N * V, cache_per_token=2 * L * G * D, decoder=(L, H * D))


def _bert(parts: _Parts, c: BertConfig, B: int, T: int) -> _Rest:
    C, L, H, N, p = (
        c.hidden_size,
        c.num_hidden_layers,
        c.num_attention_heads,
        B * T,
        c.hidden_dropout_prob,
    )
    parts.add("embedding", parameters=c.vocab_size * C)
    parts.add("positions", parameters=(c.max_position_embeddings + c.type_vocab_size) * C)
    parts.norm(N, C, vectors=2, times=2 * L + 1)
    parts.dropout(N * C, p, times=2 * L + 1)
    parts.linear("q, k, v", N, C, 3 * C, times=L)
    parts.add("q, k, v", floats=L * N * 2 * C)
    parts.attention("attention", B, H, T, T, C // H, p=c.attention_probs_dropout_prob, times=L)
    parts.linear("attention output", N, C, C, times=L)
    parts.mlp("MLP", N, C, c.intermediate_size, _plain(c.hidden_act), times=L)
    return _Rest(_bert_head(parts, c, B, T), decoder=(L, C))


def _bert_head(parts: _Parts, c: BertConfig, B: int, T: int) -> int:
    """The head and its loss; returns the size of the logits, if they are many."""
    kind = c.architectures[0] if c.architectures else "BertModel"
    if kind not in BERT_KINDS:
        raise ValueError(f"model_cost: {kind!r} must be one of {', '.join(BERT_KINDS)}")
    V, C, N, labels = c.vocab_size, c.hidden_size, B * T, c.num_labels
    words = kind in ("BertForMaskedLM", "BertForPreTraining")
    p = c.hidden_dropout_prob if c.classifier_dropout is None else c.classifier_dropout
    if words:
        parts.linear("LM transform", N, C, C)
        parts.activation("LM transform", _plain(c.hidden_act), N * C)
        parts.norm(N, C, vectors=2)
        parts.linear("LM head", N, C, V, tied=True)
        parts.loss(N, V)
    if kind in ("BertModel", "BertForPreTraining", "BertForSequenceClassification"):
        # it reads the first token of a buffer that holds all, and keeps that one; tanh keeps its result
        parts.linear("pooler", B, C, C, keeps=False)
        parts.add("pooler", floats=B * C + (0 if words else N * C))
    if kind == "BertForPreTraining":
        parts.linear("next sentence", B, C, 2, keeps=False)
        parts.loss(B, 2)
    elif kind == "BertForSequenceClassification":
        parts.dropout(B * C, p)
        parts.linear("classifier", B, C, labels, keeps=p > 0)
        if labels == 1:
            parts.add("loss", floats=B)  # the difference that is squared
        else:
            parts.loss(B, labels)
    elif kind == "BertForTokenClassification":
        parts.dropout(N * C, p)
        parts.linear("classifier", N, C, labels)
        parts.loss(N, labels)
    elif kind == "BertForQuestionAnswering":
        parts.linear("classifier", N, C, 2)
        parts.loss(B, T, times=2)
    return N * V if words else 0


def _plain(activation: str) -> str:
    """gelu, relu or silu: which form of the GELU does not matter here."""
    return "gelu" if activation.startswith("gelu") else activation


def _layers(
    parts: _Parts, prefix: str, B: int, T: int, S: int, C: int, H: int, F: int, kind: str, p: float,
    times: int, crossed: bool = False,
) -> None:  # fmt: skip
    """Layers of nn.Transformer; with `crossed` also their attention to a memory of S tokens.

    Pre-norm and post-norm cost the same: only the places of the norms differ.
    """
    N = B * T
    parts.norm(N, C, vectors=2, times=times * (3 if crossed else 2))
    parts.linear(f"{prefix}q, k, v", N, C, 3 * C, times=times)
    parts.add(f"{prefix}q, k, v", floats=times * N * 2 * C)
    parts.attention(f"{prefix}attention", B, H, T, T, C // H, p=p, times=times)
    parts.linear(f"{prefix}attention output", N, C, C, times=times)
    if crossed:
        parts.linear("cross q", N, C, C, times=times)
        parts.linear("cross k, v", B * S, C, 2 * C, keeps=False, times=times)
        parts.add("cross k, v", floats=(2 * times + 1) * B * S * C)  # all read the same memory
        parts.attention("cross attention", B, H, T, S, C // H, p=p, times=times)
        parts.linear("cross output", N, C, C, times=times)
    parts.mlp(f"{prefix}MLP", N, C, F, _plain(kind), p=p, times=times)
    parts.dropout(N * C, p, times=times * (3 if crossed else 2))


def _transformer_lm(parts: _Parts, c: TransformerLMConfig, B: int, T: int) -> _Rest:
    V, C, N = c.ntoken, c.ninp, B * T
    parts.add("embedding", parameters=V * C, floats=N * C)  # the factor of sqrt(C)
    parts.dropout(N * C, c.dropout)
    _layers(parts, "", B, T, T, C, c.nhead, c.nhid, "relu", c.dropout, c.nlayers)
    parts.linear("LM head", N, C, V)
    parts.loss(B * (T - 1), V)
    return _Rest(2 * N * V, cache_per_token=2 * c.nlayers * C, decoder=(c.nlayers, C))


def _seq2seq(parts: _Parts, c: Seq2SeqConfig, B: int, S: int, T: int) -> _Rest:
    C, V, L = c.d_model, c.targets, c.num_decoder_layers
    tables = c.vocab_size * C + (0 if c.share_embeddings else V * C)
    parts.add("embedding", parameters=tables, floats=B * (S + T) * C)
    parts.dropout(B * (S + T) * C, c.dropout)
    shape = (C, c.nhead, c.dim_feedforward, c.activation, c.dropout)
    _layers(parts, "encoder ", B, S, S, *shape, c.num_encoder_layers)
    _layers(parts, "decoder ", B, T, S, *shape, L, crossed=True)
    if c.norm_first:  # one more after each stack
        parts.norm(B * S, C, vectors=2)
        parts.norm(B * T, C, vectors=2)
    parts.linear("LM head", B * T, C, V, bias=False, tied=c.tie_word_embeddings)
    parts.loss(B * T, V)
    return _Rest(B * T * V, cache_per_token=2 * L * C, cache_fixed=2 * L * C * S)


# cell -> blocks of columns, bias vectors, states (B, H) kept per step, and gates kept per step
CELLS = {"lstm": (4, 1, 2, 4), "gru": (3, 2, 1, 4), "rnn": (1, 1, 1, 0)}


def _recurrent(parts: _Parts, c: RecurrentConfig, B: int, T: int) -> int:
    """Embedding and stack; returns how much the backward pass of one layer needs at a time."""
    E, H, N, p = c.embedding_dim, c.hidden_size, B * T, c.dropout
    G, biases, states, gates = CELLS[c.cell]
    directions = 2 if c.bidirectional else 1
    parts.add("embedding", parameters=c.vocab_size * E)
    parts.dropout(N * E, p)
    for layer in range(c.num_layers):
        width = E if layer == 0 else H * directions
        # a layer above the first reads what the one below keeps, unless that was changed on the way;
        # an lstm has x_t above h_{t-1} in one block of its own, with T + 1 steps
        copies = layer == 0 or p > 0 or c.bidirectional
        kept = N + B if c.cell == "lstm" else copies * N
        parts.add(
            "input to gates", parameters=directions * width * G * H,
            flop=directions * 2 * N * width * G * H, floats=directions * kept * width,
        )  # fmt: skip
        parts.add(
            "state to gates", parameters=directions * (H + biases) * G * H,
            flop=directions * 2 * N * H * G * H,
            floats=directions * (states * (N + B) * H + gates * N * H),
        )  # fmt: skip
    parts.dropout(N * H * directions, p, times=c.num_layers - 1)
    # the gradients of the gates three times over (factors, results, in another order), and of h and c
    return N * (3 * G * H + 3 * H + max(E, H * directions if c.num_layers > 1 else 0))


def _lstm_classifier(parts: _Parts, c: LSTMClassifierConfig, B: int, T: int) -> _Rest:
    workspace = _recurrent(parts, c, B, T)
    width = c.hidden_size * (2 if c.bidirectional else 1)
    parts.dropout(B * width, c.dropout)
    fresh = c.dropout > 0 or c.bidirectional
    parts.linear("classifier", B, width, c.num_labels, keeps=fresh)
    if not fresh:  # a view of the final states of all layers
        parts.add("classifier", floats=c.num_layers * B * c.hidden_size)
    if c.num_labels == 1:
        parts.add("loss", floats=2 * B)
    else:
        parts.loss(B, c.num_labels)
    return _Rest(workspace)


def _lstm_lm(parts: _Parts, c: LSTMLanguageModelConfig, B: int, T: int) -> _Rest:
    H, V, N = c.hidden_size, c.vocab_size, B * T
    workspace = _recurrent(parts, c, B, T)
    parts.dropout(N * H, c.dropout)
    parts.linear("LM head", N, H, V, tied=c.tie_word_embeddings, keeps=c.dropout > 0)
    parts.loss(B * (T - 1), V)
    states = 2 if c.cell == "lstm" else 1
    return _Rest(max(2 * N * V, workspace), cache_fixed=states * c.num_layers * H)


FORMULAS: dict[type, Callable[..., _Rest]] = {
    GPT2Config: _gpt2,
    LlamaConfig: _llama,
    BertConfig: _bert,
    TransformerLMConfig: _transformer_lm,
    Seq2SeqConfig: _seq2seq,
    LSTMClassifierConfig: _lstm_classifier,
    LSTMLanguageModelConfig: _lstm_lm,
}
