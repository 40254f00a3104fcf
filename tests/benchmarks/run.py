"""make bench: minillm beside PyTorch on the same work, on this machine.

Each measurement is a process of its own, because two linear algebra libraries in one process slow
each other down; the peers take turns, because the speed of a machine drifts; of all rounds the median
counts.  Examples:

    python tests/benchmarks/run.py
    python tests/benchmarks/run.py lstm encoder --rounds 3
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

FOLDER = Path(__file__).parent
PEERS = {"minillm": "with_minillm.py", "torch": "with_torch.py"}
WORKLOADS = {
    "gpt": "GPT: block 64, batch 12, 4 layers, 4 heads, width 128, no biases",
    "lstm": "LSTM classifier: 1000 words, width 50, hidden 128, batch 32 x 50",
    "encoder": "Encoder LM: 10,000 words, width 512, 8 heads, 2048, 6 layers, batch 4 x 64",
    "bert": "BERT as large as MiniLM: 6 layers, width 384, 12 heads, batch 8 x 64, training step",
    "bert-forward": "The same BERT, forward only",
    "decode": "Decoding with the cache: SmolLM2's shape, 135 M weights, one token",
}


def measure(peer, workload):
    """One process, one JSON line."""
    command = [sys.executable, str(FOLDER / PEERS[peer]), workload]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def compare(workload, rounds):
    """Run both peers in turn and print a table row."""
    runs = {peer: [] for peer in PEERS}
    jobs = [peer for _ in range(rounds) for peer in PEERS]
    for peer in tqdm(jobs, desc=workload, unit="process", leave=False, file=sys.stderr):
        runs[peer].append(measure(peer, workload))
    middle = {
        peer: {key: statistics.median(run[key] for run in results) for key in ("ms", "rss_mb")}
        for peer, results in runs.items()
    }
    ours, theirs = middle["minillm"], middle["torch"]
    pairs = [a["ms"] / b["ms"] for a, b in zip(runs["minillm"], runs["torch"], strict=True)]
    print(f"\n{WORKLOADS[workload]}")
    print(f"  {'':16} {'ms per step':>12} {'peak MB':>9}")
    print(f"  {'minillm':16} {ours['ms']:12.1f} {ours['rss_mb']:9.0f}")
    print(f"  {'PyTorch eager':16} {theirs['ms']:12.1f} {theirs['rss_mb']:9.0f}")
    print(f"  {'ratio':16} {statistics.median(pairs):12.2f} {ours['rss_mb'] / theirs['rss_mb']:9.2f}"
          f"   (pairs from {min(pairs):.2f} to {max(pairs):.2f})")  # fmt: skip
    if "gemm_ms" in runs["minillm"][0]:
        gemm = statistics.median(run["gemm_ms"] for run in runs["minillm"])
        print(
            f"  {'products alone':16} {gemm:12.1f}             minillm: {ours['ms'] / gemm:.2f} x that"
        )
    if "limit_ms" in runs["minillm"][0]:
        shares = [run["limit_ms"] / run["ms"] for run in runs["minillm"]]
        limit = statistics.median(run["limit_ms"] for run in runs["minillm"])
        print(
            f"  {'memory alone':16} {limit:12.1f}             "
            f"minillm: {statistics.median(shares):.0%} of the speed that the memory allows"
        )
    return runs


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="workload",
                        help=f"{', '.join(WORKLOADS)}; all by default")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7, help="processes of each peer")
    arguments = parser.parse_args()
    unknown = set(arguments.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(
            f"there is no workload {', '.join(unknown)}: choose from {', '.join(WORKLOADS)}"
        )
    print(f"medians of {arguments.rounds} processes each, alternated")
    for workload in arguments.workloads or WORKLOADS:
        runs = compare(workload, arguments.rounds)
    engine = measure("minillm", "engine")
    print(
        f"\nengine: {engine['node_us']:.1f} microseconds per node, forward and backward\n"
        f"gradient check of every operation: {engine['gradcheck_s']:.1f} s\n\n"
        f"{platform.machine()}, Python {platform.python_version()}; {engine['versions']}; "
        f"{runs['torch'][0]['versions']}"
    )


if __name__ == "__main__":
    main()
