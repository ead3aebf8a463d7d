//! Probe rows: scored when a model is made, scored again when its file is opened.

use crate::{Error, score};
use cvm_artifact::Probe;
use cvm_core::{ErrorKind, Frame, RowCode, RowStatus, ScoreOptions, Scorer, Scores};
use std::cmp::Ordering;

/// Largest relative difference of a score from one of an older arithmetic: far above what better
/// rounding changes, far below what a wrong formula does.
const RELATIVE: f64 = 1e-9;
/// The same of arithmetics up to [`LAST_TRUSTING`]: their quadratures took two sums that agreed by chance
/// for an answer, off by 2e-6 at the worst that was found.
const RELATIVE_BY_CHANCE: f64 = 1e-5;
const LAST_TRUSTING: u32 = 3;
/// Absolute difference that is none: among the subnormals nothing is relative.
const ABSOLUTE: f64 = 1e-300;

/// No rows, under the arithmetic of this build.
pub(super) fn none() -> Probe {
    Probe {
        arithmetic: crate::ARITHMETIC,
        rows: Frame::new(0),
        options: ScoreOptions::default(),
        scores: Vec::new(),
        status: Vec::new(),
    }
}

/// Scores a model's own probe rows under the arithmetic of this build.
pub(super) fn make(scorer: &dyn Scorer) -> Result<Probe, Error> {
    let rows = scorer.probe_rows();
    let options = scorer.probe_options();
    let Scores {
        outputs,
        status,
        issues: _,
        reasons: _,
    } = score::score(scorer, &rows.batch()?, &options, 1)?;
    let scores = outputs
        .into_iter()
        .map(|(name, values)| (name.to_owned(), values))
        .collect();
    Ok(Probe {
        arithmetic: crate::ARITHMETIC,
        rows,
        options,
        scores,
        status,
    })
}

/// What a stored score must be to the score of this build.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Agreement {
    /// The same bits; any NaN is a NaN.
    EveryBit,
    /// Within so much relatively, or [`ABSOLUTE`]; infinities and NaN in the same places, but for rows
    /// that [`Agreement::learns`].
    Within(f64),
}

impl Agreement {
    /// With a file of an older arithmetic.
    fn with(written: u32) -> Agreement {
        Agreement::Within(if written <= LAST_TRUSTING {
            RELATIVE_BY_CHANCE
        } else {
            RELATIVE
        })
    }

    fn holds(self, got: f64, stored: f64) -> bool {
        if got.to_bits() == stored.to_bits() || (got.is_nan() && stored.is_nan()) {
            return true;
        }
        match self {
            Agreement::EveryBit => false,
            Agreement::Within(relative) if got.is_finite() && stored.is_finite() => {
                let difference = (got - stored).abs();
                difference <= relative * got.abs().max(stored.abs()) || difference <= ABSOLUTE
            }
            Agreement::Within(_) => false,
        }
    }

    /// Whether an older arithmetic called a row `undefined`, and blanked it, that has an answer: an
    /// infinite expectation (1), a sum that left the doubles (3).
    fn learns(self, got: RowStatus, stored: RowStatus) -> bool {
        let answered = matches!(got.code, RowCode::Ok | RowCode::Infinite);
        self != Agreement::EveryBit && answered && stored.code == RowCode::Undefined
    }

    fn in_words(self) -> String {
        match self {
            Agreement::EveryBit => "in every bit".to_owned(),
            Agreement::Within(relative) => format!("within {relative:e}"),
        }
    }
}

/// Re-scores the probe rows by a build of number `arithmetic`, and gives what is to be noted.
///
/// # Errors
/// `Incompatible` if the file's arithmetic is higher; `Corrupt` with the first cell that differs.
pub(super) fn check(
    scorer: &dyn Scorer,
    probe: &Probe,
    arithmetic: u32,
) -> Result<Vec<String>, Error> {
    let written = probe.arithmetic;
    match written.cmp(&arithmetic) {
        Ordering::Equal => {
            compare(scorer, probe, Agreement::EveryBit)?;
            Ok(Vec::new())
        }
        Ordering::Less => {
            let agreement = Agreement::with(written);
            compare(scorer, probe, agreement)?;
            let how = agreement.in_words();
            Ok(vec![format!(
                "written under arithmetic {written}, this build has {arithmetic}: probe scores \
                 agree {how}, not in every bit"
            )])
        }
        Ordering::Greater => {
            let message = format!(
                "the model was written under arithmetic {written}, this build has {arithmetic}: \
                 open it with a newer build"
            );
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

fn compare(scorer: &dyn Scorer, probe: &Probe, agreement: Agreement) -> Result<(), Error> {
    let mismatch = |detail: String| {
        let (how, number) = (agreement.in_words(), probe.arithmetic);
        let message = format!(
            "this build does not reproduce the model's stored probe scores (arithmetic {number}) \
             {how}: {detail}"
        );
        Error::new(ErrorKind::Corrupt, message)
    };
    // A kind may have learnt further outputs since: the file is held to those it knew.
    let mut options = probe.options.clone();
    if options.outputs.is_empty() {
        options.outputs = probe.scores.iter().map(|(name, _)| name.clone()).collect();
    }
    let fresh = score::score_aside(scorer, &probe.rows.batch()?, &options)?;
    match first_difference(&fresh, probe, agreement) {
        None => Ok(()),
        Some(detail) => Err(mismatch(detail)),
    }
}

/// The first row, column or cell that differs, in words.
fn first_difference(fresh: &Scores, probe: &Probe, agreement: Agreement) -> Option<String> {
    let statuses = || fresh.status.iter().zip(&probe.status);
    let learnt: Vec<bool> = statuses()
        .map(|(got, stored)| agreement.learns(*got, *stored))
        .collect();
    let mut same = statuses().zip(&learnt);
    let same = same.all(|((got, stored), learnt)| got == stored || *learnt);
    if !same || fresh.status.len() != probe.status.len() {
        return Some("row statuses differ".to_owned());
    }
    if fresh.outputs.len() != probe.scores.len() {
        let (got, want) = (fresh.outputs.len(), probe.scores.len());
        return Some(format!("{got} outputs, the file has {want}"));
    }
    let columns = || fresh.outputs.iter().zip(&probe.scores);
    let other_name = columns().find(|((name, _), (stored_name, _))| name != stored_name);
    if let Some(((name, _), (stored_name, _))) = other_name {
        return Some(format!("output `{name}`, the file has `{stored_name}`"));
    }
    columns().find_map(|((name, got), (_, stored))| {
        let detail = differing_cell(got, stored, &learnt, agreement)?;
        Some(format!("`{name}` {detail}"))
    })
}

fn differing_cell(
    got: &[f64],
    stored: &[f64],
    learnt: &[bool],
    agreement: Agreement,
) -> Option<String> {
    if got.len() != stored.len() {
        let (got, want) = (got.len(), stored.len());
        return Some(format!("has {got} rows, the file has {want}"));
    }
    let mut cells = got.iter().zip(stored).zip(learnt).enumerate();
    let differs = |got: f64, stored: f64, learnt: bool| !learnt && !agreement.holds(got, stored);
    let (row, ((got, stored), _)) =
        cells.find(|(_, ((got, stored), learnt))| differs(**got, **stored, **learnt))?;
    Some(format!(
        "of probe row {row} is {got:e}, the file has {stored:e}"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Agreement, RELATIVE};
    use crate::{ARITHMETIC, Error, ErrorKind, Model};
    use cvm_artifact::Artifact;
    use cvm_core::{RowCode, RowStatus};

    /// A model's artifact, to be written under another number or with other scores.
    fn artifact() -> Artifact {
        let params = [("r", 0.243), ("alpha", 4.414), ("a", 0.793), ("b", 2.426)];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        let model = crate::from_params("clv.bg_nbd", &params, None).expect("a model");
        let (artifact, _) = cvm_artifact::decode(&model.encode().expect("bytes")).expect("a file");
        artifact
    }

    /// Opens `artifact` as a build of number `arithmetic` would.
    fn open(artifact: &Artifact, arithmetic: u32) -> Result<Model, Error> {
        let bytes = cvm_artifact::encode(artifact).expect("bytes of an artifact");
        Model::open_under(&bytes, arithmetic)
    }

    /// A score that is finite and not 0.
    fn some_score(artifact: &mut Artifact) -> &mut f64 {
        let scores = artifact.probe.scores.iter_mut();
        let mut values = scores.flat_map(|(_, values)| values);
        let found = values.find(|value| value.is_finite() && **value != 0.0);
        found.expect("a score to change")
    }

    fn next_up(value: &mut f64) {
        *value = f64::from_bits(value.to_bits() + 1);
    }

    #[test]
    fn the_same_arithmetic_is_held_to_every_bit() {
        let mut artifact = artifact();
        assert_eq!(artifact.probe.arithmetic, ARITHMETIC);
        let model = open(&artifact, ARITHMETIC).expect("its own file");
        assert!(model.notes().is_empty());
        next_up(some_score(&mut artifact));
        let error = open(&artifact, ARITHMETIC).expect_err("one bit is off");
        assert_eq!(error.kind, ErrorKind::Corrupt);
        assert!(error.message.contains("in every bit: `"), "{error}");
    }

    #[test]
    fn a_lower_arithmetic_is_held_to_closeness_and_noted() {
        let newer = ARITHMETIC + 1;
        let mut artifact = artifact();
        *some_score(&mut artifact) *= 1.0 + 9e-10;
        let model = open(&artifact, newer).expect("close enough");
        let note = format!(
            "written under arithmetic {ARITHMETIC}, this build has {newer}: probe scores agree \
             within 1e-9, not in every bit"
        );
        assert_eq!(model.notes(), [note.as_str()]);
        let (notes, bytes) = (model.notes().to_vec(), model.encode().expect("bytes"));
        assert_eq!(
            bytes,
            cvm_artifact::encode(&artifact).expect("the same bytes")
        );
        let renamed = model
            .with_metadata(serde_json::Map::new())
            .expect("a model");
        assert_eq!(renamed.notes(), notes);

        *some_score(&mut artifact) *= 1.0 + 2e-10;
        let error = open(&artifact, newer).expect_err("1.1e-9 is too far");
        assert_eq!(error.kind, ErrorKind::Corrupt);
        assert!(error.message.contains("within 1e-9: `"), "{error}");
    }

    #[test]
    fn a_lower_arithmetic_keeps_its_statuses_and_its_gaps() {
        let newer = ARITHMETIC + 1;
        let mut gap = artifact();
        *some_score(&mut gap) = f64::NAN;
        assert_eq!(
            open(&gap, newer).expect_err("a gap").kind,
            ErrorKind::Corrupt
        );
        let mut status = artifact();
        status.probe.status.reverse();
        assert_ne!(status.probe.status, artifact().probe.status);
        let error = open(&status, newer).expect_err("other statuses");
        assert!(error.message.contains("row statuses differ"), "{error}");
    }

    #[test]
    fn one_that_trusted_chance_is_held_to_less_and_may_have_lacked_answers() {
        let mut artifact = artifact();
        artifact.probe.arithmetic = 3;
        *some_score(&mut artifact) *= 1.0 + 9e-6;
        let scored = artifact
            .probe
            .status
            .iter()
            .position(|status| status.is_ok());
        let row = scored.expect("a row with scores");
        let blank = |artifact: &mut Artifact, code| {
            artifact.probe.status[row] = RowStatus::bad(code, 0);
            for (_, values) in &mut artifact.probe.scores {
                values[row] = f64::NAN;
            }
        };
        blank(&mut artifact, RowCode::Undefined);
        let model = open(&artifact, ARITHMETIC).expect("close enough");
        assert!(
            model.notes()[0].contains("agree within 1e-5,"),
            "{:?}",
            model.notes()
        );
        blank(&mut artifact, RowCode::Missing);
        let error = open(&artifact, ARITHMETIC).expect_err("another status");
        assert!(error.message.contains("row statuses differ"), "{error}");
    }

    #[test]
    fn a_higher_arithmetic_is_refused_with_both_numbers() {
        let mut artifact = artifact();
        artifact.probe.arithmetic = 7_654;
        let error = open(&artifact, ARITHMETIC).expect_err("from the future");
        assert_eq!(error.kind, ErrorKind::Incompatible);
        let numbers = format!("under arithmetic 7654, this build has {ARITHMETIC}:");
        assert!(error.message.contains(&numbers), "{error}");
    }

    #[test]
    fn closeness_knows_infinities_zeros_and_subnormals() {
        let close = |got, stored| Agreement::Within(RELATIVE).holds(got, stored);
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert!(close(inf, inf) && close(-inf, -inf) && close(nan, -nan));
        assert!(!close(inf, -inf) && !close(inf, f64::MAX) && !close(1.0, nan));
        assert!(close(0.0, -0.0) && close(0.0, 5e-324) && close(-1e-301, 1e-301));
        assert!(!close(0.0, 1e-290) && !close(1.0, -1.0));
        assert!(close(1e300, 1e300 * (1.0 + 1e-10)) && !close(1e300, 1e300 * (1.0 + 1e-8)));
        let every_bit = |got, stored| Agreement::EveryBit.holds(got, stored);
        assert!(every_bit(nan, -nan) && !every_bit(0.0, -0.0));
    }

    #[test]
    fn a_model_prints_its_name_not_its_tables() {
        let artifact = artifact();
        let model = open(&artifact, ARITHMETIC).expect("its own file");
        let text = format!("{model:?}");
        let fingerprint = model.fingerprint().to_string();
        assert!(
            text.contains("clv.bg_nbd") && text.contains(&fingerprint),
            "{text}"
        );
        assert!(text.len() < 200, "{text}");
        assert!(format!("{:?}", model.scorer()).len() < 2_000);
    }
}
