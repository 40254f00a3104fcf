# %% [markdown]
# # 8 · Debugging training
#
# **You need:** [chapter 5](05_softmax_cross_entropy.ipynb) (cross-entropy), [chapter 7](07_optimizers.ipynb) (optimisers). The
# Transformer block inside the model is explained in [chapter 12](12_block.ipynb); here it is a box.
#
# **Time:** 25 minutes of reading, 40 for the exercises.
#
# **You will be able to** say before a training begins what its first loss must be, test a model on a single batch, read
# gradient norms and update ratios, and diagnose six broken trainings from their curves.

# %% [markdown]
# ## Why it matters
#
# An ordinary program with a bug crashes or gives a wrong answer. A training with a bug gives a *slightly worse model*. The
# gradient descends whatever it is given: a model with frozen layers, with shuffled labels, with gradients of
# yesterday. Only numbers that you know beforehand can tell. This chapter collects such numbers.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
import minillm.functional as F
from minillm import ops
from minillm.data import TextBatches, ToyWorld
from minillm.gradcheck import check_model
from minillm.nn import Embedding, LayerNorm, Linear, Module, ModuleList, TransformerEncoderLayer
from minillm.optim import SGD, AdamW
from minillm.training import unigram_loss
from minillm.viz import book_style

book_style()
minillm.manual_seed(0)

world = ToyWorld()
words = ["<end>", *world.vocabulary("english")]  # <end> stands between two stories
ids = {word: number for number, word in enumerate(words)}
V, T, B = len(words), 24, 16


def encode(stories):
    """All words of the stories as one row of ids."""
    return np.array([ids[word] for story in stories for word in [*story.english_tokens, "<end>"]])


train_ids, test_ids = encode(world.stories(3000, seed=1)), encode(world.stories(300, seed=2))

# %%
print(textwrap.fill(world.stories(1, seed=1)[0].english, 84))
print(f"\nV = {V} different words, {len(train_ids):,} in the training text")

# %% [markdown]
# The text comes from the **toy world（玩具世界）**, a grammar whose true probabilities are known. So we also know the
# **entropy floor（熵下界）**: the loss of a model that knows the truth. No honest model is better on average.
#
# The model is a small GPT. It has three switches that a healthy model does not have: with them we shall break it.

# %% tags=["setup"]
class TinyGPT(Module):
    """Embeddings, blocks of a Transformer, and a linear layer that gives a logit for each word."""

    def __init__(self, V=V, C=32, T=T, layers=1, *, causal=True, head_scale=1.0, cut=False):
        self.tokens, self.positions = Embedding(V, C), Embedding(T, C)
        self.blocks = ModuleList(
            TransformerEncoderLayer(C, 2, 2 * C, 0.0, norm_first=True) for _ in range(layers)
        )
        self.norm, self.head = LayerNorm(C), Linear(C, V)
        self.head.weight.data *= head_scale
        self.causal, self.cut = causal, cut

    def forward(self, x):
        """Shapes   x (B, T) ids -> logits (B, T, V)."""
        h = self.tokens(x) + self.positions(np.arange(x.shape[1]))  # (B, T, C)
        for block in self.blocks:
            h = block(h, is_causal=self.causal)
        if self.cut:
            h = h.detach()
        return self.head(self.norm(h))


# %% [markdown]
# ## Before the first step
#
# **The first loss.** A model that knows nothing should find all $V$ words equally likely. Then the loss is
#
# <a id="formula-cross-entropy-at-the-start"></a>
# $$L_0 = -\log \frac{1}{V} = \log V \tag{1}$$
#
# A fresh model is not quite that ignorant: its logits are random numbers with some standard deviation $s$. They add a little.
# The loss is $\log \sum_j e^{x_j} - x_y$ ([chapter 5](05_softmax_cross_entropy.ipynb)). If the logits are normally distributed
# around 0, the mean of $e^x$ is $e^{s^2/2}$ and that of $x_y$ is 0, and so the first loss is about
#
# $$L_0 \approx \log \Big( V e^{s^2/2} \Big) = \log V + \frac{s^2}{2} \tag{2}$$

# %%
x, y = TextBatches(train_ids, T, B, seed=0).batch(0)
model = TinyGPT()
logits = model(x)
s = float(logits.data.std())
print(f"log V                  {math.log(V):6.3f}")
print(f"log V + s²/2           {math.log(V) + s * s / 2:6.3f}    with s = {s:.2f}")
print(f"first loss             {F.cross_entropy(logits, y).item():6.3f}")
minillm.manual_seed(0)
large = TinyGPT(head_scale=20)
print(f"weights 20 times larger {F.cross_entropy(large(x), y).item():5.1f}")

# %% tags=["check"]
assert abs(F.cross_entropy(logits, y).item() - math.log(V) - s * s / 2) < 0.1
assert F.cross_entropy(large(x), y).item() > 20

# %% [markdown]
# (2) holds for $s$ up to about 1. If the first loss is far above $\log V$, the initial weights are too large: the model begins
# by being *sure* of nonsense, and wastes its first steps on unlearning that. If it is far below $\log V$, distrust the loss
# itself: a model that has learned nothing cannot know better. Perhaps the mean also counts places without a target.
#
# **One batch.** Train on a single batch, again and again. A model with thousands of parameters can learn 16 short rows by
# heart. If the loss does not fall to nearly zero, something is broken, and you have found out in a second, not in an
# hour. This test finds dead layers, cut graphs, forgotten parameters, wrong signs.

# %%
def overfit(model, x, y, steps=60):
    """The loss on one batch after training on it alone."""
    optimizer = AdamW(model.named_parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


for name, switches in {"healthy": {}, "cut": {"cut": True}}.items():
    minillm.manual_seed(0)
    print(f"{name:8} one batch, 60 steps: loss {overfit(TinyGPT(**switches), x, y):.2f}")

# %% tags=["check"]
minillm.manual_seed(0)
assert overfit(TinyGPT(), x, y) < 0.05
minillm.manual_seed(0)
assert overfit(TinyGPT(cut=True), x, y) > 0.4

# %% [markdown]
# The second model has a cut in its graph: only its last layer learns. It does not fail outright, because even random
# features let a layer learn something by heart. But it is far from zero, and that is the alarm.
#
# **The gradient check.** `check_model` nudges parameters of a small copy of the model, and walks through all operations. If one is
# wrong, or if a value has left the graph, it says where:

# %%
small = np.random.default_rng(0).integers(0, 11, (2, 5))
for switches in ({}, {"cut": True}):
    minillm.manual_seed(0)
    report = check_model(TinyGPT(11, C=6, T=5, **switches), small)
    print(textwrap.fill(report.summary(), 88), "\n")

# %% tags=["check"]
minillm.manual_seed(0)
assert check_model(TinyGPT(11, C=6, T=5), small).passed
assert "detach" in report.summary()
assert not report.passed

# %% [markdown]
# ## A healthy training, and what to look at
#
# The loop below keeps, besides the loss, two numbers for each part of the model, at step 20:
#
# - the **gradient norm（梯度范数）**, the length of all its gradients as one vector: zero or none means that nothing arrives;
# - the **update ratio（更新比）**, the length of one step divided by the length of the parameters, $\lVert \Delta w \rVert / \lVert w \rVert$.
#   Early in a training, a part with $10^{-3}$ to some $10^{-2}$ learns; with $10^{-6}$ it stands still, with 1 it is thrown around.

# %% tags=["setup"]
PARTS = ("tokens", "blocks", "head")


def length(arrays):
    """The Euclidean length of several arrays as one vector."""
    return math.sqrt(sum(float((a.astype(float) ** 2).sum()) for a in arrays))


def watch(model, optimizer):
    """One step of the optimiser: {part: (gradient norm, update ratio)}."""
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    optimizer.step()
    result = {}
    for part in PARTS:
        mine = [(n, p) for n, p in model.named_parameters() if n.startswith(part)]
        grads = [p.grad for _, p in mine if p.grad is not None]
        moved = length([p.data - before[n] for n, p in mine])
        result[part] = length(grads), moved / length([before[n] for n, _ in mine])
    return result


def train(model, *, lr=1e-2, steps=240, zero_grad=True, shift=1, watch_at=20):
    """Losses of all steps, and what `watch` saw at one of them."""
    optimizer = AdamW(model.named_parameters(), lr=lr)
    batches = TextBatches(train_ids, T + 1, B, seed=3)
    losses, seen = [], {}
    for step in range(steps):
        crops = batches.batch(step)[0]  # (B, T + 1)
        loss = F.cross_entropy(model(crops[:, :T]), crops[:, shift : T + shift])
        if zero_grad:
            optimizer.zero_grad()
        loss.backward()
        if step == watch_at:
            seen = watch(model, optimizer)
        else:
            optimizer.step()
        losses.append(loss.item())
    return losses, seen


def smooth(losses, width=10):
    """The mean of each loss and the few before it."""
    return np.convolve(losses, np.ones(width) / width, mode="valid")


# %% alt="The loss of the healthy training falls from about 6, which is log V, steeply at first and then slowly to about 1.4. It stays above the floor of 0.76."
minillm.manual_seed(0)
healthy, healthy_seen = train(TinyGPT())
floor = world.floor("english")
fig, axes = plt.subplots(figsize=(7.2, 3))
axes.plot(healthy, color="C0", alpha=0.3, linewidth=0.8)
axes.plot(np.arange(9, 240), smooth(healthy), label="healthy training")
axes.axhline(math.log(V), color="0.5", linestyle="--", label=f"log V = {math.log(V):.2f}")
axes.axhline(floor, color="0.5", linestyle=":", label=f"entropy floor {floor:.2f}")
axes.set(title="Loss of the healthy training", xlabel="step", ylabel="loss (nats per word)", ylim=(0, 7))
axes.legend()
plt.show()
print(f"{'part':8}{'gradient norm':>15}{'update ratio':>15}")
for part, (norm, ratio) in healthy_seen.items():
    print(f"{part:8}{norm:15.3f}{ratio:15.4f}")

# %% tags=["check"]
assert floor < np.mean(healthy[-20:]) < 1.6
assert min(smooth(healthy)) > floor
assert all(1e-3 < ratio < 0.1 and norm > 0 for norm, ratio in healthy_seen.values())

# %% [markdown]
# ## Six broken trainings
#
# Each of the next six runs has exactly one fault. These are the faults:
#
# 1. The gradients are never set to zero.
# 2. The learning rate is 50 times too large.
# 3. Each word is its own target: the labels are shifted by one too few.
# 4. The model may look ahead: the mask that hides later words is missing.
# 5. The weights of the last layer start 20 times too large.
# 6. A `detach` cuts everything before the last layer out of the graph.
#
# Which run has which fault was decided by lot.

# %%
faults = [
    {"zero_grad": False},
    {"lr": 0.5},
    {"shift": 0},
    {"causal": False},
    {"head_scale": 20},
    {"cut": True},
]
lots = np.random.default_rng(11).permutation(6)
runs = {}


def run(letter):
    """Train the model whose fault the lot has given to this letter."""
    fault = faults[lots["ABCDEF".index(letter)]]
    of_model = {k: v for k, v in fault.items() if k in ("causal", "head_scale", "cut")}
    minillm.manual_seed(0)
    runs[letter] = train(
        TinyGPT(**of_model), **{k: v for k, v in fault.items() if k not in of_model}
    )


for letter in "ABC":
    run(letter)

# %%
for letter in "DEF":
    run(letter)

# %% alt="Six loss curves, A to F, each beside the healthy one in grey. A follows it up to about step 130, then falls below the floor. B begins near 9 and rests near 5. C comes from above the panel and falls to 2.5. D falls to about 3 and stays there. E is below the floor from step 50 on, near zero. F rises in waves and leaves the panel."
fig, panels = plt.subplots(2, 3, figsize=(7.4, 4.4), sharex=True, sharey=True)
for axes, (letter, (losses, _)) in zip(panels.flat, runs.items(), strict=True):
    axes.plot(np.arange(9, 240), smooth(healthy), color="0.7", label="healthy")
    axes.plot(np.arange(9, 240), smooth(losses), color="C1", label="this run")
    axes.axhline(floor, color="0.5", linestyle=":", label="floor")
    axes.set(title=f"Run {letter}", ylim=(0, 10))
for axes in panels[1]:
    axes.set_xlabel("step")
for axes in panels[:, 0]:
    axes.set_ylabel("loss (nats per word)")
panels[0, 0].legend(fontsize=8)
plt.show()

print("run   first loss   last 20 steps     gradient norm / update ratio at step 20")
print(" " * 36 + "".join(f"{part:>17}" for part in PARTS))
for letter, (losses, seen) in {"-": (healthy, healthy_seen), **runs}.items():
    cells = "".join(f"{norm:9.2g} /{ratio:6.0e}" for norm, ratio in seen.values())
    print(f" {letter} {losses[0]:11.2f} {np.mean(losses[-20:]):14.2f}       {cells}")

# %% tags=["check"]
by_fault = {int(lot): runs[letter] for letter, lot in zip("ABCDEF", lots, strict=True)}
assert "".join("ABCDEF"[list(lots).index(i)] for i in range(6)) == "FBEACD", lots
last = {i: np.mean(by_fault[i][0][-20:]) for i in range(6)}
assert by_fault[4][0][0] > 20
assert all(abs(by_fault[i][0][0] - math.log(V)) < 0.5 for i in (0, 1, 2, 3, 5))
assert last[2] < last[3] < floor < np.mean(healthy[-20:])
assert np.mean(by_fault[2][0][60:80]) < floor < np.mean(by_fault[3][0][60:80])
assert last[0] > max(by_fault[0][0][20:60])
assert 4 < last[1] < 5.5
assert 2 < last[5] < 3.5
assert by_fault[5][1]["tokens"][0] == by_fault[5][1]["blocks"][0] == 0
assert by_fault[0][1]["head"][0] > 5 * healthy_seen["head"][0]
assert 6 < by_fault[1][1]["tokens"][1] / healthy_seen["tokens"][1] < 10
minillm.manual_seed(0)
first_step = train(TinyGPT(), lr=0.5, steps=1, watch_at=0)[1]
assert first_step["blocks"][1] > 1
assert first_step["head"][1] > 1
assert np.mean(by_fault[2][0][90:100]) < 0.1
assert abs(last[1] - unigram_loss(train_ids, test_ids, V)) < 0.3

# %% [markdown]
# Take paper and match letters and numbers, before you open the answers. Three questions help: is the first loss right? Is
# the curve anywhere *better* than it can be? Does a gradient arrive everywhere?
#
# <details><summary>Which run has a wrong first loss?</summary>
#
# **C: fault 5**, too large initial weights. It is the only one that does not begin near $\log V$. It recovers slowly, and most of
# the way is unlearning. Cure: smaller initial weights.
#
# </details>
# <details><summary>Which runs are too good to be true?</summary>
#
# **A and E** fall below the entropy floor, which no honest model can do on average. So these models see the answer.
#
# **E: fault 3.** It falls to almost nothing within a hundred steps, because copying the input is the easiest thing to learn.
# Look at the data: print the words of one row of inputs, and below them the targets.
#
# **A: fault 4.** It learns like the healthy one at first, and crosses the floor when attention has found out that the next
# word stands one place to the right. Such a model writes rubbish, because while it writes there is no next word to look
# at. Test: change a later word, and see whether earlier logits change (exercise 8.1). Where no floor is known, be
# suspicious of a loss that is much better than everybody else's.
#
# </details>
# <details><summary>Which run has parts that do not learn?</summary>
#
# **D: fault 6.** The gradient norms of `tokens` and `blocks` are zero, exactly. The last layer learns from random features.
# That gives a curve which looks healthy for a while and then stays too high. The curve alone does not show the
# reason; the table does, and so does `check_model`.
#
# </details>
# <details><summary>And the two that do not learn at all?</summary>
#
# **B: fault 2**, the learning rate. The loss jumps up at once. At step 20 the table shows it only in `tokens`, with a ratio
# about eight times the healthy one: in the very first step, `blocks` and `head` moved by more than their own length, and
# measured against such large parameters the later steps look small. So look at the first step, too. Later the loss
# rests where a model ends that only counts how frequent each word is: its loss is printed below. Cure:
# divide the rate by 10 until the curve falls from the first step on.
#
# **F: fault 1**, the forgotten `zero_grad`. The first steps are right, while the sum of all gradients so far is still
# mostly the newest one. Then the old ones take over, and the model runs on in a direction that was right long ago. The
# loss *rises*, and gradient norms are many times those of the healthy run, already at step 20.
#
# </details>

# %%
counts = unigram_loss(train_ids, test_ids, V)
print(f"loss of a model that only counts words: {counts:.2f};  run B: {np.mean(runs['B'][0][-20:]):.2f}")

# %% [markdown]
# ## NaN, and arrays that somebody changed
#
# Two faults do have a culprit that a program can name. Inside `minillm.debug()` every operation is watched: the first one
# that makes infinity or NaN out of finite numbers raises an error, and so does a backward pass whose saved arrays were
# changed in the meantime. Here are both: a logarithm of a probability that has become 0 (the reason why
# [chapter 5](05_softmax_cross_entropy.ipynb) takes softmax and logarithm in one step), and a weight that is changed between
# forward and backward.

# %%
class Naive(Module):
    """A model that takes the logarithm of a softmax in two steps."""

    def __init__(self):
        self.tokens, self.head = Embedding(V, 32), Linear(32, V)

    def forward(self, x):
        """Shapes   x (B, T) -> log-probabilities (B, T, V)."""
        return F.log(F.softmax(self.head(self.tokens(x)) * 50.0))


try:
    with minillm.debug(), np.errstate(divide="ignore"):
        Naive()(x)
except FloatingPointError as error:
    print(textwrap.fill(f"FloatingPointError: {str(error).splitlines()[0]}", 88), "\n")

model = TinyGPT()
try:
    with minillm.debug():
        loss = F.cross_entropy(model(x), y)
        model.head.weight.data *= 0.99  # "weight decay", at the wrong moment
        loss.backward()
except RuntimeError as error:
    print(textwrap.fill(f"RuntimeError: {error}", 88))

# %% [markdown]
# Watching costs time, so switch it on when something is wrong. The functions behind it are short:

# %% library="minillm.debugging:fingerprint,compare_prints,require_finite"

# %% [markdown]
# ## Dead units
#
# `relu` gives 0 for everything below zero, and its slope there is 0, too. A hidden unit that is below zero for *every*
# input gets no gradient, so its weights stay as they are: a **dead unit（死亡单元）**. A step that was too large can do that.
# Look at the hidden values themselves, not only at gradients:

# %% alt="Two histograms of hidden values before relu. In the healthy model about half lie above zero. In the other one nearly all lie below zero."
def hidden_values(model, x):
    """What goes into the relu of the first block: (B, T, F)."""
    block = model.blocks[0]
    h = model.tokens(x) + model.positions(np.arange(T))
    h = h + block.self_attention(block.norm1(h), is_causal=True)
    return block.feed_forward.linear1(block.norm2(h)).data


minillm.manual_seed(0)
alive, dying = TinyGPT(), TinyGPT()
dying.blocks[0].feed_forward.linear1.bias.data -= 1.6  # what a step that was too large may do
fig, panels = plt.subplots(1, 2, figsize=(7.2, 2.6), sharex=True, sharey=True)
for axes, (name, model) in zip(panels, {"healthy": alive, "dying": dying}.items(), strict=True):
    values = hidden_values(model, x)
    dead = (values <= 0).all(axis=(0, 1)).mean()
    axes.hist(values.reshape(-1), bins=40, weights=np.full(values.size, 1 / values.size))
    axes.axvline(0, color="C1", linewidth=1)
    axes.set(title=f"{name}: {dead:.0%} of the units are dead", xlabel="value before relu (1)")
panels[0].set_ylabel("share of values")
plt.show()

# %% tags=["check"]
assert (hidden_values(alive, x) <= 0).all(axis=(0, 1)).mean() < 0.05
assert (hidden_values(dying, x) <= 0).all(axis=(0, 1)).mean() > 0.4

# %% [markdown]
# ## An experiment: the learning rate
#
# Too small is a fault, too, and a quiet one. Run the cell, then change the list: where does the best rate lie, and what is its
# update ratio? Does the best rate change if you take `layers=2` or `C=64`?

# %%
steps = 120
print("learning rate   last 20 steps   update ratio of the head at step 60")
for lr in (1e-4, 1e-2, 1e-1):
    minillm.manual_seed(0)
    losses, seen = train(TinyGPT(), lr=lr, steps=steps, watch_at=60)
    print(f"{lr:13.0e} {np.mean(losses[-20:]):15.2f} {seen['head'][1]:15.0e}")

# %% [markdown]
# ## A list to keep
#
# 1. Print one row of inputs with its targets, as words.
# 2. First loss: $\log V$, and not much more.
# 3. `check_model` on a tiny copy.
# 4. One batch by heart.
# 5. A run of a minute: gradient norms and update ratios of every part.
# 6. Compare with something that needs no network ([chapter 4](04_language_models.ipynb)), and with the floor if you know it.
# 7. Change one thing at a time. Same seed, same bits: a difference then comes from your change.
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/08_debugging.ipynb](solutions/08_debugging.ipynb).

# %% [markdown] exercise="looks-ahead" minutes=12 teaches="a test for leaks that works for any model" catches="comparing the changed position itself, changing an array that is shared"
# ### Exercise 8.1: does it cheat?
#
# Write `looks_ahead(model, x)`: True if the logits at some position depend on a *later* word. It must not need to know how the
# model works inside.
#
# <details><summary>Hint 1</summary>
#
# Change the last word of every row, and compare the logits, `model(x).data`, before and after.
#
# </details>
# <details><summary>Hint 2</summary>
#
# At which positions may they differ, even in an honest model? Leave these out.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `other = x` is no copy ([chapter 1](01_arrays.ipynb)).
#
# </details>

# %% exercise="looks-ahead"
def looks_ahead(model, x):
    """Do logits depend on later words?

    Shapes   x (B, T) ids -> True or False
    """
    # BEGIN SOLUTION
    other = x.copy()
    other[:, -1] = (other[:, -1] + 1) % V
    difference = model(x).data[:, :-1] - model(other).data[:, :-1]
    return bool(abs(difference).max() > 1e-6)
    # END SOLUTION


# %% self_check="looks-ahead"
minillm.manual_seed(0)
x = train_ids[:48].reshape(2, 24)
for causal in (True, False):
    before = x.copy()
    said = looks_ahead(TinyGPT(causal=causal), x)
    assert np.array_equal(before, x), "your test has changed x itself: work on a copy"
    assert bool(said) != causal, f"causal={causal}: your test says {said}, it should be {not causal}"
print("your test tells them apart")

# %% wrong="looks-ahead"
def looks_ahead(model, x):
    other = x.copy()
    other[:, -1] = (other[:, -1] + 1) % V
    return bool(abs(model(x).data - model(other).data).max() > 1e-6)


# %% wrong="looks-ahead"
def looks_ahead(model, x):
    other = x
    other[:, -1] = (other[:, -1] + 1) % V
    difference = model(x).data[:, :-1] - model(other).data[:, :-1]
    return bool(abs(difference).max() > 1e-6)


# %% [markdown] exercise="ratios" minutes=10 teaches="measuring what an optimiser does; views and copies" catches="the gradient in the place of the step, parameters that were not copied"
# ### Exercise 8.2: update ratios
#
# Write `update_ratios(model, optimizer)`: make one step, and return for the name of each parameter the length of its change
# divided by its length before.
#
# <details><summary>Hint 1</summary>
#
# `p.data` is changed in place by the step. What you keep must be a copy.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.linalg.norm(array)` of a matrix is the length of all its entries as one vector. Parameters that are all zero before
# have no ratio; give `inf` if they moved and 0.0 if not.
#
# </details>

# %% exercise="ratios"
def update_ratios(model, optimizer):
    """Make one step; {name: length of the change / length before}."""
    # BEGIN SOLUTION
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    optimizer.step()
    ratios = {}
    for name, p in model.named_parameters():
        moved, size = np.linalg.norm(p.data - before[name]), np.linalg.norm(before[name])
        ratios[name] = float(moved / size) if size else (math.inf if moved else 0.0)
    return ratios
    # END SOLUTION


# %% self_check="ratios"
layer = Linear(2, 2)
layer.weight.data[...] = [[3.0, 0.0], [0.0, 4.0]]  # length 5
layer.bias.data[...] = 0.0
layer.weight.grad = np.array([[0.0, 6.0], [8.0, 0.0]], dtype=np.float32)  # length 10
layer.bias.grad = np.array([1.0, 0.0], dtype=np.float32)
ratios = update_ratios(layer, SGD(layer.named_parameters(), lr=0.01))
assert set(ratios) == {"weight", "bias"}, f"one entry for each parameter is needed, got {set(ratios)}"
assert math.isclose(ratios["weight"], 0.02, rel_tol=1e-3), (
    f"the step has length 0.1 and the weight 5, so the ratio is 0.02; yours is {ratios['weight']}"
)
assert ratios["bias"] == math.inf, f"the bias was 0 and moved: inf is expected, not {ratios['bias']}"
print("right:", {name: round(ratio, 4) for name, ratio in ratios.items()})

# %% wrong="ratios"
def update_ratios(model, optimizer):
    before = {name: p.data for name, p in model.named_parameters()}
    optimizer.step()
    return {
        name: float(np.linalg.norm(p.data - before[name]) / max(np.linalg.norm(before[name]), 1e-9))
        for name, p in model.named_parameters()
    }


# %% wrong="ratios"
def update_ratios(model, optimizer):
    ratios = {
        name: float(np.linalg.norm(p.grad) / max(np.linalg.norm(p.data), 1e-9))
        for name, p in model.named_parameters()
    }
    optimizer.step()
    return ratios


# %% [markdown] exercise="step" minutes=15 teaches="the five lines of every training, in their order" catches="labels that are not shifted, a forgotten zero_grad, zero_grad at the wrong place"
# ### Exercise 8.3: one step without faults
#
# Write `train_step(model, optimizer, crops)` for rows of $T + 1$ words: predict each word from those before it, take one step, and
# return the loss as a number.
#
# <details><summary>Hint 1</summary>
#
# Inputs are all words of a row but the last one; targets are all but the first one.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `zero_grad` may stand anywhere between the end of one step and the `backward` of the next, but not between `backward` and `step`.
#
# </details>

# %% exercise="step"
def train_step(model, optimizer, crops):
    """One step on a batch; the loss before it.

    Shapes   crops (B, T + 1) ids -> a Python number
    """
    # BEGIN SOLUTION
    loss = F.cross_entropy(model(crops[:, :-1]), crops[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    # END SOLUTION


# %% self_check="step"
minillm.manual_seed(0)
model, crops = TinyGPT(), train_ids[:75].reshape(3, 25)
optimizer = SGD(model.named_parameters(), lr=0.1)
for number in (1, 2):
    twin = TinyGPT()
    twin.load_state_dict(model.state_dict())
    expected = ops.cross_entropy_forward(twin(crops[:, :24]).data, crops[:, 1:])[0]
    found = train_step(model, optimizer, crops)
    kind = type(found).__name__
    assert isinstance(found, float), f"return a Python number, loss.item(), not a {kind}"
    assert abs(found - expected) < 1e-5, (
        f"step {number}: your loss is {found:.4f}, it should be {expected:.4f}: are the targets the "
        "words that come next, and is it the loss before the step?"
    )
    F.cross_entropy(twin(crops[:, :24]), crops[:, 1:]).backward()
    right = twin.head.weight.data - 0.1 * twin.head.weight.grad
    assert np.allclose(model.head.weight.data, right, atol=1e-6), (
        f"step {number}: the weights did not move by -0.1 times the gradient of this batch alone"
    )
print("two steps, both right")

# %% wrong="step"
def train_step(model, optimizer, crops):
    optimizer.zero_grad()
    F.cross_entropy(model(crops[:, :-1]), crops[:, 1:]).backward()
    optimizer.step()
    return F.cross_entropy(model(crops[:, :-1]), crops[:, 1:]).item()


# %% wrong="step"
def train_step(model, optimizer, crops):
    loss = F.cross_entropy(model(crops[:, :-1]), crops[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


# %% wrong="step"
def train_step(model, optimizer, crops):
    loss = F.cross_entropy(model(crops[:, :-1]), crops[:, :-1])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


# %% wrong="step"
def train_step(model, optimizer, crops):
    loss = F.cross_entropy(model(crops[:, :-1]), crops[:, 1:])
    loss.backward()
    optimizer.step()
    return loss.item()


# %% wrong="step"
def train_step(model, optimizer, crops):
    loss = F.cross_entropy(model(crops[:, :-1]), crops[:, 1:])
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


# %% [markdown]
# ## References
#
# - A. Karpathy (2019), *A recipe for training neural networks*: the first loss, one batch, update ratios.
# - I. Goodfellow, Y. Bengio, A. Courville (2016), *Deep Learning*, section 11.5: debugging strategies.
# - C. E. Shannon (1948), *A mathematical theory of communication*, section 7: the entropy of a source, the floor.
# - In the library: `minillm/debugging.py`, `minillm/gradcheck/models.py`, `minillm/optim/clipping.py`; `minillm.training.fit` stops
#   with a `NonFiniteLossError` that names the operation.
