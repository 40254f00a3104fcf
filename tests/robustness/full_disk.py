"""Full disks, and what is saved on them.

`full_disk` sets a real limit of the system, no imitation, and needs no special rights.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minillm.finetuning import LoraConfig, add_lora, save_lora
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import AdamW
from minillm.tokenizers import BertTokenizer, CharTokenizer, GPT2Tokenizer
from minillm.training import save_checkpoint

TEXTS = {
    1: ["pack my box with five dozen liquor jugs"] * 3,
    2: ["the quick brown fox jumps over the lazy dog while it sleeps"] * 3,
}


def small_gpt(seed: int) -> GPT2LMHeadModel:
    """A GPT whose weights and sizes follow from the seed."""
    config = GPT2Config(vocab_size=11, n_positions=6, n_embd=8 * seed, n_layer=1, n_head=2)
    return GPT2LMHeadModel(config, rng=np.random.default_rng(seed))


def checkpoint(folder: Path, seed: int) -> None:
    """Model and optimiser at step 4 or 8."""
    model = small_gpt(seed)
    save_checkpoint(folder, model, AdamW(model.parameters()), step=4 * seed)


def adapter(folder: Path, seed: int) -> None:
    """The files of LoRA."""
    model = small_gpt(seed)
    add_lora(
        model,
        LoraConfig(r=2 * seed, alpha=4, target_modules=["c_attn"]),
        rng=np.random.default_rng(seed),
    )
    save_lora(model, folder)


SAVERS = {
    "checkpoint": checkpoint,
    "model": lambda folder, seed: small_gpt(seed).save_pretrained(folder),
    "adapter": adapter,
    "bpe": lambda folder, seed: GPT2Tokenizer.train(TEXTS[seed], 275).save_pretrained(folder),
    "wordpiece": lambda folder, seed: BertTokenizer.train(TEXTS[seed], 90).save_pretrained(folder),
    "characters": lambda folder, seed: CharTokenizer.train(TEXTS[seed]).save_pretrained(folder),
}


@contextlib.contextmanager
def full_disk(folder: Path, how: "int | str") -> Iterator[None]:
    """Within this block the disk is full for this process.

    how   a number: no file may grow beyond so many bytes (RLIMIT_FSIZE); or the name of a file: the
          next one of this name is written to /dev/full, a device that is full (not for safetensors,
          whose writer replaces what has the name)
    """
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if isinstance(how, int):
        resource.setrlimit(resource.RLIMIT_FSIZE, (how, limits[1]))
    else:
        path = folder / how  # atomic_write begins it under another name
        path.with_name(f".{path.name}.{os.getpid()}.tmp").symlink_to("/dev/full")
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
