"""python -m minillm doctor: is everything right on this machine's device, and how fast is it?"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import functional as F
from ..backend import Device, manual_seed, to_numpy
from ..gradcheck.cases import cases, operation_names
from ..gradcheck.parity import LARGEST, difference
from ..gradcheck.suite import check_operations
from ..models import GPT2Config, GPT2LMHeadModel
from ..optim import AdamW
from ..training import load_checkpoint, save_checkpoint
from ..version import __version__
from . import options

SUMMARY = "Check every operation on a device, train there, measure it, and print a report to paste."
EXAMPLE = "python -m minillm doctor --device cuda --out report.txt"
STEPS = 20
SIZES = {"cpu": 1024, "cuda": 8192}  # of the matrices that are multiplied
LOSS_TOLERANCE = 1e-3  # float32 sums in another order, over STEPS steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="cpu, cuda or cuda:1; a GPU where there is one")
    parser.add_argument("--out", metavar="FILE", help="also write the report there")


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    device = Device(arguments.device) if arguments.device else best_device()
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    for line in describe(device):
        say(line)
    failures, trained = 0, Trained(device)
    for name, examine in EXAMINATIONS.items():
        passed, finding = examine(device, trained)
        failures += not passed
        say(f"[{'ok' if passed else 'FAILED'}] {name}: {finding}")
    for line in measure(device):
        say(line)
    if failures:
        say("Something is wrong: please open an issue with this report.")
    if arguments.out:
        Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
        Path(arguments.out).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failures else 0


def best_device() -> Device:
    """A GPU where there is one, the processor elsewhere."""
    try:
        return Device("cuda")
    except RuntimeError:
        return Device("cpu")


def describe(device: Device) -> list[str]:
    """Versions and the device's name."""
    lines = [
        f"minillm {__version__}, Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{platform.system()} {platform.machine()}"
    ]
    if device.kind != "cuda":
        return [*lines, f"device {device}"]
    runtime = device.xp.cuda.runtime
    name = runtime.getDeviceProperties(device.index)["name"].decode()
    cuda = runtime.runtimeGetVersion()
    return [
        *lines,
        f"device {device}: {name}, CuPy {device.xp.__version__}, "
        f"CUDA {cuda // 1000}.{cuda % 1000 // 10}",
    ]


# ------------------------------------------------------------------------------- examinations


class Trained:
    """The small GPT after STEPS steps, here and on the processor: trained once, when first needed."""

    def __init__(self, device: "Device | str") -> None:
        self.device = device

    @cached_property
    def here(self) -> tuple[Any, Any, list[float]]:
        """(model, optimiser, losses) on the device."""
        return train_here(self.device)

    @cached_property
    def host(self) -> tuple[Any, Any, list[float]]:
        """(model, optimiser, losses) on the processor."""
        return train_here("cpu")


def check_gradients_here(device: Device, trained: Trained | None = None) -> tuple[bool, str]:
    """Every backward pass against numerical gradients, on the processor."""
    names = operation_names()
    bar = tqdm(check_operations(names), total=len(names), desc="gradients", leave=False)
    results = list(bar)
    wrong = [result.operation for result in results if not result.passed]
    worst = max(result.relative_error for result in results)
    finding = f"{len(names)} operations, worst relative error {worst:.0e}"
    return not wrong, finding + (f"; wrong: {', '.join(wrong)}" if wrong else "")


def compare_operations(device: Device, trained: Trained | None = None) -> tuple[bool, str]:
    """Every operation on the device against the processor."""
    worst, count, wrong = 0.0, 0, []
    for name in tqdm(operation_names(), desc="operations", leave=False):
        for case in cases(name):
            units = difference(case, device)
            worst, count = max(worst, units), count + 1
            if units > LARGEST and name not in wrong:
                wrong.append(name)
    finding = f"{count} calls in float32, at most {worst:.0f} units of rounding from the CPU"
    return not wrong, finding + (f"; more than {LARGEST}: {', '.join(wrong)}" if wrong else "")


def small_gpt(device: "Device | str") -> tuple[Any, Any, np.ndarray]:
    """(model, optimiser, ids), the same on every device."""
    manual_seed(0)
    config = GPT2Config(vocab_size=61, n_positions=32, n_embd=64, n_layer=2, n_head=4)
    model = GPT2LMHeadModel(config).to(device)
    ids = np.random.default_rng(0).integers(0, 61, (8, 1)) + np.arange(33) * 7
    return model, AdamW(model.named_parameters(), lr=3e-3), ids % 61


def train_here(device: "Device | str") -> tuple[Any, Any, list[float]]:
    """STEPS steps of a small GPT: (model, optimiser, losses)."""
    model, optimizer, ids = small_gpt(device)
    losses = []
    for _ in range(STEPS):
        loss = F.cross_entropy(model(ids[:, :-1]).logits, ids[:, 1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return model, optimizer, losses


def compare_training(device: Device, trained: Trained | None = None) -> tuple[bool, str]:
    """Does a model learn the same on the device?"""
    trained = trained or Trained(device)
    losses, expected = trained.here[2], trained.host[2]
    apart = max(abs(a - b) for a, b in zip(losses, expected, strict=True))
    finding = (
        f"{STEPS} steps of a small GPT, loss {losses[0]:.3f} to {losses[-1]:.3f}, at most "
        f"{apart:.0e} from the CPU"
    )
    return apart < LOSS_TOLERANCE, finding


def compare_checkpoint(device: Device, trained: Trained | None = None) -> tuple[bool, str]:
    """Does a checkpoint that was saved on the device load on the processor, bit by bit?"""
    model, optimizer, _ = (trained or Trained(device)).here
    other, other_optimizer, _ = small_gpt("cpu")
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(folder, model, optimizer, step=STEPS)
        load_checkpoint(folder, other, other_optimizer)
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    same = all(np.array_equal(to_numpy(a.data), b.data) for a, b in pairs)
    return same, f"saved here, loaded on the CPU: {'the same' if same else 'OTHER'} bits"


def compare_text(device: Device, trained: Trained | None = None) -> tuple[bool, str]:
    """Does a trained model continue a text alike with and without the cache, here and there?"""
    trained = trained or Trained(device)
    model, host = trained.here[0], trained.host[0]
    prompt = small_gpt("cpu")[2][:2, :8]
    texts = [
        to_numpy(place.generate(prompt, max_new_tokens=20, use_cache=cache))
        for place, cache in ((model, True), (model, False), (host, True))
    ]
    same = [int((text == texts[0]).all()) for text in texts[1:]]
    words = ["differs", "the same"]
    finding = f"20 greedy tokens without the cache: {words[same[0]]}; on the CPU: "
    return all(same), finding + words[same[1]]


EXAMINATIONS: dict[str, Callable[[Device, Trained], tuple[bool, str]]] = {
    "gradient checks": check_gradients_here,
    "operations": compare_operations,
    "training": compare_training,
    "checkpoint": compare_checkpoint,
    "generation": compare_text,
}

# --------------------------------------------------------------------------------------- speed


def measure(device: Device) -> list[str]:
    """Matrix product, memory, and a training step; medians."""
    size = SIZES.get(device.kind, 64)
    rng = np.random.default_rng(0)
    a = device.put(rng.standard_normal((size, size), dtype=np.float32))
    seconds = median_seconds(lambda: a @ a, device)
    copy = median_seconds(lambda: a + 1, device)
    model, optimizer, ids = small_gpt(device)

    def step() -> None:
        F.cross_entropy(model(ids[:, :-1]).logits, ids[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()

    step_seconds = median_seconds(step, device)
    return [
        f"matrix product {size} x {size}, float32: {2 * size**3 / seconds / 1e9:,.0f} GFLOP/s",
        f"memory, reading and writing {a.nbytes >> 20} MiB: {2 * a.nbytes / copy / 1e9:,.0f} GB/s",
        f"training step of a small GPT, 8 x 32 tokens: {step_seconds * 1e3:.1f} ms",
    ]


def median_seconds(work: Callable[[], Any], device: Device, rounds: int = 7) -> float:
    """The median time of a piece of work, after one round to warm up."""
    times = []
    for _ in range(rounds + 1):
        device.synchronize()
        started = time.perf_counter()
        work()
        device.synchronize()
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[rounds // 2]
