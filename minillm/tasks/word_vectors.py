"""Word vectors: words that stand in like places get like vectors.

The vectors never see what a word means.  Whether they found it out is tested by what the grammar knows:
a word's nearest neighbour should be of its own category (an animal beside an animal), and the
direction from a name to its pronoun should be the same for all: Mia is to "she" as Leo is to "he".

Compared with counting: the rows of the table of positive pointwise mutual information,
PPMI_ij = max(0, log X_ij N / (X_i X_j)), cut to its largest directions (Levy, Goldberg & Dagan 2015,
TACL 3, sections 2.1 and 2.2), which is what skip-gram factorises implicitly.
"""

import time
from collections import Counter
from typing import Any

import numpy as np

from ..models import GloVe, GloVeConfig, Word2Vec, Word2VecConfig, WordVectors
from ..models.glove import cooccurrences
from ..models.word_vectors import read_corpus
from ..viz import plot_words
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings
from .toy_data import LANGUAGES, ToyData

SUMMARY = "Word vectors: Word2Vec and GloVe; neighbours and analogies against the grammar."
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(width=48, train=4000, test=1)
WINDOW, EPOCHS, SHOWN = 2, {"skip-gram": 3, "CBOW": 3, "GloVe": 15}, 6


def run(settings: TaskSettings) -> TaskResult:
    """Learn five kinds of vectors from the same stories, and ask each for neighbours."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    stories = [story.tokens[language] for story in data.train]
    categories, pronouns = data.world.word_categories(language), data.world.pronouns(language)
    rows, figures, vectors = [], {}, {}
    for name in ("skip-gram", "CBOW", "GloVe", "PPMI, cut to the same width", "chance"):
        started = time.perf_counter()
        vectors[name] = learn(name, stories, recipe.width, settings)
        seconds = time.perf_counter() - started
        scores = neighbours(vectors[name], categories)
        scores["analogies"] = analogies(vectors[name], pronouns)
        rows.append(Row(name, {**scores, "parameters": vectors[name].vectors.size}))
        rows[-1].values["seconds"] = seconds
        figures.update({f"{name}, {score}": value for score, value in scores.items()})
    asked = len(asked_words(vectors["skip-gram"], categories))
    kinds = len(set(categories.values()))
    return TaskResult(
        "word-vectors",
        f"vectors of {recipe.width} numbers from {len(stories):,} {language.capitalize()} stories",
        ["nearest", "nearest 5", "analogies", "parameters", "seconds"],
        rows,
        figures=figures,
        examples=examples(vectors["skip-gram"], categories),
        notes=[
            f"nearest: the share of {asked} words whose nearest neighbour is of the same one "
            f"of {kinds} categories; nearest 5: the same for five neighbours. Analogies: name a is to "
            "its pronoun as name b is to which word, for all pairs with different pronouns. Chance: "
            "random vectors."
        ],
        draw=lambda: plot_words(*points(vectors["skip-gram"], categories), "Skip-gram, from above"),
        settings=settings.as_dict(),
    )


def learn(name: str, stories: list[list[str]], width: int, settings: TaskSettings) -> WordVectors:
    """The vectors of one method."""
    seed = settings.seed
    if name in ("skip-gram", "CBOW"):
        config = Word2VecConfig(
            dim=width, window=WINDOW, cbow=name == "CBOW", epochs=EPOCHS[name], seed=seed
        )
        return Word2Vec(config).fit(stories, settings.progress)
    if name == "GloVe":
        glove = GloVeConfig(dim=width, window=WINDOW, x_max=20, epochs=EPOCHS[name], seed=seed)
        return GloVe(glove).fit(stories, settings.progress)
    corpus = read_corpus(name, stories)
    if name == "chance":
        drawn = np.random.default_rng(seed).normal(size=(len(corpus.words), width))
        return WordVectors(corpus.words, drawn.astype(np.float32))
    return WordVectors(corpus.words, ppmi_vectors(*cooccurrences(corpus, WINDOW), width))


def ppmi_vectors(first: Any, second: Any, counts: Any, width: int) -> np.ndarray:
    """The largest directions of the table of positive pointwise mutual information.

    Shapes   first, second, counts (N,), all pairs that occur -> (V, width)
    """
    V = int(first.max()) + 1
    table = np.zeros((V, V))
    table[first, second] = counts
    total = table.sum(axis=1)
    with np.errstate(divide="ignore"):  # log 0 is cut off in the same line
        pmi = np.log(table * total.sum() / np.outer(total, total)).clip(0)
    left, values, _ = np.linalg.svd(pmi)
    return (left[:, :width] * np.sqrt(values[:width])).astype(np.float32)


def nearest_words(vectors: WordVectors, word: str, among: dict[str, str], n: int) -> list[str]:
    """The n nearest of those words that have a category."""
    near = vectors.most_similar(word, len(vectors) - 1)
    return [other for other, _ in near if other in among][:n]


def asked_words(vectors: WordVectors, categories: dict[str, str]) -> list[str]:
    """Words of a category with five others: there must be five to find."""
    sizes = Counter(category for word, category in categories.items() if word in vectors)
    return [w for w, category in categories.items() if w in vectors and sizes[category] > 5]


def neighbours(vectors: WordVectors, categories: dict[str, str]) -> dict[str, float]:
    """How often the nearest word, and the nearest five, are of the word's own category."""
    first, five = [], []
    for word in asked_words(vectors, categories):
        near = nearest_words(vectors, word, categories, 5)
        same = [categories[other] == categories[word] for other in near]
        first.append(same[0])
        five.append(np.mean(same))
    if not first:
        raise ValueError(
            f"word-vectors: the {len(vectors)} words of these stories hold no six of one category: "
            "ask for more stories with train"
        )
    return {"nearest": float(np.mean(first)), "nearest 5": float(np.mean(five))}


def analogies(vectors: WordVectors, pronouns: dict[str, str]) -> float:
    """Name a : its pronoun = name b : ?, for all pairs of names with different pronouns."""
    names = [name for name in pronouns if name in vectors]
    asked = [(a, b) for a in names for b in names if pronouns[a] != pronouns[b]]
    right = [vectors.analogy(a, pronouns[a], b)[0][0] == pronouns[b] for a, b in asked]
    return float(np.mean(right)) if right else 0.0


def examples(vectors: WordVectors, categories: dict[str, str]) -> list[Example]:
    """Words with the category of their nearest neighbour."""
    cases = []
    for word in asked_words(vectors, categories):
        near = nearest_words(vectors, word, categories, 3)
        given = f"{word}: nearest are {', '.join(near)}"
        cases.append(Example(given, categories[word], categories[near[0]]))
    return choose_examples(cases[:: max(len(cases) // 40, 1)] + cases)


def points(
    vectors: WordVectors, categories: dict[str, str]
) -> tuple[np.ndarray, list[str], list[str]]:
    """(places in the plane, words, categories) of the most frequent categories, for the picture.

    The plane is that of the two directions in which the words differ most: principal components.
    """
    largest = [c for c, _ in Counter(categories.values()).most_common(SHOWN)]
    words = [w for w, c in categories.items() if c in largest and w in vectors]
    rows = np.array([vectors[w] / np.linalg.norm(vectors[w]) for w in words])
    rows -= rows.mean(axis=0)
    directions = np.linalg.svd(rows, full_matrices=False)[2][:2]
    return rows @ directions.T, words, [categories[w] for w in words]
