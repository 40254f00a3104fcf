"""python -m minillm demo: watch a GPT learn English in two minutes."""

import argparse
import dataclasses
import math
import re
import shlex
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import training
from ..training import History, fit
from . import common, options

SUMMARY = "Train a small GPT on the help texts of your Python and watch it learn."
EXAMPLE = "python -m minillm demo --out runs/demo"
PROMPT = "The "


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_text_argument(parser)
    parser.add_argument("--out", metavar="FOLDER", default="runs/demo", help="where to save")
    parser.add_argument(
        "--steps", type=int, default=common.PRESETS["demo"].steps, help="how long to train"
    )
    common.add_training_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    started = time.perf_counter()
    steps = arguments.steps
    recipe = dataclasses.replace(common.PRESETS["demo"], steps=steps)
    recipe = dataclasses.replace(recipe, warmup=min(recipe.warmup, steps // 10))
    text, source = common.load_text(arguments.text)
    task = common.prepare(text, recipe, arguments.seed, arguments.device)
    known = set(PROMPT) <= set(task.tokenizer.characters)
    prompt = PROMPT if known else next(c for c in text if not c.isspace())
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made should fail now
    print(
        f"A GPT with {task.model.num_parameters():,} parameters learns to write, character by "
        f"character,\nfrom {source}: {len(text):,} characters, {len(task.tokenizer)} different.\n"
        f"It trains on the first 90 % and is tested on the rest.\n"
    )
    history = train_and_show(task, prompt, arguments.workers)
    if len(history.losses) < steps:
        save_interrupted(task, out, len(history.losses))
        return 130
    # saved before anything that Ctrl-C could end; what went wrong with it is told after the results
    problems: list[OSError] = []
    common.attempt(problems, common.save_model, task.model, task.tokenizer, out)
    show_sample(task, prompt, f"After {steps} steps:")
    baselines = show_comparison(task, history.history["val_loss"][-1])
    if problems:
        raise problems[0]
    save_pictures(task, history, baselines, out)
    print(
        f"\nSaved in {out}: the model, loss.png and attention.png, after "
        f"{time.perf_counter() - started:.0f} s.\n\nThree things to try next:\n"
        f"  python -m minillm generate --model {shlex.quote(str(out))} --prompt {shlex.quote(prompt)}\n"
        f"  python -m minillm gradcheck\n"
        f"  python -m minillm train --text {shlex.quote(arguments.text or 'FILE')} --out runs/mine"
    )
    return 130 if history.interrupted else 0


def save_interrupted(task: common.Task, out: Path, steps: int) -> None:
    """Save what was trained before Ctrl-C, and say where."""
    folder = common.folder_of_interrupted(out)
    common.save_model(task.model, task.tokenizer, folder)
    print(
        f"The model as it was after {steps} of {task.recipe.steps} steps is saved in {folder}.\n"
        f"next:  python -m minillm generate --model {shlex.quote(str(folder))}"
    )


def train_and_show(task: common.Task, prompt: str, workers: int | None) -> History:
    """Train, with a sample before and halfway."""
    steps = task.recipe.steps

    def on_step(step: int, history: History) -> None:
        if step == steps // 2:
            show_sample(task, prompt, f"Halfway, after {step} steps:")

    show_sample(task, prompt, "Before training, it writes noise:")
    return fit(
        task.model,
        task.optimizer,
        task.train,
        task.validation,
        steps=steps,
        loss=common.loss,
        schedule=task.schedule,
        clip=task.recipe.clip,
        evaluate_every=max(steps // 6, 1),
        on_step=on_step,
        workers=workers,
    )


def show_sample(task: common.Task, prompt: str, title: str) -> None:
    """Print a short text by the model as it is now, folded to the width of a terminal."""
    written = prompt + common.sample(task.model, task.tokenizer, prompt=prompt, tokens=220)
    rule = "-" * 72
    lines = [line[i : i + 76] for line in written.split("\n") for i in range(0, len(line), 76)]
    body = "\n".join(f"  {line}" for line in lines)
    tqdm.write(f"{title}\n{rule}\n{body}\n{rule}\n")


def show_comparison(task: common.Task, loss: float) -> dict[str, float]:
    """Print the validation loss beside what needs no network; returns the baselines in nats."""
    vocab = len(task.tokenizer)
    targets = len(task.validation_ids) - 1
    num_bytes = len(task.validation_text[1:].encode("utf-8"))
    baselines = {
        "uniform": training.uniform_loss(vocab),
        "unigram": training.unigram_loss(task.train_ids, task.validation_ids, vocab),
        "bigram": training.bigram_loss(task.train_ids, task.validation_ids, vocab),
    }
    stories = {
        "uniform": "every character equally likely",
        "unigram": "how often each character occurs in the training text",
        "bigram": "which character follows which",
        "zlib": "a file compressor (zip), on the validation text",
        "lzma": "a file compressor (xz), on the validation text",
        "this GPT": "on text that it has never seen",
    }
    bits = {n: training.bits_per_byte(v, targets, num_bytes) for n, v in baselines.items()}
    bits |= training.compressor_bits_per_byte(task.validation_text)
    bits["this GPT"] = training.bits_per_byte(loss, targets, num_bytes)
    print("\nHow good is that? Bits per byte of the validation text, fewer is better:\n")
    print(f"  {'':10} {'bits/byte':>9}  {'nats/char':>9}")
    for name, value in sorted(bits.items(), key=lambda item: -item[1]):
        nats = value * math.log(2) * num_bytes / targets
        print(f"  {name:10} {value:9.3f}  {nats:9.3f}  {stories[name]}")
    best = min(bits, key=lambda name: bits[name])
    print(f"\n  Best: {best}.", end="")
    print(" More steps (--steps 5000) bring it further down." if best == "this GPT" else "")
    return baselines


def save_pictures(
    task: common.Task, history: History, baselines: dict[str, float], out: Path
) -> None:
    """Write the loss curve and one attention map as PNG."""
    from ..viz import plot_attention

    history.plot(baselines=baselines).savefig(out / "loss.png", dpi=120)
    prose = re.search(r"\b[^\W\d_]+( [^\W\d_]+){4,}", task.validation_text)
    start = prose.start() if prose else 0  # a few words in a row make a readable picture
    words = task.validation_text[start : start + 24]
    output = task.model(np.array([task.tokenizer.encode(words)]), output_attentions=True)
    figure = plot_attention(
        np.asarray(output.attentions[-1][0]),
        list(words),
        title=f"Where each character looks in the last of {task.recipe.layers} layers",
    )
    figure.savefig(out / "attention.png", dpi=120)
