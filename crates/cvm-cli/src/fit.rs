//! `cvm fit`: a table to a saved model, with the table of its parameters.

use crate::args::FitArgs;
use crate::failure::{Failure, say};
use crate::intervals;
use crate::models;
use crate::options;
use crate::paths::{self, Paths};
use crate::progress::Progress;
use crate::render::{Align, Table, count, number, optional, print, write_json};
use crate::tables::{self, Wanted};
use cvm::table::ColumnKind;
use cvm::{Batch, FitOptions, FitProgress, FitReport, Fitted, NestedTest};
use serde_json::Value;
use std::cell::RefCell;
use std::ops::ControlFlow;

/// Runs `cvm fit`.
pub fn run(args: &FitArgs) -> Result<(), Failure> {
    let entry = cvm::entry(&args.kind)?;
    let options = fit_options(args)?;
    let paths = long_tables(args, entry, &options)?;
    let mut wanted = wanted(entry, &options);
    let texts = paths::columns(&args.paths).into_iter();
    wanted
        .kinds
        .extend(texts.map(|name| (name, ColumnKind::Text)));
    let mut frame = tables::read(&args.data, &args.text, &wanted)?;
    if let Some(paths) = paths {
        frame = paths.join(&frame)?;
    }
    let batch = frame.batch().map_err(cvm::Error::from)?;
    let fitted = watched(entry.kind, &batch, &options)?;
    print(&render(entry, &fitted.report))?;
    if let Some(table) = intervals::table(entry.kind, &batch, &options, &args.intervals)? {
        print(&table)?;
    }
    for warning in &fitted.report.warnings {
        say(&format!("warning: {warning}"));
    }
    if let Some(path) = &args.report_json {
        write_json(path, serde_json::to_value(&fitted.report))?;
    }
    models::save(fitted.model, &args.save)
}

/// Fits with a line that shows the steps of a long fit.
fn watched(kind: &str, batch: &Batch<'_>, options: &FitOptions) -> Result<Fitted, Failure> {
    let bar: RefCell<Option<Progress>> = RefCell::new(None);
    let watch = |progress: FitProgress| {
        show(progress, &mut bar.borrow_mut());
        ControlFlow::Continue(())
    };
    let fitted = cvm::fit_watched(kind, batch, options, &watch);
    if let Some(bar) = bar.into_inner() {
        bar.finish();
    }
    Ok(fitted?)
}

fn show(progress: FitProgress, bar: &mut Option<Progress>) {
    match progress {
        FitProgress::Steps { done, total } => {
            let own = bar.get_or_insert_with(|| Progress::steps("growing trees", total as u64));
            own.reach(done);
        }
        FitProgress::Search {
            steps,
            log_likelihood,
            gradient_norm,
        } => {
            let own = bar.get_or_insert_with(Progress::search);
            own.say(format!(
                "fitting: step {steps}, log-likelihood {log_likelihood:.3}, gradient {gradient_norm:.1e}"
            ));
        }
        _ => {}
    }
}

fn fit_options(args: &FitArgs) -> Result<FitOptions, Failure> {
    let mut settings = options::settings("--set", &args.settings)?;
    if let Some(target) = &args.target {
        let target = Value::String(target.clone());
        if settings.insert("target".to_owned(), target).is_some() {
            return Err(Failure::argument(
                "--target",
                "is also given by --set target=…",
            ));
        }
    }
    let time_unit = args
        .time_unit
        .as_deref()
        .map(|text| options::time_unit("--time-unit", text))
        .transpose()?;
    let defaults = FitOptions::default();
    Ok(FitOptions {
        time_unit,
        weight_column: args.weight.clone(),
        penalty: args.penalty,
        max_iterations: args.max_iterations.unwrap_or(defaults.max_iterations),
        threads: args.threads,
        allow_not_converged: args.allow_not_converged,
        settings,
        ..defaults
    })
}

/// The covariates over time, if the arguments name any.
fn long_tables(
    args: &FitArgs,
    entry: &cvm::Entry,
    options: &FitOptions,
) -> Result<Option<Paths>, Failure> {
    if args.paths.covariates.is_some() && !entry.covariate_paths {
        let why = format!("is of no use: {} reads no covariates over time", entry.kind);
        return Err(Failure::argument("--covariates", why));
    }
    let names = covariates(entry, options);
    if args.paths.covariates.is_some() && names.is_empty() {
        let processes = entry.processes.iter().map(|process| process.name);
        let settings: Vec<String> = processes
            .map(|name| format!("--set '{name}_covariates=[\"…\"]'"))
            .collect();
        let why = format!(
            "is of no use without names of covariates: {}",
            settings.join(", ")
        );
        return Err(Failure::argument("--covariates", why));
    }
    let buys = entry
        .processes
        .iter()
        .any(|process| process.name == "purchase");
    let age = if buys { "T" } else { "tenure" };
    Paths::read(&args.paths, &args.text, names, age, options.time_unit)
}

/// Covariates that the settings name, each once.
fn covariates(entry: &cvm::Entry, options: &FitOptions) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for process in entry.processes {
        let setting = format!("{}_covariates", process.name);
        let given = options.settings.get(&setting).and_then(Value::as_array);
        for name in given.into_iter().flatten().filter_map(Value::as_str) {
            if !found.iter().any(|own| own == name) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// The columns of a kind whose columns are fixed, as numbers; every column for others.
fn wanted(entry: &cvm::Entry, options: &FitOptions) -> Wanted {
    let Some(harness) = entry.harness else {
        return Wanted::default();
    };
    let mut columns = (harness.columns)();
    columns.extend(options.weight_column.clone());
    if entry.covariate_paths && !options.settings.is_empty() {
        return numbers(columns, true);
    }
    for name in covariates(entry, options) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    numbers(columns, false)
}

/// Columns that must be numbers, alone or beside every other of the table.
fn numbers(columns: Vec<String>, all: bool) -> Wanted {
    let kind = |name: &String| (name.clone(), ColumnKind::Number);
    Wanted {
        kinds: columns.iter().map(kind).collect(),
        columns: (!all).then_some(columns),
    }
}

fn render(entry: &cvm::Entry, report: &FitReport) -> String {
    let excluded = match report.excluded_row_count {
        0 => String::new(),
        rows => format!(
            " ({} without information for it)",
            count(rows as u64, "row")
        ),
    };
    let state = if report.converged {
        "converged"
    } else {
        "NOT CONVERGED"
    };
    let head = format!(
        "{} ({}) on {}{excluded}\n",
        entry.title,
        report.kind,
        count(report.row_count as u64, "row")
    );
    let tail = format!(
        "  log-likelihood {:.3}; {state} after {} of {} (gradient {:.1e} per unit of weight)\n",
        report.log_likelihood,
        count(u64::from(report.iterations), "step"),
        report.method,
        report.gradient_norm,
    );
    let tests: String = report.nested.iter().map(compared).collect();
    format!("{head}{}{tail}{tests}", estimates(entry, report).render())
}

/// One line per likelihood-ratio test.
fn compared(test: &NestedTest) -> String {
    format!(
        "  against {} (log-likelihood {:.3}): likelihood ratio {:.3} on {} d.f., p = {:.2e}\n",
        test.model, test.log_likelihood, test.statistic, test.df, test.p_value
    )
}

fn estimates(entry: &cvm::Entry, report: &FitReport) -> Table {
    let mut table = Table::new(&[
        ("parameter", Align::Left),
        ("estimate", Align::Right),
        ("std. error", Align::Right),
        ("95 % from", Align::Right),
        ("to", Align::Right),
        ("unit", Align::Left),
    ]);
    let rows = report
        .param_names
        .iter()
        .zip(&report.params)
        .zip(&report.standard_errors);
    for (index, ((name, estimate), error)) in rows.enumerate() {
        let ends = report.interval_95(index);
        let spec = entry.params.iter().find(|spec| spec.name == name);
        table.row(vec![
            name.clone(),
            number(*estimate),
            optional(*error),
            optional(ends.map(|(low, _)| low)),
            optional(ends.map(|(_, high)| high)),
            spec.map(|spec| spec.unit.to_owned()).unwrap_or_default(),
        ]);
    }
    table
}
