"""python -m minillm assignment: a notebook of operations that are drawn from a student's name."""

import argparse
import textwrap

from ..classroom.assignment import DEFAULT_FAMILIES, choose_families, write_assignments
from ..classroom.families import FAMILIES
from . import options

SUMMARY = "Write a notebook with operations whose backward stands in no file."
EXAMPLE = "python -m minillm assignment --seed anna --out assignments"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        nargs="+",
        metavar="STUDENT",
        type=options.text,
        help="any text; the same gives the same notebook",
    )
    parser.add_argument("--out", metavar="FOLDER", default=".", help="where to write")
    parser.add_argument(
        "--families",
        type=int,
        metavar="N",
        help=f"how many operations, {DEFAULT_FAMILIES} if not given",
    )
    parser.add_argument("--list", action="store_true", help="list all families and stop")


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    if arguments.list:
        options.without_effect(arguments, ("seed", "families", "out"), "with --list")
        print(f"{'family':20} {'points':>6}  title")
        for family in FAMILIES.values():
            print(f"{family.name:20} {family.points:6}  {family.title}")
        return 0
    if not arguments.seed:
        raise ValueError("--seed is missing: give a student's name or number, such as --seed anna")
    count = DEFAULT_FAMILIES if arguments.families is None else arguments.families
    paths = write_assignments(arguments.seed, arguments.out, count)
    for seed, path in zip(arguments.seed, paths, strict=True):
        chosen = choose_families(seed, count)
        points = sum(family.points for family in chosen)
        print(f"{path}: {points} points")
        names = textwrap.fill(", ".join(family.name for family in chosen), 86)
        print(textwrap.indent(names, "  "))
    print(
        f"to grade what comes back:  python -m minillm gradcheck {arguments.out} --csv grades.csv"
    )
    return 0
