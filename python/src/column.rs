//! Columns handed from Python to the engine: numpy views, Arrow buffers, or values owned here.

use crate::arrow_ffi::import_chunks;
use crate::errors::{invalid, to_py};
use crate::objects::column_from_objects;
use arrow_array::{Array, ArrayRef, Float64Array, StructArray};
use cvm::table::from_arrow;
use cvm::{Batch, Column, FrameColumn, number_to_level};
use ndarray::{ArrayView1, Axis};
use numpy::{PyArray, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// A column that is not a numpy array of float64: shared Arrow memory or values of its own.
#[pyclass(frozen, module = "cvm._core")]
pub(crate) struct RawColumn {
    values: Values,
}

enum Values {
    /// Shared with the producer: one chunk of float64 without nulls.
    Shared(Float64Array),
    Owned(FrameColumn),
}

impl RawColumn {
    fn owned(column: FrameColumn) -> Self {
        RawColumn {
            values: Values::Owned(column),
        }
    }

    fn of_chunks(name: &str, chunks: &[ArrayRef]) -> PyResult<Self> {
        if let Some(numbers) = single_float64(chunks) {
            let values = Values::Shared(numbers.clone());
            return Ok(RawColumn { values });
        }
        let chunks = chunks.iter().map(|chunk| from_arrow(name, chunk.as_ref()));
        let chunks: Vec<FrameColumn> = chunks
            .collect::<Result<_, _>>()
            .map_err(|error| to_py(error.into()))?;
        Ok(RawColumn::owned(concatenate(chunks)))
    }

    fn view(&self) -> Column<'_> {
        match &self.values {
            Values::Shared(array) => Column::Numbers(ArrayView1::from(&array.values()[..])),
            Values::Owned(column) => column.view(),
        }
    }
}

/// The one chunk that can be read in place, if the column is such.
fn single_float64(chunks: &[ArrayRef]) -> Option<&Float64Array> {
    match chunks {
        [only] if only.null_count() == 0 => only.as_any().downcast_ref(),
        _ => None,
    }
}

/// The chunks of one column as one. Whole numbers beyond 2^53 make a chunk text: then all are.
fn concatenate(mut chunks: Vec<FrameColumn>) -> FrameColumn {
    if chunks.len() == 1
        && let Some(only) = chunks.pop()
    {
        return only;
    }
    let all_numbers = chunks
        .iter()
        .map(|chunk| match chunk {
            FrameColumn::Numbers(values) => Some(values.as_slice()),
            FrameColumn::Text { .. } => None,
        })
        .collect::<Option<Vec<&[f64]>>>();
    match all_numbers {
        Some(numbers) => FrameColumn::Numbers(numbers.concat()),
        None => concatenate_text(&chunks),
    }
}

fn concatenate_text(chunks: &[FrameColumn]) -> FrameColumn {
    let mut texts: Vec<Option<String>> = Vec::new();
    for chunk in chunks {
        match chunk.view() {
            Column::Numbers(view) => texts.extend(view.iter().map(|value| number_to_level(*value))),
            Column::Text(text) => {
                texts.extend((0..chunk.len()).map(|row| text.get(row).map(str::to_owned)));
            }
        }
    }
    FrameColumn::from_strings(texts.iter().map(Option::as_deref))
}

#[pymethods]
impl RawColumn {
    /// A column of an object with `__arrow_c_stream__` or `__arrow_c_array__`.
    #[staticmethod]
    fn from_arrow(name: &str, data: &Bound<'_, PyAny>) -> PyResult<Self> {
        RawColumn::of_chunks(name, &import_chunks(data)?)
    }

    /// A column of an iterable of text, numbers, dates or missing values.
    #[staticmethod]
    fn from_objects(name: &str, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(RawColumn::owned(column_from_objects(name, values)?))
    }

    /// A text column of codes into a dictionary; a negative code is missing.
    #[staticmethod]
    fn from_codes(dictionary: Vec<String>, codes: PyReadonlyArray1<'_, i32>) -> Self {
        let codes = codes.as_array().to_vec();
        RawColumn::owned(FrameColumn::Text { dictionary, codes })
    }

    fn __len__(&self) -> usize {
        self.view().len()
    }

    /// `number` or `text`.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.view() {
            Column::Numbers(_) => "number",
            Column::Text(_) => "text",
        }
    }
}

/// One column of a call.
#[derive(FromPyObject)]
pub(crate) enum Input<'py> {
    Numbers(PyReadonlyArray1<'py, f64>),
    Raw(Bound<'py, RawColumn>),
}

impl Input<'_> {
    fn view(&self) -> Column<'_> {
        match self {
            Input::Numbers(array) => Column::Numbers(array.as_array()),
            Input::Raw(column) => column.get().view(),
        }
    }

    fn is_readable(&self) -> bool {
        match self {
            Input::Numbers(array) => is_readable(array),
            Input::Raw(_) => true,
        }
    }
}

/// Distinct names of the columns of a matrix: turned into text once, not at every call.
#[pyclass(frozen, module = "cvm._core")]
pub(crate) struct RawNames {
    names: Vec<String>,
}

#[pymethods]
impl RawNames {
    #[new]
    fn new(names: Vec<String>) -> Self {
        RawNames { names }
    }
}

/// Named columns of a call, in order: the columns of one matrix, or each by itself.
#[derive(FromPyObject)]
pub(crate) enum Columns<'py> {
    Matrix((Bound<'py, RawNames>, PyReadonlyArray2<'py, f64>)),
    Each(Vec<(String, Input<'py>)>),
}

impl Columns<'_> {
    /// A batch that borrows every column.
    pub(crate) fn batch(&self) -> PyResult<Batch<'_>> {
        let columns = match self {
            Columns::Matrix((names, matrix)) => of_matrix(&names.get().names, matrix)?,
            Columns::Each(columns) => of_each(columns)?,
        };
        let row_count = match self {
            Columns::Matrix((_, matrix)) => matrix.as_array().nrows(),
            Columns::Each(columns) => columns.first().map_or(0, |(_, input)| input.view().len()),
        };
        Batch::of_columns(row_count, columns).map_err(|error| to_py(error.into()))
    }
}

type Views<'a> = Vec<(&'a str, Column<'a>)>;

fn of_each<'a>(columns: &'a [(String, Input<'_>)]) -> PyResult<Views<'a>> {
    let view = |(name, input): &'a (String, Input<'_>)| {
        if input.is_readable() {
            return Ok((name.as_str(), input.view()));
        }
        Err(misaligned(&format!("columns.{name}")))
    };
    columns.iter().map(view).collect()
}

fn of_matrix<'a>(
    names: &'a [String],
    matrix: &'a PyReadonlyArray2<'_, f64>,
) -> PyResult<Views<'a>> {
    if !is_readable(matrix) {
        return Err(misaligned("data"));
    }
    let view = matrix.as_array();
    if names.len() != view.ncols() {
        let (got, want) = (view.ncols(), names.len());
        return Err(invalid(
            "data",
            &format!("has {got} columns, expected {want}"),
        ));
    }
    // Not `columns()`: its views would borrow from the local one.
    let column = |place: usize| view.index_axis_move(Axis(1), place);
    let named = names.iter().zip(0..);
    Ok(named
        .map(|(name, place)| (name.as_str(), Column::Numbers(column(place))))
        .collect())
}

fn misaligned(field: &str) -> PyErr {
    invalid(field, "is not aligned to 8 bytes")
}

/// A view cannot step through memory in parts of a number.
pub(crate) fn is_readable<T, D>(array: &Bound<'_, PyArray<T, D>>) -> bool {
    let bytes = size_of::<T>().cast_signed();
    let whole = |stride: &isize| stride % bytes == 0;
    array.is_empty() || (array.is_aligned() && array.strides().iter().all(whole))
}

/// The columns of a table with `__arrow_c_stream__` (a stream of struct arrays).
#[pyfunction]
pub(crate) fn table_from_arrow(data: &Bound<'_, PyAny>) -> PyResult<Vec<(String, RawColumn)>> {
    let batches = import_chunks(data)?;
    let tables: Option<Vec<&StructArray>> = batches
        .iter()
        .map(|batch| batch.as_any().downcast_ref())
        .collect();
    let tables = tables.ok_or_else(|| invalid("data", "is a single column, expected a table"))?;
    let names = tables
        .first()
        .map_or(Vec::new(), |table| table.column_names());
    let mut columns = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let chunks: Vec<ArrayRef> = tables
            .iter()
            .filter_map(|table| table.columns().get(index).cloned())
            .collect();
        columns.push(((*name).to_owned(), RawColumn::of_chunks(name, &chunks)?));
    }
    Ok(columns)
}

/// Address of the first value of each column as the engine sees it, 0 for text: a hook for the
/// tests that prove float64 columns are not copied.
#[pyfunction]
pub(crate) fn column_addresses(columns: Columns<'_>) -> PyResult<Vec<usize>> {
    let address = |column: &Column<'_>| match column {
        Column::Numbers(view) => view.as_ptr() as usize,
        Column::Text(_) => 0,
    };
    let batch = columns.batch()?;
    let columns = batch.names().filter_map(|name| batch.get(name));
    Ok(columns.map(address).collect())
}
