"""Means of calibrated classifiers: scikit-learn's ``CalibratedClassifierCV``."""

from __future__ import annotations

from typing import ClassVar

from cvm.churn._trees import ImportedModel


class CalibratedMean(ImportedModel):
    """A mean of calibrated classifiers, as scikit-learn's ``CalibratedClassifierCV`` predicts it.

    Made by `cvm.from_sklearn`, or read from a file: one model for each fold, or one in all, each
    with the sigmoid or the isotonic curve that turns its scores into probabilities. It has a
    probability and no raw score, hence no attributions: ask the members for reasons before they
    are averaged.

    Attributes
    ----------
    imported_ : dict
        Where the model came from: library, number of members, how they are calibrated.
    parity_ : dict or None
        How it was compared with the original library.
    classes_ : numpy.ndarray
        Numbers of the classes.
    feature_names_in_ : numpy.ndarray of str
        Columns the model reads.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.
    """

    kind: ClassVar[str] = "churn.calibrated"
    title: ClassVar[str] = "Mean of calibrated classifiers"

    def __init__(self) -> None:
        pass
