//! Calls by method and status code, and how long each method takes.

use crate::identity::{Access, Role};
use crate::meter::Tally;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::Code;

const OPEN: Access = Access::Open;
const READ: Access = Access::Needs(Role::Read);
const SCORE: Access = Access::Needs(Role::Score);
const ADMIN: Access = Access::Needs(Role::Admin);

/// Every method as its path, and what it asks of a caller; a test holds the table against the
/// compiled descriptors, so that a new method cannot be without its row.
pub(crate) const METHODS: [(&str, Access); 27] = [
    ("cvm.v1.ScoringService/Score", SCORE),
    ("cvm.v1.ScoringService/StreamScore", SCORE),
    ("cvm.v1.ModelService/ListModels", READ),
    ("cvm.v1.ModelService/GetModel", READ),
    ("cvm.admin.v1.AdminService/ListVersions", READ),
    ("cvm.admin.v1.AdminService/LoadVersion", ADMIN),
    ("cvm.admin.v1.AdminService/UnloadVersion", ADMIN),
    ("cvm.admin.v1.AdminService/SetAlias", ADMIN),
    ("cvm.admin.v1.AdminService/DeleteAlias", ADMIN),
    ("cvm.admin.v1.AdminService/Rollback", ADMIN),
    ("cvm.admin.v1.AdminService/SetSplit", ADMIN),
    ("cvm.admin.v1.AdminService/SetShadows", ADMIN),
    ("cvm.admin.v1.AdminService/CompareShadows", READ),
    ("cvm.admin.v1.AdminService/DiffModelVersions", ADMIN),
    ("cvm.admin.v1.AdminService/ReplayScore", ADMIN),
    ("inference.GRPCInferenceService/ServerLive", OPEN),
    ("inference.GRPCInferenceService/ServerReady", OPEN),
    ("inference.GRPCInferenceService/ModelReady", READ),
    ("inference.GRPCInferenceService/ServerMetadata", READ),
    ("inference.GRPCInferenceService/ModelMetadata", READ),
    ("inference.GRPCInferenceService/ModelInfer", SCORE),
    ("inference.GRPCInferenceService/ModelStreamInfer", SCORE),
    ("inference.GRPCInferenceService/ModelConfig", READ),
    ("inference.GRPCInferenceService/ModelStatistics", READ),
    ("inference.GRPCInferenceService/RepositoryIndex", READ),
    ("inference.GRPCInferenceService/RepositoryModelLoad", ADMIN),
    (
        "inference.GRPCInferenceService/RepositoryModelUnload",
        ADMIN,
    ),
];

/// Whatever is not of this server's own services, health and reflection among it: callers choose
/// paths, and must not choose how many series there are.
const OTHER: &str = "other";

/// What is counted of HTTP, by the start of its path.
const HTTP: [(&str, &str); 4] = [
    ("/v1/models/", "http/score"),
    ("/metrics", "http/metrics"),
    ("/status.json", "http/status"),
    ("/", "http/other"),
];

/// Status codes of gRPC.
const CODES: usize = 17;

/// Times by status code; of a method's calls, until the answer or the head of a stream of answers is
/// ready.
#[derive(Debug, Default)]
pub(crate) struct ByCode {
    times: [Tally; CODES],
}

/// Calls of all methods.
#[derive(Debug)]
pub(crate) struct Calls {
    places: HashMap<&'static str, usize>,
    methods: Vec<(&'static str, ByCode)>,
    closed: AtomicU64,
}

impl Default for Calls {
    fn default() -> Self {
        let names = METHODS.into_iter().map(|(name, _)| name).chain([OTHER]);
        let all = names.clone().chain(HTTP.map(|(_, name)| name));
        Calls {
            places: names.zip(0..).collect(),
            methods: all.map(|name| (name, ByCode::default())).collect(),
            closed: AtomicU64::new(0),
        }
    }
}

impl Calls {
    /// The place of the method of a request's path.
    pub(crate) fn place(&self, path: &str) -> usize {
        let name = path.strip_prefix('/').unwrap_or(path);
        *self.places.get(name).unwrap_or(&METHODS.len())
    }

    /// The place of a path of HTTP.
    pub(crate) fn http_place(path: &str) -> usize {
        let own = HTTP.iter().position(|(start, _)| path.starts_with(start));
        METHODS.len() + 1 + own.unwrap_or(HTTP.len() - 1)
    }

    /// The name of a path of HTTP.
    pub(crate) fn http_name(path: &str) -> &'static str {
        let own = HTTP.iter().find(|(start, _)| path.starts_with(start));
        own.map_or(OTHER, |(_, name)| name)
    }

    /// A call of the method at `place` has its answer.
    pub(crate) fn answered(&self, place: usize, code: Code, time: Duration) {
        let Some((_, method)) = self.methods.get(place) else {
            return;
        };
        method.add(code, time);
    }

    /// A connection is closed for the calls it cancels.
    pub(crate) fn connection_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections so closed.
    pub(crate) fn closed_count(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Methods that were called.
    pub(crate) fn called(&self) -> impl Iterator<Item = (&'static str, &ByCode)> {
        let methods = self.methods.iter().map(|(name, method)| (*name, method));
        methods.filter(|(_, method)| method.codes().next().is_some())
    }
}

impl ByCode {
    pub(crate) fn add(&self, code: Code, time: Duration) {
        if let Some(all) = self.times.get(code as usize) {
            all.add(time);
        }
    }

    /// Codes that were answered, by their names in the protocol, with how often.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.times().map(|(name, time)| (name, time.read().0))
    }

    /// Times of the codes that were answered.
    pub(crate) fn times(&self) -> impl Iterator<Item = (&'static str, &Tally)> {
        let all = NAMES.into_iter().zip(&self.times);
        all.filter(|(_, time)| time.read().0 > 0)
    }

    /// Times of all answers.
    pub(crate) fn time(&self) -> Tally {
        let all = Tally::default();
        self.times.iter().for_each(|time| all.merge(time));
        all
    }
}

/// The code of what succeeded.
pub(crate) const OK: &str = NAMES[0];

/// Their names in the protocol, by number.
const NAMES: [&str; CODES] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of the method at a place.
pub(crate) fn method_name(place: usize) -> &'static str {
    METHODS.get(place).map_or(OTHER, |(name, _)| name)
}

/// The name of a code in the protocol.
pub(crate) fn code_name(code: Code) -> &'static str {
    NAMES.get(code as usize).copied().unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::{Calls, METHODS};
    use std::collections::BTreeSet;
    use std::time::Duration;
    use tonic::Code;

    /// Services and methods of the descriptors, read as bytes: every name is in there in clear.
    #[test]
    fn every_method_of_the_descriptors_is_listed() {
        use prost::Message;
        let set = prost_types::FileDescriptorSet::decode(cvm_proto::DESCRIPTORS).unwrap();
        let mut found = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let (package, service) = (file.package(), service.name());
                    found.insert(format!("{package}.{service}/{}", method.name()));
                }
            }
        }
        assert_eq!(
            found,
            METHODS
                .map(|(name, _)| name.to_owned())
                .into_iter()
                .collect()
        );
    }

    #[test]
    fn calls_are_counted_where_they_belong() {
        let calls = Calls::default();
        let score = calls.place("/cvm.v1.ScoringService/Score");
        calls.answered(score, Code::Ok, Duration::from_micros(3));
        calls.answered(score, Code::NotFound, Duration::from_micros(5));
        calls.answered(calls.place("/x.Y/Z"), Code::Unimplemented, Duration::ZERO);
        let seen: Vec<_> = calls
            .called()
            .map(|(name, method)| (name, method.codes().collect::<Vec<_>>()))
            .collect();
        calls.answered(Calls::http_place("/metrics"), Code::Ok, Duration::ZERO);
        calls.answered(Calls::http_place("/x"), Code::NotFound, Duration::ZERO);
        let http: Vec<_> = calls.called().map(|(name, _)| name).skip(2).collect();
        assert_eq!(http, ["http/metrics", "http/other"]);
        let of_score = vec![("OK", 1), ("NOT_FOUND", 1)];
        assert_eq!(seen[0], ("cvm.v1.ScoringService/Score", of_score));
        assert_eq!(seen[1], ("other", vec![("UNIMPLEMENTED", 1)]));
    }
}
