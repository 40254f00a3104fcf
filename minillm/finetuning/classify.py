"""Fine-tuning a pretrained BERT on texts with labels: load, new head, freeze, train, stop early, save.

The heart of it is the loop that every tutorial shows; `finetune` adds batches by length, layer-wise
learning rates, a validation and early stopping to it, and otherwise does the same:

    >>> from minillm.models import BertConfig, BertForSequenceClassification
    >>> from minillm.optim import AdamW
    >>> from minillm.tokenizers import BertTokenizer
    >>> texts, labels = ["a fine film", "a poor film", "fine food", "poor food"], [1, 0, 1, 0]
    >>> tokenizer = BertTokenizer.train(texts, vocab_size=60)
    >>> sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> config = BertConfig(vocab_size=len(tokenizer), intermediate_size=64, **sizes)
    >>> model = BertForSequenceClassification(config)  # or .from_pretrained(folder)
    >>> optimizer = AdamW(model.parameters(), lr=0.01)
    >>> for epoch in range(20):
    ...     inputs = tokenizer(texts, padding=True)
    ...     outputs = model(**inputs, labels=labels)
    ...     outputs.loss.backward()
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    >>> print(model.eval()(**tokenizer(["a fine day"])).logits.numpy().argmax())
    1
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import is_number, require_number, require_whole
from ..autograd import no_grad
from ..data import LengthBatches
from ..models import BertConfig, BertForSequenceClassification, BertModel
from ..models.pretrained import fill, open_weights, read_config
from ..nn import Module, evaluating
from ..optim import AdamW, schedule
from ..tokenizers import BertTokenizer
from ..training import EarlyStopping, History, accuracy, fit
from .adapters import add_adapters
from .bitfit import bitfit
from .freezing import GradualUnfreezing, freeze, layerwise_groups, unfreeze
from .lora import LoraConfig, add_lora, merge_lora, unmerge_lora
from .modules import matches
from .peft_files import CONFIG, WEIGHTS, save_lora

# what may learn -> a learning rate that suits it: the fewer numbers learn, the faster they may
METHODS = {"full": 5e-5, "head": 1e-3, "lora": 5e-4, "bitfit": 1e-3, "adapters": 5e-4}
HEAD = ("bert.pooler", "classifier")  # what stands above the layers
LORA_TARGETS = ("query", "key", "value", "intermediate.dense", "output.dense")
LAYERS = re.compile(r"layers\.(\d+)(?:-(\d+))?")
ADAPTER = ".adapter.down.weight"  # how the name of an adapter's first matrix ends


@dataclass(frozen=True)
class FinetuneSettings:
    """How a pretrained model is fine-tuned.

    method               "full": everything learns; "head": only what stands above the layers; "lora",
                         "bitfit", "adapters": the head, and few numbers for each layer
    freeze               what stays as it is, with method "full", as in "embeddings,layers.0-3":
                         these, and patterns of `freeze`
    lora_r, lora_alpha   rank and scale with method "lora"
    adapter_size         width inside of the bottlenecks with method "adapters"
    epochs               passes over the training texts, if it is not stopped earlier
    lr                   the highest learning rate, that of the head; None for one that suits the method
    layerwise_decay      the rate of each layer is that of the layer above times this
    gradual_unfreezing   steps after which one layer more learns, from the top; None for all at once
    weight_decay         of matrices; biases and norms have none
    patience             evaluations without a smaller validation loss after which the training stops

    >>> FinetuneSettings(method="lora").rate
    0.0005
    """

    method: str = "full"
    freeze: str = ""
    lora_r: int = 8
    lora_alpha: float = 16.0
    adapter_size: int = 16
    epochs: int = 4
    lr: float | None = None
    layerwise_decay: float = 1.0
    gradual_unfreezing: int | None = None
    weight_decay: float = 0.01
    batch_size: int = 16
    patience: int = 2

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method {self.method!r} is unknown: choose from {', '.join(METHODS)}")
        for name, value in (
            ("freeze", self.freeze),
            ("gradual_unfreezing", self.gradual_unfreezing),
        ):
            if value and self.method != "full":
                raise ValueError(
                    f"{name} goes with method 'full': {self.method!r} says itself what learns"
                )
        for name in ("lora_r", "adapter_size", "epochs", "batch_size", "patience"):
            require_whole("FinetuneSettings", name, getattr(self, name))
        if self.gradual_unfreezing is not None:
            require_whole("FinetuneSettings", "gradual_unfreezing", self.gradual_unfreezing)
        if self.lr is not None and not (is_number(self.lr) and 0 < self.lr < np.inf):
            raise ValueError(f"lr must be a number above 0, got {self.lr!r}")
        if not (is_number(self.layerwise_decay) and 0 < self.layerwise_decay <= 1):
            raise ValueError(
                f"layerwise_decay must be within 0 < decay <= 1, got {self.layerwise_decay!r}"
            )
        require_number("FinetuneSettings", "weight_decay", self.weight_decay, least=0)

    @property
    def frozen(self) -> list[str]:
        """The parts that freeze names."""
        return [part.strip() for part in self.freeze.split(",") if part.strip()]

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return METHODS[self.method] if self.lr is None else self.lr


class TextClassifier:
    """A BERT with a class for each text, its tokenizer, and the names of the classes.

    max_length   tokens of a text that are read, at most as many as the model has positions; what
                 follows is cut off

    >>> tokenizer = BertTokenizer.train(["good", "bad"], vocab_size=30)
    >>> sizes = {"hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> config = BertConfig(
    ...     vocab_size=30, intermediate_size=8, id2label={0: "bad", 1: "good"}, **sizes
    ... )
    >>> classifier = TextClassifier(BertForSequenceClassification(config), tokenizer)
    >>> classifier.probabilities(["good", "bad and good"]).shape
    (2, 2)
    """

    def __init__(self, model: Any, tokenizer: BertTokenizer, *, max_length: int = 128) -> None:
        positions = model.config.max_position_embeddings
        if not 3 <= max_length:
            raise ValueError(f"max_length must be at least 3, got {max_length}")
        self.model, self.tokenizer = model, tokenizer
        self.max_length = min(max_length, positions)

    @classmethod
    def from_pretrained(
        cls,
        folder: "str | Path",
        names: Sequence[str] | None = None,
        *,
        new_head: bool = False,
        max_length: int = 128,
        rng: np.random.Generator | None = None,
    ) -> "TextClassifier":
        """The classifier of a folder; or a pretrained BERT with a new head for these classes.

        names      of the classes; None for those of the folder
        new_head   draw a new head even if the folder has one

        Raises     FileNotFoundError if there is no model; ValueError if the folder has no head and no
                   names are given, or a head for other classes than these
        """
        folder = Path(folder)
        known = head_of(folder)
        if names is None and known is None:
            raise ValueError(f"{folder} has no head for classes of texts: fine-tune it first")
        if names is None or (known is not None and not new_head):
            model = _with_adapters(folder) or BertForSequenceClassification.from_pretrained(folder)
            if names is not None:
                require_classes(folder, known or (), names)
                model.config.id2label = dict(enumerate(names))
                model.config.label2id = {name: i for i, name in enumerate(names)}
        else:
            labels = dict(enumerate(names))
            bert = BertModel.from_pretrained(folder, rng=rng, id2label=labels)
            model = BertForSequenceClassification(bert.config, rng=rng)
            model.bert = bert
        tokenizer = BertTokenizer.from_pretrained(folder)
        return cls(model.eval(), tokenizer, max_length=max_length)

    @property
    def names(self) -> list[str]:
        """What the classes are called, in the order of their numbers."""
        return list(self.model.config.id2label.values())

    def batches(
        self,
        texts: Sequence[str],
        labels: Any = None,
        batch_size: int = 64,
        *,
        shuffle: bool = False,
        rng: np.random.Generator | None = None,
    ) -> LengthBatches:
        """The texts as arguments of the model, those of similar length together."""
        if isinstance(texts, str):
            raise TypeError("TextClassifier: texts must be a list of texts, got one: write [text]")
        options = {"truncation": True, "max_length": self.max_length}
        ids = [self.tokenizer(text, **options)["input_ids"] for text in texts]
        columns: dict[str, Any] = {"input_ids": ids}
        if labels is not None:
            columns["labels"] = np.asarray(labels)
        return LengthBatches(columns, batch_size, shuffle=shuffle, rng=rng)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """How likely each class is for each text, (texts, classes)."""
        logits = np.zeros((len(texts), len(self.names)))
        if not len(texts):
            return logits
        batches = self.batches(texts)
        with no_grad(), evaluating(self.model):
            for i in range(len(batches)):
                logits[batches.rows(i)] = self.model(**batches.batch(i)).logits.numpy()
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """The number of the likeliest class of each text."""
        return self.probabilities(texts).argmax(axis=1)

    def save_pretrained(self, folder: "str | Path") -> None:
        """Write model and tokenizer; with LoRA the merged model, and the adapter alone in adapter/.

        A model with bottlenecks is read again by TextClassifier only.
        """
        folder = Path(folder)
        lora = getattr(self.model, "lora", None)
        if lora is None:  # an adapter of an earlier model would not fit this one
            for name in (CONFIG, WEIGHTS):
                (folder / "adapter" / name).unlink(missing_ok=True)
        else:
            save_lora(self.model, folder / "adapter")
            merge_lora(self.model)
        self.model.save_pretrained(folder)
        if lora is not None:
            unmerge_lora(self.model)
        self.tokenizer.save_pretrained(folder)


def head_of(folder: "str | Path") -> list[str] | None:
    """The classes that the classifier of a folder tells apart; None if it has no classifier.

    Raises   FileNotFoundError if there is no model in the folder
    """
    folder = Path(folder)
    config = read_config(folder)
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "bert":
        raise ValueError(
            f"{folder / 'config.json'} describes a model of type {kind!r}: give a BERT"
        )
    _, stored = open_weights(folder)
    if "classifier.weight" not in stored:
        return None
    names = config.get("id2label") or {}
    return [
        str(names.get(str(i), f"LABEL_{i}")) for i in range(stored["classifier.weight"].shape[0])
    ]


def unnamed(count: int) -> list[str]:
    """What the classes of a head are called that nobody has named.

    >>> unnamed(2)
    ['LABEL_0', 'LABEL_1']
    """
    return [f"LABEL_{i}" for i in range(count)]


def require_classes(folder: Path, known: Sequence[str], names: Sequence[str]) -> None:
    """The classes of the data must be those of a head, or the head must have no names for its own.

    Raises   ValueError with both

    >>> require_classes(Path("model"), ["LABEL_0", "LABEL_1"], ["bad", "good"])
    """
    if list(known) not in (list(names), unnamed(len(names))):
        raise ValueError(
            f"the head in {folder} tells {len(known)} classes apart ({', '.join(known)}), the labels "
            f"are {len(names)} ({', '.join(names)}): give texts with its labels, or ask for a new head"
        )


def _with_adapters(folder: Path) -> Any:
    """The model of a folder that has bottlenecks in it; None if it has none."""
    _, stored = open_weights(folder)
    sizes = [array.shape[1] for name, array in stored.items() if name.endswith(ADAPTER)]
    if not sizes:
        return None
    known = {field.name for field in fields(BertConfig)}
    values = {name: v for name, v in read_config(folder).items() if name in known}
    model = add_adapters(BertForSequenceClassification(BertConfig(**values)), sizes[0])
    fill(model, stored)
    return model


# ------------------------------------------------------------------------------------- training


def choose_what_learns(
    model: Module, settings: FinetuneSettings, rng: np.random.Generator | None = None
) -> list[str]:
    """Freeze, and add what the method adds; returns the patterns that are frozen by wish.

    Raises   ValueError for patterns, ranks or sizes that do not fit the model

    >>> sizes = {"hidden_size": 6, "num_hidden_layers": 3, "num_attention_heads": 2}
    >>> model = BertForSequenceClassification(
    ...     BertConfig(vocab_size=9, intermediate_size=8, **sizes)
    ... )
    >>> choose_what_learns(model, FinetuneSettings(freeze="embeddings,layers.0-1"))
    ['bert.embeddings', 'bert.encoder.layer.0', 'bert.encoder.layer.1']
    """
    before = [(p, p.requires_grad) for p in model.parameters()]
    try:
        return _switch(model, settings, rng)
    except ValueError:
        for p, learns in before:
            p.requires_grad = learns
        raise


def _switch(
    model: Module, settings: FinetuneSettings, rng: np.random.Generator | None
) -> list[str]:
    """choose_what_learns, which may stop half-way."""
    unfreeze(model)
    if settings.method == "lora":
        config = LoraConfig(
            r=settings.lora_r, alpha=settings.lora_alpha, target_modules=LORA_TARGETS,
            modules_to_save=HEAD,
        )  # fmt: skip
        add_lora(model, config, rng=rng)
    elif settings.method == "bitfit":
        bitfit(model, *HEAD)
    elif settings.method == "adapters":
        add_adapters(model, settings.adapter_size, *HEAD, rng=rng)
    elif settings.method == "head":
        freeze(model)
        unfreeze(model, *HEAD)
    patterns = [name for pattern in settings.frozen for name in _full_names(model, pattern)]
    if patterns:
        freeze(model, *patterns)
    return patterns


def _full_names(model: Any, pattern: str) -> list[str]:
    """embeddings and layers.0-3 as the model calls them; other patterns as they are."""
    found = LAYERS.fullmatch(pattern)
    if found is None:
        name = "bert.embeddings" if pattern == "embeddings" else pattern
        if not any(matches(own, name) for own, _ in model.named_parameters()):
            raise ValueError(
                f"freeze: {pattern!r} names no part of the model: give embeddings, layers.0, "
                f"layers.0-{model.config.num_hidden_layers - 1}, or names of its parameters"
            )
        return [name]
    first, last = int(found[1]), int(found[2] or found[1])
    count = model.config.num_hidden_layers
    if not first <= last < count:
        raise ValueError(
            f"freeze: {pattern!r} names layers {first} to {last}, but the model has the layers 0 to "
            f"{count - 1}"
        )
    return [f"bert.encoder.layer.{i}" for i in range(first, last + 1)]


def finetune(
    classifier: TextClassifier,
    train: Any,
    validation: Any = None,
    settings: FinetuneSettings | None = None,
    *,
    rng: np.random.Generator | None = None,
    progress: bool = True,
) -> History:
    """Train a classifier on texts with labels; with a validation its best weights are kept.

    train, validation   anything with .texts and .labels, such as LabelledFile
    rng                 decides the order of the batches; dropout is up to manual_seed

    Returns   the History, with the accuracy beside the loss; the model has changed
    Raises    ValueError for data without texts, or labels that the head does not have

    >>> from minillm.data import LabelledFile
    >>> data = LabelledFile(["good", "bad"], np.array([1, 0]), ["no", "yes"])
    >>> tokenizer = BertTokenizer.train(data.texts, vocab_size=30)
    >>> sizes = {"hidden_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> model = BertForSequenceClassification(
    ...     BertConfig(vocab_size=30, intermediate_size=8, **sizes)
    ... )
    >>> settings = FinetuneSettings(method="head", epochs=2)
    >>> history = finetune(TextClassifier(model, tokenizer), data, None, settings, progress=False)
    >>> len(history.losses)
    2
    """
    settings, model = settings or FinetuneSettings(), classifier.model
    for name, data in (("train", train), ("validation", validation)):
        if data is not None and not len(data.texts):
            raise ValueError(f"finetune: {name} holds no texts")
        if data is not None and not 0 <= min(data.labels) <= max(data.labels) < len(
            classifier.names
        ):
            raise ValueError(
                f"finetune: the labels of {name} go from {min(data.labels)} to {max(data.labels)}, "
                f"but the head has the classes 0 to {len(classifier.names) - 1}"
            )
    frozen = choose_what_learns(model, settings, rng)
    batches = classifier.batches(
        train.texts, train.labels, settings.batch_size, shuffle=True, rng=rng
    )
    held = None if validation is None else classifier.batches(validation.texts, validation.labels)
    groups = layerwise_groups(model, settings.rate, settings.layerwise_decay, settings.weight_decay)
    optimizer, steps = AdamW(groups), settings.epochs * len(batches)
    thaw = settings.gradual_unfreezing
    return fit(
        model, optimizer, batches, held, epochs=settings.epochs, metrics={"accuracy": accuracy},
        schedule=schedule.linear(optimizer, steps // 10, steps), clip=1.0, progress=progress,
        early_stopping=None if held is None else EarlyStopping(patience=settings.patience),
        on_step=None if thaw is None else GradualUnfreezing(model, thaw, keep=tuple(frozen)),
    )  # fmt: skip
