"""Right answers to every family of assignments: the only place where their backward passes stand.

Each is the text that a student would write below the constants of the stub.
"""

import re

SOLUTIONS = {
    "sink_softmax": """
def sink_softmax_forward(x, bias):
    z = (x + bias) / TAU
    top = np.maximum(z.max(axis=-1, keepdims=True), 0)
    e = np.exp(z - top)
    p = e / (SINK * np.exp(-top) + e.sum(axis=-1, keepdims=True))
    return p, p


def sink_softmax_backward(grad_out, p):
    grad_x = p * (grad_out - (grad_out * p).sum(axis=-1, keepdims=True)) / TAU
    return grad_x, grad_x.reshape(-1, grad_x.shape[-1]).sum(axis=0)
""",
    "deviation_norm": """
def deviation_norm_forward(x, gamma, beta):
    u = x - SHIFT * x.mean(axis=-1, keepdims=True)
    d = np.abs(u).mean(axis=-1, keepdims=True) + SPREAD_EPS
    return gamma * u / d + beta, (u, d, gamma)


def deviation_norm_backward(grad_out, saved):
    u, d, gamma = saved
    rows = tuple(range(grad_out.ndim - 1))
    g = grad_out * gamma
    grad_u = g / d - np.sign(u) * (g * u).mean(axis=-1, keepdims=True) / (d * d)
    grad_x = grad_u - SHIFT * grad_u.mean(axis=-1, keepdims=True)
    return grad_x, (grad_out * u / d).sum(axis=rows), grad_out.sum(axis=rows)
""",
    "coupled_lstm": """
def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


def coupled_lstm_forward(x, h0, c0, weight_x, weight_h, bias):
    H = h0.shape[1]
    h, c, steps = h0, c0, []
    for t in range(x.shape[1]):
        a = x[:, t] @ weight_x + h @ weight_h + bias
        f, g, o = sigmoid(a[:, :H] + KEEP), np.tanh(a[:, H : 2 * H]), sigmoid(a[:, 2 * H :])
        before = (h, c)
        c = f * c + (1 - f) * g
        shown = np.tanh(SHOW * c)
        h = o * shown
        steps.append((*before, f, g, o, shown, h))
    return np.stack([step[-1] for step in steps], axis=1), (x, weight_x, weight_h, steps)


def coupled_lstm_backward(grad_out, saved):
    x, weight_x, weight_h, steps = saved
    grad_x, grad_wx, grad_wh = np.zeros_like(x), np.zeros_like(weight_x), np.zeros_like(weight_h)
    grad_b = np.zeros_like(weight_x[0])
    grad_h, grad_c = 0, 0
    for t in reversed(range(len(steps))):
        h, c, f, g, o, shown, _ = steps[t]
        p = grad_out[:, t] + grad_h
        q = grad_c + p * o * (1 - shown * shown) * SHOW
        grad_a = np.concatenate(
            [q * (c - g) * f * (1 - f), q * (1 - f) * (1 - g * g), p * shown * o * (1 - o)], axis=1
        )
        grad_x[:, t] = grad_a @ weight_x.T
        grad_wx += x[:, t].T @ grad_a
        grad_wh += h.T @ grad_a
        grad_b += grad_a.sum(axis=0)
        grad_h, grad_c = grad_a @ weight_h.T, q * f
    return grad_x, grad_h, grad_c, grad_wx, grad_wh, grad_b
""",
    "sloped_gate": """
def sigmoid(t):
    return (1 + np.tanh(t / 2)) / 2


def sloped_gate_forward(x, weight, gate_weight, slope):
    a, b = x @ weight, x @ gate_weight
    s = sigmoid(slope * b)
    return a * (s + FLOOR), (x, weight, gate_weight, slope, a, b, s)


def sloped_gate_backward(grad_out, saved):
    x, weight, gate_weight, slope, a, b, s = saved
    grad_a = grad_out * (s + FLOOR)
    grad_t = grad_out * a * s * (1 - s)
    grad_b = grad_t * slope
    rows, C, F = tuple(range(x.ndim - 1)), x.shape[-1], a.shape[-1]
    return (
        grad_a @ weight.T + grad_b @ gate_weight.T,
        x.reshape(-1, C).T @ grad_a.reshape(-1, F),
        x.reshape(-1, C).T @ grad_b.reshape(-1, F),
        (grad_t * b).sum(axis=rows),
    )
""",
    "distance_attention": """
def distance_attention_forward(q, k, v):
    difference = q[:, :, None, :] - k[:, None, :, :]
    length = np.sqrt((difference**2).sum(axis=-1) + ROOT_EPS)
    s = -GAMMA * length
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return p @ v, (difference, length, p, v)


def distance_attention_backward(grad_out, saved):
    difference, length, p, v = saved
    grad_p = grad_out @ v.swapaxes(-1, -2)
    grad_s = p * (grad_p - (grad_p * p).sum(axis=-1, keepdims=True))
    pair = (-GAMMA * grad_s / length)[..., None] * difference
    return pair.sum(axis=2), -pair.sum(axis=1), p.swapaxes(-1, -2) @ grad_out
""",
    "leaning_loss": """
def leaning_loss_forward(x, target):
    smooth = (1 - SMOOTHING) * target + SMOOTHING * target.mean(axis=-1, keepdims=True)
    r = x - smooth
    root = np.sqrt(1 + (r / DELTA) ** 2)
    return (DELTA * DELTA * (root - 1) + LEAN * r).mean(), (r, root)


def leaning_loss_backward(grad_out, saved):
    r, root = saved
    grad_x = grad_out * (r / root + LEAN) / r.size
    grad_target = -(1 - SMOOTHING) * grad_x - SMOOTHING * grad_x.mean(axis=-1, keepdims=True)
    return grad_x, grad_target
""",
    "power_pool": """
def power_pool_forward(x, score):
    w = np.exp(score - score.max())
    w = (w / w.sum())[:, None]
    base = np.abs(x) + POOL_EPS
    powers = base**POWER
    out = (w * powers).sum(axis=1) ** (1 / POWER)
    return out, (x, w, base, powers, out)


def power_pool_backward(grad_out, saved):
    x, w, base, powers, out = saved
    grad_total = (grad_out * out ** (1 - POWER) / POWER)[:, None]
    grad_x = grad_total * w * POWER * base ** (POWER - 1) * np.sign(x)
    grad_w = (grad_total * powers).sum(axis=(0, 2))
    w = w[:, 0]
    return grad_x, w * (grad_w - (grad_w * w).sum())
""",
    "shifted_mixing": """
def shifted_mixing_forward(x, kernel, share):
    out = np.zeros_like(x)
    for k in range(len(kernel)):
        for t in range(STEP * k, x.shape[1]):
            out[:, t] += kernel[k] * x[:, t - STEP * k]
    for t in range(1, x.shape[1]):
        out[:, t] += ECHO * share * out[:, t - 1]
    return out, (x, kernel, share, out)


def shifted_mixing_backward(grad_out, saved):
    x, kernel, share, out = saved
    grad_y = grad_out.copy()
    grad_share = np.zeros_like(share)
    for t in reversed(range(1, x.shape[1])):
        grad_share += ECHO * (grad_y[:, t] * out[:, t - 1]).sum(axis=0)
        grad_y[:, t - 1] += ECHO * share * grad_y[:, t]
    grad_x, grad_kernel = np.zeros_like(x), np.zeros_like(kernel)
    for k in range(len(kernel)):
        for t in range(STEP * k, x.shape[1]):
            grad_x[:, t - STEP * k] += kernel[k] * grad_y[:, t]
            grad_kernel[k] += (grad_y[:, t] * x[:, t - STEP * k]).sum(axis=0)
    return grad_x, grad_kernel, grad_share
""",
    "spiral_rotation": """
def spiral_rotation_forward(x, frequency, stretch):
    t = np.arange(x.shape[1], dtype=x.dtype)[:, None]
    angle, size = t * frequency + PHASE, np.exp(KAPPA * t * stretch)
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    out = np.empty_like(x)
    out[..., 0::2] = cos * x[..., 0::2] - sin * x[..., 1::2]
    out[..., 1::2] = sin * x[..., 0::2] + cos * x[..., 1::2]
    return out, (t, cos, sin, out)


def spiral_rotation_backward(grad_out, saved):
    t, cos, sin, out = saved
    even, odd = grad_out[..., 0::2], grad_out[..., 1::2]
    grad_x = np.empty_like(out)
    grad_x[..., 0::2] = cos * even + sin * odd
    grad_x[..., 1::2] = cos * odd - sin * even
    turn = odd * out[..., 0::2] - even * out[..., 1::2]
    grow = even * out[..., 0::2] + odd * out[..., 1::2]
    return grad_x, (turn * t).sum(axis=(0, 1)), (grow * t * KAPPA).sum(axis=(0, 1))
""",
    "cosine_layer": """
def cosine_layer_forward(x, weight):
    x_length = np.sqrt((x * x).sum(axis=-1, keepdims=True) + LENGTH_EPS)
    w_length = np.sqrt((weight * weight).sum(axis=0) + LENGTH_EPS)
    x_unit, w_unit = x / x_length, weight / w_length
    c = x_unit @ w_unit
    return ALPHA * c + CUBIC * c * c * c, (x_unit, w_unit, x_length, w_length, c)


def cosine_layer_backward(grad_out, saved):
    x_unit, w_unit, x_length, w_length, c = saved
    g = grad_out * (ALPHA + 3 * CUBIC * c * c)
    grad_x = (g @ w_unit.T - x_unit * (g * c).sum(axis=-1, keepdims=True)) / x_length
    flat = x_unit.reshape(-1, x_unit.shape[-1]).T @ g.reshape(-1, g.shape[-1])
    rows = tuple(range(g.ndim - 1))
    return grad_x, (flat - w_unit * (g * c).sum(axis=rows)) / w_length
""",
}


def answer(notebook, name, text=None):
    """Put an answer below the constants of a stub, as a student would; the right one by default."""
    [cell] = [cell for cell in notebook["cells"] if cell["id"] == f"{name}-answer"]
    constants = re.split(r"^def ", "".join(cell["source"]), maxsplit=1, flags=re.MULTILINE)[0]
    solution = SOLUTIONS[name] if text is None else text
    cell["source"] = (constants + solution).splitlines(keepends=True)
