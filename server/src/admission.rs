//! How much is in flight: a request is let in by its rows, before it is decoded, or told to come back.

use cvm_proto::{Reason, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Rows that a call counts as beside its own: what it costs without any.
const CALL_ROWS: usize = 32;
/// Bytes of a message that count as a row, whatever it claims.
const ROW_BYTES: usize = 256;

/// Rows in flight, and how many there may be.
#[derive(Debug)]
pub(crate) struct Admission {
    rows: AtomicUsize,
    most: usize,
    shed: AtomicU64,
}

/// Leave to work on rows; they count until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    rows: usize,
}

impl Admission {
    pub(crate) fn new(most: usize) -> Arc<Admission> {
        Arc::new(Admission {
            rows: AtomicUsize::new(0),
            most,
            shed: AtomicU64::new(0),
        })
    }

    /// Lets in a message of `bytes` that claims `rows`. Alone every request is let in.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`, to be tried again.
    pub(crate) fn admit(self: &Arc<Self>, rows: u64, bytes: usize) -> Result<Ticket, Refusal> {
        let claimed = usize::try_from(rows).unwrap_or(usize::MAX).min(self.most);
        let rows = claimed.max(bytes / ROW_BYTES).saturating_add(CALL_ROWS);
        let ticket = Ticket {
            admission: Arc::clone(self),
            rows,
        };
        let before = self.rows.fetch_add(rows, Ordering::Relaxed);
        if before == 0 || before.saturating_add(rows) <= self.most {
            return Ok(ticket);
        }
        self.shed.fetch_add(1, Ordering::Relaxed);
        let why = format!("about {before} rows are in flight, {} may be", self.most);
        Err(Refusal::new(Reason::Overloaded, why))
    }

    /// Rows in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Requests not let in so far.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.rows.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Admission, CALL_ROWS};
    use tonic::Code;

    #[test]
    fn rows_count_while_their_ticket_is_held() {
        let admission = Admission::new(1_000);
        let first = admission.admit(600, 0).unwrap();
        assert_eq!(admission.in_flight(), 600 + CALL_ROWS);
        let error = admission.admit(600, 0).unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        // What claims few rows is told by its size.
        assert!(admission.admit(1, 256 * 600).is_err());
        let second = admission.admit(300, 0).unwrap();
        assert_eq!(admission.shed(), 2);
        drop(first);
        admission.admit(600, 0).unwrap();
        drop(second);
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn alone_every_request_is_let_in() {
        let admission = Admission::new(1_000);
        for rows in [5_000, u64::MAX] {
            let ticket = admission.admit(rows, 1 << 30).unwrap();
            assert!(admission.admit(1, 0).is_err());
            drop(ticket);
            assert_eq!(admission.in_flight(), 0);
        }
    }
}
