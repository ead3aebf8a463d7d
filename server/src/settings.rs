//! Settings of a server: from flags, from the environment, or from code.

use crate::trust::TrustPolicy;
use clap::{Parser, ValueEnum};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Serves every model file of a folder over gRPC.
///
/// Exit codes: 0 after a shutdown signal; 2 for wrong settings, an address that cannot be bound
/// included; 3 if the folder of models does not exist; 70 for a defect.
#[derive(Debug, Clone, Parser)]
#[command(name = "cvm-server", version, about)]
pub struct Settings {
    /// Folder of models: files (`retail.cvm`), and folders with a manifest of versions
    /// (`retail/manifest.json`); each is served under its name without the ending.
    #[arg(long, env = "CVM_MODELS", value_name = "DIR")]
    pub models: PathBuf,

    /// Address to listen on; port 0 takes a free one. The bound address is the first line on
    /// standard output: `listening on 127.0.0.1:50051`.
    #[arg(long, env = "CVM_LISTEN", value_name = "IP:PORT", default_value_t = DEFAULT_LISTEN)]
    pub listen: SocketAddr,

    /// Address for HTTP: scoring in JSON, metrics, health and the status page; unset serves none. The
    /// bound address is the second line on standard output: `http on 127.0.0.1:8080`.
    #[arg(long, env = "CVM_HTTP_LISTEN", value_name = "IP:PORT")]
    pub http_listen: Option<SocketAddr>,

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

    /// Certificate for TLS, with those between it and its authority, in PEM. Read again when it
    /// changes.
    #[arg(long, env = "CVM_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM.
    #[arg(long, env = "CVM_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Authorities whose certificates callers must show (mutual TLS), in PEM.
    #[arg(
        long,
        env = "CVM_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_client_ca: Option<PathBuf>,

    /// Public keys in PEM whose signatures of model files (`FILE.sig`, made by `cvm sign`) are trusted.
    /// Read again when it changes.
    #[arg(long, env = "CVM_TRUSTED_KEYS", value_name = "FILE")]
    pub trusted_keys: Option<PathBuf>,

    /// Whether every model file must have a trusted signature, or only one that has any.
    #[arg(long, env = "CVM_TRUST_POLICY", value_enum, default_value_t = TrustPolicy::Required,
          requires = "trusted_keys")]
    pub trust_policy: TrustPolicy,

    /// File in which the highest counters of signatures outlive a restart, so that no older file is
    /// served after it. Keep it where whoever brings models cannot write.
    #[arg(
        long,
        env = "CVM_TRUST_STATE",
        value_name = "FILE",
        requires = "trusted_keys"
    )]
    pub trust_state: Option<PathBuf>,

    /// Serve beyond this machine although calls travel in clear, or callers are not told apart.
    #[arg(long, env = "CVM_ALLOW_INSECURE_NETWORK")]
    pub allow_insecure_network: bool,

    /// Form of the log on standard error.
    #[arg(long, env = "CVM_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Loopback: to serve a network is a decision.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);

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
            listen: DEFAULT_LISTEN,
            http_listen: None,
            admin_listen: None,
            poll_interval_ms: 1000,
            max_rows: 100_000,
            max_rows_in_flight: 1_000_000,
            max_wait_ms: 10,
            max_message_mib: 64,
            drain_seconds: 10,
            workers: 0,
            max_connections: 1024,
            max_concurrent_streams: 256,
            max_connection_age_seconds: 1800,
            handshake_timeout_seconds: 5,
            allow_model_control: false,
            tokens: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            trusted_keys: None,
            trust_policy: TrustPolicy::Required,
            trust_state: None,
            allow_insecure_network: false,
            log_format: LogFormat::Text,
        }
    }

    /// Beyond loopback calls travel under TLS and callers are told apart, or the settings say in so
    /// many words that it shall be otherwise. HTTP has no TLS of its own.
    ///
    /// # Errors
    /// What is missing, and the flags that give it.
    pub fn check_exposure(&self) -> Result<(), String> {
        if self.allow_insecure_network {
            return Ok(());
        }
        let told_apart = self.tokens.is_some() || self.tls_client_ca.is_some();
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
                Some(_) => "anyone could call (--tokens, or --tls-client-ca)",
            };
            return Err(format!(
                "{flag} {address} is reachable from outside this machine, and {missing}; \
                 --allow-insecure-network serves all the same"
            ));
        }
        match self.http_listen.filter(outside) {
            Some(address) => Err(format!(
                "--http-listen {address} is reachable from outside this machine, and HTTP travels \
                 in clear; --allow-insecure-network serves all the same"
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms)
    }

    pub(crate) fn drain_deadline(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
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
        assert!(check(&["--http-listen", "10.0.0.1:80"]).is_err());
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
            ["--trust-policy", "optional"],
            ["--trust-state", "counters.json"],
        ];
        for [flag, value] in wrong {
            let line = ["cvm-server", "--models", "m", flag, value];
            assert!(Settings::try_parse_from(line).is_err(), "{flag} {value}");
        }
    }
}
