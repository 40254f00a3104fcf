"""Sentences as vectors of a published model that stays as it is: all-MiniLM-L6-v2."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from ..autograd import no_grad
from ..backend import Device, to_numpy
from ..data import LengthBatches
from ..models import BertModel
from ..models.published import PUBLISHED
from ..tokenizers import BertTokenizer
from .settings import TaskSettings

MINILM_LINE = "python -m minillm weights minilm"
LONGEST = 256  # tokens: the model was trained on texts of this length


def has_minilm() -> bool:
    """Whether the weights are there.

    >>> isinstance(has_minilm(), bool)
    True
    """
    return PUBLISHED["minilm"].location().exists()


def minilm_vectors(texts: Sequence[str], settings: TaskSettings) -> np.ndarray:
    """One vector of length 1 for each text, (texts, 384)."""
    folder = PUBLISHED["minilm"].location()
    tokenizer = BertTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).to(Device(settings.device)).eval()
    ids = [tokenizer([text], truncation=True, max_length=LONGEST)["input_ids"][0] for text in texts]
    batches = LengthBatches({"input_ids": ids}, 32, shuffle=False)
    out = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    if settings.progress:
        print(f"MiniLM: vectors of {len(texts):,} texts")
    with no_grad():
        for i in tqdm(range(len(batches)), disable=not settings.progress, unit="batch"):
            out[batches.rows(i)] = to_numpy(model.sentence_embeddings(**batches.batch(i)).data)
    return out
