"""Fine-tune MiniLM on the UCI labelled sentences, beside what its frozen vectors and TF-IDF give.

    OPENBLAS_NUM_THREADS=1 python tests/benchmarks/finetune_minilm.py --seeds 0 1 2 3 4

Each seed is another split, 80 % to train on and 20 % to test on, equal sentences on one side; all
methods have the same splits.  Nothing is chosen on the test sentences: the number of epochs and the
learning rate are fixed beforehand, and there is no early stopping.  The differences are paired by
split, with the 95 % interval of Student's t.

It needs the weights (python -m minillm weights minilm), scikit-learn, and the data, which is
downloaded, or lies in the folder that MINILLM_DATA names.
"""

import argparse
import math
import time

import numpy as np

from minillm import manual_seed
from minillm.data import LabelledTexts, load_labelled_sentences, stratified_split
from minillm.finetuning import FinetuneSettings, TextClassifier, finetune, trainable_parameters
from minillm.models.published import PUBLISHED
from minillm.tasks import TaskSettings
from minillm.tasks.classical import TfidfRegression, logistic_regression
from minillm.tasks.classifiers import words_of
from minillm.tasks.sentence_vectors import minilm_vectors

# two-sided 95 % points of Student's t for 1, 2, ... degrees of freedom
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
NAMES = ("negative", "positive")


def interval(differences):
    """(mean, half of the 95 % interval) of paired differences.

    >>> [round(x, 3) for x in interval([0.01, 0.02, 0.03])]
    [0.02, 0.025]
    """
    count = len(differences)
    if count < 2:
        return float(differences[0]), math.nan
    spread = float(np.std(differences, ddof=1)) / math.sqrt(count)
    return float(np.mean(differences)), STUDENT[min(count - 2, len(STUDENT) - 1)] * spread


def measure(data, words, vectors, seed, settings):
    """Accuracy of each method on one split."""
    train, test = stratified_split(data.labels, 0.2, seed=seed, keys=[" ".join(w) for w in words])
    right = data.labels[test]
    rng = manual_seed(seed)
    folder = PUBLISHED["minilm"].location()
    classifier = TextClassifier.from_pretrained(folder, NAMES, rng=rng)
    known = LabelledTexts([data.texts[i] for i in train], data.labels[train])
    started = time.perf_counter()
    finetune(classifier, known, None, settings, rng=rng, progress=False)
    seconds = time.perf_counter() - started
    said = {
        "fine-tuned": classifier.predict([data.texts[i] for i in test]),
        "frozen vectors": logistic_regression(vectors[train], data.labels[train]).predict(
            vectors[test]
        ),
        "TF-IDF": TfidfRegression([words[i] for i in train], data.labels[train]).predict([
            words[i] for i in test
        ]),
    }
    found = {name: float(np.mean(labels == right)) for name, labels in said.items()}
    shown = "".join(f"{value:16.4f}" for value in found.values())
    print(f"{seed:4d}{shown}{seconds:10.0f}", flush=True)
    return found, trainable_parameters(classifier.model)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--method", default="full")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--layerwise-decay", type=float, default=1.0)
    parser.add_argument("--train", type=int, help="sentences of all to take, for a quick look")
    options = parser.parse_args()
    settings = FinetuneSettings(
        method=options.method, epochs=options.epochs, lr=options.lr,
        batch_size=options.batch_size, layerwise_decay=options.layerwise_decay,
    )  # fmt: skip
    data = load_labelled_sentences()
    if options.train:
        chosen = np.random.default_rng(0).permutation(len(data.texts))[: options.train]
        data = LabelledTexts([data.texts[i] for i in chosen], data.labels[chosen])
    words = [words_of(text) for text in data.texts]
    vectors = minilm_vectors(data.texts, TaskSettings(progress=False))
    print(
        f"{len(data.texts)} sentences; method {settings.method}, {settings.epochs} epochs of batches "
        f"of {settings.batch_size}, rate {settings.rate:g}, decay {settings.layerwise_decay:g}"
    )
    print("seed      fine-tuned  frozen vectors          TF-IDF   seconds")
    results = [measure(data, words, vectors, seed, settings) for seed in options.seeds]
    found = [accuracies for accuracies, _ in results]
    means = "".join(f"{np.mean([f[name] for f in found]):16.4f}" for name in found[0])
    print(f"mean{means}\n{results[0][1]}")
    for name in ("frozen vectors", "TF-IDF"):
        mean, half = interval([f["fine-tuned"] - f[name] for f in found])
        print(f"fine-tuned less {name}: {mean:+.4f} ± {half:.4f} (95 %, {len(found)} splits)")


if __name__ == "__main__":
    main()
