"""Covariates that change with time: a long table of periods becomes numbered columns of customers.

| column | meaning |
|---|---|
| ``covariates_until`` | time up to which the path is known; ``inf`` if its last values last |
| ``<name>_at_purchases`` | sum of the covariate over the repeat purchases; only read by a fit |
| ``covariates_from_<k>`` | start of step ``k``; missing past a path's last step |
| ``<name>_<k>`` | value of a covariate in step ``k`` |

Times are periods since the customer's first purchase, or since the start of a contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from cvm._fitted import with_weight
from cvm._frames import as_table, invalid
from cvm.clv._parametric import ParametricModel

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from cvm._frames import Frame, Input, Numbers, Table

_SECONDS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_629_800.0,
    "quarter": 7_889_400.0,
    "year": 31_557_600.0,
}
_UNTIL = "covariates_until"


def path_columns(names: Iterable[str], covariates: Sequence[str]) -> list[str]:
    """Return the columns of paths of these covariates among the names of a table's columns.

    Parameters
    ----------
    names : iterable of str
        Columns of the table.
    covariates : sequence of str
        Covariates without their numbers.
    """
    known = set(names)
    steps = 1
    while not known.isdisjoint((f"covariates_from_{steps}", f"covariates_from_{steps + 1}")):
        steps += 1
    of_step = [
        [f"covariates_from_{k}", *(f"{name}_{k}" for name in covariates)] for k in range(steps)
    ]
    return [_UNTIL, *(name for step in of_step for name in step)]


class _Path(NamedTuple):
    starts: Numbers
    values: Numbers
    until: float

    def at(self, times: Numbers) -> Numbers:
        """Return the values in force at some times, one row each."""
        steps = np.maximum(np.searchsorted(self.starts, times, side="right") - 1, 0)
        return self.values[steps]


def covariate_path_columns(  # noqa: PLR0913 - two or three tables and the names of their columns
    customers: Frame,
    paths: Frame,
    covariates: Sequence[str],
    *,
    customer_id: str = "customer_id",
    start: str = "start",
    end: str = "end",
    origin: str | None = None,
    age: str = "T",
    observation_end: str | dt.date | np.datetime64 | None = None,
    unit: str | None = None,
    transactions: Frame | None = None,
    date: str = "date",
) -> Frame:
    """Return customers with the numbered columns that hold each one's path of covariates.

    Steps that change nothing are merged, those before a customer's start are dropped.

    Parameters
    ----------
    customers : table
        One row per customer.
    paths : table
        One row per customer and period, in any order. Without the column ``customer_id`` the
        periods are those of everybody, as of a season.
    covariates : sequence of str
        Columns of covariates in ``paths``.
    customer_id : str, default "customer_id"
        Column of the customer in all tables.
    start, end : str
        Columns of a period's start and end. Dates; or numbers: periods since the customer's own
        start. A value holds from the start up to the next start. Without the column ``end`` the
        last period is as long as the one before.
    origin : str, optional
        Column of ``customers`` with the date of each one's start, for periods that start at dates.
    age : str, default "T"
        Without ``origin``: column of the time from a customer's start to ``observation_end``.
    observation_end : str, date or datetime64, optional
        End of observation of the summaries, for periods that start at dates, without ``origin``.
    unit : str, optional
        Length of one period of the customers' times, such as ``week``; needed with dates.
    transactions : table, optional
        The log that the customers' summaries come from: adds ``<name>_at_purchases``, which a fit
        of a purchase model reads.
    date : str, default "date"
        Column of the time of a transaction, on the clock of ``start``.

    Returns
    -------
    table
        Of the kind of ``customers``: its columns and the numbered ones.

    Raises
    ------
    InvalidInputError
        If a customer has no periods, periods overlap or leave a gap, or a log does not fit the
        summaries; the first customer is named.

    Examples
    --------
    >>> customers = {"id": ["a", "b"], "frequency": [1, 0], "recency": [3.0, 0.0], "T": [4.0, 2.0]}
    >>> weeks = {"start": [0.0, 2.0, 3.0], "end": [2.0, 3.0, 9.0], "promotion": [0.0, 1.0, 1.0]}
    >>> rows = covariate_path_columns(customers, weeks, ["promotion"], customer_id="id")
    >>> rows["covariates_from_1"].tolist(), rows["covariates_until"].tolist()
    ([2.0, 2.0], [9.0, 9.0])
    """
    table, long = as_table(customers), as_table(paths)
    ids = _cells(table, customer_id)
    clock = _Clock.of(table, long, start, (origin, age, observation_end), unit)
    lines = _Lines.of(long, covariates, customer_id, start, end, clock)
    found = [lines.path(name, origin) for name, origin in zip(ids, clock.origins, strict=True)]
    columns: dict[str, NDArray[Any]] = {
        name: np.asarray(table.values(name)) for name in table.names
    }
    columns[_UNTIL] = np.array([path.until for path in found], dtype=np.float64)
    if transactions is not None:
        log = as_table(transactions)
        sums = _sums(table, log, ids, found, clock, (customer_id, date))
        for place, name in enumerate(covariates):
            columns[f"{name}_at_purchases"] = sums[:, place]
    for step in range(max((len(path.starts) for path in found), default=1)):
        has = [len(path.starts) > step for path in found]
        cells = np.full((len(found), 1 + len(covariates)), np.nan)
        for row, (path, own) in enumerate(zip(found, has, strict=True)):
            if own:
                cells[row] = [path.starts[step], *path.values[step]]
        columns[f"covariates_from_{step}"] = cells[:, 0]
        for place, name in enumerate(covariates):
            columns[f"{name}_{step}"] = cells[:, 1 + place]
    return table.rows(columns)


class _Clock(NamedTuple):
    """Turns times of the long table into periods since a customer's start."""

    origins: Numbers
    period: float
    dated: bool

    @classmethod
    def of(
        cls,
        table: Table,
        long: Table,
        start: str,
        origin: tuple[str | None, str, object],
        unit: str | None,
    ) -> _Clock:
        column, age, observation_end = origin
        dated = np.asarray(_cells(long, start)).dtype.kind not in "fiub"
        if not dated:
            return cls(np.zeros(table.row_count), 1.0, dated=False)
        if unit is None or unit not in _SECONDS:
            allowed = ", ".join(_SECONDS)
            raise invalid(("unit", f"is {unit!r}: must be one of {allowed}, as periods are dates"))
        if column is not None:
            return cls(_seconds(column, _cells(table, column)), _SECONDS[unit], dated=True)
        if observation_end is None:
            why = f"is not set, nor is origin: column `{start}` holds dates"
            raise invalid(("observation_end", why))
        last = float(_seconds("observation_end", np.array([observation_end]))[0])
        ages = _cells(table, age).astype(np.float64)
        # Whole seconds: a period that starts with the first purchase starts at 0.
        return cls(np.round(last - ages * _SECONDS[unit]), _SECONDS[unit], dated=True)

    def seconds(self, name: str, values: NDArray[Any]) -> Numbers:
        return _seconds(name, values) if self.dated else values.astype(np.float64)


class _Lines(NamedTuple):
    """The long table in the order of customers and starts."""

    groups: dict[object, tuple[int, int]] | None
    starts: Numbers
    ends: Numbers | None
    values: Numbers
    period: float

    @classmethod
    def of(
        cls,
        long: Table,
        covariates: Sequence[str],
        customer_id: str,
        start: str,
        end: str,
        clock: _Clock,
    ) -> _Lines:
        starts = clock.seconds(start, _cells(long, start))
        has_end = end in long.names
        ends = clock.seconds(end, _cells(long, end)) if has_end else None
        values = [_cells(long, name).astype(np.float64) for name in covariates]
        table = np.column_stack(values) if values else np.empty((len(starts), 0))
        groups = None
        order = np.argsort(starts, kind="stable")
        if customer_id in long.names:
            distinct, codes = np.unique(_cells(long, customer_id), return_inverse=True)
            order = np.lexsort((starts, codes))
            edges = np.searchsorted(codes[order], np.arange(len(distinct) + 1))
            pairs = zip(distinct.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
            groups = {name: (first, last) for name, first, last in pairs}
        ends = None if ends is None else ends[order]
        return cls(groups, starts[order], ends, table[order], clock.period)

    def path(self, customer: object, origin: float) -> _Path:
        """Return the path of one customer, from its own start."""
        first, last = 0, len(self.starts)
        if self.groups is not None:
            name = customer.item() if isinstance(customer, np.generic) else customer
            first, last = self.groups.get(name, (0, 0))
        if first == last:
            raise invalid(("paths", f"has no period of customer {customer!r}"))
        starts = (self.starts[first:last] - origin) / self.period
        values = self.values[first:last]
        if self.ends is None:
            if last - first == 1:
                why = f"is missing, and customer {customer!r} has one period only"
                raise invalid(("paths.end", why))
            until = 2.0 * starts[-1] - starts[-2]
        else:
            ends = (self.ends[first:last] - origin) / self.period
            _check_chain(customer, starts, ends)
            until = float(ends[-1])
        begun = max(int(np.searchsorted(starts, 0.0, side="right")) - 1, 0)
        starts, values = starts[begun:], values[begun:]
        moves = np.any(values[1:] != values[:-1], axis=1)
        keep = np.concatenate(([True], moves))
        return _Path(starts[keep], values[keep], until)


def _check_chain(customer: object, starts: Numbers, ends: Numbers) -> None:
    """Refuse periods that overlap or leave time uncovered."""
    slack = 1e-9 * (1.0 + np.abs(starts[1:]))
    apart = np.flatnonzero(np.abs(ends[:-1] - starts[1:]) > slack)
    if len(apart):
        place = int(apart[0])
        why = (
            f"of customer {customer!r}: the period from {starts[place]:g} ends at {ends[place]:g}, "
            f"the next starts at {starts[place + 1]:g}"
        )
        raise invalid(("paths", why))


def _sums(
    table: Table,
    log: Table,
    ids: NDArray[Any],
    found: list[_Path],
    clock: _Clock,
    names: tuple[str, str],
) -> Numbers:
    """Return the sums of the covariates over each customer's repeat purchases."""
    customer_id, date = names
    times = clock.seconds(date, _cells(log, date))
    distinct, codes = np.unique(_cells(log, customer_id), return_inverse=True)
    order = np.lexsort((times, codes))
    edges = np.searchsorted(codes[order], np.arange(len(distinct) + 1))
    place = {name: index for index, name in enumerate(distinct.tolist())}
    frequency = _cells(table, "frequency").astype(np.float64)
    age = _cells(table, "T").astype(np.float64)
    sums = np.zeros((len(ids), found[0].values.shape[1] if found else 0))
    for row, (customer, path) in enumerate(zip(ids.tolist(), found, strict=True)):
        at = place.get(customer)
        own = np.empty(0) if at is None else times[order[edges[at] : edges[at + 1]]]
        since = np.unique((own - clock.origins[row]) / clock.period)
        repeats = since[(since > 0.0) & (since <= age[row] * (1.0 + 1e-12))]
        if len(repeats) != frequency[row]:
            why = (
                f"has {len(repeats)} times of purchase of customer {customer!r} after the first, "
                f"the summary {frequency[row]:g}"
            )
            raise invalid(("transactions", why))
        sums[row] = path.at(repeats).sum(axis=0)
    return sums


def _cells(table: Table, name: str) -> NDArray[Any]:
    if name not in table.names:
        given = ", ".join(table.names[:40])
        raise invalid((f"columns.{name}", f"is missing; the data has [{given}]"))
    values = np.asarray(table.values(name))
    if values.dtype.kind != "O":
        return values
    plain = np.array(values.tolist())
    return plain if plain.ndim == 1 else values


def _seconds(name: str, values: NDArray[Any]) -> Numbers:
    try:
        nanoseconds = values.astype("datetime64[ns]").astype(np.int64)
    except (TypeError, ValueError):
        raise invalid((name, "holds what is not a date: must be dates or ISO 8601 text")) from None
    return nanoseconds / 1e9


class CovariatePathModel(ParametricModel):
    """A model whose rows carry paths of covariates in numbered columns."""

    def fit(  # noqa: PLR0913
        self,
        data: Frame,
        *,
        covariate_paths: Frame | None = None,
        transactions: Frame | None = None,
        customer_id: str = "customer_id",
        origin: str | None = None,
        observation_end: str | dt.date | np.datetime64 | None = None,
        time_unit: str | None = None,
        weight: str | Sequence[float] | Numbers | None = None,
        columns: Sequence[str] | None = None,
        progress: bool | Callable[[int, float], object] = True,
    ) -> Self:
        """Fit the model by maximum likelihood.

        Parameters
        ----------
        data : table
            One row per customer, with the model's columns; with the numbered columns of paths
            unless ``covariate_paths`` is given.
        covariate_paths : table, optional
            One row per customer and period, with ``start`` and the covariates (and ``end``); see
            `covariate_path_columns`.
        transactions : table, optional
            The log behind the summaries; needed with ``covariate_paths`` and covariates of the
            purchase rate.
        customer_id : str, default "customer_id"
            Column of the customer in all tables.
        origin : str, optional
            Column of the data with the date of each customer's start, where periods start at dates.
        observation_end : str, date or datetime64, optional
            Or the end of observation, from which ``T`` leads back to the start. With dates
            ``time_unit`` is needed.
        time_unit : str, optional
            Length of one period of the data: ``day``, ``week``, ``month`` …
        weight : str or array, optional
            Weight of each row, as a column of the data or an array.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        progress : bool or callable, default True
            Tell of the search when it takes more than two seconds; or a function of
            ``(step, log_likelihood)``. Whatever it raises, and Ctrl-C, ends the fit.

        Returns
        -------
        Self
            The model, fitted.
        """
        if covariate_paths is not None:
            data = covariate_path_columns(
                data,
                covariate_paths,
                self._covariates(),
                customer_id=customer_id,
                origin=origin,
                observation_end=observation_end,
                unit=time_unit,
                transactions=transactions,
                age="T" if self._has_purchases() else "tenure",
            )
        return super().fit(
            data, time_unit=time_unit, weight=weight, columns=columns, progress=progress
        )

    def _has_purchases(self) -> bool:
        return "purchase" in self._processes()

    def _covariates(self) -> list[str]:
        return list(dict.fromkeys(name for names in self._settings().values() for name in names))

    def _fit_inputs(
        self,
        data: Frame,
        weight: str | Sequence[float] | Numbers | None,
        columns: Sequence[str] | None,
    ) -> tuple[list[tuple[str, Input]], str | None, dict[str, object]]:
        settings = self._settings()
        covariates = self._covariates()
        table = as_table(data, columns)
        needs = [*self.fit_columns]
        if covariates:
            sums = [f"{name}_at_purchases" for name in settings.get("purchase_covariates", ())]
            needs += [*sums, *path_columns(table.names, covariates)]
        inputs, weight_column = with_weight(table.columns(needs), table, weight)
        return inputs, weight_column, {**settings, **self._further(settings)}
