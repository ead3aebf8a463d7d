//! The currency of a composed model: a setting of three letters that changes no number.

use cvm_core::{InputError, ModelState, StateError};
use serde_json::Value;

/// Name of the setting.
const CURRENCY: &str = "currency";

/// A checked code: three capital letters, as in ISO 4217.
///
/// # Errors
/// Anything else.
pub(crate) fn currency(code: &str) -> Result<String, InputError> {
    if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(code.to_owned());
    }
    let why = format!("is {code:?}: must be three capital letters (ISO 4217), such as EUR");
    Err(InputError::new(CURRENCY, why))
}

/// Adds the code to a state, if there is one.
pub(crate) fn store_currency(state: &mut ModelState, code: Option<&String>) {
    if let Some(code) = code {
        let code = Value::String(code.clone());
        state.settings.insert(CURRENCY.to_owned(), code);
    }
}

/// The code of a state, if it has one.
///
/// # Errors
/// A setting that is not a code.
pub(crate) fn load_currency(state: &ModelState) -> Result<Option<String>, StateError> {
    let malformed = |problem: String| StateError::malformed(&state.kind, problem);
    match state.settings.get(CURRENCY) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(code)) => {
            let code = currency(code).map_err(|error| malformed(error.to_string()))?;
            Ok(Some(code))
        }
        Some(other) => Err(malformed(format!("setting `currency` is {other}"))),
    }
}
