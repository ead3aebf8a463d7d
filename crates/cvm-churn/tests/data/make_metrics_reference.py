"""Reference numbers of tests/decision_metrics.rs, each from its definition or another library.

Prints what the tests hold; needs numpy, scipy and scikit-learn.
"""

import numpy as np
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

i = np.arange(300)
score = np.round(expit(((i * 37) % 101) / 20.0 - 2.5), 2)
y = ((i * 61) % 97) / 97.0 < score * 0.7 + 0.1
w = 1.0 + (i % 3)
clv = 50.0 + ((i * 41) % 211) * 2.0
print("churners", int(y.sum()), "distinct scores", len(np.unique(score)))

for name, weight in (("plain", None), ("weighted", w)):
    print(name, "auc", roc_auc_score(y, score, sample_weight=weight))
    print(name, "ap", average_precision_score(y, score, sample_weight=weight))
    fpr, tpr, _ = roc_curve(y, score, sample_weight=weight, drop_intermediate=False)
    print(name, "ks", (tpr - fpr).max())

# DeLong by its definition: every pair.
pairs = (score[y][:, None] > score[~y]) + 0.5 * (score[y][:, None] == score[~y])
v10, v01 = pairs.mean(axis=1), pairs.mean(axis=0)
print("delong se", np.sqrt(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)))

offer, contact = 10.0, 1.0
beta = stats.beta(6, 14)
cuts = np.append(np.inf, np.unique(score)[::-1])


def profits(weight, value):
    """Slope and cost of every threshold."""
    out = []
    for cut in cuts:
        hit = score >= cut
        gain = (weight * (value - offer) * (hit & y)).sum()
        cost = (weight * contact * (hit & y)).sum() + (weight * 11.0 * (hit & ~y)).sum()
        out.append((gain / weight.sum(), cost / weight.sum(), (weight * hit).sum() / weight.sum()))
    return np.array(out)


for name, weight, value in (
    ("plain", np.ones(300), np.full(300, 200.0)),
    ("weighted", w, np.full(300, 200.0)),
    ("own values", np.ones(300), clv),
):
    lines = profits(weight, value)
    best = lambda g: (g * lines[:, 0] - lines[:, 1]).max()  # noqa: B023, E731
    share = lambda g: lines[np.argmax(g * lines[:, 0] - lines[:, 1]), 2]  # noqa: B023, E731
    grid = (np.arange(400_000) + 0.5) / 400_000
    density = beta.pdf(grid) / 400_000
    chunks = [
        (g[:, None] * lines[:, 0] - lines[:, 1]) for g in np.array_split(grid, 200)
    ]
    top = np.concatenate([c.max(axis=1) for c in chunks])
    at = np.concatenate([lines[c.argmax(axis=1), 2] for c in chunks])
    print(name, "empc", (top * density).sum(), "share", (at * density).sum())
    k = (0.3 * lines[:, 0] - lines[:, 1]).argmax()
    print(name, "mpc", 0.3 * lines[k, 0] - lines[k, 1], "share", lines[k, 2], "cut", cuts[k])

# H-measure by integrating the least loss.
p1 = y.mean()
tpr = np.array([((score >= c) & y).sum() / y.sum() for c in cuts])
fpr = np.array([((score >= c) & ~y).sum() / (~y).sum() for c in cuts])
cost = stats.beta(2, 2)
least = lambda c: (c * (1 - p1) * fpr + (1 - c) * p1 * (1 - tpr)).min() * cost.pdf(c)  # noqa: E731
naive = lambda c: min(c * (1 - p1), (1 - c) * p1) * cost.pdf(c)  # noqa: E731
grid = (np.arange(200_000) + 0.5) / 200_000
print("h", 1 - sum(map(least, grid)) / sum(map(naive, grid)))

# Brier decomposition over equal probabilities.
rel = res = 0.0
for p in np.unique(score):
    at = score == p
    rel += at.sum() * (y[at].mean() - p) ** 2
    res += at.sum() * (y[at].mean() - y.mean()) ** 2
print("brier", ((y - score) ** 2).mean(), rel / 300, res / 300, y.mean() * (1 - y.mean()))

# Calibration error over five bins of equal width.
bins = np.minimum((score * 5).astype(int), 4)
l1 = l1d = l2 = l2d = 0.0
for b in range(5):
    at = bins == b
    n, rate = at.sum(), y[at].mean()
    gap = rate - score[at].mean()
    se = np.sqrt(rate * (1 - rate) / n)
    folded = quad(lambda z: abs(gap + se * z) * stats.norm.pdf(z), -9, 9, points=[-gap / se])[0]
    l1 += n / 300 * abs(gap)
    l1d += n / 300 * (2 * abs(gap) - folded)
    l2 += n / 300 * gap**2
    l2d += n / 300 * (gap**2 - rate * (1 - rate) / (n - 1))
print("calibration error", l1, l1d, np.sqrt(l2), np.sqrt(max(l2d, 0)))

found = stats.binomtest(7, 20).proportion_ci(method="wilson")
print("wilson 7 of 20", found.low, found.high)
