//! What tells one state of a file from another, and when a state is final.

use crate::trust::Trust;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file untouched for this long is not being written within a clock tick of the last look.
const SETTLED: Duration = Duration::from_secs(2);

/// Times, size and inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    modified: Option<SystemTime>,
    size_bytes: u64,
    /// Inode and change time, where the system has them: they see a same-size rewrite with a
    /// restored modification time.
    identity: (u64, i64, i64),
    /// Of the signature beside it, where signatures are looked at, and which keys are trusted.
    signature: Option<Signature>,
}

/// The state of a signature: time, size, inode, and the generation of the keys.
type Signature = (Option<SystemTime>, u64, (u64, i64, i64), u64);

/// A state, and whether the file may still be being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) state: FileState,
    pub(crate) settled: bool,
}

impl Look {
    /// A look at a file; none at one that is not there.
    pub(crate) fn at(path: &Path) -> Option<Look> {
        Look::under(path, &Trust::none())
    }

    /// A look at a model file and its signature.
    pub(crate) fn under(path: &Path, trust: &Trust) -> Option<Look> {
        let state = FileState::of(&std::fs::metadata(path).ok()?).under(trust, path);
        let settled = state.is_settled(SystemTime::now());
        Some(Look { state, settled })
    }
}

/// Whether a second look need not read again.
pub(crate) fn is_known(before: Option<Look>, now: Option<Look>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => before.settled && before.state == now.state,
        (None, None) => true,
        _ => false,
    }
}

impl FileState {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn of(metadata: &std::fs::Metadata) -> FileState {
        FileState {
            modified: metadata.modified().ok(),
            size_bytes: metadata.len(),
            identity: identity(metadata),
            signature: None,
        }
    }

    /// The same with the signature beside the file, if signatures are looked at.
    pub(crate) fn under(self, trust: &Trust, path: &Path) -> FileState {
        if !trust.is_in_force() {
            return self;
        }
        let beside = std::fs::metadata(cvm::signature::Signature::path_of(path)).ok();
        let generation = trust.generation();
        let signature = beside.map_or((None, 0, (0, 0, 0), generation), |facts| {
            let of = FileState::of(&facts);
            (of.modified, of.size_bytes, of.identity, generation)
        });
        FileState {
            signature: Some(signature),
            ..self
        }
    }

    /// Whether the last change is long enough ago. A time in the future counts as settled, or a
    /// wrong clock would mean a reload at every look.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let signature = self
            .signature
            .map(|(modified, _, identity, _)| (modified, identity));
        let both = [Some((self.modified, self.identity)), signature];
        let mut both = both.into_iter().flatten();
        both.all(|(modified, identity)| is_old(modified, identity, now))
    }
}

fn is_old(modified: Option<SystemTime>, identity: (u64, i64, i64), now: SystemTime) -> bool {
    let (_, seconds, _) = identity;
    let changed = u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .or(modified);
    changed.is_none_or(|time| now.duration_since(time).is_ok_and(|age| age >= SETTLED))
        || changed.is_some_and(|time| time > now)
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_metadata: &std::fs::Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}
