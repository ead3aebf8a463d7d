//! A stream of requests: answers in order, failures in band, a bounded number of requests ahead.

use crate::admission::{Asker, Ticket};
use crate::deadline::{self, Deadline};
use crate::drain::Signal;
use crate::meter::Method;
use crate::plane::Plane;
use cvm_proto::v1::stream_score_response::Result as Answer;
use cvm_proto::{Reason, Refusal, v1 as pb};
use futures_util::future::{Either, ready, select};
use futures_util::stream::{Stream, StreamExt, once};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use tonic::Status;

/// Requests of one stream that are read and not yet answered. When the caller does not read its
/// answers, this is where reading stops.
pub(crate) const MAX_UNANSWERED: usize = 32;

/// An answer, and the ticket it holds until the caller takes it.
pub(crate) type Ticketed<Answered> = (Answered, Option<Ticket>);

/// The answers to `requests`. When the server drains or the caller's deadline passes, nothing more
/// is read, what was read is answered, and the stream ends with the reason.
pub(crate) fn answers<S, Asked, Answered, Work>(
    requests: S,
    deadline: Deadline,
    drain: Signal,
    answer: impl Fn(Asked) -> Work + Send + 'static,
) -> impl Stream<Item = Result<Answered, Status>> + Send
where
    S: Stream<Item = Result<Asked, Status>> + Send + 'static,
    Asked: Send + 'static,
    Answered: Send + 'static,
    Work: Future<Output = Ticketed<Answered>> + Send + 'static,
{
    let ended = Arc::new(OnceLock::new());
    let end = Arc::clone(&ended);
    let stop = async move {
        let _ = end.set(stop_reason(deadline, drain).await);
    };
    requests
        .take_until(Box::pin(stop))
        .map(move |request| {
            let work = request.map(&answer);
            async move { Ok(work?.await) }
        })
        .buffered(MAX_UNANSWERED)
        .map(|answer: Result<Ticketed<Answered>, Status>| answer.map(|(answer, _taken)| answer))
        .chain(
            once(async move { ended.get().cloned() }).filter_map(|reason| {
                ready(reason.map(|refusal: Refusal| Err(Status::from(refusal))))
            }),
        )
}

async fn stop_reason(deadline: Deadline, drain: Signal) -> Refusal {
    match select(pin!(deadline.passed()), pin!(drain.given())).await {
        Either::Left(_) => deadline::exceeded(),
        Either::Right(_) => Refusal::new(
            Reason::Draining,
            "the server is shutting down; what it had read is answered",
        ),
    }
}

async fn admitted(
    plane: &Plane,
    request: pb::ScoreRequest,
    asker: &Asker,
) -> Result<Ticketed<pb::ScoreResponse>, Refusal> {
    let rows = request.frame.as_ref().map_or(0, |frame| frame.row_count);
    let rows = u64::try_from(rows).unwrap_or(0);
    let ticket = plane.admission.admit(&asker.own, rows, 0)?;
    let answer = plane.score(request, Method::StreamScore, asker).await?;
    Ok((answer, Some(ticket)))
}

/// The answer to one request of `StreamScore`.
pub(crate) async fn answer(
    plane: Arc<Plane>,
    message: pb::StreamScoreRequest,
    asker: Asker,
) -> Ticketed<pb::StreamScoreResponse> {
    let pb::StreamScoreRequest { sequence, request } = message;
    let result = match request {
        Some(request) => admitted(&plane, request, &asker).await,
        None => Err(Refusal::fields(vec![cvm::Violation {
            field: "request".to_owned(),
            description: "is required".to_owned(),
        }])),
    };
    let (result, ticket) = match result {
        Ok((response, ticket)) => (Answer::Response(response), ticket),
        Err(refusal) => (Answer::Error(refusal.into()), None),
    };
    let answer = pb::StreamScoreResponse {
        sequence,
        result: Some(result),
    };
    (answer, ticket)
}
