"""Every exercise: the stub fails its check, the answer passes, known wrong answers fail."""

import contextlib
import io
import os

import pytest

from .book import CHAPTERS, NOTEBOOKS, chapters

EXERCISES = [
    pytest.param(chapter, exercise, id=f"{chapter.name}-{exercise.name}")
    for chapter in CHAPTERS
    for exercise in chapter.exercises.values()
]


@pytest.fixture(autouse=True)
def _headless(monkeypatch):
    """No windows, and the folder in which readers are."""
    import matplotlib.pyplot

    monkeypatch.chdir(NOTEBOOKS)
    matplotlib.use("Agg")
    with matplotlib.rc_context():
        yield
    matplotlib.pyplot.close("all")


def run(*sources):
    """Execute cells, one after the other, in a namespace of their own; what they print."""
    namespace = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for source in sources:
            exec(compile(source, "<cell>", "exec"), namespace)
    return printed.getvalue()


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_the_answer_passes_its_check(chapter, exercise):
    run(chapter.setup, exercise.answer, exercise.self_check)


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_the_stub_fails_its_check(chapter, exercise):
    assert chapters.STUB in exercise.stub
    assert "SOLUTION" not in exercise.stub + exercise.answer
    with pytest.raises(NotImplementedError, match="your code here"):
        run(chapter.setup, exercise.stub, exercise.self_check)


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_wrong_answers_fail_the_check(chapter, exercise):
    assert exercise.wrong, "give at least one plausible wrong answer"
    for wrong in exercise.wrong:
        run(chapter.setup, wrong)  # it is the check that fails, not the cell
        with pytest.raises(AssertionError) as caught:
            run(chapter.setup, wrong, exercise.self_check)
        assert len(str(caught.value)) > 20, "say what is wrong in a sentence"


@pytest.mark.parametrize(("chapter", "exercise"), EXERCISES)
def test_an_exercise_says_what_it_is(chapter, exercise):
    assert exercise.details["minutes"] > 0
    assert exercise.details["teaches"]
    assert exercise.details["catches"]
    assert exercise.text.count("<summary>Hint") >= 2, "give a ladder of hints"
    assert exercise.text.count("<details>") == exercise.text.count("</details>")


def test_the_folder_of_the_book_is_left_as_it_was():
    assert not [name for name in os.listdir(NOTEBOOKS) if name.endswith((".png", ".json", ".txt"))]
