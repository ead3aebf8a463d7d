"""Make `gamma_median.bin` with gmpy2: shapes and the logarithm of the median at 60 digits.

Newton on P(a, e^u) = 1/2, where P is summed from its series of positive terms (DLMF 8.11.4) at 240
bits, started from a double; the last step must be below 1e-40. Records as in `make_tables.py`.

    python -m pip install gmpy2 scipy
    python gamma_median_reference.py
"""
# ruff: noqa: INP001, S311, T201, PLR2004

import math
import random
import struct
from pathlib import Path

import gmpy2
from gmpy2 import mpfr
from scipy.special import gammaincinv

HERE = Path(__file__).parent
gmpy2.get_context().precision = 240
TINY = mpfr(2) ** -230


def ln_median(shape: float) -> mpfr:
    """Return ln of the median of Gamma(shape, 1)."""
    a = mpfr(shape)
    ln_gamma_next = gmpy2.lgamma(a + 1)[0]
    if shape > 2e-2:
        u = mpfr(math.log(gammaincinv(shape, 0.5)))
    else:
        u = (ln_gamma_next - gmpy2.log(mpfr(2))) / a
    for _ in range(8):
        x = gmpy2.exp(u)
        total, term, n = mpfr(1), mpfr(1), 0
        while term > TINY * total:
            n += 1
            term = term * x / (a + n)
            total += term
        ln_p = a * u - x - ln_gamma_next + gmpy2.log(total)
        step = (ln_p + gmpy2.log(mpfr(2))) * total / a
        u -= step
        if abs(step) < mpfr(10) ** -40:
            return u
    raise ArithmeticError((shape, step))


def main() -> None:
    """Write the table."""
    draw = random.Random(1)
    shapes = [10 ** draw.uniform(-6, 2.2) for _ in range(3200)]
    shapes += [draw.uniform(100, 160) for _ in range(400)]
    shapes += [10 ** draw.uniform(2, 5) for _ in range(1500)]
    shapes += [1.0, 2.0, 0.5, 128.0, math.nextafter(128.0, 0), 1e-4, 1e5]
    records = []
    for shape in shapes:
        exact = ln_median(shape)
        value = float(exact)
        rest = float((exact - mpfr(value)) / math.ulp(value))
        records.append(struct.pack("<ddf", shape, value, rest))
    (HERE / "gamma_median.bin").write_bytes(b"".join(records))
    print(len(records))


main()
