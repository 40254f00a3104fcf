# %% [markdown]
# # A · The same code on CUDA
#
# **You need:** [chapter 2](02_gradients.ipynb) (an operation is a pair of functions), [chapter 7](07_optimizers.ipynb) (the training step). No GPU.
#
# **Time:** 30 minutes of reading, 35 for the exercises.
#
# **You will be able to** write operations that run on the processor and on a GPU, say what makes a GPU wait, estimate whether a model fits and how long a step takes, and share a batch among several workers.

# %% [markdown]
# ## Why it matters
#
# A **graphics processing unit (GPU)（图形处理器）** does the same simple work on many numbers at once, and
# training is just that. CUDA is NVIDIA's way to program it, and CuPy is a Python library with the
# functions of NumPy that runs on CUDA. So the mathematics of this book need not change at all. Four
# things around it do: which library to call, where an array lies, when one has to wait, and how wide
# the numbers are. This page explains them without a GPU, on a stand-in that we write ourselves.

# %% tags=["setup"]
import math
import operator
import textwrap
import types
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

import minillm.functional as F
from minillm import Device, manual_seed, nn, ops, optim
from minillm.backend import array_module, register_backend, to_device, to_numpy
from minillm.cluster import Compute, Link
from minillm.gradcheck import check_gradients
from minillm.models import GPT2Config, model_cost
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Which library? The array knows
#
# Every operation of this project begins with the same line, `xp = array_module(x)`, and then calls
# `xp.exp`, `xp.sum` and so on. For a NumPy array `xp` is NumPy, for a CuPy array it is CuPy. Nobody
# passes a flag around; the data decides.

# %% library="minillm.backend:array_module"

# %% [markdown]
# ## Two memories
#
# The **host（主机）** is the computer with its processor and its memory. The **device（设备）** is the GPU,
# with a memory of its own. A function on the device can only read what lies in the memory of the
# device. Between the two stand a few doors:
#
# | door | direction | when |
# |---|---|---|
# | `Device("cuda").put(x)`, `to_device(x, "cuda")`, `model.to("cuda")` | host to device | once, for the weights; for each batch |
# | `to_numpy(x)`, `x.get()` | device to host | for pictures and files |
# | `loss.item()`, `float(x)` | one number to the host | for printing; and this one is costly, as we shall see |
#
# You may have no GPU at hand, so let us write something that only pretends to be one: arrays that keep
# their numbers hidden, refuse what CuPy would refuse, and count what costs time on a real device. It is
# an ordinary class; nothing in the library knows it. You need not read all of it now.

# %% tags=["setup"]
counts = Counter()


class Array:
    """A NumPy array that pretends to live on a GPU."""

    __array_ufunc__ = None  # NumPy's own functions refuse it

    def __init__(self, hidden):
        self.hidden = hidden

    def __array__(self, *args, **options):
        raise TypeError("this array lives on the device: NumPy cannot read it, use xp or .get()")

    def __getattr__(self, name):  # methods and properties: x.sum(), x.shape, x.T
        value = getattr(self.hidden, name)
        return on_device(value) if callable(value) else wrap(value)

    def __getitem__(self, index):
        return on_device(operator.getitem)(self, index)

    def __setitem__(self, index, value):
        on_device(operator.setitem)(self, index, value)

    def __len__(self):
        return len(self.hidden)

    def get(self):
        """To the host: the host waits until the device is done, then the numbers are copied."""
        counts.update(waits=1, downloads=1)
        return self.hidden.copy()

    def __float__(self):
        counts.update(waits=1)
        return float(self.hidden)

    def item(self):
        """One number to the host."""
        return float(self)


def unwrap(x):
    """What the device sees: its own arrays and plain numbers, but no array of the host."""
    if isinstance(x, np.ndarray):
        raise TypeError("a host array in a call on the device: carry it over first, with .put")
    if isinstance(x, Array):
        return x.hidden
    return type(x)(map(unwrap, x)) if type(x) in (list, tuple) else x


def wrap(x):
    """Results stay on the device; NumPy's scalars become arrays without axes."""
    if type(x) in (list, tuple):
        return type(x)(map(wrap, x))
    return Array(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def on_device(function):
    """The same function for device arrays; each call launches a kernel."""

    def launch(*args, **options):
        counts.update(kernels=1)
        return wrap(function(*unwrap(args), **{k: unwrap(v) for k, v in options.items()}))

    if isinstance(function, np.ufunc):
        launch.reduceat = on_device(function.reduceat)
    return launch


for name in "add sub mul truediv pow matmul neg lt le gt ge eq ne and or invert".split():
    for form in (f"__{name}__", f"__r{name}__", f"__i{name}__"):
        if hasattr(np.ndarray, form):
            setattr(Array, form, on_device(getattr(np.ndarray, form)))


class Library(types.ModuleType):
    """What `import cupy` would give: NumPy's functions, for device arrays."""

    def __getattr__(self, name):
        value = getattr(np, name)
        return on_device(value) if callable(value) and not isinstance(value, type) else value

    def asarray(self, a, dtype=None):
        """The door in."""
        if isinstance(a, Array):
            return a
        counts.update(uploads=1)
        return Array(np.array(a, dtype=dtype))


register_backend("pretend", lambda library=Library("pretend"): library, Array)

# %% [markdown]
# (The project's own stand-in, in `tests/device/`, is much stricter: it has exactly the names
# and arguments of CuPy. This one is enough to learn from.) Now softmax of chapter 5 on both. A
# **kernel（核函数）** is a function that runs on the GPU; each call of the array library launches at least
# one. (Our stand-in counts every call, also those that only make a view.)

# %%
x = rng.standard_normal((3, 5)).astype(np.float32)
counts.clear()
there = Device("pretend").put(x)
out, saved = ops.softmax_forward(there)
(grad,) = ops.softmax_backward(out, saved)
print(f"library of x: {array_module(x).__name__}; library of there: {array_module(there).__name__}")
print("so far:", dict(counts))
here = to_numpy(out)
print("after to_numpy:", dict(counts))
print("the same bits:", np.array_equal(here, ops.softmax_forward(x)[0]))

# %% tags=["check"]
assert np.array_equal(here, ops.softmax_forward(x)[0])
assert counts["waits"] == 1
assert counts["uploads"] == 1

# %% [markdown]
# ## A classic mistake that no gradient check can see
#
# Here is an operation, the square of ReLU, with `np.` where `xp.` should stand. Its mathematics is
# right, so the gradient check on the host passes:


# %%
def squared_relu_forward(x):
    positive = np.maximum(x, 0)
    return positive * positive, positive


def squared_relu_backward(grad_out, positive):
    return (2 * grad_out * positive,)


print(check_gradients(squared_relu_forward, squared_relu_backward, rng.standard_normal((3, 5))))


def attempt(what, function):
    """Run, and print the refusal."""
    try:
        function()
    except (TypeError, AttributeError) as error:
        print(textwrap.fill(f"{what}: {type(error).__name__}: {error}", 84))
    else:
        print(f"{what}: runs")


attempt("np.maximum(there, 0)", lambda: squared_relu_forward(there))
attempt("there + x", lambda: there + x)
attempt("ops.add_forward(there, x)", lambda: ops.add_forward(there, x))

# %% tags=["check"]
assert check_gradients(
    squared_relu_forward, squared_relu_backward, rng.standard_normal((3, 5))
).passed
refused = 0
for mixed in (lambda: squared_relu_forward(there), lambda: there + x):
    try:
        mixed()
    except TypeError:
        refused += 1
assert refused == 2

# %% [markdown]
# The last message is the library's: it names both sides and says how to get them together. A check on
# the device, or on a stand-in, belongs to every operation beside the gradient check.
#
# Two more habits matter on a GPU:
#
# - **No `a[ids] += b` with repeated ids.** In NumPy it loses gradients ([chapter 6](06_embedding.ipynb)); on a GPU thousands of threads write at once, and which one stays is not even defined. `scatter_add` of `minillm/backend.py` does it right on both.
# - **Keep float32.** Most GPUs are many times slower with float64, and one scalar is enough to get there:

# %%
print("x * math.sqrt(2):", (there * math.sqrt(2)).dtype)
print("x * np.sqrt(2):  ", (there * np.sqrt(2)).dtype)

# %% tags=["check"]
assert (there * math.sqrt(2)).dtype == np.float32
assert (there * np.sqrt(2)).dtype == np.float64

# %% [markdown]
# `math.sqrt` gives a Python number, which takes the width of the array. `np.sqrt` gives a NumPy
# scalar, which is float64 and pulls the array along.
#
# ## Waiting
#
# When Python calls a function on the GPU, it does not wait for the result. It puts the kernel into a
# queue and goes on; the queue is worked off meanwhile. As long as the host is ahead, the GPU never
# rests. But a number that Python wants to see, to print it or to ask `if loss < best`, must have been
# computed: the host waits until the queue is empty. This is a **synchronisation（同步）**, and then the
# GPU waits in turn, because its queue *is* empty.
#
# Let a launch take 1 unit of time on the host, and a kernel 2 units on the device:


# %% tags=["setup"]
def timeline(kernels, read_after, launch=1.0, work=2.0):
    """(start, length) of each launch on the host and each kernel on the device.

    read_after   the host reads a result after every so many kernels
    """
    host, device = [], []
    now = free = 0.0
    for number in range(1, kernels + 1):
        host.append((now, launch))
        now += launch
        begin = max(now, free)
        device.append((begin, work))
        free = begin + work
        if number % read_after == 0:
            now = max(now, free)  # the host waits
    return host, device


# %% alt="Two timelines of eight kernels. Above, the host reads after every kernel: launches and kernels alternate, each side waits for the other, and the end comes at 24 units. Below, it reads once at the end: the launches run ahead, the kernels follow each other without a gap, and the end comes at 17 units."
fig, both = plt.subplots(2, 1, figsize=(7.2, 3.6), sharex=True)
ends = {}
for axes, read_after in zip(both, (1, 8), strict=True):
    host, device = timeline(8, read_after)
    ends[read_after] = sum(device[-1])
    axes.broken_barh(host, (1.1, 0.8), color="C0", edgecolor="white")
    axes.broken_barh(device, (0.1, 0.8), color="C1", edgecolor="white")
    axes.set_yticks([1.5, 0.5], ["host: launches", "device: kernels"])
    what = "after every kernel" if read_after == 1 else "once, at the end"
    axes.set(title=f"The host reads {what}: {ends[read_after]:.0f} units", ylabel="who")
both[1].set_xlabel("time (units of one launch)")
plt.show()

# %% tags=["check"]
assert ends == {1: 24.0, 8: 17.0}
busy = 8 * 2.0
assert busy / ends[8] > 0.9 > busy / ends[1]

# %% [markdown]
# This is also why a clock must not be read without `device.synchronize()`: it would measure how fast
# the queue was filled.
#
# How often does the library wait in a training step? Count it, on a small model and with Adam:

# %%
manual_seed(0)
model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11)).to("pretend")
optimiser = optim.Adam(model.parameters(), lr=0.01)
ids, following = np.array([1, 2, 3, 2]), np.array([2, 3, 2, 5])
for step in range(2):
    counts.clear()
    loss = F.cross_entropy(model(ids), following)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    print(
        f"step {step}:",
        ", ".join(f"{counts[key]} {key}" for key in ("kernels", "uploads", "waits")),
    )
print(f"loss.item() = {loss.item():.4f}, and counts['waits'] is {counts['waits']} now")

# %% tags=["check"]
assert counts["waits"] == 1
manual_seed(0)
twin = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
helper = optim.Adam(twin.parameters(), lr=0.01)
for _ in range(2):
    same = F.cross_entropy(twin(ids), following)
    helper.zero_grad()
    same.backward()
    helper.step()
assert same.item() == loss.item()
ours, theirs = (list(m.parameters()) for m in (twin, model))
assert all(np.array_equal(a.data, to_numpy(b.data)) for a, b in zip(ours, theirs, strict=True))

# %% [markdown]
# There is no wait in a step, only one when the loss is read. The ids and targets go to the device
# unread, in a few small uploads: they are checked on the host, where they still are. After two steps
# all weights equal those of the same training on the host, bit for bit; on a real GPU sums are taken
# in another order, so the last digits may differ.
#
# ## How much work, how much memory
#
# Nearly all work in these models is matrix multiplication. One entry of $a\,b$ with $a$ $(m, k)$ and
# $b$ $(k, n)$ takes $k$ multiplications and $k$ additions, each a
# **floating-point operation (FLOP)（浮点运算）**:
#
# <a id="formula-matmul-cost"></a>
# $$\text{FLOP}(a\,b) = 2\, m\, n\, k \tag{1}$$
#
# Backward needs two such products, one for each gradient, so a training step costs three times a
# forward pass. A weight matrix with $P$ entries, applied to $N$ tokens, thus costs $2 N P$ forward
# and $6 N P$ in all. Sum this over a whole training with $D$ tokens:
#
# <a id="formula-training-cost"></a>
# $$\text{FLOP} \approx 6\, P\, D \tag{2}$$
#
# Memory is needed for each parameter four times: its value, its gradient, and Adam's two moments. In
# float32, before a single activation is kept, that is
#
# <a id="formula-parameter-memory"></a>
# $$\text{bytes} = 4 \cdot 4\, P \tag{3}$$
#
# `model_cost` adds up (1) over all parts of a model, and counts what forward keeps for backward:

# %%
cost = model_cost(GPT2Config(), batch_size=8, length=1024)
print(f"GPT-2, 8 texts of 1024 tokens: {cost.parameters / 1e6:.0f} million parameters")
print(f"  forward      {cost.forward_flop / 1e12:6.2f} TFLOP")
print(
    f"  step         {cost.training_flop / 1e12:6.2f} TFLOP; by the rule (2) {cost.rule_flop / 1e12:.2f}"
)
print(f"  parameters, gradients, Adam, by (3)  {16 * cost.parameters / 2**30:6.2f} GiB")
print(f"  kept for backward                    {cost.activation_bytes / 2**30:6.2f} GiB")
print(f"  most at one time                     {cost.peak_bytes / 2**30:6.2f} GiB")

# %% tags=["check"]
assert cost.training_flop == 3 * cost.forward_flop
assert 0.8 < cost.rule_flop / cost.training_flop < 1
assert cost.activation_bytes > 5 * 16 * cost.parameters

# %% [markdown]
# The activations need far more than the parameters. They grow with the batch, and in attention with
# the square of the length.
#
# ### Work or bandwidth?
#
# A device has two speeds: how many FLOP per second, and how many bytes per second from memory, its
# **bandwidth（带宽）**. The slower of the two decides. Take one with 20 TFLOP/s and 1 TB/s: while it
# reads or writes one byte it could do 20 FLOP, and while it moves one float32, 80. What needs fewer
# FLOP per byte waits for the memory.

# %%
flop_per_second, bytes_per_second = 20e12, 1e12
print("                               FLOP/byte   limited by")
for what, flop, numbers in [
    ("add two arrays of 4096 x 4096", 4096**2, 3 * 4096**2),
    ("matrix product, size 16", 2 * 16**3, 3 * 16**2),
    ("matrix product, size 4096", 2 * 4096**3, 3 * 4096**2),
]:
    work, traffic = flop / flop_per_second, 4 * numbers / bytes_per_second
    print(f"{what:>30} {flop / (4 * numbers):10.2f}   {'work' if work > traffic else 'bandwidth'}")

# %% tags=["check"]
assert 4 * flop_per_second / bytes_per_second == 80
assert 2 * 4096**3 / (12 * 4096**2) > 20 > 2 * 16**3 / (12 * 16**2)

# %% [markdown]
# Large matrix products keep a GPU busy; additions and small products leave it waiting for numbers.
# That is why one prefers few large operations to many small ones, on both kinds of machine.
#
# ## An experiment: does it fit?
#
# Change the model, the batch, the length and the memory. Which of them hurts most? The last three
# rows have the same number of tokens; where does the difference come from? (`python -m minillm info`
# prints the full table for a model.)

# %%
memory = 8 * 2**30
for batch_size, length in [(1, 1024), (2, 1024), (4, 1024), (8, 512), (16, 256)]:
    cost = model_cost(GPT2Config(), batch_size=batch_size, length=length)
    verdict = "fits" if cost.peak_bytes <= memory else "does not fit"
    print(f"batch {batch_size:2}, length {length:4}: {cost.peak_bytes / 2**30:5.2f} GiB, {verdict}")

# %% [markdown]
# ## One batch, many workers
#
# A GPU is not the only way to more speed. Several workers, be they cores, GPUs or machines, can share one batch. This is
# **data parallelism（数据并行）**: worker $k$ has the whole model, and takes $n_k$ of the batch's $n$ targets. The loss is the mean of
# the losses $\ell_i$ of all targets, so it is a weighted mean of the workers' losses $L_k$, and so is its gradient:
#
# <a id="formula-data-parallel"></a>
# $$L = \frac{1}{n} \sum_{i} \ell_i = \sum_{k} \frac{n_k}{n}\, L_k, \qquad
#   \frac{\partial L}{\partial w} = \sum_{k} \frac{n_k}{n}\, \frac{\partial L_k}{\partial w} \tag{4}$$
#
# Five words and one that does not count (its label is -100), shared by two workers:

# %%
words, labels = np.array([1, 2, 3, 2, 5, 7]), np.array([2, 3, 2, 5, 7, -100])


def gradient(rows):
    """(targets, gradient of the output matrix) of some rows of the batch."""
    manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11))
    F.cross_entropy(model(words[rows]), labels[rows]).backward()
    weight = list(model.parameters())[1]
    return (labels[rows] != -100).sum(), weight.grad


n, together = gradient(slice(0, 6))
(n_1, first), (n_2, second) = gradient(slice(0, 3)), gradient(slice(3, 6))
shared = n_1 / n * first + n_2 / n * second
print(f"by (4):              differs by {abs(shared - together).max():.0e}")
print(f"a mean of two means: differs by {abs((first + second) / 2 - together).max():.0e}")

# %% tags=["check"]
assert (n, n_1, n_2) == (5, 3, 2)
assert abs(shared - together).max() < 1e-6
assert abs((first + second) / 2 - together).max() > 1e-3

# %% [markdown]
# `fit(..., workers=2)` does this with two threads, and `fit(..., ranks=Ranks())` with the processes that `mpiexec` has started,
# on one machine or on many: [how it is fast](../docs/speed.md), [a cluster](../docs/cluster.md).
#
# What does it cost? After each step the workers add up their gradients, an **all-reduce（全归约）**. Let $K$ workers stand in a circle, each
# with $M$ bytes, cut into $K$ pieces. In each of $K - 1$ rounds every worker sends one piece to its neighbour, which adds it to its
# own; then the sums go around once more. With a latency of $\alpha$ seconds for a message, and $\beta$ bytes per second, that takes
#
# <a id="formula-all-reduce"></a>
# $$t = 2 (K - 1) \left( \alpha + \frac{M}{K\, \beta} \right) \tag{5}$$
#
# For many workers the bytes cost $2 M / \beta$, however many there are; but the work of each shrinks as $1/K$, and the latency grows:

# %%
row = Compute(fixed=0.02, row=0.04)  # seconds: the optimiser, and one text of the batch
network = Link(latency=20e-6, bandwidth=1.25e9)  # 10 gigabits per second
size = 4 * 10_800_000  # bytes of the gradients
print("workers   computes   all-reduce   speed-up on one batch of 64 texts")
speedups = []
for workers in (1, 2, 8, 64):
    compute, adding = row.seconds(64 // workers), network.seconds(workers, size)
    speedups.append(row.seconds(64) / (compute + adding))
    print(f"{workers:7} {compute:8.2f} s {adding:10.3f} s {speedups[-1]:10.1f}")

# %% tags=["check"]
assert 1.8 < speedups[1] < 2
assert speedups[3] < 64 / 2
assert network.seconds(64, size) < 2.2 * network.seconds(2, size)

# %% [markdown]
# ## On a real GPU
#
# If this machine has one, and CuPy, the next cell runs the training step from above on it. Only the
# name of the device is new, `"cuda"`, and the wait before the loss is printed.

# %%
try:
    gpu = Device("cuda")
except RuntimeError:
    print("no GPU here: skipped")
else:
    manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 11)).to("cuda")
    optimiser = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        loss = F.cross_entropy(model(ids), following)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    gpu.synchronize()
    print(f"on {gpu}: the loss is {loss.item():.4f}")

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints
# open one at a time. All answers: [solutions/A_cuda.ipynb](solutions/A_cuda.ipynb).

# %% [markdown] exercise="portable" minutes=15 teaches="an operation for both libraries, in float32" catches="np on the device, a float64 scalar, a wrong derivative"
# ### Exercise A.1: an operation for both
#
# The Gaussian bump $y = \frac{1}{\sqrt{2\pi}}\, e^{-x^2/2}$. Write forward and backward so that they
# run on the host and on the device, and keep float32.
#
# <details><summary>Hint 1</summary>
#
# `xp = array_module(x)` first. Which square root gives a plain Python number?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The derivative is $-x\, y$. Save both.
#
# </details>


# %% exercise="portable"
def bump_forward(x):
    """exp(-x^2 / 2) / sqrt(2 pi), entry by entry, wherever x lives.

    Shapes   x (...) -> the same, and whatever backward needs
    """
    # BEGIN SOLUTION
    xp = array_module(x)
    y = xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return y, (x, y)
    # END SOLUTION


def bump_backward(grad_out, saved):
    """The gradient of x, in a tuple."""
    # BEGIN SOLUTION
    x, y = saved
    return (-grad_out * x * y,)
    # END SOLUTION


# %% self_check="portable"
value = bump_forward(np.array([0.0, 1.0]))[0]
assert np.allclose(value, [0.39894228, 0.24197072]), f"the values are wrong: {value}"
report = check_gradients(bump_forward, bump_backward, rng.standard_normal((3, 5)))
print(report)
assert report.passed, "the gradient is wrong: read the report"
small = rng.standard_normal((3, 5)).astype(np.float32)
try:
    y, saved = bump_forward(to_device(small, "pretend"))
    (grad,) = bump_backward(y, saved)
except TypeError as error:
    raise AssertionError(f"on the device it fails: {error}") from None
assert y.dtype == grad.dtype == np.float32, f"float32 became {y.dtype}: look at your constants"
assert np.array_equal(y.get(), bump_forward(small)[0]), "host and device differ"
print("right, on both")


# %% wrong="portable"
def bump_forward(x):
    y = np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return y, (x, y)


def bump_backward(grad_out, saved):
    x, y = saved
    return (-grad_out * x * y,)


# %% wrong="portable"
def bump_forward(x):
    xp = array_module(x)
    y = xp.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    return y, (x, y)


def bump_backward(grad_out, saved):
    x, y = saved
    return (-grad_out * x * y,)


# %% wrong="portable"
def bump_forward(x):
    xp = array_module(x)
    y = xp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return y, y


def bump_backward(grad_out, y):
    return (-grad_out * y,)


# %% [markdown] exercise="waits" minutes=10 teaches="keep numbers on the device until they are needed" catches="a float() in the loop, a get() in the loop"
# ### Exercise A.2: the mean loss with one wait
#
# `losses` is a list of device arrays without axes, one for each step. Return their mean as a Python
# number, and let the host wait only once.
#
# <details><summary>Hint 1</summary>
#
# Adding two device arrays gives a device array, and nobody waits.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `total = total + loss` in the loop, and `float` once, after it.
#
# </details>


# %% exercise="waits"
def mean_loss(losses):
    """The mean of device scalars as a Python float, with a single synchronisation."""
    # BEGIN SOLUTION
    total = losses[0]
    for loss in losses[1:]:
        total = total + loss
    return float(total) / len(losses)
    # END SOLUTION


# %% self_check="waits"
losses = [Device("pretend").put(np.float64(value)) for value in (3.0, 2.0, 1.5, 1.0)]
counts.clear()
found = mean_loss(losses)
assert isinstance(found, float), f"return a Python number, not a {type(found).__name__}"
assert abs(found - 1.875) < 1e-12, f"the mean is 1.875, not {found}"
assert counts["waits"] == 1, f"the host has waited {counts['waits']} times, once is enough"
print("right, with one wait")


# %% wrong="waits"
def mean_loss(losses):
    return sum(float(loss) for loss in losses) / len(losses)


# %% wrong="waits"
def mean_loss(losses):
    return sum(losses) / len(losses)


# %% wrong="waits"
def mean_loss(losses):
    return float(np.mean([loss.get() for loss in losses]))


# %% [markdown] exercise="fits" minutes=8 teaches="the floor of (3), and what grows with the batch" catches="forgotten gradients or moments, rounding up"
# ### Exercise A.3: the largest batch
#
# A model has $P$ parameters in float32, is trained with Adam, and keeps `per_sequence` bytes of
# activations for each sequence of a batch. How many sequences fit into `memory` bytes? Count
# everything as there at the same time. Return 0 if not even one does.
#
# <details><summary>Hint 1</summary>
#
# What is left of the memory after (3)?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `//` rounds down; what is left may be negative.
#
# </details>


# %% exercise="fits"
def largest_batch(P, per_sequence, memory):
    """How many sequences can be trained on at once."""
    # BEGIN SOLUTION
    return max((memory - 16 * P) // per_sequence, 0)
    # END SOLUTION


# %% self_check="fits"
GiB = 2**30
found = largest_batch(124_439_808, 2 * GiB, 8 * GiB)
assert found is not None, "return a number"
assert found == 3, f"1.85 GiB are taken, 6.15 are left, so 3 sequences of 2 GiB fit, not {found}"
found = largest_batch(124_439_808, 2 * GiB, 2 * GiB)
assert found == 0, f"0.15 GiB are left: nothing fits, not {found}"
found = largest_batch(10**9, GiB, 8 * GiB)
assert found == 0, f"the parameters alone are too large: 0, not {found}"
found = largest_batch(250_000_000, GiB // 2, 8 * GiB)
assert found == 8, f"4 GB and 8 half GiB fit, not {found}: count value, gradient and two moments"
print("right")


# %% wrong="fits"
def largest_batch(P, per_sequence, memory):
    return max((memory - 4 * P) // per_sequence, 0)


# %% wrong="fits"
def largest_batch(P, per_sequence, memory):
    return max((memory - 8 * P) // per_sequence, 0)


# %% wrong="fits"
def largest_batch(P, per_sequence, memory):
    return max(math.ceil((memory - 16 * P) / per_sequence), 0)


# %% [markdown]
# ## References
#
# - S. Williams, A. Waterman, D. Patterson (2009), *Roofline*, Communications of the ACM 52(4): work or bandwidth.
# - J. Kaplan et al. (2020), *Scaling laws for neural language models*, arXiv:2001.08361, section 2.1: the rule (2).
# - P. Patarasuk, X. Yuan (2009), *Bandwidth optimal all-reduce algorithms*, J. Parallel and Distributed Computing 69(2): (5).
# - CuPy's user guide, the sections on differences to NumPy and on streams.
# - In the library: [minillm/backend.py](../minillm/backend.py), [minillm/models/cost.py](../minillm/models/cost.py), [tests/device/](../tests/device/); `python -m minillm info`.
