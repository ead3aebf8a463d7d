# ruff: noqa: INP001, PLR2004, S311, B019, ARG002 - formulas in the symbols of the paper; few customers
"""Writes cnbd.bin and cnbd_fractional.bin: the (M)BG/CNBD-k, with python-flint's ball arithmetic.

For whole k a purchase is the k-th of as many stages of a Poisson process: with `j` stages done
since the last purchase, the n-th purchase comes with stage `kn - j`, so counts are negative
binomial sums. For other k, the counts of a customer who never leaves are integrals over a Dirichlet
simplex. The crate uses neither: it integrates over the time of the next purchase.
"""

import math
import random
import sys
from functools import cache

import flint
from reference_tools import incomplete_beta, log_uniform, sharp, write

arb = flint.arb
ROWS = 5000
FRACTIONAL_ROWS = 60
COUNTS = [0, 0, 0, 1, 1, 2, 3, 4, 6, 9, 15, 31, 64, 120]
NAMES = ["r", "alpha", "a", "b", "k", "x", "t_x", "T", "G", "t", "n"]


def draw(rng: random.Random, index: int) -> tuple[float, ...]:
    """Draw parameters, a customer, a horizon and a count."""
    k = float(rng.choice([1, 2, 2, 3, 3, 4, 6, 12]))
    if index % 8 == 7:
        k = log_uniform(rng, 0.2, 20)
    x = rng.choice([*COUNTS, rng.randrange(300), 10000 if index % 8 == 7 else 5])
    age = log_uniform(rng, 0.5, 2000) if rng.random() < 0.95 else log_uniform(rng, 1e-6, 1)
    last = 0.0 if x == 0 else float(f"{age * (1 - rng.random() ** 2 * 0.6):.12g}")
    gaps = x * math.log(last / x) - rng.random() * x / k if x else 0.0
    r = log_uniform(rng, 0.05, 5)
    alpha = log_uniform(rng, 0.5, 100)
    t = (alpha + age) * log_uniform(rng, 1e-6 if rng.random() < 0.1 else 1e-2, 25)
    a = log_uniform(rng, 0.05, 5) if rng.random() < 0.9 else float(rng.choice([1, 2]))
    n = rng.choice([0, 1, 1, 2, 2, 3, 4, 6, 12, rng.randrange(40)])
    return (r, alpha, a, log_uniform(rng, 0.05, 20), k, float(x), last, age, gaps, t, float(n))


class Customer:
    """Formulas of one case; inputs are exact balls."""

    def __init__(self, case: tuple[float, ...]) -> None:
        """Keep the case."""
        self.case = case

    def __getattr__(self, name: str) -> arb:
        """Return an input, or `R`, `B` (of the MBG)."""
        if name == "R":
            return self.r + self.k * self.x
        if name == "B":
            return self.b + self.x + 1
        return arb(self.case[NAMES.index(name)])

    def silence(self) -> arb:
        """`I_w(R, k)`."""
        if self.case[6] == self.case[7]:
            return arb(1)
        w = (self.alpha + self.t_x) / (self.alpha + self.T)
        return incomplete_beta(self.R, self.k, w)

    def log_lik(self, at_first: int) -> arb:
        """Logarithm of the likelihood."""
        a, b, k, x, c = self.a, self.b, self.k, self.x, self.x + at_first
        value = (k - 1) * self.G - x * k.lgamma() + self.R.lgamma() - self.r.lgamma()
        value += self.r * self.alpha.log() - self.R * (self.alpha + self.t_x).log()
        value += (a + b).lgamma() + (b + c).lgamma() - b.lgamma() - (a + b + c).lgamma()
        left = a / (b + c - 1) if c != 0 else arb(0)
        return value + (self.silence() + left).log()

    def p_alive(self, at_first: int) -> arb:
        """P(alive)."""
        c = self.x + at_first
        if c == 0:
            return arb(1)
        return 1 / (1 + self.a / (self.b + c - 1) / self.silence())

    @cache
    def _reached(self, bits: int, most: int) -> list[arb]:
        """`P(N >= n)` for n = 0, 1, ..., until it is nothing."""
        k, big_r, end = int(self.case[4]), self.R, self.alpha + self.T
        u, z = (self.T - self.t_x) / end, self.t / (end + self.t)
        weights, weight = [], arb(1)
        for j in range(k):
            weights.append(weight)
            weight *= (big_r + j) * u / (j + 1)
        total = sum(weights, arb(0))
        weights = [weight / total for weight in weights]
        tails = [arb(0)] * (most + 2)
        tails[0] = arb(1)
        for j, weight in enumerate(weights):
            term, below, i = (1 - z) ** (big_r + j), arb(0), 0
            for n in range(1, most + 2):
                while i < k * n - j:
                    below += term
                    term *= (big_r + j + i) / (i + 1) * z
                    i += 1
                tails[n] += weight * (1 - below)
        return tails

    def counts(self) -> list[arb]:
        """`P(N >= n)`, to at least `n + 1` and until the terms are below 1e-30."""
        k, shape, ratio = self.case[4], float(self.R), float(self.t / (self.alpha + self.T))
        stages = shape * ratio + 14 * math.sqrt((shape * ratio + 9) * (1 + ratio))
        stages += 75 * (1 + ratio)
        return self._reached(flint.ctx.prec, max(int(self.case[10]) + 1, int(stages / k) + 2))

    def kept(self, n: int) -> arb:
        """`E[(1-p)^n]`."""
        return self.B.rising(n) / (self.a + self.B).rising(n)

    def purchases(self) -> arb:
        """`E[X]`."""
        total, kept = arb(0), arb(1)
        for n, reached in enumerate(self.counts()[1:]):
            total += kept * reached
            kept *= (self.B + n) / (self.a + self.B + n)
        return total

    def alive_ahead(self) -> arb:
        """Still alive at `T + t`."""
        gone, kept = arb(0), arb(1)
        for n, reached in enumerate(self.counts()[1:]):
            gone += kept * self.a / (self.a + self.B + n) * reached
            kept *= (self.B + n) / (self.a + self.B + n)
        return 1 - gone

    def reached(self, n: int) -> arb:
        """`P(N >= n)`."""
        return self.counts()[n]

    def ln_tail(self) -> arb:
        """`ln P(X >= n)`."""
        n = int(self.case[10])
        return (self.kept(n - 1) * self.reached(n)).log() if n else arb(0)

    def ln_pmf(self) -> arb:
        """`ln P(X = n)`."""
        n = int(self.case[10])
        if n == 0:
            return (1 - self.reached(1)).log()
        return (self.kept(n - 1) * self.reached(n) - self.kept(n) * self.reached(n + 1)).log()


class Fractional(Customer):
    """Any k."""

    @cache
    def _dirichlet(self, bits: int, n: int) -> arb:
        """`P(N >= n)` by tanh-sinh over the share of the rate in a Dirichlet simplex."""
        big_r, k, start = self.R, self.k, self.alpha + self.t_x
        silent = self.T - self.t_x
        low, high = start / (start + silent + self.t), start / (start + silent)
        silence = self.silence()
        if n == 1:
            return 1 - incomplete_beta(big_r, k, low) / silence

        log_beta = big_r.lgamma() + (k * n).lgamma() - (big_r + k * n).lgamma()

        def f(d: arb, from_high: arb) -> arb:
            value = (big_r - 1) * d.log() + (k * n - 1) * (1 - d).log() - log_beta
            # 1 - d s/((1-d) A0), which is 0 at `high`.
            share = from_high * (1 + silent / start) / (1 - d)
            return value.exp() * incomplete_beta(k * (n - 1), k, share)

        total, step = arb(0), arb(1) / 24
        for index in range(-96, 97):
            theta = step * index
            xi = theta.sinh() * arb.pi()
            u, rest = 1 / (1 + (-xi).exp()), 1 / (1 + xi.exp())
            d, from_high = low + (high - low) * u, (high - low) * rest
            if rest < 1e-60 or u < 1e-60:
                continue
            total += f(d, from_high) * u * rest * arb.pi() * theta.cosh() * step
        return (total * (high - low)).mid() / silence

    def reached(self, n: int) -> arb:
        """`P(N >= n)`."""
        return self._dirichlet(flint.ctx.prec, n) if n else arb(1)

    def counts(self) -> list[arb]:
        """`P(N >= n)` until nothing is left."""
        tails = [arb(1)]
        while tails[-1].mid() > 1e-18 and len(tails) < 60:
            tails.append(self.reached(len(tails)))
        return tails


def row(case: tuple[float, ...]) -> list[float]:
    """Compute one row of cnbd.bin; forecasts for whole k only."""
    customer = Customer(case)
    values = [sharp(lambda first=first: customer.log_lik(first)) for first in (0, 1)]
    values += [sharp(lambda first=first: customer.p_alive(first)) for first in (0, 1)]
    if case[4] != int(case[4]):
        return [*case, *values, *[math.nan] * 4]
    names = ["purchases", "alive_ahead", "ln_tail", "ln_pmf"]
    return [*case, *values, *(sharp(getattr(customer, name), 300) for name in names)]


def fractional_row(rng: random.Random) -> list[float]:
    """Compute one row of cnbd_fractional.bin."""
    case = list(draw(rng, 7))
    case[4] = log_uniform(rng, 0.3, 8)
    case[5] = float(min(case[5], 12))
    end = case[1] + case[7]
    case[9] = end * log_uniform(rng, 0.02, 0.3) * case[4] / (case[0] + case[4] * case[5])
    case[10] = float(rng.choice([1, 2, 3, 4]))
    if case[5] and case[6] == 0:
        case[6] = case[7] * 0.5
    if not case[5]:
        case[6] = 0.0
    customer = Fractional(tuple(case))
    flint.ctx.prec = 200
    names = ["purchases", "alive_ahead", "ln_tail", "ln_pmf"]
    return [*case, *(float(getattr(customer, name)().mid()) for name in names)]


if __name__ == "__main__":
    rng = random.Random(2021)
    if "fractional" not in sys.argv:
        write("cnbd.bin", [row(draw(rng, index)) for index in range(ROWS)])
    rng = random.Random(20)
    write("cnbd_fractional.bin", [fractional_row(rng) for _ in range(FRACTIONAL_ROWS)])
