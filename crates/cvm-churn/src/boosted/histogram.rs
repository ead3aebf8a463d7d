//! Sums of rounded gradients and curvatures by bin.
//!
//! A row is added with one 64-bit addition: gradient in the upper half, curvature in the lower. Up
//! to [`BATCH`] rows neither half can overflow; then both move to 64 bits of their own. All sums are
//! integers: their order does not matter, and a sibling is its parent minus the other child.

use super::gradient::Entry;
use super::panel::Panel;

/// Rows whose packed sums fit: `65536 · 32767 < 2^31`, `65536 · 65535 < 2^32`.
const BATCH: usize = 65_536;

/// Sums by slot of a panel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    pub(crate) gradient: Vec<i64>,
    pub(crate) curvature: Vec<i64>,
}

impl Histogram {
    /// Sums over `entries`; `packed` is room to work in.
    pub(crate) fn fill(&mut self, panel: &Panel, entries: &[Entry], packed: &mut Vec<i64>) {
        let slots = panel.slots();
        for sums in [&mut self.gradient, &mut self.curvature] {
            sums.clear();
            sums.resize(slots, 0);
        }
        for batch in entries.chunks(BATCH) {
            packed.clear();
            packed.resize(slots, 0);
            add(panel, batch, packed);
            let sums = self.gradient.iter_mut().zip(&mut self.curvature);
            for ((gradient, curvature), sum) in sums.zip(&*packed) {
                let low = sum & 0xffff_ffff;
                *curvature += low;
                *gradient += (sum - low) >> 32;
            }
        }
    }

    /// Takes the sums of a part away.
    pub(crate) fn subtract(&mut self, part: &Histogram) {
        let take = |own: &mut [i64], part: &[i64]| {
            own.iter_mut()
                .zip(part)
                .for_each(|(own, part)| *own -= part);
        };
        take(&mut self.gradient, &part.gradient);
        take(&mut self.curvature, &part.curvature);
    }
}

fn add(panel: &Panel, entries: &[Entry], packed: &mut [i64]) {
    let offsets = &panel.offsets[..panel.width];
    for entry in entries {
        let sum = (i64::from(entry.gradient) << 32) + i64::from(entry.curvature);
        for (bin, offset) in panel.row(entry.row as usize).iter().zip(offsets) {
            packed[offset + usize::from(*bin)] += sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;
    use crate::boosted::gradient::Entry;
    use crate::boosted::panel::Panel;

    #[test]
    fn extremes_of_many_rows_do_not_overflow() {
        let rows = 3 * 65_536 + 5;
        let panel = Panel {
            first: 0,
            width: 1,
            bins: vec![0; rows],
            offsets: vec![0, 2],
        };
        let entries: Vec<Entry> = (0..rows as u32)
            .map(|row| Entry {
                row,
                gradient: if row % 7 == 0 { 32_767 } else { -32_767 },
                curvature: 65_535,
            })
            .collect();
        let mut histogram = Histogram::default();
        histogram.fill(&panel, &entries, &mut Vec::new());
        let (up, all) = ((rows as i64).div_euclid(7) + 1, rows as i64);
        assert_eq!(histogram.gradient, [32_767 * (2 * up - all), 0]);
        assert_eq!(histogram.curvature, [65_535 * all, 0]);
    }
}
