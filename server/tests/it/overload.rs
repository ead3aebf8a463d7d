//! More is asked than can be done: some is refused quickly, the rest is right, health is answered.

use crate::support::{TestServer, boosted, folder, save};
use cvm_load::{Mix, Oracle, Plan, Report, Schedule, Target, run};
use cvm_proto::Encoding;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

/// Requests of a churn model with 512 rows each, so that the work is in the scores.
fn plan(server: &TestServer, rate: f64, length: Duration) -> Plan {
    let (mix, options) = (Mix::of(512), cvm::ScoreOptions::default());
    let oracle = Oracle::new(&[boosted()], "churn", &options, Encoding::DoublesLe, &mix).unwrap();
    let schedule = Schedule::constant(rate, length);
    Plan {
        connections: 8,
        timeout: Duration::from_secs(60),
        health_every: Some(Duration::from_millis(25)),
        ..Plan::new(
            Target::plain(server.address),
            Arc::new(oracle),
            mix,
            schedule,
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_too_long_on_a_busy_thread_is_refused_and_the_rest_is_right() {
    let folder = folder();
    save(&boosted(), &folder.path().join("churn.cvm"));
    // What takes long on a slow machine waits in the queue of large requests instead, and not for long.
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.workers = 1;
        settings.max_queue_ms = 200;
    })
    .await;
    server.loaded().await;
    // What one thread can do differs by processor: twice as much is asked until it is too much.
    let mut refused = 0;
    for rate in [500.0, 1_000.0, 2_000.0, 4_000.0] {
        let report = run(&plan(&server, rate, Duration::from_secs(1)), |_| ())
            .await
            .unwrap();
        refused += report.count(Code::ResourceExhausted);
        is_right_or_refused(&report);
        if refused > 10 {
            break;
        }
    }
    assert!(refused > 10, "{refused} refused");
    // Refusals are told to the operator, and nothing is left behind.
    let metrics = crate::http::get(&server, "/metrics").await;
    let count = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse().unwrap()
    };
    let shed = count("cvm_requests_shed_total ") + count("cvm_queue_shed_total ");
    assert_eq!(shed, refused, "{metrics}");
    assert!(metrics.contains("cvm_rows_in_flight 0\n"), "{metrics}");
    let after = run(&plan(&server, 20.0, Duration::from_secs(1)), |_| ())
        .await
        .unwrap();
    assert_eq!(after.right, after.offered, "{after}");
}

fn is_right_or_refused(report: &Report) {
    assert_eq!(report.wrong, 0, "{report}");
    assert!(report.right > 10, "{report}");
    let refused = report.count(Code::ResourceExhausted);
    assert_eq!(report.right + refused, report.offered, "{report}");
    // How soon health answers is the bench's to tell: here a busy machine may delay everything.
    let health = report.health.as_ref().unwrap();
    let late = "no answer in time";
    assert!(
        health.last_failure.as_deref().is_none_or(|why| why == late),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_limit_everyone_waits() {
    let folder = folder();
    save(&boosted(), &folder.path().join("churn.cvm"));
    let server = TestServer::start(folder.path(), |settings| {
        settings.workers = 1;
        settings.max_wait_ms = 0;
    })
    .await;
    let plan = plan(&server, 500.0, Duration::from_millis(300));
    let report = run(&plan, |_| ()).await.unwrap();
    assert_eq!(report.right, report.offered, "{report}");
}
