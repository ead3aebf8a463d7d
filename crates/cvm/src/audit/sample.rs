//! Which predictions are recorded: a share of all, always the same customers.
//!
//! A key's place is its FNV-1a hash of 64 bits, mixed by the last step of MurmurHash3; it is recorded if
//! the place is below `share · 2⁶⁴`. Cheap enough for every row of every request, and the same on every
//! machine and in every language.
//!
//! Sources: Fowler, Noll & Vo, RFC 9923, for the hash; Appleby, MurmurHash3 (public domain), for `fmix64`.

use crate::Error;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// 2⁶⁴.
const PLACES: f64 = 18_446_744_073_709_551_616.0;

/// A share of all predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Places below are recorded; none stands for all.
    below: Option<u64>,
}

impl Sample {
    /// The share to record, above 0 and at most 1.
    ///
    /// # Errors
    /// `InvalidInput` for any other number.
    pub fn new(share: f64) -> Result<Sample, Error> {
        if !(share > 0.0 && share <= 1.0) {
            let why = format!("is {share}: must be above 0 and at most 1");
            return Err(Error::invalid("share", why));
        }
        // From 0 to below 2^64 by the check; a cast would saturate in any case.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let below = (share < 1.0).then_some((share * PLACES) as u64);
        Ok(Sample { below })
    }

    /// Whether everything is recorded.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.below.is_none()
    }

    /// Whether a key is recorded.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.below.is_none_or(|below| place(key.as_bytes()) < below)
    }

    /// Whether the request of a number is recorded, for requests without a name.
    #[must_use]
    pub fn has_number(&self, number: u64) -> bool {
        self.below
            .is_none_or(|below| place(&number.to_le_bytes()) < below)
    }
}

fn place(key: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let mut hash = key.iter().fold(OFFSET, step);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
