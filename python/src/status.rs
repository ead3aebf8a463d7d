//! Failed calls as exceptions.

use crate::errors::{AccessDeniedError, DeadlineError, ServerUnavailableError, to_py};
use cvm::{Error, ErrorKind};
use cvm_proto::{ConvertError, Refusal};
use pyo3::PyErr;
use std::time::Duration;
use tonic::{Code, Status};

/// The exception of a failed call.
pub(crate) fn raise(status: &Status) -> PyErr {
    let Refusal {
        code,
        reason: _,
        message,
        violations,
    } = Refusal::from(status);
    let kind = match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidInput,
        Code::NotFound => ErrorKind::NotFound,
        Code::FailedPrecondition => ErrorKind::Incompatible,
        Code::DataLoss => ErrorKind::Corrupt,
        Code::ResourceExhausted | Code::Unavailable => ErrorKind::Overloaded,
        // The transport calls a deadline of this side a cancellation.
        Code::DeadlineExceeded | Code::Cancelled => return DeadlineError::new_err(message),
        Code::Unauthenticated | Code::PermissionDenied => {
            return AccessDeniedError::new_err(message);
        }
        Code::Unimplemented => {
            let why = format!("the server does not offer this service of cvm: {message}");
            return ServerUnavailableError::new_err(why);
        }
        // A connection that ends under TLS, such as for want of a certificate, has no code of its own.
        Code::Unknown | Code::Internal
            if message == "transport error" || message.starts_with("h2 protocol error") =>
        {
            return ServerUnavailableError::new_err("the connection was refused or lost");
        }
        other => {
            let why = format!("the server failed with {other:?}: {message}");
            return to_py(Error::new(ErrorKind::Internal, why));
        }
    };
    to_py(Error {
        kind,
        message,
        violations,
    })
}

pub(crate) fn late(limit: Duration) -> PyErr {
    let seconds = limit.as_secs_f64();
    DeadlineError::new_err(format!("the server did not answer within {seconds} s"))
}

pub(crate) fn garbled(error: ConvertError) -> PyErr {
    let why = format!("the server's answer contradicts itself: {error}");
    to_py(Error::new(ErrorKind::Internal, why))
}

pub(crate) fn unreachable_server(target: &str, error: &tonic::transport::Error) -> PyErr {
    let mut why = format!("no server answers at {target}: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        why.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    ServerUnavailableError::new_err(why)
}
