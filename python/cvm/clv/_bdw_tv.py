"""BdW with time-varying covariates: chances to leave that follow price, season and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cvm._frames import invalid
from cvm.clv._contract import ContractModel
from cvm.clv._paths import CovariatePathModel

if TYPE_CHECKING:
    from cvm._frames import Numbers


class BdwTv(CovariatePathModel, ContractModel):
    """Beta-discrete-Weibull model of renewal with covariates that change with time.

    A customer survives to ``t`` with probability ``(1 - theta) ** D(t)``, ``theta ~ Beta(alpha,
    beta)``. The clock ``D`` is ``t ** c`` as in `Bdw`, but runs at the speed ``exp(gamma'z)`` of
    the covariates in force: with ``c = 1``, the chance to stay at renewal ``k`` is
    ``(1 - theta) ** exp(gamma'z_k)``. Sources: Fader, Hardie, Liu, Davin & Steenburgh (2018),
    *Journal of Interactive Marketing* 43; Prentice & Gloeckler (1978), *Biometrics* 34(1).

    Use it when the price, the season or an event moved renewals, and when it will again: forecasts
    need the covariates up to the end of the horizon. ``bounds={"c": (1, 1)}`` makes it the sBG with
    covariates. Do not use it with covariates that are constant per customer only (`Bdw` and `Sbg`
    take those), or where all customers started at the same time and a covariate is the same for
    all: it then cannot be told from the duration dependence ``c``.

    Rows carry their path in numbered columns, which `covariate_path_columns` (with
    ``age="tenure"``) makes of a long table; time counts from the start of the contract. A row whose
    path ends before the horizon has status ``not_covered``.

    Parameters
    ----------
    contract_covariates : sequence of str, default ()
        Covariates of the speed at which customers leave, by name.
    penalty, covariate_l1, covariate_l2, priors, bounds, max_iter, tol, on_not_converged, threads
        As in `BgNbd`.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``alpha``, ``beta``, ``c``, and coefficients such as ``contract.price``.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    >>> from cvm.clv import covariate_path_columns
    >>> model = BdwTv.from_params({"alpha": 0.8, "beta": 3.0, "c": 1.3, "contract.price": 0.7})
    >>> customers = {"id": ["a", "b"], "tenure": [7, 7]}
    >>> price = {"id": ["a", "a", "b"], "start": [0, 7, 0], "end": [7, 12, 12],
    ...          "price": [0.0, 1.0, 0.0]}
    >>> rows = covariate_path_columns(customers, price, ["price"], customer_id="id", age="tenure")
    >>> model.predict(rows, horizon=4).round(3).tolist()
    [0.488, 0.33]
    """

    kind: ClassVar[str] = "clv.bdw_tv"
    title: ClassVar[str] = "BdW with time-varying covariates"

    def survival_curve(self, periods: int) -> Numbers:
        """Return the share of a new cohort that makes 0, 1, … ``periods`` renewals.

        Parameters
        ----------
        periods : int
            Renewals ahead.
        """
        if len(self._inputs()) > 1:
            why = "depends on covariates: use p_retained on rows with their paths"
            raise invalid(("survival_curve", why))
        return super().survival_curve(periods)
