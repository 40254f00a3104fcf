"""A Transformer encoder that reads from left to right only, as a language model.

The model of many tutorials, with their arguments (ntoken, ninp, nhead, nhid, nlayers, dropout) and
their names of the parts; its layers are those of Vaswani et al. 2017 (arXiv:1706.03762, section 3):

    x      = encoder[ids] * sqrt(ninp) + sines                         sections 3.4 and 3.5
    x      = transformer_encoder(x)     position t sees positions up to t
    logits = decoder(x)                 for token t + 1, at every position

The scale makes the entries of the embedding, drawn with variance 1, weigh more than the positions,
whose entries stay within -1 … 1.

Some listings of this model leave two things to the reader: the source mask, without which every
position sees the token that it is to predict, and the order of the axes (positions counted along
axis 1, attention along axis 0).  Here the causal mask is the default, and everything is batch first.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import default_generator
from ..generation import GenerationMixin
from ..nn import Embedding, Linear, Module, TransformerEncoder, TransformerEncoderLayer
from ..recompute import RecomputeMixin
from .inputs import as_ids, key_mask
from .output import ModelOutput
from .pretrained import PretrainedMixin
from .sequences import (
    RowPositions,
    StepCache,
    config_of,
    next_token_loss,
    require_fields,
    require_logits_to_keep,
    require_room,
    require_tokens,
)

NAME = "TransformerLanguageModel"


@dataclass
class TransformerLMConfig:
    """The shape of the model; the defaults are those of the tutorials.

    >>> TransformerLMConfig(ntoken=100).ninp
    512
    """

    ntoken: int = 10000  # V
    ninp: int = 512  # C, the width
    nhead: int = 8  # H; the width of a head is C / H
    nhid: int = 2048  # F, the width inside the feed-forward part
    nlayers: int = 6  # L
    dropout: float = 0.5
    max_position_embeddings: int = 5000  # the longest sequence
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    model_type: str = "transformer_lm"

    def __post_init__(self) -> None:
        sizes = ("ntoken", "ninp", "nhead", "nhid", "nlayers", "max_position_embeddings")
        require_fields(self, sizes, ("dropout",))
        require_tokens(self, self.ntoken, "bos_token_id", "eos_token_id", "pad_token_id")
        if self.ninp % self.nhead:
            raise ValueError(
                f"TransformerLMConfig: ninp {self.ninp} must be a multiple of nhead {self.nhead}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json."""
        return asdict(self)


class TransformerLanguageModel(GenerationMixin, PretrainedMixin, RecomputeMixin, Module):
    """A Transformer encoder with a causal mask, and logits for the next token at every position.

    TransformerLanguageModel(ntoken, ninp, nhead, nhid, nlayers, dropout=0.5), with further fields of
    TransformerLMConfig by name; or TransformerLanguageModel(config).

    Parameters   encoder (V, C) standard normal; transformer_encoder, layers as in
                 nn.TransformerEncoderLayer, each drawn for itself; decoder (C, V) and its bias

    >>> import numpy as np
    >>> model = TransformerLanguageModel(11, 6, 3, 8, 2, 0.2, rng=np.random.default_rng(0)).eval()
    >>> ids = np.array([[1, 2, 3]])
    >>> model(ids, labels=ids).logits.shape, model.generate(ids, max_new_tokens=4).shape
    ((1, 3, 11), (1, 7))
    """

    config_class = TransformerLMConfig
    stored_transposed = ()  # files hold the arrays as they are here

    def __init__(
        self,
        ntoken: "int | TransformerLMConfig | None" = None,
        ninp: int | None = None,
        nhead: int | None = None,
        nhid: int | None = None,
        nlayers: int | None = None,
        dropout: float | None = None,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
        **options: Any,
    ) -> None:
        given = {"ninp": ninp, "nhead": nhead, "nhid": nhid, "nlayers": nlayers, "dropout": dropout}
        options |= {name: value for name, value in given.items() if value is not None}
        config: Any = ntoken
        if isinstance(ntoken, (int, float)):
            config, options = None, {"ntoken": ntoken, **options}
        config = config_of(NAME, TransformerLMConfig, config, options)
        rng = default_generator(rng)
        self.config = config
        C = config.ninp
        self.encoder = Embedding(config.ntoken, C, dtype=dtype, rng=rng)
        self.pos_encoder = RowPositions(C, config.dropout, config.max_position_embeddings)
        layer = (C, config.nhead, config.nhid, config.dropout)
        self.transformer_encoder = TransformerEncoder(
            TransformerEncoderLayer(*layer, dtype=dtype, rng=rng), config.nlayers
        )
        for each in self.transformer_encoder.layers:  # copies of one so far
            fresh = TransformerEncoderLayer(*layer, dtype=dtype, rng=rng)
            each.load_state_dict(fresh.state_dict())
        self.decoder = Linear(C, config.ntoken, dtype=dtype, rng=rng)

    @staticmethod
    def square_subsequent_visible(length: int) -> np.ndarray:
        """The source mask that is used by default, True = may attend: no position sees a later one.

        >>> TransformerLanguageModel.square_subsequent_visible(3).astype(int)
        array([[1, 0, 0],
               [1, 1, 0],
               [1, 1, 1]])
        """
        return np.tril(np.ones((length, length), dtype=bool))

    def new_cache(self, batch: int, capacity: int = 0) -> StepCache:
        """An empty cache of keys and values for `batch` sequences; it grows with them."""
        return StepCache(batch)

    def forward(
        self,
        input_ids: Any,
        labels: Any = None,
        attention_mask: Any = None,
        *,
        src_visible: Any = None,
        src_key_visible: Any = None,
        cache: StepCache | None = None,
        logits_to_keep: int = 0,
    ) -> ModelOutput:
        """Logits for the next token at each position, and the loss if labels are given.

        input_ids         (B, T) integers
        labels            (B, T) integers, usually input_ids itself: they are shifted here, so that
                          position t predicts label t + 1; -100 is ignored
        attention_mask    (B, T) 1 for tokens, 0 for padding, which nobody sees and which does not
                          count as a position
        src_key_visible   the same as booleans, True for tokens; give one of the two
        src_visible       boolean (T, S), the source mask: which position may attend to which; by
                          default square_subsequent_visible
        cache             from new_cache, within no_grad(): input_ids are then only the tokens that
                          follow those in it, while S and attention_mask cover both
        logits_to_keep    compute the logits of so many last positions only; 0 for all
        """
        ids = as_ids(NAME, "input_ids", input_ids)
        require_logits_to_keep(NAME, logits_to_keep, labels)
        if cache is not None:
            cache.require_rows(NAME, ids)
        x = self._hidden(ids, _one_mask(attention_mask, src_key_visible), src_visible, cache)
        logits = self.decoder(x[:, -logits_to_keep:] if logits_to_keep else x)
        loss = num_targets = None
        if labels is not None:
            loss, num_targets = next_token_loss(NAME, logits, ids, labels)
        return ModelOutput(loss, logits, num_targets=num_targets)

    def _hidden(self, ids: Any, mask: Any, visible: Any, cache: StepCache | None) -> Tensor:
        """Shapes   ids (B, T) -> (B, T, C)."""
        cached = 0 if cache is None else cache.length
        require_room(NAME, "input_ids", ids, self.config.max_position_embeddings, cached)
        x = self.encoder(ids) * math.sqrt(self.config.ninp)  # (B, T, C)
        key_visible = None
        if mask is None:
            x = self.pos_encoder(x, start=cached)
        else:
            shown, positions = key_mask(NAME, mask, ids, like=x.data, cached=cached)
            key_visible, x = shown[:, 0, 0], self.pos_encoder.at(x, positions)
        masks = {"visible": visible, "key_visible": key_visible, "is_causal": visible is None}
        if cache is None:
            return self.transformer_encoder(x, **masks)
        x, past = self.transformer_encoder(x, past=cache.state, use_cache=True, **masks)
        cache.update(past, ids.shape[1])
        return x


def _one_mask(attention_mask: Any, src_key_visible: Any) -> Any:
    """The one of the two masks that is given."""
    if attention_mask is not None and src_key_visible is not None:
        raise ValueError(
            f"{NAME}: attention_mask and src_key_visible say the same, which positions are tokens: "
            "give one of them"
        )
    return src_key_visible if attention_mask is None else attention_mask
