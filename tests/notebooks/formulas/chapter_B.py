"""The metrics of the tasks, count by count."""

import math

from minillm.training import bleu, f1, precision, recall, rouge, token_f1

from ..registry import formula


@formula(
    "f1",
    r"\text{precision} = \frac{tp}{tp + fp}, \qquad \text{recall} = \frac{tp}{tp + fn}, \qquad"
    r" F_1 = \frac{2\, tp}{2\, tp + fp + fn}",
)
def f1_score():
    said, right = [1, 1, 1, 0, 0, 1, 0], [1, 0, 1, 1, 0, 1, 1]
    pairs = list(zip(said, right, strict=True))
    tp = sum(a == b == 1 for a, b in pairs)
    fp = sum(a == 1 and b == 0 for a, b in pairs)
    fn = sum(a == 0 and b == 1 for a, b in pairs)
    literal = [tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)]
    return literal, [precision(said, right), recall(said, right), f1(said, right)]


@formula(
    "token-f1",
    r"F_1 = \frac{2\, \lvert \text{said} \cap \text{right} \rvert}"
    r"{\lvert \text{said} \rvert + \lvert \text{right} \rvert}",
)
def token_f1_score():
    said, right = "red red barn on hill".split(), "red barn red on red roof".split()
    shared = sum(min(said.count(word), right.count(word)) for word in set(said))
    literal = 2 * shared / (len(said) + len(right))
    return literal, token_f1([" ".join(said)], [" ".join(right)])


@formula(
    "bleu-corpus",
    r"\text{BLEU} = 100 \cdot \min\left(1, e^{1 - r / c}\right) \cdot"
    r" \left( p_1\, p_2\, p_3\, p_4 \right)^{1/4}",
)
def bleu_score():
    said, right = "he saw the the big dog run".split(), "we saw the big dog run home today".split()
    p = []
    for n in (1, 2, 3, 4):
        grams = [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
        known = [tuple(right[i : i + n]) for i in range(len(right) - n + 1)]
        p.append(sum(min(grams.count(g), known.count(g)) for g in set(grams)) / len(grams))
    r, c = len(right), len(said)
    literal = 100 * min(1, math.exp(1 - r / c)) * (p[0] * p[1] * p[2] * p[3]) ** 0.25
    return literal, bleu([" ".join(said)], [" ".join(right)], tokenize="none")


@formula(
    "rouge",
    r"F_L = \frac{2\, \operatorname{LCS}(\text{said}, \text{right})}"
    r"{\lvert \text{said} \rvert + \lvert \text{right} \rvert}",
)
def rouge_l():
    said, right = "b a c a b d".split(), "a b c d a b d e".split()

    def is_subsequence(words, text):
        rest = iter(text)
        return all(word in rest for word in words)

    subsets = range(2 ** len(said))
    chosen = [[w for i, w in enumerate(said) if subset >> i & 1] for subset in subsets]
    lcs = max(len(words) for words in chosen if is_subsequence(words, right))
    literal = 2 * lcs / (len(said) + len(right))
    return literal, rouge([" ".join(said)], [" ".join(right)], kinds=["rougeL"])["rougeL"]
