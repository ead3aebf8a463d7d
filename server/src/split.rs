//! A weighted split of traffic: which version answers for a customer, the same on every machine.
//!
//! A customer's place is the first 8 bytes, big-endian, of
//! `SHA-256(model ‖ 0x00 ‖ salt ‖ 0x00 ‖ row key)`, and their share the one that holds
//! `⌊place · W / 2⁶⁴⌋` when shares are laid end to end in their order, `W` the sum of the weights. In
//! Python:
//!
//! ```text
//! digest = hashlib.sha256(b"retail\0" + salt + b"\0" + key).digest()
//! point = int.from_bytes(digest[:8], "big") * total >> 64
//! ```
//!
//! So a share that grows at the end of the list takes customers from the one before it and gives none
//! away. Rows without a key are the champion's.

use crate::registry::{Served, Versions};
use crate::routing::Routing;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Most shares of a split.
pub(crate) const MAX_SHARES: usize = 8;
/// Largest weight.
pub(crate) const MAX_WEIGHT: u32 = 1_000_000;
/// Longest salt, in bytes.
pub(crate) const MAX_SALT_BYTES: usize = 64;

/// One share of the traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// A version, or `@alias`.
    pub(crate) to: String,
    pub(crate) weight: u32,
}

/// A split as it is written down; without shares there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Split {
    /// Makes the places of one split independent of those of another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) salt: String,
    #[serde(default)]
    pub(crate) shares: Vec<Share>,
}

impl Split {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let total: u64 = self
            .shares
            .iter()
            .map(|share| u64::from(share.weight))
            .sum();
        if self.shares.len() > MAX_SHARES {
            return Err(format!("a split has at most {MAX_SHARES} shares"));
        }
        if self.shares.iter().any(|share| share.weight > MAX_WEIGHT) {
            return Err(format!("a weight is at most {MAX_WEIGHT}"));
        }
        if !self.shares.is_empty() && total == 0 {
            return Err("some share of a split must have a weight".to_owned());
        }
        if self.salt.len() > MAX_SALT_BYTES || self.salt.contains('\0') {
            return Err(format!(
                "a salt has at most {MAX_SALT_BYTES} bytes, none of them 0"
            ));
        }
        Ok(())
    }
}

/// A split in force.
#[derive(Debug)]
pub(crate) struct LiveSplit {
    /// What comes before a key in what is hashed.
    head: Sha256,
    total: u64,
    /// Where each share ends, and who it is.
    ends: Vec<(u64, Arc<Served>)>,
}

impl LiveSplit {
    /// The split of a routing, if there is one and its shares are loaded.
    pub(crate) fn of(id: &str, routing: &Routing, versions: &Versions) -> Option<LiveSplit> {
        let split = &routing.split;
        let mut ends = Vec::with_capacity(split.shares.len());
        let mut total = 0;
        for share in &split.shares {
            total += u64::from(share.weight);
            ends.push((total, Arc::clone(versions.get(routing.target(&share.to)?)?)));
        }
        let mut head = Sha256::new();
        for part in [id.as_bytes(), split.salt.as_bytes()] {
            head.update(part);
            head.update([0]);
        }
        (total > 0).then_some(LiveSplit { head, total, ends })
    }

    /// Who answers for the customer of a key.
    pub(crate) fn version_of(&self, key: &str) -> Option<&Arc<Served>> {
        let digest = self.head.clone().chain_update(key).finalize();
        let place = u64::from_be_bytes(*digest.first_chunk()?);
        let point = (u128::from(place) * u128::from(self.total)) >> 64;
        let share = self.ends.iter().find(|(end, _)| point < u128::from(*end));
        share.map(|(_, served)| served)
    }
}

/// Why versions of a split cannot stand in for the champion: who splits a batch by rows needs them to
/// ask for no other columns and to answer with the same ones.
pub(crate) fn unlike(routing: &Routing, versions: &Versions) -> Vec<String> {
    let served = |to: &str| routing.target(to).and_then(|version| versions.get(version));
    let Some(champion) = routing.champion().and_then(served) else {
        return Vec::new();
    };
    let shares = routing.split.shares.iter();
    let others = shares.filter_map(|share| served(&share.to));
    let why = others.filter_map(|other| {
        let why = difference(&champion.model, &other.model)?;
        Some(format!(
            "{} cannot share the champion's traffic: {why}",
            other.version
        ))
    });
    why.collect()
}

fn difference(champion: &cvm::Model, other: &cvm::Model) -> Option<String> {
    let columns = |model: &cvm::Model| -> Vec<_> {
        let outputs = model.outputs().iter();
        outputs
            .map(|o| (o.name, o.unit, o.needs_horizon, o.on_request))
            .collect()
    };
    if columns(champion) != columns(other) {
        return Some("its outputs are others".to_owned());
    }
    let asked = &champion.schema().fields;
    let more = other.schema().fields.iter().find(|field| {
        let same = |own: &&cvm::InputField| own.name == field.name;
        let own = asked.iter().find(same);
        own.is_none_or(|own| is_number(own) != is_number(field))
    });
    more.map(|field| format!("it asks for `{}`, the champion does not", field.name))
}

fn is_number(field: &cvm::InputField) -> bool {
    matches!(field.kind, cvm::FieldKind::Number { .. })
}
