"""Texts against reference texts: exact match and F1 of answers, BLEU, ROUGE.

Answers to questions are compared after normalisation (Rajpurkar et al. 2016, SQuAD, arXiv:1606.05250,
section 6.1): lower case, no punctuation, no articles, single spaces.  F1 is that of the bag of words
that prediction and reference share; in Chinese, of characters.

BLEU and ROUGE are only comparable if everybody computes them alike, so they are not our own:
`sacrebleu` (Post 2018, arXiv:1804.08771) and `rouge-score` (Google's port of Lin 2004) do it.
Check: tests/training/test_metrics.py
"""

import importlib
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .zero import warn_of_zero

LANGUAGES = ("en", "zh")
INSTALL = 'python -m pip install "minillm[tasks]"'
HAN = re.compile(
    r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\s\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)


def answer_tokens(text: str, language: str = "en") -> list[str]:
    """The words of an answer that are compared; in Chinese the characters.

    language   "en": as SQuAD; "zh": no punctuation of any script, each Chinese character by itself

    >>> answer_tokens("The  King's horse!")
    ['kings', 'horse']
    >>> answer_tokens("《三国》 GPT-2。", "zh")
    ['三', '国', 'gpt2']
    """
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {LANGUAGES}, got {language!r}")
    text = text.lower()
    if language == "en":
        text = "".join(c for c in text if c not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", text).split()
    text = "".join(c for c in text if unicodedata.category(c)[0] not in "PS")
    return HAN.findall(text)


def exact_match(
    predictions: Sequence[str], references: Sequence[Any], language: str = "en"
) -> float:
    """The share of answers that are a reference, after normalisation.

    references   for each prediction a string, or a list of strings of which the best counts

    >>> exact_match(["The king.", "two"], ["a king", ["2", "three"]])
    0.5
    """
    return _mean_of_best("exact_match", _same, predictions, references, language)


def token_f1(predictions: Sequence[str], references: Sequence[Any], language: str = "en") -> float:
    """The mean F1 of the words (in Chinese characters) that answer and reference share.

    references   for each prediction a string, or a list of strings of which the best counts

    >>> token_f1(["the black cat"], ["a cat"])
    0.6666666666666666
    >>> token_f1(["在灯塔"], ["灯塔"], language="zh")
    0.8
    """
    return _mean_of_best("token_f1", _overlap, predictions, references, language)


def _same(said: list[str], right: list[str]) -> float:
    return float(said == right)


def _overlap(said: list[str], right: list[str]) -> float:
    if not said or not right:  # no answer: right if there is none
        return float(said == right)
    return 2 * (Counter(said) & Counter(right)).total() / (len(said) + len(right))


def _mean_of_best(
    name: str,
    score: Callable[[list[str], list[str]], float],
    predictions: Sequence[str],
    references: Sequence[Any],
    language: str,
) -> float:
    groups = _groups(name, predictions, references)
    if not groups:
        warn_of_zero(f"{name}: there are no predictions")
        return 0.0
    total = 0.0
    for text, group in zip(predictions, groups, strict=True):
        said = answer_tokens(text, language)
        total += max(score(said, answer_tokens(r, language)) for r in group)
    return total / len(groups)


def _groups(name: str, predictions: Any, references: Any) -> list[list[str]]:
    """The references of each prediction as a list."""
    if isinstance(predictions, str) or isinstance(references, str):
        raise TypeError(f"{name}: give lists of texts, such as {name}([text], [reference])")
    if len(predictions) != len(references):
        raise ValueError(f"{name}: {len(predictions)} predictions for {len(references)} references")
    groups = [[r] if isinstance(r, str) else list(r) for r in references]
    for n, group in enumerate(groups):
        if not group:
            raise ValueError(f"{name}: prediction {n} has no reference")
    return groups


# ---------------------------------------------------------------------------- BLEU and ROUGE


def _library(name: str, module: str, package: str) -> Any:
    """The module, or one sentence that says how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f"{name} is computed by the package {package}, which is not installed: {INSTALL}"
        ) from None


def bleu(predictions: Sequence[str], references: Sequence[Any], tokenize: str = "13a") -> float:
    """BLEU of a corpus, 0 ... 100, by sacrebleu.

    references   for each prediction a string, or a list of strings; equally many for all
    tokenize     how sacrebleu cuts words: "13a" for English, "zh" for Chinese, "char", "none"
    Raises       ImportError with the line that installs sacrebleu, where it is absent

    >>> round(bleu(["the cat sat on the mat"], ["the cat sat on the mat"]), 6)  # doctest: +SKIP
    100.0
    """
    groups = _groups("bleu", predictions, references)
    if not groups:
        warn_of_zero("bleu: there are no predictions")
        return 0.0
    if len({len(group) for group in groups}) > 1:
        raise ValueError("bleu: every prediction needs the same number of references")
    library = _library("bleu", "sacrebleu", "sacrebleu")
    streams = [list(stream) for stream in zip(*groups, strict=True)]
    return float(library.corpus_bleu(list(predictions), streams, tokenize=tokenize).score)


def rouge(
    predictions: Sequence[str],
    references: Sequence[Any],
    kinds: Sequence[str] = ("rouge1", "rouge2", "rougeL"),
    language: str = "en",
) -> dict[str, float]:
    """The mean F1 of ROUGE, 0 ... 1, by rouge-score.

    references   for each prediction a string, or a list of strings of which the best counts
    kinds        rouge1, rouge2 ...: shared words, pairs of words; rougeL: longest common subsequence
    language     "zh" compares characters; the library alone would see no word in a Chinese text
    Raises       ImportError with the line that installs rouge-score, where it is absent

    >>> rouge(["the cat sat"], ["the cat ran"], kinds=["rougeL"])  # doctest: +SKIP
    {'rougeL': 0.6666666666666666}
    """
    groups = _groups("rouge", predictions, references)
    if language not in LANGUAGES:
        raise ValueError(f"rouge: language must be one of {LANGUAGES}, got {language!r}")
    if not groups:
        warn_of_zero("rouge: there are no predictions")
        return dict.fromkeys(kinds, 0.0)
    library = _library("rouge", "rouge_score.rouge_scorer", "rouge-score")
    tokenizer = _Characters() if language == "zh" else None
    scorer = library.RougeScorer(list(kinds), use_stemmer=False, tokenizer=tokenizer)
    totals = dict.fromkeys(kinds, 0.0)
    for text, group in zip(predictions, groups, strict=True):
        scores = [scorer.score(reference, text) for reference in group]
        for kind in kinds:
            totals[kind] += max(score[kind].fmeasure for score in scores)
    return {kind: total / len(groups) for kind, total in totals.items()}


class _Characters:
    """What rouge-score asks of a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        """The characters of a Chinese text, and what stands between them."""
        return answer_tokens(text, "zh")
