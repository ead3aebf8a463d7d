"""Fixtures of the tests: small models, rows, a server."""

from __future__ import annotations

import numpy as np
import pytest

import cvm
from support import PUBLISHED, Server


@pytest.fixture(scope="session")
def published():
    """BG/NBD at the parameters of the paper, in weeks."""
    return cvm.BgNbd.from_params(PUBLISHED, time_unit="week")


@pytest.fixture(scope="session")
def cdnow():
    return cvm.datasets.load_cdnow_summary(as_frame="dict")


@pytest.fixture(scope="session")
def purchase(cdnow):
    return cvm.BgNbd().fit(cdnow, time_unit="week")


@pytest.fixture(scope="session")
def spend(cdnow):
    return cvm.GammaGamma().fit(cdnow)


@pytest.fixture(scope="session")
def value(purchase, spend):
    return cvm.LifetimeValue(purchase, spend)


@pytest.fixture(scope="session")
def telco():
    return cvm.datasets.load_telco(as_frame="pandas").drop(columns="customerID")


@pytest.fixture(scope="session")
def churn(telco):
    return cvm.LogisticChurn().fit(telco, "Churn")


@pytest.fixture
def rows():
    """Six customers, one of each kind of trouble at the end."""
    return {
        "frequency": np.array([2.0, 0.0, 7.0, np.nan, 1.0, -1.0]),
        "recency": np.array([30.43, 0.0, 29.43, 3.0, 50.0, 1.0]),
        "T": np.array([38.86, 38.86, 38.86, 38.86, 38.86, 38.86]),
    }


@pytest.fixture(scope="session")
def server(tmp_path_factory, published, value, churn):
    folder = tmp_path_factory.mktemp("models")
    published.save(folder / "retail.cvm", version="7")
    value.save(folder / "value.cvm")
    churn.save(folder / "churn.cvm")
    server = Server(folder, "--poll-interval-ms", "100")
    server.folder = folder
    with cvm.connect(server.target, timeout=20) as client:
        # Waits until they are loaded; health would tell that they are not.
        client.models()
    yield server
    server.stop()


@pytest.fixture
def client(server):
    with cvm.connect(server.target, timeout=20) as client:
        yield client
