"""BG/BB: repeat buying at discrete opportunities."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class BgBb(PurchaseModel):
    """BG/BB model of repeat buying at discrete opportunities, without a contract.

    In each period a living customer buys at most once, with probability ``p``; before each period
    they leave for good with probability ``theta``. Across customers ``p ~ Beta(alpha, beta)`` and
    ``theta ~ Beta(gamma, delta)``. Source: Fader, Hardie & Shang (2010), *Marketing Science* 29(6).

    Use it when purchases have occasions (yearly appeals, seasons, events) or when only whether a
    customer bought in each period is recorded. Do not use it when customers often buy more than
    once per period (`BgNbd`), or when leaving is seen (`Sbg`).

    Reads ``frequency`` (periods with a purchase), ``recency`` (the last such period) and
    ``n_periods`` (periods since the first purchase), all whole numbers: ``summarize(log,
    calendar="year")`` counts them in a log, `cvm.summarize_panel` in a panel of customers by
    periods. A horizon is cut to whole periods.

    Parameters
    ----------
    purchase_covariates, dropout_covariates : sequence of str, default ()
        Columns that scale ``alpha`` and ``beta``, and ``gamma`` and ``delta``.
    penalty, covariate_l1, covariate_l2, priors, bounds, max_iter, tol, on_not_converged, threads
        As in `BgNbd`.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``alpha``, ``beta``, ``gamma``, ``delta``.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    >>> params = {"alpha": 1.204, "beta": 0.750, "gamma": 0.657, "delta": 2.783}
    >>> model = BgBb.from_params(params, time_unit="year")
    >>> donors = {"frequency": [0.0, 2.0, 6.0], "recency": [0.0, 4.0, 6.0], "n_periods": [6.0] * 3}
    >>> alive_next_year = model.p_alive(donors, horizon=1)
    >>> print(alive_next_year.round(2))
    [0.11 0.59 0.93]
    >>> print(model.predict(donors, horizon=5).round(2))
    [0.07 1.06 3.75]
    """

    kind: ClassVar[str] = "clv.bg_bb"
    title: ClassVar[str] = "BG/BB"
    fit_columns = ("frequency", "recency", "n_periods")
