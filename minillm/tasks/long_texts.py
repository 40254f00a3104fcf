"""Long texts: the loss by position, and what happens beyond the length seen in training.

Who the story is about stands in its first sentence, what was found in its second; the last sentence
needs both.  A model that forgets pays for it late in the story.  The toy world knows what each word
costs the ideal reader (ideal.py), so what a model pays beyond that can be told apart from what cannot
be known.

Half of the models see whole stories in training.  The others see windows of 32 tokens, cut out
anywhere: they meet every kind of sentence, but never a position above 32.  A vector learned for each
position (GPT) was never trained there; sines (Vaswani et al. 2017, arXiv:1706.03762, section 3.5) and
rotations (Su et al. 2021, arXiv:2104.09864) have values there, but ones that no layer has seen; a
state that is carried on (LSTM) has no positions at all.
"""

from typing import Any

import numpy as np

from ..data import LengthBatches
from ..viz import plot_curves
from ..viz.figures import new_figure
from .ideal import story_nats
from .language_models import POSITIONS, StoryText, build_model, per_token, recipe_for, token_nats
from .ngrams import NGram
from .result import Row, TaskResult
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData

SUMMARY = "Study: the loss by position in a text, and beyond the length seen in training."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=500, batch_size=16, layers=2, width=96, train=8000, test=150)
WINDOW = 32  # tokens that the second half of the models sees at once
WHOLE = {"RNN": "RNN", "LSTM": "LSTM", "GPT": "GPT"}
CUT = {
    "LSTM, windows": "LSTM",
    "learned positions, windows": "GPT",
    "sines, windows": "Transformer",
    "rotations, windows": "Llama",
}
BINS = ((1, 8), (9, 16), (17, 24), (25, 31), (32, 40), (41, 48), (49, POSITIONS))
SMOOTH = 4  # positions that make one point of the picture
Nats = list[np.ndarray]


def run(settings: TaskSettings) -> TaskResult:
    """Train all models, and see what each word of the test stories costs them."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    text = StoryText(data, language)
    truth = [np.array(story_nats(data.world, story, language)) for story in data.test]
    nats = {"truth": truth, **measure(data, text, recipe, settings)}
    rows = [Row(name, by_position(each)) for name, each in nats.items()]
    return TaskResult(
        "long-texts",
        f"nats per token by position, {language.capitalize()} stories",
        [*map(bin_name, BINS), "all"],
        rows,
        figures={
            f"{row.name}, {column}": value for row in rows for column, value in row.values.items()
        },
        notes=[
            f"Columns: the position of the word in the story, over {len(data.test):,} test stories. "
            "truth: what the word costs who knows the grammar and has read everything before it. "
            "trigram: counts that see two words back, in the same training stories.",
            f"windows: trained on pieces of {WINDOW} tokens, so that no position from {WINDOW} on was "
            "ever seen. Learned positions are untrained there; sines and rotations have values there "
            "that no layer has met; an LSTM knows no positions.",
        ],
        draw=lambda: draw(nats),
        settings=settings.as_dict(),
    )


def measure(
    data: ToyData, text: StoryText, recipe: Recipe, settings: TaskSettings
) -> dict[str, Nats]:
    """Row -> -log p of every token of the test stories."""
    rows, tests = text.encode(data.train), text.encode(data.test)
    cut = windows(rows, data.rng(6))
    found: dict[str, Nats] = {}
    for name, kind in {**WHOLE, **CUT}.items():
        model = build_model(kind, recipe, len(text.words), POSITIONS, data.rng(0))
        seen = cut if name in CUT else rows
        columns = {"input_ids": seen, "labels": seen}
        batches = LengthBatches(columns, recipe.batch_size, rng=data.rng(1))
        train(model, batches, recipe_for(kind, recipe), settings, label=name)
        found[name] = token_nats(model, tests)
    trigram = NGram(3, len(text.words)).fit(rows)
    return {"trigram": trigram.nats(tests), **found}


def windows(rows: list[list[int]], rng: np.random.Generator) -> list[list[int]]:
    """A piece of WINDOW tokens of each sequence, cut out anywhere; short ones stay whole.

    >>> [len(row) for row in windows([[1] * 50, [1] * 10], np.random.default_rng(0))]
    [32, 10]
    """
    starts = [int(rng.integers(0, max(len(row) - WINDOW, 0) + 1)) for row in rows]
    return [row[start : start + WINDOW] for row, start in zip(rows, starts, strict=True)]


def bin_name(bounds: tuple[int, int]) -> str:
    """The name of a column.

    >>> bin_name((1, 8)), bin_name((49, POSITIONS))
    ('1-8', '49-')
    """
    return f"{bounds[0]}-{bounds[1] if bounds[1] < POSITIONS else ''}"


def by_position(nats: Nats) -> dict[str, float]:
    """The mean of each range of positions, counted from 1; a range that no text reaches is left out.

    >>> by_position([np.array([1.0] * 8 + [3.0])])
    {'1-8': 1.0, '9-16': 3.0, 'all': 1.2222222222222223}
    """
    values = {}
    for low, high in BINS:
        part = np.concatenate([each[low - 1 : high] for each in nats])
        if part.size:
            values[bin_name((low, high))] = float(part.mean())
    return {**values, "all": per_token(nats)}


def excess_curve(nats: Nats, truth: Nats) -> tuple[list[float], list[float]]:
    """(positions, what a model pays there beyond the truth), a mean over SMOOTH positions each.

    >>> excess_curve([np.array([1.0, 2.0, 3.0, 4.0, 9.0])], [np.zeros(5)])
    ([2.5, 5.0], [2.5, 9.0])
    """
    places, values = [], []
    for low in range(0, max(map(len, truth)), SMOOTH):
        pieces = [a[low : low + SMOOTH] - b[low : low + SMOOTH]
                  for a, b in zip(nats, truth, strict=True)]  # fmt: skip
        longest = max(map(len, pieces))
        places.append(low + (longest + 1) / 2)
        values.append(float(np.concatenate(pieces).mean()))
    return places, values


def draw(nats: dict[str, Nats]) -> Any:
    """Two panels: trained on whole stories, and on windows."""
    figure = new_figure(7.2, 7.6)
    curves = {name: excess_curve(each, nats["truth"]) for name, each in nats.items()}
    upper, lower = figure.subplots(2, 1, sharex=True)
    whole = {name: curves[name] for name in ("trigram", *WHOLE)}
    cut = {name.removesuffix(", windows"): curves[name] for name in CUT}
    unit = "nats per token above the truth"
    plot_curves(whole, "Trained on whole stories", "", unit, axes=upper)
    plot_curves(cut, f"Trained on windows of {WINDOW} tokens", "position", unit, axes=lower)
    lower.axvline(WINDOW, color="black", linewidth=0.8, linestyle=":")
    return figure
