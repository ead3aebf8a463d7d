"""Cox proportional hazards: what makes customers leave sooner, whatever the shape of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from cvm.churn._survival import SurvivalModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Numbers


class CoxChurn(SurvivalModel):
    """Cox proportional hazards model of how long customers stay.

    A customer's columns multiply the hazard by the same factor at every tenure; the hazard over
    time itself is left free and read off the data as a curve in steps, kept in the model.

    Use it when times are fine (days), when the question is what drives churn (``exp`` of a
    coefficient is a hazard ratio) rather than its level, or when columns change over time
    (``start`` and ``stop``).

    Do not use it when effects fade or grow with tenure: look at ``proportional_hazards_`` after a
    fit. Nor when many customers share few durations or renew by period (`HazardChurn` models the
    period itself), nor to look beyond the data: after the end of follow-up the curve is the tail
    rule's, not an estimate.

    Parameters
    ----------
    ties : {"efron", "breslow"}, default "efron"
        How customers who left at the same time are told apart.
    tail : {"constant", "zero"}, default "constant"
        After the end of follow-up, the hazard stays at its mean over the last event times with
        ``min_tail_events`` events together, or nobody leaves any more.
    min_tail_events : float, default 20
        Events that the constant tail is measured on.
    strata : str, optional
        Column of groups that have a baseline each and the coefficients in common: for a column
        whose effect is not the same factor at every tenure. It gets no coefficient, and a group
        not seen in the fit is a row without a score.
    robust : bool, default False
        Sandwich standard errors (Lin and Wei), right even where the model is not.
    time_scale : {"km", "rank", "identity", "log"}, default "km"
        Scale of time of the test of proportional hazards.
    penalty : float, default 0.0
        L2 penalty on the standardised coefficients.
    l1_ratio : float, default 0.0
        Share of the penalty that is L1: with more than 0, coefficients that do not earn it are
        exactly 0.
    numeric, categorical, ignore, positive, numeric_basis, knots
        As in `LogisticChurn`.
    missing_numeric, missing_categorical, unseen, min_level_count, max_levels
        As in `LogisticChurn`.
    max_iter : int, default 200
        Most Newton steps.
    tol : float, default 1e-9
        Convergence: largest absolute gradient per event.
    on_not_converged : {"warn", "raise"}, default "warn"
        Whether a fit without an optimum is a `ConvergenceWarning` or a `NotConvergedError`.
    threads : int, default 0
        Threads of a fit; 0 means all. The numbers do not depend on it.

    Attributes
    ----------
    params_ : dict of str to float
        Log hazard ratio per unit of each design column.
    standard_errors_ : dict of str to float
        Of the coefficients; robust if asked for.
    covariance_ : numpy.ndarray
        Covariance of the coefficients, in the order of ``params_``.
    log_likelihood_ : float
        Partial log-likelihood, without penalty.
    converged_ : bool
        Whether the convergence test passed.
    fit_report_ : dict
        How the fit went.
    feature_names_in_ : numpy.ndarray of str
        Columns the model reads; the last is ``tenure``, the time a customer has already stayed.
    n_features_in_ : int
        Their number.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.

    Examples
    --------
    >>> from cvm.datasets import load_telco
    >>> telco = load_telco()
    >>> inputs = ["Contract", "PaymentMethod"]
    >>> model = CoxChurn(numeric=[], categorical=inputs).fit(telco, "tenure", "Churn")
    >>> round(model.params_["Contract=Two year"], 2), round(model.concordance_, 2)
    (-3.99, 0.81)
    """

    kind: ClassVar[str] = "churn.cox"
    title: ClassVar[str] = "Cox proportional hazards"

    def __init__(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        *,
        ties: str = "efron",
        tail: str = "constant",
        min_tail_events: float = 20.0,
        strata: str | None = None,
        robust: bool = False,
        time_scale: str = "km",
        penalty: float = 0.0,
        l1_ratio: float = 0.0,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        ignore: Sequence[str] | None = None,
        positive: str | float | None = None,
        numeric_basis: str = "linear",
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
        self.ties = ties
        self.tail = tail
        self.min_tail_events = min_tail_events
        self.strata = strata
        self.robust = robust
        self.time_scale = time_scale
        self.penalty = penalty
        self.l1_ratio = l1_ratio
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

    def fit(  # noqa: PLR0913 - two layouts of time
        self,
        X: Frame,
        duration: str | ArrayLike | None = None,
        event: str | ArrayLike | None = None,
        sample_weight: str | Sequence[float] | Numbers | None = None,
        *,
        entry: str | ArrayLike | None = None,
        start: str | ArrayLike | None = None,
        stop: str | ArrayLike | None = None,
        customer: str | ArrayLike | None = None,
        time_unit: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Self:
        """Fit the model by maximum partial likelihood.

        Parameters
        ----------
        X : table
            The rows; columns of time, event and weight are no inputs.
        duration : str or array, optional
            Time from the start of the relation to its end or to the last look.
        event : str or array
            Who left at the end of the row's time: booleans, 0 and 1, or two texts.
        sample_weight : str or array, optional
            Weight of each row.
        entry : str or array, optional
            Time already survived when the customer came under observation (left truncation).
        start, stop : str or array, optional
            Ends of the stretch ``(start, stop]`` a row covers, in place of ``duration``.
        customer : str or array, optional
            The customer of each row, for robust errors when customers have several rows.
        time_unit : str, optional
            Unit of the time columns, such as ``"month"``: needed to discount.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

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
        times = {
            "duration": duration,
            "entry": entry,
            "start": start,
            "stop": stop,
            "id": customer,
            "event": event,
        }
        return self._fit_times(X, times, sample_weight, time_unit, columns)

    def _kind_settings(self) -> dict[str, Any]:
        strata = {} if self.strata is None else {"strata": self.strata}
        return strata | {
            "ties": self.ties,
            "tail": self.tail,
            "min_tail_events": self.min_tail_events,
            "robust": self.robust,
            "time_scale": self.time_scale,
        }

    @property
    def concordance_(self) -> float:
        """Harrell's concordance of the training rows: one half is chance."""
        return self.fit_report_["data"]["concordance"]

    @property
    def proportional_hazards_(self) -> list[dict[str, Any]]:
        """Score tests of proportional hazards, by column and global; empty with a penalty.

        A small ``p_value`` says that the column's effect changes with tenure.
        """
        found = self.fit_report_["data"]["proportional_hazards"]
        return [] if found is None else found["tests"]
