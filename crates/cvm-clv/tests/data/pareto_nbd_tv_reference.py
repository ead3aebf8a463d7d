"""Derive golden numbers of the Pareto/NBD with time-varying covariates by 30-digit quadrature.

Everything is an integral over the moment of leaving, with both rates integrated out in closed form
(gamma integrals); the clocks are summed step by step. Run with mpmath installed.
"""

import mpmath as mp

mp.mp.dps = 30
R, ALPHA, S, BETA = mp.mpf("0.9"), mp.mpf(6), mp.mpf("1.2"), mp.mpf(15)
SEASON, PRICE, LATE = mp.mpf("0.8"), mp.mpf("-0.4"), mp.mpf("0.6")
HORIZON, DELTA = mp.mpf("7.5"), mp.log(mp.mpf("1.1")) / (mp.mpf("365.25") / 7)
# Frequency, recency, T and steps (start, season, price, late).
ROWS = [
    (
        0,
        "0",
        "21",
        [("-0.5", 0, "1", 0), ("6", 1, "0.5", 0), ("13.5", 0, "0.5", 1), ("25", 1, "2", 1)],
    ),
    (
        3,
        "9.1",
        "21",
        [("-0.5", 0, "1", 0), ("6", 1, "0.5", 0), ("13.5", 0, "0.5", 1), ("25", 1, "2", 1)],
    ),
    (7, "20.9", "21", [("0", 1, "-1", 0), ("20", 0, "0", 0), ("22.25", 0, "0", 1)]),
    (1, "2", "30", [("-3", 0, "0.25", 1)]),
]


class Path:
    """Speeds and clocks of one customer's path."""

    def __init__(self, steps: list) -> None:
        self.starts = [mp.mpf(step[0]) for step in steps]
        self.buy = [mp.exp(SEASON * step[1] + PRICE * mp.mpf(step[2])) for step in steps]
        self.leave = [mp.exp(LATE * step[3]) for step in steps]

    def step(self, t: mp.mpf) -> int:
        return max(0, sum(1 for start in self.starts if start <= t) - 1)

    def clock(self, speeds: list, t: mp.mpf) -> mp.mpf:
        edges = [mp.mpf(0), *[s for s in self.starts[1:] if 0 < s < t], t]
        pairs = zip(edges, edges[1:])
        return sum((b - a) * speeds[self.step((a + b) / 2)] for a, b in pairs)

    def edges(self, a: mp.mpf, b: mp.mpf) -> list:
        return [a, *[s for s in self.starts if a < s < b], b]

    def over(self, f, a: mp.mpf, b: mp.mpf) -> mp.mpf:
        """Integrate stretch by stretch; `f` takes time and both speeds."""
        total = mp.mpf(0)
        points = self.edges(a, b)
        for low, high in zip(points, points[1:]):
            k = self.step((low + high) / 2)
            total += mp.quad(
                lambda t: f(t, self.buy[k], self.leave[k]), [low, (low + high) / 2, high]
            )
        return total


def answers(row) -> dict:
    x, t_x, age = row[0], mp.mpf(row[1]), mp.mpf(row[2])
    path = Path(row[3])
    bought = lambda t: path.clock(path.buy, t)
    aged = lambda t: path.clock(path.leave, t)
    shape = R + x
    silent = lambda t: (ALPHA + bought(t)) ** -shape
    alive = silent(age) * (BETA + aged(age)) ** -S
    left = path.over(lambda t, a, c: S * c * silent(t) * (BETA + aged(t)) ** (-S - 1), t_x, age)
    p_alive = alive / (alive + left)
    end = age + HORIZON
    stay = lambda t: ((BETA + aged(age)) / (BETA + aged(t))) ** S
    rate = shape / (ALPHA + bought(age))
    expected = path.over(lambda t, a, c: rate * a * stay(t), age, end)
    discounted = path.over(
        lambda t, a, c: rate * a * stay(t) * mp.exp(-DELTA * (t - age)), age, end
    )
    lifetime = path.over(lambda t, a, c: stay(t) * mp.exp(-DELTA * (t - age)), age, end)
    scale = ALPHA + bought(age)

    def count(n: int, t: mp.mpf) -> mp.mpf:
        p = bought(t) - bought(age)
        front = mp.rf(shape, n) / mp.factorial(n)
        return front * (scale / (scale + p)) ** shape * (p / (scale + p)) ** n

    def exactly(n: int) -> mp.mpf:
        leave = path.over(
            lambda t, a, c: S * c / (BETA + aged(t)) * stay(t) * count(n, t), age, end
        )
        return stay(end) * count(n, end) + leave

    return {
        "p_alive": p_alive,
        "expected_purchases": p_alive * expected,
        "discounted_purchases": p_alive * discounted,
        "p_alive_at_horizon": p_alive * stay(end),
        "expected_lifetime_periods": p_alive * lifetime,
        "p_purchases": p_alive * exactly(2),
        "p_at_least": p_alive * (1 - exactly(0) - exactly(1)),
    }


def main() -> None:
    """Print the expectations of the golden case."""
    found = [answers(row) for row in ROWS]
    for name in found[0]:
        values = ", ".join(mp.nstr(one[name], 17) for one in found)
        print(f"expect.{name} = {{ values = [{values}] }}")


if __name__ == "__main__":
    main()
