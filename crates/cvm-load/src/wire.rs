//! Requests that are encoded already, and answers that are decoded: a codec for both methods.

use bytes::{BufMut, Bytes, BytesMut};
use cvm_proto::v1 as pb;
use prost::Message;
use prost::encoding::{bytes as bytes_field, int64};
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

pub(crate) const SCORE: &str = "/cvm.v1.ScoringService/Score";
pub(crate) const STREAM_SCORE: &str = "/cvm.v1.ScoringService/StreamScore";

/// Sends bytes as they are.
pub(crate) struct Encoded<In>(PhantomData<In>);

impl<In> Default for Encoded<In> {
    fn default() -> Self {
        Encoded(PhantomData)
    }
}

impl<In: Message + Default + Send + 'static> Codec for Encoded<In> {
    type Encode = Bytes;
    type Decode = In;
    type Encoder = AsIs;
    type Decoder = ProstDecoder<In>;

    fn encoder(&mut self) -> AsIs {
        AsIs
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<In, In>::default().decoder()
    }
}

/// The encoding half.
pub(crate) struct AsIs;

impl Encoder for AsIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

/// An encoded request as a `StreamScoreRequest` with its number.
pub(crate) fn numbered(sequence: i64, request: &Bytes) -> Bytes {
    let mut buffer = BytesMut::with_capacity(request.len() + 24);
    if sequence != 0 {
        int64::encode(1, &sequence, &mut buffer);
    }
    bytes_field::encode(2, request, &mut buffer);
    buffer.freeze()
}

/// What a message of a stream says.
pub(crate) fn opened(message: pb::StreamScoreResponse) -> (i64, Result<pb::ScoreResponse, Status>) {
    use pb::stream_score_response::Result as Answer;
    let result = match message.result {
        Some(Answer::Response(response)) => Ok(response),
        Some(Answer::Error(error)) => Err(Status::new(
            tonic::Code::from_i32(error.code),
            error.message,
        )),
        None => Err(Status::internal("an answer with nothing in it")),
    };
    (message.sequence, result)
}

#[cfg(test)]
mod tests {
    use super::numbered;
    use cvm_proto::v1 as pb;
    use prost::Message;

    #[test]
    fn a_numbered_request_is_the_message_that_prost_makes() {
        let request = pb::ScoreRequest {
            model: "models/retail".to_owned(),
            request_id: "r".repeat(300),
            ..Default::default()
        };
        let encoded = request.encode_to_vec().into();
        for sequence in [0, 1, -7, i64::MAX] {
            let whole = pb::StreamScoreRequest {
                sequence,
                request: Some(request.clone()),
            };
            assert_eq!(numbered(sequence, &encoded), whole.encode_to_vec());
        }
    }
}
