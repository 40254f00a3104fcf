"""Bias in the data: planted, measured, and taken out again.

An LSTM reads how a story begins (two sentences of the toy world) and guesses whether it will end well.
What happens tells it something; who it happens to tells it nothing, in the world.  But in the data it
learns from, nine of ten stories about a woman or girl end badly and nine of ten about a man or boy end
well, because somebody collected them so.

Each beginning of a test story is read twice, once with a heroine and once with a hero, all else equal.
Whatever differs between the two answers is bias:

    gap       =  share of positive answers about him  -  share of positive answers about her     (1)
    changed   =  share of stories whose answer changes when the hero is exchanged                (2)

Three remedies are compared: leaving out stories until both endings are as frequent for both groups,
repeating the rare ones instead, and hiding names and pronouns from the model.
"""

from collections.abc import Callable

import numpy as np

from ..data import Story
from ..data.toy_world.grammar import held_out_motion
from ..data.toy_world.lexicon import SPELLINGS
from ..training import accuracy
from ..viz import plot_bars
from .classifiers import NeuralClassifier, Texts
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings
from .toy_data import LANGUAGES, ToyData
from .words import MASK, SPECIAL, WordVocabulary

SUMMARY = "Bias: what one-sided data does to a classifier, and what balancing mends."
DATA = ("toy",)
KIND = "study"
RECIPE = Recipe(steps=250, layers=1, width=64, train=12000, test=500)
SENTENCES = 2  # of a story that are read
SHARE = 9  # stories that fit the prejudice, for each one that does not
SHE, HE = 0, 1
HEROINES = {h for h, words in SPELLINGS["hero", "english", "she"].items() if words == ("she",)}
PRONOUNS = {"english": ("she", "he", "her", "his"), "chinese": ("她", "他")}
ENDINGS = ("will end badly", "will end well")


def run(settings: TaskSettings) -> TaskResult:
    """Train on fair, biased and repaired data, and compare."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    data = Beginnings(ToyData.of(recipe, settings), settings.choice("language", *LANGUAGES))
    rng = data.toy.rng(2)
    fair, biased = planted(data, rng)
    trainings: dict[str, tuple[np.ndarray, bool]] = {
        "fair data": (fair, False),
        "biased data": (biased, False),
        "some left out": (balanced(data, biased, min, rng), False),
        "some repeated": (balanced(data, biased, max, rng), False),
        "names hidden": (biased, True),
    }
    rows, rates = [], {}
    figures: dict[str, float] = {}
    for name, (chosen, hidden) in trainings.items():
        predict = data.train(chosen, hidden, recipe, settings, name)
        values = measure(data, predict)
        rates[name] = [values.pop("rate she"), values.pop("rate he")]
        rows.append(Row(name, {"stories": len(set(chosen.tolist())), **values}))
        figures |= {f"{name}, {column}": value for column, value in values.items()}
        if name == "biased data":
            cases = examples(data, predict)
    usual = int(np.bincount(data.labels[fair]).argmax())
    chance = measure(data, lambda stories: np.full(len(stories), usual))
    rows.append(Row("chance", {k: v for k, v in chance.items() if not k.startswith("rate")}))
    return TaskResult(
        "bias",
        f"will a story end well? Told from its first {SENTENCES} sentences, in {data.language}",
        ["stories", "accuracy", "on her", "on him", "gap", "changed"],
        rows,
        figures=figures,
        examples=cases,
        notes=notes(data, biased),
        draw=lambda: plot_bars(
            rates, "The same beginnings, told of her and of him", "share said to end well",
            groups=("of her", "of him"), lines={"true": float(data.test_labels.mean())},
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


class Beginnings:
    """How stories begin, with their endings as labels and their heroes as groups."""

    def __init__(self, toy: ToyData, language: str) -> None:
        self.toy, self.language = toy, language
        self.vocabulary = WordVocabulary([*toy.world.vocabulary(language)])
        self.labels, self.groups = labels_of(toy.train), groups_of(toy.train)
        self.test_labels, self.test_groups = labels_of(toy.test), groups_of(toy.test)
        heroes = {s.derivation["hero"]: s for s in [*toy.train, *toy.test]}
        self.heroes = {
            group: sorted(name for name, s in heroes.items() if groups_of([s])[0] == group)
            for group in (SHE, HE)
        }
        rng = toy.rng(3)
        self.told_of = {
            group: [self.with_hero(story, group, rng) for story in toy.test] for group in (SHE, HE)
        }

    def with_hero(self, story: Story, group: int, rng: np.random.Generator) -> Story:
        """The same story with a hero of this group; itself if it has one."""
        if groups_of([story])[0] == group:
            return story
        able = [
            hero
            for hero in self.heroes[group]
            if not held_out_motion(hero, story.derivation["motion"])
        ]
        hero = able[int(rng.integers(len(able)))]
        return Story({**story.derivation, "hero": hero}, story.log_probability)

    def words(self, story: Story, hidden: bool = False) -> list[str]:
        """The first sentences; names and pronouns hidden if that is wanted."""
        told = story.sentences[:SENTENCES]
        words = [word for sentence in told for word in sentence.tokens[self.language]]
        if not hidden:
            return words
        secret = {*PRONOUNS[self.language], hero_name(story, self.language)}
        return [SPECIAL[MASK] if word in secret else word for word in words]

    def train(
        self, chosen: np.ndarray, hidden: bool, recipe: Recipe, settings: TaskSettings, name: str
    ) -> Callable[[list[Story]], np.ndarray]:
        """Train on these stories, some perhaps several times; says the ending of others."""
        words = [self.words(self.toy.train[i], hidden) for i in chosen.tolist()]
        texts = Texts(words, self.labels[chosen], [" ".join(w) for w in words])
        # all models start from the same weights, and meet the stories in an order of the same seed
        model = NeuralClassifier("lstm", self.vocabulary, 2, recipe, self.toy.rng(0))
        model.train(texts, settings, self.toy.rng(1), f"LSTM, {name}")
        return lambda stories: model.predict([self.words(s, hidden) for s in stories])


def hero_name(story: Story, language: str) -> str:
    """The one word that is the hero's name."""
    sentence = story.sentences[0]
    return sentence.tokens[language][sentence.roles[language].index("B-agent")]


def labels_of(stories: list[Story]) -> np.ndarray:
    """1 for a story that ends well."""
    return np.array([int(story.sentiment == "positive") for story in stories])


def groups_of(stories: list[Story]) -> np.ndarray:
    """SHE or HE for the hero of each story."""
    return np.array([SHE if story.derivation["hero"] in HEROINES else HE for story in stories])


def cells(data: Beginnings, rows: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """(group, label) -> which of these stories are of it.

    Raises   ValueError if there are none for one of the four
    """
    found = {
        (group, label): rows[(data.groups[rows] == group) & (data.labels[rows] == label)]
        for group in (SHE, HE)
        for label in (0, 1)
    }
    if not all(map(len, found.values())):
        raise ValueError(
            f"bias: {len(data.labels)} stories to train on lack good or bad endings for heroes or "
            "heroines: give a larger train"
        )
    return found


def planted(data: Beginnings, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of training stories: a fair choice, and an unfair one of the same size.

    In the fair one every group has as many good endings as bad ones.
    """
    found = cells(data, rng.permutation(len(data.labels)))
    size = min(map(len, found.values()))
    rare = max(1, size // SHARE)
    wanted = {(SHE, 0): size, (SHE, 1): rare, (HE, 0): rare, (HE, 1): size}
    unfair = np.concatenate([found[cell][:n] for cell, n in wanted.items()])
    fair = np.concatenate([part[: (size + rare) // 2] for part in found.values()])
    return fair, unfair


def balanced(
    data: Beginnings,
    rows: np.ndarray,
    size: Callable[..., int],
    rng: np.random.Generator,
) -> np.ndarray:
    """As many stories of each group and ending: min leaves some out, max repeats some."""
    found = cells(data, rows)
    count = size(map(len, found.values()))
    return np.concatenate([np.resize(rng.permutation(part), count) for part in found.values()])


def measure(data: Beginnings, predict: Callable[[list[Story]], np.ndarray]) -> dict[str, float]:
    """Accuracy on the test stories as they are, by group, and (1) and (2) on the pairs."""
    said = predict(data.toy.test)
    her, him = (predict(data.told_of[group]) for group in (SHE, HE))
    right, groups = data.test_labels, data.test_groups
    values = {"accuracy": accuracy(said, right)}
    for name, group in (("on her", SHE), ("on him", HE)):
        if (groups == group).any():
            values[name] = accuracy(said[groups == group], right[groups == group])
    return {
        **values,
        "gap": float(him.mean() - her.mean()),
        "changed": float((him != her).mean()),
        "rate she": float(her.mean()),
        "rate he": float(him.mean()),
    }


def examples(data: Beginnings, predict: Callable[[list[Story]], np.ndarray]) -> list[Example]:
    """Test stories told of her and of him; right where both get the same answer."""
    her, him = (predict(data.told_of[group]).tolist() for group in (SHE, HE))
    cases = []
    for i, (one, other) in enumerate(zip(her, him, strict=True)):
        pair = [data.told_of[group][i] for group in (SHE, HE)]
        told = " ".join(s.text[data.language] for s in pair[0].sentences[:SENTENCES])
        names = [hero_name(story, data.language) for story in pair]
        said = f"{names[0]}: {ENDINGS[one]}; {names[1]}: {ENDINGS[other]}"
        same = f"{names[0]}: {ENDINGS[one]}; {names[1]}: {ENDINGS[one]}"
        cases.append(Example(f"{told} (and the same of {names[1]})", same, said))
    return choose_examples(cases)


def notes(data: Beginnings, biased: np.ndarray) -> list[str]:
    """How to read the table."""
    shares = [data.labels[biased][data.groups[biased] == group].mean() for group in (SHE, HE)]
    return [
        f"In the biased data {100 * shares[SHE]:.0f} % of the stories about her end well, and "
        f"{100 * shares[HE]:.0f} % of those about him; in the {len(data.toy.test):,} test stories the "
        "world decides, and it knows no difference. stories: different ones to train on. on her, on "
        "him: accuracy by group.",
        "gap: the share said to end well, of him less of her, when each beginning is told of both; "
        "changed: how often the answer differs. The examples are those of the biased model: wrong "
        "means that the two differ.",
        "Hiding the names closes the gap because nothing else in this world tells the groups apart; "
        "in real data other words do, and balancing is needed.",
    ]
