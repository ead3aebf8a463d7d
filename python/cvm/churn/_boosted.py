"""Gradient-boosted trees of our own for churn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cvm._base import reason_arguments
from cvm._core import fit_watched
from cvm._fitted import with_weight
from cvm._frames import as_table, from_numpy, invalid
from cvm._progress import callback
from cvm.churn._calibrate import CalibratedByRows
from cvm.churn._explain import ExplainedModel
from cvm.churn._two_class import TwoClassChurn, classes, plain, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Input, Numbers, Table
    from cvm.churn._shapes import Shapes

_HOLDOUT = {"validation": "cvm validation", "group": "cvm group", "time": "cvm time"}


class BoostedChurn(TwoClassChurn, ExplainedModel, CalibratedByRows):
    """Gradient-boosted trees for churn, grown and scored by this library.

    Takes numbers and categories as they come, missing values included. By default trees are
    *oblivious*: all leaves of a level ask the same question, which fits small data well and scores
    about ten times faster than other trees.

    Use it when effects interact or bend sharply. With few hundred customers, or where every
    coefficient has to be defended, `LogisticChurn` is the better start; with
    ``interaction_order=1`` the trees are additive and every effect can be drawn exactly.

    Parameters
    ----------
    rounds : int, default 500
        Most trees.
    learning_rate : float, optional
        Share of each Newton step that is taken, above 0 and at most 1; by default 0.1 up to 10 000
        rows, then growing with the root of their number to 0.2.
    grow : {"oblivious", "leafwise"}, default "oblivious"
        How trees grow.
    depth : int, default 6
        Deepest leaf.
    max_leaves : int, default 31
        Most leaves of a leaf-wise tree.
    interaction_order : int, optional
        Most distinct columns a tree may ask about: 1 makes the model additive, 2 adds pairs.
    penalty : float, default 4.0
        L2 penalty on leaf values, where every customer is as likely to leave as to stay.
    penalty_fall : float, default 1.5
        How fast the penalty falls as trees learn: it is ``penalty (4 m) ** penalty_fall`` at a mean
        of ``m = p (1 - p)``. 0 keeps it as it is.
    even_curvature : float, optional
        Share of that mean in place of each customer's own ``p (1 - p)`` where splits are chosen: of
        few customers, those thought certain may just be learnt by heart. By default 1 for oblivious
        trees on up to 5 000 rows, then falling with the fourth power of their number; 0 for
        leaf-wise ones.
    min_child_weight : float, default 0.05
        Least summed curvature ``w p (1 - p)`` on each side of a split.
    min_gain : float, optional
        Least gain of a split per leaf it is asked of, in units of twice the log-likelihood; a fit
        ends when no split is worth it, so ``rounds`` is only the most there will be. By default
        0.7 up to 10 000 rows, then falling with the fourth root of their number to 0.4.
    max_bins : int, default 127
        Most bins of a number, besides the one of missing values.
    category_smoothing : float, default 10.0
        Pulls small levels to the middle when levels are ordered for a split.
    level_gain : float, default 0.64
        Gain taken off a category's split for each level beyond the twelfth, in units of
        ``min_gain``: 0.64 is what levels of noise gain from being put in order.
    row_sample, field_sample : float, default 1.0
        Share of rows and of columns each tree sees.
    monotone : mapping of str to int, optional
        Direction of a numeric column's effect on churn: 1 up, -1 down.
    class_weight : float or "balanced", optional
        What a churner weighs in training next to a customer who stays. Scores are corrected for
        it: the log of the weight is taken off the logit, so probabilities stay those of the
        customers as they are.
    early_stopping_rounds : int, default 0
        Stop after this many rounds without a better loss of the customers held out; 0 never does.
    validation_fraction : float, default 0.1
        Share of customers held out, if `fit` is not told whom.
    refit : bool, default False
        After early stopping, fit again on all customers with the number of trees found.
    numeric, categorical, ignore, positive, max_levels
        As in `LogisticChurn`.
    unseen : {"missing", "reject"}, default "missing"
        What a level not seen in training means.
    seed : int, default 0
        Seed of all draws.
    threads : int, default 0
        Threads of a fit; 0 means all. The numbers do not depend on it.

    Attributes
    ----------
    classes_ : numpy.ndarray of shape (2,)
        The label of customers who stay, and the label that means churn.
    n_trees_ : int
        Trees kept.
    feature_importances_ : numpy.ndarray
        Share of the summed gain by column.
    held_out_loss_ : numpy.ndarray
        Log-loss of the customers held out after every round; empty without early stopping.
    shape_functions_ : Shapes
        Effects of columns and of pairs, for models of ``interaction_order`` 1 or 2.
    fit_report_ : dict
        How the fit went.
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
    >>> model = BoostedChurn(ignore=["customerID"], rounds=50).fit(telco, "Churn")
    >>> probability = model.predict_proba(telco)[:, 1]
    >>> bool(auc(telco["Churn"] == "Yes", probability) > 0.84)
    True
    """

    kind: ClassVar[str] = "churn.boosted"
    title: ClassVar[str] = "Boosted trees"
    _estimator_type: ClassVar[str] = "classifier"

    def __init__(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        *,
        rounds: int = 500,
        learning_rate: float | None = None,
        grow: str = "oblivious",
        depth: int = 6,
        max_leaves: int = 31,
        interaction_order: int | None = None,
        penalty: float = 4.0,
        penalty_fall: float = 1.5,
        even_curvature: float | None = None,
        min_child_weight: float = 0.05,
        min_gain: float | None = None,
        max_bins: int = 127,
        category_smoothing: float = 10.0,
        level_gain: float = 0.64,
        row_sample: float = 1.0,
        field_sample: float = 1.0,
        monotone: Mapping[str, int] | None = None,
        class_weight: float | str | None = None,
        early_stopping_rounds: int = 0,
        validation_fraction: float = 0.1,
        refit: bool = False,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        ignore: Sequence[str] | None = None,
        positive: str | float | None = None,
        max_levels: int = 255,
        unseen: str = "missing",
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.grow = grow
        self.depth = depth
        self.max_leaves = max_leaves
        self.interaction_order = interaction_order
        self.penalty = penalty
        self.penalty_fall = penalty_fall
        self.even_curvature = even_curvature
        self.min_child_weight = min_child_weight
        self.min_gain = min_gain
        self.max_bins = max_bins
        self.category_smoothing = category_smoothing
        self.level_gain = level_gain
        self.row_sample = row_sample
        self.field_sample = field_sample
        self.monotone = monotone
        self.class_weight = class_weight
        self.early_stopping_rounds = early_stopping_rounds
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.numeric = numeric
        self.categorical = categorical
        self.ignore = ignore
        self.positive = positive
        self.max_levels = max_levels
        self.unseen = unseen
        self.seed = seed
        self.threads = threads

    # What the shared fitting code asks for and boosting has no use of.
    max_iter: int = 1
    tol: float = 1.0
    on_not_converged: str = "raise"

    def fit(
        self,
        X: Frame,
        y: str | ArrayLike,
        sample_weight: str | Sequence[float] | Numbers | None = None,
        *,
        validation: str | ArrayLike | None = None,
        groups: str | ArrayLike | None = None,
        time: str | ArrayLike | None = None,
        columns: Sequence[str] | None = None,
        progress: bool | Callable[[int, int], object] = True,
    ) -> Self:
        """Grow the trees; Ctrl-C stops.

        Parameters
        ----------
        X : table
            One row per customer.
        y : str or array
            Who churned: a column of ``X``, or an array of booleans, 0 and 1, or two texts.
        sample_weight : str or array, optional
            Weight of each row, as a column of ``X`` or an array.
        validation : str or array, optional
            Which customers are held out for early stopping, as 0 and 1 or booleans.
        groups : str or array, optional
            Customers of one group are held out together.
        time : str or array, optional
            The last customers by this number are held out.
        columns : sequence of str, optional
            Names of the columns of a 2-D array; by default ``x0``, ``x1`` …
        progress : bool or callable, default True
            Draw a bar on standard error while somebody waits, or call ``progress(done, total)``
            after every tree.

        Returns
        -------
        Self
            The model, fitted.

        Raises
        ------
        InvalidInputError
            If a column, a label or a setting cannot be used.
        """
        table = as_table(X, columns)
        target, labels = target_of(table, y)
        weight_name = sample_weight if isinstance(sample_weight, str) else None
        holdout = {"validation": validation, "group": groups, "time": time}
        named = {name for name in holdout.values() if isinstance(name, str)}
        skipped = {target, weight_name, *named, *(self.ignore or ())}
        self._check_ignored(table)
        inputs = table.columns([name for name in table.names if name not in skipped])
        inputs, weight_column = with_weight(inputs, table, sample_weight)
        settings = self._settings(target)
        for role, given in holdout.items():
            if given is not None:
                settings[role] = _add(inputs, table, role, given)
        inputs.append((target, from_numpy(target, labels)))
        arguments = self._fit_arguments(None, weight_column, settings)
        tell, close = callback(progress, "growing trees")
        try:
            self._adopt(fit_watched(self.kind, inputs, arguments, tell))
        finally:
            close()
        self._warn_fit()
        self.classes_ = classes(labels, self._positive_label())
        return self

    def _check_ignored(self, table: Table) -> None:
        absent = sorted(set(self.ignore or ()) - set(table.names))
        if absent:
            raise invalid(("ignore", f"names {absent}, which the data does not have"))

    def _settings(self, target: str) -> dict[str, Any]:
        settings = {
            "target": target,
            "positive": plain(self.positive),
            "numeric": None if self.numeric is None else list(self.numeric),
            "categorical": None if self.categorical is None else list(self.categorical),
            "max_levels": self.max_levels,
            "unseen": self.unseen,
            "rounds": self.rounds,
            "learning_rate": self.learning_rate,
            "grow": self.grow,
            "depth": self.depth,
            "max_leaves": self.max_leaves,
            "interaction_order": self.interaction_order,
            "l2_fall": self.penalty_fall,
            "even_curvature": self.even_curvature,
            "min_child_weight": self.min_child_weight,
            "min_gain": self.min_gain,
            "max_bins": self.max_bins,
            "category_smoothing": self.category_smoothing,
            "level_gain": self.level_gain,
            "row_sample": self.row_sample,
            "field_sample": self.field_sample,
            "monotone": None if self.monotone is None else dict(self.monotone),
            "class_weight": plain(self.class_weight),
            "early_stopping_rounds": self.early_stopping_rounds,
            "validation_fraction": self.validation_fraction,
            "refit": self.refit,
            "seed": self.seed,
        }
        return {name: value for name, value in settings.items() if value is not None}

    @property
    def n_trees_(self) -> int:
        """Trees kept."""
        return int(self.fit_report_["data"]["tree_count"])

    @property
    def feature_importances_(self) -> Numbers:
        """Share of the summed gain by column, in the order of ``feature_names_in_``."""
        gains = self._array("fit.gains")
        total = gains.sum()
        return gains / total if total > 0 else gains

    @property
    def held_out_loss_(self) -> Numbers:
        """Log-loss of the customers held out after every round; empty without early stopping."""
        return self._array("fit.held_out_loss")

    def _array(self, name: str) -> Numbers:
        stored = self._raw.array(name)
        return np.array([]) if stored is None else stored[1]

    @property
    def shape_functions_(self) -> Shapes:
        """Effects of single columns and of pairs; they add up to the logit.

        Raises
        ------
        InvalidInputError
            If a tree asks about three columns or more: fit with ``interaction_order=1`` or 2.
        """
        # Loaded when first used: `import cvm` is to be quick.
        from cvm.churn._shapes import shapes  # noqa: PLC0415

        return shapes(self._raw)

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

    def _facts(self) -> dict[str, str]:
        facts = super()._facts()
        data = self.fit_report_.get("data", {})
        facts["base rate"] = f"{data['base_rate']:.4f}"
        if data.get("held_out_loss") is not None:
            facts["held-out log-loss"] = f"{data['held_out_loss']:.4f}"
        return facts


def _add(inputs: list[tuple[str, Input]], table: Table, role: str, given: str | ArrayLike) -> str:
    """Add the column that says which customers are held out, and return its name."""
    if isinstance(given, str):
        inputs.extend(table.columns([given]))
        return given
    values = np.asarray(given)
    if values.dtype == bool:
        values = values.astype(np.float64)
    name = _HOLDOUT[role]
    inputs.append((name, from_numpy(role, values)))
    return name
