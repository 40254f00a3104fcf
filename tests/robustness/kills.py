"""kill -9 at random moments, then resume: the same bits as a training that was left alone.

python -m tests.robustness.kills 20
"""

import argparse
import random
import signal
import tempfile
import time
from pathlib import Path

from tests.training.test_checkpoint import TRAINING, assert_same_results, run_training

PAUSE = 0.05  # seconds after each step, so that a kill meets the training and not its start


def train_with_kills(root: Path, count: int, seed: int) -> int:
    """Kill a training `count` times, starting anew whenever it got to its end; how often it did.

    Raises   AssertionError if any of its ends differs from that of the training left alone
    """
    chance = random.Random(seed)
    script = root / "training.py"
    script.write_text(TRAINING, encoding="utf-8")
    started = time.perf_counter()
    run_training(script, root / "whole", root / "whole.npz", pause=PAUSE).communicate()
    longest = time.perf_counter() - started
    ends = kills = 0
    while kills < count or not ends:
        mode = "resume" if (root / f"cut{ends}").exists() else "fresh"
        process = run_training(
            script, root / f"cut{ends}", root / f"cut{ends}.npz", mode, pause=PAUSE
        )
        if kills < count:
            time.sleep(chance.uniform(0.3, 1.0) * longest)
            process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            kills += 1
        else:
            assert process.returncode == 0
            assert_same_results(root / "whole.npz", root / f"cut{ends}.npz")
            ends += 1
    return ends


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ends = train_with_kills(Path(folder), options.count, options.seed)
    print(f"{options.count} kills, {ends} trainings got to their end with the same bits")


if __name__ == "__main__":
    main()
