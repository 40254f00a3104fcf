"""How the toy world is told: one sentence pattern for each event, in both languages.

A pattern is a row of words, `{slot}` or `{slot.form}` for a word of the lexicon, and `role( ... )`
around the words that play a semantic role.  A pattern is chosen by the event and by the structural
slots named in `when`; nothing else about a sentence is free.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .lexicon import LANGUAGES, SPELLINGS

ROLES = ("agent", "action", "patient", "recipient", "place", "time", "feeling")


@dataclass(frozen=True)
class Piece:
    """One step of a pattern: a fixed word, or a slot with a form; and the role it plays."""

    word: str
    slot: str
    form: str
    role: str  # "" outside all roles
    begins: bool  # the first piece of its role


Pattern = tuple[Piece, ...]


def compile_pattern(text: str) -> Pattern:
    """The pieces of a pattern in the notation above."""
    pieces, role, begins = [], "", False
    for part in text.split():
        if part.endswith("("):
            role, begins = part[:-1], True
        elif part == ")":
            role = ""
        else:
            slot, _, form = part[1:-1].partition(".") if part.startswith("{") else ("", "", "")
            pieces.append(Piece("" if slot else part, slot, form, role, begins))
            begins = False
    return tuple(pieces)


@dataclass(frozen=True)
class Template:
    """One sentence pattern: its event, the structural choices it stands for, both languages."""

    event: str
    when: tuple[tuple[str, str], ...]
    patterns: Mapping[str, Pattern]


def _template(event: str, when: dict[str, str], english: str, chinese: str) -> Template:
    patterns = {"english": compile_pattern(english), "chinese": compile_pattern(chinese)}
    return Template(event, tuple(sorted(when.items())), patterns)


THING = "patient( {size.a} {size} {look} {object} )"
THING_ZH = "patient( 一 {object.cl} {size} 的 {look} {object} )"
THE = "patient( the {object} )"
THE_ZH = "patient( 那 {object.cl} {object} )"
WHEN = {"weather": "time( one {weather} {daypart} )", "weekday": "time( on {day} {daypart} )"}
WHEN_ZH = {"weather": "time( 一 个 {weather} 的 {daypart} )", "weekday": "time( {day} {daypart} )"}
GO = ", agent( {hero} ) action( {motion} ) to place( the {place} )"
ALONE_ZH, GO_ZH = "， agent( {hero} )", "action( {motion} 了 ) place( {place} ) 。"

TEMPLATES = (
    *[
        template
        for time in ("weather", "weekday")
        for template in (
            _template(
                "S",
                {"time": time, "company": "alone"},
                f"{WHEN[time]} {GO} .",
                f"{WHEN_ZH[time]} {ALONE_ZH} {GO_ZH}",
            ),
            _template(
                "S",
                {"time": time, "company": "together"},
                f"{WHEN[time]} {GO} with {{hero.her}} {{companion}} .",
                f"{WHEN_ZH[time]} {ALONE_ZH} 和 {{hero.she}} 的 {{companion}} 一起 {GO_ZH}",
            ),
        )
    ],
    _template(
        "G",
        {},
        f"place( there ) , agent( {{hero}} ) action( {{get}} ) {THING} .",
        f"place( 在 那里 ) ， agent( {{hero}} ) action( {{get}} 了 ) {THING_ZH} 。",
    ),
    _template(
        "W",
        {},
        f"place( there ) , agent( {{hero}} ) action( wanted ) {THING} , but {{obstacle}} .",
        f"place( 在 那里 ) ， agent( {{hero}} ) action( 想要 ) {THING_ZH} ， 但是 {{obstacle}} 。",
    ),
    _template(
        "F",
        {},
        f"soon , agent( {{hero.she}} ) action( {{get}} ) {THE} .",
        f"不久 ， agent( {{hero.she}} ) action( {{get}} 了 ) {THE_ZH} 。",
    ),
    _template(
        "U",
        {"user": "hero"},
        f"agent( {{hero.she}} ) {{manner}} action( {{use}} ) {THE} .",
        f"agent( {{hero.she}} ) {{manner}} 地 action( {{use}} ) {THE_ZH} 。",
    ),
    _template(
        "U",
        {"user": "companion"},
        f"agent( {{hero.her}} {{companion}} ) {{manner}} action( {{use}} ) {THE} .",
        f"agent( {{hero.she}} 的 {{companion}} ) {{manner}} 地 action( {{use}} ) {THE_ZH} 。",
    ),
    _template(
        "L",
        {},
        f"suddenly , agent( {{thief.a}} {{thief}} ) action( {{mishap}} ) {THE} .",
        f"突然 ， agent( 一 {{thief.cl}} {{thief}} ) 把 {THE_ZH} action( {{mishap}} 了 ) 。",
    ),
    _template(
        "Q",
        {},
        f"agent( {{hero.she}} ) action( {{try}} ) {THE} time( {{duration}} ) .",
        f"agent( {{hero.she}} ) 花 了 time( {{duration}} ) action( {{try}} ) {THE_ZH} 。",
    ),
    _template(
        "R",
        {},
        f"later , agent( {{trait.a}} {{trait}} {{helper}} ) action( {{rescue}} ) {THE} .",
        f"后来 ， agent( 一 位 {{trait}} 的 {{helper}} ) action( {{rescue}} 了 ) {THE_ZH} 。",
    ),
    _template(
        "V",
        {},
        f"agent( {{hero.she}} ) action( {{give}} ) {THE} to recipient( {{hero.her}} {{companion}} ) .",
        f"agent( {{hero.she}} ) 把 {THE_ZH} action( {{give}} 了 ) "
        "recipient( {hero.she} 的 {companion} ) 。",
    ),
    _template(
        "T",
        {},
        "agent( {hero.her} {companion} ) action( {thank} ) patient( {hero} ) for the {object} .",
        "agent( {hero.she} 的 {companion} ) 为了 那 {object.cl} {object} action( {thank} 了 ) "
        "patient( {hero} ) 。",
    ),
    _template(
        "E",
        {},
        "time( {close} ) , agent( {hero} ) action( felt ) feeling( {degree} {feeling} ) "
        f"and action( {{after}} ) {THE} .",
        "time( {close} ) ， agent( {hero} ) action( 感到 ) feeling( {degree} {feeling} ) "
        f"， 并且 action( {{after}} ) {THE_ZH} 。",
    ),
)

# One line that tells a story: what the hero got or did not get, where, and the feeling at the end.
SUMMARIES = {
    "got": {
        "english": "{hero} {get} {size.a} {size} {look} {object} {place.at} the {place} "
        "and felt {feeling} .",
        "chinese": "{hero} 在 {place} {place.loc} {get} 了 一 {object.cl} {size} 的 {look} {object} ， "
        "感到 {feeling} 。",
    },
    "wanted": {
        "english": "{hero} wanted {size.a} {size} {look} {object} {place.at} the {place} "
        "and felt {feeling} .",
        "chinese": "{hero} 在 {place} {place.loc} 想要 一 {object.cl} {size} 的 {look} {object} ， "
        "感到 {feeling} 。",
    },
}

# kind -> (event the answer stands in, its role there, the two questions).  Who used the thing is asked
# for by name: `Story` looks for the hero in the opening if the hero did.
QUESTIONS: dict[str, tuple[str, str, str, str]] = {
    "when": ("S", "time", "when did {hero} go there ?", "{hero} 是 什么 时候 去 的 ？"),
    "who": ("S", "agent", "who {motion} to the {place} ?", "谁 {motion} 了 {place} ？"),
    "where": ("S", "place", "where did {hero} go ?", "{hero} 去 了 哪里 ？"),
    "what": ("G", "patient", "what was it that {hero} {get} ?", "{hero} {get} 了 什么 ？"),
    "wish": ("W", "patient", "what was it that {hero} wanted ?", "{hero} 想要 什么 ？"),
    "user": ("U", "agent", "who {use} the {object} ?", "谁 在 {use} 那 {object.cl} {object} ？"),
    "thief": (
        "L", "agent", "who {mishap} the {object} ?", "谁 把 那 {object.cl} {object} {mishap} 了 ？",
    ),
    "how long": (
        "Q", "time", "how long was it that {hero} {try} the {object} ?",
        "{hero} {try} 那 {object.cl} {object} 花 了 多久 ？",
    ),
    "helper": (
        "R", "agent", "who {rescue} the {object} ?", "谁 {rescue} 了 那 {object.cl} {object} ？",
    ),
    "receiver": (
        "V", "recipient", "to whom was it that {hero} {give} the {object} ?",
        "{hero} 把 那 {object.cl} {object} {give} 了 谁 ？",
    ),
    "thanks": (
        "T", "agent", "who {thank} {hero} for the {object} ?",
        "谁 为了 那 {object.cl} {object} {thank} 了 {hero} ？",
    ),
    "feeling": ("E", "feeling", "how did {hero} feel ?", "{hero} 感到 怎么样 ？"),
}  # fmt: skip

SUMMARY_PATTERNS = {
    (kind, language): compile_pattern(text)
    for kind, texts in SUMMARIES.items()
    for language, text in texts.items()
}
QUESTION_PATTERNS = {
    (kind, language): compile_pattern(row[2 + i])
    for kind, row in QUESTIONS.items()
    for i, language in enumerate(LANGUAGES)
}
BY_EVENT: dict[str, list[Template]] = {}
for _each in TEMPLATES:
    BY_EVENT.setdefault(_each.event, []).append(_each)


def events_of(plot: str) -> str:
    """The events of a story, one letter a sentence: S for the opening, E for the ending."""
    return "S" + plot[:-1] + "E"


def template_for(event: str, derivation: Mapping[str, str]) -> Template:
    """The one pattern of an event that agrees with the structural choices."""
    for template in BY_EVENT[event]:
        if all(derivation[slot] == value for slot, value in template.when):
            return template
    raise ValueError(f"no pattern for event {event!r} with these choices: {dict(derivation)}")


def render(pattern: Pattern, derivation: Mapping[str, str], language: str) -> list[str]:
    """The words of a pattern."""
    words: list[str] = []
    for piece in pattern:
        if piece.slot:
            words += SPELLINGS[piece.slot, language, piece.form][derivation[piece.slot]]
        else:
            words.append(piece.word)
    return words


def render_roles(pattern: Pattern, derivation: Mapping[str, str], language: str) -> list[str]:
    """One BIO label for each word that `render` gives: B-agent, I-agent, ..., O."""
    labels: list[str] = []
    for piece in pattern:
        n = 1
        if piece.slot:
            n = len(SPELLINGS[piece.slot, language, piece.form][derivation[piece.slot]])
        if piece.role:
            labels += [("B-" if piece.begins and i == 0 else "I-") + piece.role for i in range(n)]
        else:
            labels += ["O"] * n
    return labels


def lengths_of(piece: Piece, language: str) -> set[int]:
    """How many words a piece may have."""
    if not piece.slot:
        return {1}
    return {len(words) for words in SPELLINGS[piece.slot, language, piece.form].values()}


def all_patterns(language: str) -> list[Pattern]:
    """Everything that can be said: stories, summaries and questions."""
    patterns = [template.patterns[language] for template in TEMPLATES]
    for table in (SUMMARY_PATTERNS, QUESTION_PATTERNS):
        patterns += [pattern for (_, spoken), pattern in table.items() if spoken == language]
    return patterns


def vocabulary_of(language: str) -> list[str]:
    """All words of a language, sorted."""
    words: set[str] = set()
    for pattern in all_patterns(language):
        for piece in pattern:
            if piece.slot:
                for phrase in SPELLINGS[piece.slot, language, piece.form].values():
                    words.update(phrase)
            else:
                words.add(piece.word)
    return sorted(words)
