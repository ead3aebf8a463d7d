"""Model files: any kind in, the right class out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cvm._base import MODEL_CLASSES, BaseModel
from cvm._core import RawModel

if TYPE_CHECKING:
    import os


def load(path: str | os.PathLike[str]) -> BaseModel:
    """Read a model file: every checksum is verified and the stored probe rows are re-scored.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    BgNbd, GammaGamma, LifetimeValue or LogisticChurn
        The fitted model, of the class of its kind.

    Raises
    ------
    NotFoundError
        If there is no such file.
    ArtifactError
        If the file is damaged, is not a model, or is of a format this build cannot use.

    Examples
    --------
    >>> import cvm, tempfile, pathlib
    >>> params = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    >>> model = cvm.BgNbd.from_params(params, time_unit="week")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = model.save(pathlib.Path(folder, "retail.cvm"), version="2026-11")
    ...     again = cvm.load(path)
    >>> again.fingerprint_ == model.fingerprint_
    True
    """
    return _of_raw(RawModel.open(Path(path)))


def from_bytes(data: bytes) -> BaseModel:
    """Read a model from the bytes of its file, as `load` does.

    Parameters
    ----------
    data : bytes
        The file's content.
    """
    return _of_raw(RawModel.from_bytes(data))


def _of_raw(raw: RawModel) -> BaseModel:
    return MODEL_CLASSES[raw.kind]._of_raw(raw)
