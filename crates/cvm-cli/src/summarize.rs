//! `cvm summarize`: a transaction log to one row per customer, with a report of every row's fate.

use crate::args::SummarizeArgs;
use crate::failure::{Failure, say};
use crate::options;
use crate::render::write_json;
use crate::tables::{self, Format};
use cvm::table::CsvSource;
use cvm::{Summary, SummaryOptions};
use serde_json::{Map, Value};

/// Runs `cvm summarize`.
pub fn run(args: &SummarizeArgs) -> Result<(), Failure> {
    tables::format(&args.output)?;
    let options = summary_options(args)?;
    let summary = summarize(args, &options)?;
    tables::write(&args.output, &summary.frame)?;
    say(&summary.report.to_string());
    match &args.report_json {
        Some(path) => write_json(path, serde_json::to_value(&summary.report)),
        None => Ok(()),
    }
}

fn summarize(args: &SummarizeArgs, options: &SummaryOptions) -> Result<Summary, Failure> {
    let summary = match tables::format(&args.log)? {
        Format::Parquet => cvm::summarize_parquet(&args.log, options),
        Format::Text(delimiter) => {
            let source = CsvSource::path(&args.log).map_err(tables::failed)?;
            let text = tables::csv_options(delimiter, &args.text)?;
            cvm::summarize_csv(&source, &text, options)
        }
    };
    summary.map_err(tables::failed)
}

/// Options by name, so that `--set` reaches every option the engine has.
fn summary_options(args: &SummarizeArgs) -> Result<SummaryOptions, Failure> {
    let unit = options::time_unit("--unit", &args.unit)?;
    let grain = options::time_unit("--grain", &args.grain)?;
    let mut map = Map::new();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    };
    put("customer_id", Some(&args.customer_id));
    put("date", Some(&args.date));
    put("amount", args.amount.as_deref());
    put("time_unit", Some(unit.name()));
    put("grain", Some(grain.name()));
    put("observation_end", args.observation_end.as_deref());
    put("calibration_end", args.calibration_end.as_deref());
    put("calendar", args.calendar.as_deref());
    put("negative_amounts", args.negative_amounts.as_deref());
    for (name, given) in [
        ("include_first_purchase", args.include_first_purchase),
        ("regularity", args.regularity),
        ("log_spend", args.log_spend),
    ] {
        map.insert(name.to_owned(), Value::Bool(given));
    }
    map.extend(options::settings("--set", &args.settings)?);
    serde_json::from_value(Value::Object(map))
        .map_err(|error| Failure::argument("options", error.to_string()))
}
