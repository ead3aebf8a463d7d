"""Make `gamma_gamma_reference.bin` and `log_normal_spend_reference.bin`: spend models at 60 digits.

Little-endian doubles, row by row:

    gamma_gamma        p q v x mean | log_lik E[M] E[Var(Z|nu)] Var(M) median(M)
    log_normal_spend   m tau sigma x log_mean log_sd | log_lik E[M] E[Var(Z|mu)] Var(M) median(M)

The formulas are first held to quadrature over the mixing distribution (`check`), with mpmath. The
log-likelihood is 0 without a purchase.

    python -m pip install gmpy2 mpmath scipy
    python spend_reference.py
"""
# ruff: noqa: INP001, S311, T201, PLR2004

import math
import random
import struct
from pathlib import Path

import gmpy2
import mpmath as mp
from gmpy2 import exp, lgamma, log, mpfr
from scipy.special import gammaincinv

HERE = Path(__file__).parent
gmpy2.get_context().precision = 220
mp.mp.dps = 30
INF = float("inf")
LN2 = log(mpfr(2))
TINY = mpfr(2) ** -210


def ln_gamma(value: mpfr) -> mpfr:
    """Return ln Gamma."""
    return lgamma(value)[0]


def ln_median(a: mpfr) -> mpfr:
    """Return ln of the median of Gamma(a, 1), by Newton on the series DLMF 8.11.4."""
    if a > mpfr("2e-2"):
        u = mpfr(math.log(gammaincinv(float(a), 0.5)))
    else:
        u = (ln_gamma(a + 1) - LN2) / a
    for _ in range(9):
        x = exp(u)
        total, term, n = mpfr(1), mpfr(1), 0
        while term > TINY * total:
            n += 1
            term = term * x / (a + n)
            total += term
        step = (a * u - x - ln_gamma(a + 1) + log(total) + LN2) * total / a
        u -= step
        if abs(step) < mpfr(10) ** -30:
            return u
    raise ArithmeticError(a)


def gamma_gamma(p: float, q: float, v: float, x: float, mean: float) -> list[float]:
    """Return the five answers of the Gamma-Gamma model."""
    p, q, v, x, mean = map(mpfr, (p, q, v, x, mean))
    a, b = p * x + q, v + x * mean
    log_lik = mpfr(0)
    if x > 0:
        log_lik = ln_gamma(a) - ln_gamma(p * x) - ln_gamma(q) + q * log(v)
        log_lik += (p * x - 1) * log(mean) + p * x * log(x) - a * log(b)
    expected = p * b / (a - 1) if a > 1 else INF
    within = p * b * b / ((a - 1) * (a - 2)) if a > 2 else INF
    of_mean = p * p * b * b / ((a - 1) ** 2 * (a - 2)) if a > 2 else INF
    median = exp(log(p * b) - ln_median(a))
    return [float(value) for value in (log_lik, expected, within, of_mean, median)]


def log_normal(m: float, tau: float, sigma: float, x: float, y: float, s: float) -> list[float]:
    """Return the five answers of the log-normal model."""
    m, tau, sigma, x, y, s = map(mpfr, (m, tau, sigma, x, y, s))
    end = sigma**2 + x * tau**2
    log_lik = mpfr(0)
    if x > 0:
        log_lik = -x / 2 * log(2 * gmpy2.const_pi()) - (x - 1) * log(sigma) - log(end) / 2
        log_lik -= (x - 1) * s**2 / (2 * sigma**2) + x * (y - m) ** 2 / (2 * end)
    mean = m + x * tau**2 / end * (y - m)
    variance = tau**2 * sigma**2 / end
    noise = sigma**2
    expected = exp(mean + (variance + noise) / 2)
    within = expected**2 * exp(variance) * gmpy2.expm1(noise)
    of_mean = expected**2 * gmpy2.expm1(variance)
    median = exp(mean + noise / 2)
    return [float(value) for value in (log_lik, expected, within, of_mean, median)]


def check() -> None:
    """Hold the formulas to quadrature over what differs between customers."""
    p, q, v, x, mean = map(mp.mpf, ("2.5", "3.25", "12", "3", "21.5"))

    def seen(nu: mp.mpf) -> mp.mpf:
        own = (nu * x) ** (p * x) * mean ** (p * x - 1) * mp.exp(-nu * x * mean) / mp.gamma(p * x)
        return own * v**q * nu ** (q - 1) * mp.exp(-v * nu) / mp.gamma(q)

    ends = [0, 0.05, 0.2, 0.5, 1, 3, mp.inf]
    lik = mp.quad(seen, ends)
    first = mp.quad(lambda nu: seen(nu) * p / nu, ends) / lik
    second = mp.quad(lambda nu: seen(nu) * (p / nu) ** 2, ends) / lik
    within = mp.quad(lambda nu: seen(nu) * p / nu**2, ends) / lik
    got = gamma_gamma(*map(float, (p, q, v, x, mean)))
    below = mp.quad(seen, [p / mp.mpf(got[4]), 0.5, 1, 3, mp.inf]) / lik
    wanted = [mp.log(lik), first, within, second - first**2, mp.mpf("0.5")]
    for value, want in zip([*got[:4], below], wanted, strict=True):
        assert abs(value / want - 1) < 1e-14, (value, want)  # noqa: S101

    m, tau, sigma = map(mp.mpf, ("3.1", "0.8", "0.6"))
    logs = [mp.mpf(value) for value in ("2.5", "3.75", "4.25", "2")]
    x, y = len(logs), sum(logs) / len(logs)
    s = mp.sqrt(sum((log - y) ** 2 for log in logs) / (x - 1))

    def normal(value: mp.mpf, mean: mp.mpf, sd: mp.mpf) -> mp.mpf:
        return mp.exp(-(((value - mean) / sd) ** 2) / 2) / (sd * mp.sqrt(2 * mp.pi))

    def seen_logs(mu: mp.mpf) -> mp.mpf:
        return normal(mu, m, tau) * mp.fprod(normal(log, mu, sigma) for log in logs)

    ends = [-6, 0, 2, 3, 4, 6, 12]
    lik = mp.quad(seen_logs, ends)
    own = lambda mu: mp.exp(mu + sigma**2 / 2)  # noqa: E731
    first = mp.quad(lambda mu: seen_logs(mu) * own(mu), ends) / lik
    second = mp.quad(lambda mu: seen_logs(mu) * own(mu) ** 2, ends) / lik
    within = second * mp.expm1(sigma**2)
    got = log_normal(*map(float, (m, tau, sigma, x, y, s)))
    half = mp.quad(seen_logs, [-6, 0, 2, mp.log(mp.mpf(got[4])) - sigma**2 / 2]) / lik
    wanted = [mp.log(lik), first, within, second - first**2, mp.mpf("0.5")]
    for value, want in zip([*got[:4], half], wanted, strict=True):
        assert abs(value / want - 1) < 1e-13, (value, want)  # noqa: S101


def gamma_gamma_rows(draw: random.Random) -> list[tuple[float, ...]]:
    """Return parameters and rows: usual ones, cancelling shapes, the published traps."""
    scale = lambda low, high: 10 ** draw.uniform(low, high)  # noqa: E731
    rows = []
    for index in range(5200):
        p, q, v = scale(-1.3, 1.7), scale(-1.3, 1.5), scale(-1, 4)
        x = float(draw.choice([0, 1, 1, 2, 3, draw.randint(4, 60), int(scale(1, 3.3))]))
        if index % 8 == 0 and x > 0:
            p = draw.uniform(0.05, 1.9) / x
            q = draw.choice([1, 2]) - p * x + draw.choice([-1, 1]) * scale(-12, -1)
        if index % 8 == 1:
            q = draw.choice([1.0, 2.0]) + draw.choice([-1, 0, 1]) * scale(-14, -2)
        if q <= 0.02:
            q = draw.uniform(0.05, 3)
        mean = p * v / q * scale(-2, 2) if x > 0 else 0.0
        rows.append((p, q, v, x, mean))
    rows += [(6.25, 0.8, 15.44, 0.0, 0.0), (6.25, 1.0, 15.44, 3.0, 30.0)]
    rows += [(6.25, 3.74, 15.44, 10000.0, 35.0), (0.5, 0.3, 2e-9, 1.0, 1e12)]
    return rows


def log_normal_rows(draw: random.Random) -> list[tuple[float, ...]]:
    """Return parameters and rows, from no spread at all to eight orders of it."""
    scale = lambda low, high: 10 ** draw.uniform(low, high)  # noqa: E731
    rows = []
    for index in range(5200):
        m, tau, sigma = draw.uniform(-6, 12), scale(-2, 0.5), scale(-2, 0.5)
        if index % 8 == 0:
            tau, sigma = scale(-9, 0.6), scale(-9, 0.6)
        x = float(draw.choice([0, 1, 1, 2, 3, draw.randint(4, 60), int(scale(1, 9))]))
        y = m + draw.gauss(0, 2) if x > 0 else 0.0
        s = sigma * scale(-1, 0.5) if x > 1 else 0.0
        rows.append((m, tau, sigma, x, y, s))
    rows += [(3.0, 1e-300, 0.5, 4.0, 5.0, 0.5), (3.0, 0.5, 1e-150, 4.0, 5.0, 1e-150)]
    return rows


def main() -> None:
    """Write both tables."""
    check()
    draw = random.Random(7)
    tables = [
        ("gamma_gamma", gamma_gamma, gamma_gamma_rows(draw)),
        ("log_normal_spend", log_normal, log_normal_rows(draw)),
    ]
    for name, answers, rows in tables:
        out = bytearray()
        for row in rows:
            values = [*row, *answers(*row)]
            out += struct.pack(f"<{len(values)}d", *values)
        (HERE / f"{name}_reference.bin").write_bytes(out)
        print(name, len(rows), len(out))


main()
