"""Pareto/NBD with time-varying covariates: rates that follow season, price and promotions."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._paths import CovariatePathModel
from cvm.clv._purchase import PurchaseModel


class ParetoNbdTv(CovariatePathModel, PurchaseModel):
    """Pareto/NBD model whose rates follow covariates that change with time.

    At time ``t`` after the first purchase a customer buys at the rate ``lambda * exp(gamma'x(t))``
    and leaves at the rate ``mu * exp(kappa'z(t))``, with covariates that are constant between known
    moments; ``lambda ~ Gamma(r, alpha)`` and ``mu ~ Gamma(s, beta)`` as in `ParetoNbd`. Source:
    Bachmann, Meierer & Naef (2021), *Marketing Science* 40(4).

    Use it when what moves purchases is known for every period: season, prices, direct mail.
    Covariates that are the same for everybody at a date help to tell a quiet season from customers
    who have left. Forecasts need the covariates up to the end of the horizon: a plan, or a
    scenario. Do not use it with covariates that are constant per customer (`ParetoNbd` takes those,
    and is much faster), or with ones that the purchases themselves cause, such as the number of
    visits.

    Rows carry their path in numbered columns, which `covariate_path_columns` makes of a long table;
    the same columns go to a server and to the command line. A row whose path ends before the
    horizon has status ``not_covered``.

    Parameters
    ----------
    purchase_covariates, dropout_covariates : sequence of str
        Covariates of the purchase and of the dropout rate, by name.
    penalty : float, default 0.0
        Weight of the L2 penalty on the logarithms of the parameters.
    covariate_l1, covariate_l2 : float, default 0.0
        Weights of the penalties on coefficients.
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
        Fitted ``r``, ``alpha``, ``s``, ``beta``, and coefficients such as ``purchase.season``.
    standard_errors_ : dict of str to float
        From the Hessian.
    log_likelihood_ : float
        Log-likelihood, without penalty.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.

    Examples
    --------
    >>> from cvm.clv import covariate_path_columns
    >>> model = ParetoNbdTv.from_params(
    ...     {"r": 0.9, "alpha": 6.0, "s": 1.2, "beta": 15.0, "purchase.season": 0.8}
    ... )
    >>> customers = {"id": ["a", "b"], "frequency": [2, 2], "recency": [9.0, 9.0],
    ...              "T": [12.0, 12.0]}
    >>> weeks = {"id": ["a", "a", "b"], "start": [0.0, 12.0, 0.0], "end": [12.0, 20.0, 20.0],
    ...          "season": [0.0, 1.0, 0.0]}
    >>> rows = covariate_path_columns(customers, weeks, ["season"], customer_id="id")
    >>> model.predict(rows, horizon=8.0).round(3).tolist()
    [2.039, 0.916]
    """

    kind: ClassVar[str] = "clv.pareto_nbd_tv"
    title: ClassVar[str] = "Pareto/NBD with time-varying covariates"
