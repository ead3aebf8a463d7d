"""Derive golden numbers of BG/NBD and lifetime value by quadrature, apart from the engine.

The posterior mean over the purchase rate and the dropout probability of one customer is integrated
numerically (tanh-sinh), straight from the story of the model: Poisson purchases while
alive, a coin tossed after each of them. No hypergeometric function, no closed form.

Run with mpmath installed: ``python tests/golden/derive.py``.
"""

import sys
from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 18

CDNOW = {"r": "0.243", "alpha": "4.414", "a": "0.793", "b": "2.426"}
SPEND = {"p": "6.25", "q": "3.74", "v": "15.44"}
ROWS = [("2", "30.43", "38.86"), ("0", "0", "38.86"), ("6", "20", "25"), ("1", "5", "5")]
MEANS = ["22.5", "0", "41.25", "9.5"]
HORIZON = mp.mpf(39)
WEEKS_PER_YEAR = mp.mpf("365.25") / 7


def posterior(row: tuple[str, str, str], delta: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """Return P(alive) and the discounted purchases expected in the horizon."""
    r, alpha, a, b = (mp.mpf(value) for value in CDNOW.values())
    x, t_x, age = (mp.mpf(value) for value in row)

    def prior(rate: mp.mpf, dropout: mp.mpf) -> mp.mpf:
        """Return the prior without the poles at 0, which the substitution in `mean` removes."""
        return mp.e ** (-alpha * rate) * (1 - dropout) ** (b - 1)

    def alive(rate: mp.mpf, dropout: mp.mpf) -> mp.mpf:
        return (1 - dropout) ** x * rate**x * mp.e ** (-rate * age)

    def lapsed(rate: mp.mpf, dropout: mp.mpf) -> mp.mpf:
        if x == 0:
            return mp.mpf(0)
        return dropout * (1 - dropout) ** (x - 1) * rate**x * mp.e ** (-rate * t_x)

    def purchases(rate: mp.mpf, dropout: mp.mpf) -> mp.mpf:
        decay = rate * dropout + delta
        return rate * (-mp.expm1(-decay * HORIZON)) / decay

    def mean(value: Callable[[mp.mpf, mp.mpf], mp.mpf]) -> mp.mpf:
        """Integrate over rate = u^(1/r) and dropout = w^(1/a)."""

        def inner(w: mp.mpf) -> mp.mpf:
            dropout = w ** (1 / a)

            def weighted(u: mp.mpf) -> mp.mpf:
                rate = u ** (1 / r)
                return prior(rate, dropout) * value(rate, dropout)

            return mp.quad(weighted, [0, mp.mpf("0.5"), 1, 2, mp.inf])

        return mp.quad(inner, [0, mp.mpf("0.5"), 1])

    everything = mean(lambda rate, drop: alive(rate, drop) + lapsed(rate, drop))
    still = mean(alive)
    bought = mean(lambda rate, drop: alive(rate, drop) * purchases(rate, drop))
    return still / everything, bought / everything


def spend(frequency: str, mean: str) -> mp.mpf:
    """Return the expected spend per purchase: Fader & Hardie, note 025, eq. 5."""
    p, q, v = (mp.mpf(value) for value in SPEND.values())
    x, m = mp.mpf(frequency), mp.mpf(mean)
    return p * (v + x * m) / (p * x + q - 1)


def main() -> None:
    """Print every number of the corpus that comes from here."""
    out = sys.stdout.write
    delta = mp.log1p(mp.mpf("0.1")) / WEEKS_PER_YEAR
    for row, mean in zip(ROWS, MEANS, strict=True):
        p_alive, purchases = posterior(row, mp.mpf(0))
        _, discounted = posterior(row, delta)
        worth = spend(row[0], mean)
        out(f"{row}: p_alive {mp.nstr(p_alive, 17)} expected_purchases {mp.nstr(purchases, 17)} ")
        out(f"discounted {mp.nstr(discounted, 17)} spend {mp.nstr(worth, 17)} ")
        out(f"value at margin 0.3 {mp.nstr(discounted * worth * mp.mpf('0.3'), 17)}\n")


if __name__ == "__main__":
    main()
