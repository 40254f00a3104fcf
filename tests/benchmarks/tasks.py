"""Every task over several seeds: the figures of docs/tasks.md, and whether they reach their targets.

Each run is a process of its own with one BLAS thread, two at a time; what lies in build/tasks is
not computed again.  Examples:

    python tests/benchmarks/tasks.py                        all, seeds 0 1 2
    python tests/benchmarks/tasks.py sentiment --seeds 0    one task, one seed
    python tests/benchmarks/tasks.py --write                and rewrite docs/tasks.md
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from task_targets import STUDIES, TARGETS, TASK_RUNS
from tqdm import tqdm

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "build" / "tasks", ROOT / "docs" / "tasks.md"
MARKERS = ("<!-- figures -->", "<!-- end of figures -->")


def folder_of(variant, seed):
    return RESULTS / "-".join([*variant, str(seed)]).replace("/", "_")


def run(variant, seed):
    """One process; its folder then holds result.json and output.txt."""
    name, *options = variant
    out = folder_of(variant, seed)
    if (out / "result.json").exists():
        return
    out.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "minillm",
        "task",
        name,
        "--seed",
        str(seed),
        "--out",
        str(out),
    ]
    for option in options:
        command += option.split("=")
    alone = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    environment = {**os.environ, **alone}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    (out / "output.txt").write_text(done.stdout, encoding="utf-8")


def figures_of(variant, seeds):
    """name -> the value of each seed."""
    results = [
        json.loads((folder_of(variant, s) / "result.json").read_text("utf-8")) for s in seeds
    ]
    return {name: [r["figures"][name] for r in results] for name in results[0]["figures"]}


def target_rows(seeds):
    """The figures that must be reached: rows of a Markdown table, and how many fall short."""
    rows, missed = [], 0
    for variant, name, sign, target, meaning in TARGETS:
        if not all((folder_of(variant, seed) / "result.json").exists() for seed in seeds):
            continue
        values = figures_of(variant, seeds)[name]
        good = all(v >= target if sign == "≥" else v <= target for v in values)
        missed += not good
        shown = " · ".join(f"{v:.3f}" for v in values)
        command = " ".join(variant).replace("=", " ")
        verdict = "reached" if good else "**missed**"
        rows.append(f"| {meaning} | `task {command}` | {sign} {target:g} | {shown} | {verdict} |")
    return rows, missed


def seeds_of(variant, seeds):
    """A study compares on its own: one seed is enough."""
    return seeds[:1] if variant in STUDIES else seeds


def page(variants, seeds):
    """The tables of docs/tasks.md."""
    targets, missed = target_rows(seeds)
    lines = [
        f"Seeds {', '.join(map(str, seeds))}; the default sizes of each task.", "",
        "| figure | command | must be | each seed | |", "|---|---|---|---|---|", *targets, "",
        "## All figures", "",
        f"The mean over the seeds, the smallest and the largest; of studies seed {seeds[0]}.", "",
    ]  # fmt: skip
    for variant in variants:
        lines += [f"**`python -m minillm task {' '.join(variant).replace('=', ' ')}`**", ""]
        lines += ["| figure | mean | range |", "|---|---|---|"]
        for name, values in figures_of(variant, seeds_of(variant, seeds)).items():
            low, high = f"{min(values):.3f}", f"{max(values):.3f}"
            lines.append(f"| {name} | {statistics.mean(values):.3f} | {low} … {high} |")
        lines.append("")
    return "\n".join(lines), missed


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="task", help="all by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--write", action="store_true", help="rewrite docs/tasks.md")
    arguments = parser.parse_args()
    known = [*TASK_RUNS, *STUDIES]
    variants = [v for v in known if not arguments.names or v[0] in arguments.names]
    if not variants:
        parser.error(f"there is no task {', '.join(arguments.names)}")
    jobs = [
        (variant, seed)
        for seed in arguments.seeds
        for variant in variants
        if seed in seeds_of(variant, arguments.seeds)
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(run, *job) for job in jobs]
        for done in tqdm(runs, unit="run", file=sys.stderr):
            done.result()
    text, missed = page(variants, arguments.seeds)
    print(text)
    if arguments.write:
        before, rest = PAGE.read_text("utf-8").split(MARKERS[0])
        after = rest.split(MARKERS[1])[1]
        PAGE.write_text(f"{before}{MARKERS[0]}\n{text}\n{MARKERS[1]}{after}", "utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
