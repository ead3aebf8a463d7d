"""GGompertz/NBD: repeat buying with dropout whose hazard grows."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class GGompertzNbd(PurchaseModel):
    """GGompertz/NBD model of repeat buying without a contract.

    While alive, a customer buys as a Poisson process of rate ``lambda``; the hazard of leaving
    grows as ``eta * b * exp(b * time)``. Across customers ``lambda ~ Gamma(r, alpha)`` and
    ``eta ~ Gamma(s, beta)``. Source: Bemmaor & Glady (2012), *Management Science* 58(5).

    Use it where customers stay for a while and then leave within a short time, as with goods
    that are outgrown or wear out, and compare it with `ParetoNbd`, its limit as ``b`` goes to 0.
    Do not use it where the two fit equally well: ``b`` and ``beta`` then lie on a ridge, only
    their ratio is known, and the fit says so. Forecasts for ever are finite whatever ``s``.

    Parameters
    ----------
    penalty : float, default 0.0
        Weight of the L2 penalty on the logarithms of the parameters: ``penalty / 2 * log(p)**2``
        each, taken from the total log-likelihood.
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
        Fitted ``r``, ``alpha``, ``b``, ``s``, ``beta``; ``alpha`` is in periods, ``b`` per period.
    standard_errors_ : dict of str to float
        From the exact Hessian.
    covariance_ : numpy.ndarray of shape (5, 5)
        Covariance of the parameters, in the order of ``params_``.
    log_likelihood_ : float
        Log-likelihood, without penalty.
    converged_ : bool
        Whether the convergence test passed; ``None`` for a model from known parameters.
    fit_report_ : dict
        How the fit went.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.

    Examples
    --------
    >>> params = {"r": 0.6, "alpha": 10.0, "b": 0.3, "s": 1.5, "beta": 1.0}
    >>> model = GGompertzNbd.from_params(params, time_unit="week")
    >>> new = {"frequency": [0], "recency": [0], "T": [0]}
    >>> print(round(float(model.predict(new, horizon=3).sum()), 6))
    0.098768
    """

    kind: ClassVar[str] = "clv.ggompertz_nbd"
    title: ClassVar[str] = "GGompertz/NBD"
