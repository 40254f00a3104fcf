# %% [markdown]
# # 14 · GPT: pre-training and the entropy floor
#
# **You need:** [chapter 4](04_language_models.ipynb) (what a language model is), [chapter 5](05_softmax_cross_entropy.ipynb)
# (cross-entropy), [chapter 12](12_block.ipynb) (the Transformer block).
#
# **Time:** 25 minutes of reading, 40 for the exercises.
#
# **You will be able to** read a complete GPT, say what its first and its last loss should be, show
# that it has learned as much as can be learned, and find the two mistakes that make a loss look too good.

# %% [markdown]
# ## Why it matters
#
# Nobody has to label anything: in any text, each word is the answer to a question that the words before it ask. That is
# **self-supervised learning（自监督学习）**, and doing it on much text before any task is known is **pre-training（预训练）**.
# A **GPT（生成式预训练 Transformer）** is a stack of causal Transformer blocks trained this way and in no other.
# This chapter trains a small one in seconds. Its texts come from a grammar whose probabilities we know, so for once we can
# tell how good the best possible model is.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import functional as F
from minillm import no_grad, ops
from minillm.data import LengthBatches, ToyWorld
from minillm.gradcheck import check_gradients, check_model
from minillm.models import GPT2Config, model_cost
from minillm.optim import AdamW, schedule
from minillm.tasks.ngrams import NGram
from minillm.tasks.words import BOS, EOS, WordVocabulary
from minillm.training import evaluate, fit, perplexity
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## The texts
#
# The **toy world（玩具世界）** tells short stories. We take a corner of it in which at most four words compete for
# each place. A sequence is `[BOS]` (begin), the words, `[EOS]` (end): without a mark at the end a model could not learn to stop.

# %%
world = ToyWorld(choices={"": 4})
stories = world.splits(3000, 300, seed=0)
words = WordVocabulary(sorted({w for story in stories.train for w in story.english_tokens}))


def encode(some_stories):
    return [[BOS, *words.encode(story.english_tokens), EOS] for story in some_stories]


train_ids, test_ids = encode(stories.train), encode(stories.test)
print(textwrap.fill(stories.train[0].english, 86))
print(f"{len(train_ids)} stories to train on, {len(test_ids)} to test on; V = {len(words)} tokens")

# %% [markdown]
# ## The formula: one loss for every position
#
# A sequence of tokens $s_1, \dots, s_T$ has a probability, and the chain rule writes it as a product of guesses:
#
# $$p(s_2, \dots, s_T \mid s_1) = \prod_{t=1}^{T-1} p(s_{t+1} \mid s_1, \dots, s_t)$$
#
# A model that computes each factor from the left is an **autoregressive model（自回归模型）**. Minus the logarithm of the product is
# a sum of surprisals ([chapter 5](05_softmax_cross_entropy.ipynb)), and dividing by the number $N$ of guesses gives the loss
# per token. With $z_t$ for the $V$ logits at position $t$:
#
# <a id="formula-cross-entropy-next-token"></a>
# $$L = \frac{1}{N} \sum_{t=1}^{T-1} \left( \log \sum_{v=1}^{V} e^{z_{t,v}} - z_{t,\,s_{t+1}} \right) \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $s$ | $(B, T)$ | token ids; here one row of the batch |
# | $z$ | $(B, T, V)$ | logits: position $t$ speaks about token $t + 1$ |
# | $N$ | number | guesses that count: $T - 1$ for a row, fewer where there is padding |
#
# Look at the subscripts: the logits of position $t$ meet the token at $t + 1$. This is the **shift of the labels**. The first token
# is never predicted, and the last logits predict nothing. The library shifts inside the model, so you call
# `model(ids, labels=ids)`. Shifting a second time yourself would train it to predict two words ahead.
#
# All positions are trained at once, each with the *true* words before it, whatever the model would have said there. This is called
# **teacher forcing（教师强制）**. It works because of the **causal mask（因果掩码）**: position $t$ cannot see $s_{t+1}$.
#
# ## The library's own code, piece by piece
#
# GPT-2 is a handful of classes. The first is attention ([chapter 11](11_attention.ipynb)) with one matrix for queries, keys and values
# together. `cache` and `layer` are for writing ([chapter 15](15_decoding.ipynb)). Change something and run the check below it.

# %% library="minillm.models.gpt2:GPT2Attention"

# %%
tiny = GPT2Config(
    vocab_size=11, n_positions=7, n_embd=6, n_layer=2, n_head=3, initializer_range=0.5,
    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
)
attention = GPT2Attention(tiny, dtype=np.float64, rng=rng)
report = check_model(attention, rng.standard_normal((2, 5, 6)))
print("attention:", "passed" if report.passed else report)

# %% tags=["check"]
assert report.passed

# %% [markdown]
# The next are the MLP and the block ([chapter 12](12_block.ipynb)). Each part reads a normalised copy of the stream and *adds* to the stream.

# %% library="minillm.models.gpt2:GPT2MLP,GPT2Block"

# %% [markdown]
# `GPT2Model` puts it together: a row for each token (`wte`) plus a row for each position (`wpe`), the blocks, one last norm. The number
# of positions is the **context length（上下文长度）**: what comes earlier does not exist for the model.

# %% library="minillm.models.gpt2:GPT2Model"

# %% [markdown]
# What is missing is the way from $C$ numbers back to $V$ logits. GPT-2 has no matrix for it: it uses the embedding a second
# time, transposed (`next_token_logits` in [minillm/models/causal.py](../minillm/models/causal.py)). Look at `initialize`, too: we come
# back to its $\sqrt{2L}$.

# %% library="minillm.models.gpt2:GPT2LMHeadModel"

# %%
ids = rng.integers(0, 11, (2, 5))
model = GPT2LMHeadModel(tiny, dtype=np.float64, rng=rng)
report = check_model(model, ids, labels=ids)
print("the whole model:", "passed" if report.passed else report)
changed = ids.copy()
changed[:, 3] = (changed[:, 3] + 1) % 11
with no_grad():
    moved = abs(model(changed).logits.numpy() - model(ids).logits.numpy()).max(axis=(0, 2))
print("another token at position 3 moves the logits at 0 … 4 by", moved.round(3))

# %% tags=["check"]
assert report.passed
assert (moved[:3] == 0).all()
assert (moved[3:] > 0.01).all()

# %% [markdown]
# The last line is the whole difference between a GPT and a model that fills in blanks: nothing flows from right to left, not even
# $10^{-9}$. An article that this book checks says that GPT is pre-trained by "masked language modeling … to predict the masked
# word from the context" (004, section 3.2, our translation). That is BERT's task ([chapter 17](17_bert.ipynb)). GPT's sees the left side only.
#
# ## One matrix, two jobs, two gradients
#
# With **tied weights（权重绑定）** $W$ is read as an embedding, $x_t = W_{s_t}$, and again as the output layer, $z_{t,v} = \sum_c W_{vc} h_{tc}$.
# $L$ depends on $W$ in two ways, so the chain rule adds two terms. With $\partial L / \partial x$ and $\partial L / \partial z$ as given:
#
# <a id="formula-embedding-tied-backward"></a>
# $$\frac{\partial L}{\partial W_{vc}} = \sum_t [s_t = v]\, \frac{\partial L}{\partial x_{tc}}
#   + \sum_t \frac{\partial L}{\partial z_{tv}}\, h_{tc} \tag{2}$$
#
# The first term reaches only rows of words that occur, the second all rows of the vocabulary. The engine adds them up by itself; by
# hand it is a classic mistake to forget one. Here is the smallest tied model, a tanh between the two uses, with the first term
# left out:

# %%
def tied_forward(weight, *, ids, targets):
    h = np.tanh(weight[ids])
    loss, kept = ops.cross_entropy_forward(h @ weight.T, targets)
    return loss, (weight, ids, h, kept)


def tied_backward_wrong(grad_out, saved):
    weight, ids, h, kept = saved
    grad_logits = ops.cross_entropy_backward(grad_out, kept)[0]
    return (grad_logits.T @ h,)


example = {"ids": np.array([2, 5, 2, 1, 2]), "targets": np.array([5, 2, 1, 2, 0])}
weight = rng.standard_normal((7, 3))
wrong = check_gradients(tied_forward, tied_backward_wrong, weight, **example)
print(wrong)

# %% tags=["check"]
assert [finding.kind for finding in wrong.findings] == ["dropped_branch"]

# %% [markdown]
# The checker even says where: at the rows that `ids` points to. (Exercise 14.2 asks you for the rest.)
#
# ## Before training: what the first loss must be
#
# A model that knows nothing says $1/V$ everywhere, a loss of $\ln V$. A fresh GPT is near that, and a little above: its last
# norm makes each $h$ a vector of length $\sqrt{C}$, so with weights of standard deviation $\sigma$ the logits have the standard deviation
# $\sigma\sqrt{C}$, and random opinions of variance $\sigma^2 C$ cost about $\sigma^2 C / 2$ nats.
#
# Inside, $2L$ parts add to the stream. The variance of a sum of independent numbers is the sum of their variances, so the
# stream would grow with depth. GPT-2 therefore draws the last matrix of each part smaller:
#
# <a id="formula-gpt2-residual-initialisation"></a>
# $$\sigma_{\text{proj}} = \frac{\sigma}{\sqrt{2L}} \tag{3}$$
#
# Published is $\sigma = 0.02$ for $C = 768$. Our $C$ is 48, and narrower models want larger weights: we take 0.1.

# %%
minillm.manual_seed(0)
std = 0.1
config = GPT2Config(
    vocab_size=len(words), n_positions=64, n_embd=48, n_layer=2, n_head=4, initializer_range=std,
    resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
)
model = GPT2LMHeadModel(config)
test_batches = LengthBatches({"input_ids": test_ids, "labels": test_ids}, 64, shuffle=False)
first_loss = evaluate(model, test_batches)["loss"]
first_half, second_half, again = [], [], []  # of (1), for each guess
for story in test_ids:
    with no_grad():
        z = model([story]).logits.numpy()[0, :-1].astype(float)  # the last logits predict nothing
    at = np.arange(len(z))
    first_half.extend(np.log(np.exp(z).sum(axis=-1)))
    second_half.extend(-z[at, story[1:]])
    again.extend(ops.softmax_forward(z)[0][at, story[:-1]] * len(words))
print(f"ln V                   {math.log(len(words)):6.2f} nats")
print(f"ln V + std² C / 2      {math.log(len(words)) + std**2 * 48 / 2:6.2f}")
print(f"fresh model            {first_loss:6.2f}")
print(f"  log of the sum       {np.mean(first_half):6.2f}")
print(f"  - logit of true word {np.mean(second_half):6.2f}")
print(f"the word just read once more: {np.mean(again):.1f} times as probable as chance")

# %% tags=["check"]
assert abs(first_loss - math.log(len(words)) - std**2 * 48 / 2) < 0.25
assert abs(np.mean(first_half) + np.mean(second_half) - first_loss) < 1e-3
assert abs(np.mean(first_half) - math.log(len(words)) - std**2 * 48 / 2) < 0.05
targets = np.concatenate([story[1:] for story in test_ids])
frequent = np.isin(targets, words.encode(["the", "."]))
assert 0.45 < np.array(second_half)[frequent].sum() / sum(second_half) < 0.7
assert np.mean(again) > 2

# %% [markdown]
# The first half of (1) is what we expected. The second should be 0 on average. But two words, `the` and the full stop, come again
# and again, and this draw of the weights happens to give them low logits: they make up half of the remainder. Another seed leaves
# another remainder.
#
# The last line has a cause: the stream still holds the row of the word just read, and with tied weights that row fits itself best. A
# fresh model stutters.

# %% [markdown]
# ## What it costs
#
# Count the weights of a block: $3C^2$ for queries, keys and values, $C^2$ behind attention, $4C^2$ twice in the MLP, and $13C$ for the
# biases and norms. With $P$ positions, and the output layer for free because it is tied:
#
# <a id="formula-gpt2-parameters"></a>
# $$\text{parameters} = VC + PC + L\,(12 C^2 + 13 C) + 2C \tag{4}$$
#
# A product of an $(m, k)$ and a $(k, n)$ matrix takes $2mkn$ **floating-point operations（浮点运算）**, a multiplication and an addition each. So
# every weight of a matrix costs two per token. Attention adds two products without weights, $T$ queries with $T$ keys and back:
#
# <a id="formula-gpt2-flop"></a>
# $$\text{FLOP} = 2BT\,(12 L C^2 + VC) + 4 B L T^2 C \tag{5}$$
#
# Backward needs two products for each product of forward, so a training step costs three times (5): about $6$ per parameter and token.

# %%
C, L, V, P, B, T = 48, 2, len(words), 64, 16, 48
parameters = V * C + P * C + L * (12 * C * C + 13 * C) + 2 * C
flop = 2 * B * T * (12 * L * C * C + V * C) + 4 * B * L * T * T * C
cost = model_cost(config, batch_size=B, length=T)
print(f"{'':12}{'formula':>14}{'library':>14}")
print(f"{'parameters':12}{parameters:14,}{model.num_parameters():14,}")
print(f"{'FLOP':12}{flop:14,}{cost.forward_flop:14,}")
small = model_cost(GPT2Config(), batch_size=1, length=1024)
print(f"published GPT-2 small: {small.parameters:,} parameters")

# %% tags=["check"]
assert parameters == model.num_parameters() == cost.parameters
assert flop == cost.forward_flop

# %% [markdown]
# ## The floor
#
# The grammar draws each story with a known probability. Its **entropy（熵）** $H$ is the mean surprise of someone who knows the grammar
# perfectly; the library sums it exactly. Spread over the tokens of a story ($n$ words and the end), this is the
# **entropy floor（熵下界）**, which no model can beat on average:
#
# <a id="formula-toy-world-floor"></a>
# $$\text{floor} = \frac{H}{\mathbb{E}[n + 1]}, \qquad H = -\sum_{\text{stories } y} p(y) \log p(y) \tag{6}$$
#
# On 300 test stories even the truth has a loss a little off the floor, by the luck of the draw: $-\log p(y)$ of these very stories.
# Beside it stand two models that count ([chapter 4](04_language_models.ipynb)): how often a word comes at all (unigram), and after which one
# (bigram).

# %%
tokens = sum(len(row) - 1 for row in test_ids)
references = {"ln V": math.log(len(words))}
for name, order in (("unigram", 1), ("bigram", 2)):
    counts = NGram(order, len(words)).fit(train_ids)
    references[name] = float(np.concatenate(counts.nats(test_ids)).mean())
references["truth, these stories"] = -sum(s.log_probability for s in stories.test) / tokens
references["floor, all stories"] = world.floor("english")
print(f"{'':22}{'nats':>7}{'perplexity':>12}")
for name, nats in references.items():
    print(f"{name:22}{nats:7.3f}{perplexity(nats):12.2f}")

# %% tags=["check"]
truth = references["truth, these stories"]
assert abs(truth - world.floor("english")) < 0.02
assert references["unigram"] > references["bigram"] > truth

# %% [markdown]
# ## Training
#
# AdamW with warm-up and a cosine ([chapter 7](07_optimizers.ipynb)), 16 stories a step. The padding behind short stories has the label
# $-100$, which the loss leaves out.

# %%
steps = 300
columns = {"input_ids": train_ids, "labels": train_ids}
batches = LengthBatches(columns, 16, rng=np.random.default_rng(0))
optimizer = AdamW(model.parameters(), lr=6e-3, weight_decay=0.01)
plan = schedule.cosine(optimizer, 30, steps, 3e-4)
history = fit(
    model, optimizer, batches, test_batches, steps=steps, schedule=plan, clip=1.0, evaluate_every=50
)
last_loss = history.history["val_loss"][-1]
truth = references["truth, these stories"]
print(f"loss on test stories {last_loss:.3f}, above the truth by {last_loss - truth:.3f} nats per token")

# %% tags=["check"]
assert truth < last_loss < truth + 0.05
assert last_loss < references["bigram"] - 0.3

# %% alt="Falling loss over 300 steps, the axis logarithmic: from above ln V it passes the unigram and the bigram line within 100 steps. Single batches then scatter around a curve that nears the line of the floor; the loss on test stories stays above that line."
fig, axes = plt.subplots()
axes.plot(np.arange(1, steps + 1), history.losses, alpha=0.35, label="training, each batch")
at, losses = history.history["step"], history.history["val_loss"]
axes.plot(at, losses, "o-", markersize=3, label="test stories")
for name in ("ln V", "unigram", "bigram", "floor, all stories"):
    axes.axhline(references[name], color="0.5", linewidth=0.8, linestyle=":")
    place = (0, "left") if name.startswith("floor") else (steps, "right")
    axes.annotate(
        name, (place[0], references[name]), ha=place[1], va="bottom", fontsize=8, color="0.3"
    )
axes.set(title="A GPT learns the toy world", xlabel="step", ylabel="loss (nats per token)")
axes.set_yscale("log")
axes.set_ylim(0.42, 6)
axes.set_yticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
axes.minorticks_off()
axes.legend(loc="center")
plt.show()

# %% [markdown]
# Read the curve from the top (the axis is logarithmic). It starts a little above $\ln V$. In the first steps it learns which words are frequent, then which follow which, and
# passes the two counting models. What lies below the bigram line needs memory: who the hero is, which thing was found. It ends just
# above the floor and has nowhere to go. Training longer can now only fit the luck of 3000 stories.
#
# What it writes (how to draw is [chapter 15](15_decoding.ipynb)). The grammar can also check a text: we count how many of 100
# texts are stories of this world, from the first word to the last:

# %%
written = model.generate(
    [[BOS]] * 100, max_new_tokens=60, do_sample=True, eos_token_id=EOS, pad_token_id=0,
    rng=np.random.default_rng(1),
)
texts = [words.decode(row[1:]) for row in written]
right = [bool(world.parses(text, "english")) for text in texts]
print(f"{sum(right)} of {len(texts)} are flawless stories")
for wanted in (True, False):
    text = texts[right.index(wanted)]
    print()
    print(textwrap.fill(f"{'flawless' if wanted else 'wrong'}: {' '.join(text)}", 86))

# %% tags=["check"]
assert sum(right) > 40
assert not all(right)

# %% [markdown]
# ## A loss that is too good
#
# The floor is also an alarm. Forget the shift and compare the logits at $t$ with the token at $t$, which the model can see:

# %%
minillm.manual_seed(0)
cheater = GPT2LMHeadModel(config)
optimizer = AdamW(cheater.parameters(), lr=5e-3)
for step in range(40):
    batch = batches.batch(step)
    optimizer.zero_grad()
    loss = F.cross_entropy(cheater(batch["input_ids"]).logits, batch["labels"])  # no shift
    loss.backward()
    optimizer.step()
print(f"after 40 steps {loss.item():.3f} nats, floor {references['floor, all stories']:.3f}")

# %% tags=["check"]
assert loss.item() < 0.1 * references["floor, all stories"]

# %% [markdown]
# No gradient check will find this: the gradients are right, for the wrong question. The model has learned to copy its input. A forgotten
# causal mask looks the same. **A loss below the floor is never good news.** On real text nobody knows the floor, but a loss that falls
# towards 0 within minutes means the same thing.
#
# ## An experiment
#
# Go back to the cell with `std = 0.1`, set the published 0.02, and run from there. Look at the first loss (nearer to $\ln V$), the
# curve, and the number of flawless stories. Then try `n_layer=1`, and `n_embd=16`. Before you look: which of the lines in the picture could a model
# *without* attention, which sees nothing but the last word and its position, hardly pass?

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/14_gpt.ipynb](solutions/14_gpt.ipynb).

# %% [markdown] exercise="shifted-loss" minutes=15 teaches="the shift of labels, padding in the mean, and both in the gradient" catches="no shift, np.roll that wraps around, a mean over the padding, a mean of the rows' means"
# ### Exercise 14.1: the loss with its shift
#
# Write (1) for a batch with padding, forward and backward. Row $b$ has `lengths[b]` real tokens, the rest is padding. A guess counts if the token
# it is about is real. The mean is over all guesses of the batch that count. You may use `ops.cross_entropy_forward` and
# `ops.cross_entropy_backward`, which leave out targets of $-100$ and take logits of any number of axes.
#
# <details><summary>Hint 1</summary>
#
# Logits `[:, :-1]` meet tokens `ids[:, 1:]`. Copy the targets before you write $-100$ into them.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Target number $j$ (from 0) is token $j + 1$, so it is real if `j + 1 < lengths[b]`: compare `np.arange(1, T)` with `lengths[:, None]`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Backward: the last position predicts nothing. Start with zeros of the shape of the logits, and fill `[:, :-1]`.
#
# </details>

# %% exercise="shifted-loss"
def next_token_loss_forward(logits, *, ids, lengths):
    """The mean surprisal of the tokens that follow.

    Shapes   logits (B, T, V), ids (B, T), lengths (B,) -> (), and whatever backward needs
    """
    # BEGIN SOLUTION
    T = ids.shape[1]
    real = np.arange(1, T) < lengths[:, None]
    targets = np.where(real, ids[:, 1:], -100)
    loss, kept = ops.cross_entropy_forward(logits[:, :-1], targets)
    return loss, (kept, logits.shape)
    # END SOLUTION


def next_token_loss_backward(grad_out, saved):
    """The gradient of the logits, in a tuple."""
    # BEGIN SOLUTION
    kept, shape = saved
    grad_logits = np.zeros(shape)
    grad_logits[:, :-1] = ops.cross_entropy_backward(grad_out, kept)[0]
    return (grad_logits,)
    # END SOLUTION


# %% self_check="shifted-loss"
z = np.random.default_rng(1).standard_normal((2, 5, 7))
case = {"ids": np.array([[1, 4, 2, 6, 3], [1, 5, 5, 0, 0]]), "lengths": np.array([5, 3])}
log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
guesses = [(0, 0, 4), (0, 1, 2), (0, 2, 6), (0, 3, 3), (1, 0, 5), (1, 1, 5)]  # row, position, token
expected = -np.mean([log_p[guess] for guess in guesses])
loss = next_token_loss_forward(z, **case)[0]
assert np.allclose(loss, expected), f"the loss is {loss:.4f}, but these six guesses give {expected:.4f}"
report = check_gradients(next_token_loss_forward, next_token_loss_backward, z, **case)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="shifted-loss"
def next_token_loss_forward(logits, *, ids, lengths):
    real = np.arange(ids.shape[1]) < lengths[:, None]
    return ops.cross_entropy_forward(logits, np.where(real, ids, -100))


def next_token_loss_backward(grad_out, saved):
    return ops.cross_entropy_backward(grad_out, saved)[:1]


# %% wrong="shifted-loss"
def next_token_loss_forward(logits, *, ids, lengths):
    real = np.arange(ids.shape[1]) < lengths[:, None]
    return ops.cross_entropy_forward(logits, np.where(real, np.roll(ids, -1, axis=1), -100))


def next_token_loss_backward(grad_out, saved):
    return ops.cross_entropy_backward(grad_out, saved)[:1]


# %% wrong="shifted-loss"
def next_token_loss_forward(logits, *, ids, lengths):
    loss, kept = ops.cross_entropy_forward(logits[:, :-1], ids[:, 1:])
    return loss, (kept, logits.shape)


def next_token_loss_backward(grad_out, saved):
    kept, shape = saved
    grad_logits = np.zeros(shape)
    grad_logits[:, :-1] = ops.cross_entropy_backward(grad_out, kept)[0]
    return (grad_logits,)


# %% wrong="shifted-loss"
def next_token_loss_forward(logits, *, ids, lengths):
    loss, kept = 0.0, []
    for row, n in enumerate(lengths):
        part, saved = ops.cross_entropy_forward(logits[row, : n - 1], ids[row, 1:n])
        loss += part / len(ids)
        kept.append((row, n, saved))
    return loss, (kept, logits.shape)


def next_token_loss_backward(grad_out, saved):
    kept, shape = saved
    grad_logits = np.zeros(shape)
    for row, n, part in kept:
        grad_logits[row, : n - 1] = ops.cross_entropy_backward(grad_out / shape[0], part)[0]
    return (grad_logits,)


# %% [markdown] exercise="tied" minutes=15 teaches="a parameter used twice gets the sum of two gradients; words that occur twice" catches="one term dropped, += with repeated ids"
# ### Exercise 14.2: the gradient of a matrix with two jobs
#
# Complete the backward pass of the smallest tied model: `x = weight[ids]`, `h = tanh(x)`, `logits = h @ weight.T`. There is no loss: `grad_out` is
# the gradient of the logits, $(T, V)$. One word occurs twice in the check.
#
# <details><summary>Hint 1</summary>
#
# Second term of (2) first: it is one matrix product. Its shape must be $(V, C)$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# For the first term you need $\partial L / \partial x$: go back through the product (`grad_out @ weight`), then through tanh, whose slope is $1 - h^2$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `grad_weight[ids] += grad_x` writes each row once, even if it is named twice. `np.add.at` adds every time.
#
# </details>

# %% exercise="tied"
def tied_logits_forward(weight, *, ids):
    """Logits of the smallest tied model.

    Shapes   weight (V, C), ids (T,) -> (T, V), and what backward needs
    """
    h = np.tanh(weight[ids])
    return h @ weight.T, (weight, ids, h)


def tied_logits_backward(grad_out, saved):
    """The gradient of the weight, in a tuple.

    Shapes   grad_out (T, V) -> ((V, C),)
    """
    weight, ids, h = saved
    # BEGIN SOLUTION
    grad_weight = grad_out.T @ h
    grad_x = (grad_out @ weight) * (1 - h * h)
    np.add.at(grad_weight, ids, grad_x)
    return (grad_weight,)
    # END SOLUTION


# %% self_check="tied"
W = np.random.default_rng(2).standard_normal((7, 3))
(grad_W,) = tied_logits_backward(np.ones((4, 7)), tied_logits_forward(W, ids=np.array([2, 5, 2, 1]))[1])
assert grad_W.shape == W.shape, f"the gradient has shape {grad_W.shape}, the weight {W.shape}"
report = check_gradients(tied_logits_forward, tied_logits_backward, W, ids=np.array([2, 5, 2, 1]))
print(report)
assert report.passed, "the gradient is wrong: read the report, it says which term is missing where"

# %% wrong="tied"
def tied_logits_forward(weight, *, ids):
    h = np.tanh(weight[ids])
    return h @ weight.T, (weight, ids, h)


def tied_logits_backward(grad_out, saved):
    weight, ids, h = saved
    grad_weight = np.zeros_like(weight)
    np.add.at(grad_weight, ids, (grad_out @ weight) * (1 - h * h))
    return (grad_weight,)


# %% wrong="tied"
def tied_logits_forward(weight, *, ids):
    h = np.tanh(weight[ids])
    return h @ weight.T, (weight, ids, h)


def tied_logits_backward(grad_out, saved):
    weight, ids, h = saved
    grad_weight = grad_out.T @ h
    grad_weight[ids] += (grad_out @ weight) * (1 - h * h)
    return (grad_weight,)


# %% [markdown] exercise="floor" minutes=10 teaches="entropy per token is a ratio of means, not a mean of ratios" catches="averaging nats per token over the stories, forgetting the end token or the weights"
# ### Exercise 14.3: the floor of a world of your own
#
# A world has a handful of stories, each with a probability and a number of words. Compute its floor (6) in nats per token. Every story ends with
# `[EOS]`, which is a token, too.
#
# <details><summary>Hint 1</summary>
#
# $H$ is a sum over stories. So is the expected number of tokens: each story counts with its probability.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A test loss is (all nats) / (all tokens). Long stories weigh more in it. So divide at the end, once, and not story by story.
#
# </details>

# %% exercise="floor"
def floor_of(stories):
    """Nats per token that no model can beat on average.

    stories   a list of (probability, number of words); the probabilities sum to 1
    """
    # BEGIN SOLUTION
    entropy = -sum(p * math.log(p) for p, _ in stories)
    expected_tokens = sum(p * (n + 1) for p, n in stories)
    return entropy / expected_tokens
    # END SOLUTION


# %% self_check="floor"
coins = floor_of([(0.25, 1)] * 4)
assert math.isclose(coins, math.log(4) / 2), (
    f"four equal stories of one word have ln 4 nats in 2 tokens, 0.693 per token, not {coins:.3f}"
)
corner = ToyWorld(choices={"": 1, "plot": 4, "hero": 2})
found = floor_of([(math.exp(s.log_probability), len(s.english_tokens)) for s in corner.derivations()])
assert math.isclose(found, corner.floor("english")), (
    f"for {corner.entropy:.3f} nats in {corner.expected_tokens['english']:.2f} tokens the floor is "
    f"{corner.floor('english'):.5f}, not {found:.5f}"
)
print(f"floor {found:.4f} nats per token: right")

# %% wrong="floor"
def floor_of(stories):
    return -sum(p * math.log(p) / (n + 1) for p, n in stories)


# %% wrong="floor"
def floor_of(stories):
    return -sum(p * math.log(p) for p, _ in stories) / sum(p * n for p, n in stories)


# %% [markdown]
# ## References
#
# - A. Radford et al. (2019), *Language models are unsupervised multitask learners*, section 2.3: the model, and (3). A. Radford et al. (2018),
#   *Improving language understanding by generative pre-training*, eq. 1: the objective, here (1).
# - O. Press, L. Wolf (2017), *Using the output embedding to improve language models*, arXiv:1608.05859, section 3: tied weights, here (2).
# - J. Kaplan et al. (2020), *Scaling laws for neural language models*, arXiv:2001.08361, eq. 2.1-2.2: counts like (4) and (5).
# - C. E. Shannon (1948), *A mathematical theory of communication*, sections 6-7: the entropy of a source, here (6).
# - In the library: [minillm/models/gpt2.py](../minillm/models/gpt2.py), [minillm/models/cost.py](../minillm/models/cost.py);
#   `python -m minillm task language-modelling` trains larger models on the whole toy world, beside an LSTM.
