"""Tables of any kind in, the same kind out.

| given | float64 columns | text columns |
|---|---|---|
| pandas ``DataFrame`` | viewed in place, whatever their stride | coded once |
| polars ``DataFrame`` | shared through Arrow if one chunk without nulls, else copied once | coded |
| pyarrow ``Table``, ``RecordBatch`` | the same | coded once |
| any object with ``__arrow_c_stream__`` | the same | coded once |
| ``dict`` of arrays, structured or 2-D ``numpy`` array | viewed in place | coded once |

Integers, booleans and other floats are cast to float64, one column at a time; whole numbers beyond
2^53 become text, because as float64 they would name their neighbours. Only the columns a model
needs are touched.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cvm._core import RawColumn, table_from_arrow
from cvm.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

# A table of any supported kind: the libraries are optional, so their types cannot be named.
Frame: TypeAlias = Any
Numbers: TypeAlias = NDArray[np.float64]
Input: TypeAlias = "Numbers | RawColumn"

LARGEST_EXACT = 2**53
_FLOAT64 = np.dtype(np.float64)
# Rows up to which columns are put side by side: one array is handed over sooner than many.
_FEW_ROWS = 256
_ITEM_BYTES = 8
# Dimensions of a matrix.
_MATRIX = 2


class Table:
    """A table as the engine reads it: names, columns on demand, and a way back.

    Parameters
    ----------
    data : object
        The caller's table.
    names : list of str
        Names of its columns, in order.
    row_count : int
        Number of rows.
    """

    def __init__(self, data: Frame, names: list[str], row_count: int) -> None:
        self.data = data
        self.names = names
        self.row_count = row_count

    def values(self, name: str) -> Any:
        """Return the column of that name as its library stores it."""
        return self.data[name]

    def column(self, name: str) -> Input:
        """Return the column of that name as the engine reads it."""
        return from_numpy(name, np.asanyarray(self.values(name)))

    def matrix(self, names: list[str]) -> Numbers | None:
        """Return the named columns as one array, if that costs less than one by one.

        The numbers are those of `columns`.
        """
        if self.row_count > _FEW_ROWS or not names:
            return None
        found = [self.data.get(name) for name in names]
        if not all(type(own) is np.ndarray and own.dtype is _FLOAT64 for own in found):
            return None
        return np.array(found).T

    def wrap(self, columns: Mapping[str, NDArray[Any]]) -> Frame:
        """Return columns as a table of the caller's kind."""
        return dict(columns)

    def rows(self, columns: Mapping[str, NDArray[Any]]) -> Frame:
        """Return columns with rows of their own as a table of the caller's kind."""
        return self.wrap(columns)

    def columns(self, names: Iterable[str]) -> list[tuple[str, Input]]:
        """Return the named columns; every absent one is an error, all at once."""
        wanted = list(names)
        known = frozenset(self.names)
        absent = [name for name in wanted if name not in known]
        if absent:
            given = ", ".join(self.names[:40])
            why = f"is missing; needed are [{', '.join(wanted)}], the data has [{given}]"
            raise invalid(*((f"columns.{name}", why) for name in absent))
        return [(name, self.column(name)) for name in wanted]


class _Unlike(Table):
    """A table whose columns are handed over one by one."""

    def matrix(self, names: list[str]) -> Numbers | None:
        del names
        return None


class _Structured(_Unlike):
    """A structured numpy array, or a 2-D one with names for its columns."""

    def wrap(self, columns: Mapping[str, NDArray[Any]]) -> Frame:
        plain = {name: _fixed_width(values) for name, values in columns.items()}
        size = len(next(iter(plain.values()), ()))
        out = np.empty(size, dtype=[(name, values.dtype) for name, values in plain.items()])
        for name, values in plain.items():
            out[name] = values
        return out


class _Matrix(_Structured):
    def values(self, name: str) -> Any:
        return self.data[:, self.names.index(name)]

    def matrix(self, names: list[str]) -> Numbers | None:
        array = self.data
        if array.dtype.kind != "f" or names != self.names or isinstance(array, np.ma.MaskedArray):
            return None
        return _floats(array)


class _Pandas(_Unlike):
    def matrix(self, names: list[str]) -> Numbers | None:
        if self.row_count > _FEW_ROWS or names != self.names:
            return None
        values = self.data.to_numpy()
        if values.dtype != _FLOAT64 or not values.size:
            return None
        # Beyond, whole numbers of a column may have become their neighbours.
        return values if np.fmax.reduce(np.abs(values), axis=None) < LARGEST_EXACT else None

    def column(self, name: str) -> Input:
        return _from_pandas(name, self.values(name))

    def wrap(self, columns: Mapping[str, NDArray[Any]]) -> Frame:
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame(dict(columns), index=self.data.index, copy=False)

    def rows(self, columns: Mapping[str, NDArray[Any]]) -> Frame:
        return importlib.import_module("pandas").DataFrame(dict(columns), copy=False)


class _Polars(_Unlike):
    def column(self, name: str) -> Input:
        return RawColumn.from_arrow(name, self.data.get_column(name))

    def wrap(self, columns: Mapping[str, NDArray[Any]]) -> Frame:
        polars = importlib.import_module("polars")
        return polars.DataFrame({name: _or_list(v) for name, v in columns.items()})


class _PyArrow(_Unlike):
    def column(self, name: str) -> Input:
        return RawColumn.from_arrow(name, self.values(name))

    def values(self, name: str) -> Any:
        return self.data.column(name)

    def wrap(self, columns: Mapping[str, NDArray[Any]]) -> Frame:
        pyarrow = importlib.import_module("pyarrow")
        return pyarrow.table({name: _or_list(v) for name, v in columns.items()})


class _Capsule(_Unlike):
    """A table that only speaks the Arrow PyCapsule interface, read once; answers are a `dict`."""

    def column(self, name: str) -> Input:
        return self.data[name]


def own_table(data: Frame, needs: list[str], columns: Sequence[str] | None) -> Table | None:
    """Return the table of a 2-D array that has a model's columns and no others, in its order."""
    if not is_unnamed(data) or data.shape[1] != len(needs):
        return None
    if columns is None or columns is needs or list(columns) == needs:
        return _Matrix(data, needs, len(data))
    return None


def as_table(data: Frame, columns: Sequence[str] | None = None) -> Table:
    """Return the caller's table with one face.

    Parameters
    ----------
    data : DataFrame, Table, dict of arrays, or numpy array
        The caller's table.
    columns : sequence of str, optional
        Names of the columns of a 2-D array; not allowed with a table that has names.

    Raises
    ------
    InvalidInputError
        If the object is not a table, or its columns are ragged, unnamed or named twice.
    """
    if isinstance(data, np.ndarray):
        return _from_array(data, columns)
    if columns is not None:
        raise invalid(("columns", "names are given, and the data has names of its own"))
    if isinstance(data, Mapping):
        return _from_mapping(data)
    return _from_library(data)


def is_unnamed(data: Frame) -> bool:
    """Whether the data is a 2-D array, whose columns have places but no names."""
    return isinstance(data, np.ndarray) and data.ndim == _MATRIX and data.dtype.names is None


def _from_library(data: Frame) -> Table:
    match _family(data):
        case "pandas", "DataFrame":
            return _Pandas(data, _checked_names(data.columns.tolist()), len(data))
        case "polars", "DataFrame":
            return _Polars(data, _checked_names(data.columns), data.height)
        case "pyarrow", "Table" | "RecordBatch":
            return _PyArrow(data, _checked_names(data.schema.names), data.num_rows)
        case "polars", "LazyFrame":
            raise invalid(("data", "is a polars LazyFrame: call .collect() first"))
        case _ if hasattr(data, "__arrow_c_stream__"):
            return _from_capsule(data)
        case _:
            kinds = "a pandas, polars or pyarrow table, a dict of arrays, or a numpy array"
            raise invalid(("data", f"is a {type(data).__name__}: must be {kinds}"))


def _family(data: object) -> tuple[str, str]:
    """Return library and class, found along the bases so that subclasses count."""
    for base in type(data).__mro__:
        library = base.__module__.partition(".")[0]
        if library in {"pandas", "polars", "pyarrow"}:
            return library, base.__name__
    return "", ""


def _from_capsule(data: Frame) -> Table:
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError:
        columns = table_from_arrow(data)
        names = _checked_names(name for name, _ in columns)
        row_count = len(columns[0][1]) if columns else 0
        return _Capsule(dict(columns), names, row_count)
    return _from_library(pyarrow.table(data))


def _from_mapping(data: Mapping[Any, Any]) -> Table:
    names = _checked_names(data.keys())
    arrays = {name: _one_dimensional(name, data[name]) for name in names}
    lengths = {name: len(values) for name, values in arrays.items()}
    row_count = next(iter(lengths.values()), 0)
    wrong = [
        (f"columns.{name}", f"has {length} rows, expected {row_count}")
        for name, length in lengths.items()
        if length != row_count
    ]
    if wrong:
        raise invalid(*wrong)
    return Table(arrays, names, row_count)


def _one_dimensional(name: str, values: object) -> NDArray[Any]:
    array = values if isinstance(values, np.ndarray) else _array(values)
    if array.ndim != 1:
        raise invalid((f"columns.{name}", f"has {array.ndim} dimensions, expected 1"))
    return array


def _array(values: object) -> NDArray[Any]:
    """Return a list as an array; one that mixes types stays an array of objects."""
    if isinstance(values, (list, tuple)):
        return _of_sequence(values)
    return np.asanyarray(values)


def _of_sequence(values: Sequence[Any]) -> NDArray[Any]:
    # numpy would turn [1, "a"] into text and [None, 1.0] into objects anyway.
    if all(isinstance(value, (float, np.floating)) for value in values):
        return np.array(values, dtype=np.float64)
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _from_array(data: NDArray[Any], columns: Sequence[str] | None) -> Table:
    if data.dtype.names is not None:
        if columns is not None or data.ndim != 1:
            raise invalid(("data", "is a structured array: must be 1-D, without `columns`"))
        return _Structured(data, list(data.dtype.names), len(data))
    if data.ndim != _MATRIX:
        raise invalid(("data", f"is an array of {data.ndim} dimensions, expected 2"))
    names = _checked_names(columns or (f"x{index}" for index in range(data.shape[1])))
    if len(names) != data.shape[1]:
        why = f"has {len(names)} names, the array has {data.shape[1]} columns"
        raise invalid(("columns", why))
    return _Matrix(data, names, len(data))


def _checked_names(names: Iterable[Any]) -> list[str]:
    names = list(names)
    if set(map(type, names)) <= {str} and len(set(names)) == len(names):
        return names
    checked: list[str] = []
    for name in names:
        if not isinstance(name, str):
            why = f"column name {name!r} is of type {type(name).__name__}, expected text"
            raise invalid(("columns", why))
        checked.append(str(name))
    if len(set(checked)) != len(checked):
        twice = next(name for name in checked if checked.count(name) > 1)
        raise invalid((f"columns.{twice}", "is given twice"))
    return checked


def from_numpy(name: str, array: NDArray[Any]) -> Input:
    """Return a numpy column as the engine reads it: float64 in place, anything else by value."""
    if isinstance(array, np.ma.MaskedArray):
        return _from_masked(name, array)
    match array.dtype.kind:
        case "f":
            return _floats(array)
        case "b":
            return array.astype(np.float64)
        case "i" | "u":
            return _integers(name, array)
        case "U" | "O" | "T":
            return RawColumn.from_objects(name, array.tolist())
        case "M":
            return _dates(array)
        case _:
            why = f"has type {array.dtype}: must be numbers, booleans, text or dates"
            raise invalid((f"columns.{name}", why))


def _floats(array: NDArray[Any]) -> Numbers:
    readable = array.flags.aligned and not any(s % _ITEM_BYTES for s in array.strides)
    if array.dtype == _FLOAT64 and array.dtype.isnative and readable:
        return array.view(np.ndarray)
    return np.ascontiguousarray(array, dtype=np.float64)


def _integers(name: str, array: NDArray[Any]) -> Input:
    if array.dtype.itemsize == _ITEM_BYTES and array.size:
        low, high = int(array.min()), int(array.max())
        if max(-low, high) > LARGEST_EXACT:
            return RawColumn.from_objects(name, [str(value) for value in array.tolist()])
    return array.astype(np.float64)


def _from_masked(name: str, array: np.ma.MaskedArray[Any, Any]) -> Input:
    if array.dtype.kind in "fbiu":
        return np.where(np.ma.getmaskarray(array), np.nan, np.ma.getdata(array)).astype(np.float64)
    return RawColumn.from_objects(name, array.tolist())


def _dates(array: NDArray[Any]) -> RawColumn:
    """Return datetimes as ISO 8601 text; each distinct one is written once."""
    distinct, codes = np.unique(array, return_inverse=True)
    missing = np.isnat(distinct)
    text = np.where(missing, "", np.datetime_as_string(distinct)).tolist()
    codes = np.where(missing[codes], -1, codes) if len(codes) else codes
    return RawColumn.from_codes(text, codes.astype(np.int32))


def _from_pandas(name: str, series: Any) -> Input:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return from_numpy(name, series.to_numpy())
    match type(dtype).__name__:
        case "CategoricalDtype":
            return _from_categories(name, series.cat)
        case "DatetimeTZDtype":
            return _dates(series.to_numpy(dtype="datetime64[ns]"))
        case "ArrowDtype" | "StringDtype" if _is_arrow(dtype):
            # Memory of Arrow's already: shared, not walked through object by object.
            return RawColumn.from_arrow(name, series.array.__arrow_array__())
        case _ if getattr(dtype, "kind", "O") in "fbiu":
            return _from_nullable(name, series)
        case _:
            return RawColumn.from_objects(name, series.to_numpy(dtype=object).tolist())


def _is_arrow(dtype: Any) -> bool:
    return getattr(dtype, "storage", "pyarrow") == "pyarrow"


def _from_nullable(name: str, series: Any) -> Input:
    numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
    whole = series.dtype.kind in "iu"
    if whole and np.any(np.abs(numbers) >= LARGEST_EXACT):
        present = zip(series, series.isna(), strict=True)
        text = [None if missing else str(value) for value, missing in present]
        return RawColumn.from_objects(name, text)
    return numbers


def _from_categories(name: str, accessor: Any) -> Input:
    codes = accessor.codes.to_numpy()
    categories = from_numpy(name, accessor.categories.to_numpy())
    if isinstance(categories, np.ndarray):
        # Code -1 is missing: it picks the last.
        return np.append(categories, np.nan)[codes]
    levels = accessor.categories.tolist()
    if all(isinstance(level, str) for level in levels):
        return RawColumn.from_codes(levels, codes.astype(np.int32))
    values = [None if code < 0 else levels[code] for code in codes]
    return RawColumn.from_objects(name, values)


def _fixed_width(values: NDArray[Any]) -> NDArray[Any]:
    """Return text as numpy's own, which a structured array can hold."""
    if values.dtype.kind != "O":
        return values
    return np.array(["" if value is None else value for value in values], dtype=np.str_)


def _or_list(values: NDArray[Any]) -> Any:
    return values if values.dtype.kind in "fiub" else values.tolist()


def invalid(*violations: tuple[str, str]) -> InvalidInputError:
    """Return an error of the given fields and descriptions."""
    message = "; ".join(f"{field}: {why}" for field, why in violations)
    return InvalidInputError(message, violations)
