# ruff: noqa: INP001, PLR2004, S311 - a script of formulas in the symbols of the paper
"""Writes mbg_nbd.bin: 5,000 customers of the MBG/NBD, with python-flint's ball arithmetic.

Textbook forms (Batislam et al. 2007; the forecasts are those of Fader, Hardie & Lee 2005 with one
more chance to leave), with their poles and hypergeometric functions; the crate uses other forms.
Discounted sums by quadrature in extended precision (dropout_integrals.py).
"""

import random

import flint
from dropout_integrals import over_time
from reference_tools import incomplete_beta, log_uniform, sharp, write

arb = flint.arb
ROWS = 5000
#         r, alpha, a, b, x, t_x, T, t
TRAPS = [
    (0.525, 6.183, 1.0, 1.614, 2, 30.43, 38.86, 39.0),
    (0.525, 6.183, 1.000000001, 1.614, 2, 30.43, 38.86, 39.0),
    (0.525, 6.183, 0.891, 1.614, 2, 30.43, 38.86, 39.0),
    (0.525, 6.183, 0.891, 1.614, 0, 0.0, 0.0, 39.0),
    (0.11, 2.24, 0.31, 0.5, 0, 0.0, 1.0, 30.0),
    (0.11, 2.24, 0.5, 0.5, 0, 0.0, 1.0, 30.0),
    (0.243, 4.414, 0.793, 2.426, 2000, 99.0, 100.0, 50.0),
    (0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86, 1e-9),
    (0.243, 4.414, 1e-10, 0.001, 5, 30.0, 38.0, 10.0),
    (0.243, 4.414, 150.0, 2.0, 3000, 358.0, 360.0, 30.0),
    (0.0109, 13.52, 0.001, 0.039, 0, 0.0, 20.0, 30.0),
    (
        1.66383229381802,
        46.2514511353415,
        2.50239975943212,
        2.96628746369975,
        438,
        19.0062860751915,
        20.62950442148,
        484.18060341218,
    ),
    (0.243, 4.414, 0.793, 2.426, 0, 0.0, 0.0, 1e6),
    (0.243, 4.414, 0.793, 2.426, 1, 0.1, 0.1, 1e7),
    (0.243, 4.414, 0.793, 2.426, 10000, 99.99, 100.0, 52.0),
    (3.0, 0.01, 0.2, 0.3, 0, 0.0, 0.0, 1000.0),
    (20.0, 3.0, 30.0, 40.0, 25, 9.0, 10.0, 500.0),
]
COUNTS = [0, 0, 0, 1, 1, 2, 3, 4, 6, 9, 15, 31, 32, 63, 64, 120, 400]


def draw(rng: random.Random, index: int) -> tuple[float, ...]:
    """Draw parameters, a customer, a horizon, a discount rate, a count and a probability."""
    if index < len(TRAPS):
        case = TRAPS[index]
    else:
        x = rng.choice([*COUNTS, rng.randrange(1000)])
        age = log_uniform(rng, 0.5, 2000) if rng.random() < 0.95 else log_uniform(rng, 1e-8, 1)
        last = 0.0 if x == 0 else float(f"{age * (1 - rng.random() ** 2 * 0.5):.12g}")
        usual = rng.random() < 0.9
        t = log_uniform(rng, 1e-3, 2000) if usual else log_uniform(rng, 1e-9, 1e6)
        a = log_uniform(rng, 0.05, 5) if rng.random() < 0.9 else float(rng.choice([1, 2, 3]))
        b = log_uniform(rng, 0.05, 20)
        case = (log_uniform(rng, 0.05, 5), log_uniform(rng, 0.5, 300), a, b, x, last, age, t)
    n = rng.choice([0, 1, 1, 2, 3, 5, 8, 20, rng.randrange(300)])
    delta = log_uniform(rng, 1e-5, 0.05) if index % 8 else log_uniform(rng, 0.05, 2)
    return (*case, delta, float(n), rng.choice([0.5, 0.5, 0.9, 1e-6, rng.random()]))


class Customer:
    """Formulas of one case."""

    def __init__(self, case: tuple[float, ...]) -> None:
        """Keep the case; its balls are made anew at every precision."""
        self.case = case

    def __getattr__(self, name: str) -> arb:
        """Return an input as an exact ball, or `R`, `A`, `B`."""
        names = ["r", "alpha", "a", "b", "x", "t_x", "T", "t", "delta", "n", "p"]
        if name == "R":
            return self.r + self.x
        if name == "A":
            return self.alpha + self.T
        if name == "B":
            return self.b + self.x + 1
        return arb(self.case[names.index(name)])

    def odds(self) -> arb:
        """Odds of having left."""
        return self.a / (self.b + self.x) * (self.A / (self.alpha + self.t_x)) ** self.R

    def log_lik(self) -> arb:
        """Logarithm of the likelihood."""
        a, b, r, x = self.a, self.b, self.r, self.x
        value = (r + x).lgamma() - r.lgamma() + r * self.alpha.log() - self.R * self.A.log()
        value += (a + b).lgamma() + (b + x + 1).lgamma() - b.lgamma() - (a + b + x + 1).lgamma()
        return value + (1 + self.odds()).log()

    def p_alive(self) -> arb:
        """P(alive)."""
        return 1 / (1 + self.odds())

    def purchases(self) -> arb:
        """Equation 10 of Fader, Hardie & Lee (2005) for a living customer, by Pfaff's formula."""
        a, stay = self.a, self.B
        if a == 1:
            a += arb(2) ** (-flint.ctx.prec // 2)
        rest = (-self.t / self.A).hypgeom_2f1(self.R, a - 1, a + stay - 1)
        value = (a + stay - 1) / (a - 1) * (1 - rest)
        if self.a == 1:  # the step's error is of the order of the step
            value += arb(0, 1) * arb(2) ** (-flint.ctx.prec // 3) * value
        return value

    def alive_ahead(self, s: arb | None = None) -> arb:
        """Still alive `s` from now."""
        ratio = (self.t if s is None else s) / self.A
        return (-ratio).hypgeom_2f1(self.R, self.a, self.a + self.B)

    def ln_kept(self, n: arb) -> arb:
        """Logarithm of `E[(1-p)^n]`."""
        total = self.a + self.B
        return (self.B + n).lgamma() - self.B.lgamma() - (total + n).lgamma() + total.lgamma()

    def reached(self, n: arb) -> arb:
        """`I_z(n, R)`."""
        z = self.t / (self.A + self.t)
        return incomplete_beta(n, self.R, z)

    def ln_tail(self) -> arb:
        """`ln P(X >= n)`."""
        return self.ln_kept(self.n - 1) + self.reached(self.n).log() if self.n != 0 else arb(0)

    def ln_pmf(self) -> arb:
        """`ln P(X = n)`: those still alive, and those who left after the n-th."""
        z, n = self.t / (self.A + self.t), self.n
        counts = (self.R + n).lgamma() - self.R.lgamma() - (n + 1).lgamma()
        counts += n * z.log() + self.R * (1 - z).log()
        still = (self.ln_kept(n) + counts).exp()
        if n == 0:
            return still.log()
        left = self.a / (self.a + self.B + n - 1) * self.ln_kept(n - 1).exp()
        return (still + left * self.reached(n)).log()

    def integrals(self) -> tuple[float, float]:
        """Discounted purchases and periods alive."""
        r, alpha, _, _, x, _, age, t, delta, _, _ = self.case
        return over_time(self.case[2], float(self.B), r + x, alpha + age, t, delta)

    def next_purchase(self) -> arb:
        """Quantile of the time of the next purchase."""
        return self.A * ((-(1 - self.p).log() / self.R).exp() - 1)


def row(case: tuple[float, ...]) -> list[float]:
    """Compute one row of the table."""
    customer = Customer(case)
    cheap = ["log_lik", "p_alive", "purchases", "alive_ahead", "ln_pmf", "ln_tail"]
    values = [sharp(getattr(customer, name)) for name in cheap]
    return [*case, *values, *customer.integrals(), sharp(customer.next_purchase)]


if __name__ == "__main__":
    rng = random.Random(2007)
    write("mbg_nbd.bin", [row(draw(rng, index)) for index in range(ROWS)])
