# %% [markdown]
# # 11 · Attention
#
# **You need:** [chapter 5](05_softmax_cross_entropy.ipynb) (softmax and its backward pass); matrix products.
#
# **Time:** 25 minutes of reading, 40 for the exercises.
#
# **You will be able to** derive scaled dot-product attention forward and backward, say why it divides by
# $\sqrt{D}$, build and combine masks without looking into the future, and cut a width into heads.

# %% [markdown]
# ## Why it matters
#
# "The robot that Leo found was red." What was red? To understand *red* one has to look back at *robot*, five words
# before, and in the next sentence it will be another distance. A fixed formula over neighbours can't do this.
# **Attention（注意力）** lets every position of a sequence decide by its own content which others it
# reads. It is the only place in a Transformer where positions exchange anything at all.

# %% tags=["setup"]
import math
import textwrap

import numpy as np

import minillm
from minillm import functional as F
from minillm import nn, ops
from minillm.gradcheck import check_gradients
from minillm.optim import Adam
from minillm.training import fit
from minillm.viz import book_style, plot_attention

book_style()
minillm.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## A lookup that is soft
#
# A dictionary in Python answers a question exactly: it finds the entry whose key *equals* the one asked for, and returns
# its value. An exact match has no useful derivative. Attention makes the same thing smooth.
#
# Position $t$ asks a **query（查询）** $q_t$. Every position $s$ offers a **key（键）** $k_s$, which says what it is about,
# and a **value（值）** $v_s$, which says what it has to tell. The dot product of a query with a key is the
# **attention score（注意力分数）**: large if they match. Softmax turns the scores of one query into **attention weights（注意力权重）**, positive
# numbers that sum to 1. The answer is the mean of the values with these weights. The whole is called **scaled dot-product
# attention（缩放点积注意力）**:
#
# <a id="formula-scaled-dot-product-attention"></a>
# $$\mathrm{out}_t = \sum_{s=1}^{S} p_{ts}\, v_s, \qquad
#   p_{ts} = \frac{e^{a_{ts}}}{\sum_{r=1}^{S} e^{a_{tr}}}, \qquad
#   a_{ts} = \frac{1}{\sqrt{D}} \sum_{d=1}^{D} q_{td}\, k_{sd} \tag{1}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $q$ | $(T, D)$ | one query in each row |
# | $k$ | $(S, D)$ | one key in each row |
# | $v$ | $(S, E)$ | one value in each row; usually $E = D$ |
# | $a$ | $(T, S)$ | scores: row $t$ belongs to query $t$ |
# | $p$ | $(T, S)$ | weights; each row sums to 1 |
# | $\mathrm{out}$ | $(T, E)$ | a weighted mean of the values, one for each query |
#
# In matrices, with the softmax over each row: $a = q k^\top / \sqrt{D}$, $p = \mathrm{softmax}(a)$ and
# $\mathrm{out} = p\, v$. The sequence that asks may be the one that answers: if $q$, $k$ and $v$ are all computed from the same $x$,
# one speaks of **self-attention（自注意力）**, and $S = T$.
#
# The factor $v$ is easily forgotten on paper: one of the [articles](../docs/articles.md) that this project follows writes attention
# *without* $v$. What it then describes is the matrix $p$ of weights, not the answer.
#
# ## Why divide by $\sqrt{D}$?
#
# Suppose that the entries of $q_t$ and $k_s$ are independent, with mean 0 and variance 1. A product of two such numbers has mean 0 and
# variance 1 as well, and variances of independent terms add up:
#
# $$\mathrm{Var}\Big(\sum_{d=1}^{D} q_{td}\, k_{sd}\Big) = \sum_{d=1}^{D} \mathrm{Var}(q_{td}\, k_{sd}) = D$$
#
# So scores grow like $\sqrt{D}$. Softmax of large scores puts nearly all weight on one key. Then it is saturated: by
# [equation (2) of chapter 5](05_softmax_cross_entropy.ipynb) the slope of $p_s$ is $p_s (1 - p_s)$, which is nearly 0 if $p_s$ is nearly
# 0 or 1, and nothing can be learned. Dividing by $\sqrt{D}$ brings the variance back to 1 for every width:

# %%
print("   D   variance of q.k   largest weight   its p(1 - p)   the last two with 1/sqrt(D)")
for D in (4, 64, 1024):
    queries, keys = rng.standard_normal((200, 1, D)), rng.standard_normal((200, 32, D))
    scores = (queries * keys).sum(axis=-1)  # 200 queries, 32 keys for each
    p, p_scaled = (ops.softmax_forward(a)[0] for a in (scores, scores / math.sqrt(D)))
    top, top_scaled = p.max(axis=-1), p_scaled.max(axis=-1)
    slope, slope_scaled = ((w * (1 - w)).mean() for w in (top, top_scaled))
    print(
        f"{D:4d} {scores.var():17.1f} {top.mean():16.2f} {slope:14.3f}"
        f" {top_scaled.mean():17.2f} {slope_scaled:8.3f}"
    )

# %% tags=["check"]
assert abs(scores.var() / 1024 - 1) < 0.05
assert top.mean() > 0.9
assert slope < 0.04 < 0.1 < slope_scaled
assert top_scaled.mean() < 0.3

# %% [markdown]
# Without the factor, at $D = 1024$, a query that knows nothing yet already stares at one random key of 32.
#
# ## Backward
#
# $\mathrm{out} = p\,v$ and $a = q k^\top/\sqrt{D}$ are matrix products, with a softmax between them. We go back through these three
# steps, one after the other. As always $g_{te}$, `grad_out` in code, is $\partial L / \partial\, \mathrm{out}_{te}$.
#
# **Step 1, out = p v.** The value $v_{se}$ enters $\mathrm{out}_{te}$ of *every* query $t$, each time with the factor $p_{ts}$, so its gradient is a sum
# over $t$. The weight $p_{ts}$ enters all entries $e$ of $\mathrm{out}_t$, with the factors $v_{se}$:
#
# <a id="formula-scaled-dot-product-attention-backward-values"></a>
# $$\frac{\partial L}{\partial v_{se}} = \sum_{t} p_{ts}\, g_{te}, \qquad
#   G_{ts} := \frac{\partial L}{\partial p_{ts}} = \sum_{e} g_{te}\, v_{se} \tag{2}$$
#
# As matrices: `grad_v = p.T @ grad_out` and `grad_p = grad_out @ v.T`. A value that nobody looks at gets no gradient.
#
# **Step 2, p = softmax(a).** Each row is a softmax by itself, and chapter 5 has derived its backward pass. With the
# cotangent $G$ of (2):
#
# <a id="formula-scaled-dot-product-attention-backward-scores"></a>
# $$A_{ts} := \frac{\partial L}{\partial a_{ts}} = p_{ts} \Big( G_{ts} - \sum_{r} p_{tr}\, G_{tr} \Big) \tag{3}$$
#
# The bracket compares: a score is pulled up if reading $s$ would have helped *more than the mean* of what this query reads.
#
# **Step 3, a = q k^T / sqrt(D).** The query entry $q_{td}$ enters the scores of all keys; the key entry $k_{sd}$ enters the scores of all
# queries. Both carry the constant factor with them:
#
# <a id="formula-scaled-dot-product-attention-backward"></a>
# $$\frac{\partial L}{\partial q_{td}} = \frac{1}{\sqrt{D}} \sum_{s} A_{ts}\, k_{sd}, \qquad
#   \frac{\partial L}{\partial k_{sd}} = \frac{1}{\sqrt{D}} \sum_{t} A_{ts}\, q_{td} \tag{4}$$
#
# Here is all of it for one sequence and one head, a line of code for a formula. The sizes of the check are different primes: a
# transposed matrix doesn't fit.

# %% tags=["setup"]
def attention_forward(q, k, v):
    """Formula (1): q (T, D), k (S, D), v (S, E) -> out (T, E)."""
    scale = 1 / math.sqrt(q.shape[1])
    a = scale * q @ k.T  # (T, S)
    p = ops.softmax_forward(a)[0]  # (T, S)
    return p @ v, (q, k, v, p, scale)


def attention_backward(grad_out, saved):
    """Gradients of q, k and v."""
    q, k, v, p, scale = saved
    grad_v = p.T @ grad_out  # (S, E)  (2)
    grad_p = grad_out @ v.T  # (T, S)  (2)
    grad_a = p * (grad_p - (p * grad_p).sum(axis=1, keepdims=True))  # (T, S)  (3)
    grad_q = scale * grad_a @ k  # (T, D)  (4)
    grad_k = scale * grad_a.T @ q  # (S, D)  (4)
    return grad_q, grad_k, grad_v


T, S, D, E = 3, 5, 7, 2
q, k, v = (rng.standard_normal(shape) for shape in ((T, D), (S, D), (S, E)))

# %%
print(check_gradients(attention_forward, attention_backward, q, k, v))

# %% tags=["check"]
assert check_gradients(attention_forward, attention_backward, q, k, v).passed

# %% [markdown]
# ## Classic mistakes
#
# **The scale is forgotten on the way back.** It stands in forward, so it stands in (4). The check recognises the factor:

# %%
def forgets_the_scale(grad_out, saved):
    grad_q, grad_k, grad_v = attention_backward(grad_out, saved)
    return grad_q / saved[4], grad_k, grad_v


report = check_gradients(attention_forward, forgets_the_scale, q, k, v)
print(report)

# %% tags=["check"]
[finding] = report.findings
assert finding.kind == "scaled"
assert abs(finding.factor - math.sqrt(D)) < 1e-6

# %% [markdown]
# **The sum of (3) runs over the queries** instead of the keys. The sum keeps its axis, so no shape complains:

# %%
def sums_over_queries(grad_out, saved):
    q, k, v, p, scale = saved
    grad_p = grad_out @ v.T
    grad_a = p * (grad_p - (p * grad_p).sum(axis=0, keepdims=True))  # axis=0!
    return scale * grad_a @ k, scale * grad_a.T @ q, p.T @ grad_out


report = check_gradients(attention_forward, sums_over_queries, q, k, v)
print(report)

# %% tags=["check"]
assert report.findings[0].kind == "wrong_axis"

# %% [markdown]
# **The softmax itself runs over the wrong axis.** If forward *and* backward do so, a gradient check passes: backward is the right
# derivative of a wrong formula. Look at what has to sum to 1:

# %%
a = q @ k.T / math.sqrt(D)
for axis in (-1, 0):
    sums = ops.softmax_forward(a, axis=axis)[0].sum(axis=1)
    print(f"softmax over axis {axis:2d}: the weights of each query sum to", sums.round(2))

# %% tags=["check"]
assert np.allclose(ops.softmax_forward(a)[0].sum(axis=1), 1)
assert not np.isclose(sums, 1).any()

# %% [markdown]
# ## The library's own code
#
# [minillm/ops/attention.py](../minillm/ops/attention.py) computes the same for a batch of $B$ sequences and $H$ heads at once, with masks and dropout. Its `grad_s`
# is our $A$, written over `grad_p` to save memory; its (1), (2) and (3) are our (2), (3) and (4). Its `G` counts the heads of the keys and values:
# there may be fewer than of the queries, which then share them. (Long sequences go another way, in blocks, see below.) Change something and run the check below it.

# %% library="minillm.ops.attention:scaled_dot_product_attention_forward,scaled_dot_product_attention_backward,_probabilities,_hidden"

# %%
qkv = [rng.standard_normal((2, 3, 5, 7)) for _ in range(3)]  # (B, H, T, D)
print(
    check_gradients(
        scaled_dot_product_attention_forward,
        scaled_dot_product_attention_backward,
        *qkv,
        is_causal=True,
    )
)
one_head = attention_forward(*(x[1, 2] for x in qkv))[0]
fused = scaled_dot_product_attention_forward(*qkv)[0][1, 2]
print("literal and fused agree to", f"{abs(one_head - fused).max():.0e}")

# %% tags=["check"]
pair = scaled_dot_product_attention_forward, scaled_dot_product_attention_backward
assert check_gradients(*pair, *qkv, is_causal=True).passed
assert abs(one_head - fused).max() < 1e-14

# %% [markdown]
# ## Masks: who may see whom
#
# A mask is an array of booleans that says which query may attend to which key. **Here it is called `visible`, and True means "may
# attend".** Hidden keys get the score $-\infty$ *before* the softmax, so their weight is $e^{-\infty} = 0$ and the others still sum to 1. By (3) a key
# with $p_{ts} = 0$ gets no gradient from that query.
#
# Two masks are needed all the time:
#
# - A model that predicts the next word must not see it. The **causal mask（因果掩码）** lets query $t$ see the keys $s \le t$: `is_causal=True`.
# - Sentences of a batch have different lengths, so short ones are filled up with **padding（填充）**. The **padding mask（填充掩码）** hides it:
#   `key_visible` of shape $(B, S)$ in [nn.MultiHeadAttention](../minillm/nn/attention.py).

# %%
q1, k1 = rng.standard_normal((2, 1, 1, 5, 8))
real = np.array([True, True, True, True, False])  # the fifth position is padding
p = ops.attention_probabilities(q1, k1, visible=real, is_causal=True)[0, 0]
print(p.round(2))

# %% tags=["check"]
assert np.allclose(p.sum(axis=1), 1)
assert not p[:, 4].any()
assert not np.triu(p, 1).any()

# %% [markdown]
# Beware when you come from PyTorch: there, True in a boolean `attn_mask` of `nn.MultiheadAttention` and in `key_padding_mask` means *hidden*, while in
# `F.scaled_dot_product_attention` it means *visible*. A mask the wrong way round raises no error in most programs; the model only learns
# badly, or suspiciously well. So these names aren't accepted here:

# %%
attention = nn.MultiHeadAttention(8, 2)
try:
    attention(np.zeros((1, 5, 8), dtype=np.float32), key_padding_mask=~real[None])
except TypeError as error:
    print(textwrap.fill(str(error).splitlines()[0], 88))

# %% [markdown]
# **A mask after the softmax** is the classic mistake. The rows then no longer sum to 1, and worse, the hidden keys still take part in
# the sum in the denominator: the future leaks. To see it, change the last key only, and look at whether the *first* query notices.

# %%
def mask_before(k):
    return ops.attention_probabilities(q1, k, is_causal=True)[0, 0]


def mask_after(k):
    return ops.attention_probabilities(q1, k)[0, 0] * np.tri(5)


other = k1.copy()
other[0, 0, 4] += 1  # the future
for mask in (mask_before, mask_after):
    change = abs(mask(other) - mask(k1))[0].max()
    sums = mask(k1).sum(axis=1).round(2)
    print(f"{mask.__name__:12s} row sums {sums}, query 0 changes by {change:.3f}")

# %% tags=["check"]
assert np.array_equal(mask_before(other)[0], mask_before(k1)[0])
assert change > 0.001

# %% [markdown]
# What if a query sees *nothing*, as in a row that is all padding? All scores are $-\infty$, and softmax would give 0/0. The library defines the mean
# of no values as zero, with zero gradients.

# %%
nothing = np.full(5, -np.inf)
with np.errstate(invalid="ignore"):
    print("softmax of nothing:   ", np.exp(nothing - nothing.max()))
empty = ops.attention_probabilities(q1, k1, visible=np.zeros((5, 5), dtype=bool))
print("weights in the library:", empty[0, 0, 0])

# %% tags=["check"]
assert not empty.any()

# %% [markdown]
# ## Several heads
#
# One query can ask one question. **Multi-head attention（多头注意力）** asks $H$ questions at once: it cuts the width $C$ of the model into $H$
# **attention heads（注意力头）** of width $D = C/H$, lets each attend on its own, and sets the results side by side again. Four matrices stand around it:
#
# <a id="formula-multi-head-attention"></a>
# $$\mathrm{head}_h = \mathrm{attention}\big(x W_q^{(h)},\; x W_k^{(h)},\; x W_v^{(h)}\big), \qquad
#   \mathrm{out} = \big[\mathrm{head}_0 \mid \dots \mid \mathrm{head}_{H-1}\big]\, W_o \tag{5}$$
#
# where $W_q^{(h)}$, of shape $(C, D)$, holds the columns $hD$ to $(h+1)D - 1$ of one matrix $W_q$ of shape $(C, C)$. (Each product may
# have a bias, too.) So one product computes the queries of all heads, and the rest is a matter of axes:
#
# | step | shape |
# |---|---|
# | `x @ W_q` | $(B, T, C)$ |
# | `.reshape(B, T, H, D)` | $(B, T, H, D)$: each row cut into $H$ pieces |
# | `.transpose(0, 2, 1, 3)` | $(B, H, T, D)$: heads beside batch, ready for (1) |
# | attention | $(B, H, T, D)$ |
# | `.transpose(0, 2, 1, 3).reshape(B, T, C)` | $(B, T, C)$: the way back |
#
# Reshaping to $(B, H, T, D)$ at once gives the same shape and other numbers. In this example the tens say the position and the ones the
# column; head 0 should hold the columns 0 and 1 of every position:

# %%
x = (10 * np.arange(3)[:, None] + np.arange(4))[None]  # (B, T, C) = (1, 3, 4)
print("x:\n", x[0])
print("head 0, reshape and transpose:\n", x.reshape(1, 3, 2, 2).transpose(0, 2, 1, 3)[0, 0])
print("head 0, reshape alone:\n", x.reshape(1, 2, 3, 2)[0, 0])

# %% [markdown]
# Written out with the layers of [nn.MultiHeadAttention](../minillm/nn/attention.py), formula (5) is five lines, and gives what the class gives:

# %%
def multi_head(layer, x):
    """x (B, T, C) -> (B, T, C), by the four matrices of the layer."""
    (B, T, C), H = x.shape, layer.num_heads
    parts = [layer.query(x), layer.key(x), layer.value(x)]
    q, k, v = (part.reshape(B, T, H, C // H).transpose(0, 2, 1, 3) for part in parts)
    heads = F.scaled_dot_product_attention(q, k, v)  # (B, H, T, D)
    return layer.output(heads.transpose(0, 2, 1, 3).reshape(B, T, C))


x = minillm.Tensor(rng.standard_normal((2, 5, 12)))
for heads in (1, 3, 4):
    layer = nn.MultiHeadAttention(12, heads, dtype=np.float64)
    difference = abs(multi_head(layer, x).data - layer(x).data).max()
    count = sum(parameter.size for parameter in layer.parameters())
    print(f"H = {heads}: {count} parameters, difference to the class {difference}")

# %% tags=["check"]
assert difference == 0
assert count == 4 * 12 * 12 + 4 * 12

# %% [markdown]
# The number of parameters is $4C^2 + 4C$, however many heads there are. More heads ask more questions, with fewer numbers for each.
#
# ## Long texts: the same, in blocks
#
# The weights $p$ have $T \cdot S$ entries in each head: at 8,192 words and in float32, 268 megabytes for a single head, and backward
# wants them kept. But nobody needs all of them at once. Let the keys come in blocks. For one query keep three things up to
# date over the keys so far: the largest score $m$, taken away from all scores as in chapter 5; the sum $\ell$ of all $e^{a_s - m}$; and
# $\mathrm{acc}$, the sum of all $e^{a_s - m}\, v_s$. At first $m = -\infty$ and the sums are 0. With a new block the largest score becomes
# $m' \ge m$, and every old term has to become $e^{a_s - m'} = e^{a_s - m} \cdot e^{m - m'}$: the same factor for all of them. So the two
# sums are multiplied by it, and the block is added:
#
# <a id="formula-attention-in-blocks"></a>
# $$\ell' = e^{m - m'} \ell + \sum_{s \in \text{block}} e^{a_s - m'}, \qquad
#   \mathrm{acc}' = e^{m - m'} \mathrm{acc} + \sum_{s \in \text{block}} e^{a_s - m'}\, v_s \tag{6}$$
#
# At the end $\mathrm{out} = \mathrm{acc} / \ell$: the common factor $e^{-m}$ cancels. Backward doesn't need the table either. It keeps $\mathrm{out}$ and one number
# for each query, $m_t + \log \ell_t$, and from it computes the weights once more, block by block. And the sum in (3), which seems to need a
# whole row of them, is known already, by (2) and (1):
#
# <a id="formula-attention-in-blocks-backward"></a>
# $$p_{ts} = e^{a_{ts} - (m_t + \log \ell_t)}, \qquad
#   \sum_{r} p_{tr}\, G_{tr} = \sum_{r} p_{tr} \sum_{e} g_{te}\, v_{re} = \sum_{e} g_{te}\, \mathrm{out}_{te} \tag{7}$$
#
# Memory then grows with $T$ and no longer with its square; this is the idea of *FlashAttention*.
# [minillm/ops/attention_blocks.py](../minillm/ops/attention_blocks.py) does it for heads with $2^{18}$ scores or more, unless some weights are dropped.
# Forward, for one head:

# %%
def attention_in_blocks(q, k, v, size):
    """Formula (1), by (6): no array here has both T and S as axes."""
    m, total, acc = np.full((len(q), 1), -np.inf), 0, 0  # m, l and acc of (6)
    for start in range(0, len(k), size):
        a = q @ k[start : start + size].T / math.sqrt(q.shape[1])  # (T, size)
        new = np.maximum(m, a.max(axis=1, keepdims=True))
        shrink, p = np.exp(m - new), np.exp(a - new)
        total = shrink * total + p.sum(axis=1, keepdims=True)
        acc = shrink * acc + p @ v[start : start + size]
        m = new
    return acc / total


long_q, long_k, long_v = np.random.default_rng(1).standard_normal((3, 300, 16))
whole = attention_forward(long_q, long_k, long_v)[0]
for size in (300, 64, 7):
    difference = abs(attention_in_blocks(long_q, long_k, long_v, size) - whole).max()
    print(f"blocks of {size:3d} keys: at most {300 * size:6,} weights at once,", end=" ")
    print(f"the same result: {difference < 1e-14}")

# %% tags=["check"]
assert 8192 * 8192 * 4 // 10**6 == 268
assert LONG == 2**18
assert all(
    abs(attention_in_blocks(long_q, long_k, long_v, size) - whole).max() < 1e-14
    for size in (300, 64, 7)
)

# %% [markdown]
# ## A picture: what attention learns
#
# A task that needs attention: a few letters come in random order, and then again and again in the same order, as in *d h b d h b d …* The number of letters
# differs from row to row. From the second round on, the next letter is certain, but only for a reader who finds the *last time* the
# present letter came, and sees what came after it. The model has two layers of attention with one head each; what a layer finds is added to
# what is there already. (Positions come as learned vectors, [chapter 10](10_positions.ipynb).)

# %%
LETTERS, LENGTH, WIDTH = "abcdefghijklmnop", 24, 32


class TwoLayers(nn.Module):
    """Two layers of causal attention, and nothing else."""

    def __init__(self):
        self.letters = nn.Embedding(len(LETTERS), WIDTH)
        self.position = nn.PositionalEncoding(WIDTH, dropout=0.0, max_len=LENGTH, learned=True)
        self.first = nn.MultiHeadAttention(WIDTH, 1)
        self.second = nn.MultiHeadAttention(WIDTH, 1)
        self.output = nn.Linear(WIDTH, len(LETTERS))

    def forward(self, ids):
        """Shapes   ids (B, T) -> logits (B, T, letters)."""
        x = self.position(self.letters(ids))
        x = x + self.first(x, is_causal=True)
        x = x + self.second(x, is_causal=True)
        return self.output(x)


def rounds(n):
    """n rows of letters that repeat, and what comes next; -100 in the first round: not asked."""
    ids, labels = np.empty((n, LENGTH), dtype=int), np.full((n, LENGTH), -100)
    for row, answers in zip(ids, labels, strict=True):
        period = rng.integers(6, 14)
        order = rng.permutation(len(LETTERS))[:period]
        both = np.resize(order, LENGTH + 1)
        row[:], answers[period:] = both[:-1], both[period + 1 :]
    return ids, labels


minillm.manual_seed(0)
model = TwoLayers()
steps = 600
history = fit(
    model, Adam(model.parameters(), lr=0.01), rounds(32 * steps), steps=steps, loss=F.cross_entropy
)
ids, labels = rounds(500)
guesses = model(ids).data.argmax(axis=-1)
correct = (guesses == labels)[labels >= 0].mean()
print(f"loss {history.losses[0]:.2f} at the start (log 16 = {math.log(16):.2f})")
print(f"right on new rows: {correct:.0%}")

# %% tags=["check"]
assert correct > 0.95

# %% alt="Two attention maps over eighteen letters that repeat with period seven. In the first layer the second to the thirteenth query look at the letter just before them, later ones at many letters. In the second layer each query from the second round on looks at a letter that came after an earlier occurrence of its own."
text = "dhbjmfadhbjmfadhbj"


def maps(text):
    """The weights (2, T, T) of both layers."""
    ids = np.array([[LETTERS.index(letter) for letter in text]])
    x = model.position(model.letters(ids))
    first = model.first.probabilities(x, is_causal=True)[0]
    x = x + model.first(x, is_causal=True)
    return np.concatenate([first, model.second.probabilities(x, is_causal=True)[0]])


title = "A trained model on letters that repeat"
plot_attention(maps(text), list(text), title=title, names=["layer 1", "layer 2"])

# %% tags=["check"]
first, second = maps(text)
rows = np.arange(1, 13)
assert np.mean(first[rows, rows - 1]) > 0.7
rows = np.arange(7, 14)
assert np.mean(second[rows, rows - 6]) > 0.8
rows = np.arange(14, 18)
assert (second[rows, rows - 6] + second[rows, rows - 13]).min() > 0.8

# %% [markdown]
# Read row by row: a row is a query. In **layer 1** nearly all weight lies just left of the diagonal, down to the thirteenth letter: each
# letter looks at the one before it and takes it along. In **layer 2** the queries of the second round look six positions back. There stands
# the letter that came *after* their own last appearance: thanks to layer 1 it carries a note, "before me came …", which matches the query.
# What it shows is the answer.
#
# From the fourteenth letter on, layer 1 is a blur. No training row had a first round of more than 13 letters, so no note
# written later was ever needed. In the third round there are two letters with the right note. Both show the same answer, and layer 2 takes one or the other.
#
# Nobody told the model to do this. A head like that of layer 2 is called an *induction head* (Elhage et al. 2021).
# It is found in large language models too, where it copies names and repeats patterns.
#
# ## An experiment
#
# Change the text (letters a to p, at most 24 of them) and run the cell below. Try a period of 3: the model was trained on 6 to 13. Put in a letter that never
# came before: where does layer 2 look then, and is the guess any good?

# %%
text = "dhbjmfadhbjmfadhb"
logits = model(np.array([[LETTERS.index(letter) for letter in text]])).data[0, -1]
p = ops.softmax_forward(logits)[0]
print("after", text, "comes", {LETTERS[i]: float(p[i].round(2)) for i in np.argsort(-p)[:3]})
looks = maps(text)[1, -1]
print("its query in layer 2 looks at position", looks.argmax(), f"with weight {looks.max():.2f}")

# %% tags=["check"]
assert LETTERS[p.argmax()] == "j"

# %% [markdown]
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/11_attention.ipynb](solutions/11_attention.ipynb).

# %% [markdown] exercise="bias" minutes=20 teaches="attention backward; which gradients carry the scale; un-broadcasting" catches="the scale on the bias, no sum over the batch, the gradient of p instead of the scores"
# ### Exercise 11.1: attention with a bias on the scores
#
# Some models add a learned number to each score, so that a head may prefer, say, near keys: $a_{ts} = q_t \cdot k_s / \sqrt{D} + b_{ts}$. The
# table $b$ of shape $(T, S)$ is shared by all sequences of the batch. Write forward and backward for $q$ $(B, T, D)$, $k$ $(B, S, D)$ and $v$ $(B, S, E)$.
#
# <details><summary>Hint 1</summary>
#
# Start from `attention_forward` and `attention_backward` above. With a batch, `.T` becomes `.swapaxes(1, 2)`, and `axis=1` becomes `axis=-1`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $b_{ts}$ enters $a_{ts}$ with the factor 1, after the scaling. So what is $\partial L/\partial b_{ts}$ for one sequence?
#
# </details>
# <details><summary>Hint 3</summary>
#
# One table serves $B$ sequences, so its gradient is a sum over them. The result must have the shape of the table.
#
# </details>

# %% exercise="bias"
def biased_attention_forward(q, k, v, bias):
    """Attention with a bias on the scores.

    Shapes   q (B, T, D); k (B, S, D); v (B, S, E); bias (T, S) -> out (B, T, E), and what
             backward needs
    """
    # BEGIN SOLUTION
    scale = 1 / math.sqrt(q.shape[-1])
    p = ops.softmax_forward(scale * q @ k.swapaxes(1, 2) + bias)[0]  # (B, T, S)
    return p @ v, (q, k, v, p, scale)
    # END SOLUTION


def biased_attention_backward(grad_out, saved):
    """Gradients of q, k, v and bias."""
    # BEGIN SOLUTION
    q, k, v, p, scale = saved
    grad_v = p.swapaxes(1, 2) @ grad_out  # (B, S, E)
    grad_p = grad_out @ v.swapaxes(1, 2)  # (B, T, S)
    grad_a = p * (grad_p - (p * grad_p).sum(axis=-1, keepdims=True))
    return scale * grad_a @ k, scale * grad_a.swapaxes(1, 2) @ q, grad_v, grad_a.sum(axis=0)
    # END SOLUTION


# %% self_check="bias"
inputs = [rng.standard_normal(shape) for shape in ((2, 3, 7), (2, 5, 7), (2, 5, 11), (3, 5))]
out = biased_attention_forward(*inputs)[0]
expected = attention_forward(*(x[1] for x in inputs[:3]))[0]
unbiased = biased_attention_forward(*inputs[:3], np.zeros((3, 5)))[0]
assert np.allclose(unbiased[1], expected), "without a bias it is not formula (1)"
only = np.full((3, 5), -1e9)
only[:, 2] = 0
single = biased_attention_forward(*inputs[:3], only)[0]
assert np.allclose(single[0], inputs[2][0, 2]), "with -1e9 on all keys but one, its value is left"
report = check_gradients(biased_attention_forward, biased_attention_backward, *inputs)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="bias"
def biased_attention_forward(q, k, v, bias):
    scale = 1 / math.sqrt(q.shape[-1])
    p = ops.softmax_forward(scale * q @ k.swapaxes(1, 2) + bias)[0]
    return p @ v, (q, k, v, p, scale)


def biased_attention_backward(grad_out, saved):
    q, k, v, p, scale = saved
    grad_p = grad_out @ v.swapaxes(1, 2)
    grad_a = scale * p * (grad_p - (p * grad_p).sum(axis=-1, keepdims=True))
    return grad_a @ k, grad_a.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ grad_out, grad_a.sum(axis=0)


# %% wrong="bias"
def biased_attention_forward(q, k, v, bias):
    scale = 1 / math.sqrt(q.shape[-1])
    p = ops.softmax_forward(scale * q @ k.swapaxes(1, 2) + bias)[0]
    return p @ v, (q, k, v, p, scale)


def biased_attention_backward(grad_out, saved):
    q, k, v, p, scale = saved
    grad_p = grad_out @ v.swapaxes(1, 2)
    grad_a = p * (grad_p - (p * grad_p).sum(axis=-1, keepdims=True))
    grad_v = p.swapaxes(1, 2) @ grad_out
    return scale * grad_a @ k, scale * grad_a.swapaxes(1, 2) @ q, grad_v, grad_a


# %% wrong="bias"
def biased_attention_forward(q, k, v, bias):
    scale = 1 / math.sqrt(q.shape[-1])
    p = ops.softmax_forward(scale * (q @ k.swapaxes(1, 2) + bias))[0]
    return p @ v, (q, k, v, p, scale)


def biased_attention_backward(grad_out, saved):
    q, k, v, p, scale = saved
    grad_p = grad_out @ v.swapaxes(1, 2)
    grad_a = scale * p * (grad_p - grad_p.sum(axis=-1, keepdims=True))
    return grad_a @ k, grad_a.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ grad_out, grad_a.sum(axis=0)


# %% [markdown] exercise="causal" minutes=10 teaches="masks; what causal means when keys are cached" catches="True for hidden, a mask that forgets the keys from before, one position too many"
# ### Exercise 11.2: a causal mask that knows the past
#
# A model that writes a text keeps the keys and values of earlier words in a cache. Then there are more keys than queries: the $S$ keys
# are *all* words so far, and the $T$ queries are the *last* $T$ of them. Query 0 is thus the word number $S - T$. Write the mask: True where a query may
# attend, which is to its own word and everything before it.
#
# <details><summary>Hint 1</summary>
#
# Draw the case $T = 2$, $S = 5$ on paper. The last query sees everything. How many keys does the one before it see?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Query $t$ is word $S - T + t$, and it may see the keys $s \le S - T + t$. Compare `np.arange(S)` with a column of these numbers.
#
# </details>

# %% exercise="causal"
def causal_mask(T, S):
    """Which of S keys each of the last T words may attend to.

    Shapes   -> (T, S) boolean, True = may attend
    """
    # BEGIN SOLUTION
    return np.arange(S) <= np.arange(S - T, S)[:, None]
    # END SOLUTION


# %% self_check="causal"
assert causal_mask(3, 3).dtype == bool, "a mask holds booleans"
square = np.array([[True, False, False], [True, True, False], [True, True, True]])
assert np.array_equal(causal_mask(3, 3), square), f"query t should see keys 0 … t; yours:\n{causal_mask(3, 3)}"
long = np.array([[True, True, True, True, False], [True, True, True, True, True]])
assert np.array_equal(causal_mask(2, 5), long), f"the last 2 of 5 words should see 4 and 5; yours:\n{causal_mask(2, 5)}"
assert causal_mask(1, 4).all(), "a single new word sees everything that came before, and itself"
q1, k1, v1 = rng.standard_normal((3, 1, 1, 5, 7))
whole = ops.scaled_dot_product_attention_forward(q1, k1, v1, visible=causal_mask(5, 5))[0]
last = ops.scaled_dot_product_attention_forward(
    q1[:, :, 3:], k1, v1, visible=causal_mask(2, 5)
)[0]
assert np.allclose(whole[:, :, 3:], last), "with a cache the last two words get other answers"
print("right: the cache changes nothing")

# %% wrong="causal"
def causal_mask(T, S):
    return np.tri(T, S, dtype=bool)


# %% wrong="causal"
def causal_mask(T, S):
    return np.arange(S) > np.arange(S - T, S)[:, None]


# %% wrong="causal"
def causal_mask(T, S):
    return np.arange(S) < np.arange(S - T, S)[:, None]


# %% [markdown] exercise="heads" minutes=10 teaches="reshape against transpose; the way there and back" catches="heads that mix positions, a merge without transpose"
# ### Exercise 11.3: split and merge heads
#
# Write both directions for arrays. Merging what was split must give the original, but that alone proves little: why?
#
# <details><summary>Hint 1</summary>
#
# A reshape reads the numbers in order and cuts them anew; it can split the last axis in two. It can't exchange two axes.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $(B, T, C) \to (B, T, H, D) \to (B, H, T, D)$. For the way back do the steps in reverse order.
#
# </details>

# %% exercise="heads"
def split_heads(x, heads):
    """Cut the width into heads.

    Shapes   x (B, T, C) -> (B, heads, T, C / heads)
    """
    # BEGIN SOLUTION
    B, T, C = x.shape
    return x.reshape(B, T, heads, C // heads).transpose(0, 2, 1, 3)
    # END SOLUTION


def merge_heads(x):
    """Set the heads side by side again.

    Shapes   x (B, H, T, D) -> (B, T, H D)
    """
    # BEGIN SOLUTION
    B, H, T, D = x.shape
    return x.transpose(0, 2, 1, 3).reshape(B, T, H * D)
    # END SOLUTION


# %% self_check="heads"
x = np.arange(2 * 3 * 10).reshape(2, 3, 10)
split = split_heads(x, 5)
assert split.shape == (2, 5, 3, 2), f"the shape is {split.shape}, it should be (2, 5, 3, 2)"
assert np.array_equal(split[1, 3], x[1, :, 6:8]), "head 3 must hold columns 6 and 7 of x"
merged = merge_heads(split)
assert merged.shape == x.shape, f"the shape is {merged.shape}, it should be {x.shape}"
assert np.array_equal(merged, x), "merging what was split must give the original"
print("right")

# %% wrong="heads"
def split_heads(x, heads):
    B, T, C = x.shape
    return x.reshape(B, heads, T, C // heads)


def merge_heads(x):
    B, H, T, D = x.shape
    return x.reshape(B, T, H * D)


# %% wrong="heads"
def split_heads(x, heads):
    B, T, C = x.shape
    return x.reshape(B, T, heads, C // heads).transpose(0, 2, 1, 3)


def merge_heads(x):
    B, H, T, D = x.shape
    return x.reshape(B, T, H * D)


# %% [markdown]
# ## References
#
# - A. Vaswani et al. (2017), *Attention is all you need*, arXiv:1706.03762, eq. 1: scaled dot-product attention, here (1); section 3.2.1 and its footnote 4:
#   why $\sqrt{D}$; section 3.2.2: multi-head attention, here (5).
# - D. Bahdanau, K. Cho, Y. Bengio (2014), *Neural machine translation by jointly learning to align and translate*, arXiv:1409.0473, eq. 5-6: attention before the
#   Transformer.
# - T. Dao et al. (2022), *FlashAttention*, arXiv:2205.14135, Algorithms 1 and 4; M. Milakov, N. Gimelshein (2018), *Online normalizer calculation for
#   softmax*, arXiv:1805.02867: attention in blocks, here (6) and (7).
# - N. Elhage et al. (2021), *A mathematical framework for transformer circuits*: induction heads.
# - In the library: [minillm/ops/attention.py](../minillm/ops/attention.py), [minillm/nn/attention.py](../minillm/nn/attention.py);
#   `python -m minillm gradcheck scaled_dot_product_attention`.
