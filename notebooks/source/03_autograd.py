# %% [markdown]
# # 3 · An autograd engine in 100 lines
#
# **You need:** [chapter 2](02_gradients.ipynb) (cotangents, backward passes); a little object-oriented Python.
#
# **Time:** 20 minutes of reading, 35 for the exercises.
#
# **You will be able to** write a program that differentiates other programs, say why the order of its steps matters,
# and work with gradients that accumulate.

# %% [markdown]
# ## Why it matters
#
# A model applies hundreds of operations, one after the other. You can derive the backward pass of each, but nobody wants
# to call them all by hand, in reverse, for every new model. **Automatic differentiation（自动微分）** does that: the forward
# pass writes down what it did, and the backward pass reads the record from the end. Applied to the loss of a network
# this is called **backpropagation（反向传播）**.
#
# We build such an engine here, step by step. Then we compare it with the one of the library, which differs in three details.

# %% tags=["setup"]
import textwrap

import matplotlib.pyplot as plt
import numpy as np

import minillm.functional as F
from minillm import Tensor, no_grad, ops
from minillm.gradcheck import check_gradients
from minillm.viz import book_style

book_style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Step 1: remember
#
# A computation is a **graph（图）**. Every operation is a **node（节点）**, with an **edge（边）** from each value that it
# used. To go back, a result has to remember two things: which values it was computed from, and how a gradient gets back
# to them. Values that no operation made are the **leaf nodes（叶节点）**: parameters and inputs.

# %% tags=["setup"]
class Value:
    """An array that remembers how it was made."""

    def __init__(self, data, inputs=(), pull_back=None, name=""):
        self.data = np.asarray(data, dtype=float)
        self.inputs = inputs  # the Values that it was computed from
        self.pull_back = pull_back  # grad_out -> a gradient for each input; None for a leaf
        self.grad = None
        self.name = name

    def __add__(self, other):
        return add(self, other)

    def __sub__(self, other):
        return subtract(self, other)

    def __mul__(self, other):
        return multiply(self, other)

    def __matmul__(self, other):
        return matmul(self, other)


# %% [markdown]
# The operations are those of the library: pairs of functions on arrays, `forward` and `backward`, that know nothing of
# any graph. One function lifts such a pair to `Value`s. `saved`, what forward keeps for backward, stays alive inside the
# little function `pull_back`.

# %% tags=["setup"]
def lift(forward, backward):
    """A function on Values, from a pair of functions on arrays."""
    name = forward.__name__.removesuffix("_forward")

    def operation(*inputs, **options):
        inputs = [x if isinstance(x, Value) else Value(x) for x in inputs]
        out, saved = forward(*(x.data for x in inputs), **options)

        def pull_back(grad_out):
            return backward(grad_out, saved)

        return Value(out, inputs, pull_back, name)

    return operation


add = lift(ops.add_forward, ops.add_backward)
subtract = lift(ops.subtract_forward, ops.subtract_backward)
multiply = lift(ops.multiply_forward, ops.multiply_backward)
matmul = lift(ops.matmul_forward, ops.matmul_backward)
tanh = lift(ops.tanh_forward, ops.tanh_backward)
mean = lift(ops.mean_forward, ops.mean_backward)

# %% [markdown]
# ## Step 2: go back, but in which order?
#
# Each result knows how to send a gradient to its inputs. So: begin at the end with the gradient 1, and let every value
# send on what it gets? Try it on a small graph in which two values are each used twice:
#
# $$a = 1 \qquad b = a + a \qquad c = b + b$$
#
# Since $c = 4a$, the gradient of $a$ is 4.

# %%
def first_try(value, grad):
    """Add the new gradient to the old one, and send the sum on at once."""
    value.grad = grad if value.grad is None else value.grad + grad
    if value.pull_back is not None:
        for x, grad_x in zip(value.inputs, value.pull_back(value.grad), strict=True):
            first_try(x, grad_x)


a = Value(1.0, name="a")
b = a + a
c = b + b
first_try(c, np.ones(()))
print("gradient of a by the first try:", a.grad, "  it should be 4.0")

# %% tags=["check"]
assert a.grad == 6

# %% [markdown]
# What happened? $b$ was used twice. After the first message it had the gradient 1 and sent that on; after the second it had
# 2 and sent on the *sum*, in which the first message is contained. So $a$ got $1 + 1 + 2 + 2 = 6$.
#
# The obvious repair is to send on only what is new. That is right, and hopeless:

# %%
def second_try(value, grad):
    """Send on only what is new; returns how many messages that takes."""
    value.grad = grad if value.grad is None else value.grad + grad
    if value.pull_back is None:
        return 1
    pairs = zip(value.inputs, value.pull_back(grad), strict=True)
    return 1 + sum(second_try(x, grad_x) for x, grad_x in pairs)


print("operations   gradient   messages")
for depth in (2, 4, 8, 12):
    a = out = Value(1.0)
    for _ in range(depth):
        out = out + out
    messages = second_try(out, np.ones(()))
    print(f"{depth:10} {a.grad:10.0f} {messages:10,}")

# %% tags=["check"]
assert a.grad == 2**12
assert messages == 2**13 - 1

# %% [markdown]
# Each operation more doubles the messages, because this walks every *way* through the graph by itself. In formulas, with the
# slope $\partial t / \partial s$ on the edge from $s$ to $t$, it computes, for numbers,
#
# <a id="formula-backpropagate-paths"></a>
# $$\frac{\partial L}{\partial v}
#   = \sum_{\text{ways } v \to L} \; \prod_{\text{edges } s \to t} \frac{\partial t}{\partial s} \tag{1}$$
#
# and there are exponentially many ways. The cure is to take out common factors: all ways from $v$ to $L$ begin with a step
# to some $u$ that uses $v$. Collect those with the same first step, and (1) becomes
#
# <a id="formula-backpropagate"></a>
# $$\frac{\partial L}{\partial v}
#   = \sum_{u \text{ uses } v} \left( \frac{\partial u}{\partial v} \right)^{T} \frac{\partial L}{\partial u} \tag{2}$$
#
# | symbol | shape | what it is |
# |---|---|---|
# | $v$, $u$ | any two | a value, and a value computed from it |
# | $\partial L / \partial u$ | that of $u$ | the cotangent, `grad_out` |
# | $\partial u / \partial v$ | entries of $u$ by entries of $v$ | the Jacobian; never built, `pull_back` multiplies by it |
#
# In (2) every edge is used once. But the right-hand side needs the *finished* gradient of every $u$. So each value must
# wait until all values that use it have sent their part: a **topological order（拓扑序）**, backwards. A depth-first walk
# gives one: a value is put on the list after everything that it was computed from; the list is then read from its end.

# %% tags=["setup"]
def consumers_first(root):
    """All values behind root, each after every value that uses it."""
    order, seen = [], set()

    def visit(value):
        if id(value) not in seen:
            seen.add(id(value))
            for x in value.inputs:
                visit(x)
            order.append(value)

    visit(root)
    return order[::-1]


def go_back(root, grad):
    """Formula (2), from root back to every leaf."""
    root.grad = grad
    for value in consumers_first(root):
        if value.pull_back is not None:
            for x, grad_x in zip(value.inputs, value.pull_back(value.grad), strict=True):
                x.grad = grad_x if x.grad is None else x.grad + grad_x


# %%
a = Value(1.0, name="a")
b = a + a
c = b + b
go_back(c, np.ones(()))
print("gradient of a:", a.grad)

a = out = Value(1.0)
for _ in range(50):
    out = out + out
go_back(out, np.ones(()))
print(f"after 50 doublings: {a.grad:.0f}, which is 2 ** 50: {a.grad == 2**50}")

# %% tags=["check"]
assert a.grad == 2**50
starts = ("class Value", "def lift", "def consumers_first")
engine = [cell for cell in In if cell.startswith(starts)]  # noqa: F821
assert len(engine) == 3
assert sum(len(cell.strip().splitlines()) for cell in engine) < 100

# %% [markdown]
# That is the engine. The three cells that make it have fewer than 100 lines together, blank ones included.
#
# ## A picture of a graph

# %% tags=["hide-input"] alt="The graph of a small network. From left to right: the leaves x and w go into matmul, its result and the leaf b into add, then tanh. The result of tanh goes twice into multiply and once into add; a mean ends the graph."
def draw(root, title):
    """Each value as a box, in the column of its longest way to the root."""
    order, depth = consumers_first(root), {id(root): 0}
    for value in order:
        for x in value.inputs:
            depth[id(x)] = max(depth.get(id(x), 0), depth[id(value)] + 1)
    columns, place = {}, {}
    for value in order:
        columns.setdefault(depth[id(value)], []).append(value)
    for column, values in columns.items():
        for i, value in enumerate(values):
            place[id(value)] = (-column, (len(values) - 1) / 2 - i)
    fig, axes = plt.subplots(figsize=(7.4, 2.4))
    for value in order:
        for number, x in enumerate(value.inputs):
            far = depth[id(x)] - depth[id(value)] > 1  # bend around what lies between
            bend = -0.4 if far else 0.5 * (number - (len(value.inputs) - 1) / 2)
            arrow = {"arrowstyle": "->", "color": "0.5", "shrinkA": 24, "shrinkB": 26,
                     "connectionstyle": f"arc3,rad={bend}"}
            axes.annotate("", place[id(value)], place[id(x)], arrowprops=arrow)
        leaf = value.pull_back is None
        box = {"boxstyle": "round", "facecolor": "#DDE8F3" if leaf else "white", "edgecolor": "C0"}
        text = f"{value.name}\n{value.data.shape}"
        axes.text(*place[id(value)], text, ha="center", va="center", fontsize=9, bbox=box)
    heights = [y for _, y in place.values()]
    axes.set(xlim=(-len(columns) + 0.4, 0.6), ylim=(min(heights) - 0.6, max(heights) + 0.6), title=title)
    axes.set_axis_off()
    plt.show()


x = Value(rng.standard_normal((5, 3)), name="x")
w = Value(rng.standard_normal((3, 2)), name="w")
bias = Value(rng.standard_normal(2), name="b")
y = tanh(x @ w + bias)
draw(mean(y * y + y), "mean(y * y + y) with y = tanh(x @ w + b); leaves are blue")

# %% [markdown]
# ## Is it right?
#
# An engine is a function from arrays to gradients, so the checker can look at it like at any operation: `forward` computes
# something with it, `backward` lets it differentiate. And we plant the most famous mistake: `=` where `+=` belongs.

# %%
def assign(root, grad):
    """Like go_back, but each new gradient overwrites the one before."""
    root.grad = grad
    for value in consumers_first(root):
        if value.pull_back is not None:
            for x, grad_x in zip(value.inputs, value.pull_back(value.grad), strict=True):
                x.grad = grad_x


def network(x, b):
    return tanh(x + b) + x  # x is used twice, as in every block of a Transformer


def network_forward(x, b):
    return network(Value(x), Value(b)).data, (x, b)


def backward_by(engine):
    def network_backward(grad_out, saved):
        x, b = map(Value, saved)
        engine(network(x, b), grad_out)
        return x.grad, b.grad

    return network_backward


arrays = rng.standard_normal((5, 3)), rng.standard_normal(3)
print(check_gradients(network_forward, backward_by(go_back), *arrays))
print()
report = check_gradients(network_forward, backward_by(assign), *arrays)
print(f"with = in the place of +=: {report.findings[0].kind}")
print(textwrap.indent(textwrap.fill(report.findings[0].message, 80), "    "))

# %% tags=["check"]
assert check_gradients(network_forward, backward_by(go_back), *arrays).passed
assert report.findings[0].kind == "dropped_branch"

# %% [markdown]
# ## It learns
#
# A network of two layers, $\tanh(x w_1 + b_1) \, w_2 + b_2$, is to follow a curve. In each step: compute the loss, go back,
# and move every parameter a little against its gradient. This is **gradient descent（梯度下降）**; chapters
# [6](06_embedding.ipynb) and [7](07_optimizers.ipynb) have more of it.

# %% alt="Left: 40 points of a wave and the curve of the network, which follows them closely. Right: the loss falls by a factor of more than ten, on a logarithmic axis."
x = np.linspace(-3, 3, 40)[:, None]
target = np.sin(1.5 * x) + 0.3 * x
hidden = 16
shapes = {"w1": (1, hidden), "b1": (hidden,), "w2": (hidden, 1), "b2": (1,)}
draws = np.random.default_rng(1)
p = {name: Value(draws.standard_normal(shape)) for name, shape in shapes.items()}
inputs, losses = Value(x), []
for _ in range(500):
    prediction = tanh(inputs @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
    error = prediction - target
    loss = mean(error * error)
    go_back(loss, np.ones(()))
    for parameter in p.values():
        parameter.data = parameter.data - 0.05 * parameter.grad
        parameter.grad = None  # forget: the next step begins at zero
    losses.append(float(loss.data))

fig, (left, right) = plt.subplots(1, 2, figsize=(7.4, 2.8))
left.plot(x, target, "o", markersize=3, label="data")
left.plot(x, prediction.data, label="network")
left.set(title="What it has learned", xlabel="x (1)", ylabel="y (1)")
left.legend()
right.semilogy(losses)
right.set(title="Loss while training", xlabel="step", ylabel="mean squared error (1)")
plt.show()
print(f"loss: {losses[0]:.3f} before, {losses[-1]:.4f} after")

# %% tags=["check"]
assert losses[-1] < losses[0] / 10

# %% [markdown]
# **An experiment.** Take away the line `parameter.grad = None`. What does the loss do, and why? Then put it back and try 2
# and 100 hidden units, and a step of 0.5 in the place of 0.05.
#
# ## The library's engine
#
# `minillm.Tensor` does the same, on any device. The first difference: no depth-first walk. An operation is always younger
# than those whose results it used, so it is enough to collect them in a list and sort it, the youngest first. A recursive
# `visit` goes as deep as the graph is long, and Python stops it:

# %%
a = out = Value(0.0)
for _ in range(20_000):
    out = out + 1.0
try:
    go_back(out, np.ones(()))
except RecursionError as error:
    print("our engine, 20,000 operations:", type(error).__name__)

# %% library="minillm.graph:backpropagate,_consumers_first"

# %% [markdown]
# Formula (1) of that file is (2) here. `_run_backward` calls the backward pass of an operation and frees what its forward had
# saved; `_add_to_leaf` lets the `.grad` of a leaf grow.
#
# The second difference: `grads` is a dictionary that is emptied on the way, so the gradients in the middle, which nobody asks
# for, free their memory. Only leaves get a `.grad`. The third: adding in place saves memory, but a gradient may be shared
# with somebody else; so the first one is only *borrowed*, and the second allocates the sum.
#
# Change the cell above and run this one, which hands a graph of the library to it:

# %%
a = Tensor(np.zeros(()), requires_grad=True)
out = a
for _ in range(20_000):
    out = out + 1.0
backpropagate(out._edge(), np.ones(()))
print("the library's engine, 20,000 operations: gradient", a.grad)

arrays = rng.standard_normal((5, 3)), rng.standard_normal((3, 2))
x, w = (Tensor(array, requires_grad=True) for array in arrays)
y = F.tanh(x @ w)
F.mean(y * y + y).backward()

x_ours, w_ours = map(Value, arrays)
y = tanh(x_ours @ w_ours)
go_back(mean(y * y + y), np.ones(()))
print("both engines give the same numbers:", np.allclose(w.grad, w_ours.grad, rtol=1e-12))

# %% tags=["check"]
assert a.grad == 1
assert np.allclose(w.grad, w_ours.grad, rtol=1e-12)
assert np.allclose(x.grad, x_ours.grad, rtol=1e-12)

# %% [markdown]
# ## Living with an engine
#
# Four things surprise everybody once.

# %%
w = Tensor([2.0], requires_grad=True)
(w * 3).sum().backward()
(w * 3).sum().backward()
print("1. two calls of backward: gradients add up      ", w.grad)
w.grad = None  # an optimiser's zero_grad() does this for all parameters

with no_grad():
    y = w * 3
print("2. inside no_grad nothing is recorded           ", y.requires_grad)

y = (w * 3).detach()  # the same numbers without their history
(w * y).sum().backward()
print("3. w * w * 3 with one factor detached: 6, not 12", w.grad)

loss = (w * w).sum()
loss.backward()
try:
    loss.backward()
except RuntimeError as error:
    print("4. the same graph twice:")
    print(textwrap.indent(textwrap.fill(str(error), 80), "   "))

# %% tags=["check"]
assert w.grad.tolist() == [6.0 + 4.0]

# %% [markdown]
# The first is a feature: a batch that does not fit into memory is cut into parts whose gradients add up
# (exercise 3.3). It is also the most frequent bug in training loops: whoever forgets `zero_grad` goes on with the sum of
# all gradients so far ([chapter 8](08_debugging.ipynb)). The second makes evaluation cheap. The third takes a value out
# of the graph on purpose; by accident, it silently freezes everything before it. The fourth is the price of freeing what
# forward had saved: a graph can be walked once.
#
# ## Exercises
#
# Write your answer in the first cell of each, then run the second: it checks your code. The hints open one at a time.
# All answers: [solutions/03_autograd.ipynb](solutions/03_autograd.ipynb).

# %% [markdown] exercise="ways" minutes=8 teaches="the chain rule on a graph, by hand" catches="a way that is overlooked because it leads through another value"
# ### Exercise 3.1: be the engine
#
# $a = 2$, $b = a \cdot a$, $c = b + a$, $d = b \cdot c$. Give the gradients of $d$ with respect to $c$, $b$ and $a$, without running
# anything.
#
# <details><summary>Hint 1</summary>
#
# Go backwards. $c$ is used once. But $b$ is used twice: in $d$ directly, and in $c$.
#
# </details>
# <details><summary>Hint 2</summary>
#
# $\partial d / \partial b = c + b \cdot 1$. And $a$ is used three times, twice of them in $b$.
#
# </details>

# %% exercise="ways"
def gradients_of_d():
    """The gradients of d with respect to c, b and a, in this order."""
    # BEGIN SOLUTION
    return 4, 10, 44
    # END SOLUTION


# %% self_check="ways"
a = Value(2.0)
b = a * a
c = b + a
d = b * c
go_back(d, np.ones(()))
answers = dict(zip("cba", gradients_of_d(), strict=True))
for letter, value in (("c", c), ("b", b), ("a", a)):
    assert answers[letter] == value.grad, (
        f"the gradient of {letter} is not {answers[letter]}: count the places where {letter} is used"
    )
print("right:", answers)

# %% wrong="ways"
def gradients_of_d():
    return 4, 6, 28


# %% wrong="ways"
def gradients_of_d():
    return 4, 10, 40


# %% [markdown] exercise="order" minutes=20 teaches="a topological order without recursion" catches="breadth-first order, values visited twice, the recursion limit"
# ### Exercise 3.2: deep graphs
#
# Write `deep_order(root)`: the same as `consumers_first`, without recursion. It must work for a chain of 50,000 operations,
# and for 50 doublings.
#
# <details><summary>Hint 1</summary>
#
# Keep a list as a stack. A value must stay on it until all its inputs are done, so each entry has to know how far it has got.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Put pairs `(value, iter(value.inputs))` on the stack. Take the next input of the pair on top; if it is new, put it on
# top; if there is none left, the value is done: append it to the list and take the pair off.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `next(inputs, None)` gives the next input, or None at the end. Mark a value as seen when it is put on the stack.
#
# </details>

# %% exercise="order"
def deep_order(root):
    """All values behind root, each after every value that uses it; a list."""
    # BEGIN SOLUTION
    order, seen, stack = [], {id(root)}, [(root, iter(root.inputs))]
    while stack:
        value, inputs = stack[-1]
        x = next(inputs, None)
        if x is None:
            order.append(value)
            stack.pop()
        elif id(x) not in seen:
            seen.add(id(x))
            stack.append((x, iter(x.inputs)))
    return order[::-1]
    # END SOLUTION


# %% self_check="order"
def explain(order, root):
    """Why this is not a right order; "" if it is one."""
    position = {id(value): i for i, value in enumerate(order)}
    if len(position) != len(order):
        return "a value stands in the list twice"
    if not order or order[0] is not root:
        return "the first value must be the root"
    for value in order:
        for x in value.inputs:
            if id(x) not in position:
                return "a value that was used is missing"
            if position[id(x)] < position[id(value)]:
                return "a value stands before one that uses it: its gradient is not finished yet"
    return ""


a = Value(1.0)
b = a + a
c = a * b  # a is one step away from c, and two
out = c + tanh(b) * a
assert not explain(deep_order(out), out), explain(deep_order(out), out)
out = a
for _ in range(50):
    out = out + out
assert len(deep_order(out)) == 51, "50 doublings are 51 values: do not visit a value twice"
for _ in range(50_000):
    out = out + 1.0
try:
    order = deep_order(out)
except RecursionError:
    order = []
assert order and not explain(order, out), "a chain of 50,000 operations must work, too: no recursion"
print("right:", len(order), "values in order")

# %% wrong="order"
def deep_order(root):
    order, seen, queue = [], {id(root)}, [root]
    for value in queue:
        order.append(value)
        for x in value.inputs:
            if id(x) not in seen:
                seen.add(id(x))
                queue.append(x)
    return order


# %% wrong="order"
def deep_order(root):
    return consumers_first(root)


# %% [markdown] exercise="parts" minutes=10 teaches="gradients accumulate; what a mean over a batch means" catches="a forgotten division, a gradient thrown away between the parts"
# ### Exercise 3.3: a batch in parts
#
# The gradient for a batch of 12 rows is needed, but only 4 fit into memory. Write `gradient_in_parts(w, x, y)`: call
# `backward` three times, on the rows 0-3, 4-7 and 8-11, so that `w.grad` is what one call on all 12 rows would give. The
# loss is `F.mean_squared_error(Tensor(x) @ w, y)`, a mean over rows.
#
# <details><summary>Hint 1</summary>
#
# Gradients add up by themselves. Do not reset them in between.
#
# </details>
# <details><summary>Hint 2</summary>
#
# The mean over 12 rows is not the sum of three means over 4. By which factor is the sum too large?
#
# </details>

# %% exercise="parts"
def gradient_in_parts(w, x, y):
    """Leave in w.grad the gradient of the mean squared error over all 12 rows.

    Shapes   w (3, 1), a Tensor without a gradient; x (12, 3), y (12, 1) arrays
    """
    # BEGIN SOLUTION
    for start in (0, 4, 8):
        rows = slice(start, start + 4)
        loss = F.mean_squared_error(Tensor(x[rows]) @ w, y[rows])
        (loss * (1 / 3)).backward()
    # END SOLUTION


# %% self_check="parts"
x, y, start = rng.standard_normal((12, 3)), rng.standard_normal((12, 1)), rng.standard_normal((3, 1))
whole, w = Tensor(start, requires_grad=True), Tensor(start.copy(), requires_grad=True)
F.mean_squared_error(Tensor(x) @ whole, y).backward()
backward, calls = Tensor.backward, []
Tensor.backward = lambda *arguments: calls.append(1) or backward(*arguments)  # counts the calls
try:
    gradient_in_parts(w, x, y)
finally:
    Tensor.backward = backward
assert len(calls) == 3, (
    f"backward was called {len(calls)}x, not 3x: call it for each part, which frees the memory of that part"
)
assert w.grad is not None, "w has no gradient: does the loss of each part depend on w?"
ratio = float((w.grad / whole.grad).mean())
assert np.allclose(w.grad, whole.grad), (
    f"your gradient differs from that of the whole batch; on average it is {ratio:.3g} times as large"
)
print("the same gradient as from the whole batch")

# %% wrong="parts"
def gradient_in_parts(w, x, y):
    for start in (0, 4, 8):
        rows = slice(start, start + 4)
        F.mean_squared_error(Tensor(x[rows]) @ w, y[rows]).backward()


# %% wrong="parts"
def gradient_in_parts(w, x, y):
    loss = 0.0
    for start in (0, 4, 8):
        rows = slice(start, start + 4)
        loss = loss + F.mean_squared_error(Tensor(x[rows]) @ w, y[rows])
    (loss * (1 / 3)).backward()


# %% wrong="parts"
def gradient_in_parts(w, x, y):
    for start in (0, 4, 8):
        w.grad = None
        rows = slice(start, start + 4)
        F.mean_squared_error(Tensor(x[rows]) @ w, y[rows]).backward()


# %% [markdown]
# ## References
#
# - A. Griewank, A. Walther (2008), *Evaluating Derivatives*, section 3.2: the reverse mode, here (2).
# - I. Goodfellow, Y. Bengio, A. Courville (2016), *Deep Learning*, section 6.5.3 and eq. 6.55: the sum over all ways, here (1).
# - D. Rumelhart, G. Hinton, R. Williams (1986), *Learning representations by back-propagating errors*, Nature 323.
# - In the library: `minillm/graph.py`, `minillm/autograd.py`; `help(minillm.Tensor)`.
