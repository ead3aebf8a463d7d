//! A request on its way: its rows dealt to versions, scored block by block, joined to one answer.

use crate::audit::{Answered, Audit};
use crate::compute::{Next, Steps};
use crate::meter::{Method, Moments};
use crate::registry::{Route, Served};
use crate::rows::{Gathered, block, merge, take};
use crate::shadow::Shadows;
use cvm::{Frame, OutputSpec, RowCode, ScoreOptions, Scores, Violation};
use cvm_proto::{Reason, Refusal, RowModels, ScoreAnswer, ScoredColumn};
use std::sync::Arc;
use std::time::Instant;

/// Rows scored before others get their turn, where a row counts as one: a few milliseconds.
pub(crate) const BLOCK_ROWS: usize = 8_192;

/// Rows for one version.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) served: Arc<Served>,
    frame: Arc<Frame>,
    /// Their places in the request, if they are not all of it.
    places: Option<Vec<usize>>,
    done: usize,
    gathered: Gathered,
}

impl Part {
    /// All rows of a frame.
    pub(crate) fn whole(served: Arc<Served>, frame: Arc<Frame>) -> Part {
        Part {
            served,
            frame,
            places: None,
            done: 0,
            gathered: Gathered::default(),
        }
    }

    fn of(served: Arc<Served>, frame: &Frame, places: Vec<usize>) -> Part {
        let frame = Arc::new(take(frame, &places));
        let places = Some(places);
        Part {
            places,
            ..Part::whole(served, frame)
        }
    }

    /// Scores the next block; whether rows are left.
    pub(crate) fn step(&mut self, options: &ScoreOptions) -> Result<bool, Refusal> {
        let row_count = self.frame.row_count;
        let size = (BLOCK_ROWS / self.served.weight(options)).max(1);
        let end = row_count.min(self.done + size);
        if self.done == 0 && end < row_count {
            // The frame in whole once, so that what is wrong is told as of the whole.
            self.frame.batch().map_err(|error| refusal(error.into()))?;
        }
        let batch = block(&self.frame, self.done..end).map_err(refusal)?;
        let scores = self.served.model.score(&batch, options).map_err(refusal)?;
        self.gathered.push(scores, self.done);
        self.done = end;
        Ok(end < row_count)
    }

    /// Whether rows are left; a frame without rows is looked at once.
    fn is_open(&self) -> bool {
        !self.gathered.begun || self.done < self.frame.row_count
    }

    /// The scores of all rows.
    pub(crate) fn scores(self) -> Scores {
        self.gathered.scores
    }
}

/// A request with its route.
pub(crate) struct Work<T> {
    pub(crate) route: Route,
    pub(crate) shadows: Shadows,
    pub(crate) audit: Audit,
    /// The rows, until they are dealt.
    pub(crate) frame: Option<Frame>,
    pub(crate) options: ScoreOptions,
    pub(crate) row_keys: Vec<String>,
    pub(crate) request_id: String,
    pub(crate) render: Box<dyn FnOnce(ScoreAnswer) -> T + Send>,
    pub(crate) method: Method,
    pub(crate) begun: Instant,
    pub(crate) decoded: Instant,
    /// When the first block began.
    pub(crate) dequeued: Option<Instant>,
    /// Rows being scored, by version.
    pub(crate) parts: Vec<Part>,
}

impl<T: Send + 'static> Steps for Work<T> {
    type Done = (T, Moments);

    fn step(mut self) -> Result<Next<Self>, Refusal> {
        self.dequeued.get_or_insert_with(Instant::now);
        if let Some(frame) = self.frame.take() {
            self.parts = deal(&self.route, frame, &self.row_keys);
        }
        if let Some(part) = self.parts.iter_mut().find(|part| part.is_open()) {
            part.step(&self.options)?;
        }
        match self.parts.iter().any(Part::is_open) {
            true => Ok(Next::More(self)),
            false => self.finish().map(Next::Done),
        }
    }
}

/// Deals rows to the versions of a split, or all to the one that answers.
fn deal(route: &Route, frame: Frame, row_keys: &[String]) -> Vec<Part> {
    let split = route.split().filter(|_| !row_keys.is_empty());
    let Some(split) = split else {
        return vec![Part::whole(Arc::clone(&route.served), Arc::new(frame))];
    };
    let mut groups: Vec<(Arc<Served>, Vec<usize>)> = vec![(Arc::clone(&route.served), Vec::new())];
    for (row, key) in row_keys.iter().enumerate() {
        let own = Some(key).filter(|key| !key.is_empty());
        let served = own.and_then(|key| split.version_of(key));
        let served = served.unwrap_or(&route.served);
        let place = groups.iter_mut().find(|(own, _)| Arc::ptr_eq(own, served));
        match place {
            Some((_, rows)) => rows.push(row),
            None => groups.push((Arc::clone(served), vec![row])),
        }
    }
    groups.retain(|(_, rows)| !rows.is_empty());
    match groups.len() {
        1 => {
            let all = groups.into_iter().map(|(served, _)| served);
            let frame = Arc::new(frame);
            all.map(|served| Part::whole(served, Arc::clone(&frame)))
                .collect()
        }
        _ => {
            let each = groups.into_iter();
            each.map(|(served, rows)| Part::of(served, &frame, rows))
                .collect()
        }
    }
}

impl<T> Work<T> {
    fn finish(self) -> Result<(T, Moments), Refusal> {
        let scored = Instant::now();
        let Work {
            route,
            shadows,
            audit,
            options,
            row_keys,
            request_id,
            render,
            method,
            begun,
            decoded,
            dequeued,
            parts,
            frame: _,
        } = self;
        let champion = parts.iter().find(|p| Arc::ptr_eq(&p.served, &route.served));
        if let (Some(part), Some(deployment)) = (champion, route.compared()) {
            let base = &part.gathered.scores.outputs;
            shadows.offer(deployment, Arc::clone(&part.frame), &options, base);
        }
        for part in &parts {
            part.served.drift.offer(&part.frame);
            audit.offer(&Answered {
                served: &part.served,
                frame: &part.frame,
                places: part.places.as_deref(),
                scores: &part.gathered.scores,
                options: &options,
                row_keys: &row_keys,
                request_id: &request_id,
            });
        }
        let met: Vec<_> = parts
            .iter()
            .map(|part| (Arc::clone(&part.served), part.frame.row_count))
            .collect();
        let answer = answer(parts, row_keys, request_id)?;
        let rendered = render(answer);
        let moments = Moments {
            begun,
            decoded,
            dequeued: dequeued.unwrap_or(scored),
            scored,
            rendered: Instant::now(),
        };
        for (served, rows) in met {
            served.meter.answered(method, moments, rows);
        }
        Ok((rendered, moments))
    }
}

/// Joins the parts of a request to its answer.
fn answer(
    parts: Vec<Part>,
    row_keys: Vec<String>,
    request_id: String,
) -> Result<ScoreAnswer, Refusal> {
    let first = parts
        .first()
        .ok_or_else(|| defect("a request without a version"))?;
    let served = Arc::clone(&first.served);
    let (scores, row_models) = joined(parts)?;
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
    let specs = served.model.outputs();
    Ok(ScoreAnswer {
        model: served.stamp.clone(),
        row_count: status.len(),
        outputs: outputs
            .into_iter()
            .map(|(name, values)| column(specs, name, values))
            .collect(),
        statuses,
        issues,
        row_keys,
        request_id,
        reasons,
        row_models,
    })
}

/// The scores of all rows, and who answered which if it was more than one.
fn joined(mut parts: Vec<Part>) -> Result<(Scores, Option<RowModels>), Refusal> {
    if let (1, Some(only)) = (parts.len(), parts.pop_if(|part| part.places.is_none())) {
        return Ok((only.scores(), None));
    }
    let models = parts.iter().map(|part| part.served.stamp.clone()).collect();
    let pieces = parts.into_iter();
    let pieces = pieces.map(|part| (part.places.unwrap_or_default(), part.gathered.scores));
    let (scores, rows) = merge(pieces.collect()).map_err(defect)?;
    Ok((scores, Some(RowModels { models, rows })))
}

fn defect(why: impl Into<String>) -> Refusal {
    Refusal::new(Reason::Internal, why)
}

/// An output column with its unit.
pub(crate) fn column(specs: &[OutputSpec], name: &str, values: Vec<f64>) -> ScoredColumn {
    let unit = specs.iter().find(|spec| spec.name == name);
    ScoredColumn {
        name: name.to_owned(),
        unit: unit.map_or_else(String::new, |spec| spec.unit.to_owned()),
        values,
    }
}

/// An engine's error on the wire. The engine speaks of `columns.T`; in a request they are in `frame`.
pub(crate) fn refusal(error: cvm::Error) -> Refusal {
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
