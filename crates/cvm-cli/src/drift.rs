//! `cvm drift`: how far a table is from the rows a model was trained on.

use crate::args::DriftArgs;
use crate::failure::Failure;
use crate::models;
use crate::render::{Align, Table, count, number, print, write_json};
use crate::score::inputs;
use crate::tables;
use cvm::{DriftReport, FieldDrift};

/// Runs `cvm drift`.
pub fn run(args: &DriftArgs) -> Result<(), Failure> {
    let model = models::open(&args.model)?;
    let frame = tables::read(&args.data, &args.text, &inputs(&model, &args.data, &[]))?;
    let batch = frame.batch().map_err(cvm::Error::from)?;
    let report = model.drift(&batch)?;
    print(&render(&report))?;
    if let Some(path) = &args.report_json {
        write_json(path, serde_json::to_value(&report))?;
    }
    Ok(())
}

fn render(report: &DriftReport) -> String {
    let mut table = Table::new(&[
        ("field", Align::Left),
        ("index", Align::Right),
        ("by chance", Align::Right),
        ("missing", Align::Right),
        ("now", Align::Right),
        ("level", Align::Left),
    ]);
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let mut row = |name: String, field: &FieldDrift| {
        table.row(vec![
            name,
            number(field.psi),
            number(field.noise),
            percent(field.missing_before),
            percent(field.missing_now),
            field.level.name().to_owned(),
        ]);
    };
    if let Some(score) = &report.score {
        row(format!("score: {}", score.name), score);
    }
    let mut fields: Vec<&FieldDrift> = report.fields.iter().collect();
    fields.sort_by(|a, b| b.psi.total_cmp(&a.psi));
    for field in fields {
        row(field.name.clone(), field);
    }
    format!(
        "{} now, {} in training\n{}",
        count(report.row_count_now, "row"),
        count(report.row_count_before, "row"),
        table.render()
    )
}
