"""The encoder-decoder Transformer (Vaswani et al. 2017, arXiv:1706.03762): from one text to another.

    memory = encoder(embed(source))                       every position sees all of the source
    x      = decoder(embed(target), memory)               causal, and sees all of memory
    logits = x @ target_embedding^T                       the output matrix, tied (section 3.4)
    embed  = embedding[ids] * sqrt(d_model) + sines       sections 3.4 and 3.5, then dropout

In training the decoder reads the right translation moved by one, start token first, and predicts
each token from those before it.  In writing it reads what it wrote itself.

The norms stand after each part, as published, or before (norm_first=True, Xiong et al. 2020,
arXiv:2002.04745); only the latter needs a norm after the last layer, so only it gets one.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import functional as F
from ..autograd import Tensor, no_grad, unwrap
from ..backend import default_generator, to_numpy
from ..generation import generate
from ..nn import Embedding, Linear, Module, Transformer, evaluating
from ..nn.arguments import require_known
from ..nn.transformer import ACTIVATIONS
from ..ops.checks import require_ids
from ..recompute import RecomputeMixin
from .inputs import as_ids, key_mask
from .output import ModelOutput
from .pretrained import PretrainedMixin
from .sequences import (
    RowPositions,
    config_of,
    each_part,
    require_fields,
    require_logits_to_keep,
    require_room,
    require_tokens,
    take_rows,
)

NAME = "Seq2SeqTransformer"


@dataclass
class Seq2SeqConfig:
    """The shape of an encoder-decoder; the defaults are the base model of the paper (table 3).

    >>> Seq2SeqConfig(vocab_size=100, num_encoder_layers=2).d_model
    512
    """

    vocab_size: int = 37000  # V, of the source, and of the target unless that has its own
    target_vocab_size: int | None = None  # None: one vocabulary for both
    d_model: int = 512  # C, the width
    nhead: int = 8  # H; the width of a head is C / H
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dim_feedforward: int = 2048  # F
    dropout: float = 0.1
    activation: str = "relu"  # or "gelu", "gelu_tanh", "gelu_new", "silu"
    norm_first: bool = False  # False as published, True for pre-norm
    layer_norm_eps: float = 1e-5
    max_position_embeddings: int = 1024  # the longest source and the longest target
    share_embeddings: bool = True  # source and target look up the same table
    tie_word_embeddings: bool = True  # the output matrix is the target's table, transposed
    label_smoothing: float = 0.0  # 0.1 in the paper (section 5.4)
    pad_token_id: int | None = 0
    decoder_start_token_id: int = 1  # what the decoder reads first
    eos_token_id: int | None = 2  # what ends a target
    model_type: str = "seq2seq_transformer"

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "d_model", "nhead", "num_encoder_layers", "num_decoder_layers",
                 "dim_feedforward", "max_position_embeddings")  # fmt: skip
        require_fields(self, sizes, ("dropout", "label_smoothing"))
        if self.target_vocab_size is not None:
            require_fields(self, ("target_vocab_size",), ())
        if self.d_model % self.nhead:
            raise ValueError(
                f"Seq2SeqConfig: d_model {self.d_model} must be a multiple of nhead {self.nhead}"
            )
        require_known(self, activation=tuple(ACTIVATIONS))
        if self.share_embeddings and self.targets != self.vocab_size:
            raise ValueError(
                f"Seq2SeqConfig: share_embeddings needs one vocabulary, but vocab_size is "
                f"{self.vocab_size} and target_vocab_size {self.targets}: set share_embeddings=False"
            )
        special = ("pad_token_id", "decoder_start_token_id", "eos_token_id")
        require_tokens(self, self.targets, *special)
        if self.decoder_start_token_id is None:
            raise ValueError("Seq2SeqConfig: decoder_start_token_id must be an id: it comes first")

    @property
    def targets(self) -> int:
        """How many tokens the decoder can write."""
        return self.vocab_size if self.target_vocab_size is None else self.target_vocab_size

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json."""
        return asdict(self)


class DecoderCache:
    """What the decoder needs from one step to the next.

    memory    the encoder's result (N, S, C), and visible (N, S) or None: which of it are tokens
    past      for each layer the keys and values of the target so far, and those of memory, which are
              projected in the first step and never again; None before it
    length    target tokens in it
    source    (N,) which of the sources at the start each row writes for
    keep      False keeps only the memory: each step then computes the whole target anew
    """

    def __init__(self, memory: Tensor, visible: Any = None, *, keep: bool = True) -> None:
        self.memory, self.visible, self.keep = memory, visible, keep
        self.source = np.arange(len(memory))
        self.past: Any = None
        self.length = 0

    def update(self, past: Any, tokens: int) -> None:
        """Keep the keys and values after so many further tokens, without their history."""
        if self.keep:
            self.past = each_part(past, Tensor.detach)
            self.length += tokens

    def reorder(self, rows: Any, *, start: int = 0) -> None:
        """Row i becomes a copy of what row rows[i] was; rows may repeat, so the batch may change.

        Where every row still writes for the same source, what belongs to memory stays as it is.
        start    as for KVCache; rows are always taken whole
        """
        rows = np.asarray(rows)
        source = self.source[rows]

        def moved(part: Any) -> Any:
            return take_rows(part, rows)

        if np.array_equal(source, self.source):
            if self.past is not None:
                self.past = [(each_part(own, moved), memory) for own, memory in self.past]
            return
        self.memory, self.past = moved(self.memory), each_part(self.past, moved)
        self.visible = None if self.visible is None else moved(self.visible)
        self.source = source


class Seq2SeqTransformer(PretrainedMixin, RecomputeMixin, Module):
    """Reads a source, writes a target: translation, summaries, answers.

    Seq2SeqTransformer(config), or fields of Seq2SeqConfig by name.

    Parameters   embedding (V, C), normal with standard deviation 1/sqrt(C); target_embedding if it is
                 not shared; transformer as nn.Transformer; output (C, V) if it is not tied

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "d_model": 6, "nhead": 3, "dim_feedforward": 8}
    >>> layers = {"num_encoder_layers": 1, "num_decoder_layers": 2}
    >>> model = Seq2SeqTransformer(**sizes, **layers, rng=np.random.default_rng(0)).eval()
    >>> source, target = np.array([[3, 4, 5, 6]]), np.array([[7, 8, 2]])
    >>> model(source, labels=target).logits.shape
    (1, 3, 11)
    >>> model.generate(source, max_new_tokens=5, num_beams=2, eos_token_id=[]).shape
    (1, 6)
    """

    config_class = Seq2SeqConfig
    stored_transposed = ()  # files hold the arrays as they are here

    def __init__(
        self,
        config: Seq2SeqConfig | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> None:
        config = self.config = config_of(NAME, Seq2SeqConfig, config, options)
        rng = default_generator(rng)
        C, given = config.d_model, {"dtype": dtype, "rng": rng}
        self.embedding = Embedding(config.vocab_size, C, **given)
        self.target_embedding = None
        if not config.share_embeddings:
            self.target_embedding = Embedding(config.targets, C, **given)
        for table in (self.embedding, self.target_embedding):
            if table is not None:
                table.weight.data[...] = rng.normal(0.0, 1 / math.sqrt(C), table.weight.shape)
        self.positions = RowPositions(C, config.dropout, config.max_position_embeddings)
        self.transformer = Transformer(
            C, config.nhead, config.num_encoder_layers, config.num_decoder_layers,
            config.dim_feedforward, config.dropout, activation=config.activation,
            norm_first=config.norm_first, layer_norm_eps=config.layer_norm_eps, **given,
        )  # fmt: skip
        if not config.norm_first:  # each layer ends with a norm already
            self.transformer.encoder.norm = self.transformer.decoder.norm = None
        self.output = None
        if not config.tie_word_embeddings:
            self.output = Linear(C, config.targets, bias=False, **given)

    # ------------------------------------------------------------------------------ learning

    def forward(
        self,
        input_ids: Any,
        decoder_input_ids: Any = None,
        attention_mask: Any = None,
        decoder_attention_mask: Any = None,
        labels: Any = None,
        *,
        label_smoothing: float | None = None,
    ) -> ModelOutput:
        """Logits (B, T, V) for the next target token at each position, and the loss of labels.

        input_ids                (B, S) the sources
        decoder_input_ids        (B, T) what the decoder reads; the labels, shifted, if left out
        attention_mask           (B, S) 1 for tokens of the source, 0 for padding on either side
        decoder_attention_mask   (B, T) the same for the target; not needed for padding on the right,
                                 which no real position sees
        labels                   (B, T) the targets, end token included; -100 is ignored.  Unlike those
                                 of a language model they stand where they are predicted
        label_smoothing          that of the config, if left out
        """
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError(
                    f"{NAME}: give labels to learn from, or decoder_input_ids; to write a target "
                    "call generate"
                )
            decoder_input_ids = self.shift_right(labels)
        memory, visible = self.encode(input_ids, attention_mask)
        logits = self.decode(
            decoder_input_ids, memory, visible, decoder_attention_mask=decoder_attention_mask
        )
        if labels is None:
            return ModelOutput(logits=logits)
        targets = as_ids(NAME, "labels", labels)
        if targets.shape != logits.shape[:2]:
            raise ValueError(
                f"{NAME}: labels {targets.shape} must have the shape of decoder_input_ids "
                f"{logits.shape[:2]}: both hold a target for each position"
            )
        require_ids(NAME, "labels", targets, self.config.targets, unless=-100)
        smoothing = self.config.label_smoothing if label_smoothing is None else label_smoothing
        loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        return ModelOutput(loss, logits, num_targets=int((targets != -100).sum()))

    def shift_right(self, labels: Any) -> np.ndarray:
        """What the decoder reads to predict these labels: the start token, then all but the last.

        Ignored labels (-100) become padding.

        Shapes   (B, T) -> (B, T), on the host

        >>> model = Seq2SeqTransformer(vocab_size=9, d_model=2, nhead=1, num_encoder_layers=1)
        >>> model.shift_right([[5, 6, 2, -100]])
        array([[1, 5, 6, 2]])
        """
        labels = to_numpy(as_ids(NAME, "labels", labels))
        start = np.full((len(labels), 1), self.config.decoder_start_token_id, dtype=np.int64)
        padding = self.config.pad_token_id or 0
        read = np.where(labels[:, :-1] == -100, padding, labels[:, :-1])
        return np.concatenate([start, read], axis=1)

    # -------------------------------------------------------------------------------- halves

    def encode(self, input_ids: Any, attention_mask: Any = None) -> tuple[Tensor, Any]:
        """What the decoder needs of the sources: (memory, which of it are tokens, or None).

        Shapes   input_ids, attention_mask (B, S) -> (B, S, C), boolean (B, S)
        Raises   ValueError if a source has no tokens or more than the model has positions
        """
        ids = as_ids(NAME, "input_ids", input_ids)
        require_room(NAME, "input_ids", ids, self.config.max_position_embeddings)
        if attention_mask is not None:
            empty = np.flatnonzero(~to_numpy(unwrap(attention_mask)).astype(bool).any(axis=-1))
            if empty.size:
                raise ValueError(
                    f"{NAME}: row {empty[0]} of attention_mask shows no tokens: leave empty sources "
                    "out, or give them one token"
                )
        x, visible = self._embed(self.embedding, ids, attention_mask)
        return self.transformer.encoder(x, key_visible=visible), visible

    def decode(
        self,
        decoder_input_ids: Any,
        memory: Tensor,
        memory_visible: Any = None,
        *,
        decoder_attention_mask: Any = None,
        cache: DecoderCache | None = None,
        logits_to_keep: int = 0,
    ) -> Tensor:
        """Logits for the token after each one of the targets.

        cache            within no_grad(): decoder_input_ids are then only the tokens that follow
                         those in it
        logits_to_keep   compute the logits of so many last positions only; 0 for all
        Shapes           decoder_input_ids (B, T), memory (B, S, C), memory_visible (B, S)
                         -> (B, T, V)
        """
        ids = as_ids(NAME, "decoder_input_ids", decoder_input_ids)
        require_logits_to_keep(NAME, logits_to_keep, None)
        if len(ids) != len(memory):
            raise ValueError(
                f"{NAME}: decoder_input_ids {ids.shape} must have one row for each of the "
                f"{len(memory)} sources"
            )
        cached = 0 if cache is None else cache.length
        limit = self.config.max_position_embeddings
        require_room(NAME, "decoder_input_ids", ids, limit, cached)
        x, visible = self._embed(self._target_table, ids, decoder_attention_mask, cached)
        masks = {"key_visible": visible, "memory_key_visible": memory_visible, "is_causal": True}
        if cache is None:
            x = self.transformer.decoder(x, memory, **masks)
        else:
            x, past = self.transformer.decoder(x, memory, past=cache.past, use_cache=True, **masks)
            cache.update(past, ids.shape[1])
        x = x[:, -logits_to_keep:] if logits_to_keep else x
        if self.output is None:
            return F.linear(x, self._target_table.weight.T)
        return self.output(x)

    @property
    def _target_table(self) -> Embedding:
        return self.embedding if self.target_embedding is None else self.target_embedding

    def _embed(
        self, table: Embedding, ids: Any, attention_mask: Any, cached: int = 0
    ) -> tuple[Tensor, Any]:
        """(tokens and positions (B, T, C), which are tokens (B, T) or None)."""
        x = table(ids) * math.sqrt(self.config.d_model)  # (B, T, C)
        if attention_mask is None:
            return self.positions(x, start=cached), None
        shown, positions = key_mask(NAME, attention_mask, ids, like=x.data, cached=cached)
        return self.positions.at(x, positions), shown[:, 0, 0]

    # ------------------------------------------------------------------------------- writing

    def generate(
        self,
        input_ids: Any,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        *,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        use_cache: bool = True,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        early_stopping: "bool | str" = False,
        num_return_sequences: int = 1,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        eos_token_id: "int | Sequence[int] | None" = None,
        pad_token_id: int | None = None,
        rng: np.random.Generator | None = None,
        streamer: Any = None,
    ) -> np.ndarray:
        """Write a target for each source; the options are those of minillm.generation.generate.

        input_ids           (B, S) the sources, which are read once
        attention_mask      (B, S) 1 for tokens, 0 for padding on either side
        decoder_input_ids   (B, T) how the targets begin; the start token if left out
        max_length          of the target, its beginning included; or max_new_tokens without it
        use_cache           keep the keys and values of the target so far, and those of the source;
                            without it both are computed anew for each token, with the same result

        Shapes   -> (B * num_return_sequences, T + new) int64 on the host, the beginning included;
                 after the end token pad_token_id
        """
        with no_grad(), evaluating(self):
            memory, visible = self.encode(input_ids, attention_mask)
        if decoder_input_ids is None:
            start = self.config.decoder_start_token_id
            decoder_input_ids = np.full((len(memory), 1), start, dtype=np.int64)
        return generate(
            _Writer(self, memory, visible, use_cache), decoder_input_ids, max_length,
            max_new_tokens, do_sample, temperature, top_k, top_p, num_beams, length_penalty,
            early_stopping, num_return_sequences, repetition_penalty, eos_token_id=eos_token_id,
            pad_token_id=pad_token_id, rng=rng, streamer=streamer,
        )  # fmt: skip


class _Writer:
    """The decoder in front of sources that are read: to `generate` it is a causal model.

    It has a cache in any case, because beams change their rows, and memory must follow them.
    """

    def __init__(self, model: Seq2SeqTransformer, memory: Tensor, visible: Any, keep: bool) -> None:
        self.model, self.config = model, model.config
        self.memory, self.visible, self.keep = memory, visible, keep

    def modules(self) -> Any:
        """Those of the model, to be put into evaluation mode."""
        return self.model.modules()

    def new_cache(self, batch: int, capacity: int) -> DecoderCache:
        """A cache that holds the memory."""
        return DecoderCache(self.memory, self.visible, keep=self.keep)

    def __call__(self, ids: Any, *, cache: DecoderCache, logits_to_keep: int = 0) -> ModelOutput:
        """Logits for the next token."""
        logits = self.model.decode(
            ids, cache.memory, cache.visible, cache=cache, logits_to_keep=logits_to_keep
        )
        return ModelOutput(logits=logits)
