"""Logistic regression of churn, with the encoding of its columns inside the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cvm._base import reason_arguments
from cvm._fitted import with_weight
from cvm._frames import as_table, from_numpy, invalid
from cvm._summary import ParameterTable, Row
from cvm.churn._calibrate import CalibratedByRows
from cvm.churn._explain import ExplainedModel
from cvm.churn._two_class import TwoClassChurn, classes, plain, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Numbers, Table

_INTERCEPT = "intercept"


class LogisticChurn(TwoClassChurn, ExplainedModel, CalibratedByRows):
    """Logistic regression of churn on numeric and categorical columns.

    The model learns and keeps its encoding: which levels a category has and in which order, what
    stands in for a missing value, what an unseen level means, where the knots of a spline lie. A
    table is scored as it comes, with columns in any order.

    Parameters
    ----------
    penalty : float, default 1.0
        Penalty on the standardised coefficients, ``1 / C`` of scikit-learn. The intercept is not
        penalised.
    l1_ratio : float, default 0.0
        Share of the penalty that is L1: with more than 0, coefficients that do not earn it are
        exactly 0.
    choose_penalty : {"best", "one_standard_error"}, optional
        Choose the penalty by cross-validated log-loss on a path, in place of ``penalty``: the best
        one, or the largest within one standard error of it.
    folds : int, default 5
        Folds of that choice.
    seed : int, default 0
        Seed of the folds.
    numeric : sequence of str, optional
        Numeric inputs; by default every column of numbers.
    categorical : sequence of str, optional
        Categorical inputs, of text or numbers; by default every column of text.
    ignore : sequence of str, optional
        Columns that are no inputs, such as a customer id.
    positive : str, number or bool, optional
        The label that means churn; by default 1, ``True``, or the text that reads ``yes``,
        ``true`` or ``1``.
    numeric_basis : {"spline", "linear"}, default "spline"
        How numbers enter: a natural cubic spline, or one coefficient per unit.
    knots : int, default 5
        Knots of a spline, 3 to 7, at training quantiles.
    missing_numeric : {"impute", "reject"}, default "impute"
        A missing number takes the training mean (with an effect of its own if values were missing
        in training), or is refused.
    missing_categorical : {"auto", "impute", "own_level", "reject"}, default "auto"
        A missing category is a level of its own if values were missing in training, else the most
        frequent level; or one of these always; or is refused.
    unseen : {"reference", "as_missing", "reject"}, default "reference"
        What a level not seen in training means.
    min_level_count : float, default 0.0
        Levels with less than this total weight share one coefficient.
    max_levels : int, default 255
        Most levels of one category; more is an error, because it is probably an identifier.
    max_iter : int, default 200
        Most Newton steps.
    tol : float, default 1e-9
        Convergence: largest absolute gradient per customer.
    on_not_converged : {"warn", "raise"}, default "warn"
        Whether a fit without an optimum is a `ConvergenceWarning` or a `NotConvergedError`.
    threads : int, default 0
        Threads of a fit; 0 means all. The numbers do not depend on it.

    Attributes
    ----------
    classes_ : numpy.ndarray of shape (2,)
        The label of customers who stay, and the label that means churn.
    params_ : dict of str to float
        Intercept and coefficients, per unit of each design column.
    standard_errors_ : dict of str to float
        Of the coefficients; NaN for a column left out because others determine it.
    covariance_ : numpy.ndarray
        Covariance of the coefficients, in the order of ``params_``.
    log_likelihood_ : float
        Log-likelihood, without penalty.
    converged_ : bool
        Whether the convergence test passed.
    fit_report_ : dict
        How the fit went; with ``choose_penalty`` its ``data`` holds ``penalty_path``.
    feature_names_in_ : numpy.ndarray of str
        Columns the model reads.
    n_features_in_ : int
        Their number.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.

    Examples
    --------
    >>> from cvm.datasets import load_telco
    >>> from cvm.metrics import auc
    >>> telco = load_telco()
    >>> model = LogisticChurn(ignore=["customerID"]).fit(telco, "Churn")
    >>> print(model.classes_)
    ['No' 'Yes']
    >>> probability = model.predict_proba(telco)[:, 1]
    >>> round(auc(telco["Churn"] == "Yes", probability), 2)
    0.85
    """

    kind: ClassVar[str] = "churn.logistic"
    title: ClassVar[str] = "Logistic regression"
    _estimator_type: ClassVar[str] = "classifier"

    def __init__(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        *,
        penalty: float = 1.0,
        l1_ratio: float = 0.0,
        choose_penalty: str | None = None,
        folds: int = 5,
        seed: int = 0,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        ignore: Sequence[str] | None = None,
        positive: str | float | None = None,
        numeric_basis: str = "spline",
        knots: int = 5,
        missing_numeric: str = "impute",
        missing_categorical: str = "auto",
        unseen: str = "reference",
        min_level_count: float = 0.0,
        max_levels: int = 255,
        max_iter: int = 200,
        tol: float = 1e-9,
        on_not_converged: str = "warn",
        threads: int = 0,
    ) -> None:
        self.penalty = penalty
        self.l1_ratio = l1_ratio
        self.choose_penalty = choose_penalty
        self.folds = folds
        self.seed = seed
        self.numeric = numeric
        self.categorical = categorical
        self.ignore = ignore
        self.positive = positive
        self.numeric_basis = numeric_basis
        self.knots = knots
        self.missing_numeric = missing_numeric
        self.missing_categorical = missing_categorical
        self.unseen = unseen
        self.min_level_count = min_level_count
        self.max_levels = max_levels
        self.max_iter = max_iter
        self.tol = tol
        self.on_not_converged = on_not_converged
        self.threads = threads

    def fit(
        self,
        X: Frame,
        y: str | ArrayLike,
        sample_weight: str | Sequence[float] | Numbers | None = None,
        *,
        offset: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Self:
        """Fit the model by penalised maximum likelihood.

        Parameters
        ----------
        X : table
            One row per customer.
        y : str or array
            Who churned: a column of ``X``, or an array of booleans, 0 and 1, or two texts.
        sample_weight : str or array, optional
            Weight of each row, as a column of ``X`` or an array.
        offset : str, optional
            Column added to the logit as it is, in the fit and in every score.
        columns : sequence of str, optional
            Names of the columns of a 2-D array; by default ``x0``, ``x1`` …

        Returns
        -------
        Self
            The model, fitted.

        Raises
        ------
        InvalidInputError
            If a column, a label or a setting cannot be used.
        NotConvergedError
            If no optimum was reached and ``on_not_converged`` is ``"raise"``.
        """
        table = as_table(X, columns)
        target, labels = target_of(table, y)
        weight_name = sample_weight if isinstance(sample_weight, str) else None
        names = self._input_names(table, {target, weight_name, offset})
        inputs = table.columns([*names, *([] if offset is None else [offset])])
        inputs, weight_column = with_weight(inputs, table, sample_weight)
        inputs.append((target, from_numpy(target, labels)))
        self._fit(inputs, weight_column=weight_column, settings=self._settings(target, offset))
        self.classes_ = classes(labels, self._positive_label())
        return self

    def _input_names(self, table: Table, others: set[str | None]) -> list[str]:
        if self.numeric is not None and self.categorical is not None:
            return [*self.numeric, *self.categorical]
        ignored = set(self.ignore or ())
        absent = sorted(ignored - set(table.names))
        if absent:
            raise invalid(("ignore", f"names {absent}, which the data does not have"))
        skipped = others | ignored
        return [name for name in table.names if name not in skipped]

    def _settings(self, target: str, offset: str | None) -> dict[str, Any]:
        chosen = self.choose_penalty
        path = {"rule": chosen, "folds": self.folds, "seed": self.seed}
        settings = {
            "target": target,
            "offset": offset,
            "l1_ratio": self.l1_ratio,
            "path": None if chosen is None else path,
            "positive": plain(self.positive),
            "numeric": None if self.numeric is None else list(self.numeric),
            "categorical": None if self.categorical is None else list(self.categorical),
            "numeric_basis": self.numeric_basis,
            "knots": self.knots,
            "missing_numeric": self.missing_numeric,
            "missing_categorical": self.missing_categorical,
            "unseen": self.unseen,
            "min_level_count": self.min_level_count,
            "max_levels": self.max_levels,
        }
        return {name: value for name, value in settings.items() if value is not None}

    @property
    def parity_(self) -> dict[str, Any] | None:
        """How an imported model was compared with its original; ``None`` for one fitted here."""
        return json.loads(self._raw.training_json).get("parity")

    def score_frame(
        self,
        X: Frame,
        *,
        outputs: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        reasons: int | None = None,
        only_actionable: bool = False,
        threads: int = 0,
    ) -> Frame:
        """Return scores and row statuses as a table of the kind given.

        Parameters
        ----------
        X : table
            One row per customer.
        outputs : sequence of str, optional
            Columns wanted, in order: ``churn_probability``, ``logit``.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        reasons : int, optional
            Reasons to give beside each row's scores, as `reasons` does.
        only_actionable : bool, default False
            Only reasons that the feature dictionary does not call out of reach.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.
        """
        asked = reason_arguments(reasons, only_actionable=only_actionable)
        return self._score_frame(X, outputs, columns, asked, threads=threads)

    @property
    def intercept_(self) -> Numbers:
        """The intercept, as scikit-learn shapes it: ``(1,)``."""
        return np.array([self.params_[_INTERCEPT]])

    @property
    def coef_(self) -> Numbers:
        """Coefficients of the design columns, as scikit-learn shapes them: ``(1, n)``."""
        values = [value for name, value in self.params_.items() if name != _INTERCEPT]
        return np.array([values])

    def coef_table(self, *, standardised: bool = False, level: float = 0.95) -> ParameterTable:
        """Return the coefficients with standard errors, z values and intervals.

        Parameters
        ----------
        standardised : bool, default False
            Per standard deviation of each design column in place of per unit; the intercept is then
            left out.
        level : float, default 0.95
            Confidence level, between 0 and 1.
        """
        table = self.summary(level=level)
        if not standardised:
            return table
        stored = self._raw.array("scales")
        scales = {} if stored is None else dict(zip(self._design_names(), stored[1], strict=True))
        rows = [
            Row.of(
                row.parameter,
                row.estimate * scale,
                row.standard_error * scale,
                positive=False,
                level=level,
            )
            for row in table
            if (scale := scales.get(row.parameter)) is not None
        ]
        return ParameterTable(f"{self.title}, per standard deviation", table.facts, rows, level)

    def _design_names(self) -> list[str]:
        return [name for name in self.params_ if name != _INTERCEPT]
