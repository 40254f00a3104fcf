"""Print the coefficients R of minillm/ops/gelu.py.

Phi(x) = (1 + tanh(x R(x^2))) / 2 with a polynomial R: weighted least squares, where the weights grow
at the points with the largest error until all of them are alike (Lawson 1961).  Needs mpmath:

    python -m pip install mpmath
    python tests/golden/gelu_coefficients.py
"""

import mpmath as mp
import numpy as np

mp.mp.dps = 40
DEGREE = 6


def main():
    x = np.linspace(0.01, 6.0, 1200)
    erf = [mp.erf(mp.mpf(v) / mp.sqrt(2)) for v in x]
    target = np.array([float(mp.atanh(e)) for e in erf])  # x R(x^2) should be this
    slope = np.array([float(1 - e * e) for e in erf])  # d tanh: how an error of target shows in erf
    erf = np.array([float(e) for e in erf])
    powers = np.stack([(x * x) ** j for j in range(DEGREE + 1)], axis=1)
    weight, best = np.ones_like(x), (np.inf, None)
    for _ in range(200):
        w = np.sqrt(weight) * slope * x / 2
        c, *_ = np.linalg.lstsq(powers * w[:, None], target / x * w, rcond=None)
        error = np.abs(np.tanh(powers @ c * x) - erf) / 2
        if error.max() < best[0]:
            best = error.max(), c
        weight *= np.sqrt(error / error.max() + 1e-3)
        weight /= weight.sum()
    print(f"largest error of Phi {best[0]:.2e}")
    print(f"R = {tuple(float(c) for c in best[1][::-1])}")


if __name__ == "__main__":
    main()
