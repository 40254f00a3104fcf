"""Word for word: a dictionary learned from sentence pairs, the oldest statistical translation.

IBM model 1 (Brown et al. 1993, "The Mathematics of Statistical Machine Translation", section 4.1) says
that each target word f_j comes from one source word e_i, all of them equally likely at first:

    p(f | e) = Π_j  1/(I + 1)  Σ_i t(f_j | e_i)            e_0 is an empty word that every source has

Which word it came from is not known, so the dictionary t is learned by expectation maximisation:

    E   c(f, e) = Σ_pairs Σ_j Σ_i  t(f_j | e_i) / Σ_k t(f_j | e_k)    where f_j = f and e_i = e   (1)
    M   t(f | e) = c(f, e) / Σ_f' c(f', e)                                                        (2)

From a uniform start this climbs to the one maximum of the likelihood.  Here a translation is then the
most probable word for each source word, in the order of the source: no grammar, no context.
"""

from collections.abc import Sequence

import numpy as np

from .words import WordVocabulary

EMPTY = "[PAD]"  # the empty word e_0, as a word that no text holds


class WordForWord:
    """A dictionary by IBM model 1.

    sources, targets   lists of words; target n is the translation of source n
    rounds             of expectation and maximisation

    Raises   ValueError if there are not as many sources as targets, or none

    >>> sources = [["the", "cat"], ["the", "dog"], ["a", "cat"]]
    >>> targets = [["le", "chat"], ["le", "chien"], ["un", "chat"]]
    >>> model = WordForWord(sources, targets)
    >>> model.translate(["a", "dog", "tomorrow"])  # an unknown word is left out
    ['un', 'chien']
    """

    def __init__(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]], rounds: int = 8
    ) -> None:
        if len(sources) != len(targets) or not sources:
            raise ValueError(
                f"WordForWord: one target for each source, at least one; got {len(sources)} sources "
                f"and {len(targets)} targets"
            )
        self.source_words = WordVocabulary.train(sources)
        self.target_words = WordVocabulary.train(targets)
        V = len(self.target_words)
        links, slots = self._links(sources, targets)
        # only pairs of words that ever meet have a probability
        met, link = np.unique(links, return_inverse=True)
        self.e, self.f = met // V, met % V
        self.t = np.full(len(met), 1.0 / V)  # t(f | e), uniform
        self.log_likelihoods: list[float] = []
        for _ in range(rounds):
            total = np.bincount(slots, self.t[link])  # Σ_k t(f_j | e_k), one for each f_j
            self.log_likelihoods.append(float(np.log(total).sum()))
            counts = np.bincount(link, self.t[link] / total[slots])  # (1)
            self.t = counts / np.bincount(self.e, counts)[self.e]  # (2)
        self.best = self._most_probable()

    def _links(
        self, sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each way in which a target word may come from a source word.

        For each: the two words as one number, e * V + f; and which target word of all texts it is.
        """
        links, slots, seen = [], [], 0
        for source, target in zip(sources, targets, strict=True):
            e = np.array(self.source_words.encode([EMPTY, *source]))
            f = np.array(self.target_words.encode(target))
            links.append((e[:, None] * len(self.target_words) + f).ravel())
            slots.append(np.tile(np.arange(seen, seen + len(f)), len(e)))
            seen += len(f)
        return np.concatenate(links), np.concatenate(slots)

    def _most_probable(self) -> dict[str, str]:
        """The best translation of each source word."""
        order = np.argsort(self.t, kind="stable")  # the most probable last, so that it stays
        return {
            self.source_words.words[e]: self.target_words.words[f]
            for e, f in zip(self.e[order].tolist(), self.f[order].tolist(), strict=True)
        }

    def translate(self, source: Sequence[str]) -> list[str]:
        """The most probable translation of each known word."""
        return [self.best[word] for word in source if word in self.best]
