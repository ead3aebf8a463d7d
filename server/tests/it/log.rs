//! What the log tells of requests, and what it does not: who the customers are.

use crate::support::{channel, customers, folder, request};
use cvm_proto::Encoding;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tonic::Request;

/// A server process whose log is read.
pub struct Logged {
    child: Child,
    pub address: SocketAddr,
}

impl Logged {
    pub fn start(folder: &Path, flags: &[&str]) -> Logged {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cvm-server"))
            .args(["--listen", "127.0.0.1:0", "--models"])
            .arg(folder)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let address = address.parse().unwrap();
        Logged { child, address }
    }

    /// Ends the server; all that it has told.
    pub fn end(mut self) -> String {
        let id = self.child.id().to_string();
        let done = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(done.unwrap().success());
        let mut told = String::new();
        let mut log = self.child.stderr.take().unwrap();
        log.read_to_string(&mut told).unwrap();
        assert!(self.child.wait().unwrap().success(), "{told}");
        told
    }
}

pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A request of two customers, in a caller's trace.
pub async fn score(address: SocketAddr, model: &str) -> Result<(), tonic::Status> {
    let mut message = request(customers(2), Encoding::Doubles);
    message.model = model.to_owned();
    message.row_keys = ["kim@example.com", "lee@example.com"]
        .map(str::to_owned)
        .into();
    let mut asked = Request::new(message);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    asked
        .metadata_mut()
        .insert("traceparent", parent.parse().unwrap());
    let mut client = ScoringServiceClient::new(channel(address).await);
    client.score(asked).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_told_with_customers_as_keyed_hashes_only() {
    let folder = folder();
    let key = folder.path().join("log.key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    let key = key.to_str().unwrap();
    let flags = [
        "--log-format",
        "json",
        "--log-requests",
        "--log-key-file",
        key,
    ];
    let server = Logged::start(folder.path(), &flags);
    score(server.address, "retail").await.unwrap();
    score(server.address, "absent").await.unwrap_err();
    let told = server.end();
    assert!(!told.contains("@example.com"), "{told}");
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let requests = lines
        .iter()
        .filter(|line| line["fields"]["message"] == "request");
    let [line] = requests.collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    let fields = &line["fields"];
    // HMAC-SHA256 of the row keys under the key, by another implementation (Python's `hmac`).
    let want = "8973ff81bca240848e0f5ec7d15cad93";
    let hashes: Vec<&str> = fields["customers"].as_str().unwrap().split(',').collect();
    assert_eq!((hashes.len(), hashes[0]), (2, want), "{line}");
    assert_eq!(
        (&fields["rows"], &fields["code"]),
        (&2.into(), &"OK".into()),
        "{line}"
    );
    assert_eq!(fields["request_id"], "test");
    let version = fields["model"].as_str().unwrap();
    assert!(version.starts_with("models/retail/versions/"), "{line}");
    let span = &line["span"];
    assert_eq!(span["trace_id"], TRACE, "{line}");
    assert_eq!(span["rpc.method"], "cvm.v1.ScoringService/Score", "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_not_told_unasked_nor_customers_without_a_key() {
    let folder = folder();
    for (flags, count) in [(&[][..], 0), (&["--log-requests"][..], 1)] {
        let flags = [&["--log-format", "json"], flags].concat();
        let server = Logged::start(folder.path(), &flags);
        score(server.address, "retail").await.unwrap();
        let told = server.end();
        let lines = told
            .lines()
            .filter(|line| line.contains("\"message\":\"request\""));
        assert_eq!(lines.clone().count(), count, "{told}");
        assert!(
            lines
                .clone()
                .all(|line| line.contains("\"customers\":\"\"")),
            "{told}"
        );
        assert!(!told.contains("@example.com"), "{told}");
    }
    let short = folder.path().join("short.key");
    std::fs::write(&short, "tiny\n").unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_cvm-server"))
        .args(["check-config", "--log-requests", "--models"])
        .arg(folder.path())
        .arg("--log-key-file")
        .arg(&short)
        .output()
        .unwrap();
    let why = String::from_utf8(done.stderr).unwrap();
    assert!(
        done.status.code() == Some(2) && why.contains("holds 4 bytes"),
        "{why}"
    );
}
