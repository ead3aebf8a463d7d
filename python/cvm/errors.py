"""Errors and warnings: each says whose fault it is, and carries the wrong fields.

Every error is a `CvmError`; each is also the built-in error a caller would expect, so
``except ValueError`` catches wrong data and ``except KeyError`` an unknown model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AccessDeniedError",
    "ArtifactError",
    "ConvergenceWarning",
    "CvmError",
    "DeadlineError",
    "FitWarning",
    "InternalError",
    "InvalidInputError",
    "LeakWarning",
    "NotConvergedError",
    "NotFittedError",
    "NotFoundError",
    "RowWarning",
    "ServerUnavailableError",
]


class CvmError(Exception):
    """Base of every error of this package.

    Parameters
    ----------
    message : str
        One sentence with the field, the value and what is allowed.
    violations : iterable of (str, str)
        Path of each wrong field and what is wrong with it.

    Attributes
    ----------
    message : str
        The sentence.
    violations : list of (str, str)
        Path and description of each wrong field; empty when the error is not about fields.
    """

    def __init__(self, message: str = "", violations: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.violations = list(violations)

    def __str__(self) -> str:
        # KeyError would print the repr of the message.
        return self.message

    def __reduce__(self) -> tuple[type[CvmError], tuple[str, list[tuple[str, str]]]]:
        return type(self), (self.message, self.violations)


class InvalidInputError(CvmError, ValueError):
    """The data or arguments of a call are wrong."""


class NotFoundError(CvmError, KeyError):
    """A named thing does not exist: a file, a kind of model, a model on a server."""


class ArtifactError(CvmError):
    """A model file is damaged, or of a format or schema this build cannot use."""


class NotConvergedError(CvmError, RuntimeError):
    """Estimation stopped before reaching an optimum; the message says what was reached."""


class NotFittedError(CvmError, ValueError, AttributeError):
    """A model was asked for a result before it was fitted."""


class InternalError(CvmError, RuntimeError):
    """A defect of this software."""


class ServerUnavailableError(CvmError, ConnectionError):
    """The server cannot be reached, went away, or is overloaded."""


class AccessDeniedError(CvmError, PermissionError):
    """The server does not know the caller, or does not allow them this."""


class DeadlineError(CvmError, TimeoutError):
    """The server did not answer in the time given."""


class RowWarning(UserWarning):
    """Some rows could not be used; the others were."""


class FitWarning(UserWarning):
    """A fit succeeded with something to know: a ridge, an aliased column, a bound."""


class LeakWarning(UserWarning):
    """Something looks as if a model were told what it should not know."""


class ConvergenceWarning(FitWarning):
    """A fit stopped before reaching an optimum; its numbers are what was reached."""
