# ruff: noqa: INP001, PLR2004, S311 - a script of formulas in the symbols of the paper
"""Writes nbd.bin: 5,000 customers of the NBD, with python-flint's ball arithmetic."""

import random

import flint
from reference_tools import incomplete_beta, log_uniform, sharp, write

arb = flint.arb
ROWS = 5000


def draw(rng: random.Random) -> tuple[float, ...]:
    """Draw r, alpha, x, T, t, delta, n."""
    wide = rng.random() < 0.1
    r = log_uniform(rng, 1e-4, 500) if wide else log_uniform(rng, 0.05, 5)
    x = rng.choice([0, 0, 1, 1, 2, 3, 5, 9, 40, 63, 64, 65, rng.randrange(1000), 10000])
    age = log_uniform(rng, 0.5, 2000) if rng.random() < 0.9 else log_uniform(rng, 1e-8, 1)
    t = log_uniform(rng, 1e-9, 1e6) if wide else log_uniform(rng, 1e-3, 2000)
    n = rng.choice([0, 1, 1, 2, 3, 5, 8, 20, rng.randrange(300), rng.randrange(5000)])
    return (
        r,
        log_uniform(rng, 0.1, 300),
        float(x),
        age,
        t,
        log_uniform(rng, 1e-5, 2),
        float(n),
    )


def row(case: tuple[float, ...]) -> list[float]:
    """Compute one row of the table."""

    def log_lik() -> arb:
        r, alpha, x, age = (arb(value) for value in case[:4])
        value = (r + x).lgamma() - r.lgamma() + r * (alpha / (alpha + age)).log()
        return value - x * (alpha + age).log()

    def ln_pmf() -> arb:
        r, alpha, x, age, t, _, n = (arb(value) for value in case)
        shape, z = r + x, t / (alpha + age + t)
        value = (shape + n).lgamma() - shape.lgamma() - (n + 1).lgamma()
        return value + n * z.log() + shape * (1 - z).log()

    def ln_tail() -> arb:
        r, alpha, x, age, t, _, n = (arb(value) for value in case)
        if n == 0:
            return arb(0)
        z = t / (alpha + age + t)
        return incomplete_beta(n, r + x, z).log()

    def discounted() -> arb:
        r, alpha, x, age, t, delta, _ = (arb(value) for value in case)
        return (r + x) / (alpha + age) * (1 - (-delta * t).exp()) / delta

    return [*case, *(sharp(formula) for formula in (log_lik, ln_pmf, ln_tail, discounted))]


if __name__ == "__main__":
    rng = random.Random(1959)
    write("nbd.bin", [row(draw(rng)) for _ in range(ROWS)])
