"""Damaged model and tokenizer files: an error of one kind, never a crash, and never other weights.

python -m tests.robustness.model_files 1000
"""

import argparse
import collections
import random
import tempfile
import warnings
from pathlib import Path

import numpy as np

import minillm
from minillm.models import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from minillm.tokenizers import BertTokenizer, GPT2Tokenizer

from .damage import KINDS

LOADERS = {
    "gpt2": (GPT2LMHeadModel.from_pretrained, GPT2Tokenizer.from_pretrained),
    "bert": (BertForMaskedLM.from_pretrained, BertTokenizer.from_pretrained),
    "llama": (LlamaForCausalLM.from_pretrained,),
}


def write_models(root: Path) -> None:
    """Three tiny models with their tokenizers."""
    minillm.manual_seed(0)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=30, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    ).save_pretrained(root / "gpt2")
    BertForMaskedLM(
        BertConfig(30, 8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).save_pretrained(root / "bert")
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=30, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1,
        )
    ).save_pretrained(root / "llama")  # fmt: skip
    texts = ["the quick brown fox jumps over the lazy dog"] * 4
    GPT2Tokenizer.train(texts, 280).save_pretrained(root / "gpt2")
    BertTokenizer.train(texts, 60).save_pretrained(root / "bert")


def try_to_use(loaded) -> None:
    """What loads must also run."""
    if hasattr(loaded, "forward"):
        with minillm.no_grad():
            loaded(np.array([[1, 2, 3]]))
    else:
        loaded.decode(loaded.encode("the fox"))


def bits(folder: Path) -> dict[str, bytes]:
    """The parameters of a model that is whole."""
    load = LOADERS[folder.name][0]
    return {name: array.tobytes() for name, array in load(folder).state_dict().items()}


def damage_and_load(root: Path, count: int, seed: int) -> tuple[collections.Counter, list[str]]:
    """(how often which outcome, what must never happen): ValueError and OSError are explained."""
    chance = random.Random(seed)
    outcomes: collections.Counter = collections.Counter()
    failures = []
    for _ in range(count):
        name = chance.choice(sorted(LOADERS))
        file = chance.choice(sorted((root / name).iterdir()))
        right = bits(root / name)
        whole, kind = file.read_bytes(), chance.choice(KINDS)
        file.write_bytes(kind(whole, chance))
        try:
            for load in LOADERS[name]:
                try:
                    loaded = load(root / name)
                    try_to_use(loaded)
                    outcomes["loaded"] += 1
                    if file.suffix == ".safetensors" and hasattr(loaded, "state_dict"):
                        found = {n: a.tobytes() for n, a in loaded.state_dict().items()}
                        if found != right:
                            failures.append(f"{kind.__name__} of {name}/{file.name}: a wrong model")
                except (ValueError, OSError) as error:
                    outcomes[type(error).__name__] += 1
                except Exception as error:
                    failures.append(f"{kind.__name__} of {name}/{file.name}: {error!r}")
        finally:
            file.write_bytes(whole)
    return outcomes, failures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1000, help="damaged files")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heads that are missing are named
        write_models(Path(folder))
        outcomes, failures = damage_and_load(Path(folder), options.count, options.seed)
    print(f"{options.count} damaged files: {dict(outcomes)}; {len(failures)} failures")
    print("\n".join(failures[:20]))
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
