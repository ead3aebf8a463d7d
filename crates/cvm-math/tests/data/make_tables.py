"""Make the reference tables of cvm-math's accuracy tests with mpmath (60 digits and more).

Every record is little-endian: the arguments as doubles, the value rounded to a double, and the
rest ``(exact - rounded) / ulp(rounded)`` as a float32, so an error can be measured to a small
fraction of an ulp. Records of ``hyp2f1`` hold a, b, c, z, 1-z, then ln|F| in that form with the
sign of F as one more float32 at the end.

    python -m pip install mpmath gmpy2
    python make_tables.py [name ...]
"""
# A script of samples and formulas:
# ruff: noqa: ANN001, ANN201, ANN202, D103, D401, INP001, PERF401, PLR2004, RUF005, S311, T201

import math
import random
import struct
import sys
from pathlib import Path

from mpmath import mp, mpf

HERE = Path(__file__).parent
mp.dps = 60
INF = float("inf")


def ulp(x):
    """Spacing of doubles just above |x| within its binade."""
    return math.ulp(x) if math.isfinite(x) else INF


def rounded(value):
    """The double nearest to an mpf, subnormal and infinite included."""
    if mp.isinf(value):
        return float(value)
    if abs(value) >= mpf(2) ** 1024 * (1 - mpf(2) ** -54):
        return math.copysign(INF, value)
    if abs(value) < mpf(2) ** -1022:
        return math.ldexp(float(mp.nint(value * mpf(2) ** 1074)), -1074)
    return float(value)


def pack_value(value):
    """The value as a double and the rest in ulp."""
    hi = rounded(value)
    rest = float((value - mpf(hi)) / mpf(ulp(hi))) if math.isfinite(hi) else 0.0
    return struct.pack("<df", hi, rest)


def write(name, records):
    """Write ``(arguments, value)`` records."""
    data = b"".join(
        struct.pack(f"<{len(args)}d", *args) + pack_value(value) for args, value in records
    )
    (HERE / f"{name}.bin").write_bytes(data)
    print(f"{name}: {len(records)} records, {len(data)} bytes", flush=True)


def log_uniform(rng, lo, hi):
    """A number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(lo), math.log(hi)))


def any_double(rng):
    """A positive finite double with uniform bits: every exponent, subnormal included."""
    return struct.unpack("<d", struct.pack("<Q", rng.randrange(1, 0x7FF0000000000000)))[0]


def around(rng, centre, count):
    """Doubles near a point at all distances."""
    out = [centre]
    for _ in range(count):
        out.append(centre + rng.choice([-1, 1]) * log_uniform(rng, 1e-17, 0.3))
    return out


def signed(rng, lo, hi, count):
    """Numbers of either sign with log-uniform size."""
    return [rng.choice([-1, 1]) * log_uniform(rng, lo, hi) for _ in range(count)]


def make_ln(rng):
    xs = [any_double(rng) for _ in range(500)] + around(rng, 1.0, 500)
    xs += [rng.uniform(0.6, 1.6) for _ in range(500)] + [
        log_uniform(rng, 1e-6, 1e6) for _ in range(400)
    ]
    xs += [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]
    xs += [
        m * math.sqrt(2) * 2.0**k for k in (-1, 0, 3) for m in (1 - 1e-9, 1.0, 1 + 1e-9, 1 - 3e-7)
    ]
    return [((x,), mp.log(mpf(x))) for x in xs]


def make_exp(rng):
    xs = [rng.uniform(-745.2, 709.8) for _ in range(700)] + signed(rng, 1e-18, 50, 700)
    xs += [rng.uniform(-745.2, -707) for _ in range(150)] + [rng.uniform(-2, 2) for _ in range(400)]
    xs += [k * math.log(2) / 2 + e for k in range(-40, 41) for e in (0.0, 1e-13)]
    xs += [0.0, 709.782712893384, 709.7827128933841, -745.1332191019411, -745.1332191019412, 5e-324]
    return [((x,), mp.exp(mpf(x))) for x in xs]


def make_log1p(rng):
    xs = signed(rng, 1e-18, 0.999999, 900) + [any_double(rng) for _ in range(300)]
    xs += [rng.uniform(-0.999, 3) for _ in range(500)] + [
        -1 + log_uniform(rng, 1e-16, 1e-1) for _ in range(200)
    ]
    xs += [log_uniform(rng, 1e-3, 1e18) for _ in range(300)]
    xs += [math.sqrt(0.5) - 1 + e for e in (-1e-12, 0.0, 1e-12)] + [
        math.sqrt(2) - 1 + e for e in (-1e-12, 0.0, 1e-12)
    ]
    return [((x,), mp.log1p(mpf(x))) for x in xs if x > -1]


def make_expm1(rng):
    xs = signed(rng, 1e-18, 50, 900) + [rng.uniform(-2, 2) for _ in range(800)]
    xs += [rng.uniform(-60, 709.8) for _ in range(400)] + [
        any_double(rng) * 1e-300 for _ in range(50)
    ]
    xs += [k * math.log(2) / 2 + e for k in range(-20, 21) for e in (-1e-14, 1e-13)]
    xs += [709.782712893384, 1e-310, -1e-310]
    return [((x,), mp.expm1(mpf(x))) for x in xs]


def make_pow(rng):
    pairs = [(log_uniform(rng, 1e-3, 1e3), rng.uniform(-20, 20)) for _ in range(500)]
    for _ in range(900):  # |y ln x| near the limits
        x = rng.choice(
            [
                any_double(rng),
                log_uniform(rng, 0.5, 2),
                1 + rng.choice([-1, 1]) * log_uniform(rng, 1e-14, 0.2),
            ]
        )
        if x != 1.0:
            pairs.append(
                (x, rng.choice([rng.uniform(690, 709.7), -rng.uniform(690, 744)]) / math.log(x))
            )
    pairs += [(log_uniform(rng, 1e-2, 1e5), -log_uniform(rng, 1e-2, 1e3)) for _ in range(500)]
    pairs += [(any_double(rng), rng.uniform(-1, 1)) for _ in range(300)]
    pairs += [
        (
            1 + rng.choice([-1, 1]) * log_uniform(rng, 1e-16, 1e-3),
            rng.choice([-1, 1]) * log_uniform(rng, 1, 1e17),
        )
        for _ in range(300)
    ]
    pairs += [(float(rng.randrange(2, 30)), float(rng.randrange(-9, 12))) for _ in range(150)]
    pairs += [
        (-float(rng.randrange(1, 3000)) / 8, float(rng.randrange(-30, 31))) for _ in range(100)
    ]
    pairs += [
        (5e-324, 0.5),
        (5e-324, -0.9),
        (1.7976931348623157e308, 0.999999),
        (0.9999999999999999, 6.7e18),
    ]
    out = []
    for x, y in pairs:
        value = mp.power(mpf(abs(x)), mpf(y))
        if x < 0 and int(y) % 2:
            value = -value
        out.append(((x, y), value))
    return out


def make_log_add_exp(rng):
    pairs = [(rng.uniform(-700, 700), rng.uniform(-700, 700)) for _ in range(300)]
    for _ in range(1200):
        x = rng.choice([-1, 1]) * log_uniform(rng, 1e-3, 1e4)
        pairs.append((x, x + rng.choice([-1, 1]) * log_uniform(rng, 1e-17, 60)))
    for _ in range(500):  # around the zero e^x + e^y = 1
        x = -log_uniform(rng, 1e-9, 40)
        y = float(mp.log(-mp.expm1(mpf(x)))) + rng.choice([0, 1, -1]) * log_uniform(rng, 1e-12, 0.1)
        pairs.append((x, y))
    pairs += [(1e300, -1e300), (-1e5, -1e5), (3.0, 3.0), (0.0, 0.0), (-745.0, -744.0)]
    out = []
    for x, y in pairs:
        top, low = max(x, y), min(x, y)
        out.append(((x, y), mpf(top) + mp.log1p(mp.exp(mpf(low) - mpf(top)))))
    return out


def make_sigmoid(rng):
    xs = [rng.uniform(-45, 45) for _ in range(700)] + signed(rng, 1e-17, 40, 500)
    xs += [rng.uniform(-745, -30) for _ in range(300)] + [0.0, 800.0, -745.1]
    return [((x,), 1 / (1 + mp.exp(-mpf(x)))) for x in xs]


def make_softplus(rng):
    xs = [rng.uniform(-45, 45) for _ in range(700)] + signed(rng, 1e-17, 40, 500)
    xs += [rng.uniform(-745, -30) for _ in range(300)] + [0.0, 800.0, 1e300, -745.1]
    return [((x,), mp.log1p(mp.exp(mpf(x)))) for x in xs]


def gamma_arguments(rng):
    """Arguments common to the gamma family: everywhere, breakpoints, neighbourhoods of 1 and 2."""
    xs = [log_uniform(rng, 1e-6, 1e6) for _ in range(700)] + [
        rng.uniform(0, 12) for _ in range(700)
    ]
    xs += around(rng, 1.0, 150) + around(rng, 2.0, 150) + [any_double(rng) for _ in range(200)]
    for b in (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0):
        xs += [b, math.nextafter(b, 0), math.nextafter(b, 99)]
    return xs


def make_ln_gamma(rng):
    xs = gamma_arguments(rng) + [2.5e305, 2.55e305, 5e-324, 1e-310]
    xs += [-log_uniform(rng, 1e-6, 160) for _ in range(200)]
    return [
        ((x,), mp.log(abs(mp.gamma(mpf(x)))) if x < 0 else mp.loggamma(mpf(x)))
        for x in xs
        if x != math.floor(x) or x > 0
    ]


def make_digamma(rng):
    xs = gamma_arguments(rng) + around(rng, 1.4616321449683623, 200) + [1e-308, 1e-307]
    xs += [-log_uniform(rng, 1e-6, 160) for _ in range(200)]
    return [((x,), digamma_exact(x)) for x in xs if x != math.floor(x) or x > 0]


def digamma_exact(x):
    """psi(x): by its asymptotic series where mpmath is slow."""
    return mp.psi(0, mpf(x)) if abs(x) < 1e40 else mp.log(mpf(x)) - 1 / (2 * mpf(x))


def make_trigamma(rng):
    xs = gamma_arguments(rng) + [1e-160, 1e-150, 7.5e-155]
    xs += [-log_uniform(rng, 1e-6, 160) for _ in range(100)]
    out = []
    for x in xs:
        if x > 0 or x != math.floor(x):
            v = mpf(x)
            value = mp.psi(1, v) if x < 1e40 else 1 / v + 1 / (2 * v * v)
            out.append(((x,), value))
    return out


def make_ln_beta(rng):
    pairs = [(log_uniform(rng, 1e-2, 1e5), log_uniform(rng, 1e-2, 1e5)) for _ in range(1200)]
    pairs += [(log_uniform(rng, 1e-10, 1e-1), log_uniform(rng, 1, 1e10)) for _ in range(300)]
    pairs += [(log_uniform(rng, 0.01, 9), log_uniform(rng, 0.01, 9)) for _ in range(500)]
    pairs += [(log_uniform(rng, 1, 1e15), log_uniform(rng, 1, 1e15)) for _ in range(300)]
    pairs += [(any_double(rng), any_double(rng)) for _ in range(100)]
    pairs += [
        (45308.0, 0.16),
        (1.0, 1.0),
        (1e-300, 1e300),
        (8.0, 8.0),
        (7.999999, 8.0),
        (800.0, 3000.0),
    ]
    out = []
    for a, b in pairs:
        mp.dps = 80 + int(abs(math.log10(a))) + int(abs(math.log10(b)))
        out.append(
            ((a, b), mp.loggamma(mpf(a)) + mp.loggamma(mpf(b)) - mp.loggamma(mpf(a) + mpf(b)))
        )
        mp.dps = 60
    return out


def hyp_arguments(rng):
    """(a, b, c, z, 1-z) as the purchase models use them, with traps."""
    out = []

    def add(a, b, c, z, omz=None):
        out.append((a, b, c, z, 1 - z if omz is None else omz))

    def near_one():
        omz = log_uniform(rng, 1e-12, 0.5)
        return 1 - omz, omz

    for _ in range(1500):  # BG/NBD: F(r+x, b+x; a+b+x-1; t/(alpha+T+t))
        r, a, b = (log_uniform(rng, 0.05, 5) for _ in range(3))
        b *= 4
        x = rng.choice([0, 0, 1, 2, rng.randrange(0, 30), rng.randrange(0, 1000)])
        alpha, total, t = (
            log_uniform(rng, 0.5, 300),
            log_uniform(rng, 5, 2000),
            log_uniform(rng, 0.5, 2000),
        )
        bottom = alpha + total + t
        add(r + x, b + x, a + b + x - 1, t / bottom, (alpha + total) / bottom)
    for _ in range(500):  # the same, wider: large r, tiny b, c just above and below zero
        r, a, b = (
            log_uniform(rng, 0.01, 200),
            log_uniform(rng, 0.001, 50),
            log_uniform(rng, 0.01, 300),
        )
        x = rng.choice([0, 0, 1, int(log_uniform(rng, 1, 10000))])
        z, omz = near_one() if rng.random() < 0.4 else (rng.random(), None)
        add(r + x, b + x, a + b + x - 1, z, omz)
    for _ in range(900):  # Pareto/NBD: F(r+s+x, s+1 or r+x; r+s+x+1; z)
        r, s = log_uniform(rng, 0.05, 5), log_uniform(rng, 0.05, 5)
        x = rng.choice([0, 1, 2, rng.randrange(0, 30), rng.randrange(0, 1000)])
        z, omz = near_one() if rng.random() < 0.5 else (rng.random(), None)
        add(r + s + x, rng.choice([s + 1, r + x]), r + s + x + 1, z, omz)
    for _ in range(300):  # negative arguments
        r, s = log_uniform(rng, 0.05, 5), log_uniform(rng, 0.05, 5)
        z = -log_uniform(rng, 1e-6, 1e6)
        add(r + s + rng.randrange(0, 50), s + 1, r + s + rng.randrange(1, 60), z)
    for _ in range(200):  # z = 1 where the series converges, and small z
        a, b = log_uniform(rng, 0.05, 20), log_uniform(rng, 0.05, 20)
        add(a, b, a + b + log_uniform(rng, 0.05, 20), 1.0, 0.0)
        add(a, b, log_uniform(rng, 0.01, 20), log_uniform(rng, 1e-12, 0.1))
    traps = [
        (
            2.7308828517755 + 0.537396964002445 + 388,
            2.7308828517755 + 388,
            2.7308828517755 + 0.537396964002445 + 389,
            (46.4538038132067 - 1.54854255673816) / (46.4538038132067 + 5.00981521176025),
        ),
        (
            1.66383229381802 + 438,
            2.96628746369975 + 438,
            2.50239975943212 + 2.96628746369975 + 437,
            484.18060341218 / (46.2514511353415 + 20.62950442148 + 484.18060341218),
        ),
        (2000.243, 2002.426, 0.793 + 2.426 + 1999, 50 / (4.414 + 100 + 50)),
        (0.11, 0.5, 0.31 + 0.5 - 1, 30 / (2.24 + 1 + 30)),
        (2.243, 4.426, 1 + 2.426 + 1, 39 / (4.414 + 38.86 + 39)),
        (0.243, 0.3, 0.7 + 0.3 - 1 + 1e-13, 0.5),
        (0.243, 0.3, 1e-300, 0.5),
        (2.243, 4.426, 4.219, 1e-9 / (4.414 + 38.86)),
        (10000.3, 10002.4, 10002.2, 0.5),
        (10000.3, 10002.4, 10002.2, 0.999),
        (1.5, 2.0, 3.5, 0.999999999),
        (1.0, 1.0, 2.0, 0.99999),
    ]
    for trap in traps:
        add(*trap)
    for omz in (1e-7 / 150, 1e-15, 1e-16, 1e-30, 1e-100):
        add(0.7, 1.3, 1.7, 1 - omz, omz)
        add(0.7, 0.4, 1.7, 1 - omz, omz)
        add(40.7, 40.4, 41.7, 1 - omz, omz)
    return [p for p in out if p[2] > 0 or p[2] != math.floor(p[2])]


def hyp_exact(a, b, c, z, omz):
    """2F1 at the exact point: z itself up to 1/2, one less 1-z beyond."""
    mp.dps = 60
    a, b, c = mpf(a), mpf(b), mpf(c)
    mp.dps = 60 + (int(-math.log10(omz)) + 5 if 0 < omz < 1e-10 else 0)
    point = mpf(z) if z <= 0.5 else 1 - mpf(omz)
    shrink = c - a - b
    if point > 0 and min(abs(c - a), abs(c - b)) < min(a, b) and point != 1:
        value = mp.hyp2f1(c - a, c - b, c, point, maxterms=10**6, maxprec=20000)
        return value, shrink * mp.log(1 - point)
    return mp.hyp2f1(a, b, c, point, maxterms=10**6, maxprec=20000), mpf(0)


def make_hyp2f1():
    rng = random.Random(20250205)
    data = []
    skipped = 0
    for args in hyp_arguments(rng):
        try:
            value, log_scale = hyp_exact(*args)
        except (mp.NoConvergence, ValueError):
            skipped += 1
            continue
        if value == 0 or mp.isinf(value) or mp.isnan(value):
            skipped += 1
            continue
        log_size = mp.log(abs(value)) + log_scale
        data.append(
            struct.pack("<5d", *args)
            + pack_value(log_size)
            + struct.pack("<f", 1.0 if value > 0 else -1.0)
        )
    mp.dps = 60
    (HERE / "hyp2f1.bin").write_bytes(b"".join(data))
    print(f"hyp2f1: {len(data)} records, {skipped} skipped", flush=True)


MAKERS = {
    name.removeprefix("make_"): maker
    for name, maker in list(globals().items())
    if name.startswith("make_") and name != "make_hyp2f1"
}


def main():
    """Write the tables named on the command line, or all of them."""
    names = sys.argv[1:] or [*MAKERS, "hyp2f1"]
    for name in names:
        if name == "hyp2f1":
            make_hyp2f1()
        else:
            write(name, MAKERS[name](random.Random(name)))


if __name__ == "__main__":
    main()
