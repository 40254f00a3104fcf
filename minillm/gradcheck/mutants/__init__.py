"""Wrong backward passes that a gradient check must reject: the classic mistakes of each operation.

A check that has never failed proves nothing.  `tests/gradcheck/test_mutants.py` runs all of these
and fails if one of them passes.  Two ways to write one:

    @wrong("sqrt", "scaled", "the 2 of 2 sqrt(x) is forgotten")
    def _(grad_out, saved): ...                 a whole backward

    altered("add", "sign_flipped", "b is subtracted", lambda grads, g, saved: ...)
                                                the right gradients, changed

The kind is what a perfect diagnosis would call it, by the rules of kinds.py.  Where the right forward
does not save what the mistake needs, `forward=` gives one that does; its output must be right.

The files without `more_` hold the mutants that were known while the first diagnosis was written.  A
fixed draw from the others is kept for the final measurement: `held_out`.
"""

import importlib

from .registry import MUTANTS, Mutant, altered, held_out, mutants, wrong

__all__ = ["MUTANTS", "Mutant", "altered", "held_out", "mutants", "wrong"]

THEMES = (
    "arithmetic",
    "layers",
    "reductions",
    "shaping",
    "elementwise",
    "softmax",
    "losses",
    "selection",
    "normalisation",
    "attention",
    "recurrent",
)
for _file in (*THEMES, *(f"more_{theme}" for theme in THEMES), "finetuning", "reparameterisation"):
    importlib.import_module(f".{_file}", __name__)  # importing a file registers its mutants
