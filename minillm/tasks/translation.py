"""Translation from English to Chinese and back, by one encoder-decoder for both directions.

The first word of a source says into which language to translate (Johnson et al. 2017,
arXiv:1611.04558).  In the toy world the translation of a sentence is a function of the sentence, so
that a perfect model has BLEU 100; on Tatoeba it is one choice of many.  Compared with a dictionary that
is learned from the same pairs and used word for word, and with the translation of another sentence.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..data import Translation, load_tatoeba, split_examples
from ..data.toy_world.text import join
from ..training import bleu
from ..viz import plot_bars
from .result import Example, Row, TaskResult, choose_examples
from .seq2seq import SequenceWriter, require_metric, same_share
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData
from .word_for_word import WordForWord
from .words import SPECIAL, WordVocabulary, split_words

SUMMARY = "Translation from English to Chinese and back (BLEU); --language: from this one only."
DATA = ("toy", "tatoeba")
KIND = "task"
RECIPE = Recipe(steps=1200, batch_size=64, lr=4e-3, layers=1, width=96, train=10000)
TATOEBA = Recipe(
    steps=1000, batch_size=64, lr=2e-3, width=128, dropout=0.1, train=20000, test=1000
)  # here pairs, not stories
OTHER = {"english": "chinese", "chinese": "english"}
SHORT = {"english": "en", "chinese": "zh"}
TOKENIZE = {"english": "13a", "chinese": "zh"}  # how sacrebleu cuts words: Chinese into characters
POSITIONS = 64  # more than the longest sentence has words, of those that are used
LONGEST_ENGLISH = 8  # words of a Tatoeba sentence
DICTIONARY_PAIRS = 12000  # at most for the dictionary, to keep its tables small
NOTE = (
    "exact: the share of translations that are right word for word. Word for word: for each word its "
    "most probable translation by IBM model 1. Chance: the translation of another sentence."
)

Pair = dict[str, list[str]]  # language -> the words of a sentence


@dataclass(frozen=True)
class ParallelText:
    """Sentence pairs to train on and to test on.

    tests   name -> pairs, the ordinary ones first
    text    words, language -> running text
    note    what must be known of the data

    >>> toy = toy_sentences(ToyData.of(Recipe(train=9, test=2), TaskSettings()))
    >>> list(toy.tests), sorted(toy.train[0])
    (['test', 'compositional'], ['chinese', 'english'])
    """

    train: list[Pair]
    tests: dict[str, list[Pair]]
    text: Callable[[list[str], str], str]
    note: str


def run(settings: TaskSettings) -> TaskResult:
    """Train one model for both directions, or one, and measure each."""
    toy = settings.choice("data", *DATA) == "toy"
    recipe = settings.recipe(RECIPE if toy else TATOEBA)
    sources = [settings.choice("language", *LANGUAGES)] if settings.language else list(LANGUAGES)
    for language in LANGUAGES:
        require_metric(partial(bleu, tokenize=TOKENIZE[language]))
    stories = ToyData.of(recipe, settings) if toy else None
    text = tatoeba_sentences(recipe, settings.seed) if stories is None else toy_sentences(stories)
    translator = Translator(text, sources, recipe, settings.seed)
    trained = train(translator.writer.model, translator.batches, recipe, settings,
                    label="encoder-decoder")  # fmt: skip
    systems = {source: models(translator, source, settings.seed) for source in sources}
    said = {
        (name, source): {kind: systems[source][name](pairs) for kind, pairs in text.tests.items()}
        for name in systems[sources[0]]
        for source in sources
    }
    scores = {key: measure(text, texts, OTHER[key[1]]) for key, texts in said.items()}
    rows = [Row(f"{n}, {direction(source)}", values) for (n, source), values in scores.items()]
    columns = [*rows[0].values, "parameters", "seconds"]
    figures = {f"{row.name}, {what}": n for row in rows for what, n in row.values.items()}
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    return TaskResult(
        "translation",
        f"{'toy world' if toy else 'Tatoeba'}, {' and '.join(map(direction, sources))}",
        columns,
        rows,
        figures=figures,
        examples=examples(text, {x: said["Transformer", x]["test"] for x in sources}),
        notes=[text.note, NOTE],
        draw=lambda: picture(scores, sources),
        settings=settings.as_dict(),
    )


def measure(text: ParallelText, said: dict[str, list[list[str]]], target: str) -> dict[str, float]:
    """BLEU and exact matches of what was said for each test set."""
    scores = {}
    for kind, pairs in text.tests.items():
        right = [pair[target] for pair in pairs]
        before = "" if kind == "test" else "comp. "
        scores[before + "bleu"] = bleu(
            [text.text(words, target) for words in said[kind]],
            [text.text(words, target) for words in right],
            tokenize=TOKENIZE[target],
        )
        scores[before + "exact"] = same_share(said[kind], right)
    return scores


def models(translator: "Translator", source: str, seed: int) -> dict[str, Callable[..., Any]]:
    """Name -> a function from pairs to translations of their sources."""
    pairs, target = translator.text.train, OTHER[source]
    rng = np.random.default_rng([seed, 3])
    few = pairs[:DICTIONARY_PAIRS]
    dictionary = WordForWord([pair[source] for pair in few], [pair[target] for pair in few])
    return {
        "Transformer": partial(translator.translate, source=source),
        "word for word": lambda tests: [dictionary.translate(pair[source]) for pair in tests],
        "chance": lambda tests: [
            pairs[i][target] for i in rng.integers(len(pairs), size=len(tests))
        ],
    }


class Translator:
    """The encoder-decoder with its vocabulary and its batches.

    sources   the languages to translate from
    """

    def __init__(self, text: ParallelText, sources: list[str], recipe: Recipe, seed: int) -> None:
        self.text = text
        # what comes once becomes [UNK], so that the model learns to do without a word
        texts = [pair[x] for pair in text.train for x in LANGUAGES]
        known = WordVocabulary.train(texts, min_count=2)
        words = WordVocabulary([*known.words[len(SPECIAL) :], *map(marker, LANGUAGES)])
        self.writer = SequenceWriter(words, recipe, POSITIONS, np.random.default_rng([seed, 100]))
        both = [(pair, source) for source in sources for pair in text.train]
        self.batches = self.writer.batches(
            [asked(pair, source) for pair, source in both],
            [pair[OTHER[source]] for pair, source in both],
            recipe.batch_size,
            np.random.default_rng([seed, 101]),
        )
        self.most = max(len(pair[OTHER[source]]) for pair, source in both) + 5

    def translate(self, pairs: list[Pair], source: str) -> list[list[str]]:
        """The translations of the sources, without a look at the targets."""
        return self.writer.write([asked(pair, source) for pair in pairs], most=self.most)


def marker(language: str) -> str:
    """The word that asks for a language; no text holds it."""
    return f"[{language}]"


def asked(pair: Pair, source: str) -> list[str]:
    """What the encoder reads: into which language, and the sentence.

    >>> asked({"english": ["hi"], "chinese": ["嗨"]}, "english")
    ['[chinese]', 'hi']
    """
    return [marker(OTHER[source]), *pair[source]]


# --------------------------------------------------------------------------------------- data


def without(pairs: list[Pair], tests: list[Pair]) -> list[Pair]:
    """The pairs that share a sentence, in either language, with no test pair.

    >>> hi, hello = (
    ...     {"english": ["hi"], "chinese": ["嗨"]},
    ...     {"english": ["hello"], "chinese": ["嗨"]},
    ... )
    >>> without([hi, {"english": ["run"], "chinese": ["跑"]}], [hello])
    [{'english': ['run'], 'chinese': ['跑']}]
    """
    taken = {(x, tuple(pair[x])) for pair in tests for x in LANGUAGES}
    return [pair for pair in pairs if not any((x, tuple(pair[x])) in taken for x in LANGUAGES)]


def toy_sentences(stories: ToyData) -> ParallelText:
    """The sentences of the toy world's stories."""

    def sentences(kind: str) -> list[Pair]:
        return [s.tokens for story in getattr(stories, kind) for s in story.sentences]

    tests = {kind: sentences(kind) for kind in ("test", "compositional")}
    return ParallelText(
        without(sentences("train"), [pair for pairs in tests.values() for pair in pairs]),
        tests,
        lambda words, language: join(words, language)[0],
        f"{len(tests['test']):,} sentences of the ordinary test stories; comp.: "
        f"{len(tests['compositional']):,} of compositional ones. None of them was trained on, in "
        "either language.",
    )


def tatoeba_sentences(recipe: Recipe, seed: int) -> ParallelText:
    """Short Tatoeba pairs; no sentence of a test pair is in training.

    Raises   ValueError if there are fewer pairs than were asked for
    """
    pairs = list(filter(is_simplified, load_tatoeba(max_words=LONGEST_ENGLISH)))
    if recipe.test >= len(pairs) // 2:
        raise ValueError(
            f"test must leave at least half of the {len(pairs):,} pairs to train on, got {recipe.test}"
        )
    rest, held_out = split_examples(
        pairs, recipe.test / len(pairs), seed=seed, key=lambda pair: pair.english.lower()
    )
    tests = [words_of(pair) for pair in held_out]
    return ParallelText(
        without([words_of(pair) for pair in rest], tests)[: recipe.train],
        {"test": tests},
        running_text,
        f"{len(tests):,} pairs of at most {LONGEST_ENGLISH} English words, with simplified Chinese "
        "characters as words and English in small letters. A sentence has many good translations and "
        "one reference, so that even a person would be far from BLEU 100.",
    )


def running_text(words: list[str], language: str) -> str:
    """Words as one writes them, but for capitals.

    >>> running_text(["get", "out", "!"], "english"), running_text(["滚", "！"], "chinese")
    ('get out!', '滚！')
    """
    if language == "chinese":
        return "".join(words)
    return re.sub(r" (?=[.,!?;:])", "", " ".join(words))


def is_simplified(pair: Translation) -> bool:
    """Whether all characters are in GB 2312, the standard for simplified characters.

    >>> (
    ...     is_simplified(Translation("Get out.", "滚出去！", "")),
    ...     is_simplified(Translation("Get out.", "滾出去！", "")),
    ... )
    (True, False)
    """
    try:
        pair.chinese.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def words_of(pair: Translation) -> Pair:
    """English words in small letters, and Chinese characters.

    >>> words_of(Translation("Get out.", "滚出去！", ""))
    {'english': ['get', 'out', '.'], 'chinese': ['滚', '出', '去', '！']}
    """
    return {
        "english": split_words(pair.english),
        "chinese": list("".join(pair.chinese.split())),
    }


def examples(text: ParallelText, said: dict[str, list[list[str]]]) -> list[Example]:
    """Sentences with both translations; the directions take turns."""
    cases = []
    for source, translations in said.items():
        target = OTHER[source]
        cases.append([
            Example(text.text(p[source], source), text.text(p[target], target), text.text(s, target))
            for p, s in zip(text.tests["test"], translations, strict=True)
        ])  # fmt: skip
    return choose_examples([case for turn in zip(*cases, strict=True) for case in turn])


def picture(scores: dict[tuple[str, str], dict[str, float]], sources: list[str]) -> Any:
    """BLEU of each model, both directions side by side."""
    bars = {
        name: [scores[name, source]["bleu"] for source in sources]
        for name in dict.fromkeys(name for name, _ in scores)
    }
    groups = [direction(source) for source in sources]
    return plot_bars(bars, "BLEU on held-out sentences", "BLEU", groups=groups)


def direction(source: str) -> str:
    """From one language to the other, in short.

    >>> direction("english")
    'en → zh'
    """
    return f"{SHORT[source]} → {SHORT[OTHER[source]]}"
