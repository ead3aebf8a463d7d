"""What every duration model shares: columns of time, curves of survival, remaining lifetimes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cvm._base import score_arguments, warn_rows
from cvm._fitted import FittedModel, with_weight
from cvm._frames import as_table, from_numpy, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Input, Numbers, Table

_TENURE = "tenure"


class SurvivalModel(FittedModel):
    """A model of how long customers stay.

    Subclasses have the arguments of the encoding, as `LogisticChurn`, and of the fit.
    """

    numeric: Sequence[str] | None
    categorical: Sequence[str] | None
    ignore: Sequence[str] | None
    positive: str | float | None
    l1_ratio: float

    def _kind_settings(self) -> dict[str, Any]:
        """Return the settings of the kind."""
        raise NotImplementedError

    def _fit_times(
        self,
        X: Frame,
        times: Mapping[str, Any],
        sample_weight: Any,
        time_unit: str | None,
        columns: Sequence[str] | None,
    ) -> Self:
        table = as_table(X, columns)
        added: list[tuple[str, Input]] = []
        settings: dict[str, Any] = {}
        for role, given in times.items():
            if given is None:
                continue
            name, column = _column(table, role, given)
            settings[role] = name
            added.append((name, column))
        if "event" not in settings:
            raise invalid(("event", "is missing: say which customers left"))
        weight = sample_weight if isinstance(sample_weight, str) else None
        taken = {weight, *(name for name, _ in added)}
        inputs = table.columns(self._input_names(table, taken))
        inputs, weight_column = with_weight(inputs, table, sample_weight)
        settings |= self._settings()
        return self._fit(
            [*inputs, *added],
            time_unit=time_unit,
            weight_column=weight_column,
            settings=settings,
        )

    def _input_names(self, table: Table, taken: set[str | None]) -> list[str]:
        if self.numeric is not None and self.categorical is not None:
            return [*self.numeric, *self.categorical]
        ignored = set(self.ignore or ())
        absent = sorted(ignored - set(table.names))
        if absent:
            raise invalid(("ignore", f"names {absent}, which the data does not have"))
        return [name for name in table.names if name not in taken | ignored]

    def _settings(self) -> dict[str, Any]:
        label = self.positive
        shared = {
            "positive": label.item() if isinstance(label, np.generic) else label,
            "numeric": None if self.numeric is None else list(self.numeric),
            "categorical": None if self.categorical is None else list(self.categorical),
        }
        names = (
            "numeric_basis",
            "knots",
            "missing_numeric",
            "missing_categorical",
            "unseen",
            "min_level_count",
            "max_levels",
            "l1_ratio",
        )
        shared |= {name: getattr(self, name) for name in names}
        shared |= self._kind_settings()
        return {name: value for name, value in shared.items() if value is not None}

    def _at_tenure(
        self, X: Frame, tenure: str | float | ArrayLike | None, columns: Sequence[str] | None
    ) -> tuple[Table, list[tuple[str, Input]]]:
        """Return the table and the columns a score needs, the tenure as asked for."""
        needs = [name for name in self._inputs() if name != _TENURE]
        table = as_table(X, columns)
        inputs = table.columns(needs)
        if tenure is None:
            return table, [*inputs, *table.columns([_TENURE])]
        if isinstance(tenure, str):
            ((_, column),) = table.columns([tenure])
            return table, [*inputs, (_TENURE, column)]
        values = np.asarray(tenure, np.float64)
        if values.ndim == 0:
            values = np.full(table.row_count, float(values))
        return table, [*inputs, (_TENURE, values)]

    def _curves(
        self,
        X: Frame,
        output: str,
        times: ArrayLike,
        tenure: Any,
        columns: Sequence[str] | None,
        interval: float | None = None,
    ) -> dict[str, Numbers]:
        """Return an output at many horizons, one row per customer and one column per time."""
        at = np.atleast_1d(np.asarray(times, np.float64))
        if at.ndim != 1 or not (at >= 0).all():
            raise invalid(("times", "must be a list of numbers >= 0"))
        _, inputs = self._at_tenure(X, tenure, columns)
        arguments = score_arguments([output], {"interval": interval})
        later = at[at > 0]
        # A horizon of zero is no horizon: everybody is still there.
        asked = later if later.size else np.array([1.0])
        found = self._raw.score_horizons(inputs, arguments, asked.tolist())
        warn_rows(found[0]["status"], found[0]["issues"], stacklevel=4)
        curves: dict[str, Numbers] = {}
        for place, (name, first) in enumerate(found[0]["outputs"]):
            curve = np.empty((len(first), len(at)))
            curve[:, at == 0] = np.where(np.isnan(first), np.nan, 1.0)[:, None]
            if later.size:
                values = [scores["outputs"][place][1] for scores in found]
                curve[:, at > 0] = np.column_stack(values)
            curves[name] = curve
        return curves

    def _one(
        self,
        X: Frame,
        output: str,
        tenure: Any,
        columns: Sequence[str] | None,
        **options: float | None,
    ) -> Numbers:
        _, inputs = self._at_tenure(X, tenure, columns)
        scores = self._raw.score(inputs, score_arguments([output], options))
        warn_rows(scores["status"], scores["issues"], stacklevel=4)
        return dict(scores["outputs"])[output]

    @property
    def positive_label_(self) -> str:
        """The label that means that a customer left."""
        return json.loads(self._raw.settings_json)["positive"]

    def predict_survival(
        self,
        X: Frame,
        times: ArrayLike,
        *,
        tenure: str | float | ArrayLike = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the retention curve of each customer.

        Parameters
        ----------
        X : table
            One row per customer.
        times : array of float
            Times from now, in periods, zero or greater.
        tenure : str, float or array, default 0
            Time each customer has already stayed: 0 for the curve of a new customer, a column of
            ``X`` or an array for the curve of a customer who is still here.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray of shape (n, len(times))
            ``S(tenure + t) / S(tenure)``. NaN, with a `RowWarning`, where a row cannot be used.
        """
        return self._curves(X, "survival_probability", times, tenure, columns)[
            "survival_probability"
        ]

    def predict_survival_interval(
        self,
        X: Frame,
        times: ArrayLike,
        *,
        level: float = 0.95,
        tenure: str | float | ArrayLike = 0.0,
        columns: Sequence[str] | None = None,
    ) -> tuple[Numbers, Numbers]:
        """Return both ends of the confidence interval of the retention curve.

        It tells how well the curve is known, from the covariance of the parameters.

        Parameters
        ----------
        X, times, tenure, columns
            As in `predict_survival`.
        level : float, default 0.95
            Confidence level, between 0 and 1.
        """
        name = "survival_probability"
        curves = self._curves(X, name, times, tenure, columns, level)
        return (
            np.where(np.asarray(times) == 0, 1.0, curves[f"{name}_lower"]),
            np.where(np.asarray(times) == 0, 1.0, curves[f"{name}_upper"]),
        )

    def predict_hazard(
        self,
        X: Frame,
        times: ArrayLike,
        *,
        tenure: str | float | ArrayLike = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the chance of leaving in the period that ends at each time.

        Parameters
        ----------
        X, tenure, columns
            As in `predict_survival`.
        times : array of float
            Ends of the periods, from now: above zero.

        Returns
        -------
        numpy.ndarray of shape (n, len(times))
            Probability of leaving in ``(t - 1, t]``, given still here at ``t - 1``.
        """
        if not (np.asarray(times, np.float64) > 0).all():
            raise invalid(("times", "must be numbers > 0: a period ends at each"))
        return self._curves(X, "hazard", times, tenure, columns)["hazard"]

    def predict_proba(
        self,
        X: Frame,
        *,
        horizon: float,
        tenure: str | float | ArrayLike | None = None,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the chances to stay and to leave within a horizon.

        Parameters
        ----------
        X : table
            One row per customer who is still here.
        horizon : float
            Periods to look ahead.
        tenure : str, float or array, optional
            Time each customer has already stayed; by default the column ``tenure`` of ``X``.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray of shape (n, 2)
            The second column is the probability of churn, given the tenure.
        """
        churn = self._one(X, "churn_probability", tenure, columns, horizon=horizon)
        return np.column_stack([1.0 - churn, churn])

    def expected_remaining_lifetime(
        self,
        X: Frame,
        *,
        horizon: float = np.inf,
        discount_rate: float | None = None,
        tenure: str | float | ArrayLike | None = None,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the time each customer is expected to stay from now on.

        Parameters
        ----------
        X, tenure, columns
            As in `predict_proba`.
        horizon : float, default inf
            Count no time beyond it; unlimited, the answer leans on the tail rule of the model and
            is ``inf``, with a `RowWarning`, where nobody leaves in the tail.
        discount_rate : float, optional
            Effective rate per year; the model must know its time unit.
        """
        name = "expected_remaining_periods"
        options = {"horizon": horizon, "discount_rate": discount_rate}
        return self._one(X, name, tenure, columns, **options)

    def median_remaining_lifetime(
        self,
        X: Frame,
        *,
        quantile: float = 0.5,
        tenure: str | float | ArrayLike | None = None,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the time by which each customer has left with probability ``quantile``.

        Parameters
        ----------
        X, tenure, columns
            As in `predict_proba`.
        quantile : float, default 0.5
            Strictly between 0 and 1.
        """
        return self._one(X, "remaining_quantile_periods", tenure, columns, quantile=quantile)

    def linear_predictor(self, X: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the linear predictor of each customer relative to the mean training row."""
        return self._one(X, "linear_predictor", 0.0, columns)

    def score_frame(  # noqa: PLR0913
        self,
        X: Frame,
        *,
        horizon: float | None = None,
        outputs: Sequence[str] | None = None,
        discount_rate: float | None = None,
        quantile: float | None = None,
        interval: float | None = None,
        elapsed: float = 0.0,
        columns: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Frame:
        """Return scores and row statuses as a table of the kind given.

        Parameters
        ----------
        X : table
            One row per customer, with the column ``tenure``.
        horizon : float, optional
            Periods to look ahead.
        outputs : sequence of str, optional
            Columns wanted, in order; ``output_names_`` lists them.
        discount_rate : float, optional
            Effective rate per year.
        quantile : float, optional
            Of the remaining lifetime.
        interval : float, optional
            Level of intervals beside every output.
        elapsed : float, default 0.0
            As of when to score: so many periods after the rows were observed, in which nothing was
            seen of the customers; ``tenure`` of every row is that much greater.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.
        """
        return self._score_frame(
            X,
            outputs,
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
            quantile=quantile,
            interval=interval,
            elapsed=elapsed,
            threads=threads,
        )


def _column(table: Table, role: str, given: Any) -> tuple[str, Input]:
    """Return a column of the data, or an array under a name the data does not have."""
    if isinstance(given, str):
        ((name, column),) = table.columns([given])
        return name, column
    name = f"cvm {role}"
    values = np.asanyarray(given)
    if values.shape != (table.row_count,):
        why = f"has shape {values.shape}, expected ({table.row_count},)"
        raise invalid((role, why))
    return name, from_numpy(name, values)
