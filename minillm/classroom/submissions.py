"""Finding the submissions in a folder."""

from dataclasses import dataclass
from pathlib import Path

from ..gradcheck.cases import operation_names

KINDS = (".py", ".ipynb")


@dataclass(frozen=True)
class Submission:
    """One student's file.

    student      the name of the file or of the subfolder that it lies in
    path         the file
    companions   other files of that subfolder, which it may import or read
    problem      why there is no file to run; "" if there is

    >>> Submission("anna", Path("submissions/anna.py")).student
    'anna'
    """

    student: str
    path: Path
    companions: tuple[Path, ...] = ()
    problem: str = ""


def is_submission(name: str) -> bool:
    """True for the name of a file or folder of students; False for an operation.

    >>> is_submission("anna.py"), is_submission("softmax")
    (True, False)
    """
    looks_like_a_path = name.endswith(KINDS) or any(c in name for c in "/\\")
    return looks_like_a_path or (name not in operation_names() and Path(name).exists())


def find_submissions(paths: list[str]) -> list[Submission]:
    """The submissions among files and folders, in the order of their names.

    Raises   FileNotFoundError for a path that does not exist; ValueError for a folder without any
             submission, or a file of another kind

    >>> [submission.student for submission in find_submissions([__file__])]
    ['submissions']
    """
    found: list[Submission] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            inside = [s for entry in sorted(path.iterdir()) if (s := _submission(entry))]
            if not inside:
                raise ValueError(
                    f"{name} holds no submissions: .py files, .ipynb notebooks, or subfolders "
                    "with one of these are expected"
                )
            found += inside
        elif not path.exists():
            raise FileNotFoundError(f"{name}: there is no such file or folder")
        elif path.suffix not in KINDS:
            raise ValueError(f"{name} is neither a .py file nor an .ipynb notebook nor a folder")
        else:
            found.append(Submission(path.stem, path))
    return _unique(found)


def _submission(entry: Path) -> Submission | None:
    """The submission that an entry of the folder is; None for anything else."""
    if entry.name.startswith((".", "__")):
        return None
    if entry.is_file():
        return Submission(entry.stem, entry) if entry.suffix in KINDS else None
    if not entry.is_dir():
        return None
    files = sorted(path for path in entry.iterdir() if path.is_file() and path.name[0] != ".")
    candidates = [path for path in files if path.suffix in KINDS]
    if len(candidates) > 1:
        candidates = [path for path in candidates if b"_forward" in path.read_bytes()]
    if len(candidates) != 1:
        shown = ", ".join(path.name for path in candidates) or "none"
        return Submission(entry.name, entry, problem=f"one file with pairs is expected: {shown}")
    companions = tuple(path for path in files if path != candidates[0])
    return Submission(entry.name, candidates[0], companions)


def _unique(found: list[Submission]) -> list[Submission]:
    """Names that occur twice get their suffix, or else their folder."""
    names = [submission.student for submission in found]
    result = []
    for submission in found:
        name = submission.student
        if names.count(name) > 1:
            same = [s.path.name for s in found if s.student == name]
            file = submission.path.name
            name = file if same.count(file) == 1 else str(submission.path)
        result.append(Submission(name, submission.path, submission.companions, submission.problem))
    return result
