"""Models whose parameters are estimated from data: the fit, its report, the parameter table."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cvm._base import BaseModel, count, number, required_number
from cvm._core import RawModel, fit_watched
from cvm._frames import Input, Numbers, Table, from_numpy, invalid
from cvm._progress import search_callback
from cvm._summary import Row
from cvm.errors import ConvergenceWarning, FitWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from cvm._core import FitArgs

_WEIGHT = "cvm weight"


class FittedModel(BaseModel):
    """A model whose parameters are estimated from data by maximum likelihood.

    Subclasses have the arguments ``penalty``, ``max_iter``, ``tol``, ``on_not_converged`` and
    ``threads``.
    """

    penalty: float
    max_iter: int
    tol: float
    on_not_converged: str
    threads: int

    def _fit(
        self,
        columns: list[tuple[str, Input]],
        *,
        time_unit: str | None = None,
        weight_column: str | None = None,
        settings: Mapping[str, Any] | None = None,
        progress: bool | Callable[[int, float], object] = True,
    ) -> Self:
        arguments = self._fit_arguments(time_unit, weight_column, settings)
        tell, close = search_callback(progress)
        try:
            self._adopt(fit_watched(self.kind, columns, arguments, tell))
        finally:
            close()
        self._warn_fit()
        return self

    def _fit_arguments(
        self,
        time_unit: str | None,
        weight_column: str | None,
        settings: Mapping[str, Any] | None,
    ) -> FitArgs:
        if self.on_not_converged not in {"warn", "raise"}:
            why = f'is {self.on_not_converged!r}: must be "warn" or "raise"'
            raise invalid(("on_not_converged", why))
        return {
            "time_unit": time_unit,
            "weight_column": weight_column,
            "penalty": number("penalty", self.penalty),
            "max_iterations": count("max_iter", self.max_iter),
            "gradient_tolerance": required_number("tol", self.tol),
            "threads": count("threads", self.threads),
            "allow_not_converged": self.on_not_converged == "warn",
            "settings_json": json.dumps(dict(settings or {}), allow_nan=False),
        }

    def _adopt(self, raw: RawModel) -> Self:
        super()._adopt(raw)
        report = json.loads(raw.training_json)
        self.fit_report_: dict[str, Any] = report
        names, values = self._estimates(raw, report)
        self.params_: dict[str, float] = dict(zip(names, values, strict=True))
        errors = report.get("standard_errors") or [None] * len(names)
        self.standard_errors_: dict[str, float] = dict(
            zip(names, (np.nan if error is None else error for error in errors), strict=True)
        )
        self.covariance_: NDArray[np.float64] = _covariance(raw, len(names))
        log_likelihood = report.get("log_likelihood")
        self.log_likelihood_: float = np.nan if log_likelihood is None else log_likelihood
        # A model from known parameters was never estimated.
        self.converged_: bool | None = report.get("converged")
        return self

    @staticmethod
    def _estimates(raw: RawModel, report: dict[str, Any]) -> tuple[list[str], list[float]]:
        if not raw.params:
            return report["param_names"], report["params"]
        names = [param[0] for param in raw.params]
        values = [param[1] for param in raw.params]
        coefficients = raw.array("covariates")
        if coefficients is not None:
            names.extend(_coefficient_names(raw, len(coefficients[1]), report))
            values.extend(coefficients[1].tolist())
        return names, values

    def _warn_fit(self) -> None:
        report = self.fit_report_
        if self.converged_:
            for text in report["warnings"]:
                warnings.warn(text, FitWarning, stacklevel=4)
            return
        advice = "; ".join(report["warnings"])
        text = (
            f"{self.title} did not converge in {report['iterations']} steps: "
            f"{report['message']} (gradient {report['gradient_norm']:.1e}); the estimates are "
            f'what was reached. on_not_converged="raise" makes this an error. {advice}'
        )
        warnings.warn(text.rstrip(), ConvergenceWarning, stacklevel=4)

    def _rows(self, level: float) -> list[Row]:
        positive = {param[0]: param[4] for param in self._raw.params}
        return [
            Row.of(
                name,
                value,
                self.standard_errors_[name],
                positive=positive.get(name, False),
                level=level,
            )
            for name, value in self.params_.items()
        ]

    def _facts(self) -> dict[str, str]:
        facts = super()._facts()
        report = self.fit_report_
        if "log_likelihood" in report:
            facts["log-likelihood"] = f"{self.log_likelihood_:.3f}"
            facts["rows"] = f"{report['row_count']} ({report['excluded_row_count']} excluded)"
            for test in report.get("nested", []):
                facts[f"against {test['model']}"] = (
                    f"likelihood ratio {test['statistic']:.2f} on {test['df']} d.f., "
                    f"p = {test['p_value']:.2g}"
                )
            facts["converged"] = f"{self.converged_} ({report['message']})"
        return facts


def _coefficient_names(raw: RawModel, size: int, report: dict[str, Any]) -> list[str]:
    """Return the names of a model's coefficients, as its fit has them."""
    names: list[str] = report.get("param_names", [])[len(raw.params) :]
    return names if len(names) == size else [f"coefficient {i}" for i in range(size)]


def with_weight(
    columns: list[tuple[str, Input]], table: Table, weight: str | Sequence[float] | Numbers | None
) -> tuple[list[tuple[str, Input]], str | None]:
    """Add row weights, a column of the data or an array, and return the column's name."""
    match weight:
        case None:
            return columns, None
        case str():
            return [*columns, *table.columns([weight])], weight
        case _:
            values = from_numpy("weight", np.asanyarray(weight))
            return [*columns, (_WEIGHT, values)], _WEIGHT


def _covariance(raw: RawModel, size: int) -> NDArray[np.float64]:
    stored = raw.array("fit.covariance")
    if stored is None:
        return np.full((size, size), np.nan)
    shape, values = stored
    return values.reshape(shape)
