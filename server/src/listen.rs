//! The life of a server: load, accept, drain, end.

use crate::admission::{Admission, Own};
use crate::api::{Api, Shared};
use crate::audit::Audit;
use crate::calls::Calls;
use crate::compute::Compute;
use crate::connection::Limits;
use crate::control::{Command, Verb, control};
use crate::drain::{Signal, Trigger, signal};
use crate::drift::{self, Every};
use crate::folder::Folder;
use crate::health::{Health, Readiness};
use crate::http::{self, Http};
use crate::identity::{Identity, Jwt, Tls, TlsFiles, Tokens, Watched};
use crate::journal::Journal;
use crate::plane::Plane;
use crate::registry::Registry;
use crate::settings::Settings;
use crate::shadow::{self, Shadows};
use crate::store::Store;
use crate::trust::Trust;
use crate::web;
use crate::worker::{self, Accepted, Context, Worker};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tower_http::cors::CorsLayer;

/// Pause after a failed accept: the usual cause is that the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Most connections for administration.
const MAX_ADMIN_CONNECTIONS: u32 = 64;

/// Most connections of probes.
const MAX_PROBE_CONNECTIONS: usize = 256;

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
    /// The store of models cannot be used.
    #[error("{0}")]
    Store(String),
    /// The log of predictions cannot be written.
    #[error("{0}")]
    Audit(String),
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
    /// HTTP for probes and metrics alone, if they are served there.
    pub probes: Option<TcpListener>,
    /// gRPC for administration, if it is served.
    pub admin: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(grpc: TcpListener) -> Self {
        Listeners {
            grpc,
            http: None,
            probes: None,
            admin: None,
        }
    }
}

/// Serves the models of `settings.models` on `listeners` until `shutdown` ends, then drains: health
/// turns to NOT_SERVING, no connection is accepted, calls in flight finish, and after
/// `settings.drain_seconds` whatever is left is cut. `settings.listen` and `settings.http_listen` are not used: the listeners are.
///
/// The folder is loaded while the ports are open already: health answers NOT_SERVING, and calls about
/// models wait until it is loaded. Files that fail verification are logged and left out; a folder
/// without a single good model is served as well, every call answered with NOT_FOUND, because the
/// models may be on their way.
///
/// # Errors
/// The folder does not exist, or the server cannot be started.
pub async fn run(
    listeners: impl Into<Listeners>,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let listeners: Listeners = listeners.into();
    let secrets = Secrets::read(&settings).map_err(RunError::Identity)?;
    let audit = Audit::start(&settings).map_err(RunError::Audit)?;
    let registry = Arc::new(Registry::default());
    let store = Store::start(&settings).map_err(RunError::Store)?;
    let (control, commands) = control();
    let (look, looked) = signal();
    let keeper = Keeper::new(&settings, &secrets, &store, &registry)?;
    let (shadows, queue) = shadow::shadows();
    let plane = plane(&settings, &secrets, registry, shadows, audit.clone(), store);
    let plane = Arc::new(plane.map_err(RunError::Worker)?);
    let aside = tokio::spawn(aside(queue, Arc::clone(&plane)));
    let (drain, draining) = signal();
    let (cut, cutting) = signal();
    let (leave, leaving) = signal();
    let shared = Shared {
        plane: Arc::clone(&plane),
        control,
        calls: Arc::new(Calls::default()),
        identity: secrets.identity.clone(),
        max_message_bytes: settings.max_message_bytes(),
        max_cancelled_calls: settings.max_cancelled_calls,
        drain: draining.clone(),
        ready: Readiness {
            registry: Arc::clone(&plane.registry),
            looked,
            leaving,
        },
        cors: Arc::new(web::cors(&settings.cors_origins)),
    };
    let house = House {
        shared,
        settings: &settings,
        tls: secrets.tls,
        draining,
        cutting,
    };
    let http = [listeners.http, listeners.probes];
    let (workers, healths) = house.open(http, listeners.admin).await?;
    let scoring = workers.iter().take(settings.worker_count());
    let scoring = scoring.map(|worker| worker.connections.clone()).collect();
    let mut keeping = tokio::spawn(keeper.keep(look, commands));
    let mut ended = Ok(());
    let stopped = async {
        tokio::select! {
            () = left(shutdown, &leave, healths, &settings) => {}
            error = &mut keeping => ended = Err(error.unwrap_or(RunError::Aborted)),
        }
    };
    let grpc = listeners.grpc;
    accept(&grpc, scoring, settings.max_connections, stopped).await;
    drop(grpc);
    drain.give();
    let cut_count = finish(workers, settings.drain_deadline(), || cut.give()).await;
    cut.give();
    keeping.abort();
    aside.abort();
    audit.finish().await;
    tracing::info!(connections_cut = cut_count, "shut down");
    ended
}

/// What is done with rows that were scored, on threads that nobody else wants.
async fn aside(queue: mpsc::Receiver<shadow::Job>, plane: Arc<Plane>) {
    tokio::join!(shadow::run(queue, Arc::clone(&plane)), drift::run(plane));
}

/// Ends once the server is told to stop, health has told so, and those who send requests have had the
/// time to learn of it.
async fn left(
    shutdown: impl Future<Output = ()>,
    leave: &Trigger,
    healths: Vec<JoinHandle<()>>,
    settings: &Settings,
) {
    shutdown.await;
    tracing::info!(seconds = settings.drain_seconds, "shutting down");
    leave.give();
    for told in healths {
        let _ = told.await;
    }
    tokio::time::sleep(settings.drain_delay()).await;
}

/// Whether every file that the settings name can be used.
///
/// # Errors
/// Which one cannot, and why.
pub(crate) fn check(settings: &Settings) -> Result<(), RunError> {
    if settings.store_url().is_none() {
        readable(settings)?;
    }
    Secrets::read(settings).map_err(RunError::Identity)?;
    Ok(())
}

fn plane(
    settings: &Settings,
    secrets: &Secrets,
    registry: Arc<Registry>,
    shadows: Shadows,
    audit: Audit,
    store: Store,
) -> io::Result<Plane> {
    Ok(Plane {
        registry,
        admission: Admission::new(rows(settings.max_rows_in_flight), settings.max_wait()),
        compute: Compute::new(settings.worker_count(), settings.max_queue())?,
        shadows,
        audit,
        store,
        trust: secrets.trust.clone(),
        journal: secrets.journal.clone(),
        max_rows: rows(settings.max_rows),
    })
}

fn rows(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Starts what is served over HTTP: everything, and probes alone.
fn start_http(
    [all, probes]: [Option<TcpListener>; 2],
    shared: &Shared,
    settings: &Settings,
    api: &Api,
    cut: &Signal,
) -> Result<(), RunError> {
    let own = Own::default();
    let web = web::web(api.of_caller(own.clone()), &shared.cors);
    let http = Http {
        plane: Arc::clone(&shared.plane),
        calls: Arc::clone(&shared.calls),
        identity: shared.identity.clone(),
        ready: shared.ready.clone(),
        cors: CorsLayer::clone(&shared.cors),
        started: Instant::now(),
        own,
    };
    let limits = http::Limits {
        max_body_bytes: shared.max_message_bytes,
        max_connections: usize::try_from(settings.max_connections).unwrap_or(usize::MAX),
        head_timeout: Duration::from_secs(settings.handshake_timeout_seconds.into()),
    };
    if let Some(listener) = probes {
        let app = http::probes(http.clone());
        let limits = http::Limits {
            max_connections: MAX_PROBE_CONNECTIONS,
            ..limits
        };
        let (drain, cut) = (shared.drain.clone(), cut.clone());
        http::start("cvm-probes", listener, app, limits, drain, cut).map_err(RunError::Worker)?;
    }
    if let Some(listener) = all {
        let app = http::router(http, web, limits.max_body_bytes);
        let (drain, cut) = (shared.drain.clone(), cut.clone());
        http::start("cvm-http", listener, app, limits, drain, cut).map_err(RunError::Worker)?;
    }
    Ok(())
}

/// What the ports of a server have in common.
struct House<'a> {
    shared: Shared,
    settings: &'a Settings,
    tls: Option<Tls>,
    draining: Signal,
    cutting: Signal,
}

impl House<'_> {
    /// Opens every port but that of gRPC, and tells of health from then on.
    async fn open(
        &self,
        http: [Option<TcpListener>; 2],
        admin: Option<TcpListener>,
    ) -> Result<(Vec<Worker>, Vec<JoinHandle<()>>), RunError> {
        let ready = &self.shared.ready;
        let (mut workers, health) = self.scoring(http)?;
        let mut healths = vec![health.start(ready.clone()).await];
        if let Some(listener) = admin {
            let (worker, health) = self.admin(listener)?;
            workers.push(worker);
            healths.push(health.start(ready.clone()).await);
        }
        Ok((workers, healths))
    }

    /// Workers that serve scoring, and the threads that serve HTTP.
    fn scoring(&self, http: [Option<TcpListener>; 2]) -> Result<(Vec<Worker>, Health), RunError> {
        let allowed = self.settings.allow_model_control;
        let control = self.shared.control.only_if(allowed);
        let (api, health) = Api::scoring(&self.shared, control)?;
        start_http(http, &self.shared, self.settings, &api, &self.cutting)?;
        let context = self.context(api);
        let workers = (0..self.settings.worker_count())
            .map(|index| worker::start(&format!("cvm-worker-{index}"), context.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(RunError::Worker)?;
        Ok((workers, health))
    }

    /// A worker of its own for administration, so that it answers when scoring is busy.
    fn admin(&self, listener: TcpListener) -> Result<(Worker, Health), RunError> {
        let (api, health) = Api::admin(&self.shared)?;
        let worker = worker::start("cvm-admin", self.context(api)).map_err(RunError::Worker)?;
        let (workers, drain) = (vec![worker.connections.clone()], self.draining.clone());
        tokio::spawn(async move {
            accept(&listener, workers, MAX_ADMIN_CONNECTIONS, drain.given()).await;
        });
        Ok((worker, health))
    }

    fn context(&self, api: Api) -> Context {
        let settings = self.settings;
        Context {
            api,
            tls: self.tls.clone(),
            limits: Limits {
                handshake_timeout: Duration::from_secs(settings.handshake_timeout_seconds.into()),
                max_concurrent_streams: settings.max_concurrent_streams,
                max_age: settings.max_connection_age(),
            },
            drain: self.draining.clone(),
            cut: self.cutting.clone(),
            max_connections: usize::try_from(settings.max_connections).unwrap_or(usize::MAX),
        }
    }
}

/// What tells callers apart, and what calls travel under.
#[derive(Debug, Clone)]
struct Secrets {
    identity: Identity,
    tls: Option<Tls>,
    trust: Trust,
    journal: Option<Arc<Journal>>,
}

impl Secrets {
    fn read(settings: &Settings) -> Result<Secrets, String> {
        settings.check_whole()?;
        let tokens = settings.tokens.clone().map(|path| {
            let read = {
                let path = path.clone();
                move || Tokens::read(&path)
            };
            Watched::new("tokens", vec![path], read).map(Arc::new)
        });
        let files = settings.jwt.clone().zip(settings.jwks.clone());
        let jwt = files.map(|(rules, keys)| {
            let watched = vec![rules.clone(), keys.clone()];
            let read = move || Jwt::read(&rules, &keys);
            Watched::new("JSON Web Tokens", watched, read).map(Arc::new)
        });
        let files = settings.tls_cert.clone().zip(settings.tls_key.clone());
        let tls = files.map(|(certificate, key)| {
            Tls::new(TlsFiles {
                certificate,
                key,
                client_authorities: settings.tls_client_ca.clone(),
            })
        });
        let told = settings.log_requests || settings.otlp_endpoint.is_some();
        let key = settings.log_key_file.as_deref();
        let journal = told.then(|| Journal::new(key).map(Arc::new));
        Ok(Secrets {
            journal: journal.transpose()?,
            identity: Identity {
                tokens: tokens.transpose()?,
                jwt: jwt.transpose()?,
            },
            tls: tls.transpose()?,
            trust: Trust::new(
                settings.trust_policy,
                settings.trusted_keys.clone(),
                settings.trust_state.clone(),
            )?,
        })
    }

    /// Takes up changed files.
    fn look(&self) {
        if let Some(tokens) = &self.identity.tokens {
            tokens.look();
        }
        if let Some(jwt) = &self.identity.jwt {
            jwt.look();
        }
        if let Some(tls) = &self.tls {
            tls.look();
        }
        self.trust.look();
    }
}

/// The folder of models, if it can be read.
fn readable(settings: &Settings) -> Result<PathBuf, RunError> {
    let path = settings.model_folder().map_err(RunError::Store)?.to_owned();
    match std::fs::read_dir(&path) {
        Ok(_) => Ok(path),
        Err(source) => Err(RunError::Models { path, source }),
    }
}

/// Who keeps the registry in step with the folder, off the serving threads.
struct Keeper {
    path: PathBuf,
    store: Store,
    registry: Arc<Registry>,
    interval: Duration,
    every: Every,
    secrets: Secrets,
}

impl Keeper {
    /// Nothing yet of a folder that can be read.
    fn new(
        settings: &Settings,
        secrets: &Secrets,
        store: &Store,
        registry: &Arc<Registry>,
    ) -> Result<Keeper, RunError> {
        Ok(Keeper {
            path: readable(settings)?,
            store: store.clone(),
            registry: Arc::clone(registry),
            interval: settings.poll_interval(),
            every: Every(settings.drift_every),
            secrets: secrets.clone(),
        })
    }

    /// Looks at the folder, says so, and looks again and again, and when asked to; ends only where
    /// there is nothing to serve.
    async fn keep(self, look: Trigger, commands: mpsc::Receiver<Command>) -> RunError {
        self.store.looked().await;
        let (trust, store) = (self.secrets.trust.clone(), self.store.clone());
        let (path, every, registry) = (self.path.clone(), self.every, Arc::clone(&self.registry));
        let first = tokio::task::spawn_blocking(move || {
            let mut folder = Folder::new(path, trust, every, store);
            folder.look(&registry);
            if registry.snapshot().is_empty() {
                tracing::warn!("no model is loaded; every call is answered with NOT_FOUND");
            }
            folder
        });
        let Ok(folder) = first.await else {
            return RunError::Aborted;
        };
        look.give();
        self.watch(folder, commands).await;
        tracing::error!("the folder is no longer watched: a defect");
        std::future::pending().await
    }

    async fn watch(&self, mut folder: Folder, mut commands: mpsc::Receiver<Command>) {
        loop {
            let command = tokio::select! {
                () = tokio::time::sleep(self.interval) => None,
                Some(command) = commands.recv() => Some(command),
            };
            let (registry, secrets) = (Arc::clone(&self.registry), self.secrets.clone());
            let look = tokio::task::spawn_blocking(move || {
                secrets.look();
                match command {
                    None => folder.look(&registry),
                    Some(command) => obey(command, &mut folder, &registry),
                }
                folder
            });
            let Ok(looked) = look.await else {
                return;
            };
            folder = looked;
        }
    }
}

fn obey(command: Command, folder: &mut Folder, registry: &Registry) {
    let Command { verb, id, done } = command;
    let outcome = match verb {
        Verb::Load { version } => folder.load_by_request(&id, version.as_deref(), registry),
        Verb::Unload { version } => folder.unload_by_request(&id, version.as_deref(), registry),
        Verb::Change(change) => folder.change_by_request(&id, &change, registry),
    };
    // A caller that no longer waits has what it asked for all the same.
    let _ = done.send(outcome);
}

/// Accepts connections until `shutdown` and deals them to the workers in turn.
async fn accept(
    listener: &TcpListener,
    workers: Vec<mpsc::Sender<Accepted>>,
    max_connections: u32,
    shutdown: impl Future<Output = ()>,
) {
    let most = usize::try_from(max_connections).unwrap_or(Semaphore::MAX_PERMITS);
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
fn deal(stream: TcpStream, places: &Arc<Semaphore>, worker: Option<&mpsc::Sender<Accepted>>) {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        tracing::warn!("connection closed: there are as many as are allowed");
        return;
    };
    let handed = stream.into_std().and_then(|stream| {
        let accepted = Accepted { stream, place };
        match worker.map(|worker| worker.try_send(accepted)) {
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
