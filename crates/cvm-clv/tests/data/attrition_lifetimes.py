"""Make pareto_nbd_lifetimes.bin with python-flint (Arb).

5 000 records each of 14 doubles, little-endian: r, alpha, b, s, beta, x, T, t, delta (b, the
growth of the Gompertz law, is 0), then of a customer alive at T: ln P(alive at T+t), periods alive to t discounted at
delta, the same for ever, discounted purchases for ever (DERT), and P(X(t) >= 1), whose quantile is t
(NaN where a last bit of the probability moves t by more than 1e-13). Every value is proven to 18
digits by ball arithmetic: exponential integrals, and a rigorous integral over the time of the purchase.

    python -m pip install python-flint
    python attrition_lifetimes.py
"""
# A script of samples and formulas:
# ruff: noqa: ANN001, ANN201, D103, INP001, PLR2004, S311, T201

import math
import random
import struct
from pathlib import Path

from attrition_reference import Law, certain, random_case, tail, time_alive
from flint import arb, ctx

HERE = Path(__file__).parent
ROWS = 5000


def for_ever(law, delta):
    z = law.scale * delta
    return law.scale * z.exp() * z.expint(law.s)


def values(case):
    r, alpha, s, beta, x, _, age, t, _, delta = (arb(value) for value in case)
    law = Law(arb(0), s, beta).aged(age)
    shape, scale = r + x, alpha + age
    ever = certain(for_ever(law, delta), "for ever")
    some = tail(shape, scale, law, t, 1)
    stays = -s * law.log_m(t, analytic=False).real
    pace = (stays - (shape + 1) * (1 + t / scale).log()).exp() * shape / scale
    probability = certain(some, "tail")
    moved = 1.2e-16 * probability / (float(pace) * case[7]) if float(pace) > 0 else math.inf
    return [
        certain(stays, "ahead"),
        certain(time_alive(law, t, delta), "lifetime"),
        ever,
        float(shape / scale) * ever,
        probability if moved < 1e-13 and probability < 1 else math.nan,
    ]


def record(case):
    for bits in (100, 200, 600, 2500):
        ctx.prec = bits
        try:
            found = values(case)
        except ArithmeticError:
            continue
        r, alpha, s, beta, x, _, age, t, _, delta = case
        return struct.pack("<14d", r, alpha, 0.0, s, beta, x, age, t, delta, *found)
    return None


def main():
    rng = random.Random(11)
    rows, left_out = [], 0
    while len(rows) < ROWS:
        row = record(random_case(rng))
        if row is None:
            left_out += 1
        else:
            rows.append(row)
    (HERE / "pareto_nbd_lifetimes.bin").write_bytes(b"".join(rows))
    print(len(rows), "left out", left_out)


if __name__ == "__main__":
    main()
