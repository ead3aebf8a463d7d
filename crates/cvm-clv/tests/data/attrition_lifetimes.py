"""Make pareto_nbd_lifetimes.bin and ggompertz_nbd_lifetimes.bin with python-flint (Arb).

5 000 records each of 14 doubles, little-endian: r, alpha, b, s, beta, x, T, t, delta (b, the
growth of the Gompertz law, is 0 for the Pareto/NBD), then of a customer alive at T: ln P(alive at T+t), periods alive to t discounted at
delta, the same for ever, discounted purchases for ever (DERT), and P(X(t) >= 1), whose quantile is t
(NaN where a last bit of the probability moves t by more than 1e-13). Every value is proven to 18
digits by ball arithmetic: exponential integrals for the Pareto law, rigorous integrals for the
Gompertz law, and one over the time of the purchase.

    python -m pip install python-flint
    python attrition_lifetimes.py
"""
# A script of samples and formulas:
# ruff: noqa: ANN001, ANN201, D103, INP001, PLR2004, S311, T201

import math
import os
import random
import signal
import struct
from pathlib import Path

from attrition_reference import Law, certain, growths, log_uniform, random_case, tail, time_alive
from flint import arb, ctx

HERE = Path(__file__).parent
ROWS = 5000
# A few integrals in a thousand would take minutes: those rows are left out and counted.
PATIENCE_S = 4


def for_ever(law, delta):
    if law.b == 0:
        z = law.scale * delta
        return law.scale * z.exp() * z.expint(law.s)
    end = arb(1) / delta
    while True:
        # Survival only falls, so what comes later is below this.
        rest = (-delta * end - law.s * law.log_m(end, analytic=False).real).exp() / delta
        found = time_alive(law, end, delta)
        if rest < found * arb(2) ** -80:
            return found + rest * arb(0.5, 0.5)
        end *= 2


def values(case, b):
    r, alpha, s, beta, x, _, age, t, _, delta = (arb(value) for value in case)
    law = Law(arb(b), s, beta if b == 0 else beta / arb(b)).aged(age)
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


def record(case, b):
    for bits in (100, 200, 600, 2500):
        ctx.prec = bits
        try:
            found = values(case, b)
        except ArithmeticError:
            continue
        r, alpha, s, beta, x, _, age, t, _, delta = case
        return struct.pack("<14d", r, alpha, b, s, beta, x, age, t, delta, *found)
    return None


def patiently(case, b):
    """Return the record, made in a process of its own that the clock ends."""
    ours, theirs = os.pipe()
    if os.fork() == 0:
        signal.alarm(PATIENCE_S)
        os.write(theirs, record(case, b) or b"")
        os._exit(0)
    os.close(theirs)
    row = os.read(ours, 1000)
    os.close(ours)
    os.wait()
    return row or None


def make(name, draw):
    rows, left_out = [], 0
    while len(rows) < ROWS:
        row = patiently(*draw())
        if row is None:
            left_out += 1
        else:
            rows.append(row)
    (HERE / name).write_bytes(b"".join(rows))
    print(name, len(rows), "left out", left_out)


def main():
    rng = random.Random(11)
    make("pareto_nbd_lifetimes.bin", lambda: (random_case(rng), 0.0))
    rng = random.Random(12)

    def compound():
        case = random_case(rng)
        b = growths(rng, case)
        # The scale of the paper is b times that of the Pareto law, or anything.
        beta = case[3] * b if rng.random() < 0.6 else log_uniform(rng, 1e-3, 30)
        return (*case[:3], beta, *case[4:]), b

    make("ggompertz_nbd_lifetimes.bin", compound)


if __name__ == "__main__":
    main()
