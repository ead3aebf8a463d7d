//! An answer that counts as in flight until its caller has taken it.
//!
//! A caller that asks for much and reads nothing would otherwise pile up answers that nobody counts.

use crate::admission::Ticket;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;

/// A body with the ticket of its request.
#[derive(Debug)]
pub(crate) struct Taken {
    body: Body,
    _ticket: Ticket,
}

impl Taken {
    /// The same body, which holds `ticket` until it is sent or dropped.
    pub(crate) fn body(body: Body, ticket: Ticket) -> Body {
        Body::new(Taken {
            body,
            _ticket: ticket,
        })
    }
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
