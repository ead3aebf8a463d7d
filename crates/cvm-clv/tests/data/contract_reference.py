"""Reference values for the contract models and the BG/BB, with python-flint (ball arithmetic).

Usage: python contract_reference.py      writes contract_*.bin and bg_bb_*.bin beside itself.

Each file is rows of little-endian f64, arguments first, then values:

contract_hazard     alpha beta c T t          H(T,t)  ln P(L = T+t | L > T)
weibull_hazard      odds c T t                H(T,t)  ln P(L = T+t | L > T)
sbg_lifetime        alpha beta T t d          sum_{k<t} e^{-dk} S(T+k)/S(T)
bdw_lifetime        alpha beta c T t d        the same
weibull_lifetime    odds c T t d              the same
bg_bb_likelihood    alpha beta gamma delta x t_x n     ln L, P(alive), ln P(alive)
bg_bb_forecast      alpha beta gamma delta x n t d     E[X(t)], discounted, P(alive at n+t)
bg_bb_counts        alpha beta gamma delta x n t m     P(X(t) = m), P(X(t) >= m)

Formulas are those of the papers, at a precision that survives their cancellation. Sums: ratios of
gamma functions; a continued fraction of 2F1 for discounting; elsewhere terms one by one, then
Euler-Maclaurin with exact derivatives (power series) and quadrature with 40 nodes. `t` may be inf.
"""

import math
import random
import struct
import sys
import time
from pathlib import Path

from flint import arb, arb_series, ctx

HERE = Path(__file__).parent
INF = math.inf


def near(compute, precisions=(224, 800, 4000)):
    """The nearest doubles to computed balls, at the first precision at which all are small.

    A ball around zero that is smaller than any double is zero."""
    for precision in precisions:
        ctx.prec = precision
        balls = compute()
        if all(is_small(ball) for ball in balls):
            return [float(ball.mid()) for ball in balls]
    raise ArithmeticError(balls)


def is_small(ball):
    if not ball.is_finite():
        return False
    radius, middle = abs(ball.rad()), abs(ball.mid())
    return radius <= middle * arb(2) ** -60 or radius + middle < arb(2) ** -1100


def log_uniform(rng, low, high):
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def shape(rng):
    """Half ordinary, half anywhere between the edges, now and then a corner."""
    pick = rng.random()
    if pick < 0.5:
        return log_uniform(rng, 0.05, 30)
    if pick < 0.92:
        return log_uniform(rng, 1e-8, 1e6)
    return rng.choice([1e-8, 1e6, 1.0, 1 + 1e-9, 1 - 1e-7, 2.0])


def whole(rng, low, high):
    return float(round(log_uniform(rng, low, high)))


def write(name, rows):
    with (HERE / f"{name}.bin").open("wb") as file:
        for row in rows:
            file.write(struct.pack(f"<{len(row)}d", *row))
    print(f"{name}: {len(rows)} rows, {time.process_time():.0f} s", flush=True)


def ln_beta_drop(b, h, t):
    """ln B(h, b) - ln B(h, b+t)."""
    if t == 0:
        return arb(0)
    return b.lgamma() + (b + h + t).lgamma() - (b + h).lgamma() - (b + t).lgamma()


# ---- hazards


def contract_hazard(rng):
    alpha, beta = shape(rng), shape(rng)
    c = 1.0 if rng.random() < 0.4 else log_uniform(rng, 0.05, 10)
    tenure = 0.0 if rng.random() < 0.4 else whole(rng, 1, 1e4)
    t = rng.choice([1.0, 2.0, whole(rng, 1, 100), whole(rng, 1, 1e6)])
    power = lambda k: arb(k) ** arb(c) if k else arb(0)
    cumulative = lambda k: ln_beta_drop(arb(beta), arb(alpha), power(k))
    return alpha, beta, c, tenure, t, *near(lambda: hazard_and_churn(cumulative, tenure, t))


def hazard_and_churn(cumulative, tenure, t):
    """From the cumulative hazard H(0, k)."""
    start, end, before = cumulative(tenure), cumulative(tenure + t), cumulative(tenure + t - 1)
    return end - start, (start - before) + (-(before - end).expm1()).log()


def weibull_hazard(rng):
    odds = log_uniform(rng, 1e-8, 1e6)
    c = 1.0 if rng.random() < 0.3 else log_uniform(rng, 0.05, 10)
    tenure = 0.0 if rng.random() < 0.4 else whole(rng, 1, 1e4)
    t = rng.choice([1.0, 2.0, whole(rng, 1, 100), whole(rng, 1, 1e6)])
    cumulative = lambda k: arb(odds).log1p() * (arb(k) ** arb(c)) if k else arb(0)
    return odds, c, tenure, t, *near(lambda: hazard_and_churn(cumulative, tenure, t))


# ---- sums


def smooth_sum(ln_f, end, power, rate, far, bend, shift=0.0):
    """sum_{k=0}^{end-1} exp(ln_f(k)) of a falling function; ln_f takes balls and power series."""
    total, k = arb(0), 0
    last = ln_f(arb(0))
    while k < end:
        following = ln_f(arb(k + 1))
        slope = last - following
        if k >= 60 and slope < 0.5:
            break
        term = last.exp()
        total += term
        if k > 2 and slope * k > 5 and term * k < total * arb(10) ** -40:
            return total
        last, k = following, k + 1
    if k >= end:
        return total
    total += integral(ln_f, k, end, power, rate, far, total, bend, shift)
    total += ends(ln_f, k)
    if end != INF:
        total -= ends(ln_f, end)
    return total


def ends(ln_f, k):
    """f/2 - sum B_2j/(2j)! f^(2j-1) at k."""
    ctx.cap = 30
    series = ln_f(arb_series([arb(k), 1])).exp()
    coefficients = series.coeffs()
    coefficients += [arb(0)] * (30 - len(coefficients))
    value = coefficients[0] / 2
    for j in range(1, 14):
        value -= arb.bernoulli(2 * j) / (2 * j) * coefficients[2 * j - 1]
    return value


NODES = 40


def integral(ln_f, start, end, power, rate, far, beside, bend, shift):
    """In u = ln k, by 40 Gauss-Legendre nodes on panels half a unit wide, or longer where `f` is a
    function of a small power of k: the nearest singularities are pi (or pi/bend) away."""
    forgotten = math.log(start + 90 / rate) if rate else INF
    top = min(math.log(end) if end != INF else INF, forgotten)
    closed = top == INF and far is not None
    if closed:
        top = far
    exact_top = arb(end).log() if top == math.log(end) else arb(top)
    low, value = arb(start).log(), arb(0)
    width = min(4.0, max(0.5, 0.25 / bend))
    while low < exact_top:
        high = low + width
        if high > exact_top:
            high = exact_top
        middle, half, panel = (low + high) / 2, (high - low) / 2, arb(0)
        for node, weight in gauss_legendre():
            u = middle + half * node
            panel += weight * (u + ln_f(u.exp())).exp()
        value += half * panel
        height = high + ln_f(high.exp())
        if not closed and height < (beside + value).log() - 100:
            return value
        low = high
    if closed:
        # f is (shift + k)^-power here.
        value += (exact_top.exp() + shift) * ln_f(exact_top.exp()).exp() / (power - 1)
    return value


def gauss_legendre(known={}):
    if ctx.prec not in known:
        known[ctx.prec] = [arb.legendre_p_root(NODES, k, weight=True) for k in range(NODES)]
    return known[ctx.prec]


def timing(rng):
    """Horizon and rate."""
    end = INF if rng.random() < 0.5 else whole(rng, 1, rng.choice([100, 1e6]))
    rate = 0.0 if rng.random() < 0.35 else log_uniform(rng, rng.choice([1e-6] + 9 * [1e-3]), 1.0)
    return end, rate


def sbg_lifetime(rng):
    while True:
        alpha, beta = shape(rng), shape(rng)
        tenure = 0.0 if rng.random() < 0.4 else whole(rng, 1, 1e4)
        end, rate = timing(rng)
        if end == INF and rate == 0.0 and alpha <= 1:
            continue
        value = lambda: [1 + mixture(arb(alpha), arb(beta) + tenure, end - 1, rate)]
        return alpha, beta, tenure, end, rate, *near(value)


def mixture(a, b, t, rate):
    """sum_{k=1}^t e^{-rate k} (b)_k/(a+b)_k."""
    survival = lambda k: (-ln_beta_drop(b, a, arb(k))).exp()
    if rate:
        v = (-arb(rate)).exp()
        if t <= 300:
            return direct(a, b, t, v)
        forever = v * b / (a + b) * gauss_fraction(b + 1, a + b, v, rate)
        if t == INF:
            return forever
        later, discount = b + arb(t), v ** arb(t) * survival(t)
        fraction = gauss_fraction(later + 1, a + later, v, rate)
        return forever - discount * v * later / (a + later) * fraction
    if t == INF:
        return b / (a - 1)
    if a == 1:
        return b * ((b + 1 + arb(t)).digamma() - (b + 1).digamma())
    return (b - (b + arb(t)) * survival(t)) / (a - 1)


def gauss_fraction(a, c, z, rate):
    """2F1(a, 1; c+1; z) by Gauss' continued fraction (DLMF 15.7.1 with b = 0), from the far end: its
    error falls as ((1-sqrt(1-z))/(1+sqrt(1-z)))^(2n)."""
    root = math.sqrt(-math.expm1(-rate))
    steps = int(90 / -math.log((1 - root) / (1 + root) + 1e-30)) + 40
    fraction = arb(1)
    for n in range(steps, 0, -1):
        even = n * (c - a + n) / ((c + 2 * n - 1) * (c + 2 * n))
        odd = (a + n) * (c + n) / ((c + 2 * n) * (c + 2 * n + 1))
        fraction = 1 - even * z / (1 - odd * z / fraction)
    return 1 / (1 - a / (c + 1) * z / fraction)


def direct(a, b, t, v):
    total, term = arb(0), arb(1)
    for k in range(int(t)):
        term *= v * (b + k) / (a + b + k)
        total += term
    return total


def bdw_lifetime(rng):
    while True:
        alpha, beta = shape(rng), shape(rng)
        c = log_uniform(rng, 0.05, 10)
        tenure = 0.0 if rng.random() < 0.5 else whole(rng, 1, 1e3)
        end, rate = timing(rng)
        if end == INF and rate == 0.0 and alpha * c <= 1.001:
            continue
        # Longer than any planning and larger than a double: left out.
        far = 70 / c + abs(math.log(1 + alpha * (alpha + 2 * beta))) / c
        if end == INF and rate == 0.0 and far > 600:
            continue
        value = lambda: [bdw_sum(arb(alpha), arb(beta), arb(c), tenure, end, rate, far)]
        return alpha, beta, c, tenure, end, rate, *near(value)


def bdw_sum(a, b, power, tenure, end, rate, far):
    start = (arb(tenure) ** power) if tenure else arb(0)
    base = ln_beta_drop(b, a, start)

    def ln_f(k):
        y = k + arb(tenure) if tenure else k
        if not isinstance(y, arb_series) and y == 0:
            return arb(0)
        x = (y.log() * power).exp()
        return -(ln_beta_drop_any(b, a, x) - base) - k * arb(rate)

    return smooth_sum(ln_f, end, a * power, rate, far, float(power), tenure)


def ln_beta_drop_any(b, h, t):
    """As above, with `t` a ball or a power series."""
    return (b.lgamma() - (b + h).lgamma()) + (t + (b + h)).lgamma() - (t + b).lgamma()


def weibull_lifetime(rng):
    while True:
        odds = log_uniform(rng, 1e-6, 1e3)
        c = log_uniform(rng, 0.05, 10)
        tenure = 0.0 if rng.random() < 0.5 else whole(rng, 1, 1e3)
        end, rate = timing(rng)
        # The mean is about rate^(-1/c) Gamma(1 + 1/c): larger than 1e150 is left out.
        ln_mean = -math.log(math.log1p(odds)) / c + math.lgamma(1 + 1 / c)
        if end == INF and not rate and ln_mean > 345:
            continue
        value = lambda: [weibull_sum(arb(odds).log1p(), arb(c), tenure, end, rate)]
        return odds, c, tenure, end, rate, *near(value)


def weibull_sum(hazard, power, tenure, end, rate):
    start = (arb(tenure) ** power) if tenure else arb(0)

    def ln_f(k):
        y = k + arb(tenure) if tenure else k
        if not isinstance(y, arb_series) and y == 0:
            return arb(0)
        return -hazard * ((y.log() * power).exp() - start) - k * arb(rate)

    return smooth_sum(ln_f, end, None, rate, None, float(power))


# ---- BG/BB


def bg_bb_shapes(rng):
    return [shape(rng) for _ in range(4)]


def bg_bb_likelihood(rng):
    n = rng.choice([0, 1, 6, rng.randint(1, 60), rng.randint(1, 60), rng.randint(100, 1500)])
    recency = rng.choice([0, n, rng.randint(0, n)])
    x = 0 if recency == 0 else rng.choice([1, recency, rng.randint(1, recency)])
    shapes = bg_bb_shapes(rng)
    values = near(lambda: bg_bb_history(*map(arb, shapes), x, recency, n))
    return *shapes, float(x), float(recency), float(n), *values


def bg_bb_history(alpha, beta, gamma, delta, x, recency, n):
    """The paper's terms, the first from gamma functions, the others by their ratios."""
    term = (
        -ln_beta_drop(alpha, beta, arb(x))
        - ln_beta_drop(beta, alpha + x, arb(recency - x))
        - ln_beta_drop(delta, gamma, arb(recency))
    ).exp()
    lapsed = arb(0)
    for i in range(recency, n):
        lapsed += term * gamma / (gamma + delta + i)
        term *= (delta + i) / (gamma + delta + i) * (beta + i - x) / (alpha + beta + i)
    total = term + lapsed
    return total.log(), term / total, -(lapsed / term).log1p()


def bg_bb_forecast(rng):
    n = rng.choice([0, 6, rng.randint(1, 60), rng.randint(1, 1000)])
    x = rng.randint(0, n)
    alpha, beta, gamma, delta = bg_bb_shapes(rng)
    t = rng.choice([1.0, whole(rng, 1, 50), whole(rng, 1, 1e6), INF])
    rate = log_uniform(rng, rng.choice([1e-6] + 9 * [1e-3]), 1.0)
    if t == INF and gamma <= 1:
        gamma += 1.001

    def compute():
        p = (arb(alpha) + x) / (arb(alpha) + arb(beta) + n)
        g, later = arb(gamma), arb(delta) + n
        ahead = arb(0) if t == INF else (-ln_beta_drop(later, g, arb(t))).exp()
        return p * mixture(g, later, t, 0.0), p * mixture(g, later, t, rate), ahead

    return alpha, beta, gamma, delta, float(x), float(n), t, rate, *near(compute)


def bg_bb_counts(rng):
    n = rng.choice([0, 6, rng.randint(1, 60), rng.randint(1, 1000)])
    x = rng.randint(0, n)
    shapes = bg_bb_shapes(rng)
    t = rng.choice([1, rng.randint(1, 12), rng.randint(1, 60), rng.randint(1, 600)])
    m = rng.choice([0, 1, t, rng.randint(0, t), rng.randint(0, min(t, 8))])
    values = near(lambda: bg_bb_count(*map(arb, shapes), x, n, t, m))
    return *shapes, float(x), float(n), float(t), float(m), *values


def bg_bb_count(alpha, beta, gamma, delta, x, n, t, m):
    a, b, d = alpha + x, beta + n - x, delta + n
    # Buy m, then the rest by ratios; alive through m.
    bought = (-ln_beta_drop(a, b, arb(m)) - ln_beta_drop(d, gamma, arb(m))).exp()
    exact, tail, term = arb(0), arb(0 if m else 1), bought
    for i in range(m, t):
        exact += term * gamma / (gamma + d + i)
        term *= arb(i + 1) / (i + 1 - m) * (b + i - m) / (a + b + i) * (d + i) / (gamma + d + i)
    exact += term
    if m:
        term = bought
        for j in range(m, t + 1):
            tail += term
            term *= arb(j) / (j + 1 - m) * (b + j - m) / (a + b + j) * (d + j) / (gamma + d + j)
    return exact, tail


TABLES = [
    (contract_hazard, 5000),
    (weibull_hazard, 5000),
    (sbg_lifetime, 5000),
    (bdw_lifetime, 5000),
    (weibull_lifetime, 5000),
    (bg_bb_likelihood, 5000),
    (bg_bb_forecast, 5000),
    (bg_bb_counts, 5000),
]


def main():
    wanted = sys.argv[1:]
    for make, count in TABLES:
        if not wanted or make.__name__ in wanted:
            rng = random.Random(make.__name__)
            write(make.__name__, [make(rng) for _ in range(count)])


if __name__ == "__main__":
    main()
