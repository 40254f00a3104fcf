"""The ideal language model of the toy world: what can be known of the next word, exactly.

    p(w | words so far) = p(stories that begin with these words, then w) / p(stories that begin so) (1)

The parser reads the beginning of a story; each way to read it allows each slot a set of values.  The
ways exclude one another, so their probabilities are added.  Of one way it is

    sum over the values allowed of  product over slots of p(slot | parents)                          (2)

summed slot by slot, as the entropy of the world is; slots that the words say nothing about sum to 1 and
are left out.  No language model can be better than (1) on average, and a perfect one equals it.
"""

import itertools
import math
from collections.abc import Iterator

from ..data import Story, ToyWorld
from ..data.toy_world.grammar import Slot
from ..data.toy_world.parser import PREFIXES, SIZES, VALUES
from ..data.toy_world.templates import BY_EVENT, Pattern, events_of

Domains = dict[str, frozenset[str]]


def story_nats(world: ToyWorld, story: Story, language: str) -> list[float]:
    """-log p of each word given those before it; the end, which is certain, counts 0 nats.

    One number for each word and one for the end token: their sum is -log p(story).

    >>> world = ToyWorld()
    >>> story = world.stories(1, seed=18)[0]
    >>> nats = story_nats(world, story, "english")
    >>> abs(sum(nats) + story.log_probability) < 1e-9
    True
    """
    words = story.tokens[language]
    reached = [prefix_log_probability(world, words[:n], language) for n in range(len(words) + 1)]
    reached.append(story.log_probability)
    # a word that is certain costs 0, not the rounding error of a sum
    return [max(before - after, 0.0) for before, after in itertools.pairwise(reached)]


def next_words(world: ToyWorld, words: "list[str]", language: str) -> dict[str, float]:
    """What may follow the first words of a story: word -> probability, the most likely first.

    >>> next_words(ToyWorld(), ["there"], "english")
    {}
    >>> [round(p, 3) for p in next_words(ToyWorld(), [], "english").values()]
    [0.667, 0.333]
    """
    before = prefix_log_probability(world, words, language)
    found = {}
    for word in world.vocabulary(language):
        after = prefix_log_probability(world, [*words, word], language)
        if after > -math.inf:
            found[word] = math.exp(after - before)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def prefix_log_probability(world: ToyWorld, words: "list[str]", language: str) -> float:
    """Log of the probability that a story begins with these words, -inf for no story, in nats.

    >>> prefix_log_probability(ToyWorld(), [], "english")
    0.0
    >>> round(math.exp(prefix_log_probability(ToyWorld(), ["on"], "english")), 4)
    0.3333
    """
    total = sum(
        _probability(world, events, domains)
        for events, domains in _begin(tuple(words), 0, "", {}, language)
    )
    return math.log(total) if total > 0 else -math.inf


def _probability(world: ToyWorld, events: str, domains: Domains) -> float:
    """(2) for the plots that begin with these events and the values that are allowed."""
    slots = _relevant(world, domains)
    later = [{p for s in slots[i + 1 :] for p in s.parents} for i in range(len(slots))]
    states: dict[tuple, float] = {(): 1.0}  # (slot, value) pairs -> probability
    for slot, asked in zip(slots, later, strict=True):
        following: dict[tuple, float] = {}
        for state, probability in states.items():
            kept = tuple(pair for pair in state if pair[0] in asked)
            for value, p in world.grammar.options(slot, dict(state)) or (("", 1.0),):
                if not _allowed(slot.name, value, events, domains):
                    continue
                key = (*kept, (slot.name, value)) if value and slot.name in asked else kept
                following[key] = following.get(key, 0.0) + probability * p
        states = following
    return sum(states.values())


def _relevant(world: ToyWorld, domains: Domains) -> list[Slot]:
    """The slots with a domain, the plot, and all that these depend on, in order."""
    wanted = {"plot", *domains}
    for slot in reversed(world.grammar.slots):
        if slot.name in wanted:
            wanted.update(slot.parents)
    return [slot for slot in world.grammar.slots if slot.name in wanted]


def _allowed(name: str, value: str, events: str, domains: Domains) -> bool:
    """Whether the words read so far permit this choice; "" where the story has no such slot."""
    if name == "plot" and not (events_of(value) + value[-1]).startswith(events):
        return False
    return name not in domains or value in domains[name]


def _begin(
    words: tuple[str, ...], at: int, events: str, domains: Domains, language: str
) -> Iterator[tuple[str, Domains]]:
    """All ways to read words[at:] as the beginning of what follows `events`, each once."""
    if at == len(words):
        yield events, domains
        return
    for event, templates in BY_EVENT.items():
        if events + event not in PREFIXES:
            continue
        for template in templates:
            when = {slot: frozenset({value}) for slot, value in template.when}
            if any(not domains.get(slot, values) & values for slot, values in when.items()):
                continue
            pattern, agreed = template.patterns[language], {**domains, **when}
            for end, narrowed in _match(pattern, 0, words, at, agreed, language):
                if end is None:
                    yield events + event, narrowed
                else:
                    yield from _begin(words, end, events + event, narrowed, language)


def _match(
    pattern: Pattern, number: int, words: tuple[str, ...], at: int, domains: Domains, language: str
) -> Iterator[tuple["int | None", Domains]]:
    """Ways to read a pattern: (the word after it, or None if the words end within it; domains)."""
    while number < len(pattern) and not pattern[number].slot:
        if at == len(words):
            yield None, domains
            return
        if words[at] != pattern[number].word:
            return
        number, at = number + 1, at + 1
    if number == len(pattern):
        yield at, domains
        return
    piece = pattern[number]
    table, rest = VALUES[piece.slot, language, piece.form], words[at:]
    longer = [
        values for s, values in table.items() if len(s) > len(rest) and s[: len(rest)] == rest
    ]
    open_values: frozenset[str] = frozenset().union(*longer)
    open_values &= domains.get(piece.slot, open_values)
    if open_values:  # the words end within this slot, or just before it
        yield None, {**domains, piece.slot: open_values}
    for size in SIZES[piece.slot, language, piece.form]:
        values = table.get(rest[:size], frozenset()) if size <= len(rest) else frozenset()
        values &= domains.get(piece.slot, values)
        if values:
            narrowed = {**domains, piece.slot: values}
            yield from _match(pattern, number + 1, words, at + size, narrowed, language)
