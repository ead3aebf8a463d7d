"""Churn propensity: models of who is about to leave."""

from cvm.churn._logistic import LogisticChurn

__all__ = ["LogisticChurn"]
