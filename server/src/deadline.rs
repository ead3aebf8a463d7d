//! The caller's deadline: header `grpc-timeout`.

use cvm_proto::{Reason, Refusal};
use http::HeaderMap;
use std::time::Duration;
use tokio::time::Instant;

/// When the caller stops waiting, if they said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Option<Instant>);

impl Deadline {
    /// The deadline of a request that arrived now. A header that is not a timeout is as good as
    /// none, as in every gRPC server.
    pub(crate) fn of(headers: &HeaderMap) -> Deadline {
        let text = headers.get("grpc-timeout").and_then(|v| v.to_str().ok());
        Deadline(
            text.and_then(parse)
                .and_then(|t| Instant::now().checked_add(t)),
        )
    }

    /// # Errors
    /// `DEADLINE_EXCEEDED` if nobody waits any more.
    pub(crate) fn check(self) -> Result<(), Refusal> {
        match self.0 {
            Some(instant) if instant <= Instant::now() => Err(exceeded()),
            _ => Ok(()),
        }
    }

    /// The time to the deadline; nothing without one.
    pub(crate) fn left(self) -> Option<Duration> {
        let end = self.0?;
        Some(end.saturating_duration_since(Instant::now()))
    }

    /// Ends at the deadline; never without one.
    pub(crate) async fn passed(self) {
        match self.0 {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}

/// The refusal of a request that took too long.
pub(crate) fn exceeded() -> Refusal {
    Refusal::new(Reason::DeadlineExceeded, "the caller's deadline passed")
}

/// At most 8 digits and a unit: gRPC over HTTP/2, "Timeout".
fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.len().checked_sub(1)?;
    let (digits, unit) = text.split_at_checked(unit_at)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        assert_eq!(parse("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse("3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("7u"), Some(Duration::from_micros(7)));
        assert_eq!(parse("0n"), Some(Duration::ZERO));
        for wrong in ["", "S", "1", "+1S", "1.5S", "123456789S", "1s", "1é", "é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
