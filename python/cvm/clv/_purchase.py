"""The family of purchase models: how often a customer will buy, and whether they still do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cvm._frames import invalid
from cvm.clv._parametric import ParametricModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Numbers


class PurchaseModel(ParametricModel):
    """A model of repeat buying without a contract.

    Reads the columns ``frequency`` (repeat purchases), ``recency`` (time from the first to the last
    purchase) and ``T`` (time from the first purchase to the end of observation), both in periods.
    Columns named as covariates scale the rate of their process, customer by customer.
    """

    fit_columns = ("frequency", "recency", "T")
    classes_ = np.array(["alive", "lapsed"])

    def __init__(  # noqa: PLR0913
        self,
        *,
        penalty: float = 0.0,
        purchase_covariates: Sequence[str] = (),
        dropout_covariates: Sequence[str] = (),
        covariate_l1: float = 0.0,
        covariate_l2: float = 0.0,
        priors: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        max_iter: int = 200,
        tol: float = 1e-9,
        on_not_converged: str = "warn",
        threads: int = 0,
    ) -> None:
        super().__init__(
            penalty=penalty,
            priors=priors,
            bounds=bounds,
            max_iter=max_iter,
            tol=tol,
            on_not_converged=on_not_converged,
            threads=threads,
        )
        self.purchase_covariates = purchase_covariates
        self.dropout_covariates = dropout_covariates
        self.covariate_l1 = covariate_l1
        self.covariate_l2 = covariate_l2

    def _processes(self) -> dict[str, Sequence[str]]:
        return {"purchase": self.purchase_covariates, "dropout": self.dropout_covariates}

    def predict(
        self, data: Frame, *, horizon: float, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the purchases expected in ``(T, T + horizon]``.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float
            Length of the forecast, in periods; ``inf`` for all the future.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row; NaN, with a `RowWarning`, where a row cannot be used; ``inf``, with
            a `RowWarning`, where the expectation is infinite.
        """
        return self._output(data, "expected_purchases", columns, horizon=horizon)

    def expected_purchases(
        self, data: Frame, *, horizon: float, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the purchases expected in ``(T, T + horizon]``; the same as `predict`."""
        return self._output(data, "expected_purchases", columns, horizon=horizon)

    def discounted_purchases(
        self,
        data: Frame,
        *,
        discount_rate: float,
        horizon: float = float("inf"),
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return expected purchases, each discounted to ``T``: by default the DERT.

        Parameters
        ----------
        data : table
            One row per customer.
        discount_rate : float
            Effective rate per year, such as 0.1; the model must know its time unit.
        horizon : float, default inf
            Length of the forecast, in periods.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row. Source of the DERT: Fader, Hardie & Lee (2005), *J. Marketing
            Research* 42(4), eq. 2; here with continuous discounting.
        """
        return self._output(
            data, "discounted_purchases", columns, horizon=horizon, discount_rate=discount_rate
        )

    def p_alive(
        self,
        data: Frame,
        *,
        horizon: float | None = None,
        log: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the probability that each customer is still one at ``T``, or ``T + horizon``.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float, optional
            How far ahead, in periods; unset is now.
        log : bool, default False
            Return logarithms, exact however small the probability (only for now).
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        if log and horizon is not None:
            raise invalid(("log", "is True: logarithms are there for horizon=None only"))
        if log:
            return self._output(data, "log_p_alive", columns)
        if horizon is None:
            return self._output(data, "p_alive", columns)
        return self._output(data, "p_alive_at_horizon", columns, horizon=horizon)

    def expected_lifetime(
        self,
        data: Frame,
        *,
        horizon: float = float("inf"),
        discount_rate: float = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the periods until each customer leaves, counted to the horizon and discounted.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float, default inf
            How far to count, in periods.
        discount_rate : float, default 0.0
            Effective rate per year; needs a model that knows its time unit.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        return self._output(
            data,
            "expected_lifetime_periods",
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
        )

    def p_purchases(
        self,
        data: Frame,
        *,
        horizon: float,
        n: int,
        log: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the probability of exactly ``n`` purchases in ``(T, T + horizon]``.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float
            Length of the forecast, in periods.
        n : int
            Number of purchases.
        log : bool, default False
            Return logarithms, exact far in the tail.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        name = "log_p_purchases" if log else "p_purchases"
        return self._output(data, name, columns, horizon=horizon, purchases=float(n))

    def p_at_least(
        self,
        data: Frame,
        *,
        horizon: float,
        n: int = 1,
        log: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the probability of ``n`` or more purchases in ``(T, T + horizon]``.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float
            Length of the forecast, in periods.
        n : int, default 1
            Number of purchases.
        log : bool, default False
            Return logarithms, exact far in the tail.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        name = "log_p_at_least" if log else "p_at_least"
        return self._output(data, name, columns, horizon=horizon, purchases=float(n))

    def pmf(
        self, data: Frame, *, horizon: float, n_max: int, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the distribution of purchases in ``(T, T + horizon]``.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float
            Length of the forecast, in periods.
        n_max : int
            Largest number of purchases told apart.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray of shape (rows, n_max + 2)
            Probabilities of 0, 1, …, ``n_max`` purchases, and of more; a row sums to one.
        """
        exactly = [
            self.p_purchases(data, horizon=horizon, n=n, columns=columns) for n in range(n_max + 1)
        ]
        more = self.p_at_least(data, horizon=horizon, n=n_max + 1, columns=columns)
        return np.column_stack([*exactly, more])

    def next_purchase(
        self, data: Frame, *, quantile: float = 0.5, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the time by which each customer has bought again with a given probability.

        Parameters
        ----------
        data : table
            One row per customer.
        quantile : float, default 0.5
            The probability, between 0 and 1.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            Periods after ``T``; ``inf`` where the customer may have left and the probability is
            never reached.
        """
        return self._output(data, "next_purchase_periods", columns, quantile=quantile)

    def predict_proba(self, data: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the probabilities of the classes ``alive`` and ``lapsed``, one row per customer.

        As in a churn model, the second column is the probability of having lost the customer.
        """
        alive = self._output(data, "p_alive", columns)
        return np.column_stack([alive, 1.0 - alive])

    def expected_purchases_new(self, periods: ArrayLike) -> Numbers:
        """Return the repeat purchases expected of a new customer in their first periods.

        Parameters
        ----------
        periods : array of float
            Times since the first purchase, zero or greater.
        """
        times = np.asarray(periods, dtype=np.float64)
        distinct, where = np.unique(times, return_inverse=True)
        # Covariates of zero, for ever: the reference customer.
        forever = {"covariates_until": np.full(1, np.inf)}
        newcomer = {name: forever.get(name, np.zeros(1)) for name in self._inputs()}
        means = [
            0.0 if time == 0 else self._output(newcomer, "expected_purchases", horizon=time)[0]
            for time in distinct.tolist()
        ]
        return np.array(means, dtype=np.float64)[where].reshape(times.shape)

    def score_frame(  # noqa: PLR0913
        self,
        data: Frame,
        *,
        horizon: float | None = None,
        discount_rate: float = 0.0,
        purchases: int = 1,
        quantile: float = 0.5,
        interval: float | None = None,
        elapsed: float = 0.0,
        outputs: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Frame:
        """Return scores and row statuses as a table of the kind given.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float, optional
            Length of the forecast, in periods; without it only what needs none is computed.
        discount_rate : float, default 0.0
            Effective rate per year, for ``discounted_purchases`` and ``expected_lifetime_periods``.
        purchases : int, default 1
            Number of purchases meant by ``p_purchases`` and ``p_at_least``.
        quantile : float, default 0.5
            Probability meant by ``next_purchase_periods``.
        interval : float, optional
            Level of an interval, such as 0.95: columns ``<output>_lower`` and ``<output>_upper``
            follow each output. It tells how well the parameters are known.
        elapsed : float, default 0.0
            As of when to score: so many periods after the rows were observed, in which nothing was
            seen of the customers; ``T`` of every row is that much greater.
        outputs : sequence of str, optional
            Columns wanted, in order; `output_names_` lists all. Unset is ``p_alive`` and
            ``expected_purchases``.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.

        Returns
        -------
        table
            One column per output, and ``status``: ``ok``, or why the row's scores are NaN.
        """
        return self._score_frame(
            data,
            outputs,
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
            purchases=float(purchases),
            quantile=quantile,
            interval=interval,
            elapsed=elapsed,
            threads=threads,
        )
