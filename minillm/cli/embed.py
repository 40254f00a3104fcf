"""python -m minillm embed: how alike texts are, by the cosine of their embeddings."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..backend import Device, to_numpy
from ..models import BertConfig, BertModel
from ..tokenizers import BertTokenizer
from . import model_kinds, options, weights

SUMMARY = "Compare texts: cosine similarities of their embeddings."
EXAMPLE = 'python -m minillm embed "A man eats." "Someone has a meal." "It rains."'
LONGEST = 256  # tokens: the model was trained on texts of this length


class BertWithoutPooler(BertModel):
    """What embeddings are computed from: a folder that has no pooler lacks nothing here."""

    def __init__(self, config: BertConfig, **options: Any) -> None:
        super().__init__(config, add_pooling_layer=False, **options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "texts", nargs="+", metavar="TEXT", type=options.text, help="two texts or more"
    )
    parser.add_argument("--model", metavar="FOLDER", help="a BERT; all-MiniLM-L6-v2 if not given")
    options.add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    options.check(arguments)
    if len(arguments.texts) < 2:
        raise ValueError('a comparison needs two texts or more, each in quotes: embed "a" "b"')
    if not all(text.strip() for text in arguments.texts):
        raise ValueError(
            f"TEXT {[bool(t.strip()) for t in arguments.texts].index(False) + 1} is empty: give texts "
            "with words in them"
        )
    device = Device(arguments.device)
    folder = arguments.model or weights.find("minilm", "embed")
    model_kinds.check("embed", Path(folder), "bert")
    model = BertWithoutPooler.from_pretrained(folder).to(device)
    tokenizer = BertTokenizer.from_pretrained(folder)
    length = min(LONGEST, model.config.max_position_embeddings)
    batch = tokenizer(arguments.texts, padding=True, truncation=True, max_length=length)
    with no_grad():
        vectors = to_numpy(model.sentence_embeddings(**batch).data)  # (texts, C), of length 1
    print(table(vectors @ vectors.T, arguments.texts))
    return 0


def table(cosines: np.ndarray, texts: list[str]) -> str:
    """The cosine of each pair, and which text is which.

    >>> print(table(np.array([[1.0, 0.25], [0.25, 1.0]]), ["a cat", "a dog"]))
               1      2
       1   1.000  0.250  a cat
       2   0.250  1.000  a dog
    """
    lines = ["     " + "".join(f"{j + 1:7d}" for j in range(len(texts))).rstrip()]
    room = max(20, 88 - 7 - 7 * len(texts))
    for i, (row, text) in enumerate(zip(cosines, texts, strict=True)):
        short = " ".join(text.split())
        short = short if len(short) <= room else short[: room - 1] + "…"
        lines.append(f"{i + 1:4d} " + "".join(f"{c:7.3f}" for c in row) + f"  {short}")
    return "\n".join(lines)
