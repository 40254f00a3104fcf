"""BERT (Devlin et al. 2019, arXiv:1810.04805): an encoder that reads a text from both sides at once.

Follows section 3 and appendix A.2 of the paper and Hugging Face's classes, whose module names and
file layout are kept, so that their weights load.  The blocks are those of Vaswani et al. (2017,
section 3.1), with the layer norm after each addition, and a GELU in place of the ReLU:

    x = LayerNorm(word + position + token type)
    x = LayerNorm(x + attention(x))          every token sees every other
    x = LayerNorm(x + mlp(x))

On top of it stands a head for each task: the words under masks and whether two sentences follow each
other (pre-training, section 3.1), a class for a text or for each token, the span of an answer
(fine-tuning, section 4).
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..arguments import require_number
from ..autograd import Tensor, unwrap
from ..backend import beside, default_generator, to_numpy
from ..nn import Dropout, Embedding, LayerNorm, Linear, Module, ModuleList, Parameter
from ..nn.arguments import (
    require_known,
    require_multiple,
    require_probability,
    require_sizes,
)
from ..recompute import RecomputeMixin
from .inputs import as_ids, key_mask
from .output import ModelOutput
from .pretrained import PretrainedMixin

ACTIVATIONS = {
    "gelu": lambda x: F.gelu(x, approximate="none"),  # exact, as published
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


@dataclass
class BertConfig:
    """The shape of a BERT; the defaults are BERT base (110 M parameters).

    >>> BertConfig(num_hidden_layers=2).hidden_size
    768
    """

    vocab_size: int = 30522  # V
    hidden_size: int = 768  # C, the width
    num_hidden_layers: int = 12  # L
    num_attention_heads: int = 12  # H; the width of a head is C / H
    intermediate_size: int = 3072  # F, the width between the two MLP layers
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1  # dropout after the embedding and where a part is added
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512  # the longest sequence
    type_vocab_size: int = 2  # first or second sentence
    initializer_range: float = 0.02  # standard deviation of the initial weights
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0  # its row of the embedding is 0, and learns nothing as an input
    classifier_dropout: float | None = None  # before a classifier; None for hidden_dropout_prob
    position_embedding_type: str = "absolute"
    is_decoder: bool = False  # an encoder: every token sees every other
    tie_word_embeddings: bool = True  # the output matrix is the embedding, transposed
    num_labels: int = 2  # classes of a classifier
    id2label: dict[Any, str] | None = None  # their names; how many there are decides num_labels
    label2id: dict[str, int] | None = None
    architectures: list[str] = field(default_factory=lambda: ["BertModel"])
    model_type: str = "bert"

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                 "intermediate_size", "max_position_embeddings", "type_vocab_size")  # fmt: skip
        require_sizes("BertConfig", **{name: getattr(self, name) for name in sizes})
        require_multiple(
            "BertConfig", "hidden_size", self.hidden_size,
            "num_attention_heads", self.num_attention_heads,
        )  # fmt: skip
        for name in ("layer_norm_eps", "initializer_range"):
            require_number("BertConfig", name, getattr(self, name), least=0)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            if getattr(self, name) is not None:
                require_probability("BertConfig", name, getattr(self, name))
        require_known(
            self,
            hidden_act=tuple(ACTIVATIONS),
            position_embedding_type=("absolute",),
            is_decoder=(False,),
            tie_word_embeddings=(True,),
        )
        self._read_labels()

    def _read_labels(self) -> None:
        """The names of the classes, by number; how many there are decides num_labels."""
        if self.id2label is None:
            require_sizes("BertConfig", num_labels=self.num_labels)
            self.id2label = {i: f"LABEL_{i}" for i in range(self.num_labels)}
        try:  # JSON has no numbers for keys
            self.id2label = {int(i): label for i, label in self.id2label.items()}
        except (ValueError, TypeError, AttributeError):
            raise ValueError(
                f"BertConfig: id2label must be numbers of classes and their names, such as "
                f"{{0: 'bad', 1: 'good'}}, got {self.id2label!r}"
            ) from None
        self.num_labels = len(self.id2label)
        self.label2id = {label: i for i, label in self.id2label.items()}

    def to_dict(self) -> dict[str, Any]:
        """All fields, for config.json; the number of labels is that of their names."""
        return {name: value for name, value in asdict(self).items() if name != "num_labels"}


class BertEmbeddings(Module):
    """Section 3: the sum of what the token is, where it stands, and which sentence it belongs to."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        C, given = config.hidden_size, {"dtype": dtype, "rng": rng}
        self.word_embeddings = Embedding(config.vocab_size, C, config.pad_token_id, **given)
        self.position_embeddings = Embedding(config.max_position_embeddings, C, **given)
        self.token_type_embeddings = Embedding(config.type_vocab_size, C, **given)
        self.LayerNorm = LayerNorm(C, config.layer_norm_eps, dtype=dtype)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Any, token_type_ids: Any) -> Tensor:
        """Shapes   input_ids, token_type_ids (B, T) -> (B, T, C)."""
        words = self.word_embeddings(input_ids)  # (B, T, C)
        types = self.token_type_embeddings(token_type_ids)  # (B, T, C)
        positions = self.position_embeddings(np.arange(input_ids.shape[1]))  # (T, C)
        return self.dropout(self.LayerNorm(words + types + positions))


class BertSelfAttention(Module):
    """Attention of every token to every visible one; what the paper's eq. 1 reads."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        C = config.hidden_size
        self.heads = config.num_attention_heads
        self.dropout_p = config.attention_probs_dropout_prob
        self.query = Linear(C, C, dtype=dtype, rng=rng)
        self.key = Linear(C, C, dtype=dtype, rng=rng)
        self.value = Linear(C, C, dtype=dtype, rng=rng)

    def split_heads(self, x: Tensor) -> Tensor:
        """Shapes   x (B, T, C) -> (B, H, T, D)."""
        B, T, C = x.shape
        return x.reshape(B, T, self.heads, C // self.heads).transpose(0, 2, 1, 3)

    def forward(self, x: Tensor, visible: Any) -> Tensor:
        """Shapes   x (B, T, C); visible broadcasting to (B, H, T, T) -> (B, T, C)."""
        q, k, v = (self.split_heads(part(x)) for part in (self.query, self.key, self.value))
        out = F.scaled_dot_product_attention(
            q, k, v, visible=visible, dropout_p=self.dropout_p if self.training else 0.0
        )  # (B, H, T, D)
        return out.transpose(0, 2, 1, 3).reshape(x.shape)

    def probabilities(self, x: Tensor, visible: Any) -> Any:
        """The attention weights as an array (B, H, T, T), for pictures."""
        q, k = self.split_heads(self.query(x)), self.split_heads(self.key(x))
        return ops.attention_probabilities(q.data, k.data, visible=visible)


class BertAddAndNorm(Module):
    """The end of both parts of a block: LayerNorm(x + dropout(dense(part)))."""

    def __init__(
        self, width: int, config: BertConfig, *, dtype: Any, rng: np.random.Generator
    ) -> None:
        self.dense = Linear(width, config.hidden_size, dtype=dtype, rng=rng)
        self.LayerNorm = LayerNorm(config.hidden_size, config.layer_norm_eps, dtype=dtype)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, part: Tensor, x: Tensor) -> Tensor:
        """Shapes   part (B, T, width); x (B, T, C) -> (B, T, C)."""
        return self.LayerNorm(x + self.dropout(self.dense(part)))


class BertAttention(Module):
    """The first half of a block."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        self.self = BertSelfAttention(config, dtype=dtype, rng=rng)  # the name in the files
        self.output = BertAddAndNorm(config.hidden_size, config, dtype=dtype, rng=rng)

    def forward(self, x: Tensor, visible: Any) -> Tensor:
        """Shapes   x (B, T, C) -> the same."""
        return self.output(self.self(x, visible), x)


class BertActivated(Module):
    """A linear layer and the activation function."""

    def __init__(
        self, width: int, config: BertConfig, *, dtype: Any, rng: np.random.Generator
    ) -> None:
        self.dense = Linear(config.hidden_size, width, dtype=dtype, rng=rng)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (..., C) -> (..., width)."""
        return self.activation(self.dense(x))


class BertLayer(Module):
    """One block: attention, then an MLP, each added to what it read and normalized."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        inner = config.intermediate_size
        self.attention = BertAttention(config, dtype=dtype, rng=rng)
        self.intermediate = BertActivated(inner, config, dtype=dtype, rng=rng)
        self.output = BertAddAndNorm(inner, config, dtype=dtype, rng=rng)

    def forward(self, x: Tensor, visible: Any) -> Tensor:
        """Shapes   x (B, T, C) -> the same."""
        x = self.attention(x, visible)
        return self.output(self.intermediate(x), x)


class BertEncoder(RecomputeMixin, Module):
    """The blocks."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        count = config.num_hidden_layers
        self.layer = ModuleList(BertLayer(config, dtype=dtype, rng=rng) for _ in range(count))

    def forward(
        self, x: Tensor, visible: Any, want_states: bool, want_attentions: bool
    ) -> tuple[Tensor, list[Tensor], list[Any]]:
        """(last hidden state (B, T, C), what each block reads and the last writes, attentions)."""
        states, attentions = [], []
        layer: Any
        for layer in self.layer:
            if want_states:
                states.append(x)
            if want_attentions:
                attentions.append(layer.attention.self.probabilities(x, visible))
            x = self.run_block(layer, x, visible)
        return x, [*states, x], attentions


class BertPooler(Module):
    """Section 3.1: the state of the first token, [CLS], stands for the whole text."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        self.dense = Linear(config.hidden_size, config.hidden_size, dtype=dtype, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (B, T, C) -> (B, C)."""
        return F.tanh(self.dense(x[:, 0]))


class BertPreTrainedModel(PretrainedMixin, RecomputeMixin, Module):
    """What all BERT models share: how weights are drawn, and how the files name them."""

    config_class = BertConfig
    # matrices that the files keep as (out, in); embeddings are not among them
    stored_transposed = (
        "query.weight", "key.weight", "value.weight", "dense.weight", "seq_relationship.weight",
        "classifier.weight", "qa_outputs.weight",
    )  # fmt: skip
    heads = r"^((bert\.)?pooler|cls|classifier|qa_outputs)\."
    renamed = (
        ("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"),
    )  # fmt: skip

    def __init__(
        self,
        config: BertConfig,
        *,
        dtype: Any = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = default_generator(rng)
        self.config = config
        self.build(config, {"dtype": dtype, "rng": rng})
        # a BertModel inside has drawn its own weights already
        new = {name for name, _ in self.named_parameters() if not name.startswith("bert.")}
        self.initialize(rng, new)

    def build(self, config: BertConfig, given: dict[str, Any]) -> None:
        """Set the layers of the model; given goes to each of them."""
        raise NotImplementedError(f"{type(self).__name__} must say which layers it has")

    def initialize(self, rng: np.random.Generator, names: Any = None) -> None:
        """Draw all weights anew, or those with the given names, as published (appendix A.2).

        Matrices are normal with standard deviation initializer_range, biases 0, scales of norms 1.
        """
        for name, p in self.named_parameters():
            if names is not None and name not in names:
                continue
            if p.ndim == 2:
                drawn = rng.normal(0.0, self.config.initializer_range, p.shape)
                if name.endswith("word_embeddings.weight") and self.config.pad_token_id is not None:
                    drawn[self.config.pad_token_id] = 0
                p.data[...] = beside(drawn, p.data)
            else:
                p.data[...] = 1 if name.endswith("LayerNorm.weight") else 0


class BertModel(BertPreTrainedModel):
    """BERT without a head: one vector for each token, and one for the text.

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 3}
    >>> config = BertConfig(**sizes, num_hidden_layers=1, intermediate_size=5)
    >>> output = BertModel(config)(np.array([[1, 2, 3]]))
    >>> output.last_hidden_state.shape, output.pooler_output.shape
    ((1, 3, 6), (1, 6))
    """

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True, **options: Any) -> None:
        self.with_pooler = add_pooling_layer
        super().__init__(config, **options)

    def build(self, config: BertConfig, given: dict[str, Any]) -> None:
        """Set the layers of the model."""
        self.embeddings = BertEmbeddings(config, **given)
        self.encoder = BertEncoder(config, **given)
        self.pooler = BertPooler(config, **given) if self.with_pooler else None

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        *,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> ModelOutput:
        """Hidden states of all tokens, and the pooled first one.

        input_ids        (B, T) integers
        attention_mask   (B, T) 1 for tokens, 0 for padding
        token_type_ids   (B, T) 0 for the first sentence, 1 for the second; all 0 if left out
        """
        ids = as_ids("BERT", "input_ids", input_ids)
        P, like = self.config.max_position_embeddings, self.embeddings.word_embeddings.weight.data
        if ids.shape[1] > P:
            raise ValueError(
                f"BERT: input_ids {ids.shape} are longer than the {P} positions of the model: cut "
                "them, as a tokenizer does with truncation=True"
            )
        types = np.zeros(ids.shape, dtype=np.int64)
        if token_type_ids is not None:
            types = as_ids("BERT", "token_type_ids", token_type_ids)
            if types.shape != ids.shape:
                raise ValueError(
                    f"BERT: token_type_ids {types.shape} must have the shape of input_ids {ids.shape}"
                )
        visible = None
        if attention_mask is not None:
            visible, _ = key_mask("BERT", attention_mask, ids, like=like)
        x, states, attentions = self.encoder(
            self.embeddings(ids, types), visible, output_hidden_states, output_attentions
        )
        return ModelOutput(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )

    def sentence_embeddings(
        self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None
    ) -> Tensor:
        """One vector of length 1 for each text: the mean over its tokens, without the padding.

        Their inner products are cosine similarities (Reimers & Gurevych 2019, arXiv:1908.10084,
        section 3).

        Shapes   all (B, T) -> (B, C)
        """
        x = self(input_ids, attention_mask, token_type_ids).last_hidden_state  # (B, T, C)
        mask = np.ones(x.shape[:2]) if attention_mask is None else unwrap(attention_mask)
        weights = to_numpy(mask).astype(x.dtype)[:, :, None]
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1)  # (B, T, 1)
        mean = (x * beside(weights, x.data)).sum(axis=1)  # (B, C)
        return mean / (mean * mean).sum(axis=-1, keepdims=True).sqrt()


class BertTransformHead(Module):
    """Before the words are predicted: one more layer with its own layer norm."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        C = config.hidden_size
        self.dense = Linear(C, C, dtype=dtype, rng=rng)
        self.LayerNorm = LayerNorm(C, config.layer_norm_eps, dtype=dtype)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        """Shapes   x (B, T, C) -> the same."""
        return self.LayerNorm(self.activation(self.dense(x)))


class BertMaskedWords(Module):
    """Logits of the words under masks: the embedding, transposed, with a bias of its own."""

    def __init__(self, config: BertConfig, *, dtype: Any, rng: np.random.Generator) -> None:
        self.transform = BertTransformHead(config, dtype=dtype, rng=rng)
        self.bias = Parameter(np.zeros(config.vocab_size, dtype=dtype))

    def forward(self, x: Tensor, word_embeddings: Tensor) -> Tensor:
        """Shapes   x (B, T, C); word_embeddings (V, C) -> (B, T, V)."""
        return F.linear(self.transform(x), word_embeddings.T, self.bias)


class BertHeads(Module):
    """The heads of pre-training, under the name `cls` as in the files."""

    def __init__(
        self, config: BertConfig, *, next_sentence: bool, dtype: Any, rng: np.random.Generator
    ) -> None:
        self.predictions = BertMaskedWords(config, dtype=dtype, rng=rng)
        self.seq_relationship = None
        if next_sentence:
            self.seq_relationship = Linear(config.hidden_size, 2, dtype=dtype, rng=rng)


class BertForPreTraining(BertPreTrainedModel):
    """BERT as it is pre-trained: masked words and next sentence (section 3.1, tasks 1 and 2).

    loss = mean cross-entropy of the masked words + mean cross-entropy of the next-sentence labels

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 3}
    >>> config = BertConfig(**sizes, num_hidden_layers=1, intermediate_size=5)
    >>> output = BertForPreTraining(config)(np.array([[1, 2, 3]]), next_sentence_label=[0])
    >>> output.logits.shape, output.seq_relationship_logits.shape, output.loss.shape
    ((1, 3, 11), (1, 2), ())
    """

    def build(self, config: BertConfig, given: dict[str, Any]) -> None:
        """Set the layers of the model."""
        self.bert = BertModel(config, **given)
        self.cls = BertHeads(config, next_sentence=True, **given)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        next_sentence_label: Any = None,
        **options: Any,
    ) -> ModelOutput:
        """Logits of every word (B, T, V) and of the order of the sentences (B, 2).

        labels                (B, T) the word at each masked position, -100 elsewhere
        next_sentence_label   (B,) 0 if the second sentence follows the first, 1 if it does not
        The loss is the sum over the labels that are given; options as for BertModel.
        """
        ids = as_ids("BERT", "input_ids", input_ids)
        output = self.bert(ids, attention_mask, token_type_ids, **options)
        words = self.bert.embeddings.word_embeddings.weight
        output.logits = self.cls.predictions(output.last_hidden_state, words)
        order: Any = self.cls.seq_relationship
        output.seq_relationship_logits = order(output.pooler_output)
        both = labels is not None and next_sentence_label is not None
        if labels is not None and not (both and _count(labels) == 0):  # no word is masked: no mean
            output.loss, output.num_targets = _token_loss(output.logits, labels, ids)
        if next_sentence_label is not None:
            target = _one_each("next_sentence_label", next_sentence_label, ids)
            loss, count = F.cross_entropy(output.seq_relationship_logits, target), _count(target)
            if both:
                first = (
                    (loss * 0.0, 0) if output.loss is None else (output.loss, output.num_targets)
                )
                output.terms = first, (loss, count)
                loss, count = first[0] + loss, first[1]
            output.loss, output.num_targets = loss, count
        return _without_encoder(output)


class BertForMaskedLM(BertPreTrainedModel):
    """BERT that fills in masked words.

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 3}
    >>> config = BertConfig(**sizes, num_hidden_layers=1, intermediate_size=5)
    >>> BertForMaskedLM(config)(np.array([[1, 2, 3]])).logits.shape
    (1, 3, 11)
    """

    def build(self, config: BertConfig, given: dict[str, Any]) -> None:
        """Set the layers of the model."""
        self.bert = BertModel(config, add_pooling_layer=False, **given)
        self.cls = BertHeads(config, next_sentence=False, **given)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        **options: Any,
    ) -> ModelOutput:
        """Logits of every word (B, T, V); labels (B, T), -100 where nothing is to be predicted."""
        ids = as_ids("BERT", "input_ids", input_ids)
        output = self.bert(ids, attention_mask, token_type_ids, **options)
        words = self.bert.embeddings.word_embeddings.weight
        output.logits = self.cls.predictions(output.last_hidden_state, words)
        if labels is not None:
            output.loss, output.num_targets = _token_loss(output.logits, labels, ids)
        return _without_encoder(output)


class BertForSequenceClassification(BertPreTrainedModel):
    """BERT with a class for each text (section 4.1), from the pooled first token.

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 3}
    >>> config = BertConfig(**sizes, num_hidden_layers=1, intermediate_size=5, num_labels=4)
    >>> BertForSequenceClassification(config)(np.array([[1, 2, 3]])).logits.shape
    (1, 4)
    """

    def build(self, config: BertConfig, given: dict[str, Any]) -> None:
        """Set the layers of the model."""
        self.bert = BertModel(config, **given)
        self.dropout = Dropout(_classifier_dropout(config))
        self.classifier = Linear(config.hidden_size, config.num_labels, **given)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        **options: Any,
    ) -> ModelOutput:
        """Logits (B, num_labels).

        labels   integers (B,): cross-entropy; with num_labels = 1 numbers (B,): mean squared error;
                 floats (B, num_labels), 0 or 1 each, for several labels at once: binary cross-entropy
        """
        ids = as_ids("BERT", "input_ids", input_ids)
        output = self.bert(ids, attention_mask, token_type_ids, **options)
        output.logits = self.classifier(self.dropout(output.pooler_output))
        if labels is not None:
            output.loss = self.loss(output.logits, labels, ids)
            whole = output.logits.shape[1] > 1 and Tensor(labels).data.dtype.kind in "iu"
            output.num_targets = _count(labels) if whole else len(ids)
        return _without_encoder(output)

    def loss(self, logits: Tensor, labels: Any, ids: Any) -> Tensor:
        """The loss that fits the labels; logits (B, num_labels)."""
        labels = Tensor(labels).data
        if self.config.num_labels == 1:
            target = _one_each("labels", labels, ids, integers=False)
            target = beside(target.astype(logits.dtype), logits.data)
            return F.mean_squared_error(logits[:, 0], target)
        if labels.dtype.kind in "iu":
            return F.cross_entropy(logits, _one_each("labels", labels, ids))
        return F.binary_cross_entropy_with_logits(
            logits, beside(labels.astype(logits.dtype), logits.data)
        )


class BertForTokenClassification(BertPreTrainedModel):
    """BERT with a class for each token (section 5.3): names, parts of speech, semantic roles.

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 3}
    >>> config = BertConfig(**sizes, num_hidden_layers=1, intermediate_size=5, num_labels=4)
    >>> BertForTokenClassification(config)(np.array([[1, 2, 3]])).logits.shape
    (1, 3, 4)
    """

    def build(self, config: BertConfig, given: dict[str, Any]) -> None:
        """Set the layers of the model."""
        self.bert = BertModel(config, add_pooling_layer=False, **given)
        self.dropout = Dropout(_classifier_dropout(config))
        self.classifier = Linear(config.hidden_size, config.num_labels, **given)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        **options: Any,
    ) -> ModelOutput:
        """Logits (B, T, num_labels); labels (B, T), -100 where a token has none."""
        ids = as_ids("BERT", "input_ids", input_ids)
        output = self.bert(ids, attention_mask, token_type_ids, **options)
        output.logits = self.classifier(self.dropout(output.last_hidden_state))
        if labels is not None:
            output.loss, output.num_targets = _token_loss(output.logits, labels, ids)
        return _without_encoder(output)


class BertForQuestionAnswering(BertPreTrainedModel):
    """BERT that finds an answer in a text (section 4.2): where it starts and where it ends.

    >>> import numpy as np
    >>> sizes = {"vocab_size": 11, "hidden_size": 6, "num_attention_heads": 3}
    >>> config = BertConfig(**sizes, num_hidden_layers=1, intermediate_size=5)
    >>> BertForQuestionAnswering(config)(np.array([[1, 2, 3]])).end_logits.shape
    (1, 3)
    """

    def build(self, config: BertConfig, given: dict[str, Any]) -> None:
        """Set the layers of the model."""
        self.bert = BertModel(config, add_pooling_layer=False, **given)
        self.qa_outputs = Linear(config.hidden_size, 2, **given)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        start_positions: Any = None,
        end_positions: Any = None,
        **options: Any,
    ) -> ModelOutput:
        """start_logits and end_logits (B, T); the loss is the mean of both cross-entropies.

        start_positions, end_positions   (B,) the first and the last token of the answer; a position
                                         beyond the text, where it was cut off, does not count
        """
        ids = as_ids("BERT", "input_ids", input_ids)
        output = self.bert(ids, attention_mask, token_type_ids, **options)
        both = self.qa_outputs(output.last_hidden_state)  # (B, T, 2)
        output.start_logits, output.end_logits = both[:, :, 0], both[:, :, 1]
        if (start_positions is None) != (end_positions is None):
            raise ValueError("BERT: give both start_positions and end_positions, or neither")
        if start_positions is not None:
            T, terms = ids.shape[1], []
            for name, logits, positions in (
                ("start_positions", output.start_logits, start_positions),
                ("end_positions", output.end_logits, end_positions),
            ):
                target = _one_each(name, positions, ids).clip(0, T)
                half = F.cross_entropy(logits, target, ignore_index=T) * 0.5
                terms.append((half, _count(target, ignored=T)))
            output.loss, output.terms = terms[0][0] + terms[1][0], tuple(terms)
            output.num_targets = terms[0][1]
        return _without_encoder(output)


def _count(labels: Any, ignored: int = -100) -> int:
    """How many labels count."""
    return int((to_numpy(Tensor(labels).data) != ignored).sum())


def _classifier_dropout(config: BertConfig) -> float:
    if config.classifier_dropout is None:
        return config.hidden_dropout_prob
    return config.classifier_dropout


def _without_encoder(output: ModelOutput) -> ModelOutput:
    """A head returns what it adds: logits come first, or after the loss."""
    output.last_hidden_state = output.pooler_output = None
    return output


def _token_loss(logits: Tensor, labels: Any, ids: Any) -> tuple[Tensor, int]:
    """(mean cross-entropy over the labels that are not -100, how many these are)."""
    labels = as_ids("BERT", "labels", labels)
    if labels.shape != ids.shape:
        raise ValueError(
            f"BERT: labels {labels.shape} must have the shape of input_ids {ids.shape}"
        )
    return F.cross_entropy(logits, labels), int((labels != -100).sum())


def _one_each(name: str, labels: Any, ids: Any, *, integers: bool = True) -> Any:
    """Labels (B,) or (B, 1) as an array (B,)."""
    labels = Tensor(labels).data
    if labels.size != len(ids) or labels.ndim > 2:
        raise ValueError(f"BERT: {name} {labels.shape} must be one for each of {len(ids)} texts")
    if integers and labels.dtype.kind not in "iu":
        raise TypeError(f"BERT: {name} must be integers, got {labels.dtype}")
    return labels.reshape(-1)
