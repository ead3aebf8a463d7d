"""MBG/NBD: the BG/NBD with a chance to leave already after the first purchase."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class MbgNbd(PurchaseModel):
    """MBG/NBD model of repeat buying without a contract.

    While alive, a customer buys as a Poisson process of rate ``lambda``; after each purchase, the
    first one included, they leave for good with probability ``p``. Across customers
    ``lambda ~ Gamma(r, alpha)`` and ``p ~ Beta(a, b)``. Source: Batislam, Denizel & Filiztekin
    (2007), *International Journal of Research in Marketing* 24(3); Hoppe & Wagner (2007).

    **When to use it.** Where many customers buy once and never again: the BG/NBD takes each of
    them for alive for ever (``p_alive`` is 1 without a repeat purchase), this model does not.
    Same columns, same cost.

    **When not.** Where customers leave at times that have nothing to do with their purchases
    (Pareto/NBD), buy at regular intervals (`MbgCnbdK`), or under a contract.

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
        Fitted ``r``, ``alpha``, ``a``, ``b``; ``alpha`` is in periods.
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
    >>> model = MbgNbd().fit(customers, time_unit="week")
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'r': 0.525, 'alpha': 6.183, 'a': 0.891, 'b': 1.614}
    >>> round(model.log_likelihood_, 1)
    -9582.1
    """

    kind: ClassVar[str] = "clv.mbg_nbd"
    title: ClassVar[str] = "MBG/NBD"
