"""Every model, optimiser, way of writing and file on a device: what the host gives, on the stand-in.

    place    "strict": the bits of the host       "kernels": the same with fused kernels, which round
             otherwise (test_kernels.py)          "cuda": where there is a GPU

Word2Vec and GloVe are not here: they are trained on the host by steps of their own.  The sentence VAE
writes texts, which its own test compares.
"""

import inspect

import numpy as np
import pytest

import minillm
from minillm import Device, models, no_grad
from minillm.backend import array_module, is_array, to_numpy
from minillm.finetuning import LoraConfig, add_lora, lora_state_dict, merge_lora
from minillm.optim import SGD, Adam, AdamW, clip_grad_norm_, schedule
from minillm.training import evaluate, fit, load_checkpoint, save_checkpoint
from minillm.training.objective import forward_batch

from .conftest import CUDA, open_device

V, T, B = 13, 6, 3
IDS = np.random.default_rng(3).integers(3, V, (B, T))
RIGHT = np.arange(T) < np.array([[6], [4], [5]])  # padding behind the text
BERT = {"vocab_size": V, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 12, "max_position_embeddings": T, "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.3}  # fmt: skip
GPT2 = {"vocab_size": V, "n_positions": 12, "n_embd": 8, "n_layer": 2, "n_head": 2,
        "resid_pdrop": 0.2, "embd_pdrop": 0.2, "attn_pdrop": 0.2}  # fmt: skip
LLAMA = {"vocab_size": V, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12,
         "attention_dropout": 0.3}  # fmt: skip
WORDS = {"input_ids": IDS, "attention_mask": RIGHT.astype(int)}
TEXT = {**WORDS, "labels": np.where(RIGHT, IDS, -100)}
MODELS = {  # name -> (configuration, inputs of a training step)
    "BertForMaskedLM": (BERT, TEXT),
    "BertForPreTraining": (BERT, {**TEXT, "next_sentence_label": np.array([0, 1, 1])}),
    "BertForQuestionAnswering": (
        BERT, {**WORDS, "start_positions": np.array([1, 0, 2]), "end_positions": np.array([2, 3, 4])}
    ),
    "BertForSequenceClassification": (
        {**BERT, "num_labels": 3}, {**WORDS, "labels": np.array([2, 0, 1])}
    ),
    "BertForTokenClassification": (
        {**BERT, "num_labels": 4}, {**WORDS, "labels": np.where(RIGHT, IDS % 4, -100)}
    ),
    "GPT2LMHeadModel": (GPT2, TEXT),
    "LlamaForCausalLM": (LLAMA, TEXT),
    "LSTMClassifier": (
        {"vocab_size": V, "embedding_dim": 6, "hidden_size": 5, "num_layers": 2, "dropout": 0.3,
         "bidirectional": True, "num_labels": 3},
        {**WORDS, "labels": np.array([2, 0, 1])},
    ),
    "LSTMLanguageModel": (
        {"vocab_size": V, "embedding_dim": 6, "hidden_size": 5, "num_layers": 2, "dropout": 0.3}, TEXT
    ),
    "Seq2SeqTransformer": (
        {"vocab_size": V, "d_model": 8, "nhead": 2, "dim_feedforward": 12, "num_encoder_layers": 1,
         "num_decoder_layers": 1, "dropout": 0.3},
        {**WORDS, "labels": IDS[:, :4]},
    ),
    "TextGenRNN": (
        {"vocab_size": V, "embedding_dim": 4, "hidden_size": 5, "context_length": 6},
        {"input_ids": IDS, "labels": IDS},
    ),
    "TransformerLanguageModel": (
        {"ntoken": V, "ninp": 8, "nhead": 2, "nhid": 12, "nlayers": 2, "dropout": 0.3}, TEXT
    ),
}  # fmt: skip
ELSEWHERE = {"BertModel", "SentenceVAE", "Word2Vec", "GloVe"}  # no loss, or see above
# The gradient of a bias of keys is 0 but for rounding, which differs.  Adam divides it by its own size.
EPS = 1e-4
WRITERS = ["GPT2LMHeadModel", "LlamaForCausalLM", "LSTMLanguageModel", "Seq2SeqTransformer",
           "TextGenRNN", "TransformerLanguageModel"]  # fmt: skip


@pytest.fixture(params=["strict", "kernels", CUDA])
def place(request):
    """Each way of computing on a device."""
    if request.param == "kernels":
        return request.getfixturevalue("fused")
    return open_device(request.param)


def build(name):
    kind = getattr(models, name)
    return kind(kind.config_class(**MODELS[name][0]), rng=np.random.default_rng(5))


def assert_agree(place, found, expected):
    """Arrays by name: the bits of the host where the host's code runs."""
    assert found.keys() == expected.keys()
    for name, b in expected.items():
        a = found[name]
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        if place.kind == "strict" and not hasattr(place, "launched"):
            np.testing.assert_array_equal(a, b, err_msg=name)
        else:
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4, err_msg=name)


def everything(model, optimizer):
    """Parameters and optimiser state by name, on the host."""
    arrays = {**model.state_dict(), **optimizer.state_dict()["state"]}
    return {name: to_numpy(x).copy() for name, x in arrays.items() if is_array(x)}


def steps(model, optimizer, inputs, number):
    """Losses of so many training steps."""
    losses = []
    for _ in range(number):
        optimizer.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_every_model_is_in_the_table():
    there = {
        name for name in models.__all__
        if inspect.isclass(getattr(models, name))
        and not name.endswith(("Config", "Output", "Tokenizer", "Cost", "Vectors"))
    }  # fmt: skip
    assert there == set(MODELS) | ELSEWHERE


# ------------------------------------------------------------------------------------ training


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_what_it_learns_on_the_host(place, name):
    def trained(device):
        minillm.manual_seed(7)
        model = build(name).to(device).train()
        optimizer = AdamW(model.named_parameters(), lr=0.01, eps=EPS, weight_decay=0.1)
        losses = steps(model, optimizer, MODELS[name][1], 3)
        assert {array_module(p.data) for p in model.parameters()} == {Device(device).xp}
        return {"losses": np.array(losses), **everything(model, optimizer)}

    assert_agree(place, trained(place), trained("cpu"))
    assert not hasattr(place, "launched") or "adam" in place.launched


RECOMPUTING = [name for name in MODELS if hasattr(getattr(models, name), "recompute_activations")]


@pytest.mark.parametrize("name", RECOMPUTING)
def test_activations_that_are_computed_again_give_the_same(place, name):
    def gradients(device, recomputing):
        minillm.manual_seed(7)
        model = build(name).to(device).train().recompute_activations(recomputing)
        forward_batch(model, MODELS[name][1], None)[1].backward()
        pairs = model.named_parameters()
        return {key: to_numpy(p.grad) for key, p in pairs if p.grad is not None}

    assert_agree(place, gradients(place, True), gradients("cpu", False))


@pytest.mark.parametrize("name", MODELS)
def test_evaluation_waits_for_the_device_once_per_batch(strict_xp, counters, name):
    model = build(name).to("strict").eval()
    batch = MODELS[name][1]
    host = evaluate(build(name).eval(), [batch, batch])
    counters.reset()
    assert evaluate(model, [batch, batch]) == host
    assert counters.synchronisations == 2


OPTIMIZERS = {
    "SGD": lambda p: SGD(p, lr=0.1),
    "SGD momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.2, weight_decay=0.1),
    "SGD Nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "Adam": lambda p: Adam(p, lr=0.01, eps=EPS, weight_decay=0.1),
    "AMSGrad": lambda p: Adam(p, lr=0.01, eps=EPS, amsgrad=True),
    "AdamW": lambda p: AdamW(p, lr=0.01, betas=(0.8, 0.9), eps=EPS, maximize=True),
    "AdamW AMSGrad": lambda p: AdamW(p, lr=0.01, eps=EPS, amsgrad=True),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("rates", ["constant", "linear", "cosine"])
def test_every_optimizer_and_schedule(place, kind, rates):
    def trained(device):
        minillm.manual_seed(7)
        model = build("GPT2LMHeadModel").to(device).train()
        optimizer = OPTIMIZERS[kind](model.named_parameters())
        more = {} if rates == "constant" else {"total_steps": 5}
        fit(model, optimizer, [TEXT], steps=4, clip=0.5, progress=False,
            schedule=getattr(schedule, rates)(optimizer, warmup_steps=2, **more))  # fmt: skip
        return everything(model, optimizer)

    assert_agree(place, trained(place), trained("cpu"))


# ------------------------------------------------------------------------------------ writing

WAYS = {
    "greedy": {},
    "without the cache": {"use_cache": False},
    "repetition": {"repetition_penalty": 1.3},
    "sampling": {"do_sample": True, "temperature": 0.8, "top_k": 5, "num_return_sequences": 2},
    "nucleus": {"do_sample": True, "top_p": 0.7},
    "beams": {"num_beams": 3, "length_penalty": 0.7, "early_stopping": True},
    "padded beams": {"num_beams": 2, "attention_mask": RIGHT[:, ::-1].astype(int)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WRITERS)
def test_a_model_writes_what_it_writes_on_the_host(place, name, way):
    if name == "TextGenRNN" and way == "padded beams":
        pytest.skip("textgenrnn takes no mask")

    def written(device):
        model = build(name).eval()
        for p in model.parameters():  # far from ties
            p.data = p.data * 4
        rng = {"rng": np.random.default_rng(2)} if WAYS[way].get("do_sample") else {}
        model.to(device)
        ids = model.generate(IDS, max_new_tokens=5, eos_token_id=4, **WAYS[way], **rng)
        assert type(ids) is np.ndarray
        return ids

    np.testing.assert_array_equal(written(place), written("cpu"))


@pytest.mark.parametrize("name", WRITERS)
def test_writing_waits_for_the_device_once_per_token(strict_xp, counters, name):
    model = build(name).to("strict").eval()
    waits = {}
    for new, options in ((2, {}), (5, {}), (2, {"num_beams": 3}), (5, {"num_beams": 3})):
        counters.reset()
        model.generate(IDS, max_new_tokens=new, **options)
        waits[new, bool(options)] = counters.synchronisations
    assert waits[5, False] - waits[2, False] == waits[5, True] - waits[2, True] == 3


# -------------------------------------------------------------------------- files and checkpoints


@pytest.mark.parametrize("name", MODELS)
def test_files_carry_a_model_from_device_to_host_and_back(place, tmp_path, name):
    kind, inputs = getattr(models, name), MODELS[name][1]
    model = build(name).to(place).eval()
    model.save_pretrained(tmp_path)
    on_host, back = kind.from_pretrained(tmp_path), kind.from_pretrained(tmp_path).to(place)
    for other in (on_host, back):
        for (key, a), b in zip(model.named_parameters(), other.parameters(), strict=True):
            np.testing.assert_array_equal(to_numpy(a.data), to_numpy(b.data), err_msg=key)
    with no_grad():
        losses = [float(m.eval()(**inputs).loss.item()) for m in (model, back, on_host)]
    assert losses[0] == losses[1] == pytest.approx(losses[2], rel=1e-5)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("there", [True, False], ids=["device to host", "host to device"])
def test_training_that_changes_places_ends_where_the_host_does(place, tmp_path, kind, there):
    def run(device, number, load=None, save=None):
        model = build("GPT2LMHeadModel").to(device).train()
        optimizer = OPTIMIZERS[kind](model.named_parameters())
        minillm.manual_seed(7)
        if load:
            load_checkpoint(load, model, optimizer)
        steps(model, optimizer, TEXT, number)
        if save:
            save_checkpoint(save, model, optimizer, step=number)
        return everything(model, optimizer)

    first, second = (place, "cpu") if there else ("cpu", place)
    run(first, 2, save=tmp_path)
    assert_agree(place, run(second, 2, load=tmp_path), run("cpu", 4))


def test_a_checkpoint_reads_each_array_once(strict_xp, counters, tmp_path):
    model = build("GPT2LMHeadModel").to("strict").train()
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    steps(model, optimizer, TEXT, 1)
    arrays = len(model.state_dict()) + 2 * len(list(model.parameters()))  # m and v
    counters.reset()
    save_checkpoint(tmp_path, model, optimizer, step=1)
    assert counters.synchronisations == counters.downloads == arrays
    counters.reset()
    load_checkpoint(tmp_path, model, optimizer)
    assert counters.synchronisations == 0


def test_a_step_with_kernels_waits_no_more_than_without(fused, counters):
    model = build("GPT2LMHeadModel").to("strict")
    optimizer = AdamW(model.named_parameters(), lr=0.01)
    seen = []

    def count(step, history):
        seen.append((counters.synchronisations, counters.downloads))
        counters.reset()

    counters.reset()
    fit(
        model, optimizer, [TEXT], steps=4, evaluate_every=4, clip=0.5, progress=False, on_step=count
    )
    assert seen == [(1, 1)] * 4  # the loss and the norm of the gradients together
    assert {"adam", "gelu_tanh", "layer_norm", "dropout"} <= set(fused.launched)


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "LlamaForCausalLM"])
def test_kernels_halve_the_launches_of_a_step(fused, counters, monkeypatch, name):
    def launches():
        model = build(name).to("strict")
        optimizer = AdamW(model.named_parameters(), lr=0.01)
        counters.reset()
        steps(model, optimizer, TEXT, 1)
        return counters.launches

    fewer = launches()
    monkeypatch.delattr(fused.xp, "ElementwiseKernel")
    assert fewer < 0.6 * launches()


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "LlamaForCausalLM"])
def test_lora_on_a_device_is_lora_on_the_host(place, name):
    targets = ["c_attn"] if name == "GPT2LMHeadModel" else ["q_proj", "v_proj"]

    def trained(device):
        minillm.manual_seed(7)
        model = build(name).to(device)
        config = LoraConfig(r=2, alpha=3, dropout=0.2, target_modules=targets)
        add_lora(model, config, rng=np.random.default_rng(2))
        optimizer = AdamW(model.named_parameters(), lr=0.05, eps=EPS)
        fit(model, optimizer, [TEXT], steps=3, progress=False)
        arrays = {key: to_numpy(a).copy() for key, a in lora_state_dict(model).items()}
        with no_grad():
            arrays["merged"] = merge_lora(model).eval()(IDS).logits.numpy()
        return arrays

    assert_agree(place, trained(place), trained("cpu"))
