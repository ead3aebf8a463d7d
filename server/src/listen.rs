//! The life of a server: load, accept, drain, end.

use crate::api::{Api, serving};
use crate::calls::Calls;
use crate::compute::Compute;
use crate::connection::Limits;
use crate::control::{Command, Verb, control};
use crate::drain::{Signal, signal};
use crate::folder::Folder;
use crate::http::{self, Http};
use crate::identity::{Identity, Tls, TlsFiles, Tokens, Watched};
use crate::plane::Plane;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::worker::{self, Accepted, Context, Worker};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tonic_health::ServingStatus;

/// Pause after a failed accept: the usual cause is that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long workers may take to end once their connections are cut.
const CUT_TIME: Duration = Duration::from_millis(500);

/// Why a server could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder of models does not exist or is not a folder.
    #[error("the folder of models {path:?} cannot be used: {source}")]
    Models {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Tokens or certificates cannot be used.
    #[error("{0}")]
    Identity(String),
    /// A worker thread cannot be started.
    #[error("a worker cannot be started: {0}")]
    Worker(#[source] io::Error),
    /// The compiled API description cannot be read: a defect.
    #[error("the API description cannot be read: {0}")]
    Description(#[from] tonic_reflection::server::Error),
    /// Loading the models was aborted: a defect.
    #[error("loading the models was aborted")]
    Aborted,
}

/// Where callers come in.
#[derive(Debug)]
pub struct Listeners {
    /// gRPC.
    pub grpc: TcpListener,
    /// HTTP, if it is served: scoring in JSON, metrics, the status page.
    pub http: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(grpc: TcpListener) -> Self {
        Listeners { grpc, http: None }
    }
}

/// Serves the models of `settings.models` on `listeners` until `shutdown` ends, then drains: health
/// turns to NOT_SERVING, no connection is accepted, calls in flight finish, and after
/// `settings.drain_seconds` whatever is left is cut. `settings.listen` and `settings.http_listen` are not used: the listeners are.
///
/// The folder is loaded before the first call is answered. Files that fail verification are logged
/// and left out; a folder without a single good model is served as well, every call answered with
/// NOT_FOUND, because the models may be on their way.
///
/// # Errors
/// The folder does not exist, or the server cannot be started.
pub async fn run(
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let Listeners { grpc, http } = listeners.into();
    let secrets = Secrets::read(&settings).map_err(RunError::Identity)?;
    let registry = Arc::new(Registry::default());
    let folder = first_look(&settings, &registry).await?;
    let (control, commands) = control(settings.allow_model_control);
    let watcher = tokio::spawn(watch(
        folder,
        Arc::clone(&registry),
        settings.poll_interval(),
        commands,
        secrets.clone(),
    ));

    let worker_count = settings.worker_count();
    let plane = Arc::new(Plane {
        registry,
        compute: Compute::new(worker_count),
        max_rows: usize::try_from(settings.max_rows).unwrap_or(usize::MAX),
    });
    let (drain, draining) = signal();
    let (cut, cutting) = signal();
    let size = settings.max_message_bytes();
    let calls = Arc::new(Calls::default());
    let (api, health) = Api::new(
        Arc::clone(&plane),
        control,
        Arc::clone(&calls),
        secrets.identity(),
        size,
        draining.clone(),
    )
    .await?;
    if let Some(listener) = http {
        let http = Http {
            plane,
            calls,
            identity: secrets.identity(),
            drain: draining.clone(),
            started: Instant::now(),
        };
        http::start(listener, http, size, cutting.clone()).map_err(RunError::Worker)?;
    }
    let context = context(api, secrets.tls, &settings, draining, cutting);
    let workers = (0..worker_count)
        .map(|index| worker::start(index, context.clone()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(RunError::Worker)?;
    drop(context);

    accept(&grpc, &workers, &settings, shutdown).await;
    tracing::info!(seconds = settings.drain_seconds, "shutting down");
    serving(&health, ServingStatus::NotServing).await;
    drop(grpc);
    drain.give();
    let cut_count = finish(workers, settings.drain_deadline(), || cut.give()).await;
    cut.give();
    watcher.abort();
    tracing::info!(connections_cut = cut_count, "shut down");
    Ok(())
}

/// What tells callers apart, and what calls travel under.
#[derive(Debug, Clone)]
struct Secrets {
    tokens: Option<Arc<Watched<Tokens>>>,
    tls: Option<Tls>,
}

impl Secrets {
    fn read(settings: &Settings) -> Result<Secrets, String> {
        let tokens = settings.tokens.clone().map(|path| {
            let read = {
                let path = path.clone();
                move || Tokens::read(&path)
            };
            Watched::new("tokens", vec![path], read).map(Arc::new)
        });
        let files = settings.tls_cert.clone().zip(settings.tls_key.clone());
        let tls = files.map(|(certificate, key)| {
            Tls::new(TlsFiles {
                certificate,
                key,
                client_authorities: settings.tls_client_ca.clone(),
            })
        });
        Ok(Secrets {
            tokens: tokens.transpose()?,
            tls: tls.transpose()?,
        })
    }

    fn identity(&self) -> Identity {
        Identity::new(self.tokens.clone())
    }

    /// Takes up changed files.
    fn look(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.look();
        }
        if let Some(tls) = &self.tls {
            tls.look();
        }
    }
}

fn context(api: Api, tls: Option<Tls>, settings: &Settings, drain: Signal, cut: Signal) -> Context {
    Context {
        api,
        tls,
        limits: Limits {
            handshake_timeout: Duration::from_secs(settings.handshake_timeout_seconds.into()),
            max_concurrent_streams: settings.max_concurrent_streams,
        },
        drain,
        cut,
        max_connections: usize::try_from(settings.max_connections).unwrap_or(usize::MAX),
    }
}

/// Loads the folder on a thread of its own.
async fn first_look(settings: &Settings, registry: &Arc<Registry>) -> Result<Folder, RunError> {
    let (path, registry) = (settings.models.clone(), Arc::clone(registry));
    let look = tokio::task::spawn_blocking(move || {
        std::fs::read_dir(&path).map_err(|source| RunError::Models {
            path: path.clone(),
            source,
        })?;
        let mut folder = Folder::new(path);
        folder.look(&registry);
        if registry.snapshot().is_empty() {
            tracing::warn!("no model is loaded; every call is answered with NOT_FOUND");
        }
        Ok(folder)
    });
    look.await.unwrap_or(Err(RunError::Aborted))
}

/// Looks at the folder again and again, and when asked to, each time off the serving threads.
async fn watch(
    mut folder: Folder,
    registry: Arc<Registry>,
    interval: Duration,
    mut commands: mpsc::Receiver<Command>,
    secrets: Secrets,
) {
    loop {
        let command = tokio::select! {
            () = tokio::time::sleep(interval) => None,
            Some(command) = commands.recv() => Some(command),
        };
        let (registry, secrets) = (Arc::clone(&registry), secrets.clone());
        let look = tokio::task::spawn_blocking(move || {
            secrets.look();
            match command {
                None => folder.look(&registry),
                Some(command) => obey(command, &mut folder, &registry),
            }
            folder
        });
        folder = match look.await {
            Ok(folder) => folder,
            Err(error) => {
                tracing::error!(%error, "the folder is no longer watched: a defect");
                return;
            }
        };
    }
}

fn obey(command: Command, folder: &mut Folder, registry: &Registry) {
    let Command { verb, id, done } = command;
    let outcome = match verb {
        Verb::Load => folder.load_by_request(&id, registry),
        Verb::Unload => folder.unload_by_request(&id, registry),
    };
    // A caller that no longer waits has what it asked for all the same.
    let _ = done.send(outcome);
}

/// Accepts connections until `shutdown` and deals them to the workers in turn.
async fn accept(
    listener: &TcpListener,
    workers: &[Worker],
    settings: &Settings,
    shutdown: impl Future<Output = ()>,
) {
    let most = usize::try_from(settings.max_connections).unwrap_or(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(most));
    let mut turn = workers.iter().cycle();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => deal(stream, &places, turn.next()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Hands a connection to a worker, or closes it when there are too many.
fn deal(stream: TcpStream, places: &Arc<Semaphore>, worker: Option<&Worker>) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        tracing::warn!("connection closed: there are as many as --max-connections allows");
        return;
    };
    let handed = stream.into_std().and_then(|stream| {
        let accepted = Accepted { stream, place };
        match worker.map(|worker| worker.connections.try_send(accepted)) {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(io::Error::other("no worker takes it")),
        }
    });
    if let Err(error) = handed {
        tracing::error!(%error, "connection closed");
    }
}

/// Waits for the workers until `deadline`, then cuts what is left; returns the connections cut.
async fn finish(workers: Vec<Worker>, deadline: Duration, cut: impl FnOnce()) -> usize {
    let mut endings: Vec<_> = workers.into_iter().map(|worker| worker.ended).collect();
    let all = wait(&mut endings);
    if let Ok(count) = tokio::time::timeout(deadline, all).await {
        return count;
    }
    cut();
    match tokio::time::timeout(CUT_TIME, wait(&mut endings)).await {
        Ok(count) => count,
        Err(_) => {
            tracing::error!("a worker did not end in time");
            0
        }
    }
}

/// Sums up the endings; those seen before do not count twice.
async fn wait(endings: &mut Vec<tokio::sync::oneshot::Receiver<usize>>) -> usize {
    let mut cut_count = 0;
    while let Some(ending) = endings.last_mut() {
        cut_count += ending.await.unwrap_or(0);
        endings.pop();
    }
    cut_count
}
