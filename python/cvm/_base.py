"""What every model of this package shares: parameters, scoring, files, pickling.

The classes follow scikit-learn's conventions without depending on it: a keyword-only ``__init__``
that only stores its arguments, ``fit`` that returns the model, fitted names that end in ``_``.
"""

from __future__ import annotations

import inspect
import itertools
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from cvm._core import ROW_STATUS, RawModel, RawNames, RawScorer
from cvm._frames import Frame, Numbers, Table, as_table, invalid, is_unnamed, own_table
from cvm._summary import ParameterTable, Row
from cvm.errors import NotFittedError, RowWarning

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cvm._core import Columns, Found, ReasonArgs, Reasons, ScoreArgs, Scores

_STATUS_NAMES = np.array(ROW_STATUS)
_OK = ROW_STATUS.index("ok")
_SHOWN_ISSUES = 3
# A model that has this column reads as many numbered ones as a table has.
_PATH_START = "covariates_from_0"
_OPTIONS = (
    "horizon",
    "discount_rate",
    "margin",
    "purchases",
    "quantile",
    "cost_per_period",
    "cost_per_order",
    "interval",
    "elapsed",
    "threads",
)
MODEL_CLASSES: dict[str, type[BaseModel]] = {}


class BaseModel:
    """A model of one kind: unfitted, fitted, or read from a file."""

    kind: ClassVar[str]
    title: ClassVar[str]
    _fitted: RawModel | None = None
    _features: list[str]
    _names: RawNames
    _outputs: tuple[str, ...] | None = None
    _scorers: dict[str, RawScorer | None]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            MODEL_CLASSES[cls.kind] = cls

    # Parameters, as scikit-learn handles them.

    @classmethod
    def _param_names(cls) -> list[str]:
        parameters = list(inspect.signature(cls.__init__).parameters)
        return [name for name in parameters if name != "self"]

    def get_params(self, *, deep: bool = True) -> dict[str, Any]:
        """Return the arguments of ``__init__`` as they are now.

        Parameters
        ----------
        deep : bool, default True
            Also return the parameters of nested models, as ``name__parameter``.
        """
        params = {name: getattr(self, name) for name in self._param_names()}
        nested = {
            f"{name}__{inner}": value
            for name, model in params.items()
            if deep and isinstance(model, BaseModel)
            for inner, value in model.get_params().items()
        }
        return params | nested

    def set_params(self, **params: Any) -> Self:
        """Set arguments of ``__init__``, nested ones as ``name__parameter``; return the model."""
        for name, value in params.items():
            owner, _, inner = name.partition("__")
            if owner not in self._param_names():
                known = ", ".join(self._param_names())
                raise invalid((f"params.{owner}", f"is unknown; known: {known}"))
            if inner:
                getattr(self, owner).set_params(**{inner: value})
            else:
                setattr(self, owner, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params(deep=False).items()
            if value is not defaults[name].default
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    # The model behind the estimator.

    @property
    def _raw(self) -> RawModel:
        if self._fitted is None:
            name = type(self).__name__
            why = f"this {name} is not fitted: call fit, or {name}.from_params, or cvm.load"
            raise NotFittedError(why)
        return self._fitted

    def _adopt(self, raw: RawModel) -> Self:
        """Take over a fitted model."""
        self._fitted = raw
        self._features = [field["name"] for field in json.loads(raw.schema_json)["fields"]]
        self._names = RawNames(self._features)
        self._outputs = None
        self._scorers = {}
        return self

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """Columns the model reads, in its order."""
        return np.array(self._inputs(), dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Number of columns the model reads."""
        return len(self._inputs())

    @property
    def output_names_(self) -> tuple[str, ...]:
        """Columns the model can compute, in its order."""
        if self._raw and self._outputs is None:
            self._outputs = tuple(output[0] for output in self._raw.outputs)
        return self._outputs or ()

    @property
    def fingerprint_(self) -> str:
        """Hash of the model's file: its identity on every surface."""
        return self._raw.fingerprint

    @property
    def metadata_(self) -> dict[str, Any]:
        """Facts by the author: ``name``, ``version`` and whatever else was saved."""
        return json.loads(self._raw.metadata_json)

    def _inputs(self) -> list[str]:
        # A composed model is composed by this.
        return self._features if self._raw else []

    @classmethod
    def _of_raw(cls, raw: RawModel) -> Self:
        """Return a model around a fitted one, with default arguments."""
        return cls()._adopt(raw)

    # Files.

    def to_bytes(self) -> bytes:
        """Return the bytes of the model's file; the same model always gives the same bytes."""
        return self._raw.to_bytes()

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        version: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the model's file, complete or not at all.

        Parameters
        ----------
        path : path
            Where to; a server names the model after the file's stem.
        name, version : str, optional
            Facts by the author; a server shows the version.
        metadata : mapping, optional
            Further facts of plain JSON values.

        Returns
        -------
        pathlib.Path
            The path written.
        """
        raw = self._raw
        own = {"name": name, "version": version, **(metadata or {})}
        given = {key: value for key, value in own.items() if value is not None}
        facts = {**self.metadata_, **given}
        if facts != self.metadata_:
            raw = raw.with_metadata(json.dumps(facts, allow_nan=False))
            self._adopt(raw)
        target = Path(path)
        raw.save(target)
        return target

    def __getstate__(self) -> dict[str, Any]:
        artifact = None if self._fitted is None else self._fitted.to_bytes()
        return {"params": self.get_params(deep=False), "artifact": artifact}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state["params"].items():
            setattr(self, name, value)
        if state["artifact"] is not None:
            self._adopt(RawModel.from_bytes(state["artifact"]))

    # Scoring.

    def _table(self, data: Frame, columns: Sequence[str] | None) -> Table:
        """Return the data as a table; a 2-D array of the model's width has the model's columns."""
        needs = self._inputs()
        if (own := own_table(data, needs, columns)) is not None:
            return own
        if columns is None and is_unnamed(data):
            width = data.shape[1]
            # Of a matrix with columns x0, x1 … the model may leave some out, but not the last: one
            # column too many must not be scored by place.
            if f"x{width - 1}" not in needs:
                why = f"has {width} columns, the model reads {len(needs)}: name them by `columns`"
                raise invalid(("data", why))
        return as_table(data, columns)

    def _columns(self, table: Table) -> Columns:
        """Return the columns that the model reads of a table, each step of a path among them."""
        own = self._inputs()
        if _PATH_START not in own:
            matrix = table.matrix(own)
            return table.columns(own) if matrix is None else (self._names, matrix)
        first = own.index(_PATH_START) + 1
        covariates = itertools.takewhile(lambda name: name.endswith("_0"), own[first:])
        stems = [_PATH_START.removesuffix("0"), *(name.removesuffix("0") for name in covariates)]
        step = 1
        known = set(table.names)
        # A step left out by mistake is a column that is missing, not the end of all paths.
        while not known.isdisjoint((f"{stems[0]}{step}", f"{stems[0]}{step + 1}")):
            own = [*own, *(f"{stem}{step}" for stem in stems)]
            step += 1
        return table.columns(own)

    def _scores(
        self,
        data: Frame,
        outputs: Sequence[str],
        columns: Sequence[str] | None = None,
        **options: float | None,
    ) -> tuple[Table, dict[str, Numbers], NDArray[np.uint8], list[str]]:
        """Score a table: the table, output columns, row statuses, and bad rows in words."""
        raw = self._raw
        table = self._table(data, columns)
        scores = raw.score(
            self._columns(table),
            score_arguments(outputs, options),
        )
        return table, dict(scores["outputs"]), scores["status"], scores["issues"]

    def _output(
        self,
        data: Frame,
        output: str,
        columns: Sequence[str] | None = None,
        **options: float | None,
    ) -> Numbers:
        """Return one output column; rows without a score are NaN, with one warning."""
        (values,) = self._several(data, [output], columns, stacklevel=5, **options)
        return values

    def _several(
        self,
        data: Frame,
        outputs: Sequence[str],
        columns: Sequence[str] | None = None,
        *,
        stacklevel: int = 4,
        threads: float | None = 0,
        **options: float | None,
    ) -> list[Numbers]:
        """Return output columns of one pass; rows without a score are NaN, with one warning."""
        values, bad = self._found(data, outputs, columns, int(threads or 0), options)
        if bad is not None:
            warn_rows(*bad, stacklevel=stacklevel)
        return values

    def _found(
        self,
        data: Frame,
        outputs: Sequence[str],
        columns: Sequence[str] | None,
        threads: int,
        options: Mapping[str, float | None],
    ) -> Found:
        """Return output columns, and statuses and words if any row is bad."""
        scorer = None if options else self._scorer(outputs)
        if scorer is not None and self._is_own(data, columns):
            found = scorer.score(data, threads)
            if found is not None:
                return found
        given = self._columns(self._table(data, columns))
        if scorer is not None and isinstance(given, tuple):
            found = scorer.score(given[1], threads)
            if found is not None:
                return found
        scores = self._raw.score(given, score_arguments(outputs, {"threads": threads, **options}))
        bad = (scores["status"], scores["issues"]) if scores["issues"] else None
        return [values for _, values in scores["outputs"]], bad

    def _is_own(self, data: Frame, columns: Sequence[str] | None) -> bool:
        """Whether data is an array whose columns, named or not, are the model's in its order."""
        named = columns is None or (isinstance(columns, list) and columns == self._inputs())
        return named and type(data) is np.ndarray

    def _scorer(self, outputs: Sequence[str]) -> RawScorer | None:
        """Return what scores arrays; asked once for the same outputs."""
        raw, key = self._raw, " ".join(outputs)
        if key not in self._scorers:
            self._scorers[key] = raw.scorer(list(outputs))
        return self._scorers[key]

    def _score_frame(
        self,
        data: Frame,
        outputs: Sequence[str] | None,
        columns: Sequence[str] | None,
        reasons: ReasonArgs | None = None,
        **options: float | None,
    ) -> Frame:
        if isinstance(outputs, str):
            raise invalid(("outputs", f'is the text "{outputs}": must be a list of names'))
        table = self._table(data, columns)
        arguments = score_arguments(outputs or [], options, reasons)
        scores = self._raw.score(self._columns(table), arguments)
        return table.wrap(score_columns(scores, reasons))

    def portfolio(
        self,
        data: Frame,
        *,
        level: float = 0.95,
        outputs: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        **options: float | None,
    ) -> list[PortfolioTotal]:
        """Return totals over all customers with intervals that count what customers share.

        All customers are scored with the same estimated parameters, so their errors do not average
        out: the interval of a total is made from the summed gradient (delta method), not from the
        rows' own intervals.

        Parameters
        ----------
        data : table
            One row per customer.
        level : float, default 0.95
            Level of the interval.
        outputs : sequence of str, optional
            Outputs to total; unset is the model's usual ones.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        **options
            ``horizon``, ``discount_rate``, ``margin`` and so on, as in ``score_frame``.

        Returns
        -------
        list of PortfolioTotal
            One per output: ``total``, ``standard_error``, ``lower``, ``upper``, ``row_count``, and
            ``independent_standard_error``, what the error would be if customers shared nothing.
        """
        table = self._table(data, columns)
        arguments = score_arguments(outputs or [], {**options, "interval": level})
        totals = self._raw.portfolio(self._columns(table), arguments)
        return [PortfolioTotal(*total) for total in totals]

    def summary(self, *, level: float = 0.95) -> ParameterTable:
        """Return estimates, standard errors, z values and confidence intervals.

        Parameters
        ----------
        level : float, default 0.95
            Confidence level, between 0 and 1.
        """
        if not 0 < level < 1:
            raise invalid(("level", f"is {level}: must be a number between 0 and 1"))
        return ParameterTable(self.title, self._facts(), self._rows(level), level)

    def _rows(self, level: float) -> list[Row]:
        raise NotImplementedError

    def _facts(self) -> dict[str, str]:
        return {"model": self._raw.kind, "fingerprint": self.fingerprint_[:12]}


class PortfolioTotal(NamedTuple):
    """A total over a portfolio with its interval."""

    output: str
    total: float
    standard_error: float
    independent_standard_error: float
    lower: float
    upper: float
    row_count: int


def score_columns(scores: Scores, reasons: ReasonArgs | None) -> dict[str, NDArray[Any]]:
    """Return outputs, reasons if they were asked for, and status as columns."""
    columns: dict[str, NDArray[Any]] = dict(scores["outputs"])
    if reasons is not None and scores["reasons"] is not None:
        columns |= reason_columns(scores["reasons"], reasons["count"])
    return {**columns, "status": status_names(scores["status"])}


def reason_arguments(
    k: int | None, *, only_actionable: bool = False, direction: str = "any", method: str = "exact"
) -> ReasonArgs | None:
    """Return which reasons to give as the engine takes it."""
    if k is None:
        return None
    if method not in {"exact", "approximate"}:
        raise invalid(("method", f'is {method!r}: must be "exact" or "approximate"'))
    return {
        "count": count("k", k),
        "only_actionable": bool(only_actionable),
        "direction": str(direction),
        "approximate": method == "approximate",
    }


def reason_columns(reasons: Reasons, k: int) -> dict[str, NDArray[Any]]:
    """Return reasons as columns: in words, name and contribution of each place."""
    columns: dict[str, NDArray[Any]] = {}
    for place in range(k):
        cells = [row[place] if place < len(row) else None for row in reasons["rows"]]
        texts = [None if cell is None else cell[2] for cell in cells]
        names = [None if cell is None else cell[0] for cell in cells]
        start = f"reason_{place + 1}"
        columns[start] = np.array(texts, dtype=object)
        columns[f"{start}_name"] = np.array(names, dtype=object)
        columns[f"{start}_contribution"] = np.array(
            [np.nan if cell is None else cell[1] for cell in cells], dtype=np.float64
        )
    return columns


def score_arguments(
    outputs: Sequence[str],
    options: Mapping[str, float | None],
    reasons: ReasonArgs | None = None,
) -> ScoreArgs:
    """Return the options of a call as the engine takes them."""
    for name in options:
        if name not in _OPTIONS:
            raise invalid((name, f"is unknown; known options: {', '.join(_OPTIONS)}"))
    return {
        "horizon": number("horizon", options.get("horizon")),
        "discount_rate": number("discount_rate", options.get("discount_rate")),
        "margin": number("margin", options.get("margin")),
        "purchases": number("purchases", options.get("purchases")),
        "quantile": number("quantile", options.get("quantile")),
        "cost_per_period": number("cost_per_period", options.get("cost_per_period")),
        "cost_per_order": number("cost_per_order", options.get("cost_per_order")),
        "interval": number("interval", options.get("interval")),
        "elapsed": number("elapsed", options.get("elapsed")),
        "outputs": list(outputs),
        "threads": int(options.get("threads") or 0),
        "reasons": reasons,
    }


def warn_rows(status: NDArray[np.uint8], issues: Sequence[str], *, stacklevel: int) -> None:
    """Warn once if rows have no score: how many, why, and the first in words."""
    if not issues:
        return
    counts = np.bincount(status, minlength=len(ROW_STATUS))
    bad = len(status) - int(counts[_OK])
    causes = ", ".join(
        f"{count} {name}"
        for name, count in zip(ROW_STATUS, counts.tolist(), strict=True)
        if count and name != "ok"
    )
    examples = "; ".join(issues[:_SHOWN_ISSUES])
    text = f"{bad} of {len(status)} rows have no score ({causes}): {examples}"
    warnings.warn(text, RowWarning, stacklevel=stacklevel)


def status_names(status: NDArray[np.uint8]) -> NDArray[np.str_]:
    """Return the name of each row's status: ``ok``, ``missing``, ``out_of_range`` and so on."""
    return _STATUS_NAMES[status]


def number(name: str, value: object) -> float | None:
    """Return a number or ``None``, or say which argument is neither."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise invalid((name, f"is {value!r}: must be a number"))
    return float(value)


def required_number(name: str, value: object) -> float:
    """Return a number, or say which argument is none."""
    given = number(name, value)
    if given is None:
        raise invalid((name, "is None: must be a number"))
    return given


def count(name: str, value: object) -> int:
    """Return a whole number, or say which argument is none."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, np.integer))
        or not 0 <= value < 2**32
    ):
        raise invalid((name, f"is {value!r}: must be a whole number >= 0"))
    return int(value)
