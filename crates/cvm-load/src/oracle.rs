//! Requests with the answers they must get, scored in this process from the model files.

use crate::plan::Mix;
use bytes::Bytes;
use cvm::{Frame, FrameColumn, Model, RowCode, ScoreOptions};
use cvm_proto::{Encoding, ModelName, ScoreAnswer, ScoreJob, v1 as pb};
use prost::Message;
use std::collections::HashMap;

/// Different requests of each size.
const VARIANTS: usize = 16;

/// A request as it goes out, and what must come back from each model.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) bytes: Bytes,
    pub(crate) rows: usize,
    /// By fingerprint.
    right: HashMap<String, Right>,
}

/// A right answer: columns in order in every bit, and statuses (none if every row is fine).
#[derive(Debug, PartialEq)]
struct Right {
    outputs: Vec<(String, Vec<u64>)>,
    statuses: Vec<RowCode>,
}

/// The requests of a run.
#[derive(Debug)]
pub struct Oracle {
    /// By size, in the order of the mix.
    questions: Vec<Vec<Question>>,
}

impl Oracle {
    /// Requests of the sizes of `mix` for the model called `name`, of rows that the first of `models`
    /// has in its file as probe rows. Any of `models` may answer, each with its own scores: several are
    /// there when a run swaps them.
    ///
    /// # Errors
    /// No model, a model without a row that can be scored, or scores that cannot be computed.
    pub fn new(
        models: &[Model],
        name: &str,
        options: &ScoreOptions,
        encoding: Encoding,
        mix: &Mix,
    ) -> Result<Oracle, cvm::Error> {
        let first = models
            .first()
            .ok_or_else(|| cvm::Error::invalid("models", "at least one is required"))?;
        let name: ModelName = name.parse().map_err(|error: cvm_proto::ConvertError| {
            cvm::Error::invalid("model", error.to_string())
        })?;
        let rows = Rows::of(first)?;
        let question = |size: usize, variant: usize| {
            let frame = rows.frame(size, variant * 7);
            let right = models.iter().map(|model| {
                let right = right(model, &frame, options)?;
                Ok((model.fingerprint().to_string(), right))
            });
            let right = right.collect::<Result<_, cvm::Error>>()?;
            let job = ScoreJob {
                model: name.clone(),
                frame,
                options: options.clone(),
                encoding,
                row_keys: Vec::new(),
                request_id: String::new(),
            };
            let bytes = pb::ScoreRequest::from(job).encode_to_vec().into();
            Ok(Question {
                bytes,
                rows: size,
                right,
            })
        };
        let sizes = mix.sizes().map(|size| {
            (0..VARIANTS)
                .map(|variant| question(size, variant))
                .collect()
        });
        let questions = sizes.collect::<Result<_, cvm::Error>>()?;
        Ok(Oracle { questions })
    }

    /// A request of the size at `place`.
    pub(crate) fn question(&self, place: usize, chance: u64) -> Option<&Question> {
        let all = self.questions.get(place)?;
        let variant = usize::try_from(chance % VARIANTS as u64).unwrap_or(0);
        all.get(variant)
    }
}

fn right(model: &Model, frame: &Frame, options: &ScoreOptions) -> Result<Right, cvm::Error> {
    let batch = frame.batch().map_err(cvm::Error::from)?;
    let scores = model.score(&batch, options)?;
    let outputs = scores.outputs.iter();
    let fine = scores.status.iter().all(|status| status.is_ok());
    let codes = scores.status.iter().map(|status| status.code);
    Ok(Right {
        outputs: outputs
            .map(|(name, values)| ((*name).to_owned(), bits(values)))
            .collect(),
        statuses: if fine { Vec::new() } else { codes.collect() },
    })
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

impl Question {
    /// # Errors
    /// Where the answer differs from what it must be.
    pub(crate) fn check(&self, answer: pb::ScoreResponse) -> Result<(), String> {
        let answer = ScoreAnswer::try_from(answer).map_err(|error| error.to_string())?;
        let fingerprint = &answer.model.fingerprint;
        let Some(right) = self.right.get(fingerprint) else {
            return Err(format!(
                "a model with fingerprint {fingerprint} answered, none of ours"
            ));
        };
        let outputs = answer.outputs.iter();
        let got = Right {
            outputs: outputs
                .map(|column| (column.name.clone(), bits(&column.values)))
                .collect(),
            statuses: answer.statuses,
        };
        match got == *right {
            true => Ok(()),
            false => Err(difference(&got, right)),
        }
    }
}

fn difference(got: &Right, right: &Right) -> String {
    let names = |side: &Right| {
        side.outputs
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    if names(got) != names(right) {
        return format!("columns {:?} instead of {:?}", names(got), names(right));
    }
    let columns = got.outputs.iter().zip(&right.outputs);
    for ((name, got), (_, right)) in columns {
        let pairs = got.iter().zip(right).enumerate();
        if let Some((row, (got, right))) = pairs.into_iter().find(|(_, (got, right))| got != right)
        {
            let [got, right] = [got, right].map(|bits| f64::from_bits(*bits));
            return format!("{name} of row {row} is {got:?}, not {right:?}");
        }
        if got.len() != right.len() {
            return format!("{name} has {} values, not {}", got.len(), right.len());
        }
    }
    format!(
        "statuses {:?} instead of {:?}",
        got.statuses, right.statuses
    )
}

/// Probe rows that are scored.
struct Rows<'a> {
    frame: &'a Frame,
    fine: Vec<usize>,
}

impl Rows<'_> {
    fn of(model: &Model) -> Result<Rows<'_>, cvm::Error> {
        let probe = model.probe();
        let fine = |(row, status): (usize, &cvm::RowStatus)| status.is_ok().then_some(row);
        let fine: Vec<usize> = probe.status.iter().enumerate().filter_map(fine).collect();
        match fine.is_empty() {
            true => Err(cvm::Error::invalid(
                "models",
                "no probe row of the file is scored",
            )),
            false => Ok(Rows {
                frame: &probe.rows,
                fine,
            }),
        }
    }

    /// `size` of them from the place `from` on, again and again.
    fn frame(&self, size: usize, from: usize) -> Frame {
        let places = self.fine.iter().cycle().skip(from % self.fine.len());
        let places: Vec<usize> = places.take(size).copied().collect();
        let columns = self.frame.columns.iter().map(|(name, column)| {
            let column = match column {
                FrameColumn::Numbers(values) => FrameColumn::Numbers(picked(values, &places)),
                FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                    dictionary: dictionary.clone(),
                    codes: picked(codes, &places),
                },
            };
            (name.clone(), column)
        });
        Frame {
            row_count: size,
            columns: columns.collect(),
        }
    }
}

fn picked<T: Copy>(values: &[T], places: &[usize]) -> Vec<T> {
    places
        .iter()
        .filter_map(|row| values.get(*row).copied())
        .collect()
}
