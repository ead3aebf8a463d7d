"""Lifetime value: how often a customer will buy, times what a purchase is worth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cvm._base import MODEL_CLASSES, BaseModel
from cvm._core import RawModel
from cvm._frames import invalid
from cvm.clv._parametric import ParametricModel
from cvm.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvm._frames import Frame, Numbers
    from cvm._summary import Row


class LifetimeValue(BaseModel):
    """Expected discounted value of a customer over a horizon.

    The value is ``margin * expected spend * discounted expected purchases``, discounted
    continuously at ``log(1 + discount_rate)`` a year.

    Parameters
    ----------
    purchase : PurchaseModel
        Model of how often customers buy, such as `BgNbd`; fitted, or to be fitted by `fit`.
    spend : SpendModel
        Model of what a purchase is worth, such as `GammaGamma`.
    currency : str, optional
        Currency of spend and value, three letters as in ISO 4217; stored in the model's file.

    Attributes
    ----------
    purchase_, spend_ : PurchaseModel, SpendModel
        The models in use: those given if they are fitted, else those `fit` made.
    fingerprint_ : str
        Hash of the model's file: its identity on every surface.

    Examples
    --------
    >>> import cvm
    >>> customers = cvm.datasets.load_cdnow_summary()
    >>> purchase = cvm.BgNbd().fit(customers, time_unit="week")
    >>> spend = cvm.GammaGamma().fit(customers)
    >>> model = LifetimeValue(purchase, spend)
    >>> value = model.predict(customers, horizon=39, discount_rate=0.1, margin=0.3)
    >>> value.shape
    (2357,)
    """

    kind: ClassVar[str] = "clv.lifetime_value"
    title: ClassVar[str] = "Lifetime value"

    # The parts `fit` made, and the state of the parts when they were last composed.
    _own: tuple[ParametricModel, ParametricModel] | None = None
    _parts: tuple[RawModel, RawModel] | None = None

    def __init__(
        self,
        purchase: ParametricModel | None = None,
        spend: ParametricModel | None = None,
        *,
        currency: str | None = None,
    ) -> None:
        self.purchase = purchase
        self.spend = spend
        self.currency = currency

    def fit(
        self, data: Frame, *, time_unit: str | None = None, columns: Sequence[str] | None = None
    ) -> Self:
        """Fit fresh copies of both models to the same customers; the originals stay as they are.

        Parameters
        ----------
        data : table
            One row per customer, with ``frequency``, ``recency``, ``T`` and ``monetary_value``.
        time_unit : str, optional
            Length of one period of the data; needed to discount.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        purchase, spend = (
            part._refit(data, columns, time_unit)
            for part in (self._given("purchase"), self._given("spend"))
        )
        self._own = (purchase, spend)
        self._compose()
        return self

    def _given(self, name: str) -> ParametricModel:
        part = getattr(self, name)
        if not isinstance(part, ParametricModel):
            raise invalid((name, f"is {part!r}: must be a model"))
        return part

    @property
    def purchase_(self) -> ParametricModel:
        """The purchase model in use."""
        return self._own[0] if self._own else self._given("purchase")

    @property
    def spend_(self) -> ParametricModel:
        """The spend model in use."""
        return self._own[1] if self._own else self._given("spend")

    def _compose(self) -> None:
        parts = (self.purchase_._raw, self.spend_._raw)
        self._adopt(RawModel.lifetime_value(*parts, self.currency))

    @property
    def _raw(self) -> RawModel:
        # Composed on first use, and again after a part was fitted anew or replaced.
        if self._parts != (self.purchase_._raw, self.spend_._raw):
            self._compose()
        return super()._raw

    def _adopt(self, raw: RawModel) -> Self:
        self._parts = (self.purchase_._raw, self.spend_._raw)
        return super()._adopt(raw)

    @classmethod
    def _of_raw(cls, raw: RawModel) -> Self:
        settings = json.loads(raw.settings_json)
        parts = (_part(raw, "purchase"), _part(raw, "spend"))
        model = cls(*parts, currency=settings.get("currency"))
        return model._adopt(raw)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "own": self._own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._own = state["own"]
        super().__setstate__(state)

    def predict(
        self,
        data: Frame,
        *,
        horizon: float,
        discount_rate: float = 0.0,
        margin: float = 1.0,
        cost_per_order: float = 0.0,
        cost_per_period: float = 0.0,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the discounted value expected in ``(T, T + horizon]``.

        Parameters
        ----------
        data : table
            One row per customer, with ``frequency``, ``recency``, ``T`` and ``monetary_value``.
        horizon : float
            Length of the forecast, in periods; ``inf`` for all the future.
        discount_rate : float, default 0.0
            Effective rate per year, such as 0.1; needs a purchase model that knows its time unit.
        margin : float, default 1.0
            Share of spend kept as value.
        cost_per_order : float, default 0.0
            Cost of serving an order, in currency.
        cost_per_period : float, default 0.0
            Cost of serving a living customer, in currency per period.
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
            cost_per_order=cost_per_order,
            cost_per_period=cost_per_period,
        )

    def p_alive(self, data: Frame, *, columns: Sequence[str] | None = None) -> Numbers:
        """Return the probability that each customer is still one at ``T``."""
        return self._output(data, "p_alive", columns)

    def score_frame(  # noqa: PLR0913 - each is a choice of its own, all have defaults
        self,
        data: Frame,
        *,
        horizon: float | None = None,
        discount_rate: float = 0.0,
        margin: float = 1.0,
        cost_per_order: float = 0.0,
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
            One row per customer, with ``frequency``, ``recency``, ``T`` and ``monetary_value``.
        horizon : float, optional
            Length of the forecast, in periods; without it only what needs none is computed.
        discount_rate : float, default 0.0
            Effective rate per year, such as 0.1; needs a purchase model that knows its time unit.
        margin : float, default 1.0
            Share of spend kept as value.
        cost_per_order, cost_per_period : float, default 0.0
            Costs of serving an order, and a living customer for a period.
        interval : float, optional
            Level of an interval, such as 0.95: columns ``<output>_lower`` and ``<output>_upper``
            follow each output. It tells how well the parameters of both models are known.
        elapsed : float, default 0.0
            As of when to score: so many periods after the rows were observed, in which nothing was
            seen of the customers; ``T`` of every row is that much greater.
        outputs : sequence of str, optional
            Columns wanted, in order; `output_names_` lists all. Unset is ``p_alive``,
            ``expected_purchases``, ``expected_spend``, ``lifetime_value``.
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
            cost_per_order=cost_per_order,
            cost_per_period=cost_per_period,
            interval=interval,
            elapsed=elapsed,
            threads=threads,
        )

    def _rows(self, level: float) -> list[Row]:
        return [*self.purchase_._rows(level), *self.spend_._rows(level)]


def _part(raw: RawModel, name: str) -> ParametricModel:
    """Return a nested model as it was before it was composed."""
    inner = raw.part(name)
    model_class = MODEL_CLASSES[inner.kind]
    if not issubclass(model_class, ParametricModel):
        why = f"the nested model {name} of kind {inner.kind} has no parameters"
        raise ArtifactError(why)
    return model_class._of_raw(inner)
