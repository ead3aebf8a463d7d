"""Tables of any kind in, the same kind out, float64 columns in place."""

from __future__ import annotations

import datetime as dt
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cvm
from cvm import _core
from cvm._base import score_arguments
from cvm._frames import as_table
from support import KINDS, make_table, read_column


def reference(published, rows):
    return published.score_frame(rows, horizon=39)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_bits_in_its_own_kind(published, rows, kind):
    table = make_table(kind, rows)
    scores = published.score_frame(table, horizon=39)
    expected = reference(published, rows)
    for name in ("p_alive", "expected_purchases"):
        got = np.ascontiguousarray(read_column(scores, name))
        assert got.tobytes() == expected[name].tobytes()
    assert list(read_column(scores, "status")) == expected["status"].tolist()
    own = np.ndarray if kind in ("structured", "matrix") else type(table)
    assert isinstance(scores, own)


def test_the_index_of_pandas_is_kept(published, rows):
    scores = published.score_frame(make_table("pandas", rows), horizon=39)
    assert scores.index.tolist() == ["c0", "c1", "c2", "c3", "c4", "c5"]


def test_bad_rows_are_nan_with_a_status_and_one_warning(published, rows):
    scores = reference(published, rows)
    assert scores["status"].tolist() == [
        "ok",
        "ok",
        "ok",
        "missing",
        "inconsistent",
        "out_of_range",
    ]
    assert np.isnan(scores["p_alive"]).tolist() == [False] * 3 + [True] * 3
    with pytest.warns(cvm.RowWarning) as caught:
        published.predict(rows, horizon=39)
    (only,) = caught
    text = str(only.message)
    assert "3 of 6 rows have no score (1 missing, 1 out_of_range, 1 inconsistent)" in text
    assert "row 3: frequency is missing" in text
    assert only.filename == __file__


def addresses(table, names=("a", "b")):
    return _core.column_addresses(as_table(table).columns(names))


def test_float64_columns_are_read_in_place():
    a, b = np.arange(4.0), np.arange(4.0) + 10
    here = [a.ctypes.data, b.ctypes.data]
    assert addresses({"a": a, "b": b}) == here

    matrix = np.arange(8.0).reshape(4, 2)
    start = matrix.ctypes.data
    assert addresses(pd.DataFrame(matrix, columns=["a", "b"], copy=False)) == [start, start + 8]

    packed = np.zeros(4, dtype=[("a", "f8"), ("b", "f8")])
    assert addresses(packed) == [packed.ctypes.data, packed.ctypes.data + 8]

    backwards = a[::-1]
    assert addresses({"a": backwards, "b": b}) == [a.ctypes.data + 24, here[1]]


def test_float64_columns_of_arrow_tables_are_shared():
    arrow = pa.table({"a": np.arange(4.0), "b": np.arange(4.0)})
    here = [arrow.column(name).chunk(0).buffers()[1].address for name in ("a", "b")]
    assert addresses(arrow) == here

    frame = pl.DataFrame({"a": np.arange(4.0), "b": np.arange(4.0)})
    there = [frame[name].to_arrow().buffers()[1].address for name in ("a", "b")]
    assert addresses(frame) == there


def test_arrays_that_cannot_be_read_in_place_are_copied(published):
    packed = np.zeros(
        2, dtype=np.dtype([("flag", "u1"), ("frequency", "f8"), ("recency", "f8"), ("T", "f8")])
    )
    packed["frequency"], packed["recency"], packed["T"] = 2.0, 30.43, 38.86
    plain = {name: np.ascontiguousarray(packed[name]) for name in ("frequency", "recency", "T")}
    swapped = {name: values.astype(">f8") for name, values in plain.items()}
    expected = published.p_alive(plain).tobytes()
    assert published.p_alive(packed).tobytes() == expected
    assert published.p_alive(swapped).tobytes() == expected


@pytest.mark.parametrize(
    "dtype",
    [
        "int8",
        "int32",
        "uint64",
        "float32",
        "float16",
        "bool",
        "Int64",
        "Float64",
        "boolean",
        "int64[pyarrow]",
        "double[pyarrow]",
        "object",
    ],
)
def test_numbers_of_any_type_are_cast(published, dtype):
    series = pd.Series([1, 0, 1]).astype(dtype)
    table = pd.DataFrame({"frequency": series, "recency": series, "T": [4.0, 4.0, 4.0]})
    plain = {"frequency": [1.0, 0.0, 1.0], "recency": [1.0, 0.0, 1.0], "T": [4.0, 4.0, 4.0]}
    assert published.p_alive(table).tobytes() == published.p_alive(plain).tobytes()


def test_missing_values_of_every_library_are_missing(published):
    tables = [
        pd.DataFrame({"frequency": pd.array([1, None], dtype="Int64")}),
        pd.DataFrame({"frequency": pd.Series([1, pd.NA], dtype=object)}),
        pl.DataFrame({"frequency": [1, None]}),
        pa.table({"frequency": pa.chunked_array([[1.0], [None]])}),
        {"frequency": np.ma.masked_array([1.0, 5.0], mask=[False, True])},
        {"frequency": [1.0, None]},
    ]
    for table in tables:
        _, column = as_table(table).columns(["frequency"])[0]
        inputs = [("frequency", column), ("recency", np.ones(2)), ("T", np.full(2, 4.0))]
        scores = published._raw.score(inputs, score_arguments(["p_alive"], {"threads": 1}))
        assert [_core.ROW_STATUS[code] for code in scores["status"]] == ["ok", "missing"]


TEXT = [
    pd.Series(["No", "Yes", None], dtype=object),
    pd.Series(["No", "Yes", None], dtype="str"),
    pd.Series(["No", "Yes", None], dtype="string[python]"),
    pd.Series(["No", "Yes", None], dtype=pd.ArrowDtype(pa.string())),
    pd.Series(["No", "Yes", None], dtype="category"),
    pl.Series(["No", "Yes", None]),
    pl.Series(["No", "Yes", None], dtype=pl.Categorical),
    pl.Series(["No", "Yes", None], dtype=pl.Enum(["Yes", "No"])),
    pa.chunked_array([pa.array(["No", "Yes"]), pa.array([None], pa.string())]),
    pa.array(["No", "Yes", None], pa.large_string()),
    pa.array(["No", "Yes", None], pa.string_view()),
    pa.array(["No", "Yes", None]).dictionary_encode(),
    ["No", "Yes", None],
]


@pytest.mark.parametrize("column", TEXT, ids=[str(getattr(c, "dtype", type(c))) for c in TEXT])
def test_text_of_every_library_is_the_same_text(churn, telco, column):
    if isinstance(column, pd.Series):
        table = telco.head(3).assign(
            PaperlessBilling=column.to_numpy() if column.dtype == object else column
        )
        table["PaperlessBilling"] = column.set_axis(table.index)
    elif isinstance(column, pl.Series):
        table = pl.from_pandas(telco.head(3)).with_columns(column.alias("PaperlessBilling"))
    elif isinstance(column, list):
        table = {name: telco[name].head(3).tolist() for name in telco} | {
            "PaperlessBilling": column
        }
    else:
        arrow = pa.Table.from_pandas(telco.head(3), preserve_index=False)
        place = arrow.schema.get_field_index("PaperlessBilling")
        table = arrow.set_column(place, "PaperlessBilling", column)
    plain = telco.head(3).assign(PaperlessBilling=np.array(["No", "Yes", None], dtype=object))
    expected = churn.predict_proba(plain)
    assert churn.predict_proba(table).tobytes() == expected.tobytes()


def test_objects_that_are_no_value_are_refused_by_name(churn, telco):
    table = telco.head(2).astype({"Contract": object})
    for odd in (object(), Decimal(1), b"Two year", 3 + 4j, ["Two year"]):
        table["Contract"] = pd.Series(["Two year", None], dtype=object, index=table.index)
        table.at[1, "Contract"] = odd  # noqa: PD008 - .loc would spread the list
        with pytest.raises(cvm.InvalidInputError, match=r"columns\.Contract: row 1 is .* of type"):
            churn.predict_proba(table)
    table["Contract"] = pd.Series(["Two year", 7], dtype=object)
    with pytest.raises(cvm.InvalidInputError, match=r"row 1 is 7, the rows before it are text"):
        churn.predict_proba(table)


def test_whole_numbers_beyond_2_to_53_become_text():
    big = 2**53 + 1
    for column in (
        np.array([1, big]),
        pd.Series([1, big], dtype="Int64"),
        pa.chunked_array([pa.array([1]), pa.array([big])]),
        pl.Series([1, big]),
    ):
        table = {"pandas": pd.DataFrame, "polars": pl.DataFrame}.get(
            type(column).__module__.split(".")[0]
        )
        data = (
            table({"id": column})
            if table
            else ({"id": column} if isinstance(column, np.ndarray) else pa.table({"id": column}))
        )
        _, value = as_table(data).columns(["id"])[0]
        assert isinstance(value, _core.RawColumn)
        assert value.kind == "text"
        assert len(value) == 2
    with pytest.raises(cvm.InvalidInputError, match=r"beyond 2\^53"):
        as_table({"id": [1, big]}).columns(["id"])


def test_dates_are_iso_text():
    days = np.array(["2026-01-01", "NaT", "2026-01-02"], dtype="datetime64[D]")
    aware = pd.Series(pd.to_datetime(["2026-01-01"] * 3)).dt.tz_localize("UTC")
    for column in (days, aware, [dt.date(2026, 1, 1), None, dt.datetime(2026, 1, 2)]):
        _, value = as_table(pd.DataFrame({"date": column})).columns(["date"])[0]
        assert value.kind == "text"


class Capsule:
    """A table that only speaks the PyCapsule interface."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def test_any_object_with_an_arrow_stream_is_a_table(published, rows):
    scores = published.score_frame(Capsule(pa.table(rows)), horizon=39)
    assert isinstance(scores, pa.Table)
    assert scores["p_alive"].to_numpy().tobytes() == reference(published, rows)["p_alive"].tobytes()


def test_chunks_and_slices_are_one_column(published, rows):
    arrow = pa.table(rows)
    pieces = pa.concat_tables([arrow.slice(0, 2), arrow.slice(2, 1), arrow.slice(3)])
    expected = reference(published, rows)["p_alive"].tobytes()
    assert published.score_frame(pieces, horizon=39)["p_alive"].to_numpy().tobytes() == expected
    sliced = published.score_frame(arrow.slice(2, 2), horizon=39)["p_alive"].to_numpy()
    assert sliced.tobytes() == reference(published, rows)["p_alive"][2:4].tobytes()


def test_empty_tables_have_empty_scores(published):
    empty = {"frequency": np.array([]), "recency": np.array([]), "T": np.array([])}
    for kind in KINDS:
        scores = published.score_frame(make_table(kind, empty), horizon=39)
        assert len(read_column(scores, "p_alive")) == 0
    table = pa.table(empty).slice(0, 0)
    assert published.score_frame(table, horizon=39).num_rows == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (7, "data: is a int: must be"),
        (pl.LazyFrame({"a": [1]}), "is a polars LazyFrame: call .collect"),
        (np.zeros(3), "is an array of 1 dimensions, expected 2"),
        (
            {"frequency": [1.0], "recency": [1.0, 2.0], "T": [1.0]},
            "recency: has 2 rows, expected 1",
        ),
        (
            {"frequency": [1.0]},
            r"columns.recency: is missing; needed are \[frequency, recency, T\]",
        ),
        ({1: [1.0]}, "column name 1 is of type int, expected text"),
        (pd.DataFrame(np.zeros((1, 2)), columns=["T", "T"]), "columns.T: is given twice"),
        ({"frequency": ["a"], "recency": [1.0], "T": [2.0]}, "columns.frequency: holds text"),
        ({"frequency": np.zeros((2, 2)), "recency": [1.0], "T": [2.0]}, "has 2 dimensions"),
        ({"frequency": np.array([1j]), "recency": [1.0], "T": [2.0]}, "has type complex128"),
    ],
)
def test_what_is_no_table_is_refused_in_words(published, data, message):
    with pytest.raises(cvm.InvalidInputError, match=message) as caught:
        published.predict(data, horizon=1)
    assert caught.value.violations
    assert isinstance(caught.value, ValueError)


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=64)


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(np.float64, st.tuples(st.integers(0, 40), st.just(3)), elements=NUMBERS),
    step=st.sampled_from([1, 2, 3, -1, -2]),
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["f8", "f4", ">f8"]),
)
def test_shape_stride_and_type_never_change_a_number(published, values, step, order, dtype):
    with np.errstate(over="ignore"):
        matrix = np.array(values, order=order).astype(dtype)[::step]
    names = ["frequency", "recency", "T"]
    columns = {name: matrix[:, i].astype(np.float64) for i, name in enumerate(names)}
    expected = published.score_frame(columns, horizon=39)
    for table in (matrix, pd.DataFrame(matrix.astype("f8"), columns=names)):
        scores = published.score_frame(table, horizon=39)
        for name in ("p_alive", "expected_purchases"):
            assert np.asarray(scores[name]).tobytes() == expected[name].tobytes()
        assert list(scores["status"]) == expected["status"].tolist()


def test_a_row_is_handed_over_as_one_array_with_the_numbers_of_its_columns():
    names = ["a", "b", "c"]
    values = np.array([[1.0, np.nan, -0.0], [2.0, 1e15, 1e-310]])
    frame = pd.DataFrame(values, columns=names)
    for table in (
        as_table(values, names),
        as_table(np.asfortranarray(values), names),
        as_table(values[::-1][::-1], names),
        as_table(frame),
        as_table(frame.assign(a=[1, 2])),
        as_table(dict(zip(names, values.T, strict=True))),
    ):
        whole = table.matrix(names)
        assert whole is not None
        each = [column for _, column in table.columns(names)]
        assert np.column_stack(each).tobytes() == np.ascontiguousarray(whole).tobytes()


def test_what_one_array_could_not_tell_is_handed_over_by_column(published):
    names = ["a", "b"]
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    for table in (
        as_table(frame.assign(b=[2**53 + 1, 1])),
        as_table(frame.assign(b=["x", "y"])),
        as_table(frame.assign(b=[True, False])),
        as_table(frame[["b", "a"]]),
        as_table(pd.concat([frame] * 200)),
        as_table({"a": np.zeros(2), "b": np.zeros(2, np.int64)}),
        as_table(np.ma.masked_equal(np.ones((2, 2)), 0), names),
        as_table(np.ones((2, 2), np.int64), names),
    ):
        assert table.matrix(names) is None
    with pytest.raises(cvm.InvalidInputError, match="numbers"):
        published.score_frame(
            pd.DataFrame({"frequency": [2**53 + 1], "recency": [1.0], "T": [2.0]}), horizon=1
        )


def told(call):
    """Return the numbers of a call and the words of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = call()
    return numbers.tobytes(), [(one.category, str(one.message), one.filename) for one in caught]


@settings(max_examples=60, deadline=None)
@given(
    values=hnp.arrays(np.float64, st.tuples(st.integers(0, 40), st.just(3)), elements=NUMBERS),
    step=st.sampled_from([1, 2, 3, -1, -2]),
    order=st.sampled_from("CF"),
    dtype=st.sampled_from(["f8", "f4", ">f8", "f2"]),
)
def test_a_matrix_scored_at_once_is_scored_as_its_columns(published, values, step, order, dtype):
    with np.errstate(over="ignore"):
        matrix = np.array(values, order=order).astype(dtype)[::step]
    names = published.feature_names_in_.tolist()
    by_column = {name: matrix[:, i].astype(np.float64) for i, name in enumerate(names)}
    # A column that the model does not read: the table is no matrix of its columns.
    by_column["note"] = np.full(len(matrix), "x", dtype=object)
    expected = told(lambda: published.p_alive(by_column))
    assert told(lambda: published.p_alive(matrix)) == expected
    assert told(lambda: published.p_alive(matrix, columns=names)) == expected
    frame = pd.DataFrame(matrix.astype("f8"), columns=names)
    assert told(lambda: published.p_alive(frame)) == expected


def test_only_arrays_of_the_models_columns_are_scored_at_once(published):
    values = np.array([[2.0, 30.43, 38.86], [1.0, 10.0, 38.86]])
    scorer = published._raw.scorer(["p_alive"])
    (found,), bad = scorer.score(values, 0)
    assert bad is None
    assert found.tobytes() == published.score_frame(values)["p_alive"].tobytes()
    _, (status, words) = scorer.score(values * [[1.0], [-1.0]], 1)
    assert status.tolist()[0] == _core.ROW_STATUS.index("ok") != status.tolist()[1]
    assert words[0].startswith("row 1: frequency is -1: must be")
    assert scorer.score(np.empty((0, 3)), 0)[0][0].shape == (0,)
    raw = np.zeros(49, np.uint8)
    for other in (
        values[:, :2],
        values[0],
        values.tolist(),
        values.astype(int),
        np.ma.masked_equal(values, 2.0),
        raw[1:].view(np.float64).reshape(2, 3),
    ):
        assert scorer.score(other, 0) is None
    # By name, whatever the order; and never by place if a name is wrong.
    names = ["T", "recency", "frequency"]
    turned = published.p_alive(values[:, ::-1], columns=names)
    assert turned.tobytes() == found.tobytes()
    with pytest.raises(cvm.InvalidInputError, match=r"columns\.recency: is missing"):
        published.p_alive(values, columns=["frequency", "recent", "T"])
    with pytest.raises(cvm.InvalidInputError, match="has 2 columns, the model reads 3"):
        published.p_alive(values[:, :2])
    with pytest.raises(cvm.InvalidInputError, match="`quantity` is unknown"):
        published._raw.scorer(["quantity"])
    with pytest.raises(cvm.NotFittedError):
        cvm.BgNbd().p_alive(values)
