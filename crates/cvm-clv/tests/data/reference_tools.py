# ruff: noqa: INP001 - a script's helper
"""What reference scripts beside this file share: ball arithmetic, drawing cases, writing tables.

Numbers are arb balls of python-flint: every value comes with a bound on its error, and a case is
computed again at higher precision until the bound is below 1e-20 of the value.
"""

import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flint

Ball = Any  # python-flint is untyped
HERE = Path(__file__).parent
DIGITS = 1e-20
UNDERFLOW = flint.arb(10) ** -330


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """Draw a number of 12 digits, uniform on the logarithm."""
    return float(f"{low * (high / low) ** rng.random():.12g}")


def sharp(formula: Callable[[], Ball], start_bits: int = 200, most_bits: int = 60000) -> float:
    """Evaluate a formula at rising precision until its ball is small, and round it."""
    bits = start_bits
    while bits <= most_bits:
        flint.ctx.prec = bits
        value = formula()
        if value.is_finite() and value.abs_upper() < UNDERFLOW:
            return 0.0
        if value.is_finite() and value.rad() < abs(value.mid()) * DIGITS:
            return float(value.mid())
        bits *= 2
    message = f"no sharp value: {value}"
    raise ArithmeticError(message)


def integral(f: Callable[[Ball], Ball], low: Ball, high: Ball) -> Ball:
    """Integrate a smooth function by 24-point Gauss-Legendre on twice as many panels each round.

    Not rigorous: the value returned has been the same to 1e-14 in two rounds.
    """
    nodes = [flint.arb.legendre_p_root(24, k, weight=True) for k in range(24)]
    panels, last = 2, None
    while panels <= 512:  # noqa: PLR2004
        width = (high - low) / panels
        total = flint.arb(0)
        for panel in range(panels):
            middle = low + width * (panel + flint.arb("0.5"))
            for node, weight in nodes:
                total += weight * f(middle + width / 2 * node)
        total *= width / 2
        if last is not None and abs(total - last).abs_upper() < abs(total).abs_lower() * 1e-14:
            return total.mid()
        panels, last = panels * 2, total
    message = "the quadrature does not settle"
    raise ArithmeticError(message)


def write(name: str, rows: Sequence[Sequence[float]]) -> None:
    """Write rows of 64-bit floats, little-endian."""
    with (HERE / name).open("wb") as out:
        for row in rows:
            out.write(struct.pack(f"<{len(row)}d", *row))


def incomplete_beta(p: Ball, q: Ball, z: Ball) -> Ball:
    """Return `I_z(p, q)` by its series of positive terms, from the end nearer to `z`."""
    if float(z.mid()) <= float((p / (p + q)).mid()):
        return lower_series(p, q, z, 1 - z)
    return 1 - lower_series(q, p, 1 - z, z)


def lower_series(p: Ball, q: Ball, z: Ball, rest: Ball) -> Ball:
    """Return `z^p (1-z)^q / (p B(p, q)) * 2F1(p + q, 1; p + 1; z)`, summed term by term."""
    front = p * z.log() + q * rest.log() + (p + q).lgamma() - (p + 1).lgamma() - q.lgamma()
    total, term, n = flint.arb(0), flint.arb(1), 0
    small = flint.arb(2) ** (-flint.ctx.prec)
    while True:
        total += term
        ratio = (p + q + n) / (p + 1 + n) * z
        term *= ratio
        n += 1
        # Once q > 1, ratios fall from here on; otherwise they rise to z.
        bound = ratio if q > 1 else z
        if bound < 1 and term < small * total * (1 - bound):
            return front.exp() * (total + term / (1 - bound) * flint.arb(0.5, 0.5))
