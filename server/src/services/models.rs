//! `cvm.v1.ModelService`.

use crate::registry::Registry;
use cvm_proto::v1 as pb;
use cvm_proto::v1::model_service_server::ModelService;
use cvm_proto::{ModelName, Refusal};
use std::ops::Bound;
use std::sync::Arc;
use tonic::{Request, Response, Status};

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// The service.
#[derive(Debug)]
pub(crate) struct Models {
    pub(crate) registry: Arc<Registry>,
}

#[tonic::async_trait]
impl ModelService for Models {
    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        Ok(Response::new(self.page(request.into_inner())?))
    }

    async fn get_model(
        &self,
        request: Request<pb::GetModelRequest>,
    ) -> Result<Response<pb::GetModelResponse>, Status> {
        let pb::GetModelRequest { model } = request.into_inner();
        let name = model.parse::<ModelName>().map_err(wrong_field)?;
        let served = self.registry.resolve(&name)?;
        let model = Some(served.card().into());
        Ok(Response::new(pb::GetModelResponse { model }))
    }
}

impl Models {
    /// One page; the token is the id of the last model of the page before.
    fn page(&self, request: pb::ListModelsRequest) -> Result<pb::ListModelsResponse, Refusal> {
        let pb::ListModelsRequest {
            page_size,
            page_token,
        } = request;
        let size = page_length(page_size)?;
        let models = self.registry.snapshot();
        let after = match page_token.as_str() {
            "" => Bound::Unbounded,
            last => Bound::Excluded(last),
        };
        let rest = models.range::<str, _>((after, Bound::Unbounded));
        let mut rest = rest.filter_map(|(id, d)| Some((id, d.champion.as_ref()?)));
        let page: Vec<_> = rest.by_ref().take(size).collect();
        let last = page.last().map_or("", |(id, _)| id.as_str());
        let next_page_token = rest.next().map_or("", |_| last).to_owned();
        let models = page.iter().map(|(_, served)| served.card().into());
        Ok(pb::ListModelsResponse {
            models: models.collect(),
            next_page_token,
        })
    }
}

fn page_length(page_size: i32) -> Result<usize, Refusal> {
    match usize::try_from(page_size) {
        Ok(0) => Ok(DEFAULT_PAGE),
        Ok(size) => Ok(size.min(LARGEST_PAGE)),
        Err(_) => {
            let why = format!("is {page_size}: must be 0 or more");
            Err(wrong_field(cvm_proto::ConvertError::new("page_size", why)))
        }
    }
}

fn wrong_field(error: cvm_proto::ConvertError) -> Refusal {
    Refusal::fields(vec![error.into()])
}
