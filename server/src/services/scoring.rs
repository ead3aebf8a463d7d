//! `cvm.v1.ScoringService`.

use crate::admission::{Asker, Own};
use crate::deadline::Deadline;
use crate::drain::Signal;
use crate::meter::Method;
use crate::plane::Plane;
use crate::stream::{answer, answers};
use cvm_proto::v1 as pb;
use cvm_proto::v1::scoring_service_server::ScoringService;
use futures_util::stream::{BoxStream, StreamExt};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The service.
#[derive(Debug)]
pub(crate) struct Scoring {
    pub(crate) plane: Arc<Plane>,
    pub(crate) drain: Signal,
}

#[tonic::async_trait]
impl ScoringService for Scoring {
    async fn score(
        &self,
        request: Request<pb::ScoreRequest>,
    ) -> Result<Response<pb::ScoreResponse>, Status> {
        let asker = asker_of(&request);
        let request = request.into_inner();
        let answer = self.plane.score(request, Method::Score, &asker).await?;
        Ok(Response::new(answer))
    }

    type StreamScoreStream = BoxStream<'static, Result<pb::StreamScoreResponse, Status>>;

    async fn stream_score(
        &self,
        request: Request<Streaming<pb::StreamScoreRequest>>,
    ) -> Result<Response<Self::StreamScoreStream>, Status> {
        let (plane, asker) = (Arc::clone(&self.plane), asker_of(&request).streaming());
        let deadline = asker.deadline;
        let one = move |message| answer(Arc::clone(&plane), message, asker.clone());
        let stream = answers(request.into_inner(), deadline, self.drain.clone(), one);
        Ok(Response::new(stream.boxed()))
    }
}

/// Who asks, as `api` left it with the request.
pub(super) fn asker_of<T>(request: &Request<T>) -> Asker {
    let found = request.extensions().get::<Asker>();
    let unknown = || Asker::new(Own::default(), Deadline(None));
    found.cloned().unwrap_or_else(unknown)
}
