//! Errors on the wire: a reason of the published catalogue, a sentence, and the wrong fields.

use crate::v1 as pb;
use cvm::{ErrorKind, Violation};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The domain of every reason.
pub const DOMAIN: &str = "cvm";

/// Details travel in response headers, which clients commonly cap at 8 KiB; non-ASCII text triples
/// there and binary grows by a third.
const MAX_MESSAGE_BYTES: usize = 768;
const MAX_FIELD_BYTES: usize = 128;
const MAX_DESCRIPTION_BYTES: usize = 384;
const MAX_DETAIL_BYTES: usize = 2_560;

/// Why a request failed: the published catalogue. A name never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A field is missing, has the wrong type or form, or is out of range; `field_violations` say which.
    InvalidField,
    /// The bytes are not the message of this method.
    MalformedMessage,
    /// No model of that name and version is loaded.
    ModelNotFound,
    /// The model's format or schema cannot be used by this build.
    ModelIncompatible,
    /// The model fails its checksums or does not reproduce its probe scores.
    ModelCorrupt,
    /// A model could not be loaded or unloaded by request.
    ModelUnavailable,
    /// The caller did not show who they are.
    Unauthenticated,
    /// The server does not allow this to the caller, or to anyone.
    NotAllowed,
    /// Too much work at once.
    Overloaded,
    /// The server is shutting down; another may answer.
    Draining,
    /// The caller's deadline passed.
    DeadlineExceeded,
    /// A defect of the server.
    Internal,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 12] = [
        Reason::InvalidField,
        Reason::MalformedMessage,
        Reason::ModelNotFound,
        Reason::ModelIncompatible,
        Reason::ModelCorrupt,
        Reason::ModelUnavailable,
        Reason::Unauthenticated,
        Reason::NotAllowed,
        Reason::Overloaded,
        Reason::Draining,
        Reason::DeadlineExceeded,
        Reason::Internal,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Reason::InvalidField => "INVALID_FIELD",
            Reason::MalformedMessage => "MALFORMED_MESSAGE",
            Reason::ModelNotFound => "MODEL_NOT_FOUND",
            Reason::ModelIncompatible => "MODEL_INCOMPATIBLE",
            Reason::ModelCorrupt => "MODEL_CORRUPT",
            Reason::ModelUnavailable => "MODEL_UNAVAILABLE",
            Reason::Unauthenticated => "UNAUTHENTICATED",
            Reason::NotAllowed => "NOT_ALLOWED",
            Reason::Overloaded => "OVERLOADED",
            Reason::Draining => "DRAINING",
            Reason::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Reason::Internal => "INTERNAL",
        }
    }

    /// The status code a call with this reason ends with.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Reason::InvalidField | Reason::MalformedMessage => Code::InvalidArgument,
            Reason::ModelNotFound => Code::NotFound,
            Reason::ModelIncompatible | Reason::ModelUnavailable => Code::FailedPrecondition,
            Reason::Unauthenticated => Code::Unauthenticated,
            Reason::NotAllowed => Code::PermissionDenied,
            Reason::ModelCorrupt => Code::DataLoss,
            Reason::Overloaded => Code::ResourceExhausted,
            Reason::Draining => Code::Unavailable,
            Reason::DeadlineExceeded => Code::DeadlineExceeded,
            Reason::Internal => Code::Internal,
        }
    }

    /// How long a caller should wait before trying again, for reasons that pass.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Reason::Overloaded => Some(Duration::from_millis(100)),
            Reason::Draining => Some(Duration::ZERO),
            Reason::InvalidField
            | Reason::MalformedMessage
            | Reason::ModelNotFound
            | Reason::ModelIncompatible
            | Reason::ModelCorrupt
            | Reason::ModelUnavailable
            | Reason::Unauthenticated
            | Reason::NotAllowed
            | Reason::DeadlineExceeded
            | Reason::Internal => None,
        }
    }
}

impl From<ErrorKind> for Reason {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidInput => Reason::InvalidField,
            ErrorKind::NotFound => Reason::ModelNotFound,
            ErrorKind::Incompatible => Reason::ModelIncompatible,
            ErrorKind::Corrupt => Reason::ModelCorrupt,
            ErrorKind::Overloaded => Reason::Overloaded,
            // Nothing here fits a model, so a fit that fails is a defect.
            ErrorKind::NotConverged | ErrorKind::Internal => Reason::Internal,
        }
    }
}

/// A failed request, independent of how it travels: as a status or inside a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Status code.
    pub code: Code,
    /// Name of a [`Reason`]; a newer server may send one that this build does not know, and an
    /// intermediary none.
    pub reason: String,
    /// One sentence for a person.
    pub message: String,
    /// The wrong fields; empty when the error is not about fields.
    pub violations: Vec<Violation>,
}

impl Refusal {
    /// A refusal that is not about fields.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Refusal {
            code: reason.code(),
            reason: reason.name().to_owned(),
            message: message.into(),
            violations: Vec::new(),
        }
    }

    /// A refusal because of wrong fields; the message is made of them.
    #[must_use]
    pub fn fields(violations: Vec<Violation>) -> Self {
        let lines: Vec<String> = violations
            .iter()
            .take(8)
            .map(|v| format!("{}: {}", v.field, v.description))
            .collect();
        Refusal {
            violations,
            ..Refusal::new(Reason::InvalidField, lines.join("; "))
        }
    }

    /// The same refusal, small enough for the headers it travels in.
    fn trimmed(self) -> Refusal {
        let mut room = MAX_DETAIL_BYTES;
        let mut violations = Vec::new();
        for violation in self.violations {
            let field = cut(violation.field, MAX_FIELD_BYTES);
            let description = cut(violation.description, MAX_DESCRIPTION_BYTES);
            let size = field.len() + description.len() + 8;
            if size > room {
                break;
            }
            room -= size;
            violations.push(Violation { field, description });
        }
        Refusal {
            message: cut(self.message, MAX_MESSAGE_BYTES),
            violations,
            ..self
        }
    }
}

/// Cuts `text` to at most `limit` bytes at a character border and marks the cut.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let Refusal {
            code,
            reason,
            message,
            violations,
        } = refusal.trimmed();
        let known = Reason::ALL.into_iter().find(|known| known.name() == reason);
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        if !violations.is_empty() {
            let fields = violations.into_iter();
            details.set_bad_request(
                fields
                    .map(|v| FieldViolation::new(v.field, v.description))
                    .collect::<Vec<_>>(),
            );
        }
        if let Some(delay) = known.and_then(Reason::retry_after) {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, message, details)
    }
}

impl From<&Status> for Refusal {
    /// Reads what a server of this API sent; a status of another origin keeps its code and message.
    fn from(status: &Status) -> Refusal {
        let details = status.get_error_details();
        let info = details.error_info();
        let reason = info.map_or_else(String::new, |info| info.reason.clone());
        let fields = details
            .bad_request()
            .map(|bad| bad.field_violations.as_slice())
            .unwrap_or_default();
        let violations = fields.iter().map(|v| Violation {
            field: v.field.clone(),
            description: v.description.clone(),
        });
        Refusal {
            code: status.code(),
            reason,
            message: status.message().to_owned(),
            violations: violations.collect(),
        }
    }
}

impl From<Refusal> for pb::Error {
    fn from(refusal: Refusal) -> pb::Error {
        let Refusal {
            code,
            reason,
            message,
            violations,
        } = refusal.trimmed();
        let field_violations = violations.into_iter().map(|v| pb::FieldViolation {
            field: v.field,
            description: v.description,
        });
        pb::Error {
            code: i32::from(code),
            reason,
            message,
            field_violations: field_violations.collect(),
        }
    }
}

impl From<pb::Error> for Refusal {
    fn from(error: pb::Error) -> Refusal {
        let pb::Error {
            code,
            reason,
            message,
            field_violations,
        } = error;
        let violations = field_violations.into_iter().map(|violation| {
            let pb::FieldViolation { field, description } = violation;
            Violation { field, description }
        });
        Refusal {
            code: Code::from(code),
            reason,
            message,
            violations: violations.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DETAIL_BYTES, Reason, Refusal};
    use crate::v1 as pb;
    use cvm::{ErrorKind, Violation};
    use tonic::{Code, Status};

    fn refusal() -> Refusal {
        let field = "frame.columns[3].doubles".to_owned();
        let description = "has 2 values, row_count is 3".to_owned();
        Refusal::fields(vec![Violation { field, description }])
    }

    #[test]
    fn a_status_and_an_error_in_a_stream_say_the_same() {
        let status = Status::from(refusal());
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(Refusal::from(&status), refusal());
        assert_eq!(Refusal::from(pb::Error::from(refusal())), refusal());
    }

    #[test]
    fn names_follow_the_form_of_error_info() {
        for reason in Reason::ALL {
            let name = reason.name();
            assert!(name.len() <= 63);
            assert!(
                name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                "{name}"
            );
            assert_ne!(reason.code(), Code::Ok);
        }
    }

    #[test]
    fn every_kind_has_the_code_of_the_house() {
        let table = [
            (ErrorKind::InvalidInput, Code::InvalidArgument),
            (ErrorKind::NotFound, Code::NotFound),
            (ErrorKind::Incompatible, Code::FailedPrecondition),
            (ErrorKind::Corrupt, Code::DataLoss),
            (ErrorKind::NotConverged, Code::Internal),
            (ErrorKind::Overloaded, Code::ResourceExhausted),
            (ErrorKind::Internal, Code::Internal),
        ];
        for (kind, code) in table {
            assert_eq!(Reason::from(kind).code(), code, "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_of_any_size_fits_into_headers() {
        let violation = Violation {
            field: "é".repeat(10_000),
            description: "ü".repeat(100_000),
        };
        let status = Status::from(Refusal::fields(vec![violation; 1_000]));
        assert!(status.message().len() <= 768);
        assert!(status.details().len() < MAX_DETAIL_BYTES + 1_024);
        let back = Refusal::from(&status);
        assert!(!back.violations.is_empty());
        assert!(back.violations.iter().all(|v| v.description.ends_with('…')));
    }

    #[test]
    fn a_foreign_status_keeps_its_code_and_message() {
        let back = Refusal::from(&Status::unavailable("connection refused"));
        assert_eq!((back.code, back.reason.as_str()), (Code::Unavailable, ""));
        assert_eq!(back.message, "connection refused");
    }
}
