//! From a request to its answer, whatever service it came through.

use crate::admission::{Admission, Asker};
use crate::audit::Audit;
use crate::compute::{Compute, Next, Steps};
use crate::journal::{Asked, Journal};
use crate::meter::Method;
use crate::registry::{Registry, Served};
use crate::shadow::Shadows;
use crate::store::Store;
use crate::trust::Trust;
use crate::work::{Part, Work};
use cvm::{Frame, ScoreOptions, Scores, Violation};
use cvm_proto::{Refusal, ScoreAnswer, ScoreJob, v1 as pb};
use std::sync::Arc;
use std::time::Instant;

/// What every service shares.
#[derive(Debug)]
pub(crate) struct Plane {
    /// The models.
    pub(crate) registry: Arc<Registry>,
    /// How much is in flight.
    pub(crate) admission: Arc<Admission>,
    /// Where scoring runs.
    pub(crate) compute: Compute,
    /// Where batches go that shadows are to score.
    pub(crate) shadows: Shadows,
    /// Where predictions are recorded.
    pub(crate) audit: Audit,
    /// Where models come from, if not from a folder alone.
    pub(crate) store: Store,
    /// Whose model files are served.
    pub(crate) trust: Trust,
    /// Where requests are told of, if they are.
    pub(crate) journal: Option<Arc<Journal>>,
    /// Most rows of one request.
    pub(crate) max_rows: usize,
}

impl Plane {
    /// Checks, resolves, scores and renders one request.
    pub(crate) async fn score(
        &self,
        request: pb::ScoreRequest,
        method: Method,
        asker: &Asker,
    ) -> Result<pb::ScoreResponse, Refusal> {
        let begun = Instant::now();
        asker.deadline.check()?;
        let claimed = request.frame.as_ref().map_or(0, |frame| frame.row_count);
        self.check_rows("frame.row_count", claimed.into())?;
        let job =
            ScoreJob::try_from(request).map_err(|error| Refusal::fields(vec![error.into()]))?;
        let encoding = job.encoding;
        let render = move |answer: ScoreAnswer| answer.encode(encoding);
        self.answer(job, (method, begun), asker, render).await
    }

    /// Resolves and scores a job that came by `method` and was `begun` to be read, and renders its
    /// answer.
    pub(crate) async fn answer<T: Send + 'static>(
        &self,
        job: ScoreJob,
        (method, begun): (Method, Instant),
        asker: &Asker,
        render: impl FnOnce(ScoreAnswer) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let decoded = Instant::now();
        let ScoreJob {
            model,
            frame,
            options,
            encoding: _,
            row_keys,
            request_id,
        } = job;
        let route = self.registry.route(&model)?;
        let served = Arc::clone(&route.served);
        let asked = self.journal.as_ref().map(|journal| Asked {
            customers: journal.customers(&row_keys),
            request_id: request_id.clone(),
            ..Asked::of(&served, frame.row_count, begun)
        });
        let size = frame.row_count.saturating_mul(served.weight(&options));
        let work = Work {
            route,
            shadows: self.shadows.clone(),
            audit: self.audit.clone(),
            frame: Some(frame),
            options,
            row_keys,
            request_id,
            render: Box::new(render),
            method,
            begun,
            decoded,
            dequeued: None,
            parts: Vec::new(),
        };
        let answer = self.compute.run(size, asker, work).await;
        if let Err(refusal) = &answer {
            served.meter.refused(method, refusal.code, begun);
        }
        if let (Some(journal), Some(asked)) = (&self.journal, asked) {
            journal.tell(&asked, answer.as_ref().map(|(_, moments)| moments));
        }
        answer.map(|(rendered, _)| rendered)
    }

    /// The scores of a frame by one version, apart from all traffic.
    pub(crate) async fn scores(
        &self,
        served: Arc<Served>,
        frame: Arc<Frame>,
        options: ScoreOptions,
        asker: &Asker,
    ) -> Result<Scores, Refusal> {
        let size = frame.row_count.saturating_mul(served.weight(&options));
        let work = Alone {
            part: Part::whole(served, frame),
            options,
        };
        self.compute.run(size, asker, work).await
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

/// Rows for one version, and nothing else.
struct Alone {
    part: Part,
    options: ScoreOptions,
}

impl Steps for Alone {
    type Done = Scores;

    fn step(mut self) -> Result<Next<Self>, Refusal> {
        Ok(match self.part.step(&self.options)? {
            true => Next::More(self),
            false => Next::Done(self.part.scores()),
        })
    }
}
