# %% [markdown]
# # 21 · Fine-tuning and overfitting
#
# **You need:** [chapter 17](17_bert.ipynb) (BERT and hidden words), [chapter 7](07_optimizers.ipynb) (AdamW).
#
# **Time:** 25 minutes of reading, 35 for the exercises.
#
# **You will be able to** pre-train a small model and fine-tune it on few labels, see overfitting in a curve and choose a
# remedy, measure what a model forgets, and say how much an accuracy on ten examples is worth.

# %% [markdown]
# ## Why it matters
#
# Texts are plentiful, labels are not: somebody has to write each of them. A language model learns from plain text first. That
# is **pre-training（预训练）**. Then it learns the task from a few labelled examples, and starts from what it knows:
# **fine-tuning（微调）**. With few examples and many parameters a second thing comes into play. The model can learn the
# examples by heart and get worse on everything else: **overfitting（过拟合）**.
#
# ## The steps
#
# Load the pre-trained weights; put a new **classification head（分类头）** on top; **freeze（冻结）** what must stay; train on the
# task; look at data that the training does not see; change something; stop in time.
#
# $$\theta_0 = \arg\min_\theta L_{\text{text}}(\theta), \qquad
#   \theta_1 = \text{a few steps downhill on } L_{\text{task}} \text{, starting at } \theta_0$$
#
# | symbol | what it is |
# |---|---|
# | $\theta$ | all parameters of the body: embeddings and layers |
# | $L_{\text{text}}$ | the loss on hidden words; needs no labels |
# | $L_{\text{task}}$ | the loss on the labels; also trains the head, which starts at random |

# %% tags=["setup"]
import dataclasses
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import ops
from minillm.data import LengthBatches, TokenMasker, ToyWorld
from minillm.finetuning import freeze, layerwise_groups
from minillm.gradcheck import check_gradients
from minillm.models import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minillm.optim import AdamW, schedule
from minillm.tasks import WordVocabulary
from minillm.training import EarlyStopping, accuracy, evaluate, fit
from minillm.viz import book_style

minillm.manual_seed(0)
book_style()

# %% [markdown]
# ## Pre-training
#
# About 4,800 sentences of the toy world, without any labels. 15 % of the words are hidden, and a small BERT learns to guess
# them.

# %%
world = ToyWorld()
words = WordVocabulary(world.vocabulary("english"))
parts = world.splits(1200, 100, seed=0)
order = np.random.default_rng(0)
sentences = [sentence for story in parts.train for sentence in story.sentences]
sentences = [sentences[i] for i in order.permutation(len(sentences))]
roles = sorted({role for s in sentences for role in s.roles["english"]})


def columns(sentences, labels=False):
    """Ids, [BOS] before them, and the number of each word's role; [BOS] has none."""
    found = {"input_ids": [[1, *words.encode(s.tokens["english"])] for s in sentences]}
    if labels:
        found["labels"] = [[-100, *map(roles.index, s.roles["english"])] for s in sentences]
    return found


def hidden_words(batches, rng):
    """Batches without end, with words to guess."""
    masker = TokenMasker(words)
    for i in itertools.count():
        batch = batches.batch(i)
        masked = masker(batch["input_ids"], rng)
        yield {**batch, "input_ids": masked.input_ids, "labels": masked.labels}


config = BertConfig(
    vocab_size=len(words), hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=192, max_position_embeddings=32, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, initializer_range=48**-0.5, num_labels=len(roles),
)  # fmt: skip
pretrained = BertForMaskedLM(config)
optimizer, steps = AdamW(pretrained.parameters(), lr=3e-3), 450
train = hidden_words(LengthBatches(columns(sentences), 32), np.random.default_rng(1))
plan = schedule.cosine(optimizer, 20, steps)
history = fit(pretrained, optimizer, train, steps=steps, schedule=plan, clip=1.0)
print(f"{len(sentences):,} sentences, {pretrained.num_parameters():,} parameters")
print(
    f"loss on hidden words: {history.losses[0]:.2f} nats at first, "
    f"{np.mean(history.losses[-30:]):.2f} at the end"
)

# %% tags=["check"]
assert np.mean(history.losses[-30:]) < 0.45 * history.losses[0]
assert len(sentences) > 4500

# %% [markdown]
# ## The task: who does what
#
# **Semantic role labelling（语义角色标注）** gives every word of a sentence a **label（标签）**: the one who acts, the action, the
# thing. `B-` begins a part, `I-` goes on with it, `O` is no part.

# %%
for word, role in zip(sentences[2].tokens["english"], sentences[2].roles["english"], strict=True):
    print(f"{word:<12}{role}")

# %% [markdown]
# Now train a head on top: once on the pre-trained body, once on a fresh one, with 10, 30 and 100 labelled sentences. The
# measure is the **accuracy（准确率）** over the words of sentences that no training has seen.

# %%
held_out = [sentence for story in parts.test for sentence in story.sentences]
validation = LengthBatches(columns(held_out[:200], True), 100, shuffle=False)
test = LengthBatches(columns(held_out[200:], True), 100, shuffle=False)


def body_of(model):
    """Give a model the pre-trained body; its head stays as it was drawn."""
    own = model.state_dict()
    body = {name: a for name, a in pretrained.state_dict().items() if name in own}
    model.load_state_dict(body, strict=False)
    return model


def share_right(model, batches):
    """Accuracy over the words."""
    model.eval()
    said, right = [], []
    for batch in batches:
        labels = batch["labels"]
        inputs = {name: a for name, a in batch.items() if name != "labels"}
        logits = model(**inputs).logits.numpy()
        said.append(logits.argmax(axis=-1)[labels != -100])
        right.append(labels[labels != -100])
    return accuracy(np.concatenate(said), np.concatenate(right))


def tuned_from(start, labelled, rate=3e-3, steps=60, seed=0):
    """Train a model from `start` on labelled sentences."""
    minillm.manual_seed(seed)
    model = start(BertForTokenClassification(config))
    optimizer = AdamW(model.parameters(), lr=rate)
    plan = schedule.cosine(optimizer, 5, steps)
    batches = LengthBatches(columns(labelled, True), min(16, len(labelled)))
    fit(model, optimizer, batches, steps=steps, schedule=plan, clip=1.0, progress=False)
    return model


# %%
found = {}
draws = 3  # fast: 2
print(f"labelled sentences   fresh body   pre-trained      (mean of {draws} draws of the sentences)")
for n in (10, 30, 100):
    for start in (lambda model: model, body_of):
        found.setdefault(n, []).append(
            [
                share_right(tuned_from(start, sentences[300 * k : 300 * k + n], seed=k), test)
                for k in range(draws)
            ]
        )
    fresh, tuned = np.mean(found[n], axis=1)
    print(f"{n:>18}{fresh:13.3f}{tuned:14.3f}")

# %% alt="Two rising curves of accuracy over 10, 30 and 100 labelled sentences, with a dot for each of three draws. The pre-trained body lies above the fresh one everywhere, most at the left."
fig, axes = plt.subplots(figsize=(7.2, 3.2))
for number, name in enumerate(("fresh body", "pre-trained body")):
    scores = np.array([found[n][number] for n in found])  # (sizes, draws)
    style = {"color": f"C{number}", "marker": "os"[number]}
    axes.plot(list(found), scores.mean(axis=1), label=name, **style)
    axes.plot(list(found), scores, linestyle="", alpha=0.4, markersize=4, **style)
axes.set(title="What pre-training is worth", xlabel="labelled sentences", xscale="log",
         ylabel="accuracy of the roles of words", ylim=(0.5, 1))  # fmt: skip
axes.set_xticks(list(found), list(map(str, found)))
axes.legend(loc="lower right")
plt.show()

# %% tags=["check"]
for n in (10, 30):
    fresh, tuned = np.mean(found[n], axis=1)
    assert tuned > fresh + 0.02
gains = {n: np.subtract(*np.mean(found[n], axis=1)[::-1]) for n in found}
assert gains[10] > gains[100]

# %% [markdown]
# The gain is largest where labels are fewest. Guessing hidden words has taught the model which words do the same job in a
# sentence, and that is what this task asks for.
#
# It is no law. The pre-training must have learned what the task needs. Take sentiment: is the last sentence of a story happy or
# sad? A few single words tell, and the class is read at the place of `[BOS]`, where nothing was ever to be guessed.

# %%
endings = [(story.sentences[-1], story.sentiment == "positive") for story in parts.train]
final = [(story.sentences[-1], story.sentiment == "positive") for story in parts.test]


def sentiment_batches(pairs, **options):
    given = columns([sentence for sentence, _ in pairs])
    return LengthBatches(given | {"labels": [int(good) for _, good in pairs]}, 16, **options)


means = {}
for n in (10, 100):
    for name, start in (("fresh", lambda model: model), ("pre-trained", body_of)):
        scores = []
        for k in range(draws):
            minillm.manual_seed(k)
            two = dataclasses.replace(config, num_labels=2)
            model = start(BertForSequenceClassification(two))
            optimizer = AdamW(model.parameters(), lr=2e-3)
            train = sentiment_batches(endings[300 * k : 300 * k + n])
            fit(model, optimizer, train, steps=50, clip=1.0, progress=False)
            right = evaluate(model, sentiment_batches(final, shuffle=False), metrics={"a": accuracy})
            scores.append(right["a"])
        means[n, name] = np.mean(scores)
        print(f"sentiment, {n:>3} labels, {name:<11} body: accuracy {means[n, name]:.2f}")

# %% tags=["check"]
assert abs(means[100, "pre-trained"] - means[100, "fresh"]) < 0.15
assert means[10, "pre-trained"] < 0.85

# %% [markdown]
# Nothing is gained here.
#
# ## Overfitting in one picture
#
# Train on 30 sentences, from scratch, for a long time. Every 10 steps look at two losses: on the sentences that it learns
# from, and on 200 others, the **validation set（验证集）**.

# %%
few = sentences[:30]


def long_run(start=lambda model: model, labelled=few, decay=0.0, dropout=0.0, stop=None):
    """200 steps; -> what History holds, with the validation loss every 10 steps."""
    minillm.manual_seed(0)
    shape = dataclasses.replace(
        config, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
    )
    model = start(BertForTokenClassification(shape))
    return fit(
        model, AdamW(model.parameters(), lr=3e-3, weight_decay=decay),
        LengthBatches(columns(labelled, True), 16), validation, steps=200, evaluate_every=10,
        clip=1.0, early_stopping=stop, progress=False,
    ).history  # fmt: skip


runs = {"no remedy": long_run()}

# %% alt="Training loss falls to almost 0 within 50 steps. The validation loss falls at first, has its lowest point early, and rises from there on."
plain = runs["no remedy"]
fig, axes = plt.subplots(figsize=(7.2, 3.2))
axes.plot(plain["step"], plain["loss"], "o-", label="30 sentences that are trained on")
axes.plot(plain["step"], plain["val_loss"], "s-", label="200 others (validation)")
best = int(np.argmin(plain["val_loss"]))
axes.annotate("stop here", (plain["step"][best], plain["val_loss"][best]), xytext=(0, 35),
              textcoords="offset points", ha="center", arrowprops={"arrowstyle": "->"})  # fmt: skip
axes.set(title="Overfitting", xlabel="step", ylabel="loss (nats per word)", ylim=(0, None))
axes.legend()
plt.show()

# %% tags=["check"]
assert plain["loss"][-1] < 0.05
assert plain["val_loss"][-1] > 1.1 * min(plain["val_loss"])
assert best < len(plain["step"]) - 3

# %% [markdown]
# The loss on the training sentences goes to zero: the model knows them by heart. On others it gets *worse* after the best point.
#
# ## Remedies
#
# **Weight decay（权重衰减）** asks for small weights. Add to the loss $\frac{\lambda}{2}$ times the sum of squares of a weight $w$:
#
# $$L' = L + \frac{\lambda}{2} \sum_{ij} w_{ij}^2, \qquad
#   \frac{\partial L'}{\partial w_{ij}} = \frac{\partial L}{\partial w_{ij}} + \lambda w_{ij} \tag{1}$$
#
# The loss depends on $w$ in two ways, so the gradient has two terms. Here is a layer with its penalty, and a backward pass that
# forgets the second way:

# %%
def penalised_forward(x, weight, *, targets, decay):
    logits = x @ weight
    loss, saved = ops.cross_entropy_forward(logits, targets)
    return loss + decay / 2 * (weight * weight).sum(), (x, weight, saved, decay)


def penalised_backward(grad_out, saved):
    x, weight, inner, decay = saved
    grad_logits = ops.cross_entropy_backward(grad_out, inner)[0]
    return grad_logits @ weight.T, x.T @ grad_logits + grad_out * decay * weight


def without_penalty(grad_out, saved):
    x, weight, inner, decay = saved
    grad_logits = ops.cross_entropy_backward(grad_out, inner)[0]
    return grad_logits @ weight.T, x.T @ grad_logits


draw = np.random.default_rng(2)
x, weight = draw.standard_normal((5, 7)), draw.standard_normal((7, 3))
options = {"targets": np.array([0, 2, 2, 1, 0]), "decay": 0.3}
print(check_gradients(penalised_forward, penalised_backward, x, weight, **options), "\n")
print(check_gradients(penalised_forward, without_penalty, x, weight, **options))

# %% tags=["check"]
assert check_gradients(penalised_forward, penalised_backward, x, weight, **options).passed
[finding] = check_gradients(penalised_forward, without_penalty, x, weight, **options).findings
assert finding.kind == "dropped_branch"

# %% [markdown]
# In AdamW the penalty does not go through the gradient, but straight to the weight ([chapter 7](07_optimizers.ipynb)). The other
# remedies:
#
# - **Dropout（暂退法）** ([chapter 12](12_block.ipynb)): no unit can rely on another one.
# - **Early stopping（早停）**: go back to the weights at the lowest validation loss.
# - **Freezing** the pre-trained body: fewer parameters learn.
# - **More data**, which is the best one where it can be had.

# %%
def frozen_body(model):
    body_of(model)
    freeze(model, "bert")
    return model


runs["weight decay"] = long_run(decay=1.0)
runs["dropout"] = long_run(dropout=0.3)
runs["early stopping"] = long_run(stop=EarlyStopping(patience=2))

# %%
runs["frozen body"] = long_run(start=frozen_body)
runs["pre-trained body"] = long_run(start=body_of)
runs["10 times the data"] = long_run(labelled=sentences[:300])
print("                     training   validation at the end   at its best")
for name, run in runs.items():
    print(f"{name:<19}{run['loss'][-1]:10.2f}{run['val_loss'][-1]:24.2f}{min(run['val_loss']):14.2f}")

# %% alt="Validation loss of seven trainings over the steps. Without a remedy, with weight decay and with dropout it rises after a minimum; early stopping ends its line early; the frozen body falls slowly; the pre-trained body lies lower from the start; ten times the data ends far below all others."
fig, axes = plt.subplots(figsize=(7.2, 3.6))
for number, (name, run) in enumerate(runs.items()):
    axes.plot(run["step"], run["val_loss"], marker="osD^vPX"[number], markersize=4,
              color=f"C{number % 6}", linestyle="-" if number < 6 else "--", label=name)  # fmt: skip
axes.set(title="The same 30 sentences, with and without a remedy", xlabel="step",
         ylabel="loss on other sentences (nats per word)", ylim=(0, None))  # fmt: skip
axes.legend(ncols=2, fontsize=8)
plt.show()

# %% tags=["check"]
end = {name: run["val_loss"][-1] for name, run in runs.items()}
assert end["10 times the data"] < 0.6 * end["no remedy"]
for name in ("weight decay", "dropout"):
    lowest = min(runs[name]["val_loss"])
    assert abs(lowest - min(plain["val_loss"])) < 0.15
    assert end[name] > 1.03 * lowest
assert end["frozen body"] < end["no remedy"]
assert end["pre-trained body"] < end["no remedy"]
assert runs["early stopping"]["step"][-1] < 200

# %% [markdown]
# Weight decay and dropout, as they are set here, change the best point little, and the loss still rises after it. Early stopping cuts
# the rise off, and goes back to the weights of its best point. What helps most is knowledge from elsewhere: a pre-trained body,
# frozen or not, and more sentences.
#
# **Try it:** change `decay`, `dropout` and `patience`. Which of them changes the *lowest* point of the curve, and which only what
# comes after it?
#
# ## Slower at the bottom
#
# Layers near the input hold general knowledge, the head holds none. So let them learn at different speeds: a **layer-wise
# learning rate（逐层学习率）** is $\eta_d = \eta \cdot \xi^{\,D - d}$ at the depth $d$, where the head has $d = D$ and $\xi \le 1$. The library
# makes groups for the optimiser ($\xi$ is called `decay`):

# %% library="minillm.finetuning.freezing:layerwise_groups"

# %%
model = body_of(BertForTokenClassification(config))
for group in layerwise_groups(model, lr=3e-3, decay=0.5):
    if group["weight_decay"]:  # the matrices; biases and norms have groups of their own
        print(f"rate {group['lr']:.5f}   {group['params'][0][0]}")

# %% tags=["check"]
rates = sorted({group["lr"] for group in layerwise_groups(model, lr=3e-3, decay=0.5)})
assert np.allclose(np.diff(np.log(rates)), np.log(2))

# %% [markdown]
# ## What is forgotten
#
# Fine-tuning serves one loss and does not look at the other. How well does the tuned body still guess hidden words, with the old
# head for them put back? Losing that is called **catastrophic forgetting（灾难性遗忘）**.

# %%
def hidden_loss(body):
    """The loss on hidden words of a body, with the pre-trained head for words."""
    model = BertForMaskedLM(config)
    state = dict(pretrained.state_dict())
    state |= {name: a for name, a in body.state_dict().items() if name in state}
    model.load_state_dict(state)
    batches = hidden_words(LengthBatches(columns(held_out), 32, shuffle=False), np.random.default_rng(5))
    return evaluate(model, itertools.islice(batches, 12))["loss"]


def tune(groups, steps=100):
    """Fine-tune on 100 sentences; groups(model) says what learns, and how fast."""
    minillm.manual_seed(0)
    model = body_of(BertForTokenClassification(config))
    optimizer = AdamW(groups(model))
    plan = schedule.cosine(optimizer, 5, steps)
    batches = LengthBatches(columns(sentences[:100], True), 16)
    fit(model, optimizer, batches, steps=steps, schedule=plan, clip=1.0, progress=False)
    return model


def head_alone(model):
    freeze(model, "bert")
    return layerwise_groups(model, lr=1e-2)


ways = {
    "one rate for all": lambda model: layerwise_groups(model, lr=3e-3, decay=1.0),
    "half as fast per layer": lambda model: layerwise_groups(model, lr=3e-3, decay=0.5),
    "head alone": head_alone,
}
before = hidden_loss(pretrained)
print(f"hidden words, before fine-tuning: {before:.2f} nats   (uniform: {math.log(len(words)):.2f})")
after = {}
for name, groups in ways.items():
    model = tune(groups)
    after[name] = hidden_loss(model), share_right(model, test)
    print(f"{name:<24} hidden words {after[name][0]:5.2f} nats   roles {after[name][1]:.3f}")

# %% tags=["check"]
assert after["one rate for all"][0] > before + 0.5
assert before <= after["half as fast per layer"][0] < after["one rate for all"][0]
assert abs(after["head alone"][0] - before) < 1e-6

# %% [markdown]
# The head alone forgets nothing, for the body did not move, but it learns least. [Chapter 22](22_lora.ipynb) shows ways in between.
#
# ## Three sets, and how many examples
#
# The training set is for learning. The validation set is for *choosing*: the step at which to stop, the remedy, the rate. Once it
# has been used for choosing, it flatters. So a third set, the **test set（测试集）**, is looked at once, at the end.
#
# One of the articles that this book checks trains on 100 examples, gives its 10 test examples to the training as validation
# data, and reports an accuracy of 0.90 on them. Two things are wrong. First, choosing. Let 20 models know nothing, each right by a
# fair coin, and take the best of them on 10 examples:

# %%
coin = np.random.default_rng(3)
shown = (coin.random((2000, 20, 10)) < 0.5).mean(axis=2)  # 2000 repetitions, 20 models
print(f"accuracy of the best of 20 on the ten examples it was chosen by: {shown.max(axis=1).mean():.2f}")
print(f"its accuracy on new examples:                                    {0.5:.2f}")

# %% tags=["check"]
assert 0.75 < shown.max(axis=1).mean() < 0.85

# %% [markdown]
# Second, ten are few. If the true accuracy is $p$ and $k$ of $n$ answers are right, then $k$ is binomial, and the share $k / n$ has
#
# $$\operatorname{E}\Big[\frac{k}{n}\Big] = p, \qquad \operatorname{Var}\Big[\frac{k}{n}\Big] = \frac{p (1 - p)}{n} \tag{2}$$
#
# Which $p$ are compatible with 9 of 10? All those for which 9 or more, and 9 or fewer, each happen with a probability of at least
# 2.5 %. Those make a 95 % interval:

# %%
def interval(right, n):
    """All p, in steps of 0.001, that do not make the outcome too rare."""
    k, kept = np.arange(n + 1), []
    ways = np.array([math.log(math.comb(n, j)) for j in k])
    for p in (np.arange(1000) + 0.5) / 1000:
        chance = np.exp(ways + k * np.log(p) + (n - k) * np.log(1 - p))  # of k right answers
        if min(chance[right:].sum(), chance[: right + 1].sum()) >= 0.025:
            kept.append(p)
    return min(kept), max(kept)


for right, n in ((9, 10), (90, 100), (900, 1000)):
    low, high = interval(right, n)
    print(f"{right:>4} of {n:<5} the true accuracy may be {low:.2f} … {high:.2f}")

# %% tags=["check"]
low, high = interval(9, 10)
assert 0.55 < low < 0.57
assert high > 0.99

# %% [markdown]
# On ten examples 0.90 may be hardly better than a coin. By (2) the width shrinks like $1 / \sqrt{n}$: a hundred times the examples
# for one more digit.
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code.
# All answers: [solutions/21_fine_tuning.ipynb](solutions/21_fine_tuning.ipynb).

# %% [markdown] exercise="stopping" minutes=10 teaches="what patience counts" catches="counting all bad evaluations, not those in a row; returning the last weights"
# ### Exercise 21.1: early stopping by hand
#
# `losses` are validation losses, one after each epoch. The training stops as soon as `patience` epochs *in a row* have brought no
# loss below the best so far. Return `(stopped, best)`: how many epochs were run, and the number of the best epoch, both counted
# from 1. Without a stop, `stopped` is the number of all epochs.
#
# <details><summary>Hint 1</summary>
#
# Go through the losses with a counter that goes back to 0 whenever there is a new best.
#
# </details>
# <details><summary>Hint 2</summary>
#
# An equal loss is no improvement: use `<`.
#
# </details>

# %% exercise="stopping"
def early_stop(losses, patience):
    """When the training stops, and which epoch's weights it keeps: (stopped, best), from 1."""
    # BEGIN SOLUTION
    best, waited = 1, 0
    for epoch, loss in enumerate(losses, start=1):
        if epoch == 1 or loss < losses[best - 1]:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited == patience:
            return epoch, best
    return len(losses), best
    # END SOLUTION


# %% self_check="stopping"
for losses, patience, expected in [
    ([3.0, 2.0, 2.5, 2.4, 1.0], 2, (4, 2)),
    ([3.0, 2.0, 2.5, 1.9, 2.0, 1.8, 2.0], 2, (7, 6)),
    ([3.0, 2.0, 2.0, 2.0, 2.0], 3, (5, 2)),
    ([2.0, 1.0, 0.5], 1, (3, 3)),
]:
    given = early_stop(losses, patience)
    assert tuple(given) == expected, f"{losses}, patience {patience}: {expected}, you say {given}"
print("right")

# %% wrong="stopping"
def early_stop(losses, patience):
    best, bad = 1, 0
    for epoch, loss in enumerate(losses, start=1):
        if loss < losses[best - 1]:
            best = epoch
        elif epoch > 1:
            bad += 1
        if bad == patience:
            return epoch, best
    return len(losses), best


# %% wrong="stopping"
def early_stop(losses, patience):
    best, waited = 1, 0
    for epoch, loss in enumerate(losses, start=1):
        if epoch == 1 or loss < losses[best - 1]:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited == patience:
            return epoch, epoch
    return len(losses), len(losses)


# %% [markdown] exercise="wilson" minutes=15 teaches="an interval from the variance of a share" catches="the interval of zero width at 10 of 10"
# ### Exercise 21.2: an interval in closed form
#
# The simplest interval puts $\hat p = k / n$ in place of $p$ in (2): $\hat p \pm z \sqrt{\hat p (1 - \hat p) / n}$ with $z = 1.96$
# (95 % of a normal distribution lie within 1.96 standard deviations of its mean). At 10 of 10 it says $1 \pm 0$, which is absurd.
# Wilson (1927) takes all $p$ with $\lvert \hat p - p \rvert \le z \sqrt{p (1 - p) / n}$, the true $p$ under the root. Square, solve
# for $p$, and return both ends.
#
# <details><summary>Hint 1</summary>
#
# $n (\hat p - p)^2 = z^2 p (1 - p)$ is a quadratic equation in $p$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $(n + z^2)\, p^2 - (2 n \hat p + z^2)\, p + n \hat p^2 = 0$
#
# </details>
# <details><summary>Hint 3</summary>
#
# `np.roots([a, b, c])` solves it, too; sort the two roots.
#
# </details>

# %% exercise="wilson"
def wilson(right, n, z=1.96):
    """The 95 % interval (low, high) of the accuracy, if `right` of n answers were right."""
    # BEGIN SOLUTION
    p = right / n
    middle = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    # END SOLUTION


# %% self_check="wilson"
for right, n in ((9, 10), (10, 10), (37, 50), (0, 5)):
    for end in wilson(right, n):
        gap = abs(right / n - end) - 1.96 * math.sqrt(max(end * (1 - end), 0) / n)
        assert abs(gap) < 1e-6, f"{right} of {n}: {end:.4f} does not solve Wilson's equation"
low, high = wilson(10, 10)
assert abs(low - 10 / (10 + 1.96**2)) < 1e-6, f"10 of 10: the lower end is {low:.4f}, too high"
assert low < high, "the lower end comes first"
print("9 of 10: {:.2f} … {:.2f}".format(*wilson(9, 10)))

# %% wrong="wilson"
def wilson(right, n, z=1.96):
    p = right / n
    half = z * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


# %% wrong="wilson"
def wilson(right, n, z=1.96):
    p = (right + z * z / 2) / (n + z * z)
    half = z * math.sqrt(p * (1 - p) / (n + z * z))
    return p - half, p + half


# %% [markdown] exercise="split" minutes=10 teaches="what a held-out set must not contain" catches="the same text on both sides; dropping rows"
# ### Exercise 21.3: a split that does not leak
#
# In real data the same text comes several times. If one copy is trained on and another one tested on, the test measures
# memory. Write a split of row numbers into two lists, such that all rows with the same text are on one side, every row is on
# exactly one side, and the second side has about `share` of the *different texts*.
#
# <details><summary>Hint 1</summary>
#
# Do not draw rows, draw texts.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `sorted(set(texts))`, permuted by `rng`, has the texts to choose from. Sorting first makes the result the same in every run.
#
# </details>

# %% exercise="split"
def split(texts, share, rng):
    """Row numbers (kept, held): all rows of one text on one side."""
    # BEGIN SOLUTION
    different = rng.permutation(sorted(set(texts)))
    chosen = set(different[: round(share * len(different))].tolist())
    held = [row for row, text in enumerate(texts) if text in chosen]
    return [row for row in range(len(texts)) if texts[row] not in chosen], held
    # END SOLUTION


# %% self_check="split"
texts = [f"text {i % 40}" for i in range(100)]
kept, held = split(texts, 0.25, np.random.default_rng(14))
assert sorted([*kept, *held]) == list(range(100)), "every row must be on exactly one side"
both = {texts[i] for i in kept} & {texts[i] for i in held}
assert not both, f"{len(both)} texts are on both sides, such as {min(both)!r}"
number = len({texts[i] for i in held})
assert number == 10, f"a quarter of 40 texts are 10, your second side has {number}"
print("right: no text is on both sides")

# %% wrong="split"
def split(texts, share, rng):
    order = rng.permutation(len(texts)).tolist()
    count = round(share * len(texts))
    return order[count:], order[:count]


# %% wrong="split"
def split(texts, share, rng):
    first = sorted({text: row for row, text in reversed(list(enumerate(texts)))}.values())
    order = rng.permutation(first).tolist()
    count = round(share * len(first))
    return order[count:], order[:count]


# %% [markdown]
# ## References
#
# - J. Howard, S. Ruder (2018), *Universal language model fine-tuning for text classification*, arXiv:1801.06146, section 3.2: a rate for each
#   layer; section 3.3: gradual unfreezing.
# - J. Devlin et al. (2019), *BERT*, arXiv:1810.04805, section 3.2: fine-tuning with a new head.
# - I. Loshchilov, F. Hutter (2019), *Decoupled weight decay regularization*, arXiv:1711.05101, section 2: why (1) is not what AdamW does.
# - M. McCloskey, N. J. Cohen (1989), *Catastrophic interference in connectionist networks*, Psychology of Learning and Motivation 24.
# - E. B. Wilson (1927), *Probable inference, the law of succession, and statistical inference*, Journal of the American Statistical Association 22.
# - In the library: [minillm/finetuning/freezing.py](../minillm/finetuning/freezing.py),
#   [minillm/finetuning/classify.py](../minillm/finetuning/classify.py), [minillm/training/early_stopping.py](../minillm/training/early_stopping.py);
#   `python -m minillm finetune`, `python -m minillm task overfitting`, `python -m minillm task transfer`.
