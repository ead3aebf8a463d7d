//! Rows of tables and of scores: blocks of them, some of them, and many parts as one whole.

use cvm::{Batch, Column, Frame, FrameColumn, RowIssue, RowStatus, Scores, TextColumn};
use std::ops::Range;

/// A block of a frame's rows; nothing is copied.
pub(crate) fn block(frame: &Frame, rows: Range<usize>) -> Result<Batch<'_>, cvm::Error> {
    let mut batch = Batch::new(rows.len());
    for (name, column) in &frame.columns {
        match column {
            FrameColumn::Numbers(values) => {
                let values = values.get(rows.clone()).unwrap_or_default();
                batch.push_numbers(name, values)?;
            }
            FrameColumn::Text { dictionary, codes } => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                batch.push(name, Column::Text(TextColumn { dictionary, codes }))?;
            }
        }
    }
    Ok(batch)
}

/// Some rows of a frame, in the order of `places`.
pub(crate) fn take(frame: &Frame, places: &[usize]) -> Frame {
    let columns = frame.columns.iter().map(|(name, column)| {
        let column = match column {
            FrameColumn::Numbers(values) => FrameColumn::Numbers(picked(values, places)),
            FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                dictionary: dictionary.clone(),
                codes: picked(codes, places),
            },
        };
        (name.clone(), column)
    });
    Frame {
        row_count: places.len(),
        columns: columns.collect(),
    }
}

fn picked<T: Copy>(values: &[T], places: &[usize]) -> Vec<T> {
    let picked = places.iter().filter_map(|row| values.get(*row).copied());
    picked.collect()
}

/// Scores of blocks put one after the other.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) begun: bool,
    pub(crate) scores: Scores,
}

impl Default for Gathered {
    fn default() -> Self {
        Gathered {
            begun: false,
            scores: none(),
        }
    }
}

/// Scores of no rows.
fn none() -> Scores {
    Scores {
        outputs: Vec::new(),
        status: Vec::new(),
        issues: Vec::new(),
        reasons: None,
    }
}

impl Gathered {
    /// Adds the scores of the rows from `first_row` on.
    pub(crate) fn push(&mut self, scores: Scores, first_row: usize) {
        if !self.begun {
            self.begun = true;
            self.scores = scores;
            return;
        }
        let Scores {
            outputs,
            status,
            issues,
            reasons,
        } = scores;
        let all = &mut self.scores;
        for ((_, all), (_, more)) in all.outputs.iter_mut().zip(outputs) {
            all.extend(more);
        }
        all.status.extend(status);
        let room = Scores::MAX_ISSUES.saturating_sub(all.issues.len());
        let issues = issues.into_iter().take(room);
        all.issues.extend(issues.map(|issue| {
            let row = issue.row + first_row;
            moved(issue, row)
        }));
        if let (Some(all), Some(more)) = (&mut all.reasons, reasons) {
            all.rows.extend(more.rows);
        }
    }
}

/// The same issue told of another row.
fn moved(issue: RowIssue, row: usize) -> RowIssue {
    let own = format!("row {}: ", issue.row);
    let message = match issue.message.strip_prefix(&own) {
        Some(rest) => format!("row {row}: {rest}"),
        None => issue.message,
    };
    RowIssue {
        row,
        message,
        ..issue
    }
}

/// Puts the scores of parts, each with the places of its rows, into the order of the whole; with
/// them the number of each row's part.
///
/// # Errors
/// Parts with different outputs, or places that are not those of a whole: a defect.
pub(crate) fn merge(parts: Vec<(Vec<usize>, Scores)>) -> Result<(Scores, Vec<u32>), String> {
    let row_count = parts.iter().map(|(places, _)| places.len()).sum();
    let mut owners = vec![u32::MAX; row_count];
    let mut whole = none();
    if let Some((_, first)) = parts.first() {
        let columns = first.outputs.iter();
        whole.outputs = columns
            .map(|(name, _)| (*name, vec![f64::NAN; row_count]))
            .collect();
        whole.reasons = first.reasons.as_ref().map(|reasons| cvm::Reasons {
            method: reasons.method.clone(),
            rows: vec![Vec::new(); row_count],
        });
    }
    whole.status = vec![RowStatus::OK; row_count];
    for (number, (places, scores)) in (0_u32..).zip(parts) {
        scatter(&mut owners, &places, std::iter::repeat(number))?;
        place(&mut whole, &places, scores)?;
    }
    whole.issues.sort_by_key(|issue| issue.row);
    whole.issues.truncate(Scores::MAX_ISSUES);
    match owners.contains(&u32::MAX) {
        true => Err("rows that no part has".to_owned()),
        false => Ok((whole, owners)),
    }
}

fn place(whole: &mut Scores, places: &[usize], part: Scores) -> Result<(), String> {
    let names = |scores: &Scores| scores.outputs.iter().map(|(n, _)| *n).collect::<Vec<_>>();
    if names(whole) != names(&part) {
        return Err("versions of a split answer with different outputs".to_owned());
    }
    for ((_, all), (_, own)) in whole.outputs.iter_mut().zip(part.outputs) {
        scatter(all, places, own)?;
    }
    scatter(&mut whole.status, places, part.status)?;
    if let (Some(all), Some(own)) = (&mut whole.reasons, part.reasons) {
        scatter(&mut all.rows, places, own.rows)?;
    }
    let issues = part.issues.into_iter().filter_map(|issue| {
        let row = *places.get(issue.row)?;
        Some(moved(issue, row))
    });
    whole.issues.extend(issues);
    Ok(())
}

fn scatter<T>(
    all: &mut [T],
    places: &[usize],
    own: impl IntoIterator<Item = T>,
) -> Result<(), String> {
    for (place, value) in places.iter().zip(own) {
        *all.get_mut(*place).ok_or("a row beyond the request")? = value;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Gathered, block, merge, take};
    use cvm::{Frame, FrameColumn, RowCode, Scores};

    fn frame(rows: usize) -> Frame {
        let numbers = |scale: f64| (0..rows).map(|row| row as f64 * scale).collect();
        let text = (0..rows).map(|row| if row % 3 == 0 { None } else { Some("x") });
        let mut frame = Frame::new(rows)
            .with_numbers(
                "frequency",
                (0..rows).map(|row| (row % 4) as f64 - 1.0).collect(),
            )
            .with_numbers("recency", numbers(0.0))
            .with_numbers("T", numbers(1.0));
        frame
            .columns
            .push(("word".to_owned(), FrameColumn::from_strings(text)));
        frame
    }

    fn model() -> &'static cvm::Model {
        static MODEL: std::sync::OnceLock<cvm::Model> = std::sync::OnceLock::new();
        MODEL.get_or_init(make)
    }

    fn make() -> cvm::Model {
        let params = [
            ("r", 0.2426),
            ("alpha", 4.4136),
            ("a", 0.7929),
            ("b", 2.4259),
        ];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        cvm::from_params("clv.bg_nbd", &params, None).unwrap()
    }

    fn score(frame: &Frame, options: &cvm::ScoreOptions) -> Scores {
        model().score(&frame.batch().unwrap(), options).unwrap()
    }

    fn same(left: &Scores, right: &Scores) {
        let bits = |scores: &Scores| -> Vec<Vec<u64>> {
            let columns = scores.outputs.iter();
            columns
                .map(|(_, values)| values.iter().map(|v| v.to_bits()).collect())
                .collect()
        };
        assert_eq!(bits(left), bits(right));
        assert_eq!((&left.status, &left.issues), (&right.status, &right.issues));
        assert_eq!(left.reasons, right.reasons);
        assert!(
            left.status.iter().any(|s| s.code != RowCode::Ok),
            "no bad row to move"
        );
    }

    #[test]
    fn blocks_one_after_the_other_are_the_whole_bit_for_bit() {
        let (whole, options) = (frame(700), cvm::ScoreOptions::default());
        let want = score(&whole, &options);
        for size in [1, 7, 128, 699, 700] {
            let mut gathered = Gathered::default();
            for start in (0..700).step_by(size) {
                let batch = block(&whole, start..700.min(start + size)).unwrap();
                gathered.push(model().score(&batch, &options).unwrap(), start);
            }
            same(&gathered.scores, &want);
        }
    }

    #[test]
    fn parts_in_any_order_are_the_whole_bit_for_bit() {
        let (whole, options) = (frame(300), cvm::ScoreOptions::default());
        let want = score(&whole, &options);
        let places = |owner: usize| {
            (0..300)
                .filter(|row| row * 7 % 3 == owner)
                .collect::<Vec<_>>()
        };
        let parts = [0, 1, 2].map(|owner| {
            let places = places(owner);
            let scores = score(&take(&whole, &places), &options);
            (places, scores)
        });
        let (merged, owners) = merge(parts.to_vec()).unwrap();
        same(&merged, &want);
        assert!(
            owners
                .iter()
                .enumerate()
                .all(|(row, own)| row * 7 % 3 == *own as usize)
        );
        let mut short = parts.to_vec();
        short[0].0.pop();
        assert!(merge(short).is_err());
    }
}
