"""Customer lifetime value: purchase models, spend models, and their product."""

from cvm.clv._bg_nbd import BgNbd
from cvm.clv._gamma_gamma import GammaGamma
from cvm.clv._ggompertz_nbd import GGompertzNbd
from cvm.clv._independence import SpendIndependence, plot_spend_independence, spend_independence
from cvm.clv._lifetime_value import LifetimeValue
from cvm.clv._log_normal_spend import LogNormalSpend
from cvm.clv._pareto_nbd import ParetoNbd

__all__ = [
    "BgNbd",
    "GGompertzNbd",
    "GammaGamma",
    "LifetimeValue",
    "LogNormalSpend",
    "ParetoNbd",
    "SpendIndependence",
    "plot_spend_independence",
    "spend_independence",
]
