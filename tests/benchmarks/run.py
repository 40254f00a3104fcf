"""make bench: minillm beside other libraries on the same work, on this machine.

Each measurement is a process of its own, because two linear algebra libraries in one
process slow each other down; the peers take turns, another one first in each round,
because the speed of a machine drifts; of all rounds the median counts, and ratios are
taken within a round.  All peers start from the same weights and batch, and must have
the same losses.

    python tests/benchmarks/run.py                          all, 7 rounds: hours
    python tests/benchmarks/run.py gpt lstm --quick         two workloads, 3 rounds
    python tests/benchmarks/run.py gpt --peers torch jax    two peers only
    python tests/benchmarks/run.py --peers torch --write    and write docs/benchmarks.md
    python tests/benchmarks/run.py --saved --write          from what build/bench holds

Peers may live in other environments, so that nothing has to share one:

    python -m venv build/peers
    build/peers/bin/python -m pip install numpy autograd mygrad tinygrad jax tokenizers
    python tests/benchmarks/run.py --python build/peers/bin/python
"""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import fill

from bench_tables import difference, markdown, put_between_marks, terminal
from bench_workloads import PEERS, WORKLOADS
from tqdm import tqdm

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PAGE, RESULTS = ROOT / "docs" / "benchmarks.md", ROOT / "build" / "bench"
SAME = 1e-3  # largest relative difference of what all peers must agree on
INSTALL = "install it with: python -m pip install -e '.[bench]'"


class LeftOut(Exception):
    """A peer cannot do a workload; the text says why."""


def parse_pythons(values):
    """({peer: path} from PEER=PATH, [path, ...] from PATH alone).

    Raises   ValueError if the peer is unknown
    """
    named, others = {}, []
    for value in values:
        peer, equals, path = value.partition("=")
        if not equals:
            others.append(value)
        elif peer not in PEERS:
            known = ", ".join(PEERS)
            raise ValueError(
                f"--python {value}: no peer {peer!r}: choose from {known}, or give a path alone"
            )
        else:
            named[peer] = path
    return named, others


def find_python(peer, named, others):
    """The Python that has a peer.

    Raises   LeftOut with what to install
    """
    entry = PEERS[peer]
    reason = f"not installed; {INSTALL}"
    for python in [named[peer]] if peer in named else [sys.executable, *others]:
        if _succeeds(python, f"import {entry.module}"):
            if not entry.probe or _succeeds(python, entry.probe):
                return python
            reason = entry.hint or f"installed, but this fails: {entry.probe}"
    raise LeftOut(reason)


def _succeeds(python, code):
    try:
        return not subprocess.run([python, "-c", code], capture_output=True).returncode
    except OSError as error:
        raise SystemExit(f"--python {python}: {error}") from None


def call(python, peer, workload, options, limit=None):
    """The JSON line that one process prints.

    Raises   LeftOut if it fails or takes longer than `limit` seconds
    """
    command = [python, str(FOLDER / f"with_{peer}.py"), workload, *map(str, options)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            end(process)
            raise LeftOut(f"one process took longer than {limit:.0f} s") from None
        except KeyboardInterrupt:
            end(process)
            raise
    if process.returncode:
        if peer == "minillm":
            raise SystemExit(f"{' '.join(command)} failed:\n{errors}")
        raise LeftOut(f"it failed: {(errors.strip().splitlines() or ['no message'])[-1][:200]}")
    return json.loads(output.splitlines()[-1])


def end(process):
    """End a process with those that it has started, such as compilers."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def order(peers, number):
    """The peers of a round: each round begins one further on, so that nobody is always first."""
    turn = number % len(peers)
    return [*peers[turn:], *peers[:turn]]


def measure(name, pythons, rounds, options, limit):
    """(results of each round by peer, {peer: why it was left out})."""
    results, left_out = [{} for _ in range(rounds)], {}
    peers = list(pythons)
    bar = tqdm(total=rounds * len(peers), desc=name, unit="process", leave=False, ncols=80)
    with bar:
        for number, found in enumerate(results):
            for peer in order(peers, number):
                bar.set_postfix_str(peer)
                if peer not in left_out:
                    own = options["minillm"] if peer == "minillm" else options["all"]
                    try:
                        found[peer] = call(
                            pythons[peer], peer, name, own, None if peer == "minillm" else limit
                        )
                    except LeftOut as reason:
                        left_out[peer] = str(reason)
                bar.update()
            differences(name, found)
    for peer in left_out:  # half of the rounds would be compared with other rounds
        for found in results:
            found.pop(peer, None)
    return results, left_out


def differences(name, found):
    """{peer: how far its losses are from minillm's} in one round.

    Raises   SystemExit if the two do not compute the same
    """
    ours, far = found["minillm"]["check"], {}
    for peer, result in found.items():
        far[peer] = difference(ours, result["check"])
        if far[peer] > SAME:
            raise SystemExit(
                f"{name}: {WORKLOADS[name].check} of {peer} {result['check'][:5]} differ from "
                f"minillm's {ours[:5]}: the two do not do the same work"
            )
    return far


def prepare(name, folder):
    """{"all": options for every peer, "minillm": options for minillm} of a workload."""
    workload, options = WORKLOADS[name], []
    if "text" in workload.needs:
        options += ["--text", write_text(folder / "text.txt", workload.sizes["encode_bytes"])]
    if "model" in workload.needs:
        options += ["--model", folder / "model"]
        call(sys.executable, "minillm", "make-model", options)
    ours = list(options)
    if workload.products:
        file = RESULTS / f"{name}-products.json"
        call(sys.executable, "minillm", name, ["--record", file])
        ours += ["--products", file]
    return {"all": options, "minillm": ours}


def write_text(path, size):
    """The help texts of this Python, again and again until there are so many bytes; ASCII only."""
    from pydoc_data.topics import topics

    once = "\n\n".join(topics[key] for key in sorted(topics)).encode("ascii", "ignore")
    path.write_bytes((once * (size // len(once) + 1))[:size])
    return path


def run(name, pythons, missing, arguments):
    """Measure one workload, print and save what was found."""
    wanted = WORKLOADS[name].peers
    use = {"minillm": sys.executable} | {p: pythons[p] for p in wanted if p in pythons}
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as folder:
        options = prepare(name, Path(folder))
        rounds, left_out = measure(name, use, arguments.rounds, options, arguments.limit)
    record = {
        "workload": name, "rounds": rounds, "difference": differences(name, rounds[0]),
        "left_out": {p: why for p, why in missing.items() if p in wanted} | left_out,
        "machine": machine(), "date": f"{datetime.datetime.now(datetime.timezone.utc):%d %B %Y}",
    }  # fmt: skip
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(f"\n{terminal(record)}", flush=True)


def machine():
    """Processor, cores, system and Python."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    names = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def saved(names):
    """The records in build/bench, in the order of the workloads."""
    files = [RESULTS / f"{name}.json" for name in names]
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    if not found:
        raise SystemExit(f"{RESULTS} holds no results yet: run without --saved first")
    return found


def read_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="workload",
                        help=f"{', '.join(WORKLOADS)}; all by default")  # fmt: skip
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER",
                        help=f"{', '.join(PEERS)}; all by default")  # fmt: skip
    parser.add_argument("--rounds", type=int, help="processes of each peer (default: 7)")
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    parser.add_argument("--python", action="append", default=[], metavar="[PEER=]PATH",
                        help="another Python that has this peer, or any; may be repeated")  # fmt: skip
    parser.add_argument("--limit", type=float, default=180.0, metavar="SECONDS",
                        help="of one process; who needs more is left out (default: 180)")  # fmt: skip
    parser.add_argument("--saved", action="store_true", help="measure nothing: show build/bench")
    parser.add_argument("--write", action="store_true",
                        help=f"put the tables of all results into {PAGE.name}")  # fmt: skip
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.workloads) - set(WORKLOADS)):
        parser.error(f"no workload {', '.join(unknown)}: choose from {', '.join(WORKLOADS)}")
    arguments.rounds = arguments.rounds or (3 if arguments.quick else 7)
    if arguments.rounds < 1 or not arguments.limit > 0:
        parser.error("--rounds must be at least 1, and --limit above 0 seconds")
    try:
        arguments.named, arguments.others = parse_pythons(arguments.python)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main():
    arguments = read_arguments()
    names = arguments.workloads or list(WORKLOADS)
    if not arguments.saved:
        pythons, missing = {}, {}
        for peer in arguments.peers:
            if any(peer in WORKLOADS[name].peers for name in names):
                try:
                    pythons[peer] = find_python(peer, arguments.named, arguments.others)
                except LeftOut as reason:
                    missing[peer] = str(reason)
                    print(fill(f"{PEERS[peer].name} is left out: {reason}", 88))
        rounds = f"medians of {arguments.rounds} rounds" if arguments.rounds > 1 else "one round"
        print(f'{machine()}\n{rounds}, the peers in turn; "differs by": losses, or other results')
        for name in names:
            run(name, pythons, missing, arguments)
    else:
        for record in saved(names):
            print(f"\n{terminal(record)}")
    if arguments.write:
        text = markdown(saved(WORKLOADS))
        PAGE.write_text(put_between_marks(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
        print(f"\nwrote {PAGE}")


if __name__ == "__main__":
    main()
