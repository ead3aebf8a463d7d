//! `cvm kinds`: what this build can open.

use crate::args::KindsArgs;
use crate::failure::Failure;
use crate::render::{Align, Table, print};
use serde_json::{Value, json};

/// Runs `cvm kinds`.
pub fn run(args: &KindsArgs) -> Result<(), Failure> {
    if args.json {
        let kinds: Vec<Value> = cvm::catalog().iter().map(to_json).collect();
        return print(&format!("{:#}\n", Value::Array(kinds)));
    }
    let mut table = Table::new(&[
        ("kind", Align::Left),
        ("title", Align::Left),
        ("parameters", Align::Left),
    ]);
    for entry in cvm::catalog() {
        let names: Vec<&str> = entry.params.iter().map(|spec| spec.name).collect();
        table.row(vec![
            entry.kind.to_owned(),
            entry.title.to_owned(),
            names.join(", "),
        ]);
    }
    print(&table.render())
}

fn to_json(entry: &cvm::Entry) -> Value {
    let params: Vec<Value> = entry
        .params
        .iter()
        .map(|spec| {
            json!({
                "name": spec.name,
                "unit": spec.unit,
                "meaning": spec.meaning,
                "allowed": spec.domain.to_string(),
            })
        })
        .collect();
    json!({ "kind": entry.kind, "title": entry.title, "parameters": params })
}
