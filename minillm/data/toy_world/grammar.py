"""What can happen in the toy world, and how likely it is.

A derivation is one choice for each slot: a plot, a hero, a place, an object ...  What may be chosen,
and with which probability, depends on the few earlier slots that a slot names as its `parents`, so

    log p(story) = sum over slots of  log p(slot | parents)                                    (1)
    H(story)     = sum over slots of  E over the parents of  H(slot | parents)                 (2)

(2) is the chain rule of entropy.  `forward` carries the exact distribution of those slots that a later
slot still asks for, from slot to slot; everything else is summed out.  A few thousand states suffice
where there are more than 10^20 stories.

Two worlds share these rules.  The ordinary one never uses

    a hero and a way of moving with    (number of hero + number of motion) % 8 = 3
    a thing and its look with          (number of thing + number of look) % (number of looks) = 5
    stories of six sentences

and the compositional one uses exactly one of the three in every story, its `novelty`.
"""

import bisect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .lexicon import CATEGORIES_OF, CATEGORY_OF, FATE_OF, GROUP_OF_PLACE, GROUPS

# One letter per sentence between the opening and the ending, then how the story ends:
# Get, Want in vain, Finally get, Use, Loss, Quest, Rescue, giVe, Thanks.
PLOTS = {
    1: ("G+", "W-"),
    2: ("GU+", "GV+", "WF+", "GL-", "WQ-"),
    3: ("GUV+", "GLR+", "WFU+", "WFV+", "GVT+", "GUL-", "GLQ-", "WFL-"),
    4: ("GULR+", "GLQR+", "GLRU+", "GLRV+", "GUVT+", "WFUV+", "WFVT+", "WFLR+",
        "GULQ-", "WFUL-", "WFLQ-"),
}  # fmt: skip
ALL_PLOTS = tuple(plot for plots in PLOTS.values() for plot in plots)
NOVELTIES = ("motion", "look", "length")
Derivation = dict[str, str]
Options = tuple[tuple[str, float], ...]


def sentiment_of(plot: str) -> str:
    """Positive or negative: how the plot ends."""
    return "positive" if plot.endswith("+") else "negative"


def weighted(values: "tuple[str, ...] | list[str]") -> list[tuple[str, float]]:
    """The first third of a table is twice as likely as the rest."""
    return [(value, 2.0 if 3 * i < len(values) else 1.0) for i, value in enumerate(values)]


def held_out_motion(hero: str, motion: str) -> bool:
    """True for the way of moving that this hero never uses in the ordinary world."""
    motions = GROUPS["motion"][""]
    return (GROUPS["hero"][""].index(hero) + motions.index(motion)) % len(motions) == 3


def looks_of(thing: str) -> tuple[str, ...]:
    """Food has a flavour, everything else a colour."""
    return GROUPS["look"]["flavour" if CATEGORY_OF[thing] == "food" else "colour"]


def held_out_look(thing: str, look: str) -> bool:
    """True for the colour or flavour that this thing never has in the ordinary world."""
    things, looks = GROUPS["object"][CATEGORY_OF[thing]], looks_of(thing)
    return look in looks and (things.index(thing) + looks.index(look)) % len(looks) == 5


def plot_options(context: Derivation) -> list[tuple[str, float]]:
    """Both endings of every length are equally likely, and so are the plots of one ending."""
    lengths = {4: 1.0} if context["novelty"] == "length" else {1: 0.3, 2: 0.35, 3: 0.35}
    options = []
    for length, weight in lengths.items():
        for sign in "+-":
            plots = [plot for plot in PLOTS[length] if plot.endswith(sign)]
            options += [(plot, weight / 2 / len(plots)) for plot in plots]
    return options


def motion_options(context: Derivation) -> list[tuple[str, float]]:
    """The held-out one if the story's novelty is there, else all the others."""
    wanted = context["novelty"] == "motion"
    return [
        (motion, weight)
        for motion, weight in weighted(GROUPS["motion"][""])
        if held_out_motion(context["hero"], motion) is wanted
    ]


def look_options(context: Derivation) -> list[tuple[str, float]]:
    """The held-out one if the story's novelty is there, else all the others."""
    wanted, thing = context["novelty"] == "look", context["object"]
    return [
        (look, weight)
        for look, weight in weighted(looks_of(thing))
        if held_out_look(thing, look) is wanted
    ]


def company_options(context: Derivation) -> list[tuple[str, float]]:
    """Who is to get a present has to be there."""
    if "V" in context["plot"]:
        return [("together", 1.0)]
    return [("together", 3.0), ("alone", 2.0)]


def user_options(context: Derivation) -> list[tuple[str, float]]:
    """The hero, or sometimes the companion."""
    if context["company"] == "alone":
        return [("hero", 1.0)]
    return [("hero", 2.0), ("companion", 1.0)]


def object_options(context: Derivation) -> list[tuple[str, float]]:
    """Things of the kinds that the place offers."""
    kinds = CATEGORIES_OF[GROUP_OF_PLACE[context["place"]]]
    return [option for kind in kinds for option in weighted(GROUPS["object"][kind])]


def mishap_options(context: Derivation) -> list[tuple[str, float]]:
    """Food is only ever taken away: nobody can repair a cake."""
    fates = ("gone",) if CATEGORY_OF[context["object"]] == "food" else ("gone", "broken")
    return [option for fate in fates for option in weighted(GROUPS["mishap"][fate])]


def _fate(context: Derivation) -> str:
    """What was never had is looked for like what is gone."""
    return FATE_OF[context["mishap"]] if "mishap" in context else "gone"


@dataclass(frozen=True)
class Slot:
    """One choice of a derivation.

    name      the slot
    parents   the earlier slots that `options` may look at, "plot" among them if `events` is given
    options   the values and their weights, given the parents
    events    letters of the plot: without one of them the slot does not exist
    only      (slot, value): without this value of that parent the slot does not exist
    """

    name: str
    parents: tuple[str, ...]
    options: Callable[[Derivation], list[tuple[str, float]]]
    events: str = ""
    only: "tuple[str, str] | None" = None

    def exists(self, context: Mapping[str, str]) -> bool:
        """Does a story with these choices have this slot?"""
        if self.only is not None and context.get(self.only[0]) != self.only[1]:
            return False
        return not self.events or any(event in context["plot"] for event in self.events)


def _table(slot: str, group: "Callable[[Derivation], str] | None" = None) -> Callable:
    """The options of a slot that only needs a table, or one table for each group."""
    return lambda context: weighted(GROUPS[slot][group(context) if group else ""])


def _place_group(context: Derivation) -> str:
    return GROUP_OF_PLACE[context["place"]]


def _category(context: Derivation) -> str:
    return CATEGORY_OF[context["object"]]


def _ending(context: Derivation) -> str:
    return sentiment_of(context["plot"])


# The order keeps few slots alive at a time: what depends on the place follows the place at once.
SLOTS = (
    Slot("plot", ("novelty",), plot_options),
    Slot("company", ("plot",), company_options),
    Slot("user", ("plot", "company"), user_options, events="U"),
    Slot("companion", ("company",), _table("companion"), only=("company", "together")),
    Slot("time", (), lambda _: [("weather", 2.0), ("weekday", 1.0)]),
    Slot("weather", ("time",), _table("weather"), only=("time", "weather")),
    Slot("day", ("time",), _table("day"), only=("time", "weekday")),
    Slot("daypart", (), _table("daypart")),
    Slot("hero", (), _table("hero")),
    Slot("motion", ("novelty", "hero"), motion_options),
    Slot("place", (), lambda _: [o for g in GROUPS["place"].values() for o in weighted(g)]),
    Slot("get", ("plot", "place"), _table("get", _place_group), events="GF"),
    Slot("object", ("place",), object_options),
    Slot("size", (), _table("size")),
    Slot("look", ("novelty", "object"), look_options),
    Slot("obstacle", ("plot",), _table("obstacle"), events="W"),
    Slot("manner", ("plot",), _table("manner"), events="U"),
    Slot("use", ("plot", "object"), _table("use", _category), events="U"),
    Slot("thief", ("plot",), _table("thief"), events="L"),
    Slot("mishap", ("plot", "object"), mishap_options, events="L"),
    Slot("try", ("plot", "mishap"), _table("try", _fate), events="Q"),
    Slot("duration", ("plot",), _table("duration"), events="Q"),
    Slot("trait", ("plot",), _table("trait"), events="R"),
    Slot("helper", ("plot",), _table("helper"), events="R"),
    Slot("rescue", ("plot", "mishap"), _table("rescue", _fate), events="R"),
    Slot("give", ("plot",), _table("give"), events="V"),
    Slot("thank", ("plot",), _table("thank"), events="T"),
    Slot("close", (), _table("close")),
    Slot("degree", (), _table("degree")),
    Slot("feeling", ("plot",), _table("feeling", _ending)),
    Slot("after", ("plot",), _table("after", _ending)),
)


class Grammar:
    """The slots with their probabilities: sampling, log-probability, enumeration, exact entropy.

    compositional   False: the ordinary world; True: one novelty in every story
    choices         keep at most so many options of a slot, {"hero": 2, ...}; the key "" stands for
                    all slots not named.  A grammar reduced this way can be enumerated.
    """

    def __init__(
        self, compositional: bool = False, choices: "Mapping[str, int] | None" = None
    ) -> None:
        novelties = NOVELTIES if compositional else ("none",)
        novelty = Slot("novelty", (), lambda _: [(value, 1.0) for value in novelties])
        self.slots: tuple[Slot, ...] = (novelty, *SLOTS)
        self.choices = dict(choices or {})
        unknown = set(self.choices) - {slot.name for slot in self.slots} - {""}
        if unknown or any(limit < 1 for limit in self.choices.values()):
            raise ValueError(
                f"choices must map names of slots to counts of at least 1, got {self.choices}; "
                f"slots: {', '.join(slot.name for slot in self.slots)}"
            )
        self._tables: dict[tuple, tuple[Options, list[float]]] = {}

    def options(self, slot: Slot, context: Mapping[str, str]) -> Options:
        """Values and probabilities of a slot; () where the story does not have it."""
        return self._table_of(slot, context)[0]

    def _table_of(self, slot: Slot, context: Mapping[str, str]) -> tuple[Options, list[float]]:
        """The options and their cumulated probabilities, worked out once for each context."""
        key = (slot.name, *[context.get(parent) for parent in slot.parents])
        found = self._tables.get(key)
        if found is None:
            seen = {p: context[p] for p in slot.parents if p in context}
            options: Options = ()
            if slot.exists(seen):
                limit = self.choices.get(slot.name, self.choices.get(""))
                raw = slot.options(seen)[:limit]
                total = sum(weight for _, weight in raw)
                options = tuple((value, weight / total) for value, weight in raw)
            found = (options, list(itertools.accumulate(p for _, p in options)))
            self._tables[key] = found
        return found

    def sample(self, rng: np.random.Generator) -> tuple[Derivation, float]:
        """One derivation and its log-probability in nats."""
        draws = rng.random(len(self.slots)).tolist()
        derivation: Derivation = {}
        probability = 1.0  # of some 40 choices: far from underflow
        for slot, draw in zip(self.slots, draws, strict=True):
            options, cumulated = self._table_of(slot, derivation)
            if options:
                i = min(bisect.bisect_right(cumulated, draw), len(options) - 1)
                derivation[slot.name], p = options[i]
                probability *= p
        return derivation, math.log(probability)

    def log_probability(self, derivation: Mapping[str, str]) -> float:
        """(1), in nats; -inf if the grammar cannot make these choices."""
        total, used = 0.0, 0
        for slot in self.slots:
            options = dict(self.options(slot, derivation))
            if options:
                p = options.get(derivation.get(slot.name, ""), 0.0)
                if p == 0.0:
                    return -math.inf
                total += math.log(p)
                used += 1
        return total if used == len(derivation) else -math.inf

    def derivations(self) -> Iterator[tuple[Derivation, float]]:
        """Every derivation with its log-probability: only for a grammar reduced by `choices`."""

        def extend(number: int, context: Derivation, log_p: float) -> Iterator:
            if number == len(self.slots):
                yield dict(context), log_p
                return
            slot = self.slots[number]
            options = self.options(slot, context)
            if not options:
                yield from extend(number + 1, context, log_p)
            for value, p in options:
                yield from extend(number + 1, {**context, slot.name: value}, log_p + math.log(p))

        yield from extend(0, {}, 0.0)

    def forward(self) -> Iterator[tuple[Slot, Derivation, float, Options]]:
        """For each slot, in order: every context of its parents, its probability, the options.

        Contexts that no later slot can tell apart are added together on the way.
        """
        states: dict[tuple, float] = {(): 1.0}  # sorted (slot, value) pairs -> probability
        for number, slot in enumerate(self.slots):
            later = {parent for s in self.slots[number + 1 :] for parent in s.parents}
            following: dict[tuple, float] = {}
            for state, probability in states.items():
                context = dict(state)
                options = self.options(slot, context)
                yield slot, context, probability, options
                kept = tuple(pair for pair in state if pair[0] in later)
                for value, p in options or (("", 1.0),):
                    more = ((slot.name, value),) if options and slot.name in later else ()
                    key = kept + more
                    following[key] = following.get(key, 0.0) + probability * p
            states = following

    def entropy(self) -> float:
        """(2): H(story) in nats, exact."""
        return sum(
            -probability * p * math.log(p)
            for _, _, probability, options in self.forward()
            for _, p in options
        )

    def marginals(self) -> dict[tuple[str, str], float]:
        """(slot, value) -> the probability that a story makes this choice."""
        out: dict[tuple[str, str], float] = {}
        for slot, _, probability, options in self.forward():
            for value, p in options:
                out[slot.name, value] = out.get((slot.name, value), 0.0) + probability * p
        return out


def novelty_of(derivation: Mapping[str, Any]) -> str:
    """Which of the held-out things a story has; "none" for an ordinary one, "several" for more."""
    found = [
        name
        for name, present in (
            ("motion", held_out_motion(derivation["hero"], derivation["motion"])),
            ("look", held_out_look(derivation["object"], derivation["look"])),
            ("length", len(derivation["plot"]) - 1 == 4),
        )
        if present
    ]
    return found[0] if len(found) == 1 else "several" if found else "none"
