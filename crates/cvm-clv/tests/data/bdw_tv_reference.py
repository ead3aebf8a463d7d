"""Derive golden numbers of the BdW with time-varying covariates, term by term in 40 digits.

Run with mpmath installed.
"""

import mpmath as mp

mp.mp.dps = 40
ALPHA, BETA, C = mp.mpf("0.8"), mp.mpf(3), mp.mpf("1.3")
PRICE, EVENT = mp.mpf("0.7"), mp.mpf("-0.3")
HORIZON, RATE = 12, mp.log(mp.mpf("1.1")) / 12
# Tenure and steps (start, price, event).
ROWS = [
    (0, [("0", 0, "-1"), ("6", 1, "-1"), ("9", 1, "2")]),
    (7, [("0", 0, "-1"), ("6", 1, "-1"), ("9", 1, "2")]),
    (7, [("-2", "0.5", 0), ("7.5", 0, 0)]),
    (30, [("0", 1, 1)]),
]


def clock(steps: list, t: mp.mpf) -> mp.mpf:
    """Sum the powers of time, each step at its own speed."""
    total = mp.mpf(0)
    for k, (start, price, event) in enumerate(steps):
        low = max(mp.mpf(start), mp.mpf(0))
        high = min(mp.mpf(steps[k + 1][0]) if k + 1 < len(steps) else mp.inf, t)
        if high > low:
            total += mp.exp(PRICE * mp.mpf(price) + EVENT * mp.mpf(event)) * (high**C - low**C)
    return total


def answers(row: tuple) -> dict:
    """Return what is expected of one customer."""
    tenure, steps = row

    def kept(t: int) -> mp.mpf:
        return mp.beta(ALPHA, BETA + clock(steps, mp.mpf(t))) / mp.beta(ALPHA, BETA)

    now = kept(tenure)
    paid = sum(mp.exp(-RATE * k) * kept(tenure + k) for k in range(HORIZON)) / now
    made = sum(mp.exp(-RATE * (k - 1)) * kept(tenure + k) for k in range(1, HORIZON + 1)) / now
    end = tenure + HORIZON
    return {
        "retention_rate": kept(tenure + 1) / now,
        "p_retained": kept(end) / now,
        "churn_probability": 1 - kept(end) / now,
        "expected_lifetime_periods": paid,
        "residual_lifetime_periods": made,
        "p_churn_at_horizon": (kept(end - 1) - kept(end)) / now,
        "log_p_retained": mp.log(kept(end) / now),
    }


def main() -> None:
    """Print the expectations of the golden case."""
    found = [answers(row) for row in ROWS]
    for name in found[0]:
        values = ", ".join(mp.nstr(one[name], 17) for one in found)
        print(f"{name} = {{ values = [{values}] }}")


if __name__ == "__main__":
    main()
