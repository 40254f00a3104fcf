"""Language modelling on a text file, character by character: bits per byte beside file compressors.

A model with a loss of b bits per byte could compress the text to b / 8 of its size (see
training/baselines.py), so models and compressors have one scale, whatever the language: a Chinese
character has three bytes and says more than a letter.
"""

import math
from typing import Any

import numpy as np

from .. import functional as F
from ..data import TextBatches, TextWindows, read_text, split_text
from ..tokenizers import CharTokenizer
from ..training import bits_per_byte, compressor_bits_per_byte, evaluate
from ..viz import plot_curves
from .language_models import build_model, loss_curve, recipe_for
from .ngrams import NGram
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, Training, train

BLOCK = 64  # characters a model sees at once
PROMPT, WRITTEN = 40, 8  # characters of the worked examples, given and continued
SHOWN = 24  # places in the text from which they are chosen
WATCHED = 20000  # characters that the curves of the picture are drawn from


class TextData:
    """A text as ids of its characters, its first 90 % to train on and the rest to test on.

    Raises   ValueError if there is too little of it
    """

    def __init__(self, path: str, recipe: Recipe, seed: int) -> None:
        whole = read_text(path, at_least=20 * (BLOCK + 1))
        self.tokenizer = CharTokenizer.train([whole])
        train_text, self.test_text = split_text(whole, 0.1)
        self.train_ids = np.array(self.tokenizer.encode(train_text))
        self.test_ids = np.array(self.tokenizer.encode(self.test_text))
        self.recipe, self.seed = recipe, seed

    def batches(self) -> TextBatches:
        """Random crops, as many in a batch as the recipe has examples."""
        return TextBatches(self.train_ids, BLOCK, self.recipe.batch_size, seed=self.seed)

    def bits(self, nats: float) -> float:
        """Nats per character of the test text as bits per byte."""
        size = len(self.test_text[1:].encode("utf-8"))
        return bits_per_byte(nats, len(self.test_ids) - 1, size)

    def nats(self, bits: float) -> float:
        """Bits per byte of the test text as nats per character."""
        return bits / self.bits(1.0)


def run_on_text(
    settings: TaskSettings, recipe: Recipe, names: tuple[str, ...], counts: dict[str, int]
) -> TaskResult:
    """Train the models on the text of settings.data, and measure them beside counts and compressors."""
    if settings.language is not None:
        raise ValueError(
            f"language {settings.language!r} is for the toy world: leave it out, a text file is read "
            "character by character in any language"
        )
    data = TextData(str(settings.data), recipe, settings.seed)
    rows, trained, models = [], {}, {}
    for name in names:
        models[name], trained[name] = train_model(name, data, recipe, settings)
        windows = TextWindows(data.test_ids, BLOCK)
        loss = evaluate(models[name], windows, loss=F.cross_entropy)["loss"]
        cost = {"parameters": trained[name].parameters, "seconds": trained[name].seconds}
        rows.append(row_of(name, data, loss, **cost))
    for name, order in counts.items():
        model = NGram(order, len(data.tokenizer)).fit([data.train_ids.tolist()])
        rows.append(row_of(name, data, float(model.nats([data.test_ids.tolist()])[0].mean())))
    for name, bits in compressor_bits_per_byte(data.test_text).items():
        rows.append(row_of(name, data, data.nats(bits)))
    rows.append(row_of("chance", data, math.log(len(data.tokenizer))))
    rows.sort(key=lambda row: row.values["bits/byte"])
    return TaskResult(
        "language-modelling",
        f"the next character of a text of {len(data.train_ids) + len(data.test_ids):,} characters",
        ["bits/byte", "nats/char", "parameters", "seconds"],
        rows,
        figures={f"{row.name}, bits/byte": row.values["bits/byte"] for row in rows},
        examples=examples(models["GPT"], data),
        notes=[
            f"On the last 10 % of the text, which no model saw: {len(data.test_text):,} characters, "
            f"{len(data.tokenizer):,} different ones in the whole text. Models read windows of {BLOCK} "
            "characters. zlib and lzma compress the test text alone. chance: every character equally "
            "likely. The floor of a real text is not known."
        ],
        draw=lambda: draw(trained, data),
        settings=settings.as_dict(),
    )


def row_of(name: str, data: TextData, loss: float, **cost: float) -> Row:
    """A row of the table, from nats per character."""
    return Row(name, {"bits/byte": data.bits(loss), "nats/char": loss, **cost})


def train_model(
    name: str, data: TextData, recipe: Recipe, settings: TaskSettings
) -> tuple[Any, Training]:
    """One model; all see the same crops in the same order."""
    rng = np.random.default_rng([settings.seed, 100])
    model = build_model(name, recipe, len(data.tokenizer), BLOCK, rng)
    trained = train(
        model, data.batches(), recipe_for(name, recipe), settings, label=name, loss=F.cross_entropy,
        validation=TextWindows(data.test_ids[:WATCHED], BLOCK),
        evaluate_every=max(recipe.steps // 14, 1),
    )  # fmt: skip
    return model, trained


def examples(model: Any, data: TextData) -> list[Example]:
    """Places in the test text, and how the model goes on from there."""
    rng = np.random.default_rng([data.seed, 103])
    starts = rng.integers(0, len(data.test_ids) - PROMPT - WRITTEN, SHOWN)
    places = data.test_ids[starts[:, None] + np.arange(PROMPT + WRITTEN)]
    written = model.generate(places[:, :PROMPT], max_new_tokens=WRITTEN)

    def shown(ids: Any) -> str:
        return data.tokenizer.decode(ids.tolist()).replace("\n", "⏎")

    return choose_examples([
        Example(shown(place[:PROMPT]) + " …", shown(place[PROMPT:]), shown(said[PROMPT:]))
        for place, said in zip(places, written, strict=True)
    ])  # fmt: skip


def draw(trained: dict[str, Training], data: TextData) -> Any:
    """Loss over steps on the test text, with the compressors as lines."""
    lines = {n: data.nats(b) for n, b in compressor_bits_per_byte(data.test_text).items()}
    curves = {name: loss_curve(each) for name, each in trained.items()}
    return plot_curves(
        curves, "A text never seen, while training", "step", "nats per character", lines=lines
    )
