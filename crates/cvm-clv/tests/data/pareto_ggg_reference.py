"""Pareto/GGG: log-likelihood, P(alive), DERT and counts of random customers, by plain trapezoid rules.

    python pareto_ggg_reference.py pareto_ggg.bin 5000
    python pareto_ggg_reference.py pareto_ggg_dert.bin 5000 dert
    python pareto_ggg_reference.py pareto_ggg_counts.bin 5000 counts
    python pareto_ggg_reference.py pareto_ggg_purchases.bin 200 purchases
    python pareto_ggg_reference.py - 0 clumps       (prints)

Independent of the crate's formulas: the likelihood integrates over the time of leaving (not over the
gap that was to follow), with scipy's incomplete beta and gamma functions; every integral is a
trapezoid rule in the logarithm of its variable over the window in which the integrand is more than
e^-36 of its peak. Needs numpy and scipy. Rows of little-endian f64:
t gamma r alpha s beta | x t_x T G delta | log_lik p_alive, or DERT
t gamma r alpha s beta | x t_x T G horizon n | ln P(X = n) and ln P(X >= n) of a living customer
t gamma r alpha s beta | x t_x T G horizon | E[X] of a living customer
Counts integrate over the time of leaving and the time of the next purchase (not of the n-th).
"""

import multiprocessing
import sys

import numpy as np
from scipy.special import betainc, betaincc, betaln, gammaincc, gammaln

FAINT = 36.0


def window(log_f, low, high, count=300, faint=FAINT):
    """Where log_f is within `faint` of its peak."""
    grid = np.linspace(low, high, count)
    values = log_f(grid)
    inside = np.flatnonzero(values > values.max() - faint)
    first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, count - 1)
    for _ in range(12):
        if last - first > 30:
            break
        grid = np.linspace(grid[first], grid[last], count)
        values = log_f(grid)
        inside = np.flatnonzero(values > values.max() - faint)
        first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, count - 1)
    return grid[first], grid[last]


def nodes(low, high, step, least):
    count = int(max(least, np.ceil((high - low) / step)))
    grid = np.linspace(low, high, count + 1)
    return grid, (high - low) / count


def stretched(log_f, centre, count):
    """Nodes x = centre + u - e^-u over the window of log_f, whose left tail is long, and their shares."""
    at = lambda u: centre + u - np.exp(-u)
    log = lambda u: log_f(at(u)) + np.log1p(np.exp(-u))
    low, high = window(log, -9.0, 12.0)
    u, _ = nodes(low, high, np.inf, count)
    share = log(u)
    share = np.exp(share - share.max())
    return at(u), share / share.sum()


def log_sum(logs):
    top = logs.max()
    return top + np.log(np.exp(logs - top).sum())


class Customer:
    def __init__(self, params, row):
        self.t, self.gamma, self.r, self.alpha, self.s, self.beta = params
        self.x, self.recency, self.age, self.log_gaps = row
        self.silence = self.age - self.recency

    def log_front(self, xi):
        """Density of ln k times that of the purchases, the rate integrated out."""
        k = np.exp(xi)
        prior = self.t * (np.log(self.gamma) + xi) - self.gamma * k - gammaln(self.t)
        if self.x == 0:
            return prior
        shape = self.r + k * self.x
        return (prior + gammaln(shape) - gammaln(self.r) + self.r * np.log(self.alpha)
                + k * self.x * xi - shape * np.log(self.alpha + k * self.recency)
                - self.x * gammaln(k) + (k - 1) * self.log_gaps)

    def log_silent(self, xi, silence):
        """No purchase for so long, by one who never leaves."""
        k = np.exp(xi)
        last = self.alpha + k * self.recency
        due = k * silence
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(
                betainc(self.r + k * self.x, k, last / (last + due)), 1e-300))

    def log_alive(self):
        stay = -self.s * np.log1p(self.age / self.beta)
        return stay + self.integral(lambda xi: self.log_silent(xi, self.silence))

    def integral(self, log_factor):
        f = lambda xi: self.log_front(xi) + log_factor(xi)
        low, high = window(f, -120.0, 14.0)
        xi, step = nodes(low, high, 0.25, 60)
        return log_sum(f(xi)) + np.log(step)

    def log_left(self):
        """Left at recency + u, silent until then."""
        if self.silence == 0:
            return -np.inf
        # Who left at once says nothing by silence, who left late as much as the living.
        ends = [window(lambda xi: self.log_front(xi) + self.log_silent(xi, share * self.silence),
                       -120.0, 14.0) for share in (0.0, 1.0)]
        low, high = min(end[0] for end in ends), max(end[1] for end in ends)
        xi, step_k = nodes(low, high, 0.25, 60)
        # u = silence/(1 + e^-z)
        most = np.exp(high)
        width = min(1.0, np.sqrt(1 / most + 1 / (self.r + most * self.x)))
        z, step_z = nodes(-42.0, 42.0, 0.4 * width, 100)
        u = self.silence / (1 + np.exp(-z))
        weight = u / (1 + np.exp(z))
        density = (np.log(self.s) + self.s * np.log(self.beta)
                   - (self.s + 1) * np.log(self.beta + self.recency + u))
        logs = (self.log_front(xi)[:, None] + self.log_silent(xi[:, None], u[None, :])
                + (density + np.log(weight))[None, :])
        return log_sum(logs.ravel()) + np.log(step_k * step_z)

    def dert(self, delta):
        """Mean of phi_1/(1 - phi): errors fall like a power of the number of nodes, so most digits must agree."""
        count = 24
        before = self.dert_by(delta, count)
        while True:
            count = count * 3 // 2
            after = self.dert_by(delta, count)
            if abs(after - before) <= 1e-9 * after:
                return after
            before = after

    def dert_by(self, delta, count):
        """Mean of phi_1/(1 - phi) over k, the rate of a stage, and the rate of leaving."""
        f = lambda xi: self.log_front(xi) + self.log_silent(xi, self.silence)
        low, _ = window(lambda xi: f(xi) - xi, -120.0, 14.0)
        _, high = window(f, -120.0, 14.0)
        xi, _ = nodes(low, high, np.inf, count)
        share = f(xi)
        share = np.exp(share - share.max())
        share /= share.sum()
        later = self.beta + self.age
        m, m_share = stretched(lambda m: self.s * m - later * np.exp(m), np.log(self.s / later), count)
        total = 0.0
        for one, weight in zip(xi, share):
            k = np.exp(one)
            if weight < 1e-15 * min(1.0, k):
                continue
            total += weight * self.dert_at(k, np.exp(m) + delta, m_share, count)
        return total

    def dert_at(self, k, falls, m_share, count):
        shape = self.r + k * self.x
        last = self.alpha / k + self.recency

        def density(rho):
            quiet = np.log(np.maximum(gammaincc(k, np.exp(rho) * self.silence), 1e-300))
            return shape * rho - last * np.exp(rho) + quiet

        rho, share = stretched(density, np.log(shape / (last + self.silence)), count)
        rate = np.exp(rho)[:, None]
        falls = falls[None, :]
        phi = -k * np.log1p(falls / rate)
        first = phi
        if self.silence > 0:
            then = np.log(np.maximum(gammaincc(k, (rate + falls) * self.silence), 1e-300))
            now = np.log(np.maximum(gammaincc(k, rate * self.silence), 1e-300))
            first = phi + falls * self.silence + then - now
        made = np.exp(first) / -np.expm1(phi)
        return float(share @ made @ m_share)


class Counts:
    """P(X = n) and P(X >= n) of one who is alive.

    By gaps: P(N = n, staying to h), and of whoever leaves at tau, each with an integral over the next
    purchase. Otherwise, by the density of the n-th purchase, where the difference of two tails has digits.
    """

    def __init__(self, customer, horizon, n, by_gaps):
        # One integral less after a purchase just made.
        step = 0.08 if customer.silence == 0 else 0.11
        self.c, self.h, self.n, self.step, self.by_gaps = customer, horizon, n, step, by_gaps

    def range(self):
        c = self.c
        f = lambda xi: c.log_front(xi) + c.log_silent(xi, c.silence)
        low, high = window(f, -120.0, 14.0)
        # Room for counts far from the usual k.
        width = high - low
        return low - width, high + width

    def answers(self):
        return self.over(*self.range(), self.step)

    def error(self, answers):
        coarse = self.over(*self.range(), 1.5 * self.step)
        return max(abs(coarse[i] - answers[i]) for i in (0, 1))

    def over(self, low, high, step):
        c = self.c
        count = int(max(90, 330 * 0.16 / step))
        xi, _ = nodes(low, high, 9.0, count)
        weight = c.log_front(xi) + c.log_silent(xi, c.silence)
        top = weight.max()
        weight = np.exp(weight - top)
        at, above = 0.0, 0.0
        for one, w in zip(xi, weight):
            if w > 1e-60:
                p = self.of(np.exp(one), step)
                at, above = at + w * p[0], above + w * p[1]
        total = weight.sum()
        return np.log(at / total), np.log(above / total)

    def tanh_sinh(self, step, near, power=1.0):
        left, right = (np.arcsinh((38 / p + near) / np.pi) for p in (min(power, 1.0), 1.0))
        theta = np.arange(-np.ceil(left / step), np.ceil(right / step) + 1) * step
        xi = np.pi * np.sinh(theta)
        small = np.exp(-np.abs(xi))
        u = np.where(xi < 0, small, 1) / (1 + small)
        rest = np.where(xi < 0, 1, small) / (1 + small)
        return u, rest, np.pi * np.cosh(theta) * u * rest * step

    def of(self, k, step):
        c, h = self.c, self.h
        later, stages = c.beta + c.age, k * self.n
        shape, last = c.r + k * c.x, c.alpha / k + c.recency
        if not self.by_gaps:
            tails = [self.tail(k, n, shape, last, step) for n in (self.n, self.n + 1)]
            return tails[0] - tails[1], tails[0]
        width = min(1.0, np.sqrt(1 / k + 1 / shape), np.sqrt(1 / stages + 1 / shape))
        near = np.log1p(h * (shape / last + c.s / later))
        step = step * width / (1 + 0.2 * near)
        u, rest, weight = self.tanh_sinh(step, near)
        tau, ahead = np.append(h * u, h), h
        mass = np.append(c.s * h / later * (1 + h * u / later) ** (-c.s - 1) * weight, (1 + h / later) ** -c.s)
        at, above = self.counts(k, shape, last, tau, step, near)
        return mass @ at, mass @ above

    def tail(self, k, n, shape, last, step):
        """Of the time s of the n-th purchase: S = silence + s is the sum of n gaps, the first over the silence."""
        c, h, stages = self.c, self.h, k * n
        end, later = last + c.silence, c.beta + c.age
        near = np.log1p(h * (shape / last + c.s / later)) + np.log1p(h * shape / last / stages)
        # The gaps after the first are k (n - 1) stages, a step of width 1/sqrt(k) beside the first.
        sharp = np.sqrt(1 / k) if n > 1 and c.silence > 0 else 1.0
        step = step * min(1.0, sharp, np.sqrt(1 / stages + 1 / shape)) / (1 + 0.2 * near)
        u, rest, weight = self.tanh_sinh(step, near, stages if c.silence == 0 else 1.0)
        s = h * u
        since = c.silence + s
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            log = (stages * np.log(since / (end + s)) - np.log(since) + shape * np.log(last / (end + s))
                   - betaln(stages, shape) - c.s * np.log1p(s / later))
            plain, small = np.exp(log) * h * weight, np.exp(log + np.log(h * weight))
        density = np.where(np.isfinite(plain), plain, small)
        density = np.where(since > 0, density, 0.0) / betainc(shape, k, last / end)
        if n > 1 and c.silence > 0:
            density = density * betainc(k * (n - 1), k, s / since)
        return density.sum()

    def mean(self, nodes_of_k):
        """E[X]: the sum of P(X >= n) over n, a mean over k of a living customer, wherever that comes from."""
        c = self.c
        f = lambda xi: c.log_front(xi) + c.log_silent(xi, c.silence)
        low, high = self.range()
        xi, step = nodes(*window(f, low, high), np.inf, nodes_of_k)
        total, top = log_sum(f(xi)) + np.log(step), f(xi).max()

        def product(xi):
            # Where scipy's functions underflow nothing is left.
            logs = f(xi)
            means = [max(self.mean_of(k), 1e-300) if log > top - 200 else 1e-300
                     for k, log in zip(np.exp(xi), logs)]
            return logs + np.log(means)

        xi, _ = nodes(low, high, np.inf, 48)
        logs = product(xi)
        inside = np.flatnonzero(logs > logs.max() - FAINT)
        xi, step = nodes(xi[max(inside[0] - 1, 0)], xi[min(inside[-1] + 1, 48)], np.inf, nodes_of_k)
        return np.exp(log_sum(product(xi)) + np.log(step) - total)

    def mean_of(self, k):
        c = self.c
        shape, last = c.r + k * c.x, c.alpha / k + c.recency
        total, n = 0.0, 0
        while n < 20000:
            n += 1
            self.n = n
            own = self.tail(k, n, shape, last, self.step)
            total += own
            if own <= 1e-13 * total:
                break
        return total

    def counts(self, k, shape, last, tau, step, near):
        """Of one who stays, up to each tau."""
        n, end = self.n, last + self.c.silence
        if self.c.silence == 0:
            z, w = tau / (end + tau), end / (end + tau)
            above = betainc(k * n, shape, z)
            return between(k * n, k * (n + 1), shape, z, w), above
        u, rest, weight = self.tanh_sinh(step, near)
        y, left = tau[:, None] * u, tau[:, None] * rest
        log = ((k - 1) * np.log(self.c.silence + y) + shape * np.log(last)
               - (shape + k) * np.log(end + y) - betaln(k, shape))
        density = np.exp(log) * tau[:, None] * weight / betainc(shape, k, last / end)
        v, kept = left / (end + tau[:, None]), (end + y) / (end + tau[:, None])
        few, many, shape = k * (n - 1), k * n, shape + k
        above = density if n == 1 else density * betainc(few, shape, v)
        return (density * between(few, many, shape, v, kept)).sum(1), above.sum(1)


def between(few, many, shape, v, rest):
    """I_v(few, shape) - I_v(many, shape), few may be 0."""
    if few == 0:
        return betaincc(many, shape, v)
    low, high = betainc(few, shape, v), betaincc(few, shape, v)
    return np.where(low < 0.5, low - betainc(many, shape, v), betaincc(many, shape, v) - high)


def purchases_at(xi, r, alpha, horizon):
    """k E[X | k] of a new customer who never leaves, k = e^xi: a sum over purchases, or Euler-Maclaurin."""
    k = np.exp(xi) if xi > -700 else 0.0
    log_z = xi + np.log(horizon / alpha) - np.log1p(k * horizon / alpha)
    if log_z < -40:
        reached = lambda w: np.exp(w * log_z + gammaln(w + r) - gammaln(w + 1) - gammaln(r))
    else:
        reached = lambda w: betainc(w, r, np.exp(log_z))
    if k > 1e-3:
        stages = 60 / max(-log_z, 1e-3) + 60 + 20 * r * horizon / alpha * k
        return reached(k * np.arange(1, int(min(4e5, stages / k + 50)))).sum() * k
    edges = np.concatenate([np.linspace(0, 4, 9), np.linspace(5, 60, 12)]) / -log_z
    x, weight = np.polynomial.legendre.leggauss(20)
    total = sum((b - a) / 2 * (weight * reached((a + b) / 2 + (b - a) / 2 * x)).sum()
                for a, b in zip(edges[:-1], edges[1:]))
    small = 1e-5 / -log_z
    slope = (-3 + 4 * reached(small) - reached(2 * small)) / (2 * small)
    return total - k / 2 - k * k * slope / 12


def main_clumps():
    for t, gamma, r, alpha, horizon in [(1.01, 1.5, 0.6, 10, 39), (1.1, 1.5, 0.6, 10, 39),
                                        (1.3, 1.5, 2.0, 10, 5), (1.59, 0.8, 0.6, 10, 39)]:
        low, high = -50 / (t - 1), np.log((45 + 10 * t) / gamma)
        u = np.arange(-12, 6, 0.02)
        xi = u - np.exp(-u) + 1.0
        kept = (xi > low) & (xi < high)
        total = 0.0
        for one, slope in zip(xi[kept], 1 + np.exp(-u[kept])):
            k = np.exp(max(one, -745.0))
            law = np.exp(t * np.log(gamma) - gammaln(t) + (t - 1) * one - gamma * k)
            total += 0.02 * slope * law * purchases_at(one, r, alpha, horizon)
        print(t, gamma, r, alpha, horizon, repr(float(total)))


def draw_counts(rng):
    def number(low, high):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    while True:
        params, row, _ = draw(rng)
        if params[0] > 2 and row[0] < 60:
            break
    if rng.uniform() < 0.5:
        # Of a purchase just made.
        params, row = params, (row[0], row[1], row[1], row[3])
    n = int(rng.choice([1, 1, 2, 3, 5, 8, 20]))
    return params, row, number(0.5, 300), n


def draw(rng):
    # Below t = 1.5 tiny k count, where scipy's betainc has nine digits.
    def between(low, high):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    params = (between(1.5, 20), between(0.3, 20), between(0.15, 5), between(0.5, 50),
              between(0.15, 5), between(0.5, 100))
    age = between(1, 200)
    kind = rng.integers(4)
    x = 0 if kind == 0 else int(np.floor(between(1, 4 if kind == 1 else 200)))
    if x == 0:
        age = 0.0 if rng.uniform() < 0.1 and params[0] > 1.3 else age
        return params, (0.0, 0.0, age, 0.0), between(1e-4, 0.1)
    recency = age if rng.uniform() < 0.1 else age * rng.uniform(0.02, 1.0)
    spread = 0.0 if x == 1 else rng.gamma(2.0, 0.25)
    log_gaps = x * (np.log(recency / x) - spread)
    return params, (float(x), recency, age, log_gaps), between(1e-4, 0.1)


def usable(customer):
    """Silences so unlikely that scipy's functions underflow are left out."""
    f = lambda xi: customer.log_front(xi) + customer.log_silent(xi, customer.silence)
    low, high = window(f, -120.0, 14.0)
    return customer.log_silent(np.linspace(low, high, 50), customer.silence).min() > -250


PIECE = 100


def counts_of_piece(piece):
    """Every so many a row by gaps, and every so many held to a coarser rule."""
    rng = np.random.default_rng([2018, piece])
    out, worst, refused = [], 0.0, 0
    while len(out) < PIECE:
        params, row, horizon, n = draw_counts(rng)
        customer = Customer(params, row)
        if not usable(customer):
            continue
        by_gaps = (piece % 4, len(out)) == (3, PIECE - 1)
        counts = Counts(customer, horizon, n, by_gaps or customer.silence == 0)
        at, above = counts.answers()
        if not (counts.by_gaps or at - above > np.log(1e-3)):
            refused += 1
            continue
        if len(out) % 50 == 0:
            worst = max(worst, counts.error((at, above)))
        out.append([*params, *row, horizon, n, at, above])
    return out, worst, refused


def in_pieces(of_piece, path, count, spare=0, keep=lambda row: True):
    """On all processors; the first so many rows that are kept."""
    with multiprocessing.Pool() as pool:
        pieces = pool.map(of_piece, range(count // PIECE + spare), chunksize=1)
    out, *checks = zip(*pieces)
    rows = [row for row in sum(out, []) if keep(row)]
    np.array(rows[:count], dtype="<f8").tofile(path)
    return checks


def main_counts(path, count):
    worst, refused = in_pieces(counts_of_piece, path, count)
    print("two rules differ by", max(worst), "refused", sum(refused))


def forever_of_piece(piece):
    rng = np.random.default_rng([2017, piece])
    return ([[*params, *row, delta, customer.dert(delta)]
             for params, row, delta, customer in customers(rng, PIECE)],)


def purchases_of_piece(piece):
    """Every so many a row held to a finer rule."""
    rng = np.random.default_rng([2019, piece])
    out, worst = [], 0.0
    while len(out) < PIECE:
        params, row, _, _ = draw_counts(rng)
        customer = Customer(params, row)
        k = params[0] / params[1]
        # Clumps are thousands of purchases.
        if params[0] < 4 or k < 1 or not usable(customer):
            continue
        # Up to ten times the usual gap.
        shape, last = params[2] + k * row[0], params[3] / k + row[1]
        horizon = float(np.exp(rng.uniform(np.log(0.05), np.log(10.0)))) * k * last / max(shape, 1.0)
        mean = Counts(customer, horizon, 1, False).mean(40)
        if len(out) % 50 == 0:
            worst = max(worst, abs(Counts(customer, horizon, 1, False).mean(60) / mean - 1))
        out.append([*params, *row, horizon, mean])
    return out, worst


def main_purchases(path, count):
    (worst,) = in_pieces(purchases_of_piece, path, count)
    print("two rules differ by", max(worst))


def main_forever(path, count):
    # Of who never bought tiny k count up to here: scipy's betainc has nine digits there.
    in_pieces(forever_of_piece, path, count, 2, lambda row: row[0] >= 1.6 or row[6] > 0)


def customers(rng, count):
    while count > 0:
        params, row, delta = draw(rng)
        customer = Customer(params, row)
        if usable(customer):
            yield params, row, delta, customer
            count -= 1


def main(path, count):
    out = []
    for params, row, delta, customer in customers(np.random.default_rng(2016), count):
        alive, left = customer.log_alive(), customer.log_left()
        total = np.logaddexp(alive, left)
        out.append([*params, *row, delta, total, np.exp(alive - total)])
    np.array(out, dtype="<f8").tofile(path)


if __name__ == "__main__":
    if sys.argv[3:] == ["clumps"]:
        main_clumps()
    elif sys.argv[3:] == ["counts"]:
        main_counts(sys.argv[1], int(sys.argv[2]))
    elif sys.argv[3:] == ["purchases"]:
        main_purchases(sys.argv[1], int(sys.argv[2]))
    elif sys.argv[3:] == ["dert"]:
        main_forever(sys.argv[1], int(sys.argv[2]))
    else:
        main(sys.argv[1], int(sys.argv[2]))
