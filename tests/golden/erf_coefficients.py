"""Print the coefficients of minillm/ops/erf.py, found with 60 digits.

P/Q interpolates exp(x^2) erfc(x) and S interpolates erf(sqrt(s)) / sqrt(s), both at Chebyshev
points, where the interpolation error is spread almost evenly.  Needs mpmath:

    python -m pip install mpmath
    python tests/golden/erf_coefficients.py
"""

import mpmath as mp

mp.mp.dps = 60


def chebyshev_points(count, low, high):
    """Points that are dense at the ends of [low, high]."""
    return [
        (low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * count))
        for i in range(count)
    ]


def rational(function, points, degree):
    """P of the given degree and Q of one more, Q(0) = 1, with P(x) = function(x) Q(x) at all points.

    One linear equation for each point: sum_j p_j x^j - f(x) sum_j>0 q_j x^j = f(x).
    """
    count = len(points)
    matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
    for i, x in enumerate(points):
        f = function(x)
        for j in range(degree + 1):
            matrix[i, j] = x**j
        for j in range(1, degree + 2):
            matrix[i, degree + j] = -f * x**j
        right[i] = f
    solution = list(mp.lu_solve(matrix, right))
    return solution[: degree + 1], [mp.mpf(1), *solution[degree + 1 :]]


def polynomial(function, points):
    """Coefficients of the polynomial through the points, constant first."""
    count = len(points)
    matrix = mp.matrix(count, count)
    for i, x in enumerate(points):
        for j in range(count):
            matrix[i, j] = x**j
    return list(mp.lu_solve(matrix, mp.matrix([function(x) for x in points])))


def show(name, coefficients):
    print(f"{name} = {tuple(float(c) for c in reversed(coefficients))}")


def main():
    scaled_erfc = lambda x: mp.exp(x * x) * mp.erfc(x)  # noqa: E731
    even_part = lambda s: mp.erf(mp.sqrt(s)) / mp.sqrt(s)  # noqa: E731
    # t = 1 / (1 + x/k) brings [0, end] to an interval on which Chebyshev points make sense
    for title, degree, end, k, small in (("float64", 9, 28, 2, 11), ("float32", 3, 6, 1, 6)):
        points = [
            k * (1 / t - 1)
            for t in chebyshev_points(2 * degree + 2, 1 / (1 + mp.mpf(end) / k), mp.mpf(1))
        ]
        p, q = rational(scaled_erfc, points, degree)
        print(title)
        show("P", p)
        show("Q", q)
        show("S", polynomial(even_part, chebyshev_points(small + 1, mp.mpf(0), mp.mpf(1))))


if __name__ == "__main__":
    main()
