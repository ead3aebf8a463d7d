//! The servers' codec: bytes that are not the message are the caller's fault, and say so.

use crate::{Reason, Refusal};
use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

/// A protobuf codec that answers undecodable bytes with `INVALID_ARGUMENT` and reason
/// `MALFORMED_MESSAGE`, where the stock codec answers `INTERNAL`.
#[derive(Debug, Clone)]
pub struct RequestCodec<Out, In> {
    messages: PhantomData<(Out, In)>,
}

impl<Out, In> Default for RequestCodec<Out, In> {
    fn default() -> Self {
        RequestCodec {
            messages: PhantomData,
        }
    }
}

impl<Out, In> Codec for RequestCodec<Out, In>
where
    Out: Message + Send + 'static,
    In: Message + Default + Send + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = ProstEncoder<Out>;
    type Decoder = RequestDecoder<In>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<Out, In>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder {
            message: PhantomData,
        }
    }
}

/// The decoding half of [`RequestCodec`].
#[derive(Debug, Clone)]
pub struct RequestDecoder<In> {
    message: PhantomData<In>,
}

impl<In: Message + Default> Decoder for RequestDecoder<In> {
    type Item = In;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<In>, Status> {
        In::decode(bytes).map(Some).map_err(|error| {
            let why = format!("the bytes are not a message of this method: {error}");
            Refusal::new(Reason::MalformedMessage, why).into()
        })
    }
}
