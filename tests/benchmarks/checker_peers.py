"""The checkers themselves, called as their users call them: minillm, PyTorch, JAX, HIPS autograd.

Each adapter is a method as in checker_methods.py.  It gives the pair to the tool as that tool's own
kind of function, without copying what the tool itself would share.
"""

import numpy as np

from minillm.gradcheck import check_gradients


def minillm_check(problem, rng):
    """check_gradients; the message begins with the kind of the first finding."""
    del rng  # nothing but its own fixed seed
    report = check_gradients(problem.forward, problem.backward, *problem.inputs, **problem.options)
    return "" if report.passed else f"{report.findings[0].kind}: {report.findings[0].message}"


def torch_check(problem, fast):
    """torch.autograd.gradcheck with its defaults."""
    import torch

    torch.set_num_threads(1)

    class Pair(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            arrays = [inputs[i].detach().numpy() for i in problem.places]
            outs, ctx.saved = problem.run(arrays)
            tensors = tuple(torch.from_numpy(np.array(out, order="C")) for out in outs)
            return tensors if problem.several else tensors[0]

        @staticmethod
        def backward(ctx, *weights):
            grads = problem.call_backward([w.numpy() for w in weights], ctx.saved)
            if not isinstance(grads, tuple):
                return grads  # PyTorch says what it thinks of that
            return tuple(
                None if g is None else torch.from_numpy(np.array(g, order="C")) for g in grads
            )

    inputs = [
        torch.from_numpy(x).requires_grad_() if i in problem.places else x
        for i, x in enumerate(problem.inputs)
    ]
    torch.autograd.gradcheck(Pair.apply, inputs, fast_mode=fast)
    return ""


def torch_full(problem, rng):
    """The default mode: every entry of the Jacobian."""
    del rng  # nothing is drawn
    return torch_check(problem, fast=False)


def torch_fast(problem, rng):
    """The fast mode: one random projection, always the same."""
    del rng  # it has a generator of its own with a fixed seed
    return torch_check(problem, fast=True)


def jax_direction(problem, rng):
    """jax.test_util.check_grads(order=1, modes=["rev"]) on a custom_vjp, in float64."""
    del rng  # it has a generator of its own with a fixed seed
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    kept = []  # JAX carries arrays only: what forward saved stays here, under its number

    def run(arrays):
        outs, saved = problem.run([np.asarray(x) for x in arrays])
        results = tuple(map(jax.numpy.asarray, outs))
        return results if problem.several else results[0], saved

    @jax.custom_vjp
    def function(*arrays):
        return run(arrays)[0]

    def forward(*arrays):
        out, saved = run(arrays)
        kept.append(saved)
        return out, len(kept) - 1

    def backward(number, weights):
        weights = [np.asarray(w) for w in (weights if problem.several else (weights,))]
        grads = problem.gradients(weights, kept[int(number)])
        return tuple(None if g is None else jax.numpy.asarray(g) for g in grads)

    function.defvjp(forward, backward)
    check_grads(function, tuple(map(jax.numpy.asarray, problem.arrays)), order=1, modes=["rev"])
    return ""


def hips_direction(problem, rng):
    """autograd.test_util.check_grads(modes=["rev"], order=1), over all inputs at once."""
    from autograd.extend import defvjp_argnums, primitive
    from autograd.test_util import check_grads

    np.random.seed(rng.integers(2**31))  # noqa: NPY002  (autograd draws from this generator)
    latest = []

    @primitive
    def function(*arrays):
        outs, saved = problem.run(arrays)
        latest[:] = [saved]
        return outs if problem.several else outs[0]

    def make_vjp(argnums, ans, args, kwargs):
        [saved] = latest

        def vjp(weights):
            grads = problem.call_backward(weights if problem.several else (weights,), saved)
            return tuple(grads[problem.places[i]] for i in argnums)

        return vjp

    defvjp_argnums(function, make_vjp)
    everything = tuple(range(len(problem.places)))
    check_grads(function, everything, modes=["rev"], order=1)(*problem.arrays)
    return ""
