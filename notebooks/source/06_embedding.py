# %% [markdown]
# # 6 · Embedding, and a first model that learns
#
# **You need:** [chapter 3](03_autograd.ipynb) (`Tensor` and `backward`), [chapter 4](04_language_models.ipynb)
# (bigrams, entropy), [chapter 5](05_softmax_cross_entropy.ipynb) (cross-entropy and its gradient).
#
# **Time:** 20 minutes of reading, 35 for the exercises.
#
# **You will be able to** derive the backward pass of a table lookup, write gradient descent in five lines,
# and say beforehand how low the loss of a bigram model can fall.

# %% [markdown]
# ## Why it matters
#
# A network computes with real numbers, but text is made of words. Something has to stand between the
# two. In neural language models it is a table with one row of numbers for each word. The rows start
# as noise, and training turns them into something useful. In this chapter the first model of the book
# learns, with nothing but this table, the loss of chapter 5, and subtraction.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import minillm.functional as F
from minillm import Tensor, no_grad, ops
from minillm.data import ToyWorld
from minillm.gradcheck import check_gradients
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Words become numbers
#
# The stories come from the **toy world（玩具世界）** of [chapter 4](04_language_models.ipynb). We number
# the words of its vocabulary; the number of a word is its **token id（词元编号）**. A sign `<start>` with
# the id 0 stands before each story, and all stories follow one another in a single row of ids.

# %% tags=["setup"]
world = ToyWorld()
parts = world.splits(1000, 200, seed=0)
words = ["<start>", *world.vocabulary("english")]
id_of = {word: number for number, word in enumerate(words)}


def as_ids(stories):
    """All stories in one row, `<start>` before each."""
    return np.array([id_of[w] for s in stories for w in ("<start>", *s.english_tokens)])


train, test = as_ids(parts.train), as_ids(parts.test)
V = len(words)

# %%
print(parts.train[0].sentences[0].english)
print(train[:11])
print(f"{V} words, {len(train):,} ids to train on, {len(test):,} to test on")

# %% [markdown]
# The ids are names, not quantities: word 200 is not twice word 100. So nothing sensible comes out of
# multiplying an id by a weight. The honest way to write a word as a vector is **one-hot**: $V$ zeros
# with a single 1 at the word's place. All words are then equally far from one another.
#
# ## A table lookup is a matrix product
#
# Multiply a one-hot row with a matrix of $V$ rows, and look at what happens: every row of the matrix
# is multiplied by 0, but for one, which is multiplied by 1. For the $n$-th id of a batch:
#
# <a id="formula-embedding"></a>
# $$y_{nc} = \sum_{v=1}^{V} [i_n = v] \, W_{vc} = W_{i_n c} \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $i$ | $(N,)$ | token ids, integers |
# | $W$ | $(V, C)$ | the table: a vector of $C$ numbers for each word |
# | $y$ | $(N, C)$ | the rows that were looked up |
# | $[i_n = v]$ | $(N, V)$ | the one-hot rows: 1 where $i_n = v$, else 0 |
#
# The right-hand side costs $N C$ copies, the product in the middle $N V C$ multiplications, nearly
# all of them by zero. So one never builds the one-hot matrix; one reads the row. Reading rows by
# index is called **gather（收集）**, the table and its use an **embedding（嵌入）**, and each entry of $W$
# is a **parameter（参数）**: a number that training will change.

# %%
ids, W = np.array([4, 1, 4, 2, 4]), rng.standard_normal((7, 3))
by_lookup = ops.embedding_forward(ids, W)[0]
by_product = np.eye(7)[ids] @ W
print("shapes:", ids.shape, W.shape, "->", by_lookup.shape)
print("lookup and product agree:", np.array_equal(by_lookup, by_product))

# %% tags=["check"]
assert np.array_equal(by_lookup, by_product)

# %% [markdown]
# ## Backward: a row collects from everywhere it was used
#
# An id is an integer, so it has no gradient. For the table, take one entry $W_{vc}$ and ask which
# outputs it moves. By (1) it moves $y_{nc}$ for every $n$ with $i_n = v$, each with slope 1, and no
# other. The chain rule adds up:
#
# $$\frac{\partial L}{\partial W_{vc}}
#   = \sum_{n} \sum_{c'} g_{nc'} \frac{\partial y_{nc'}}{\partial W_{vc}}
#   = \sum_{n} \sum_{c'} g_{nc'} \, [i_n = v] \, [c' = c]$$
#
# with the cotangent $g_{nc} = \partial L / \partial y_{nc}$. Only $c' = c$ remains:
#
# <a id="formula-embedding-backward"></a>
# $$\frac{\partial L}{\partial W_{vc}} = \sum_{n=1}^{N} [i_n = v] \, g_{nc} \tag{2}$$
#
# In words: **send each row of the cotangent back to the row that it came from, and add.** This is a
# **scatter-add（散布累加）**, the reverse of gather. A word that occurs three times in the batch gets the
# sum of three rows. A word that does not occur gets exactly zero.
#
# ## The library's own code
#
# `beside` carries the ids to where the table is (on a GPU it may have to), and `scatter_add` is our
# (2), which the docstring calls (1).
# Change the backward pass and see what the check below says.

# %% library="minillm.ops.embedding:embedding_forward,embedding_backward"

# %% [markdown]
# The batch for the check repeats an id on purpose. Without a repetition the mistake below would pass.

# %%
print(check_gradients(embedding_forward, embedding_backward, ids, W))

# %% tags=["check"]
assert check_gradients(embedding_forward, embedding_backward, ids, W).passed

# %% [markdown]
# ## A classic mistake
#
# In NumPy, (2) seems to be one short line. It looks right, it runs, and on a batch without repeated
# words it is right.


# %%
def embedding_backward_wrong(grad_out, saved):
    ids, shape, dtype, _ = saved
    grad_weight = np.zeros(shape, dtype)
    grad_weight[ids] += grad_out
    return None, grad_weight


print(check_gradients(embedding_forward, embedding_backward_wrong, ids, W))
counts = np.zeros(3, int)
counts[[1, 1, 1]] += 1
print("\nthree times += 1 at place 1:", counts)
counts = np.zeros(3, int)
np.add.at(counts, [1, 1, 1], 1)
print("np.add.at, three times:     ", counts)

# %% tags=["check"]
[finding] = check_gradients(embedding_forward, embedding_backward_wrong, ids, W).findings
assert finding.kind == "overwritten_duplicates"
assert check_gradients(embedding_forward, embedding_backward_wrong, np.array([4, 1, 2]), W).passed
assert counts.tolist() == [0, 3, 0]

# %% [markdown]
# `a[ids] += b` means `a[ids] = a[ids] + b`: NumPy reads all the old values first, then writes, and of
# several writes to one place the last one stays. `np.add.at` adds one after the other. The library's
# `scatter_add` sorts the ids and sums each run, which gives the same and is faster on a large batch.
#
# ### Rows that must not learn
#
# Sentences of different lengths are filled up with a meaningless token to make a rectangular batch.
# Its row should stay as it is: `padding_idx` names the row whose gradient is set to zero.

# %%
out, saved = ops.embedding_forward(ids, W, padding_idx=4)
_, grad_W = ops.embedding_backward(np.ones_like(out), saved)
print("sum of each row of the gradient, with padding_idx=4:", grad_W.sum(axis=1))

# %% tags=["check"]
assert grad_W.sum(axis=1).tolist() == [0, 3, 3, 0, 0, 0, 0]

# %% [markdown]
# ## The smallest language model: one table
#
# Give every word a row with $V$ numbers and read them as the logits of the *next* word. Then the
# lookup is already a whole model. It predicts from one word alone, so it is a bigram model as in
# chapter 4, but one that learns by its gradient:
#
# $$p(w \mid v) = \frac{e^{W_{vw}}}{\sum_{u} e^{W_{vu}}} \qquad
#   L = -\frac{1}{N} \sum_{n} \log p(y_n \mid x_n)$$
#
# where $x_n$ is a word of the text and $y_n$ the word after it. Chapter 5 has the gradient of the
# logits of row $n$: prediction minus truth, divided by $N$. Equation (2) adds up the rows of equal
# $x_n$. If word $v$ came $c_v$ times and was followed by $w$ in $c_{vw}$ of them:
#
# <a id="formula-embedding-backward-bigram"></a>
# $$\frac{\partial L}{\partial W_{vw}} = \frac{c_v \, p(w \mid v) - c_{vw}}{N} \tag{3}$$
#
# Read it twice. It is zero exactly where $p(w \mid v) = c_{vw} / c_v$:
# **the best table predicts the relative frequencies.** Training by gradients will end where counting
# ends. This also tells how low the loss can go: to the entropy of those frequencies, and we can
# compute it before we train.

# %%
x, y = train[:-1], train[1:]
pairs = np.zeros((V, V))
np.add.at(pairs, (x, y), 1)


def entropy(counts):
    """Of the relative frequencies, in nats."""
    p = counts[counts > 0] / counts.sum()
    return -(p * np.log(p)).sum()


unigram = entropy(pairs.sum(axis=0))
bigram = entropy(pairs) - entropy(pairs.sum(axis=1))
print(f"all words equally likely, log V   {np.log(V):.3f} nats per word")
print(f"best that ignores the context     {unigram:.3f}")
print(f"best that sees one word           {bigram:.3f}")
print(f"best that sees the whole story    {world.floor('english'):.3f}")

# %% [markdown]
# The third line is the entropy of the pairs minus that of their first words. What is left is the
# entropy of the second word when the first is known, for $\log p(v, w) - \log p(v) = \log p(w \mid v)$,
# and the mean of this is that line with its sign turned. The first three numbers are about these training stories.
# The last is a property of the grammar: on average, no model can do better on stories that it has not
# seen.
#
# ## Gradient descent in five lines
#
# The gradient points to where the loss grows fastest. So we go the other way, by a small multiple
# $\eta$ of it, the **learning rate（学习率）**:
#
# <a id="formula-gradient-descent"></a>
# $$W \leftarrow W - \eta \, \frac{\partial L}{\partial W} \tag{4}$$
#
# That is **gradient descent（梯度下降）**. Each step here uses 256 pairs drawn at random, a
# **mini-batch（小批量）**, which is cheaper than all pairs and right on average. The rate, 40, looks
# enormous. By (3) a row's gradient is divided by $N$, but only the pairs that start with its word
# contribute, and most words are rare.

# %%
steps, learning_rate = 600, 40.0
table = np.zeros((V, V))
draw = np.random.default_rng(1)
losses = []
for _ in range(steps):
    batch = draw.integers(len(x), size=256)
    logits, saved_lookup = ops.embedding_forward(x[batch], table)
    loss, saved_loss = ops.cross_entropy_forward(logits, y[batch])
    grad_logits, _ = ops.cross_entropy_backward(np.array(1.0), saved_loss)
    _, grad_table = ops.embedding_backward(grad_logits, saved_lookup)
    table -= learning_rate * grad_table
    losses.append(float(loss))

all_pairs = -(pairs * ops.log_softmax_forward(table)[0]).sum() / len(x)
print(f"first loss {losses[0]:.3f}, log V = {np.log(V):.3f}")
print(f"after {steps} steps, on all pairs {all_pairs:.3f}; it cannot fall below {bigram:.3f}")

# %% tags=["check"]
assert abs(losses[0] - np.log(V)) < 1e-12
assert bigram < all_pairs < bigram + 0.5
some_x, some_y = x[:999], y[:999]
some = np.zeros((V, V))
np.add.at(some, (some_x, some_y), 1)
by_counts = (some.sum(axis=1, keepdims=True) * ops.softmax_forward(table)[0] - some) / 999
logits, saved_lookup = ops.embedding_forward(some_x, table)
grad_logits, _ = ops.cross_entropy_backward(
    np.array(1.0), ops.cross_entropy_forward(logits, some_y)[1]
)
assert np.allclose(ops.embedding_backward(grad_logits, saved_lookup)[1], by_counts, atol=1e-15)

# %% [markdown]
# The five lines from `logits` to `table -=` are forward, forward, backward, backward, step. Every
# **training loop（训练循环）** in this book has this shape; only the model between the ids and the loss
# becomes larger.
#
# ### The same with Tensor
#
# With more layers nobody wants to write the backward calls by hand. `Tensor` records the forward
# calls and makes the backward calls in reverse order ([chapter 3](03_autograd.ipynb)). Same seed,
# same losses:

# %%
weights = Tensor(np.zeros((V, V)), requires_grad=True)
draw = np.random.default_rng(1)
losses_again = []
for _ in range(steps):
    batch = draw.integers(len(x), size=256)
    loss = F.cross_entropy(F.embedding(x[batch], weights), y[batch])
    loss.backward()
    weights.data -= learning_rate * weights.grad
    weights.grad = None
    losses_again.append(loss.item())
print("largest difference of all losses:", np.abs(np.subtract(losses, losses_again)).max())

# %% tags=["check"]
assert np.abs(np.subtract(losses, losses_again)).max() < 1e-12

# %% [markdown]
# `weights.grad = None` matters. `backward` *adds* to what is there, because a parameter that is used
# twice must collect from both uses. Without that line each step would go along the sum of all
# gradients so far.
#
# ## More context: a network with a narrow table
#
# A table for *two* previous words would need $V^2$ rows, nearly all of them never seen. The idea of
# Bengio et al. (2003): give each word a short vector of $C = 16$ numbers, put the vectors of the last
# $K = 3$ words side by side, and let a small network, a **multilayer perceptron（多层感知机）**, compute the
# logits:
#
# $$h = \tanh(e\, A + a) \qquad \text{logits} = h\, B + b$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $e$ | $(N, K C)$ | the vectors of $K$ words, one after the other |
# | $A$, $a$ | $(K C, F)$, $(F,)$ | first linear layer, here $F = 64$ |
# | $B$, $b$ | $(F, V)$, $(V,)$ | second linear layer |
#
# Words that are used alike can share what is learned, because their vectors may be close. The start
# of $B$ is nearly zero, so that the first prediction is nearly uniform.


# %% tags=["setup"]
def contexts(ids, K):
    """The K ids before each id but the first: (N - 1, K), with zeros before the text begins."""
    padded = np.concatenate([np.zeros(K - 1, int), ids])
    return np.stack([padded[k : k + len(ids) - 1] for k in range(K)], axis=1)


def predict(parameters, rows):
    """Logits of the word that follows each row of K ids: (N, K) -> (N, V)."""
    C, A, a, B, b = parameters
    e = F.embedding(rows, C).reshape((len(rows), -1))
    return F.linear(F.tanh(F.linear(e, A, a)), B, b)


def train_network(K, learning_rate, steps, C=16, width=64):
    """Plain gradient descent; gives the parameters and the loss of each step."""
    draw = np.random.default_rng(2)
    normal = draw.standard_normal
    start = [
        normal((V, C)) * 0.1,
        normal((K * C, width)) / np.sqrt(K * C),
        np.zeros(width),
        normal((width, V)) * 0.01,
        np.zeros(V),
    ]
    parameters = [Tensor(array.astype(np.float32), requires_grad=True) for array in start]
    rows, following, losses = contexts(train, K), train[1:], []
    for _ in range(steps):
        batch = draw.integers(len(rows), size=128)
        loss = F.cross_entropy(predict(parameters, rows[batch]), following[batch])
        loss.backward()
        for parameter in parameters:
            parameter.data -= learning_rate * parameter.grad
            parameter.grad = None
        losses.append(loss.item())
    return parameters, losses


def test_loss(parameters, K):
    """On stories that were not trained on."""
    with no_grad():
        return F.cross_entropy(predict(parameters, contexts(test, K)), test[1:]).item()


# %%
network, network_losses = train_network(K=3, learning_rate=1.0, steps=1500)
table_test = float(ops.cross_entropy_forward(table[test[:-1]], test[1:])[0])
network_test = test_loss(network, K=3)
print(f"first loss {network_losses[0]:.3f}, log V = {np.log(V):.3f}")
print(f"table of bigrams  {V * V:7,} parameters, loss on test stories {table_test:.3f}")
size = sum(p.data.size for p in network)
print(f"network, 3 words  {size:7,} parameters, loss on test stories {network_test:.3f}")

# %% tags=["check"]
assert abs(network_losses[0] - np.log(V)) < 0.02
assert network_test < bigram - 0.1 < table_test
assert network_test > world.floor("english")
assert size < V * V / 4

# %% [markdown]
# With less than a quarter of the parameters the network is better on stories it has never seen than
# *any* bigram model can be even on its own training stories. The loss can be read against the four
# lines computed above:


# %% alt="Loss against step for the bigram table and the network with three words of context. Both fall steeply in the first 100 steps. Then the table falls slowly towards the bigram entropy of 1.6; the network crosses that line after a few hundred steps and stays above the floor of 0.76."
def smooth(values, width=25):
    """The mean of each `width` neighbouring values."""
    return np.convolve(values, np.ones(width) / width, mode="valid")


fig, axes = plt.subplots()
for name, values in [
    ("table: sees one word", losses),
    ("network: sees three words", network_losses),
]:
    line = smooth(values)
    axes.plot(np.arange(len(line)) + 12, line, label=name)
for value, name in [
    (np.log(V), "log V"),
    (unigram, "unigram entropy"),
    (bigram, "bigram entropy"),
    (world.floor("english"), "floor of the world"),
]:
    axes.axhline(value, color="0.6", linewidth=0.9, linestyle="--")
    axes.text(1500, value + 0.07, name, ha="right", color="0.35", fontsize="small")
axes.set(title="Two models learn by gradient descent (means of 25 steps)", xlabel="step")
axes.set(ylabel="loss (nats per word)", ylim=(0, 6.5))
axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.58))
plt.show()

# %% [markdown]
# ## An experiment: how much context, and how fast?
#
# Change `K` and `learning_rate` and run the cell again. Try `K = 1`: can you predict where it must
# stop? Try `K = 6`. Then try the rates 0.05, 5 and 50 with `K = 3`: one is too timid, and one
# destroys the model. What does a loss above `log V` tell you?

# %%
for K, learning_rate in [(1, 1.0), (2, 1.0)]:
    parameters, _ = train_network(K, learning_rate, steps=800)
    print(f"K = {K}, learning rate {learning_rate}: test loss {test_loss(parameters, K):.3f}")

# %% tags=["check"]
assert network_test < test_loss(parameters, 2) < bigram

# %% [markdown]
# What did the rows become? They began as small random numbers. Take the cosine between rows, 1 if
# they point the same way, and list the nearest words. Nobody told the network which words are
# colours, or which are verbs; they are near because they are followed by the same words.
# [Chapter 19](19_word_vectors.ipynb) makes this an aim of its own.

# %%
rows = network[0].data / np.linalg.norm(network[0].data, axis=1, keepdims=True)
for word in ["red", "stole", "she", "robot"]:
    order = np.argsort(-rows @ rows[id_of[word]])
    print(f"{word:>6}:", ", ".join(words[n] for n in order[1:6]))

# %% tags=["check"]
colours = {w for w, category in world.word_categories("english").items() if category == "look"}
order = np.argsort(-rows @ rows[id_of["red"]])
assert {words[n] for n in order[1:6]} <= colours

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints
# open one at a time. All answers: [solutions/06_embedding.ipynb](solutions/06_embedding.ipynb).

# %% [markdown] exercise="bag" minutes=15 teaches="scatter-add through a mean; padding" catches="+= on repeated ids, a forgotten 1/n, dividing by the padded length"
# ### Exercise 6.1: the mean of a sentence
#
# A simple way to turn a sentence into one vector is the mean of its words' vectors. `ids` is
# $(B, T)$, short sentences are filled up with the id 0, and these places must not count:
# $y_b = \frac{1}{n_b} \sum_{t:\, i_{bt} \neq 0} W_{i_{bt}}$, with $n_b$ the number of real
# words; no sentence is empty. Write forward and backward.
#
# <details><summary>Hint 1</summary>
#
# `real = ids != 0` is $(B, T)$. The looked-up rows are `weight[ids]`, $(B, T, C)$: multiply by
# `real[:, :, None]`, sum over axis 1, divide.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Backward through the mean: each real place $(b, t)$ receives $g_b / n_b$, and each padded place
# zero. That is an array $(B, T, C)$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Then (2): `np.add.at(grad_weight, ids, that_array)` adds repeated ids up, whatever the shape of
# `ids`.
#
# </details>


# %% exercise="bag"
def mean_embedding_forward(ids, weight):
    """The mean of the rows of each sentence; places with the id 0 do not count.

    Shapes   ids (B, T), weight (V, C) -> out (B, C), and whatever backward needs
    """
    # BEGIN SOLUTION
    real = (ids != 0)[:, :, None]
    n = real.sum(axis=1)
    return (weight[ids] * real).sum(axis=1) / n, (ids, real, n, weight.shape)
    # END SOLUTION


def mean_embedding_backward(grad_out, saved):
    """None for the ids, and the gradient of weight."""
    # BEGIN SOLUTION
    ids, real, n, shape = saved
    grad_weight = np.zeros(shape)
    np.add.at(grad_weight, ids, (grad_out / n)[:, None, :] * real)
    return None, grad_weight
    # END SOLUTION


# %% self_check="bag"
sentences, W = np.array([[2, 3, 2, 0, 0], [4, 2, 1, 5, 4]]), rng.standard_normal((7, 3))
out, _ = mean_embedding_forward(sentences, W)
expected = np.stack([(2 * W[2] + W[3]) / 3, (W[1] + W[2] + 2 * W[4] + W[5]) / 5])
assert np.allclose(out, expected), f"the means are wrong: got\n{out}\nexpected\n{expected}"
report = check_gradients(mean_embedding_forward, mean_embedding_backward, sentences, W)
print(report)
assert report.passed, "the gradient is wrong: read the report"


# %% wrong="bag"
def mean_embedding_forward(ids, weight):
    real = (ids != 0)[:, :, None]
    n = real.sum(axis=1)
    return (weight[ids] * real).sum(axis=1) / n, (ids, real, n, weight.shape)


def mean_embedding_backward(grad_out, saved):
    ids, real, n, shape = saved
    grad_weight = np.zeros(shape)
    grad_weight[ids] += (grad_out / n)[:, None, :] * real
    return None, grad_weight


# %% wrong="bag"
def mean_embedding_forward(ids, weight):
    real = (ids != 0)[:, :, None]
    return (weight[ids] * real).mean(axis=1), (ids, real, weight.shape)


def mean_embedding_backward(grad_out, saved):
    ids, real, shape = saved
    grad_weight = np.zeros(shape)
    np.add.at(grad_weight, ids, (grad_out / ids.shape[1])[:, None, :] * real)
    return None, grad_weight


# %% wrong="bag"
def mean_embedding_forward(ids, weight):
    real = (ids != 0)[:, :, None]
    n = real.sum(axis=1)
    return (weight[ids] * real).sum(axis=1) / n, (ids, real, weight.shape)


def mean_embedding_backward(grad_out, saved):
    ids, real, shape = saved
    grad_weight = np.zeros(shape)
    np.add.at(grad_weight, ids, grad_out[:, None, :] * real)
    return None, grad_weight


# %% [markdown] exercise="step" minutes=10 teaches="a step of gradient descent, from loss to parameter" catches="a step uphill, a new array instead of a change in place, a gradient that is not divided by N"
# ### Exercise 6.2: one step
#
# Write one step of gradient descent for the bigram table, with softmax and (3) or with the operations
# used above. The table must be changed **in place**: whoever called the function holds the same
# array. Return the loss before the step.
#
# <details><summary>Hint 1</summary>
#
# The five lines are in the chapter. Which of them changes the array that the caller sees:
# `table -= …` or `table = table - …`?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Without operations: the gradient of the logits is `softmax(table[x])`, minus 1 at
# `[np.arange(N), y]`, all divided by `N`. Then scatter-add by `x`.
#
# </details>


# %% exercise="step"
def descend(table, x, y, learning_rate):
    """One step on the pairs (x, y), changing `table` (V, V) in place; gives the loss before it.

    Shapes   x, y (N,) ids
    """
    # BEGIN SOLUTION
    logits, saved_lookup = ops.embedding_forward(x, table)
    loss, saved_loss = ops.cross_entropy_forward(logits, y)
    grad_logits, _ = ops.cross_entropy_backward(np.array(1.0), saved_loss)
    table -= learning_rate * ops.embedding_backward(grad_logits, saved_lookup)[1]
    return float(loss)
    # END SOLUTION


# %% self_check="step"
small = np.zeros((3, 3))
loss = descend(small, np.array([1, 1, 2, 1]), np.array([0, 0, 2, 1]), 12.0)
assert loss is not None, "return the loss"
assert np.isclose(loss, np.log(3)), f"the loss of a table of zeros is log 3, not {loss}"
assert small.any(), "the table has not changed: change it in place, with -="
# (3): word 1 came 3 times of 4, twice before 0 and once before 1; the prediction is 1/3
expected = -12 / 4 * np.array([[0, 0, 0], [3 / 3 - 2, 3 / 3 - 1, 3 / 3], [1 / 3, 1 / 3, 1 / 3 - 1]])
assert np.allclose(small, expected), f"by (3) the table is now\n{expected}\nbut yours is\n{small}"
print("right: the loss falls to", round(descend(small, np.array([1]), np.array([0]), 0.0), 3))


# %% wrong="step"
def descend(table, x, y, learning_rate):
    logits, saved_lookup = ops.embedding_forward(x, table)
    loss, saved_loss = ops.cross_entropy_forward(logits, y)
    grad_logits, _ = ops.cross_entropy_backward(np.array(1.0), saved_loss)
    table = table - learning_rate * ops.embedding_backward(grad_logits, saved_lookup)[1]
    return float(loss)


# %% wrong="step"
def descend(table, x, y, learning_rate):
    logits, saved_lookup = ops.embedding_forward(x, table)
    loss, saved_loss = ops.cross_entropy_forward(logits, y)
    grad_logits, _ = ops.cross_entropy_backward(np.array(1.0), saved_loss)
    table += learning_rate * ops.embedding_backward(grad_logits, saved_lookup)[1]
    return float(loss)


# %% wrong="step"
def descend(table, x, y, learning_rate):
    p = ops.softmax_forward(table[x])[0]
    loss = -np.log(p[np.arange(len(x)), y]).mean()
    p[np.arange(len(x)), y] -= 1
    np.add.at(table, x, -learning_rate * p)
    return float(loss)


# %% [markdown] exercise="counting" minutes=10 teaches="training ends where counting ends" catches="joint instead of conditional frequencies, the wrong axis, log 0"
# ### Exercise 6.3: the best table, without training
#
# By (3), the loss is smallest where $p(w \mid v) = c_{vw}/c_v$. Build such a table of logits from the
# counts, without any loop of training. All entries must be finite: give $-30$ to a pair that was
# never seen. The rows of a word that was never seen at all shall be zeros.
#
# <details><summary>Hint 1</summary>
#
# Softmax forgets a constant that is added to a row. So $\log c_{vw}$ will do; nothing needs to be
# divided.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Start from `np.full(pairs.shape, -30.0)`, write the logarithms where `pairs > 0`, and zero the rows
# where `pairs.sum(axis=1) == 0`.
#
# </details>


# %% exercise="counting"
def best_table(pairs):
    """The logits whose softmax is c_vw / c_v.

    Shapes   pairs (V, V), how often w came after v -> (V, V), finite
    """
    # BEGIN SOLUTION
    table = np.full(pairs.shape, -30.0)
    seen = pairs > 0
    table[seen] = np.log(pairs[seen])
    table[~seen.any(axis=1)] = 0
    return table
    # END SOLUTION


# %% self_check="counting"
counted = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
found = best_table(counted)
assert np.isfinite(found).all(), "some entries are not finite: treat the pairs never seen"
assert not found[2].any(), f"word 2 was never seen: its row should be zeros, not {found[2]}"
p = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
expected = np.array([[0, 3 / 4, 1 / 4], [1 / 2, 0, 1 / 2], [1 / 3, 1 / 3, 1 / 3]])
assert np.allclose(p, expected), f"the probabilities should be\n{expected}\nbut are\n{p.round(3)}"
pairs = np.zeros((V, V))
np.add.at(pairs, (train[:-1], train[1:]), 1)
log_p = ops.log_softmax_forward(best_table(pairs))[0]
loss = -(pairs * log_p).sum() / pairs.sum()
print(f"loss of the counted table: {loss:.3f} nats, the bigram entropy")


# %% wrong="counting"
def best_table(pairs):
    with np.errstate(divide="ignore"):
        return np.log(pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1))


# %% wrong="counting"
def best_table(pairs):
    return np.log(np.maximum(pairs, np.exp(-30)) / np.maximum(pairs.sum(axis=0), 1))


# %% [markdown]
# ## References
#
# - Y. Bengio, R. Ducharme, P. Vincent, C. Jauvin (2003), *A neural probabilistic language model*, JMLR 3, section 2: the table $C$ is (1), the network is theirs without the
#   direct connections.
# - I. Goodfellow, Y. Bengio, A. Courville (2016), *Deep Learning*, section 4.3, eq. 4.5: gradient descent, here (4); section 5.9: mini-batches.
# - In the library: [minillm/ops/embedding.py](../minillm/ops/embedding.py), [minillm/nn/layers.py](../minillm/nn/layers.py) (`nn.Embedding`), `python -m minillm gradcheck embedding`.
