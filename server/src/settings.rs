//! Settings of a server: from flags, the environment, a file ([`crate::config`]), or code.

use crate::trust::TrustPolicy;
use clap::{Parser, ValueEnum};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Serves every model file of a folder over gRPC.
///
/// Exit codes: 0 after a shutdown signal; 2 for wrong settings, an address that cannot be bound
/// included; 3 if the folder of models does not exist; 70 for a defect.
///
/// Every flag is also an environment variable, and a key of the file that --config names: `--max-rows`
/// is CVM_MAX_ROWS and max_rows. Flags win over the environment, and that over the file.
#[derive(Debug, Clone, Parser)]
#[command(name = "cvm-server", version, about)]
pub struct Settings {
    /// Folder of models: files (`retail.cvm`), and folders with a manifest of versions
    /// (`retail/manifest.json`); each is served under its name without the ending. Or a URL of such
    /// folders in an object store: s3://bucket/prefix, gs://…, az://…, file:///folder.
    #[arg(long, env = "CVM_MODELS", value_name = "DIR|URL")]
    pub models: PathBuf,

    /// Folder in which models of an object store are kept; they are served from it, over a restart
    /// without the store too.
    #[arg(long, env = "CVM_MODELS_CACHE", value_name = "DIR")]
    pub models_cache: Option<PathBuf>,

    /// How often an object store is looked at, in seconds.
    #[arg(long, env = "CVM_STORE_POLL_SECONDS", value_name = "S", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub store_poll_seconds: u32,

    /// Address to listen on; port 0 takes a free one. The bound address is the first line on
    /// standard output: `listening on 127.0.0.1:50051`.
    #[arg(long, env = "CVM_LISTEN", value_name = "IP:PORT", default_value_t = DEFAULT_LISTEN)]
    pub listen: SocketAddr,

    /// Address for HTTP: scoring in JSON, metrics, health and the status page; unset serves none. The
    /// bound address is the second line on standard output: `http on 127.0.0.1:8080`.
    #[arg(long, env = "CVM_HTTP_LISTEN", value_name = "IP:PORT")]
    pub http_listen: Option<SocketAddr>,

    /// Address for probes and metrics alone: `/livez`, `/readyz` and `/metrics` over HTTP, in clear and to
    /// whoever reaches it, for nothing can be scored or changed there; unset serves none. The bound address
    /// is a line of its own on standard output: `probes on 127.0.0.1:9090`.
    #[arg(long, env = "CVM_PROBE_LISTEN", value_name = "IP:PORT")]
    pub probe_listen: Option<SocketAddr>,

    /// Address for administration (`cvm.admin.v1`): versions, aliases, rollback; unset serves none. TLS
    /// and tokens are those of --listen. The bound address is a line of its own on standard output:
    /// `admin on 127.0.0.1:50052`.
    #[arg(long, env = "CVM_ADMIN_LISTEN", value_name = "IP:PORT")]
    pub admin_listen: Option<SocketAddr>,

    /// How often the folder is looked at, in milliseconds.
    #[arg(long, env = "CVM_POLL_INTERVAL_MS", value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(20..=3_600_000))]
    pub poll_interval_ms: u64,

    /// Most rows of one request.
    #[arg(long, env = "CVM_MAX_ROWS", value_name = "ROWS", default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_rows: u32,

    /// Most rows in flight, over all requests; further requests are answered with RESOURCE_EXHAUSTED
    /// before they are decoded. A request alone is always let in.
    #[arg(long, env = "CVM_MAX_ROWS_IN_FLIGHT", value_name = "ROWS", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_rows_in_flight: u32,

    /// Longest time that a large request may have to wait for a thread when there is more to do than can be
    /// done, in milliseconds; when more is likely, or more than its deadline leaves, it is answered with
    /// RESOURCE_EXHAUSTED, to be tried again.
    #[arg(long, env = "CVM_MAX_QUEUE_MS", value_name = "MS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=3_600_000))]
    pub max_queue_ms: u32,

    /// Longest time that a request may have to wait for its turn on a thread that is not keeping up, in
    /// milliseconds; when more is likely, it is answered with RESOURCE_EXHAUSTED. 0 is without end.
    #[arg(long, env = "CVM_MAX_WAIT_MS", value_name = "MS", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub max_wait_ms: u32,

    /// Largest request message, in MiB.
    #[arg(long, env = "CVM_MAX_MESSAGE_MIB", value_name = "MIB", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub max_message_mib: u16,

    /// How long a shutdown waits for calls in flight, in seconds.
    #[arg(long, env = "CVM_DRAIN_SECONDS", value_name = "S", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub drain_seconds: u16,

    /// How long a shutdown goes on taking requests while health says NOT_SERVING, in seconds: as long
    /// as those who send them need to learn of it.
    #[arg(long, env = "CVM_DRAIN_DELAY_SECONDS", value_name = "S", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=3600))]
    pub drain_delay_seconds: u16,

    /// Threads that serve connections, and as many that score large requests; 0 means one of each
    /// per processor.
    #[arg(long, env = "CVM_WORKERS", value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(0..=256))]
    pub workers: u16,

    /// Most connections at a time; further ones are closed at once.
    #[arg(long, env = "CVM_MAX_CONNECTIONS", value_name = "N", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,

    /// Most requests in flight on one connection.
    #[arg(long, env = "CVM_MAX_CONCURRENT_STREAMS", value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_concurrent_streams: u32,

    /// Most calls that a connection may cancel before they are answered, beyond as many as it lets finish,
    /// in ten seconds; then it is closed. Calls cancelled at their deadline do not count. 0 is without end.
    #[arg(long, env = "CVM_MAX_CANCELLED_CALLS", value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub max_cancelled_calls: u32,

    /// Age at which a connection is asked to end, in seconds, give or take a tenth; its calls finish. So
    /// callers spread anew over servers that were added. 0 is never.
    #[arg(
        long,
        env = "CVM_MAX_CONNECTION_AGE_SECONDS",
        value_name = "S",
        default_value_t = 1800
    )]
    pub max_connection_age_seconds: u32,

    /// How long a new connection may take to open HTTP/2, in seconds.
    #[arg(long, env = "CVM_HANDSHAKE_TIMEOUT_SECONDS", value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..=300))]
    pub handshake_timeout_seconds: u16,

    /// Let callers of --listen load and unload models (RepositoryModelLoad and RepositoryModelUnload of
    /// the Open Inference Protocol); without it the folder and --admin-listen decide.
    #[arg(long, env = "CVM_ALLOW_MODEL_CONTROL")]
    pub allow_model_control: bool,

    /// File of bearer tokens (TOML: their SHA-256 digests, names and roles); without it everyone who
    /// reaches the server may call it. Read again when it changes.
    #[arg(long, env = "CVM_TOKENS", value_name = "FILE")]
    pub tokens: Option<PathBuf>,

    /// Rules for bearer tokens that are JSON Web Tokens (TOML: issuer, audience, algorithms, and which
    /// claim gives which roles). Read again when it changes.
    #[arg(long, env = "CVM_JWT", value_name = "FILE")]
    pub jwt: Option<PathBuf>,

    /// Public keys of their issuer, as a JSON Web Key Set. Read again when it changes.
    #[arg(long, env = "CVM_JWKS", value_name = "FILE")]
    pub jwks: Option<PathBuf>,

    /// Certificate for TLS, with those between it and its authority, in PEM. Read again when it
    /// changes.
    #[arg(long, env = "CVM_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM.
    #[arg(long, env = "CVM_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Authorities whose certificates callers must show (mutual TLS), in PEM.
    #[arg(long, env = "CVM_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Public keys in PEM whose signatures of model files (`FILE.sig`, made by `cvm sign`) are trusted.
    /// Read again when it changes.
    #[arg(long, env = "CVM_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,

    /// Whether every model file must have a trusted signature, or only one that has any.
    #[arg(long, env = "CVM_TRUST_POLICY", value_enum, default_value_t = TrustPolicy::Required)]
    pub trust_policy: TrustPolicy,

    /// File in which the highest counters of signatures outlive a restart, so that no older file is
    /// served after it. Keep it where whoever brings models cannot write.
    #[arg(long, env = "CVM_TRUST_STATE", value_name = "FILE")]
    pub trust_state: Option<PathBuf>,

    /// Origins whose pages may read answers in a browser (CORS), such as https://app.example, or `*`;
    /// several with commas between them. They call by gRPC-Web or JSON.
    #[arg(long, env = "CVM_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',',
          value_parser = crate::web::origin)]
    pub cors_origins: Vec<String>,

    /// Folder of a log of predictions: inputs, scores in every bit, and who answered; unset keeps none.
    /// `cvm replay` computes them again.
    #[arg(long, env = "CVM_AUDIT_LOG", value_name = "DIR")]
    pub audit_log: Option<PathBuf>,

    /// Share of rows in that log, above 0 and at most 1: always the same customers, by their row key; by
    /// the request's id where there are no row keys.
    #[arg(long, env = "CVM_AUDIT_SAMPLE", value_name = "SHARE", default_value_t = 0.01,
          value_parser = share)]
    pub audit_sample: f64,

    /// What a record holds of the inputs.
    #[arg(long, env = "CVM_AUDIT_CONTENT", value_enum, default_value_t = AuditContent::Inputs)]
    pub audit_content: AuditContent,

    /// Size at which a file of the log is closed and another begun, in MiB.
    #[arg(long, env = "CVM_AUDIT_FILE_MIB", value_name = "MIB", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub audit_file_mib: u32,

    /// Of so many rows that a version scores one is looked at for drift from its training rows; of 0
    /// none.
    #[arg(long, env = "CVM_DRIFT_EVERY", value_name = "ROWS", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub drift_every: u32,

    /// Serve beyond this machine although calls travel in clear, or callers are not told apart.
    #[arg(long, env = "CVM_ALLOW_INSECURE_NETWORK")]
    pub allow_insecure_network: bool,

    /// Tell the log of every request that reaches a model: which model, how many rows, what became of it.
    #[arg(long, env = "CVM_LOG_REQUESTS")]
    pub log_requests: bool,

    /// File with a secret of 32 bytes or more: with it those lines name customers, by a keyed hash of
    /// their row keys.
    #[arg(long, env = "CVM_LOG_KEY_FILE", value_name = "FILE")]
    pub log_key_file: Option<PathBuf>,

    /// Collector of traces (OTLP over gRPC), such as http://127.0.0.1:4317; needs a build with the cargo
    /// feature `otel`.
    #[arg(long, env = "CVM_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// Form of the log on standard error.
    #[arg(long, env = "CVM_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Loopback: to serve a network is a decision.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);

/// What the log of predictions holds of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditContent {
    /// Every value that the model reads, and the row keys: a record can be computed again.
    Inputs,
    /// Their digest: a record can be computed again by whoever has the inputs.
    Digest,
}

/// A share of rows.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    match cvm::audit::Sample::new(share) {
        Ok(_) => Ok(share),
        Err(_) => Err("must be above 0 and at most 1".to_owned()),
    }
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

impl Settings {
    /// The defaults for a folder of models.
    #[must_use]
    pub fn for_folder(models: impl Into<PathBuf>) -> Settings {
        Settings {
            models: models.into(),
            models_cache: None,
            store_poll_seconds: 30,
            listen: DEFAULT_LISTEN,
            http_listen: None,
            probe_listen: None,
            admin_listen: None,
            poll_interval_ms: 1000,
            max_rows: 100_000,
            max_rows_in_flight: 1_000_000,
            max_queue_ms: 1_000,
            max_wait_ms: 10,
            max_message_mib: 64,
            drain_seconds: 10,
            drain_delay_seconds: 0,
            workers: 0,
            max_connections: 1024,
            max_concurrent_streams: 256,
            max_cancelled_calls: 1000,
            max_connection_age_seconds: 1800,
            handshake_timeout_seconds: 5,
            allow_model_control: false,
            tokens: None,
            jwt: None,
            jwks: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            trusted_keys: None,
            trust_policy: TrustPolicy::Required,
            trust_state: None,
            cors_origins: Vec::new(),
            audit_log: None,
            audit_sample: 0.01,
            audit_content: AuditContent::Inputs,
            audit_file_mib: 256,
            drift_every: 16,
            allow_insecure_network: false,
            log_requests: false,
            log_key_file: None,
            otlp_endpoint: None,
            log_format: LogFormat::Text,
        }
    }

    /// Settings that mean nothing without another are refused: a certificate without its key must not
    /// serve in clear.
    ///
    /// # Errors
    /// What is set, and what it needs.
    pub fn check_whole(&self) -> Result<(), String> {
        let (cert, key) = (self.tls_cert.is_some(), self.tls_key.is_some());
        let trusted = self.trusted_keys.is_some();
        let told = self.log_requests || self.otlp_endpoint.is_some();
        let optional = self.trust_policy != TrustPolicy::Required;
        let needs = [
            (cert, "--tls-cert", key, "--tls-key"),
            (key, "--tls-key", cert, "--tls-cert"),
            (
                self.tls_client_ca.is_some(),
                "--tls-client-ca",
                cert,
                "--tls-cert",
            ),
            (
                self.log_key_file.is_some(),
                "--log-key-file",
                told,
                "--log-requests",
            ),
            (
                self.audit_content == AuditContent::Digest,
                "--audit-content digest",
                self.audit_log.is_some(),
                "--audit-log",
            ),
            (self.jwt.is_some(), "--jwt", self.jwks.is_some(), "--jwks"),
            (self.jwks.is_some(), "--jwks", self.jwt.is_some(), "--jwt"),
            (
                optional,
                "--trust-policy optional",
                trusted,
                "--trusted-keys",
            ),
            (
                self.trust_state.is_some(),
                "--trust-state",
                trusted,
                "--trusted-keys",
            ),
        ];
        let lacking = needs.into_iter().find(|(set, _, met, _)| *set && !met);
        lacking.map_or(Ok(()), |(_, flag, _, needed)| {
            Err(format!("{flag} needs {needed}"))
        })
    }

    /// Beyond loopback calls travel under TLS and callers are told apart, or the settings say in so
    /// many words that it shall be otherwise. HTTP has no TLS of its own; where probes and metrics are
    /// told, nothing else is.
    ///
    /// # Errors
    /// What is missing, and the flags that give it.
    pub fn check_exposure(&self) -> Result<(), String> {
        if self.allow_insecure_network {
            return Ok(());
        }
        let told_apart =
            self.tokens.is_some() || self.jwt.is_some() || self.tls_client_ca.is_some();
        let outside = |address: &SocketAddr| !address.ip().is_loopback();
        let grpc = [
            ("--listen", Some(self.listen)),
            ("--admin-listen", self.admin_listen),
        ];
        let guarded = self.tls_cert.is_some() && told_apart;
        let exposed = grpc.into_iter().find_map(|(flag, address)| {
            let address = address.filter(outside).filter(|_| !guarded);
            address.map(|address| (flag, address))
        });
        if let Some((flag, address)) = exposed {
            let missing = match self.tls_cert {
                None => "calls would travel in clear (--tls-cert, --tls-key)",
                Some(_) => "anyone could call (--tokens, --jwt, or --tls-client-ca)",
            };
            return Err(format!(
                "{flag} {address} is reachable from outside this machine, and {missing}; \
                 --allow-insecure-network serves all the same"
            ));
        }
        match self.http_listen.filter(outside) {
            Some(address) => Err(format!(
                "--http-listen {address} is reachable from outside this machine, and HTTP travels \
                 in clear; --probe-listen tells probes and metrics there and nothing else, \
                 --allow-insecure-network serves all the same"
            )),
            None => Ok(()),
        }
    }

    /// The URL of the models, if they are in an object store.
    #[must_use]
    pub fn store_url(&self) -> Option<String> {
        let text = self.models.to_str()?;
        text.contains("://").then(|| text.to_owned())
    }

    /// The folder whose models are served.
    ///
    /// # Errors
    /// Models of an object store need a folder of their own.
    pub(crate) fn model_folder(&self) -> Result<&Path, String> {
        match (self.store_url(), &self.models_cache) {
            (None, _) => Ok(&self.models),
            (Some(_), Some(cache)) => Ok(cache),
            (Some(url), None) => Err(format!(
                "models of {url} need a folder to be kept in: --models-cache"
            )),
        }
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms)
    }

    pub(crate) fn max_queue(&self) -> Duration {
        Duration::from_millis(self.max_queue_ms.into())
    }

    pub(crate) fn drain_deadline(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }

    pub(crate) fn drain_delay(&self) -> Duration {
        Duration::from_secs(self.drain_delay_seconds.into())
    }

    pub(crate) fn max_wait(&self) -> Option<Duration> {
        let limit = Some(self.max_wait_ms).filter(|ms| *ms > 0);
        limit.map(|ms| Duration::from_millis(ms.into()))
    }

    pub(crate) fn max_message_bytes(&self) -> usize {
        usize::from(self.max_message_mib) << 20
    }

    pub(crate) fn max_connection_age(&self) -> Option<Duration> {
        let seconds = Some(self.max_connection_age_seconds).filter(|seconds| *seconds > 0);
        seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            count => count.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use clap::Parser;

    #[test]
    fn flags_and_code_have_the_same_defaults() {
        let parsed = Settings::try_parse_from(["cvm-server", "--models", "m"]).unwrap();
        assert_eq!(
            format!("{parsed:?}"),
            format!("{:?}", Settings::for_folder("m"))
        );
    }

    #[test]
    fn beyond_this_machine_only_under_tls_and_to_known_callers() {
        let check = |flags: &[&str]| {
            let line = [&["cvm-server", "--models", "m"], flags].concat();
            Settings::try_parse_from(line).unwrap().check_exposure()
        };
        let outside = ["--listen", "0.0.0.0:50051"];
        let tls = ["--tls-cert", "c.pem", "--tls-key", "k.pem"];
        let with = |more: &[&str]| check(&[&outside[..], more].concat());
        assert!(check(&[]).is_ok() && check(&["--listen", "[::1]:1"]).is_ok());
        assert!(with(&[]).unwrap_err().contains("--tls-cert"));
        assert!(
            with(&["--tokens", "t.toml"])
                .unwrap_err()
                .contains("in clear")
        );
        assert!(with(&tls).unwrap_err().contains("--tokens"));
        assert!(with(&[&tls[..], &["--tokens", "t.toml"]].concat()).is_ok());
        assert!(with(&[&tls[..], &["--tls-client-ca", "a.pem"]].concat()).is_ok());
        assert!(with(&["--allow-insecure-network"]).is_ok());
        let http = check(&["--http-listen", "10.0.0.1:80"]).unwrap_err();
        assert!(http.contains("--probe-listen"), "{http}");
        assert!(check(&["--probe-listen", "10.0.0.1:80"]).is_ok());
        let admin = check(&["--admin-listen", "10.0.0.1:80"]).unwrap_err();
        assert!(admin.contains("--admin-listen 10.0.0.1:80"), "{admin}");
        let guarded = [
            &["--admin-listen", "10.0.0.1:80", "--tokens", "t.toml"],
            &tls[..],
        ];
        assert!(check(&guarded.concat()).is_ok());
        assert!(check(&["--http-listen", "127.0.0.1:80"]).is_ok());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let wrong = [
            ["--max-rows", "0"],
            ["--max-message-mib", "1025"],
            ["--poll-interval-ms", "1"],
            ["--drain-seconds", "-1"],
            ["--listen", "nowhere"],
            ["--log-format", "xml"],
            ["--audit-sample", "0"],
            ["--audit-sample", "1.5"],
            ["--audit-content", "all"],
        ];
        for [flag, value] in wrong {
            let line = ["cvm-server", "--models", "m", flag, value];
            assert!(Settings::try_parse_from(line).is_err(), "{flag} {value}");
        }
    }

    #[test]
    fn settings_that_need_another_are_refused_alone() {
        for (flags, needed) in [
            (["--trust-policy", "optional"], "--trusted-keys"),
            (["--trust-state", "counters.json"], "--trusted-keys"),
            (["--tls-cert", "c.pem"], "--tls-key"),
            (["--tls-key", "k.pem"], "--tls-cert"),
            (["--tls-client-ca", "a.pem"], "--tls-cert"),
            (["--log-key-file", "k"], "--log-requests"),
            (["--jwt", "j.toml"], "--jwks"),
            (["--jwks", "j.json"], "--jwt"),
        ] {
            let line = [&["cvm-server", "--models", "m"], &flags[..]].concat();
            let settings = Settings::try_parse_from(line).unwrap();
            let why = settings.check_whole().unwrap_err();
            assert!(why.contains(flags[0]) && why.ends_with(needed), "{why}");
        }
        assert!(Settings::for_folder("m").check_whole().is_ok());
    }
}
