//! The HTTP face: scores in JSON with the engine's bits, metrics, health, the state.

use crate::support::{TestServer, bg_nbd, bits, customers, expected, folder, numbers, request};
use cvm_proto::Encoding;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One exchange on a connection of its own: status and body.
async fn exchange(server: &TestServer, verb: &str, path: &str, body: &str) -> (u16, String) {
    exchange_with(server.http.unwrap(), verb, path, body).await
}

async fn exchange_with(address: SocketAddr, verb: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let size = body.len();
    let head = format!(
        "{verb} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// The status that a path answers with.
pub async fn code(server: &TestServer, path: &str) -> u16 {
    exchange(server, "GET", path, "").await.0
}

/// What a path answers, which must be there.
pub async fn get(server: &TestServer, path: &str) -> String {
    let (status, body) = exchange(server, "GET", path, "").await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

pub async fn post(server: &TestServer, path: &str, body: &Value) -> (u16, Value) {
    let (status, body) = exchange(server, "POST", path, &body.to_string()).await;
    (
        status,
        serde_json::from_str(&body).unwrap_or(Value::from(body)),
    )
}

async fn start(folder: &tempfile::TempDir) -> TestServer {
    TestServer::start_with_http(folder.path(), |settings| settings.max_rows = 1_000).await
}

#[tokio::test]
async fn json_scores_have_the_engines_bits() {
    let folder = folder();
    let server = start(&folder).await;
    let mut frame = customers(700);
    let want = expected(&bg_nbd(1.0), &frame);
    let mut columns = serde_json::Map::new();
    for name in ["T", "frequency", "recency"] {
        columns.insert(name.to_owned(), json!(numbers(&mut frame, name)));
    }
    let body =
        json!({ "columns": columns, "options": { "horizon_periods": 39 }, "request_id": "r" });
    let (status, answer) = post(&server, "/v1/models/retail:score", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["request_id"], "r");
    assert_eq!(answer["row_count"], 700);
    for (name, own) in want {
        let got: Vec<f64> = serde_json::from_value(answer["outputs"][&name].clone()).unwrap();
        assert_eq!(bits(&got), own, "{name}");
    }
    let body = json!({
        "columns": { "frequency": [2, null], "recency": [30.43, 1], "T": [38.86, 2] },
        "options": { "horizon_periods": "Infinity", "outputs": ["p_alive", "expected_purchases"] },
        "row_keys": ["ann", "bob"],
    });
    let (status, answer) = post(&server, "/v1/models/retail:score", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["row_statuses"], json!(["infinite", "missing"]));
    assert_eq!(
        answer["outputs"]["expected_purchases"],
        json!(["Infinity", null])
    );
    assert_eq!(answer["outputs"]["p_alive"][1], Value::Null);
    assert_eq!(answer["row_keys"], json!(["ann", "bob"]));
}

#[tokio::test]
async fn wrong_json_names_its_field() {
    let folder = folder();
    let server = start(&folder).await;
    let sound = json!({ "frequency": [2.0], "recency": [30.43], "T": [38.86] });
    let with = |column: &str, cells: Value| {
        let mut columns = sound.clone();
        columns[column] = cells;
        json!({ "columns": columns, "options": { "horizon_periods": 39 } })
    };
    let many = json!(vec![1.0; 1_001]);
    let all = json!({ "frequency": many, "recency": many, "T": many });
    let option = |name: &str, value: Value| json!({ "columns": sound, "options": { name: value } });
    let keyed = json!({ "columns": sound, "row_keys": ["a", "b"] });
    let cases = [
        (with("T", json!([true])), 400, "columns.T[0]"),
        (with("T", json!([1.0, 2.0])), 400, "columns.frequency"),
        (with("T", json!(1.0)), 400, "columns.T"),
        (with("T", json!(["old"])), 400, "columns.T"),
        (json!({ "columns": all }), 400, "columns"),
        (option("horizon", json!(3)), 400, "options.horizon"),
        (
            option("horizon_periods", json!("long")),
            400,
            "options.horizon_periods",
        ),
        (option("outputs", json!("p_alive")), 400, "options.outputs"),
        (keyed, 400, "row_keys"),
    ];
    for (body, code, field) in cases {
        let (status, answer) = post(&server, "/v1/models/retail:score", &body).await;
        assert_eq!(status, code, "{answer}");
        let fields = answer["error"]["fields"].to_string();
        assert!(fields.contains(field), "{field}: {answer}");
    }
    let body = with("T", json!([38.86]));
    let (status, answer) = post(&server, "/v1/models/absent:score", &body).await;
    assert_eq!(
        (status, &answer["error"]["reason"]),
        (404, &json!("MODEL_NOT_FOUND"))
    );
    let (status, _) = post(&server, "/v1/models/retail", &body).await;
    assert_eq!(status, 400);
    let (status, answer) = exchange(
        &server,
        "POST",
        "/v1/models/retail:score",
        "{\"columns\": [",
    )
    .await;
    assert_eq!(status, 400);
    assert!(answer.contains("MALFORMED_MESSAGE"), "{answer}");
    assert_eq!(exchange(&server, "GET", "/nowhere", "").await.0, 404);
}

#[tokio::test]
async fn the_state_is_told_to_people_and_machines() {
    let folder = folder();
    std::fs::write(folder.path().join("broken.cvm"), b"not a model").unwrap();
    let server = start(&folder).await;
    server.loaded().await;
    assert_eq!(
        exchange(&server, "GET", "/livez", "").await,
        (200, "ok".to_owned())
    );
    assert_eq!(
        exchange(&server, "GET", "/readyz", "").await,
        (200, "ok".to_owned())
    );
    let mut client = server.client().await;
    for rows in [1, 600] {
        let request = request(customers(rows), Encoding::Doubles);
        client.score(request).await.unwrap();
    }
    let mut wrong = request(customers(1), Encoding::Doubles);
    wrong.model = "absent".to_owned();
    client.score(wrong).await.unwrap_err();

    let (status, page) = exchange(&server, "GET", "/", "").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("status.json") && !page.contains("http://") && !page.contains("https://")
    );
    let (_, state) = exchange(&server, "GET", "/status.json", "").await;
    let state: Value = serde_json::from_str(&state).unwrap();
    let model = &state["models"][0];
    assert_eq!(
        (&model["model"], &model["rows"]),
        (&json!("retail"), &json!(601))
    );
    assert_eq!(model["stages"]["score"]["count"], 2);
    assert_eq!(state["refused"][0]["model"], "broken");
    assert_eq!(
        state["calls"][0]["codes"],
        json!({ "OK": 2, "NOT_FOUND": 1 })
    );

    let (status, metrics) = exchange(&server, "GET", "/metrics", "").await;
    assert_eq!(status, 200);
    let version = bg_nbd(1.0).fingerprint().short();
    for line in [
        "cvm_calls_total{method=\"cvm.v1.ScoringService/Score\",code=\"OK\"} 2".to_owned(),
        "cvm_calls_total{method=\"cvm.v1.ScoringService/Score\",code=\"NOT_FOUND\"} 1".to_owned(),
        format!("cvm_rows_total{{model=\"retail\",version=\"{version}\"}} 601"),
        format!(
            "cvm_stage_seconds_count{{method=\"cvm.v1.ScoringService/Score\",model=\"retail\",version=\"{version}\",stage=\"score\"}} 2"
        ),
        "cvm_models 1".to_owned(),
        "cvm_models_refused 1".to_owned(),
        "# EOF".to_owned(),
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
    // Buckets are cumulative and end with all.
    let buckets = metrics.lines().filter(|line| {
        line.starts_with("cvm_call_seconds_bucket{")
            && line.contains("ScoringService/Score\",code=\"OK\"")
    });
    let counts: Vec<u64> = buckets
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(
        counts.is_sorted() && counts.last() == Some(&2),
        "{counts:?}"
    );
}

/// Where probes and metrics are told to everyone nothing else is: no score, no state, whatever is asked.
#[tokio::test]
async fn probes_have_an_address_that_cannot_score() {
    let folder = folder();
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, "token = []\n").unwrap();
    let server = TestServer::start_with_http(folder.path(), |settings| {
        settings.tokens = Some(tokens);
    })
    .await;
    server.loaded().await;
    let ask = async |verb: &str, path: &str, body: &str| {
        exchange_with(server.probes, verb, path, body).await
    };
    let ok = (200, "ok".to_owned());
    assert_eq!(ask("GET", "/livez", "").await, ok);
    assert_eq!(ask("GET", "/readyz", "").await, ok);
    let (status, metrics) = ask("GET", "/metrics", "").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("cvm_models 1"), "{metrics}");
    assert_eq!(
        code(&server, "/metrics").await,
        401,
        "with all the rest it wants a token"
    );
    for (verb, path) in [
        ("GET", "/"),
        ("GET", "/status.json"),
        ("POST", "/v1/models/retail:score"),
        ("POST", "/cvm.v1.ScoringService/Score"),
        ("POST", "/cvm.admin.v1.AdminService/ListVersions"),
        ("PUT", "/metrics/x"),
    ] {
        assert_eq!(ask(verb, path, "{}").await.0, 404, "{path}");
    }
    assert_eq!(ask("POST", "/metrics", "{}").await.0, 405);
}
