"""Writing in batches against writing one by one, and metrics that need a package."""

import sys

import numpy as np
import pytest

from minillm.autograd import no_grad
from minillm.tasks import Recipe, WordVocabulary, run_task
from minillm.tasks.seq2seq import SequenceWriter, require_metric, same_share
from minillm.tasks.words import EOS
from minillm.training import bleu

WORDS = WordVocabulary(["a", "b", "c", "d", "e"])
SOURCES = [["a", "b", "c"], ["d"], ["e", "a", "b", "c", "d"], ["b", "b"]]


@pytest.fixture
def writer():
    recipe = Recipe(width=12, heads=2, layers=2)
    writer = SequenceWriter(WORDS, recipe, 20, np.random.default_rng(3))
    for parameter in writer.model.transformer.parameters():
        parameter.data *= 3  # the choices of an untrained model then depend on what it reads
    return writer


def literal_greedy(model, source, most):
    """The most probable next token, all of the target computed anew each time."""
    target = [model.config.decoder_start_token_id]
    with no_grad():
        while len(target) <= most and target[-1] != EOS:
            logits = model([source], decoder_input_ids=[target]).logits.numpy()
            target.append(int(logits[0, -1].argmax()))
    return target[1:]


def test_batched_writing_is_the_literal_search_in_the_order_of_the_sources(writer):
    said = writer.write(SOURCES, most=7, batch_size=3)
    expected = [
        WORDS.decode(literal_greedy(writer.model, WORDS.encode(source), 7)) for source in SOURCES
    ]
    assert said == expected
    assert len({tuple(words) for words in said}) > 1


def test_beams_do_not_depend_on_the_batch_either(writer):
    said = writer.write(SOURCES, most=6, num_beams=3)
    assert said == [writer.write([source], most=6, num_beams=3)[0] for source in SOURCES]


def test_targets_end_and_padding_is_not_learned(writer):
    batch = writer.batches(SOURCES[:2], [["a"], ["b", "c"]], 2).batch(0)
    rows = {tuple(row) for row in batch["labels"].tolist()}
    a, b, c = WORDS.encode(["a", "b", "c"])
    assert rows == {(a, EOS, -100), (b, c, EOS)}


def test_same_share_counts_whole_texts():
    said = [["a"], ["a", "b"], ["b", "a"], []]
    assert same_share(said, [["a"], ["a", "b"], ["a", "b"], ["a"]]) == 0.5


@pytest.mark.parametrize(
    ("task", "module", "package"),
    [("translation", "sacrebleu", "sacrebleu"), ("summarisation", "rouge_score", "rouge-score")],
)
def test_a_missing_package_is_named_before_any_training(monkeypatch, task, module, package):
    for name in (module, "rouge_score.rouge_scorer"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    monkeypatch.setattr(
        f"minillm.tasks.{task}.train", lambda *a, **k: pytest.fail("it trained first")
    )
    with pytest.raises(RuntimeError, match=rf"{package}, which is not installed: .*\[tasks\]"):
        run_task(task, train=5, test=2, progress=False)


def test_other_errors_of_a_metric_are_not_hidden():
    with pytest.raises(ValueError, match="language"):
        require_metric(lambda said, right: bleu([], []) if not said else int("language"))
