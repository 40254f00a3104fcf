"""python -m minillm generate: let a saved model write."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..backend import Device, to_numpy
from ..generation import TextStreamer
from ..models import GPT2LMHeadModel, TextGenRNN, TextGenRNNTokenizer
from ..models.textgenrnn import VOCABULARY_FILE, WEIGHTS_FILE
from . import common, model_kinds, options

SUMMARY = "Write on from a prompt with a saved model."
EXAMPLE = "python -m minillm generate --prompt 'The ' --top-p 0.9"
DEFAULT = "runs/demo"  # where the demo saves
EARLY_STOPPING: dict[str, bool | str] = {"no": False, "yes": True, "never": "never"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="FOLDER", default=DEFAULT, help="a saved model")
    parser.add_argument(
        "--prompt",
        type=options.text,
        help="the beginning; a line end by default, nothing for a textgenrnn",
    )
    parser.add_argument("--tokens", type=int, default=400, help="how many tokens to write at most")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same text")
    options.add_device(parser)
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
    add_attention(parser)
    add_drawing(parser)
    add_beams(parser)


def add_attention(parser: argparse.ArgumentParser) -> None:
    attention = parser.add_argument_group("attention")
    attention.add_argument(
        "--attention", metavar="FILE.png",
        help="draw where each character of the prompt looks, in each layer and head",
    )  # fmt: skip
    attention.add_argument(
        "--attention-layer", type=int, metavar="L", help="only in this layer; the first is 0"
    )


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
    options.check(arguments)
    check_choices(arguments)
    model, tokenizer = load(Path(arguments.model))
    model.to(Device(arguments.device))
    prompt = arguments.prompt
    if prompt is None:  # the texts that textgenrnn learned from are single lines
        prompt = "" if isinstance(model, TextGenRNN) else "\n"
    ids = np.array([tokenizer.encode(prompt)])
    if not ids.size:
        raise ValueError("--prompt is empty: give at least one character")
    if arguments.attention:
        draw_attention(model, tokenizer, ids, Path(arguments.attention), arguments.attention_layer)
    alone = arguments.num_return_sequences == 1 and arguments.num_beams == 1
    if alone:
        print(prompt, end="", flush=True)
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
        show(texts, prompt, ids.shape[1], tokenizer)
    return 0


def check_choices(arguments: argparse.Namespace) -> None:
    """Raise a ValueError for options that contradict each other, or change nothing together."""
    drawing = ("temperature", "top_k", "top_p")
    number, beams = arguments.num_return_sequences, arguments.num_beams
    if beams > 1:
        options.without_effect(arguments, ("greedy", *drawing), "with --num-beams")
        if number > beams:
            raise ValueError(
                f"--num-beams {beams} finds {beams} texts, --num-return-sequences asks for {number}: "
                "ask for fewer, or use more beams"
            )
    else:
        options.need(arguments, ("length_penalty", "early_stopping"), "--num-beams")
    if arguments.greedy:
        options.without_effect(arguments, drawing, "with --greedy")
        if number > 1 and beams == 1:
            raise ValueError(
                f"--num-return-sequences {number} would write the same text {number} times with "
                f"--greedy: leave out one of them, or take --num-beams {number} instead of --greedy"
            )
    if arguments.attention is None:
        options.need(arguments, ("attention_layer",), "--attention")


def load(folder: Path) -> tuple[Any, Any]:
    """The model and the tokenizer of a folder: one that minillm saved, or a textgenrnn."""
    if not folder.exists() and folder == Path(DEFAULT):
        raise FileNotFoundError(
            f"there is no model in {DEFAULT} yet: make one with python -m minillm demo, or give the "
            "folder of another one with --model"
        )
    if not (folder / WEIGHTS_FILE).is_file():
        model_kinds.check("generate", folder, "gpt2")
        return common.load_model(folder)
    tokenizer = TextGenRNNTokenizer.from_file(folder / VOCABULARY_FILE)
    start = tokenizer.start_token_id
    return TextGenRNN.from_hdf5(folder / WEIGHTS_FILE, start_token_id=start), tokenizer


def draw_attention(
    model: Any, tokenizer: Any, ids: np.ndarray, path: Path, only: int | None
) -> None:
    """Write one picture: a row of maps for each layer, one map for each head."""
    from ..viz import missing_glyphs_line, plot_attention

    if not isinstance(model, GPT2LMHeadModel):
        raise ValueError(f"--attention shows the heads of a GPT, a {type(model).__name__} has none")
    layers = range(model.config.n_layer)
    if only is not None and only not in layers:
        raise ValueError(f"--attention-layer must be within 0 … {layers[-1]}, got {only}")
    ids = ids[:, -model.config.n_positions :]
    if ids.shape[1] < 2:
        raise ValueError("--attention needs a --prompt of at least two characters")
    tokens = [tokenizer.decode([i]) for i in ids[0]]
    with no_grad():
        attentions = model(ids, output_attentions=True).attentions
    chosen = [only] if only is not None else list(layers)
    figure = plot_attention(
        np.concatenate([to_numpy(attentions[layer])[0] for layer in chosen]),
        tokens,
        title="Where each character looks",
        names=[f"layer {n}, head {head}" for n in chosen for head in range(model.config.n_head)],
        columns=model.config.n_head,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    for line in (
        missing_glyphs_line("".join(tokens)),
        f"the attention over the prompt is in {path}",
    ):
        if line:
            print(line, file=sys.stderr)


def show(texts: np.ndarray, prompt: str, start: int, tokenizer: Any) -> None:
    """Print finished texts, one below the other, with a line between them."""
    for number, text in enumerate(texts, 1):
        if len(texts) > 1:
            print(f"--- {number} of {len(texts)} ".ljust(72, "-"))
        print(prompt + tokenizer.decode(text[start:]))
