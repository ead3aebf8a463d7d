//! Hard limits of format version 1, checked before memory is asked for.

/// Largest file, in bytes: 256 MiB.
pub const MAX_FILE_BYTES: usize = 256 * 1024 * 1024;
/// Most sections in a file.
pub const MAX_SECTIONS: usize = 16;
/// Largest JSON header, in bytes: 16 MiB.
pub const MAX_HEADER_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting of lists and objects in the header; the header object itself is level 1.
pub const MAX_HEADER_DEPTH: usize = 32;
/// Most JSON values (of any type) in the header.
pub const MAX_HEADER_VALUES: usize = 1_048_576;
/// Most model arrays.
pub const MAX_ARRAYS: usize = 65_536;
/// Most axes of an array.
pub const MAX_RANK: usize = 8;
/// Longest axis of an array: what fits into the largest file.
pub const MAX_AXIS: usize = MAX_FILE_BYTES / 8;
/// Most input fields, outputs, or probe columns; a row status names its field in 16 bits.
pub const MAX_COLUMNS: usize = 65_535;
/// Most probe rows.
pub const MAX_PROBE_ROWS: usize = 65_536;
/// Longest name of a kind, array, field or output, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 1_024;
