# %% [markdown]
# # 9 · Recurrent networks
#
# **You need:** [chapter 2](02_gradients.ipynb) (gradient checks); [chapter 5](05_softmax_cross_entropy.ipynb); matrix products, eigenvalues.
#
# **Time:** 25 minutes of reading, 45 for the exercises.
#
# **You will be able to** derive backpropagation through time, explain and measure why plain recurrent networks forget, derive the LSTM forward and backward, and read its gates.

# %% [markdown]
# ## Why it matters
#
# A sentence comes word by word and may have any length. A **recurrent neural network（循环神经网络）**, RNN for short, reads it the same way: it keeps one vector of fixed size, the **hidden state（隐状态）**, and updates it at every word, always
# with the same weights. Before the Transformer, neural language models were mostly recurrent. Here they teach two things that every deep model
# needs: what happens to a gradient on a long way, and how a gate protects it.

# %% tags=["setup"]
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm
from minillm import Tensor, nn, ops
from minillm import functional as F
from minillm.gradcheck import check_gradients
from minillm.optim import Adam, clip_grad_norm_
from minillm.training import fit
from minillm.viz import book_style

book_style()
minillm.manual_seed(0)
rng = np.random.default_rng(0)

# %% [markdown]
# ## The plain recurrent network
#
# At step $t$ the network sees the vector $x_t$ and what it remembers, $h_{t-1}$. It mixes both linearly and bends the result by the **hyperbolic tangent（双曲正切）**, which keeps every number between $-1$ and $1$:
#
# <a id="formula-rnn"></a>
# $$a_t = x_t W_x + h_{t-1} W_h + b, \qquad h_t = \tanh(a_t), \qquad t = 1, \dots, T \tag{1}$$
#
# | symbol | in code | shape | what it is |
# |---|---|---|---|
# | $x_t$ | `x[:, t - 1]` | $(B, C)$ | what is read at step $t$, for $B$ sequences side by side |
# | $h_t$ | `h[:, t - 1]` | $(B, H)$ | the state: output of step $t$, and input of step $t+1$; $h_0$ is given |
# | $W_x$ | `weight_x` | $(C, H)$ | from what is read |
# | $W_h$ | `weight_h` | $(H, H)$ | from the state before |
# | $b$ | `bias` | $(H,)$ | |
#
# ## Backpropagation through time
#
# Write the $T$ steps one below the other, and the loop is gone: an ordinary network with $T$ layers that happen to share their weights. This is called **unrolling（展开）**, and the chain rule in the unrolled network is **backpropagation through
# time（随时间反向传播）**.
#
# The state $h_t$ is used twice: it is an output, so $g_t$ arrives from above (`grad_out`), and it enters step $t+1$, which sends something back, too. Call that $n_t$. After the last step nothing comes, $n_T = 0$, unless the last
# state is used elsewhere as well (`grad_h_last`). Two uses, so two terms. With $\tanh' = 1 - \tanh^2$:
#
# <a id="formula-rnn-backward"></a>
# $$\frac{\partial L}{\partial a_t} = (g_t + n_t) \odot (1 - h_t^2), \qquad
#   n_{t-1} = \frac{\partial L}{\partial a_t}\, W_h^\top, \qquad
#   \frac{\partial L}{\partial x_t} = \frac{\partial L}{\partial a_t}\, W_x^\top \tag{2}$$
#
# where $\odot$ multiplies entry by entry. We need $n_t$ to compute $n_{t-1}$, so backward walks from the last step to the first. The weights are used at every step, so their gradients are sums over time:
#
# <a id="formula-rnn-backward-weights"></a>
# $$\frac{\partial L}{\partial W_x} = \sum_{t=1}^{T} x_t^\top \frac{\partial L}{\partial a_t}, \qquad
#   \frac{\partial L}{\partial W_h} = \sum_{t=1}^{T} h_{t-1}^\top \frac{\partial L}{\partial a_t}, \qquad
#   \frac{\partial L}{\partial b} = \sum_{t=1}^{T} \frac{\partial L}{\partial a_t} \tag{3}$$
#
# (a bias is shared by all rows of the batch as well, so its sum runs over those, too).
#
# In the library the arrays are turned so that time is the first axis, products that need no loop stand outside it, and `valid` says which steps are real, not padding. Numbers in its comments belong to the file itself: there (1) and (2) are our (2).

# %% library="minillm.ops.rnn:rnn_forward,rnn_backward"

# %% tags=["setup"]
B, T, C, H = 2, 5, 3, 7
x, h0 = rng.standard_normal((B, T, C)), rng.standard_normal((B, H))
weights = [rng.standard_normal(shape) / 2 for shape in ((C, H), (H, H), (H,))]

# %%
print(check_gradients(rnn_forward, rnn_backward, x, h0, *weights))

# %% tags=["check"]
assert check_gradients(rnn_forward, rnn_backward, x, h0, *weights).passed

# %% [markdown]
# ### A classic mistake
#
# Going back through each step by itself, and forgetting that $h_t$ also acts on everything *after* step $t$: the term $n_t$ is missing.

# %%
def stays_in_its_step(grad_out, saved):
    (grad_h, grad_h_last), (x, h, weight_x, weight_h, *_) = grad_out, saved
    grad_h = grad_h.swapaxes(0, 1).copy()  # time first
    grad_h[-1] += grad_h_last
    grad_a = grad_h * (1 - h[1:] ** 2)  # no n_t
    return (
        (grad_a @ weight_x.T).swapaxes(0, 1),
        grad_a[0] @ weight_h.T,
        (x.swapaxes(1, 2) @ grad_a).sum(axis=0),
        (h[:-1].swapaxes(1, 2) @ grad_a).sum(axis=0),
        grad_a.sum(axis=(0, 1)),
    )


report = check_gradients(rnn_forward, stays_in_its_step, x, h0, *weights)
print(report)

# %% tags=["check"]
assert report.findings[0].kind == "dropped_branch"

# %% [markdown]
# ## Why it forgets: a product of many matrices
#
# How strongly does step $t$ act on a step $k$ later? Put (2) into itself $k$ times: the gradient is multiplied $k$ times by $W_h^\top$ and by the slopes $1 - h^2 \le 1$. A slope never lengthens it, and a product with $W_h^\top$ lengthens it at most by the largest
# singular value of $W_h$, call it $\rho$ (the most by which that matrix stretches any vector). If $\rho < 1$, the gradient shrinks like $\rho^k$ or faster: the **vanishing gradient（梯度消失）**. What happened long ago has no influence on learning. If $\rho > 1$, it may grow, at most like $\rho^k$: the
# **exploding gradient（梯度爆炸）** (Pascanu, Mikolov & Bengio 2013).
#
# We measure it. $W_h$ is an orthogonal matrix of 32 dimensions, which keeps every length, times $\rho$, so it stretches every vector by $\rho$. Only the last step gets a cotangent, and we look at $n_t$, the gradient with respect to the state $h_t$. First all inputs are zero, so that $h = 0$ and all
# slopes are 1; then they are random.

# %% alt="Norm of the gradient over the distance from the last step, 0 to 40, on a logarithmic scale. With inputs of zero, three straight lines: falling to 1e-6 for rho 0.7, constant for rho 1, rising to 4e4 for rho 1.3. With random inputs all three fall, since the slopes of tanh are below 1; for rho 1.3 slowest."
def norms_by_distance(rho, inputs, steps=40, width=32):
    """The norm of dL/dh_t at distance 0, 1, ... from the last step."""
    orthogonal = np.linalg.qr(np.random.default_rng(1).standard_normal((width, width)))[0]
    zeros, identity = np.zeros((1, width)), np.eye(width)
    _, saved = ops.rnn_forward(inputs, zeros, identity, rho * orthogonal)
    _, h, _, weight_h, *_ = saved
    n = np.random.default_rng(2).standard_normal((1, width))
    norms = [np.linalg.norm(n)]
    for t in reversed(range(1, steps + 1)):
        n = (n * (1 - h[t] ** 2)) @ weight_h.T  # formula (2) without outputs
        norms.append(np.linalg.norm(n))
    return np.array(norms) / norms[0]


fig, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.4), sharey=True)
random_inputs = np.random.default_rng(3).standard_normal((1, 40, 32))
for rho, style in ((0.7, "--"), (1.0, "-"), (1.3, "-.")):
    still = norms_by_distance(rho, np.zeros((1, 40, 32)))
    moving = norms_by_distance(rho, random_inputs)
    left.semilogy(still, style, label=f"ρ = {rho}")
    right.semilogy(moving, style)
    print(f"rho = {rho}: after 40 steps {still[-1]:.1e} (rho^40 = {rho**40:.1e}), "
          f"with random inputs {moving[-1]:.1e}")  # fmt: skip
left.set(title="all slopes 1", xlabel="distance k (steps)", ylabel="norm of the gradient (1)")
right.set(title="random inputs", xlabel="distance k (steps)")
left.legend()
plt.show()

# %% tags=["check"]
assert abs(still[-1] / 1.3**40 - 1) < 1e-9
assert moving[-1] < 1e-3

# %% [markdown]
# A plain RNN has no way out. A small $\rho$ forgets. With a large one the numbers grow until tanh is flat, and flat means slope 0: it forgets as well, or explodes first.
#
# **Exploding** is the easier half: if the norm of all gradients together is above a limit, scale them all down to the limit. The direction stays, only the step is shorter. This **gradient clipping（梯度裁剪）** is one line in every training of a recurrent
# network, `clip_grad_norm_(model.parameters(), 1.0)`, or `fit(..., clip=1.0)`. Clip the *common* norm: clipping each array, or each number, for itself would change the direction.

# %%
p, q = nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros(1))
p.grad, q.grad = np.array([3.0, 0.0]), np.array([4.0])
norm = clip_grad_norm_([p, q], max_norm=1.0)
print("norm before:", norm, "  after clipping:", p.grad.round(3), q.grad.round(3))

# %% [markdown]
# ## Truncated backpropagation
#
# A text can have a million words; nobody unrolls a million steps. Instead one reads it in pieces. The *state* goes on from piece to piece, the *gradient* is cut at the border: `state.detach()` keeps its numbers and forgets where they came from. What is lost? The loss
# below is computed from the last state after 60 steps. We cut all links but the last $K$ and compare the gradient of $W_h$ with the full one.

# %%
minillm.manual_seed(0)
layer = nn.RNN(8, 16, dtype=np.float64)
text = np.random.default_rng(4).standard_normal((1, 60, 8))


def gradient_of_weight_h(K):
    """Read 60 - K steps, cut, read K more; the gradient of the sum of squares of the last state."""
    layer.zero_grad()
    state = None
    if K < 60:
        _, state = layer(text[:, : 60 - K])
        state = state.detach()
    _, state = layer(text[:, 60 - K :], state)
    (state * state).sum().backward()
    return layer.layers[0].left_to_right.weight_h.grad


full = gradient_of_weight_h(60)
for K in (1, 2, 5, 10, 20):
    error = np.linalg.norm(gradient_of_weight_h(K) - full) / np.linalg.norm(full)
    print(f"K = {K:2d}: relative error of the gradient {error:.1e}")

# %% tags=["check"]
assert error < 1e-3

# %% [markdown]
# For this RNN the last ten steps are nearly all there is: the flip side of the vanishing gradient. Truncation costs little where nothing comes from far away anyway.
#
# ## LSTM: a cell behind gates
#
# **Long short-term memory（长短期记忆网络）**, LSTM, keeps a second vector, the **cell state（单元状态）** $c_t$, that is *not* multiplied by a matrix and bent at every step. It is only multiplied by numbers between 0 and 1 and added to. These numbers are **gates（门）**, computed
# by a sigmoid $\sigma$ ([chapter 5](05_softmax_cross_entropy.ipynb)) from the input and the state before. The **input gate（输入门）** $i$ says which share of the new enters, the **forget gate（遗忘门）** $f$ which share of the old stays, the **output gate（输出门）** $o$ what of the cell is shown:
#
# <a id="formula-lstm"></a>
# $$\begin{aligned}
# \big[a^i_t \mid a^f_t \mid a^g_t \mid a^o_t\big] &= x_t W_x + h_{t-1} W_h + b \\
# i_t = \sigma(a^i_t), \quad f_t &= \sigma(a^f_t), \quad g_t = \tanh(a^g_t), \quad o_t = \sigma(a^o_t) \\
# c_t = f_t \odot c_{t-1} + i_t \odot g_t, &\qquad h_t = o_t \odot \tanh(c_t)
# \end{aligned} \tag{4}$$
#
# The weights have $4H$ columns, four blocks in the order $i \mid f \mid g \mid o$. (A forget gate is open when it is 1 and the cell keeps what it has; the name says what happens at 0. And $g_t$, the new, is no gate: it lies between $-1$ and 1.)
#
# ### Backward
#
# Both $h_t$ and $c_t$ go on to step $t+1$, so two gradients come back from there: $n_t$ for $h_t$ and $m_t$ for $c_t$. Let $d_t$ be `grad_out`, what arrives from above at $h_t$ (the letter $g$ is taken). All that reaches $h_t$ is $p_t$; all that reaches $c_t$ is $q_t$, on the way through $h_t$ and directly:
#
# <a id="formula-lstm-backward"></a>
# $$p_t = d_t + n_t, \qquad q_t = m_t + p_t \odot o_t \odot \big(1 - \tanh^2 c_t\big) \tag{5}$$
#
# Each gate is a factor in (4), so its gradient is the other factor times what arrives. Then the slopes, $\sigma' = \sigma(1 - \sigma)$ and $\tanh' = 1 - \tanh^2$:
#
# <a id="formula-lstm-backward-gates"></a>
# $$\begin{aligned}
# \partial L / \partial a^i_t &= q_t \odot g_t \odot i_t (1 - i_t), &
# \partial L / \partial a^f_t &= q_t \odot c_{t-1} \odot f_t (1 - f_t), \\
# \partial L / \partial a^g_t &= q_t \odot i_t \odot (1 - g_t^2), &
# \partial L / \partial a^o_t &= p_t \odot \tanh(c_t) \odot o_t (1 - o_t)
# \end{aligned} \tag{6}$$
#
# And back to the step before, with the four blocks of (6) side by side as $\partial L / \partial a_t$; the weights are as in (3):
#
# <a id="formula-lstm-backward-states"></a>
# $$n_{t-1} = \frac{\partial L}{\partial a_t}\, W_h^\top, \qquad m_{t-1} = q_t \odot f_t \tag{7}$$
#
# **Look at $m_{t-1}$.** On its way back through the cells the gradient is multiplied by $f_t$ and by nothing else: no matrix, no slope. If the forget gate is near 1, the gradient passes unharmed over any distance, and where it is 0 the past is cut off. The network *decides* by its gates how far it
# learns back.
#
# In the code the batch is the last axis, and $x_t$ and $h_{t-1}$ stand in one array, so that one product reads both. One tanh serves all four blocks: $\sigma(a) = (1 + \tanh(a/2))/2$, hence the halves. What (6) needs from forward is computed before the loop (`_factors`). The
# file's (1), (2), (3) are our (5), (6), (7).

# %% library="minillm.ops.lstm:lstm_forward,lstm_backward,_factors"

# %% tags=["setup"]
c0 = rng.standard_normal((B, H))
lstm_weights = [rng.standard_normal(shape) / 2 for shape in ((C, 4 * H), (H, 4 * H), (4 * H,))]

# %%
print(check_gradients(lstm_forward, lstm_backward, x, h0, c0, *lstm_weights))

# %% tags=["check"]
assert check_gradients(lstm_forward, lstm_backward, x, h0, c0, *lstm_weights).passed

# %% [markdown]
# **A classic mistake** with real weights: another library stores the blocks in another order. Here backward takes the columns for $i \mid f \mid o \mid g$:

# %%
def other_order(grad_out, saved):
    read, c, gates, *rest = saved
    i, f, g, o = np.split(gates, 4, axis=1)
    return lstm_backward(grad_out, (read, c, np.concatenate([i, f, o, g], axis=1), *rest))


report = check_gradients(lstm_forward, other_order, x, h0, c0, *lstm_weights)
print(report.heading())
print(textwrap.fill(report.findings[0].message, 88))

# %% tags=["check"]
assert not report.passed

# %% [markdown]
# ## A picture: how far back the gradient reaches
#
# The last output of fresh layers of the library gets a random cotangent, and we look at the gradient of the input, step by step. The LSTM comes twice: as it is, and with a bias of 3 for the forget gates, so that they stand near $\sigma(3) \approx 0.95$.

# %% alt="Norm of the gradient of the input over the distance from the last step, 0 to 60, on a logarithmic scale. The plain RNN falls to below 1e-15. The LSTM with plain initial weights falls nearly as fast, to below 1e-12. The LSTM with open forget gates stays near 1 all the way."
def reach(layer, steps=60):
    x = Tensor(np.random.default_rng(5).standard_normal((8, steps, 16)), requires_grad=True)
    outputs, _ = layer(x)
    cotangent = np.zeros(outputs.shape)
    cotangent[:, -1] = np.random.default_rng(6).standard_normal(outputs.shape[::2])
    outputs.backward(cotangent)
    return np.linalg.norm(x.grad, axis=(0, 2))[::-1]


minillm.manual_seed(0)
plain, gated, open_gates = (cell(16, 32, dtype=np.float64) for cell in (nn.RNN, nn.LSTM, nn.LSTM))
open_gates.layers[0].left_to_right.bias.data[32:64] = 3.0  # the columns H … 2H - 1
fig, axes = plt.subplots()
curves = {}
for name, layer, style in (
    ("RNN", plain, "--"), ("LSTM", gated, "-."), ("LSTM, open forget gates", open_gates, "-")
):  # fmt: skip
    curves[name] = reach(layer)
    axes.semilogy(curves[name], style, label=name)
    near, far = curves[name][0], curves[name][50]
    print(f"{name:24s} at distance 0: {near:.1e}   at distance 50: {far:.1e}")
axes.set(title="How far back the gradient reaches", xlabel="distance from the last step (steps)")
axes.set_ylabel("norm of the gradient of x (1)")
axes.legend()
plt.show()

# %% tags=["check"]
assert curves["RNN"][50] < 1e-8
assert curves["LSTM, open forget gates"][50] > 1e-3
assert abs((1 / (1 + np.exp(-3.0))) ** 50 - 0.09) < 0.005
assert curves["LSTM"][50] < 1e-3 * curves["LSTM, open forget gates"][50]

# %% [markdown]
# (Alone, the way through the cells would leave $\sigma(3)^{50} \approx 0.09$ of the gradient; the ways through $h$ add to it.) So an LSTM doesn't remember by itself: the biases of its forget gates decide how well it remembers at first. Many start them at 1 or more (Jozefowicz et al. 2015), and so do the models of this library.
#
# ## GRU, in short
#
# The **gated recurrent unit（门控循环单元）**, GRU, has no separate cell and two gates. The **reset gate（重置门）** $r$ says how much of the past the new may see, the **update gate（更新门）** $z$ how much of the old state stays:
#
# <a id="formula-gru"></a>
# $$\begin{aligned}
# u_t &= x_t W_x + b_x, \qquad v_t = h_{t-1} W_h + b_h, \qquad r_t = \sigma(u^r_t + v^r_t), \qquad z_t = \sigma(u^z_t + v^z_t) \\
# \tilde h_t &= \tanh(u^n_t + r_t \odot v^n_t), \qquad h_t = (1 - z_t) \odot \tilde h_t + z_t \odot h_{t-1}
# \end{aligned} \tag{8}$$
#
# Here $\tilde h_t$ is the new content (`n` in the code), and the columns stand in the order $r \mid z \mid n$. Straight back from $h_t$ to $h_{t-1}$ the gradient is multiplied by $z_t$ alone. The backward pass is derived in [minillm/ops/gru.py](../minillm/ops/gru.py).

# %%
gru_weights = [rng.standard_normal(n) / 2 for n in ((C, 3 * H), (H, 3 * H), (3 * H,), (3 * H,))]
report = check_gradients(ops.gru_forward, ops.gru_backward, x, h0, *gru_weights)
print(report.heading())

# %% tags=["check"]
assert report.passed

# %% [markdown]
# ## Sentences of different lengths
#
# Sentences of a batch are filled up to one length ("padding"). A recurrent network must not read on there: `lengths` says how many tokens of each row are real. Beyond them the output is 0 and the state stays, and backward hands $n_t$ on unchanged.

# %%
outputs, last = ops.rnn_forward(x, h0, *weights, lengths=np.array([5, 3]))[0]
short, short_last = ops.rnn_forward(x[1:, :3], h0[1:], *weights)[0]
_, read_on = ops.rnn_forward(x, h0, *weights)[0]
print("row 1 ends after 3 steps; largest difference of its last state")
print("  to the same row without padding:", abs(last[1] - short_last[0]).max().round(12))
print("  to reading the padding, too:    ", abs(last[1] - read_on[1]).max().round(3))

# %% tags=["check"]
assert np.allclose(last[1], short_last[0], rtol=0, atol=1e-14)
assert not outputs[1, 3:].any()

# %% [markdown]
# ## Reading the gates
#
# *The key near the boxes behind the door …* Does it go on with *is old* or with *are old*? The verb depends on the **first** noun of a sentence, whatever stands between. The task: read a long row of such phrases, and say at each question mark whether the verb is *is* or *are*. Then the next phrase begins, and
# the old subject must be forgotten. How many memory cells does that take? One. An LSTM with $H = 1$ has a single cell, so we can watch it.

# %%
NOUNS = ["key", "box", "door", "keys", "boxes", "doors"]
WORDS = [*NOUNS, "the", "near", "behind", "?"]


def phrases(length, draw):
    """Ids of `length` words, and at each question mark 0 for "is", 1 for "are"; -100 elsewhere."""
    words, answers = [], []
    while len(words) < length:
        nouns = draw.choice(NOUNS, size=draw.integers(1, 6))
        new = ["the", nouns[0]]
        for noun in nouns[1:]:
            new += [draw.choice(["near", "behind"]), "the", noun]
        words += [*new, "?"]
        answers += [-100] * len(new) + [int(NOUNS.index(nouns[0]) >= 3)]
    return [WORDS.index(word) for word in words[:length]], answers[:length]


class Reader(nn.Module):
    """Reads words one by one; two logits at each: "is" and "are"."""

    def __init__(self, cell, size):
        self.words = nn.Embedding(len(WORDS), 8)
        self.memory = cell(8, size)
        self.output = nn.Linear(size, 2)

    def forward(self, ids):
        """Shapes   ids (B, T) -> logits (B, T, 2)."""
        outputs, _ = self.memory(self.words(ids))
        return self.output(outputs)


draw = np.random.default_rng(0)
steps = 800
ids, labels = map(np.array, zip(*(phrases(40, draw) for _ in range(3500)), strict=True))
test_ids, test_labels = ids[3200:], labels[3200:]


def train(cell, size):
    minillm.manual_seed(2)
    model = Reader(cell, size)
    if cell is nn.LSTM:
        model.memory.layers[0].left_to_right.bias.data[size : 2 * size] = 1.0
    optimizer = Adam(model.parameters(), lr=0.02)
    train_data = ids[:3200], labels[:3200]
    fit(model, optimizer, train_data, steps=steps, loss=F.cross_entropy, clip=1.0)
    guesses = model(test_ids).data.argmax(axis=-1)
    return model, (guesses == test_labels)[test_labels >= 0].mean()


_, share = train(nn.RNN, 1)
print(f"RNN with one number:  {share:.1%} right")
model, share = train(nn.LSTM, 1)
print(f"LSTM with one cell:   {share:.1%} right")

# %% tags=["check"]
assert share > 0.97

# %% alt="Above, two curves over the words of three phrases that end with question marks: the forget gate stays near 1 within a phrase and drops to 0 at each question mark; the input gate is near 1 at the first noun of each phrase and goes up and down after it. Below, bars of the cell state: negative during the first and third phrase, whose subjects are singular, positive during the second, whose subject is plural."
def watch(model, words):
    """The first cell of a Reader at each word: its state, what enters, input and forget gate."""
    ids = np.array([[WORDS.index(word) for word in words]])
    part = model.memory.layers[0].left_to_right
    zero = np.zeros((1, part.weight_h.shape[0]), dtype=np.float32)
    parameters = part.weight_x.data, part.weight_h.data, part.bias.data
    _, saved = ops.lstm_forward(model.words(ids).data, zero, zero, *parameters)
    cell, gates = saved[1], saved[2]  # (T + 1, H, B), (T, 4 H, B): rows i | f | g | o
    i, f, g, _ = (gates[:, block, 0] for block in range(0, gates.shape[1], cell.shape[1]))
    return cell[1:, 0, 0], i * g, i, f


sentence = "the key near the boxes ? the doors behind the box near the key ? the box ?".split()
cell, new, input_gate, forget_gate = watch(model, sentence)
fig, (top, bottom) = plt.subplots(2, 1, figsize=(7.4, 4.6), sharex=True)
places = range(len(sentence))
top.plot(places, forget_gate, "o-", label="forget gate")
top.plot(places, input_gate, "s--", color="C1", label="input gate")
top.set(title="The gates of one LSTM cell", ylabel="share (1)", ylim=(-0.05, 1.3))
top.legend(loc="upper center", ncols=2)
bottom.bar(places, cell, color=["C0" if c < 0 else "C2" for c in cell], label="cell state c")
bottom.plot(places, new, "D", color="black", markersize=4, label="what enters, i · g")
bottom.axhline(0, color="0.5", linewidth=0.8)
bottom.set(title="what the cell holds", xlabel="word", ylabel="value (1)")
bottom.legend(loc="lower right", ncols=2)
bottom.set_xticks(places, sentence, rotation=60, ha="right")
plt.show()

# %% tags=["check"]
marks = [i for i, word in enumerate(sentence) if word == "?"]
inner = [i for i, word in enumerate(sentence) if word != "?"]
assert forget_gate[marks].max() < 0.4
assert np.median(forget_gate[inner]) > 0.85
assert input_gate[[1, 7, 16]].min() > 0.6  # the subjects
assert (cell[1:5] < 0).all()
assert (cell[7:14] > 0).all()
assert new[[4, 10, 13]].min() > 0  # boxes in the first phrase, box and key in the second
assert watch(model, ["the", "doors", *["near", "the", "key"] * 8])[0][1:].min() > 0
assert watch(model, ["the", "key", *["near", "the", "boxes"] * 8])[0][1:].max() < 0

# %% [markdown]
# Nobody told the cell what its gates are for, and yet they can be read. The **forget gate** stays open within a phrase and closes at the question mark. The **input gate** opens wide for the subject. From then on the cell is negative for a singular
# subject and positive for a plural one. Later nouns enter as well, but what enters, $i \odot g$, depends on the state, too: after *doors* even *box* and *key* add to the plural. What pulls the other way, like *boxes* in the first phrase, is too weak to turn the sign. At the question mark the old state goes, and what enters there is the answer once more, carried over by $h$.
#
# ## An experiment
#
# Change the sentence and run the last cell again: a plural first noun and eight singular ones after it. In training there were never more than four. Does the sign ever flip? And with *key* and then many *boxes*? Then train 2 cells, `train(nn.LSTM, 2)`: are two cells twice as easy to read?
# (`watch` shows the first.)
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/09_recurrent.ipynb](solutions/09_recurrent.ipynb).

# %% [markdown] exercise="leak" minutes=20 teaches="backpropagation through time" catches="the state's second use forgotten, no sum over time, one term of the product rule"
# ### Exercise 9.1: a leaky memory
#
# The simplest memory with a gate keeps a share $f$ of the old and takes a share $1 - f$ of the new: $h_t = f \odot h_{t-1} + (1 - f) \odot x_t$, from $h_0 = 0$, with one $f$ per feature, the same at all times. Write forward and backward for one sequence.
#
# <details><summary>Hint 1</summary>
#
# Backward walks from the last step to the first and carries `n`, what the later steps send back. At step $t$, `p = grad_out[t] + n`.
#
# </details>
# <details><summary>Hint 2</summary>
#
# From $p$: the gradient of $x_t$ is $(1 - f) \odot p$, and $n$ for the step before is $f \odot p$.
#
# </details>
# <details><summary>Hint 3</summary>
#
# $f$ stands in two places: $\partial h_t / \partial f = h_{t-1} - x_t$. It is used at every step, so add up.
#
# </details>

# %% exercise="leak"
def leak_forward(x, f):
    """h_t = f h_{t-1} + (1 - f) x_t, from zero.

    Shapes   x (T, C); f (C,) -> h (T, C), and whatever backward needs
    """
    # BEGIN SOLUTION
    h = np.zeros((len(x) + 1, x.shape[1]), dtype=x.dtype)
    for t in range(len(x)):
        h[t + 1] = f * h[t] + (1 - f) * x[t]
    return h[1:], (x, f, h)
    # END SOLUTION


def leak_backward(grad_out, saved):
    """The gradients of x and f."""
    # BEGIN SOLUTION
    x, f, h = saved
    grad_x, grad_f, n = np.empty_like(x), np.zeros_like(f), np.zeros_like(f)
    for t in reversed(range(len(x))):
        p = grad_out[t] + n
        grad_x[t] = (1 - f) * p
        grad_f += p * (h[t] - x[t])
        n = f * p
    return grad_x, grad_f
    # END SOLUTION


# %% self_check="leak"
out = leak_forward(np.array([[1.0], [0.0], [2.0]]), np.array([0.75]))[0][:, 0]
right = [0.25, 0.1875, 0.640625]
assert np.allclose(out, right), f"f = 0.75 keeps three quarters of the old: {right}, not {out}"
report = check_gradients(
    leak_forward, leak_backward, rng.standard_normal((5, 3)), rng.uniform(0.2, 0.8, 3)
)
print(report)
assert report.passed, "the gradient is wrong: read the report"

# %% wrong="leak"
def leak_forward(x, f):
    h = np.zeros((len(x) + 1, x.shape[1]), dtype=x.dtype)
    for t in range(len(x)):
        h[t + 1] = f * h[t] + (1 - f) * x[t]
    return h[1:], (x, f, h)


def leak_backward(grad_out, saved):
    x, f, h = saved
    return (1 - f) * grad_out, (grad_out * (h[:-1] - x)).sum(axis=0)


# %% wrong="leak"
def leak_forward(x, f):
    h = np.zeros((len(x) + 1, x.shape[1]), dtype=x.dtype)
    for t in range(len(x)):
        h[t + 1] = f * h[t] + (1 - f) * x[t]
    return h[1:], (x, f, h)


def leak_backward(grad_out, saved):
    x, f, h = saved
    grad_x, grad_f, n = np.empty_like(x), np.zeros_like(f), np.zeros_like(f)
    for t in reversed(range(len(x))):
        p = grad_out[t] + n
        grad_x[t] = (1 - f) * p
        grad_f += p * h[t]
        n = f * p
    return grad_x, grad_f


# %% wrong="leak"
def leak_forward(x, f):
    h = np.zeros((len(x) + 1, x.shape[1]), dtype=x.dtype)
    for t in range(len(x)):
        h[t + 1] = f * h[t] + (1 - f) * x[t]
    return h[1:], (x, f, h)


def leak_backward(grad_out, saved):
    x, f, h = saved
    grad_x, n = np.empty_like(x), np.zeros_like(f)
    for t in reversed(range(len(x))):
        p = grad_out[t] + n
        grad_x[t] = (1 - f) * p
        grad_f = p * (h[t] - x[t])
        n = f * p
    return grad_x, grad_f


# %% wrong="leak"
def leak_forward(x, f):
    h = np.zeros((len(x) + 1, x.shape[1]), dtype=x.dtype)
    for t in range(len(x)):
        h[t + 1] = (1 - f) * h[t] + f * x[t]
    return h[1:], (x, f, h)


def leak_backward(grad_out, saved):
    x, f, h = saved
    grad_x, grad_f, n = np.empty_like(x), np.zeros_like(f), np.zeros_like(f)
    for t in reversed(range(len(x))):
        p = grad_out[t] + n
        grad_x[t] = f * p
        grad_f += p * (x[t] - h[t])
        n = (1 - f) * p
    return grad_x, grad_f


# %% [markdown] exercise="last" minutes=8 teaches="padding; indexing one place per row" catches="h[:, -1] on padded rows, off by one"
# ### Exercise 9.2: the last real output
#
# A classifier of sentences reads the output at the last *real* token of each row. Given all outputs and the lengths, pick it.
#
# <details><summary>Hint 1</summary>
#
# `h[:, -1]` is right only for rows without padding. A row of length 3 has its last token at index 2.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Two arrays of indices of the same length pick one place each: `h[rows, places]`.
#
# </details>

# %% exercise="last"
def last_outputs(h, lengths):
    """The output at the last real token of each row.

    Shapes   h (B, T, H), lengths (B,) within 1 … T -> (B, H)
    """
    # BEGIN SOLUTION
    return h[np.arange(len(h)), lengths - 1]
    # END SOLUTION


# %% self_check="last"
lengths = np.array([3, 5, 1])
inputs, start = rng.standard_normal((3, 5, C)), np.zeros((3, H))
h, h_last = ops.rnn_forward(inputs, start, *weights, lengths=lengths)[0]
found = last_outputs(h, lengths)
assert found.shape == h_last.shape, f"the shape is {found.shape}, it should be {h_last.shape}"
assert np.array_equal(found[1], h_last[1]), "a row without padding: its last output is h[1, 4]"
assert np.array_equal(found, h_last), "rows with padding: not the output at their last real token"
print("right")

# %% wrong="last"
def last_outputs(h, lengths):
    return h[:, -1]


# %% wrong="last"
def last_outputs(h, lengths):
    return h[np.arange(len(h)), np.minimum(lengths, h.shape[1] - 1)]


# %% [markdown] exercise="gru" minutes=15 teaches="reading equations of gates" catches="old and new exchanged, the reset gate before the product"
# ### Exercise 9.3: one step of a GRU
#
# Write formula (8) for one step. Columns are $r \mid z \mid n$; `np.split(a, 3, axis=1)` cuts them. What does the state become if all update gates are 1?
#
# <details><summary>Hint 1</summary>
#
# Compute $u$ and $v$ with all $3H$ columns at once, then split both.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The reset gate multiplies $v^n$, what comes out of the product *and* the bias, not $h_{t-1}$. The sigmoid: `ops.sigmoid_forward(a)[0]`.
#
# </details>

# %% exercise="gru"
def gru_step(x, h, weight_x, weight_h, bias_x, bias_h):
    """One step of a GRU.

    Shapes   x (B, C); h (B, H); weight_x (C, 3H); weight_h (H, 3H); bias_x, bias_h (3H,) -> (B, H)
    """
    # BEGIN SOLUTION
    u_r, u_z, u_n = np.split(x @ weight_x + bias_x, 3, axis=1)
    v_r, v_z, v_n = np.split(h @ weight_h + bias_h, 3, axis=1)
    r, z = ops.sigmoid_forward(u_r + v_r)[0], ops.sigmoid_forward(u_z + v_z)[0]
    new = np.tanh(u_n + r * v_n)
    return (1 - z) * new + z * h
    # END SOLUTION


# %% self_check="gru"
parts = [rng.standard_normal(n) / 2 for n in ((C, 3 * H), (H, 3 * H), (3 * H,), (3 * H,))]
keep = [part.copy() for part in parts]
keep[2][H : 2 * H] = 100  # all update gates at 1
found = gru_step(x[:, 0], h0, *keep)
assert found.shape == h0.shape, f"the shape is {found.shape}, it should be {h0.shape}"
assert np.allclose(found, h0), "with update gates of 1 the old state must stay as it is"
expected = ops.gru_forward(x[:, :1], h0, *parts)[0][1]
found = gru_step(x[:, 0], h0, *parts)
error = abs(found - expected).max()
assert np.allclose(found, expected), f"off by up to {error:.3f} from formula (8)"
print("right")

# %% wrong="gru"
def gru_step(x, h, weight_x, weight_h, bias_x, bias_h):
    u_r, u_z, u_n = np.split(x @ weight_x + bias_x, 3, axis=1)
    v_r, v_z, v_n = np.split(h @ weight_h + bias_h, 3, axis=1)
    r, z = ops.sigmoid_forward(u_r + v_r)[0], ops.sigmoid_forward(u_z + v_z)[0]
    return z * np.tanh(u_n + r * v_n) + (1 - z) * h


# %% wrong="gru"
def gru_step(x, h, weight_x, weight_h, bias_x, bias_h):
    H = h.shape[1]
    u_r, u_z, u_n = np.split(x @ weight_x + bias_x, 3, axis=1)
    v_r, v_z, _ = np.split(h @ weight_h + bias_h, 3, axis=1)
    r, z = ops.sigmoid_forward(u_r + v_r)[0], ops.sigmoid_forward(u_z + v_z)[0]
    v_n = (r * h) @ weight_h[:, 2 * H :] + bias_h[2 * H :]
    return (1 - z) * np.tanh(u_n + v_n) + z * h


# %% [markdown]
# ## References
#
# - J. L. Elman (1990), *Finding structure in time*, Cognitive Science 14; I. Goodfellow, Y. Bengio, A. Courville (2016), *Deep Learning*, eq. 10.8-10.9: the plain network, here (1).
# - P. J. Werbos (1990), *Backpropagation through time: what it does and how to do it*, Proceedings of the IEEE 78: here (2) and (3).
# - R. Pascanu, T. Mikolov, Y. Bengio (2013), *On the difficulty of training recurrent neural networks*, arXiv:1211.5063, section 2.1: vanishing and exploding gradients; algorithm 1: clipping.
# - S. Hochreiter, J. Schmidhuber (1997), *Long short-term memory*, Neural Computation 9; F. Gers, J. Schmidhuber, F. Cummins (2000), *Learning to forget*, eq. 1-7: here (4).
# - K. Cho et al. (2014), arXiv:1406.1078, eq. 5-8: the GRU, here (8), with the reset gate after the product, as in today's libraries.
# - R. Jozefowicz, W. Zaremba, I. Sutskever (2015), *An empirical exploration of recurrent network architectures*, ICML: forget gates that start open.
# - In the library: [minillm/ops/rnn.py](../minillm/ops/rnn.py), [minillm/ops/lstm.py](../minillm/ops/lstm.py), [minillm/ops/gru.py](../minillm/ops/gru.py), [minillm/nn/recurrent.py](../minillm/nn/recurrent.py).
