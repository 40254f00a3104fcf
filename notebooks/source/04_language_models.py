# %% [markdown]
# # 4 · What a language model is
#
# **You need:** probability (conditional probability, expectation), logarithms, [chapter 1](01_arrays.ipynb). No gradients in this chapter.
#
# **Time:** 25 minutes of reading, 35 for the exercises.
#
# **You will be able to** say what a language model computes, build one by counting, measure it in nats, perplexity and bits per byte,
# and tell a good score from an impossible one.

# %% [markdown]
# ## Why it matters
#
# A **language model（语言模型）** answers one question: *how likely is this text?* Everything else, from
# completing a sentence to translating one, is made from the answer. Before we build such models from
# networks, we build one by counting. It is good enough to be a **baseline（基线）**, something that a
# network has to beat. And we will meet all the numbers by which language models are measured, in a
# place where the best possible value is known.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

from minillm.data import ToyWorld
from minillm.tasks.ideal import story_nats
from minillm.viz import book_style

book_style()

# %% [markdown]
# ## A world in which the truth is known
#
# Nobody knows the true probability of an English sentence. So we use a **toy world（玩具世界）**: a small
# grammar that tells stories by drawing every choice (hero, place, thing, what happens) at random,
# with known probabilities. It tells each story in English and in Chinese.

# %%
world = ToyWorld()
story = world.stories(1, seed=18)[0]
for sentence in story.sentences:
    print(sentence.english)
    print(sentence.chinese)
print(f"log p(story) = {story.log_probability:.3f}")

# %% [markdown]
# The pieces in which a model reads a text are its **tokens**; one **token（词元）** here is a word or a
# punctuation mark. All different tokens together are the **vocabulary（词表）**, and $V$ is their number.
#
# ## From a text to its next word
#
# There are far too many texts to store a probability for each. The definition of
# **conditional probability（条件概率）**, $p(a, b) = p(a)\, p(b \mid a)$, cuts the task into small ones.
# Apply it again and again to the tokens $w_1 \dots w_T$ of a text:
#
# $$p(w_1, w_2, w_3) = p(w_1)\, p(w_2, w_3 \mid w_1) = p(w_1)\, p(w_2 \mid w_1)\, p(w_3 \mid w_1, w_2)$$
#
# and in general, the **chain rule of probability（概率链式法则）**:
#
# <a id="formula-chain-rule-of-probability"></a>
# $$\log p(w_1 \dots w_T) = \sum_{t=1}^{T} \log p(w_t \mid w_1 \dots w_{t-1}) \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $w_t$ | integer | the token at place $t$; the last one, $w_T$, is an end token |
# | $p(\cdot \mid w_1 \dots w_{t-1})$ | $(V,)$ | one probability for each token of the vocabulary; they sum to 1 |
#
# Nothing is lost: (1) is exact, and whoever can predict the next token can score any text. The
# logarithm turns a product of many small numbers, which would underflow to zero, into a sum. Its
# negative, $-\log p$, is the **surprisal**: 0 for a token that was certain, large for one that nobody
# expected. The unit is the **nat（奈特）**, with the natural logarithm.
#
# For the toy world the true $p(w_t \mid \dots)$ can be computed from the grammar:

# %%
nats = story_nats(world, story, "english")
tokens = [*story.tokens["english"], "<end>"]
for token, surprise in zip(tokens[:18], nats, strict=False):
    print(
        f"{token:>10}  p = {math.exp(-surprise):5.3f}  {surprise:5.2f} nats  {'#' * round(4 * surprise)}"
    )
print(f"all {len(tokens)} tokens together: {sum(nats):.3f} nats, and log p(story) was "
      f"{story.log_probability:.3f}")  # fmt: skip

# %% tags=["check"]
assert abs(sum(nats) + story.log_probability) < 1e-9
assert len(nats) == len(tokens)

# %% [markdown]
# The grammar is surprised where something is decided, and not at all where a word must follow. A
# model that has learned the language perfectly would show the same bars.
#
# ## Three numbers for one thing
#
# Let $q$ be a model, and average its surprisal over a text of $T$ tokens. That is the
# **cross-entropy（交叉熵）**, the loss of every language model:
#
# <a id="formula-cross-entropy-of-a-text"></a>
# $$L = -\frac{1}{T} \sum_{t=1}^{T} \log q(w_t \mid w_1 \dots w_{t-1}) \tag{2}$$
#
# A model that gives all $V$ tokens the same probability has $L = \log V$. Turned round: a loss of $L$
# is as good as choosing among $e^L$ equally likely tokens. This number is the **perplexity（困惑度）**:
#
# <a id="formula-perplexity"></a>
# $$\text{perplexity} = e^L \tag{3}$$
#
# Both are *per token*, so they depend on what counts as a token. Cut the words into letters, and each
# letter is easier to guess; the loss per token falls, though nothing has become better. A fair
# comparison divides the whole surprise by something that does not depend on the model, the bytes of
# the text. With $B$ bytes and $\log 2$ nats to the bit, these are the **bits per byte（每字节比特数）**:
#
# <a id="formula-bits-per-byte"></a>
# $$\text{bits per byte} = \frac{L}{\log 2} \cdot \frac{T}{B} \tag{4}$$
#
# Here is why it matters. The same stories, told in English and in Chinese, hold the same choices, so
# the true surprise of a story is the same. Yet:

# %% library="minillm.training.metrics.language:perplexity,bits_per_byte"

# %%
stories = world.stories(200, seed=1)
total = -sum(s.log_probability for s in stories)
print("          nats in all  tokens  nats/token  perplexity   bytes  bits/byte")
for language in ("english", "chinese"):
    T = sum(len(s.tokens[language]) + 1 for s in stories)  # + 1: the end token
    B = sum(len(s.text[language].encode("utf-8")) for s in stories)
    print(f"{language:>9} {total:12.1f} {T:7} {total / T:11.3f} {perplexity(total / T):11.3f}"
          f" {B:7} {bits_per_byte(total / T, T, B):10.3f}")  # fmt: skip

# %% [markdown]
# The total is the same to the last digit, because the grammar makes the same choices in both
# languages. Yet per token Chinese looks easier, only because a Chinese story has more tokens. Per byte
# the two differ as well: the Chinese text is longer in bytes.
# **Compare losses per token only with equal tokens, and losses per byte only on the same text.**
#
# ## How low can it go? Entropy
#
# Suppose that texts come from a true distribution $p$. The best a model can do is to use $p$ itself.
# It is still surprised, on average by the **entropy（熵）** of $p$:
#
# <a id="formula-entropy"></a>
# $$H = -\sum_{x} p(x) \log p(x) \tag{5}$$
#
# where $x$ runs over all texts. Why can no other $q$ do better? The cost of $q$ beyond the entropy is
#
# $$-\sum_x p(x) \log q(x) - H = -\sum_x p(x) \log \frac{q(x)}{p(x)}
#   \;\ge\; -\sum_x p(x) \left( \frac{q(x)}{p(x)} - 1 \right) = 1 - \sum_x q(x) \;\ge\; 0$$
#
# The first step uses $\log z \le z - 1$, the last one that the probabilities of $q$ sum to at most 1.
# **Remember this last condition.** A program that breaks it can reach any score.
#
# With few choices the toy world is so small that all its stories can be listed, and (5) computed as
# it stands. For the full world, which has more than $10^{15}$ stories, the grammar gives the same
# number without listing them. Divided by the mean number of tokens it is a floor: on stories that it
# has not seen, no model of this book can have a smaller loss, on average.

# %%
small = ToyWorld(choices={"": 2})
log_p = np.array([s.log_probability for s in small.derivations()])
print(f"small world: {len(log_p):,} stories, probabilities sum to {np.exp(log_p).sum():.6f}")
print(f"  entropy by (5)            {-(np.exp(log_p) * log_p).sum():.6f} nats")
print(f"  entropy from the grammar  {small.entropy:.6f} nats")
print(f"full world: entropy {world.entropy:.3f} nats, "
      f"{world.expected_tokens['english']:.3f} tokens in the mean story")  # fmt: skip
print(f"  floor {world.floor('english'):.4f} nats per token")

# %% tags=["check"]
assert abs((np.exp(log_p) * log_p).sum() + small.entropy) < 1e-9
assert abs(world.entropy / world.expected_tokens["english"] - world.floor("english")) < 1e-12
assert world.entropy > math.log(1e15)

# %% [markdown]
# ## A model by counting: n-grams
#
# What comes next depends mostly on the last few words. An **n-gram（n 元语法）** model looks at the
# $n - 1$ tokens before, called $h$, and counts in a **training set（训练集）** how often $h$ was followed
# by $w$:
#
# $$q(w \mid h) = \frac{c(h\,w)}{c(h)}$$
#
# where $c(h\,w)$ counts $h$ followed by $w$, and $c(h)$ counts $h$ followed by anything. With $n = 1$
# there is no context (a *unigram* model), with $n = 2$ one word (*bigram*), with $n = 3$ two
# (*trigram*). These frequencies are the **maximum likelihood（最大似然）** choice: among all tables, they
# give the training text the largest probability. (Chapter 6 derives this from a gradient.)
#
# We keep three sets of stories apart: one to count, a **validation set（验证集）** to choose $n$, and a
# **test set（测试集）** that is looked at once, at the end.

# %% tags=["setup"]
parts = ToyWorld().splits(2200, 200, seed=0)
words = ["<start>", "<end>", *ToyWorld().vocabulary("english")]
id_of = {word: number for number, word in enumerate(words)}
START, END, V = 0, 1, len(words)


def as_rows(stories):
    """One row of ids for each story, between <start> and <end>."""
    return [[START, *(id_of[w] for w in s.tokens["english"]), END] for s in stories]


train, validation = as_rows(parts.train[:2000]), as_rows(parts.train[2000:])
test = as_rows(parts.test)

# %% [markdown]
# ### Zero kills
#
# The plain frequencies have a fatal flaw. Look for n-grams of the validation stories that never
# occurred in training:


# %%
def ngrams(rows, n):
    """All runs of n ids; shorter ones at the beginning of a row."""
    return [tuple(row[max(0, at + 1 - n) : at + 1]) for row in rows for at in range(1, len(row))]


for n in (2, 3, 5):
    known = set(ngrams(train, n))
    asked = ngrams(validation, n)
    unseen = sum(gram not in known for gram in asked)
    print(f"n = {n}: {unseen:4} of {len(asked):,} are new ({unseen / len(asked):.1%})")

# %% tags=["check"]
assert set(ngrams(validation, 2)) - set(ngrams(train, 2))

# %% [markdown]
# Each of them gets the probability 0 and the surprisal $-\log 0 = \infty$. One such pair makes the
# loss of all stories infinite. A model must never say "never". Giving some probability to the unseen
# is called **smoothing（平滑）**.
#
# The simplest way adds one to every count. That is fine for single words, but a long context was seen
# a few times only, and $V$ ones outweigh that. A better way asks the shorter context $h'$, which is $h$
# without its first word:
#
# <a id="formula-ngram-witten-bell"></a>
# $$q(w \mid h) = \frac{c(h\,w) + t(h)\, q(w \mid h')}{c(h) + t(h)} \tag{6}$$
#
# | symbol | what it is |
# |---|---|
# | $c(h\,w)$, $c(h)$ | counts as above |
# | $t(h)$ | how many *different* tokens followed $h$ |
# | $q(w \mid h')$ | the same formula with one word less; below the single words it is $1/V$ |
#
# This is interpolation after Witten and Bell. If many different words have followed $h$, one more new
# word is likely, so the shorter context weighs more. If $q(w \mid h')$ sums to 1 over $w$, then (6)
# sums to $(c(h) + t(h)) / (c(h) + t(h)) = 1$. Where $h$ itself is new, (6) would be $0/0$; then
# $q(w \mid h')$ alone answers.
#
# ## The library's own code
#
# The class is `minillm/tasks/ngrams.py` as it stands. In `probability`, the loop goes from no context
# to the longest one, and the line that computes `p` is our (6), which the docstrings call (1).

# %% library="minillm.tasks.ngrams:NGram"


# %%
def loss_of(model, rows):
    """Nats per token, (2)."""
    return np.concatenate(model.nats(rows)).mean()


models = {n: NGram(n, V).fit(train) for n in range(1, 9)}
losses = {
    n: (loss_of(model, train[:200]), loss_of(model, validation)) for n, model in models.items()
}
print(f"uniform  log V = {np.log(V):.3f}")
for n, (on_train, on_validation) in losses.items():
    print(f"n = {n}    training {on_train:.3f}    validation {on_validation:.3f}"
          f"    perplexity {perplexity(on_validation):6.2f}")  # fmt: skip
print(f"floor    {world.floor('english'):.3f}")

# %% tags=["check"]
assert min(losses, key=lambda n: losses[n][1]) == 4
assert losses[8][0] < losses[6][0] < world.floor("english") < losses[5][0]
assert losses[8][1] > losses[4][1]
often = [sum(row.values()) > 1 for row in models[5].counts[4].values()]
assert np.mean(often) < 0.5
assert all(on_validation > world.floor("english") for _, on_validation in losses.values())

# %% alt="Loss against n from 1 to 8. The validation loss falls steeply from 4.7 to its smallest value at n = 4 and then rises. The training loss keeps falling and goes below the floor of 0.757 at n = 6."
fig, axes = plt.subplots()
axes.plot(losses.keys(), [b for _, b in losses.values()], "o-", label="validation stories")
axes.plot(losses.keys(), [a for a, _ in losses.values()], "s-", label="training stories")
axes.axhline(world.floor("english"), color="0.5", linestyle="--", linewidth=0.9)
axes.text(1, world.floor("english") + 0.06, "floor", color="0.35")
axes.set(title="More context: better, until the counts run out", xlabel="n (tokens of an n-gram)")
axes.set(ylabel="loss (nats per token)", ylim=(0, 5))
axes.legend()
plt.show()

# %% [markdown]
# Three things to read off.
#
# - The validation loss is smallest at $n = 4$. Longer contexts tell more, but most of them were seen only once, or never.
# - The training loss keeps falling, and from $n = 6$ on it is *below the floor*, where no model
#   can be on new stories. The table has learned these very stories by heart, and the loss on them says
#   nothing about others.
# - So $n$ is chosen on the validation set. The final number is then measured once, on the test set:

# %%
best = min(losses, key=lambda n: losses[n][1])
truth = np.concatenate([story_nats(world, s, "english") for s in parts.test]).mean()
print(f"n = {best}: test loss {loss_of(models[best], test):.3f} nats per token")
print(f"the true probabilities on the same stories: {truth:.3f}")

# %% tags=["check"]
assert truth < loss_of(models[best], test) < 1.5
by_stories = -sum(s.log_probability for s in parts.test) / sum(len(row) - 1 for row in test)
assert abs(truth - by_stories) < 1e-9

# %% [markdown]
# The gap between the two is what the networks of the coming chapters are there to close.
#
# ## A classic mistake: probabilities that do not sum to 1
#
# It seems natural to take the longest context that has seen the word, and its plain frequency. The
# program runs, and the numbers look wonderful:


# %%
def backoff_wrong(model, token, context):
    """The frequency after the longest context that was ever followed by this token."""
    for size in range(min(model.order - 1, len(context)), -1, -1):
        h = tuple(context[len(context) - size :])
        row = model.counts[size].get(h, {})
        if token in row:
            return row[token] / model.totals[size][h]
    return 1 / model.vocab_size


for n in (3, 5, 8):
    contexts = [
        (row[at], row[max(0, at + 1 - n) : at]) for row in validation for at in range(1, len(row))
    ]
    wrong = np.mean([-math.log(backoff_wrong(models[n], w, h)) for w, h in contexts])
    sums = [sum(backoff_wrong(models[n], w, h) for w in range(V)) for _, h in contexts[:99]]
    right = [models[n].distribution(h).sum() for _, h in contexts[:99]]
    print(
        f"n = {n}: loss {wrong:.3f} instead of {losses[n][1]:.3f}; "
        f"sum of all probabilities {np.mean(sums):.2f} instead of {np.mean(right):.2f}"
    )

# %% tags=["check"]
assert wrong < losses[8][1] - 0.3
assert np.mean(sums) > 2
assert np.allclose(right, 1)

# %% [markdown]
# The loss falls with every $n$, and it is cheating: the total probability was handed out more than
# twice. That is the condition we wanted to remember, below (5).
# **Before you believe a good loss, sum the probabilities of a few contexts.** For operations this
# book has the gradient check; for a language model this is the first check to make.
#
# ## Writing with it
#
# A language model can also write: draw the next token from $q$, append it, repeat until the end token
# comes. Each such draw is a **sample（样本）**.

# %%
rng = np.random.default_rng(3)
for n in (1, 2, 4, 8):
    ids = models[n].sample([START], END, 60, rng)
    text = " ".join(words[i] for i in ids[1:])
    print("\n".join(textwrap.wrap(f"n = {n}: {text}", 84, subsequent_indent=" " * 7, max_lines=3)))

# %% tags=["check"]
runs = {tuple(row[at : at + 12]) for row in train for at in range(len(row))}
assert any(tuple(ids[at : at + 12]) in runs for at in range(len(ids) - 11))

# %% [markdown]
# With $n = 1$ the words are right in number and wrong in order. With $n = 2$ neighbours fit, with
# $n = 4$ sentences do, but the hero and the thing change from one sentence to the next: they are
# further back than three words. With $n = 8$ long passages are copied from training stories. A
# network has to remember what matters and forget the rest.
#
# ## An experiment: how much text does an n-gram need?
#
# Change the list of sizes, and the $n$. With how few stories does the bigram win? Then count more:
# put `as_rows(world.stories(20_000, seed=5))` in the place of `train`, and the size 20,000 in the
# list. Which $n$ is best now, and how far is it still above the floor?

# %%
sizes = [30, 300, 2000]
print("stories  " + "".join(f"    n = {n}" for n in (1, 2, 3, 4)))
for size in sizes:
    row = [loss_of(NGram(n, V).fit(train[:size]), validation) for n in (1, 2, 3, 4)]
    print(f"{size:7}  " + "".join(f"{loss:9.3f}" for loss in row))

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints
# open one at a time. All answers:
# [solutions/04_language_models.ipynb](solutions/04_language_models.ipynb).

# %% [markdown] exercise="perplexity" minutes=8 teaches="perplexity is a geometric mean; sums of logarithms do not underflow" catches="the arithmetic mean of 1/p, the wrong base, a product that underflows"
# ### Exercise 4.1: perplexity of a text
#
# Given the probabilities that a model gave to the tokens that really came, compute the perplexity by
# (2) and (3). It must work for a text of 10,000 tokens.
#
# <details><summary>Hint 1</summary>
#
# The loss first: the mean of $-\log p$. Which function undoes the natural logarithm?
#
# </details>
# <details><summary>Hint 2</summary>
#
# The product of 10,000 numbers like 0.1 is 0 in floating point. Never multiply probabilities: add
# logarithms.
#
# </details>


# %% exercise="perplexity"
def perplexity_of(probabilities):
    """The perplexity of a text.

    Shapes   probabilities (T,), each above 0 -> a number
    """
    # BEGIN SOLUTION
    return float(np.exp(-np.log(probabilities).mean()))
    # END SOLUTION


# %% self_check="perplexity"
found = perplexity_of(np.array([0.5, 0.25, 0.125]))
assert found is not None and np.isclose(found, 4.0), (
    f"1/2, 1/4 and 1/8 are as surprising as 1/4 three times, so 4.0 is right, not {found}"
)
found = perplexity_of(np.full(10_000, 0.1))
assert np.isclose(found, 10.0), f"10,000 tokens of probability 0.1 give 10.0, not {found}"
print("right")


# %% wrong="perplexity"
def perplexity_of(probabilities):
    return (1 / probabilities).mean()


# %% wrong="perplexity"
def perplexity_of(probabilities):
    return 2 ** -np.log(probabilities).mean()


# %% wrong="perplexity"
def perplexity_of(probabilities):
    with np.errstate(divide="ignore"):
        return np.prod(probabilities) ** (-1 / len(probabilities))


# %% [markdown] exercise="add-k" minutes=12 teaches="smoothing must keep the sum at 1" catches="k instead of kV below the line, the wrong axis, smoothing after normalising"
# ### Exercise 4.2: add-k smoothing
#
# Add $k > 0$ to the count of every pair: $q(w \mid v) = (c(v\,w) + k) / (\dots)$. Work out the
# denominator from the condition that each row sums to 1, and write the function. A word that was
# never seen as a context gets a uniform row.
#
# <details><summary>Hint 1</summary>
#
# Sum the numerators over all $V$ words $w$: what comes out is the denominator.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `pairs[v, w]` counts $v$ followed by $w$. Which axis is $w$? `keepdims=True` lets the division
# broadcast.
#
# </details>


# %% exercise="add-k"
def add_k(pairs, k):
    """Smoothed probabilities of the next word.

    Shapes   pairs (V, V), row v counts what followed v -> (V, V), each row sums to 1
    """
    # BEGIN SOLUTION
    return (pairs + k) / (pairs.sum(axis=1, keepdims=True) + k * pairs.shape[1])
    # END SOLUTION


# %% self_check="add-k"
counts = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
q = add_k(counts, 0.5)
assert q is not None and q.shape == (3, 3), "return an array of the shape of the counts"
assert np.allclose(q.sum(axis=1), 1), f"the rows sum to {q.sum(axis=1)}, they should sum to 1"
expected = np.array([[1 / 11, 7 / 11, 3 / 11], [5 / 11, 1 / 11, 5 / 11], [1 / 3, 1 / 3, 1 / 3]])
assert np.allclose(q, expected), f"the probabilities should be\n{expected}\nbut are\n{q}"
print("right")


# %% wrong="add-k"
def add_k(pairs, k):
    return (pairs + k) / (pairs.sum(axis=1, keepdims=True) + k)


# %% wrong="add-k"
def add_k(pairs, k):
    return (pairs + k) / (pairs.sum(axis=0, keepdims=True) + k * pairs.shape[1])


# %% wrong="add-k"
def add_k(pairs, k):
    q = pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1) + k
    return q / q.sum(axis=1, keepdims=True)


# %% [markdown] exercise="mixture" minutes=15 teaches="settings are chosen on validation data" catches="choosing on the training data, maximising the loss, an infinite loss that wins"
# ### Exercise 4.3: how much to trust the pair
#
# Mix the plain bigram frequencies with the unigram ones:
# $q(w \mid v) = \lambda\, c(v\,w)/c(v) + (1 - \lambda)\, c(w)/N$, where $N$ is the number of all
# training tokens. The function gets these two probabilities for each token of the training and of the
# validation stories, and a list of candidates for $\lambda$. Return the best candidate, honestly chosen.
#
# <details><summary>Hint 1</summary>
#
# On the training pairs the plain frequencies are best by construction, so the largest $\lambda$ would
# always win there. Which data must decide?
#
# </details>
# <details><summary>Hint 2</summary>
#
# With $\lambda = 1$ an unseen pair has probability 0 and the loss is infinite. That is a legitimate
# loss: it must lose, not crash. `np.errstate(divide="ignore")` keeps NumPy silent.
#
# </details>


# %% exercise="mixture"
def choose_mixture(train, validation, candidates):
    """The best lambda among the candidates.

    Shapes   train, validation (2, N): for each token its bigram and its unigram probability
    """

    # BEGIN SOLUTION
    def loss(mixture):
        with np.errstate(divide="ignore"):
            return -np.log(mixture * validation[0] + (1 - mixture) * validation[1]).mean()

    return min(candidates, key=loss)
    # END SOLUTION


# %% self_check="mixture"
pairs = np.zeros((V, V))
for row in train:
    np.add.at(pairs, (row[:-1], row[1:]), 1)
after = pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1)
alone = pairs.sum(axis=0) / pairs.sum()
sets = [
    np.array([[after[v, w], alone[w]] for row in rows for v, w in zip(row, row[1:])]).T
    for rows in (train, validation)
]
candidates = [0.0, 0.5, 0.9, 0.99, 0.999, 1.0]
found = choose_mixture(*sets, candidates)
assert found in candidates, f"return one of the candidates, not {found}"
assert found != 1.0, (
    "lambda = 1 gives unseen pairs the probability 0: was the choice made on train?"
)
with np.errstate(divide="ignore"):
    table = [-np.log(c * sets[1][0] + (1 - c) * sets[1][1]).mean() for c in candidates]
assert table[candidates.index(found)] == min(table), f"{found} is not the best: losses are {table}"
print(f"right: lambda = {found}, validation loss {min(table):.3f}")


# %% wrong="mixture"
def choose_mixture(train, validation, candidates):
    def loss(mixture):
        return -np.log(mixture * train[0] + (1 - mixture) * train[1]).mean()

    return min(candidates, key=loss)


# %% wrong="mixture"
def choose_mixture(train, validation, candidates):
    def score(mixture):
        return (mixture * validation[0] + (1 - mixture) * validation[1]).mean()

    return max(candidates, key=score)


# %% [markdown]
# ## References
#
# - C. E. Shannon (1948), *A mathematical theory of communication*, Bell System Technical Journal 27, section 6: entropy, here (5); section 3: sampling from n-grams.
# - I. H. Witten, T. C. Bell (1991), *The zero-frequency problem*, IEEE Transactions on Information Theory 37(4), method C: the weights in (6).
# - D. Jurafsky, J. H. Martin, *Speech and Language Processing* (draft of the 3rd edition), chapter 3: n-grams, perplexity, smoothing; here (1) to (3).
# - In the library: [minillm/tasks/ngrams.py](../minillm/tasks/ngrams.py), [minillm/tasks/ideal.py](../minillm/tasks/ideal.py), [minillm/training/baselines.py](../minillm/training/baselines.py); `python -m minillm task language-modelling`.
