//! The model as plain data: names, levels and rules as JSON, every number that enters a score in an
//! array.
//!
//! | array          | length          | content                                        |
//! |----------------|-----------------|------------------------------------------------|
//! | `intercept`    | 1               | logit where every column is at its mean        |
//! | `coefficients` | columns         | per unit                                       |
//! | `means`        | columns         | training means                                 |
//! | `scales`       | columns         | training standard deviations, 1 if constant    |
//! | `imputed`      | numeric fields  | what stands in for a missing number            |
//! | `knots`        | all knots       | field after field                              |

use crate::basis::Basis;
use crate::encoding::{CategoryField, FieldEncoding, NumberField};
use crate::logistic::{KIND, Logistic, Numbers};
use cvm_core::{Array, MissingRule, ModelState, StateError, UnseenRule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Knots of one spline at most; a limit for hostile files.
const MAX_KNOTS: usize = 64;

/// One field as settings hold it; its numbers are in arrays.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum FieldState {
    Number {
        name: String,
        knot_count: usize,
        missing_indicator: bool,
        missing: MissingRule,
    },
    Category {
        name: String,
        levels: Vec<String>,
        groups: Vec<usize>,
        group_names: Vec<String>,
        missing: MissingRule,
        missing_group: Option<usize>,
        unseen: UnseenRule,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    target: String,
    positive: String,
    fields: Vec<FieldState>,
}

/// The state of `model`.
pub(crate) fn write(model: &Logistic) -> ModelState {
    let settings = Settings {
        target: model.target.clone(),
        positive: model.positive.clone(),
        fields: model.encoding.iter().map(field_state).collect(),
    };
    let [imputed, knots] = field_arrays(&model.encoding);
    let numbers = model.numbers.clone();
    let mut state = ModelState::new(KIND);
    // Settings hold strings, flags and counts only: they always are a JSON object.
    if let Ok(Value::Object(object)) = serde_json::to_value(settings) {
        state.settings = object;
    }
    state.arrays = vec![
        Array::vector("intercept", vec![numbers.intercept]),
        Array::vector("coefficients", numbers.coefficients),
        Array::vector("means", numbers.means),
        Array::vector("scales", numbers.scales),
        imputed,
        knots,
    ];
    state
}

/// Numbers of the fields.
pub(crate) fn field_arrays(encoding: &[FieldEncoding]) -> [Array; 2] {
    let (mut imputed, mut knots) = (Vec::new(), Vec::new());
    for field in encoding {
        if let FieldEncoding::Number(field) = field {
            imputed.push(field.imputed);
            knots.extend_from_slice(field.basis.knots());
        }
    }
    [
        Array::vector("imputed", imputed),
        Array::vector("knots", knots),
    ]
}

pub(crate) fn field_state(field: &FieldEncoding) -> FieldState {
    match field.clone() {
        FieldEncoding::Number(NumberField {
            name,
            basis,
            imputed: _,
            has_indicator,
            missing,
        }) => FieldState::Number {
            name,
            knot_count: basis.knots().len(),
            missing_indicator: has_indicator,
            missing,
        },
        FieldEncoding::Category(CategoryField {
            name,
            levels,
            groups,
            group_names,
            missing,
            missing_group,
            unseen,
        }) => FieldState::Category {
            name,
            levels,
            groups,
            group_names,
            missing,
            missing_group,
            unseen,
        },
    }
}

fn malformed(problem: impl Into<String>) -> StateError {
    StateError::malformed(KIND, problem)
}

/// Rebuilds a model.
pub(crate) fn read(state: &ModelState) -> Result<Logistic, StateError> {
    if state.kind != KIND {
        return Err(malformed(format!("the state is of kind `{}`", state.kind)));
    }
    let settings: Map<String, Value> = state.settings.clone();
    let settings: Settings = serde_json::from_value(Value::Object(settings))
        .map_err(|error| malformed(format!("settings: {error}")))?;
    let encoding = read_fields(state, settings.fields)?;
    let columns = encoding.iter().map(FieldEncoding::column_count).sum();
    let numbers = Numbers {
        intercept: state.vector("intercept", 1)?[0],
        coefficients: state.vector("coefficients", columns)?.to_vec(),
        means: state.vector("means", columns)?.to_vec(),
        scales: state.vector("scales", columns)?.to_vec(),
    };
    Logistic::assemble(settings.target, settings.positive, encoding, numbers)
}

/// Rebuilds the fields of a state.
pub(crate) fn read_fields(
    state: &ModelState,
    fields: Vec<FieldState>,
) -> Result<Vec<FieldEncoding>, StateError> {
    let mut names = HashSet::new();
    let mut imputed = state.array("imputed")?.values.iter().copied();
    let mut knots = state.array("knots")?.values.as_slice();
    let mut encoding = Vec::with_capacity(fields.len());
    for field in fields {
        let field = read_field(field, &mut imputed, &mut knots)?;
        if !names.insert(field.name().to_owned()) {
            return Err(malformed(format!(
                "field `{}` is listed twice",
                field.name()
            )));
        }
        encoding.push(field);
    }
    if imputed.next().is_some() || !knots.is_empty() {
        return Err(malformed(
            "arrays `imputed` or `knots` are longer than the fields need",
        ));
    }
    Ok(encoding)
}

fn read_field(
    field: FieldState,
    imputed: &mut impl Iterator<Item = f64>,
    knots: &mut &[f64],
) -> Result<FieldEncoding, StateError> {
    match field {
        FieldState::Number {
            name,
            knot_count,
            missing_indicator,
            missing,
        } => {
            let problem = |what: &str| malformed(format!("field `{name}`: {what}"));
            let imputed = imputed.next().filter(|value| value.is_finite());
            let imputed = imputed.ok_or_else(|| problem("no finite imputed value"))?;
            if knot_count > MAX_KNOTS {
                return Err(problem("more than 64 knots"));
            }
            let split = knots.split_at_checked(knot_count);
            let (own, rest) = split.ok_or_else(|| problem("array `knots` is too short"))?;
            *knots = rest;
            let basis = Basis::new(own.to_vec());
            let basis = basis.ok_or_else(|| problem("knots must be 0 or >= 3, increasing"))?;
            if missing == MissingRule::OwnLevel {
                return Err(problem("a number has no missing level of its own"));
            }
            Ok(FieldEncoding::Number(NumberField {
                name,
                basis,
                imputed,
                has_indicator: missing_indicator,
                missing,
            }))
        }
        FieldState::Category {
            name,
            levels,
            groups,
            group_names,
            missing,
            missing_group,
            unseen,
        } => {
            let field = CategoryField {
                name,
                levels,
                groups,
                group_names,
                missing,
                missing_group,
                unseen,
            };
            check_category(&field)?;
            Ok(FieldEncoding::Category(field))
        }
    }
}

fn check_category(field: &CategoryField) -> Result<(), StateError> {
    let problem = |what: &str| Err(malformed(format!("field `{}`: {what}", field.name)));
    if field.group_names.len() < 2 {
        return problem("needs at least two groups");
    }
    if field.levels.len() != field.groups.len() {
        return problem("has not one group per level");
    }
    if !field.levels.is_sorted_by(|a, b| a < b) {
        return problem("levels must be sorted and distinct");
    }
    let all = field.groups.iter().chain(&field.missing_group);
    if all
        .into_iter()
        .any(|group| *group >= field.group_names.len())
    {
        return problem("names a group that does not exist");
    }
    if field.missing_group.is_none() != (field.missing == MissingRule::Reject) {
        return problem("missing rule and missing group disagree");
    }
    Ok(())
}
