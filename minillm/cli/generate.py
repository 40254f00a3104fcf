"""python -m minillm generate: let a saved model write."""

import argparse
from typing import Any

import numpy as np

from ..generation import TextStreamer
from . import common

SUMMARY = "Write on from a prompt with a saved model."
EXAMPLE = "python -m minillm generate --prompt 'The ' --top-p 0.9"
EARLY_STOPPING: dict[str, bool | str] = {"no": False, "yes": True, "never": "never"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="FOLDER", default="runs/demo", help="a saved model")
    parser.add_argument("--prompt", default="\n", help="the beginning; a line end by default")
    parser.add_argument("--tokens", type=int, default=400, help="how many tokens to write at most")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same text")
    parser.add_argument(
        "--repetition-penalty", type=float, default=1.0, metavar="R",
        help="above 1 makes tokens that the text has already less probable",
    )  # fmt: skip
    parser.add_argument(
        "--num-return-sequences", type=int, default=1, metavar="N", help="write so many texts"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="compute the whole text anew for each token: slower"
    )
    add_drawing(parser)
    add_beams(parser)


def add_drawing(parser: argparse.ArgumentParser) -> None:
    drawing = parser.add_argument_group(
        "drawing", "Each token is drawn at random, unless one of --greedy and --num-beams is given."
    )
    drawing.add_argument(
        "--temperature", type=float, default=0.8, help="below 1 bolder, above wilder"
    )
    drawing.add_argument("--top-k", type=int, metavar="K", help="from the k most probable only")
    drawing.add_argument(
        "--top-p", type=float, metavar="P",
        help="from the fewest most probable tokens that have the probability p together",
    )  # fmt: skip
    drawing.add_argument("--greedy", action="store_true", help="always the most probable token")


def add_beams(parser: argparse.ArgumentParser) -> None:
    beams = parser.add_argument_group(
        "beam search", "The most probable texts instead of the most probable token each time."
    )
    beams.add_argument(
        "--num-beams", type=int, default=1, metavar="K", help="follow k texts at once"
    )
    beams.add_argument(
        "--length-penalty", type=float, default=1.0, metavar="X",
        help="divide a text's log-probability by length^x; above 0 favours long texts",
    )  # fmt: skip
    beams.add_argument(
        "--early-stopping", choices=EARLY_STOPPING, default="no",
        help="stop as soon as k texts have ended (yes), when a better one is unlikely (no), or "
        "impossible (never)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    model, tokenizer = common.load_model(arguments.model)
    if not arguments.prompt:
        raise ValueError("--prompt is empty: give at least one character")
    ids = np.array([tokenizer.encode(arguments.prompt)])
    alone = arguments.num_return_sequences == 1 and arguments.num_beams == 1
    if alone:
        print(arguments.prompt, end="", flush=True)
    texts = model.generate(
        ids,
        max_new_tokens=arguments.tokens,
        do_sample=not arguments.greedy and arguments.num_beams == 1,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        num_beams=arguments.num_beams,
        length_penalty=arguments.length_penalty,
        early_stopping=EARLY_STOPPING[arguments.early_stopping],
        num_return_sequences=arguments.num_return_sequences,
        repetition_penalty=arguments.repetition_penalty,
        use_cache=not arguments.no_cache,
        sliding_window=True,
        rng=np.random.default_rng(arguments.seed),
        streamer=TextStreamer(tokenizer, skip_prompt=True) if alone else None,
    )
    if not alone:
        show(texts, arguments.prompt, ids.shape[1], tokenizer)
    return 0


def show(texts: np.ndarray, prompt: str, start: int, tokenizer: Any) -> None:
    """Print finished texts, one below the other, with a line between them."""
    for number, text in enumerate(texts, 1):
        if len(texts) > 1:
            print(f"--- {number} of {len(texts)} ".ljust(72, "-"))
        print(prompt + tokenizer.decode(text[start:]))
