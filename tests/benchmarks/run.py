"""make bench: minillm beside PyTorch on the same work, on this machine.

Each measurement is a process of its own, because two linear algebra libraries in one process slow
each other down; the peers take turns, because the speed of a machine drifts; of all rounds the median
counts.  Example:

    python tests/benchmarks/run.py --rounds 7
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
PEERS = {"minillm": "gpt_minillm.py", "torch": "gpt_torch.py"}


def measure(script):
    """One process, one JSON line."""
    command = [sys.executable, str(FOLDER / script)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{script} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="processes of each peer")
    rounds = parser.parse_args().rounds
    runs = {peer: [] for peer in PEERS}
    jobs = [peer for _ in range(rounds) for peer in PEERS]
    for peer in tqdm(jobs, desc="GPT training step", unit="process"):
        runs[peer].append(measure(PEERS[peer]))
    median = {
        peer: {key: statistics.median(run[key] for run in results) for key in ("ms", "rss_mb")}
        for peer, results in runs.items()
    }
    gemm = statistics.median(run["gemm_ms"] for run in runs["minillm"])
    ours, theirs = median["minillm"], median["torch"]
    pairs = [a["ms"] / b["ms"] for a, b in zip(runs["minillm"], runs["torch"], strict=True)]
    print(
        f"\n{platform.machine()}, Python {platform.python_version()}; "
        f"{runs['minillm'][0]['versions']}; {runs['torch'][0]['versions']}\n"
        f"GPT training step: block 64, batch 12, 4 layers, 4 heads, width 128, no biases\n"
        f"medians of {rounds} processes each, alternated; each the median of 40 steps\n\n"
        f"  {'':24} {'ms per step':>12} {'peak MB':>9}\n"
        f"  {'minillm':24} {ours['ms']:12.1f} {ours['rss_mb']:9.0f}\n"
        f"  {'PyTorch eager':24} {theirs['ms']:12.1f} {theirs['rss_mb']:9.0f}\n"
        f"  {'its matrix products alone':24} {gemm:11.1f}\n\n"
        f"  minillm / PyTorch      {statistics.median(pairs):5.2f}   "
        f"(pairs from {min(pairs):.2f} to {max(pairs):.2f})\n"
        f"  minillm / products     {ours['ms'] / gemm:5.2f}"
    )


if __name__ == "__main__":
    main()
