//! The servers' codec: bytes that are not the message are the caller's fault, and say so; and who has
//! too much to do is asked before a message is decoded.

use crate::{Reason, Refusal};
use bytes::Buf;
use prost::Message;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

tokio::task_local! {
    static GATE: Gate;
}

type Look = dyn Fn(&[u8]) -> Result<(), Refusal> + Send + Sync;

/// Sees the bytes of a message before they are decoded, and may refuse it.
#[derive(Clone)]
pub struct Gate(Arc<Look>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// A gate that asks `look`.
    pub fn new(look: impl Fn(&[u8]) -> Result<(), Refusal> + Send + Sync + 'static) -> Gate {
        Gate(Arc::new(look))
    }

    /// The same future; messages that are decoded inside it pass the gate first.
    pub fn before<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        GATE.scope(self, work)
    }
}

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
        if let Ok(Err(refusal)) = GATE.try_with(|gate| (gate.0)(bytes.chunk())) {
            return Err(refusal.into());
        }
        In::decode(bytes).map(Some).map_err(|error| {
            let why = format!("the bytes are not a message of this method: {error}");
            Refusal::new(Reason::MalformedMessage, why).into()
        })
    }
}
