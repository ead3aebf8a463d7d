//! Owned tables: a batch with its own memory, for readers, decoders and probe rows.

use crate::{Batch, Column, InputError, TextColumn};
use ndarray::ArrayView1;
use std::collections::HashMap;

/// A column that owns its values.
#[derive(Debug, Clone, PartialEq)]
pub enum FrameColumn {
    /// Numbers; NaN is missing.
    Numbers(Vec<f64>),
    /// Text as codes into a dictionary; a negative code is missing.
    Text {
        /// Distinct strings.
        dictionary: Vec<String>,
        /// One code per row.
        codes: Vec<i32>,
    },
}

impl FrameColumn {
    /// A text column from optional strings, coded in order of first appearance.
    pub fn from_strings<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut dictionary: Vec<String> = Vec::new();
        let mut index: HashMap<&'a str, i32> = HashMap::new();
        let mut codes = Vec::new();
        for value in values {
            let code = value.map_or(-1, |text| {
                *index.entry(text).or_insert_with(|| {
                    dictionary.push(text.to_owned());
                    i32::try_from(dictionary.len() - 1).unwrap_or(i32::MAX)
                })
            });
            codes.push(code);
        }
        FrameColumn::Text { dictionary, codes }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            FrameColumn::Numbers(values) => values.len(),
            FrameColumn::Text { codes, .. } => codes.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A borrowed view.
    #[must_use]
    pub fn view(&self) -> Column<'_> {
        match self {
            FrameColumn::Numbers(values) => Column::Numbers(ArrayView1::from(values.as_slice())),
            FrameColumn::Text { dictionary, codes } => {
                Column::Text(TextColumn { dictionary, codes })
            }
        }
    }
}

/// A table that owns its columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    /// Number of rows.
    pub row_count: usize,
    /// Named columns in order.
    pub columns: Vec<(String, FrameColumn)>,
}

impl Frame {
    /// An empty table of `row_count` rows.
    #[must_use]
    pub fn new(row_count: usize) -> Self {
        Frame {
            row_count,
            columns: Vec::new(),
        }
    }

    /// Adds a column of numbers and returns the table.
    #[must_use]
    pub fn with_numbers(mut self, name: impl Into<String>, values: Vec<f64>) -> Self {
        self.columns
            .push((name.into(), FrameColumn::Numbers(values)));
        self
    }

    /// The column of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FrameColumn> {
        self.columns
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, column)| column)
    }

    /// A borrowed batch over all columns.
    ///
    /// # Errors
    /// As [`Batch::push`]: ragged columns, a name used twice, a code outside its dictionary.
    pub fn batch(&self) -> Result<Batch<'_>, InputError> {
        let mut batch = Batch::new(self.row_count);
        for (name, column) in &self.columns {
            batch.push(name, column.view())?;
        }
        Ok(batch)
    }
}
