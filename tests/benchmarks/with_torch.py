"""One step of each workload with PyTorch eager:  python with_torch.py WORKLOAD (see the end)."""

import json
import math
import sys

import torch
import torch.nn.functional as F
from timing import WARM_UP, median_ms, peak_mb, report
from torch import nn

torch.manual_seed(0)
VERSIONS = f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"


def training_step(model, optimizer, loss_of, clip=None):
    def step():
        loss = loss_of()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return loss.item()

    return step


B, T, C, H, L, V = 12, 64, 128, 4, 4, 65


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(C, bias=False), nn.LayerNorm(C, bias=False)
        self.c_attn, self.c_proj = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)
        self.c_fc = nn.Linear(C, 4 * C, bias=False)
        self.mlp_proj = nn.Linear(4 * C, C, bias=False)

    def forward(self, x):
        parts = self.c_attn(self.ln_1(x)).split(C, dim=2)
        q, k, v = (part.view(B, T, H, C // H).transpose(1, 2) for part in parts)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(out.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, C), nn.Embedding(T, C)
        self.h, self.ln_f = nn.ModuleList(Block() for _ in range(L)), nn.LayerNorm(C, bias=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * L) if "proj" in name else 0.02)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(T))
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)


def gpt():
    model = GPT()
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
    x, y = torch.randint(0, V, (2, B, T))

    def loss():
        return F.cross_entropy(model(x).view(-1, V), y.reshape(-1))

    report(training_step(model, optimizer, loss, 1.0), 40, versions=VERSIONS)


class LSTMClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 50)
        self.lstm = nn.LSTM(50, 128, batch_first=True)
        self.output = nn.Linear(128, 1)

    def forward(self, ids):
        _, (h, _) = self.lstm(self.embedding(ids))
        return self.output(h[-1])[:, 0]


def lstm():
    model = LSTMClassifier()
    x, y = torch.randint(0, 1000, (32, 50)), (torch.rand(32) < 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss():
        return F.binary_cross_entropy_with_logits(model(x), y)

    report(training_step(model, optimizer, loss), 60, versions=VERSIONS)


class EncoderLanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10_000, 512)
        layer = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 6)
        self.output = nn.Linear(512, 10_000)
        angle = torch.arange(64)[:, None] / 10000 ** (torch.arange(0, 512, 2) / 512)
        self.table = torch.stack([angle.sin(), angle.cos()], dim=-1).reshape(64, 512)
        self.mask = nn.Transformer.generate_square_subsequent_mask(64)

    def forward(self, ids):
        x = self.embedding(ids) * 512**0.5 + self.table
        return self.output(self.encoder(x, mask=self.mask, is_causal=True))


def encoder():
    model = EncoderLanguageModel()
    x, y = torch.randint(0, 10_000, (2, 4, 64))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def loss():
        return F.cross_entropy(model(x).reshape(-1, 10_000), y.reshape(-1))

    report(training_step(model, optimizer, loss), 10, versions=VERSIONS)


class Bert(nn.Module):
    """Embeddings, six encoder layers after which a norm stands, pooled first token, two classes."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(30522, 384), nn.Embedding(512, 384)
        self.types, self.norm = nn.Embedding(2, 384), nn.LayerNorm(384, 1e-12)
        layer = nn.TransformerEncoderLayer(
            384, 12, 1536, dropout=0.0, activation="gelu", batch_first=True, layer_norm_eps=1e-12
        )
        self.encoder = nn.TransformerEncoder(layer, 6)
        self.pooler, self.classifier = nn.Linear(384, 384), nn.Linear(384, 2)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids):
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        x = self.norm(x + self.types(torch.zeros_like(ids)))
        return self.classifier(torch.tanh(self.pooler(self.encoder(x)[:, 0])))


def bert():
    model = Bert()
    x, y = torch.randint(0, 30522, (8, 64)), torch.randint(0, 2, (8,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    report(
        training_step(model, optimizer, lambda: F.cross_entropy(model(x), y)), 10, versions=VERSIONS
    )


@torch.inference_mode()
def bert_forward():
    model, x = Bert().eval(), torch.randint(0, 30522, (8, 64))
    for _ in range(WARM_UP):
        model(x)
    ms = median_ms(lambda: model(x), 30)
    print(json.dumps({"ms": ms, "rss_mb": peak_mb(), "versions": VERSIONS}))


class LlamaLayer(nn.Module):
    """SmolLM2's layer: width 576, 9 heads of queries, 3 of keys, 1536 inside."""

    def __init__(self):
        super().__init__()
        linear = lambda inner, outer: nn.Linear(inner, outer, bias=False)  # noqa: E731
        self.q, self.k, self.v = linear(576, 576), linear(576, 192), linear(576, 192)
        self.o, self.gate, self.up = linear(576, 576), linear(576, 1536), linear(576, 1536)
        self.down = linear(1536, 576)
        self.norm_1, self.norm_2 = nn.RMSNorm(576, 1e-5), nn.RMSNorm(576, 1e-5)
        self.keys, self.values = torch.zeros(2, 1, 3, 128, 64)

    def forward(self, x, start, cos, sin):
        B, T, _ = x.shape
        y = self.norm_1(x)
        q, k, v = (f(y).view(B, T, -1, 64).transpose(1, 2) for f in (self.q, self.k, self.v))
        q, k = (_rotate(z, cos, sin) for z in (q, k))
        self.keys[:, :, start : start + T], self.values[:, :, start : start + T] = k, v
        out = F.scaled_dot_product_attention(
            q, self.keys[:, :, : start + T], self.values[:, :, : start + T],
            is_causal=T > 1, enable_gqa=True,
        )  # fmt: skip
        x = x + self.o(out.transpose(1, 2).reshape(B, T, 576))
        y = self.norm_2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


def _rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


@torch.inference_mode()
def decode():
    embedding, norm = nn.Embedding(49152, 576), nn.RMSNorm(576, 1e-5)
    layers = nn.ModuleList(LlamaLayer() for _ in range(30))
    angle = torch.arange(128)[:, None] / 100000 ** (torch.arange(0, 64, 2) / 64)
    cos, sin = angle.cos(), angle.sin()
    start = 0

    def step(ids):
        nonlocal start
        x, end = embedding(ids), start + ids.shape[1]
        for layer in layers:
            x = layer(x, start, cos[start:end], sin[start:end])
        start = end
        return F.linear(norm(x[:, -1:]), embedding.weight)[:, -1].argmax(-1, keepdim=True)

    token = step(torch.randint(0, 49152, (1, 64)))

    def one():
        nonlocal token
        token = step(token)

    for _ in range(4):
        one()
    print(json.dumps({"ms": median_ms(one, 40), "rss_mb": peak_mb(), "versions": VERSIONS}))


if __name__ == "__main__":
    workloads = {
        "gpt": gpt, "lstm": lstm, "encoder": encoder, "bert": bert, "bert-forward": bert_forward,
        "decode": decode,
    }  # fmt: skip
    workloads[sys.argv[1]]()
