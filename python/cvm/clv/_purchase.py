"""The family of purchase models: how often a customer will buy, and whether they still do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cvm.clv._parametric import ParametricModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Numbers


class PurchaseModel(ParametricModel):
    """A model of repeat buying without a contract.

    Reads the columns ``frequency`` (repeat purchases), ``recency`` (time from the first to the last
    purchase) and ``T`` (time from the first purchase to the end of observation), both in periods.
    """

    fit_columns = ("frequency", "recency", "T")
    classes_ = np.array(["alive", "lapsed"])

    def predict(
        self, data: Frame, *, horizon: float, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the purchases expected in ``(T, T + horizon]``.

        Parameters
        ----------
        data : table
            One row per customer.
        horizon : float
            Length of the forecast, in periods.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row; NaN, with a `RowWarning`, where a row cannot be used.
        """
        return self._output(data, "expected_purchases", columns, horizon=horizon)

    def expected_purchases(
        self, data: Frame, *, horizon: float, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the purchases expected in ``(T, T + horizon]``; the same as `predict`."""
        return self._output(data, "expected_purchases", columns, horizon=horizon)

    def p_alive(self, data: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the probability that each customer is still one at ``T``."""
        return self._output(data, "p_alive", columns)

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
        newcomer = {name: np.zeros(1) for name in self.fit_columns}
        means = [
            0.0 if time == 0 else self._output(newcomer, "expected_purchases", horizon=time)[0]
            for time in distinct.tolist()
        ]
        return np.array(means, dtype=np.float64)[where].reshape(times.shape)

    def score_frame(
        self,
        data: Frame,
        *,
        horizon: float | None = None,
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
            Length of the forecast, in periods; without it only ``p_alive`` is computed.
        outputs : sequence of str, optional
            Columns wanted, in order: ``p_alive``, ``expected_purchases``.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.

        Returns
        -------
        table
            One column per output, and ``status``: ``ok``, or why the row's scores are NaN.
        """
        return self._score_frame(data, outputs, columns, horizon=horizon, threads=threads)
