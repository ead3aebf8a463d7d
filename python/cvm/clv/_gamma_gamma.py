"""Gamma-Gamma: what a purchase is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from cvm.clv._parametric import ParametricModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cvm._frames import Frame, Numbers


class SpendModel(ParametricModel):
    """A model of the value of a purchase.

    Reads the columns ``frequency`` (repeat purchases) and ``monetary_value`` (their mean value).
    """

    fit_columns = ("frequency", "monetary_value")

    def __init__(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        *,
        penalty: float = 0.0,
        spend_covariates: Sequence[str] = (),
        policy: Literal["repeat", "all"] = "repeat",
        zero_amounts: Literal["refuse", "exclude"] = "refuse",
        covariate_l1: float = 0.0,
        covariate_l2: float = 0.0,
        priors: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        max_iter: int = 200,
        tol: float = 1e-9,
        on_not_converged: str = "warn",
        threads: int = 0,
    ) -> None:
        super().__init__(
            penalty=penalty,
            priors=priors,
            bounds=bounds,
            max_iter=max_iter,
            tol=tol,
            on_not_converged=on_not_converged,
            threads=threads,
        )
        self.spend_covariates = spend_covariates
        self.policy = policy
        self.zero_amounts = zero_amounts
        self.covariate_l1 = covariate_l1
        self.covariate_l2 = covariate_l2

    def _processes(self) -> dict[str, Sequence[str]]:
        return {"spend": self.spend_covariates}

    def _further(self, settings: Mapping[str, object]) -> dict[str, object]:
        own = {"policy": self.policy, "zero_amounts": self.zero_amounts}
        defaults = {"policy": "repeat", "zero_amounts": "refuse"}
        chosen = {name: value for name, value in own.items() if value != defaults[name]}
        return {**super()._further(settings), **chosen}

    def predict(self, data: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the mean value expected of each customer's future purchases.

        Parameters
        ----------
        data : table
            One row per customer.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row, in currency; NaN, with a `RowWarning`, where a row cannot be used.
        """
        return self._output(data, "expected_spend", columns)

    def expected_spend(self, data: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the mean value expected of future purchases; the same as `predict`."""
        return self._output(data, "expected_spend", columns)

    def score_frame(
        self,
        data: Frame,
        *,
        outputs: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Frame:
        """Return ``expected_spend`` (or ``outputs``) and ``status`` as a table of the kind given.

        Parameters
        ----------
        data : table
            One row per customer.
        outputs : sequence of str, optional
            Columns wanted, in order: ``expected_spend``; ``spend_sd`` (of one future purchase),
            ``mean_spend_sd`` and ``median_spend`` (of the customer's mean spend).
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.
        """
        return self._score_frame(data, outputs, columns, threads=threads)


class GammaGamma(SpendModel):
    """Gamma-Gamma model of spend per purchase.

    A customer's purchases vary around a mean of their own: ``z ~ Gamma(p, nu)``, and across
    customers ``nu ~ Gamma(q, v)``. Spend is taken to be independent of how often a customer buys.
    One-time buyers carry no information and are excluded from a fit. Source: Fader & Hardie (2013),
    note 025 at brucehardie.com.

    Use it when purchases are positive and a customer's purchases vary by about the same share of
    their mean for everybody. Do not use it when spend depends on frequency (see
    `spend_independence`), when purchases may be free or refunded to nothing, or when a fit ends at
    ``q <= 1``: then the mean spend of new customers is infinite (status ``infinite``, value
    ``inf``); report ``median_spend``, or use `LogNormalSpend`.

    Parameters
    ----------
    spend_covariates : sequence of str, default ()
        Columns that scale a customer's spend.
    policy : {"repeat", "all"}, default "repeat"
        Whether the repeat purchases alone count, or the first one too; for the latter summarize
        with ``include_first_purchase=True``.
    zero_amounts : {"refuse", "exclude"}, default "refuse"
        What a fit does with a customer whose purchases were all free: name them, or leave them out
        and count them.
    penalty : float, default 0.0
        Weight of the L2 penalty on the logarithms of the parameters.
    max_iter : int, default 200
        Most Newton steps per start.
    tol : float, default 1e-9
        Convergence: largest absolute gradient per customer.
    on_not_converged : {"warn", "raise"}, default "warn"
        Whether a fit without an optimum is a `ConvergenceWarning` or a `NotConvergedError`.
    threads : int, default 0
        Threads of a fit; 0 means all. The numbers do not depend on it.

    Attributes
    ----------
    params_ : dict of str to float
        Fitted ``p``, ``q``, ``v``; ``v`` is in currency.
    standard_errors_, covariance_, log_likelihood_, converged_, fit_report_, fingerprint_
        As in `BgNbd`.

    Examples
    --------
    >>> from cvm.datasets import load_cdnow_summary
    >>> model = GammaGamma().fit(load_cdnow_summary())
    >>> {name: round(value, 2) for name, value in model.params_.items()}
    {'p': 6.25, 'q': 3.74, 'v': 15.44}
    >>> one_time_buyer = {"frequency": [0.0], "monetary_value": [0.0]}
    >>> print(model.predict(one_time_buyer).round(1))
    [35.2]
    """

    kind: ClassVar[str] = "clv.gamma_gamma"
    title: ClassVar[str] = "Gamma-Gamma"
