"""NBD: repeat buying at a steady rate by customers who never leave."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class Nbd(PurchaseModel):
    """NBD model of repeat buying: no customer ever leaves.

    A customer buys as a Poisson process of rate ``lambda``, for ever; across customers
    ``lambda ~ Gamma(r, alpha)``. Source: Ehrenberg (1959), *Applied Statistics* 8(1).

    **When to use it.** As the baseline: what a model with dropout must beat, in the log-likelihood
    and on a hold-out. And where customers do not leave within the horizon, as buyers of a staple.

    **When not.** For lifetime value: ``p_alive`` is 1, the expected lifetime infinite, and the
    forecast grows in proportion to the horizon. On CDNOW it expects far more than was bought.

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
        Fitted ``r`` and ``alpha``; ``alpha`` is in periods.
    standard_errors_ : dict of str to float
        From the exact Hessian.
    covariance_ : numpy.ndarray of shape (2, 2)
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
    >>> model = Nbd().fit(customers, time_unit="week")
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'r': 0.385, 'alpha': 12.072}
    >>> round(model.log_likelihood_, 1)
    -9763.7
    """

    kind: ClassVar[str] = "clv.nbd"
    title: ClassVar[str] = "NBD"
