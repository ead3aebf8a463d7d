"""Model files, bytes, pickles and copies: the same model comes back, a damaged one does not."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest

import cvm


@pytest.fixture(params=["published", "purchase", "spend", "value", "churn"])
def model(request):
    return request.getfixturevalue(request.param)


def scores(model, cdnow, telco):
    if isinstance(model, cvm.LogisticChurn):
        return model.predict_proba(telco).tobytes()
    horizon = {} if isinstance(model, cvm.GammaGamma) else {"horizon": 39}
    return model.predict(cdnow, **horizon).tobytes()


def test_a_file_gives_the_same_model(model, cdnow, telco, tmp_path):
    path = model.save(tmp_path / "model.cvm")
    again = cvm.load(path)
    assert type(again) is type(model)
    assert again.fingerprint_ == model.fingerprint_
    assert scores(again, cdnow, telco) == scores(model, cdnow, telco)
    assert again.to_bytes() == path.read_bytes() == model.to_bytes()


@pytest.mark.parametrize(
    "copier", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_and_pickles_give_the_same_model(model, copier, cdnow, telco):
    again = copier(model)
    assert type(again) is type(model)
    assert again.to_bytes() == model.to_bytes()
    assert scores(again, cdnow, telco) == scores(model, cdnow, telco)
    assert json.dumps(vars(again), default=str) is not None
    if isinstance(model, cvm.LogisticChurn):
        assert again.classes_.tolist() == model.classes_.tolist()


def test_an_unfitted_model_pickles():
    again = pickle.loads(pickle.dumps(cvm.LifetimeValue(cvm.BgNbd(penalty=2.0), cvm.GammaGamma())))
    assert again.get_params()["purchase__penalty"] == 2.0
    with pytest.raises(cvm.NotFittedError):
        again.to_bytes()


def test_what_a_fit_found_is_in_the_file(purchase, churn):
    for model in (purchase, churn):
        again = cvm.from_bytes(model.to_bytes())
        assert again.params_ == model.params_
        assert again.standard_errors_ == pytest.approx(model.standard_errors_, nan_ok=True)
        assert again.covariance_.tobytes() == model.covariance_.tobytes()
        assert again.log_likelihood_ == model.log_likelihood_
        assert again.converged_ is True
        assert str(again.summary()) == str(model.summary())


def test_the_parts_of_a_loaded_lifetime_value_are_models(value, cdnow):
    again = cvm.from_bytes(value.to_bytes())
    assert again.purchase_.params_ == value.purchase_.params_
    assert again.spend_.params_ == value.spend_.params_
    p_alive = again.purchase_.p_alive(cdnow)
    assert p_alive.tobytes() == value.purchase_.p_alive(cdnow).tobytes()


def test_name_and_version_are_written(published, tmp_path):
    model = cvm.from_bytes(published.to_bytes())
    path = model.save(tmp_path / "m.cvm", name="retail", version="7", metadata={"team": "crm"})
    again = cvm.load(path)
    assert again.metadata_ == {"name": "retail", "version": "7", "team": "crm"}
    assert again.fingerprint_ == model.fingerprint_ != published.fingerprint_
    # Saving again without facts keeps them.
    assert cvm.load(again.save(tmp_path / "n.cvm")).metadata_ == again.metadata_


def test_errors_of_files_are_typed(published, tmp_path):
    with pytest.raises(cvm.NotFoundError) as caught:
        cvm.load(tmp_path / "nothing.cvm")
    assert isinstance(caught.value, KeyError)
    assert str(caught.value).count("'") < 2, "the message is not a repr"
    data = published.to_bytes()
    for bad in (b"", b"not a model", data[:-1], data + b"\0"):
        with pytest.raises(cvm.ArtifactError):
            cvm.from_bytes(bad)
    with pytest.raises((cvm.CvmError, OSError)):
        cvm.load(tmp_path)
    with pytest.raises(cvm.CvmError):
        published.save(tmp_path / "no" / "such" / "folder.cvm")


def test_any_flipped_bit_is_refused(published):
    data = bytearray(published.to_bytes())
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data) * 8, 200):
        data[place // 8] ^= 1 << (place % 8)
        with pytest.raises(cvm.ArtifactError):
            cvm.from_bytes(bytes(data))
        data[place // 8] ^= 1 << (place % 8)
    assert cvm.from_bytes(bytes(data)).fingerprint_ == published.fingerprint_


def test_errors_pickle_with_their_fields():
    error = cvm.InvalidInputError("a: is 1", [("a", "is 1")])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.violations) == ("a: is 1", [("a", "is 1")])


def test_a_model_survives_a_process_pool_of_pandas(purchase, cdnow):
    # joblib and multiprocessing ship models as pickles.
    frame = pd.DataFrame({name: cdnow[name] for name in ("frequency", "recency", "T")})
    assert pickle.loads(pickle.dumps(purchase)).predict(frame, horizon=1).shape == (2357,)
