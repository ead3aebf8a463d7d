"""What models of who leaves and who stays share: labels, probabilities, predictions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cvm._fitted import FittedModel
from cvm._frames import as_table, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cvm._core import RawModel
    from cvm._frames import Frame, Numbers, Table


class TwoClassChurn(FittedModel):
    """A fitted model with outputs ``churn_probability`` and ``logit``, and two labels."""

    def _positive_label(self) -> str:
        return json.loads(self._raw.settings_json)["positive"]

    def _adopt(self, raw: RawModel) -> Self:
        super()._adopt(raw)
        # A file names the label of churn; the other one is only known where the model was fitted.
        label = self._positive_label()
        self.classes_: NDArray[Any] = (
            np.array([0, 1]) if label == "1" else np.array([f"not {label}", label])
        )
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "classes": getattr(self, "classes_", None)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if state["classes"] is not None:
            self.classes_ = state["classes"]

    def predict_proba(self, X: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the probabilities of both classes, one row per customer.

        Parameters
        ----------
        X : table
            One row per customer.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray of shape (n, 2)
            In the order of ``classes_``: the second column is the probability of churn. NaN, with a
            `RowWarning`, where a row cannot be used.
        """
        churn = self._output(X, "churn_probability", columns)
        return two_classes(churn)

    def decision_function(self, X: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the logit of the probability of churn."""
        return self._output(X, "logit", columns)

    def predict(
        self, X: Frame, *, threshold: float = 0.5, columns: Sequence[str] | None = None
    ) -> NDArray[Any]:
        """Return the class of each customer: churn where its probability reaches the threshold.

        Raises
        ------
        InvalidInputError
            If any row cannot be used: a label cannot say "unknown", a score can.
        """
        table, scores, status, issues = self._scores(X, ["churn_probability"], columns)
        churn = scores["churn_probability"]
        bad = int(np.isnan(churn).sum())
        if bad:
            why = f"have {bad} rows without a score, such as {issues[0]}; score_frame takes them"
            raise invalid((f"rows ({len(status)} of {table.row_count})", why))
        return self.classes_[(churn >= threshold).astype(np.intp)]

    def score(self, X: Frame, y: str | ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of customers whose class is predicted right."""
        _, labels = target_of(as_table(X), y)
        right = (self.predict(X) == labels).astype(np.float64)
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self) -> Any:
        """Describe the model to scikit-learn, which is only imported if it asks."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags  # noqa: PLC0415

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True, multi_output=False),
            classifier_tags=ClassifierTags(multi_class=False),
            input_tags=InputTags(categorical=True, string=True, allow_nan=True),
        )


def two_classes(churn: Numbers) -> Numbers:
    """Return the probabilities of staying and of churn side by side."""
    both = np.empty((len(churn), 2))
    np.subtract(1.0, churn, out=both[:, 0])
    both[:, 1] = churn
    return both


def target_of(table: Table, y: str | ArrayLike) -> tuple[str, NDArray[Any]]:
    """Return a name that is no input's, and the labels."""
    if isinstance(y, str):
        if y not in table.names:
            given = ", ".join(table.names[:40])
            raise invalid((f"columns.{y}", f"is missing: the target; the data has [{given}]"))
        return y, _labels(y, table.values(y))
    name = getattr(y, "name", None)
    if not isinstance(name, str) or name in table.names:
        name = "target"
    while name in table.names:
        name += "_"
    labels = _labels(name, y)
    if len(labels) != table.row_count:
        raise invalid(("y", f"has {len(labels)} rows, X has {table.row_count}"))
    return name, labels


def _labels(name: str, values: Any) -> NDArray[Any]:
    labels = np.asarray(values)
    if labels.ndim != 1:
        raise invalid((name, f"has {labels.ndim} dimensions, expected 1"))
    return labels


def classes(labels: NDArray[Any], positive: str) -> NDArray[Any]:
    """Return the two labels as given, the one that means churn last."""
    distinct = np.unique(labels)
    first = str(distinct[0])
    means_churn = first == positive or (labels.dtype.kind in "fiub" and float(distinct[0]) == 1)
    return distinct[::-1] if means_churn and len(distinct) > 1 else distinct


def plain(label: object) -> Any:
    return label.item() if isinstance(label, np.generic) else label
