"""Fine-tuning a classifier: what learns, that it is the plain loop, and that it loads again."""

import numpy as np
import pytest

from minillm.data import LabelledTexts
from minillm.finetuning import (
    FinetuneSettings,
    TextClassifier,
    choose_what_learns,
    finetune,
    load_lora,
)
from minillm.finetuning.classify import METHODS, head_of
from minillm.models import BertConfig, BertForSequenceClassification, BertModel
from minillm.optim import AdamW, clip_grad_norm_
from minillm.tokenizers import BertTokenizer
from minillm.training import evaluate

TEXTS = ["a fine film", "a poor film", "fine food", "poor food", "so fine", "so poor"]
LABELS = np.array([1, 0, 1, 0, 1, 0])
DATA = LabelledTexts(TEXTS, LABELS)
OPPOSITE = LabelledTexts(TEXTS, 1 - LABELS)
FAST = {"lr": 0.02, "epochs": 25, "batch_size": 6}


def config(**changes):
    return BertConfig(
        **{"vocab_size": 60, "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 2,
           "intermediate_size": 14, "max_position_embeddings": 10, "initializer_range": 0.3,
           "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
           "id2label": {0: "bad", 1: "good"}, **changes}
    )  # fmt: skip


def build(**changes):
    tokenizer = BertTokenizer.train(TEXTS, vocab_size=60)
    model = BertForSequenceClassification(config(**changes), rng=np.random.default_rng(5))
    return TextClassifier(model, tokenizer)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder of a BERT without a head."""
    folder = tmp_path_factory.mktemp("base")
    BertModel(config(), rng=np.random.default_rng(4)).save_pretrained(folder)
    BertTokenizer.train(TEXTS, vocab_size=60).save_pretrained(folder)
    return folder


def values(model):
    return {name: p.data.copy() for name, p in model.named_parameters()}


def tune(classifier, validation=None, **changes):
    settings = FinetuneSettings(**{**FAST, **changes})
    rng = np.random.default_rng(1)
    return finetune(classifier, DATA, validation, settings, rng=rng, progress=False)


# ------------------------------------------------------------------------------- what learns


def learning(**changes):
    model = build().model
    choose_what_learns(model, FinetuneSettings(**changes))
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_what_learns_with_each_method():
    every = {name for name, _ in build().model.named_parameters()}
    head = {n for n in every if n.startswith(("bert.pooler.", "classifier."))}
    assert learning(method="full") == every
    assert learning(method="head") == head
    assert learning(method="bitfit") == head | {n for n in every if n.endswith(".bias")}
    lora = learning(method="lora", lora_r=2)
    assert {n for n in lora if not n.endswith(("lora_A", "lora_B"))} == head
    assert len([n for n in lora if n.endswith("lora_A")]) == 3 * 6  # of 3 layers: 4 + 2 matrices
    adapters = learning(method="adapters", adapter_size=3)
    assert len([n for n in adapters if n.endswith("adapter.up.weight")]) == 3 * 2
    assert not any(n.endswith("dense.weight") for n in adapters - head)


def test_parts_stay_frozen_by_their_short_names():
    every = {name for name, _ in build().model.named_parameters()}
    frozen = every - learning(freeze="embeddings, layers.0-1,bert.pooler")
    starts = ("bert.embeddings.", "bert.encoder.layer.0.", "bert.encoder.layer.1.", "bert.pooler.")
    assert frozen == {name for name in every if name.startswith(starts)}
    one = every - learning(freeze="layers.2")
    assert one == {name for name in every if name.startswith("bert.encoder.layer.2.")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "method 'magic' is unknown: choose from full, head, lora"),
        ({"method": "lora", "freeze": "embeddings"}, "freeze goes with method 'full': 'lora'"),
        ({"method": "head", "gradual_unfreezing": 3}, "gradual_unfreezing goes with method 'full'"),
        ({"lr": 0.0}, "lr must be a number above 0, got 0.0"),
        ({"lr": float("nan")}, "lr must be a number above 0, got nan"),
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"lr": "x"}, "lr must be a number above 0, got 'x'"),
        ({"batch_size": 2.5}, "batch_size must be an integer of at least 1, got 2.5"),
        ({"lora_r": 0}, "lora_r must be an integer of at least 1, got 0"),
        ({"layerwise_decay": 2}, "layerwise_decay must be within 0 < decay <= 1, got 2"),
        ({"weight_decay": -1}, "weight_decay must be at least 0, got -1"),
        ({"freeze": "layers.1-3"}, "'layers.1-3' names layers 1 to 3, but the model has .* 0 to 2"),
        ({"freeze": "layers.2-1"}, "names layers 2 to 1"),
        ({"freeze": "embedings"}, "'embedings' names no part of the model"),
        ({"method": "lora", "lora_r": 13}, "r = 13 is larger than the matrix"),
        ({"method": "adapters", "adapter_size": 13}, "size must be an integer from 1 to the width 12"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        learning(**changes)


# ----------------------------------------------------------------------------------- training


def test_one_step_is_that_of_the_plain_loop():
    tuned, plain = build(), build()
    tune(tuned, epochs=1, weight_decay=0.3)
    model = plain.model
    inputs = plain.tokenizer(TEXTS, padding=True)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.3},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=0.02)
    outputs = model(**inputs, labels=LABELS)
    outputs.loss.backward()
    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    expected = values(model)
    for name, found in values(tuned.model).items():
        if name.endswith(
            "key.bias"
        ):  # its gradient is 0 but for rounding (softmax does not see it)
            continue
        # the batch has another order, so sums are rounded differently; Adam's first step is a sign
        close = np.abs(found - expected[name]) < 1e-4
        assert close.mean() > 0.97, name


def test_each_layer_learns_at_its_own_rate():
    classifier = build()
    before = values(classifier.model)
    tune(classifier, epochs=1, layerwise_decay=0.5, weight_decay=0.0)
    after = values(classifier.model)
    # Adam's first step has the size of the rate, whatever the gradient
    for part, rate in (
        ("classifier.weight", 0.02), ("bert.pooler.dense.weight", 0.02),
        ("bert.encoder.layer.2.output.dense.weight", 0.01),
        ("bert.encoder.layer.0.output.dense.weight", 0.0025),
        ("bert.embeddings.token_type_embeddings.weight", 0.00125),
    ):  # fmt: skip
        assert np.abs(after[part] - before[part]).max() == pytest.approx(rate, rel=1e-2), part


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_and_what_is_frozen_keeps_its_bits(method):
    classifier = build()
    before = values(classifier.model)
    history = tune(classifier, method=method, lora_r=2, adapter_size=3)
    assert history.history["accuracy"][-1] == 1.0
    assert classifier.predict(TEXTS).tolist() == LABELS.tolist()
    after = values(classifier.model)
    word = "bert.encoder.layer.1.attention.self.query.weight"
    assert (before[word] == after[word]).all() == (method != "full")
    assert (before["classifier.weight"] != after["classifier.weight"]).any()


def test_gradual_unfreezing_begins_with_the_head_and_leaves_the_frozen_alone():
    classifier = build()
    before = values(classifier.model)
    tune(classifier, epochs=4, gradual_unfreezing=2, freeze="layers.2")
    after = values(classifier.model)
    changed = {name for name in before if (before[name] != after[name]).any()}
    # two steps of the head alone, two with layer 2, which is frozen for good
    assert changed == {n for n in before if n.startswith(("bert.pooler.", "classifier."))}
    other = build()
    tune(other, epochs=6, gradual_unfreezing=2, freeze="layers.2")
    layer = "bert.encoder.layer.1.output.dense.weight"
    assert (values(other.model)[layer] != before[layer]).any()


def test_early_stopping_gives_the_best_weights_back():
    classifier = build()
    history = tune(classifier, OPPOSITE, epochs=20, patience=3)
    losses = history.history["val_loss"]
    assert history.stopped_at is not None
    assert len(losses) < 20
    assert losses[-1] > min(losses)
    held = classifier.batches(OPPOSITE.texts, OPPOSITE.labels)
    assert evaluate(classifier.model, held)["loss"] == pytest.approx(min(losses), rel=1e-5)


def test_labels_beyond_the_head_are_refused():
    three = LabelledTexts(TEXTS, np.array([0, 1, 2, 0, 1, 2]))
    with pytest.raises(ValueError, match=r"labels of train go from 0 to 2, but the head .* 0 to 1"):
        finetune(build(), three, progress=False)
    with pytest.raises(ValueError, match="labels of validation go from 0 to 2"):
        finetune(build(), DATA, three, progress=False)


# -------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("method", METHODS)
def test_it_loads_again_and_says_the_same(method, base, tmp_path):
    classifier = TextClassifier.from_pretrained(base, ["bad", "good"])
    tune(classifier, method=method, lora_r=2, lora_alpha=6.0, adapter_size=3, epochs=5)
    classifier.save_pretrained(tmp_path)
    expected = classifier.probabilities(TEXTS)
    loaded = TextClassifier.from_pretrained(tmp_path)
    assert loaded.names == head_of(tmp_path) == ["bad", "good"]
    np.testing.assert_allclose(loaded.probabilities(TEXTS), expected, atol=1e-5)
    if method == "adapters":  # nobody is to read it without them by mistake
        with pytest.raises(ValueError, match=r"adapter\.down\.weight"):
            BertForSequenceClassification.from_pretrained(tmp_path)
    if method == "lora":
        assert not classifier.model.lora.merged  # it can go on learning
        fresh = TextClassifier.from_pretrained(base, ["bad", "good"])
        load_lora(fresh.model, tmp_path / "adapter")
        np.testing.assert_allclose(fresh.probabilities(TEXTS), expected, atol=1e-5)


def test_a_head_is_kept_renamed_replaced_or_refused(base, tmp_path):
    assert head_of(base) is None
    with pytest.raises(ValueError, match="has no head for classes of texts: fine-tune it first"):
        TextClassifier.from_pretrained(base)
    classifier = build()
    classifier.save_pretrained(tmp_path)
    kept = TextClassifier.from_pretrained(tmp_path, ["bad", "good"])
    np.testing.assert_array_equal(
        kept.model.classifier.weight.data, classifier.model.classifier.weight.data
    )
    for names in (["bad", "good", "other"], ["good", "bad"], ["0", "1"]):
        with pytest.raises(ValueError, match=rf"2 classes apart \(bad, good\), .* {len(names)} \("):
            TextClassifier.from_pretrained(tmp_path, names)
    more = TextClassifier.from_pretrained(tmp_path, ["a", "b", "c"], new_head=True)
    assert more.names == ["a", "b", "c"]
    assert more.probabilities(TEXTS).shape == (6, 3)
    inner = "bert.encoder.layer.1.output.dense.weight"
    np.testing.assert_array_equal(values(more.model)[inner], values(classifier.model)[inner])


def test_a_head_without_names_takes_those_of_the_data(tmp_path):
    build(id2label=None).save_pretrained(tmp_path)
    assert head_of(tmp_path) == ["LABEL_0", "LABEL_1"]
    assert TextClassifier.from_pretrained(tmp_path, ["no", "yes"]).names == ["no", "yes"]
    with pytest.raises(ValueError, match="tells 2 classes apart"):
        TextClassifier.from_pretrained(tmp_path, ["no", "yes", "both"])


def test_one_text_is_no_list_of_letters_and_no_text_has_no_class():
    classifier = build()
    with pytest.raises(TypeError, match=r"texts must be a list of texts, got one: write \[text\]"):
        classifier.predict("good film")
    assert classifier.predict([]).shape == (0,)
    assert classifier.probabilities([]).shape == (0, 2)
    with pytest.raises(ValueError, match="finetune: train holds no texts"):
        finetune(classifier, LabelledTexts([], np.array([], int)), progress=False)


def test_a_second_method_that_is_refused_changes_nothing():
    classifier = build()
    tune(classifier, method="lora", epochs=1)
    before = {n for n, p in classifier.model.named_parameters() if p.requires_grad}
    with pytest.raises(ValueError, match="there is an adapter 'default' already"):
        tune(classifier, method="lora", epochs=1)
    assert {n for n, p in classifier.model.named_parameters() if p.requires_grad} == before


def test_the_adapter_of_an_earlier_model_does_not_stay_beside_a_new_one(tmp_path):
    classifier = build()
    tune(classifier, method="lora", epochs=1)
    classifier.save_pretrained(tmp_path)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors",
    }  # fmt: skip
    build().save_pretrained(tmp_path)
    assert not any((tmp_path / "adapter").iterdir())


def test_long_texts_are_cut_and_short_limits_refused():
    classifier = build()
    long = classifier.batches(["film " * 50])
    assert long.batch(0)["input_ids"].shape == (1, 10)  # the positions of the model
    narrow = TextClassifier(classifier.model, classifier.tokenizer, max_length=4)
    assert narrow.batches(["film " * 50]).batch(0)["input_ids"].shape == (1, 4)
    with pytest.raises(ValueError, match="max_length must be at least 3, got 2"):
        TextClassifier(classifier.model, classifier.tokenizer, max_length=2)


def test_the_order_of_the_texts_does_not_matter_for_what_is_said():
    classifier = build()
    texts = ["so fine", "a poor film so poor", "food"]
    alone = [classifier.probabilities([text])[0] for text in texts]
    np.testing.assert_allclose(classifier.probabilities(texts), alone, atol=1e-6)
