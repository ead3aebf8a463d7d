//! Which purchases a spend model counts: without the first or with it, free ones refused or left out.
//!
//! | setting        | values                        | meaning                                        |
//! |----------------|-------------------------------|------------------------------------------------|
//! | `policy`       | `repeat` (default), `all`     | `repeat`: the `x` repeat purchases; a one-time buyer says nothing and is left out of a fit. `all`: the first purchase counts too, so `x + 1` purchases and everybody is fitted on; the columns must be made with the first purchase (`include_first_purchase`) |
//! | `zero_amounts` | `refuse` (default), `exclude` | a customer with purchases whose values are all zero: `refuse` stops the fit and names the rows; `exclude` leaves them out and counts them |
//!
//! `policy` belongs to the model: it scores rows as it was fitted on them, and its file says so.
//! `zero_amounts` belongs to the fit alone; a free customer is refused when scored, because a
//! density of positive values says nothing of them.

use cvm_core::{Domain, InputError, ModelState, RowStatus, StateError};
use serde_json::{Map, Value};

/// What a fit does with a customer whose purchases were all free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZeroAmounts {
    /// The row is bad.
    #[default]
    Refuse,
    /// The row is left out and counted.
    Exclude,
}

/// Which purchases count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpendPolicy {
    /// Whether the first purchase counts (`all`).
    pub first_purchase: bool,
    /// Customers whose purchases were all free.
    pub zero_amounts: ZeroAmounts,
}

/// Why rows are left out of a fit.
pub(super) const ONE_TIME: &str = "one-time buyers, who made no repeat purchase";
pub(super) const FREE: &str = "customers whose purchases were all free";

impl SpendPolicy {
    /// The policy of the settings of a fit.
    ///
    /// # Errors
    /// A setting that is unknown or has another value than those above.
    pub fn from_settings(kind: &str, settings: &Map<String, Value>) -> Result<Self, InputError> {
        let mut policy = SpendPolicy::default();
        for (name, value) in settings {
            let allowed = match (name.as_str(), value.as_str()) {
                ("policy", Some("repeat")) => continue,
                ("policy", Some("all")) => {
                    policy.first_purchase = true;
                    continue;
                }
                ("zero_amounts", Some("refuse")) => continue,
                ("zero_amounts", Some("exclude")) => {
                    policy.zero_amounts = ZeroAmounts::Exclude;
                    continue;
                }
                ("policy", _) => format!("is {value}: must be \"repeat\" or \"all\""),
                ("zero_amounts", _) => format!("is {value}: must be \"refuse\" or \"exclude\""),
                _ => format!("is unknown; `{kind}` has `policy` and `zero_amounts`"),
            };
            return Err(InputError::new(format!("options.settings.{name}"), allowed));
        }
        Ok(policy)
    }

    /// Purchases that count, of a customer with so many repeats; `frequency` is field 0.
    pub(super) fn purchases(self, frequency: f64) -> Result<f64, RowStatus> {
        let frequency = RowStatus::check(frequency, Domain::Count, 0)? + 0.0;
        Ok(frequency + f64::from(u8::from(self.first_purchase)))
    }

    /// Repeat purchases of a row with so many purchases.
    pub(super) fn frequency(self, purchases: f64) -> f64 {
        purchases - f64::from(u8::from(self.first_purchase))
    }

    /// Remembers what scoring depends on; nothing by default.
    pub(super) fn store(self, state: &mut ModelState) {
        if self.first_purchase {
            state.settings.insert("policy".to_owned(), "all".into());
        }
    }

    /// The policy a state was stored with.
    pub(super) fn load(state: &ModelState) -> Result<Self, StateError> {
        let first_purchase = match state.settings.get("policy").map(Value::as_str) {
            None | Some(Some("repeat")) => false,
            Some(Some("all")) => true,
            Some(_) => {
                let why = "setting `policy` is neither \"repeat\" nor \"all\"";
                return Err(StateError::malformed(&state.kind, why));
            }
        };
        Ok(SpendPolicy {
            first_purchase,
            ..SpendPolicy::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{SpendPolicy, ZeroAmounts};
    use serde_json::json;

    #[test]
    fn settings_are_read_and_refused() {
        let read = |value: serde_json::Value| {
            let map = value.as_object().cloned().unwrap_or_default();
            SpendPolicy::from_settings("clv.gamma_gamma", &map)
        };
        assert_eq!(read(json!({})), Ok(SpendPolicy::default()));
        let all = read(json!({"policy": "all", "zero_amounts": "exclude"})).unwrap();
        assert!(all.first_purchase && all.zero_amounts == ZeroAmounts::Exclude);
        for bad in [
            json!({"policy": "first"}),
            json!({"policy": 1}),
            json!({"zero_amounts": true}),
            json!({"k": 2}),
        ] {
            let error = read(bad.clone()).unwrap_err();
            assert!(
                error.violations[0].field.starts_with("options.settings."),
                "{bad}"
            );
        }
    }
}
