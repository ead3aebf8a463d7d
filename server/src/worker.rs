//! Worker threads: each serves its connections on a single-threaded runtime.
//!
//! A connection stays on one thread, so its calls never move between processors: a unary call costs
//! about a third less than on a work-stealing runtime.

use crate::api::Api;
use crate::connection::{Limits, serve};
use crate::drain::Signal;
use crate::identity::Tls;
use crate::turn;
use std::io;
use std::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;

/// A connection and its place among the allowed ones.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) place: OwnedSemaphorePermit,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Takes connections; dropping it tells the worker that no more will come.
    pub(crate) connections: mpsc::Sender<Accepted>,
    /// Ends when the worker has ended, with the number of connections it had to cut.
    pub(crate) ended: oneshot::Receiver<usize>,
}

/// What a worker needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) api: Api,
    /// What connections are opened under, if not in clear.
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: Limits,
    /// Connections should end.
    pub(crate) drain: Signal,
    /// Connections must end.
    pub(crate) cut: Signal,
    /// Most connections of the server.
    pub(crate) max_connections: usize,
}

/// Starts a worker.
///
/// # Errors
/// The thread or its runtime cannot be made.
pub(crate) fn start(name: &str, context: Context) -> io::Result<Worker> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(turn::idle)
        .build()?;
    let (connections, inbox) = mpsc::channel(context.max_connections);
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let cut_count = runtime.block_on(work(inbox, context));
            // Calls cut off may still be scoring on a blocking thread; nobody waits for them.
            runtime.shutdown_background();
            let _ = done.send(cut_count);
        })?;
    Ok(Worker { connections, ended })
}

async fn work(mut inbox: mpsc::Receiver<Accepted>, context: Context) -> usize {
    let mut connections = JoinSet::new();
    let mut cut = std::pin::pin!(context.cut.clone().given());
    loop {
        tokio::select! {
            accepted = inbox.recv() => match accepted {
                Some(accepted) => take(accepted, &context, &mut connections),
                None => break,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = &mut cut => return connections.len(),
        }
    }
    loop {
        tokio::select! {
            ended = connections.join_next() => if ended.is_none() { return 0 },
            () = &mut cut => return connections.len(),
        }
    }
}

fn take(accepted: Accepted, context: &Context, connections: &mut JoinSet<()>) {
    let Accepted { stream, place } = accepted;
    let stream = match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, "connection lost on its way to a worker");
            return;
        }
    };
    let (api, drain) = (context.api.connection(), context.drain.clone());
    let (limits, tls) = (context.limits, context.tls.clone());
    connections.spawn(async move {
        serve(stream, tls, api, limits, drain).await;
        drop(place);
    });
}
