"""Which rows are trained on and which are tested: by chance, by group, or by time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cvm._frames import as_table, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cvm._frames import Frame, Table

_FEWEST_FOLDS = 2


class Split(NamedTuple):
    """Rows to train on, rows to test on, and how they were told apart."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    label: str


def by_chance(churned: NDArray[np.bool_], folds: int, seed: int) -> list[Split]:
    """Return folds with the same share of churners each."""
    fold = np.empty(len(churned), dtype=np.intp)
    rng = np.random.default_rng(seed)
    for outcome in (False, True):
        rows = rng.permutation(np.flatnonzero(churned == outcome))
        fold[rows] = np.arange(len(rows)) % folds
    return _of_folds(fold, folds)


def by_group(
    churned: NDArray[np.bool_], groups: NDArray[Any], folds: int, seed: int
) -> list[Split]:
    """Return folds that keep groups whole, with churners spread as evenly as groups allow."""
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max()) + 1 if len(group) else 0
    if count < folds:
        raise invalid(("groups", f"are {count}: must be {folds} or more, one for each fold"))
    sizes = np.bincount(group, minlength=count)
    churners = np.bincount(group, weights=churned.astype(np.float64), minlength=count)
    # Largest first, so that the small ones can even out; equal ones in an order of chance.
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(-churners[order] * len(churned) - sizes[order], kind="stable")]
    load = np.zeros((folds, 2))
    own = np.empty(count, dtype=np.intp)
    for one in order:
        place = int(np.lexsort((load[:, 1], load[:, 0]))[0])
        own[one] = place
        load[place] += [churners[one], sizes[one]]
    return _of_folds(own[group], folds)


def by_time(
    time: NDArray[Any], folds: int, cutoffs: Sequence[Any] | None, gap: Any | None
) -> list[Split]:
    """Return splits that train on what was known before a moment and test on what came after.

    Without cutoffs, the second half of the rows is cut into ``folds`` parts of about equal size.
    Rows in the ``gap`` before a cutoff are left out of training: their outcomes were not known yet.
    """
    if time.dtype.kind not in "fiuM":
        raise invalid(("time", f"has type {time.dtype}: must be numbers or dates"))
    unknown = np.isnat(time) if time.dtype.kind == "M" else np.isnan(time.astype(np.float64))
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise invalid((f"time[{row}]", "is missing"))
    if cutoffs is None:
        places = (len(time) * (folds + np.arange(folds)) // (2 * folds)).astype(np.intp)
        marks = np.unique(np.sort(time)[places])
    else:
        marks = np.unique(np.asarray(cutoffs, dtype=time.dtype))
    if not len(marks):
        raise invalid(("cutoffs", "are none"))
    splits = []
    for place, mark in enumerate(marks):
        end = marks[place + 1] if place + 1 < len(marks) else None
        test = (time >= mark) if end is None else (time >= mark) & (time < end)
        train = time < (mark if gap is None else mark - _span(gap))
        splits.append(Split(np.flatnonzero(train), np.flatnonzero(test), f"from {mark}"))
    return splits


def _span(gap: Any) -> Any:
    if isinstance(gap, str):
        number, _, unit = gap.strip().partition(" ")
        unit = unit.rstrip("s") or "day"
        days = {"day": 1, "week": 7}
        if not number.isdigit() or unit not in days:
            raise invalid(("gap", f'is "{gap}": must be such as "30 days" or "4 weeks"'))
        return np.timedelta64(int(number) * days[unit], "D")
    return gap


def _of_folds(fold: NDArray[np.intp], folds: int) -> list[Split]:
    return [
        Split(np.flatnonzero(fold != k), np.flatnonzero(fold == k), f"fold {k + 1}")
        for k in range(folds)
    ]


def checked_folds(folds: int, churned: NDArray[np.bool_]) -> int:
    """Return a number of folds that the rows allow."""
    rarer = int(min(churned.sum(), (~churned).sum()))
    if not _FEWEST_FOLDS <= folds <= max(rarer, _FEWEST_FOLDS):
        why = f"is {folds}: must be from 2 to {rarer}, the rows of the rarer outcome"
        raise invalid(("folds", why))
    return int(folds)


def check(splits: Sequence[Split], churned: NDArray[np.bool_]) -> None:
    """Refuse a split that cannot be trained or tested."""
    for split in splits:
        for name, rows in (("training", split.train), ("test", split.test)):
            left = int(churned[rows].sum())
            if left in (0, len(rows)):
                why = (
                    f"of {split.label} has {len(rows)} {name} rows, {left} of them churners: both "
                    "outcomes are needed"
                )
                raise invalid(("splits", why))


def take(data: Frame, rows: NDArray[np.intp]) -> Frame:
    """Return rows of a table as a table of the same kind."""
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    if isinstance(data, dict):
        return {name: np.asarray(values)[rows] for name, values in data.items()}
    if isinstance(data, np.ndarray):
        return data[rows]
    if hasattr(data, "take"):
        return data.take(rows)
    return data[rows]


def without(data: Frame, names: set[str]) -> Frame:
    """Return a table without some of its columns."""
    table: Table = as_table(data)
    kept = [name for name in table.names if name not in names]
    if len(kept) == len(table.names):
        return data
    if isinstance(data, dict):
        return {name: data[name] for name in kept}
    if isinstance(data, np.ndarray):
        return data[kept]
    if hasattr(data, "select") and not hasattr(data, "iloc"):
        return data.select(kept)
    return data[kept]
