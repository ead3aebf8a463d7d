"""Customer lifetime value: purchase models, spend models, and their product."""

from cvm.clv._bg_cnbd_k import BgCnbdK
from cvm.clv._bg_nbd import BgNbd
from cvm.clv._gamma_gamma import GammaGamma
from cvm.clv._ggompertz_nbd import GGompertzNbd
from cvm.clv._independence import SpendIndependence, plot_spend_independence, spend_independence
from cvm.clv._lifetime_value import LifetimeValue
from cvm.clv._log_normal_spend import LogNormalSpend
from cvm.clv._mbg_cnbd_k import MbgCnbdK
from cvm.clv._mbg_nbd import MbgNbd
from cvm.clv._nbd import Nbd
from cvm.clv._pareto_nbd import ParetoNbd

__all__ = [
    "BgCnbdK",
    "BgNbd",
    "GGompertzNbd",
    "GammaGamma",
    "LifetimeValue",
    "LogNormalSpend",
    "MbgCnbdK",
    "MbgNbd",
    "Nbd",
    "ParetoNbd",
    "SpendIndependence",
    "plot_spend_independence",
    "spend_independence",
]
