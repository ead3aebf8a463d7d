//! Arrow data from any Python object that speaks the PyCapsule interface, without a copy.
//!
//! Source: "The Arrow PyCapsule Interface", Apache Arrow columnar format documentation.
#![allow(unsafe_code)]

use crate::errors::invalid;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{ArrayReader, ArrayRef, make_array, new_empty_array};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::ffi::CStr;

/// The chunks behind `object`: one array, or the arrays of a stream (a chunked column; a table is
/// a stream of struct arrays).
pub(crate) fn import_chunks(object: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    if object.hasattr("__arrow_c_stream__")? {
        return import_stream(object);
    }
    if object.hasattr("__arrow_c_array__")? {
        return Ok(vec![import_array(object)?]);
    }
    let name = object.get_type().name()?;
    Err(invalid(
        "data",
        &format!("is a {name}: it offers neither __arrow_c_stream__ nor __arrow_c_array__"),
    ))
}

fn import_stream(object: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    let capsule = object.call_method0("__arrow_c_stream__")?;
    let pointer = pointer::<FFI_ArrowArrayStream>(&capsule, c"arrow_array_stream")?;
    // SAFETY: the capsule's name was checked, so it holds a valid stream, and it lives until the
    // end of this function; `from_raw` moves the stream out and leaves a released one behind, which
    // the capsule's destructor skips.
    let reader = unsafe { ArrayStreamReader::from_raw(pointer) }.map_err(broken)?;
    let data_type = reader.field().data_type().clone();
    let mut chunks: Vec<ArrayRef> = reader.collect::<Result<_, _>>().map_err(broken)?;
    if chunks.is_empty() {
        chunks.push(new_empty_array(&data_type));
    }
    Ok(chunks)
}

fn import_array(object: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    let pair = object.call_method0("__arrow_c_array__")?;
    let (schema_capsule, array_capsule): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
    let schema = pointer::<FFI_ArrowSchema>(&schema_capsule, c"arrow_schema")?;
    let array = pointer::<FFI_ArrowArray>(&array_capsule, c"arrow_array")?;
    // SAFETY: both names were checked and both capsules outlive this block. `from_raw` moves each
    // structure out and leaves a released one behind.
    let data = unsafe {
        let schema = FFI_ArrowSchema::from_raw(schema);
        from_ffi(FFI_ArrowArray::from_raw(array), &schema)
    };
    Ok(make_array(data.map_err(broken)?))
}

fn pointer<T>(capsule: &Bound<'_, PyAny>, name: &CStr) -> PyResult<*mut T> {
    let capsule = capsule.cast::<PyCapsule>()?;
    Ok(capsule.pointer_checked(Some(name))?.as_ptr().cast())
}

fn broken(error: arrow_schema::ArrowError) -> PyErr {
    invalid("data", &format!("cannot be read as Arrow data: {error}"))
}
