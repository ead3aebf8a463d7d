"""Make the reference tables of the incomplete gamma functions with mpmath.

P is summed from its series of positive terms at a precision that leaves 40 digits in Q = 1 - P,
however small Q is. Records as in make_tables.py: a, x, the value rounded to a double, the rest
in ulp.

    python -m pip install mpmath
    python incomplete_gamma_reference.py
"""
# A script of samples and formulas:
# ruff: noqa: ANN001, ANN201, D103, INP001, PLR2004, S311, T201

import random

from make_tables import log_uniform, write
from mpmath import mp, mpf


def parts(a, x):
    """P and Q with at least 40 correct digits each."""
    # Q is about exp(-(x - a - a ln(x / a))) / sqrt(a) in the upper tail.
    ratio = max(float(x) / float(a), 1.0)
    tail = max(0.0, float(a) * (ratio - 1 - float(mp.log(ratio)))) / 2.3
    mp.dps = int(60 + 1.1 * tail)
    a, x = mpf(a), mpf(x)
    term = total = mpf(1)
    n = 0
    while term > total * mpf(10) ** (-mp.dps):
        n += 1
        term *= x / (a + n)
        total += term
    p = mp.exp(a * mp.log(x) - x - mp.loggamma(1 + a)) * total
    return p, 1 - p


def arguments(rng):
    out = []
    for df in range(1, 31):
        out += [(df / 2, log_uniform(rng, 1e-6, 1400) / 2) for _ in range(25)]
    out += [(log_uniform(rng, 1e-12, 1), log_uniform(rng, 1e-12, 600)) for _ in range(400)]
    out += [(log_uniform(rng, 1, 100), log_uniform(rng, 1e-3, 700)) for _ in range(400)]
    for _ in range(250):
        a = log_uniform(rng, 8, 3000)
        out.append((a, a * (1 + rng.uniform(-1, 1) * min(0.9, 12 / a**0.5))))
    for _ in range(40):
        a = log_uniform(rng, 3000, 30000)
        out.append((a, a * (1 + rng.uniform(-1, 1) * 12 / a**0.5)))
    for x in (0.25, 1.0, 1.5):
        out += [(x + 0.25 + d, x) for d in (-1e-9, 0.0, 1e-9)]
    return [(a, x) for a, x in out if a > 0 and x > 0]


def main():
    tables = {"gamma_p": [], "gamma_q": [], "ln_gamma_q": []}
    for a, x in arguments(random.Random(20240611)):
        p, q = parts(a, x)
        if p > mpf(10) ** -300:
            tables["gamma_p"].append(((a, x), p))
        if q > mpf(10) ** -300:
            tables["gamma_q"].append(((a, x), q))
        tables["ln_gamma_q"].append(((a, x), mp.log(q)))
    mp.dps = 60
    for name, records in tables.items():
        write(name, records)


if __name__ == "__main__":
    main()
