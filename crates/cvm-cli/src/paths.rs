//! `--covariates`: customers joined with a long table of covariates over time.

use crate::args::{PathArgs, TextArgs};
use crate::failure::Failure;
use crate::tables::{self, Wanted, failed};
use cvm::table::{ColumnKind, PathOptions, covariate_path_columns};
use cvm::{Frame, InputSchema, TimeUnit};

/// The long tables, and how customers are found in them.
#[derive(Debug)]
pub struct Paths {
    periods: Frame,
    log: Option<Frame>,
    options: PathOptions,
}

impl Paths {
    /// Reads the long tables that the arguments name; `None` where they name none.
    pub fn read(
        args: &PathArgs,
        text: &TextArgs,
        covariates: Vec<String>,
        age: &str,
        unit: Option<TimeUnit>,
    ) -> Result<Option<Paths>, Failure> {
        let Some(file) = &args.covariates else {
            return Ok(None);
        };
        let ids = [(args.customer_id.clone(), ColumnKind::Text)];
        let numbers = covariates.iter().cloned();
        let numbers = numbers.map(|name| (name, ColumnKind::Number));
        let periods = Wanted {
            columns: None,
            kinds: ids.iter().cloned().chain(numbers).collect(),
        };
        let transactions = Wanted {
            columns: Some(vec![args.customer_id.clone(), args.date.clone()]),
            kinds: ids.into_iter().collect(),
        };
        let read_log = |path| tables::read(path, text, &transactions);
        Ok(Some(Paths {
            periods: tables::read(file, text, &periods)?,
            log: args.transactions.as_deref().map(read_log).transpose()?,
            options: PathOptions {
                covariates,
                customer_id: args.customer_id.clone(),
                origin: args.origin.clone(),
                age: age.to_owned(),
                observation_end: args.observation_end.clone(),
                unit,
                date: args.date.clone(),
                ..PathOptions::default()
            },
        }))
    }

    /// Customers with the numbered columns of their paths.
    pub fn join(&self, customers: &Frame) -> Result<Frame, Failure> {
        let joined =
            covariate_path_columns(customers, &self.periods, self.log.as_ref(), &self.options);
        joined.map_err(failed)
    }
}

/// Columns that the join reads of the customers, as text.
pub fn columns(args: &PathArgs) -> Vec<String> {
    let given = args.covariates.is_some();
    let names = [Some(&args.customer_id), args.origin.as_ref()];
    names
        .into_iter()
        .flatten()
        .filter(|_| given)
        .cloned()
        .collect()
}

/// The covariates whose paths a model reads.
pub fn covariates(schema: &InputSchema) -> Vec<String> {
    let names = schema.fields.iter().map(|field| field.name.as_str());
    let first = names.filter_map(|name| name.strip_suffix("_0"));
    let own = first.filter(|name| *name != "covariates_from");
    own.map(str::to_owned).collect()
}

/// Whether a column is one of those that the join makes.
pub fn is_joined(column: &str, covariates: &[String]) -> bool {
    let numbered = |name: &str| {
        let rest = column
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('_'));
        rest.is_some_and(|rest| {
            let digits = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
            digits || rest == "at_purchases"
        })
    };
    column == "covariates_until"
        || numbered("covariates_from")
        || covariates.iter().any(|name| numbered(name))
}
