# %% [markdown]
# # 22 · Reparameterisation I: LoRA and its relatives
#
# **You need:** [chapter 2](02_gradients.ipynb) (gradients and how to check them) and
# [chapter 21](21_fine_tuning.ipynb) (what fine-tuning is).
#
# **Time:** 25 minutes of reading, 35 for the exercises.
#
# **You will be able to** write a change of a weight as a product of two thin matrices, derive its backward pass, explain
# why it learns although one of them starts at zero, and say what LoRA, BitFit, prompts and adapters cost.

# %% [markdown]
# ## Why it matters
#
# **Full fine-tuning（全量微调）** changes every weight of a model. Training with Adam then needs three more numbers for each weight: the
# gradient and two running means ([chapter 7](07_optimizers.ipynb)). The result is a file as large as the model, one per task.
#
# **Low-rank adaptation (LoRA)（低秩适配）** leaves the weights alone and learns a small *change* of each, written with few
# numbers. It is the best known method of **parameter-efficient fine-tuning (PEFT)（参数高效微调）**: a model for a
# task becomes the common model plus a small file.
#
# ## One word, three things
#
# The articles that this book checks speak of large language models "based on **reparameterisation（重新参数化）**". They use
# the word in more than one sense. All serious senses share one idea: write the same thing with *other parameters*, because
# the others are better to learn.
#
# | | what is written anew | why | where |
# |---|---|---|---|
# | I | a changed weight: $W + \frac{\alpha}{R} A B$ in place of any $W'$ | fewer numbers learn | this chapter |
# | II | a random draw: $\mu + \sigma \varepsilon$ in place of $z \sim N(\mu, \sigma^2)$ | gradients reach $\mu$ and $\sigma$ | [chapter 23](23_estimators.ipynb) |
# | III | a weight vector: $g\, v / \lVert v \rVert$ in place of $w$ | length and direction learn separately | [chapter 23](23_estimators.ipynb) |
#
# One article also calls plain further training "reparameterisation". That is fine-tuning, and nothing is written anew.

# %% tags=["setup"]
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import ops
from minillm.data import LengthBatches, TokenMasker, ToyWorld
from minillm.finetuning import (
    LoraConfig,
    PromptTuning,
    add_adapters,
    add_lora,
    bitfit,
    freeze,
    merge_lora,
    trainable_parameters,
    unfreeze,
    unmerge_lora,
)
from minillm.gradcheck import check_gradients
from minillm.models import BertConfig, BertForMaskedLM, BertForSequenceClassification
from minillm.optim import AdamW, schedule
from minillm.tasks import WordVocabulary
from minillm.training import accuracy, evaluate, fit
from minillm.viz import book_style

book_style()
minillm.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## A change with few numbers
#
# The **rank（秩）** of a matrix is the largest number of its rows of which none is a combination of the others. A product of a tall thin
# matrix $A$ $(I, R)$ and a wide flat one $B$ $(R, O)$ is a whole $(I, O)$ matrix, but of rank $R$ at most: a **low-rank
# matrix（低秩矩阵）**. LoRA freezes the trained weight $W$ and adds such a product:
#
# <a id="formula-lora-linear"></a>
# $$y_{no} = \sum_{i=1}^{I} x_{ni} W_{io} + b_o + s \sum_{r=1}^{R} \Big( \sum_{i=1}^{I} x_{ni} A_{ir} \Big) B_{ro},
#   \qquad s = \frac{\alpha}{R} \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $x$ | $(N, I)$ | rows that come in |
# | $W$, $b$ | $(I, O)$, $(O)$ | the trained weight and bias: **frozen**, they do not change |
# | $A$, $B$ | $(I, R)$, $(R, O)$ | what learns; $R$ is the rank, much smaller than $I$ and $O$ |
# | $D = x A$ | $(N, R)$ | `down`: each row squeezed into $R$ numbers |
# | $s$ | scalar | `scale`; $\alpha$ is chosen once, such as 16 |
#
# $W$ has $I \cdot O$ numbers, $A$ and $B$ together $R\,(I + O)$:

# %%
for I, O, R in [(64, 64, 4), (384, 384, 8), (768, 3072, 8), (4096, 4096, 8)]:
    full, thin = I * O, R * (I + O)
    print(f"W {I:>4} x {O:<4}  {full:>11,} numbers;   R = {R}: {thin:>7,}   {thin / full:6.1%}")

# %% tags=["check"]
assert round(8 * (4096 + 4096) / 4096**2, 3) == 0.004

# %% [markdown]
# The larger the matrix, the smaller the share. That is why the method came with large models.
#
# ## Backward by hand
#
# Let $G_{no} = \partial L / \partial y_{no}$ be the gradient that arrives, `grad_out`. In (1), with $D_{nr} = \sum_i x_{ni} A_{ir}$,
# the entry $B_{ro}$ stands in $y_{no}$ for every row $n$, with the factor $s D_{nr}$. So
#
# <a id="formula-lora-linear-backward-b"></a>
# $$\frac{\partial L}{\partial B_{ro}} = s \sum_n D_{nr} G_{no} \tag{2}$$
#
# Next one step further back. $D_{nr}$ stands in $y_{no}$ for every $o$, with the factor $s B_{ro}$:
#
# <a id="formula-lora-linear-backward-down"></a>
# $$\frac{\partial L}{\partial D_{nr}} = s \sum_o G_{no} B_{ro} \tag{3}$$
#
# and $A_{ir}$ stands in $D_{nr}$ for every row $n$, with the factor $x_{ni}$:
#
# <a id="formula-lora-linear-backward-a"></a>
# $$\frac{\partial L}{\partial A_{ir}} = \sum_n x_{ni} \frac{\partial L}{\partial D_{nr}} \tag{4}$$
#
# The input $x$ has two ways to the output, one through $W$ and one through $A$. The chain rule adds them:
#
# <a id="formula-lora-linear-backward-x"></a>
# $$\frac{\partial L}{\partial x_{ni}} = \sum_o G_{no} W_{io} + \sum_r \frac{\partial L}{\partial D_{nr}} A_{ir} \tag{5}$$
#
# What is *not* needed is $\partial L / \partial W = x^\top G$, with $I \cdot O$ numbers. Not forming it saves its memory, its time, and
# Adam's two means of it.
#
# ## The library's own code
#
# The cell is `minillm/ops/lora_linear.py`. `needs` says which gradients are wanted. `dropout_p` drops some entries of $x$ on
# the way to $A$ while training; leave it aside at first reading ($m$ is then `None`). The numbers in its
# comments count the formulas of that file: its (1) to (4) are our (3), (2), (4) and (5).

# %% library="minillm.ops.lora_linear:lora_linear_forward,_kept,lora_linear_backward"

# %%
x = rng.standard_normal((5, 7))
weight, bias = rng.standard_normal((7, 3)), rng.standard_normal(3)
A, B = rng.standard_normal((7, 2)), rng.standard_normal((2, 3))
print(check_gradients(lora_linear_forward, lora_linear_backward, x, weight, A, B, bias, scale=0.7))

# %% tags=["check"]
assert check_gradients(
    lora_linear_forward, lora_linear_backward, x, weight, A, B, bias, scale=0.7
).passed

# %% [markdown]
# ## B starts at zero. How can anything learn?
#
# A fine-tuning should start at the pre-trained model. So $AB$ must be zero at first. LoRA draws $A$ at random and sets
# $B = 0$. By (3) then $\partial L / \partial D = 0$, and by (4) $A$ gets no gradient. But (2) does not contain $B$ at all:

# %%
grad_out = rng.standard_normal((5, 3))
print("                        |grad_A|   |grad_B|")
for name, A_start, B_start in [
    ("A random, B zero  (LoRA)", A, 0 * B),
    ("after one step on B     ", A, -0.1 * (x @ A).T @ grad_out),
    ("A zero, B zero          ", 0 * A, 0 * B),
]:
    _, saved = ops.lora_linear_forward(x, weight, A_start, B_start, scale=0.7)
    grads = ops.lora_linear_backward(grad_out, saved)
    print(name, f"{np.linalg.norm(grads[2]):8.2f}   {np.linalg.norm(grads[3]):8.2f}")

# %% tags=["check"]
_, saved = ops.lora_linear_forward(x, weight, A, 0 * B, scale=0.7)
grads = ops.lora_linear_backward(grad_out, saved)
assert not grads[2].any() and grads[3].any()
_, saved = ops.lora_linear_forward(x, weight, 0 * A, 0 * B, scale=0.7)
grads = ops.lora_linear_backward(grad_out, saved)
assert not grads[2].any() and not grads[3].any()

# %% [markdown]
# $B$ moves first; after its first step $A$ learns, too. If both start at zero, nothing ever moves.
#
# ## A classic mistake that the checker names
#
# The scale $s$ stands in both (2) and (3). A natural slip is to forget it in one of them:

# %%
def backward_without_scale(grad_out, saved):
    grad_x, grad_weight, grad_A, grad_B, grad_bias = ops.lora_linear_backward(grad_out, saved)
    scale = saved[-1]
    return grad_x, grad_weight, grad_A, grad_B / scale, grad_bias


report = check_gradients(
    ops.lora_linear_forward, backward_without_scale, x, weight, A, B, bias, scale=0.7
)
print(report)

# %% tags=["check"]
[finding] = report.findings
assert finding.kind == "scaled" and finding.input == "lora_B"
assert round(finding.factor, 3) == round(1 / 0.7, 3)

# %% [markdown]
# The factor is $1 / 0.7$: what is missing is the scale. With `scale=1` the mistake would be invisible. Choose numbers for a
# test that show every constant.
#
# ## A classic mistake that no gradient check can find
#
# Some programs multiply by $\alpha$ and forget to divide by $R$. Their backward fits their forward, so a gradient check
# passes. What is wrong is the size of the update when $R$ changes. Look at the first step of Adam: it moves every entry of
# $B$ by the learning rate $\eta$, against the sign of its gradient. For one row $x$, by (2),
#
# $$\Delta y_o = s \sum_r D_r \, \Delta B_{ro} = -s\,\eta \sum_r D_r \operatorname{sign}(s D_r G_o)
#   = -s\,\eta \operatorname{sign}(G_o) \sum_{r=1}^{R} \lvert D_r \rvert$$
#
# All $R$ terms push the same way, so the sum grows like $R$. With $s = \alpha / R$ this growth cancels, and one learning rate
# serves all ranks:

# %%
def first_step(R, scale, rate=0.001):
    """How far one step of Adam moves the output, for one row of 256 features."""
    row = np.random.default_rng(1).standard_normal((1, 256))
    A = np.random.default_rng(2).uniform(-1, 1, (256, R)) / math.sqrt(256)
    G = np.ones((1, 256))
    _, saved = ops.lora_linear_forward(row, np.zeros((256, 256)), A, np.zeros((R, 256)), scale=scale)
    grad_B = ops.lora_linear_backward(G, saved)[3]
    moved = ops.lora_linear_forward(
        row, np.zeros((256, 256)), A, -rate * np.sign(grad_B), scale=scale
    )[0]
    return abs(moved).mean()


print("rank   scale = alpha/R   scale = alpha      (alpha = 16)")
for R in (2, 8, 32, 128):
    print(f"{R:>4}   {first_step(R, 16 / R):15.4f}   {first_step(R, 16):13.4f}")

# %% tags=["check"]
assert 0.5 < first_step(2, 8) / first_step(128, 1 / 8) < 2
assert first_step(128, 16) / first_step(2, 16) > 32

# %% [markdown]
# The middle column keeps its size; the right one grows with the rank. At $R = 1$ both programs do the same, so a test with
# $R = 1$ sees nothing. Nor does one with $\alpha = R$ show a *lost* scale, for then $s = 1$. Test with numbers that differ.
#
# ## The layer
#
# The class below replaces a `Linear` layer. It keeps that layer's weight and bias, and can hold several adapters of
# which one is active. `merge` adds $s A B$ to the weight: **merging weights（权重合并）** makes the model as fast as
# before, because (1) is nothing but a linear layer of the weight $W + s A B$.

# %% library="minillm.finetuning.lora:LoRALinear"

# %% [markdown]
# ## On a real model, small
#
# A BERT ([chapter 17](17_bert.ipynb)) reads stories of the toy world and learns to fill in hidden words. No labels are needed
# for that: it is the pre-training.

# %% tags=["setup"]
words = WordVocabulary(ToyWorld().vocabulary("english"))
stories = ToyWorld().splits(1500, 300, seed=0)
plots = sorted({story.derivation["plot"] for story in stories.train})


def columns(stories, labels=False):
    """Ids that begin with [BOS], whose place says the class, and the number of each plot."""
    found = {"input_ids": [[1, *words.encode(story.english_tokens)] for story in stories]}
    if labels:
        found["labels"] = [plots.index(story.derivation["plot"]) for story in stories]
    return found


def hidden_words(batches, rng):
    """Batches without end, 15 % of whose words are to be guessed."""
    masker = TokenMasker(words)
    for i in itertools.count():
        batch = batches.batch(i)
        masked = masker(batch["input_ids"], rng)
        yield {**batch, "input_ids": masked.input_ids, "labels": masked.labels}


config = BertConfig(
    vocab_size=len(words), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=256, max_position_embeddings=110, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, initializer_range=0.125, num_labels=len(plots),
)  # fmt: skip

# %%
pretrained = BertForMaskedLM(config)
optimizer, steps = AdamW(pretrained.parameters(), lr=3e-3), 400
train = hidden_words(LengthBatches(columns(stories.train), 16), np.random.default_rng(1))
plan = schedule.cosine(optimizer, 20, steps)
history = fit(pretrained, optimizer, train, steps=steps, schedule=plan, clip=1.0)
first, last = history.losses[0], np.mean(history.losses[-20:])
print(f"loss on hidden words: {first:.2f} nats at first, {last:.2f} at the end")

# %% tags=["check"]
assert last < 0.6 * first

# %% [markdown]
# The task: which plot does a story have, that is, what happens in it and how does it end? 600 stories have a label. The model gets a new
# **classification head（分类头）**, and LoRA on every matrix of attention and MLP.

# %%
def fresh():
    """A classifier with the pre-trained body and a new head, always the same one."""
    minillm.manual_seed(3)
    model = BertForSequenceClassification(config)
    body = {k: v for k, v in pretrained.state_dict().items() if k in model.state_dict()}
    model.load_state_dict(body, strict=False)
    return model


HEAD = ("bert.pooler", "classifier")
MATRICES = ("query", "key", "value", "output.dense", "intermediate.dense")


def with_lora(model, r=8, alpha=16):
    return add_lora(model, LoraConfig(r, alpha, target_modules=MATRICES, modules_to_save=HEAD))


model = with_lora(fresh())
print(f"{len(plots)} plots")
print(model.bert.encoder.layer[0].attention)
print(trainable_parameters(model))

# %% [markdown]
# The share is large here, because the matrices are small and the head counts. Set $I = O = 4096$ in the first table for a
# large model.
#
# Now all the relatives, on the same body, the same labels and the same number of steps:
#
# - **BitFit（仅偏置微调）**: nothing new is added; of the old parameters the biases alone learn.
# - **Prompt tuning（提示微调）**: $P$ vectors stand before the text as if they were embeddings of words; they alone learn,
#   $P \cdot C$ numbers.
# - An **adapter（适配器）** is a small network between the frozen layers. It squeezes its input $h$ to $M$ numbers, bends it, and
#   adds the result back:
#
# <a id="formula-bottleneck"></a>
# $$\operatorname{adapter}(h)_c = h_c + \sum_{m=1}^{M} \operatorname{gelu}\Big( \sum_{k=1}^{C} h_k U_{km} + u_m \Big) V_{mc} + v_c \tag{6}$$
#
#   Because of the bend an adapter is no linear map, so it cannot be merged into a weight.
#
# All of them train the new head as well. Each learning rate is the best of four, tried on stories of
# another seed than those that are tested here.

# %%
def head_only(model):
    freeze(model)
    unfreeze(model, *HEAD)
    return model


def biases(model):
    bitfit(model, *HEAD)
    return model


METHODS = {  # how the model is changed, and the learning rate
    "everything": (lambda model: model, 1e-3),
    "head only": (head_only, 2e-2),
    "BitFit": (biases, 1e-2),
    "prompt, P = 8": (lambda model: PromptTuning(model, 8, *HEAD), 3e-2),
    "adapters, M = 8": (lambda model: add_adapters(model, 8, *HEAD), 1.6e-2),
    "LoRA, R = 8": (with_lora, 5e-3),
}
tests = LengthBatches(columns(stories.test, labels=True), 64, shuffle=False)


def tune(change, rate, steps=120):
    """Fine-tune a fresh copy in one of the ways; -> (the model, its accuracy on the test stories)."""
    model = change(fresh())
    labelled = columns(stories.train[:600], labels=True)
    train = LengthBatches(labelled, 16, rng=np.random.default_rng(4))
    optimizer = AdamW(model.parameters(), lr=rate)
    plan = schedule.cosine(optimizer, 5, steps)
    fit(model, optimizer, train, steps=steps, schedule=plan, clip=1.0, progress=False)
    return model, evaluate(model, tests, metrics={"accuracy": accuracy})["accuracy"]


# %%
tuned = {name: tune(*method) for name, method in METHODS.items()}
print("                  learn   share   gradients and Adam   accuracy")
for name, (model, score) in tuned.items():
    size = trainable_parameters(model)
    kilobytes = 3 * 4 * size.trainable / 1000  # gradient and two means, 4 bytes each
    print(
        f"{name:<16}{size.trainable:>7,}  {size.share:6.1%}   {kilobytes:>13,.0f} kB   {score:10.2f}"
    )
chance = max(np.bincount(columns(stories.test, labels=True)["labels"])) / len(stories.test)
print(f"always saying the most frequent plot:                {chance:10.2f}")

# %% tags=["check"]
sizes = {name: trainable_parameters(model) for name, (model, _) in tuned.items()}
assert all(score > 1.5 * chance for _, score in tuned.values())
assert tuned["LoRA, R = 8"][1] > tuned["head only"][1] > tuned["prompt, P = 8"][1]
assert tuned["LoRA, R = 8"][1] > tuned["everything"][1] - 0.05
assert sizes["LoRA, R = 8"].share < 0.2 and sizes["head only"].share < 0.06

# %% alt="Six points: accuracy over trainable parameters on a logarithmic axis. The prompt, the head alone and BitFit stand at the left, adapters and LoRA in the middle, full fine-tuning far right. LoRA stands highest, above full fine-tuning; the prompt stands lowest."
fig, axes = plt.subplots(figsize=(7.2, 3.4))
for number, (name, (model, score)) in enumerate(tuned.items()):
    learn = trainable_parameters(model).trainable
    axes.plot(learn, score, "osD^vP"[number], color=f"C{number}", markersize=8, label=name)
axes.set(
    title="Six ways to fine-tune one model: 600 labels, 120 steps",
    xlabel="parameters that learn", ylabel="accuracy on 300 stories", xscale="log", ylim=(0, 1),
)  # fmt: skip
axes.legend(loc="lower right", ncols=2)
plt.show()

# %% [markdown]
# Read the picture with care: by (2) of [chapter 21](21_fine_tuning.ipynb) an accuracy on 300 stories has a standard deviation of up
# to 3 points by chance alone, and with other numbers of steps the order may change. What can be seen is that a small part of the
# parameters is enough, and that *where* they stand counts: the prompt has more of them than the head alone, and less success.
# `python -m minillm task efficient-tuning` repeats it with a larger model and measures memory and time as well.
#
# ## Merged and unmerged are the same function

# %%
model = tuned["LoRA, R = 8"][0]
batch = {k: v for k, v in tests.batch(0).items() if k != "labels"}
apart = model(**batch).logits.numpy()
merged = merge_lora(model)(**batch).logits.numpy()
again = unmerge_lora(model)(**batch).logits.numpy()
print(f"merged:   largest difference of a logit {abs(merged - apart).max():.0e}")
print(f"unmerged: largest difference of a logit {abs(again - apart).max():.0e}")

# %% tags=["check"]
assert abs(merged - apart).max() < 1e-3
assert abs(again - apart).max() == 0

# %% [markdown]
# Merging rounds differently, in the last digits of float32. Unmerging restores the very bits, because the layer keeps a
# copy of the weight.
#
# ## Is the change really of low rank?
#
# Full fine-tuning is free to change $W$ in any direction. Its change $\Delta W$ can be taken apart by the **singular value
# decomposition (SVD)（奇异值分解）**: a sum of matrices of rank 1, ordered by size. If few of them make up most of
# $\Delta W$, little is lost by keeping only those.

# %% alt="Two falling curves over the number of rank-1 parts kept. For the change made by fine-tuning, the share left out falls steeply, below 20 percent at rank 8. For a random matrix of the same shape it falls slowly, above 60 percent at rank 8."
before = pretrained.bert.encoder.layer[1].attention.self.value.weight.numpy()
after = tuned["everything"][0].bert.encoder.layer[1].attention.self.value.weight.numpy()


def left_out(matrix):
    """The share of the squared entries that the best matrix of rank 0, 1, 2 … misses."""
    energy = np.linalg.svd(matrix, compute_uv=False) ** 2
    return 1 - np.concatenate([[0], energy.cumsum()]) / energy.sum()


random = np.random.default_rng(5).standard_normal(before.shape)
fig, axes = plt.subplots(figsize=(7.2, 3.2))
axes.plot(left_out(after - before), "o-", markersize=3, label="change of a value matrix by fine-tuning")
axes.plot(left_out(random), "s--", markersize=3, label="random matrix of the same shape")
axes.set(title="How much of a change a low rank misses", xlabel="rank R",
         ylabel="share left out (of squares)", xlim=(0, 32), ylim=(0, 1))  # fmt: skip
axes.legend()
plt.show()

# %% tags=["check"]
assert left_out(after - before)[8] < 0.5 * left_out(random)[8]

# %% [markdown]
# ## An experiment: the rank
#
# Here the truth is known. A trained $W$ is to become $W + \Delta$, where $\Delta$ has rank 3. LoRA of rank $R$ learns from pairs of
# $x$ and $y = x (W + \Delta)$. A rank below 3 cannot reach it: the best it can leave is the sum of the squares of the singular
# values it has no room for (Eckart and Young). Change `ranks`, then set the rank of the truth to 6 and look again.

# %% alt="Loss curves of LoRA with ranks 1, 2, 3 and 8 on a logarithmic axis. Ranks 1 and 2 stop at dashed lines, their theoretical floors; ranks 3 and 8 fall below the edge of the picture within 250 steps."
ranks, true_rank = [1, 2, 3, 8], 3
truth = np.random.default_rng(6)
W = truth.standard_normal((24, 24)) / math.sqrt(24)
Delta = truth.standard_normal((24, true_rank)) @ truth.standard_normal((true_rank, 24)) / 24
data = np.linalg.qr(truth.standard_normal((96, 24)))[0] * math.sqrt(96)  # uncorrelated features
target = data @ (W + Delta)
singular = np.linalg.svd(Delta, compute_uv=False)


def learn(R, steps=800, rate=0.05):
    A, B = truth.uniform(-1, 1, (24, R)) / math.sqrt(24), np.zeros((R, 24))
    losses = []
    for _ in range(steps):
        y, saved = ops.lora_linear_forward(data, W, A, B, scale=1.0)
        losses.append(((y - target) ** 2).sum() / len(data))
        grads = ops.lora_linear_backward(2 * (y - target) / len(data), saved)
        A, B = A - rate * grads[2], B - rate * grads[3]
    return losses


fig, axes = plt.subplots(figsize=(7.2, 3.4))
final = {}
for number, R in enumerate(ranks):
    losses = learn(R)
    final[R] = losses[-1]
    axes.semilogy(losses, color=f"C{number}", label=f"R = {R}")
    if R < true_rank:
        axes.axhline((singular[R:] ** 2).sum(), color=f"C{number}", linestyle="--", linewidth=1)
axes.set(title="LoRA of four ranks learns a change of rank 3", xlabel="step of gradient descent",
         ylabel="squared error per row", ylim=(1e-6, 10))  # fmt: skip
axes.legend()
plt.show()

# %% tags=["check"]
for R in (1, 2):
    assert abs(final[R] / (singular[R:] ** 2).sum() - 1) < 0.02
assert final[3] < 1e-5 and final[8] < 1e-5

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code.
# All answers: [solutions/22_lora.ipynb](solutions/22_lora.ipynb).

# %% [markdown] exercise="two-adapters" minutes=10 teaches="a product of stacked matrices is a sum of products" catches="averaging A and B, which multiplies parts that never met; forgetting the scales"
# ### Exercise 22.1: two adapters in one
#
# Two people have fine-tuned the same model with LoRA: $s_1 A_1 B_1$ of rank $R_1$, and $s_2 A_2 B_2$ of rank $R_2$. Write one
# adapter $(A, B)$ with the scale 1 whose update is the *sum* of both.
#
# <details><summary>Hint 1</summary>
#
# $(A_1 + A_2)(B_1 + B_2)$ has four terms. Two of them are wrong, and the shapes need not even fit.
#
# </details>
# <details><summary>Hint 2</summary>
#
# In $AB = \sum_r (\text{column } r \text{ of } A)(\text{row } r \text{ of } B)$ each $r$ is a part of its own. How many parts does the sum have?
#
# </details>
# <details><summary>Hint 3</summary>
#
# Stack the columns of both $A$ side by side, and the rows of both $B$ one below the other. Put the scales on one side.
#
# </details>

# %% exercise="two-adapters"
def both(A1, B1, scale1, A2, B2, scale2):
    """One adapter (A, B), of scale 1, that does what two do together.

    Shapes   A1 (I, R1), B1 (R1, O), A2 (I, R2), B2 (R2, O) -> A (I, R1 + R2), B (R1 + R2, O)
    """
    # BEGIN SOLUTION
    A = np.concatenate([scale1 * A1, scale2 * A2], axis=1)
    return A, np.concatenate([B1, B2], axis=0)
    # END SOLUTION


# %% self_check="two-adapters"
draw = np.random.default_rng(11).standard_normal
A1, B1, A2, B2 = draw((7, 3)), draw((3, 5)), draw((7, 3)), draw((3, 5))
A, B = both(A1, B1, 0.5, A2, B2, 3.0)
assert A.shape == (7, 6) and B.shape == (6, 5), f"the shapes are {A.shape} and {B.shape}"
wanted = 0.5 * A1 @ B1 + 3.0 * A2 @ B2
assert np.allclose(A @ B, wanted), "A @ B is not the sum of both updates: multiply it out for R = 1"
print("right: one adapter of rank", A.shape[1])

# %% wrong="two-adapters"
def both(A1, B1, scale1, A2, B2, scale2):
    return (A1 + A2) / 2, (B1 + B2) / 2


# %% wrong="two-adapters"
def both(A1, B1, scale1, A2, B2, scale2):
    A = np.concatenate([scale1 * A1, scale2 * A2], axis=1)
    return A, np.concatenate([scale1 * B1, scale2 * B2], axis=0)


# %% [markdown] exercise="adapter-backward" minutes=15 teaches="two ways to the output; a backward pass from forward's lines" catches="the forgotten residual way, a bias without a sum, the slope at the wrong place"
# ### Exercise 22.2: the backward pass of an adapter
#
# An adapter like (6) with tanh for gelu and no second bias: `out = h + tanh(h @ U + u) @ V`. Write forward and backward.
#
# <details><summary>Hint 1</summary>
#
# Keep `t = tanh(h @ U + u)`. The slope of tanh is $1 - t^2$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Go backwards line by line: first `grad_V` and `grad_t` from `t @ V`, then through tanh, then `grad_U` and `grad_u`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `h` is used twice. Its gradient has two terms, and one of them is `grad_out` itself.
#
# </details>

# %% exercise="adapter-backward"
def adapter_forward(h, U, u, V):
    """h + tanh(h @ U + u) @ V.

    Shapes   h (N, C), U (C, M), u (M,), V (M, C) -> out (N, C), and whatever backward needs
    """
    # BEGIN SOLUTION
    t = np.tanh(h @ U + u)
    return h + t @ V, (h, U, V, t)
    # END SOLUTION


def adapter_backward(grad_out, saved):
    """The gradients of (h, U, u, V)."""
    # BEGIN SOLUTION
    h, U, V, t = saved
    inner = grad_out @ V.T * (1 - t * t)
    return grad_out + inner @ U.T, h.T @ inner, inner.sum(axis=0), t.T @ grad_out
    # END SOLUTION


# %% self_check="adapter-backward"
draw = np.random.default_rng(12).standard_normal
given = draw((5, 7)), draw((7, 3)), draw(3), draw((3, 7))
out, _ = adapter_forward(given[0], given[1], given[2], 0 * given[3])
assert np.allclose(out, given[0]), "with V = 0 an adapter must change nothing"
report = check_gradients(adapter_forward, adapter_backward, *given)
print(report)
assert report.passed, "a gradient is wrong: read the report"

# %% wrong="adapter-backward"
def adapter_forward(h, U, u, V):
    t = np.tanh(h @ U + u)
    return h + t @ V, (h, U, V, t)


def adapter_backward(grad_out, saved):
    h, U, V, t = saved
    inner = grad_out @ V.T * (1 - t * t)
    return inner @ U.T, h.T @ inner, inner.sum(axis=0), t.T @ grad_out


# %% wrong="adapter-backward"
def adapter_forward(h, U, u, V):
    t = np.tanh(h @ U + u)
    return h + t @ V, (h, U, V, t)


def adapter_backward(grad_out, saved):
    h, U, V, t = saved
    inner = grad_out @ V.T * (1 - np.tanh(t) ** 2)
    return grad_out + inner @ U.T, h.T @ inner, inner.sum(axis=0), t.T @ grad_out


# %% [markdown] exercise="extract" minutes=10 teaches="the best low-rank approximation; where the scale goes" catches="singular values used twice or not at all, the scale forgotten"
# ### Exercise 22.3: an adapter from two finished models
#
# Somebody gives you $W$ and the fully fine-tuned $W'$. Find the LoRA adapter of rank $R$ and scale $\alpha / R$ that comes nearest to
# the change, in the sum of squares.
#
# <details><summary>Hint 1</summary>
#
# `U, S, Vt = np.linalg.svd(change, full_matrices=False)` gives `change = (U * S) @ Vt`, the largest values of `S` first.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The best matrix of rank $R$ keeps the first $R$ columns of `U`, the first $R$ of `S` and the first $R$ rows of `Vt`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# The layer multiplies $AB$ by $\alpha / R$ once more: divide by it.
#
# </details>

# %% exercise="extract"
def extract(W, W_tuned, R, alpha):
    """The adapter (A, B) with W + alpha / R * A @ B nearest to W_tuned.

    Shapes   W, W_tuned (I, O) -> A (I, R), B (R, O)
    """
    # BEGIN SOLUTION
    U, S, Vt = np.linalg.svd(W_tuned - W, full_matrices=False)
    return U[:, :R] * S[:R] * (R / alpha), Vt[:R]
    # END SOLUTION


# %% self_check="extract"
draw = np.random.default_rng(13).standard_normal
W, change = draw((7, 5)), draw((7, 2)) @ draw((2, 5))
A, B = extract(W, W + change, 2, 6.0)
assert A.shape == (7, 2) and B.shape == (2, 5), f"the shapes are {A.shape} and {B.shape}"
apart = abs(3.0 * A @ B - change).max()
assert apart < 1e-9, f"a change of rank 2 must come out exactly; an entry is off by {apart:.2g}"
A, B = extract(W, W + change, 1, 6.0)
missed, best = ((6.0 * A @ B - change) ** 2).sum(), np.linalg.svd(change)[1][1] ** 2
assert np.isclose(missed, best), f"rank 1 misses {missed:.3f}, but {best:.3f} is possible"
print("right: nothing of rank R is nearer")

# %% wrong="extract"
def extract(W, W_tuned, R, alpha):
    U, S, Vt = np.linalg.svd(W_tuned - W, full_matrices=False)
    return U[:, :R] * S[:R], Vt[:R]


# %% wrong="extract"
def extract(W, W_tuned, R, alpha):
    U, S, Vt = np.linalg.svd(W_tuned - W, full_matrices=False)
    return U[:, :R] * S[:R] * (R / alpha), S[:R, None] * Vt[:R]


# %% [markdown]
# ## References
#
# - E. J. Hu et al. (2021), *LoRA: Low-rank adaptation of large language models*, arXiv:2106.09685, section 4.1, eq. 3: here (1).
# - E. Ben Zaken, S. Ravfogel, Y. Goldberg (2021), *BitFit*, arXiv:2106.10199, section 3.
# - B. Lester, R. Al-Rfou, N. Constant (2021), *The power of scale for parameter-efficient prompt tuning*, arXiv:2104.08691, section 2.
# - N. Houlsby et al. (2019), *Parameter-efficient transfer learning for NLP*, arXiv:1902.00751, section 2.1 and figure 2: here (6).
# - C. Eckart, G. Young (1936), *The approximation of one matrix by another of lower rank*, Psychometrika 1.
# - In the library: [minillm/ops/lora_linear.py](../minillm/ops/lora_linear.py),
#   [minillm/finetuning/lora.py](../minillm/finetuning/lora.py), `bitfit.py`, `prompt_tuning.py`, `adapters.py` beside it.
