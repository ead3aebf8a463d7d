"""Pareto/NBD: repeat buying with dropout at any moment."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class ParetoNbd(PurchaseModel):
    """Pareto/NBD model of repeat buying without a contract.

    While alive, a customer buys as a Poisson process of rate ``lambda``; they may leave at any
    moment, after an exponential lifetime of rate ``mu``. Across customers
    ``lambda ~ Gamma(r, alpha)`` and ``mu ~ Gamma(s, beta)``. Source: Schmittlein, Morrison &
    Colombo (1987), *Management Science* 33(1).

    Use it by default for customers without a contract: one-time buyers may have left, which the
    `BgNbd` rules out, and forecasts far ahead do not depend on how often somebody buys. It is
    exact for heavy buyers, for ``s = 1`` and for horizons without end (infinite if ``s <= 1``).
    Do not use it under a contract, where leaving is seen; for buyers as regular as clockwork; or
    where leaving follows a purchase (a bad experience), which is the story of `BgNbd`.

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
        Fitted ``r``, ``alpha``, ``s``, ``beta``; ``alpha`` and ``beta`` are in periods.
    standard_errors_ : dict of str to float
        From the exact Hessian.
    covariance_ : numpy.ndarray of shape (4, 4)
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
    >>> from cvm.datasets import load_cdnow_summary
    >>> customers = load_cdnow_summary()
    >>> model = ParetoNbd().fit(customers, time_unit="week")
    >>> {name: round(value, 2) for name, value in model.params_.items()}
    {'r': 0.55, 'alpha': 10.58, 's': 0.61, 'beta': 11.67}
    >>> round(model.log_likelihood_, 1)
    -9595.0
    """

    kind: ClassVar[str] = "clv.pareto_nbd"
    title: ClassVar[str] = "Pareto/NBD"
