# ruff: noqa: INP001, PLR0913, PLR0917, S311 - a script of formulas in the symbols of the paper
"""Writes the BG/NBD reference tables beside this file with mpmath at 60 digits and more.

Every formula here is the textbook one (Fader, Hardie & Lee 2005, equations 6 and 10), with its
1/(a-1) and its 2F1; the crate uses other forms. Removable poles (a = 1, a + b + x = 1) are stepped
around by 1e-45 at 160 digits.
"""

import csv
import random
from pathlib import Path
from typing import Any

import mpmath as mp

Number = Any  # mpmath is untyped
POLE = 1
HERE = Path(__file__).parent
TRAPS = [
    # r, alpha, a, b, x, t_x, T, t
    ("0.243", "4.414", "0.793", "2.426", 2, "30.43", "38.86", "39"),
    ("0.243", "4.414", "1", "2.426", 2, "30.43", "38.86", "39"),
    ("0.243", "4.414", "1.000000001", "2.426", 2, "30.43", "38.86", "39"),
    ("0.11", "2.24", "0.31", "0.5", 0, "0", "1", "30"),
    ("0.11", "2.24", "0.5", "0.5", 0, "0", "1", "30"),
    ("0.243", "4.414", "0.793", "2.426", 2000, "99", "100", "50"),
    ("0.243", "4.414", "0.793", "2.426", 2, "30.43", "38.86", "1e-9"),
    ("0.243", "4.414", "1e-10", "0.001", 5, "30", "38", "10"),
    ("0.243", "4.414", "150", "2", 3000, "358", "360", "30"),
    ("0.0109", "13.52", "0.001", "0.039", 0, "0", "20", "30"),
    (
        "1.66383229381802",
        "46.2514511353415",
        "2.50239975943212",
        "2.96628746369975",
        438,
        "19.0062860751915",
        "20.62950442148",
        "484.18060341218",
    ),
    ("0.243", "4.414", "0.793", "2.426", 0, "0", "0", "1e6"),
    ("0.243", "4.414", "0.793", "2.426", 1, "0.1", "0.1", "1e7"),
    ("0.243", "4.414", "0.793", "2.426", 10000, "99.99", "100", "52"),
    ("3", "0.01", "0.2", "0.3", 0, "0", "0", "1000"),
    ("20", "3", "30", "40", 25, "9", "10", "500"),
]


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """Draw a number of 12 digits, uniform on the logarithm."""
    return float(f"{low * (high / low) ** rng.random():.12g}")


def random_case(rng: random.Random) -> tuple[float, ...]:
    """Draw parameters, a customer and a horizon."""
    x = rng.choice(
        [0, 0, 1, 1, 2, 3, 4, 6, 9, 15, 31, 32, 63, 64, 120, 400, rng.randrange(0, 1000)]
    )
    age = log_uniform(rng, 0.5, 2000)
    recency = 0.0 if x == 0 else float(f"{age * (1 - rng.random() ** 2 * 0.5):.12g}")
    usual = rng.random() < 0.9  # noqa: PLR2004
    horizon = log_uniform(rng, 1e-3, 2000) if usual else log_uniform(rng, 1e-9, 1e6)
    shape = [log_uniform(rng, 0.05, 5), log_uniform(rng, 0.5, 300), log_uniform(rng, 0.05, 5)]
    if rng.random() < 0.1:  # noqa: PLR2004
        shape[2] = float(rng.choice([1, 2, 3]))
    return (*shape, log_uniform(rng, 0.05, 20), x, recency, age, horizon)


def lapsed_odds(
    r: Number, alpha: Number, a: Number, b: Number, x: Number, t_x: Number, age: Number
) -> Number:
    """Odds of having left by the end of observation."""
    if x == 0:
        return mp.mpf(0)
    return a / (b + x - 1) * ((alpha + age) / (alpha + t_x)) ** (r + x)


def expected(
    r: Number, alpha: Number, a: Number, b: Number, x: Number, t_x: Number, age: Number, t: Number
) -> Number:
    """Equation 10."""
    odds = lapsed_odds(r, alpha, a, b, x, t_x, age)
    if POLE in {a, a + b + x}:
        a += mp.mpf("1e-45")
    front = (a + b + x - 1) / (a - 1)
    ratio = ((alpha + age) / (alpha + age + t)) ** (r + x)
    tail = mp.hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + age + t))
    return front * (1 - ratio * tail) / (1 + odds)


def log_lik(
    r: Number, alpha: Number, a: Number, b: Number, x: Number, t_x: Number, age: Number
) -> Number:
    """Logarithm of equation 6."""
    value = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha)
    value += mp.loggamma(a + b) + mp.loggamma(b + x) - mp.loggamma(b) - mp.loggamma(a + b + x)
    odds = lapsed_odds(r, alpha, a, b, x, t_x, age)
    return value - (r + x) * mp.log(alpha + age) + mp.log1p(odds)


def rate(
    r: Number, alpha: Number, a: Number, b: Number, x: Number, age: Number, s: Number
) -> Number:
    """Purchases per period at T + s of a customer alive at T."""
    end = alpha + age
    return (r + x) / end * mp.hyp2f1(r + x + 1, a, a + b + x, -s / end)


def discounted(
    r: Number,
    alpha: Number,
    a: Number,
    b: Number,
    x: Number,
    t_x: Number,
    age: Number,
    t: Number,
    delta: Number,
) -> Number:
    """Discounted purchases by quadrature of their rate."""
    end = alpha + age
    stop = mp.log1p(t / end)
    panels = [stop * k / 6 for k in range(7)]

    def inner(v: Number) -> Number:
        s = end * mp.expm1(v)
        return mp.exp(-delta * s) * rate(r, alpha, a, b, x, age, s) * end * mp.exp(v)

    return mp.quad(inner, panels) / (1 + lapsed_odds(r, alpha, a, b, x, t_x, age))


def text(value: Number) -> str:
    """Twenty digits."""
    return mp.nstr(value, 20, min_fixed=0, max_fixed=0)


def write(name: str, columns: str, rows: list[list[Any]]) -> None:
    """Write one table beside this file."""
    with (HERE / name).open("w", newline="") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(columns.split())
        table.writerows(rows)


def write_forecasts() -> None:
    """Write forecasts, P(alive) and log-likelihoods."""
    rng = random.Random(20050501)
    cases = TRAPS + [random_case(rng) for _ in range(584)]
    mp.mp.dps = 160
    rows = []
    for case in cases:
        args = [mp.mpf(float(v)) for v in case]
        alive = 1 / (1 + lapsed_odds(*args[:7]))
        rows.append([*case, text(expected(*args)), text(alive), text(log_lik(*args[:7]))])
    write("bg_nbd_reference.csv", "r alpha a b x t_x T t expected p_alive log_lik", rows)


def write_discounted() -> None:
    """Write discounted purchases."""
    rng = random.Random(7)
    mp.mp.dps = 30
    rows = []
    for index in range(120):
        case = random_case(rng)
        case = (*case[:7], log_uniform(rng, 0.5, 2000))
        delta = log_uniform(rng, 1e-5, 0.05) if index % 8 else log_uniform(rng, 0.05, 2)
        args = [mp.mpf(v) for v in (*case, delta)]
        rows.append([*case, delta, text(discounted(*args))])
    write("bg_nbd_discounted.csv", "r alpha a b x t_x T t delta discounted", rows)


if __name__ == "__main__":
    write_forecasts()
    write_discounted()
