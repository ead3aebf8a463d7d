//! `GET /metrics`: what the server and its models have done, as Prometheus and OpenMetrics read it.

use super::Http;
use crate::meter::Tally;
use crate::registry::Served;
use crate::shadow::ShadowRows;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cvm::compare::Comparison;
use cvm::{DriftReport, FieldDrift};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn get(State(http): State<Http>) -> Response {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(http));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        Err(fmt::Error) => super::unavailable("the metrics could not be written"),
    }
}

type Labels<const COUNT: usize> = [(&'static str, String); COUNT];

impl Collector for Http {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.calls(&mut encoder)?;
        self.models(&mut encoder)?;
        self.shadows(&mut encoder)?;
        self.drift(&mut encoder)?;
        self.audit(&mut encoder)?;
        self.store(&mut encoder)?;
        self.state(&mut encoder)
    }
}

impl Http {
    fn calls(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Calls answered, by method and status code";
        let mut counts = encoder.encode_descriptor("cvm_calls", help, None, MetricType::Counter)?;
        for (name, method) in self.calls.called() {
            for (code, count) in method.codes() {
                let labels = [("method", name.to_owned()), ("code", code.to_owned())];
                counter(&mut counts, &labels, count)?;
            }
        }
        let help = "Connections closed because they cancelled more calls than they let finish";
        let name = "cvm_cancelling_connections_closed";
        let mut closed = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        closed.encode_counter::<NoLabelSet, u64, f64>(&self.calls.closed_count(), None)?;
        let help = "Time until the answer of a call was ready";
        let mut times = histograms(encoder, "cvm_call", help)?;
        for (name, method) in self.calls.called() {
            for (code, time) in method.times() {
                let labels = [("method", name.to_owned()), ("code", code.to_owned())];
                histogram(&mut times, &labels, time)?;
            }
        }
        Ok(())
    }

    fn models(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let models = self.plane.registry.snapshot();
        let each = || {
            models.iter().flat_map(|(id, deployment)| {
                deployment.versions.values().map(|served| {
                    let version = served.version.clone();
                    ([("model", id.clone()), ("version", version)], &served.meter)
                })
            })
        };
        let help = "Rows scored since the version was loaded";
        let mut rows = encoder.encode_descriptor("cvm_rows", help, None, MetricType::Counter)?;
        for (labels, meter) in each() {
            counter(&mut rows, &labels, meter.rows())?;
        }
        let help = "Requests of a model, by result";
        let mut requests =
            encoder.encode_descriptor("cvm_requests", help, None, MetricType::Counter)?;
        for ([model, version], meter) in each() {
            for (result, tally) in [("success", meter.success()), ("failure", meter.fail())] {
                let result = ("result", result.to_owned());
                let labels = [model.clone(), version.clone(), result];
                counter(&mut requests, &labels, tally.read().0)?;
            }
        }
        let by_method = || {
            each().flat_map(|([model, version], meter)| {
                let methods = meter.methods();
                methods.map(move |(method, requests)| {
                    let method = ("method", method.to_owned());
                    ([method, model.clone(), version.clone()], requests)
                })
            })
        };
        let help = "Time of a request from its message to its answer";
        let mut times = histograms(encoder, "cvm_request", help)?;
        for ([method, model, version], requests) in by_method() {
            for (code, tally) in requests.codes() {
                let code = ("code", code.to_owned());
                let labels = [method.clone(), model.clone(), version.clone(), code];
                histogram(&mut times, &labels, tally)?;
            }
        }
        let help = "Time of the stages of a request: decode, queue, score, encode";
        let mut times = histograms(encoder, "cvm_stage", help)?;
        for ([method, model, version], requests) in by_method() {
            for (stage, tally) in requests.stages() {
                let stage = ("stage", stage.to_owned());
                let labels = [method.clone(), model.clone(), version.clone(), stage];
                histogram(&mut times, &labels, tally)?;
            }
        }
        Ok(())
    }

    /// Shadows beside their champions.
    fn shadows(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let models = self.plane.registry.snapshot();
        let each = || {
            models.iter().flat_map(|(id, deployment)| {
                deployment.shadows.iter().map(|shadow| {
                    let version = shadow.served.version.clone();
                    ([("model", id.clone()), ("version", version)], shadow)
                })
            })
        };
        let help = "Rows of a shadow: scored, shed for want of time, failed";
        let mut rows =
            encoder.encode_descriptor("cvm_shadow_rows", help, None, MetricType::Counter)?;
        for ([model, version], shadow) in each() {
            let ShadowRows {
                scored,
                shed,
                failed,
            } = shadow.rows();
            for (result, count) in [("scored", scored), ("shed", shed), ("failed", failed)] {
                let result = ("result", result.to_owned());
                counter(&mut rows, &[model.clone(), version.clone(), result], count)?;
            }
        }
        let compared: Vec<_> = each().map(|(labels, s)| (labels, s.compared())).collect();
        for (name, help, value) in COMPARED {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ([model, version], outputs) in &compared {
                for (output, found) in outputs {
                    let output = ("output", (*output).to_owned());
                    let labels = [model.clone(), version.clone(), output];
                    gauge.encode_family(&labels)?.encode_gauge(&value(found))?;
                }
            }
        }
        Ok(())
    }

    /// How far the newest rows are from those of training, of versions that have a profile of them. An
    /// index that chance alone may bring about is not told.
    fn drift(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let models = self.plane.registry.snapshot();
        let all = models.iter().flat_map(|(id, deployment)| {
            let versions = deployment.versions.values();
            versions.filter_map(move |served| drift_of(id, served))
        });
        let all: Vec<_> = all.collect();
        let help = "Newest rows that were compared with those of training";
        let mut rows =
            encoder.encode_descriptor("cvm_drift_rows", help, None, MetricType::Gauge)?;
        for (labels, report) in &all {
            let family = rows.encode_family(labels);
            family?.encode_gauge(&report.row_count_now)?;
        }
        let help = "Population stability index of an input against the rows of training";
        let mut inputs =
            encoder.encode_descriptor("cvm_input_psi", help, None, MetricType::Gauge)?;
        for (labels, report) in &all {
            for field in &report.fields {
                psi(&mut inputs, labels, "field", field)?;
            }
        }
        let help = "Population stability index of the score against the rows of training";
        let mut scores =
            encoder.encode_descriptor("cvm_score_psi", help, None, MetricType::Gauge)?;
        for (labels, report) in &all {
            if let Some(field) = &report.score {
                psi(&mut scores, labels, "output", field)?;
            }
        }
        Ok(())
    }

    /// The log of predictions, if there is one.
    fn audit(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(counts) = self.plane.audit.counts() else {
            return Ok(());
        };
        let help =
            "Records of the audit log: written, dropped for want of room, failed to be written";
        let mut records =
            encoder.encode_descriptor("cvm_audit_records", help, None, MetricType::Counter)?;
        for (result, count) in [
            ("written", counts.written),
            ("dropped", counts.dropped),
            ("failed", counts.failed),
        ] {
            counter(&mut records, &[("result", result.to_owned())], count)?;
        }
        Ok(())
    }

    /// The object store that models come from, if there is one.
    fn store(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(state) = self.plane.store.state() else {
            return Ok(());
        };
        let help = "Looks at the object store, by result";
        let mut looks =
            encoder.encode_descriptor("cvm_store_looks", help, None, MetricType::Counter)?;
        for (result, count) in [("success", state.successes), ("failure", state.failures)] {
            counter(&mut looks, &[("result", result.to_owned())], count)?;
        }
        let help =
            "When the object store was last followed without a problem, in seconds since 1970";
        let name = "cvm_store_success_timestamp_seconds";
        let mut last = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        last.encode_gauge(&state.success_s)
    }

    fn state(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let registry = &self.plane.registry;
        let loaded = registry.snapshot().len();
        let refused = registry.refusals().len();
        for (name, help, value) in [
            ("cvm_models", "Models served", loaded),
            (
                "cvm_versions_retired",
                "Versions out of service whose memory is still held",
                registry.retired_count(),
            ),
            (
                "cvm_models_refused",
                "Model files and versions that are not served",
                refused,
            ),
            (
                "cvm_folder_unreadable",
                "Whether the folder of models cannot be read; its models stay",
                usize::from(registry.folder_problem().is_some()),
            ),
        ] {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge.encode_gauge(&u64::try_from(value).unwrap_or(u64::MAX))?;
        }
        let help = "Models and versions that are not served, or whose newest file is not";
        let mut family =
            encoder.encode_descriptor("cvm_model_refused", help, None, MetricType::Gauge)?;
        for (model, version) in registry.refusals().keys() {
            let labels = [("model", model.clone()), ("version", version.clone())];
            family.encode_family(&labels)?.encode_gauge(&1_u64)?;
        }
        let help =
            "Reasons not to serve a model, a version, a manifest or a routing, each counted once";
        let mut reasons =
            encoder.encode_descriptor("cvm_refusals", help, None, MetricType::Counter)?;
        reasons.encode_counter::<NoLabelSet, u64, f64>(&registry.refusal_count(), None)?;
        let help = "Model files refused for their signature, or for want of one";
        let mut refusals =
            encoder.encode_descriptor("cvm_untrusted_files", help, None, MetricType::Counter)?;
        let count = self.plane.trust.refusals();
        refusals.encode_counter::<NoLabelSet, u64, f64>(&count, None)?;
        let admission = &self.plane.admission;
        let help = "Rows in flight";
        let mut rows =
            encoder.encode_descriptor("cvm_rows_in_flight", help, None, MetricType::Gauge)?;
        rows.encode_gauge(&u64::try_from(admission.in_flight()).unwrap_or(u64::MAX))?;
        let help = "Requests told to come back because too much was in flight";
        let mut shed =
            encoder.encode_descriptor("cvm_requests_shed", help, None, MetricType::Counter)?;
        shed.encode_counter::<NoLabelSet, u64, f64>(&admission.shed(), None)?;
        let help = "Large requests told to come back because no thread was free in time";
        let mut late =
            encoder.encode_descriptor("cvm_queue_shed", help, None, MetricType::Counter)?;
        late.encode_counter::<NoLabelSet, u64, f64>(&self.plane.compute.shed_count(), None)?;
        let mut swaps = encoder.encode_descriptor(
            "cvm_swaps",
            "Changes of the set of models",
            None,
            MetricType::Counter,
        )?;
        swaps.encode_counter::<NoLabelSet, u64, f64>(&registry.swap_count(), None)
    }
}

/// The drift of a version with its labels, if any row was looked at.
fn drift_of(id: &str, served: &Served) -> Option<(Labels<2>, DriftReport)> {
    let report = served.drift.report().ok().flatten()?;
    let version = served.version.clone();
    Some(([("model", id.to_owned()), ("version", version)], report))
}

fn psi(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<2>,
    what: &'static str,
    field: &FieldDrift,
) -> Result<(), fmt::Error> {
    if field.is_uncertain() {
        return Ok(());
    }
    let [model, version] = labels.clone();
    let labels = [model, version, (what, field.name.clone())];
    family.encode_family(&labels)?.encode_gauge(&field.psi)
}

type Measure = (&'static str, &'static str, fn(&Comparison) -> f64);

/// What is told of a shadow's newest rows, by output.
const COMPARED: [Measure; 5] = [
    (
        "cvm_shadow_rank_correlation",
        "Spearman's rank correlation of a shadow's scores with the champion's",
        |found| found.rank_correlation,
    ),
    (
        "cvm_shadow_psi",
        "Population stability index of a shadow's scores against the champion's",
        |found| found.psi,
    ),
    (
        "cvm_shadow_delta_mean",
        "Mean of a shadow's score minus the champion's",
        |found| found.delta_mean,
    ),
    (
        "cvm_shadow_delta_abs_mean",
        "Mean absolute difference of a shadow's score and the champion's",
        |found| found.delta_abs_mean,
    ),
    (
        "cvm_shadow_moved_share",
        "Share of rows that a shadow puts into another decile than the champion",
        Comparison::moved_share,
    ),
];

fn counter<const COUNT: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<COUNT>,
    value: u64,
) -> Result<(), fmt::Error>
where
    Labels<COUNT>: EncodeLabelSet,
{
    let mut metric = family.encode_family(labels)?;
    metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}

fn histograms<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)
}

fn histogram<const COUNT: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<COUNT>,
    tally: &Tally,
) -> Result<(), fmt::Error>
where
    Labels<COUNT>: EncodeLabelSet,
{
    let (buckets, ns) = tally.histogram();
    let count = buckets.iter().map(|(_, count)| count).sum();
    #[allow(clippy::cast_precision_loss)]
    let seconds = ns as f64 * 1e-9;
    let mut metric = family.encode_family(labels)?;
    metric.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
}
