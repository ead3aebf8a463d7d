//! The binned table: panels of some fields each, row after row, one byte a value.
//!
//! Within a panel a row's bins are neighbours, so one row is added to the histograms of several
//! fields with one load of its gradient and no wait between additions to the same bin. Panels are
//! the pieces that threads take: histograms of different panels have nothing in common.

use super::bins::Field;

/// Fields of a panel, about.
const WIDTH: usize = 12;

/// Some fields of all rows.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    /// First field.
    pub(crate) first: usize,
    /// Number of fields.
    pub(crate) width: usize,
    /// Bins, row after row.
    pub(crate) bins: Vec<u8>,
    /// First slot of each field in a histogram, and the number of slots at the end.
    pub(crate) offsets: Vec<usize>,
}

impl Panel {
    /// Slots of a histogram.
    pub(crate) fn slots(&self) -> usize {
        self.offsets[self.width]
    }

    /// Bins of a row.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.bins[row * self.width..(row + 1) * self.width]
    }
}

/// Lays out `fields` and their columns of bins.
pub(crate) fn panels(fields: &[Field], columns: &[Vec<u8>]) -> Vec<Panel> {
    let least = if fields.len() < 8 { 1 } else { 2 };
    let count = fields.len().div_ceil(WIDTH).max(least);
    let width = fields.len().div_ceil(count).max(1);
    let groups = fields.chunks(width).zip(columns.chunks(width));
    groups
        .enumerate()
        .map(|(group, (fields, columns))| panel(group * width, fields, columns))
        .collect()
}

fn panel(first: usize, fields: &[Field], columns: &[Vec<u8>]) -> Panel {
    let width = fields.len();
    let rows = columns.first().map_or(0, Vec::len);
    let mut bins = vec![0; rows * width];
    for (place, column) in columns.iter().enumerate() {
        let own = bins.iter_mut().skip(place).step_by(width);
        own.zip(column).for_each(|(cell, bin)| *cell = *bin);
    }
    let mut offsets = vec![0];
    let mut end = 0;
    for field in fields {
        end += field.count + 1;
        offsets.push(end);
    }
    Panel {
        first,
        width,
        bins,
        offsets,
    }
}

/// The panel of a field and its place there.
pub(crate) fn find(panels: &[Panel], field: usize) -> (&Panel, usize) {
    let at = panels.partition_point(|panel| panel.first <= field) - 1;
    (&panels[at], field - panels[at].first)
}
