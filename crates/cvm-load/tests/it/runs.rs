//! What a run reports of each kind of server.

use crate::support::{Fault, bg_nbd, models, plan, start};
use cvm_load::{Arrivals, LoadError, Mix, Mode, Oracle, Plan, Report, Tls, Token, run};
use cvm_proto::Encoding;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use tonic::transport::Identity;

async fn report(plan: &Plan) -> Report {
    run(plan, |_| ()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_answers_are_counted_in_calls_and_in_a_stream() {
    let (address, _) = start(Fault::None, None).await;
    for mode in [Mode::Unary, Mode::Stream] {
        let mut plan = plan(address, 200.0, 1_300);
        plan.mode = mode;
        plan.connections = 2;
        plan.schedule.arrivals = Arrivals::Even;
        plan.warm_up = Duration::from_millis(300);
        plan.health_every = Some(Duration::from_millis(50));
        let mut seconds = 0;
        let report = run(&plan, |_| seconds += 1).await.unwrap();
        assert_eq!((report.wrong, report.withheld), (0, 0), "{report}");
        assert_eq!(report.right, report.offered, "{report}");
        assert!(report.offered.abs_diff(200) <= 1, "{report}");
        // A quarter of the requests has 20 rows.
        assert!(report.right_rows > report.right * 4, "{report}");
        assert!(seconds >= 1);
        let health = report.health.unwrap();
        assert!(health.answered > 0 && health.failed == 0, "{health:?}");
        assert!(report.latency_ms.p50 > 0.0 && report.latency_ms.p50 <= report.latency_ms.p99);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_differs_in_one_bit_is_wrong() {
    let (address, _) = start(Fault::WrongBit, None).await;
    let report = report(&plan(address, 300.0, 500)).await;
    let third = report.offered.div_ceil(3);
    assert_eq!(report.wrong, third, "{report}");
    assert_eq!(report.right, report.offered - third, "{report}");
    assert!(
        report.examples[0].contains("of row 0 is"),
        "{:?}",
        report.examples
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["wrong"], third);
}

#[tokio::test]
async fn an_answer_of_another_model_is_wrong() {
    let (address, _) = start(Fault::None, None).await;
    let mut plan = plan(address, 100.0, 200);
    let options = cvm::ScoreOptions::default();
    let oracle = Oracle::new(&[bg_nbd(1.0)], "", &options, Encoding::Doubles, &plan.mix);
    plan.oracle = Arc::new(oracle.unwrap());
    let report = report(&plan).await;
    assert_eq!((report.right, report.wrong), (0, report.offered));
    assert!(
        report.examples[0].contains(&models()[0].fingerprint().to_string()),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_counted_by_code_apart_from_goodput() {
    let (address, _) = start(Fault::Refuses, None).await;
    let report = report(&plan(address, 400.0, 500)).await;
    let refused = report.count(Code::ResourceExhausted);
    assert_eq!(report.count(Code::Ok), report.right, "{report}");
    assert_eq!(refused, report.offered / 2, "{report}");
    assert_eq!(report.right + refused, report.offered, "{report}");
    assert_eq!(report.never_sent, 0);
    assert!(format!("{report}").contains("ResourceExhausted"));
}

/// The point of an open loop: a stall of 300 ms is in the latency of every request that was due in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_shows_in_every_request_that_was_due_meanwhile() {
    for mode in [Mode::Unary, Mode::Stream] {
        let (address, _) = start(Fault::Stalls, None).await;
        let mut plan = plan(address, 500.0, 1_000);
        plan.mode = mode;
        plan.schedule.arrivals = Arrivals::Even;
        let report = report(&plan).await;
        assert_eq!(report.right, report.offered, "{report}");
        // Due at even distances in the 300 ms of the stall, they wait from 300 ms down to none: the
        // tenth that waits longest, of all 500, waits 200 ms or more. A closed loop shows it once.
        assert!(report.latency_ms.p90 > 150.0, "{report}");
        assert!(report.latency_ms.max > 250.0, "{report}");
    }
}

#[tokio::test]
async fn a_mute_server_is_waited_for_in_bounds() {
    let (address, _) = start(Fault::Mute, None).await;
    let mut plan = plan(address, 200.0, 300);
    plan.timeout = Duration::from_millis(100);
    plan.max_in_flight = 5;
    let report = report(&plan).await;
    assert_eq!(report.right, 0);
    assert!(report.withheld > 0, "{report}");
    let late = report.count(Code::DeadlineExceeded) + report.count(Code::Cancelled);
    assert_eq!(late + report.withheld, report.offered, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_show_their_tokens_in_turn() {
    let (address, seen) = start(Fault::None, None).await;
    let mut plan = plan(address, 200.0, 300);
    plan.target.tokens = Token::parse_all("billing one\nweb two").unwrap();
    plan.connections = 2;
    let report = report(&plan).await;
    let names: Vec<&str> = report
        .tokens
        .iter()
        .map(|token| token.name.as_str())
        .collect();
    assert_eq!(names, ["billing", "web"]);
    let sum: u64 = report.tokens.iter().map(|token| token.right).sum();
    assert_eq!(sum, report.right);
    let seen = seen.lock().unwrap();
    for (secret, token) in ["Bearer one", "Bearer two"].into_iter().zip(&report.tokens) {
        let count = seen.iter().filter(|own| *own == secret).count();
        assert_eq!(count as u64, token.right);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_travel_under_tls() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["scores.example".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certificate.pem()).unwrap();
    let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
    let (address, _) = start(Fault::None, Some(identity)).await;
    let mut plan = plan(address, 100.0, 300);
    assert!(matches!(
        run(&plan, |_| ()).await,
        Err(LoadError::Connect(_)) | Ok(Report { right: 0, .. })
    ));
    plan.target.tls = Some(Tls {
        ca,
        own: None,
        domain: Some("scores.example".to_owned()),
    });
    let report = report(&plan).await;
    assert!(
        report.right > 0 && report.right == report.offered,
        "{report}"
    );
}

#[tokio::test]
async fn a_plan_without_sense_or_server_is_no_run() {
    let (address, _) = start(Fault::None, None).await;
    let wrong = |change: fn(&mut Plan)| {
        let mut plan = plan(address, 10.0, 100);
        change(&mut plan);
        async move { run(&plan, |_| ()).await.unwrap_err() }
    };
    assert!(matches!(
        wrong(|plan| plan.schedule.rate = 0.0).await,
        LoadError::Plan(_)
    ));
    assert!(matches!(
        wrong(|plan| plan.connections = 0).await,
        LoadError::Plan(_)
    ));
    assert!(matches!(
        wrong(|plan| plan.warm_up = Duration::from_secs(9)).await,
        LoadError::Plan(_)
    ));
    // Nobody listens on a port that was just closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = run(&plan(closed, 10.0, 100), |_| ()).await.unwrap_err();
    assert!(matches!(error, LoadError::Connect(_)), "{error}");
    assert!(Mix::parse("0").is_err());
}
