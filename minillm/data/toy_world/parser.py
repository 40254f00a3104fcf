"""From the words back to the choices: every derivation of a text, not only the first.

The parser goes through the patterns from left to right and keeps, for each slot, the set of values
that all its mentions so far allow: "she" leaves the girls, "一 只" the things counted with 只.  A
hidden word (`HOLE`) allows every value that fits in its place.  What is left at the end is a product of
sets, and each of its elements is a derivation.

Why a story has exactly one.  (a) Two patterns that may follow the same events differ in the first
words where they are not alike: fixed words, or words of two slots that have none in common ("wanted" is
no way of getting, no adverb is a way of trying).  So the words fix the plot and the structure.  (b) A
slot that exists in a story stands in it in its plain form.  (c) Within a slot no plain form is equal to
another or the beginning of another, so it is clear where it ends and which value it is.  (b) and (c)
are tested on the tables themselves.  The parser assumes none of this: it returns all derivations, and
the tests count them, on samples and on small worlds counted to the end.
"""

import itertools
from collections.abc import Iterator

from .grammar import ALL_PLOTS, SLOTS, Derivation, novelty_of
from .lexicon import SPELLINGS
from .templates import BY_EVENT, Pattern, Template, events_of

HOLE = "\N{WHITE SQUARE}"  # stands for one hidden word
Domains = dict[str, frozenset[str]]


def _invert() -> dict[tuple[str, str, str], dict[tuple[str, ...], frozenset[str]]]:
    """For each slot, language and form: words -> the values spelled so."""
    out: dict = {}
    for key, spellings in SPELLINGS.items():
        table = out.setdefault(key, {})
        for value, words in spellings.items():
            table[words] = table.get(words, frozenset()) | {value}
    return out


VALUES = _invert()
SIZES = {key: sorted({len(words) for words in table}) for key, table in VALUES.items()}
PREFIXES = {events_of(plot)[:n] for plot in ALL_PLOTS for n in range(len(plot) + 2)}
STORIES = {events_of(plot) + plot[-1] for plot in ALL_PLOTS}


def _values(key: tuple[str, str, str], words: tuple[str, ...]) -> frozenset[str]:
    """The values of a slot that these words may spell, holes being open."""
    if HOLE not in words:
        return VALUES[key].get(words, frozenset())
    fitting = [
        values
        for spelling, values in VALUES[key].items()
        if len(spelling) == len(words)
        and all(w in (HOLE, s) for w, s in zip(words, spelling, strict=True))
    ]
    return frozenset().union(*fitting)


def _match(
    pattern: Pattern, number: int, words: tuple[str, ...], at: int, domains: Domains, language: str
) -> Iterator[tuple[int, Domains]]:
    """All ways to read the rest of a pattern from word `at`: where it ends, what it allows."""
    while number < len(pattern) and not pattern[number].slot:
        if at >= len(words) or words[at] not in (HOLE, pattern[number].word):
            return
        number, at = number + 1, at + 1
    if number == len(pattern):
        yield at, domains
        return
    piece = pattern[number]
    key = (piece.slot, language, piece.form)
    for size in SIZES[key]:
        values = _values(key, words[at : at + size])
        if piece.slot in domains:
            values &= domains[piece.slot]
        if values:
            narrowed = {**domains, piece.slot: values}
            yield from _match(pattern, number + 1, words, at + size, narrowed, language)


def _agrees(template: Template, domains: Domains) -> "Domains | None":
    """The domains after the structural choices of a template, None if they contradict."""
    for slot, value in template.when:
        if value not in domains.get(slot, {value}):
            return None
    return {**domains, **{slot: frozenset({value}) for slot, value in template.when}}


def _read(
    words: tuple[str, ...], at: int, events: str, domains: Domains, language: str
) -> Iterator[tuple[str, Domains]]:
    """All ways to read the rest of a story after `events`."""
    if events.endswith("E"):
        if at == len(words):
            yield events, domains
        return
    for event, templates in BY_EVENT.items():
        if events + event in PREFIXES:
            for template in templates:
                agreed = _agrees(template, domains)
                if agreed is None:
                    continue
                pattern = template.patterns[language]
                for end, narrowed in _match(pattern, 0, words, at, agreed, language):
                    yield from _read(words, end, events + event, narrowed, language)


def derivations_of(tokens: "list[str] | tuple[str, ...]", language: str) -> list[Derivation]:
    """Every choice of words that gives these tokens, each with the novelty it has.

    Some may have probability 0 in both worlds (a thing that the place does not offer): the grammar
    decides.  A derivation that reads the same but ends happily and sadly does not exist, because no
    feeling is in both tables.
    """
    found = []
    for events, domains in _read(tuple(tokens), 0, "", {}, language):
        for sign in "+-":
            if events + sign in STORIES:
                names = list(domains)
                for values in itertools.product(*[sorted(domains[name]) for name in names]):
                    derivation = dict(zip(names, values, strict=True))
                    derivation["plot"] = events[1:-1] + sign
                    derivation["novelty"] = novelty_of(derivation)
                    if all(s.exists(derivation) is (s.name in derivation) for s in SLOTS):
                        found.append(derivation)
    return found
