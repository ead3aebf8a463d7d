"""Weibull regression: lifetimes with a hazard that rises or falls as a power of tenure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from cvm.churn._survival import SurvivalModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cvm._frames import Frame, Numbers

_SHAPE = "baseline[ln shape]"
_OWN = 2


class WeibullChurn(SurvivalModel):
    """Weibull regression of how long customers stay: accelerated lifetimes, proportional hazards.

    The hazard is a power of tenure: with a shape above 1 customers leave more and more, below 1
    less and less, at 1 at a constant rate. A customer's columns multiply the hazard (``params_``)
    or, the same model told differently, stretch the lifetime (``log_time_ratios_``).

    Use it when two numbers describe the hazard well enough, when customers are few, or when the
    question lies beyond the data: the curve goes on by its law, not by a rule for the tail, and
    expected lifetimes and their intervals follow.

    Do not use it when hazards jump or turn (trials that end, contracts that renew): `HazardChurn`
    and `CoxChurn` leave the shape to the data. Compare its mean curve with `kaplan_meier` before
    trusting what it says of years nobody has seen.

    Parameters
    ----------
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
        Convergence: largest absolute gradient per row.
    on_not_converged : {"warn", "raise"}, default "warn"
        Whether a fit without an optimum is a `ConvergenceWarning` or a `NotConvergedError`.
    threads : int, default 0
        Threads of a fit; 0 means all. The numbers do not depend on it.

    Attributes
    ----------
    params_ : dict of str to float
        Logarithms of the scale (of the mean customer) and of the shape, and the log hazard ratio
        per unit of each design column.
    standard_errors_ : dict of str to float
        Of the parameters.
    covariance_ : numpy.ndarray
        Covariance of the parameters, in the order of ``params_``.
    log_likelihood_ : float
        Log-likelihood, without penalty.
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
    >>> model = WeibullChurn(numeric=[], categorical=inputs)
    >>> model = model.fit(telco[telco["tenure"] > 0], "tenure", "Churn", time_unit="month")
    >>> model.shape_ < 1, round(model.params_["Contract=Two year"], 2)
    (True, -3.48)
    """

    kind: ClassVar[str] = "churn.weibull"
    title: ClassVar[str] = "Weibull regression"

    def __init__(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        *,
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
        time_unit: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Self:
        """Fit the model by maximum likelihood.

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
            "event": event,
        }
        return self._fit_times(X, times, sample_weight, time_unit, columns)

    def _kind_settings(self) -> dict[str, Any]:
        return {}

    @property
    def shape_(self) -> float:
        """Shape of the hazard: above 1 it rises with tenure, below it falls."""
        return float(np.exp(self.params_[_SHAPE]))

    @property
    def scale_(self) -> float:
        """Time by which all but one in *e* (37 %) of customers at the mean have left."""
        return float(np.exp(self.params_["baseline[ln scale]"]))

    @property
    def log_time_ratios_(self) -> dict[str, float]:
        """Log of the factor by which a unit of each column stretches lifetimes."""
        names = list(self.params_)[_OWN:]
        return {name: -self.params_[name] / self.shape_ for name in names}

    @property
    def log_time_ratio_errors_(self) -> dict[str, float]:
        """Standard errors of ``log_time_ratios_``, from the covariance of all parameters."""
        names = list(self.params_)
        shape = names.index(_SHAPE)
        errors = {}
        for place, name in enumerate(names[_OWN:], start=_OWN):
            slope = np.zeros(len(names))
            slope[place] = -1.0 / self.shape_
            slope[shape] = -self.log_time_ratios_[name]
            errors[name] = float(np.sqrt(slope @ self.covariance_ @ slope))
        return errors
