"""Scores from a running server: the same tables in and out, the same numbers in every bit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cvm._base import reason_arguments, required_number, score_arguments, score_columns
from cvm._core import RawClient
from cvm._frames import Frame, as_table, invalid, is_unnamed
from cvm.errors import InvalidInputError, ServerUnavailableError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from cvm._core import Answer, Credentials, ModelCard, ScoreArgs
    from cvm._frames import Table

# Below a server's default limits: 100 000 rows and 64 MiB a request.
_MAX_ROWS = 50_000
_MAX_NUMBERS = 4_000_000
_ATTEMPTS = 3


@dataclass(frozen=True)
class ModelInfo:
    """A model that a server has loaded.

    Attributes
    ----------
    name : str
        What `Client.score` calls it.
    version : str
        The author's version, or the first digits of the fingerprint.
    kind : str
        Kind, such as ``clv.bg_nbd``.
    fingerprint : str
        Hash of the model's file; equal to `fingerprint_` of the model it was saved from.
    inputs : tuple of str
        Columns it reads.
    outputs : tuple of str
        Columns it can compute.
    params : dict of str to float
        Parameters of a kind with a fixed list of them.
    time_unit : str or None
        Length of one period, if known.
    metadata, training : dict
        Facts by the author, and of the training.
    """

    name: str
    version: str
    kind: str
    fingerprint: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: dict[str, float]
    time_unit: str | None
    metadata: dict[str, Any]
    training: dict[str, Any]

    @classmethod
    def _of(cls, card: ModelCard) -> ModelInfo:
        return cls(
            name=card["name"].removeprefix("models/"),
            version=card["version"],
            kind=card["kind"],
            fingerprint=card["fingerprint"],
            inputs=tuple(card["inputs"]),
            outputs=tuple(output[0] for output in card["outputs"]),
            params=dict(card["params"]),
            time_unit=card["time_unit"],
            metadata=json.loads(card["metadata_json"] or "{}"),
            training=json.loads(card["training_json"] or "{}"),
        )


class Client:
    """A connection to a scoring server, made by `connect`.

    It may be shared between threads, survives a fork and a restart of the server, and is closed by
    ``with`` or `close`.
    """

    def __init__(self, raw: RawClient) -> None:
        self._open: RawClient | None = raw
        self._models: dict[str, ModelInfo] = {}

    @property
    def _raw(self) -> RawClient:
        if self._open is None:
            why = "the client is closed"
            raise ServerUnavailableError(why)
        return self._open

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; later calls are errors."""
        self._open = None
        self._models.clear()

    def __repr__(self) -> str:
        return f"Client({'closed' if self._open is None else self._open.uri})"

    @property
    def timeout(self) -> float:
        """Seconds a request may take."""
        return self._raw.timeout_seconds

    def models(self) -> list[ModelInfo]:
        """Return the models the server has loaded, ordered by name."""
        return [ModelInfo._of(card) for card in self._raw.list_models()]

    def model(self, name: str = "") -> ModelInfo:
        """Return one loaded model.

        Parameters
        ----------
        name : str, optional
            Name, ``models/NAME``, or ``models/NAME/versions/VERSION``; may be left out if the
            server has exactly one model.
        """
        info = ModelInfo._of(self._raw.get_model(name))
        self._models[name] = info
        return info

    def health(self, service: str = "") -> str:
        """Return ``serving``, ``not_serving``, ``service_unknown`` or ``unknown``.

        Parameters
        ----------
        service : str, optional
            A gRPC service, such as ``cvm.v1.ScoringService``; by default the whole server.
        """
        return self._raw.health(service)

    def score(  # noqa: PLR0913 - each is an option of its own, most have defaults
        self,
        model: str,
        data: Frame,
        *,
        horizon: float | None = None,
        discount_rate: float | None = None,
        margin: float | None = None,
        outputs: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        rows_per_request: int | None = None,
        reasons: int | None = None,
        only_actionable: bool = False,
        reason_direction: str = "any",
        reason_method: str = "exact",
        **options: float | None,
    ) -> Frame:
        """Return scores and row statuses as a table of the kind given.

        A large table is sent in several requests; that never changes a number. One model answers
        the whole call: if the server swaps it in the middle, the call starts again.

        Parameters
        ----------
        model : str
            Name, ``models/NAME``, ``models/NAME@ALIAS``, or ``models/NAME/versions/VERSION``; empty
            if the server has exactly one model.
        data : table
            One row per customer, with the model's columns; other columns are not sent.
        horizon : float, optional
            Length of the forecast, in the model's periods.
        discount_rate : float, optional
            Effective rate per year, such as 0.1.
        margin : float, optional
            Share of spend kept as value.
        outputs : sequence of str, optional
            Columns wanted, in order; by default all that the other options allow.
        columns : sequence of str, optional
            Names of the columns of a 2-D array; by default the model's own, in order.
        rows_per_request : int, optional
            Most rows of one request; by default what a server's default limits allow.
        reasons : int, optional
            Reasons to give beside each row's scores, as a churn model's ``reasons`` does.
        only_actionable, reason_direction, reason_method
            Which reasons: ``only_actionable``, ``direction`` and ``method`` there.
        **options
            ``purchases``, ``quantile``, ``cost_per_period``, ``cost_per_order``,
            ``interval``, ``elapsed``: as in a model's ``score_frame``.

        Returns
        -------
        table
            One column per output, and ``status``: ``ok``, or why the row's scores are NaN.

        Raises
        ------
        InvalidInputError
            If the server refuses the table or an option; ``violations`` names the fields.
        NotFoundError
            If it has no such model.
        ServerUnavailableError
            If it cannot be reached or is overloaded.
        DeadlineError
            If it does not answer in the time given to `connect`.
        """
        if isinstance(outputs, str):
            raise invalid(("outputs", f'is the text "{outputs}": must be a list of names'))
        named = {"horizon": horizon, "discount_rate": discount_rate, "margin": margin, **options}
        asked = reason_arguments(
            reasons,
            only_actionable=only_actionable,
            direction=reason_direction,
            method=reason_method,
        )
        arguments = score_arguments(outputs or [], named, asked)
        table, answer = self._answer(model, data, columns, arguments, rows_per_request)
        return table.wrap(score_columns(answer["scores"], asked))

    def _answer(
        self,
        model: str,
        data: Frame,
        columns: Sequence[str] | None,
        options: ScoreArgs,
        rows_per_request: int | None,
    ) -> tuple[Table, Answer]:
        known = self._models.get(model)
        try:
            info = known or self.model(model)
            return self._whole_answer(model, info, data, columns, options, rows_per_request)
        except InvalidInputError:
            # The columns were those of a model that may have been replaced since.
            if known is None or self.model(model).inputs == known.inputs:
                raise
        info = self._models[model]
        return self._whole_answer(model, info, data, columns, options, rows_per_request)

    def _whole_answer(
        self,
        model: str,
        info: ModelInfo,
        data: Frame,
        columns: Sequence[str] | None,
        options: ScoreArgs,
        rows_per_request: int | None,
    ) -> tuple[Table, Answer]:
        needs = list(info.inputs)
        table = as_table(data, needs if columns is None and is_unnamed(data) else columns)
        inputs = table.columns(needs)
        rows = rows_per_request or max(1, min(_MAX_ROWS, _MAX_NUMBERS // max(1, len(needs))))
        for _ in range(_ATTEMPTS):
            answer = self._raw.score(model, inputs, options, rows)
            if len(answer["models"]) == 1:
                return table, answer
        why = f"the server replaced model {model!r} in the middle of each of {_ATTEMPTS} attempts"
        raise ServerUnavailableError(why)


def connect(
    target: str,
    *,
    timeout: float = 30.0,
    token: str | None = None,
    ca_certificate: str | os.PathLike[str] | None = None,
    certificate: str | os.PathLike[str] | None = None,
    private_key: str | os.PathLike[str] | None = None,
) -> Client:
    """Connect to a scoring server.

    Parameters
    ----------
    target : str
        Where it listens: ``host:port``.
    timeout : float, default 30.0
        Seconds that connecting, and each later request, may take.
    token : str, optional
        Bearer token shown with every request.
    ca_certificate : path, optional
        Authorities that the server's certificate is checked against, in PEM; TLS is used if given.
    certificate, private_key : path, optional
        The caller's own certificate and its key in PEM, for a server that asks for one.

    Returns
    -------
    Client
        The connection; use it with ``with``, or close it.

    Raises
    ------
    ServerUnavailableError
        If no server answers there.
    InvalidInputError
        If the target is not ``host:port``, or a file is not what it should be.

    Later requests raise `AccessDeniedError` for a token that is not known, or lacks the role.

    Examples
    --------
    >>> import cvm
    >>> try:
    ...     cvm.connect("127.0.0.1:1", timeout=2.0)
    ... except ConnectionError as error:
    ...     print(type(error).__name__)
    ServerUnavailableError
    """
    if not isinstance(target, str):
        raise invalid(("target", f"is {target!r}: must be host:port"))
    credentials: Credentials = {
        "token": token,
        "ca_certificate": _read("ca_certificate", ca_certificate),
        "certificate": _read("certificate", certificate),
        "private_key": _read("private_key", private_key),
    }
    return Client(RawClient.connect(target, required_number("timeout", timeout), credentials))


def _read(name: str, path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        found = Path(path).read_bytes()
    except OSError as error:
        raise invalid((name, f"cannot be read: {error}")) from error
    if b"-----BEGIN" not in found:
        raise invalid((name, f"is {str(path)!r}: must be a file in PEM"))
    return found


__all__ = ["Client", "ModelInfo", "connect"]
