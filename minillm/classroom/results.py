"""What grading says: a result for each function and each submission, as plain data."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

STATUSES = {
    "ok": "ran to its end",
    "syntax error": "is not valid Python",
    "import error": "raised an error while its definitions ran",
    "time limit": "did not end in time",
    "memory limit": "asked for more memory than allowed",
    "too much output": "printed more than allowed",
    "exited": "ended the process",
    "crashed": "was ended by the operating system",
    "patched the checker": "changed a function of the checker, of NumPy or of Python",
    "no submission": "holds no file, or several, that could be the submission",
}


@dataclass(frozen=True)
class Remark:
    """One finding about one function, without the arrays: a gradcheck Finding that can travel.

    >>> Remark("x", "scaled", "the gradient of x is 2 times too large").kind
    'scaled'
    """

    input: str
    kind: str
    message: str


@dataclass
class FunctionResult:
    """The grade of one `*_forward`/`*_backward` pair.

    verdict     "right", "wrong", "missing", "unanswered", "not checked", or a status of STATUSES
    detail      a sentence, where the verdict needs one
    parts       share of each part that is right: "forward", and the name of each input
    remarks     what is wrong
    notes       what else there is to know: cases that were not run, inputs that were guessed
    report      the full text of the first gradient check that failed

    >>> FunctionResult("softmax", "right", points=1.0).passed
    True
    """

    name: str
    verdict: str
    detail: str = ""
    points: float = 0.0
    max_points: float = 1.0
    parts: dict[str, float] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    report: str = ""

    @property
    def passed(self) -> bool:
        """True if nothing is wrong with it."""
        return self.verdict == "right"


@dataclass
class SubmissionResult:
    """The grade of one student's file.

    status      one of STATUSES; `detail` says it in a sentence, with the line or the function
    seed        of an assignment notebook, "" for other files
    output      what the file printed, cut at the limit

    >>> SubmissionResult("anna", functions=[FunctionResult("softmax", "right", points=1.0)]).points
    1.0
    """

    student: str
    status: str = "ok"
    detail: str = ""
    functions: list[FunctionResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    output: str = ""
    seconds: float = 0.0
    seed: str = ""

    @property
    def passed(self) -> bool:
        """True if it ran undisturbed, has functions, and all of them are right."""
        done = self.status == "ok" and bool(self.functions)
        return done and all(function.passed for function in self.functions)

    @property
    def points(self) -> float:
        """The sum over its functions."""
        return sum((function.points for function in self.functions), 0.0)

    @property
    def max_points(self) -> float:
        """What its functions can give at most."""
        return sum((function.max_points for function in self.functions), 0.0)

    def function(self, name: str) -> FunctionResult | None:
        """The result of one function, None if the submission has nothing of that name."""
        return next((f for f in self.functions if f.name == name), None)


def function_from_json(data: dict[str, Any]) -> FunctionResult:
    """The inverse of dataclasses.asdict."""
    remarks = [Remark(**remark) for remark in data["remarks"]]
    return FunctionResult(**{**data, "remarks": remarks})


def to_json(result: Any) -> dict[str, Any]:
    """A result as dictionaries and lists."""
    return dataclasses.asdict(result)
