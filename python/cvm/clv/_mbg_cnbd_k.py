"""MBG/CNBD-k: regular repeat buying with dropout right after a purchase."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class MbgCnbdK(PurchaseModel):
    """MBG/CNBD-k model of regular repeat buying without a contract.

    While alive, the times between a customer's purchases are Gamma with shape ``k`` and rate
    ``lambda``; after each purchase, the first one included, they leave for good with probability
    ``p``. Across customers ``lambda ~ Gamma(r, alpha)`` and ``p ~ Beta(a, b)``. At ``k = 1``
    purchases are a Poisson process; the larger ``k``, the more regular they are. Source: Reutterer,
    Platzer & Schroeder (2021), *International Journal of Research in Marketing* 38(1).

    **When to use it.** Where customers buy at a rhythm: refills, groceries, subscriptions by habit.
    There a silence of twice the usual gap says much, and the model hears it. A fit reads the column
    ``log_gap_sum`` beside the others: `cvm.summarize` with ``regularity=True``. Forecasts do not
    need it. ``bounds={"k": (2, 2)}`` holds ``k``.

    **When not.** Where purchases come at random (``k`` near 1): the model without ``k`` is the
    same, faster. Where nobody can leave before the first repeat purchase, `BgCnbdK`. Grains coarser
    than the usual gap hide the rhythm.

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
        Fitted ``r``, ``alpha``, ``a``, ``b``, ``k``; ``alpha`` is in periods. The mean time between
        purchases of a customer is ``k / lambda``.
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
    >>> import cvm
    >>> from cvm.datasets import load_cdnow
    >>> customers = cvm.summarize(load_cdnow(), unit="week", calibration_end="1997-09-30",
    ...                           regularity=True)
    >>> poisson = MbgCnbdK(bounds={"k": (1, 1)}).fit(customers, time_unit="week")
    >>> {name: round(value, 3) for name, value in poisson.params_.items() if name != "k"}
    {'r': 0.525, 'alpha': 6.183, 'a': 0.891, 'b': 1.614}
    >>> round(poisson.params_["k"], 3)
    1.0
    """

    kind: ClassVar[str] = "clv.mbg_cnbd_k"
    title: ClassVar[str] = "MBG/CNBD-k"
    fit_columns = ("frequency", "recency", "T", "log_gap_sum")
