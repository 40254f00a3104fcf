"""python -m minillm generate: let a saved model write."""

import argparse
from typing import Any

from . import common

SUMMARY = "Write on from a prompt with a saved model."
EXAMPLE = "python -m minillm generate --model runs/demo --prompt 'The '"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="FOLDER", default="runs/demo", help="a saved model")
    parser.add_argument("--prompt", default="\n", help="the beginning of the text")
    parser.add_argument("--tokens", type=int, default=400, help="how many characters to write")
    parser.add_argument(
        "--temperature", type=float, default=0.8, help="below 1 bolder, above wilder"
    )
    parser.add_argument("--top-k", type=int, help="draw from the k most probable only")
    parser.add_argument("--greedy", action="store_true", help="always the most probable character")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same text")


def run(arguments: argparse.Namespace) -> int:
    model, tokenizer = common.load_model(arguments.model)
    if not arguments.prompt:
        raise ValueError("--prompt is empty: give at least one character")
    print(arguments.prompt, end="", flush=True)

    def show(new: Any) -> None:
        print(tokenizer.decode(new), end="", flush=True)

    common.sample(
        model,
        tokenizer,
        prompt=arguments.prompt,
        tokens=arguments.tokens,
        seed=arguments.seed,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        greedy=arguments.greedy,
        streamer=show,
    )
    print()
    return 0
