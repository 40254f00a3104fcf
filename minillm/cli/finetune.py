"""python -m minillm finetune: teach a pretrained BERT to tell classes of texts apart."""

import argparse
import math
import shlex
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..backend import Device, manual_seed
from ..data import LabelledFile, read_labelled, stratified_split
from ..files import write_json
from ..finetuning import FinetuneSettings, TextClassifier, finetune, trainable_parameters
from ..finetuning.classify import METHODS, head_of, require_classes, unnamed
from ..tasks import Row, format_table
from ..tasks.classifiers import binary_scores, many_scores
from ..terminal import columns_of, pad, shorten, wrap
from ..training import History
from ..viz import plot_curves
from ..viz.figures import new_figure
from . import common, model_kinds, options, weights

SUMMARY = "Fine-tune a pretrained BERT on texts with labels, and see what it gained."
EXAMPLE = "python -m minillm finetune --data reviews.tsv --task sentiment --method lora"
TASKS = ("sentiment", "classification")
LEARNING = (  # what only matters where something is learned
    "task", "out", "validation", "new_head", "seed", "method", "freeze", "lora_r", "lora_alpha",
    "adapter_size", "gradual_unfreezing", "epochs", "patience", "lr", "layerwise_decay",
    "weight_decay", "batch_size",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FILE", help="lines of: text TAB label")
    parser.add_argument("--model", metavar="FOLDER", help="a BERT; all-MiniLM-L6-v2 if not given")
    parser.add_argument(
        "--task",
        choices=TASKS,
        default="classification",
        help="sentiment: two classes, F1 of the second",
    )
    parser.add_argument("--out", metavar="FOLDER", default="runs/finetune", help="where to save")
    parser.add_argument(
        "--validation",
        metavar="FILE|SHARE",
        default="0.2",
        help="a file like --data, or the share of that which is held back",
    )
    parser.add_argument(
        "--predict",
        nargs="+",
        metavar="TEXT",
        type=options.text,
        help="say the classes of these texts",
    )
    parser.add_argument("--new-head", action="store_true", help="even if the model has a head")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same result")
    options.add_device(parser)
    add_method_arguments(parser.add_argument_group("what learns"))
    add_training_arguments(parser.add_argument_group("how it learns"))


def add_method_arguments(learns: Any) -> None:
    learns.add_argument("--method", choices=METHODS, default="full", help="all, or few parameters")
    learns.add_argument(
        "--freeze",
        metavar="PARTS",
        help="for method full: embeddings,layers.0-3 stay as they are",
    )
    learns.add_argument("--lora-r", type=int, metavar="N", default=8, help="rank of LoRA")
    learns.add_argument("--lora-alpha", type=float, metavar="X", default=16.0, help="scale of LoRA")
    learns.add_argument("--adapter-size", type=int, metavar="N", default=16, help="width inside")
    learns.add_argument(
        "--gradual-unfreezing", type=int, metavar="STEPS", help="one layer more every so many steps"
    )


def add_training_arguments(how: Any) -> None:
    how.add_argument(
        "--epochs", type=int, metavar="N", default=4, help="passes over the data, at most"
    )
    how.add_argument("--patience", type=int, metavar="N", default=2, help="epochs without a gain")
    how.add_argument(
        "--lr", type=float, metavar="X", help="of the head; by the method if not given"
    )
    how.add_argument(
        "--layerwise-decay",
        type=float,
        metavar="X",
        default=1.0,
        help="rate of a layer / of the next",
    )
    how.add_argument("--weight-decay", type=float, metavar="X", default=0.01, help="of matrices")
    how.add_argument("--batch-size", type=int, metavar="N", default=16, help="texts per step")
    how.add_argument(
        "--max-length", type=int, metavar="N", default=128, help="tokens read of a text"
    )


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    check_choices(arguments)
    if arguments.data is None and arguments.predict is None:
        raise ValueError(
            "there is nothing to do: give --data FILE to learn from, or --predict TEXT"
        )
    if arguments.predict is not None and not all(text.strip() for text in arguments.predict):
        raise ValueError("--predict: a text is empty")
    folder = Path(arguments.model or weights.find("minilm", "finetune"))
    model_kinds.check("finetune", folder, "bert")
    if arguments.data is None:
        classifier = TextClassifier.from_pretrained(folder, max_length=arguments.max_length)
        classifier.model.to(Device(arguments.device))
    else:
        classifier = learn(folder, arguments)
    if arguments.predict is not None:
        print(predictions(classifier, arguments.predict))
    return 0


def check_choices(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for options that would change nothing."""
    if arguments.data is None:
        options.need(arguments, LEARNING, "--data")
    if arguments.method != "full":
        options.need(arguments, ("freeze", "gradual_unfreezing"), "--method full")
    if arguments.method != "lora":
        options.need(arguments, ("lora_r", "lora_alpha"), "--method lora")
    if arguments.method != "adapters":
        options.need(arguments, ("adapter_size",), "--method adapters")


def learn(folder: Path, arguments: argparse.Namespace) -> TextClassifier:
    """Fine-tune, show, save.

    Raises   KeyboardInterrupt after Ctrl-C, once what was trained is saved
    """
    settings = settings_of(arguments)
    out = Path(arguments.out)
    train, validation = read_data(folder, arguments)
    rng = manual_seed(arguments.seed)
    with warnings.catch_warnings(record=True) as caught:  # of a pooler that is drawn anew
        warnings.simplefilter("always")
        classifier = TextClassifier.from_pretrained(
            folder, train.names, new_head=arguments.new_head, max_length=arguments.max_length,
            rng=rng,
        )  # fmt: skip
    for line in (line for warning in caught for line in wrap(str(warning.message))):
        print(line)
    classifier.model.to(Device(arguments.device))
    print(
        f"{folder}: {classifier.model.num_parameters():,} parameters; method {settings.method}\n"
        f"{arguments.data}: {len(train.texts):,} texts to learn from, {len(validation.texts):,} for "
        f"validation; classes {shorten(', '.join(train.names), 40)}"
    )
    out.mkdir(parents=True, exist_ok=True)  # a folder that cannot be made should fail now
    usual = np.full(len(validation.labels), np.bincount(train.labels).argmax())
    rows = [Row("chance (majority)", scores(usual, validation))]
    rows.append(Row("before", scores(classifier.predict(validation.texts), validation)))
    started = time.perf_counter()
    history = finetune(classifier, train, validation, settings, rng=rng)
    steps = settings.epochs * math.ceil(len(train.texts) / settings.batch_size)
    if history.interrupted and history.stopped_at is None and len(history.losses) < steps:
        save_interrupted(classifier, out, len(history.losses), steps)
    # saved before anything that Ctrl-C could end; what went wrong with it is told after the results
    problems: list[OSError] = []
    common.attempt(problems, classifier.save_pretrained, out)
    rows.append(Row("after", scores(classifier.predict(validation.texts), validation)))
    print(f"{trainable_parameters(classifier.model)}; {time.perf_counter() - started:.0f} s")
    show(rows, history, train, settings)
    if problems:
        raise problems[0]
    save_results(rows, history, settings, out)
    if history.interrupted:
        raise KeyboardInterrupt
    return classifier


def save_interrupted(classifier: TextClassifier, out: Path, done: int, steps: int) -> NoReturn:
    """Save what was trained before Ctrl-C, say where, and pass the Ctrl-C on."""
    folder = common.folder_of_interrupted(out)
    classifier.save_pretrained(folder)
    print(f"the model as it was after {done} of at most {steps} steps is saved in {folder}")
    raise KeyboardInterrupt


def save_results(rows: list[Row], history: History, settings: FinetuneSettings, out: Path) -> None:
    """Write the figures and the picture, and say what is where."""
    figures = {row.name: row.values for row in rows}
    write_json(out / "result.json", {"settings": vars(settings), "validation": figures})
    draw(history, rows[0].values["accuracy"], out / "picture.png")
    if settings.method == "lora":
        print(f"the adapter alone, in the format of PEFT: {out / 'adapter'}")
    print(f'saved in {out}\nnext:  python -m minillm finetune --model {shlex.quote(str(out))} '
          '--predict "a text"')  # fmt: skip


def settings_of(arguments: argparse.Namespace) -> FinetuneSettings:
    """The settings that were asked for.

    Raises   ValueError for a number that makes no sense
    """
    names = ("method", "lora_r", "lora_alpha", "adapter_size", "epochs", "lr", "layerwise_decay",
             "gradual_unfreezing", "weight_decay", "batch_size", "patience")  # fmt: skip
    given = {name: getattr(arguments, name) for name in names}
    return FinetuneSettings(freeze=arguments.freeze or "", **given)


# ----------------------------------------------------------------------------------------- data


def read_data(folder: Path, arguments: argparse.Namespace) -> tuple[LabelledFile, LabelledFile]:
    """The texts to learn from, and those for validation.

    folder   of the model, whose head may know other classes than these
    Raises   ValueError that names file and line, or the class that is missing
    """
    known = head_of(folder)
    data = read_labelled(arguments.data)
    if arguments.task == "sentiment" and len(data.names) != 2:
        raise ValueError(
            f"{arguments.data}: sentiment has two classes, found {len(data.names)}: "
            f"{', '.join(data.names)}; take --task classification"
        )
    if known is not None and not arguments.new_head:
        if len(known) == len(data.names) and known != unnamed(len(known)):
            data = read_labelled(arguments.data, known)  # in the order of the head
        require_classes(folder, known, data.names)
    try:
        share = float(arguments.validation)
    except ValueError:
        return data, read_labelled(arguments.validation, data.names)
    if not 0 < share < 1:
        raise ValueError(f"--validation must be a file, or a share within 0 … 1, got {share:g}")
    read_labelled(arguments.data, data.names, at_least=2)
    classes = np.array(data.names)[data.labels]  # so that an error can name one
    parts = stratified_split(classes, share, seed=arguments.seed, keys=data.texts)
    train, validation = (
        LabelledFile([data.texts[i] for i in part], data.labels[part], data.names) for part in parts
    )
    return train, validation


# -------------------------------------------------------------------------------------- results


def scores(said: np.ndarray, data: LabelledFile) -> dict[str, float]:
    """Accuracy and F1: of class 1 if there are two, else the mean over the classes."""
    if len(data.names) == 2:
        found = binary_scores(said, data.labels)
        return {"accuracy": found["accuracy"], "f1": found["f1"]}
    found = many_scores(said, data.labels)
    return {"accuracy": found["accuracy"], "f1": found["macro f1"]}


def show(
    rows: list[Row], history: History, train: LabelledFile, settings: FinetuneSettings
) -> None:
    """Print the table, and what one must know to read it."""
    kind = f"of {train.names[1]!r}" if len(train.names) == 2 else "the mean over the classes"
    best = 1 + int(np.argmin(history.history["val_loss"]))
    note = (
        f"On the validation texts; f1: {kind}. The weights are those after epoch {best} of at most "
        f"{settings.epochs}, where the validation loss was smallest: texts that chose nothing would "
        "give a slightly lower figure."
    )
    print("\n" + format_table(["accuracy", "f1"], rows) + "\n\n" + "\n".join(wrap(note)) + "\n")


def draw(history: History, chance: float, path: Path) -> None:
    """Loss and accuracy by epoch, for the texts that it learns from and for the others."""
    try:
        figure: Any = new_figure(9.6, 3.8)
    except RuntimeError as error:  # matplotlib is an extra
        print(f"no picture: {error}")
        return
    seen = history.history
    for i, (name, unit, lines) in enumerate((
        ("loss", "loss (nats per text)", {}),
        ("accuracy", "accuracy", {"chance": chance}),
    )):
        epochs = range(1, len(seen[name]) + 1)
        curves = {"training": (epochs, seen[name]), "validation": (epochs, seen[f"val_{name}"])}
        axes = figure.add_subplot(1, 2, i + 1)
        title = f"Fine-tuning: {name}"
        plot_curves(curves, title, "epoch", unit, lines=lines, markers=True, axes=axes)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(path, dpi=120)


def predictions(classifier: TextClassifier, texts: list[str]) -> str:
    """The class of each text, and how likely it is.

    One line for each: class, probability, text.
    """
    found = classifier.probabilities(texts)
    width = max(map(columns_of, classifier.names))
    lines = []
    for text, row in zip(texts, found, strict=True):
        name = pad(classifier.names[row.argmax()], width)
        lines.append(f"{name}  {row.max():.3f}  {shorten(' '.join(text.split()), 79 - width)}")
    return "\n".join(lines)
