"""Lifetime value under contract: how long a customer will keep paying, times what they pay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from cvm._base import BaseModel
from cvm._core import RawModel
from cvm._frames import invalid
from cvm.clv._contract import ContractModel
from cvm.clv._lifetime_value import _part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvm._frames import Frame, Numbers
    from cvm._summary import Row


class ContractValue(BaseModel):
    """Expected discounted value of a customer under contract over a horizon.

    The value is ``(margin * value_per_period - cost_per_period) * expected lifetime``, where the
    lifetime counts payments, the first being made now, each discounted at
    ``log(1 + discount_rate)`` a year. Source: Fader & Hardie (2010), *Marketing Science* 29(1).

    Use it where customers pay a known amount each period until they are seen to leave. Do not use
    it where they come and go unseen and buy when they like: that is `LifetimeValue`; nor where the
    amount depends on how long a customer stays, which it takes as independent.

    Parameters
    ----------
    contract : ContractModel
        Model of how long customers keep renewing, such as `Sbg`; fitted, or to be fitted by `fit`.
    currency : str, optional
        Currency of payments and value, three letters as in ISO 4217; stored in the model's file.

    Attributes
    ----------
    contract_ : ContractModel
        The model in use: that given if it is fitted, else the one `fit` made.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.

    Examples
    --------
    >>> from cvm.clv import Geometric
    >>> contract = Geometric.from_params({"odds": 0.25}, time_unit="month")
    >>> model = ContractValue(contract, currency="EUR")
    >>> customers = {"tenure": [0.0, 7.0], "value_per_period": [40.0, 15.0]}
    >>> print(model.predict(customers, horizon=3, margin=0.5, cost_per_period=5).round(6))
    [36.6  6.1]
    """

    kind: ClassVar[str] = "clv.contract_value"
    title: ClassVar[str] = "Contract value"

    # The part `fit` made, and the state of the part when the model was last composed.
    _own: ContractModel | None = None
    _composed_of: RawModel | None = None

    def __init__(
        self, contract: ContractModel | None = None, *, currency: str | None = None
    ) -> None:
        self.contract = contract
        self.currency = currency

    def fit(
        self, data: Frame, *, time_unit: str | None = None, columns: Sequence[str] | None = None
    ) -> Self:
        """Fit a fresh copy of the contract model; the original stays as it is.

        Parameters
        ----------
        data : table
            One row per customer, with ``tenure`` and ``churned``, of those who left as well.
        time_unit : str, optional
            Length of one period of the data; needed to discount.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        self._own = self._given()._refit(data, columns, time_unit)
        self._compose()
        return self

    def _given(self) -> ContractModel:
        if not isinstance(self.contract, ContractModel):
            raise invalid(("contract", f"is {self.contract!r}: must be a contract model"))
        return self.contract

    @property
    def contract_(self) -> ContractModel:
        """The contract model in use."""
        return self._own if self._own is not None else self._given()

    def _compose(self) -> None:
        self._adopt(RawModel.contract_value(self.contract_._raw, self.currency))

    @property
    def _raw(self) -> RawModel:
        # Composed on first use, and again after the part was fitted anew or replaced.
        if self._composed_of != self.contract_._raw:
            self._compose()
        return super()._raw

    def _adopt(self, raw: RawModel) -> Self:
        self._composed_of = self.contract_._raw
        return super()._adopt(raw)

    @classmethod
    def _of_raw(cls, raw: RawModel) -> Self:
        settings = json.loads(raw.settings_json)
        # The engine has opened the file: the part is a contract model.
        contract = cast("ContractModel", _part(raw, "contract"))
        return cls(contract, currency=settings.get("currency"))._adopt(raw)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "own": self._own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._own = state["own"]
        super().__setstate__(state)

    def predict(
        self,
        data: Frame,
        *,
        horizon: float = float("inf"),
        discount_rate: float = 0.0,
        margin: float = 1.0,
        cost_per_period: float = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the discounted value of the next ``horizon`` payments, the first made now.

        Parameters
        ----------
        data : table
            One row per present customer, with ``tenure`` (renewals made) and ``value_per_period``.
        horizon : float, default inf
            Payments counted; ``inf`` for all the future.
        discount_rate : float, default 0.0
            Effective rate per year, such as 0.1; needs a model that knows its time unit.
        margin : float, default 1.0
            Share of a payment kept as value.
        cost_per_period : float, default 0.0
            Cost of serving a customer, in currency per period paid for.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        numpy.ndarray
            One number per row, in currency; NaN, with a `RowWarning`, where a row cannot be used;
            ``inf``, with a `RowWarning`, where the expectation is infinite.
        """
        return self._output(
            data,
            "lifetime_value",
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
            margin=margin,
            cost_per_period=cost_per_period,
        )

    def residual_value(
        self,
        data: Frame,
        *,
        horizon: float = float("inf"),
        discount_rate: float = 0.0,
        margin: float = 1.0,
        cost_per_period: float = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the discounted value of the next ``horizon`` renewals, the first decided now.

        That is the value of a customer whose current period is paid for and over: per unit of
        payment, with an infinite horizon, the DERL.

        Parameters
        ----------
        data : table
            One row per present customer, with ``tenure`` (renewals made) and ``value_per_period``.
        horizon : float, default inf
            Renewals counted; ``inf`` for all the future.
        discount_rate, margin, cost_per_period : float
            As in `predict`.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        return self._output(
            data,
            "residual_value",
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
            margin=margin,
            cost_per_period=cost_per_period,
        )

    def score_frame(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        data: Frame,
        *,
        horizon: float | None = None,
        discount_rate: float = 0.0,
        margin: float = 1.0,
        cost_per_period: float = 0.0,
        interval: float | None = None,
        elapsed: float = 0.0,
        outputs: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Frame:
        """Return scores and row statuses as a table of the kind given.

        Parameters
        ----------
        data : table
            One row per present customer, with ``tenure`` (renewals made) and ``value_per_period``.
        horizon : float, optional
            Periods ahead; without it only what needs none is computed.
        discount_rate : float, default 0.0
            Effective rate per year, such as 0.1; needs a model that knows its time unit.
        margin : float, default 1.0
            Share of a payment kept as value.
        cost_per_period : float, default 0.0
            Cost of serving a customer, in currency per period paid for.
        interval : float, optional
            Level of an interval, such as 0.95: columns ``<output>_lower`` and ``<output>_upper``
            follow each output. It tells how well the parameters of the contract model are known.
        elapsed : float, default 0.0
            As of when to score: so many periods after the rows were observed, in which nothing was
            seen of the customers; ``tenure`` of every row is that much greater.
        outputs : sequence of str, optional
            Columns wanted, in order; `output_names_` lists all. Unset is ``p_retained``,
            ``expected_lifetime_periods``, ``expected_spend``, ``lifetime_value``.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.
        """
        return self._score_frame(
            data,
            outputs,
            columns,
            horizon=horizon,
            discount_rate=discount_rate,
            margin=margin,
            cost_per_period=cost_per_period,
            interval=interval,
            elapsed=elapsed,
            threads=threads,
        )

    def _rows(self, level: float) -> list[Row]:
        return self.contract_._rows(level)
