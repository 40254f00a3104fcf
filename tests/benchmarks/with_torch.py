"""One step of each workload with PyTorch eager:  python with_torch.py WORKLOAD (--help)."""

import json

import bench_weights
import numpy as np
import torch
import torch.nn.functional as F
from bench_gradcheck import gradcheck
from timing import forward, main, median_ms, memory_mb, training
from torch import nn


def versions():
    """The library, its BLAS and threads."""
    blas = "MKL" if torch.backends.mkl.is_available() else "OpenBLAS"
    return f"PyTorch {torch.__version__} with {blas}, {torch.get_num_threads()} threads"


def load(model, weights, names):
    """Give a model the common weights, whose matrices are (in, out) where nn.Linear has (out, in).

    names   {the model's name of a parameter: its name in bench_weights, or several side by side}
    """
    for name, p in model.named_parameters():
        common = names[name]
        parts = [weights[one] for one in ([common] if isinstance(common, str) else common)]
        array = np.concatenate(parts, axis=-1)
        turned = array.ndim == 2 and name not in STRAIGHT
        with torch.no_grad():
            p.copy_(torch.from_numpy(array.T if turned else array))
    return model


STRAIGHT = {  # matrices that lie in PyTorch as they do in bench_weights: the tables
    "wte.weight", "wpe.weight", "embedding.weight", "words.weight", "places.weight", "types.weight",
}  # fmt: skip


def train(job, model, loss):
    """Time training steps."""
    s = job.sizes
    vectors = s["decay"] if s["decay_vectors"] else 0.0
    params = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in params if p.dim() >= 2], "weight_decay": s["decay"]},
        {"params": [p for p in params if p.dim() < 2], "weight_decay": vectors},
    ]
    optimizer = torch.optim.AdamW(groups, lr=s["lr"], betas=tuple(s["betas"]))

    def step():
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        if s["clip"]:
            nn.utils.clip_grad_norm_(model.parameters(), s["clip"])
        optimizer.step()
        return value.item()

    return training(step, job)


class Block(nn.Module):
    """A block of GPT-2 without biases."""

    def __init__(self, s):
        super().__init__()
        C, self.heads = s["width"], s["heads"]
        self.ln_1, self.ln_2 = nn.LayerNorm(C, bias=False), nn.LayerNorm(C, bias=False)
        self.c_attn, self.c_proj = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)
        self.c_fc = nn.Linear(C, 4 * C, bias=False)
        self.mlp_proj = nn.Linear(4 * C, C, bias=False)

    def forward(self, x):
        B, T, C = x.shape
        parts = self.c_attn(self.ln_1(x)).split(C, dim=2)
        q, k, v = (part.view(B, T, self.heads, C // self.heads).transpose(1, 2) for part in parts)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(out.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    """GPT-2, its output tied to the embedding."""

    def __init__(self, s):
        super().__init__()
        C = s["width"]
        self.wte, self.wpe = nn.Embedding(s["vocab"], C), nn.Embedding(s["context"], C)
        self.h = nn.ModuleList(Block(s) for _ in range(s["layers"]))
        self.ln_f = nn.LayerNorm(C, bias=False)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)


def gpt(job):
    """A training step of a GPT."""
    s = job.sizes
    weights, *batch = bench_weights.gpt(s)
    x, y = map(torch.from_numpy, batch)
    names = {f"{name}.weight": name for name in ("wte", "wpe", "ln_f")}
    for i in range(s["layers"]):
        for name in ("ln_1", "c_attn", "c_proj", "ln_2", "c_fc", "mlp_proj"):
            names[f"h.{i}.{name}.weight"] = f"{i}.{name}"
    model = load(GPT(s), weights, names)
    del weights
    return train(job, model, lambda: F.cross_entropy(model(x).view(-1, s["vocab"]), y.reshape(-1)))


class LSTMClassifier(nn.Module):
    """Embedding, LSTM, one logit from the last state."""

    def __init__(self, s):
        super().__init__()
        self.embedding = nn.Embedding(s["vocab"], s["width"])
        self.lstm = nn.LSTM(s["width"], s["hidden"], batch_first=True)
        self.output = nn.Linear(s["hidden"], 1)

    def forward(self, ids):
        _, (h, _) = self.lstm(self.embedding(ids))
        return self.output(h[-1])[:, 0]


def lstm(job):
    """A training step of the LSTM classifier; PyTorch's second bias stays 0."""
    weights, *batch = bench_weights.lstm(job.sizes)
    x, y = map(torch.from_numpy, batch)
    weights["second_bias"] = np.zeros_like(weights["bias"])
    names = {
        "embedding.weight": "embedding", "lstm.weight_ih_l0": "weight_x",
        "lstm.weight_hh_l0": "weight_h", "lstm.bias_ih_l0": "bias",
        "lstm.bias_hh_l0": "second_bias", "output.weight": "output", "output.bias": "output_bias",
    }  # fmt: skip
    model = load(LSTMClassifier(job.sizes), weights, names)
    model.lstm.bias_hh_l0.requires_grad_(False)
    return train(job, model, lambda: F.binary_cross_entropy_with_logits(model(x), y))


def layer_names(s):
    """Names of nn.TransformerEncoder's parameters -> those in bench_weights."""
    names, qkv = {}, ("query", "key", "value")
    modules = {"self_attn.out_proj": "output"}
    modules |= {name: name for name in ("linear1", "linear2", "norm1", "norm2")}
    for i in range(s["layers"]):
        layer = f"encoder.layers.{i}"
        names[f"{layer}.self_attn.in_proj_weight"] = [f"{i}.{name}" for name in qkv]
        names[f"{layer}.self_attn.in_proj_bias"] = [f"{i}.{name}.bias" for name in qkv]
        for theirs, common in modules.items():
            names[f"{layer}.{theirs}.weight"] = f"{i}.{common}"
            names[f"{layer}.{theirs}.bias"] = f"{i}.{common}.bias"
    return names


def encoder_layers(s, activation):
    """A stack of encoder layers."""
    layer = nn.TransformerEncoderLayer(
        s["width"], s["heads"], s["inner"], dropout=0.0, activation=activation, batch_first=True,
        layer_norm_eps=s["eps"],
    )  # fmt: skip
    return nn.TransformerEncoder(layer, s["layers"], enable_nested_tensor=False)


class EncoderLanguageModel(nn.Module):
    """Embedding, positions, encoder layers that see no later word, logits."""

    def __init__(self, s):
        super().__init__()
        C, T = s["width"], s["context"]
        self.embedding, self.encoder = nn.Embedding(s["vocab"], C), encoder_layers(s, "relu")
        self.head = nn.Linear(C, s["vocab"])
        self.table = torch.from_numpy(bench_weights.sines(T, C))
        self.mask = nn.Transformer.generate_square_subsequent_mask(T)

    def forward(self, ids):
        x = self.embedding(ids) * self.table.shape[1] ** 0.5 + self.table
        return self.head(self.encoder(x, mask=self.mask, is_causal=True))


def encoder(job):
    """A training step of the encoder as a language model."""
    s = job.sizes
    weights, *batch = bench_weights.encoder(s)
    x, y = map(torch.from_numpy, batch)
    names = {"embedding.weight": "embedding", "head.weight": "head", "head.bias": "head.bias"}
    model = load(EncoderLanguageModel(s), weights, names | layer_names(s))
    del weights
    return train(
        job, model, lambda: F.cross_entropy(model(x).reshape(-1, s["vocab"]), y.reshape(-1))
    )


class Bert(nn.Module):
    """Embeddings, encoder layers, pooled first token, classes."""

    def __init__(self, s):
        super().__init__()
        C = s["width"]
        self.words, self.places = nn.Embedding(s["vocab"], C), nn.Embedding(s["positions"], C)
        self.types, self.norm = nn.Embedding(2, C), nn.LayerNorm(C, s["eps"])
        self.encoder = encoder_layers(s, "gelu")
        self.pooler, self.classifier = nn.Linear(C, C), nn.Linear(C, s["classes"])

    def forward(self, ids):
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        x = self.norm(x + self.types(torch.zeros_like(ids)))
        return self.classifier(torch.tanh(self.pooler(self.encoder(x)[:, 0])))


def bert_model(job):
    """(BERT, ids, labels)."""
    weights, *batch = bench_weights.bert(job.sizes)
    names = {f"{name}.weight": name for name in ("words", "places", "types")}
    for name in ("norm", "pooler", "classifier"):
        names |= {f"{name}.weight": name, f"{name}.bias": f"{name}.bias"}
    model = load(Bert(job.sizes), weights, names | layer_names(job.sizes))
    return model, *map(torch.from_numpy, batch)


def bert(job):
    """A training step of BERT."""
    model, x, y = bert_model(job)
    return train(job, model, lambda: F.cross_entropy(model(x), y))


@torch.inference_mode()
def bert_forward(job):
    """Logits alone."""
    model, x, _ = bert_model(job)
    model.eval()
    return forward(lambda: model(x).ravel().tolist(), job)


class LlamaLayer(nn.Module):
    """A layer of SmolLM2 with its cache of keys and values."""

    def __init__(self, m, room):
        super().__init__()
        linear = lambda inner, outer: nn.Linear(inner, outer, bias=False)  # noqa: E731
        C, H, G = m["hidden_size"], m["num_attention_heads"], m["num_key_value_heads"]
        self.width, inner = C // H, m["intermediate_size"]
        self.q_proj, self.o_proj = linear(C, C), linear(C, C)
        self.k_proj, self.v_proj = linear(C, G * self.width), linear(C, G * self.width)
        self.gate_proj, self.up_proj = linear(C, inner), linear(C, inner)
        self.down_proj = linear(inner, C)
        self.input_layernorm = nn.RMSNorm(C, m["rms_norm_eps"])
        self.post_attention_layernorm = nn.RMSNorm(C, m["rms_norm_eps"])
        self.keys, self.values = torch.zeros(2, 1, G, room, self.width)

    def forward(self, x, start, cos, sin):
        B, T, C = x.shape
        y = self.input_layernorm(x)
        q, k, v = (
            project(y).view(B, T, -1, self.width).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        end = start + T
        self.keys[:, :, start:end], self.values[:, :, start:end] = _rotate(k, cos, sin), v
        out = F.scaled_dot_product_attention(
            _rotate(q, cos, sin), self.keys[:, :, :end], self.values[:, :, :end],
            is_causal=T > 1, enable_gqa=True,
        )  # fmt: skip
        x = x + self.o_proj(out.transpose(1, 2).reshape(B, T, C))
        y = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


def _rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def open_weights(folder):
    """The tensors of model.safetensors one after another, as (name, array), each read on its own."""
    with open(folder / "model.safetensors", "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            file.seek(8 + length + entry["data_offsets"][0])
            size = entry["data_offsets"][1] - entry["data_offsets"][0]
            yield name, np.fromfile(file, np.float32, size // 4).reshape(entry["shape"])


def llama(job, room):
    """(layers, embedding, last norm) with the weights of the folder."""
    m = job.sizes["model"]
    with torch.device("meta"):
        layers = nn.ModuleList(LlamaLayer(m, room) for _ in range(m["num_hidden_layers"]))
        embedding = nn.Embedding(m["vocab_size"], m["hidden_size"])
        norm = nn.RMSNorm(m["hidden_size"], m["rms_norm_eps"])
    whole = nn.ModuleDict({"layers": layers, "embed_tokens": embedding, "norm": norm})
    loaded = {}
    for name, array in open_weights(job.model):
        short = name.removeprefix("model.").replace("self_attn.", "").replace("mlp.", "")
        loaded[short] = torch.from_numpy(array)
    whole.load_state_dict(loaded, assign=True)
    for layer in layers:
        layer.keys, layer.values = torch.zeros(2, *layer.keys.shape)
    return layers, embedding, norm


@torch.inference_mode()
def decode(job):
    """One token after the prompt and some others."""
    s, m = job.sizes, job.sizes["model"]
    room = s["prompt"] + s["warm_up"] + s["steps"]
    layers, embedding, norm = llama(job, room)
    width = m["hidden_size"] // m["num_attention_heads"]
    angle = torch.arange(room)[:, None] / m["rope_theta"] ** (torch.arange(0, width, 2) / width)
    cos, sin, start = angle.cos(), angle.sin(), 0
    ids = np.random.default_rng(1).integers(0, m["vocab_size"], (1, s["prompt"]))
    ids, found = torch.from_numpy(ids), []

    def step():
        nonlocal start, ids
        x, end = embedding(ids), start + ids.shape[1]
        for layer in layers:
            x = layer(x, start, cos[start:end], sin[start:end])
        start = end
        highest, ids = F.linear(norm(x[:, -1:]), embedding.weight)[:, -1].max(-1, keepdim=True)
        found.append(highest.item())

    for _ in range(s["warm_up"]):
        step()
    ms = median_ms(step, s["steps"])
    return {"ms": ms, "rss_mb": memory_mb(), "check": found[: s["warm_up"]]}


def engine(job):
    """Milliseconds for one node, forward and backward."""
    x = torch.ones(2, requires_grad=True)

    def chain():
        y = x
        for _ in range(2000):
            y = y + 1.0
        y.sum().backward()

    chain()
    gradient = x.grad.tolist()
    return {"ms": median_ms(chain, job.repeats) / 2000, "rss_mb": memory_mb(), "check": gradient}


if __name__ == "__main__":
    main(
        {
            "gpt": gpt, "gpt6": gpt, "lstm": lstm, "encoder": encoder, "bert": bert,
            "bert-forward": bert_forward, "decode": decode, "engine": engine,
            "gradcheck": gradcheck("torch"),
        },
        versions,
    )  # fmt: skip
