"""Pareto/NBD whose purchase and dropout rates depend on each other."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class ParetoNbdCorrelated(PurchaseModel):
    """Pareto/NBD model with correlated purchase and dropout rates.

    As `ParetoNbd`, but the two rates of a customer, ``lambda ~ Gamma(r, alpha)`` and
    ``mu ~ Gamma(s, beta)``, are joined by a Sarmanov law whose strength follows from ``z``, any
    number: 0 for none, positive where who buys fast leaves fast. Source: Park & Fader (2004),
    *Marketing Science* 23(3); Bachmann, Meierer & Näf (2021), *Marketing Science* 40(4).

    Use it to check whether the independence that `ParetoNbd` assumes does harm, by a
    likelihood-ratio test with one degree of freedom. Do not compare ``z`` between units of time:
    it is per period, and in units in which ``alpha`` and ``beta`` are large hardly any correlation
    can be told. A fit is slower than that of `ParetoNbd`.

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
        Fitted ``r``, ``alpha``, ``s``, ``beta``, ``z``; ``alpha`` and ``beta`` are in periods.
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
    >>> params = {"r": 0.9, "alpha": 1.5, "s": 1.2, "beta": 2.0, "z": 0.7}
    >>> model = ParetoNbdCorrelated.from_params(params, time_unit="week")
    >>> customers = {"frequency": [2], "recency": [30.43], "T": [38.86]}
    >>> print(round(float(model.predict(customers, horizon=39).sum()), 6))
    1.252552
    """

    kind: ClassVar[str] = "clv.pareto_nbd_correlated"
    title: ClassVar[str] = "Pareto/NBD, correlated"
