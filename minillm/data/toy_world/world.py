"""The toy world itself: stories without end, splits, and the figures no model can beat."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...arguments import is_whole
from .grammar import Derivation, Grammar
from .lexicon import SPELLINGS
from .parser import HOLE, derivations_of
from .story import Story
from .templates import Template, events_of, lengths_of, template_for, vocabulary_of
from .text import require_language, split

STRUCTURE = ("novelty", "plot", "company", "user", "time")  # the slots that choose patterns
TRIES = 1000  # draws in a row without a new story before `splits` gives up


@dataclass(frozen=True)
class StorySplits:
    """Stories to train on, to test on, and to test on with what was never trained.

    >>> from minillm.data import ToyWorld
    >>> parts = ToyWorld().splits(20, 5, 5, seed=0)
    >>> len(parts.train), len(parts.test), len(parts.compositional)
    (20, 5, 5)
    """

    train: list[Story]
    test: list[Story]
    compositional: list[Story]


@dataclass(frozen=True)
class StoryPair:
    """Two sentences, and whether the second follows the first in a story.

    >>> from minillm.data import ToyWorld
    >>> pair = ToyWorld().next_sentence_pairs(1, seed=0)[0]
    >>> type(pair.is_next)
    <class 'bool'>
    """

    first: list[str]
    second: list[str]
    is_next: bool


def _count(name: str, value: Any, at_least: int = 0) -> int:
    """A count, or a ValueError that names it."""
    if not is_whole(value) or value < at_least:
        raise ValueError(f"{name} must be a whole number of at least {at_least}, got {value!r}")
    return int(value)


class ToyWorld:
    """Short stories in English and Chinese, from a probabilistic grammar whose entropy is known.

    seed            of `stories`, `splits` and `next_sentence_pairs` where they are given none
    compositional   True: only stories with something the ordinary world never does
    choices         at most so many options for a slot ({"": 1, "hero": 2}): small worlds to count

    A story has 3 to 5 sentences (6 where the length is what is new), a hero, a place, a thing,
    events that follow from one another and a feeling that follows from them.

    >>> world = ToyWorld()
    >>> story = world.stories(1, seed=18)[0]
    >>> for sentence in story.sentences:
    ...     print(sentence.english)
    ...     print(sentence.chinese)
    One cloudy morning, Leo ran to the school with his classmate.
    一个多云的早上，里奥和他的同学一起跑到了学校。
    There, Leo earned an amazing red robot.
    在那里，里奥获得了一个神奇的红色机器人。
    Suddenly, a rabbit stole the robot.
    突然，一只兔子把那个机器人偷走了。
    Later, a kind pilot recovered the robot.
    后来，一位善良的飞行员找回了那个机器人。
    That night, Leo felt really grateful and sang about the robot.
    那天夜里，里奥感到真的很感激，并且唱起了那个机器人。
    >>> print(story.summary["english"])
    Leo earned an amazing red robot at the school and felt grateful.
    >>> story.sentiment
    'positive'
    >>> question = story.questions["english"][0]
    >>> question.text, question.answer
    ('When did Leo go there?', 'One cloudy morning')
    >>> world.parse(story.english, "english") == story.derivation
    True
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        compositional: bool = False,
        choices: "Mapping[str, int] | None" = None,
    ) -> None:
        self.seed = _count("seed", seed)
        self.compositional = compositional
        self.grammar = Grammar(compositional, choices)

    # --- stories ---------------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> Story:
        """One story drawn with `rng`."""
        return Story(*self.grammar.sample(rng))

    def stories(self, n: int, seed: "int | None" = None) -> list[Story]:
        """`n` independent stories; a story may come twice, as chance has it."""
        rng = self._rng(seed)
        return [self.sample(rng) for _ in range(_count("n", n))]

    def _rng(self, seed: "int | None") -> np.random.Generator:
        return np.random.default_rng(self.seed if seed is None else _count("seed", seed))

    def derivations(self) -> Iterator[Story]:
        """Every story there is: only for a world made small by `choices`."""
        return itertools.starmap(Story, self.grammar.derivations())

    def splits(
        self, n_train: int, n_test: int, n_compositional: int = 0, *, seed: "int | None" = None
    ) -> StorySplits:
        """Three sets of stories; no text stands in two of them, and none twice in a test set.

        The test stories are drawn first and the training stories that equal one of them are drawn
        again, so the test set has exactly the distribution of the grammar but for repetitions.  The
        compositional stories come from the sibling world, which shares no story with this one.

        Raises   ValueError if this world is the compositional one, or too small for so many
                 different stories
        """
        if self.compositional:
            raise ValueError("splits needs the ordinary world: ToyWorld(compositional=False)")
        seed = self.seed if seed is None else _count("seed", seed)
        rng = np.random.default_rng([seed, 1])
        test = self._distinct(_count("n_test", n_test), rng)
        taken = {story.english for story in test}
        train = self._outside(taken, _count("n_train", n_train), rng)
        sibling = ToyWorld(compositional=True, choices=self.grammar.choices)
        n = _count("n_compositional", n_compositional)
        return StorySplits(train, test, sibling._distinct(n, np.random.default_rng([seed, 2])))

    def _distinct(self, n: int, rng: np.random.Generator) -> list[Story]:
        """`n` stories with different texts."""
        found: dict[str, Story] = {}
        for _ in range(n):
            story = self._outside(found, 1, rng)[0]
            found[story.english] = story
        return list(found.values())

    def _outside(self, taken: Any, n: int, rng: np.random.Generator) -> list[Story]:
        """`n` stories, none of which has a text in `taken`."""
        found = []
        for _ in range(n):
            for _ in range(TRIES):
                story = self.sample(rng)
                if story.english not in taken:
                    found.append(story)
                    break
            else:
                raise ValueError(
                    f"{TRIES} stories in a row were among the {len(taken)} already taken: this "
                    "world is too small for so many; ask for fewer or allow more choices"
                )
        return found

    def next_sentence_pairs(
        self, n: int, seed: "int | None" = None, *, language: str = "english"
    ) -> list[StoryPair]:
        """`n` pairs of sentences, a true successor or one from another story, by a fair coin.

        The other story has another hero and another thing, and its sentence stands at the same
        position where it has one.  The sentence after the opening names the hero again, and from
        there on every sentence names the thing, so no false pair could stand in any story: a
        perfect model scores 100 %.
        """
        require_language(language)
        rng = self._rng(seed)
        pairs = []
        for _ in range(_count("n", n)):
            story = self.sample(rng)
            position = int(rng.integers(len(story.sentences) - 1))
            first, source, is_next = story.sentences[position], story, bool(rng.random() < 0.5)
            if not is_next:
                source = self._stranger(story, rng)
            at = min(position + 1, len(source.sentences) - 1)
            second = source.sentences[at].tokens[language]
            pairs.append(StoryPair(first.tokens[language], second, is_next))
        return pairs

    def _stranger(self, story: Story, rng: np.random.Generator) -> Story:
        """A story about another hero and another thing."""
        for _ in range(TRIES):
            other = self.sample(rng)
            if all(other.derivation[slot] != story.derivation[slot] for slot in ("hero", "object")):
                return other
        raise ValueError(
            "this world has too few heroes or things for a sentence from another story: allow more "
            "choices"
        )

    # --- exact figures ---------------------------------------------------------------------------

    @cached_property
    def entropy(self) -> float:
        """H(story) in nats: the mean of -log p(story), exact.  The same in both languages."""
        return self.grammar.entropy()

    @cached_property
    def expected_tokens(self) -> dict[str, float]:
        """Language -> E[tokens of a story, one end token included], exact.

        A word of a slot counts with the probability of its value; what a pattern says besides that
        is counted over all structures.
        """
        marginals = self.grammar.marginals()
        return {
            language: 1.0 + self._fixed_tokens(language) + self._free_tokens(language, marginals)
            for language in ("english", "chinese")
        }

    def _structures(self) -> Iterator[tuple[list[Template], float]]:
        """The patterns of every kind of story, with the probability of the kind."""
        small = Grammar(self.compositional, self.grammar.choices)
        small.slots = tuple(slot for slot in small.slots if slot.name in STRUCTURE)
        for choices, log_p in small.derivations():
            events = events_of(choices["plot"])
            yield [template_for(event, choices) for event in events], math.exp(log_p)

    def _fixed_tokens(self, language: str) -> float:
        """E[words from pieces whose number of words does not depend on the value]."""
        total = 0.0
        for templates, probability in self._structures():
            lengths = [lengths_of(p, language) for t in templates for p in t.patterns[language]]
            total += probability * sum(min(sizes) for sizes in lengths if len(sizes) == 1)
        return total

    def _free_tokens(self, language: str, marginals: Mapping[tuple[str, str], float]) -> float:
        """E[words from the other pieces]: each of their slots is mentioned once where it exists."""
        spoken = {
            piece.slot
            for templates, _ in self._structures()
            for template in templates
            for piece in template.patterns[language]
            if len(lengths_of(piece, language)) > 1
        }
        return sum(
            probability * len(SPELLINGS[slot, language, ""][value])
            for (slot, value), probability in marginals.items()
            if slot in spoken
        )

    def floor(self, language: str) -> float:
        """Nats per token that no language model can beat on average: H(story) / E[tokens].

        >>> f"{ToyWorld().floor('english'):.4f}"
        '0.7568'
        """
        return self.entropy / self.expected_tokens[require_language(language)]

    def vocabulary(self, language: str) -> list[str]:
        """All words of stories, summaries and questions, sorted."""
        return vocabulary_of(require_language(language))

    def word_categories(self, language: str) -> dict[str, str]:
        """Word -> what it stands for: "hero", "place", ...; only words that stand for one thing alone.

        >>> ToyWorld().word_categories("english")["rabbit"]
        'thief'
        """
        require_language(language)
        found: dict[str, set[str]] = {}
        for (slot, spoken, form), spellings in SPELLINGS.items():
            if spoken == language and not form:
                for tokens in spellings.values():
                    for token in tokens:
                        found.setdefault(token, set()).add(slot if len(tokens) == 1 else "part")
        return {
            word: next(iter(slots))
            for word, slots in sorted(found.items())
            if len(slots) == 1 and "part" not in slots
        }

    def pronouns(self, language: str) -> dict[str, str]:
        """Hero -> he or she, as words of the language.

        >>> ToyWorld().pronouns("chinese")["里奥"]
        '他'
        """
        names = SPELLINGS["hero", require_language(language), ""]
        spoken = SPELLINGS["hero", language, "she"]
        return {names[hero][0]: spoken[hero][0] for hero in names}

    # --- reading ---------------------------------------------------------------------------------

    def parses(self, story: "str | list[str] | tuple[str, ...]", language: str) -> list[Derivation]:
        """Every derivation of a text or list of words that has a probability in this world."""
        tokens = split(story, language) if isinstance(story, str) else story
        found = derivations_of(tokens, require_language(language))
        return [d for d in found if self.grammar.log_probability(d) > -math.inf]

    def parse(self, story: "str | list[str] | tuple[str, ...]", language: str) -> Derivation:
        """The one derivation of a story, given as text or as words.

        Raises   ValueError if it is no story of this world
        """
        found = self.parses(story, language)
        if len(found) != 1:
            raise ValueError(
                f"this is no story of this world ({len(found)} derivations): {str(story)[:60]!r}"
            )
        return found[0]

    def log_probability(
        self, story: "str | list[str] | tuple[str, ...]", language: str = "english"
    ) -> float:
        """Log p of a text or list of words in nats, -inf for what is no story of this world."""
        found = self.parses(story, language)
        return self.grammar.log_probability(found[0]) if found else -math.inf

    def masked_posterior(
        self, tokens: "list[str] | tuple[str, ...]", position: int, language: str
    ) -> dict[str, float]:
        """What may stand at `position`, given all other words: word -> probability, exact.

        The parser reads the story with a hole; each derivation it finds puts one word there, with
        a weight of its probability.  The word at `position` itself is not looked at.

        >>> world = ToyWorld()
        >>> tokens = world.stories(1, seed=18)[0].english_tokens
        >>> world.masked_posterior(tokens, len(tokens) - 1, "english")
        {'.': 1.0}
        """
        words = list(tokens)
        if not 0 <= position < len(words):
            raise ValueError(f"position must be in 0..{len(words) - 1}, got {position}")
        words[position] = HOLE
        weights: dict[str, float] = {}
        for derivation in self.parses(words, language):
            word = Story(derivation, 0.0).tokens[language][position]
            p = math.exp(self.grammar.log_probability(derivation))
            weights[word] = weights.get(word, 0.0) + p
        if not weights:
            raise ValueError(f"no word at position {position} makes this a story of this world")
        total = sum(weights.values())
        return {word: weights[word] / total for word in sorted(weights, key=weights.__getitem__)}

    def best_masked_accuracy(self, stories: "list[Story]", language: str) -> float:
        """The accuracy of the best possible guess when one word at a time is hidden.

        The mean of the largest posterior probability over all positions of the stories given: exact
        for them, an estimate for the world.
        """
        if not stories:
            raise ValueError("best_masked_accuracy needs at least one story, got none")
        best = [
            max(self.masked_posterior(story.tokens[language], position, language).values())
            for story in stories
            for position in range(len(story.tokens[language]))
        ]
        return sum(best) / len(best)
