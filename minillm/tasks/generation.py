"""Text generation: a GPT writes stories of the toy world, and the grammar says whether they are any.

A story is written by drawing one token after the other, each with probability

    p_i ~ exp(z_i / temperature)            z: the logits

Temperature 1 draws what the model believes; below 1 the likely becomes more likely still: fewer
mistakes and less variety.  The world parses what came out, so that three things can be told apart that
are often mixed up: is it correct (a story by the grammar), is it new (not copied from training), and is
it as varied as the world is (the exact -log p of what was written, beside the entropy).
"""

import itertools
import math
from typing import Any

import numpy as np

from ..data import ToyWorld
from ..data.toy_world.text import join
from ..viz import plot_bars
from .language_models import POSITIONS, StoryText, build_model, recipe_for
from .ngrams import NGram
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, Training, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, EOS, SPECIAL

SUMMARY = "Text generation: which share of what a GPT writes is correct by the grammar?"
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(steps=1000, batch_size=16, layers=2, width=128, train=20000)
MODELS = ("GPT", "LSTM")
TEMPERATURES = (0.7, 1.0)
STARTS = 24  # first sentences of test stories, from which the worked examples are chosen
SIBLING = ToyWorld(compositional=True)
Texts = list[list[str]]


def run(settings: TaskSettings) -> TaskResult:
    """Train, let everyone write as many stories as there are test stories, and judge them."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    text = StoryText(data, language)
    models, trained = train_models(data, text, recipe, settings)
    known = {story.text[language] for story in data.train}
    rows = []
    for name, written in write_all(models, data, text, recipe.test).items():
        values = judge(written, data, known, language)
        if name in trained:
            values |= {"parameters": trained[name].parameters, "seconds": trained[name].seconds}
        rows.append(Row(name, values))
    return TaskResult(
        "generation",
        f"{language.capitalize()} stories written from nothing",
        ["correct", "stories", "new", "-log p", "distinct-2", "parameters", "seconds"],
        rows,
        figures={
            f"{row.name}, {column}": row.values[column]
            for row in rows for column in ("correct", "stories", "new", "-log p", "distinct-2")
            if column in row.values
        },
        examples=examples(models["GPT"], data, text),
        notes=notes(recipe.test, data),
        draw=lambda: plot_bars(
            {row.name: (row.values["correct"], row.values["stories"]) for row in rows},
            "Who writes stories?", "share of the texts",
            groups=("correct by the grammar", "of this world"),
        ),
        settings=settings.as_dict(),
    )  # fmt: skip


def train_models(
    data: ToyData, text: StoryText, recipe: Recipe, settings: TaskSettings
) -> tuple[dict[str, Any], dict[str, Training]]:
    """The models that can write; the costs of those that were trained step by step, by row."""
    models: dict[str, Any] = {}
    trained = {}
    for name in MODELS:
        models[name] = build_model(name, recipe, len(text.words), POSITIONS, data.rng(0))
        batches = text.batches(data.train, recipe.batch_size, data.rng(1))
        label = row_name(name, TEMPERATURES[0])
        trained[label] = train(
            models[name], batches, recipe_for(name, recipe), settings, label=name
        )
    models["trigram"] = NGram(3, len(text.words)).fit(text.encode(data.train))
    return models, trained


def row_name(name: str, temperature: float) -> str:
    """How a model that writes at a temperature is called in the table."""
    return f"{name}, temperature {temperature:g}"


def write_all(models: dict[str, Any], data: ToyData, text: StoryText, n: int) -> dict[str, Texts]:
    """Row -> n texts: of the world itself, of the models, and of chance."""
    rng = data.rng(4)
    stories = data.world.stories(n, seed=data.seed)  # splits draw from other streams
    written: dict[str, Texts] = {"the world itself": [s.tokens[text.language] for s in stories]}
    for name in MODELS:
        for temperature in TEMPERATURES:
            begin = [[BOS]] * n
            found = write(models[name], text, begin, temperature, rng)
            written[row_name(name, temperature)] = found
    trigram = models["trigram"]
    written["trigram"] = [
        spoken(trigram.sample([BOS], EOS, POSITIONS - 1, rng)[1:], text) for _ in range(n)
    ]
    lengths = [len(story.tokens[text.language]) for story in stories]
    vocabulary = text.words.words[len(SPECIAL) :]
    written["chance"] = [rng.choice(vocabulary, length).tolist() for length in lengths]
    return written


def write(
    model: Any, text: StoryText, starts: list[list[int]], temperature: float,
    rng: np.random.Generator,
) -> Texts:  # fmt: skip
    """The words of one text for each start; all starts have equally many tokens."""
    ids = model.generate(
        np.array(starts), max_length=POSITIONS, do_sample=True, temperature=temperature,
        eos_token_id=EOS, rng=rng,
    )  # fmt: skip
    return [spoken(row[1:], text) for row in ids.tolist()]


def spoken(ids: list[int], text: StoryText) -> list[str]:
    """The words before the end; a special token among them stays, and no story has one."""
    return [text.words.words[i] for i in itertools.takewhile(lambda i: i != EOS, ids)]


def judge(texts: Texts, data: ToyData, known: set[str], language: str) -> dict[str, float]:
    """What the grammar says about some texts.

    correct      the share that are stories by the grammar, of this world or its compositional sibling
    stories      the share that are stories of this world
    new          the share of the stories that are not in training
    -log p       the mean over the stories, in nats; of the world's own it is the entropy
    distinct-2   different pairs of words per pair, over all texts (Li et al. 2016, arXiv:1510.03055)
    """
    log_p = [data.world.log_probability(words, language) for words in texts]
    right = [join(w, language)[0] for w, p in zip(texts, log_p, strict=True) if p > -math.inf]
    values = {
        "correct": sum(correct(words, data, language) for words in texts) / len(texts),
        "stories": len(right) / len(texts),
    }
    if right:
        values["new"] = sum(story not in known for story in right) / len(right)
        values["-log p"] = -sum(p for p in log_p if p > -math.inf) / len(right)
    return {**values, "distinct-2": distinct(texts, 2)}


def correct(words: list[str], data: ToyData, language: str) -> bool:
    """Whether a text is a story by the grammar, even one that this world never tells.

    >>> from minillm.tasks import Recipe, TaskSettings
    >>> data = ToyData.of(Recipe(train=1, test=1), TaskSettings())
    >>> words = data.compositional[0].english_tokens
    >>> correct(words, data, "english"), correct(words[:-1], data, "english")
    (True, False)
    """
    worlds = (data.world, SIBLING)
    return any(world.log_probability(words, language) > -math.inf for world in worlds)


def distinct(texts: Texts, n: int) -> float:
    """Different n-grams per n-gram of some texts; 0 if there are none.

    >>> distinct([["a", "b", "a", "b"]], 2)  # ab ba ab
    0.6666666666666666
    """
    found = [tuple(words[i : i + n]) for words in texts for i in range(len(words) - n + 1)]
    return len(set(found)) / max(len(found), 1)


def notes(n: int, data: ToyData) -> list[str]:
    """How to read the table."""
    return [
        f"correct: the share of {n:,} texts that are stories by the grammar. stories: those without "
        "what this world never does (one way of moving for each hero, one look for each thing, six "
        "sentences): rules by absence, which are hard to learn. new: the share of the stories "
        "that no training story equals. -log p: their mean in nats by the grammar, beside the entropy "
        f"of the world, {data.world.entropy:.1f}: less means that likely choices are preferred. "
        "distinct-2: different pairs of words per pair.",
        "chance: words of the vocabulary at random, as many as a story has. The trigram has all the "
        "triples of the world and forgets who the story is about. In the examples whatever is "
        "correct is right; where it is not, the test story's own end is shown as expected.",
    ]


def examples(model: Any, data: ToyData, text: StoryText) -> list[Example]:
    """First sentences of test stories, and how the model goes on from there at temperature 1.

    Every correct story is right; where there is none, the test story shows one.
    """
    rng, cases = data.rng(5), []
    for story in data.test[:STARTS]:
        first = story.sentences[0].tokens[text.language]
        start = [BOS, *text.words.encode(first)]
        words = write(model, text, [start], TEMPERATURES[-1], rng)[0]
        said = ending(words, first, text.language)
        right = correct(words, data, text.language)
        expected = said if right else ending(story.tokens[text.language], first, text.language)
        cases.append(Example(join(first, text.language)[0] + " …", expected, said))
    return choose_examples(cases)


def ending(words: list[str], first: list[str], language: str) -> str:
    """What stands after the first sentence."""
    return join(words[len(first) :], language)[0]
