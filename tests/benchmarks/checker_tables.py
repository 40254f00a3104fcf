"""The tables of docs/gradient-checkers.md, from what the workers printed."""

import statistics
from collections import Counter

EXAMPLES = {  # (operation, beginning of the mutant's story): why methods miss it
    ("softmax", "the gradient is zero"): (
        "The entries of a softmax add up to 1 whatever the input is, so the gradient of their sum "
        "*is* zero: who weighs the outputs equally cannot tell a right softmax from a dead one, nor "
        "from one with the wrong sign or scale."
    ),
    ("log", "grad_out is forgotten"): (
        "The sum of the output sends a grad_out of ones backwards, and who forgets to multiply by 1 "
        "makes no visible mistake."
    ),
    ("embedding", "grad[ids] = grad_out: repeated ids do not add up"): (
        "Only the rows of repeated ids are wrong: one entry that is drawn at random rarely lies in "
        "one of them."
    ),
    ("add", "the gradient of a broadcast operand is not summed"): (
        "PyTorch's engine sums a gradient down to the shape of its input before the check looks. "
        "That is kind to its users, and hides the very mistake that the exercise is about."
    ),
}

RIGHT_NUMBERS = (
    "mutated_input",
    "wrong_shape",
    "wrong_dtype",
)  # an engine may allow or repair them


def share(values):
    """ "97.4 %" of true values."""
    values = list(values)
    return f"{100 * sum(values) / len(values):.1f} %"


def detected(lines):
    """The lines of the mutants, and whether each was rejected."""
    return [(line, not line["accepted"]) for line in lines if not line["right"]]


def measures(lines):
    """The figures of one method, as text: a row of both tables."""
    mutants, right = detected(lines), [line for line in lines if line["right"]]
    seeds = len({line["seed"] for line in lines})
    return (
        share(found for _, found in mutants),
        share(found for line, found in mutants if line["kind"] not in RIGHT_NUMBERS),
        share(found and line["named"] for line, found in mutants),
        f"{sum(not line['accepted'] for line in right)} of {len(right)}",
        f"{1000 * statistics.median(line['seconds'] for line in right):.2g}",
        f"{sum(line['seconds'] for line, _ in mutants) / seeds:.1f} s",
    )


def method_table(methods, runs):
    """The first table.  runs[name] = (how it was run, lines)."""
    rows = [
        "| method | run here | what it compares | detected | wrong numbers | named | false alarms "
        "| ms per check | all mutants |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, (how, lines) in runs.items():
        cells = (methods[name].title, how, methods[name].compares, *measures(lines))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def terminal_table(methods, runs):
    """The first table for a terminal: at most 88 columns."""
    rows = [
        f"{'':27}{'detected':>9}{'wrong numbers':>15}{'named':>9}{'alarms':>10}{'ms':>7}{'all':>9}"
    ]
    for name, (how, lines) in runs.items():
        cells = zip((9, 15, 9, 10, 7, 9), measures(lines), strict=True)
        title = methods[name].title.replace("`", "")
        rows.append(f"{title:27}{''.join(f'{text:>{width}}' for width, text in cells)}")
        rows.append(f"  {how}")
    return "\n".join(rows)


def kind_table(kinds, runs):
    """The second table: the share of each kind that each method detects, in percent."""
    rows = ["| kind | mutants | " + " | ".join(runs) + " |", "|---|---|" + "---|" * len(runs)]
    any_lines = next(iter(runs.values()))[1]
    numbers = {line["number"]: line["kind"] for line, _ in detected(any_lines)}
    counts = Counter(numbers.values())
    for kind in (kind for kind in kinds if counts[kind]):
        cells = []
        for _, lines in runs.values():
            hits = [found for line, found in detected(lines) if line["kind"] == kind]
            percent = 100 * sum(hits) / len(hits)
            cells.append("100" if all(hits) else f"**{min(percent, 99.4):.0f}**")
        rows.append(f"| `{kind}` | {counts[kind]} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def example_list(mutants, held_out, methods, runs):
    """What each method says about the mutants of EXAMPLES; stories that moved raise LookupError."""
    items = []
    for (operation, story), reason in EXAMPLES.items():
        found = [
            number
            for number, mutant in enumerate(mutants)
            if mutant.operation == operation and mutant.story.startswith(story)
        ]
        if len(found) != 1 or held_out(mutants[found[0]]):
            raise LookupError(f"EXAMPLES: there is no single open mutant {operation}: {story!r}")
        items.append(_example(found[0], mutants[found[0]], reason, methods, runs))
    return "\n".join(items)


def _example(number, mutant, reason, methods, runs):
    accepted, words = [], ""
    for name, (_, lines) in runs.items():
        trials = [line for line, _ in detected(lines) if line["number"] == number]
        misses = sum(line["accepted"] for line in trials)
        if misses:
            often = "" if misses == len(trials) else f" ({misses} of {len(trials)} seeds)"
            accepted.append(methods[name].title + often)
        if name == "minillm" and trials and trials[0]["message"]:
            words = f' minillm: "{trials[0]["message"].partition(": ")[2]}"'
    return (
        f"- **{mutant.operation}: {mutant.story}** (`{mutant.kind}`). Accepted by "
        f"{', '.join(accepted) or 'none'}. {reason}{words}"
    )
