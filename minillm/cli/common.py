"""What several commands share: recipes, texts, saving and loading a model with its tokenizer."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import functional as F
from ..backend import Device, manual_seed
from ..data import TextBatches, TextWindows, python_topics, read_text, split_text
from ..models import GPT2Config, GPT2LMHeadModel
from ..optim import AdamW, schedule
from ..tokenizers import CharTokenizer
from . import options


@dataclass(frozen=True)
class Recipe:
    """A model's size and how it is trained."""

    block_size: int = 64
    batch_size: int = 12
    layers: int = 4
    heads: int = 4
    width: int = 128
    dropout: float = 0.0
    bias: bool = False
    steps: int = 2000
    warmup: int = 100
    lr: float = 1e-3
    min_lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.1  # on matrices only
    clip: float = 1.0


PRESETS = {
    # the recipe for a laptop in the README of nanoGPT
    "nanogpt-cpu": Recipe(),
    # the same; a name of its own, so that the demo can change
    "demo": Recipe(),
}


@dataclass
class Task:
    """A text, cut and encoded, with a fresh model for it."""

    recipe: Recipe
    tokenizer: CharTokenizer
    train_ids: np.ndarray
    validation_ids: np.ndarray
    validation_text: str
    train: TextBatches
    validation: TextWindows
    model: GPT2LMHeadModel
    optimizer: AdamW
    schedule: Any


def prepare(text: str, recipe: Recipe, seed: int, device: str | None) -> Task:
    """Everything a training needs; the same seed gives the same model and batches.

    Raises   ValueError if the text is too short for the recipe
    """
    needed = 10 * (recipe.block_size + 1)
    if len(text) < needed:
        raise ValueError(
            f"the text has {len(text)} characters, but crops of {recipe.block_size} need at least "
            f"{needed}, so that training and validation both have some: use a longer text"
        )
    rng = manual_seed(seed)
    tokenizer = CharTokenizer.train([text])
    train_text, validation_text = split_text(text, 0.1)
    train_ids = np.array(tokenizer.encode(train_text))
    validation_ids = np.array(tokenizer.encode(validation_text))
    model = build_model(recipe, len(tokenizer), rng)
    model.to(Device(device))
    optimizer = build_optimizer(recipe, model)
    return Task(
        recipe,
        tokenizer,
        train_ids,
        validation_ids,
        validation_text,
        TextBatches(train_ids, recipe.block_size, recipe.batch_size, seed=seed),
        TextWindows(validation_ids, recipe.block_size),
        model,
        optimizer,
        schedule.cosine(optimizer, recipe.warmup, recipe.steps, recipe.min_lr),
    )


def build_model(recipe: Recipe, vocab_size: int, rng: np.random.Generator) -> GPT2LMHeadModel:
    """A GPT of the recipe's size, with fresh weights."""
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=recipe.block_size,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        activation_function="gelu",
        resid_pdrop=recipe.dropout,
        embd_pdrop=recipe.dropout,
        attn_pdrop=recipe.dropout,
        bias=recipe.bias,
    )
    return GPT2LMHeadModel(config, rng=rng)


def build_optimizer(recipe: Recipe, model: GPT2LMHeadModel) -> AdamW:
    """AdamW that lets only matrices decay: a bias or the scale of a norm has no reason to be small."""
    matrices = [(n, p) for n, p in model.named_parameters() if p.ndim >= 2]
    vectors = [(n, p) for n, p in model.named_parameters() if p.ndim < 2]
    return AdamW(
        [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
    )


loss = F.cross_entropy


def add_text_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text", metavar="FILE", help="a text in UTF-8; without it the help texts of your Python"
    )


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1337, help="same seed, same model")
    options.add_device(parser)
    parser.add_argument("--workers", type=int, metavar="N",
                        help="threads that share each batch; what pays here if not given")  # fmt: skip


def load_text(path: str | None) -> tuple[str, str]:
    """(the text, what it is)."""
    if path is None:
        return python_topics(), "the help texts of your Python"
    return read_text(path), str(path)


def sample(
    model: GPT2LMHeadModel,
    tokenizer: CharTokenizer,
    *,
    prompt: str = "\n",
    tokens: int = 200,
    seed: int = 0,
    temperature: float = 0.8,
    top_k: int | None = None,
    greedy: bool = False,
    streamer: Any = None,
) -> str:
    """A text that continues the prompt, without the prompt."""
    ids = model.generate(
        np.array([tokenizer.encode(prompt)]),
        max_new_tokens=tokens,
        do_sample=not greedy,
        temperature=temperature,
        top_k=top_k,
        sliding_window=True,
        rng=np.random.default_rng(seed),
        streamer=streamer,
    )
    return tokenizer.decode(ids[0, len(prompt) :])


def save_model(model: GPT2LMHeadModel, tokenizer: CharTokenizer, folder: Path) -> None:
    """Write model and tokenizer into one folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def attempt(problems: list[OSError], action: Callable[..., Any], *values: Any) -> bool:
    """Do something that writes; an OSError joins the problems.  True if it went well.

    >>> problems = []
    >>> attempt(problems, open, "no/such/folder"), len(problems)
    (False, 1)
    """
    try:
        action(*values)
    except OSError as error:
        problems.append(error)
        return False
    return True


def folder_of_interrupted(folder: Path) -> Path:
    """Where to save what Ctrl-C has left unfinished: never over a model that is there already.

    >>> folder_of_interrupted(Path("runs/new")).name
    'new'
    """
    return folder / "interrupted" if (folder / "model.safetensors").exists() else folder


def load_model(folder: "str | Path") -> tuple[GPT2LMHeadModel, CharTokenizer]:
    """Read model and tokenizer from one folder."""
    return GPT2LMHeadModel.from_pretrained(folder), CharTokenizer.from_pretrained(folder)
