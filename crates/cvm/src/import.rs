//! Models of other libraries: read from their files, and certified against the library itself.

use crate::{Error, Model, catalog, import_calibrated};
use cvm_churn::trees::import::{self, ImportError};
use cvm_churn::trees::{TreeEnsemble, limits};
use cvm_core::{Array, ErrorKind, ModelState, Scorer, Violation};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub use cvm_churn::trees::import::{FORMATS, ImportOptions};
pub use limits::MAX_IMPORT_BYTES;

/// Format of [`LogisticDocument`].
const LOGISTIC: &str = "logistic";
/// Kind of linear models. Their library adds terms in the order its BLAS likes, so they are equal to
/// rounding, not in every bit.
pub(crate) const LINEAR_KIND: &str = "churn.logistic";
/// Most that a logit or probability `x` of a linear model may differ by, as a share of `1 + |x|`.
const LINEAR_ERROR: f64 = 1e-11;
/// Key of the training facts that tell where a model came from.
pub(crate) const IMPORTED: &str = "imported";
/// Key of the training facts that tell how the original library was compared with.
const PARITY: &str = "parity";
/// Units in the last place that an answer computed with `exp` may differ by. On glibc there is no
/// difference; elsewhere a library's `exp` and the one repeated here each round once.
const MOST_ULPS: u64 = 4;
/// The same of shares of several classes: `e^(raw − largest)` multiplies the rounding of its argument.
const MOST_ULPS_OF_SHARES: u64 = 16;

/// Reads a model file of another library; `format` is one of [`FORMATS`].
///
/// The model scores as that library does, or is refused: a key, version, objective or split that
/// this build does not know is an error that names it. Nothing but the file is known here, so the
/// model is not yet compared with the library: see [`Model::certify`].
///
/// # Errors
/// `InvalidInput` for bytes that are no such file and options that cannot be used; `Incompatible`
/// for a sound file that cannot be scored exactly.
pub fn import(format: &str, bytes: &[u8], options: &ImportOptions) -> Result<Model, Error> {
    if format == LOGISTIC {
        return import_logistic(bytes);
    }
    if format == import_calibrated::FORMAT {
        return import_calibrated::import(bytes, options);
    }
    let read = import::read(format, bytes, options)?;
    let scorer: Box<dyn Scorer> = Box::new(TreeEnsemble::new(read.ensemble)?);
    let mut training = Map::new();
    training.insert(IMPORTED.to_owned(), Value::Object(read.facts));
    Model::new(scorer, training, Vec::new())
}

/// A logistic model as the Python package writes it for scikit-learn: the state of `churn.logistic`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogisticDocument {
    document: String,
    settings: Map<String, Value>,
    arrays: BTreeMap<String, Vec<f64>>,
    training: Map<String, Value>,
}

fn import_logistic(bytes: &[u8]) -> Result<Model, Error> {
    let wrong = |why: String| Error::invalid("model", format!("is no logistic document: {why}"));
    if bytes.len() > MAX_IMPORT_BYTES {
        return Err(wrong(format!("it has {} bytes", bytes.len())));
    }
    let read: LogisticDocument =
        serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    if read.document != "cvm logistic 1" {
        return Err(wrong(format!("it says it is `{}`", read.document)));
    }
    let entry = catalog::entry(LINEAR_KIND)?;
    let mut state = ModelState::new(LINEAR_KIND);
    state.settings = read.settings;
    let arrays = read.arrays.into_iter();
    state.arrays = arrays
        .map(|(name, values)| Array::vector(name, values))
        .collect();
    let scorer = (entry.open)(&state).map_err(|error| wrong(error.to_string()))?;
    Model::new(scorer, read.training, Vec::new())
}

impl From<ImportError> for Error {
    fn from(error: ImportError) -> Self {
        let kind = error.kind();
        let message = error.to_string();
        let violations = match error {
            ImportError::Option { name, problem } => vec![Violation {
                field: format!("options.{name}"),
                description: problem,
            }],
            _ => Vec::new(),
        };
        Error {
            kind,
            message,
            violations,
        }
    }
}

/// Scores of the original library on a model's probe rows.
#[derive(Debug, Clone, PartialEq)]
pub struct OriginalScores {
    /// Name and version of the library.
    pub library: String,
    /// Output columns by the model's names, one value per probe row; a row that the library
    /// refuses is NaN.
    pub outputs: Vec<(String, Vec<f64>)>,
}

/// What a comparison found.
struct Comparison {
    rows: usize,
    worst_ulps: u64,
    answers_equal: usize,
    answers: usize,
}

impl Model {
    /// The model with the fact that the original library gives its scores on every probe row: raw
    /// scores in every bit, answers within a few units in the last place where `exp` is involved (on
    /// Linux with glibc they are equal: the file tells how many were).
    ///
    /// # Errors
    /// `Incompatible` with the first row that differs: such a model must not be used.
    pub fn certify(self, original: &OriginalScores) -> Result<Model, Error> {
        let probe = self.probe();
        let status = &probe.status;
        let mut found = Comparison {
            rows: status.iter().filter(|status| status.is_ok()).count(),
            worst_ulps: 0,
            answers_equal: 0,
            answers: 0,
        };
        let is_narrow =
            self.settings().get("rules").and_then(|r| r.get("sum")) == Some(&json!("f32"));
        let is_linear = self.kind() == LINEAR_KIND || import_calibrated::has_linear(&self);
        let is_shares = probe.scores.len() > 2;
        let most_ulps = if is_shares {
            MOST_ULPS_OF_SHARES
        } else {
            MOST_ULPS
        };
        for (name, values) in &probe.scores {
            let theirs = original.outputs.iter().find(|(own, _)| own == name);
            let theirs = theirs.map(|(_, values)| values.as_slice()).ok_or_else(|| {
                Error::invalid("outputs", format!("lack `{name}` of the original library"))
            })?;
            if theirs.len() != values.len() {
                let (got, want) = (theirs.len(), values.len());
                return Err(Error::invalid(
                    format!("outputs.{name}"),
                    format!("has {got} rows, expected {want}"),
                ));
            }
            let cells = values.iter().zip(theirs).zip(status).enumerate();
            for (row, ((own, theirs), _)) in cells.filter(|(_, (_, status))| status.is_ok()) {
                let ulps = ulps(*own, *theirs, is_narrow);
                let is_raw = name.ends_with("raw_score");
                let fits = match is_linear {
                    true => (own - theirs).abs() <= LINEAR_ERROR * (1.0 + theirs.abs()),
                    false => ulps <= if is_raw { 0 } else { most_ulps },
                };
                if !fits {
                    return Err(mismatch(&original.library, name, row, *own, *theirs));
                }
                if !is_raw {
                    found.answers += 1;
                    found.answers_equal += usize::from(ulps == 0);
                    found.worst_ulps = found.worst_ulps.max(ulps);
                }
            }
        }
        self.with_training_fact(PARITY, facts(original, &found))
    }
}

fn facts(original: &OriginalScores, found: &Comparison) -> Value {
    json!({
        "library": original.library,
        "rows": found.rows,
        "raw_score_mismatches": 0,
        "answers": found.answers,
        "answers_equal_in_every_bit": found.answers_equal,
        "answers_worst_ulps": found.worst_ulps,
    })
}

/// Distance in units in the last place, of floats if `is_narrow`; zeros of either sign are one.
fn ulps(a: f64, b: f64, is_narrow: bool) -> u64 {
    if a.is_nan() || b.is_nan() {
        return u64::MAX;
    }
    let order = |x: f64| {
        let bits = if is_narrow {
            i64::from((x as f32).to_bits() as i32)
        } else {
            x.to_bits() as i64
        };
        let floor = if is_narrow {
            i64::from(i32::MIN)
        } else {
            i64::MIN
        };
        if bits < 0 {
            floor.wrapping_sub(bits)
        } else {
            bits
        }
    };
    let exact = !is_narrow || (f64::from(a as f32) == a && f64::from(b as f32) == b);
    if exact || a == b {
        return order(a).abs_diff(order(b));
    }
    u64::MAX
}

fn mismatch(library: &str, name: &str, row: usize, own: f64, theirs: f64) -> Error {
    let message = format!(
        "the imported model does not give the scores of {library}: `{name}` of probe row {row} is \
         {own:?}, the library says {theirs:?}; the model is refused, please report it"
    );
    Error::new(ErrorKind::Incompatible, message)
}

#[cfg(test)]
mod tests {
    use super::ulps;

    #[test]
    fn distances_are_counted_in_the_width_of_the_library() {
        assert_eq!(ulps(1.0, 1.0_f64.next_up(), false), 1);
        assert_eq!(ulps(0.0, -0.0, false), 0);
        assert_eq!(ulps(5e-324, -5e-324, false), 2);
        let next = f64::from(1.0_f32.next_up());
        assert_eq!(ulps(1.0, next, true), 1);
        assert_eq!(ulps(1.0, 1.0_f64.next_up(), true), u64::MAX);
        assert_eq!(ulps(f64::NAN, 1.0, false), u64::MAX);
        assert_eq!(ulps(f64::NAN, f64::NAN, false), u64::MAX);
    }
}
