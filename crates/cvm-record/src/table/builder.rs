//! A column of a frame while it grows.

use crate::pool::TextPool;
use crate::{ColumnKind, RecordError};
use cvm_core::FrameColumn;

/// Values so far, text by code.
#[derive(Debug)]
pub(super) enum ColumnBuilder {
    Numbers(Vec<f64>),
    Text { pool: TextPool, codes: Vec<i32> },
}

impl ColumnBuilder {
    pub(super) fn new(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Number => ColumnBuilder::Numbers(Vec::new()),
            ColumnKind::Text => ColumnBuilder::Text {
                pool: TextPool::default(),
                codes: Vec::new(),
            },
        }
    }

    /// Appends a column of the same kind, called `name` in messages.
    pub(super) fn append(&mut self, name: &str, column: FrameColumn) -> Result<(), RecordError> {
        match (self, column) {
            (ColumnBuilder::Numbers(all), FrameColumn::Numbers(values)) => all.extend(values),
            (ColumnBuilder::Text { pool, codes: all }, FrameColumn::Text { dictionary, codes }) => {
                let recode = dictionary
                    .iter()
                    .map(|text| pool.insert(text, name).map(u32::cast_signed))
                    .collect::<Result<Vec<i32>, RecordError>>()?;
                let new = |code: i32| usize::try_from(code).ok().and_then(|at| recode.get(at));
                all.extend(
                    codes
                        .into_iter()
                        .map(|code| new(code).copied().unwrap_or(-1)),
                );
            }
            _ => {
                return Err(RecordError::malformed(
                    name,
                    "table",
                    "a column changed its type",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> FrameColumn {
        match self {
            ColumnBuilder::Numbers(values) => FrameColumn::Numbers(values),
            ColumnBuilder::Text { pool, codes } => FrameColumn::Text {
                dictionary: pool.to_strings(),
                codes,
            },
        }
    }
}
