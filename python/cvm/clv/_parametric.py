"""Models with a short fixed list of parameters, fitted from customer summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np

from cvm._core import RawModel, param_intervals, partial_objective
from cvm._fitted import FittedModel, with_weight
from cvm._frames import as_table, invalid, is_unnamed
from cvm._progress import callback

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cvm._core import IntervalArgs
    from cvm._frames import Frame, Input, Numbers


class ParameterInterval(NamedTuple):
    """The interval of one parameter."""

    name: str
    estimate: float
    lower: float | None
    upper: float | None
    standard_error: float | None
    note: str


class ParametricModel(FittedModel):
    """A model fitted from customer summaries, or made from a paper's parameters."""

    fit_columns: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        penalty: float = 0.0,
        priors: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        max_iter: int = 200,
        tol: float = 1e-9,
        on_not_converged: str = "warn",
        threads: int = 0,
    ) -> None:
        self.penalty = penalty
        self.priors = priors
        self.bounds = bounds
        self.max_iter = max_iter
        self.tol = tol
        self.on_not_converged = on_not_converged
        self.threads = threads

    def fit(
        self,
        data: Frame,
        *,
        time_unit: str | None = None,
        weight: str | Sequence[float] | Numbers | None = None,
        columns: Sequence[str] | None = None,
        progress: bool | Callable[[int, float], object] = True,
    ) -> Self:
        """Fit the model by maximum likelihood.

        Parameters
        ----------
        data : table
            One row per customer, with the model's columns; other columns are ignored.
        time_unit : str, optional
            Length of one period of the data: ``day``, ``week``, ``month`` … Needed only to
            discount, and written into the model's file.
        weight : str or array, optional
            Weight of each row, as a column of the data or an array.
        columns : sequence of str, optional
            Names of the columns of a 2-D array; by default the model's own, in order.
        progress : bool or callable, default True
            Tell of the search when it takes more than two seconds; or a function of
            ``(step, log_likelihood)``. Whatever it raises, and Ctrl-C, ends the fit.

        Returns
        -------
        Self
            The model, fitted.

        Raises
        ------
        InvalidInputError
            If a column is missing or any row cannot be used; the first bad rows are named.
        NotConvergedError
            If no optimum was reached and ``on_not_converged`` is ``"raise"``.
        """
        inputs, weight_column, settings = self._fit_inputs(data, weight, columns)
        return self._fit(
            inputs,
            time_unit=time_unit,
            weight_column=weight_column,
            settings=settings,
            progress=progress,
        )

    def _fit_inputs(
        self,
        data: Frame,
        weight: str | Sequence[float] | Numbers | None,
        columns: Sequence[str] | None,
    ) -> tuple[list[tuple[str, Input]], str | None, dict[str, object]]:
        """Return the columns a fit reads, the column of weights, and the fit's settings."""
        settings = self._settings()
        covariates = dict.fromkeys(name for names in settings.values() for name in names)
        needs = [*self.fit_columns, *covariates]
        own = needs if columns is None and is_unnamed(data) else columns
        table = as_table(data, own)
        inputs, weight_column = with_weight(table.columns(needs), table, weight)
        return inputs, weight_column, {**settings, **self._further(settings)}

    def confidence_intervals(
        self,
        data: Frame,
        *,
        method: Literal["wald", "profile", "bootstrap"] = "profile",
        level: float = 0.95,
        replicates: int = 500,
        seed: int = 0,
        weight: str | Sequence[float] | Numbers | None = None,
        columns: Sequence[str] | None = None,
        progress: bool | Callable[[int, int], object] = True,
    ) -> list[ParameterInterval]:
        """Return an interval of every parameter, from a fit to the data.

        Parameters
        ----------
        data : table
            The customers the model is fitted to.
        method : {"wald", "profile", "bootstrap"}, default "profile"
            From standard errors (at once); where the likelihood falls, other parameters refitted
            (honest where the likelihood is not a parabola); or quantiles over refits with random
            weights (honest where customers are not what the model says).
        level : float, default 0.95
            Confidence level.
        replicates : int, default 500
            Refits of a bootstrap.
        seed : int, default 0
            Seed of a bootstrap; the same seed gives the same intervals.
        weight, columns
            As in `fit`.
        progress : bool or callable, default True
            Draw a line when it takes more than two seconds; or a function of ``(done, total)``.

        Returns
        -------
        list of ParameterInterval
            ``name``, ``estimate``, ``lower``, ``upper``, ``standard_error``, ``note``; an end that
            does not exist is ``None``, and the note says why.
        """
        inputs, weight_column, settings = self._fit_inputs(data, weight, columns)
        arguments = self._fit_arguments(None, weight_column, settings)
        request: IntervalArgs = {
            "method": method,
            "level": level,
            "replicates": replicates,
            "seed": seed,
        }
        told, close = callback(progress, method)
        try:
            rows = param_intervals(self.kind, inputs, arguments, request, told)
        finally:
            close()
        return [ParameterInterval(*row) for row in rows]

    def partial_objective(
        self,
        data: Frame,
        params: Sequence[float],
        *,
        weight: str | Sequence[float] | Numbers | None = None,
        columns: Sequence[str] | None = None,
    ) -> tuple[float, Numbers, Numbers]:
        """Return the log-likelihood of these rows with its gradient and Hessian.

        The objective of all data is the sum over its parts: a distributed engine asks each part for
        its own and adds them up, always in the same order.

        Parameters
        ----------
        data : table
            The rows of one part.
        params : sequence of float
            Parameters in the order of ``params_``, with coefficients after the model's own.
        weight, columns
            As in `fit`.

        Returns
        -------
        tuple of float, array of shape (k,), array of shape (k, k)
            Value, gradient and Hessian in the natural parameters.
        """
        inputs, weight_column, settings = self._fit_inputs(data, weight, columns)
        arguments = self._fit_arguments(None, weight_column, settings)
        given = [float(value) for value in params]
        packed = np.array(partial_objective(self.kind, inputs, arguments, given))
        size = len(given)
        return float(packed[0]), packed[1 : size + 1], packed[size + 1 :].reshape(size, size)

    def _processes(self) -> dict[str, Sequence[str]]:
        """Return the covariates of each process of the model."""
        return {}

    def _settings(self) -> dict[str, list[str]]:
        given = {}
        for process, names in self._processes().items():
            if isinstance(names, str):
                field = f"{process}_covariates"
                raise invalid((field, f'is the text "{names}": must be a list of column names'))
            if len(names):
                given[f"{process}_covariates"] = list(names)
        return given

    def _further(self, settings: Mapping[str, object]) -> dict[str, object]:
        """Return settings beyond covariates: their penalties, priors and bounds."""
        further: dict[str, object] = {}
        for name in ("covariate_l1", "covariate_l2"):
            value = float(getattr(self, name, 0.0))
            if settings and value != 0.0:
                further[name] = value
        for name in ("priors", "bounds"):
            given = getattr(self, name, None)
            if given:
                further[name] = dict(given)
        return further

    def _refit(self, data: Frame, columns: Sequence[str] | None, time_unit: str | None) -> Self:
        """Return a fresh copy fitted to the data."""
        copy = type(self)(**self.get_params(deep=False))
        return copy.fit(data, time_unit=time_unit, columns=columns)

    @classmethod
    def from_params(cls, params: Mapping[str, float], *, time_unit: str | None = None) -> Self:
        """Return a model at known parameters, such as a paper's.

        Parameters
        ----------
        params : mapping of str to float
            Every parameter by name.
        time_unit : str, optional
            Length of one period: ``day``, ``week``, ``month`` …
        """
        pairs: list[tuple[str, float]] = []
        for name, value in params.items():
            try:
                pairs.append((name, float(value)))
            except (TypeError, ValueError):
                raise invalid((f"params.{name}", f"is {value!r}: must be a number")) from None
        return cls._of_raw(RawModel.from_params(cls.kind, pairs, time_unit))
