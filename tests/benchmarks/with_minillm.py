"""One step of each workload with minillm:  python with_minillm.py WORKLOAD (--help)."""

import sys
import tempfile

import bench_products

if "--record" in sys.argv:
    bench_products.watch_imports()

import bench_weights
import numpy as np
from bench_gradcheck import gradcheck
from decode_minillm import decode, save_model
from timing import forward, main, median_ms, memory_mb, training

from minillm import Tensor, no_grad
from minillm import functional as F
from minillm.models import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LSTMClassifier,
    TransformerLanguageModel,
)
from minillm.optim import AdamW, clip_grad_norm_
from minillm.tokenizers import GPT2Tokenizer
from minillm.training import keep_freed_memory
from minillm.training.gradients import BatchGradient, choose_workers

LAYER = {  # of nn.TransformerEncoder -> bench_weights.layers
    "self_attention.query": "query", "self_attention.key": "key", "self_attention.value": "value",
    "self_attention.output": "output", "feed_forward.linear1": "linear1",
    "feed_forward.linear2": "linear2", "norm1": "norm1", "norm2": "norm2",
}  # fmt: skip
BERT_LAYER = {
    "attention.self.query": "query", "attention.self.key": "key", "attention.self.value": "value",
    "attention.output.dense": "output", "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1", "output.dense": "linear2", "output.LayerNorm": "norm2",
}  # fmt: skip
BERT_REST = {
    "bert.embeddings.word_embeddings": "words", "bert.embeddings.position_embeddings": "places",
    "bert.embeddings.token_type_embeddings": "types", "bert.embeddings.LayerNorm": "norm",
    "bert.pooler.dense": "pooler", "classifier": "classifier",
}  # fmt: skip


def versions():
    """The library, its BLAS and threads."""
    import threadpoolctl

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    pools = [p for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    kernels = "".join({f" ({p['architecture']} kernels)" for p in pools if p.get("architecture")})
    threads = max((p["num_threads"] for p in pools), default=1)
    named = f"{blas['name']} {blas['version']}{kernels}"
    return f"NumPy {np.__version__} with {named}, {threads} threads"


def load(model, weights, names):
    """Give a model the common weights.

    names   {the model's name of a module: its name in bench_weights}
    """
    state = {}
    for name, p in model.named_parameters():
        module, _, leaf = name.rpartition(".")
        common = names[name] if name in names else names[module]
        if leaf == "bias" and name not in names:
            common += ".bias"
        state[name] = weights[common].reshape(p.shape)
    model.load_state_dict(state)
    return model


def training_step(job, model, batch, loss=None):
    """(a step as `fit` makes it, its BatchGradient with as many workers as `fit` would choose)."""
    s, params = job.sizes, list(model.named_parameters())
    decay = s["decay"]
    groups = [
        {"params": [(n, p) for n, p in params if p.ndim >= 2], "weight_decay": decay},
        {"params": [(n, p) for n, p in params if p.ndim < 2],
         "weight_decay": decay if s["decay_vectors"] else 0.0},
    ]  # fmt: skip
    optimizer = AdamW(groups, lr=s["lr"], betas=tuple(s["betas"]))
    workers = 1 if job.record else choose_workers(model, loss, batch)
    gradient = BatchGradient(model, loss, workers, optimizer=optimizer)

    def step():
        model.zero_grad()
        value, *_ = gradient.add(batch)
        gradient.finish()
        if s["clip"]:
            clip_grad_norm_(model.parameters(), s["clip"])
        optimizer.step()
        return float(value)

    return step, gradient


def measure_training(job, model, batch, loss=None):
    """Time the steps; or only record their products."""
    model.train()
    step, gradient = training_step(job, model, batch, loss)
    with gradient:
        if job.record:
            return record(job, step)
        result = training(step, job, workers=gradient.workers)
    return with_products(job, result)


def with_products(job, result):
    """The result, with the time of the products alone where they are given."""
    if job.products:
        result["products_ms"] = bench_products.alone_ms(job.products)
    return result


def record(job, step):
    """Write down the products of one step, the second one."""
    step()
    with bench_products.recording() as heard:
        step()
    bench_products.save(heard, job.record)
    return {"products": sum(heard.values()), "flop": bench_products.flop(heard)}


def gpt(job):
    """GPT-2 without biases."""
    s = job.sizes
    weights, x, y = bench_weights.gpt(s)
    config = GPT2Config(
        vocab_size=s["vocab"], n_positions=s["context"], n_embd=s["width"], n_layer=s["layers"],
        n_head=s["heads"], activation_function="gelu", resid_pdrop=0.0, embd_pdrop=0.0,
        attn_pdrop=0.0, bias=False,
    )  # fmt: skip
    names = {"transformer.wte": "wte", "transformer.wpe": "wpe", "transformer.ln_f": "ln_f"}
    for i in range(s["layers"]):
        inner = {"attn.c_attn": "c_attn", "attn.c_proj": "c_proj", "mlp.c_fc": "c_fc",
                 "mlp.c_proj": "mlp_proj", "ln_1": "ln_1", "ln_2": "ln_2"}  # fmt: skip
        names |= {f"transformer.h.{i}.{ours}": f"{i}.{common}" for ours, common in inner.items()}
    model = load(GPT2LMHeadModel(config), weights, names)
    return measure_training(job, model, (x, y), F.cross_entropy)


def lstm(job):
    """The classifier of Keras tutorials."""
    s = job.sizes
    weights, x, y = bench_weights.lstm(s)
    model = LSTMClassifier(vocab_size=s["vocab"], embedding_dim=s["width"], hidden_size=s["hidden"])
    stack = "stack.layers.0.left_to_right"
    names = {
        "embedding": "embedding", "output.weight": "output", "output.bias": "output_bias",
        **{f"{stack}.{name}": name for name in ("weight_x", "weight_h", "bias")},
    }  # fmt: skip
    return measure_training(job, load(model, weights, names), (x, y))


def encoder(job):
    """The Transformer language model of many tutorials."""
    s = job.sizes
    weights, x, y = bench_weights.encoder(s)
    model = TransformerLanguageModel(
        s["vocab"], s["width"], s["heads"], s["inner"], s["layers"], 0.0
    )
    names = {"encoder": "embedding", "decoder": "head"}
    for i in range(s["layers"]):
        prefix = f"transformer_encoder.layers.{i}"
        names |= {f"{prefix}.{ours}": f"{i}.{common}" for ours, common in LAYER.items()}
    return measure_training(job, load(model, weights, names), (x, y), F.cross_entropy)


def bert_model(job):
    """(BERT of MiniLM's shape, ids, labels)."""
    s = job.sizes
    weights, x, y = bench_weights.bert(s)
    config = BertConfig(
        vocab_size=s["vocab"], hidden_size=s["width"], num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"], intermediate_size=s["inner"], hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, num_labels=s["classes"], pad_token_id=None,
        max_position_embeddings=s["positions"],
    )  # fmt: skip
    names = dict(BERT_REST)
    for i in range(s["layers"]):
        prefix = f"bert.encoder.layer.{i}"
        names |= {f"{prefix}.{ours}": f"{i}.{common}" for ours, common in BERT_LAYER.items()}
    return load(BertForSequenceClassification(config), weights, names), x, y


def bert(job):
    """A training step."""
    model, x, y = bert_model(job)
    return measure_training(job, model, (x, y))


def bert_forward(job):
    """Logits alone, without a graph."""
    model, x, _ = bert_model(job)
    model.eval()

    def step():
        with no_grad():
            return model(x).logits.data.ravel().tolist()

    if job.record:
        return record(job, step)
    return with_products(job, forward(step, job))


def bpe_train(job):
    """Learn merges from the first part of the text."""
    s, documents = job.sizes, training_documents(job)
    learn = lambda: GPT2Tokenizer.train(documents, s["vocab"], progress=False)  # noqa: E731
    tokenizer = learn()
    ms = median_ms(learn, job.repeats)
    tokens = sum(map(len, map(tokenizer.encode, documents)))
    return {"ms": ms, "rss_mb": memory_mb(), "check": [len(tokenizer), tokens]}


def bpe_encode(job):
    """Encode the text, with a tokenizer that has seen no word before."""
    s = job.sizes
    documents = read(job, s["encode_bytes"])
    with tempfile.TemporaryDirectory() as folder:
        learned = GPT2Tokenizer.train(training_documents(job), s["vocab"], progress=False)
        learned.save_pretrained(folder)
        fresh = iter([GPT2Tokenizer.from_pretrained(folder) for _ in range(job.repeats + 1)])
    counts = []

    def run():
        tokenizer = next(fresh)
        counts.append(sum(len(tokenizer.encode(document)) for document in documents))

    run()
    ms = median_ms(run, job.repeats, enough=1e9)
    return {"ms": ms, "rss_mb": memory_mb(), "check": counts[:1]}


def read(job, size):
    """So many bytes of the text, as one document for each paragraph."""
    return [part for part in job.text.read_bytes()[:size].decode("ascii").split("\n\n") if part]


def training_documents(job):
    """What the merges are learned from."""
    return read(job, job.sizes["train_bytes"])


def engine(job):
    """Milliseconds for one node, forward and backward."""
    x = Tensor(np.ones(2, np.float32), requires_grad=True)

    def chain():
        y = x
        for _ in range(2000):
            y = y + 1.0
        y.sum().backward()

    chain()
    gradient = x.grad.tolist()
    return {"ms": median_ms(chain, job.repeats) / 2000, "rss_mb": memory_mb(), "check": gradient}


def make_model(job):
    """Save the model that decodes."""
    save_model(job.model)
    return {}


if __name__ == "__main__":
    keep_freed_memory()
    main(
        {
            "gpt": gpt, "gpt6": gpt, "lstm": lstm, "encoder": encoder, "bert": bert,
            "bert-forward": bert_forward, "decode": decode, "bpe-train": bpe_train,
            "bpe-encode": bpe_encode, "gradcheck": gradcheck("minillm"), "engine": engine,
            "make-model": make_model,
        },
        versions,
    )  # fmt: skip
