"""Several trainings started at once on one folder: one trains, the others say why they do not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import minillm
from minillm.files import read_arrays
from minillm.training.checkpoint import read_index

ROOT = Path(minillm.__file__).parents[1]
RECIPE = (
    "--layers 1 --heads 2 --width 8 --block-size 6 --batch-size 2 --warmup 2 --evaluate-every 9"
)
REFUSED = re.compile(
    r"minillm train: error: \S+ (is in use by another training \(process \w+\): wait for it, stop it,"
    r" or choose another folder|already holds a training: .*--out)"
)


def start(text, out):
    command = [sys.executable, "-m", "minillm", "train", "--text", text, "--out", out]
    return subprocess.Popen(
        [*command, "--steps", "120", *RECIPE.split()], text=True, stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
    )  # fmt: skip


def test_of_three_trainings_one_wins_and_two_say_why_not(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("pack my box with five dozen liquor jugs\n" * 20, encoding="utf-8")
    processes = [start(text, tmp_path / "shared") for _ in range(3)]
    alone = start(text, tmp_path / "alone")
    said = [process.communicate(timeout=120)[1] for process in processes]
    alone.communicate(timeout=120)
    assert sorted(process.returncode for process in processes) == [0, 1, 1], said
    for process, lines in zip(processes, said, strict=True):
        if process.returncode:
            assert REFUSED.fullmatch(lines.strip().splitlines()[-1]), lines
            assert "Traceback" not in lines
    assert read_index(tmp_path / "shared" / "checkpoint")["step"] == 120
    first, second = (read_arrays(tmp_path / f / "model.safetensors") for f in ("shared", "alone"))
    assert first.keys() == second.keys()
    assert all(first[name].tobytes() == array.tobytes() for name, array in second.items())
