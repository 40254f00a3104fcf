"""Masked words: a BERT that fills in a hidden word, beside the best that anybody could do.

Trained as in BERT's pre-training: 15 % of the words of each story are to be predicted, most of them
hidden behind [MASK].  Measured on one hidden word at a time, every word of every test story.  What the
grammar says about that word is known exactly, so the table holds the best possible accuracy too.
"""

import math
from collections import Counter, defaultdict

import numpy as np

from ..autograd import no_grad
from ..data import LengthBatches, Story, ToyWorld
from ..data.toy_world.text import join
from ..models import BertForMaskedLM
from ..nn import evaluating
from ..viz import plot_bars
from .encoders import bert_config
from .masked_batches import MaskedBatches
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData
from .words import MASK

SUMMARY = "Masked words: a hidden word from both sides, beside the exact best (accuracy)."
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(steps=3000, batch_size=32, lr=3e-3, width=64, heads=2, train=20000, test=200)
POSITIONS = 100  # more than the longest story has words

Posterior = dict[str, float]  # word -> its probability at one place


def run(settings: TaskSettings) -> TaskResult:
    """Train the encoder and measure it, one hidden word at a time, on both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    model = FillIn(data, recipe, language)
    trained = train(model.model, model.batches, recipe, settings, label="BERT encoder")
    counts = NeighbourCounts([story.tokens[language] for story in data.train])
    cases = {
        kind: Cases(stories, model, ToyWorld(compositional=kind == "compositional"), language)
        for kind, stories in data.tests().items()
    }
    rows, figures = table(cases, counts, len(model.words))
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    return TaskResult(
        "masked-words",
        f"one hidden word at a time, in {language.capitalize()} stories of the toy world",
        ["accuracy", "of best", "nats", "comp. accuracy", "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(cases["test"], data.rng(2)),
        notes=[
            f"Every word of {len(data.test):,} stories of the ordinary test set, "
            f"{len(cases['test'].truth):,} words, and of as many compositional stories. Best "
            "possible is the grammar's own posterior, by enumeration; of best: the accuracy as a "
            "share of its accuracy. nats: mean of -log p(right word). Chance takes all V "
            f"= {len(model.words)} entries of the vocabulary for equally likely: 1 / V and ln V."
        ],
        draw=lambda: plot_bars(
            cases["test"].accuracy_by_role(), "A hidden word, by its role in the story", "accuracy",
            groups=("BERT encoder", "best possible"),
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


class FillIn:
    """The encoder with its data: stories to ids, and what it says about each word of a story."""

    def __init__(self, data: ToyData, recipe: Recipe, language: str) -> None:
        self.language, self.words = language, data.vocabulary(language)
        ids = [self.words.encode(story.tokens[language]) for story in data.train]
        plain = LengthBatches({"input_ids": ids}, recipe.batch_size, rng=data.rng(1))
        self.batches = MaskedBatches(plain, self.words, data.rng(3))
        config = bert_config(recipe, len(self.words), POSITIONS, initializer_range=0.1)
        self.model = BertForMaskedLM(config, rng=data.rng(0))

    def log_probabilities(self, words: list[str]) -> np.ndarray:
        """Log p of the whole vocabulary for each word of a story when it alone is hidden.

        Shapes   (words of the story, V)
        """
        places = np.arange(len(words))
        ids = np.tile(self.words.encode(words), (len(words), 1))  # one row for each hidden word
        ids[places, places] = MASK
        with no_grad(), evaluating(self.model):
            logits = self.model(ids).logits.numpy()[places, places]
        shifted = logits - logits.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class Cases:
    """Every word of some stories, hidden in turn: what it is, what the model says, what is possible.

    truth       the words
    said        the model's first choice for each
    loss        its -log p(right word)
    posterior   what the grammar says about each
    """

    def __init__(self, stories: list[Story], model: FillIn, world: ToyWorld, language: str) -> None:
        self.stories, self.language = stories, language
        self.truth: list[str] = []
        self.said: list[str] = []
        self.loss: list[float] = []
        self.posterior: list[Posterior] = []
        self.roles: list[str] = []
        for story in stories:
            words = story.tokens[language]
            log_p = model.log_probabilities(words)
            self.truth += words
            self.said += [model.words.words[i] for i in log_p.argmax(axis=-1)]
            self.loss += (-log_p[np.arange(len(words)), model.words.encode(words)]).tolist()
            self.posterior += [
                world.masked_posterior(words, i, language) for i in range(len(words))
            ]
            self.roles += [label.partition("-")[2] for label in story.roles[language]]

    def right(self, said: list[str]) -> float:
        """The share of right words."""
        return float(np.mean([a == b for a, b in zip(said, self.truth, strict=True)]))

    def best(self) -> float:
        """The expected accuracy of the most likely word: no guess is right more often."""
        return float(np.mean([max(p.values()) for p in self.posterior]))

    def entropy(self) -> float:
        """The expected loss of the posterior itself, in nats: no model has less on average."""
        return float(np.mean([sum(-p * math.log(p) for p in d.values()) for d in self.posterior]))

    def accuracy_by_role(self) -> dict[str, list[float]]:
        """Role -> (accuracy of the model, best possible), the most frequent role first."""
        places = defaultdict(list)
        for i, role in enumerate(self.roles):
            places[role or "no role"].append(i)
        return {
            role: [
                float(np.mean([self.said[i] == self.truth[i] for i in where])),
                float(np.mean([max(self.posterior[i].values()) for i in where])),
            ]
            for role, where in sorted(places.items(), key=lambda pair: -len(pair[1]))
        }


class NeighbourCounts:
    """A guess without a network: what stood most often between the same two words.

    >>> counts = NeighbourCounts([["a", "cat", "sat"], ["a", "cat", "sat"], ["a", "dog", "sat"]])
    >>> counts.fill(["a", "dog", "sat"]), counts.usual
    (['a', 'cat', 'sat'], 'a')
    """

    def __init__(self, texts: list[list[str]]) -> None:
        seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for words in texts:
            for left, word, right in zip(["", *words], words, [*words[1:], ""], strict=False):
                seen[left, right][word] += 1
        self.between = {pair: counts.most_common(1)[0][0] for pair, counts in seen.items()}
        self.usual = Counter(word for words in texts for word in words).most_common(1)[0][0]

    def fill(self, words: list[str]) -> list[str]:
        """A guess for each word from its two neighbours; the most frequent word if they are new."""
        pairs = zip(["", *words], [*words[1:], ""], strict=False)
        return [self.between.get(pair, self.usual) for pair in pairs]


def table(
    cases: dict[str, Cases], counts: NeighbourCounts, size: int
) -> tuple[list[Row], dict[str, float]]:
    """The rows, and their figures by name."""
    test, other = cases["test"], cases["compositional"]
    best, language = (test.best(), other.best()), test.language
    filled = tuple(
        case.right([word for story in case.stories for word in counts.fill(story.tokens[language])])
        for case in (test, other)
    )
    usual = tuple(case.right([counts.usual] * len(case.truth)) for case in (test, other))
    said = [case.right(case.said) for case in (test, other)]
    scores: dict[str, tuple[float, ...]] = {
        "BERT encoder": (*said, float(np.mean(test.loss))),
        "best possible": (*best, test.entropy()),
        "usual word in between": filled,
        "most frequent word": usual,
        "chance": (1 / size, 1 / size, math.log(size)),
    }
    rows: list[Row] = []
    figures: dict[str, float] = {}
    for name, (accuracy, compositional, *nats) in scores.items():
        values = {"accuracy": accuracy, "of best": accuracy / best[0]}
        if nats:
            values["nats"] = nats[0]
        figures |= {f"{name}, {column}": value for column, value in values.items()}
        figures[f"{name}, compositional accuracy"] = compositional
        figures[f"{name}, compositional of best"] = compositional / best[1]
        rows.append(Row(name, {**values, "comp. accuracy": compositional}))
    return rows, figures


def examples(cases: Cases, rng: np.random.Generator) -> list[Example]:
    """Stories with one word hidden; the expected word stands beside how likely it and others are."""
    found, start = [], 0
    for story in cases.stories:
        words = story.tokens[cases.language]
        place = int(rng.integers(len(words)))
        case, start = start + place, start + len(words)
        text = join([*words[:place], "[MASK]", *words[place + 1 :]], cases.language)[0]
        likely = sorted(cases.posterior[case].items(), key=lambda pair: -pair[1])[:3]
        shares = ", ".join(f'"{word}" {100 * p:.0f} %' for word, p in likely)
        given = f"{text} (exact: {shares})"
        found.append(Example(given, cases.truth[case], cases.said[case]))
    return choose_examples(found)
