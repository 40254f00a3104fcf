"""The operations once more, as literally as the papers write them: slow loops, in float64.

Nothing here is taken from the library, so that a mistake cannot stand on both sides of a comparison.
`slopes` differentiates such a definition numerically, which gives the expected gradients.
"""

import math

import numpy as np


def entrywise(function, x):
    """function(number) for every entry of x, in float64."""
    x = np.asarray(x, dtype=np.float64)
    out = np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        out[place] = function(float(x[place]))
    return out


def erf(x):
    """The error function, from the C library."""
    return entrywise(math.erf, x)


def normal_cdf(x):
    """The probability that a standard normal number is below x."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def gelu(x, approximate="none"):
    """Hendrycks & Gimpel 2016, section 2: x Phi(x), or its approximation by tanh."""
    if approximate == "none":
        return entrywise(lambda v: v * normal_cdf(v), x)
    return entrywise(
        lambda v: 0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))), x
    )


def softmax(x, axis=-1):
    """exp(x_i) over the sum of all exp(x_j), row by row, with exact sums."""
    x = np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1)
    out = np.empty(x.shape)
    for row in np.ndindex(*x.shape[:-1]):
        largest = max(x[row])
        powers = [math.exp(v - largest) for v in x[row]]
        out[row] = [power / math.fsum(powers) for power in powers]
    return np.moveaxis(out, -1, axis)


def log_softmax(x, axis=-1):
    """x_i minus the logarithm of the sum of all exp(x_j)."""
    x = np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1)
    out = np.empty(x.shape)
    for row in np.ndindex(*x.shape[:-1]):
        largest = max(x[row])
        log_sum = math.log(math.fsum(math.exp(v - largest) for v in x[row]))
        out[row] = [(v - largest) - log_sum for v in x[row]]
    return np.moveaxis(out, -1, axis)


def cross_entropy(
    logits, targets, ignore_index=-100, label_smoothing=0.0, weight=None, reduction="mean"
):
    """The definition in PyTorch's documentation of CrossEntropyLoss, row by row.

    With smoothing the target is (1 - s) [c = y] + s / V; every class counts with its weight; the
    mean divides by the sum of the weights of the targets.
    """
    log_p = log_softmax(logits)
    classes = log_p.shape[-1]
    w = np.ones(classes) if weight is None else np.asarray(weight, dtype=np.float64)
    losses = np.zeros(targets.shape)
    divisor = 0.0
    for place in np.ndindex(*targets.shape):
        y = int(targets[place])
        if y == ignore_index:
            continue
        for c in range(classes):
            target = (1 - label_smoothing) * (c == y) + label_smoothing / classes
            if target:
                losses[place] -= target * w[c] * log_p[place][c]
        divisor += w[y]
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else (total / divisor if divisor else 0.0)


def layer_norm(x, gamma, beta=None, eps=1e-5):
    """Ba, Kiros & Hinton 2016, eq. 3-4, with eps under the root."""
    x = np.asarray(x, dtype=np.float64)
    out = np.empty(x.shape)
    width = x.shape[-1]
    for row in np.ndindex(*x.shape[:-1]):
        mean = math.fsum(x[row]) / width
        variance = math.fsum((v - mean) ** 2 for v in x[row]) / width
        for c in range(width):
            shift = 0.0 if beta is None else beta[c]
            out[row][c] = gamma[c] * (x[row][c] - mean) / math.sqrt(variance + eps) + shift
    return out


def scaled_dot_product_attention(q, k, v, visible=None, is_causal=False, scale=None, mask=None):
    """Vaswani et al. 2017, eq. 1, query by query.

    mask, if given, is multiplied to the probabilities (dropout).
    """
    batch, heads, queries, width = q.shape
    groups, keys = k.shape[1:3]
    if scale is None:
        scale = 1 / math.sqrt(width)
    if visible is None:
        visible = np.ones((batch, heads, queries, keys), dtype=bool)
    visible = np.broadcast_to(visible, (batch, heads, queries, keys))
    out = np.zeros((batch, heads, queries, v.shape[-1]))
    for b in range(batch):
        for h in range(heads):
            g = h // (heads // groups)
            for t in range(queries):
                seen = [
                    s
                    for s in range(keys)
                    if visible[b, h, t, s] and (not is_causal or s <= keys - queries + t)
                ]
                if not seen:
                    continue
                scores = [scale * float(np.dot(q[b, h, t], k[b, g, s])) for s in seen]
                for s, p in zip(seen, softmax(scores), strict=True):
                    factor = 1.0 if mask is None else mask[b, h, t, s]
                    out[b, h, t] += p * factor * v[b, g, s]
    return out


def matmul(a, b):
    """Sums of products of matrices, stack by stack; vectors are a row on the left, a column right."""
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, (*stack, *left.shape[-2:]))
    right = np.broadcast_to(right, (*stack, *right.shape[-2:]))
    out = np.zeros((*stack, left.shape[-2], right.shape[-1]))
    for place in np.ndindex(*out.shape):
        *where, i, j = place
        for n in range(left.shape[-1]):
            out[place] += left[(*where, i, n)] * right[(*where, n, j)]
    if a.ndim == 1:
        out = out[..., 0, :]
    return out[..., 0] if b.ndim == 1 else out


def linear(x, weight, bias=None):
    """sum_i x_i weight_ij + bias_j for every row."""
    out = np.zeros((*x.shape[:-1], weight.shape[1]))
    for place in np.ndindex(*out.shape):
        *row, j = place
        for i in range(weight.shape[0]):
            out[place] += x[(*row, i)] * weight[i, j]
        if bias is not None:
            out[place] += bias[j]
    return out


def lora_linear(x, weight, lora_A, lora_B, bias=None, scale=1.0):
    """Hu et al. 2021, eq. 3, literally: the linear layer of W0 + scale B A, entry by entry."""
    whole = np.zeros(weight.shape)
    for i, j in np.ndindex(*weight.shape):
        whole[i, j] = weight[i, j]
        for k in range(lora_A.shape[1]):
            whole[i, j] += scale * lora_A[i, k] * lora_B[k, j]
    return linear(x, whole, bias)


def embedding(ids, weight):
    """The row of weight that each id names."""
    out = np.empty((*ids.shape, weight.shape[1]))
    for place in np.ndindex(*ids.shape):
        out[place] = weight[int(ids[place])]
    return out


def sinusoidal_table(length, width):
    """Vaswani et al. 2017, section 3.5: sines in the even columns, cosines in the odd ones."""
    table = np.empty((length, width))
    for t in range(length):
        for column in range(width):
            angle = t / 10000 ** (2 * (column // 2) / width)
            table[t, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return table


def positional_encoding(x, table):
    """Row t of the table is added to position t of every sequence."""
    out = np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        out[place] = x[place] + table[place[-2], place[-1]]
    return out


def dropout(x, keep, p):
    """x where keep is True, over 1 - p; 0 elsewhere."""
    out = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        if keep[place]:
            out[place] = x[place] / (1 - p)
    return out


def unbroadcast(grad, shape):
    """Every entry of grad, added to the entry of `shape` that broadcasting had copied there."""
    out = np.zeros(shape)
    for place in np.ndindex(*grad.shape):
        source = place[grad.ndim - len(shape) :]
        out[tuple(0 if n == 1 else i for i, n in zip(source, shape, strict=True))] += grad[place]
    return out


def slopes(function, arrays, cotangent, step=1e-3):
    """The slope of <cotangent, function(*arrays)> along every entry of every floating array.

    Richardson's extrapolation of two central differences (Abramowitz & Stegun 1964, 25.3.6).
    Entries of `arrays` that are not floating arrays get None.
    """
    arrays = [a.astype(np.float64) if _floating(a) else a for a in arrays]

    def loss():
        return float(np.sum(np.asarray(cotangent, dtype=np.float64) * function(*arrays)))

    result = []
    for array in arrays:
        if not _floating(array):
            result.append(None)
            continue
        grad = np.zeros(array.shape)
        for place in np.ndindex(*array.shape):
            here = float(array[place])
            differences = []
            for h in (step, 2 * step):
                array[place] = here + h
                above = loss()
                array[place] = here - h
                below = loss()
                differences.append((above - below) / (2 * h))
            array[place] = here
            grad[place] = (4 * differences[0] - differences[1]) / 3
        result.append(grad)
    return result


def _floating(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def sigmoid(x):
    """1 / (1 + exp(-x)), from whichever side does not overflow."""

    def one(v):
        return 1 / (1 + math.exp(-v)) if v >= 0 else math.exp(v) / (1 + math.exp(v))

    return entrywise(one, x)


def binary_cross_entropy(logits, targets):
    """-t log p - (1 - t) log(1 - p) for every entry."""
    p = sigmoid(logits)
    return -targets * np.log(p) - (1 - targets) * np.log(1 - p)


def rms_norm(x, gamma, eps=1e-5):
    """Zhang & Sennrich 2019, eq. 4, row by row."""
    out = np.empty(x.shape)
    for place in np.ndindex(*x.shape[:-1]):
        row = x[place]
        out[place] = gamma * row / math.sqrt(sum(v * v for v in row) / len(row) + eps)
    return out


def rotary(x, angles, interleaved=False):
    """Su et al. 2021, eq. 34: pair i of position t as a complex number times exp(i angle)."""
    out = np.empty(x.shape)
    T, D = x.shape[-2:]
    for place in np.ndindex(*x.shape[:-2]):
        for t in range(T):
            for i in range(D // 2):
                one, other = (2 * i, 2 * i + 1) if interleaved else (i, i + D // 2)
                pair = complex(x[place][t, one], x[place][t, other])
                turned = pair * complex(math.cos(angles[t, i]), math.sin(angles[t, i]))
                out[place][t, one], out[place][t, other] = turned.real, turned.imag
    return out


def _recurrent(x, state, lengths, step):
    """Run step(x_t, state) row by row: outputs (B, T, H), 0 beyond a length, and the last states."""
    B, T, _ = x.shape
    H = state[0].shape[1]
    out, last = np.zeros((B, T, H)), [s.astype(np.float64).copy() for s in state]
    for b in range(B):
        current = [s[b].astype(np.float64) for s in state]
        for t in range(T if lengths is None else int(lengths[b])):
            current = step(x[b, t], current)
            out[b, t] = current[0]
        for s, value in zip(last, current, strict=True):
            s[b] = value
    return out, *last


def rnn(x, h0, weight_x, weight_h, bias, lengths=None):
    """h = tanh(x W_x + h W_h + b)."""

    def step(x_t, state):
        return [np.tanh(x_t @ weight_x + state[0] @ weight_h + bias)]

    return _recurrent(x, [h0], lengths, step)


def gru(x, h0, weight_x, weight_h, bias_x, bias_h, lengths=None):
    """Cho et al. 2014 with the reset gate after the product; columns r | z | n."""

    def step(x_t, state):
        (h,) = state
        u_r, u_z, u_n = np.split(x_t @ weight_x + bias_x, 3)
        v_r, v_z, v_n = np.split(h @ weight_h + bias_h, 3)
        r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)
        n = np.tanh(u_n + r * v_n)
        return [(1 - z) * n + z * h]

    return _recurrent(x, [h0], lengths, step)


def lstm(x, h0, c0, weight_x, weight_h, bias, lengths=None):
    """Gers et al. 2000; columns i | f | g | o."""

    def step(x_t, state):
        h, c = state
        a_i, a_f, a_g, a_o = np.split(x_t @ weight_x + h @ weight_h + bias, 4)
        c = sigmoid(a_f) * c + sigmoid(a_i) * np.tanh(a_g)
        return [sigmoid(a_o) * np.tanh(c), c]

    return _recurrent(x, [h0, c0], lengths, step)


def gaussian_sample(mu, log_variance, noise):
    """Kingma & Welling 2014, section 2.4: z = mu + sigma eps, number by number."""
    out = np.empty(mu.shape)
    for place in np.ndindex(*mu.shape):
        sigma = math.sqrt(math.exp(log_variance[place]))
        out[place] = mu[place] + sigma * noise[place]
    return out


def gaussian_kl(mu, log_variance, points=4001, width=14.0):
    """The definition of KL, the integral of q log(q / p) over 14 sigma to each side, per feature."""
    out = np.zeros(mu.shape[:-1])
    for place in np.ndindex(*mu.shape):
        m, sigma = mu[place], math.sqrt(math.exp(log_variance[place]))
        z = np.linspace(m - width * sigma, m + width * sigma, points)
        log_q = -(((z - m) / sigma) ** 2) / 2 - math.log(sigma)
        log_p = -(z**2) / 2
        q = np.exp(log_q) / math.sqrt(2 * math.pi)
        out[place[:-1]] += math.fsum(q * (log_q - log_p)) * (z[1] - z[0])
    return out


def gumbel_softmax(logits, noise, temperature, axis=-1):
    """Jang et al. 2017, eq. 2, for given Gumbel noise."""
    return softmax((np.asarray(logits) + noise) / temperature, axis)


def weight_norm(v, g, axes):
    """Salimans & Kingma 2016, eq. 2: each vector divided by its own length, times its g."""
    out = np.empty(v.shape)
    for place in np.ndindex(*v.shape):
        vector = v[tuple(slice(None) if i in axes else n for i, n in enumerate(place))]
        length = math.sqrt(math.fsum(float(x) ** 2 for x in np.ravel(vector)))
        one = tuple(0 if i in axes else n for i, n in enumerate(place))
        out[place] = g[one] * v[place] / length
    return out
