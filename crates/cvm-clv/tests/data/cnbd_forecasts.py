# ruff: noqa: INP001, PLR2004, S311 - a script of formulas in the symbols of docs/models/bg_cnbd_k.md
"""Writes cnbd_forecasts.bin: every forecast of the MBG/CNBD-k at any k, in extended precision.

A row: r, alpha, a, b, k, x, t_x, T, t, n, delta, p, then given alive: purchases, P(alive ahead),
ln P(X >= n), ln P(X = n), discounted purchases and periods up to `t`, both for ever, and the
density of the next purchase at `t` times `t`. `p` is the chance of a purchase by `t`, so that `t`
is its quantile. NaN: too small for the precision. Every integrand is positive, over fixed rules far
denser than needed; `python cnbd_forecasts.py check` holds the first rows to ball arithmetic where k
is whole.
"""

import math
import random
import sys

import numpy as np
from cnbd_reference import COUNTS, Customer
from extended import EXTENDED, beta_law, ln_beta, ln_gamma_q, rule
from reference_tools import log_uniform, sharp, write

ROWS = 5000


def draw(rng: random.Random, index: int) -> list[float]:
    """Draw parameters, a customer, a horizon, a count and a discount rate."""
    k = float(rng.choice([1, 2, 3, 4, 6, 12])) if index % 3 == 2 else log_uniform(rng, 0.2, 12)
    x = rng.choice([c for c in COUNTS if c * k < 120])
    age = log_uniform(rng, 0.5, 500)
    last = 0.0 if x == 0 else float(f"{age * (1 - rng.random() ** 2 * 0.6):.12g}")
    if x and rng.random() < 0.1:
        last = age
    r, alpha = log_uniform(rng, 0.05, 5), log_uniform(rng, 0.5, 100)
    a = log_uniform(rng, 0.05, 5) if rng.random() < 0.9 else float(rng.choice([1, 2]))
    t = float(f"{(alpha + age) * log_uniform(rng, 1e-3, 3):.12g}")
    n = rng.choice([1, 2, 2, 3, 4, 6])
    delta = float(f"{log_uniform(rng, 1e-4, 3) / t:.12g}")
    return [r, alpha, a, log_uniform(rng, 0.05, 20), k, float(x), last, age, t, float(n), delta]


class Alive:
    """A customer alive at `T`."""

    def __init__(self, case: list[float]) -> None:
        """Take the case apart."""
        r, alpha, a, b, k, x, last, age, t, n, delta = (EXTENDED(value) for value in case)
        self.a, self.k, self.t, self.n, self.delta = a, k, t, int(n), delta
        self.stay, self.shape = b + x + 1, r + k * x
        self.start, self.end, self.silent = alpha + last, alpha + age, age - last
        self.ln_front = self.shape * np.log(self.start) - ln_beta(k, self.shape) - self.ln_silence()

    def ln_silence(self) -> np.ndarray:
        """`ln I_w(R, k)`, by quadrature."""
        if self.silent == 0:
            return EXTENDED(0)
        w = self.start / self.end
        ln_u, _, log_weight = rule(48 / float(min(self.shape, 1)), 48 / float(min(self.k, 1)), 40)
        x = w * np.exp(ln_u)
        rest = self.silent / self.end + w * -np.expm1(ln_u)
        log = log_weight + (self.shape - 1) * ln_u + (self.k - 1) * np.log(rest)
        total = np.exp(log - log.max()).sum()
        assert x.max() <= w  # noqa: S101
        return log.max() + np.log(total) + self.shape * np.log(w) - ln_beta(self.shape, self.k)

    def density(self, y: np.ndarray, ln_y: np.ndarray) -> np.ndarray:
        """`f(y)` of the time to the next purchase."""
        since = self.silent + y
        ln_since = ln_y if self.silent == 0 else np.log(since)
        power = (self.shape + self.k) * np.log(self.start + since)
        return np.exp((self.k - 1) * ln_since - power + self.ln_front)

    def coefficients(self, z: EXTENDED) -> tuple[np.ndarray, np.ndarray]:
        """`q_m z^{km}/B(km, R')` of purchases and of leaving."""
        shape = self.shape + self.k
        reach = (shape + 14 * np.sqrt(shape) + 90) * (1 + 1 / shape) / (self.k * (1 - z))
        m = np.arange(1, int(reach * z + 60 / min(self.k, 1) + 9)).astype(EXTENDED)
        stay = self.stay + 1
        steps = np.log1p(-self.a / (self.a + stay + m - 1))
        kept = np.concatenate([np.zeros(1, EXTENDED), np.cumsum(steps)[:-1]])
        common = np.exp(kept - ln_beta(self.k * m, shape) + self.k * m * np.log(z))
        return common, common * self.a / (self.a + stay + m - 1)

    def until(self) -> tuple[list[float], float]:
        """Answers up to `t`, and the chance of a purchase by then."""
        t, end, k, shape = self.t, self.end, self.k, self.shape + self.k
        z = t / (end + t)
        bends = [t * (shape / end + self.delta)]
        if self.silent > 0:
            bends.append(t / self.silent)
        bend = float(np.log1p(max(bends))) / np.pi
        dense = int(9 * np.sqrt(1 + bend * bend) + 8 / float(np.sqrt(1 / k + 1 / shape)))
        side = 48 / float(min(k, 1))
        left = side + float(np.pi * bend)
        ln_w, _, inner = rule(left, 48.0, min(dense, 60))
        ln_u, ln_rest, outer = rule(left, side, min(dense, 60))
        ln_u, ln_rest = np.append(ln_u, -np.inf), np.append(ln_rest, 0)  # v = 0 at last
        v, ln_y = z * np.exp(ln_u), np.log(t) + ln_rest[:, None] + ln_w[None, :]
        y = np.exp(ln_y)
        mass = self.density(y, ln_y) * np.exp(inner)[None, :] * (t * np.exp(ln_rest))[:, None]
        s = (y + (v * end)[:, None]) / (1 - v)[:, None]
        counted = mass.sum(axis=1)
        discounted = (mass * np.exp(-self.delta * s)).sum(axis=1)
        periods = (mass * -np.expm1(-self.delta * s)).sum(axis=1) / self.delta
        step = np.exp(outer - ln_u[:-1] + (shape - 1) * np.log1p(-v[:-1]))
        rho, sums = np.exp(k * ln_u[:-1]), []
        for terms in self.coefficients(z):
            value = np.zeros_like(rho)
            for term in terms[::-1]:
                value = (value + term) * rho
            sums.append(value * step)
        share, stays = self.a / (self.a + self.stay), self.stay / (self.a + self.stay)
        purchases = counted[-1] + stays * (sums[0] @ counted[:-1])
        alive = 1 - share * counted[-1] - stays * (sums[1] @ counted[:-1])
        worth = discounted[-1] + stays * (sums[0] @ discounted[:-1])
        lifetime = -np.expm1(-self.delta * t) / self.delta * alive
        lifetime += share * periods[-1] + stays * (sums[1] @ periods[:-1])

        def reached(n: int) -> EXTENDED:
            if n == 1:
                return counted[-1]
            log = k * (n - 1) * (ln_u[:-1] + np.log(z)) - ln_beta(k * (n - 1), shape)
            return (np.exp(log) * step) @ counted[:-1]

        kept = [EXTENDED(1)]
        for i in range(self.n):
            kept.append(kept[-1] * (self.stay + i) / (self.a + self.stay + i))
        at, above = reached(self.n), reached(self.n + 1)
        exactly = (kept[-2] - kept[-1]) * at + kept[-1] * (at - above)
        logs = [np.log(kept[-2] * at), np.log(exactly)]
        rates = self.density(np.array([t]), np.log(np.array([t])))[0] * t
        alive = alive if alive > 1e-6 else np.nan
        return [purchases, alive, *logs, worth, lifetime, rates], float(counted[-1])

    def for_ever(self) -> list[float]:
        """Discounted purchases and periods without a horizon: over `lambda` and `p`."""
        p, weight = beta_law(float(self.a), float(self.stay), 40)
        # Left and right of the mean; purchases may come of rates at which k stages come soon.
        stages = float(self.shape + self.k)
        right = math.log((stages + 14 * math.sqrt(stages) + 120) / float(self.shape))
        left, dense = 48 / float(min(self.shape, 1)), int(60 * max(1, math.sqrt(stages / 12)))
        ln_u, ln_rest, log_weight = rule(left, right, dense)
        rate = self.shape / self.end * np.exp(ln_u - ln_rest)
        quiet = ln_gamma_q(float(self.k), rate * self.silent)
        log = log_weight + self.shape * np.log(rate) - rate * self.start + quiet - ln_u - ln_rest
        mass = np.exp(log - log.max())
        gap = -self.k * np.log1p(self.delta / rate)
        waiting = ln_gamma_q(float(self.k), (rate + self.delta) * self.silent) - quiet
        first = np.exp(gap + self.delta * self.silent + waiting)
        inverse = 1 / (-np.expm1(gap)[:, None] + np.exp(gap)[:, None] * p[None, :])
        series, stayed = inverse @ weight, (inverse * (1 - p)[None, :]) @ weight
        gone = -np.expm1(gap + self.delta * self.silent + waiting)
        periods = (gone + first * -np.expm1(gap) * stayed) / self.delta
        return [(mass @ (first * series)) / mass.sum(), (mass @ periods) / mass.sum()]


def row(case: list[float]) -> list[float]:
    """Compute one row."""
    alive = Alive(case)
    (*answers, rates), p = alive.until()
    return [*case, p, *(float(v) for v in [*answers, *alive.for_ever(), rates])]


def check(rng: random.Random) -> None:
    """Print the distance from the sums over stages."""
    for index in range(90):
        made = row(draw(rng, index))
        if made[4] == int(made[4]):
            exact = Customer((*made[:8], 0.0, *made[8:10]))
            names = ["purchases", "alive_ahead", "ln_tail", "ln_pmf"]
            proven = [sharp(getattr(exact, name), 300) for name in names]
            pairs = zip(made[12:16], proven, strict=True)
            away = max(abs(a / b - 1) for a, b in pairs if not math.isnan(a))
            print(index, away)  # noqa: T201


if __name__ == "__main__":
    rng = random.Random(2026)
    if "check" in sys.argv:
        check(rng)
    else:
        write("cnbd_forecasts.bin", [row(draw(rng, index)) for index in range(ROWS)])
