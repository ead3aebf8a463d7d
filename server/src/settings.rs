//! Settings of a server: from flags, from the environment, or from code.

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
    /// Folder of model files (`*.cvm`); each is served under its file name without the ending.
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

    /// How often the folder is looked at, in milliseconds.
    #[arg(long, env = "CVM_POLL_INTERVAL_MS", value_name = "MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(20..=3_600_000))]
    pub poll_interval_ms: u64,

    /// Most rows of one request.
    #[arg(long, env = "CVM_MAX_ROWS", value_name = "ROWS", default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_rows: u32,

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

    /// How long a new connection may take to open HTTP/2, in seconds.
    #[arg(long, env = "CVM_HANDSHAKE_TIMEOUT_SECONDS", value_name = "S", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..=300))]
    pub handshake_timeout_seconds: u16,

    /// Let callers load and unload models (RepositoryModelLoad and RepositoryModelUnload of the Open
    /// Inference Protocol); without it the folder alone decides.
    #[arg(long, env = "CVM_ALLOW_MODEL_CONTROL")]
    pub allow_model_control: bool,

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
            poll_interval_ms: 1000,
            max_rows: 100_000,
            max_message_mib: 64,
            drain_seconds: 10,
            workers: 0,
            max_connections: 1024,
            max_concurrent_streams: 256,
            handshake_timeout_seconds: 5,
            allow_model_control: false,
            log_format: LogFormat::Text,
        }
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.poll_interval_ms)
    }

    pub(crate) fn drain_deadline(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }

    pub(crate) fn max_message_bytes(&self) -> usize {
        usize::from(self.max_message_mib) << 20
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
    fn values_out_of_range_are_refused() {
        let wrong = [
            ["--max-rows", "0"],
            ["--max-message-mib", "1025"],
            ["--poll-interval-ms", "1"],
            ["--drain-seconds", "-1"],
            ["--listen", "nowhere"],
            ["--log-format", "xml"],
        ];
        for [flag, value] in wrong {
            let line = ["cvm-server", "--models", "m", flag, value];
            assert!(Settings::try_parse_from(line).is_err(), "{flag} {value}");
        }
    }
}
