# ruff: noqa: INP001, S311 - a script of formulas in the symbols of the model's page
"""Writes pareto_nbd_correlated.bin: 5,000 customers of the correlated Pareto/NBD.

A row: r, alpha, s, beta, z, x, t_x, T, t, n, delta, then log-likelihood, ln P(alive), and given
alive: purchases, P(alive ahead), ln P(X = n), ln P(X >= n), discounted purchases and periods.
A signed mixture of four independent Pareto/NBD in ball arithmetic, their likelihoods by the
hypergeometric form or the integral (attrition_reference.py); counts by quadrature in extended
precision over the times of the n-th purchase and of leaving, where the crate sums otherwise.
"""

import math
import random

import flint
import numpy as np
from attrition_reference import Law, left_over_stayed, pareto_odds, random_case, time_alive
from extended import EXTENDED, ln_gamma, rule
from reference_tools import sharp, write

arb = flint.arb
ROWS = 5000
MANY = 1000  # purchases, for which the hypergeometric series is too long and the integral is taken
CDNOW = (0.553, 10.578, 0.606, 11.669)
PARTS = [(0, 0), (1, 0), (0, 1), (1, 1)]
TRAPS = [
    (*CDNOW, 0.5, 2, 30.43, 38.86, 39, 1, 0.0027),
    (*CDNOW, -2, 0, 0, 0, 39, 0, 0.0027),
    (0.553, 10.578, 1, 11.669, 2, 2, 30.43, 38.86, 39, 2, 0.0027),
    (0.553, 10.578, 1 + 1e-9, 11.669, -1, 2, 30.43, 38.86, 39, 2, 0.0027),
    (0.553, 11, 0.606, 11, 3, 2, 30.43, 38.86, 39, 2, 0.0027),
    (*CDNOW, 1, 10000, 99, 100, 10, 900, 0.0027),
    (*CDNOW, 1, 0, 0, 39, 39, 300, 0.0027),
    (0.9, 1.5, 1.2, 2.0, 8, 3, 20, 400, 1e-9, 1, 0.01),
    (0.9, 1.5, 1.2, 2.0, -8, 3, 20, 400, 1e9, 1, 0.01),
    (0.9, 0.5, 1.2, 0.5, -3, 2, 30, 2000, 500, 2, 0.01),
]


def draw(rng: random.Random, index: int) -> tuple[float, ...]:
    """Draw a case: that of the independent model, and a dependence."""
    if index < len(TRAPS):
        return tuple(float(v) for v in TRAPS[index])
    r, alpha, s, beta, x, last, age, t, n, delta = random_case(rng)
    z = rng.choice([rng.uniform(-3, 3), rng.uniform(-0.5, 0.5)])
    return tuple(float(v) for v in (r, alpha, s, beta, z, x, last, age, t, n, delta))


class Joined:
    """One case."""

    def __init__(self, case: tuple[float, ...]) -> None:
        """Keep it."""
        self.case = case

    def strength(self) -> arb:
        """`k = m a c`."""
        r, alpha, s, beta, z = (arb(v) for v in self.case[:5])
        a, c = (alpha / (1 + alpha)) ** r, (beta / (1 + beta)) ** s

        def norm(p: arb, q: arb) -> arb:
            return (p**16 + q**16) ** (arb(1) / 16)

        above, below = norm(a * (1 - c), c * (1 - a)), norm(a * c, (1 - a) * (1 - c))
        u = z.tanh()
        return a * c * u / ((1 + u) / 2 * above + (1 - u) / 2 * below)

    def weights(self) -> list[arb]:
        """Of the four parts."""
        k = self.strength()
        return [1 + k, -k, -k, k]

    def part(self, index: int) -> tuple[arb, arb]:
        """Likelihood, and that with being alive, of one part."""
        r, alpha, s, beta, _, x, last, age = (arb(v) for v in self.case[:8])
        alpha, beta = alpha + PARTS[index][0], beta + PARTS[index][1]
        shape = r + x
        log = shape.lgamma() - r.lgamma() + r * alpha.log() - shape * (alpha + last).log()
        log -= s * (1 + last / beta).log()
        if self.case[6] == self.case[7]:
            return log.exp(), log.exp()
        if self.case[5] >= MANY:
            law = Law(arb(0), s, beta + last)
            left, stayed = left_over_stayed(shape, alpha + last, law, age - last)
        else:
            left, stayed = pareto_odds(shape, s, alpha, beta, last, age)
        return log.exp() * (left + stayed.exp()), (log + stayed).exp()

    def log_lik(self) -> arb:
        """Logarithm of the likelihood."""
        return sum((w * self.part(i)[0] for i, w in enumerate(self.weights())), arb(0)).log()

    def ln_alive(self) -> arb:
        """Logarithm of P(alive)."""
        both = [self.part(i) for i in range(4)]
        weights = self.weights()
        alive = sum((w * p[1] for w, p in zip(weights, both, strict=True)), arb(0))
        return (alive / sum((w * p[0] for w, p in zip(weights, both, strict=True)), arb(0))).log()

    def alive_weights(self) -> list[arb]:
        """Of the four parts, given alive."""
        r, alpha, s, beta, _, x, _, age = (arb(v) for v in self.case[:8])
        terms = []
        for (i, j), weight in zip(PARTS, self.weights(), strict=True):
            log = r * (alpha + i).log() - (r + x) * (alpha + i + age).log()
            log += s * ((beta + j) / (beta + j + age)).log()
            base = r * alpha.log() - (r + x) * (alpha + age).log()
            terms.append(weight * (log - base).exp())
        total = sum(terms, arb(0))
        return [term / total for term in terms]

    def mean(self, what: str) -> arb:
        """Return a forecast, over the parts."""
        r, alpha, s, beta, _, x, _, age, t, _, delta = (arb(v) for v in self.case)
        total = arb(0)
        for (i, j), weight in zip(PARTS, self.alive_weights(), strict=True):
            scale = beta + j + age
            law = Law(arb(0), s, scale)
            rate = (r + x) / (alpha + i + age)
            if what == "ahead":
                value = (scale / (scale + t)) ** s
            elif what == "purchases":
                grown, rest = (1 + t / scale).log(), 1 - s
                mean = grown if self.case[2] == 1 else (rest * grown).expm1() / rest
                value = rate * scale * mean
            else:
                value = time_alive(law, t, delta) * (rate if what == "discounted" else 1)
            total += weight * value
        return total

    def counts(self) -> list[float]:
        """`ln P(X = n)` and `ln P(X >= n)`."""
        at, above = EXTENDED(0), EXTENDED(0)
        r, alpha, s, beta, _, x, _, age, t, n, _ = (EXTENDED(v) for v in self.case)
        flint.ctx.prec = 200
        for (i, j), weight in zip(PARTS, self.alive_weights(), strict=True):
            ball = EXTENDED(weight.str(25, radius=False))
            pmf, tail = counts(r + x, alpha + i + age, s, beta + j + age, t, n)
            at, above = at + ball * pmf, above + ball * tail
        small = EXTENDED(1e-3000)
        return [float(np.log(v)) if v > small else math.nan for v in (at, above)]


def counts(
    shape: EXTENDED, end: EXTENDED, s: EXTENDED, scale: EXTENDED, t: EXTENDED, n: EXTENDED
) -> tuple[EXTENDED, EXTENDED]:
    """Return `P(X = n)` and `P(X >= n)` of independent rates, by the times of both events."""
    far = np.log1p(t * (shape + n + 1) / end) + np.log1p(t / scale)
    width = float(min(1, np.sqrt(1 / max(n, 1) + 1 / shape)))
    dense = int(14 * np.sqrt(1 + (float(far) / np.pi) ** 2) / width)
    ln_u, _, log_weight = rule(48 + float(far), 48.0, min(dense, 3000))
    u = t * np.exp(ln_u)
    step = log_weight + np.log(t)
    stay = -s * np.log1p(u / scale)
    front = ln_gamma(shape + n) - ln_gamma(shape)
    bought = front - ln_gamma(n + 1) + n * np.log(u / end) - (shape + n) * np.log1p(u / end)
    left = bought + np.log(s / scale) - (s + 1) * np.log1p(u / scale)
    at_end = front - ln_gamma(n + 1) + n * np.log(t / end) - (shape + n) * np.log1p(t / end)
    pmf = np.exp(at_end - s * np.log1p(t / scale)) + np.exp(left + step).sum()
    if n == 0:
        return pmf, EXTENDED(1)
    moment = front - ln_gamma(n) + n * np.log(u / end) - (shape + n) * np.log1p(u / end) - np.log(u)
    return pmf, np.exp(moment + stay + step).sum()


def row(case: tuple[float, ...]) -> list[float]:
    """Compute one row."""
    joined = Joined(case)
    values = [0.0 if case[7] == 0 else sharp(joined.log_lik)]
    values.append(0.0 if case[6] == case[7] else sharp(joined.ln_alive))
    values += [sharp(lambda w=w: joined.mean(w)) for w in ("purchases", "ahead")]
    pmf, tail = joined.counts()
    values += [pmf, 0.0 if case[9] == 0 else tail]
    values += [sharp(lambda w=w: joined.mean(w)) for w in ("discounted", "lifetime")]
    return [*case, *values]


if __name__ == "__main__":
    rng = random.Random(2004)
    write("pareto_nbd_correlated.bin", [row(draw(rng, index)) for index in range(ROWS)])
