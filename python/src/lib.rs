//! The extension module `cvm._core`: arrays in, arrays out, every call through one door.
//!
//! Classes are frozen and named `Raw*`; the documented ones live in the Python package `cvm`.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod answer;
mod arrow_ffi;
mod client;
mod column;
mod door;
mod errors;
mod independence;
mod intervals;
mod metrics;
mod model;
mod objects;
mod prepared;
mod runtime;
mod status;
mod summarize;

use pyo3::prelude::*;

/// The compiled core of `cvm`; not public, see the package `cvm`.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use crate::client::RawClient;
    #[pymodule_export]
    use crate::column::{RawColumn, RawNames, column_addresses, table_from_arrow};
    #[pymodule_export]
    use crate::independence::spend_independence;
    #[pymodule_export]
    use crate::intervals::{fit_watched, param_intervals, partial_objective};
    #[pymodule_export]
    use crate::metrics::{
        auc, auc_interval, average_precision, best_profit, bootstrap_metrics, brier, brier_parts,
        calibration_bins, calibration_error, ece, h_measure, ks, lift_at, lift_curve, log_loss,
        profit_curve, psi,
    };
    #[pymodule_export]
    use crate::model::RawModel;
    #[pymodule_export]
    use crate::prepared::RawScorer;
    #[pymodule_export]
    use crate::summarize::summarize;

    use super::{Bound, PyModule, PyModuleMethods, PyResult, catalog};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("CATALOG", catalog())?;
        module.add("ROW_STATUS", crate::model::row_status_names())
    }
}

/// Kind, title and parameter names of every model this build can open.
fn catalog() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let names = |entry: &cvm::Entry| entry.params.iter().map(|spec| spec.name).collect();
    cvm::catalog()
        .iter()
        .map(|entry| (entry.kind, entry.title, names(entry)))
        .collect()
}
