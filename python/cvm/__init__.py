"""The customer-value engine: who will leave, who will buy, and what each is worth.

The numbers computed here are, in every bit, those a server or the command line computes from the
same model file.

>>> import cvm
>>> log = cvm.datasets.load_cdnow()
>>> customers = cvm.summarize(log, unit="week", calibration_end="1997-09-30")
>>> purchase = cvm.BgNbd().fit(customers, time_unit="week")
>>> spend = cvm.GammaGamma().fit(customers)
>>> value = cvm.LifetimeValue(purchase, spend)
>>> scores = value.score_frame(customers, horizon=39, discount_rate=0.1)
>>> list(scores)
['p_alive', 'expected_purchases', 'expected_spend', 'lifetime_value', 'status']
"""

from __future__ import annotations

import importlib
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

# Stubs generated from proto/cvm/v1 are the package `cvm.v1`, wherever they are on the path: they
# are found beside this package's own modules.
__path__ = extend_path(__path__, __name__)

from cvm import churn, clv, datasets, errors
from cvm._client import Client, connect
from cvm._core import __version__
from cvm._files import from_bytes, load
from cvm._summarize import SummaryReport, summarize, summarize_panel
from cvm.churn import (
    BoostedChurn,
    CoxChurn,
    HazardChurn,
    LogisticChurn,
    TreeEnsemble,
    WeibullChurn,
)
from cvm.clv import BgNbd, GammaGamma, LifetimeValue, LogNormalSpend, ParetoNbd
from cvm.errors import (
    AccessDeniedError,
    ArtifactError,
    ConvergenceWarning,
    CvmError,
    DeadlineError,
    FitWarning,
    InternalError,
    InvalidInputError,
    LeakWarning,
    NotConvergedError,
    NotFittedError,
    NotFoundError,
    RowWarning,
    ServerUnavailableError,
)

if TYPE_CHECKING:
    from cvm import metrics, plot
    from cvm.churn import from_catboost, from_ebm, from_lightgbm, from_sklearn, from_xgboost

__all__ = [
    "AccessDeniedError",
    "ArtifactError",
    "BgNbd",
    "BoostedChurn",
    "Client",
    "ConvergenceWarning",
    "CoxChurn",
    "CvmError",
    "DeadlineError",
    "FitWarning",
    "GammaGamma",
    "HazardChurn",
    "InternalError",
    "InvalidInputError",
    "LeakWarning",
    "LifetimeValue",
    "LogNormalSpend",
    "LogisticChurn",
    "NotConvergedError",
    "NotFittedError",
    "NotFoundError",
    "ParetoNbd",
    "RowWarning",
    "ServerUnavailableError",
    "SummaryReport",
    "TreeEnsemble",
    "WeibullChurn",
    "__version__",
    "churn",
    "clv",
    "connect",
    "datasets",
    "errors",
    "from_bytes",
    "from_catboost",
    "from_ebm",
    "from_lightgbm",
    "from_sklearn",
    "from_xgboost",
    "load",
    "metrics",
    "plot",
    "summarize",
    "summarize_panel",
]

# Loaded when first used: `import cvm` is to be quick.
_MODULES = frozenset({"metrics", "plot"})
_LATER = frozenset({"from_catboost", "from_ebm", "from_lightgbm", "from_sklearn", "from_xgboost"})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _LATER:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(churn, name)
