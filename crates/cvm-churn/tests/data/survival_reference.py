"""Reference numbers of the duration models, by lifelines, statsmodels and plain numpy.

    python survival_reference.py    # writes rossi.csv and survival_reference.json beside itself

rossi.csv: 432 men released from prison, week of re-arrest within a year (Rossi, Berk & Lenihan 1980,
*Money, Work and Crime*), as shipped by lifelines (MIT).
"""

import json
from pathlib import Path

import lifelines
import numpy as np
import statsmodels
import statsmodels.api as sm
from lifelines import CoxPHFitter, WeibullAFTFitter
from lifelines.datasets import load_rossi

HERE = Path(__file__).parent
INPUTS = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]


def cox(data, **options):
    fit = CoxPHFitter(**options.pop("fitter", {}))
    fit.fit(data, "week", "arrest", fit_options={"precision": 1e-12}, **options)
    return fit


def numbers(fit):
    return {
        "coefficients": fit.params_[INPUTS].tolist(),
        "errors": fit.standard_errors_[INPUTS].tolist(),
        "log_likelihood": float(fit.log_likelihood_),
        "concordance": float(fit.concordance_index_),
    }


def newton(x, t, d, parts, steps=12):
    """Newton's method on the sums of every stratum; coefficients and the inverse information."""
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        own = [efron_at(x[part], t[part], d[part], beta) for part in parts]
        beta = beta + np.linalg.solve(sum(o[2] for o in own), sum(o[1] for o in own))
    own = [efron_at(x[part], t[part], d[part], beta) for part in parts]
    return beta, np.linalg.inv(sum(o[2] for o in own)), own


def curve_errors(data, rows, tenure, times, names=INPUTS, strata=None):
    """Errors of ln H by the delta method, every sum as it is written.

    The steps' own errors and the covariance of the coefficients, through a derivative of the curve
    in them taken by differences: H of a row depends on them by its risk and by the baseline, which
    is that of the row's stratum.
    """
    X = data[names].to_numpy(float)
    X = X - X.mean(axis=0)
    time, left = data["week"].to_numpy(float), data["arrest"].to_numpy().astype(bool)
    groups = np.zeros(len(X)) if strata is None else data[strata].to_numpy()
    beta, covariance, _ = newton(X, time, left, [groups == g for g in np.unique(groups)])
    step = 1e-4

    def terms(beta, group):
        risk, found, own = np.exp(X @ beta), [], groups == group
        for t in np.unique(time[left & own]):
            tied = (time == t) & left & own
            for share in np.arange(tied.sum()) / tied.sum():
                found.append((t, (risk * ((time >= t) * own - share * tied)).sum()))
        return np.array(found)

    def hazard(beta, row, end):
        found = terms(beta, groups[row])
        inside = (found[:, 0] > tenure) & (found[:, 0] <= tenure + end)
        return np.exp(X[row] @ beta) * (inside / found[:, 1]).sum()

    errors = []
    for row in rows:
        own, found = [], terms(beta, groups[row])
        for end in times:
            inside = (found[:, 0] > tenure) & (found[:, 0] <= tenure + end)
            risk, whole = np.exp(X[row] @ beta), hazard(beta, row, end)
            moved = step * np.eye(len(beta))
            slope = [
                (hazard(beta + m, row, end) - hazard(beta - m, row, end)) / (2 * step)
                for m in moved
            ]
            steps = risk**2 * (inside / found[:, 1] ** 2).sum()
            own.append(np.sqrt(steps + np.array(slope) @ covariance @ slope) / whole)
        errors.append(own)
    return errors


def cox_net(data, penalty, l1_ratio):
    """Elastic net of the Cox model with Efron's ties by accelerated proximal gradients.

    On columns of mean 0 and standard deviation 1: the score of every event as it is written, then
    soft thresholds (Beck & Teboulle 2009, *SIAM J. Imaging Sci.* 2(1), with restarts).
    """
    X = data[INPUTS].to_numpy(float)
    scale = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / scale
    time, left = data["week"].to_numpy(float), data["arrest"].to_numpy().astype(bool)

    def score(beta):
        risk, total = np.exp(Z @ beta), np.zeros(len(beta))
        for t in np.unique(time[left]):
            at_risk, tied = time >= t, (time == t) & left
            total += Z[tied].sum(axis=0)
            for share in np.arange(tied.sum()) / tied.sum():
                weights = risk * (at_risk - share * tied)
                total -= weights @ Z / weights.sum()
        return total

    bend, beta = 400.0, np.zeros(len(INPUTS))
    ahead, pace = beta, 1.0
    for _ in range(6000):
        up = ahead + (score(ahead) - penalty * (1 - l1_ratio) * ahead) / bend
        new = np.sign(up) * np.maximum(np.abs(up) - penalty * l1_ratio / bend, 0)
        faster = 1.0 if (new - beta) @ (ahead - new) > 0 else (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = new if faster == 1.0 else new + (pace - 1) / faster * (new - beta)
        done = np.abs(new - beta).max() < 1e-13
        beta, pace = new, faster
        if done:
            break
    coefficients = (beta / scale).tolist()
    return {"penalty": penalty, "l1_ratio": l1_ratio, "coefficients": coefficients}


def person_period(data):
    rows = data.loc[data.index.repeat(data["week"])].copy()
    rows["period"] = rows.groupby(level=0).cumcount() + 1
    rows["left"] = ((rows["period"] == rows["week"]) & (rows["arrest"] == 1)).astype(int)
    return rows


def hazard(data, link):
    """The same baseline in every week."""
    rows = person_period(data)
    design = np.column_stack([np.ones(len(rows)), rows[INPUTS] - data[INPUTS].mean()])
    model = sm.GLM(rows["left"], design, sm.families.Binomial(link))
    fit = model.fit(tol=1e-14, maxiter=100)
    # Observed, not expected, information: they differ where the link is not canonical.
    information = -model.hessian(fit.params, observed=True)
    return {
        "params": fit.params.tolist(),
        "errors": np.sqrt(np.diag(np.linalg.inv(information))).tolist(),
        "log_likelihood": float(fit.llf),
    }


def truncated(data):
    """Everyone watched from week 5 on only."""
    late = data[data["week"] > 5].assign(entry=5.0)
    fit = CoxPHFitter()
    fit.fit(late, "week", "arrest", entry_col="entry", fit_options={"precision": 1e-12})
    return numbers(fit)


def ph_score_test(data, beta):
    """Score test of beta + theta * time, Breslow ties, by brute force over event times."""
    x = data[INPUTS].to_numpy(float)
    t, d = data["week"].to_numpy(float), data["arrest"].to_numpy(bool)
    p = x.shape[1]
    score, info = np.zeros(2 * p), np.zeros((2 * p, 2 * p))
    for time in np.unique(t[d]):
        risk, dead = t >= time, d & (t == time)
        z = np.hstack([x[risk], x[risk] * time])
        w = np.exp(x[risk] @ beta)
        w /= w.sum()
        mean = w @ z
        score += np.hstack([x[dead], x[dead] * time]).sum(0) - dead.sum() * mean
        info += dead.sum() * ((z * w[:, None]).T @ z - np.outer(mean, mean))
    a, b, c = info[:p, :p], info[:p, p:], info[p:, p:]
    left = c - b.T @ np.linalg.solve(a, b)
    u = score[p:]
    return (u**2 / np.diag(left)).tolist() + [float(u @ np.linalg.solve(left, u))]


def efron_at(x, t, d, beta):
    """Log-likelihood, score, information, score residuals, baseline: Efron's ties term by term."""
    r, p = np.exp(x @ beta), x.shape[1]
    value, score, info, residuals = 0.0, np.zeros(p), np.zeros((p, p)), np.zeros_like(x)
    baseline = []
    for time in np.unique(t[d]):
        risk, dead = t >= time, d & (t == time)
        m, step = dead.sum(), 0.0
        for tied in range(m):
            w = r * risk - tied / m * r * dead
            phi = w.sum()
            mean = w @ x / phi
            value -= np.log(phi)
            score -= mean
            info += (x * w[:, None]).T @ x / phi - np.outer(mean, mean)
            residuals -= (w / phi)[:, None] * (x - mean)
            residuals[dead] += (x[dead] - mean) / m
            step += 1 / phi
        value += (x[dead] @ beta).sum()
        score += x[dead].sum(0)
        baseline.append((float(time), step))
    return value, score, info, residuals, baseline


def brute_force(x, t, d, steps=12):
    """Newton's method on the sums themselves."""
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        _, score, info, _, _ = efron_at(x, t, d, beta)
        beta = beta + np.linalg.solve(info, score)
    value, _, info, residuals, baseline = efron_at(x, t, d, beta)
    inverse = np.linalg.inv(info)
    sandwich = inverse @ residuals.T @ residuals @ inverse
    return beta, value, np.sqrt(np.diag(inverse)), np.sqrt(np.diag(sandwich)), baseline


def stratified(data, times, rows):
    """Baselines by work experience: lifelines, and Newton's method on the sums of both strata."""
    names = [name for name in INPUTS if name != "wexp"]
    fit = cox(data[[*INPUTS, "week", "arrest"]], strata=["wexp"])
    x = data[names].to_numpy(float)
    x = x - x.mean(axis=0)
    t, d = data["week"].to_numpy(float), data["arrest"].to_numpy(bool)
    parts = [(data["wexp"] == level).to_numpy() for level in (0, 1)]
    beta, inverse, own = newton(x, t, d, parts)
    found = []
    for row in rows:
        stratum = int(data["wexp"].iloc[row])
        found += curves(own[stratum][4], [np.exp(x[row] @ beta)], times)
    return {
        "names": names,
        "peer_coefficients": fit.params_[names].tolist(),
        "peer_errors": fit.standard_errors_[names].tolist(),
        "peer_concordance": float(fit.concordance_index_),
        "coefficients": beta.tolist(),
        "errors": np.sqrt(np.diag(inverse)).tolist(),
        "log_likelihood": float(sum(o[0] for o in own)),
        "survival": found,
        # Nobody with experience left in the first week: nothing there to be uncertain of.
        "curve_errors": np.array(curve_errors(data, rows, 0, times[1:], names, "wexp")).tolist(),
    }


def curves(baseline, risks, times):
    """Survival of rows of these risks at these times."""
    at = [sum(step for time, step in baseline if time <= t) for t in times]
    return [[float(np.exp(-risk * h)) for h in at] for risk in risks]


def remission():
    """Freireich's data: numbers of tests/golden/churn.cox.toml."""
    drug = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    kept = [0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    t = np.array(drug + placebo, float)
    d = np.array([1 - k for k in kept] + [1] * 21, bool)
    x = np.array([[1.0]] * 21 + [[0.0]] * 21) - 0.5
    beta, value, error, _, baseline = brute_force(x, t, d)
    risks = np.exp(np.array([0.5, -0.5]) * beta[0])
    times = [4, 7, 8, 10, 20, 22, 23, 35]
    return {
        "beta": float(beta[0]),
        "error": float(error[0]),
        "log_likelihood": float(value),
        "times": times,
        "survival": curves(baseline, risks, times),
    }


def aft(data):
    fit = WeibullAFTFitter().fit(data, "week", "arrest")
    summary = fit.summary
    names = [("lambda_", name) for name in [*INPUTS, "Intercept"]] + [("rho_", "Intercept")]
    return {
        "coefficients": [float(summary.loc[name, "coef"]) for name in names],
        "errors": [float(summary.loc[name, "se(coef)"]) for name in names],
        "log_likelihood": float(fit.log_likelihood_),
    }


def main():
    data = load_rossi()[["week", "arrest", *INPUTS]]
    data.to_csv(HERE / "rossi.csv", index=False)
    efron = cox(data)
    # lifelines knows Efron's ties only.
    breslow = sm.PHReg(data["week"], data[INPUTS], data["arrest"], ties="breslow").fit(
        disp=0, tol=1e-14
    )
    weights = data.assign(w=1.0 + (np.arange(len(data)) % 3))
    x = data[INPUTS].to_numpy(float)
    x = x - x.mean(0)
    beta, value, errors, robust, baseline = brute_force(
        x, data["week"].to_numpy(float), data["arrest"].to_numpy(bool)
    )
    curve = curves(baseline, np.exp(x[[0, 5, 100]] @ beta), [1, 10, 26, 52])
    reference = {
        "versions": {"lifelines": lifelines.__version__, "statsmodels": statsmodels.__version__},
        "efron": numbers(efron),
        "exact": {
            "coefficients": beta.tolist(),
            "errors": errors.tolist(),
            "log_likelihood": float(value),
        },
        "survival": curve,
        "robust": robust.tolist(),
        "remission": remission(),
        "weighted": numbers(cox(weights, weights_col="w", robust=False)),
        "breslow": {"coefficients": breslow.params.tolist(), "errors": breslow.bse.tolist()},
        "breslow_ph_identity": ph_score_test(data, breslow.params),
        "truncated": truncated(data),
        "logit": hazard(data, sm.families.links.Logit()),
        "cloglog": hazard(data, sm.families.links.CLogLog()),
        "weibull": aft(data),
        "curve_errors": [
            np.array(curve_errors(data, [0, 5, 100], tenure, [1, 10, 26])).tolist()
            for tenure in (0, 26)
        ],
        "stratified": stratified(data, [1, 10, 26, 52], [0, 1, 100]),
        "cox_nets": [cox_net(data, *net) for net in [(5.0, 1.0), (15.0, 1.0), (10.0, 0.5)]],
    }
    text = json.dumps(reference, indent=1)
    (HERE / "survival_reference.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
