//! A duration model as plain data: names and rules as JSON, every number behind a score in an array.
//!
//! | array                     | length         | content                                         |
//! |---------------------------|----------------|-------------------------------------------------|
//! | `params` (`coefficients`) | law + columns  | numbers of the law, then coefficients per unit  |
//! | `means`, `scales`         | all columns    | training means and standard deviations          |
//! | `imputed`, `knots`        | numeric fields | as in the logistic model                        |
//!
//! The law adds arrays of its own.

use super::model::{Law, Parts, Survival};
use crate::state::{FieldState, field_arrays, field_state, read_fields};
use cvm_core::{Array, ModelState, StateError, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    event: String,
    positive: String,
    time_unit: Option<TimeUnit>,
    active: Vec<usize>,
    fields: Vec<FieldState>,
    law: Value,
}

/// The state of `model`.
pub(crate) fn write<L: Law>(model: &Survival<L>) -> ModelState {
    let mut law = Map::new();
    let mut params = model.law.params();
    params.extend(model.active_coefficients());
    let [imputed, knots] = field_arrays(&model.encoding);
    let mut arrays = vec![
        Array::vector(L::PARAMS, params),
        Array::vector("means", model.numbers.means.clone()),
        Array::vector("scales", model.numbers.scales.clone()),
        imputed,
        knots,
    ];
    model.law.store(&mut law, &mut arrays);
    let settings = Settings {
        event: model.event.clone(),
        positive: model.positive.clone(),
        time_unit: model.schema.time_unit,
        active: model.active.clone(),
        fields: model.encoding.iter().map(field_state).collect(),
        law: Value::Object(law),
    };
    let mut state = ModelState::new(L::KIND);
    // Settings hold strings, flags and counts only: they always are a JSON object.
    if let Ok(Value::Object(object)) = serde_json::to_value(settings) {
        state.settings = object;
    }
    state.arrays = arrays;
    state
}

/// Rebuilds a model.
pub(crate) fn read<L: Law>(state: &ModelState) -> Result<Survival<L>, StateError> {
    let malformed = |problem: String| StateError::malformed(L::KIND, problem);
    if state.kind != L::KIND {
        return Err(malformed(format!("the state is of kind `{}`", state.kind)));
    }
    let settings: Settings = serde_json::from_value(Value::Object(state.settings.clone()))
        .map_err(|error| malformed(format!("settings: {error}")))?;
    let encoding = read_fields(state, settings.fields)?;
    let params = &state.array(L::PARAMS)?.values;
    if let Some(bad) = params.iter().find(|value| !value.is_finite()) {
        return Err(malformed(format!("parameters hold {bad}")));
    }
    let (law, taken) = L::load(state, &settings.law, params)?;
    Survival::assemble(Parts {
        law,
        event: settings.event,
        positive: settings.positive,
        encoding,
        active: settings.active,
        coefficients: params.get(taken..).unwrap_or_default().to_vec(),
        means: state.array("means")?.values.clone(),
        scales: state.array("scales")?.values.clone(),
        time_unit: settings.time_unit,
    })
}
