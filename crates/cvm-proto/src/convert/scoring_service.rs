//! `scoring_service.proto`: a request as a job, and its answer.

use super::reasons::{reasons_in, reasons_out};
use super::scoring::{encoding_in, row_code};
use super::{
    ConvertError, Encoding, ModelName, ModelStamp, ScoredColumn, required, row_count_in,
    row_count_out,
};
use crate::Refusal;
use crate::v1 as pb;
use crate::v1::stream_score_response::Result as StreamResult;
use cvm::{Frame, Reasons, RowCode, RowIssue, ScoreOptions};

/// Longest request id, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 128;

/// A checked request.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreJob {
    /// The model asked for.
    pub model: ModelName,
    /// The rows.
    pub frame: Frame,
    /// What to compute.
    pub options: ScoreOptions,
    /// Form of the answer's columns.
    pub encoding: Encoding,
    /// The caller's row names: none, or one per row.
    pub row_keys: Vec<String>,
    /// The caller's name for the request.
    pub request_id: String,
}

impl TryFrom<pb::ScoreRequest> for ScoreJob {
    type Error = ConvertError;

    fn try_from(request: pb::ScoreRequest) -> Result<ScoreJob, ConvertError> {
        let pb::ScoreRequest {
            model,
            frame,
            options,
            row_keys,
            request_id,
            output_encoding,
        } = request;
        let model = model.parse::<ModelName>()?;
        let encoding = encoding_in(output_encoding, "output_encoding")?;
        let options = ScoreOptions::try_from(options.unwrap_or_default())
            .map_err(|error| error.under("options"))?;
        let frame = Frame::try_from(required(frame, "frame")?).map_err(|e| e.under("frame"))?;
        if !row_keys.is_empty() && row_keys.len() != frame.row_count {
            let (keys, rows) = (row_keys.len(), frame.row_count);
            let why = format!("has {keys} keys, frame.row_count is {rows}");
            return Err(ConvertError::new("row_keys", why));
        }
        if request_id.len() > MAX_REQUEST_ID_BYTES {
            let size = request_id.len();
            let why = format!("has {size} bytes: at most {MAX_REQUEST_ID_BYTES} are allowed");
            return Err(ConvertError::new("request_id", why));
        }
        Ok(ScoreJob {
            model,
            frame,
            options,
            encoding,
            row_keys,
            request_id,
        })
    }
}

impl From<ScoreJob> for pb::ScoreRequest {
    fn from(job: ScoreJob) -> pb::ScoreRequest {
        let ScoreJob {
            model,
            frame,
            options,
            encoding,
            row_keys,
            request_id,
        } = job;
        pb::ScoreRequest {
            model: model.to_string(),
            frame: Some(frame.into()),
            options: Some(options.into()),
            row_keys,
            request_id,
            output_encoding: pb::OutputEncoding::from(encoding).into(),
        }
    }
}

/// The versions that answered a batch, where traffic is split.
#[derive(Debug, Clone, PartialEq)]
pub struct RowModels {
    /// The versions.
    pub models: Vec<ModelStamp>,
    /// The index of each row's version.
    pub rows: Vec<u32>,
}

impl RowModels {
    fn read(
        models: Vec<pb::ModelStamp>,
        rows: Vec<u32>,
        row_count: usize,
    ) -> Result<Option<RowModels>, ConvertError> {
        if models.is_empty() && rows.is_empty() {
            return Ok(None);
        }
        let known = |row: &u32| usize::try_from(*row).is_ok_and(|row| row < models.len());
        if rows.len() != row_count || !rows.iter().all(known) {
            let why = format!("must hold one of {} versions for each row", models.len());
            return Err(ConvertError::new("row_models", why));
        }
        let models = models.into_iter().map(ModelStamp::from).collect();
        Ok(Some(RowModels { models, rows }))
    }
}

/// The scores of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreAnswer {
    /// The model that answered.
    pub model: ModelStamp,
    /// Number of rows.
    pub row_count: usize,
    /// Output columns in the order asked for.
    pub outputs: Vec<ScoredColumn>,
    /// One code per row; empty means that every row was scored.
    pub statuses: Vec<RowCode>,
    /// The first refused rows in words.
    pub issues: Vec<RowIssue>,
    /// The request's row keys.
    pub row_keys: Vec<String>,
    /// The request's id.
    pub request_id: String,
    /// Reasons, if they were asked for.
    pub reasons: Option<Reasons>,
    /// Who answered which row, if it was more than one version.
    pub row_models: Option<RowModels>,
}

impl ScoreAnswer {
    /// The answer as a message, its columns in the form asked for.
    #[must_use]
    pub fn encode(self, encoding: Encoding) -> pb::ScoreResponse {
        let ScoreAnswer {
            model,
            row_count,
            outputs,
            statuses,
            issues,
            row_keys,
            request_id,
            reasons,
            row_models,
        } = self;
        let (row_reasons, reasons_method) = reasons_out(reasons);
        let (split_models, row_models) = match row_models {
            None => (Vec::new(), Vec::new()),
            Some(RowModels { models, rows }) => (models, rows),
        };
        let outputs = outputs.into_iter().map(|column| column.encode(encoding));
        let statuses = statuses
            .into_iter()
            .map(|code| pb::RowStatus::from(code).into());
        pb::ScoreResponse {
            model: Some(model.into()),
            row_count: row_count_out(row_count),
            outputs: outputs.collect(),
            row_statuses: statuses.collect(),
            row_errors: issues.into_iter().map(pb::RowError::from).collect(),
            row_keys,
            request_id,
            row_reasons,
            reasons_method,
            split_models: split_models.into_iter().map(pb::ModelStamp::from).collect(),
            row_models,
        }
    }
}

impl TryFrom<pb::ScoreResponse> for ScoreAnswer {
    type Error = ConvertError;

    fn try_from(response: pb::ScoreResponse) -> Result<ScoreAnswer, ConvertError> {
        let pb::ScoreResponse {
            model,
            row_count,
            outputs,
            row_statuses,
            row_errors,
            row_keys,
            request_id,
            row_reasons,
            reasons_method,
            split_models,
            row_models,
        } = response;
        let row_count = row_count_in(row_count, "row_count")?;
        let outputs = outputs
            .into_iter()
            .enumerate()
            .map(|(index, column)| {
                ScoredColumn::decode(column, row_count)
                    .map_err(|e| e.under(format_args!("outputs[{index}]")))
            })
            .collect::<Result<_, _>>()?;
        let issues = row_errors
            .into_iter()
            .enumerate()
            .map(|(index, error)| {
                RowIssue::try_from(error).map_err(|e| e.under(format_args!("row_errors[{index}]")))
            })
            .collect::<Result<_, _>>()?;
        Ok(ScoreAnswer {
            model: required(model, "model")?.into(),
            row_count,
            outputs,
            statuses: statuses_in(&row_statuses, row_count)?,
            issues,
            row_keys,
            request_id,
            reasons: reasons_in(row_reasons, reasons_method, row_count)?,
            row_models: RowModels::read(split_models, row_models, row_count)?,
        })
    }
}

fn statuses_in(numbers: &[i32], rows: usize) -> Result<Vec<RowCode>, ConvertError> {
    if !numbers.is_empty() && numbers.len() != rows {
        let why = format!("has {} values, row_count is {rows}", numbers.len());
        return Err(ConvertError::new("row_statuses", why));
    }
    numbers
        .iter()
        .enumerate()
        .map(|(row, number)| row_code(*number, format!("row_statuses[{row}]")))
        .collect()
}

/// The answer to one request of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamAnswer {
    /// The request's number.
    pub sequence: i64,
    /// Scores, or why there are none.
    pub result: Result<ScoreAnswer, Refusal>,
}

impl TryFrom<pb::StreamScoreResponse> for StreamAnswer {
    type Error = ConvertError;

    fn try_from(response: pb::StreamScoreResponse) -> Result<StreamAnswer, ConvertError> {
        let pb::StreamScoreResponse { sequence, result } = response;
        let result = match required(result, "result")? {
            StreamResult::Response(response) => {
                Ok(ScoreAnswer::try_from(response).map_err(|error| error.under("response"))?)
            }
            StreamResult::Error(error) => Err(error.into()),
        };
        Ok(StreamAnswer { sequence, result })
    }
}

#[cfg(test)]
mod tests {
    use super::{RowModels, ScoreAnswer, ScoreJob, StreamAnswer};
    use crate::{Encoding, ModelName, ModelStamp, Reason, Refusal, ScoredColumn, v1 as pb};
    use cvm::{Frame, Reasons, RowCode, RowIssue, ScoreOptions};

    fn job() -> ScoreJob {
        ScoreJob {
            model: "models/retail/versions/7".parse().unwrap(),
            frame: Frame::new(2).with_numbers("T", vec![1.0, 2.0]),
            options: ScoreOptions {
                horizon_periods: Some(4.0),
                ..Default::default()
            },
            encoding: Encoding::DoublesLe,
            row_keys: vec!["a".to_owned(), "b".to_owned()],
            request_id: "r1".to_owned(),
        }
    }

    fn answer() -> ScoreAnswer {
        ScoreAnswer {
            model: stamp("7"),
            row_count: 2,
            outputs: vec![ScoredColumn {
                name: "p_alive".to_owned(),
                unit: "probability".to_owned(),
                values: vec![0.5, f64::INFINITY],
            }],
            statuses: vec![RowCode::Ok, RowCode::Missing],
            issues: vec![RowIssue {
                row: 1,
                code: RowCode::Missing,
                field: "T".to_owned(),
                value: "NaN".to_owned(),
                message: "row 1: T is missing".to_owned(),
            }],
            row_keys: Vec::new(),
            request_id: "r1".to_owned(),
            reasons: Some(Reasons {
                method: "linear SHAP".to_owned(),
                rows: vec![
                    vec![cvm::Reason {
                        name: "T".to_owned(),
                        contribution: -0.25,
                        text: "T = 1 lowers the risk".to_owned(),
                    }],
                    Vec::new(),
                ],
            }),
            row_models: Some(RowModels {
                models: ["7", "8"].map(stamp).to_vec(),
                rows: vec![1, 0],
            }),
        }
    }

    fn stamp(version: &str) -> ModelStamp {
        ModelStamp {
            model_version: format!("models/retail/versions/{version}"),
            fingerprint: "ab".repeat(32),
            kind: "clv.bg_nbd".to_owned(),
        }
    }

    #[test]
    fn jobs_and_answers_come_back() {
        assert_eq!(ScoreJob::try_from(pb::ScoreRequest::from(job())), Ok(job()));
        for encoding in [Encoding::Doubles, Encoding::DoublesLe] {
            let wire = answer().encode(encoding);
            assert_eq!(ScoreAnswer::try_from(wire), Ok(answer()));
        }
    }

    #[test]
    fn wrong_requests_name_their_field() {
        let request = || pb::ScoreRequest::from(job());
        let cases = [
            (
                pb::ScoreRequest {
                    frame: None,
                    ..request()
                },
                "frame",
            ),
            (
                pb::ScoreRequest {
                    row_keys: vec![String::new()],
                    ..request()
                },
                "row_keys",
            ),
            (
                pb::ScoreRequest {
                    request_id: "x".repeat(129),
                    ..request()
                },
                "request_id",
            ),
            (
                pb::ScoreRequest {
                    output_encoding: 9,
                    ..request()
                },
                "output_encoding",
            ),
            (
                pb::ScoreRequest {
                    model: "models/A b".to_owned(),
                    ..request()
                },
                "model",
            ),
        ];
        for (request, field) in cases {
            assert_eq!(ScoreJob::try_from(request).unwrap_err().field, field);
        }
        let mut ragged = request();
        ragged.frame.as_mut().unwrap().row_count = 3;
        let error = ScoreJob::try_from(ragged).unwrap_err();
        assert_eq!(error.field, "frame.columns[0].doubles");
    }

    #[test]
    fn an_unset_model_and_unset_options_are_the_defaults() {
        let request = pb::ScoreRequest {
            frame: Some(pb::Frame::default()),
            ..Default::default()
        };
        let job = ScoreJob::try_from(request).unwrap();
        assert_eq!(job.model, ModelName::Only);
        assert_eq!(job.options, ScoreOptions::default());
        assert_eq!(job.encoding, Encoding::Doubles);
    }

    #[test]
    fn answers_that_contradict_themselves_are_refused() {
        let mut short = answer().encode(Encoding::Doubles);
        short.row_statuses.pop();
        let error = ScoreAnswer::try_from(short).unwrap_err();
        assert_eq!(error.field, "row_statuses");
        let mut tall = answer().encode(Encoding::DoublesLe);
        tall.row_count = 3;
        let error = ScoreAnswer::try_from(tall).unwrap_err();
        assert_eq!(error.field, "outputs[0].doubles_le");
        let mut mute = answer().encode(Encoding::Doubles);
        mute.row_reasons.pop();
        let error = ScoreAnswer::try_from(mute).unwrap_err();
        assert_eq!(error.field, "row_reasons");
        for rows in [vec![1], vec![2, 0]] {
            let mut split = answer().encode(Encoding::Doubles);
            split.row_models = rows;
            let error = ScoreAnswer::try_from(split).unwrap_err();
            assert_eq!(error.field, "row_models");
        }
        let mut unknown = answer().encode(Encoding::Doubles);
        unknown.row_errors[0].status = 99;
        let error = ScoreAnswer::try_from(unknown).unwrap_err();
        assert_eq!(error.field, "row_errors[0].status");
    }

    #[test]
    fn a_stream_carries_scores_and_refusals() {
        let refusal = Refusal::new(Reason::ModelNotFound, "no such model");
        let wire = |result| pb::StreamScoreResponse {
            sequence: -7,
            result: Some(result),
        };
        let error = pb::stream_score_response::Result::Error(refusal.clone().into());
        let back = StreamAnswer::try_from(wire(error)).unwrap();
        assert_eq!((back.sequence, back.result), (-7, Err(refusal)));
        let fine = answer().encode(Encoding::Doubles);
        let fine = pb::stream_score_response::Result::Response(fine);
        assert_eq!(
            StreamAnswer::try_from(wire(fine)).unwrap().result,
            Ok(answer())
        );
        assert!(StreamAnswer::try_from(pb::StreamScoreResponse::default()).is_err());
    }
}
