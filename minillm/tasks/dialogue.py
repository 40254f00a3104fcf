"""Dialogue: a decoder reads a story, and answers one question about it after another.

One sequence holds the whole conversation, and only the answers have labels:

    [BOS] story [SEP] question answer [EOS] question answer [EOS] ...
                               ------------          ------------

In the test the model reads its own earlier answers, right or wrong, as it would in use.  Most answers
are names and things that have to be copied from the story, which attention learns as an "induction
head" (Olsson et al. 2022, arXiv:2209.11895).  Compared with the most frequent answer to each kind of
question, and with any answer to one of its kind.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..data import LengthBatches, Story, StoryQuestion
from ..data.toy_world.text import join
from ..models import GPT2Config, GPT2LMHeadModel
from ..training import exact_match, token_f1
from ..viz import plot_bars
from .language_models import SPREAD
from .result import Example, Row, TaskResult, choose_examples
from .settings import Recipe, TaskSettings, train
from .toy_data import LANGUAGES, ToyData
from .words import BOS, EOS, PAD, SEP, WordVocabulary

SUMMARY = "Dialogue: answers to questions about a story, one after another, by a decoder."
DATA = ("toy",)
KIND = "task"
RECIPE = Recipe(steps=1200, batch_size=16, width=96, train=16000)
POSITIONS = 256  # more than the longest conversation has words
MOST = 12  # words of an answer at most
IGNORED = -100
CODES = {"english": "en", "chinese": "zh"}


class Conversation:
    """A story, and its questions in some order.

    >>> from minillm.data import ToyWorld
    >>> story = ToyWorld().stories(1, seed=18)[0]
    >>> talk = Conversation(story, "english", np.random.default_rng(0))
    >>> len(talk.questions) == len(story.questions["english"])
    True
    """

    def __init__(self, story: Story, language: str, rng: np.random.Generator) -> None:
        self.story, self.language = story, language
        asked = story.questions[language]
        self.questions = [asked[i] for i in rng.permutation(len(asked))]

    def sequence(self, words: WordVocabulary) -> tuple[list[int], list[int]]:
        """The ids of the whole conversation, and its labels: -100 but for the answers."""
        ids = self.opening(words)
        labels = [IGNORED] * len(ids)
        for question in self.questions:
            asked, answer = words.encode(question.tokens), words.encode(question.answer_tokens)
            ids += [*asked, *answer, EOS]
            labels += [IGNORED] * len(asked) + [*answer, EOS]
        return ids, labels

    def opening(self, words: WordVocabulary) -> list[int]:
        """What stands before the first question."""
        return [BOS, *words.encode(self.story.tokens[self.language]), SEP]


Answers = list[list[list[str]]]  # for each conversation and question the words of the answer


def run(settings: TaskSettings) -> TaskResult:
    """Train the decoder and talk with it about the stories of both test sets."""
    recipe = settings.recipe(RECIPE)
    settings.choice("data", *DATA)
    language = settings.choice("language", *LANGUAGES)
    data = ToyData.of(recipe, settings)
    rng = data.rng(2)
    lessons = [Conversation(story, language, rng) for story in data.train]
    tests = {
        kind: [Conversation(story, language, rng) for story in stories]
        for kind, stories in data.tests().items()
    }
    talker = Talker(data.vocabulary(language), recipe, data.rng(0))
    trained = train(
        talker.model, talker.batches(lessons, recipe.batch_size, data.rng(1)), recipe, settings,
        label="GPT-2",
    )  # fmt: skip
    memory = AnswersByKind(lessons)
    models: dict[str, Callable[[list[Conversation]], Answers]] = {
        "GPT-2": talker.talk,
        "most frequent answer": memory.usual,
        "chance": lambda talks: memory.guess(talks, rng),
    }
    said = {
        name: {k: answer(talks) for k, talks in tests.items()} for name, answer in models.items()
    }
    scores = {name: measure(tests, answers) for name, answers in said.items()}
    rows = [Row(name, dict(values)) for name, values in scores.items()]
    rows[0].values.update(parameters=trained.parameters, seconds=trained.seconds)
    return TaskResult(
        "dialogue",
        f"questions about {language.capitalize()} stories of the toy world, in conversation",
        [*scores["chance"], "parameters", "seconds"],
        rows,
        figures={f"{name}, {k}": v for name, values in scores.items() for k, v in values.items()},
        examples=examples(tests["test"], said["GPT-2"]["test"]),
        notes=[note(tests["test"])],
        draw=lambda: picture(tests["test"], {x: said[x]["test"] for x in list(models)[:2]}),
        settings=settings.as_dict(),
    )


class Talker:
    """The decoder with its vocabulary: conversations to batches, and talking.

    >>> recipe = Recipe(width=8, heads=2, layers=1)
    >>> talker = Talker(WordVocabulary(["who", "?", "Leo"]), recipe, np.random.default_rng(0))
    >>> len(talker.answer([[BOS, 6, 7], [BOS, 7]]))
    2
    """

    def __init__(self, words: WordVocabulary, recipe: Recipe, rng: np.random.Generator) -> None:
        self.words = words
        config = GPT2Config(
            vocab_size=len(words),
            n_positions=POSITIONS,
            n_embd=recipe.width,
            initializer_range=SPREAD,
            n_layer=recipe.layers,
            n_head=recipe.heads,
            embd_pdrop=recipe.dropout,
            attn_pdrop=recipe.dropout,
            resid_pdrop=recipe.dropout,
            bos_token_id=BOS,
            eos_token_id=EOS,
        )
        self.model = GPT2LMHeadModel(config, rng=rng)

    def batches(
        self, talks: Sequence[Conversation], batch_size: int, rng: np.random.Generator
    ) -> LengthBatches:
        """Conversations to learn from."""
        ids, labels = zip(*(talk.sequence(self.words) for talk in talks), strict=True)
        return LengthBatches({"input_ids": ids, "labels": labels}, batch_size, rng=rng)

    def talk(self, talks: list[Conversation]) -> Answers:
        """Answer all questions, turn by turn; each turn is one batch over all conversations."""
        history = [talk.opening(self.words) for talk in talks]
        answers: Answers = [[] for _ in talks]
        for turn in range(max(len(talk.questions) for talk in talks)):
            open_ones = [i for i, talk in enumerate(talks) if turn < len(talk.questions)]
            for i in open_ones:
                history[i] += self.words.encode(talks[i].questions[turn].tokens)
            said = self.answer([history[i] for i in open_ones])
            for i, answer in zip(open_ones, said, strict=True):
                answers[i].append(answer)
                history[i] += [*self.words.encode(answer), EOS]
        return answers

    def answer(self, prompts: list[list[int]], batch_size: int = 64) -> list[list[str]]:
        """What the model says next after each prompt."""
        order = np.argsort([len(prompt) for prompt in prompts], kind="stable")
        said: list[list[str]] = [[] for _ in prompts]
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size].tolist()
            longest = max(len(prompts[row]) for row in rows)
            gaps = [longest - len(prompts[row]) for row in rows]
            ids = np.array([[PAD] * n + prompts[r] for n, r in zip(gaps, rows, strict=True)])
            shown = (np.arange(longest) >= np.array(gaps)[:, None]).astype(np.int64)
            out = self.model.generate(ids, max_new_tokens=MOST, attention_mask=shown)
            for row, written in zip(rows, out[:, longest:], strict=True):
                said[row] = self.words.decode(written)
        return said


class AnswersByKind:
    """The answers of the training stories, without the stories: what can be said by heart."""

    def __init__(self, talks: list[Conversation]) -> None:
        self.known: dict[str, list[list[str]]] = defaultdict(list)
        for talk in talks:
            for question in talk.questions:
                self.known[question.kind].append(question.answer_tokens)
        self.best = {
            kind: list(Counter(map(tuple, answers)).most_common(1)[0][0])
            for kind, answers in self.known.items()
        }

    def usual(self, talks: list[Conversation]) -> Answers:
        """The most frequent answer to each kind of question; none to a kind never heard."""
        return [[self.best.get(q.kind, []) for q in talk.questions] for talk in talks]

    def guess(self, talks: list[Conversation], rng: np.random.Generator) -> Answers:
        """Some answer to the same kind of question, as likely as it is frequent."""

        def one(question: StoryQuestion) -> list[str]:
            answers = self.known.get(question.kind, [[]])
            return answers[rng.integers(len(answers))]

        return [[one(question) for question in talk.questions] for talk in talks]


# ----------------------------------------------------------------------------------- measuring


def pairs_of(talks: list[Conversation], answers: Answers) -> list[tuple[StoryQuestion, str, str]]:
    """(the question, what was said, what is right) for each turn of each conversation."""
    return [
        (question, join(said, talk.language)[0], join(question.answer_tokens, talk.language)[0])
        for talk, row in zip(talks, answers, strict=True)
        for question, said in zip(talk.questions, row, strict=True)
    ]


def measure(tests: dict[str, list[Conversation]], answers: dict[str, Answers]) -> dict[str, float]:
    """Exact match and F1 on both test sets."""
    scores = {}
    for kind, talks in tests.items():
        _, said, right = zip(*pairs_of(talks, answers[kind]), strict=True)
        before = "" if kind == "test" else "comp. "
        code = CODES[talks[0].language]
        scores[before + "match"] = exact_match(said, right, code)
        scores[before + "f1"] = token_f1(said, right, code)
    return scores


def by_kind(talks: list[Conversation], models: list[Answers]) -> dict[str, list[float]]:
    """Kind of question -> the exact matches of each model, the most frequent kind first."""
    code = CODES[talks[0].language]
    columns = [pairs_of(talks, answers) for answers in models]

    def share(kind: str, column: list[tuple[StoryQuestion, str, str]]) -> float:
        said = [text for question, text, _ in column if question.kind == kind]
        right = [text for question, _, text in column if question.kind == kind]
        return exact_match(said, right, code)

    kinds = Counter(question.kind for question, _, _ in columns[0])
    return {kind: [share(kind, column) for column in columns] for kind, _ in kinds.most_common()}


def picture(talks: list[Conversation], answers: dict[str, Answers]) -> Any:
    """Exact matches of each model for each kind of question."""
    bars = by_kind(talks, list(answers.values()))
    return plot_bars(bars, "Answers by kind of question", "exact matches", groups=list(answers))


def note(talks: list[Conversation]) -> str:
    """What must be known to read the table."""
    turns = sum(len(talk.questions) for talk in talks)
    unit = "words" if talks[0].language == "english" else "characters"
    return (
        f"{turns:,} questions about {len(talks):,} stories of the ordinary test set; comp.: about as "
        "many compositional ones. Earlier answers are read again, right or wrong. match: the share "
        f"of answers that are right; f1: of the {unit} that an answer shares with the right one. "
        "Most frequent answer, chance: to the same kind of question."
    )


def examples(talks: list[Conversation], answers: Answers) -> list[Example]:
    """Whole conversations: a story, and its questions with the answers."""

    def told(talk: Conversation, row: list[list[str]]) -> str:
        gap, stop = (" ", ".") if talk.language == "english" else ("", "。")
        turns = pairs_of([talk], [row])
        return gap.join(f"{question.text}{gap}{said}{stop}" for question, said, _ in turns)

    return choose_examples([
        Example(
            talk.story.text[talk.language],
            told(talk, [q.answer_tokens for q in talk.questions]),
            told(talk, row),
        )
        for talk, row in zip(talks, answers, strict=True)
    ])  # fmt: skip
