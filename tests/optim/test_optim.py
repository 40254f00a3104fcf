"""Optimisers and schedules, beyond the golden values of tests/test_goldens.py."""

import math

import numpy as np
import pytest

from minillm.nn import Linear, Parameter
from minillm.optim import SGD, Adam, AdamW, clip_grad_norm_, schedule


def parameter(values, grad):
    p = Parameter(np.array(values, dtype=np.float32))
    p.grad = np.array(grad, dtype=np.float32)
    return p


def test_the_first_step_of_adam_is_the_learning_rate_in_every_direction():
    p = parameter([0.0, 0.0], [1e-3, -1e3])
    Adam([p], lr=0.5).step()
    np.testing.assert_allclose(p.data, [-0.5, 0.5], rtol=1e-4)


def literal_adamw(p, grads, lr, beta1, beta2, eps, decay):
    """The algorithm of Loshchilov & Hutter 2019, line by line, in float64."""
    m = v = np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        p = p - lr * (m_hat / (np.sqrt(v_hat) + eps) + decay * p)
    return p


def test_blocks_give_what_the_whole_array_gives(rng):
    start, grads = rng.standard_normal(100_003), rng.standard_normal((3, 100_003))
    p = Parameter(start.copy())
    optimizer = AdamW([p], lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.3)
    for grad in grads:
        p.grad = grad
        optimizer.step()
    expected = literal_adamw(start, grads, 0.1, 0.8, 0.9, 1e-3, 0.3)
    np.testing.assert_allclose(p.data, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_state_and_parameters_stay_float32_and_gradients_are_left_alone(make):
    p = parameter([1.0, 2.0], [0.5, -0.5])
    grad = p.grad.copy()
    optimizer = make([p], lr=0.1, weight_decay=0.1)
    optimizer.step()
    assert p.dtype == np.float32
    for entries in optimizer.state.values():
        assert {v.dtype for v in entries.values() if hasattr(v, "dtype")} <= {np.dtype("float32")}
    np.testing.assert_array_equal(p.grad, grad)


def test_groups_override_defaults():
    a, b = parameter([1.0], [1.0]), parameter([1.0], [1.0])
    SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1).step()
    np.testing.assert_allclose([a.data[0], b.data[0]], [0.9, 0.5], rtol=1e-6)


@pytest.mark.parametrize("group", [lambda p: p, lambda p: {"params": p}, lambda p: [{"params": p}]])
def test_one_parameter_needs_no_list(group):
    p = parameter([[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]])
    SGD(group(p), lr=0.5).step()
    np.testing.assert_allclose(p.data, [[0.5, 1.5], [2.5, 3.5]])


def test_numbers_of_numpys_keep_float32():
    p = parameter(np.float32([1.0]), np.float32([1.0]))
    optimizer = SGD([p], lr=np.float64(0.1), momentum=np.float64(0.9), weight_decay=np.float64(0.1))
    optimizer.step()
    assert optimizer.state["parameter.0"]["momentum"].dtype == p.data.dtype == np.float32


def test_pairs_keep_their_names_and_the_rest_is_numbered():
    optimizer = SGD([("w", parameter([1.0], [1.0])), parameter([1.0], [1.0])], momentum=0.9)
    optimizer.step()
    assert list(optimizer.state) == ["w", "parameter.1"]


def test_parameters_without_a_gradient_or_frozen_are_left_alone():
    a, b = Parameter(np.ones(2)), parameter([1.0, 1.0], [1.0, 1.0])
    b.requires_grad = False
    AdamW([a, b], lr=0.1, weight_decay=0.5).step()
    assert a.data.tolist() == [1.0, 1.0]
    assert b.data.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("shape", [(3,), ()])
def test_saved_state_continues_exactly(shape):
    def train(steps, resume_at=None):
        p = Parameter(np.ones(shape, np.float32))
        optimizer = AdamW([("p", p)], lr=0.1)
        for i in range(steps):
            if i == resume_at:
                state = optimizer.state_dict()
                optimizer = AdamW([("p", p)], lr=0.9)
                optimizer.load_state_dict(state)
            p.grad = np.array(np.sin(np.arange(p.size).reshape(shape) + i), dtype=np.float32)
            optimizer.step()
        return p.data

    np.testing.assert_array_equal(train(9), train(9, resume_at=4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: SGD([]), "no parameters"),
        (lambda p: SGD([p, p]), "given twice"),
        (lambda p: SGD([p * 2.0]), "'parameter.0' is the result of multiply, so it has no .grad"),
        (lambda p: SGD([p], lr=-1.0), "lr must be at least 0, got -1.0"),
        (lambda p: SGD([p], lr="1e-3"), "SGD: lr must be a finite number, got '1e-3'"),
        (lambda p: SGD([p], momentum=None), "momentum must be a finite number, got None"),
        (lambda p: SGD([p], nesterov=True), "nesterov"),
        (lambda p: Adam([p], betas=0.9), "betas must be two numbers within .* got 0.9"),
        (lambda p: Adam([p], betas=(0.9, "a")), "betas must be two numbers"),
        (lambda p: clip_grad_norm_([p], "a"), "max_norm 'a' and norm_type 2.0 must be numbers > 0"),
        (lambda p: schedule.cosine(SGD([p]), 1.5), "warmup_steps must be an integer .* got 1.5"),
        (
            lambda p: schedule.cosine(SGD([p]), min_lr="0"),
            "min_lr must be a finite number, got '0'",
        ),
        (lambda p: Adam([p], betas=(0.9, 1.0)), "betas"),
        (lambda p: Adam([p], eps=-1e-8), "eps"),
        (lambda p: AdamW([{"params": [p], "rate": 1.0}]), "unknown option rate"),
        (lambda p: AdamW([p], weight_decay=-0.1), "weight_decay"),
        (lambda p: SGD([p], lr=math.inf), "SGD: lr must be a finite number, got inf"),
        (lambda p: SGD([p], momentum=math.inf), "SGD: momentum must be a finite number, got inf"),
        (lambda p: SGD([p], dampening=math.nan), "SGD: dampening must be a finite number, got nan"),
        (
            lambda p: AdamW([p], weight_decay=math.inf),
            "AdamW: weight_decay must be a finite number",
        ),
        (lambda p: Adam([p], eps=math.inf), "Adam: eps must be a finite number, got inf"),
        (
            lambda p: schedule.cosine(SGD([p]), 0, 5, math.nan),
            "min_lr must be a finite number, got n",
        ),
        (
            lambda p: schedule.linear(SGD([p]), 0, 5, math.inf),
            "min_lr must be a finite number, got i",
        ),
        (lambda p: schedule.cosine(SGD([p]), 0, 5, -1.0), "min_lr must be at least 0, got -1.0"),
        (lambda p: SGD([{"lr": 1}]), "SGD: a group has no parameters, only lr: write {"),
        (
            lambda p: SGD([p]).load_state_dict({}),
            "SGD: .* has no 'name', 'steps', 'groups', 'state'",
        ),
        (
            lambda p: schedule.cosine(SGD([p])).load_state_dict({}),
            "has no 'steps', 'base': pass what",
        ),
        (lambda p: clip_grad_norm_([p], 0.0), "max_norm"),
    ],
)
def test_options_without_meaning(call, message):
    with pytest.raises(ValueError, match=message):
        call(parameter([1.0], [1.0]))


def test_a_norm_whose_squares_float32_cannot_hold_is_clipped():
    p = parameter([0.0, 0.0], [3e30, 4e30])
    p.data, p.grad = p.data.astype(np.float32), p.grad.astype(np.float32)
    assert clip_grad_norm_([p], 1.0) == pytest.approx(5e30, rel=1e-6)
    np.testing.assert_allclose(p.grad, [0.6, 0.8], rtol=1e-6)


def test_a_model_in_the_place_of_its_parameters():
    with pytest.raises(TypeError, match=r"params is a Linear: write model.named_parameters\(\)"):
        AdamW(Linear(2, 3))
    with pytest.raises(TypeError, match="schedule: optimizer must be an Optimizer, got Linear"):
        schedule.cosine(Linear(2, 3))


def test_clipping_scales_all_gradients_together_and_returns_the_norm():
    a, b = parameter([0.0], [3.0]), parameter([0.0], [4.0])
    assert clip_grad_norm_([a, b, Parameter(np.ones(1))], 1.0) == 5.0
    np.testing.assert_allclose([a.grad[0], b.grad[0]], [0.6, 0.8], rtol=1e-5)


def test_clipping_leaves_short_and_broken_gradients_alone():
    p = parameter([0.0, 0.0], [0.3, 0.4])
    clip_grad_norm_(p, 1.0)
    np.testing.assert_array_equal(p.grad, np.float32([0.3, 0.4]))
    p.grad[0] = np.nan
    assert math.isnan(clip_grad_norm_(p, 0.1))
    assert p.grad[1] == np.float32(0.4)


def test_clipping_reaches_a_parameter_without_axes():
    scale, w = Parameter(np.array(2.0)), Parameter(np.ones(2))
    (scale * w * 100.0).sum().backward()
    clip_grad_norm_([scale, w], 1.0)
    np.testing.assert_allclose([scale.grad, *w.grad], np.full(3, 1 / math.sqrt(3)), rtol=1e-5)


def test_clipping_passes_over_empty_gradients():
    empty, p = parameter(np.zeros((0, 2)), np.zeros((0, 2))), parameter([0.0], [3.0])
    assert clip_grad_norm_([empty, p], 1.0, math.inf) == 3.0


def rates(make, steps, **options):
    optimizer = SGD([Parameter(np.zeros(1))], lr=1.0)
    plan = make(optimizer, **options)
    out = []
    for _ in range(steps):
        out.append(plan.lr)
        plan.step()
    return np.array(out)


@pytest.mark.parametrize("make", [schedule.constant, schedule.linear, schedule.cosine])
def test_warm_up_is_linear_and_never_zero(make):
    found = rates(make, 5, warmup_steps=3, total_steps=20)
    np.testing.assert_allclose(found[:4], [0.25, 0.5, 0.75, 1.0])


def test_linear_and_cosine_follow_their_formulas():
    options = {"warmup_steps": 2, "total_steps": 12, "min_lr": 0.1}
    u = np.arange(11) / 10
    np.testing.assert_allclose(rates(schedule.linear, 13, **options)[2:], 0.1 + 0.9 * (1 - u))
    cosine = 0.1 + 0.9 * (1 + np.cos(np.pi * u)) / 2
    np.testing.assert_allclose(rates(schedule.cosine, 13, **options)[2:], cosine)


@pytest.mark.parametrize("make", [schedule.constant, schedule.linear, schedule.cosine])
def test_the_rate_stays_at_its_minimum(make):
    found = rates(make, 30, warmup_steps=2, total_steps=10, min_lr=0.05)
    np.testing.assert_allclose(found[10:], 0.05)


def test_groups_keep_their_ratio_during_warm_up():
    groups = [{"params": [Parameter(np.zeros(1))]}, {"params": [Parameter(np.zeros(1))], "lr": 0.2}]
    optimizer = SGD(groups, lr=1.0)
    schedule.linear(optimizer, warmup_steps=1, total_steps=3)
    assert [group["lr"] for group in optimizer.groups] == [0.5, 0.1]


def test_a_frozen_weight_costs_no_gradient():
    layer = Linear(3, 4)
    layer.weight.requires_grad = False
    layer(np.ones((2, 3), np.float32)).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [2.0] * 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: SGD(None), r"SGD: params must be Tensors, such as .*\(\), got NoneType"),
        (lambda p: Adam(3), "Adam: params must be Tensors, such as .*, got int"),
        (lambda p: SGD([{"params": None}]), "the params of a group must be Tensors.*got NoneType"),
        (
            lambda p: SGD([{"params": [p]}, p * 1.0]),
            "params holds groups and a Tensor: write it as a g",
        ),
        (
            lambda p: SGD([p, {"params": [p]}]),
            "params holds groups and a Parameter: write it as a gro",
        ),
        (lambda p: SGD([("a", p, 3)]), "must be pairs .*, got a tuple of str, Parameter, int"),
        (lambda p: SGD([(p, "a")]), "must be pairs .*, got a tuple of Parameter, str"),
        (
            lambda p: SGD([p]).load_state_dict(None),
            "SGD: the saved state must be a dictionary, got No",
        ),
    ],
)
def test_what_are_no_parameters(call, message):
    with pytest.raises(TypeError, match=message):
        call(parameter([1.0], [1.0]))
