//! From a request to its answer, whatever service it came through.

use crate::compute::Compute;
use crate::deadline::Deadline;
use crate::registry::{Registry, Served};
use cvm::{Frame, OutputSpec, RowCode, Scores, Violation};
use cvm_proto::{Reason, Refusal, ScoreAnswer, ScoreJob, ScoredColumn, v1 as pb};
use std::sync::Arc;

/// What every service shares.
#[derive(Debug)]
pub(crate) struct Plane {
    /// The models.
    pub(crate) registry: Arc<Registry>,
    /// Where scoring runs.
    pub(crate) compute: Compute,
    /// Most rows of one request.
    pub(crate) max_rows: usize,
}

impl Plane {
    /// Checks, resolves, scores and renders one request.
    pub(crate) async fn score(
        &self,
        request: pb::ScoreRequest,
        deadline: Deadline,
    ) -> Result<pb::ScoreResponse, Refusal> {
        deadline.check()?;
        self.check_rows(&request)?;
        let job =
            ScoreJob::try_from(request).map_err(|error| Refusal::fields(vec![error.into()]))?;
        let served = self.registry.resolve(&job.model)?;
        let row_count = job.frame.row_count;
        let work = move || score(&served, job);
        self.compute.run(row_count, deadline, work).await
    }

    /// The cap comes first: nothing is converted beyond it.
    fn check_rows(&self, request: &pb::ScoreRequest) -> Result<(), Refusal> {
        let claimed = request.frame.as_ref().map_or(0, |frame| frame.row_count);
        if usize::try_from(claimed).is_ok_and(|rows| rows > self.max_rows) {
            let description = format!("is {claimed}: at most {} are allowed", self.max_rows);
            let field = "frame.row_count".to_owned();
            return Err(Refusal::fields(vec![Violation { field, description }]));
        }
        Ok(())
    }
}

/// Scores a job with the model it resolved to.
fn score(served: &Served, job: ScoreJob) -> Result<pb::ScoreResponse, Refusal> {
    let ScoreJob {
        model: _,
        frame,
        options,
        encoding,
        row_keys,
        request_id,
    } = job;
    let batch = frame.batch().map_err(|error| refusal(error.into()))?;
    let scores = served.model.score(&batch, &options).map_err(refusal)?;
    let row_count = frame.row_count;
    let Scores {
        outputs,
        status,
        issues,
    } = scores;
    let all_fine = status.iter().all(|status| status.is_ok());
    let statuses: Vec<RowCode> = match all_fine {
        true => Vec::new(),
        false => status.iter().map(|status| status.code).collect(),
    };
    drop::<Frame>(frame);
    let specs = served.model.outputs();
    let answer = ScoreAnswer {
        model: served.stamp.clone(),
        row_count,
        outputs: outputs
            .into_iter()
            .map(|(name, values)| column(specs, name, values))
            .collect(),
        statuses,
        issues,
        row_keys,
        request_id,
    };
    Ok(answer.encode(encoding))
}

fn column(specs: &[OutputSpec], name: &str, values: Vec<f64>) -> ScoredColumn {
    let unit = specs.iter().find(|spec| spec.name == name);
    ScoredColumn {
        name: name.to_owned(),
        unit: unit.map_or_else(String::new, |spec| spec.unit.to_owned()),
        values,
    }
}

/// An engine's error on the wire. The engine speaks of `columns.T`; in a request they are in `frame`.
fn refusal(error: cvm::Error) -> Refusal {
    let cvm::Error {
        kind,
        message,
        violations,
    } = error;
    if violations.is_empty() {
        return Refusal::new(Reason::from(kind), message);
    }
    let in_request = violations.into_iter().map(|violation| Violation {
        field: match violation.field.starts_with("columns.") {
            true => format!("frame.{}", violation.field),
            false => violation.field,
        },
        description: violation.description,
    });
    Refusal::fields(in_request.collect())
}
