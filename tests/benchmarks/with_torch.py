"""One training step of each workload with PyTorch eager:  python with_torch.py gpt|lstm|encoder."""

import math
import sys

import torch
import torch.nn.functional as F
from timing import report
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


if __name__ == "__main__":
    {"gpt": gpt, "lstm": lstm, "encoder": encoder}[sys.argv[1]]()
