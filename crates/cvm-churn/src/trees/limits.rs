//! Hard limits of tree models, checked before memory is asked for.

/// Most nodes of all trees together.
pub const MAX_NODES: usize = 8_000_000;
/// Most trees.
pub const MAX_TREES: usize = 1_000_000;
/// Deepest leaf.
pub const MAX_DEPTH: usize = 2_048;
/// Deepest oblivious tree: it has `2^depth` leaves.
pub const MAX_OBLIVIOUS_DEPTH: usize = 16;
/// Most classes of a multi-class model.
pub const MAX_CLASSES: usize = 32;
/// Most input fields; a row status names its field in 16 bits.
pub const MAX_FIELDS: usize = 65_535;
/// Most 32-bit words of all category sets together: a set takes as many as its largest member needs.
pub const MAX_SET_WORDS: usize = 1 << 24;
/// Most values (numbers, texts, lists) of a JSON or UBJ document an importer reads.
pub const MAX_DOCUMENT_VALUES: usize = 1 << 25;
/// Largest model text or document an importer reads, in bytes.
pub const MAX_IMPORT_BYTES: usize = 256 << 20;
