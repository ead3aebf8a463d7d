"""Pareto/GGG: log-likelihood, P(alive) and, for fewer, DERT of random customers, by plain trapezoid rules.

    python pareto_ggg_reference.py pareto_ggg.bin 5000
    python pareto_ggg_reference.py pareto_ggg_dert.bin 12 dert

Independent of the crate's formulas: the likelihood integrates over the time of leaving (not over the
gap that was to follow), with scipy's incomplete beta and gamma functions; every integral is a
trapezoid rule in the logarithm of its variable over the window in which the integrand is more than
e^-36 of its peak. Needs numpy and scipy. Rows of little-endian f64:
t gamma r alpha s beta | x t_x T G delta | log_lik p_alive [dert]
"""

import sys

import numpy as np
from scipy.special import betainc, gammaincc, gammaln

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
        """Mean of phi_1/(1 - phi): halving the step squares the error, so half the digits must agree."""
        step = 0.3
        before = self.dert_by(delta, step)
        while True:
            step /= 2
            after = self.dert_by(delta, step)
            if abs(after - before) <= 1e-7 * after:
                return after
            before = after

    def dert_by(self, delta, step):
        """Mean of phi_1/(1 - phi) over k, the rate of a stage, and the rate of leaving."""
        f = lambda xi: self.log_front(xi) + self.log_silent(xi, self.silence)
        low, _ = window(lambda xi: f(xi) - xi, -120.0, 14.0)
        _, high = window(f, -120.0, 14.0)
        xi, _ = nodes(low, high, step, 40)
        share = f(xi)
        share = np.exp(share - share.max())
        share /= share.sum()
        leave = lambda m: self.s * m - (self.beta + self.age) * np.exp(m)
        # Without discount what is earned is as 1/mu.
        m_low, m_high = window(lambda m: leave(m) - (0.0 if delta > 0 else m), -400.0, 20.0)
        m, _ = nodes(m_low, m_high, step, 50)
        m_share = np.exp(leave(m) - leave(m).max())
        m_share /= m_share.sum()
        total = 0.0
        for one, weight in zip(xi, share):
            k = np.exp(one)
            if weight < 1e-15 * min(1.0, k):
                continue
            total += weight * self.dert_at(k, np.exp(m) + delta, m_share, step)
        return total

    def dert_at(self, k, falls, m_share, step):
        shape = self.r + k * self.x
        last = self.alpha / k + self.recency

        def density(rho):
            quiet = np.log(np.maximum(gammaincc(k, np.exp(rho) * self.silence), 1e-300))
            return shape * rho - last * np.exp(rho) + quiet

        low, high = window(density, -400.0, 20.0)
        rho, _ = nodes(low, high, step, 40)
        log = density(rho)
        share = np.exp(log - log.max())
        share /= share.sum()
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


def main(path, count, forever=False):
    rng = np.random.default_rng(2017 if forever else 2016)
    out = []
    while len(out) < count:
        params, row, delta = draw(rng)
        customer = Customer(params, row)
        if not usable(customer):
            continue
        alive, left = customer.log_alive(), customer.log_left()
        total = np.logaddexp(alive, left)
        answers = [total, np.exp(alive - total)]
        if forever:
            answers.append(customer.dert(delta))
        out.append([*params, *row, delta, *answers])
    np.array(out, dtype="<f8").tofile(path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["dert"])
