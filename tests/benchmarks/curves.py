"""Time and memory of a GPT's training step against its context, width, layers and batch.

Each point is a process of its own, minillm and PyTorch in turn; memory is what the
process held at most, less what one held that trains a tiny model.  Both axes are
logarithmic: a power law y = a x^n is a straight line of slope n.  The slope that is
printed is that of the last three points.

    python tests/benchmarks/curves.py                  all four curves, 15 minutes
    python tests/benchmarks/curves.py context --rounds 1
    python tests/benchmarks/curves.py --write          and write docs/benchmarks.md
    python tests/benchmarks/curves.py --saved --write  from what build/bench holds
"""

import argparse
import json
import statistics
import sys
from dataclasses import dataclass

import numpy as np
from bench_tables import put_between_marks
from bench_workloads import NANOGPT
from run import PAGE, RESULTS, ROOT, LeftOut, call, find_python, machine, parse_pythons
from tqdm import tqdm

BEGIN, END = "<!-- curves: made by tests/benchmarks/curves.py -->", "<!-- end of the curves -->"
FAR = 3  # points at the far end, through which the slope is fitted
LEAST_MB = 0.1  # nothing smaller can be told from chance, or be drawn on a logarithmic axis
TINY = {**NANOGPT, "context": 8, "batch": 1, "layers": 1, "heads": 1, "width": 8}
NAMES = {"minillm": "minillm", "torch": "PyTorch"}


@dataclass(frozen=True)
class Curve:
    """One size that grows while the others stay.

    predicted   slopes (time, memory) that the formula has at the far end, with a sentence why
    """

    label: str
    fixed: dict
    values: tuple
    predicted: tuple
    why: str


CURVES = {
    "context": Curve(
        "context T (tokens)", {"batch": 1, "layers": 4, "heads": 4, "width": 64},
        (64, 128, 256, 512, 1024, 2048, 4096), (2, 1),
        "Each token looks at all tokens before it, T (T + 1) / 2 pairs in a layer, so time goes with "
        "T² once T is several times the width; what is kept goes with T, because attention over a "
        "long context is computed in blocks and its weights are not kept. Where minillm begins with "
        "that, its memory falls.",
    ),
    "width": Curve(
        "width C", {"batch": 4, "context": 64, "layers": 2, "heads": 4},
        (64, 128, 256, 512, 1024), (2, 2),
        "A layer has 12 C² weights, each of which takes part in one multiplication for each token, "
        "forward, and in two backward; weight, gradient and Adam's two moments are four numbers for "
        "each of them, while activations go with C.",
    ),
    "layers": Curve(
        "layers L", {"batch": 4, "context": 64, "heads": 4, "width": 128},
        (1, 2, 4, 8, 16, 32), (1, 1),
        "Every layer does and keeps the same.",
    ),
    "batch": Curve(
        "batch B (sequences)", {"context": 64, "layers": 4, "heads": 4, "width": 128},
        (1, 2, 4, 8, 16, 32, 64), (1, 1),
        "Every sequence does and keeps the same; the weights, which are there once, and the optimizer, "
        "which runs once, weigh less and less.",
    ),
}  # fmt: skip


def slope(x, y):
    """The exponent n of y = a x^n: the least-squares line through the logarithms of the far points.

    >>> round(slope([1, 2, 4, 8], [5, 20, 80, 320]), 6)
    2.0
    """
    x, y = (np.log(np.asarray(values, float)[-FAR:]) for values in (x, y))
    return float(np.polyfit(x, y, 1)[0])


def measure(name, rounds, pythons):
    """{peer: {"ms": [one for each value], "mb": [...]}}, medians of the rounds."""
    curve = CURVES[name]
    points = [TINY, *({**NANOGPT, **curve.fixed, name: value} for value in curve.values)]
    runs = {peer: [[] for _ in points] for peer in pythons}
    jobs = [(i, peer) for _ in range(rounds) for i in range(len(points)) for peer in pythons]
    for i, peer in tqdm(jobs, desc=name, unit="process", leave=False, ncols=80):
        options = ["--sizes", json.dumps(points[i]), "--repeats", "10"]
        runs[peer][i].append(call(pythons[peer], peer, "gpt", options))
    return {peer: medians(found) for peer, found in runs.items()}


def medians(points):
    """{"ms": [...], "mb": [...]} of all points but the first, whose memory is taken from theirs."""
    ms, mb = (
        [statistics.median(run[key] for run in point) for point in points]
        for key in ("ms", "rss_mb")
    )
    return {"ms": ms[1:], "mb": [max(value - mb[0], LEAST_MB) for value in mb[1:]]}


def draw(name, found):
    """Two panels, time and memory, with the predicted slope as a guide."""
    from minillm.viz.figures import BLUE, GREY, RED, new_figure

    curve, figure = CURVES[name], new_figure(7.2, 3.6)
    styles = {"minillm": {"color": BLUE, "marker": "o"}, "torch": {"color": RED, "marker": "s"}}
    panels = zip(
        figure.subplots(1, 2),
        (("ms", "time of a step (ms)"), ("mb", "memory (MB)")),
        curve.predicted,
        strict=True,
    )
    x = np.asarray(curve.values, float)
    for axes, (key, label), power in panels:
        for peer, measured in found.items():
            text = f"{NAMES[peer]}, slope {slope(x, measured[key]):.2f}"
            line = "-" if peer == "minillm" else "--"
            axes.loglog(x, measured[key], line, label=text, markersize=5, **styles[peer])
        end = found["minillm"][key][-1]
        guide = end * (x / x[-1]) ** power
        shown = guide >= min(min(measured[key]) for measured in found.values()) / 2
        axes.loglog(
            x[shown], guide[shown], ":", color=GREY, zorder=0, label=f"the formula's slope, {power}"
        )
        axes.set(xlabel=curve.label, ylabel=label)
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Cost of a training step against {curve.label}", fontsize="medium")
    return figure


def section(records):
    """Pictures with a table of slopes, for docs/benchmarks.md."""
    parts = [
        f"{records[0]['machine']}; rounds: {records[0]['rounds']}. Slopes are those of the last "
        f"{FAR} points."
    ]
    for record in records:
        curve, found = CURVES[record["curve"]], record["found"]
        sizes = ", ".join(f"{name} {value}" for name, value in curve.fixed.items())
        time, memory = (
            ", ".join(
                f"{NAMES[peer]} {slope(curve.values, one[key]):.2f}" for peer, one in found.items()
            )
            for key in ("ms", "mb")
        )
        last = found["minillm"]
        alt = (
            f"Two panels with logarithmic axes: time and memory of a training step against "
            f"{curve.label}. From {curve.values[0]:,} to {curve.values[-1]:,} minillm's time "
            f"grows from {last['ms'][0]:.3g} to {last['ms'][-1]:.3g} ms and its memory from "
            f"{last['mb'][0]:.3g} to {last['mb'][-1]:.3g} MB"
        )
        parts += [
            f"### {curve.label[0].upper()}{curve.label[1:]}",
            f"![{alt}](images/bench-{record['curve']}.png)",
            f"Fixed: {sizes}. Slope of time: {time}; the formula's: **{curve.predicted[0]}**. Slope of "
            f"memory: {memory}; the formula's: **{curve.predicted[1]}**. {curve.why}",
        ]
    return "\n\n".join(parts)


def write(records):
    """Save the pictures, and put the section into the page."""
    for record in records:
        picture = ROOT / "docs" / "images" / f"bench-{record['curve']}.png"
        draw(record["curve"], record["found"]).savefig(picture, dpi=120)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put_between_marks(page, section(records), marks=(BEGIN, END)), encoding="utf-8")


def show(record):
    """Print one curve."""
    curve, found = CURVES[record["curve"]], record["found"]
    print(f"\n{curve.label}: " + ", ".join(f"{value:,}" for value in curve.values))
    for key, unit, power in zip(("ms", "mb"), ("ms", "MB"), curve.predicted, strict=True):
        for peer, one in found.items():
            figures = "  ".join(f"{value:.3g}" for value in one[key])
            fitted = f"slope {slope(curve.values, one[key]):.2f}, formula {power}"
            print(f"  {NAMES[peer]:8} {unit}  {figures}   {fitted}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("curves", nargs="*", metavar="curve",
                        help=f"{', '.join(CURVES)}; all by default")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3, help="processes of each point")
    parser.add_argument("--python", action="append", default=[], metavar="[PEER=]PATH",
                        help="another Python that has PyTorch")  # fmt: skip
    parser.add_argument("--saved", action="store_true", help="measure nothing: show build/bench")
    parser.add_argument("--write", action="store_true",
                        help=f"draw docs/images/bench-*.png and rewrite {PAGE.name}")  # fmt: skip
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.curves) - set(CURVES)):
        parser.error(f"no curve {', '.join(unknown)}: choose from {', '.join(CURVES)}")
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not arguments.saved:
        try:
            pythons = find_pythons(arguments.python)
        except ValueError as error:
            parser.error(str(error))
        for name in arguments.curves or CURVES:
            measure_and_save(name, arguments.rounds, pythons)
    records = saved(CURVES if arguments.write else arguments.curves or CURVES)
    for record in records:
        show(record)
    if arguments.write:
        write(records)
        print(f"\nwrote {PAGE} and docs/images/bench-*.png")


def find_pythons(values):
    """The Pythons that measure: this one, and one that has PyTorch, if there is one."""
    pythons = {"minillm": sys.executable}
    try:
        pythons["torch"] = find_python("torch", *parse_pythons(values))
    except LeftOut as reason:
        print(f"PyTorch is left out: {reason}")
    return pythons


def measure_and_save(name, rounds, pythons):
    """One curve into build/bench."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    record = {
        "curve": name, "found": measure(name, rounds, pythons), "rounds": rounds,
        "machine": machine(),
    }  # fmt: skip
    file = RESULTS / f"curve-{name}.json"
    file.write_text(json.dumps(record, indent=1), encoding="utf-8")


def saved(names):
    """The curves in build/bench."""
    files = [RESULTS / f"curve-{name}.json" for name in names]
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    if not found:
        raise SystemExit(f"{RESULTS} holds no curves yet: run without --saved first")
    return found


if __name__ == "__main__":
    main()
