"""Churn propensity: models of who is about to leave."""

from cvm.churn._boosted import BoostedChurn
from cvm.churn._calibrate import calibrate
from cvm.churn._cox import CoxChurn
from cvm.churn._ebm import from_ebm
from cvm.churn._evaluate import cross_validate, evaluate
from cvm.churn._evaluation import Evaluation
from cvm.churn._hazard import HazardChurn
from cvm.churn._import import from_catboost, from_lightgbm, from_xgboost
from cvm.churn._kaplan_meier import KaplanMeier, kaplan_meier
from cvm.churn._logistic import LogisticChurn
from cvm.churn._sklearn import from_sklearn
from cvm.churn._trees import TreeEnsemble

__all__ = [
    "BoostedChurn",
    "CoxChurn",
    "Evaluation",
    "HazardChurn",
    "KaplanMeier",
    "LogisticChurn",
    "TreeEnsemble",
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
