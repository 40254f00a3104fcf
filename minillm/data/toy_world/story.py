"""One story of the toy world, with a label for every task."""

from dataclasses import dataclass
from functools import cached_property

from .grammar import Derivation, sentiment_of
from .lexicon import LANGUAGES
from .templates import (
    QUESTION_PATTERNS,
    QUESTIONS,
    SUMMARY_PATTERNS,
    Template,
    events_of,
    render,
    render_roles,
    template_for,
)
from .text import join


@dataclass(frozen=True)
class StorySentence:
    """One sentence in both languages: a translation pair, with its semantic roles.

    tokens, roles   language -> a list, one BIO label for each word
    text            language -> running text

    >>> from minillm.data import ToyWorld
    >>> sentence = ToyWorld().stories(1, seed=18)[0].sentences[-1]
    >>> for token, role in zip(sentence.tokens["english"], sentence.roles["english"]):
    ...     print(f"{token:10}{role}")
    that      B-time
    night     I-time
    ,         O
    Leo       B-agent
    felt      B-action
    really    B-feeling
    grateful  I-feeling
    and       O
    sang      B-action
    about     I-action
    the       B-patient
    robot     I-patient
    .         O
    """

    tokens: dict[str, list[str]]
    roles: dict[str, list[str]]

    @property
    def text(self) -> dict[str, str]:
        """The sentence as one writes it."""
        return {language: join(tokens, language)[0] for language, tokens in self.tokens.items()}

    @property
    def english(self) -> str:
        """The English text."""
        return self.text["english"]

    @property
    def chinese(self) -> str:
        """The Chinese text, without spaces."""
        return self.text["chinese"]


@dataclass(frozen=True)
class StoryQuestion:
    """A question about a story, and where in the story its answer stands.

    kind              "who", "where", "when", "what", ...
    text, tokens      the question
    answer            a piece of the story's text:  story[character_start:character_end]
    answer_tokens     a piece of its words:  story_tokens[start:end]

    >>> from minillm.data import ToyWorld
    >>> ToyWorld().stories(1, seed=18)[0].questions["english"][1].text
    'Who ran to the school?'
    """

    kind: str
    text: str
    tokens: list[str]
    answer: str
    answer_tokens: list[str]
    start: int
    end: int
    character_start: int
    character_end: int


class Story:
    """A story: one derivation, told in English and in Chinese.

    derivation        slot -> value, every choice that was made
    log_probability   log p(story) in nats, in the world that told it

    Everything else is worked out when it is asked for, and kept.

    >>> from minillm.data import ToyWorld
    >>> story = ToyWorld().stories(1, seed=18)[0]
    >>> story.sentiment
    'positive'
    """

    def __init__(self, derivation: Derivation, log_probability: float) -> None:
        self.derivation = derivation
        self.log_probability = log_probability

    def __repr__(self) -> str:
        return f"Story({self.english!r})"

    @property
    def sentiment(self) -> str:
        """Positive or negative, by how the story ends."""
        return sentiment_of(self.derivation["plot"])

    @property
    def novelty(self) -> str:
        """What about it the ordinary world never does: none, motion, look or length."""
        return self.derivation["novelty"]

    @cached_property
    def _templates(self) -> list[Template]:
        events = events_of(self.derivation["plot"])
        return [template_for(event, self.derivation) for event in events]

    def _words(self, language: str) -> list[list[str]]:
        return [render(t.patterns[language], self.derivation, language) for t in self._templates]

    @cached_property
    def tokens(self) -> dict[str, list[str]]:
        """Language -> the words of the whole story, full stops included."""
        return {
            language: [word for sentence in self._words(language) for word in sentence]
            for language in LANGUAGES
        }

    @property
    def text(self) -> dict[str, str]:
        """Language -> the running text."""
        return {"english": self.english, "chinese": self.chinese}

    @property
    def english_tokens(self) -> list[str]:
        """The English words."""
        return self.tokens["english"]

    @property
    def chinese_tokens(self) -> list[str]:
        """The Chinese words."""
        return self.tokens["chinese"]

    @cached_property
    def english(self) -> str:
        """The English text."""
        return join(self.tokens["english"], "english")[0]

    @cached_property
    def chinese(self) -> str:
        """The Chinese text, without spaces."""
        return join(self.tokens["chinese"], "chinese")[0]

    @cached_property
    def roles(self) -> dict[str, list[str]]:
        """Language -> one BIO label for each word of the story: B-agent, I-agent, ..., O."""
        return {
            language: [
                label
                for template in self._templates
                for label in render_roles(template.patterns[language], self.derivation, language)
            ]
            for language in LANGUAGES
        }

    @cached_property
    def sentences(self) -> list[StorySentence]:
        """The sentences, each with its translation and its roles."""
        return [
            StorySentence(
                {x: render(t.patterns[x], self.derivation, x) for x in LANGUAGES},
                {x: render_roles(t.patterns[x], self.derivation, x) for x in LANGUAGES},
            )
            for t in self._templates
        ]

    @cached_property
    def summary_tokens(self) -> dict[str, list[str]]:
        """Language -> the words of the summary."""
        kind = "got" if "get" in self.derivation else "wanted"
        return {x: render(SUMMARY_PATTERNS[kind, x], self.derivation, x) for x in LANGUAGES}

    @cached_property
    def summary(self) -> dict[str, str]:
        """Language -> the story in one line: who, what, where, and the feeling at the end."""
        return {x: join(self.summary_tokens[x], x)[0] for x in LANGUAGES}

    @cached_property
    def questions(self) -> dict[str, list[StoryQuestion]]:
        """Language -> all questions that the story answers, in the order of the answers' sentences."""
        events = events_of(self.derivation["plot"])
        return {
            language: [
                self._question(kind, language)
                for kind, row in QUESTIONS.items()
                if row[0] in events
            ]
            for language in LANGUAGES
        }

    def _question(self, kind: str, language: str) -> StoryQuestion:
        event, role, *_ = QUESTIONS[kind]
        if kind == "user" and self.derivation["user"] == "hero":
            event = "S"  # a pronoun is no answer: the name stands in the opening
        position = events_of(self.derivation["plot"]).index(event)
        before = sum(len(s.tokens[language]) for s in self.sentences[:position])
        labels = self.sentences[position].roles[language]
        first = labels.index("B-" + role)
        last = first + 1
        while labels[last] == "I-" + role:  # no sentence ends inside a role
            last += 1
        start, end = before + first, before + last
        words = self.tokens[language]
        text, starts = join(words, language)
        begin = starts[start]
        # the words of an answer stand together, and only a first letter may be a capital
        finish = starts[end - 1] + len(words[end - 1])
        asked = render(QUESTION_PATTERNS[kind, language], self.derivation, language)
        return StoryQuestion(
            kind, join(asked, language)[0], asked, text[begin:finish], words[start:end],
            start, end, begin, finish,
        )  # fmt: skip
