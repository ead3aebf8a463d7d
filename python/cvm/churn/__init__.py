"""Churn propensity: models of who is about to leave."""

from cvm.churn._import import from_catboost, from_lightgbm, from_xgboost
from cvm.churn._logistic import LogisticChurn
from cvm.churn._sklearn import from_sklearn
from cvm.churn._trees import TreeEnsemble

__all__ = [
    "LogisticChurn",
    "TreeEnsemble",
    "from_catboost",
    "from_lightgbm",
    "from_sklearn",
    "from_xgboost",
]
