# ruff: noqa: INP001 - a script's helper
"""Tanh-sinh rules in numpy's extended precision (64-bit mantissa), for positive integrands.

Not rigorous, but sums of positive terms with nodes far denser than needed: scripts that use it
check it against ball arithmetic where that is at hand.
"""

import numpy as np

EXTENDED = np.longdouble
PI = EXTENDED("3.14159265358979323846264338327950288")


def rule(left: float, right: float, per_unit: int) -> tuple[np.ndarray, ...]:
    """Return `ln u`, `ln(1-u)`, the log of the weights of nodes on (0, 1) from -left to right."""
    low, high = -np.arcsinh(left / np.pi), np.arcsinh(right / np.pi)
    theta = np.arange(int(low * per_unit) - 1, int(high * per_unit) + 2).astype(EXTENDED) / per_unit
    xi = PI * np.sinh(theta)
    log = np.log1p(np.exp(-np.abs(xi)))
    ln_u, ln_rest = np.minimum(xi, 0) - log, -np.maximum(xi, 0) - log
    return ln_u, ln_rest, ln_u + ln_rest + np.log(PI * np.cosh(theta) / per_unit)


def beta_law(
    a: float, b: float, per_unit: int, least: float = 1e-25
) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes `p` and weights that sum to 1 of the Beta(a, b) law, those above `least`."""
    left = 48 / min(a, 1) + np.log1p(b / a) + 3
    right = 48 / min(b, 1) + np.log1p(a / b) + 3
    dense = int(per_unit / min(1, np.sqrt(1 / a + 1 / b)))
    ln_p, ln_rest, log_weight = rule(float(left), float(right), dense)
    log = (EXTENDED(a) - 1) * ln_p + (EXTENDED(b) - 1) * ln_rest + log_weight
    weight = np.exp(log - log.max())
    # What is nothing beside the rest only costs time.
    kept = weight > weight.max() * EXTENDED(least)
    return np.exp(ln_p[kept]), weight[kept] / weight.sum()


def ln_gamma(x: np.ndarray | float) -> np.ndarray:
    """Return `ln Gamma(x)` for positive `x`: Stirling's series 24 steps up, and back."""
    x = np.asarray(x, dtype=EXTENDED)
    back = sum(np.log(x + i) for i in range(24))
    y = x + 24
    # B_2n/(2n(2n-1)), Abramowitz & Stegun (1964) 6.1.41.
    series = [(1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156)]
    total = (y - EXTENDED(0.5)) * np.log(y) - y + np.log(2 * PI) / 2
    for n, (top, bottom) in enumerate(series):
        total = total + EXTENDED(top) / EXTENDED(bottom) / y ** (2 * n + 1)
    return total - back


def ln_beta(p: np.ndarray | float, q: np.ndarray | float) -> np.ndarray:
    """Return `ln B(p, q)`."""
    total = np.asarray(p, dtype=EXTENDED) + np.asarray(q, dtype=EXTENDED)
    return ln_gamma(p) + ln_gamma(q) - ln_gamma(total)


def ln_gamma_q(k: float, x: np.ndarray) -> np.ndarray:
    """Return `ln Q(k, x)`: the series of `P` below `k + 3`, the continued fraction above."""
    front = EXTENDED(k) * np.log(np.maximum(x, EXTENDED(1e-300))) - x - ln_gamma(k)
    small = np.minimum(x, EXTENDED(k + 3))
    term = np.full_like(x, 1 / EXTENDED(k))
    total = term.copy()
    for n in range(1, 60 + int(5 * k)):
        term = term * small / (EXTENDED(k) + n)
        total = total + term
    below = np.log1p(-np.minimum(np.exp(front) * total, EXTENDED(1) - EXTENDED(1e-18)))
    large = np.maximum(x, EXTENDED(k + 3))
    # DLMF 8.9.2 from the tail up.
    value = large + 301 - EXTENDED(k)
    for n in range(150, 0, -1):
        value = large + (2 * n - 1) - EXTENDED(k) - n * (n - EXTENDED(k)) / value
    above = front - np.log(value)
    return np.where(x < k + 3, below, above)
