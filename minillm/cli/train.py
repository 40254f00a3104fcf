"""python -m minillm train: a character GPT on any text."""

import argparse
import dataclasses
import math
import shlex
import sys
import time
from pathlib import Path

from ..cluster import Ranks
from ..training import History, NotSavedError, bits_per_byte, fit, perplexity, uniform_loss
from . import common, options, resuming
from .errors import USER_ERRORS, sentence

SUMMARY = "Train a small GPT on a text, character by character."
EXAMPLE = "python -m minillm train --text poems.txt --out runs/poems --steps 500"
SEVERAL = """mpiexec -n 4 python -m mpi4py -m minillm train --text poems.txt   trains with four
processes, which share the rows of each batch and give the same model; needs the extra mpi"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_text_argument(parser)
    parser.add_argument(
        "--preset", choices=common.PRESETS, default="nanogpt-cpu", help="where to start from"
    )
    parser.add_argument("--out", metavar="FOLDER", default="runs/train", help="where to save")
    parser.add_argument(
        "--picture", metavar="FILE", help="where to draw the losses; loss.png in --out if not given"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--accumulate", type=int, default=1, help="batches per step")
    parser.add_argument("--evaluate-every", type=int, metavar="STEPS", help="a tenth of all steps")
    common.add_training_arguments(parser)
    parser.add_argument_group("several processes or machines", SEVERAL)
    recipe = parser.add_argument_group("recipe", "each replaces one number of the preset")
    for field in dataclasses.fields(common.Recipe):
        if field.name == "bias":
            recipe.add_argument("--bias", action="store_true", default=None, help="use biases")
        else:
            flag = "--" + field.name.replace("_", "-")
            kind = int if isinstance(field.default, int) else float
            recipe.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar="N",
                                help=f"{field.default} in nanogpt-cpu")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    ranks = Ranks()
    try:
        ready, error = prepare(arguments, ranks), None
    except USER_ERRORS as found:
        if ranks.size == 1:
            raise
        ready, error = None, found
    # bad arguments are bad on every rank: the first one that fails says it, and all end
    failed = ranks.sum([error is not None and rank == ranks.rank for rank in range(ranks.size)])
    with ranks, ranks.share_cores():
        if ready is not None and not failed.any():
            return train(*ready, arguments, ranks)
        if ranks.rank != failed.argmax():
            return 0  # the status of the job is that of the rank that failed
        if error is not None:
            if arguments.traceback:
                raise error
            print(f"minillm train: error: {sentence(error, arguments.parser)}", file=sys.stderr)
        ranks.linger()
        return 1


def prepare(arguments: argparse.Namespace, ranks: Ranks) -> tuple[common.Task, str]:
    """(what to train, on what text), after saying so."""
    options.check(arguments)
    changes = {
        field.name: value
        for field in dataclasses.fields(common.Recipe)
        if (value := getattr(arguments, field.name, None)) is not None
    }
    recipe = dataclasses.replace(common.PRESETS[arguments.preset], **changes)
    if "warmup" not in changes:
        recipe = dataclasses.replace(recipe, warmup=min(recipe.warmup, recipe.steps // 10))
    if recipe.width % recipe.heads:
        raise ValueError(f"--width {recipe.width} must be a multiple of --heads {recipe.heads}")
    if recipe.warmup > recipe.steps:
        raise ValueError(f"--warmup {recipe.warmup} must be at most --steps {recipe.steps}")
    before = resuming.check(Path(arguments.out), recipe, arguments.resume)
    text, source = common.load_text(arguments.text)
    task = common.prepare(text, recipe, arguments.seed, arguments.device)
    if before is not None:
        resuming.require_characters(Path(arguments.out), before, task.tokenizer.characters)
    if ranks.first:
        if arguments.resume and before is None:
            print(f"--resume: {arguments.out} holds no checkpoint yet: the training begins anew")
        several = f"; {ranks.size} processes" if ranks.size > 1 else ""
        print(
            f"{source}: {len(text):,} characters, {len(task.tokenizer)} different; "
            f"training on the first 90 %\n"
            f"GPT with {task.model.num_parameters():,} parameters: {recipe.layers} layers, "
            f"{recipe.heads} heads, width {recipe.width}; {recipe.steps} steps, "
            f"seed {arguments.seed}{several}"
        )
        if before is not None and before["step"] == recipe.steps:
            print(f"step {recipe.steps} is reached already; to go on, give more --steps")
        Path(arguments.out).mkdir(parents=True, exist_ok=True)  # what cannot be made fails now
    return task, source


def train(task: common.Task, source: str, arguments: argparse.Namespace, ranks: Ranks) -> int:
    """Train, and on the first rank save and show the result."""
    started = time.perf_counter()
    problems: list[OSError] = []  # whatever cannot be written, the rest is shown and saved
    try:
        history = train_model(task, arguments, ranks)
    except NotSavedError as error:
        history = error.history
        problems.append(error)
    if not ranks.first:
        return 0
    status = 130 if history.interrupted else 0
    if len(history.losses) >= task.recipe.steps:
        out = Path(arguments.out)
        saved = common.attempt(problems, common.save_model, task.model, task.tokenizer, out)
        seconds = time.perf_counter() - started
        print_result(task, history.history["val_loss"][-1], seconds, out if saved else None)
        picture = Path(arguments.picture or out / "loss.png")
        common.attempt(problems, draw_losses, history, len(task.tokenizer), source, picture)
    if problems:
        said = "; ".join(sentence(problem, arguments.parser) for problem in problems)
        print(f"minillm train: error: {said}", file=sys.stderr)
        status = 1
    if status:
        ranks.linger()
    return status


def train_model(task: common.Task, arguments: argparse.Namespace, ranks: Ranks) -> History:
    """What `fit` does with the options of the command line."""
    return fit(
        task.model,
        task.optimizer,
        task.train,
        task.validation,
        steps=task.recipe.steps,
        loss=common.loss,
        schedule=task.schedule,
        clip=task.recipe.clip,
        accumulate=arguments.accumulate,
        evaluate_every=arguments.evaluate_every,
        checkpoint=Path(arguments.out) / "checkpoint",
        resume=arguments.resume,
        workers=arguments.workers,
        ranks=ranks if ranks.size > 1 else None,
        extra=resuming.describe(task.recipe, task.tokenizer.characters),
    )


def print_result(task: common.Task, loss: float, seconds: float, out: Path | None) -> None:
    """The validation loss in three units, and what to do with the model if it could be saved."""
    targets = len(task.validation_ids) - 1
    bits = bits_per_byte(loss, targets, len(task.validation_text[1:].encode("utf-8")))
    print(
        f"validation loss {loss:.4f} nats per character over all {targets:,} "
        f"(perplexity {perplexity(loss):.2f},\n{loss / math.log(2):.3f} bits per character, "
        f"{bits:.3f} bits per byte) after {seconds:.0f} s" + (f"; saved in {out}" if out else "")
    )
    if out:
        print(f"next:  python -m minillm generate --model {shlex.quote(str(out))}")


def draw_losses(history: History, vocabulary: int, source: str, path: Path) -> None:
    """Write a picture of the losses; without matplotlib say so, the model is saved already."""
    from ..viz import missing_glyphs_line, plot_history

    title = f"Loss while training on {Path(source).name}"
    try:
        figure = plot_history(history, baselines={"uniform": uniform_loss(vocabulary)}, title=title)
    except RuntimeError as error:  # matplotlib is an extra
        print(f"no picture of the losses: {error}", file=sys.stderr)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    if line := missing_glyphs_line(title):
        print(line, file=sys.stderr)
    print(f"picture of the losses: {path}")
