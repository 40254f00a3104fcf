# %% [markdown]
# # 10 · Positions
#
# **You need:** [chapter 5](05_softmax_cross_entropy.ipynb) (softmax); sines and cosines. Attention itself is derived in [chapter 11](11_attention.ipynb); here it is enough to know that it
# is a weighted mean.
#
# **Time:** 25 minutes of reading, 35 for the exercises.
#
# **You will be able to** show why attention needs to be told about order, derive the three usual ways to tell it, and say which of them works on texts longer
# than those of the training.

# %% [markdown]
# ## Why it matters
#
# *Dog bites man* is no news, *man bites dog* is. The words are the same, so the difference is in their order alone. A recurrent network reads word after word and gets the order for
# free. Attention looks at all words at once, and, as we shall see in a moment, can't tell the two sentences apart. Whoever builds a Transformer must put the positions
# in by hand. That is the job of **positional encoding（位置编码）**.

# %% tags=["setup"]
import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import functional as F
from minillm import nn, ops
from minillm.gradcheck import check_gradients
from minillm.models import GPT2Config
from minillm.optim import Adam
from minillm.training import fit
from minillm.viz import book_style

book_style()
minillm.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## Attention doesn't see order
#
# Attention gives position $t$ the mean of the values of all positions $s$, with weights $p_{ts}$ that say how well $s$ fits. Three matrices make three vectors of width $D$ from each
# input $x_t$: a *query* $q_t$, a *key* $k_t$ and a *value* $v_t$.
#
# <a id="formula-scaled-dot-product-attention-short"></a>
# $$\mathrm{out}_t = \sum_{s} p_{ts}\, v_s, \qquad p_{ts} = \frac{\exp(q_t \cdot k_s / \sqrt{D})}{\sum_{r} \exp(q_t \cdot k_r / \sqrt{D})}$$
#
# Now write the words in another order: apply a **permutation（置换）** to the rows of the input. Each row's $q$, $k$ and $v$ come from that row alone, so they move along.
# The sums run over *all* positions, and a sum doesn't care in which order it is formed. So every word gets exactly the result that it had before, at its new place. Such a function is called
# *permutation-equivariant*: permuted input, equally permuted output, and nothing else.

# %%
minillm.manual_seed(0)
attention = nn.MultiHeadAttention(8, 2, dtype=np.float64)
words = {word: rng.standard_normal(8) for word in ("dog", "bites", "man")}


def read(*sentence):
    out = attention(np.array([[words[word] for word in sentence]])).data[0]
    return dict(zip(sentence, out, strict=True))


one, other = read("dog", "bites", "man"), read("man", "bites", "dog")
for word in words:
    first, second = one[word][:3].round(4), other[word][:3].round(4)
    print(f"{word:6s} first numbers {first}   other order {second}")
print("largest difference:", max(abs(one[word] - other[word]).max() for word in words).round(12))

# %% tags=["check"]
assert all(np.allclose(one[word], other[word], rtol=0, atol=1e-14) for word in words)

# %% [markdown]
# The cure: to each vector $x_t$ add another one that depends on its position $t$ only, a row $e_t$ of a table. The same word then has another vector at every place.
#
# <a id="formula-positional-encoding"></a>
# $$\mathrm{out}_{btc} = x_{btc} + e_{tc} \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $x$ | $(B, T, C)$ | vectors of $B$ sequences of $T$ tokens, width $C$ |
# | $e$ | $(P, C)$ | the table, one row for each of $P \ge T$ positions; only the first $T$ are used |
#
# What should stand in the table?
#
# ## Clock hands: the sinusoidal table
#
# The number $t$ itself would be a bad choice: at $t = 1000$ it drowns the word. We want bounded numbers, different for each position. Think of a clock. One hand that turns fast
# tells neighbours apart, but comes round again soon. A slower hand says which round it is. And a hand is described by two numbers, sine and cosine: with the sine alone, two angles of a
# turn would look the same.
#
# The **sinusoidal encoding（正弦位置编码）** of Vaswani et al. has $C/2$ hands. Hand $i$ turns with the **frequency（频率）** $\omega_i$, in radians per token:
#
# <a id="formula-sinusoidal-table"></a>
# $$e_{t,2i} = \sin(\omega_i t), \qquad e_{t,2i+1} = \cos(\omega_i t), \qquad
#   \omega_i = 10000^{-2i/C}, \qquad i = 0, \dots, C/2 - 1 \tag{2}$$
#
# The **wavelength（波长）**, the number of tokens in one full turn, is $2\pi / \omega_i = 2\pi \cdot 10000^{2i/C}$. It grows from hand to hand by the same factor, from $2\pi \approx 6$ tokens to somewhat less than
# $2\pi \cdot 10000 \approx 63{,}000$.
#
# ### A step is a rotation
#
# This table has a property that explains why it was chosen. Go on by $k$ tokens. The angle of hand $i$ grows by $\omega_i k$, and the addition theorems of sine and cosine say
#
# $$\sin(\omega_i t + \omega_i k) = \sin(\omega_i t) \cos(\omega_i k) + \cos(\omega_i t) \sin(\omega_i k)$$
#
# $$\cos(\omega_i t + \omega_i k) = \cos(\omega_i t) \cos(\omega_i k) - \sin(\omega_i t) \sin(\omega_i k)$$
#
# Both right-hand sides are linear in the old pair. So the new pair is a matrix times the old one, and the matrix is a rotation that knows $k$ but not $t$:
#
# <a id="formula-sinusoidal-table-shift"></a>
# $$\begin{pmatrix} e_{t+k,2i} \\ e_{t+k,2i+1} \end{pmatrix}
#   = \begin{pmatrix} \cos \omega_i k & \sin \omega_i k \\ -\sin \omega_i k & \cos \omega_i k \end{pmatrix}
#     \begin{pmatrix} e_{t,2i} \\ e_{t,2i+1} \end{pmatrix} \tag{3}$$
#
# Queries and keys are linear maps of their input. So one linear map can turn "I stand at $t$" into "I look for $t - 3$", for all $t$ at once: a **relative position（相对位置）** instead
# of an **absolute position（绝对位置）**. Dot products show it, too. By $\sin a \sin b + \cos a \cos b = \cos(a - b)$,
#
# <a id="formula-sinusoidal-table-product"></a>
# $$e_t \cdot e_s = \sum_{i=0}^{C/2-1} \cos\big(\omega_i (t - s)\big) \tag{4}$$
#
# depends on the distance alone.

# %% alt="Left: the sinusoidal table as a heat map of 100 positions and 64 columns. The left columns change quickly from position to position, the right columns hardly at all. Right: the dot product of row 20 and of row 50 with all rows. Both curves have a peak of 32 at their own position and the same shape around it; with the distance they fall in ripples, to about 19 at distance 20."
table = ops.sinusoidal_table(100, 64, dtype=np.float64)
fig, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.4))
image = left.imshow(table, aspect="auto", vmin=-1, vmax=1)
left.set(title="the table, C = 64", xlabel="column c", ylabel="position t (tokens)")
fig.colorbar(image, ax=left, label="entry (1)")
for t, style in ((20, "-"), (50, "--")):
    right.plot(table @ table[t], style, label=f"row {t}")
right.set(title="dot product with all rows", xlabel="position s (tokens)", ylabel="product (1)")
right.legend(loc="upper right")
plt.show()
k = 7
angle = k * 10000.0 ** (-np.arange(0, 64, 2) / 64)
turned = np.empty((93, 64))
turned[:, 0::2] = np.cos(angle) * table[:93, 0::2] + np.sin(angle) * table[:93, 1::2]
turned[:, 1::2] = np.cos(angle) * table[:93, 1::2] - np.sin(angle) * table[:93, 0::2]
print("rows turned by (3) against the rows 7 further down:", f"{abs(turned - table[7:]).max():.0e}")

# %% tags=["check"]
assert abs(turned - table[7:]).max() < 1e-13
assert abs(table[20] @ table[20] - 32) < 1e-12
assert 17 < table[20] @ table[40] < 23
assert abs(table[20] @ table[35] - table[50] @ table[65]) < 1e-12

# %% [markdown]
# ## Backward, and learned positions
#
# BERT and GPT-2 don't compute the table, they learn it: **learned positions（可学习位置编码）** are parameters like any others. Then the table needs a gradient. By (1) row $e_t$ is added to *every* sequence of the batch, so it collects a sum:
#
# <a id="formula-positional-encoding-backward"></a>
# $$\frac{\partial L}{\partial x_{btc}} = g_{btc}, \qquad
#   \frac{\partial L}{\partial e_{tc}} = \sum_{b} g_{btc} \;\text{ for } t < T, \quad 0 \text{ for } t \ge T \tag{5}$$
#
# The numbers in the code belong to its file: there (1) and (2) are our (2) and (5).

# %% library="minillm.ops.positional_encoding:sinusoidal_table,positional_encoding_forward,positional_encoding_backward"

# %%
x, weight = rng.standard_normal((2, 3, 7)), rng.standard_normal((5, 7))
print(check_gradients(positional_encoding_forward, positional_encoding_backward, x, weight))

# %% tags=["check"]
pair = positional_encoding_forward, positional_encoding_backward
assert check_gradients(*pair, x, weight).passed

# %% [markdown]
# **A classic mistake:** the table gets the gradient of one sequence instead of the sum over all.

# %%
def keeps_one_sequence(grad_out, saved):
    x_shape, table_shape = saved
    grad_table = np.zeros(table_shape)
    for sequence in grad_out:
        grad_table[: x_shape[1]] = sequence  # should be +=
    return grad_out, grad_table


report = check_gradients(positional_encoding_forward, keeps_one_sequence, x, weight)
print(report)

# %% tags=["check"]
assert report.findings[0].kind == "overwritten_duplicates"

# %% [markdown]
# A learned table ends somewhere, and so does the length of the texts that the model can read. GPT-2's has 1024 rows.

# %%
position = nn.PositionalEncoding(4, dropout=0.0, max_len=5, learned=True)
try:
    position(np.zeros((1, 7, 4), dtype=np.float32))
except ValueError as error:
    print(textwrap.fill(str(error).splitlines()[0], 88))

# %% tags=["check"]
assert GPT2Config().n_positions == 1024

# %% [markdown]
# ## Rotary embedding: turn instead of add
#
# Only the distance should matter, and (3) says that a distance is a rotation. So why not rotate queries and keys themselves? **Rotary embedding（旋转位置编码）** adds nothing to the input. Just before the scores
# are computed, it cuts $q_t$ and $k_s$ into pairs $(a, b)$ and turns pair $i$ by the **angle（角度）** $\theta = \omega_i t$, the same hands as in (2), with the width $D$ of a head in the place of $C$:
#
# <a id="formula-rotary-embedding"></a>
# $$\begin{pmatrix} a' \\ b' \end{pmatrix}
#   = R(\theta) \begin{pmatrix} a \\ b \end{pmatrix}, \qquad
#   R(\theta) = \begin{pmatrix} \cos \theta & -\sin \theta \\ \sin \theta & \cos \theta \end{pmatrix}, \qquad
#   \theta = \omega_i t \tag{6}$$
#
# Why does that work? A rotation is turned back by its transpose, $R(\theta)^\top = R(-\theta)$, and two rotations add their angles. So the score of a turned query with a turned key is, pair by pair,
#
# $$\big(R(\omega t)\, q\big)^\top \big(R(\omega s)\, k\big)
#   = q^\top R(\omega t)^\top R(\omega s)\, k
#   = q^\top R\big(\omega (s - t)\big)\, k \tag{7}$$
#
# Absolute positions go in, only the distance $s - t$ comes out. Nothing is learned, and no table ends.
#
# **Backward.** For given angles the map is linear. The gradient of a linear map is its transpose, so the cotangent is turned back:
#
# <a id="formula-rotary-embedding-backward"></a>
# $$\begin{pmatrix} g_a \\ g_b \end{pmatrix}
#   = R(\theta)^\top \begin{pmatrix} g_{a'} \\ g_{b'} \end{pmatrix}
#   = \begin{pmatrix} g_{a'} \cos\theta + g_{b'} \sin\theta \\ g_{b'} \cos\theta - g_{a'} \sin\theta \end{pmatrix} \tag{8}$$
#
# The cosines and sines of all angles come from `ops.rotary_tables`. The file's (1) and (2) are our (6) and (8).

# %% library="minillm.ops.rotary_embedding:rotary_embedding_forward,rotary_embedding_backward,_rotate"

# %%
cos, sin = ops.rotary_tables(3, 10, dtype=np.float64)
x = rng.standard_normal((2, 3, 10))
options = {"cos": cos, "sin": sin}
print(check_gradients(rotary_embedding_forward, rotary_embedding_backward, x, **options))

# %% tags=["check"]
assert check_gradients(rotary_embedding_forward, rotary_embedding_backward, x, **options).passed

# %% [markdown]
# **A classic mistake:** backward turns in the same direction as forward.

# %%
def turns_the_wrong_way(grad_out, saved):
    cos, sin, interleaved = saved
    return (_rotate(grad_out, cos, sin, interleaved),)


report = check_gradients(rotary_embedding_forward, turns_the_wrong_way, x, **options)
print(report)

# %% tags=["check"]
assert report.findings[0].kind == "wrong_operand"

# %% [markdown]
# **Another one makes no noise at all.** Which two entries form a pair? The paper takes neighbours, $(x_0, x_1), (x_2, x_3), \dots$; the files of Llama on Hugging Face take halves, $(x_0, x_{D/2}), (x_1, x_{D/2+1}), \dots$
# Both are right, and both pass every gradient check. But weights that were trained with one layout give nonsense with the other. That is what the option `interleaved` is for.
#
# Here is (7) by numbers: one query and one key, at four pairs of positions. With the layouts mixed, the query in halves and the key in neighbours, the score depends on more
# than the distance:

# %%
cos, sin = ops.rotary_tables(200, 10, dtype=np.float64)
q, k = rng.standard_normal((2, 10))


def score(t, s, interleaved=False):
    turned_q = ops.rotary_embedding_forward(q[None], cos=cos[[t]], sin=sin[[t]])[0][0]
    turned_k = ops.rotary_embedding_forward(
        k[None], cos=cos[[s]], sin=sin[[s]], interleaved=interleaved
    )[0][0]
    return turned_q @ turned_k


for t, s in ((5, 2), (103, 100), (5, 5), (150, 150)):
    right, mixed = score(t, s), score(t, s, interleaved=True)
    print(f"t = {t:3d}, s = {s:3d}: score {right:7.4f}   layouts mixed {mixed:7.4f}")

# %% tags=["check"]
assert abs(score(5, 2) - score(103, 100)) < 1e-12
assert abs(score(5, 5) - q @ k) < 1e-12
assert abs(score(5, 2, True) - score(103, 100, True)) > 0.01

# %% [markdown]
# ## Which one works on longer texts?
#
# One of the [articles](../docs/articles.md) that this project follows says that recurrent networks and Transformers can process sequences of varying length. For attention itself that is true. Whether it
# *does the right thing* on a length that it never saw depends on the positions. Let us measure it.
#
# The task: at each position name the token *three places before*. One attention layer without a mask is enough. It is trained on random sequences of 16 tokens and tested on 48. The learned table
# has 48 rows, so that it can be used at all. Positions are counted from 1 here.

# %% alt="Share of right answers over the position from 4 to 48, for four encodings trained on 16 positions. Without positions it is near 0.15 everywhere. With learned positions it is 1 up to position 16 and then falls to 0.1. With sines it is 1 up to 16 and then goes up and down between 0.1 and 1. With rotary embedding it is 1 everywhere but at positions 4 to 7, where it is about 0.9."
class Reader(nn.Module):
    """One layer of attention; `kind` says how it learns of positions."""

    def __init__(self, kind, vocabulary=12, width=32, longest=48):
        self.kind = kind
        self.tokens = nn.Embedding(vocabulary, width)
        self.position = nn.PositionalEncoding(
            width, dropout=0.0, max_len=longest, learned=kind == "learned"
        )
        self.cos, self.sin = ops.rotary_tables(longest, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, vocabulary)

    def forward(self, ids):
        """Shapes   ids (B, T) -> logits (B, T, vocabulary)."""
        B, T = ids.shape
        x = self.tokens(ids)
        if self.kind in ("learned", "sines"):
            x = self.position(x)
        q, k, v = (part(x).reshape(B, 1, T, -1) for part in (self.query, self.key, self.value))
        if self.kind == "rotary":
            angles = {"cos": self.cos[:T], "sin": self.sin[:T]}
            q, k = F.rotary_embedding(q, **angles), F.rotary_embedding(k, **angles)
        return self.output(F.scaled_dot_product_attention(q, k, v).reshape(B, T, -1))


def earlier(n, length, back):
    """n random sequences, and at each position the token `back` places before; -100: not asked."""
    ids = np.random.default_rng(length).integers(0, 12, size=(n, length))
    labels = np.full(ids.shape, -100)
    labels[:, back:] = ids[:, :-back]
    return ids, labels


length, back = 16, 3
shares = {}
fig, axes = plt.subplots()
steps = 300
for kind, style in (("none", ":"), ("learned", "--"), ("sines", "-."), ("rotary", "-")):
    minillm.manual_seed(0)
    model = Reader(kind)
    optimizer = Adam(model.parameters(), lr=0.01)
    fit(model, optimizer, earlier(32 * steps, length, back), steps=steps, loss=F.cross_entropy)
    ids, labels = earlier(500, 48, back)
    right = (model(ids).data.argmax(axis=-1) == labels).mean(axis=0)
    axes.plot(range(back + 1, 49), right[back:], style, label=kind)
    shares[kind] = inside, beyond = right[back:length].mean(), right[length:].mean()
    print(f"{kind:8s} up to position {length}: {inside:4.0%}   beyond: {beyond:4.0%}")
axes.axvline(length + 0.5, color="0.5", linewidth=0.8)
axes.annotate("longest in training", (length + 0.8, 1.07), fontsize=8)
axes.set(title=f"Name the token {back} places before", xlabel="position (tokens)")
axes.set(ylabel="share of right answers (1)", ylim=(0, 1.3))
axes.legend(loc="upper center", ncols=4)
plt.show()

# %% tags=["check"]
assert max(shares["none"]) < 0.25
assert min(shares[kind][0] for kind in ("learned", "sines", "rotary")) > 0.9
assert shares["learned"][1] < 0.25
assert shares["sines"][1] < 0.8
assert shares["rotary"][1] > 0.9
assert abs(44 / (2 * math.pi) - 7) < 0.004
assert right[3:7].max() < right[7:].min()
guesses = model(ids).data[:, 3:7].argmax(axis=-1)
misled = guesses != ids[:, :4]
assert (guesses == ids[:, 44:])[misled].mean() > 0.9

# %% [markdown]
# Without positions the model can only guess among the tokens that it sees. With learned positions it is perfect as far as it was trained and useless beyond: rows 17 to 48 of its table never
# got a gradient (formula (5), second case) and still hold random numbers. Sines *have* a meaning there, but the model also used the absolute part of them. Rotary embedding gives it no
# absolute position to use, and what it learned about the distance three holds everywhere.
#
# Why does the last curve dip at positions 4 to 7? The right key stands 3 places before. The wrong one stands 41 places *after* it: from 3 before to 41 after it is 44 tokens, and $44 / 2\pi = 7.003$, so the fastest hand has made
# seven whole turns and points the same way. Only positions up to 7 have a token 41 places after them. In training no such distance came up. So rotary embedding, too, is sure only of distances that it has seen.
#
# ## An experiment
#
# **Train on length 8**: change `length` and run the cell again. Which encoding loses most? Then set `back = 5`. Before you look: up to which position should the last curve dip now?
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/10_positions.ipynb](solutions/10_positions.ipynb).

# %% [markdown] exercise="table" minutes=10 teaches="reading a formula with two indices; interleaved columns" catches="the exponent with the column instead of the hand, sines and cosines in halves"
# ### Exercise 10.1: build the table
#
# Write formula (2) for an even width. Compare with the library only after your own first try.
#
# <details><summary>Hint 1</summary>
#
# Columns 0 and 1 have the same frequency, and so have 2 and 3. There are `width // 2` frequencies.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.arange(length)[:, None] * frequencies` has the shape `(length, width // 2)`. Its sines go to `table[:, 0::2]`.
#
# </details>

# %% exercise="table"
def my_table(length, width):
    """The sinusoidal table.

    Shapes   -> (length, width); width is even
    """
    # BEGIN SOLUTION
    frequencies = 10000.0 ** (-2 * np.arange(width // 2) / width)
    angle = np.arange(length)[:, None] * frequencies
    table = np.empty((length, width))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)
    return table
    # END SOLUTION


# %% self_check="table"
found = my_table(4, 6)
assert found.shape == (4, 6), f"the shape is {found.shape}, it should be (4, 6)"
first = [0, 1, 0, 1, 0, 1]
assert np.allclose(found[0], first), f"at position 0 sines are 0, cosines 1: {found[0]}"
assert np.allclose(found[3, :2], [math.sin(3), math.cos(3)]), "the first hand turns by 1 per token"
second = 3 / 10000 ** (2 / 6)
assert np.allclose(found[3, 2:4], [math.sin(second), math.cos(second)]), "the second hand is wrong"
assert np.allclose(my_table(50, 32), ops.sinusoidal_table(50, 32, dtype=float)), "a hand after the third is wrong"
print("right")

# %% wrong="table"
def my_table(length, width):
    angle = np.arange(length)[:, None] * 10000.0 ** (-2 * np.arange(width) / width)
    table = np.empty((length, width))
    table[:, 0::2] = np.sin(angle[:, 0::2])
    table[:, 1::2] = np.cos(angle[:, 1::2])
    return table


# %% wrong="table"
def my_table(length, width):
    angle = np.arange(length)[:, None] * 10000.0 ** (-2 * np.arange(width // 2) / width)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


# %% wrong="table"
def my_table(length, width):
    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(width // 2) / width)
    table = np.empty((length, width))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)
    return table


# %% [markdown] exercise="distance" minutes=15 teaches="gather forward, scatter-add backward" catches="= instead of += for repeated indices, distances of the wrong sign"
# ### Exercise 10.2: a learned number for each distance
#
# A third way to use relative positions: learn *one number per distance* and add it to the scores, $b_{ts} = w_{s - t + T - 1}$. With $T$ positions there are $2T - 1$ distances, from $-(T-1)$ to
# $T-1$; the offset $T - 1$ makes the index begin at 0. Write forward, which lays the numbers out as a table $(T, T)$, and backward.
#
# <details><summary>Hint 1</summary>
#
# Build a table of indices first: `np.arange(T) - np.arange(T)[:, None] + T - 1` says at $[t, s]$ which number is used. Then `weight[index]`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# One number stands on a whole diagonal of the table, so its gradient is the sum over that diagonal. `np.add.at(target, index, values)` adds up what repeats; `target[index] += values` doesn't.
#
# </details>

# %% exercise="distance"
def distance_bias_forward(weight, *, T):
    """A table of biases that depend on the distance s - t.

    Shapes   weight (2 T - 1,) -> out (T, T), and whatever backward needs
    """
    # BEGIN SOLUTION
    index = np.arange(T) - np.arange(T)[:, None] + T - 1
    return weight[index], (index, weight.shape)
    # END SOLUTION


def distance_bias_backward(grad_out, saved):
    """The gradient of weight, in a tuple."""
    # BEGIN SOLUTION
    index, shape = saved
    grad_weight = np.zeros(shape)
    np.add.at(grad_weight, index, grad_out)
    return (grad_weight,)
    # END SOLUTION


# %% self_check="distance"
out = distance_bias_forward(np.array([10.0, 11.0, 12.0, 13.0, 14.0]), T=3)[0]
expected = np.array([[12.0, 13.0, 14.0], [11.0, 12.0, 13.0], [10.0, 11.0, 12.0]])
assert np.array_equal(out, expected), f"query 0 sees key 2 at distance 2, so w[4]; got\n{out}"
report = check_gradients(distance_bias_forward, distance_bias_backward, rng.standard_normal(9), T=5)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="distance"
def distance_bias_forward(weight, *, T):
    index = np.arange(T) - np.arange(T)[:, None] + T - 1
    return weight[index], (index, weight.shape)


def distance_bias_backward(grad_out, saved):
    index, shape = saved
    grad_weight = np.zeros(shape)
    grad_weight[index] += grad_out
    return (grad_weight,)


# %% wrong="distance"
def distance_bias_forward(weight, *, T):
    index = np.arange(T)[:, None] - np.arange(T) + T - 1
    return weight[index], (index, weight.shape)


def distance_bias_backward(grad_out, saved):
    index, shape = saved
    grad_weight = np.zeros(shape)
    np.add.at(grad_weight, index, grad_out)
    return (grad_weight,)


# %% [markdown] exercise="later" minutes=10 teaches="positions when keys are cached" catches="new tokens that all start at position 0, an angle shared by all new tokens"
# ### Exercise 10.3: the next words of a text
#
# A model that writes keeps the (turned) keys of earlier words, and computes queries and keys of the *new* words only. The first new word stands at position `start`, not 0. Turn `x` of shape
# $(T, D)$ by the angles of the positions `start`, `start + 1`, … Use `ops.rotary_tables` and `ops.rotary_embedding_forward`.
#
# <details><summary>Hint 1</summary>
#
# `ops.rotary_tables(length, D, dtype=float)` gives cosines and sines for the positions 0 to `length - 1`. How long must it be?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Make tables of length `start + T` and pass on their rows from `start` on.
#
# </details>

# %% exercise="later"
def turn_new(x, start):
    """Rotary embedding of the words at the positions start, start + 1, ...

    Shapes   x (T, D) -> (T, D)
    """
    # BEGIN SOLUTION
    T, D = x.shape
    cos, sin = ops.rotary_tables(start + T, D, dtype=x.dtype)
    return ops.rotary_embedding_forward(x, cos=cos[start:], sin=sin[start:])[0]
    # END SOLUTION


# %% self_check="later"
text = rng.standard_normal((6, 4))
whole = turn_new(text, 0)
assert np.allclose(whole[0], text[0]), "position 0 is turned by the angle 0: it stays as it is"
first = text[1, 0] * math.cos(1) - text[1, 2] * math.sin(1)
assert np.isclose(whole[1, 0], first), "position 1 must be turned by 1 radian in its first pair"
pieces = np.concatenate([turn_new(text[:3], 0), turn_new(text[3:5], 3), turn_new(text[5:], 5)])
assert np.allclose(pieces, whole), "word by word must give the same as the whole text at once"
print("right")

# %% wrong="later"
def turn_new(x, start):
    T, D = x.shape
    cos, sin = ops.rotary_tables(T, D, dtype=x.dtype)
    return ops.rotary_embedding_forward(x, cos=cos, sin=sin)[0]


# %% wrong="later"
def turn_new(x, start):
    T, D = x.shape
    cos, sin = ops.rotary_tables(start + 1, D, dtype=x.dtype)
    return ops.rotary_embedding_forward(x, cos=cos[start:], sin=sin[start:])[0]


# %% [markdown]
# ## References
#
# - A. Vaswani et al. (2017), *Attention is all you need*, arXiv:1706.03762, section 3.5: the sinusoidal table, here (2), and the remark on relative positions, here (3).
# - J. Su et al. (2021), *RoFormer: Enhanced transformer with rotary position embedding*, arXiv:2104.09864, section 3.2 and eq. 34: rotary embedding, here (6) and (7).
# - P. Shaw, J. Uszkoreit, A. Vaswani (2018), *Self-attention with relative position representations*, arXiv:1803.02155: learned distances, as in exercise 10.2.
# - In the library: [minillm/ops/positional_encoding.py](../minillm/ops/positional_encoding.py), [minillm/ops/rotary_embedding.py](../minillm/ops/rotary_embedding.py),
#   [minillm/nn/positional.py](../minillm/nn/positional.py).
