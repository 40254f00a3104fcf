"""From the results of all processes to medians, ratios, verdicts and tables."""

import statistics
import textwrap

from bench_workloads import PEERS, SLOW_PEERS, TIMES_FASTER, WORKLOADS

BEGIN, END = "<!-- figures: made by tests/benchmarks/run.py -->", "<!-- end of the figures -->"


def median(rounds, peer, key):
    """The median over the rounds in which this peer gave this figure; None if it never did."""
    found = [one[peer][key] for one in rounds if one.get(peer, {}).get(key) is not None]
    return statistics.median(found) if found else None


def ratios(rounds, peer, key="ms", top="minillm"):
    """top's figure over the peer's, one for each round that has both: neighbours in time."""
    pairs = [(one[top].get(key), one[peer].get(key)) for one in rounds if {top, peer} <= set(one)]
    return [a / b for a, b in pairs if a is not None and b]


def difference(ours, theirs):
    """The largest difference of two lists of figures, relative to their size; over what both have."""
    pairs = list(zip(ours, theirs, strict=False))
    size = max((abs(a) for a, _ in pairs), default=0) or 1.0
    return max((abs(a - b) / size for a, b in pairs), default=0.0)


def verdicts(record):
    """[(what is to be reached, what was found, whether that reaches it)]."""
    workload, rounds = WORKLOADS[record["workload"]], record["rounds"]
    found = []
    torch = ratios(rounds, "torch")
    if workload.target is not None and torch:
        ratio = statistics.median(torch)
        text = f"at most {workload.target:.2f} of PyTorch's time"
        found.append((text, f"{ratio:.2f}", ratio <= workload.target))
    if workload.speed is not None:
        pairs = [one["minillm"] for one in rounds]
        share = statistics.median(one["bandwidth_ms"] / one["ms"] for one in pairs)
        text = f"at least {workload.speed:.0%} of the speed of memory"
        found.append((text, f"{share:.0%}", share >= workload.speed))
    if workload.at_most_ms is not None:
        ms = median(rounds, "minillm", "ms")
        text = f"at most {duration(workload.at_most_ms)}"
        found.append((text, duration(ms), ms <= workload.at_most_ms))
    for peer in SLOW_PEERS:
        pairs = ratios(rounds, peer) if workload.products else []
        if pairs:
            times = 1 / statistics.median(pairs)
            text = f"at least {TIMES_FASTER:.0f} times as fast as {PEERS[peer].name}"
            found.append((text, f"{times:.1f}", times >= TIMES_FASTER))
    memory = ratios(rounds, "torch", "rss_mb")
    if memory:
        ratio = statistics.median(memory)
        found.append(("at most PyTorch's peak memory", f"{ratio:.2f}", ratio <= 1.0))
    return found


def duration(ms):
    """Three digits with the unit that suits them."""
    if ms is None:
        return "–"
    value, unit = (ms * 1000, "µs") if ms < 0.1 else (ms, "ms") if ms < 10_000 else (ms / 1000, "s")
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def spread(values, digits=2):
    """The median and, in brackets, the smallest and the largest."""
    one, low, high = statistics.median(values), min(values), max(values)
    return f"{one:.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"


def megabytes(rounds, peer):
    """Peak memory as text."""
    value = median(rounds, peer, "rss_mb")
    return "–" if value is None else f"{value:.0f}"


def terminal(record):
    """What is printed after a workload, at most 88 columns wide."""
    rounds, name = record["rounds"], record["workload"]
    lines = textwrap.wrap(f"{name}: {WORKLOADS[name].title}", 88, subsequent_indent="  ")
    row = "  {:<18}{:>10}  {:<24}{:>8}  {}"
    lines.append(row.format("", "time", "minillm's / this", "peak MB", "differs by"))
    for peer in ("minillm", *WORKLOADS[name].peers):
        ms = median(rounds, peer, "ms")
        if ms is None:
            continue
        other = peer != "minillm"
        lines.append(
            row.format(
                PEERS[peer].name if other else f"minillm{workers(rounds)}",
                duration(ms),
                spread(ratios(rounds, peer)) if other else "",
                megabytes(rounds, peer),
                f"{record['difference'][peer]:.0e}" if other else "",
            ).rstrip()
        )
    lines += [f"  {name}: {duration(ms)}, {text}" for name, ms, text in limits(rounds)]
    for text, value, met in verdicts(record):
        lines.append(f"  {'met   ' if met else 'MISSED'}  {text}: {value}")
    for peer, why in record["left_out"].items():
        text = f"{PEERS[peer].name} left out: {why}"
        lines += textwrap.wrap(text, 88, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def workers(rounds):
    """ ", 2 workers" where a batch was split over threads."""
    number = median(rounds, "minillm", "workers") or 1
    return f", {number:.0f} workers" if number > 1 else ""


def limits(rounds):
    """[(name, milliseconds, what minillm makes of it)] of what the machine allows."""
    found, ours = [], median(rounds, "minillm", "ms")
    products, bandwidth = (
        median(rounds, "minillm", key) for key in ("products_ms", "bandwidth_ms")
    )
    matrices = median(rounds, "minillm", "matrices_ms")
    if products:
        found.append(("matrix products alone", products, f"minillm takes {ours / products:.2f}×"))
    if bandwidth:
        share = f"minillm has {bandwidth / ours:.0%} of that speed"
        found.append(("all weights read once", bandwidth, share))
    if matrices:
        found.append(("its matrices times a vector", matrices, f"{ours / matrices:.2f}×"))
    return found


def markdown(records):
    """The tables for docs/benchmarks.md."""
    parts = [introduction(records), main_table(records), target_table(records)]
    others = peer_table(records)
    if others:
        parts += [
            "The other libraries, time (how many times as fast as it minillm is). Peak memory in MB "
            "stands behind the bar:",
            others,
        ]
    return "\n\n".join([*parts, *left_out(records)])


def introduction(records):
    """Machine, versions, number of rounds."""
    versions = {}
    for record in records:
        for one in record["rounds"]:
            versions = {peer: result["versions"] for peer, result in one.items()} | versions
    counts = sorted({len(record["rounds"]) for record in records})
    rounds = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    last = records[-1]
    return f"{last['machine']}. Rounds: {rounds}; {last['date']}. {'; '.join(versions.values())}."


def main_table(records):
    """minillm beside PyTorch, with the machine's limits."""
    lines = [
        "| workload | minillm | PyTorch | ratio (pairs) | the machine's limit | peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for record in records:
        rounds, name = record["rounds"], record["workload"]
        pairs = ratios(rounds, "torch")
        bound = "; ".join(f"{n} {duration(ms)}: {t}" for n, ms, t in limits(rounds)) or "–"
        memory = megabytes(rounds, "minillm")
        memory += f" / {megabytes(rounds, 'torch')}" if pairs else ""
        cells = [
            f"`{name}` {WORKLOADS[name].title}",
            duration(median(rounds, "minillm", "ms")) + workers(rounds),
            duration(median(rounds, "torch", "ms")), spread(pairs) if pairs else "–", bound,
            memory,
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def target_table(records):
    """What was to be reached, and what was found; what is missed stands in bold."""
    lines = ["| workload | to be reached | found |", "|---|---|---|"]
    for record in records:
        for text, value, met in verdicts(record):
            shown = value if met else f"**{value}, missed**"
            lines.append(f"| `{record['workload']}` | {text} | {shown} |")
    return "\n".join(lines)


def peer_table(records):
    """The other libraries; "" if none of them ran."""
    peers = [
        peer for peer in PEERS
        if peer != "torch" and any(ratios(record["rounds"], peer) for record in records)
    ]  # fmt: skip
    if not peers:
        return ""
    lines = [
        f"| workload | {' | '.join(PEERS[peer].name for peer in peers)} |",
        f"|---|{'---|' * len(peers)}",
    ]
    for record in records:
        rounds = record["rounds"]
        cells = [f"`{record['workload']}`"]
        for peer in peers:
            pairs = ratios(rounds, peer)
            times = 1 / statistics.median(pairs) if pairs else None
            cells.append(
                f"{duration(median(rounds, peer, 'ms'))} ({times:.2g}×), {megabytes(rounds, peer)}"
                if pairs
                else "–"
            )
        if set(cells[1:]) != {"–"}:
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def left_out(records):
    """One line for each peer that a workload had to do without."""
    reasons = {}
    for record in records:
        for peer, why in record["left_out"].items():
            reasons.setdefault((peer, why), []).append(f"`{record['workload']}`")
    if not reasons:
        return []
    lines = [
        f"- {PEERS[peer].name} is left out of {', '.join(names)}: {why}"
        for (peer, why), names in reasons.items()
    ]
    return ["\n".join(lines)]


def put_between_marks(page, text, marks=(BEGIN, END)):
    """The page with the text between the marks.

    Raises   ValueError if the marks do not stand there once each
    """
    begin, end = marks
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(
            f"the page must hold these lines once each, in this order:\n{begin}\n{end}"
        )
    before, after = page.split(begin)[0], page.split(end)[1]
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
