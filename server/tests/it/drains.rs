//! The end of a busy server: no caller sees anything but that its call was never taken up.

use crate::binary::Binary;
use crate::frames::{END_HEADERS, HEADERS, Raw, frame, score_headers};
use crate::support::{bg_nbd, folder, horizon};
use cvm_load::{Mix, Mode, Oracle, Plan, Report, Schedule, Target, run};
use cvm_proto::Encoding;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a drain may take; a busy machine gets a little more.
const DRAIN_SECONDS: &str = "6";
const DEADLINE: Duration = Duration::from_millis(6_000 + 1_500);

/// Right answers of each kind after which the end is told.
const ANSWERED: u64 = 40;

fn drain_count() -> u32 {
    match std::env::var_os("CVM_SLOW") {
        Some(_) => 50,
        None => 1,
    }
}

async fn load(
    address: SocketAddr,
    (oracle, mix): (Arc<Oracle>, Mix),
    mode: Mode,
    seen: Arc<AtomicU64>,
) -> Report {
    let schedule = Schedule::constant(120.0, Duration::from_millis(1_500));
    let plan = Plan {
        mode,
        connections: 3,
        seen,
        timeout: Duration::from_secs(30),
        ..Plan::new(Target::plain(address), oracle, mix, schedule)
    };
    run(&plan, |_| ()).await.unwrap()
}

/// Peers that hold a connection and never let go: silent before the preface, in it, after it, and with a
/// call that never sends its message.
async fn stuck(address: SocketAddr) -> (Vec<TcpStream>, Vec<Raw>) {
    let silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"PRI * HTTP").await.unwrap();
    let mute = Raw::open(address, &[]).await;
    let mut endless = Raw::open(address, &[]).await;
    assert!(
        endless
            .send(&frame(HEADERS, END_HEADERS, 1, &score_headers()))
            .await
    );
    (vec![silent, half], vec![mute, endless])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_loses_no_call_that_was_taken_up() {
    let folder = folder();
    let mix = Mix::parse("1:3,300:1").unwrap();
    let oracle = Oracle::new(&[bg_nbd(1.0)], "", &horizon(39.0), Encoding::Doubles, &mix);
    let oracle = Arc::new(oracle.unwrap());
    let (mut unsent, mut longest) = (0, Duration::ZERO);
    for number in 0..drain_count() {
        // Without a limit on waits, so that nothing is refused but for the drain.
        let flags = ["--drain-seconds", DRAIN_SECONDS, "--max-wait-ms", "0"];
        let mut binary = Binary::start(&flags, folder.path());
        let address = binary.address;
        let _stuck = stuck(address).await;
        let seen = [Arc::default(), Arc::default()];
        let stop = async {
            while seen
                .iter()
                .any(|seen: &Arc<AtomicU64>| seen.load(Ordering::Relaxed) < ANSWERED)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            binary.signal("TERM");
            tokio::task::spawn_blocking(move || binary.end())
                .await
                .unwrap()
        };
        let what = || (Arc::clone(&oracle), mix.clone());
        let calls = load(address, what(), Mode::Unary, Arc::clone(&seen[0]));
        let streams = load(address, what(), Mode::Stream, Arc::clone(&seen[1]));
        let (calls, streams, (code, took)) = tokio::join!(calls, streams, stop);
        assert_eq!(code, Some(0), "drain {number}");
        assert!(took < DEADLINE, "drain {number}: {took:?}");
        for report in [&calls, &streams] {
            assert!(report.right >= ANSWERED, "drain {number}: {report}");
            assert_eq!(
                report.right + report.never_sent,
                report.offered,
                "drain {number}: {report}"
            );
        }
        unsent += calls.never_sent + streams.never_sent;
        longest = longest.max(took);
    }
    println!(
        "{} drains: {unsent} calls never taken up, the longest {longest:?}",
        drain_count()
    );
}
