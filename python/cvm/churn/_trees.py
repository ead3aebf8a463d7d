"""Tree ensembles of other libraries, scored as those libraries score them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cvm._base import reason_arguments
from cvm._frames import invalid
from cvm.churn._calibrate import CalibratedByRows
from cvm.churn._explain import ExplainedModel
from cvm.churn._two_class import two_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cvm._core import RawModel
    from cvm._frames import Frame, Numbers
    from cvm._summary import Row

_PROBABILITY = "_probability"
_UNCALIBRATED = "uncalibrated_probability"
_RAW = "raw_score"


class ImportedModel(ExplainedModel, CalibratedByRows):
    """A model that another library trained and `cvm.from_…` imported; it cannot be fitted."""

    _estimator_type: ClassVar[str] = "classifier"

    @property
    def imported_(self) -> dict[str, Any]:
        """Where the model came from: format, version, objective, rounds, trees."""
        return json.loads(self._raw.training_json).get("imported", {})

    @property
    def parity_(self) -> dict[str, Any] | None:
        """How the original library's scores were compared with; ``None`` if they were not."""
        return json.loads(self._raw.training_json).get("parity")

    @property
    def classes_(self) -> NDArray[np.int64]:
        """Numbers of the classes; class 1 of two is the one that means churn."""
        return np.arange(max(2, len(self._probabilities())))

    def _adopt(self, raw: RawModel) -> Self:
        super()._adopt(raw)
        names = self.output_names_
        self._raw_scores = [name for name in names if name.endswith(_RAW)]
        self._shares = [n for n in names if n.endswith(_PROBABILITY) and n != _UNCALIBRATED]
        return self

    def _probabilities(self) -> list[str]:
        if self._raw and not self._shares:
            why = f"has no probability: its outputs are {', '.join(self.output_names_)}"
            raise invalid(("model", why))
        return self._shares

    def predict_proba(
        self, X: Frame, *, columns: Sequence[str] | None = None, threads: int = 0
    ) -> Numbers:
        """Return the probability of every class, one row per customer.

        Parameters
        ----------
        X : table
            One row per customer.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Most threads; 0 means all. The numbers do not depend on it.

        Returns
        -------
        numpy.ndarray of shape (n, classes)
            NaN, with a `RowWarning`, where a row cannot be used.
        """
        shares = self._several(X, self._probabilities(), columns, threads=threads)
        return two_classes(shares[0]) if len(shares) == 1 else np.stack(shares, axis=1)

    def decision_function(
        self, X: Frame, *, columns: Sequence[str] | None = None, threads: int = 0
    ) -> Numbers:
        """Return raw scores: what the original library calls margin, raw score or log-odds."""
        if self._raw and not self._raw_scores:
            why = f"has no raw score: its outputs are {', '.join(self.output_names_)}"
            raise invalid(("model", why))
        scores = self._several(X, self._raw_scores, columns, threads=threads)
        return scores[0] if len(scores) == 1 else np.stack(scores, axis=1)

    def predict(
        self, X: Frame, *, threshold: float = 0.5, columns: Sequence[str] | None = None
    ) -> NDArray[Any]:
        """Return the class of each customer, or the predicted value of a model of a value.

        Parameters
        ----------
        X : table
            One row per customer.
        threshold : float, default 0.5
            With two classes, the probability of churn from which a customer is of class 1.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        if "prediction" in self.output_names_:
            return self._output(X, "prediction", columns)
        shares = self.predict_proba(X, columns=columns)
        if np.isnan(shares).any():
            bad = int(np.isnan(shares).any(axis=1).sum())
            raise invalid(("rows", f"have {bad} without a score; score_frame takes them"))
        if shares.shape[1] > len(("stay", "leave")):
            return shares.argmax(axis=1)
        return (shares[:, 1] >= threshold).astype(np.int64)

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
            Columns wanted, in order; by default all of ``output_names_``.
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

    def _rows(self, level: float) -> list[Row]:
        del level
        return []

    def _facts(self) -> dict[str, str]:
        facts = super()._facts()
        facts |= {name: str(value) for name, value in self.imported_.items()}
        parity = self.parity_
        if parity is None:
            facts["parity"] = "not compared with the original library"
        else:
            facts["parity"] = f"{parity['rows']} rows equal to {parity['library']}"
        return facts


class TreeEnsemble(ImportedModel):
    """An ensemble of trees that LightGBM, XGBoost, CatBoost or scikit-learn trained.

    Made by `cvm.from_lightgbm` and its kin, or read from a file. Raw scores are those of the
    original library in every bit.

    Attributes
    ----------
    imported_ : dict
        Where the model came from.
    parity_ : dict or None
        How it was compared with the original library.
    classes_ : numpy.ndarray
        Numbers of the classes.
    feature_names_in_ : numpy.ndarray of str
        Columns the model reads.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.
    """

    kind: ClassVar[str] = "churn.trees"
    title: ClassVar[str] = "Tree ensemble"

    def __init__(self) -> None:
        pass
