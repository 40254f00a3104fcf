"""Build the notebooks of the book from the scripts in `source/`, and execute them.

    python notebooks/tools/build.py                   what has changed
    python notebooks/tools/build.py --all             everything, from scratch
    python notebooks/tools/build.py 05 11             two chapters
    python notebooks/tools/build.py --keep-going 05   write it even if a cell fails, to look at it

Each script becomes `NN_topic.ipynb`, with its outputs, and `solutions/NN_topic.ipynb`, the exercises
with their answers.  Cells tagged "check" run too, and are left out of the page: a sentence that is
not true stops the build.
"""

import argparse
import base64
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell
from tqdm import tqdm

from chapters import (
    HERE,
    METADATA,
    ROOT,
    TOOLS,
    Chapter,
    chapter_notebook,
    chapter_paths,
    has_tag,
    read_chapter,
    solutions_notebook,
)
from maps import PLACES, page_with_map

CELL_LIMIT = 10  # seconds that a cell may take on two old cores, and a chapter:
CHAPTER_LIMIT = 90
IMAGE_LIMIT = 300_000  # bytes
IMAGES = ROOT / "docs" / "images"
PROGRESS_BAR = re.compile(r"\d+%\|.*\||\d+it \[|\d+/\d+ \[")
PREAMBLE = (TOOLS / "preamble.py").read_text(encoding="utf-8")


def execute(notebook: Any, *, timeout: int = 300) -> list[float]:
    """Run all cells but those for the reader, and return the seconds of each cell.

    A picture without title or labels, a warning and any other text on stderr are errors.
    """
    os.environ |= {"PYTHONHASHSEED": "0", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    notebook.cells.insert(0, new_code_cell(PREAMBLE))
    started: dict[int, float] = {}
    seconds: dict[int, float] = {}

    def start(cell: Any, cell_index: int) -> None:
        started[cell_index] = time.perf_counter()

    def stop(cell: Any, cell_index: int, execute_reply: Any) -> None:
        seconds[cell_index] = time.perf_counter() - started[cell_index]

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE)}},
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        on_cell_execute=start,
        on_cell_executed=stop,
    )
    try:
        client.execute()
    finally:
        del notebook.cells[0]
    tidy(notebook)
    return [seconds.get(index + 1, 0.0) for index in range(len(notebook.cells))]


def tidy(notebook: Any) -> None:
    """Outputs that are the same on every machine: counts, paths, progress bars, streams."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            _tidy_outputs(cell)
            _check_outputs(cell)
    _number(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)


def _tidy_outputs(cell: Any) -> None:
    """Each stream in one piece, because white space alone may be a piece of what is printed."""
    _join_streams(cell)
    for output in cell.outputs:
        _tidy_output(output)
    cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr" or o.text]
    _join_streams(cell)  # what stood on both sides of a progress bar
    cell.outputs = [o for o in cell.outputs if o.output_type != "stream" or o.text.strip()]


def _tidy_output(output: Any) -> None:
    if output.output_type == "stream":
        output.text = output.text.replace(sys.executable, ".venv/bin/python")
        if output.name == "stderr":  # a progress bar comes and goes
            lines = re.split(r"[\r\n]", output.text)
            output.text = "\n".join(line for line in lines if not PROGRESS_BAR.search(line)).strip()
    if "data" in output:
        output.data.pop("application/vnd.jupyter.widget-view+json", None)
        image = output.data.get("image/png", "")
        if len(image) * 3 // 4 > IMAGE_LIMIT:
            raise ValueError(
                f"a picture of {len(image) * 3 // 4} bytes is larger than {IMAGE_LIMIT}"
            )


def _join_streams(cell: Any) -> None:
    joined: list[Any] = []
    for output in cell.outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    cell.outputs = joined


def _check_outputs(cell: Any) -> None:
    first = cell.source.strip().splitlines()[:1]
    for output in cell.outputs:
        if output.output_type == "error":  # raised while a picture was drawn
            raise ValueError(f"the cell {first}: {output.ename}: {output.evalue}")
        if output.output_type == "stream" and output.name == "stderr":
            raise ValueError(f"the cell {first} writes to stderr: {output.text[:2000]}")
        if "image/png" in output.get("data", {}) and "mystnb" not in cell.metadata:
            raise ValueError(f'the cell {first} draws a picture: say alt="what it shows"')


def without_checks(notebook: Any) -> None:
    """Leave out what was run only to be sure."""
    notebook.cells = [cell for cell in notebook.cells if not has_tag(cell, "check")]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:03d}"
    _number(notebook)


def _number(notebook: Any) -> None:
    """Execution counts from 1, whatever else ran in between."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.execution_count is not None:
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if "execution_count" in output:
                    output["execution_count"] = count


def committed(chapter: Chapter) -> tuple[Path, Path]:
    """Where a chapter and its answers are written."""
    return HERE / f"{chapter.name}.ipynb", HERE / "solutions" / f"{chapter.name}.ipynb"


def is_current(path: Path, notebook: Any) -> bool:
    """Has the notebook on disk the same cells, outputs aside?"""
    if not path.exists():
        return False
    old = nbformat.read(path, as_version=4)
    return cell_sources(old) == cell_sources(notebook) and old.metadata == notebook.metadata


def cell_sources(notebook: Any) -> list[Any]:
    """All that comes from the script: kinds, sources, metadata, ids."""
    return [(c.cell_type, c.source, dict(c.metadata), c["id"]) for c in notebook.cells]


def build(chapter: Chapter, *, rebuild: bool, keep_going: bool) -> str | None:
    """Execute and write a chapter and its answers; a line about it, None if nothing was to do."""
    path, answers = committed(chapter)
    lines = []
    if rebuild or not is_current(path, chapter_notebook(chapter, checks=False)):
        notebook = chapter_notebook(chapter, checks=True)
        try:
            lines.append(_times(notebook, execute(notebook)))
        except (CellExecutionError, ValueError) as error:
            if not keep_going:
                raise SystemExit(_plain(f"{chapter.name}: {error}")) from None
            lines.append(f"FAILED: {error}")
        without_checks(notebook)
        nbformat.write(notebook, path)
        for name, image in named_pictures(notebook).items():
            IMAGES.mkdir(exist_ok=True)
            (IMAGES / f"{name}.png").write_bytes(image)
    solutions = solutions_notebook(chapter)
    if chapter.exercises and (rebuild or not is_current(answers, solutions)):
        try:
            execute(solutions)
        except (CellExecutionError, ValueError) as error:
            raise SystemExit(_plain(f"{chapter.name}, answers: {error}")) from None
        nbformat.write(solutions, answers)
        lines.append(f"{len(chapter.exercises)} answers")
    return f"{chapter.name}: " + ", ".join(lines) if lines else None


def _plain(text: str) -> str:
    """A traceback of Jupyter without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def named_pictures(notebook: Any) -> dict[str, bytes]:
    """PNG files of the cells that name their picture."""
    found = {}
    for cell in notebook.cells:
        if name := cell.metadata.get("minillm", {}).get("picture"):
            [image] = [
                o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})
            ]
            found[name] = base64.b64decode(image)
    return found


def _times(notebook: Any, seconds: list[float]) -> str:
    slowest = max(range(len(seconds)), key=seconds.__getitem__)
    line = f"{sum(seconds):.0f} s, slowest cell {seconds[slowest]:.1f} s"
    if seconds[slowest] > CELL_LIMIT or sum(seconds) > CHAPTER_LIMIT:
        first = notebook.cells[slowest].source.strip().splitlines()[0]
        line += f" (TOO LONG: at most {CELL_LIMIT} s a cell, {CHAPTER_LIMIT} s in all: {first!r})"
    return line


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapters", nargs="*", help="how their names begin: 05 or 05_softmax")
    parser.add_argument("--all", action="store_true", help="also those that have not changed")
    parser.add_argument("--keep-going", action="store_true", help="write what fails, too")
    options = parser.parse_args()
    paths = [
        path
        for path in chapter_paths()
        if not options.chapters or path.stem.startswith(tuple(options.chapters))
    ]
    if not paths:
        parser.error(f"no chapter begins with {', '.join(options.chapters)}")
    rebuild = options.all or bool(options.chapters)
    for path in tqdm(paths, unit="chapter", disable=len(paths) == 1 or not sys.stderr.isatty()):
        line = build(read_chapter(path), rebuild=rebuild, keep_going=options.keep_going)
        if line:
            tqdm.write(line)
    if not options.chapters:
        everything = [read_chapter(path) for path in paths]
        for page in PLACES:
            page.write_text(page_with_map(page, everything), encoding="utf-8")


if __name__ == "__main__":
    main()
