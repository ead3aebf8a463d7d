//! `GET /` and `GET /status.json`: models, traffic and times at a glance.

use super::Http;
use crate::calls::Calls;
use crate::meter::Tally;
use crate::registry::Served;
use crate::shadow::Shadow;
use axum::Json;
use axum::extract::State;
use axum::response::Html;
use cvm::FieldDrift;
use cvm::compare::Comparison;
use serde_json::{Value, json};
use std::time::SystemTime;

/// The page: it asks for `status.json` and needs nothing from anywhere else.
const PAGE: &str = include_str!("status.html");

pub(super) async fn page() -> Html<&'static str> {
    Html(PAGE)
}

pub(super) async fn json(State(http): State<Http>) -> Json<Value> {
    let registry = &http.plane.registry;
    let deployments = registry.snapshot();
    let versions = deployments.iter().flat_map(|(id, deployment)| {
        let versions = deployment.versions.values();
        versions.map(move |served| (id, deployment, served))
    });
    let models = versions.map(|(id, deployment, served)| {
        let meter = &served.meter;
        let stages = meter
            .stages()
            .map(|(name, tally)| (name.to_owned(), times(&tally)));
        json!({
            "model": id,
            "version": served.version,
            "kind": served.stamp.kind,
            "fingerprint": served.stamp.fingerprint,
            "roles": deployment.routing.uses_of(&served.version),
            "rows": meter.rows(),
            "failures": meter.fail().read().0,
            "requests": times(&meter.success()),
            "stages": serde_json::Map::from_iter(stages),
            "last_request_ms": meter.last_ms(),
            "loaded_ms": milliseconds(served.loaded),
            "notes": served.model.notes(),
            "drift": drift(served),
        })
    });
    let shadows = deployments.iter().flat_map(|(id, deployment)| {
        let shadows = deployment.shadows.iter();
        shadows.map(move |shadow| shadow_state(id, shadow))
    });
    let champions = deployments.iter().map(|(id, deployment)| {
        let version = deployment.champion.as_ref().map(|served| &served.version);
        json!({ "model": id, "version": version, "moved_ms": milliseconds(deployment.moved) })
    });
    let splits = deployments.iter().filter(|(_, d)| d.split.is_some());
    let splits = splits.map(|(id, d)| json!({ "model": id, "split": d.routing.split }));
    let refused = registry.refusals();
    let refused = refused
        .iter()
        .map(|((id, version), why)| json!({ "model": id, "version": version, "reason": why }));
    let audit = http
        .plane
        .audit
        .counts()
        .map(|c| json!({ "written": c.written, "dropped": c.dropped, "failed": c.failed }));
    let store = http.plane.store.state().map(|state| {
        json!({
            "url": state.shown, "looks": state.successes + state.failures,
            "failures": state.failures, "success_s": state.success_s, "problem": state.problem,
        })
    });
    Json(json!({
        "server": env!("CARGO_PKG_VERSION"),
        "ready": http.ready.why_not().is_none(),
        "up_seconds": http.started.elapsed().as_secs(),
        "swaps": registry.swap_count(),
        "models": models.collect::<Vec<_>>(),
        "champions": champions.collect::<Vec<_>>(),
        "shadows": shadows.collect::<Vec<_>>(),
        "splits": splits.collect::<Vec<_>>(),
        "folder_problem": registry.folder_problem().map(|why| why.to_string()),
        "refused": refused.collect::<Vec<_>>(),
        "audit": audit,
        "store": store,
        "calls": calls(&http.calls),
    }))
}

fn calls(calls: &Calls) -> Vec<Value> {
    let called = calls.called().map(|(name, method)| {
        let codes: serde_json::Map<String, Value> = method
            .codes()
            .map(|(code, count)| (code.to_owned(), count.into()))
            .collect();
        json!({ "method": name, "codes": codes, "time": times(&method.time()) })
    });
    called.collect()
}

/// A moment as milliseconds since 1970.
fn milliseconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

/// A shadow beside its champion, by output.
fn shadow_state(id: &str, shadow: &Shadow) -> Value {
    let rows = shadow.rows();
    let outputs = shadow.compared().into_iter().map(|(name, found)| {
        let Comparison {
            row_count,
            unlike_count,
            delta_mean,
            delta_abs_mean,
            delta_abs_max,
            rank_correlation,
            migration,
            psi,
        } = found;
        json!({
            "output": name, "rows": row_count, "unlike_rows": unlike_count,
            "delta_mean": delta_mean, "delta_abs_mean": delta_abs_mean,
            "delta_abs_max": delta_abs_max, "rank_correlation": rank_correlation,
            "migration": migration, "psi": psi,
        })
    });
    json!({
        "model": id,
        "champion": shadow.base.version,
        "shadow": shadow.served.version,
        "rows": rows.scored,
        "shed": rows.shed,
        "failed": rows.failed,
        "outputs": outputs.collect::<Vec<_>>(),
    })
}

/// How far the newest rows are from those of training, or why that is not told.
fn drift(served: &Served) -> Value {
    match served.drift.report() {
        Err(why) => json!({ "note": why }),
        Ok(None) => json!({ "note": "no rows yet" }),
        Ok(Some(report)) => json!({
            "rows": report.row_count_now,
            "rows_of_training": report.row_count_before,
            "score": report.score.as_ref().map(field_drift),
            "inputs": report.fields.iter().map(field_drift).collect::<Vec<_>>(),
        }),
    }
}

fn field_drift(field: &FieldDrift) -> Value {
    let level = match field.is_uncertain() {
        true => "too few rows",
        false => field.level.name(),
    };
    json!({
        "name": field.name, "psi": field.psi, "noise": field.noise, "level": level,
        "missing_before": field.missing_before, "missing_now": field.missing_now,
        "other_before": field.other_before, "other_now": field.other_now,
    })
}

/// How many, how long on average, and within what time half and 99 of 100 are done (upper ends of
/// buckets that double).
#[allow(clippy::cast_precision_loss)]
fn times(tally: &Tally) -> Value {
    let (buckets, ns) = tally.histogram();
    let count: u64 = buckets.iter().map(|(_, count)| count).sum();
    if count == 0 {
        return json!({ "count": 0 });
    }
    let within = |share: f64| {
        let mut seen = 0;
        let done = buckets.iter().find(|(_, own)| {
            seen += own;
            seen as f64 >= share * count as f64
        });
        done.map(|(end, _)| end * 1e6).filter(|end| *end < 1e12)
    };
    json!({
        "count": count,
        "mean_us": ns as f64 / count as f64 / 1e3,
        "p50_us": within(0.5),
        "p99_us": within(0.99),
    })
}
