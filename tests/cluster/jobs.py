"""What the ranks of a test do:  mpiexec -n N python -m mpi4py jobs.py JOB FOLDER

Each job leaves what it found in FOLDER, one file for each rank; the test that started it reads them.
"""

import importlib
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import minillm.functional as F
from minillm import Device, Tensor, manual_seed, nn
from minillm.backend import array_module, default_generator, to_numpy
from minillm.cluster import Ranks
from minillm.models import GPT2Config, GPT2LMHeadModel
from minillm.optim import SGD, AdamW, schedule
from minillm.training import fit

# some batches of the examples have no target at all, which cross_entropy mentions
JOBS_WARN = "ignore:cross_entropy"
SHAPES = [(3,), (2, 5), (300_000,), (7, 11), (1,), (4, 2)]
DTYPES = [np.float32, np.float64, np.float32, np.float32, np.float64, np.float32]


def gradients(rank):
    """Gradients of one rank: some missing on one rank, one missing everywhere."""
    rng = np.random.default_rng([rank, 5])
    grads = [
        rng.standard_normal(s).astype(d) * 10.0**rank for s, d in zip(SHAPES, DTYPES, strict=True)
    ]
    if rank == 1:
        grads[1] = None
    grads[3] = None
    return grads


def tensors(rank):
    """Parameters that hold these gradients; the last one in the other memory order."""
    found = []
    for shape, dtype, grad in zip(SHAPES, DTYPES, gradients(rank), strict=True):
        p = nn.Parameter(np.zeros(shape, dtype))
        p.grad = grad
        found.append(p)
    found[-1].grad = np.asfortranarray(found[-1].grad)
    return found


def sums(ranks, folder):
    """Sums of numbers and gradients, three times over: the later ones use the buffers again."""
    rng = np.random.default_rng(ranks.rank)
    results = {"numbers": ranks.sum(rng.standard_normal(5)), "matrix": ranks.sum([[ranks.rank, 1]])}
    for again in range(3):
        parameters = tensors(ranks.rank)
        parameters.append(Tensor(np.ones(2, np.float32)))  # frozen: not a message, and no gradient
        ranks.sum_gradients([("name", parameters[2]), *parameters])  # the large one twice
        for number, p in enumerate(parameters):
            if p.grad is not None:
                results[f"grad{number}.{again}"] = p.grad
    np.savez(folder / f"{ranks.rank}.npz", **results)


def strict(ranks, folder):
    """The same on the stand-in for CuPy: every crossing between host and device must be spelled out."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.device import strict as stand_in  # registers the device

    device = Device("strict")
    parameters = tensors(ranks.rank)
    for p in parameters:
        p.data = device.put(p.data)
        p.grad = None if p.grad is None else device.put(np.ascontiguousarray(p.grad))
    ranks.sum_gradients(parameters)
    assert all(p.grad is None or isinstance(p.grad, stand_in.ndarray) for p in parameters)
    model = nn.Linear(3, 2, rng=np.random.default_rng(ranks.rank)).to(device)
    ranks.share(model)
    assert isinstance(model.weight.data, stand_in.ndarray)
    results = {f"grad{i}": p.grad.get() for i, p in enumerate(parameters) if p.grad is not None}
    np.savez(folder / f"{ranks.rank}.npz", weight=model.weight.data.get(), **results)


class Noisy(nn.Module):
    """A model with a generator of its own."""

    def __init__(self, seed):
        self.dense = nn.Linear(3, 2, rng=np.random.default_rng(seed))
        self.tilted = nn.Parameter(np.asfortranarray(np.random.default_rng(seed).random((2, 3))))
        self.rng = np.random.default_rng(seed + 100)


def share(ranks, folder):
    """Models and generators that differ until they are shared."""
    manual_seed(ranks.rank)
    default_generator().random(3 + ranks.rank)
    model, other = Noisy(ranks.rank), nn.Linear(1, 1, rng=np.random.default_rng(ranks.rank + 50))
    extra = np.random.default_rng(ranks.rank + 9)
    before = {name: p.copy() for name, p in model.state_dict().items()}
    ranks.share(model, other, extra)
    after = {f"after.{name}": p for name, p in model.state_dict().items()}
    draws = [g.random() for g in (default_generator(), model.rng, extra)]
    np.savez(folder / f"{ranks.rank}.npz", draws=draws, other=other.weight.data, **before, **after)


def share_other_models(ranks, folder):
    """Rank 1 has built another model."""
    ranks.share(nn.Linear(3, 2 + (ranks.rank == 1)))


def waiting(ranks, folder):
    """Rank 0 comes late; the others must not pass the barrier before it."""
    if ranks.first:
        time.sleep(0.3)
        (folder / "arrived").touch()
    ranks.barrier()
    passed = (folder / "arrived").exists()
    (folder / f"{ranks.rank}.json").write_text(json.dumps(passed), encoding="utf-8")


def half_precision(ranks, folder):
    """A gradient that MPI cannot add."""
    p = nn.Parameter(np.zeros(3, np.float16))
    p.grad = np.ones(3, np.float16)
    ranks.sum_gradients([p])


def raising(ranks, folder):
    """One rank fails while the others wait for it."""
    if ranks.rank == ranks.size - 1:
        raise ArithmeticError("a wrong number on purpose")
    ranks.barrier()


def leaving(ranks, folder):
    """One rank goes away with an exit status, inside the block."""
    with ranks:
        if ranks.rank == ranks.size - 1:
            sys.exit(7)
        ranks.barrier()


def mismatched(ranks, folder):
    """Nothing: it is started with environment variables that do not fit."""


# --------------------------------------------------------------------------------- training


class SometimesUsed(nn.Module):
    """A small GPT, a parameter that only rows with the id 0 use, and one that nothing uses."""

    def __init__(self, dropout):
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
        config = GPT2Config(
            vocab_size=11, n_positions=7, n_embd=8, n_layer=2, n_head=2, bias=False, **drops
        )
        self.gpt = GPT2LMHeadModel(config, rng=np.random.default_rng(5))
        self.zeros = nn.Parameter(np.full(11, 0.1, np.float32))
        self.unused = nn.Parameter(np.ones(3, np.float32))

    def forward(self, ids):
        logits = self.gpt(ids).logits
        has_zero = (np.asarray(ids) == 0).any(axis=1)
        if not has_zero.any():
            return logits
        mask = has_zero[:, None, None].astype(logits.dtype)
        return logits + self.zeros * array_module(logits.data).asarray(mask)


def examples(rows=23):
    """Ids with targets; the -100 among them are spread unevenly, and rows 4 to 8 have nothing else."""
    rng = np.random.default_rng(17)
    x, y = rng.integers(0, 11, (2, rows, 7))
    x[1::2] = np.maximum(x[1::2], 1)  # so that some parts of a batch have no row with a 0
    y[rng.random((rows, 7)) < np.linspace(0, 0.8, rows)[:, None]] = -100
    x[4:9], y[4:9] = np.maximum(x[4:9], 1), -100
    return x, y


def train(ranks, folder, **changes):
    """A training of 23 rows in batches of 7, 7, 7 and 2: (model, history)."""
    options = {"steps": 50, "dtype": "float32", "dropout": 0.0, "accumulate": 1, "optimizer": "AdamW",
               "shuffle": True, "device": "cpu", "workers": None, "checkpoint": False,
               "seeds": False, "on_step": None, "evaluate_every": 5} | changes  # fmt: skip
    manual_seed(99 + (ranks.rank if options["seeds"] else 0))
    model = SometimesUsed(options["dropout"])
    for p in model.parameters():
        p.data = p.data.astype(options["dtype"])
    model.to(Device(options["device"]))
    make = {"AdamW": AdamW, "SGD": lambda p, lr: SGD(p, lr=30 * lr, momentum=0.9)}
    optimizer = make[options["optimizer"]](model.named_parameters(), lr=3e-3)
    history = fit(
        model, optimizer, examples(), validation=examples(9), steps=options["steps"],
        loss=F.cross_entropy, schedule=schedule.cosine(optimizer, 5, 50), clip=0.5, batch_size=7,
        accumulate=options["accumulate"], shuffle=options["shuffle"], metrics={"agree": agree},
        evaluate_every=options["evaluate_every"], workers=options["workers"],
        checkpoint=folder / "checkpoint" if options["checkpoint"] else None,
        resume=options["checkpoint"],
        on_step=partial(ON_STEP[options["on_step"]], ranks, folder),
        ranks=ranks if ranks.size > 1 else None,
    )  # fmt: skip
    return model, history


def agree(logits, targets):
    """The share of targets that are the most likely id."""
    counted = targets != -100
    return float((logits.argmax(-1) == targets)[counted].mean()) if counted.any() else 0.0


def fail(ranks, folder, step, history):
    """The last rank fails after step 7."""
    if step == 7 and ranks.rank == ranks.size - 1:
        raise ArithmeticError("step 7 on purpose")


def die(ranks, folder, step, history):
    """The last rank is killed after step 7: no handler runs, nothing is said."""
    if step == 7 and ranks.rank == ranks.size - 1:
        os.kill(os.getpid(), signal.SIGKILL)


def die_first(ranks, folder, step, history):
    """The first rank, the one that saves, is killed."""
    if step == 7 and ranks.first:
        os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ctrl_c(ranks, folder, step, history):
    """From step 7 on, steps take long enough for somebody to press Ctrl-C in one of them."""
    if step >= 7:
        (folder / f"waiting.{ranks.rank}").touch()
        time.sleep(0.2)


def nothing(ranks, folder, step, history):
    """Go on."""


ON_STEP = {
    None: nothing, "fail": fail, "die": die, "die first": die_first, "wait": wait_for_ctrl_c
}  # fmt: skip


def training(ranks, folder, options):
    """Train, and leave the parameters and the history."""
    options = json.loads(options)
    if options.get("device") == "strict":
        sys.path.insert(0, str(Path(__file__).parents[2]))
        importlib.import_module("tests.device.strict")
    model, history = train(ranks, folder, **options)
    arrays = {name: to_numpy(p) for name, p in model.state_dict().items()}
    np.savez(folder / f"{ranks.rank}.npz", **arrays)
    record = {**history.history, "losses": history.losses, "interrupted": history.interrupted}
    (folder / f"{ranks.rank}.json").write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    globals()[sys.argv[1]](Ranks(), Path(sys.argv[2]), *sys.argv[3:])
