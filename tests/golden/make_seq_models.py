"""Write seq_models.safetensors: recurrent models, Transformer LM and encoder-decoder by PyTorch.

    python -m pip install torch
    python tests/golden/make_seq_models.py

Each case is a set of arrays case.kind.name: the inputs, logits, loss, and every parameter and its
gradient in our names (make_nn.py translates them).  Everything is float64, every parameter is
shifted by noise, so that biases and norms are visible.  Padding stands on the right, where PyTorch
has a counterpart: packed sequences, key padding masks.
"""

import math
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from make_nn import causal, in_our_names, recurrent_in_our_names, shifted
from safetensors.numpy import save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

FOLDER = Path(__file__).parent
SEED = 20240703
V, C, HIDDEN = 13, 6, 5
LENGTHS = torch.tensor([7, 4, 1])
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def batch(rng, lengths=LENGTHS, vocabulary=V):
    """Ids of this many tokens in each row, padded with 0 on the right, and their 1/0 mask."""
    T = int(lengths.max())
    mask = (torch.arange(T) < lengths[:, None]).long()
    ids = torch.tensor(rng.integers(1, vocabulary, (len(lengths), T)))
    return ids * mask, mask


def positions(x):
    """The table of sines, as in the tutorials of the Transformer language model."""
    _, T, width = x.shape
    table = torch.zeros(T, width, dtype=x.dtype)
    position = torch.arange(T, dtype=x.dtype)[:, None]
    speed = torch.exp(torch.arange(0, width, 2, dtype=x.dtype) * (-math.log(10000.0) / width))
    table[:, 0::2] = torch.sin(position * speed)
    table[:, 1::2] = torch.cos(position * speed)
    return x + table


def store(out, case, inputs, logits, loss, modules):
    """modules   our prefix -> (a module of PyTorch, how its arrays are translated)"""
    loss.backward()
    out |= {f"{case}.input.{name}": x for name, x in inputs.items()}
    out[f"{case}.output.logits"], out[f"{case}.output.loss"] = logits, loss
    for prefix, (module, translate) in modules.items():
        parameters = dict(module.named_parameters())
        values = {name: p.detach().numpy() for name, p in parameters.items()}
        slopes = {name: p.grad.numpy() for name, p in parameters.items()}
        for kind, arrays in (("weight", values), ("grad", slopes)):
            for name, array in translate(arrays, gradients=kind == "grad"):
                out[f"{case}.{kind}.{prefix}.{name}"] = array


def as_it_is(arrays, *, gradients):
    return arrays.items()


def turned(arrays, *, gradients):
    for name, array in arrays.items():
        yield from in_our_names(name, array)


def run_packed(stack, x, lengths):
    """(outputs, 0 at padding; the final h of every layer and direction)."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    h, last = stack(packed)
    h, _ = pad_packed_sequence(h, batch_first=True, total_length=x.shape[1])
    return h, last[0] if isinstance(last, tuple) else last


def classifiers(out, rng):
    for cell, make in CELLS.items():
        for directions, layers, labels in (
            (1, 1, torch.tensor([1.0, 0.0, 0.25], dtype=torch.float64)),
            (2, 2, torch.tensor([2, 0, 3])),
        ):
            classes = 1 if directions == 1 else 4
            table = shifted(nn.Embedding(V, C), rng)
            stack = make(C, HIDDEN, layers, batch_first=True, bidirectional=directions == 2)
            stack, head = shifted(stack, rng), shifted(nn.Linear(HIDDEN * directions, classes), rng)
            ids, mask = batch(rng)
            _, last = run_packed(stack, table(ids), LENGTHS)
            logits = head(last[-1] if directions == 1 else torch.cat([last[-2], last[-1]], -1))
            loss = (
                F.binary_cross_entropy_with_logits(logits[:, 0], labels)
                if classes == 1
                else F.cross_entropy(logits, labels)
            )
            inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
            modules = {
                "embedding": (table, as_it_is),
                "stack": (stack, partial(recurrent_in_our_names, cell)),
                "output": (head, turned),
            }
            store(out, f"classifier_{cell}_{directions}", inputs, logits, loss, modules)


def shifted_loss(logits, labels):
    return F.cross_entropy(logits[:, :-1].reshape(-1, V), labels[:, 1:].reshape(-1))


def recurrent_language_models(out, rng):
    for cell, tied in (("lstm", False), ("gru", True), ("rnn", False)):
        table = shifted(nn.Embedding(V, C), rng)
        width = C if tied else HIDDEN
        stack = shifted(CELLS[cell](C, width, 2, batch_first=True), rng)
        head = shifted(nn.Linear(width, V), rng)
        ids, mask = batch(rng)
        labels = ids.masked_fill(mask == 0, -100)
        h, _ = run_packed(stack, table(ids), LENGTHS)
        logits = F.linear(h, table.weight, head.bias) if tied else head(h)
        modules = {
            "embedding": (table, as_it_is),
            "stack": (stack, partial(recurrent_in_our_names, cell)),
        }
        if tied:
            head.weight = None
        else:
            modules["output"] = (head, turned)
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        case = f"language_model_{cell}"
        store(out, case, inputs, logits, shifted_loss(logits, labels), modules)
        if tied:
            out[f"{case}.weight.output_bias"] = head.bias
            out[f"{case}.grad.output_bias"] = head.bias.grad


def transformer_language_model(out, rng):
    table = shifted(nn.Embedding(V, C), rng)
    layer = nn.TransformerEncoderLayer(C, 3, 4, 0.0, batch_first=True)
    encoder = shifted(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), rng)
    head = shifted(nn.Linear(C, V), rng)
    ids, mask = batch(rng)
    labels = ids.masked_fill(mask == 0, -100)
    x = positions(table(ids) * math.sqrt(C))
    x = encoder(x, mask=causal(ids.shape[1]), src_key_padding_mask=mask == 0)
    logits = head(x)
    modules = {
        "encoder": (table, as_it_is), "transformer_encoder": (encoder, turned),
        "decoder": (head, turned),
    }  # fmt: skip
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    loss = shifted_loss(logits, labels)
    store(out, "transformer_lm", inputs, logits, loss, modules)


def encoder_decoder(norm_first):
    """nn.Transformer; post-norm without a norm after the last layer, as in the paper."""
    options = {
        "dim_feedforward": 4, "dropout": 0.0, "activation": "gelu" if norm_first else "relu",
        "norm_first": norm_first, "batch_first": True,
    }  # fmt: skip
    model = nn.Transformer(C, 3, 2, 2, **options)
    if not norm_first:
        model.encoder.norm = model.decoder.norm = None
    return model


def encoder_decoders(out, rng):
    for order, tied, smoothing in (("post", True, 0.1), ("pre", False, 0.0)):
        targets = V if tied else 11
        model = shifted(encoder_decoder(order == "pre"), rng)
        source_table = shifted(nn.Embedding(V, C), rng)
        target_table = source_table if tied else shifted(nn.Embedding(targets, C), rng)
        head = shifted(nn.Linear(C, targets, bias=False), rng)
        ids, mask = batch(rng)
        words, shown = batch(rng, torch.tensor([3, 5, 2]), targets)
        labels = words.masked_fill(shown == 0, -100)
        read = torch.cat([torch.ones(3, 1, dtype=torch.long), words[:, :-1]], 1)
        x = model(
            positions(source_table(ids) * math.sqrt(C)),
            positions(target_table(read) * math.sqrt(C)),
            tgt_mask=causal(words.shape[1]), src_key_padding_mask=mask == 0,
            memory_key_padding_mask=mask == 0,
        )  # fmt: skip
        logits = F.linear(x, source_table.weight) if tied else head(x)
        loss = F.cross_entropy(
            logits.reshape(-1, targets), labels.reshape(-1), label_smoothing=smoothing
        )
        modules = {"embedding": (source_table, as_it_is), "transformer": (model, turned)}
        if not tied:
            modules |= {"target_embedding": (target_table, as_it_is), "output": (head, turned)}
        inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        store(out, f"seq2seq_{order}", inputs, logits, loss, modules)


def main():
    out, rng = {}, np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    classifiers(out, rng)
    recurrent_language_models(out, rng)
    transformer_language_model(out, rng)
    encoder_decoders(out, rng)
    arrays = {
        name: (x.detach().numpy() if isinstance(x, torch.Tensor) else x).copy(order="C")
        for name, x in out.items()
    }
    save_file(arrays, FOLDER / "seq_models.safetensors")
    print(f"written with torch {torch.__version__}")


if __name__ == "__main__":
    main()
