//! What every parametric model of this crate stores and how it comes back.

use cvm_core::{Array, Domain, ModelState, ParamError, ParametricModel, StateError, TimeUnit};
use serde_json::Value;

/// The state of a model: array `params`, setting `time_unit` (a name or null).
pub(crate) fn parametric_state<M: ParametricModel>(
    model: &M,
    time_unit: Option<TimeUnit>,
) -> ModelState {
    let mut state = ModelState::new(M::KIND);
    let unit = time_unit.map_or(Value::Null, |unit| Value::String(unit.name().to_owned()));
    state.settings.insert("time_unit".to_owned(), unit);
    state.arrays.push(Array::vector("params", model.params()));
    state
}

/// The model a state was made of: array `params`, setting `time_unit` (a name or null).
///
/// # Errors
/// A state of another kind, an absent or misshapen part, or a parameter outside its domain.
pub fn parametric_from_state<M: ParametricModel>(state: &ModelState) -> Result<M, StateError> {
    if state.kind != M::KIND {
        let problem = format!("expected kind `{}`", M::KIND);
        return Err(StateError::malformed(&state.kind, problem));
    }
    let params = state.vector("params", M::PARAMS.len())?;
    M::from_params(params, stored_time_unit(state)?)?.adopt(state)
}

fn stored_time_unit(state: &ModelState) -> Result<Option<TimeUnit>, StateError> {
    let malformed = |found: &Value| {
        let problem = format!("setting `time_unit` is {found}, expected a time unit or null");
        StateError::malformed(&state.kind, problem)
    };
    match state.settings.get("time_unit") {
        Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => match TimeUnit::parse(name) {
            Some(unit) => Ok(Some(unit)),
            None => Err(malformed(&Value::String(name.clone()))),
        },
        Some(other) => Err(malformed(other)),
        None => Err(StateError::malformed(
            &state.kind,
            "setting `time_unit` is missing",
        )),
    }
}

/// A parameter slice of the wrong length.
pub(crate) fn wrong_length(len: usize) -> ParamError {
    ParamError {
        name: "len".to_owned(),
        value: len as f64,
        domain: Domain::Count,
    }
}
