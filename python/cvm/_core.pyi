from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, TypeAlias, TypedDict, final

import numpy as np
from numpy.typing import NDArray

__version__: str
CATALOG: list[tuple[str, str, list[str]]]
ROW_STATUS: list[str]

_Numbers: TypeAlias = NDArray[np.float64]
_Column: TypeAlias = _Numbers | RawColumn
Columns: TypeAlias = list[tuple[str, _Column]] | tuple[RawNames, _Numbers]
Found: TypeAlias = tuple[list[_Numbers], tuple[NDArray[np.uint8], list[str]] | None]
_Rows: TypeAlias = tuple[NDArray[np.bool_], _Numbers, _Numbers | None]
SummaryColumn: TypeAlias = _Numbers | tuple[list[str], NDArray[np.int32]]

_Campaign: TypeAlias = tuple[float, float, float, float, float]

class BootstrapArgs(TypedDict):
    campaign: _Campaign
    replicates: int
    seed: int
    threads: int

class FitArgs(TypedDict):
    time_unit: str | None
    weight_column: str | None
    penalty: float | None
    max_iterations: int
    gradient_tolerance: float
    threads: int
    allow_not_converged: bool
    settings_json: str

class ScoreArgs(TypedDict):
    horizon: float | None
    discount_rate: float | None
    margin: float | None
    purchases: float | None
    quantile: float | None
    cost_per_period: float | None
    cost_per_order: float | None
    interval: float | None
    elapsed: float | None
    outputs: list[str]
    threads: int
    reasons: ReasonArgs | None

class ReasonArgs(TypedDict):
    count: int
    only_actionable: bool
    direction: str
    approximate: bool

class Reasons(TypedDict):
    method: str
    rows: list[list[tuple[str, float, str]]]

class Scores(TypedDict):
    outputs: list[tuple[str, _Numbers]]
    status: NDArray[np.uint8]
    issues: list[str]
    reasons: Reasons | None

class Attributions(TypedDict):
    method: str
    is_exact: bool
    outputs: list[str]
    base: _Numbers
    values: _Numbers
    status: NDArray[np.uint8]

class Summary(TypedDict):
    columns: list[tuple[str, SummaryColumn]]
    report_json: str
    report_text: str

class Answer(TypedDict):
    scores: Scores
    models: list[tuple[str, str, str]]

class ModelCard(TypedDict):
    name: str
    version: str
    kind: str
    fingerprint: str
    inputs: list[str]
    outputs: list[tuple[str, str, str, bool]]
    params: list[tuple[str, float]]
    time_unit: str | None
    metadata_json: str
    training_json: str

@final
class RawColumn:
    @staticmethod
    def from_arrow(name: str, data: Any) -> RawColumn: ...
    @staticmethod
    def from_objects(name: str, values: Iterable[object]) -> RawColumn: ...
    @staticmethod
    def from_codes(dictionary: list[str], codes: NDArray[np.int32]) -> RawColumn: ...
    def __len__(self) -> int: ...
    @property
    def kind(self) -> str: ...

@final
class RawNames:
    def __new__(cls, names: list[str]) -> RawNames: ...

@final
class RawScorer:
    def score(self, data: object, threads: int) -> Found | None: ...

@final
class RawModel:
    @staticmethod
    def from_params(kind: str, params: list[tuple[str, float]], unit: str | None) -> RawModel: ...
    @staticmethod
    def lifetime_value(purchase: RawModel, spend: RawModel, currency: str | None) -> RawModel: ...
    @staticmethod
    def contract_value(contract: RawModel, currency: str | None) -> RawModel: ...
    def part(self, name: str) -> RawModel: ...
    @staticmethod
    def import_model(kind: str, data: bytes, options_json: str) -> RawModel: ...
    def certify(self, library: str, outputs: list[tuple[str, _Numbers]]) -> RawModel: ...
    def probe_columns(self) -> list[tuple[str, SummaryColumn]]: ...
    @staticmethod
    def from_bytes(data: bytes) -> RawModel: ...
    @staticmethod
    def open(path: str | PathLike[str]) -> RawModel: ...
    def to_bytes(self) -> bytes: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def with_metadata(self, metadata_json: str) -> RawModel: ...
    def calibrated(
        self,
        columns: Columns,
        churned: NDArray[np.bool_],
        weights: _Numbers | None,
        method: str | None,
    ) -> RawModel: ...
    def calibrated_on(
        self,
        probabilities: _Numbers,
        churned: NDArray[np.bool_],
        weights: _Numbers | None,
        method: str | None,
    ) -> RawModel: ...
    def uncalibrated(self) -> RawModel: ...
    def profiled(self, columns: Columns) -> RawModel: ...
    def drift_json(self, columns: Columns) -> str: ...
    def with_dictionary(self, dictionary_json: str) -> RawModel: ...
    def scorer(self, outputs: list[str]) -> RawScorer | None: ...
    def score(self, columns: Columns, options: ScoreArgs) -> Scores: ...
    def score_horizons(
        self, columns: Columns, options: ScoreArgs, horizons: list[float]
    ) -> list[Scores]: ...
    def portfolio(
        self, columns: Columns, options: ScoreArgs
    ) -> list[tuple[str, float, float, float, float, float, int]]: ...
    def explain(
        self, columns: Columns, method: str, background: Columns | None, threads: int
    ) -> Attributions: ...
    def array(self, name: str) -> tuple[list[int], _Numbers] | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def schema_json(self) -> str: ...
    @property
    def training_json(self) -> str: ...
    @property
    def metadata_json(self) -> str: ...
    @property
    def settings_json(self) -> str: ...
    @property
    def outputs(self) -> list[tuple[str, str, str, bool]]: ...
    @property
    def params(self) -> list[tuple[str, float, str, str, bool]]: ...

@final
class Credentials(TypedDict):
    token: str | None
    ca_certificate: bytes | None
    certificate: bytes | None
    private_key: bytes | None

class RawClient:
    @staticmethod
    def connect(target: str, timeout_seconds: float, credentials: Credentials) -> RawClient: ...
    def score(
        self, model: str, columns: Columns, options: ScoreArgs, rows_per_request: int
    ) -> Answer: ...
    def list_models(self) -> list[ModelCard]: ...
    def get_model(self, model: str) -> ModelCard: ...
    def health(self, service: str) -> str: ...
    @property
    def uri(self) -> str: ...
    @property
    def timeout_seconds(self) -> float: ...

class SpendBins(TypedDict):
    frequency_low: _Numbers
    frequency_high: _Numbers
    customers: _Numbers
    lower_quartile: _Numbers
    median: _Numbers
    upper_quartile: _Numbers
    mean: _Numbers

class Independence(TypedDict):
    customers: int
    excluded: int
    pearson: tuple[float, float]
    spearman: tuple[float, float]
    kendall: tuple[float, float]
    verdict: str
    bins: SpendBins

def spend_independence(
    columns: Columns, permutations: int, seed: int, bins: int
) -> Independence: ...

class IntervalArgs(TypedDict):
    method: str
    level: float
    replicates: int
    seed: int

def param_intervals(
    kind: str,
    columns: Columns,
    options: FitArgs,
    request: IntervalArgs,
    progress: Callable[[int, int], object],
) -> list[tuple[str, float, float | None, float | None, float | None, str]]: ...
def fit_watched(
    kind: str,
    columns: Columns,
    options: FitArgs,
    progress: Callable[[int, int], object] | Callable[[int, float], object],
) -> RawModel: ...
def partial_objective(
    kind: str, columns: Columns, options: FitArgs, params: list[float]
) -> list[float]: ...
def table_from_arrow(data: Any) -> list[tuple[str, RawColumn]]: ...
def column_addresses(columns: Columns) -> list[int]: ...
def summarize(columns: Columns, unit: str, grain: str, options_json: str) -> Summary: ...
def auc(arrays: _Rows) -> float: ...
def brier(arrays: _Rows) -> float: ...
def log_loss(arrays: _Rows) -> float: ...
def ece(arrays: _Rows, bins: int) -> float: ...
def lift_curve(arrays: _Rows, points: int) -> list[tuple[float, float, float]]: ...
def auc_interval(arrays: _Rows, level: float) -> tuple[float, float, float]: ...
def average_precision(arrays: _Rows) -> float: ...
def ks(arrays: _Rows) -> tuple[float, float]: ...
def lift_at(arrays: _Rows, share: float) -> float: ...
def h_measure(arrays: _Rows, alpha: float, beta: float) -> float: ...
def brier_parts(arrays: _Rows, bins: int | None) -> tuple[float, float, float, float, float]: ...
def calibration_error(
    arrays: _Rows, bins: int, kind: str, squared: bool, debiased: bool
) -> float: ...
def calibration_bins(
    arrays: _Rows, bins: int, kind: str, level: float
) -> list[tuple[float, float, float, float, float, float]]: ...
def best_profit(
    arrays: _Rows, values: _Numbers | None, campaign: _Campaign, expected: bool
) -> tuple[float, float, float]: ...
def profit_curve(
    arrays: _Rows, values: _Numbers | None, campaign: _Campaign
) -> list[tuple[float, float, float]]: ...
def psi(before: list[float], now: list[float]) -> float: ...
def bootstrap_metrics(
    arrays: _Rows,
    values: _Numbers | None,
    clusters: NDArray[np.int64] | None,
    names: list[str],
    options: BootstrapArgs,
    progress: Callable[[int, int], object],
) -> list[tuple[float, list[float]]]: ...
