"""Pareto/GGG: repeat buying at a rhythm of one's own, with dropout at any moment."""

from __future__ import annotations

from typing import ClassVar

from cvm.clv._purchase import PurchaseModel


class ParetoGgg(PurchaseModel):
    """Pareto/GGG model of regular repeat buying without a contract.

    While alive, the times between a customer's purchases are Gamma with shape ``k`` and mean
    ``1 / lambda``; the lifetime is exponential with rate ``mu``. Across customers
    ``k ~ Gamma(t, gamma)``, ``lambda ~ Gamma(r, alpha)`` and ``mu ~ Gamma(s, beta)``: some buy
    like clockwork, others in clumps. Source: Platzer & Reutterer (2016), *Marketing Science* 35(5).

    **When to use it.** Where customers differ in how regular they are, and a silence should be
    judged by each one's own rhythm. Fits and forecasts read the column ``log_gap_sum`` beside the
    others: `cvm.summarize` with ``regularity=True``. Compare it with `ParetoNbd`, its limit where
    all buy at random, and with `BgCnbdK`, whose one ``k`` holds for all and which is a thousand
    times faster.

    **When not.** For live scores in much less than a millisecond: every forecast is an integral
    over ``k`` and takes milliseconds a customer. Where most buy once or twice nothing is learned of
    a rhythm. For a new customer expected purchases are infinite unless ``t > 1``: customers of
    small ``k`` buy in clumps without bound.

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
        Fitted ``t``, ``gamma``, ``r``, ``alpha``, ``s``, ``beta``; ``alpha`` and ``beta`` are in
        periods. ``t / gamma`` is the mean of ``k``.
    standard_errors_ : dict of str to float
        From the exact Hessian.
    covariance_ : numpy.ndarray of shape (6, 6)
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
    The same five purchases by day 25, at equal distances and in clumps; a silence of ten days:

    >>> import numpy as np
    >>> params = {"t": 4.0, "gamma": 1.0, "r": 1.0, "alpha": 5.0, "s": 0.6, "beta": 40.0}
    >>> model = ParetoGgg.from_params(params, time_unit="day")
    >>> gaps = [[5, 5, 5, 5, 5], [1, 1, 11, 1, 11]]
    >>> sums = [float(np.log(own).sum()) for own in gaps]
    >>> customers = {"frequency": [5, 5], "recency": [25, 25], "T": [35, 35], "log_gap_sum": sums}
    >>> regular, clumped = model.p_alive(customers)
    >>> bool(regular < clumped)
    True
    """

    kind: ClassVar[str] = "clv.pareto_ggg"
    title: ClassVar[str] = "Pareto/GGG"
    fit_columns = ("frequency", "recency", "T", "log_gap_sum")
