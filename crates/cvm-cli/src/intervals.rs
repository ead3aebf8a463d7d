//! Intervals of a fit's parameters by the method asked for, with a line that shows the refits.

use crate::args::IntervalArgs;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::render::{Align, Table, number, optional};
use cvm::{Batch, FitOptions, IntervalMethod, ParamInterval};
use std::cell::RefCell;
use std::ops::ControlFlow;

/// The table of the intervals asked for; `None` if none are.
pub fn table(
    kind: &str,
    batch: &Batch<'_>,
    options: &FitOptions,
    args: &IntervalArgs,
) -> Result<Option<String>, Failure> {
    let Some(name) = &args.intervals else {
        return Ok(None);
    };
    let method = method(name, args)?;
    let bar: RefCell<Option<Progress>> = RefCell::new(None);
    let watch = |done: usize, total: usize| {
        let mut bar = bar.borrow_mut();
        let own = bar.get_or_insert_with(|| Progress::steps("fitting again", total as u64));
        own.reach(done);
        ControlFlow::Continue(())
    };
    let found = cvm::param_intervals(kind, batch, options, method, args.level, &watch)?;
    if let Some(bar) = bar.into_inner() {
        bar.finish();
    }
    let share = 100.0 * args.level;
    let head = format!("  {share} % intervals by {name}\n");
    Ok(Some(head + &render(&found).render()))
}

fn method(name: &str, args: &IntervalArgs) -> Result<IntervalMethod, Failure> {
    match name {
        "wald" => Ok(IntervalMethod::Wald),
        "profile" => Ok(IntervalMethod::Profile),
        "bootstrap" => Ok(IntervalMethod::Bootstrap {
            replicates: args.replicates,
            seed: args.seed,
        }),
        _ => {
            let why = format!("is `{name}`: must be wald, profile or bootstrap");
            Err(Failure::argument("--intervals", why))
        }
    }
}

fn render(found: &[ParamInterval]) -> Table {
    let mut table = Table::new(&[
        ("parameter", Align::Left),
        ("estimate", Align::Right),
        ("from", Align::Right),
        ("to", Align::Right),
        ("note", Align::Left),
    ]);
    for own in found {
        table.row(vec![
            own.name.clone(),
            number(own.estimate),
            optional(own.lower),
            optional(own.upper),
            own.note.clone(),
        ]);
    }
    table
}
