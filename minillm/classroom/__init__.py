"""For a class: grade files of students, hand out assignments, tell as much as you want to tell.

>>> from minillm.classroom import assignment_notebook
>>> notebook = assignment_notebook("anna")
>>> len([cell for cell in notebook["cells"] if "answer" in cell["metadata"].get("tags", ())])
5

Read results.py first, then grading.py (the parts and their points), sandbox.py (the limits).
"""

from .assignment import assignment_notebook, write_assignment, write_assignments
from .batch import grade_all
from .hints import hint
from .results import FunctionResult, Remark, SubmissionResult
from .sandbox import Limits, grade_submission
from .submissions import Submission, find_submissions
from .tables import ClassTable

__all__ = [
    "ClassTable",
    "FunctionResult",
    "Limits",
    "Remark",
    "Submission",
    "SubmissionResult",
    "assignment_notebook",
    "find_submissions",
    "grade_all",
    "grade_submission",
    "hint",
    "write_assignment",
    "write_assignments",
]
