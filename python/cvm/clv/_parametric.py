"""Models with a short fixed list of parameters, fitted from customer summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from cvm._core import RawModel
from cvm._fitted import FittedModel, with_weight
from cvm._frames import as_table, invalid, is_unnamed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cvm._frames import Frame, Numbers


class ParametricModel(FittedModel):
    """A model fitted from customer summaries, or made from a paper's parameters."""

    fit_columns: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        penalty: float = 0.0,
        max_iter: int = 200,
        tol: float = 1e-9,
        on_not_converged: str = "warn",
        threads: int = 0,
    ) -> None:
        self.penalty = penalty
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
        settings = self._settings()
        covariates = dict.fromkeys(name for names in settings.values() for name in names)
        needs = [*self.fit_columns, *covariates]
        own = needs if columns is None and is_unnamed(data) else columns
        table = as_table(data, own)
        inputs, weight_column = with_weight(table.columns(needs), table, weight)
        return self._fit(
            inputs,
            time_unit=time_unit,
            weight_column=weight_column,
            settings={**settings, **self._penalties(settings)},
        )

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

    def _penalties(self, settings: Mapping[str, object]) -> dict[str, float]:
        penalties = {
            name: float(getattr(self, name, 0.0)) for name in ("covariate_l1", "covariate_l2")
        }
        return {name: value for name, value in penalties.items() if settings and value != 0.0}

    def _refit(
        self, data: Frame, columns: Sequence[str] | None, time_unit: str | None
    ) -> ParametricModel:
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
