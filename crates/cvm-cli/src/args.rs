//! The grammar of the command line.

use clap::{ArgGroup, Args, Parser, Subcommand};
use std::path::PathBuf;

/// Customer lifetime value and churn: from a transaction log to scores.
#[derive(Debug, Parser)]
#[command(name = "cvm", version, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  2   the input or an argument is wrong
  3   a file or a kind of model does not exist
  4   a model file is damaged or of another format
  5   a fit did not converge
  70  a defect of this program";

/// One verb each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reduce a transaction log to one row per customer.
    Summarize(SummarizeArgs),
    /// Fit a model of a kind to a table and save it.
    Fit(FitArgs),
    /// Make a model from known parameters, such as a paper's.
    New(NewArgs),
    /// Import a model file of LightGBM, XGBoost or CatBoost, exactly or not at all.
    Import(ImportArgs),
    /// Join a purchase and a spend model, or a contract model and its payments, into lifetime value.
    Compose(ComposeArgs),
    /// Calibrate a churn model on customers it was not fitted on.
    Calibrate(CalibrateArgs),
    /// Compare a table with the rows a churn model was trained on.
    Drift(DriftArgs),
    /// Score every row of a table with a model.
    Score(ScoreArgs),
    /// Split every row's raw score among the columns of the model.
    Explain(ExplainArgs),
    /// Show what a model file holds.
    Inspect(InspectArgs),
    /// Check model files: checksums, their own probe rows scored again, signatures.
    Verify(VerifyArgs),
    /// Compute the predictions of an audit log again and compare in every bit.
    Replay(ReplayArgs),
    /// Add a model file as a version to a folder that a server serves.
    Publish(PublishArgs),
    /// Make a pair of keys for signatures.
    Keygen(KeygenArgs),
    /// Sign model files.
    Sign(SignArgs),
    /// List the kinds of models this build knows.
    Kinds(KindsArgs),
}

/// How text tables are written.
#[derive(Debug, Clone, Args)]
pub struct TextArgs {
    /// Separator of cells: one character, or comma, semicolon, tab, pipe, whitespace.
    #[arg(long, value_name = "CHAR")]
    pub delimiter: Option<String>,
    /// The first line is a row; columns are named column_1, column_2, … or by --names.
    #[arg(long)]
    pub no_header: bool,
    /// Names of the columns in order, in place of the file's.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub names: Option<Vec<String>>,
}

/// Arguments of `cvm summarize`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cvm summarize log.csv --customer-id id --date when --amount eur --unit week -o customers.csv
  cvm summarize log.parquet --customer-id id --date day --amount eur --unit week \\
      --calibration-end 1997-09-30 --observation-end 1998-06-30 -o customers.parquet
  cvm summarize CDNOW.txt --delimiter whitespace --no-header --names row,id,date,cds,usd \\
      --customer-id id --date date --amount usd --unit week -o customers.csv")]
pub struct SummarizeArgs {
    /// Transaction log: CSV, TSV, text or Parquet, by its ending.
    pub log: PathBuf,
    /// Column of the customer.
    #[arg(long, value_name = "COLUMN", default_value = "customer_id")]
    pub customer_id: String,
    /// Column of the date or moment of the purchase.
    #[arg(long, value_name = "COLUMN", default_value = "date")]
    pub date: String,
    /// Column of the money paid; without it there is no monetary_value.
    #[arg(long, value_name = "COLUMN")]
    pub amount: Option<String>,
    /// Unit of recency and T: second, minute, hour, day, week, month, quarter, year.
    #[arg(long, value_name = "UNIT", default_value = "day")]
    pub unit: String,
    /// Purchases within one of these are one purchase.
    #[arg(long, value_name = "UNIT", default_value = "day")]
    pub grain: String,
    /// End of observation; unset is the last date of the log.
    #[arg(long, value_name = "DATE")]
    pub observation_end: Option<String>,
    /// End of calibration: summarize up to here and report the hold-out after it.
    #[arg(long, value_name = "DATE")]
    pub calibration_end: Option<String>,
    /// Count the first purchase in monetary_value.
    #[arg(long)]
    pub include_first_purchase: bool,
    /// Count periods of the calendar in place of time: day, week, month, quarter or year. Gives
    /// frequency, recency and n_periods for models of discrete opportunities (clv.bg_bb).
    #[arg(long, value_name = "PERIOD")]
    pub calendar: Option<String>,
    /// Add log_gap_sum, which the CNBD-k kinds are fitted on besides.
    #[arg(long)]
    pub regularity: bool,
    /// Add log_spend_mean and log_spend_sd, which clv.log_normal_spend reads.
    #[arg(long)]
    pub log_spend: bool,
    /// What to do with returns: net, exclude or reject.
    #[arg(long, value_name = "POLICY")]
    pub negative_amounts: Option<String>,
    /// Any other option of the summary, as NAME=JSON; may be repeated.
    #[arg(long = "set", value_name = "NAME=JSON")]
    pub settings: Vec<String>,
    /// How the text is written.
    #[command(flatten)]
    pub text: TextArgs,
    /// Summaries: CSV or Parquet by the ending; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Also write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
}

/// Name and version of a model to be saved.
#[derive(Debug, Args)]
pub struct SaveArgs {
    /// Model file to write.
    #[arg(short, long, value_name = "MODEL")]
    pub output: PathBuf,
    /// Name stored in the model.
    #[arg(long)]
    pub name: Option<String>,
    /// Version stored in the model.
    #[arg(long = "version", value_name = "VERSION")]
    pub model_version: Option<String>,
    /// A fact stored in the model, as NAME=VALUE; may be repeated.
    #[arg(long = "note", value_name = "NAME=VALUE")]
    pub notes: Vec<String>,
    /// Feature dictionary stored in the model, JSON or TOML by its ending: words for the fields, and
    /// groups, in which reasons are told.
    #[arg(long, value_name = "FILE")]
    pub dictionary: Option<PathBuf>,
}

/// Arguments of `cvm fit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cvm fit clv.bg_nbd customers.csv --time-unit week -o purchases.cvm
  cvm fit clv.gamma_gamma customers.csv -o spend.cvm
  cvm fit churn.logistic telco.csv --target Churn --set 'ignore=[\"customerID\"]' -o churn.cvm
  cvm fit churn.boosted telco.csv --target Churn --set 'ignore=[\"customerID\"]' \\
      --set interaction_order=2 -o trees.cvm
  cvm fit clv.pareto_nbd_tv customers.csv --set 'dropout_covariates=[\"price\"]' \\
      --covariates prices.csv --observation-end 2024-06-30 --time-unit week -o timed.cvm")]
pub struct FitArgs {
    /// Kind of the model; `cvm kinds` lists them.
    pub kind: String,
    /// Table to fit on: CSV or Parquet, by its ending.
    pub data: PathBuf,
    /// Unit of the time columns.
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<String>,
    /// Column of row weights.
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
    /// L2 penalty; unset is the kind's default.
    #[arg(long, allow_negative_numbers = true)]
    pub penalty: Option<f64>,
    /// Column to predict: short for --set target=COLUMN.
    #[arg(long, value_name = "COLUMN")]
    pub target: Option<String>,
    /// A setting of the kind, as NAME=JSON (text needs no quotes); may be repeated.
    #[arg(long = "set", value_name = "NAME=JSON")]
    pub settings: Vec<String>,
    /// Most steps per start.
    #[arg(long, value_name = "N")]
    pub max_iterations: Option<u32>,
    /// Save the best point reached even if the fit did not converge.
    #[arg(long)]
    pub allow_not_converged: bool,
    /// Threads, 0 for all; the result does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Covariates over time.
    #[command(flatten)]
    pub paths: PathArgs,
    /// How the text is written.
    #[command(flatten)]
    pub text: TextArgs,
    /// Where to save.
    #[command(flatten)]
    pub save: SaveArgs,
    /// Also write the report of the fit as JSON.
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
    /// Intervals of the parameters, besides those of the standard errors.
    #[command(flatten)]
    pub intervals: IntervalArgs,
}

/// Covariates over time, for the kinds that read paths of them.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// Long table of covariates over time: one row per customer and period, in any order, with
    /// `start`, the covariates and (else a period lasts to the next) `end`. Without the column of
    /// the customer its periods are those of everybody.
    #[arg(long, value_name = "FILE")]
    pub covariates: Option<PathBuf>,
    /// The log behind the summaries, with the column of the customer: what a fit with covariates of
    /// the purchase rate reads besides.
    #[arg(long, value_name = "FILE", requires = "covariates")]
    pub transactions: Option<PathBuf>,
    /// Column of the customer in all tables.
    #[arg(long, value_name = "COLUMN", default_value = "customer_id")]
    pub customer_id: String,
    /// Column of the log with the time of a transaction.
    #[arg(long, value_name = "COLUMN", default_value = "date")]
    pub date: String,
    /// Column of the customers with the date of each one's start, where periods start at dates.
    #[arg(long, value_name = "COLUMN", requires = "covariates")]
    pub origin: Option<String>,
    /// Or the end of observation, from which T (or tenure) leads back to the start.
    #[arg(long, value_name = "DATE", requires = "covariates")]
    pub observation_end: Option<String>,
}

/// How to make intervals of parameters.
#[derive(Debug, Args)]
pub struct IntervalArgs {
    /// Intervals of the parameters: wald (standard errors), profile (where the likelihood falls,
    /// the others refitted) or bootstrap (refits with random weights).
    #[arg(long, value_name = "METHOD")]
    pub intervals: Option<String>,
    /// Their confidence level.
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    pub level: f64,
    /// Refits of a bootstrap.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub replicates: usize,
    /// Seed of a bootstrap; the same seed gives the same intervals.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `cvm new`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cvm new clv.bg_nbd r=0.243 alpha=4.414 a=0.793 b=2.426 --time-unit week -o cdnow.cvm")]
pub struct NewArgs {
    /// Kind of the model; `cvm kinds` lists them with their parameters.
    pub kind: String,
    /// Parameters as NAME=VALUE.
    #[arg(required = true, value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Length of one period.
    #[arg(long, value_name = "UNIT")]
    pub time_unit: Option<String>,
    /// Where to save.
    #[command(flatten)]
    pub save: SaveArgs,
}

/// Arguments of `cvm import`.
#[derive(Debug, Args)]
#[command(after_help = "\
The model scores as its library does, or the file is refused with the key that is not understood.
From Python, cvm.from_lightgbm and its kin also compare the scores with the library itself.

Examples:
  cvm import lightgbm churn.txt -o churn.cvm
  cvm import xgboost churn.ubj --set missing=-999 --set iterations=120 -o churn.cvm
  cvm import catboost churn.json -o churn.cvm")]
pub struct ImportArgs {
    /// Format: lightgbm (text), xgboost (JSON or UBJ), catboost (JSON), arrays.
    pub format: String,
    /// Model file of the library.
    pub file: PathBuf,
    /// An option of the import, as NAME=JSON: feature_names, missing, iterations, categorical,
    /// levels, unseen; may be repeated.
    #[arg(long = "set", value_name = "NAME=JSON")]
    pub settings: Vec<String>,
    /// Where to save.
    #[command(flatten)]
    pub save: SaveArgs,
}

/// Arguments of `cvm compose`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cvm compose --purchase purchases.cvm --spend spend.cvm -o value.cvm
  cvm compose --contract renewals.cvm -o value.cvm

What a contract customer pays per period is a column of the table scored: value_per_period.")]
#[command(group(ArgGroup::new("orders").args(["purchase", "spend"]).multiple(true)))]
pub struct ComposeArgs {
    /// Model of purchases; goes with --spend.
    #[arg(long, value_name = "MODEL", requires = "spend")]
    pub purchase: Option<PathBuf>,
    /// Model of spend per purchase; goes with --purchase.
    #[arg(long, value_name = "MODEL", requires = "purchase")]
    pub spend: Option<PathBuf>,
    /// Model of how long contract customers keep renewing; in place of the other two.
    #[arg(
        long,
        value_name = "MODEL",
        conflicts_with = "orders",
        required_unless_present = "orders"
    )]
    pub contract: Option<PathBuf>,
    /// Currency of spend and value: three letters, as in ISO 4217.
    #[arg(long, value_name = "CODE")]
    pub currency: Option<String>,
    /// Where to save.
    #[command(flatten)]
    pub save: SaveArgs,
}

/// Who churned, as a column of a table.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// Column that says who churned.
    #[arg(long, value_name = "COLUMN")]
    pub target: String,
    /// Its label that means churn; unset, the model's own, or yes, true, 1.
    #[arg(long, value_name = "LABEL")]
    pub positive: Option<String>,
    /// Column of row weights.
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
}

/// Arguments of `cvm calibrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
The calibrator becomes a part of the model: every surface then serves calibrated probabilities, and
the order of customers stays. Give customers that the model was not fitted on.

Examples:
  cvm calibrate churn.cvm held_out.csv --target Churn -o calibrated.cvm
  cvm calibrate churn.cvm held_out.csv --target Churn --method venn_abers -o calibrated.cvm")]
pub struct CalibrateArgs {
    /// Model file.
    pub model: PathBuf,
    /// Table to calibrate on: CSV or Parquet, by its ending.
    pub data: PathBuf,
    /// Outcomes.
    #[command(flatten)]
    pub outcomes: TargetArgs,
    /// auto, none, temperature, platt, beta, isotonic or venn_abers.
    #[arg(long, value_name = "METHOD", default_value = "auto")]
    pub method: String,
    /// How the text is written.
    #[command(flatten)]
    pub text: TextArgs,
    /// Where to save.
    #[command(flatten)]
    pub save: SaveArgs,
}

/// Arguments of `cvm drift`.
#[derive(Debug, Args)]
#[command(after_help = "\
A stability index from 0.1 is a thing to watch, from 0.25 an alarm (Siddiqi 2006), if it is more than
chance explains.

Example:
  cvm drift churn.cvm this_month.csv")]
pub struct DriftArgs {
    /// Model file.
    pub model: PathBuf,
    /// Table to compare: CSV or Parquet, by its ending.
    pub data: PathBuf,
    /// How the text is written.
    #[command(flatten)]
    pub text: TextArgs,
    /// Also write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
}

/// Arguments of `cvm score`.
#[derive(Debug, Args)]
#[command(after_help = "\
A row that cannot be scored keeps its place with empty scores and says why in column `status`.

Examples:
  cvm score value.cvm customers.csv --horizon 39 --keep customer_id -o scores.csv
  cvm score value.cvm customers.parquet --horizon 52 --discount-rate 0.1 --margin 0.3 \\
      --outputs lifetime_value --keep customer_id -o scores.parquet
  cvm score churn.cvm telco.csv --keep customerID -o - | head")]
pub struct ScoreArgs {
    /// Model file.
    pub model: PathBuf,
    /// Table to score: CSV or Parquet, by its ending.
    pub data: PathBuf,
    /// Scores: CSV or Parquet by the ending; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Forecast horizon in the model's time unit; `inf` for all the future.
    #[arg(long, value_name = "PERIODS", allow_negative_numbers = true)]
    pub horizon: Option<f64>,
    /// Effective discount rate per year, such as 0.1.
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub discount_rate: Option<f64>,
    /// Share of spend kept as value.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub margin: Option<f64>,
    /// Purchases whose probability is asked for (outputs p_purchases, p_at_least); unset is 1.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub purchases: Option<f64>,
    /// Probability at which next_purchase_periods is the quantile; unset is 0.5.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub quantile: Option<f64>,
    /// Cost of serving a living customer, per period.
    #[arg(long, value_name = "COST", allow_negative_numbers = true)]
    pub cost_per_period: Option<f64>,
    /// Cost of serving one order.
    #[arg(long, value_name = "COST", allow_negative_numbers = true)]
    pub cost_per_order: Option<f64>,
    /// Also write lower and upper ends of each output's interval of this level, such as 0.95.
    #[arg(long, value_name = "LEVEL", allow_negative_numbers = true)]
    pub interval: Option<f64>,
    /// Score as of so many periods after the rows were observed, in which nothing was seen of the
    /// customers: T, n_periods or tenure of every row is that much greater.
    #[arg(long, value_name = "PERIODS", allow_negative_numbers = true)]
    pub elapsed: Option<f64>,
    /// Outputs wanted, in this order; unset is the usual ones (`cvm inspect` lists all).
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub outputs: Vec<String>,
    /// Also write this many reasons of each score, the largest first: columns reason_1,
    /// reason_1_name, reason_1_contribution and so on.
    #[arg(long, value_name = "K")]
    pub reasons: Option<u32>,
    /// Only reasons that the model's feature dictionary does not call out of reach.
    #[arg(long, requires = "reasons")]
    pub only_actionable: bool,
    /// Only reasons of this direction: any, raises, lowers.
    #[arg(long, value_name = "DIRECTION", requires = "reasons")]
    pub reason_direction: Option<String>,
    /// Reasons from fast approximate attributions, which are no Shapley values.
    #[arg(long, requires = "reasons")]
    pub approximate: bool,
    /// Columns of the input to keep before the scores.
    #[arg(
        long,
        value_name = "A,B,…",
        value_delimiter = ',',
        conflicts_with = "keep_all"
    )]
    pub keep: Vec<String>,
    /// Keep every column of the input.
    #[arg(long)]
    pub keep_all: bool,
    /// Threads, 0 for all; the scores do not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// Covariates over time.
    #[command(flatten)]
    pub paths: PathArgs,
    /// How the text is written.
    #[command(flatten)]
    pub text: TextArgs,
}

/// Arguments of `cvm explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Columns of the answer: those kept, `expected`, one per column of the model (`contribution_…`) and
`status`. They add up to the raw score. With --background the attributions are interventional.

Examples:
  cvm explain churn.cvm telco.csv --keep customerID -o reasons.csv
  cvm explain churn.cvm telco.csv --background sample.csv -o reasons.parquet")]
pub struct ExplainArgs {
    /// Model file.
    pub model: PathBuf,
    /// Table to explain: CSV or Parquet, by its ending.
    pub data: PathBuf,
    /// Attributions: CSV or Parquet by the ending; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Table of 1 to 256 rows to compare with, such as 100 drawn at random from those of training.
    #[arg(long, value_name = "FILE", conflicts_with = "approximate")]
    pub background: Option<PathBuf>,
    /// Fast approximate attributions, which are no Shapley values.
    #[arg(long)]
    pub approximate: bool,
    /// Columns of the input to keep before the attributions.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub keep: Vec<String>,
    /// Threads, 0 for all; the attributions do not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// How the text is written.
    #[command(flatten)]
    pub text: TextArgs,
}

/// Arguments of `cvm inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Model file.
    pub model: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `cvm verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Model files.
    #[arg(required = true)]
    pub models: Vec<PathBuf>,
    /// Public keys in PEM: every file must have a signature (`FILE.sig`) of one of them.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The model the files must be signed for; unset takes the name in the signature.
    #[arg(long, value_name = "NAME", requires = "key")]
    pub model: Option<String>,
}

/// Arguments of `cvm replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 if every record is reproduced in every bit, or says nothing that could be; 4 if a score
differs, a record was changed or a line is none; 3 if the model of a record is not found.

Example:
  cvm replay audit/ --models models/")]
pub struct ReplayArgs {
    /// Logs of `cvm-server --audit-log`: files, or folders of them.
    #[arg(required = true)]
    pub logs: Vec<PathBuf>,
    /// Folder of models, as a server serves it: files, and folders with a manifest.
    #[arg(long, value_name = "DIR")]
    pub models: PathBuf,
    /// Write the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `cvm publish`.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Model file.
    pub model: PathBuf,
    /// Folder of the model, such as `models/churn`, made if it is not there; or, in a build with object
    /// stores, its URL, such as `s3://bucket/models/churn`.
    pub folder: PathBuf,
    /// Name of the version; unset takes the author's, or the first 12 digits of the fingerprint.
    #[arg(long)]
    pub version: Option<String>,
}

/// Arguments of `cvm keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// File of the private key, readable by its owner only; the public key goes to FILE.pub.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `cvm sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Model file; the signature goes to FILE.sig.
    pub file: PathBuf,
    /// Private key in PEM.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Name the model is served under.
    #[arg(long, value_name = "NAME")]
    pub model: String,
    /// Number that grows from file to file of a model, such as that of a build.
    #[arg(long, value_name = "N")]
    pub counter: u64,
}

/// Arguments of `cvm kinds`.
#[derive(Debug, Args)]
pub struct KindsArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
