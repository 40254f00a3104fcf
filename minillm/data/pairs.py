"""Next sentence prediction, and batches for pre-training a BERT (Devlin et al. 2019, §3.1, task 2).

Every sentence that has a successor becomes a first sentence.  With probability 1/2 the second one is
its true successor (label 0, "is next"), otherwise a sentence of another document (label 1), never one
that reads like the true successor.  A pair that is too long loses tokens at the end of its longer
sentence, then of both alike, as BERT's does.

A model that knows nothing has a loss of ln V on the masked words and of ln 2 on the next sentence.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from ..arguments import require_whole
from ..autograd import no_grad
from ..backend import default_generator, host_number
from ..nn import evaluating
from .masking import IGNORED, TokenMasker

IS_NEXT, NOT_NEXT = 0, 1


class SentencePair(NamedTuple):
    """Two sentences; label 0 if the second follows the first in its document, 1 if it does not.

    >>> SentencePair("It rained.", "We got wet.", 0).label
    0
    """

    first: str
    second: str
    label: int


class _Corpus:
    """Documents as one flat list of sentences, ready to draw pairs from."""

    def __init__(self, documents: Iterable[Sequence[str]]) -> None:
        kept = [_checked_document(number, d) for number, d in enumerate(documents)]
        self.sentences = [sentence for document in kept for sentence in document]
        ends = np.cumsum([len(document) for document in kept], dtype=np.int64)
        # for each sentence that has a successor: its number, and where its document starts and ends
        self.first = [
            (i, end - len(document), end)
            for document, end in zip(kept, ends.tolist(), strict=True)
            for i in range(end - len(document), end - 1)
        ]
        if len(kept) < 2 or not self.first:
            raise ValueError(
                "next-sentence pairs need at least two documents, one of them with two sentences or "
                f"more; got {len(kept)} documents with {len(self.sentences)} sentences"
            )
        self._check_alternatives(kept)

    def _check_alternatives(self, documents: list[list[str]]) -> None:
        """For every true successor another document must say something else."""
        everywhere = Counter(self.sentences)
        for document in documents:
            here = Counter(document)
            outside = len(self.sentences) - len(document)
            for sentence in document[1:]:
                if everywhere[sentence] - here[sentence] == outside:
                    raise ValueError(
                        f"no other document has a sentence that differs from {sentence!r:.60}: there "
                        "is no wrong successor for it"
                    )

    def draw(self, number: int, rng: np.random.Generator) -> SentencePair:
        """Pair number `number`: the first sentence is fixed, the second is drawn."""
        i, start, end = self.first[number]
        following = self.sentences[i + 1]
        if rng.random() < 0.5:
            return SentencePair(self.sentences[i], following, IS_NEXT)
        while True:
            j = int(rng.integers(len(self.sentences) - (end - start)))
            second = self.sentences[j if j < start else j + end - start]
            if second != following:
                return SentencePair(self.sentences[i], second, NOT_NEXT)


def _checked_document(number: int, document: Any) -> list[str]:
    if isinstance(document, str) or not all(isinstance(s, str) for s in document):
        raise TypeError(f"document {number} must be a list of sentences, got {document!r:.60}")
    sentences = list(document)
    for position, sentence in enumerate(sentences):
        if not sentence.strip():
            raise ValueError(f"document {number}: sentence {position} is empty: leave it out")
    return sentences


def next_sentence_pairs(
    documents: Iterable[Sequence[str]], rng: np.random.Generator | None = None
) -> list[SentencePair]:
    """One pair for each two neighbouring sentences of the documents, in their order.

    Raises   ValueError if there are fewer than two documents, or no wrong successor can be found

    >>> documents = [["It rained.", "We got wet."], ["A cat sat.", "It slept."]]
    >>> for pair in next_sentence_pairs(documents, np.random.default_rng(1)):
    ...     print(*pair)
    It rained. It slept. 1
    A cat sat. It slept. 0
    """
    rng, corpus = default_generator(rng), _Corpus(documents)
    return [corpus.draw(number, rng) for number in range(len(corpus.first))]


class PretrainingBatches:
    """Batches for BertForPreTraining, with new pairs, a new order and new masks in each epoch.

    tokenizer     a BertTokenizer
    documents     lists of sentences
    batch_size    pairs per batch; the last batch of an epoch may have fewer
    max_length    tokens per pair, special tokens counted
    rng           decides everything; batch i depends on its state at the start and on i alone
    probability, whole_words   as for TokenMasker

    Each batch is a dict for model(**batch): input_ids, token_type_ids, attention_mask and labels, all
    (B, T), and next_sentence_label (B,).  list(batches) keeps one epoch as it is, for validation.

    >>> from minillm.tokenizers import BertTokenizer
    >>> documents = [["It rained.", "We got wet."], ["A cat sat.", "It slept."]]
    >>> tokenizer = BertTokenizer.train(sum(documents, []), vocab_size=60, progress=False)
    >>> batches = PretrainingBatches(tokenizer, documents, 2, 16, np.random.default_rng(0))
    >>> for name, array in batches.batch(0).items():
    ...     print(name, array.shape)
    input_ids (2, 16)
    token_type_ids (2, 16)
    attention_mask (2, 16)
    labels (2, 16)
    next_sentence_label (2,)
    """

    def __init__(
        self,
        tokenizer: Any,
        documents: Iterable[Sequence[str]],
        batch_size: int,
        max_length: int,
        rng: np.random.Generator | None = None,
        *,
        probability: float = 0.15,
        whole_words: bool = False,
    ) -> None:
        require_whole("PretrainingBatches", "batch_size", batch_size)
        require_whole("PretrainingBatches", "max_length", max_length, 5)  # [CLS] a [SEP] b [SEP]
        self.tokenizer, self.batch_size, self.max_length = tokenizer, batch_size, max_length
        self.masker = TokenMasker(tokenizer, probability=probability, whole_words=whole_words)
        self.corpus = _Corpus(documents)
        self.seed = int(default_generator(rng).integers(2**63))
        self.epoch = 0  # the next one that iteration gives

    def __len__(self) -> int:
        return math.ceil(len(self.corpus.first) / self.batch_size)

    def batch(self, i: int) -> dict[str, np.ndarray]:
        """Batch number i, counted through all epochs."""
        epoch, position = divmod(i, len(self))
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.corpus.first))
        rng = np.random.default_rng([self.seed, epoch, position])
        start = position * self.batch_size
        pairs = [self.corpus.draw(n, rng) for n in order[start : start + self.batch_size].tolist()]
        encoded = self.tokenizer(
            [(pair.first, pair.second) for pair in pairs],
            padding=True, truncation="longest_first", max_length=self.max_length,
            return_tensors="np",
        )  # fmt: skip
        masked = self.masker(encoded["input_ids"], rng)
        return {
            "input_ids": masked.input_ids,
            "token_type_ids": encoded["token_type_ids"],
            "attention_mask": encoded["attention_mask"],
            "labels": masked.labels,
            "next_sentence_label": np.array([pair.label for pair in pairs], dtype=np.int64),
        }

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        first = self.epoch * len(self)
        self.epoch += 1
        for i in range(len(self)):
            yield self.batch(first + i)


class PretrainingLosses(NamedTuple):
    """The two losses of BERT's pre-training, in nats, beside what a model without knowledge has.

    >>> print(PretrainingLosses(3.2, 0.25, chance_masked_words=math.log(100)))
    masked words   3.200 (chance ln V = 4.605)
    next sentence  0.250 (chance ln 2 = 0.693)
    """

    masked_words: float
    next_sentence: float
    chance_masked_words: float  # ln V
    chance_next_sentence: float = math.log(2)

    def __str__(self) -> str:
        return (
            f"masked words   {self.masked_words:.3f} (chance ln V = {self.chance_masked_words:.3f})\n"
            f"next sentence  {self.next_sentence:.3f} (chance ln 2 = {self.chance_next_sentence:.3f})"
        )


def pretraining_losses(model: Any, batches: Iterable[dict[str, np.ndarray]]) -> PretrainingLosses:
    """Both losses of a BertForPreTraining on the same batches, each word and each pair weighing alike.

    Raises   ValueError if there is no batch

    >>> from minillm import Tensor
    >>> class Guess:  # stands for a model: every word and both orders are equally likely
    ...     def __call__(self, input_ids, **options):
    ...         self.logits = Tensor(np.zeros((*input_ids.shape, 50)))
    ...         self.seq_relationship_logits = Tensor(np.zeros((len(input_ids), 2)))
    ...         return self
    >>> ids = np.array([[2, 4, 3, 9, 3]])
    >>> batch = {"input_ids": ids, "labels": np.where(ids == 4, 7, -100)}
    >>> print(pretraining_losses(Guess(), [{**batch, "next_sentence_label": np.array([1])}]))
    masked words   3.912 (chance ln V = 3.912)
    next sentence  0.693 (chance ln 2 = 0.693)
    """
    totals, counts, size = [0.0, 0.0], [0, 0], 0
    with no_grad(), evaluating(model):
        for batch in batches:
            output = model(**batch)
            size = output.logits.shape[-1]
            for n, (logits, labels) in enumerate((
                (output.logits, batch["labels"]),
                (output.seq_relationship_logits, batch["next_sentence_label"]),
            )):
                known = int((labels != IGNORED).sum())
                totals[n] += host_number(F.cross_entropy(logits, labels).data) * known
                counts[n] += known
    if not all(counts):
        raise ValueError("pretraining_losses: there is no batch with something to predict")
    return PretrainingLosses(totals[0] / counts[0], totals[1] / counts[1], math.log(size))
