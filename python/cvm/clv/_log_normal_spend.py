"""Log-normal spend: what a purchase is worth, from logarithms."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._gamma_gamma import SpendModel


class LogNormalSpend(SpendModel):
    """Log-normal model of spend per purchase.

    The logarithms of a customer's purchases are ``N(mu, sigma**2)``, and across customers
    ``mu ~ N(m, tau**2)``. Spend is taken to be independent of how often a customer buys. One-time
    buyers carry no information and are excluded from a fit. Source: Schmittlein & Peterson (1994),
    *Marketing Science* 13(1), on logarithms as in Abe (2009), *Marketing Science* 28(3).

    Use it when amounts span orders of magnitude, when `GammaGamma` ends at ``q <= 1`` (no finite
    mean), or when purchases of one customer vary by a factor rather than by a fixed share of their
    mean. Do not use it when many purchases are free (they have no logarithm), when only mean values
    are known (``monetary_value`` without the log: use `GammaGamma`), or when spend depends on
    frequency (see `spend_independence`). Its log-likelihood is of other data than that of
    `GammaGamma`: compare the two by forecasts on a hold-out, not by AIC.

    Reads ``frequency``, ``log_spend_mean`` and, to fit, ``log_spend_sd``: columns of
    ``summarize(..., log_spend=True)``.

    Parameters
    ----------
    spend_covariates : sequence of str, default ()
        Columns that shift the mean of a customer's log spend.
    policy : {"repeat", "all"}, default "repeat"
        Whether the repeat purchases alone count, or the first one too; for the latter summarize
        with ``include_first_purchase=True``.
    zero_amounts : {"refuse", "exclude"}, default "refuse"
        What a fit does with a customer whose purchases were all free: name them, or leave them out
        and count them.
    penalty : float, default 0.0
        Weight of the L2 penalty on ``m`` and the logarithms of ``tau`` and ``sigma``.
    max_iter : int, default 200
        Most Newton steps per start.
    tol : float, default 1e-9
        Convergence: largest absolute gradient per customer.
    on_not_converged : {"warn", "raise"}, default "warn"
        Whether a fit without an optimum is a `ConvergenceWarning` or a `NotConvergedError`.
    threads : int, default 0
        Threads of a fit; 0 means all. The numbers do not depend on it.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``m``, ``tau``, ``sigma``, in logarithms of the currency.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    >>> import cvm
    >>> log = cvm.datasets.load_cdnow()
    >>> customers = cvm.summarize(log, calibration_end="1997-09-30", log_spend=True)
    >>> model = LogNormalSpend().fit(customers)
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'m': 3.291, 'tau': 0.469, 'sigma': 0.562}
    >>> new = {"frequency": [0.0], "log_spend_mean": [0.0]}
    >>> print(model.predict(new).round(1))
    [35.1]
    """

    kind: ClassVar[str] = "clv.log_normal_spend"
    title: ClassVar[str] = "Log-normal spend"

    fit_columns = ("frequency", "log_spend_mean", "log_spend_sd")
