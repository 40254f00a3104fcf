"""A small corpus in which we know what is alike: people with a sex and a rank, and fruit."""

import numpy as np

from minillm.models import GloVe, GloVeConfig, Word2Vec, Word2VecConfig

PEOPLE = {
    "king": ("m", "royal"), "queen": ("f", "royal"), "man": ("m", "plain"), "woman": ("f", "plain"),
    "prince": ("m", "heir"), "princess": ("f", "heir"), "boy": ("m", "young"), "girl": ("f", "young"),
}  # fmt: skip
OF_SEX = {"m": ["he", "his", "him"], "f": ["she", "her", "hers"]}
OF_RANK = {
    "royal": ["throne", "crown", "palace"], "plain": ["work", "house", "field"],
    "heir": ["castle", "title", "pony"], "young": ["school", "toy", "game"],
}  # fmt: skip
FRUIT, TASTE, PLACE = (
    ["apple", "pear", "plum"],
    ["sweet", "ripe", "juicy"],
    ["tree", "garden", "basket"],
)


def planted_sentences(n=3000, seed=0):
    """Each person stands beside the words of their sex and of their rank; one time in five, of any.

    GloVe sees ratios of counts, and nothing of pairs that never occur: so that all do.
    """
    rng = np.random.default_rng(seed)

    def pick(words):
        return str(rng.choice(words))

    def mostly(groups, own):
        return pick(groups[own if rng.random() < 0.8 else pick(list(groups))])

    for _ in range(n):
        if rng.random() < 0.25:
            yield ["the", pick(FRUIT), "is", pick(TASTE), "in", "the", pick(PLACE)]
            continue
        person = pick(list(PEOPLE))
        sex, rank = PEOPLE[person]
        if rng.random() < 0.5:
            yield ["the", mostly(OF_RANK, rank), "of", person, mostly(OF_SEX, sex)]
        else:
            yield ["the", person, mostly(OF_SEX, sex), mostly(OF_RANK, rank)]


def fresh(kind, seed):
    """An untrained model of each kind, with settings for so small a corpus."""
    if kind == "glove":
        return GloVe(GloVeConfig(dim=16, window=4, x_max=50, epochs=300, batch_size=32, seed=seed))
    return Word2Vec(
        Word2VecConfig(dim=16, window=4, epochs=10, subsample=1e-2, cbow=kind == "cbow", seed=seed)
    )
