//! One connection: sends what is due, in calls or in a stream, and notes what becomes of it.

use crate::oracle::{Oracle, Question};
use crate::pacer::Arrival;
use crate::plan::{Mode, Plan};
use crate::tally::{Outcome, Tally};
use crate::target::{chain, never_sent};
use crate::wire::{Encoded, SCORE, STREAM_SCORE, numbered, opened};
use bytes::Bytes;
use cvm_proto::v1 as pb;
use http::uri::PathAndQuery;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Time beyond the deadline that the server is given to say so itself.
const GRACE: Duration = Duration::from_millis(500);
/// Largest answer read.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What the lanes of a run have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) mode: Mode,
    pub(crate) timeout: Duration,
    pub(crate) count_from: Instant,
    /// When the last request is due.
    end: Instant,
    pub(crate) in_flight: AtomicUsize,
    max_in_flight: usize,
    seen: Arc<AtomicU64>,
    /// What the last second brought, by token.
    seconds: Vec<Mutex<Tally>>,
}

/// A connection.
pub(crate) struct Lane {
    pub(crate) shared: Arc<Shared>,
    pub(crate) channel: Channel,
    pub(crate) header: Option<AsciiMetadataValue>,
    /// Place of its token.
    pub(crate) token: usize,
}

/// A request under way.
struct Flight {
    arrival: Arrival,
    sent: Instant,
}

impl Shared {
    pub(crate) fn new(plan: &Plan, begin: Instant, tokens: usize) -> Shared {
        Shared {
            oracle: Arc::clone(&plan.oracle),
            mode: plan.mode,
            timeout: plan.timeout,
            count_from: begin + plan.warm_up,
            end: begin + plan.schedule.length,
            in_flight: AtomicUsize::new(0),
            max_in_flight: plan.max_in_flight,
            seen: Arc::clone(&plan.seen),
            seconds: (0..tokens).map(|_| Mutex::default()).collect(),
        }
    }

    /// What became of requests since this was last asked, by token.
    pub(crate) fn take(&self) -> Vec<Tally> {
        let seconds = self.seconds.iter();
        let taken = seconds
            .map(|own| std::mem::take(&mut *own.lock().unwrap_or_else(PoisonError::into_inner)));
        taken.collect()
    }

    fn question(&self, arrival: Arrival) -> Option<&Question> {
        self.oracle.question(arrival.size, arrival.chance)
    }

    /// Whether one more may be under way; if not, it is noted as withheld.
    fn may_send(&self, token: usize, arrival: Arrival) -> bool {
        if self.in_flight.load(Ordering::Relaxed) >= self.max_in_flight {
            self.note(token, arrival, Instant::now(), Outcome::Withheld);
            return false;
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn note(&self, token: usize, arrival: Arrival, sent: Instant, outcome: Outcome) {
        if arrival.due < self.count_from {
            return;
        }
        let now = Instant::now();
        let rows = self.question(arrival).map_or(0, |question| question.rows);
        if let Some(tally) = self.seconds.get(token) {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            let (from_due, from_sent) = (now - arrival.due, now - sent);
            tally.add(outcome, rows, from_due, from_sent, now <= self.end);
        }
    }

    fn landed(&self, token: usize, flight: &Flight, answer: Result<pb::ScoreResponse, Status>) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let outcome = match answer {
            Ok(answer) => match self
                .question(flight.arrival)
                .map(|question| question.check(answer))
            {
                Some(Err(why)) => Outcome::Wrong(why),
                Some(Ok(())) | None => Outcome::Right,
            },
            Err(status) => Outcome::Failed {
                code: status.code(),
                never_sent: never_sent(&status),
                message: status.message().to_owned(),
            },
        };
        if matches!(outcome, Outcome::Right) {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
        self.note(token, flight.arrival, flight.sent, outcome);
    }
}

impl Lane {
    /// Sends what is due until nothing more will be, and waits for the answers.
    pub(crate) async fn run(self, arrivals: UnboundedReceiver<Arrival>) {
        let lane = Arc::new(self);
        match lane.shared.mode {
            Mode::Unary => lane.calls(arrivals).await,
            Mode::Stream => lane.streams(arrivals).await,
        }
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(header) = &self.header {
            request
                .metadata_mut()
                .insert("authorization", header.clone());
        }
        request
    }

    async fn calls(self: Arc<Self>, mut arrivals: UnboundedReceiver<Arrival>) {
        let mut calls = JoinSet::new();
        while let Some(arrival) = arrivals.recv().await {
            while calls.try_join_next().is_some() {}
            if self.shared.may_send(self.token, arrival) {
                let lane = Arc::clone(&self);
                calls.spawn(async move {
                    let flight = Flight {
                        arrival,
                        sent: Instant::now(),
                    };
                    let answer = lane.call(arrival).await;
                    lane.shared.landed(lane.token, &flight, answer);
                });
            }
        }
        while calls.join_next().await.is_some() {}
    }

    async fn call(&self, arrival: Arrival) -> Result<pb::ScoreResponse, Status> {
        let question = self.shared.question(arrival);
        let bytes = question
            .map(|question| question.bytes.clone())
            .unwrap_or_default();
        let mut request = self.request(bytes);
        request.set_timeout(self.shared.timeout);
        let mut grpc = self.grpc();
        let call = async {
            grpc.ready().await.map_err(not_ready)?;
            let path = PathAndQuery::from_static(SCORE);
            grpc.unary(request, path, Encoded::default()).await
        };
        let late = || Status::deadline_exceeded("no answer in time, not even that it is late");
        let answer = tokio::time::timeout(self.shared.timeout + GRACE, call).await;
        Ok(answer.unwrap_or_else(|_| Err(late()))?.into_inner())
    }

    async fn streams(self: Arc<Self>, mut arrivals: UnboundedReceiver<Arrival>) {
        let mut open: Option<OpenStream> = None;
        let mut sequence = 0;
        while let Some(arrival) = arrivals.recv().await {
            let Some(question) = self.shared.question(arrival) else {
                continue;
            };
            if !self.shared.may_send(self.token, arrival) {
                continue;
            }
            if let Some(ended) = open.take_if(|stream| stream.reader.is_finished()) {
                self.lost(&ended.flights, &Status::unavailable("the stream ended"));
            }
            let stream = open.get_or_insert_with(|| self.open());
            sequence += 1;
            stream.flights.put(
                sequence,
                Flight {
                    arrival,
                    sent: Instant::now(),
                },
            );
            // A stream that ended meanwhile is noticed above.
            let _ = stream.sender.send(numbered(sequence, &question.bytes));
        }
        if let Some(OpenStream {
            sender,
            flights,
            reader,
        }) = open
        {
            drop(sender);
            let abort = reader.abort_handle();
            let _ = tokio::time::timeout(self.shared.timeout + GRACE, reader).await;
            abort.abort();
            self.lost(&flights, &Status::deadline_exceeded("no answer in time"));
        }
    }

    fn open(self: &Arc<Self>) -> OpenStream {
        let (sender, requests) = unbounded_channel();
        let flights = Arc::new(Flights::default());
        let (lane, noted) = (Arc::clone(self), Arc::clone(&flights));
        let reader = tokio::spawn(async move {
            let why = lane.read(requests, &noted).await;
            let ended = || Status::unavailable("the stream ended");
            lane.lost(&noted, &why.err().unwrap_or_else(ended));
        });
        OpenStream {
            sender,
            flights,
            reader,
        }
    }

    async fn read(
        &self,
        requests: UnboundedReceiver<Bytes>,
        flights: &Flights,
    ) -> Result<(), Status> {
        let mut grpc = self.grpc();
        grpc.ready().await.map_err(not_ready)?;
        let request = self.request(UnboundedReceiverStream::new(requests));
        let path = PathAndQuery::from_static(STREAM_SCORE);
        let codec = Encoded::<pb::StreamScoreResponse>::default();
        let mut answers = grpc.streaming(request, path, codec).await?.into_inner();
        while let Some(message) = answers.message().await? {
            let (sequence, answer) = opened(message);
            if let Some(flight) = flights.take(sequence) {
                self.shared.landed(self.token, &flight, answer);
            }
        }
        Ok(())
    }

    /// Whatever is still under way has failed.
    fn lost(&self, flights: &Flights, why: &Status) {
        for flight in flights.take_all() {
            self.shared.landed(self.token, &flight, Err(why.clone()));
        }
    }
}

/// There is no connection, and none could be made: nothing was sent.
fn not_ready(error: tonic::transport::Error) -> Status {
    Status::unavailable(chain(&error))
}

/// A stream that is open, or was.
struct OpenStream {
    sender: UnboundedSender<Bytes>,
    flights: Arc<Flights>,
    reader: JoinHandle<()>,
}

/// Requests of a stream under way, by their numbers.
#[derive(Default)]
struct Flights(Mutex<HashMap<i64, Flight>>);

impl Flights {
    fn put(&self, sequence: i64, flight: Flight) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sequence, flight);
    }

    fn take(&self, sequence: i64) -> Option<Flight> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&sequence)
    }

    fn take_all(&self) -> Vec<Flight> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.drain().map(|(_, flight)| flight).collect()
    }
}
