//! `ReplayScore`: a prediction computed again by the version that made it.

use crate::admission::Asker;
use crate::plane::Plane;
use crate::registry::{Registry, Served};
use crate::work::column;
use cvm::audit::{AuditRecord, Difference, Expected, Replay};
use cvm::{Frame, ScoreOptions, Scores};
use cvm_proto::admin::v1 as pb;
use cvm_proto::{ConvertError, Encoding, Reason, Refusal, ScoreAnswer, ScoreJob, v1};
use std::sync::Arc;

/// What is to be computed, by whom, and what it was.
struct Prediction {
    fingerprint: String,
    frame: Frame,
    options: ScoreOptions,
    expected: Option<Expected>,
}

/// Computes a prediction again and compares.
pub(super) async fn replay(
    plane: &Plane,
    request: pb::ReplayScoreRequest,
    asker: &Asker,
) -> Result<pb::ReplayScoreResponse, Refusal> {
    let claimed = request.frame.as_ref().map_or(0, |frame| frame.row_count);
    plane.check_rows("frame.row_count", claimed.into())?;
    let Prediction {
        fingerprint,
        frame,
        options,
        expected,
    } = prediction(request)?;
    let rows = i64::try_from(frame.row_count).unwrap_or(i64::MAX);
    plane.check_rows("record", rows)?;
    let served = found(&plane.registry, &fingerprint)?;
    let scores = plane.scores(Arc::clone(&served), Arc::new(frame), options, asker);
    let scores = scores.await?;
    let replay = expected.map_or_else(Replay::default, |expected| expected.compare(&scores));
    Ok(response(&served, scores, replay))
}

fn prediction(request: pb::ReplayScoreRequest) -> Result<Prediction, Refusal> {
    match request.record.is_empty() {
        true => of_parts(request),
        false => of_record(request),
    }
}

fn of_record(request: pb::ReplayScoreRequest) -> Result<Prediction, Refusal> {
    let pb::ReplayScoreRequest {
        record,
        frame,
        fingerprint,
        options,
        outputs,
        row_statuses,
    } = request;
    let parts = [
        (!fingerprint.is_empty(), "fingerprint"),
        (options.is_some(), "options"),
        (!outputs.is_empty(), "outputs"),
        (!row_statuses.is_empty(), "row_statuses"),
    ];
    if let Some((_, field)) = parts.into_iter().find(|(given, _)| *given) {
        return Err(wrong(field, "must be unset beside a record, which says it"));
    }
    let in_record = |error: cvm::Error| wrong("record", &error.message);
    let record = AuditRecord::parse(&record).map_err(in_record)?;
    let given = frame.map(Frame::try_from).transpose();
    let given = given.map_err(|error| Refusal::fields(vec![error.under("frame").into()]))?;
    if given.is_none() && !record.has_inputs() {
        return Err(wrong(
            "frame",
            "is required: the record holds only the digest of its inputs",
        ));
    }
    Ok(Prediction {
        frame: record.frame(given).map_err(in_record)?,
        options: record.options().map_err(in_record)?,
        expected: Some(record.expected().map_err(in_record)?),
        fingerprint: record.fingerprint,
    })
}

fn of_parts(request: pb::ReplayScoreRequest) -> Result<Prediction, Refusal> {
    let pb::ReplayScoreRequest {
        record: _,
        frame,
        fingerprint,
        options,
        outputs,
        row_statuses,
    } = request;
    if fingerprint.is_empty() {
        return Err(wrong("fingerprint", "is required without a record"));
    }
    // Checked and read as any request for scores, and any answer, is.
    let ask = v1::ScoreRequest {
        frame,
        options,
        ..Default::default()
    };
    let convert = |error: ConvertError| Refusal::fields(vec![error.into()]);
    let job = ScoreJob::try_from(ask).map_err(convert)?;
    let compares = !outputs.is_empty() || !row_statuses.is_empty();
    let answer = v1::ScoreResponse {
        model: Some(v1::ModelStamp::default()),
        row_count: i32::try_from(job.frame.row_count).unwrap_or(i32::MAX),
        outputs,
        row_statuses,
        ..Default::default()
    };
    let answer = ScoreAnswer::try_from(answer).map_err(convert)?;
    let outputs = answer.outputs.into_iter().map(|own| (own.name, own.values));
    let expected = Expected {
        outputs: outputs.collect(),
        statuses: answer.statuses,
    };
    Ok(Prediction {
        fingerprint,
        frame: job.frame,
        options: job.options,
        expected: compares.then_some(expected),
    })
}

/// The loaded version of a fingerprint, of whatever model.
fn found(registry: &Registry, fingerprint: &str) -> Result<Arc<Served>, Refusal> {
    let models = registry.snapshot();
    let mut versions = models.values().flat_map(|model| model.versions.values());
    let served = versions.find(|served| served.stamp.fingerprint == fingerprint);
    served.cloned().ok_or_else(|| {
        let shown: String = fingerprint.chars().take(64).collect();
        let why = format!("no loaded version has the fingerprint {shown:?}");
        Refusal::new(Reason::ModelNotFound, why)
    })
}

fn response(served: &Served, scores: Scores, replay: Replay) -> pb::ReplayScoreResponse {
    let specs = served.model.outputs();
    let row_count = scores.status.len();
    let outputs = scores.outputs.into_iter();
    let answer = ScoreAnswer {
        model: served.stamp.clone(),
        row_count,
        outputs: outputs
            .map(|(name, values)| column(specs, name, values))
            .collect(),
        statuses: Vec::new(),
        issues: Vec::new(),
        row_keys: Vec::new(),
        request_id: String::new(),
        reasons: None,
        row_models: None,
    };
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let differences = replay.differences.into_iter().map(|difference| {
        let Difference {
            row,
            output,
            expected,
            found,
        } = difference;
        pb::ReplayDifference {
            row: count(row),
            output,
            expected,
            found,
        }
    });
    pb::ReplayScoreResponse {
        model: Some(served.stamp.clone().into()),
        row_count: count(row_count),
        differing_row_count: count(replay.differing_row_count),
        differences: differences.collect(),
        outputs: answer.encode(Encoding::Doubles).outputs,
    }
}

fn wrong(field: &str, why: &str) -> Refusal {
    Refusal::fields(vec![ConvertError::new(field, why).into()])
}
