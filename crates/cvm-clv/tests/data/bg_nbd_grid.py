# ruff: noqa: INP001, PLR2004, S101, S311 - a script of formulas in the symbols of the paper
"""Writes bg_nbd.bin: 5,000 customers of the BG/NBD, as mbg_nbd_reference.py does for the MBG/NBD.

A row: r, alpha, a, b, x, t_x, T, t, delta, n, p, then log-likelihood, P(alive), and given alive:
purchases, P(alive ahead), ln P(X = n), ln P(X >= n), discounted purchases and periods up to `t`,
or, in every fifth row, for ever, and the quantile `p` of the time of the next purchase.
Expectations by quadrature in extended precision, held to the hypergeometric forms in every fiftieth
row.
"""

import math
import random

import flint
import numpy as np
from dropout_integrals import alive_ahead, over_time
from mbg_nbd_reference import ROWS, Customer, draw
from reference_tools import sharp, write

arb = flint.arb


class FromFirst(Customer):
    """Leaving begins at the first repeat purchase."""

    def __getattr__(self, name: str) -> arb:
        """Return an input, or `R`, `A`, `B = b + x`."""
        return self.b + self.x if name == "B" else super().__getattr__(name)

    def odds(self) -> arb:
        """Odds of having left."""
        if self.x == 0:
            return arb(0)
        return self.a / (self.B - 1) * (self.A / (self.alpha + self.t_x)) ** self.R

    def log_lik(self) -> arb:
        """Logarithm of the likelihood (Fader, Hardie & Lee 2005, equation 6)."""
        a, b, r, x = self.a, self.b, self.r, self.x
        value = (r + x).lgamma() - r.lgamma() + r * self.alpha.log() - self.R * self.A.log()
        value += (a + b).lgamma() + (b + x).lgamma() - b.lgamma() - (a + b + x).lgamma()
        return value + (1 + self.odds()).log()


def row(case: tuple[float, ...], *, for_ever: bool, check: bool) -> list[float]:
    """Compute one row of the table."""
    customer = FromFirst(case)
    r, alpha, a, b, x, _, age, t, delta, _, _ = case
    given = (a, b + x, r + x, alpha + age)
    log_lik = 0.0 if age == 0 else sharp(customer.log_lik)
    values = [log_lik, sharp(customer.p_alive), over_time(*given, t, 0.0)[0]]
    values.append(alive_ahead(*given[:3], t / given[3]))
    values += [sharp(customer.ln_pmf), sharp(customer.ln_tail)]
    if check:
        proven = [sharp(customer.purchases), sharp(customer.alive_ahead)]
        assert np.allclose(values[2:4], proven, rtol=2e-15, atol=0), (case, values, proven)
    horizon = math.inf if for_ever else t
    values += over_time(*given, horizon, delta)
    return [*case, *values, sharp(customer.next_purchase)]


if __name__ == "__main__":
    rng = random.Random(2005)
    cases = [draw(rng, index) for index in range(ROWS)]
    made = [row(c, for_ever=i % 5 == 4, check=i % 50 == 7) for i, c in enumerate(cases)]
    write("bg_nbd.bin", made)
