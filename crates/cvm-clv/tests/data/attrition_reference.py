"""Make pareto_nbd_reference.bin and ggompertz_nbd_reference.bin with python-flint (Arb).

Ball arithmetic: every value is proven to 18 digits or the script stops. A record is 17 doubles,
little-endian: r, alpha, b, s, beta, x, t_x, T, t, n, delta (b is 0 for the Pareto/NBD), then
log-likelihood, ln P(alive), and given alive at T: expected purchases, ln P(X(t) = n),
ln P(X(t) >= n), discounted purchases. Pareto/NBD likelihoods come from the hypergeometric form of
Fader & Hardie (2005, note 009), so nothing here is summed as the models sum it; the others are
rigorous integrals from first principles.

    python -m pip install python-flint
    python attrition_reference.py
"""
# A script of samples and formulas:
# ruff: noqa: ANN001, ANN201, ANN202, ANN204, D102, D103, D401, FBT003, INP001, PLR2004, RUF005
# ruff: noqa: RUF007, S311, SIM300, T201

import math
import random
import struct
import sys
from multiprocessing import Pool
from pathlib import Path

from flint import acb, arb, ctx

HERE = Path(__file__).parent
BITS = 100
DIGITS_BITS = 60

# r, alpha, s, beta, x, t_x, T, t, n, delta: published parameters, then cases on which other
# implementations return NaN, infinity or wrong numbers.
CDNOW = (0.553, 10.578, 0.606, 11.669)
TRAPS = [
    (*CDNOW, 2, 30.43, 38.86, 39, 1, 0.0027),
    (*CDNOW, 26, 30.86, 31, 52, 20, 0.0027),
    (0.553, 10.578, 1, 11.669, 2, 30.43, 38.86, 39, 2, 0.0027),
    (0.553, 10.578, 1 + 1e-9, 11.669, 2, 30.43, 38.86, 39, 2, 0.0027),
    (0.553, 11, 0.606, 11, 2, 30.43, 38.86, 39, 2, 0.0027),
    (*CDNOW, 2, 38.86, 38.86, 39, 2, 0.0027),
    (*CDNOW, 3, 38.859999999999, 38.86, 39, 3, 0.0027),
    (*CDNOW, 2000, 99, 100, 10, 200, 0.0027),
    (*CDNOW, 10000, 99, 100, 10, 900, 0.0027),
    (0.4, 150, 0.3, 1e-7, 0, 0, 52, 10, 1, 0.0027),
    (0.4, 1e-7, 0.3, 150, 40, 1, 52, 10, 7, 0.0027),
    (0.55, 10.58, 2, 11.66, 2, 30, 38, 1e9, 3, 0.0027),
    (0.55, 10.58, 3, 11.66, 2, 30, 38, 1e-9, 1, 2.5),
    (0.55, 10.58, 0.61, 11.67, 132, 200, 200, 10, 6, 0.01),
    (0.55, 10.58, 0.61, 11.67, 133, 200, 200, 10, 6, 0.01),
    (0.553, 10.578, 0.606, 11.669, 600, 51.9, 52, 13, 170, 0.01),
    (
        2.7308828517755,
        1.54854255673816,
        0.537396964002445,
        46.4538038132067,
        388,
        4.88391008193515,
        5.00981521176025,
        3,
        100,
        0.01,
    ),
    (0.5143, 2.8845, 0.2856, 14.1087, 254, 97.14286, 97.28571, 52, 130, 0.002),
    (*CDNOW, 0, 0, 0, 39, 0, 0.0027),
    (*CDNOW, 0, 0, 39, 39, 300, 0.0027),
]


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def random_case(rng):
    """Parameters and a row over the domain of real data and well beyond."""
    age = log_uniform(rng, 1, 2000)
    x = rng.choice([0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 7, 12, 20, 40, 60, 127, 128, 400])
    if rng.random() < 0.03:
        x = rng.choice([1500, 4000, 10000])
    recency = (
        0.0 if x == 0 else age * rng.choice([rng.random(), 1 - 10 ** rng.uniform(-9, -1), 1.0])
    )
    r, s = log_uniform(rng, 0.05, 5), log_uniform(rng, 0.05, 5)
    alpha, beta = log_uniform(rng, 0.05, 300), log_uniform(rng, 0.05, 300)
    if rng.random() < 0.1:
        s = float(rng.choice([1, 2, 3]))
    if rng.random() < 0.05:
        beta = alpha
    if rng.random() < 0.05:
        r, s = log_uniform(rng, 5, 200), log_uniform(rng, 5, 200)
    t = log_uniform(rng, 1e-6, 3000)
    mean = (r + x) / (alpha + age) * t
    n = max(0, round(mean * rng.choice([0, 0.5, 1, 1, 2, 5]) + rng.choice([0, 1, 2])))
    most = 5000 if rng.random() < 0.05 else 150
    return (r, alpha, s, beta, x, recency, age, t, min(n, most), log_uniform(rng, 1e-5, 1))


def certain(value, what):
    """The real part as a double, if 18 digits are proven."""
    real = value.real if isinstance(value, acb) else value
    if not real.is_finite() or real.rel_accuracy_bits() < DIGITS_BITS:
        message = f"{what}: {real}"
        raise ArithmeticError(message)
    return float(real.mid())


def integral(function, low, high):
    """A rigorous integral of a positive function whose argument is ``exp`` of the variable."""
    return acb.integral(
        function,
        low,
        high,
        rel_tol=arb(2) ** (20 - ctx.prec),
        abs_tol=arb(2) ** -100000,
        eval_limit=10**6,
        depth_limit=10**5,
    )


class Law:
    """Lifetime of one alive at a moment."""

    def __init__(self, b, s, scale):
        self.b, self.s, self.scale = b, s, scale

    def aged(self, t):
        if self.b == 0:
            return Law(self.b, self.s, self.scale + t)
        kept = (-self.b * t).exp()
        return Law(self.b, self.s, self.scale * kept + (1 - kept) / self.b)

    def log_m(self, u, analytic):
        grown = u if self.b == 0 else ((self.b * u).exp() - 1) / self.b
        return (1 + acb(grown) / self.scale).log(analytic=analytic)

    def log_density(self, u, analytic):
        return (self.s / self.scale).log() + self.b * u - (self.s + 1) * self.log_m(u, analytic)


def left_over_stayed(shape, scale, law, h):
    """Odds of having left after ``h`` of silence: an integral in u = scale * (e^v - 1)."""
    unit = min([scale, law.scale], key=float)

    def inner(v, analytic):
        grown = v.exp()
        u = unit * (grown - 1)
        log = -shape * (1 + u / scale).log(analytic=analytic) + law.log_density(u, analytic)
        return (log + v).exp() * unit

    left = integral(inner, 0, (1 + h / unit).log())
    stayed = -shape * (1 + h / scale).log() - law.s * law.log_m(h, False).real
    return left.real, stayed


def ever_leaving(shape, s, alpha, beta, t):
    """Probability of ever leaving silently, given alive at t, by 2F1."""
    z = abs(beta - alpha) / ((alpha + t) if alpha > beta else (beta + t))
    front = s / (shape + s)
    if beta > alpha:
        return front * (1 - z) * one_and(s + 1, shape + s + 1, z)
    return front * one_and(shape, shape + s + 1, z)


def one_and(b, c, z):
    """2F1(1, b; c; z) for b < c and 0 <= z < 1: terms fall by z at least, which bounds the rest."""
    if float(z) > 0.9:
        return z.hypgeom_2f1(1, b, c)
    term, total, n = arb(1), arb(0), 0
    while float(term) > 2.0 ** (-ctx.prec - 10):
        total += term
        term *= z * (b + n) / (c + n)
        n += 1
    rest = term / (1 - z)
    return total + rest / 2 + arb(0, 1) * rest / 2


def pareto_odds(shape, s, alpha, beta, recency, age):
    """The same from hypergeometric functions: left, and ln of stayed, in units of alive at t_x."""
    stayed = -shape * ((alpha + age) / (alpha + recency)).log()
    stayed -= s * ((beta + age) / (beta + recency)).log()
    before = ever_leaving(shape, s, alpha, beta, recency)
    after = ever_leaving(shape, s, alpha, beta, age)
    return before - after * stayed.exp(), stayed


def extent(shape, scale, law, high, n):
    """Where the integrand of `tail` exceeds e^-70 of its peak, in doubles; the peak; its width."""
    b, s, c = float(law.b), float(law.s), float(law.scale)

    def log(v):
        u = scale * math.exp(v)
        if b == 0:
            survival = math.log1p(u / c)
        elif b * u < 500:
            survival = math.log1p(math.expm1(b * u) / (b * c))
        else:
            survival = b * u - math.log(b * c)
        return n * v - (shape + n) * math.log1p(math.exp(v)) - s * survival

    grid = [high - (high + 200) * (k / 1000) ** 2 for k in range(1001)]
    values = [log(v) for v in grid]
    most = max(values)
    top = grid[values.index(most)]
    low = min(v for v, value in zip(grid, values, strict=True) if value > most - 70) - 0.1
    wide = [v for v, value in zip(grid, values, strict=True) if value > most - 1]
    return low, top, max(max(wide) - min(wide), math.sqrt(1 / n + 1 / shape) / 3)


def tail(shape, scale, law, t, n):
    """P(X(t) >= n), by the moment of the n-th purchase; the variable is u/(scale + u) in logs."""
    if n == 0:
        return arb(1)
    front = (shape + n).lgamma() - shape.lgamma() - arb(n).lgamma()

    def inner(v, analytic):
        grown = v.exp()
        u = scale * grown
        log = front - (shape + n) * (1 + grown).log(analytic=analytic) + n * v
        return (log - law.s * law.log_m(u, analytic)).exp()

    high = (t / scale).log()
    low, top, width = extent(float(shape), float(scale), law, float(high), n)
    cuts = [top - 20 * width, top - 6 * width, top, top + 6 * width, top + 20 * width]
    pieces = [arb(low), *(arb(cut) for cut in cuts if low < cut < float(high)), high]
    if BITS < ctx.prec:
        pieces[0] = arb(low - 0.7 * ctx.prec / n)
    return sum(
        (integral(inner, a, b).real for a, b in zip(pieces, pieces[1:], strict=False)), arb(0)
    )


def time_alive(law, t, delta):
    """Discounted time alive."""
    if law.b == 0:
        z = law.scale * delta
        end = z * (1 + t / law.scale)
        whole = z.exp() * z.expint(law.s)
        rest = z.exp() * (1 + t / law.scale) ** (1 - law.s) * end.expint(law.s)
        return law.scale * (whole - rest)
    unit = law.scale

    def inner(v, analytic):
        grown = v.exp()
        u = unit * (grown - 1)
        return unit * (v - delta * u - law.s * law.log_m(u, analytic)).exp()

    return integral(inner, 0, (1 + t / unit).log()).real


def expected(law, t):
    """Time alive without discounting."""
    if law.b == 0:
        log = (1 + t / law.scale).log()
        rest = 1 - law.s
        return law.scale * (log if rest == 0 else (rest * log).expm1() / rest)
    return time_alive(law, t, arb(0))


def record(case, b):
    r, alpha, s, beta, x, recency, age, t, n, delta = (arb(v) for v in case)
    n = int(case[8])
    growth = arb(b)
    law = Law(growth, s, beta if b == 0 else beta / growth)
    shape = r + x
    silence = age - recency
    at_last = law.aged(recency)
    if b == 0:
        left, stayed = pareto_odds(shape, s, alpha, beta, recency, age)
    else:
        left, stayed = left_over_stayed(shape, alpha + recency, at_last, silence)
    log_lik = (r + x).lgamma() - r.lgamma() + r * alpha.log() - shape * (alpha + recency).log()
    log_lik -= s * law.log_m(recency, False).real
    log_lik += (left + stayed.exp()).log()
    at_end = law.aged(age)
    scale = alpha + age
    least, more = tail(shape, scale, at_end, t, n), tail(shape, scale, at_end, t, n + 1)
    values = [
        0.0 if age == 0 else certain(log_lik, "log_lik"),
        0.0 if silence == 0 else certain(-(1 + left / stayed.exp()).log(), "alive"),
        certain(shape / scale * expected(at_end, t), "expected"),
        certain((least - more).log(), "pmf"),
        0.0 if n == 0 else certain(least.log(), "tail"),
        certain(shape / scale * time_alive(at_end, t, delta), "discounted"),
    ]
    row = case[:2] + (b,) + case[2:]
    return struct.pack("<17d", *row, *values)


def with_precision(case, b):
    """A record at the first precision that proves it."""
    for bits in (BITS, 200, 600, 2500):
        ctx.prec = bits
        try:
            return record(case, b)
        except ArithmeticError as problem:
            last = problem
    print("left out", case, b, last, flush=True)
    return None


def make(name, cases):
    with Pool(4) as pool:
        made = pool.starmap(with_precision, cases, chunksize=20)
    records = [record for record in made if record]
    (HERE / name).write_bytes(b"".join(records))
    print(name, len(records), "records", flush=True)


def growths(rng, case):
    """A growth of the hazard, from next to nothing to several per lifetime."""
    return log_uniform(rng, 1e-9, 3) / case[6]


if __name__ == "__main__":
    rng = random.Random(19870101)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    random_cases = [random_case(rng) for _ in range(count)]
    compound = []
    for case in TRAPS + random_cases:
        b = 1e-3 if case[6] == 0 else growths(rng, case)
        # The scale of the paper is b times that of the Pareto law, or anything.
        beta = case[3] * b if rng.random() < 0.6 else log_uniform(rng, 1e-3, 30)
        compound.append(((*case[:3], beta, *case[4:]), b))
    make("ggompertz_nbd_reference.bin", compound)
    make("pareto_nbd_reference.bin", [(case, 0.0) for case in TRAPS + random_cases])
