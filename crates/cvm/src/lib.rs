//! The shared scoring crate, the only door: open, score, fit, summarize.
//!
//! Every surface (server, Python, CLI) calls this crate and nothing below it, so there is one
//! scoring path. It knows every kind of model through the [`catalog`]; it knows no wire type, no
//! async runtime and no Python.

pub mod audit;
mod bootstrap;
mod catalog;
pub mod compare;
mod dictionary;
mod elapsed;
mod error;
mod explain;
mod fit;
mod fit_boosted;
mod fit_cox;
mod fit_hazard;
mod fit_logistic;
mod fit_nested;
mod fit_parametric;
mod fit_path;
mod fit_rows;
mod fit_settings;
mod fit_weibull;
mod harness;
mod import;
mod import_calibrated;
mod independence;
mod inspect;
mod interval;
mod interval_cox;
mod model;
mod param_intervals;
mod params;
mod reasons;
pub mod repository;
mod score;
pub mod signature;

pub use catalog::{Entry, catalog, entry};
pub use dictionary::{FeatureDictionary, FieldWords, GroupWords};
pub use error::Error;
pub use explain::ExplainOptions;
pub use fit::{FitFinding, FitOptions, FitProgress, FitReport, FitWatch, Fitted, fit, fit_watched};
pub use fit_nested::NestedTest;
pub use harness::{CovariateHarness, Harness};
pub use import::{FORMATS, ImportOptions, MAX_IMPORT_BYTES, OriginalScores, import};
pub use independence::spend_independence;
pub use inspect::inspect_file;
pub use interval::PortfolioTotal;
pub use model::{
    CalibrationReport, CalibrationRows, DriftLevel, DriftReport, DriftTally, FieldDrift, Model,
    OpenedFile,
};
pub use param_intervals::{
    IntervalMethod, ParamInterval, ProgressFn, param_intervals, partial_objective,
};
pub use params::{contract_value, from_params, lifetime_value, part};
pub use score::PreparedScore;

pub use cvm_churn::calibrate::{Candidate as CalibrationCandidate, Method as CalibrationMethod};
pub use cvm_churn::read_target;
pub use cvm_clv::{Correlation, Independence, IndependenceSettings, SpendBin};

pub use cvm_artifact::{Fingerprint, Inspection, SectionInfo};
pub use cvm_core::{
    Attributions, Batch, Column, Domain, ErrorKind, ExplainMethod, FieldKind, Frame, FrameColumn,
    InputField, InputSchema, MissingRule, OutputSpec, ParamSpec, Reason, ReasonDirection,
    ReasonOptions, Reasons, RowCode, RowIssue, RowStatus, ScoreOptions, Scores, TextColumn,
    TimeUnit, UnseenRule, Violation, number_to_level,
};
pub use cvm_math::ARITHMETIC;
pub use cvm_record::{
    BadRows, CalendarPeriod, Cause, EpochUnit, Example, NegativeAmounts, RowNumbering, Summarizer,
    Summary, SummaryOptions, SummaryReport, summarize_batches, summarize_csv, summarize_frame,
    summarize_parquet,
};

/// Measures of a churn model's scores: ranking, error, calibration, profit, drift, and their
/// bootstrap.
pub mod metrics {
    pub use crate::bootstrap::{BootstrapSettings, MetricRows, bootstrap, measures};
    pub use cvm_churn::metrics::*;
    pub use cvm_fit::normal_quantile;
}

/// Tables: CSV, Parquet and Arrow, in and out.
pub mod table {
    pub use cvm_record::{
        ColumnKind, CsvChunks, CsvOptions, CsvSource, CsvWriter, Delimiter, ParquetChunks,
        ParquetOptions, ParquetWriter, PathOptions, RecordError, covariate_path_columns,
        from_arrow, from_record_batch, numbers_slice, read_csv, read_parquet, to_record_batch,
        write_csv, write_parquet,
    };
}
