"""python -m minillm info --config: what a model costs, by formula and measured."""

import os
import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..files import read_json
from ..models import (
    BertConfig,
    GPT2Config,
    LlamaConfig,
    LSTMClassifierConfig,
    LSTMLanguageModelConfig,
    ModelCost,
    Seq2SeqConfig,
    TransformerLMConfig,
    model_cost,
)
from ..models.cost import max_length
from ..models.counting import StepCount, build_model, count_step, random_batch, training_loss
from ..optim import Adam
from ..tokenizers.progress import progress_bar
from ..training import keep_freed_memory

KINDS: dict[Any, Any] = {
    kind.model_type: kind
    for kind in (GPT2Config, LlamaConfig, BertConfig, TransformerLMConfig, Seq2SeqConfig,
                 LSTMClassifierConfig, LSTMLanguageModelConfig)
}  # fmt: skip
# name -> (config, sequences in a batch, tokens in each)
PRESETS: dict[str, tuple[Any, int, int]] = {
    # the laptop recipe of nanoGPT, with the 65 characters of Tiny Shakespeare
    "nanogpt-cpu": (
        GPT2Config(
            65, 64, 128, 4, 4, activation_function="gelu", resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0, bias=False,
        ),
        12, 64,
    ),
    "gpt2": (GPT2Config(), 1, 1024),
    # Brown et al. 2020, arXiv:2005.14165, table 2.1
    "gpt3-175b": (GPT2Config(50257, 2048, 12288, 96, 96), 1, 2048),
    "bert-base": (BertConfig(architectures=["BertForPreTraining"]), 8, 128),
    # sentence-transformers/all-MiniLM-L6-v2
    "minilm": (
        BertConfig(
            hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
        ),
        8, 128,
    ),
    "smollm2-135m": (
        LlamaConfig(
            49152, 576, 1536, 30, 9, 3, max_position_embeddings=8192, rope_theta=100000.0,
            rms_norm_eps=1e-5, tie_word_embeddings=True,
        ),
        1, 512,
    ),
    "llama-7b": (LlamaConfig(), 1, 2048),
    "lstm-article": (LSTMClassifierConfig(), 32, 100),
    "transformer-article": (TransformerLMConfig(), 20, 35),
    "transformer-base": (Seq2SeqConfig(), 8, 64),
}  # fmt: skip
FORWARD_STEPS, TRAINING_STEPS = 5, 7
RESERVE = 1.2  # what Python, the libraries and temporaries need beside the prediction
ASSUMED_MEMORY = 4_000_000_000  # where the system does not say how much it has


def describe(name: str, batch_size: int | None, length: int | None, measure: bool) -> None:
    """Print the table of a preset or a config file, and with `measure` what a real step took."""
    config, usual_batch, usual_length = find_config(name)
    cost = model_cost(
        config,
        usual_batch if batch_size is None else batch_size,
        usual_length if length is None else length,
    )
    if measure:
        require_memory(name, cost)
    print_table(name, cost)
    print_totals(cost)
    if measure:
        print_measurement(cost, measure_cost(cost))


# ------------------------------------------------------------------------------- which model


def find_config(name: str) -> tuple[Any, int, int]:
    """(config, usual batch size, usual length) of a preset, a config.json, or a folder with one.

    Raises   FileNotFoundError that lists the presets; ValueError for a file that describes no model
    """
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if path.is_dir():
        path /= "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"--config {name!r} is neither a file, nor a folder with config.json, nor one of the "
            f"known configurations: {', '.join(PRESETS)}"
        )
    config = config_in(path)
    return config, 8, min(128, max_length(config) or 128)


def config_in(path: Path) -> Any:
    """The config that a file describes; entries that we do not know are left out.

    Raises   ValueError that names the file, and what is wrong in it
    """
    values = read_json(path)
    found = values.get("model_type") if isinstance(values, dict) else None
    if not isinstance(found, str) or found not in KINDS:
        said = "has no entry model_type" if found is None else f"has the model_type {found!r}"
        raise ValueError(f"{path} {said}: it must be one of {', '.join(KINDS)}")
    kind = KINDS[found]
    known = {field.name for field in fields(kind)}
    try:
        return kind(**{key: value for key, value in values.items() if key in known})
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


# --------------------------------------------------------------------------------- printing


def short(number: float, unit: str = "") -> str:
    """Three digits and a prefix.

    >>> short(1_234_567), short(512, "B"), short(0)
    ('1.23 M', '512 B', '0')
    """
    prefixes = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
    step = 0
    while number >= 999.5 and step < len(prefixes) - 1:
        number, step = number / 1000, step + 1
    return f"{number:.3g} {prefixes[step]}{unit}".strip()


def print_table(name: str, cost: ModelCost) -> None:
    """One row for each part of the model."""
    print(f"{name}: {type(cost.config).__name__}, a batch of {batch_of(cost)}\n")
    print(
        f"{'part':24}{'parameters':>17} {'share':>7}{'FLOP forward':>15} {'share':>7}{'kept':>12}"
    )
    for part in cost.parts:
        print(
            f"{part.name:24}{part.parameters:17,} {share(part.parameters, cost.parameters)}"
            f"{short(part.flop):>15} {share(part.flop, cost.forward_flop)}{short(part.saved, 'B'):>12}"
        )
    print(
        f"{'total':24}{cost.parameters:17,} {'':7}{short(cost.forward_flop):>15} {'':7}"
        f"{short(cost.activation_bytes, 'B'):>12}\n"
    )


def batch_of(cost: ModelCost) -> str:
    """The batch in words."""
    many = cost.batch_size > 1
    if cost.target_length is None:
        return f"{cost.batch_size} sequence{'s' * many} of {cost.length} tokens"
    pairs = f"{cost.batch_size} pair{'s' * many}"
    return f"{pairs} of {cost.length} and {cost.target_length} tokens"


def share(part: float, whole: float) -> str:
    """A share in per cent, seven places wide.

    >>> share(1, 8)
    ' 12.5 %'
    """
    return f"{100 * part / whole:5.1f} %"


def print_totals(cost: ModelCost) -> None:
    """FLOP of a step beside the approximations, and where the memory goes."""
    step = cost.training_flop
    rows = [("FLOP", f"forward {short(cost.forward_flop)}, training step {short(step)}: 3 x forward, "
             "because the"), ("", "backward pass of a product is two products"),
            ("", f"by the rule 6 N D {short(cost.rule_flop)}, {cost.rule_flop / step:.2f} of the sum "
             "above")]  # fmt: skip
    if cost.kaplan_flop is not None:
        ratio = cost.kaplan_flop / cost.forward_flop
        rows.append(("", f"by 2 N + 2 L T C a token, forward {short(cost.kaplan_flop)}, {ratio:.2f} "
                     "of the sum (no LM head)"))  # fmt: skip
    per = cost.parameter_bytes
    rows += [
        ("memory", f"parameters {short(per, 'B')}, gradients {short(per, 'B')}, "
         f"Adam's moments {short(cost.adam_bytes, 'B')},"),
        ("", f"kept for backward {short(cost.activation_bytes, 'B')}, workspace "
         f"{short(cost.workspace, 'B')}"),
        ("", f"a training step needs {short(cost.peak_bytes, 'B')} at its peak"),
    ]  # fmt: skip
    if cost.cache_per_token or cost.cache_fixed:
        fixed = f"{short(cost.cache_fixed, 'B')} for each sequence" if cost.cache_fixed else ""
        grows = f"{short(cost.cache_per_token, 'B')} for each token" if cost.cache_per_token else ""
        rows += [
            ("writing", f"the cache takes {' and '.join(filter(None, (fixed, grows)))}; with the"),
            ("", f"parameters {short(cost.inference_bytes, 'B')} for the whole batch"),
        ]
    for title, text in rows:
        print(f"{title:9}{text}")


# -------------------------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Measurement:
    """What real steps took: counts, seconds, and bytes at the peak."""

    count: StepCount
    forward_seconds: float
    step_seconds: float
    peak_bytes: int


def require_memory(name: str, cost: ModelCost) -> None:
    """Raise unless a training step fits into the memory that is free."""
    free, known = free_memory()
    needed = RESERVE * cost.peak_bytes
    if needed > free:
        where = "this machine has" if known else "this system does not say what it has; assumed are"
        raise ValueError(
            f"--measure: a training step of {name} with {batch_of(cost)} needs about "
            f"{short(needed, 'B')} of memory, and {where} {short(free, 'B')}: "
            "choose a smaller configuration, --batch-size or --length, or leave out --measure"
        )


def free_memory() -> tuple[int, bool]:
    """(bytes that are free, or that the machine has in all, True); (an assumed number, False)."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1]), True
    if sys.platform != "win32" and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), True
    return ASSUMED_MEMORY, False


def measure_cost(cost: ModelCost) -> Measurement:
    """Build the model, count one forward pass, and run training steps with Adam on random ids.

    The peak is that of one whole step after the first, when Adam has its moments, seen by tracemalloc,
    which hears of every buffer of NumPy; it slows Python down, so the timed steps run without it.
    """
    keep_freed_memory()
    rng = np.random.default_rng(0)
    traced_before = tracemalloc.is_tracing()
    with progress_bar(3 + FORWARD_STEPS + TRAINING_STEPS, "measuring", True) as bar:
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        model = build_model(cost.config, rng)
        optimizer = Adam(model.parameters())
        batch = random_batch(cost.config, cost.batch_size, cost.length, cost.target_length, rng)
        bar.update()
        count = count_step(lambda: training_loss(model, batch), model)
        bar.update()
        training_step(model, optimizer, batch)
        tracemalloc.reset_peak()
        training_step(model, optimizer, batch)
        peak = tracemalloc.get_traced_memory()[1] - before
        if not traced_before:
            tracemalloc.stop()
        bar.update()
        forward, step = [], []
        for _ in range(FORWARD_STEPS):
            started = time.perf_counter()
            with no_grad():
                training_loss(model, batch)
            forward.append(time.perf_counter() - started)
            bar.update()
        for _ in range(TRAINING_STEPS):
            started = time.perf_counter()
            training_step(model, optimizer, batch)
            step.append(time.perf_counter() - started)
            bar.update()
    return Measurement(count, statistics.median(forward), statistics.median(step), peak)


def training_step(model: Any, optimizer: Adam, batch: dict[str, Any]) -> None:
    """Forward, backward, update."""
    optimizer.zero_grad()
    training_loss(model, batch).backward()
    optimizer.step()


def print_measurement(cost: ModelCost, measured: Measurement) -> None:
    """Predictions and measurements side by side, and the speed that was reached."""
    count = measured.count
    step = count.forward_flop + count.backward_flop
    print(f"\n{'':24}{'by formula':>17}{'measured':>15}{'measured / formula':>20}")
    for title, predicted, found, unit in (
        ("FLOP, forward", cost.forward_flop, count.forward_flop, ""),
        ("FLOP, training step", cost.training_flop, step, ""),
        ("kept for backward", cost.activation_bytes, count.saved_bytes, "B"),
        ("memory at the peak", cost.peak_bytes, measured.peak_bytes, "B"),
    ):
        print(
            f"{title:24}{short(predicted, unit):>17}{short(found, unit):>15}{found / predicted:20.3f}"
        )
    print("\nFLOP are counted from the arrays that each operation was called with")
    for title, seconds, flop in (
        ("forward", measured.forward_seconds, count.forward_flop),
        ("training step", measured.step_seconds, step),
    ):
        print(f"{title:24}{seconds * 1e3:14.1f} ms{flop / seconds / 1e9:9.1f} GFLOP/s")
