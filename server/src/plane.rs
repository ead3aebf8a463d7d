//! From a request to its answer, whatever service it came through.

use crate::compute::Compute;
use crate::deadline::Deadline;
use crate::meter::Moments;
use crate::registry::{Registry, Served};
use cvm::{Frame, OutputSpec, RowCode, Scores, Violation};
use cvm_proto::{Reason, Refusal, ScoreAnswer, ScoreJob, ScoredColumn, v1 as pb};
use std::sync::Arc;
use std::time::Instant;

/// Rows without reasons that one row with reasons counts as: attributions take about a millisecond.
const REASON_WEIGHT: usize = 256;

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
        let begun = Instant::now();
        deadline.check()?;
        let claimed = request.frame.as_ref().map_or(0, |frame| frame.row_count);
        self.check_rows("frame.row_count", claimed.into())?;
        let job =
            ScoreJob::try_from(request).map_err(|error| Refusal::fields(vec![error.into()]))?;
        let encoding = job.encoding;
        let render = move |answer: ScoreAnswer| answer.encode(encoding);
        self.answer(job, begun, deadline, render).await
    }

    /// Resolves and scores a job that was `begun` to be read, and renders its answer.
    pub(crate) async fn answer<T: Send + 'static>(
        &self,
        job: ScoreJob,
        begun: Instant,
        deadline: Deadline,
        render: impl FnOnce(ScoreAnswer) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let decoded = Instant::now();
        let served = self.registry.resolve(&job.model)?;
        let row_count = job.frame.row_count;
        let weight = match &job.options.reasons {
            None => 1,
            Some(_) => REASON_WEIGHT,
        };
        let size = row_count.saturating_mul(weight);
        let model = Arc::clone(&served);
        let work = move || {
            let dequeued = Instant::now();
            let answer = score(&model, job)?;
            let scored = Instant::now();
            let rendered = render(answer);
            let moments = Moments {
                begun,
                decoded,
                dequeued,
                scored,
            };
            model.meter.answered(moments, row_count);
            Ok(rendered)
        };
        let answer = self.compute.run(size, deadline, work).await;
        if answer.is_err() {
            served.meter.refused(begun);
        }
        answer
    }

    /// The cap comes first: nothing is converted beyond it.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` that names `field`.
    pub(crate) fn check_rows(&self, field: &str, claimed: i64) -> Result<(), Refusal> {
        if usize::try_from(claimed).is_ok_and(|rows| rows > self.max_rows) {
            let description = format!("is {claimed}: at most {} are allowed", self.max_rows);
            let field = field.to_owned();
            return Err(Refusal::fields(vec![Violation { field, description }]));
        }
        Ok(())
    }
}

/// Scores a job with the model it resolved to.
fn score(served: &Served, job: ScoreJob) -> Result<ScoreAnswer, Refusal> {
    let ScoreJob {
        model: _,
        frame,
        options,
        encoding: _,
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
        reasons,
    } = scores;
    let all_fine = status.iter().all(|status| status.is_ok());
    let statuses: Vec<RowCode> = match all_fine {
        true => Vec::new(),
        false => status.iter().map(|status| status.code).collect(),
    };
    drop::<Frame>(frame);
    let specs = served.model.outputs();
    Ok(ScoreAnswer {
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
        reasons,
    })
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
