//! What a served model has done since it was loaded: requests, rows, and where the time went.

use crate::calls::{ByCode, OK};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tonic::Code;

/// Times up to 1 µs, 2 µs, 4 µs … 2^22 µs (4.2 s) have a bucket each, longer ones the last.
pub(crate) const BUCKETS: usize = 24;

/// A number of events and their time, and how many took how long. Adding takes no lock.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Tally {
    /// An event of this length.
    pub(crate) fn add(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.ns.fetch_add(ns, Ordering::Relaxed);
        let place =
            usize::try_from(u64::BITS - ns.div_ceil(1_000).saturating_sub(1).leading_zeros());
        let place = place.unwrap_or(BUCKETS).min(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds the events of another tally.
    pub(crate) fn merge(&self, other: &Tally) {
        let pairs = self.buckets.iter().zip(&other.buckets);
        for (own, other) in pairs.chain([(&self.ns, &other.ns)]) {
            own.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Events and nanoseconds so far.
    pub(crate) fn read(&self) -> (u64, u64) {
        let (buckets, ns) = self.histogram();
        (buckets.iter().map(|(_, count)| count).sum(), ns)
    }

    /// Upper ends of the buckets in seconds with the events of each, and all nanoseconds.
    pub(crate) fn histogram(&self) -> ([(f64, u64); BUCKETS], u64) {
        let mut buckets = [(f64::MAX, 0); BUCKETS];
        let mut end = 1e-6;
        for (slot, bucket) in buckets.iter_mut().zip(&self.buckets) {
            *slot = (end, bucket.load(Ordering::Relaxed));
            end *= 2.0;
        }
        if let Some(last) = buckets.last_mut() {
            last.0 = f64::MAX;
        }
        (buckets, self.ns.load(Ordering::Relaxed))
    }
}

/// The counters of one version of a model. Reading takes no lock: counts of one moment may differ by
/// the requests of that moment.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// What came through each method that scores, from its first request on.
    methods: [OnceLock<Box<Requests>>; Method::NAMES.len()],
    rows: AtomicU64,
    last_ms: AtomicU64,
}

/// The methods by which a model is asked for scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Score,
    StreamScore,
    ModelInfer,
    ModelStreamInfer,
    Http,
}

impl Method {
    /// Their names, in the order of the methods.
    const NAMES: [&str; 5] = [
        "cvm.v1.ScoringService/Score",
        "cvm.v1.ScoringService/StreamScore",
        "inference.GRPCInferenceService/ModelInfer",
        "inference.GRPCInferenceService/ModelStreamInfer",
        "http/score",
    ];
}

/// Requests of a version through one method.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// In whole.
    codes: ByCode,
    /// By stage, of those that were answered.
    stages: [Tally; STAGES.len()],
}

impl Requests {
    /// Times in whole of the codes that there were.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (&'static str, &Tally)> {
        self.codes.times()
    }

    /// Times of the stages.
    pub(crate) fn stages(&self) -> impl Iterator<Item = (&'static str, &Tally)> {
        STAGES.into_iter().zip(&self.stages)
    }
}

/// Turning a message into columns, waiting for a thread, scoring, turning scores into a message.
const STAGES: [&str; 4] = ["decode", "queue", "score", "encode"];

/// The moments of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) begun: Instant,
    pub(crate) decoded: Instant,
    pub(crate) dequeued: Instant,
    pub(crate) scored: Instant,
    pub(crate) rendered: Instant,
}

impl Moments {
    /// Its stages, with when each began and ended.
    pub(crate) fn stages(&self) -> [(&'static str, Instant, Instant); STAGES.len()] {
        let [decode, queue, score, encode] = STAGES;
        [
            (decode, self.begun, self.decoded),
            (queue, self.decoded, self.dequeued),
            (score, self.dequeued, self.scored),
            (encode, self.scored, self.rendered),
        ]
    }
}

impl Meter {
    /// A request of `rows` rows is answered.
    pub(crate) fn answered(&self, method: Method, moments: Moments, rows: usize) {
        let requests = self.requests(method);
        for (tally, (_, start, end)) in requests.stages.iter().zip(moments.stages()) {
            tally.add(end - start);
        }
        requests
            .codes
            .add(Code::Ok, moments.rendered - moments.begun);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = clock.map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        });
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// A request is refused.
    pub(crate) fn refused(&self, method: Method, code: Code, begun: Instant) {
        self.requests(method).codes.add(code, begun.elapsed());
    }

    fn requests(&self, method: Method) -> &Requests {
        let [score, stream_score, infer, stream_infer, http] = &self.methods;
        let own = match method {
            Method::Score => score,
            Method::StreamScore => stream_score,
            Method::ModelInfer => infer,
            Method::ModelStreamInfer => stream_infer,
            Method::Http => http,
        };
        own.get_or_init(Box::default)
    }

    /// What came through the methods that were used, by their names.
    pub(crate) fn methods(&self) -> impl Iterator<Item = (&'static str, &Requests)> {
        let all = Method::NAMES.into_iter().zip(&self.methods);
        all.filter_map(|(name, own)| Some((name, own.get()?.as_ref())))
    }

    /// Requests answered, in whole.
    pub(crate) fn success(&self) -> Tally {
        self.sum(|code| code == OK)
    }

    /// Requests refused once the model was known.
    pub(crate) fn fail(&self) -> Tally {
        self.sum(|code| code != OK)
    }

    fn sum(&self, counts: impl Fn(&str) -> bool) -> Tally {
        let sum = Tally::default();
        for (_, requests) in self.methods() {
            let counted = requests.codes().filter(|(code, _)| counts(code));
            counted.for_each(|(_, tally)| sum.merge(tally));
        }
        sum
    }

    /// Times of the stages, all methods together.
    pub(crate) fn stages(&self) -> [(&'static str, Tally); STAGES.len()] {
        let sums = STAGES.map(|name| (name, Tally::default()));
        for (_, requests) in self.methods() {
            let pairs = sums.iter().zip(&requests.stages);
            pairs.for_each(|((_, sum), tally)| sum.merge(tally));
        }
        sums
    }

    /// Rows scored.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Milliseconds since 1970 of the last answer; 0 before the first.
    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Method, Tally};
    use crate::calls::{Calls, METHODS};
    use std::time::Duration;

    #[test]
    fn methods_have_the_names_that_calls_are_counted_by() {
        let known = |name: &str| METHODS.iter().any(|(own, _)| *own == name);
        let [grpc @ .., http] = Method::NAMES;
        assert!(grpc.into_iter().all(known));
        assert_eq!(http, Calls::http_name("/v1/models/retail:score"));
    }

    #[test]
    fn an_event_falls_into_the_first_bucket_that_holds_it() {
        let tally = Tally::default();
        for (ns, place) in [
            (0, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (2_001, 2),
            (4_000_000, 12),
            (u64::MAX, BUCKETS - 1),
        ] {
            let before = tally.histogram().0;
            tally.add(Duration::from_nanos(ns));
            let (after, _) = tally.histogram();
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                assert_eq!(new.1 - old.1, u64::from(index == place), "{ns} ns, {index}");
                let below = index > 0 && after[index - 1].0 * 1e9 >= ns as f64;
                assert!(
                    index != place || (new.0 * 1e9 >= ns as f64 && !below),
                    "{ns} ns"
                );
            }
        }
        assert_eq!(tally.read().0, 7);
    }
}
