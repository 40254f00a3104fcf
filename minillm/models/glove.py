"""GloVe: word vectors from the table of how often two words stand near each other.

Formula (Pennington, Socher & Manning 2014, GloVe: Global Vectors for Word Representation, EMNLP,
equations 8 and 9).  X_ij is how often word j stands within `window` words of word i, where a pair at
distance d counts 1/d.  Each word has a vector w and a bias b as the first of a pair, and a vector w~
and a bias b~ as the second:

    J    = sum over i, j with X_ij > 0 of  f(X_ij) (w_i . w~_j + b_i + b~_j - log X_ij)^2   (1)
    f(x) = (x / x_max)^0.75 for x < x_max, 1 above                                          (2)

f keeps pairs that were seen once from counting as much as pairs that were seen a hundred times, and
frequent pairs from drowning all others.

Backward, for one pair with the error e = w . w~ + b + b~ - log X and g the gradient that reaches it:

    grad_e  = 2 g f e                                                                     (3)
    grad_w  = grad_e w~         grad_w~ = grad_e w        the other factor of the product (4)
    grad_b  = grad_e            grad_b~ = grad_e                                          (5)

The steps are AdaGrad's (Duchi, Hazan & Singer 2011, JMLR 12): each parameter divides its rate by the
root of the sum of all its squared gradients, which begins at 1,

    total += grad^2;   p -= rate grad / sqrt(total)                                       (6)

so that a rare word, with few gradients, still takes large steps.  The paper's program leaves out the
2 of (3); with it, the first steps are about twice as long.  The word vectors are w + w~ (section 4.2).
Check: tests/models/test_glove.py
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import array_module
from ..ops.checks import gets_no_gradient, require_floating
from ..tokenizers.progress import progress_bar
from .word_vectors import Corpus, WordVectors, read_corpus, require_finite, require_settings

CHUNK = 1_000_000  # words whose pairs are counted at a time

# ---------------------------------------------------------------------------- the operation


@gets_no_gradient("log_counts", "weights")
def glove_forward(w, w_context, b, b_context, *, log_counts, weights):
    """The weighted squared error of N pairs of words.

    Shapes   w, w_context (N, C); b, b_context, log_counts, weights (N,) -> loss (N,)
    Dtype    all floating and equal
    Saves    w, w_context, the weights and the error (N,)
    Raises   ValueError if the shapes do not belong together

    log_counts   log X of each pair
    weights      f(X) of each pair

    >>> w, b, log_counts, weights = np.ones((1, 4)), np.zeros(1), np.ones(1), np.full(1, 0.5)
    >>> glove_forward(w, w, b, b, log_counts=log_counts, weights=weights)[0]  # 0.5 (4 - 1)^2
    array([4.5])
    """
    array_module(w, w_context, b, b_context)
    require_floating("glove", w=w, w_context=w_context, b=b, b_context=b_context)
    if w.ndim != 2 or w.shape != w_context.shape or not b.shape == b_context.shape == w.shape[:1]:
        shapes = ", ".join(str(a.shape) for a in (w, w_context, b, b_context))
        raise ValueError(f"glove: w and w_context must be (N, C), the biases (N,), got {shapes}")
    error = (w[:, None, :] @ w_context[:, :, None])[:, 0, 0] + b + b_context - log_counts  # (N,)
    return weights * error * error, (w, w_context, weights, error)


def glove_backward(grad_out, saved):
    """Gradients w.r.t. (w, w_context, b, b_context), by (3), (4) and (5)."""
    w, w_context, weights, error = saved
    # forward:  loss = weights * error**2
    grad_e = 2 * grad_out * weights * error
    # forward:  error = w . w_context + b + b_context - log_counts
    grad_w = grad_e[:, None] * w_context
    grad_w_context = grad_e[:, None] * w
    return grad_w, grad_w_context, grad_e, grad_e.copy()


# -------------------------------------------------------------------------------- the model


@dataclass(frozen=True)
class GloVeConfig:
    """Settings of GloVe.

    dim             length C of a vector
    window          largest distance of two words of a pair
    x_max, power    of the weight (2); x_max=100 is for corpora of billions of words, the smaller the
                    corpus, the smaller it should be
    learning_rate   of AdaGrad
    epochs          passes over all pairs that occur
    min_count       words that occur less often have no vector
    batch_size      pairs whose gradients are added before a step; less if an epoch would have <20 steps
    seed            of all that is drawn: equal seeds give equal vectors

    >>> GloVeConfig(x_max=10).power
    0.75
    """

    dim: int = 50
    window: int = 10
    x_max: float = 100.0
    power: float = 0.75
    learning_rate: float = 0.05
    epochs: int = 25
    min_count: int = 1
    batch_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        require_settings(
            "GloVeConfig", dim=(self.dim, 1, "integer"), window=(self.window, 1, "integer"),
            epochs=(self.epochs, 1, "integer"), min_count=(self.min_count, 1, "integer"),
            batch_size=(self.batch_size, 1, "integer"), x_max=(self.x_max, 0.0, "number"),
            power=(self.power, 0.0, "number"), learning_rate=(self.learning_rate, 0.0, "number"),
        )  # fmt: skip


class GloVe(WordVectors):
    """Word vectors from counts of pairs.

    vectors      w + w~, (V, C) float32: what neighbours and analogies use
    parameters   "w" and "w_context" (V, C), "b" and "b_context" (V,)
    losses       mean weighted squared error of a pair in each epoch

    >>> sentences = ["the cat drinks milk", "the dog drinks milk", "a king wears gold"] * 50
    >>> model = GloVe(GloVeConfig(dim=8, x_max=10, epochs=300)).fit(sentences)
    >>> model.most_similar("cat", n=1)[0][0]
    'dog'
    """

    def __init__(self, config: GloVeConfig | None = None) -> None:
        self.config = config or GloVeConfig()
        self.losses: list[float] = []
        self.parameters: dict[str, np.ndarray] = {}
        self._totals: dict[str, np.ndarray] = {}
        self._set([], np.zeros((0, self.config.dim), dtype=np.float32), None)

    def fit(self, sentences: Iterable[Any], progress: bool = True) -> "GloVe":
        """Learn the vectors, from the beginning.

        sentences   each a list of words, or a string that is cut at white space; read once
        progress    a bar, where somebody can see it
        Raises      TypeError for one string instead of sentences; ValueError if there is too little
        """
        config, rng = self.config, np.random.default_rng(self.config.seed)
        corpus = read_corpus("GloVe", sentences, config.min_count)
        first, second, counts = cooccurrences(corpus, config.window)
        if not len(counts):
            raise ValueError(
                "GloVe: no sentence has two words: a sentence is a list of words, or a string that is "
                "cut at white space (for Chinese give lists of words or of characters)"
            )
        self._start(len(corpus.words), rng)
        log_counts = np.log(counts).astype(np.float32)
        weights = pair_weights(counts, config.x_max, config.power).astype(np.float32)
        size = max(1, min(config.batch_size, len(counts) // 20))
        silent = np.errstate(over="ignore", invalid="ignore")  # require_finite says it better
        with silent, progress_bar(config.epochs * len(counts), "GloVe", progress) as bar:
            for _ in range(config.epochs):
                order, loss = rng.permutation(len(counts)), 0.0
                for start in range(0, len(order), size):
                    at = order[start : start + size]
                    loss += float(
                        self.step(first[at], second[at], log_counts[at], weights[at]).sum()
                    )
                    bar.update(len(at))
                self.losses.append(loss / len(counts))
                require_finite("GloVe", self.losses[-1], config.learning_rate)
        vectors = self.parameters["w"] + self.parameters["w_context"]
        self._set(corpus.words, vectors, corpus.counts)
        return self

    def _start(self, V: int, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        C = self.config.dim
        shapes = {"w": (V, C), "w_context": (V, C), "b": (V,), "b_context": (V,)}
        self.parameters = {n: ((rng.random(s) - 0.5) / C).astype(dtype) for n, s in shapes.items()}
        self._totals = {n: np.ones(s, dtype=dtype) for n, s in shapes.items()}
        self.losses = []

    def step(
        self, first: np.ndarray, second: np.ndarray, log_counts: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """One step of AdaGrad on the sum of the losses of some pairs; gives the losses.

        Shapes   first, second (N,) ids; log_counts, weights (N,) -> (N,)
        """
        p, ids = self.parameters, {"w": first, "w_context": second, "b": first, "b_context": second}
        inputs = [p[name][ids[name]] for name in p]
        loss, saved = glove_forward(*inputs, log_counts=log_counts, weights=weights)
        grads = glove_backward(np.ones_like(loss), saved)
        for name, grad in zip(p, grads, strict=True):
            rows, grad = summed_rows(ids[name], grad)
            total = self._totals[name][rows] + grad * grad
            self._totals[name][rows] = total
            p[name][rows] -= self.config.learning_rate * grad / np.sqrt(total)  # (6)
        return loss


def pair_weights(counts: np.ndarray, x_max: float, power: float) -> np.ndarray:
    """f of (2)."""
    return np.clip(counts / x_max, None, 1.0) ** power


def summed_rows(ids: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids, and for each the sum of its values: AdaGrad squares the sum, not the terms."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[starts], np.add.reduceat(values[order], starts, axis=0)


def cooccurrences(corpus: Corpus, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of words that occur near each other: (first, second, X), three arrays of equal length.

    Pairs are within a sentence, both orders are counted, and a pair at distance d counts 1/d.
    """
    V, ids, numbers = len(corpus.words), corpus.ids, corpus.sentences
    keys: Any = np.empty(0, dtype=np.int64)
    counts: Any = np.empty(0)
    for start in range(0, len(ids), CHUNK):
        all_keys, all_counts = [keys], [counts]
        for distance in range(1, min(window, len(ids) - 1) + 1):
            left = np.arange(start, min(start + CHUNK, len(ids) - distance))
            left = left[numbers[left] == numbers[left + distance]]
            a, b = ids[left], ids[left + distance]
            all_keys += [a * V + b, b * V + a]
            all_counts += [np.full(2 * len(a), 1 / distance)]
        keys, number = np.unique(np.concatenate(all_keys), return_inverse=True)
        counts = np.bincount(number, np.concatenate(all_counts), minlength=len(keys))
    return keys // V, keys % V, counts
