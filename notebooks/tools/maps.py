"""Tables made from the chapters: the list in README.md, the exercise map for instructors.

`build.py` writes them, between the markers `<!-- begin NAME -->` and `<!-- end NAME -->`; a test
fails if they are out of date.
"""

import re
from pathlib import Path

from chapters import HERE, ROOT, Chapter

PLACES = {
    HERE / "README.md": "chapters",
    ROOT / "docs" / "for-instructors.md": "exercise map",
}


def page_with_map(path: Path, chapters: list[Chapter]) -> str:
    """The text of a page, with its table as it should be now."""
    name = PLACES[path]
    table = {"chapters": chapter_table, "exercise map": exercise_table}[name](chapters)
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(
            f"{path.name} lacks the markers <!-- begin {name} --> and <!-- end {name} -->"
        )
    return pattern.sub(lambda found: f"{found[1]}{table}{found[2]}", text)


def chapter_table(chapters: list[Chapter]) -> str:
    """One line for each chapter: number, title, time, exercises."""
    rows = ["| chapter | time | exercises |", "|---|---|---|"]
    for chapter in chapters:
        number, title = chapter.title.split(" · ", 1)
        answers = f"[{len(chapter.exercises)}](solutions/{chapter.name}.ipynb)"
        rows.append(
            f"| {number} · [{title}]({chapter.name}.ipynb) | {_field(chapter, 'Time')} | "
            f"{answers if chapter.exercises else ''} |"
        )
    return "\n".join(rows) + "\n"


def exercise_table(chapters: list[Chapter]) -> str:
    """One line for each exercise: where, minutes, what it teaches, what its check catches."""
    rows = ["| exercise | minutes | teaches | the check catches |", "|---|---|---|---|"]
    for chapter in chapters:
        for exercise in chapter.exercises.values():
            heading = re.search(r"^#+ Exercise (.+)$", exercise.text, re.MULTILINE)
            title = heading[1] if heading else exercise.name
            rows.append(
                f"| [{title}](../notebooks/{chapter.name}.ipynb) | {exercise.details['minutes']} | "
                f"{exercise.details['teaches']} | {exercise.details['catches']} |"
            )
    return "\n".join(rows) + "\n"


def _field(chapter: Chapter, name: str) -> str:
    """What stands after "**Time:**" in the first cell."""
    text = " ".join(chapter.cells[0].source.split())
    found = re.search(rf"\*\*{name}:\*\* (.*?)(?: \*\*|$)", text)
    return found[1].rstrip(".") if found else ""
