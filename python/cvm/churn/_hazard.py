"""Discrete-time hazard of churn: the chance to leave, period by period of a customer's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from cvm.churn._survival import SurvivalModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Numbers


class HazardChurn(SurvivalModel):
    """Discrete-time hazard model: a retention curve for each customer.

    In every period of life a customer leaves with a chance that depends on the period (the
    baseline) and on the customer's columns. One fit answers every horizon: ``p(3 months)`` can
    never exceed ``p(6 months)``, as it can between two classifiers.

    Use it when customers renew, pay or are counted by period (month, week, contract), when many of
    them share the same durations, when hazards jump (trial ends, contract ends), or when columns
    change over time. Customers still here count for what they are: still here so far.

    Do not use it when times are exact and few coincide (`CoxChurn` loses nothing to rounding), when
    nobody says when customers leave (`cvm.clv`), or when columns hold what happened later than the
    period they stand in: total charges of a whole life predict its length perfectly and uselessly.

    Parameters
    ----------
    link : {"logit", "cloglog"}, default "logit"
        Coefficients are log odds ratios of leaving in a period, or log hazard ratios that do not
        depend on the length of a period.
    baseline : {"auto", "saturated", "spline", "constant"}, default "auto"
        Hazard over time: a number per period while each holds ``min_period_events`` events and a
        spline of log time beyond; a number for every period; a spline throughout; one number.
    baseline_knots : int, default 5
        Most knots of that spline, 3 to 7.
    min_period_events : float, default 20
        Events a period needs for a number of its own, and that the constant tail is measured on.
    period_length : float, default 1
        Length of a period in the unit of the durations. An event counts in the period that holds
        it; a customer last seen in the midst of a period counts up to its start.
    tail : {"constant", "zero"}, default "constant"
        After the last period of the data, the hazard stays at its mean over the last periods with
        ``min_period_events`` events together, or nobody leaves any more.
    penalty : float, default 1.0
        L2 penalty on the standardised coefficients; the baseline is not penalised.
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
        Convergence: largest absolute gradient per row.
    on_not_converged : {"warn", "raise"}, default "warn"
        Whether a fit without an optimum is a `ConvergenceWarning` or a `NotConvergedError`.
    threads : int, default 0
        Threads of a fit; 0 means all. The numbers do not depend on it.

    Attributes
    ----------
    params_ : dict of str to float
        Numbers of the baseline, on the link's scale for the mean customer, and coefficients per
        unit of each design column.
    standard_errors_ : dict of str to float
        Of the parameters.
    covariance_ : numpy.ndarray
        Covariance of the parameters, in the order of ``params_``.
    log_likelihood_ : float
        Log-likelihood, without penalty.
    converged_ : bool
        Whether the convergence test passed.
    fit_report_ : dict
        How the fit went; ``data`` holds the life table.
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
    >>> left_out = ["customerID", "TotalCharges"]
    >>> model = HazardChurn(ignore=left_out).fit(telco, "tenure", "Churn", time_unit="month")
    >>> model.predict_survival(telco.head(2), [0, 12, 24]).round(2)
    array([[1.  , 0.74, 0.61],
           [1.  , 0.95, 0.92]])
    """

    kind: ClassVar[str] = "churn.hazard"
    title: ClassVar[str] = "Discrete-time hazard"

    def __init__(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        *,
        link: str = "logit",
        baseline: str = "auto",
        baseline_knots: int = 5,
        min_period_events: float = 20.0,
        period_length: float = 1.0,
        tail: str = "constant",
        penalty: float = 1.0,
        l1_ratio: float = 0.0,
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
        self.link = link
        self.baseline = baseline
        self.baseline_knots = baseline_knots
        self.min_period_events = min_period_events
        self.period_length = period_length
        self.tail = tail
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

    def fit(  # noqa: PLR0913 - three layouts of time
        self,
        X: Frame,
        duration: str | ArrayLike | None = None,
        event: str | ArrayLike | None = None,
        sample_weight: str | Sequence[float] | Numbers | None = None,
        *,
        entry: str | ArrayLike | None = None,
        start: str | ArrayLike | None = None,
        stop: str | ArrayLike | None = None,
        period: str | ArrayLike | None = None,
        time_unit: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Self:
        """Fit the model by penalised maximum likelihood.

        Time is given in one of three layouts: ``duration`` (one row per customer), ``start`` and
        ``stop`` (one row per stretch of constant columns), or ``period`` (one row per customer and
        period at risk).

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
            Ends of the stretch ``(start, stop]`` a row covers.
        period : str or array, optional
            Number of the period a row covers; the first is 1.
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
            "period": period,
            "event": event,
        }
        return self._fit_times(X, times, sample_weight, time_unit, columns)

    def _kind_settings(self) -> dict[str, Any]:
        return {
            "link": self.link,
            "baseline": self.baseline,
            "baseline_knots": self.baseline_knots,
            "min_period_events": self.min_period_events,
            "period_length": self.period_length,
            "tail": self.tail,
        }
