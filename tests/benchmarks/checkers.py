"""Other gradient checkers on minillm's mutants: which mistakes do they see, and which do they name?

Every method checks the same wrong backwards, and the right ones, on the same inputs.
PyTorch, JAX and HIPS autograd run themselves where they are installed; the others, and
those that are not, are stand-ins (checker_methods.py).  Takes some minutes.  Example,
with tools in an environment of their own:

    python -m venv build/tools && build/tools/bin/pip install numpy autograd jax
    python tests/benchmarks/checkers.py --tools build/tools/bin/python --write
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from checker_methods import METHODS
from checker_tables import example_list, kind_table, method_table, terminal_table
from tqdm import tqdm

import minillm
from minillm.gradcheck.cases import cases, operation_names
from minillm.gradcheck.kinds import KINDS
from minillm.gradcheck.mutants import MUTANTS, held_out

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PAGE = ROOT / "docs" / "gradient-checkers.md"
BEGIN, END = "<!-- tables: made by tests/benchmarks/checkers.py -->", "<!-- end of the tables -->"
STAND_IN = "method re-implemented here"


def find_tool(method, pythons):
    """(the Python that has the tool, its version); None for a stand-in."""
    if method.module == "minillm":
        return sys.executable, minillm.__version__
    if not method.module:
        return None
    version = f"from importlib.metadata import version; print(version('{method.module}'))"
    code = f"import {method.module}; {version}"
    for python in pythons:
        found = subprocess.run([python, "-c", code], capture_output=True, text=True)
        if found.returncode == 0:
            return python, found.stdout.strip()
    return None


def run(name, tool, seeds, operations, bar):
    """(how it was run, the lines of its worker), in a process of its own."""
    command = [tool[0] if tool else sys.executable, str(FOLDER / "checker_worker.py"), name]
    command += ["--seeds", str(seeds), "--operations", *operations]
    command += ["--installed"] if tool else []
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    lines = []
    worker = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **one_thread}
    )
    for text in worker.stdout:
        lines.append(json.loads(text))
        bar.update()
    if worker.wait():
        raise SystemExit(f"{' '.join(command)} failed: its message stands above")
    return (f"itself, {tool[1]}" if tool else STAND_IN), lines


def processor():
    """The processor's name where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def page(runs, seeds):
    """The generated part of the page."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    mutants = len({line["number"] for line in next(iter(runs.values()))[1] if not line["right"]})
    parts = [
        f"{mutants} wrong backward passes, {seeds} seed{'s' * (seeds > 1)} (numbers, sizes and "
        f"random draws), one thread. {processor()}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}. {today:%d %B %Y}.",
        method_table(METHODS, runs),
        "Share of each kind that is detected, in percent:",
        kind_table(KINDS, runs),
    ]
    parts += ["Four of the mistakes that slip through:"]
    parts += [example_list(MUTANTS, held_out, METHODS, runs)]
    return "\n\n".join(parts)


def write_page(text):
    """Put the text between the marks of the page."""
    old = PAGE.read_text(encoding="utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        raise SystemExit(f"{PAGE} must hold the lines\n{BEGIN}\n{END}\nonce each")
    before, after = old.split(BEGIN)[0], old.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="*", metavar="method",
                        help=f"{', '.join(METHODS)}; all by default")  # fmt: skip
    parser.add_argument("--tools", nargs="+", default=[], metavar="PYTHON",
                        help="other Pythons that have JAX, HIPS autograd or PyTorch")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, help="sets of inputs (default: 3)")
    parser.add_argument("--operations", nargs="+", default=operation_names(), metavar="NAME")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "checkers.json",
                        help="where the raw results go (default: build/checkers.json)")  # fmt: skip
    arguments = parser.parse_args()
    names = arguments.methods or list(METHODS)
    if unknown := set(names) - set(METHODS):
        parser.error(f"no method {', '.join(unknown)}: choose from {', '.join(METHODS)}")
    if unknown := set(arguments.operations) - set(operation_names()):
        parser.error(
            f"no operation {', '.join(unknown)}: choose from {', '.join(operation_names())}"
        )
    everything = set(names) == set(METHODS) and arguments.operations == operation_names()
    if arguments.write and not everything:
        parser.error("--write needs all methods and all operations")
    pythons = [sys.executable, *arguments.tools]
    checks = sum(len(cases(name)) for name in arguments.operations)
    checks += sum(mutant.operation in arguments.operations for mutant in MUTANTS)
    runs = {}
    with tqdm(total=len(names) * arguments.seeds * checks, unit="check", file=sys.stderr) as bar:
        for name in names:
            bar.set_description(name)
            tool = find_tool(METHODS[name], pythons)
            runs[name] = run(name, tool, arguments.seeds, arguments.operations, bar)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    raw = {name: {"run": how, "lines": lines} for name, (how, lines) in runs.items()}
    arguments.json.write_text(json.dumps(raw), encoding="utf-8")
    print(terminal_table(METHODS, runs))
    print(f"\nraw results: {arguments.json}")
    if arguments.write:
        write_page(page(runs, arguments.seeds))


if __name__ == "__main__":
    main()
