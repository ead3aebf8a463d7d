"""Customer lifetime value: purchase models, contract models, spend models, and their product."""

from cvm.clv._bg_bb import BgBb
from cvm.clv._bg_nbd import BgNbd
from cvm.clv._contract import Bdw, DiscreteWeibull, Geometric, Sbg
from cvm.clv._gamma_gamma import GammaGamma
from cvm.clv._lifetime_value import LifetimeValue

__all__ = [
    "Bdw",
    "BgBb",
    "BgNbd",
    "DiscreteWeibull",
    "GammaGamma",
    "Geometric",
    "LifetimeValue",
    "Sbg",
]
