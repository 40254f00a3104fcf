"""BERT: agreement with Transformers, gradients, inputs as users give them."""

import warnings

import numpy as np
import pytest

from minillm import Tensor, no_grad
from minillm.gradcheck import check_model
from minillm.models import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
)

from .golden import assert_gradients, load, with_weights

SIZES = {
    "vocab_size": 23, "hidden_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 7, "max_position_embeddings": 13, "type_vocab_size": 3,
    "layer_norm_eps": 0.01, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 1,
}  # fmt: skip
TASKS = {
    "pretraining": (BertForPreTraining, {}),
    "masked_lm": (BertForMaskedLM, {"hidden_act": "gelu_new"}),
    "sequence": (BertForSequenceClassification, {"num_labels": 5}),
    "regression": (BertForSequenceClassification, {"num_labels": 1}),
    "several": (BertForSequenceClassification, {"num_labels": 5}),
    "token": (BertForTokenClassification, {"num_labels": 5}),
    "answer": (BertForQuestionAnswering, {}),
}
HEADS = [kind for kind, _ in TASKS.values()]
NAMES = {"prediction_logits": "logits"}  # what Transformers calls it where names differ


def config(**changes):
    return BertConfig(**{**SIZES, **changes})


def model(kind=BertForMaskedLM, **changes):
    changes = {"initializer_range": 0.5, **changes}
    return kind(config(**changes), dtype=np.float64, rng=np.random.default_rng(3))


@pytest.fixture
def ids(rng):
    return rng.integers(2, 23, (2, 7))


# ------------------------------------------------------------------ agreement with Transformers


@pytest.fixture(params=TASKS)
def task(request):
    kind, changes = TASKS[request.param]
    golden = load(f"bert_{request.param}")
    return with_weights(kind, config(**changes), golden["weight"]), golden


def test_outputs_and_loss_agree_with_transformers(task):
    bert, golden = task
    output = bert(**golden["input"], **golden["label"])
    for name, expected in golden["output"].items():
        found = output[NAMES.get(name, name)].data
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11, err_msg=name)


def test_every_gradient_agrees_with_transformers(task):
    bert, golden = task
    bert(**golden["input"], **golden["label"]).loss.backward()
    assert_gradients(bert, golden["grad"], rtol=1e-9)


def test_float32_agrees_within_its_rounding(task):
    bert, golden = task
    bert.to(np.float32)
    labels = {
        k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in golden["label"].items()
    }
    output = bert(**golden["input"], **labels)
    for name, expected in golden["output"].items():
        found = output[NAMES.get(name, name)].data
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_the_encoder_agrees_with_transformers():
    golden, inputs = load("bert_encoder"), load("bert_sequence")["input"]
    bert = with_weights(BertModel, config(), golden["weight"])
    output = bert(**inputs, output_hidden_states=True, output_attentions=True)
    np.testing.assert_allclose(output.last_hidden_state.data, golden["last_hidden_state"], 1e-9)
    np.testing.assert_allclose(output.pooler_output.data, golden["pooler_output"], 1e-9)
    assert len(output.hidden_states) == len(golden["hidden_states"]) == 3
    for i, state in enumerate(output.hidden_states):
        np.testing.assert_allclose(state.data, golden["hidden_states"][str(i)], 1e-9)
    for i, attention in enumerate(output.attentions):
        np.testing.assert_allclose(attention, golden["attentions"][str(i)], 1e-9, 1e-12)


# ---------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("name", TASKS)
def test_the_gradient_check_passes(name):
    kind, changes = TASKS[name]
    golden = load(f"bert_{name}")
    bert = model(kind, **changes)
    report = check_model(bert, **golden["input"], **golden["label"])
    assert report.passed, report


def test_dropout_acts_in_training_only(ids):
    bert = model(BertForSequenceClassification, classifier_dropout=0.4)
    with no_grad():
        assert (bert(ids).logits.data != bert(ids).logits.data).any()
        bert.eval()
        np.testing.assert_array_equal(bert(ids).logits.data, bert(ids).logits.data)


@pytest.mark.parametrize("name", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_each_dropout_is_used(ids, name):
    bert = model(BertForMaskedLM, **{name: 0.4})
    with no_grad():
        assert (bert(ids).logits.data != bert(ids).logits.data).any()


# -------------------------------------------------------------------------- what users pass


def test_types_and_masks_have_the_defaults_of_one_sentence_without_padding(ids):
    bert = model()
    full = bert(ids, np.ones_like(ids), np.zeros_like(ids)).logits.data
    np.testing.assert_allclose(bert(ids).logits.data, full, rtol=1e-12)


def test_what_stands_under_the_padding_makes_no_difference(ids):
    bert, mask = model(), np.ones_like(ids)
    mask[1, 4:] = 0
    other = np.where(mask == 1, ids, 5)
    first, second = (bert(i, mask).logits.data for i in (ids, other))
    assert (ids != other).any()
    np.testing.assert_array_equal(first[mask == 1], second[mask == 1])
    shorter = bert(ids[1:, :4]).logits.data
    np.testing.assert_allclose(first[1:, :4], shorter, rtol=1e-9, atol=1e-12)


def test_every_token_sees_every_other(ids):
    bert = model(BertModel)
    other = ids.copy()
    other[0, 6] = ids[0, 6] % 20 + 2
    assert other[0, 6] != ids[0, 6]
    first, second = (bert(i).last_hidden_state.data for i in (ids, other))
    assert (first[0] != second[0]).any(axis=-1).all()
    np.testing.assert_array_equal(first[1], second[1])


def test_lists_and_tensors_and_one_sequence(ids):
    bert = model()
    expected = bert(ids).logits.data
    for same in (Tensor(ids), ids.tolist()):
        np.testing.assert_array_equal(bert(same).logits.data, expected)
    assert bert(ids[0]).logits.shape == (1, 7, 23)


def test_heads_return_no_encoder_states_unless_asked(ids):
    output = model()(ids)
    assert output[0] is output.logits
    assert len(output.to_tuple()) == 1
    plain = model(BertModel)(ids)
    assert plain[0] is plain.last_hidden_state
    assert plain[1] is plain.pooler_output


def test_losses_are_means_and_add_up(ids):
    bert = model(BertForPreTraining)
    labels = np.full(ids.shape, -100)
    labels[0, 2], labels[1, 5] = 4, 9
    both = bert(ids, labels=labels, next_sentence_label=[0, 1])
    words = bert(ids, labels=labels).loss.item()
    order = bert(ids, next_sentence_label=[0, 1]).loss.item()
    assert both.loss.item() == pytest.approx(words + order, rel=1e-12)
    log_p = both.logits.data - np.log(np.exp(both.logits.data).sum(-1, keepdims=True))
    assert words == pytest.approx(-(log_p[0, 2, 4] + log_p[1, 5, 9]) / 2)
    assert both.num_targets == 2


def test_sentence_embeddings_have_length_1_and_leave_padding_out(ids):
    bert, mask = model(BertModel), np.ones_like(ids)
    mask[1, 4:] = 0
    found = bert.sentence_embeddings(ids, mask).data
    np.testing.assert_allclose((found * found).sum(-1), 1)
    state = bert(ids[1:, :4]).last_hidden_state.data[0].mean(axis=0)
    np.testing.assert_allclose(found[1], state / np.sqrt((state * state).sum()), rtol=1e-9)


WRONG = {
    "too long": ({"input_ids": np.ones((1, 14), int)}, "(1, 14)", "13 positions"),
    "types of another shape": (
        {"input_ids": np.ones((1, 4), int), "token_type_ids": np.ones((1, 3), int)},
        "token_type_ids (1, 3)", "(1, 4)",
    ),
    "an unknown type": (
        {"input_ids": np.ones((1, 2), int), "token_type_ids": np.full((1, 2), 3)}, "3", "embedding",
    ),
    "labels of another shape": (
        {"input_ids": np.ones((1, 4), int), "labels": np.ones((1, 3), int)}, "labels (1, 3)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_inputs_are_refused_with_their_shapes(case):
    inputs, *words = WRONG[case]
    with pytest.raises((ValueError, IndexError)) as caught:
        model()(**inputs)
    for word in words:
        assert word in str(caught.value)


def test_wrong_labels_of_heads_are_refused(ids):
    with pytest.raises(ValueError, match="one for each of 2 texts"):
        model(BertForPreTraining)(ids, next_sentence_label=[0, 1, 1])
    with pytest.raises(TypeError, match="next_sentence_label must be integers"):
        model(BertForPreTraining)(ids, next_sentence_label=[0.0, 1.0])
    with pytest.raises(ValueError, match="give both start_positions and end_positions"):
        model(BertForQuestionAnswering)(ids, start_positions=[1, 2])


CONFIGS = {
    "width": ({"hidden_size": 9}, "multiple of num_attention_heads 2"),
    "no layers": (
        {"num_hidden_layers": 0},
        "num_hidden_layers must be an integer of at least 1, got 0",
    ),
    "activation": ({"hidden_act": "mish"}, "hidden_act 'mish' must be one of 'gelu'"),
    "decoder": ({"is_decoder": True}, "is_decoder True must be one of False"),
    "positions": ({"position_embedding_type": "relative_key"}, "must be one of 'absolute'"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_config_without_meaning_is_refused(case):
    changes, message = CONFIGS[case]
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_labels_may_be_named():
    named = config(id2label={"0": "bad", "1": "good", "2": "so so"})
    assert named.num_labels == 3
    assert named.id2label[2] == "so so"
    assert named.label2id["good"] == 1
    assert config(num_labels=4).id2label[3] == "LABEL_3"


# ------------------------------------------------------------------------------------ weights


def test_the_initial_weights_are_as_published():
    bert = BertForPreTraining(
        config(hidden_size=64, vocab_size=500, num_hidden_layers=8), rng=np.random.default_rng(0)
    )
    for name, p in bert.named_parameters():
        if p.ndim == 2 and p.size > 500:
            assert abs(p.data.std() / 0.02 - 1) < 0.1, name
        elif p.ndim == 1:
            assert (p.data == (1 if name.endswith("Norm.weight") else 0)).all(), name
    assert (bert.bert.embeddings.word_embeddings.weight.data[1] == 0).all()  # the padding token


def test_the_same_seed_gives_the_same_weights():
    first, second = (model(BertForPreTraining).state_dict() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_bert_base_has_the_published_number_of_weights():
    # counted for a tenth of the width: V C + P C + 2 C + 2 C + L (4 C C + 2 C F + 9 C + F) + C C + C
    C, L, V, P, F = 76, 2, 503, 31, 304
    bert = BertModel(
        config(vocab_size=V, max_position_embeddings=P, hidden_size=C, num_hidden_layers=L,
               intermediate_size=F, num_attention_heads=4, type_vocab_size=2),
    )  # fmt: skip
    layers = L * (4 * C * C + 2 * C * F + 9 * C + F)
    assert bert.num_parameters() == (V + P + 2 + 2) * C + layers + C * C + C


def test_no_label_at_all_is_a_loss_of_0_with_a_warning(ids):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert model()(ids, labels=np.full(ids.shape, -100)).loss.item() == 0
    assert len(caught) == 1
