"""Fit the polynomial coefficients of cvm-math with mpmath.

Each function is interpolated at Chebyshev nodes with 60 digits, which is within a small
factor of the minimax polynomial, and turned into powers of the variable. Run it to print
the Rust constants of ``src/coefficients.rs`` together with the truncation error:

    python -m pip install mpmath
    python fit_polynomials.py > ../../src/coefficients.rs && cargo fmt -p cvm-math
"""
# A script of formulas:
# ruff: noqa: ANN001, ANN201, D403, INP001, T201

from mpmath import cos, euler, exp, findroot, log, loggamma, lu_solve, matrix, mp, mpf, pi, psi

mp.dps = 80

LN2_HALF = log(2) / 2 + mpf("0.001")
S_MAX = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) * mpf("1.001")
SHIFT = mpf(8)


def expm1_tail(r):
    """(e^r - 1 - r - r^2/2) / r^3."""
    if abs(r) < mpf("1e-12"):
        return mpf(1) / 6 + r / 24
    return (exp(r) - 1 - r - r * r / 2) / r**3


def atanh_tail(z):
    """(ln((1+s)/(1-s)) - 2s) / s^3 with z = s^2."""
    if z < mpf("1e-12"):
        return mpf(2) / 3 + z * 2 / 5 + z * z * 2 / 7
    s = mp.sqrt(z)
    return (log((1 + s) / (1 - s)) - 2 * s) / s**3


def atanh_deep_tail(z):
    """(atanh(s)/s - 1 - z/3 - z^2/5) / z^3 with z = s^2."""
    if z < mpf("1e-8"):
        return sum(z**k / (2 * k + 7) for k in range(8))
    s = mp.sqrt(z)
    return (mp.atanh(s) / s - 1 - z / 3 - z * z / 5) / z**3


def ln_gamma_two(t):
    """(lnGamma(2+t)/t - (1 - gamma)) / t."""
    if abs(t) < mpf("1e-12"):
        return psi(1, 2) / 2 + t * psi(2, 2) / 6
    return (loggamma(2 + t) / t - (1 - euler)) / t


def ln_gamma_stirling(z):
    """x * (lnGamma(x) - Stirling's leading terms) with z = 1/x^2."""
    if z < mpf("1e-6"):
        return mpf(1) / 12 - z / 360 + z**2 / 1260 - z**3 / 1680
    x = 1 / mp.sqrt(z)
    return x * (loggamma(x) - ((x - mpf(1) / 2) * log(x) - x + log(2 * pi) / 2))


DIGAMMA_ROOT = findroot(lambda x: psi(0, x), mpf("1.4616"))


def digamma_slope(y):
    """psi(y) / (y - root), the mean slope of psi from its zero."""
    if abs(y - DIGAMMA_ROOT) < mpf("1e-20"):
        return psi(1, DIGAMMA_ROOT)
    return psi(0, y) / (y - DIGAMMA_ROOT)


DIGAMMA_SLOPE = digamma_slope(mpf(3) / 2)


def digamma_near(t):
    """(R(3/2 + t) - R(3/2)) / t with R(y) = psi(y) / (y - root), y in [1, 2]."""
    if abs(t) < mpf("1e-20"):
        return mp.diff(digamma_slope, mpf(3) / 2)
    return (digamma_slope(t + mpf(3) / 2) - DIGAMMA_SLOPE) / t


def digamma_far(z):
    """x^2 * (ln x - 1/(2x) - psi(x)) with z = 1/x^2."""
    if z < mpf("1e-6"):
        return mpf(1) / 12 - z / 120 + z**2 / 252 - z**3 / 240
    x = 1 / mp.sqrt(z)
    return x * x * (log(x) - 1 / (2 * x) - psi(0, x))


def trigamma_far(z):
    """x^3 * (psi'(x) - 1/x - 1/(2x^2)) with z = 1/x^2."""
    if z < mpf("1e-6"):
        return mpf(1) / 6 - z / 30 + z**2 / 42 - z**3 / 30
    x = 1 / mp.sqrt(z)
    return x**3 * (psi(1, x) - 1 / x - 1 / (2 * x * x))


def sin_pi(z):
    """sin(pi r) / r with z = r^2."""
    r = mp.sqrt(z)
    return mp.sinpi(r) / r if z > mpf("1e-30") else pi


def cos_pi(z):
    """(cos(pi r) - 1) / r^2 with z = r^2."""
    r = mp.sqrt(z)
    return (mp.cospi(r) - 1) / z if z > mpf("1e-30") else -pi * pi / 2


def fit(f, lo, hi, count):
    """Coefficients of the polynomial with `count` terms through Chebyshev nodes."""
    lo, hi = mpf(lo), mpf(hi)
    nodes = [
        (lo + hi) / 2 + (hi - lo) / 2 * cos(pi * (2 * k + 1) / (2 * count)) for k in range(count)
    ]
    rows = matrix(count, count)
    rhs = matrix(count, 1)
    for i, x in enumerate(nodes):
        rhs[i] = f(x)
        for j in range(count):
            rows[i, j] = x**j
    return list(lu_solve(rows, rhs))


def error(f, coefs, lo, hi):
    """Largest truncation error relative to max |f| with coefficients rounded to double."""
    lo, hi = mpf(lo), mpf(hi)
    points = [lo + (hi - lo) * mpf(k) / 400 for k in range(401)]
    worst = max(abs(f(x) - mp.polyval(coefs[::-1], x)) for x in points)
    return worst / max(abs(f(x)) for x in points[::20])


FITS = [
    ("EXPM1_TAIL", expm1_tail, -LN2_HALF, LN2_HALF, 10),
    ("ATANH_TAIL", atanh_tail, 0, S_MAX**2, 8),
    ("ATANH_DEEP_TAIL", atanh_deep_tail, 0, S_MAX**2, 9),
    ("LN_GAMMA_TWO", ln_gamma_two, mpf(-1) / 2, mpf(1) / 2, 18),
    ("LN_GAMMA_STIRLING", ln_gamma_stirling, 0, 1 / SHIFT**2, 8),
    ("DIGAMMA_NEAR", digamma_near, mpf(-1) / 2, mpf(1) / 2, 21),
    ("DIGAMMA_FAR", digamma_far, 0, 1 / SHIFT**2, 8),
    ("TRIGAMMA_FAR", trigamma_far, 0, 1 / SHIFT**2, 8),
    ("SIN_PI", sin_pi, 0, mpf(1) / 16, 8),
    ("COS_PI", cos_pi, 0, mpf(1) / 16, 8),
]


def hi_lo(value):
    """Split a real number into the two doubles nearest to it."""
    hi = float(value)
    return hi, float(value - mpf(hi))


def legendre_rule(n):
    """Positive nodes of the n-point Gauss-Legendre rule and their weights."""
    rule = []
    for k in range(n // 2):
        x = cos(pi * (k + mpf("0.75")) / (n + mpf("0.5")))
        for _ in range(12):  # Newton: the slope is that of the last point, at the root
            slope = n * (x * mp.legendre(n, x) - mp.legendre(n - 1, x)) / (x * x - 1)
            x -= mp.legendre(n, x) / slope
        rule.append((x, 2 / ((1 - x * x) * slope**2)))
    return rule[::-1]


def main():
    """Print the Rust constants."""
    print("//! Polynomial coefficients and constants, made by `tests/data/fit_polynomials.py`.")
    print("//!")
    print("//! Each table gives the powers of its variable in rising order and the largest")
    print("//! truncation error relative to the function's maximum on the interval.")
    print("#![allow(clippy::excessive_precision, clippy::approx_constant)]")
    for name, f, lo, hi, count in FITS:
        coefs = fit(f, lo, hi, count)
        worst = error(f, coefs, lo, hi)
        print(f"\n/// {' '.join(f.__doc__.split())}")
        interval = f"[{float(lo):.6}, {float(hi):.6}]"
        print(f"/// Interval {interval}, truncation 2^{float(log(worst, 2)):.1f}.")
        print(f"pub(crate) const {name}: [f64; {count}] = [")
        for c in coefs:
            print(f"    {float(c)!r},")
        print("];")
    for name, doc, value in [
        ("ONE_MINUS_EULER", "1 - Euler's gamma", 1 - euler),
        ("DIGAMMA_ROOT", "The positive zero of digamma", DIGAMMA_ROOT),
        ("DIGAMMA_SLOPE", "R(3/2) of `DIGAMMA_NEAR`", DIGAMMA_SLOPE),
        ("HALF_LN_TWO_PI", "ln(2 pi) / 2", log(2 * pi) / 2),
        ("LN_PI", "ln(pi)", log(pi)),
        ("PI", "pi", pi),
        ("ONE_THIRD", "1/3", mpf(1) / 3),
        ("ONE_FIFTH", "1/5", mpf(1) / 5),
    ]:
        hi, lo = hi_lo(value)
        print(f"\n/// {doc}, as a pair of doubles whose sum is exact to 106 bits.")
        print(f"pub(crate) const {name}: (f64, f64) = ({hi!r}, {lo!r});")
    for n in (16, 32):
        print(f"\n/// Positive nodes and weights of the {n}-point Gauss-Legendre rule on [-1, 1].")
        print(f"pub const GAUSS_LEGENDRE_{n}: [(f64, f64); {n // 2}] = [")
        for x, w in legendre_rule(n):
            print(f"    ({float(x)!r}, {float(w)!r}),")
        print("];")
    scale = mpf(2) ** 41
    ln2_hi = mp.floor(log(2) * scale) / scale
    print("\n/// The leading 41 bits of ln 2: its product with an exponent is exact.")
    print(f"pub(crate) const LN2_HI: f64 = {float(ln2_hi)!r};")
    print("/// ln 2 less `LN2_HI`.")
    print(f"pub(crate) const LN2_LO: f64 = {float(log(2) - ln2_hi)!r};")
    print("/// 1 / ln 2.")
    print(f"pub(crate) const INV_LN2: f64 = {float(1 / log(2))!r};")


if __name__ == "__main__":
    main()
