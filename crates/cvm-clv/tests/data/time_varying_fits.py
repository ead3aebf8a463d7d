"""Draw small samples with paths of covariates and fit them apart from the engine.

Writes ``pareto_nbd_tv_sample.csv`` and ``bdw_tv_sample.csv`` beside this file, and prints the maxima:
likelihoods in numpy with 40 Gauss-Legendre nodes a stretch, Nelder-Mead and BFGS of scipy.
Run with numpy and scipy installed.
"""

from pathlib import Path

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

HERE = Path(__file__).parent
NODES, WEIGHTS = leggauss(40)
WEEKS, CUSTOMERS = 52, 300


def season(week: np.ndarray) -> np.ndarray:
    """Weeks 8 to 13, 26 to 31 and 44 to 49 of the calendar."""
    return (np.mod(week - 8, 18) < 6).astype(float) * (week >= 8)


def write(name: str, columns: dict) -> None:
    """Write a table; NaN is an empty cell."""
    lines = [",".join(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(",".join("" if np.isnan(cell) else f"{cell:.17g}" for cell in row))
    (HERE / name).write_text("\n".join(lines) + "\n")


def path_columns(starts: list, values: list, names: list, until: list) -> dict:
    """Return numbered columns of paths."""
    columns = {"covariates_until": np.array(until)}
    for step in range(max(map(len, starts))):
        pick = lambda rows: np.array([row[step] if step < len(row) else np.nan for row in rows])
        columns[f"covariates_from_{step}"] = pick(starts)
        for place, name in enumerate(names):
            columns[f"{name}_{step}"] = pick([[cell[place] for cell in row] for row in values])
    return columns


def draw_purchases(rng: np.random.Generator) -> tuple[dict, list]:
    """Return columns, and what the likelihood needs: x, t_x, T, sum of seasons, stretches."""
    rows, known = [], []
    starts, values = [], []
    for _ in range(CUSTOMERS):
        first = float(rng.integers(0, 12))
        mailed = float(rng.integers(5, 40))
        age = WEEKS - first
        edges = sorted({0.0, *(e - first for e in (8, 14, 26, 32, 44, 50) if e > first), mailed})
        edges = [e for e in edges if e < age]
        cells = [(float(season(np.array(e + first))), float(e >= mailed)) for e in edges]
        rate, hazard = rng.gamma(0.8) / 5.0, rng.gamma(0.9) / 20.0
        lifetime, times = rng.exponential() / hazard, []
        for place, (start, (s, m)) in enumerate(zip(edges, cells, strict=True)):
            end = edges[place + 1] if place + 1 < len(edges) else age
            speed = np.exp(-0.7 * m)
            alive = min(end, start + lifetime / speed)
            count = rng.poisson(rate * np.exp(0.9 * s) * max(0.0, alive - start))
            times += sorted(rng.uniform(start, alive, count))
            lifetime -= speed * (end - start)
            if lifetime <= 0:
                break
        bought = sum(cells[np.searchsorted(edges, t, side="right") - 1][0] for t in times)
        last = times[-1] if times else 0.0
        rows.append((len(times), last, age, bought))
        starts.append(edges)
        values.append(cells)
        known.append((edges, cells))
    x, t_x, age, bought = map(np.array, zip(*rows, strict=True))
    own = {"frequency": x, "recency": t_x, "T": age, "season_at_purchases": bought}
    columns = {**own, **path_columns(starts, values, ["season", "mailed"], age.tolist())}
    return columns, [(*row, *path) for row, path in zip(rows, known, strict=True)]


def purchase_log_lik(theta: np.ndarray, customers: list) -> float:
    """Log-likelihood at logarithms of r, alpha, s, beta, and two coefficients."""
    r, alpha, s, beta = np.exp(theta[:4])
    total = 0.0
    for x, t_x, age, bought, edges, cells in customers:
        clock_p = clock_d = left = 0.0
        for place, (start, (season_on, mailed)) in enumerate(zip(edges, cells, strict=True)):
            end = edges[place + 1] if place + 1 < len(edges) else age
            a, c = np.exp(theta[4] * season_on), np.exp(theta[5] * mailed)
            low = min(max(t_x, start), end)
            if low < end:
                u = 0.5 * (end - low) * (NODES + 1) + (low - start)
                term = (alpha + clock_p + a * u) ** -(r + x) * (beta + clock_d + c * u) ** (-s - 1)
                left += 0.5 * (end - low) * s * c * (WEIGHTS @ term)
            clock_p += a * (end - start)
            clock_d += c * (end - start)
        alive = (alpha + clock_p) ** -(r + x) * (beta + clock_d) ** -s
        front = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
        total += front + theta[4] * bought + np.log(alive + left)
    return total


def draw_contracts(rng: np.random.Generator) -> tuple[dict, list]:
    """Return columns and rows (tenure, churned, moment of the price rise)."""
    rows = []
    for _ in range(600):
        raised, window = float(rng.integers(1, 10)), 12.0
        theta = rng.beta(1.2, 7.0)
        target = rng.exponential() / -np.log1p(-theta)
        ahead = np.exp(0.6)
        clock = lambda t: min(t, raised) ** 1.2 + ahead * (max(t, raised) ** 1.2 - raised**1.2)
        tenure = next((k for k in range(1, 13) if clock(k) >= target), None)
        rows.append((window, 0.0, raised) if tenure is None else (float(tenure), 1.0, raised))
    tenure, churned, raised = map(np.array, zip(*rows, strict=True))
    starts = [[0.0, at] for at in raised]
    values = [[(0.0,), (1.0,)] for _ in rows]
    paths = path_columns(starts, values, ["price"], [12.0] * len(rows))
    return {"tenure": tenure, "churned": churned, **paths}, rows


def contract_log_lik(theta: np.ndarray, rows: np.ndarray) -> float:
    """Log-likelihood at logarithms of alpha, beta, c, and one coefficient."""
    alpha, beta, c = np.exp(theta[:3])
    tenure, churned, raised = rows.T

    def kept(t: np.ndarray) -> np.ndarray:
        low = np.minimum(t, raised) ** c
        high = np.exp(theta[3]) * (np.maximum(t, raised) ** c - raised**c)
        return np.exp(betaln(alpha, beta + low + high) - betaln(alpha, beta))

    left = kept(np.maximum(tenure - 1, 0)) - kept(tenure)
    return np.log(np.where(churned == 1, left, kept(tenure))).sum()


def best(function, start: list) -> tuple[np.ndarray, float]:
    """Maximize: a simplex to get near, then BFGS."""
    minus = lambda theta: -function(theta)
    simplex = {"maxiter": 1500, "xatol": 1e-7, "fatol": 1e-9}
    near = minimize(minus, start, method="Nelder-Mead", options=simplex)
    found = minimize(minus, near.x, method="BFGS", options={"gtol": 1e-6})
    return found.x, -found.fun


def main() -> None:
    """Write the samples and print the maxima."""
    rng = np.random.default_rng(2021)
    columns, customers = draw_purchases(rng)
    write("pareto_nbd_tv_sample.csv", columns)
    theta, value = best(lambda t: purchase_log_lik(t, customers), [0.0, 1.5, 0.0, 3.0, 0.0, 0.0])
    print("pareto_nbd_tv", np.exp(theta[:4]), theta[4:], f"{value:.9f}")
    columns, rows = draw_contracts(rng)
    write("bdw_tv_sample.csv", columns)
    theta, value = best(lambda t: contract_log_lik(t, np.array(rows)), [0.0, 1.5, 0.0, 0.0])
    print("bdw_tv", np.exp(theta[:3]), theta[3:], f"{value:.9f}")


if __name__ == "__main__":
    main()
