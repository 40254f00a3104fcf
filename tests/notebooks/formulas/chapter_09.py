"""Recurrent networks, number by number, step by step."""

import math

import numpy as np

from minillm import ops

from ..registry import formula

rng = np.random.default_rng(9)
T, C, H = 3, 2, 3  # one sequence
x, h0, c0 = rng.standard_normal((T, C)), rng.standard_normal(H), rng.standard_normal(H)
g, g_last, g_cell = rng.standard_normal((T, H)), rng.standard_normal(H), rng.standard_normal(H)


def draw(gates):
    return [rng.standard_normal(n) / 2 for n in ((C, gates * H), (H, gates * H), (gates * H,))]


rnn_weights, lstm_weights = draw(1), draw(4)


def affine(x_t, h, weight_x, weight_h, bias):
    """x_t W_x + h W_h + b, column by column."""
    return [
        sum(x_t[c] * weight_x[c, j] for c in range(C))
        + sum(h[k] * weight_h[k, j] for k in range(H))
        + bias[j]
        for j in range(len(bias))
    ]


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def back(grad_a, weight):
    """grad_a W^T for one step."""
    return [sum(grad_a[j] * row[j] for j in range(len(grad_a))) for row in weight]


# ------------------------------------------------------------------------------ the plain network


def rnn_states():
    """[h_0, h_1, ..., h_T]."""
    states = [list(h0)]
    for t in range(T):
        states.append([math.tanh(a) for a in affine(x[t], states[-1], *rnn_weights)])
    return states


def rnn_gradients():
    """([dL/da_t], [n_0, n_1, ..., n_T])."""
    h, weight_h = rnn_states(), rnn_weights[1]
    n, grads = [list(g_last)], []
    for t in reversed(range(1, T + 1)):
        grad_a = [(g[t - 1, j] + n[0][j]) * (1 - h[t][j] ** 2) for j in range(H)]
        grads.insert(0, grad_a)
        n.insert(0, back(grad_a, weight_h))
    return grads, n


def rnn_library():
    out, saved = ops.rnn_forward(x[None], h0[None], *rnn_weights)
    return out, ops.rnn_backward((g[None], g_last[None]), saved)


@formula(
    "rnn",
    r"a_t = x_t W_x + h_{t-1} W_h + b, \qquad h_t = \tanh(a_t), \qquad t = 1, \dots, T",
)
def rnn():
    return rnn_states()[1:], rnn_library()[0][0][0]


@formula(
    "rnn-backward",
    r"\frac{\partial L}{\partial a_t} = (g_t + n_t) \odot (1 - h_t^2), \qquad"
    r" n_{t-1} = \frac{\partial L}{\partial a_t}\, W_h^\top, \qquad"
    r" \frac{\partial L}{\partial x_t} = \frac{\partial L}{\partial a_t}\, W_x^\top",
)
def rnn_backward():
    grads, n = rnn_gradients()
    grad_x, grad_h0, *_ = rnn_library()[1]
    literal = [v for grad_a in grads for v in back(grad_a, rnn_weights[0])] + n[0]
    return literal, np.concatenate([grad_x.ravel(), grad_h0.ravel()])


def weight_sums(grads, h):
    """The sums over time: of x_t^T dL/da_t, h_{t-1}^T dL/da_t and dL/da_t."""
    columns = range(len(grads[0]))
    grad_x = [[sum(x[t, c] * grads[t][j] for t in range(T)) for j in columns] for c in range(C)]
    grad_h = [[sum(h[t][k] * grads[t][j] for t in range(T)) for j in columns] for k in range(H)]
    return [*grad_x, *grad_h, [sum(grads[t][j] for t in range(T)) for j in columns]]


@formula(
    "rnn-backward-weights",
    r"\frac{\partial L}{\partial W_x} = \sum_{t=1}^{T} x_t^\top \frac{\partial L}{\partial a_t},"
    r" \qquad \frac{\partial L}{\partial W_h}"
    r" = \sum_{t=1}^{T} h_{t-1}^\top \frac{\partial L}{\partial a_t},"
    r" \qquad \frac{\partial L}{\partial b} = \sum_{t=1}^{T} \frac{\partial L}{\partial a_t}",
)
def rnn_backward_weights():
    *_, grad_x, grad_h, grad_b = rnn_library()[1]
    return weight_sums(rnn_gradients()[0], rnn_states()), [*grad_x, *grad_h, grad_b]


# --------------------------------------------------------------------------------------- the LSTM


def lstm_steps():
    """([h_0 ...], [c_0 ...], [(i, f, g, o) of each step])."""
    h, c, gates = [list(h0)], [list(c0)], []
    for t in range(T):
        a = affine(x[t], h[-1], *lstm_weights)
        i, f, o = ([sigmoid(v) for v in a[k * H : (k + 1) * H]] for k in (0, 1, 3))
        new = [math.tanh(v) for v in a[2 * H : 3 * H]]
        c.append([f[j] * c[-1][j] + i[j] * new[j] for j in range(H)])
        h.append([o[j] * math.tanh(c[-1][j]) for j in range(H)])
        gates.append((i, f, new, o))
    return h, c, gates


def lstm_gradients():
    """(p, q, dL/da) of each step, and n_0 and m_0."""
    _, c, gates = lstm_steps()
    n, m, found = list(g_last), list(g_cell), []
    for t in reversed(range(T)):
        i, f, new, o = gates[t]
        tanh_c = [math.tanh(v) for v in c[t + 1]]
        p = [g[t, j] + n[j] for j in range(H)]
        q = [m[j] + p[j] * o[j] * (1 - tanh_c[j] ** 2) for j in range(H)]
        blocks = [
            [q[j] * new[j] * i[j] * (1 - i[j]) for j in range(H)],
            [q[j] * c[t][j] * f[j] * (1 - f[j]) for j in range(H)],
            [q[j] * i[j] * (1 - new[j] ** 2) for j in range(H)],
            [p[j] * tanh_c[j] * o[j] * (1 - o[j]) for j in range(H)],
        ]
        grad_a = [v for block in blocks for v in block]
        found.insert(0, (p, q, grad_a))
        n, m = back(grad_a, lstm_weights[1]), [q[j] * f[j] for j in range(H)]
    return found, n, m


def lstm_library():
    out, saved = ops.lstm_forward(x[None], h0[None], c0[None], *lstm_weights)
    return out, ops.lstm_backward((g[None], g_last[None], g_cell[None]), saved)


@formula(
    "lstm",
    r"\begin{aligned}"
    r" \big[a^i_t \mid a^f_t \mid a^g_t \mid a^o_t\big] &= x_t W_x + h_{t-1} W_h + b \\"
    r" i_t = \sigma(a^i_t), \quad f_t &= \sigma(a^f_t), \quad g_t = \tanh(a^g_t),"
    r" \quad o_t = \sigma(a^o_t) \\"
    r" c_t = f_t \odot c_{t-1} + i_t \odot g_t, &\qquad h_t = o_t \odot \tanh(c_t)"
    r" \end{aligned}",
)
def lstm():
    h, c, _ = lstm_steps()
    out, _, c_last = lstm_library()[0]
    return [*h[1:], c[-1]], [*out[0], c_last[0]]


@formula(
    "lstm-backward",
    r"p_t = d_t + n_t, \qquad q_t = m_t + p_t \odot o_t \odot \big(1 - \tanh^2 c_t\big)",
)
def lstm_backward():
    """The gradients of the last gates, divided by their slopes, show p and q of the last step."""
    p, q, _ = lstm_gradients()[0][-1]
    _, c, gates = lstm_steps()
    i, _, new, o = gates[-1]
    one = (x[None, -1:], np.array([lstm_steps()[0][-2]]), np.array([c[-2]]))
    _, saved = ops.lstm_forward(*one, *lstm_weights)
    back_from = (g[None, -1:], g_last[None], g_cell[None])
    grad_a = ops.lstm_backward(back_from, saved)[-1]  # of the bias: one row, one step
    shown_q = [grad_a[2 * H + j] / (i[j] * (1 - new[j] ** 2)) for j in range(H)]
    shown_p = [grad_a[3 * H + j] / (math.tanh(c[-1][j]) * o[j] * (1 - o[j])) for j in range(H)]
    return [p, q], [shown_p, shown_q]


@formula(
    "lstm-backward-gates",
    r"\begin{aligned}"
    r" \partial L / \partial a^i_t &= q_t \odot g_t \odot i_t (1 - i_t), &"
    r" \partial L / \partial a^f_t &= q_t \odot c_{t-1} \odot f_t (1 - f_t), \\"
    r" \partial L / \partial a^g_t &= q_t \odot i_t \odot (1 - g_t^2), &"
    r" \partial L / \partial a^o_t &= p_t \odot \tanh(c_t) \odot o_t (1 - o_t)"
    r" \end{aligned}",
)
def lstm_backward_gates():
    grads = [grad_a for *_, grad_a in lstm_gradients()[0]]
    *_, grad_x, grad_h, grad_b = lstm_library()[1]
    return weight_sums(grads, lstm_steps()[0]), [*grad_x, *grad_h, grad_b]


@formula(
    "lstm-backward-states",
    r"n_{t-1} = \frac{\partial L}{\partial a_t}\, W_h^\top, \qquad m_{t-1} = q_t \odot f_t",
)
def lstm_backward_states():
    _, n, m = lstm_gradients()
    _, grad_h0, grad_c0, *_ = lstm_library()[1]
    return [n, m], [grad_h0[0], grad_c0[0]]


# ---------------------------------------------------------------------------------------- the GRU


@formula(
    "gru",
    r"\begin{aligned}"
    r" u_t &= x_t W_x + b_x, \qquad v_t = h_{t-1} W_h + b_h, \qquad"
    r" r_t = \sigma(u^r_t + v^r_t), \qquad z_t = \sigma(u^z_t + v^z_t) \\"
    r" \tilde h_t &= \tanh(u^n_t + r_t \odot v^n_t), \qquad"
    r" h_t = (1 - z_t) \odot \tilde h_t + z_t \odot h_{t-1}"
    r" \end{aligned}",
)
def gru():
    weight_x, weight_h, bias_x = draw(3)
    bias_h = rng.standard_normal(3 * H)
    nothing, states = np.zeros(3 * H), [list(h0)]
    for t in range(T):
        u = affine(x[t], [0.0] * H, weight_x, weight_h, bias_x)
        v = affine([0.0] * C, states[-1], weight_x, weight_h, nothing)
        v = [v[j] + bias_h[j] for j in range(3 * H)]
        r = [sigmoid(u[j] + v[j]) for j in range(H)]
        z = [sigmoid(u[H + j] + v[H + j]) for j in range(H)]
        n = [math.tanh(u[2 * H + j] + r[j] * v[2 * H + j]) for j in range(H)]
        states.append([(1 - z[j]) * n[j] + z[j] * states[-1][j] for j in range(H)])
    out = ops.gru_forward(x[None], h0[None], weight_x, weight_h, bias_x, bias_h)[0][0]
    return states[1:], out[0]
