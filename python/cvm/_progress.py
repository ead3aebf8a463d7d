"""A line on standard error that shows long work going on: only for people who wait."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_SECONDS = 2.0
_WIDTH = 30


def _is_watched() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class SearchLine:
    """A callback ``(step, log_likelihood)`` that tells of a fit after two seconds of it."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = False

    def __call__(self, step: int, log_likelihood: float) -> None:
        """Write the line anew."""
        elapsed = time.monotonic() - self._started
        if not self._shown and (elapsed < _PATIENCE_SECONDS or not _is_watched()):
            return
        self._shown = True
        sys.stderr.write(
            f"\rfitting: step {step}, log-likelihood {log_likelihood:.3f}, {elapsed:.0f} s   "
        )
        sys.stderr.flush()

    def close(self) -> None:
        """Clear the line."""
        if self._shown:
            sys.stderr.write("\r" + " " * 79 + "\r")
            sys.stderr.flush()


class ProgressLine:
    """A callback ``(done, total)`` that draws a bar after two seconds of work.

    Parameters
    ----------
    label : str
        What is being done.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._started = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Draw the line anew."""
        elapsed = time.monotonic() - self._started
        if not self._shown and (elapsed < _PATIENCE_SECONDS or not _is_watched()):
            return
        self._shown = True
        filled = _WIDTH * done // max(total, 1)
        left = f", {elapsed / done * (total - done):.0f} s left" if done else ""
        bar = "#" * filled + "-" * (_WIDTH - filled)
        sys.stderr.write(f"\r{self.label} [{bar}] {done} of {total}{left}   ")
        sys.stderr.flush()

    def close(self) -> None:
        """Clear the line."""
        if self._shown:
            sys.stderr.write("\r" + " " * 79 + "\r")
            sys.stderr.flush()


def callback(
    progress: bool | Callable[[int, int], object],  # noqa: FBT001 - as the public argument is
    label: str,
) -> tuple[Callable[[int, int], object], Callable[[], None]]:
    """Return what to call with ``(done, total)`` and what to call at the end."""
    if callable(progress):
        return progress, lambda: None
    if not progress:
        return lambda _done, _total: None, lambda: None
    line = ProgressLine(label)
    return line, line.close


def search_callback(
    progress: bool | Callable[[int, float], object],  # noqa: FBT001 - as the public argument is
) -> tuple[Callable[[int, float], object], Callable[[], None]]:
    """Return what to call with ``(step, log_likelihood)`` and what to call at the end."""
    if callable(progress):
        return progress, lambda: None
    if not progress:
        return lambda _step, _value: None, lambda: None
    line = SearchLine()
    return line, line.close
