"""Churn propensity: models of who is about to leave."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cvm.churn._boosted import BoostedChurn
from cvm.churn._calibrate import calibrate
from cvm.churn._calibrated_mean import CalibratedMean
from cvm.churn._cox import CoxChurn
from cvm.churn._hazard import HazardChurn
from cvm.churn._kaplan_meier import KaplanMeier, kaplan_meier
from cvm.churn._logistic import LogisticChurn
from cvm.churn._trees import TreeEnsemble
from cvm.churn._weibull import WeibullChurn

if TYPE_CHECKING:
    from cvm.churn._ebm import from_ebm
    from cvm.churn._evaluate import cross_validate, evaluate
    from cvm.churn._evaluation import Evaluation
    from cvm.churn._import import from_catboost, from_lightgbm, from_xgboost
    from cvm.churn._sklearn import from_sklearn

__all__ = [
    "BoostedChurn",
    "CalibratedMean",
    "CoxChurn",
    "Evaluation",
    "HazardChurn",
    "KaplanMeier",
    "LogisticChurn",
    "TreeEnsemble",
    "WeibullChurn",
    "calibrate",
    "cross_validate",
    "evaluate",
    "from_catboost",
    "from_ebm",
    "from_lightgbm",
    "from_sklearn",
    "from_xgboost",
    "kaplan_meier",
]

# Loaded when first used: `import cvm` is to be quick.
_LATER = {
    "Evaluation": "_evaluation",
    "cross_validate": "_evaluate",
    "evaluate": "_evaluate",
    "from_catboost": "_import",
    "from_ebm": "_ebm",
    "from_lightgbm": "_import",
    "from_sklearn": "_sklearn",
    "from_xgboost": "_import",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
