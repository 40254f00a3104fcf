"""Next sentence: does the second sentence follow the first one, or does it come from another story?

A BERT learns it together with masked words, as it was published (Devlin et al. 2019, section 3.1): each
step reads fresh pairs of sentences with 15 % of the words hidden, and adds the two losses.  A false
second sentence tells of another hero and another thing, so that a perfect reader is never wrong.

To answer, the model must find out whether a name or a thing of one sentence stands in the other one.
From random weights the loss stays at ln 2 for thousands of steps before that is discovered.  Three
things shorten this to some hundreds:

1.  keys start equal to queries, so that from the first step on a word looks for its own like in the
    other sentence (after Trockman & Kolter 2023, arXiv:2305.09828, section 4);
2.  positions and sentence types start small beside the words, or equal words would look unlike;
3.  the first part of the training hides no word and asks for the order alone: a hidden word is often
    the only one that both sentences share.
"""

import math
from collections import Counter
from typing import Any

import numpy as np

from ..data import PretrainingLosses, Story, StoryPair, pretraining_losses
from ..data.batching import pad
from ..data.toy_world.text import join
from ..models import BertForPreTraining
from ..training import History
from ..viz import plot_curves
from .encoders import bert_config, predict
from .masked_batches import MaskedBatches
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, SEP, WordVocabulary

SUMMARY = "Next sentence: do two sentences follow each other, learned with masked words (accuracy)."
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(
    steps=1000,
    batch_size=64,
    lr=1e-3,
    layers=2,
    width=64,
    heads=2,
    warmup=100,
    train=10000,
    test=300,
)
POSITIONS = 60  # more than the longest pair has words
FIRST_PART = 0.4  # of the steps, in which nothing is hidden
POSITION_SCALE, TYPE_SCALE = 0.1, 0.4  # of what these embeddings would start with
WATCHED = 256  # test pairs that the curves of the picture are drawn from
TRIES = 1000  # draws in a row without a story about someone and something else
NAMES = {True: "next", False: "another story"}


def run(settings: TaskSettings) -> TaskResult:
    """Train the encoder on both losses and measure both on both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    pairs = {kind: all_pairs(s, data.rng(4), language) for kind, s in data.tests().items()}
    reader = PairReader(data, recipe, language)
    seen = LossLog(reader, pairs["test"][:WATCHED], data, every=max(1, recipe.steps // 25))
    trained = train(
        reader.model, reader.batches, recipe, settings, label="BERT encoder", on_step=seen
    )
    rule = SharedWord(reader.fresh.pairs(0, 2000))
    said = {kind: reader.follows(those) for kind, those in pairs.items()}
    rows, figures = table(pairs, said, rule, seen.last)
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    return TaskResult(
        "next-sentence",
        f"two {language.capitalize()} sentences of the toy world: does the second one follow?",
        ["accuracy", "pair nats", "word nats", "comp. accuracy", "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(pairs["test"], said["test"], language),
        notes=[
            f"{len(pairs['test']):,} pairs from {len(data.test):,} ordinary test stories; comp.: "
            "from as many compositional ones. No story of a test pair is a training story. nats: "
            "loss of the order of the sentences, chance ln 2, and of masked words, chance ln V. "
            f"A rare word is none of the {rule.common} most frequent ones, a number chosen on "
            "training pairs."
        ],
        draw=lambda: plot_curves(
            seen.curves(), "Both losses of pre-training, on test pairs", "step", "nats",
            lines={"ln V =": seen.last.chance_masked_words, "ln 2 =": math.log(2)},
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------- pairs


def draw_pair(
    stories: list[Story], number: int, place: int, rng: np.random.Generator, language: str
) -> StoryPair:
    """Sentence `place` of story `number` with its successor, or by a fair coin with a stranger.

    The stranger is a sentence of a story about another hero and another thing, from the same place in
    it where it has one: neither a name nor the place gives away what only a reader can tell.

    Raises   ValueError if all stories are about the same hero or the same thing
    """
    story, source = stories[number], stories[number]
    is_next = bool(rng.random() < 0.5)
    if not is_next:
        for _ in range(TRIES):
            source = stories[int(rng.integers(len(stories)))]
            if all(source.derivation[s] != story.derivation[s] for s in ("hero", "object")):
                break
        else:
            raise ValueError(
                f"{len(stories)} stories hold no second sentence about another hero and another "
                "thing: ask for more stories"
            )
    at = min(place + 1, len(source.sentences) - 1)
    first, second = (s.tokens[language] for s in (story.sentences[place], source.sentences[at]))
    return StoryPair(first, second, is_next)


def all_pairs(stories: list[Story], rng: np.random.Generator, language: str) -> list[StoryPair]:
    """One pair for each sentence that has a successor."""
    return [
        draw_pair(stories, number, place, rng, language)
        for number, story in enumerate(stories)
        for place in range(len(story.sentences) - 1)
    ]


class FreshPairs:
    """Batches of pairs that are drawn when they are asked for, so that none comes twice on purpose.

    stories   to draw from
    rng       decides everything; batch i depends on its state at the start and on i alone
    """

    def __init__(
        self, stories: list[Story], words: WordVocabulary, batch_size: int, language: str,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.stories, self.words, self.language = stories, words, language
        self.batch_size, self.seed = batch_size, int(rng.integers(2**63))

    def __len__(self) -> int:
        return max(1, len(self.stories) // self.batch_size)

    def pairs(self, i: int, count: int) -> list[StoryPair]:
        """Pairs of batch i."""
        rng = np.random.default_rng([self.seed, i])
        numbers = rng.integers(len(self.stories), size=count).tolist()
        return [
            draw_pair(
                self.stories, n, int(rng.integers(len(self.stories[n].sentences) - 1)), rng,
                self.language,
            )
            for n in numbers
        ]  # fmt: skip

    def batch(self, i: int) -> dict[str, np.ndarray]:
        """Batch number i."""
        return encode_batch(self.pairs(i, self.batch_size), self.words)


class TwoParts:
    """Batches of one kind at first, of another one from step `border` on."""

    def __init__(self, first: FreshPairs, then: MaskedBatches, border: int) -> None:
        self.first, self.then, self.border = first, then, border

    def __len__(self) -> int:
        return len(self.first)

    def batch(self, i: int) -> dict[str, np.ndarray]:
        """Batch number i."""
        return (self.first if i < self.border else self.then).batch(i)


def encode(pair: StoryPair, words: WordVocabulary) -> tuple[list[int], list[int]]:
    """Ids and token types: [BOS] first [SEP] second [SEP].

    >>> encode(StoryPair(["a"], ["b"], True), WordVocabulary(["a", "b"]))
    ([1, 6, 4, 7, 4], [0, 0, 0, 1, 1])
    """
    first = [BOS, *words.encode(pair.first), SEP]
    second = [*words.encode(pair.second), SEP]
    return first + second, [0] * len(first) + [1] * len(second)


def encode_batch(pairs: list[StoryPair], words: WordVocabulary) -> dict[str, np.ndarray]:
    """Pairs as arguments of the model; BERT's label 0 says that the second sentence follows."""
    ids, types = zip(*(encode(pair, words) for pair in pairs), strict=True)
    input_ids = pad(ids)
    return {
        "input_ids": input_ids,
        "token_type_ids": pad(types),
        "attention_mask": (input_ids != 0).astype(np.int64),
        "next_sentence_label": np.array([not pair.is_next for pair in pairs], dtype=np.int64),
    }


# --------------------------------------------------------------------------------------- models


class PairReader:
    """The encoder with its data."""

    def __init__(self, data: ToyData, recipe: Recipe, language: str) -> None:
        self.words = data.vocabulary(language)
        self.fresh = FreshPairs(data.train, self.words, recipe.batch_size, language, data.rng(1))
        self.masked = MaskedBatches(self.fresh, self.words, data.rng(3))
        self.batches = TwoParts(self.fresh, self.masked, round(FIRST_PART * recipe.steps))
        config = bert_config(recipe, len(self.words), POSITIONS, initializer_range=0.1)
        self.model = BertForPreTraining(config, rng=data.rng(0))
        self.look_for_equal_words()

    def look_for_equal_words(self) -> None:
        """Change the initial weights so that a word sees its own like in the other sentence."""
        bert = self.model.bert
        bert.embeddings.position_embeddings.weight.data *= POSITION_SCALE
        bert.embeddings.token_type_embeddings.weight.data *= TYPE_SCALE
        layers: Any = bert.encoder.layer
        for layer in layers:
            attention = layer.attention.self
            attention.key.weight.data[...] = attention.query.weight.data

    def follows(self, pairs: list[StoryPair]) -> list[bool]:
        """Whether the second sentence follows, for each pair."""
        ids, types = zip(*(encode(pair, self.words) for pair in pairs), strict=True)
        logits = predict(
            self.model,
            {"input_ids": ids, "token_type_ids": types},
            read=lambda output: output.seq_relationship_logits.numpy(),
        )
        return [bool(row[0] > row[1]) for row in logits]


class LossLog:
    """Both losses on test pairs with hidden words, every few steps of the training.

    every   steps between two looks
    """

    def __init__(
        self, reader: PairReader, pairs: list[StoryPair], data: ToyData, every: int
    ) -> None:
        self.model, self.every = reader.model, every
        rng, parts = data.rng(5), range(0, len(pairs), 64)
        self.batches = [
            reader.masked.hide(encode_batch(pairs[i : i + 64], reader.words), rng) for i in parts
        ]
        self.steps: list[int] = []
        self.losses: list[PretrainingLosses] = []

    def __call__(self, step: int, history: History) -> None:
        """Look, where it is time; what `fit` calls after each step."""
        if step % self.every == 0:
            self.steps.append(step)
            self.losses.append(pretraining_losses(self.model, self.batches))

    @property
    def last(self) -> PretrainingLosses:
        """The losses at the end."""
        return self.losses[-1]

    def curves(self) -> dict[str, tuple[list[int], list[float]]]:
        """Both losses by step."""
        return {
            "masked words": (self.steps, [look.masked_words for look in self.losses]),
            "next sentence": (self.steps, [look.next_sentence for look in self.losses]),
        }


class SharedWord:
    """A rule without learning: what follows shares a word with what goes before, and a rare one.

    pairs   to choose by: how many of the most frequent words do not count

    >>> pairs = [
    ...     StoryPair(["the", "cat"], ["the", "cat"], True),
    ...     StoryPair(["the", "cat"], ["the", "dog"], False),
    ... ]
    >>> SharedWord(pairs).follows(pairs)
    [True, False]
    """

    def __init__(self, pairs: list[StoryPair]) -> None:
        counts = Counter(word for pair in pairs for word in pair.first + pair.second)
        self.order = [word for word, _ in counts.most_common()]
        truth = [pair.is_next for pair in pairs]
        right = {}
        for common in (0, 1, 3, 10, 20, 40, 80, 160):
            self._leave_out(common)
            right[common] = share_right(self.follows(pairs), truth)
        self._leave_out(max(right, key=right.__getitem__))

    def _leave_out(self, common: int) -> None:
        self.common, self.frequent = common, set(self.order[:common])

    def follows(self, pairs: list[StoryPair]) -> list[bool]:
        """What the rule says about each pair."""
        return [bool(set(pair.first) & set(pair.second) - self.frequent) for pair in pairs]


# -------------------------------------------------------------------------------------- results


def share_right(said: list[bool], truth: list[bool]) -> float:
    """The share of right answers.

    >>> share_right([True, False], [True, True])
    0.5
    """
    return float(np.mean([a == b for a, b in zip(said, truth, strict=True)]))


def table(
    pairs: dict[str, list[StoryPair]], said: dict[str, list[bool]], rule: SharedWord,
    losses: PretrainingLosses,
) -> tuple[list[Row], dict[str, float]]:  # fmt: skip
    """The rows, and their figures by name."""
    truth = {kind: [pair.is_next for pair in those] for kind, those in pairs.items()}
    answers = {
        "BERT encoder": said,
        "rare word shared": {kind: rule.follows(those) for kind, those in pairs.items()},
        "always next": {kind: [True] * len(those) for kind, those in pairs.items()},
    }
    rows, figures = [], {}
    for name, by_kind in answers.items():
        scores = {kind: share_right(by_kind[kind], truth[kind]) for kind in pairs}
        figures[f"{name}, accuracy"] = scores["test"]
        figures[f"{name}, compositional accuracy"] = scores["compositional"]
        values = {"accuracy": scores["test"], "comp. accuracy": scores["compositional"]}
        rows.append(Row(name, values))
    rows[0].values.update({"pair nats": losses.next_sentence, "word nats": losses.masked_words})
    chance = {"pair nats": losses.chance_next_sentence, "word nats": losses.chance_masked_words}
    rows.append(Row("chance", {"accuracy": 0.5, "comp. accuracy": 0.5, **chance}))
    for row in (rows[0], rows[-1]):
        for column in ("pair nats", "word nats"):
            figures[f"{row.name}, {column}"] = row.values[column]
    return rows, figures


def examples(pairs: list[StoryPair], said: list[bool], language: str) -> list[Example]:
    """Pairs as text."""
    return choose_examples([
        Example(
            " | ".join(join(words, language)[0] for words in (pair.first, pair.second)),
            NAMES[pair.is_next],
            NAMES[answer],
        )
        for pair, answer in zip(pairs, said, strict=True)
    ])  # fmt: skip
