"""Customer lifetime value: purchase models, contract models, spend models, and their values."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cvm.clv._bdw_tv import BdwTv
from cvm.clv._bg_bb import BgBb
from cvm.clv._bg_cnbd_k import BgCnbdK
from cvm.clv._bg_nbd import BgNbd
from cvm.clv._contract import Bdw, DiscreteWeibull, Geometric, Sbg
from cvm.clv._contract_value import ContractValue
from cvm.clv._gamma_gamma import GammaGamma
from cvm.clv._ggompertz_nbd import GGompertzNbd
from cvm.clv._lifetime_value import LifetimeValue
from cvm.clv._log_normal_spend import LogNormalSpend
from cvm.clv._mbg_cnbd_k import MbgCnbdK
from cvm.clv._mbg_nbd import MbgNbd
from cvm.clv._nbd import Nbd
from cvm.clv._parametric import ParameterInterval
from cvm.clv._pareto_ggg import ParetoGgg
from cvm.clv._pareto_nbd import ParetoNbd
from cvm.clv._pareto_nbd_correlated import ParetoNbdCorrelated
from cvm.clv._pareto_nbd_tv import ParetoNbdTv
from cvm.clv._paths import covariate_path_columns

if TYPE_CHECKING:
    from cvm.clv._independence import (
        SpendIndependence,
        plot_spend_independence,
        spend_independence,
    )
    from cvm.clv._recommend import Candidate, Recommendation, recommend

__all__ = [
    "Bdw",
    "BdwTv",
    "BgBb",
    "BgCnbdK",
    "BgNbd",
    "Candidate",
    "ContractValue",
    "DiscreteWeibull",
    "GGompertzNbd",
    "GammaGamma",
    "Geometric",
    "LifetimeValue",
    "LogNormalSpend",
    "MbgCnbdK",
    "MbgNbd",
    "Nbd",
    "ParameterInterval",
    "ParetoGgg",
    "ParetoNbd",
    "ParetoNbdCorrelated",
    "ParetoNbdTv",
    "Recommendation",
    "Sbg",
    "SpendIndependence",
    "covariate_path_columns",
    "plot_spend_independence",
    "recommend",
    "spend_independence",
]

# Loaded when first used: `import cvm` is to be quick.
_LATER = {
    "Candidate": "_recommend",
    "Recommendation": "_recommend",
    "SpendIndependence": "_independence",
    "plot_spend_independence": "_independence",
    "recommend": "_recommend",
    "spend_independence": "_independence",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
