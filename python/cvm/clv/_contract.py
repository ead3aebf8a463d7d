"""The family of contract models: how long customers keep renewing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from cvm._frames import invalid
from cvm.clv._parametric import ParametricModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Numbers


class ContractModel(ParametricModel):
    """A model of renewal under contract: customers who leave are seen to leave.

    A customer pays for period 1 when acquired; at the end of period ``k`` comes renewal ``k``. A
    fit reads ``tenure`` and ``churned``: of those who left (``churned`` 1) the number of the
    renewal at which they did, of the others (``churned`` 0) the renewals made. To score, ``tenure``
    is the number of renewals made by a present customer; 0 is new.
    """

    fit_columns = ("tenure", "churned")
    classes_ = np.array(["retained", "churned"])

    def __init__(  # noqa: PLR0913
        self,
        *,
        penalty: float = 0.0,
        contract_covariates: Sequence[str] = (),
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
        self.contract_covariates = contract_covariates
        self.covariate_l1 = covariate_l1
        self.covariate_l2 = covariate_l2

    def _processes(self) -> dict[str, Sequence[str]]:
        return {"contract": self.contract_covariates}

    def fit_cohort(
        self,
        remaining: ArrayLike | Sequence[ArrayLike],
        *,
        time_unit: str | None = None,
    ) -> Self:
        """Fit the model to tables of customers remaining.

        Parameters
        ----------
        remaining : array of float, or sequence of such arrays
            Customers remaining of one cohort after 0, 1, 2 … renewals; or one such array per
            cohort, of any lengths. Give numbers of customers: shares would be taken for very few.
        time_unit : str, optional
            Length of one period.

        Returns
        -------
        Self
            The model, fitted.
        """
        if len(self.contract_covariates):
            problem = "are given: a cohort's table has none, use fit"
            raise invalid(("contract_covariates", problem))
        rows = [_cohort_rows(index, cohort) for index, cohort in enumerate(_cohorts(remaining))]
        tenure, churned, weight = np.concatenate(rows, axis=1)
        return self.fit({"tenure": tenure, "churned": churned}, time_unit=time_unit, weight=weight)

    def predict(
        self, data: Frame, *, horizon: float, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the probability that each customer leaves within ``horizon`` renewals.

        Parameters
        ----------
        data : table
            One row per present customer.
        horizon : float
            Renewals ahead.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row; NaN, with a `RowWarning`, where a row cannot be used.
        """
        return self._output(data, "churn_probability", columns, horizon=horizon)

    def predict_proba(
        self, data: Frame, *, horizon: float = 1, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the probabilities of the classes ``retained`` and ``churned``, one row a customer.

        Parameters
        ----------
        data : table
            One row per present customer.
        horizon : float, default 1
            Renewals ahead.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        kept = self.p_retained(data, horizon=horizon, columns=columns)
        left = self.predict(data, horizon=horizon, columns=columns)
        return np.column_stack([kept, left])

    def retention_rate(self, data: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the probability that each customer makes the next renewal."""
        return self._output(data, "retention_rate", columns)

    def p_retained(
        self,
        data: Frame,
        *,
        horizon: float,
        log: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the probability that each customer makes the next ``horizon`` renewals.

        Parameters
        ----------
        data : table
            One row per present customer.
        horizon : float
            Renewals ahead.
        log : bool, default False
            Return logarithms, exact however small the probability.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        name = "log_p_retained" if log else "p_retained"
        return self._output(data, name, columns, horizon=horizon)

    def expected_lifetime(
        self,
        data: Frame,
        *,
        horizon: float = float("inf"),
        discount_rate: float = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the periods expected to be paid for, the first payment being made now.

        At tenure 0 it is the DEL, the discounted expected lifetime of a customer about to be
        acquired (Fader & Hardie 2010, *Marketing Science* 29(1)).

        Parameters
        ----------
        data : table
            One row per present customer.
        horizon : float, default inf
            Payments counted.
        discount_rate : float, default 0.0
            Effective rate per year; needs a model that knows its time unit.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row; ``inf``, with a `RowWarning`, where the expectation is infinite.
        """
        return self._output(
            data,
            "expected_lifetime_periods",
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
        )

    def residual_lifetime(
        self,
        data: Frame,
        *,
        horizon: float = float("inf"),
        discount_rate: float = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the renewals expected, seen from just before the next: by default the DERL.

        Parameters
        ----------
        data : table
            One row per present customer.
        horizon : float, default inf
            Renewals counted.
        discount_rate : float, default 0.0
            Effective rate per year; needs a model that knows its time unit.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row; ``inf``, with a `RowWarning`, where the expectation is infinite.
        """
        return self._output(
            data,
            "residual_lifetime_periods",
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
        )

    def lifetime_quantile(
        self, data: Frame, *, quantile: float = 0.5, columns: Sequence[str] | None = None
    ) -> Numbers:
        """Return the renewals by which each customer has left with a given probability.

        Parameters
        ----------
        data : table
            One row per present customer.
        quantile : float, default 0.5
            The probability; 0.5 gives the median.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        return self._output(data, "lifetime_quantile_periods", columns, quantile=quantile)

    def score_frame(  # noqa: PLR0913
        self,
        data: Frame,
        *,
        horizon: float | None = None,
        discount_rate: float = 0.0,
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
            One row per present customer.
        horizon : float, optional
            Renewals ahead; ``inf`` for all the future.
        discount_rate : float, default 0.0
            Effective rate per year; needs a model that knows its time unit.
        quantile : float, default 0.5
            Probability meant by the quantile of the lifetime.
        interval : float, optional
            Level of an interval, such as 0.95: columns ``<output>_lower`` and ``<output>_upper``
            follow each output. It tells how well the parameters are known.
        elapsed : float, default 0.0
            As of when to score: so many periods after the rows were observed, in which nothing was
            seen of the customers; ``tenure`` of every row is that much greater.
        outputs : sequence of str, optional
            Columns wanted, in order; `output_names_` lists all.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.
        """
        return self._score_frame(
            data,
            outputs,
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
            quantile=quantile,
            interval=interval,
            elapsed=elapsed,
            threads=threads,
        )

    def survival_curve(self, periods: int) -> Numbers:
        """Return the share of a new cohort that makes 0, 1, … ``periods`` renewals.

        Parameters
        ----------
        periods : int
            Renewals ahead.
        """
        newcomer = {"tenure": np.zeros(1)}
        ahead = [self.p_retained(newcomer, horizon=t + 1)[0] for t in range(periods)]
        return np.array([1.0, *ahead])


def _cohorts(remaining: ArrayLike | Sequence[ArrayLike]) -> list[Numbers]:
    """Return the tables, one per cohort."""
    listed = list(remaining)  # pyright: ignore[reportArgumentType, reportCallIssue]
    if listed and np.ndim(listed[0]) == 0:
        return [np.asarray(listed, dtype=np.float64)]
    return [np.asarray(cohort, dtype=np.float64) for cohort in listed]


def _cohort_rows(index: int, remaining: Numbers) -> Numbers:
    """Return tenure, churned and weight of the histories behind one table."""
    field = f"remaining[{index}]"
    if remaining.ndim != 1 or len(remaining[1:]) == 0:
        raise invalid((field, "must be a list of at least 2 numbers"))
    if not np.isfinite(remaining).all() or (remaining < 0).any():
        raise invalid((field, "must hold finite numbers >= 0"))
    left = -np.diff(remaining)
    if (left < 0).any():
        raise invalid((field, "must not rise"))
    renewals = np.arange(1, len(remaining), dtype=np.float64)
    tenure = np.append(renewals, renewals[-1])
    churned = np.append(np.ones_like(renewals), 0.0)
    weight = np.append(left, remaining[-1])
    return np.stack([tenure, churned, weight])[:, weight > 0]


class Sbg(ContractModel):
    """Shifted beta-geometric model of renewal: customers differ, nobody changes.

    At every renewal a customer leaves with probability ``theta``, the same throughout their life;
    across customers ``theta ~ Beta(alpha, beta)``. Source: Fader & Hardie (2007), *Journal of
    Interactive Marketing* 21(1).

    Use it first for subscriptions with regular renewals. Do not use it when leaving is not seen
    (`BgNbd`, `BgBb`), when retention falls with tenure (`Bdw`), or when the curve has steps of its
    own, such as the end of a minimum term.

    Parameters
    ----------
    contract_covariates : sequence of str, default ()
        Columns that scale ``alpha`` and ``beta``.
    penalty, covariate_l1, covariate_l2, priors, bounds, max_iter, tol, on_not_converged, threads
        As in `BgNbd`.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``alpha``, ``beta``.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    The Regular segment of the paper, seven years:

    >>> remaining = [1000, 631, 468, 382, 326, 289, 262, 241]
    >>> model = Sbg().fit_cohort(remaining, time_unit="year")
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'alpha': 0.704, 'beta': 1.182}
    >>> print(model.survival_curve(12)[-1].round(3))
    0.17
    >>> print(model.residual_lifetime({"tenure": [0.0, 2.0]}, discount_rate=0.1).round(2))
    [2.96 4.87]
    """

    kind: ClassVar[str] = "clv.sbg"
    title: ClassVar[str] = "sBG"


class Bdw(ContractModel):
    """Beta-discrete-Weibull model of renewal: customers differ, and change.

    As `Sbg`, but a customer survives ``t`` renewals with probability ``(1 - theta) ** (t ** c)``:
    their own chance to leave rises (``c > 1``) or falls (``c < 1``) with tenure. Source: Fader,
    Hardie, Liu, Davin & Steenburgh (2018), *Journal of Interactive Marketing* 43.

    Use it when `Sbg` misses the first renewals. Do not use it on fewer than four or five periods:
    ``c`` and the spread of ``theta`` then trade off.

    Parameters
    ----------
    contract_covariates : sequence of str, default ()
        Columns that scale ``alpha`` and ``beta``.
    penalty, covariate_l1, covariate_l2, priors, bounds, max_iter, tol, on_not_converged, threads
        As in `BgNbd`.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``alpha``, ``beta``, ``c``.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    The High End segment of the paper, four years:

    >>> model = Bdw().fit_cohort([1000, 869, 743, 653, 593])
    >>> {name: round(value, 3) for name, value in model.params_.items()}
    {'alpha': 0.259, 'beta': 1.723, 'c': 1.584}
    """

    kind: ClassVar[str] = "clv.bdw"
    title: ClassVar[str] = "BdW"


class Geometric(ContractModel):
    """Geometric model of renewal: every customer, always, the same chance to leave.

    Use it as a baseline. Do not value long-lived customers with it: those who are left are the
    loyal ones, and it does not know.

    Parameters
    ----------
    contract_covariates : sequence of str, default ()
        Columns that scale ``odds``.
    penalty, covariate_l1, covariate_l2, priors, bounds, max_iter, tol, on_not_converged, threads
        As in `BgNbd`.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``odds`` of leaving at a renewal; the probability is ``odds / (1 + odds)``.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    >>> model = Geometric().fit_cohort([1000, 800, 640])
    >>> print(round(model.params_["odds"], 6))
    0.25
    >>> print(model.p_retained({"tenure": [3.0]}, horizon=2).round(6))
    [0.64]
    """

    kind: ClassVar[str] = "clv.geometric"
    title: ClassVar[str] = "Geometric"


class DiscreteWeibull(ContractModel):
    """Discrete Weibull model of renewal: customers are alike, but change.

    A customer survives ``t`` renewals with probability ``(1 - theta) ** (t ** c)``. Source:
    Nakagawa & Osaki (1975), *IEEE Transactions on Reliability* R-24(5).

    Use it as the baseline with change but no differences. Do not read ``c < 1`` as customers who
    settle before `Sbg` and `Bdw` have been tried: different customers look the same.

    Parameters
    ----------
    contract_covariates : sequence of str, default ()
        Columns that scale ``odds``.
    penalty, covariate_l1, covariate_l2, priors, bounds, max_iter, tol, on_not_converged, threads
        As in `BgNbd`.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``odds`` of leaving at the first renewal, and ``c``.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    >>> model = DiscreteWeibull().fit_cohort([1000, 631, 468, 382, 326, 289, 262, 241])
    >>> {name: round(value, 4) for name, value in model.params_.items()}
    {'odds': 0.616, 'c': 0.5716}
    """

    kind: ClassVar[str] = "clv.discrete_weibull"
    title: ClassVar[str] = "Discrete Weibull"
