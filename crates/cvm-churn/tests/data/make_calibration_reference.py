"""Reference numbers of tests/calibrate.rs: scipy's optimiser and scikit-learn's isotonic regression.

Prints what the tests hold; needs numpy, scipy and scikit-learn.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression, isotonic_regression

i = np.arange(400)
eta = ((i * 37) % 101) / 20.0 - 2.5
y = ((i * 61) % 97) / 97.0 < expit(0.6 * eta - 0.4)
w = 1.0 + (i % 3)
print("churners", int(y.sum()))


def smooth(weight):
    weight = weight / weight.mean()
    high, low = weight[y].sum(), weight[~y].sum()
    return np.where(y, (high + 1) / (high + 2), 1 / (low + 2)), weight


def solve(columns, weight, start):
    target, weight = smooth(weight)

    def loss(c):
        s = columns @ c
        return -(weight * (target * log_expit(s) + (1 - target) * log_expit(-s))).sum()

    def slope(c):
        return -columns.T @ (weight * (target - expit(columns @ c)))

    return minimize(loss, start, jac=slope, method="BFGS", options={"gtol": 1e-12}).x


one = np.ones_like(eta)
print("sklearn platt", [-float(v) for v in _sigmoid_calibration(eta, y.astype(float))])
for name, weight in (("plain", one), ("weighted", w)):
    print(name, "platt", solve(np.column_stack([eta, one]), weight, [1.0, 0.0]).tolist())
    print(name, "temperature", solve(eta[:, None], weight, [1.0]).tolist())
    columns = np.column_stack([log_expit(eta), -log_expit(-eta), one])
    print(name, "beta", solve(columns, weight, [1.0, 1.0, 0.0]).tolist())

values = np.array([0.3, 0.1, 0.2, 0.6, 0.5, 0.4, 0.9, 0.9, 0.8, 1.0])
weights = np.array([1.0, 2.0, 1.5, 1.0, 0.5, 3.0, 1.0, 2.0, 4.0, 1.0])
print("pav", isotonic_regression(values, sample_weight=weights).tolist())

# Venn-Abers by its definition: add the customer to the rows, once with each outcome, and fit.
score = ((i * 29) % 13) - 6.0
left = ((i * 53) % 89) / 89.0 < expit(0.7 * score - 0.3)
for at in (-6.0, -2.0, 0.0, 3.0, 6.0):
    pair = []
    for outcome in (0.0, 1.0):
        x = np.append(score, at)
        t = np.append(left.astype(float), outcome)
        pair.append(float(IsotonicRegression().fit(x, t).predict([at])[0]))
    print("venn-abers", at, pair)
