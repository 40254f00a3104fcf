"""Train the sentence VAE on the toy world and say what it has learned.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/sentence_vae.py

Single sentences of English stories; those that are reported on were never trained.  A sentence counts
as grammatical if a pattern of the toy world can produce it, with the same values in all its places.
"""

import argparse
import time

import numpy as np

from minillm import no_grad
from minillm.data import ToyWorld
from minillm.data.toy_world.parser import BY_EVENT, _agrees, _match
from minillm.models import SentenceVAE

ENGLISH = "english"


def grammatical(sentence):
    """True if some pattern of a story's sentence reads exactly these words."""
    words = tuple(sentence.split())
    return any(
        end == len(words)
        for templates in BY_EVENT.values()
        for template in templates
        for end, _ in _match(
            template.patterns[ENGLISH], 0, words, 0, _agrees(template, {}), ENGLISH
        )
    )


def sentences_of(stories):
    return [" ".join(s.tokens[ENGLISH]) for story in stories for s in story.sentences]


def share(sentences):
    return f"{100 * np.mean([grammatical(s) for s in sentences]):.1f} % grammatical"


def report(model, unseen, pairs):
    """Reconstruction, the two terms, draws from the prior, and lines between sentences."""
    written = model.reconstruct(unseen)
    assert all(map(grammatical, unseen))
    words = [
        a == b
        for one, two in zip(written, unseen, strict=True)
        for a, b in zip(one.split() + [""] * 40, two.split(), strict=False)
    ]
    whole = np.mean([a == b for a, b in zip(written, unseen, strict=True)])
    with no_grad():
        output = model(*model.ids_of(unseen), rng=np.random.default_rng(1))
    print(f"{len(unseen)} unseen sentences: {100 * whole:.1f} % written back without a mistake,")
    print(f"  {100 * np.mean(words):.1f} % of their words at their places, {share(written)}")
    print(f"  reconstruction {output.reconstruction.item():.2f} and KL {output.kl.item():.2f} nats")
    print(f"300 draws from N(0, I): {share(model.sample(300, rng=np.random.default_rng(5)))}")
    rng = np.random.default_rng(3)
    lines = [model.interpolate(*rng.choice(unseen, 2, replace=False)) for _ in range(pairs)]
    print(f"{pairs} lines between two sentences: {share([s for line in lines for s in line])}")
    for line in lines[:3]:
        print("", *(f"  {'' if grammatical(s) else '* '}{s}" for s in line), sep="\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--beta", type=float, default=0.2)
    parser.add_argument("--word-dropout", type=float, default=0.4)
    parser.add_argument("--learning-rate", type=float, default=0.008)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    world = ToyWorld()
    parts = world.splits(6000, 300, seed=0)
    train = sentences_of(parts.train)
    unseen = sorted(set(sentences_of(parts.test)) - set(train))
    model = SentenceVAE(
        words=world.vocabulary(ENGLISH), word_dropout=arguments.word_dropout,
        rng=np.random.default_rng(arguments.seed),
    )  # fmt: skip
    started = time.process_time()
    losses = model.fit(
        train, steps=arguments.steps, batch_size=32, learning_rate=arguments.learning_rate,
        beta=arguments.beta, kl_warmup=arguments.steps // 2, seed=arguments.seed, progress=True,
    )  # fmt: skip
    print(f"{len(train)} sentences, {arguments.steps} steps of 32", end=", ")
    print(f"{time.process_time() - started:.0f} s of processor time")
    for step in range(0, len(losses), max(len(losses) // 5, 1)):
        found = losses[step : step + 100]
        means = [np.mean([entry[name] for entry in found]) for name in found[0]]
        print("  step {:5}: reconstruction {:5.2f}, KL {:5.2f}, beta {:.2f}".format(step, *means))
    report(model, unseen, pairs=40)


if __name__ == "__main__":
    main()
