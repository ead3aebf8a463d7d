# ruff: noqa: INP001 - a script's helper
"""Discounted purchases and lifetimes of the BG/NBD and MBG/NBD, by quadrature over `p` and time."""

import numpy as np
from extended import EXTENDED, beta_law, rule


def over_time(
    a: float, stay: float, shape: float, end: float, t: float, delta: float
) -> tuple[float, float]:
    """Return the integrals of e^(-delta s) times the rate of purchases, and times survival.

    Alive now: `p ~ Beta(a, stay)`, rate `~ Gamma(shape, end)`; given `p` the rate of purchases
    after `s` is `R/A (1 + ps/A)^(-R-1)` and survival `(1 + ps/A)^-R`.
    """
    stop = t if delta == 0 else min(t, 60 / delta)
    # Integrands bend at p t = A and R p t = A: nodes must be dense there, off the centre.
    bend = np.log1p(stop * (1 + shape) / end) / np.pi
    per_unit = int(16 * np.sqrt(1 + bend * bend))
    p, weight = beta_law(a, stay, per_unit)
    ln_u, _, log_weight = rule(48.0, 48.0, per_unit)
    s = EXTENDED(stop) * np.exp(ln_u)
    step = np.exp(log_weight) * EXTENDED(stop) * np.exp(-EXTENDED(delta) * s)
    kept = step > step.max() * EXTENDED(1e-22)
    s, step = s[kept], step[kept]
    grown = p[:, None] * (s / EXTENDED(end))[None, :]
    alive = np.exp(-EXTENDED(shape) * np.log1p(grown))
    rate = weight @ (alive / (1 + grown)) * EXTENDED(shape) / EXTENDED(end)
    return float(rate @ step), float((weight @ alive) @ step)


def alive_ahead(a: float, stay: float, shape: float, tau: float) -> float:
    """Return `E[(1 + p tau)^-R]`."""
    bend = np.log1p(tau * (1 + shape)) / np.pi
    p, weight = beta_law(a, stay, int(24 * np.sqrt(1 + bend * bend)), least=0)
    return float(weight @ np.exp(-EXTENDED(shape) * np.log1p(p * EXTENDED(tau))))
