//! From a customer's fields to the columns of the design, with everything needed to repeat it.

use crate::basis::{Basis, knot_quantiles};
use crate::columns::RawColumn;
use crate::{ChurnError, LogisticSpec, MissingCategorical, MissingNumeric, NumericBasis};
use cvm_core::{Domain, FieldKind, InputField, InputSchema, MissingRule, UnseenRule};

/// Name of the group that pooled levels share.
pub(crate) const OTHER: &str = "__other__";
/// Name of the group of missing values.
pub(crate) const MISSING: &str = "__missing__";

/// A numeric input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NumberField {
    pub(crate) name: String,
    pub(crate) basis: Basis,
    /// Stands in for a missing value: the training mean.
    pub(crate) imputed: f64,
    /// Whether a missing value has an effect of its own.
    pub(crate) has_indicator: bool,
    pub(crate) missing: MissingRule,
}

/// A categorical input. Levels fall into groups; group 0 is the reference and has no column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CategoryField {
    pub(crate) name: String,
    /// Known levels, sorted.
    pub(crate) levels: Vec<String>,
    /// Group of each level.
    pub(crate) groups: Vec<usize>,
    /// Names of the groups, each a level, `__other__` or `__missing__`.
    pub(crate) group_names: Vec<String>,
    pub(crate) missing: MissingRule,
    /// Group of a missing value; `None` refuses the row.
    pub(crate) missing_group: Option<usize>,
    pub(crate) unseen: UnseenRule,
}

/// One input with its rules.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldEncoding {
    Number(NumberField),
    Category(CategoryField),
}

impl FieldEncoding {
    pub(crate) fn name(&self) -> &str {
        match self {
            FieldEncoding::Number(field) => &field.name,
            FieldEncoding::Category(field) => &field.name,
        }
    }

    /// Number of design columns.
    pub(crate) fn column_count(&self) -> usize {
        match self {
            FieldEncoding::Number(field) => {
                field.basis.column_count() + usize::from(field.has_indicator)
            }
            FieldEncoding::Category(field) => field.group_names.len().saturating_sub(1),
        }
    }

    /// Names of the design columns.
    pub(crate) fn column_names(&self) -> Vec<String> {
        match self {
            FieldEncoding::Number(field) => {
                let mut names = vec![field.name.clone()];
                let bends = 1..field.basis.column_count();
                names.extend(bends.map(|j| format!("{}[spline {j}]", field.name)));
                if field.has_indicator {
                    names.push(format!("{}[missing]", field.name));
                }
                names
            }
            FieldEncoding::Category(field) => {
                let groups = field.group_names.iter().skip(1);
                groups
                    .map(|group| format!("{}={group}", field.name))
                    .collect()
            }
        }
    }

    /// The input as the world sees it.
    pub(crate) fn input(&self) -> InputField {
        match self {
            FieldEncoding::Number(field) => InputField {
                name: field.name.clone(),
                kind: FieldKind::Number {
                    domain: Domain::Finite,
                },
                unit: "1".to_owned(),
                missing: field.missing.clone(),
            },
            FieldEncoding::Category(field) => InputField {
                name: field.name.clone(),
                kind: FieldKind::Category {
                    levels: field.levels.clone(),
                    unseen: field.unseen,
                },
                unit: "1".to_owned(),
                missing: field.missing.clone(),
            },
        }
    }
}

/// Schema of the fields.
pub(crate) fn schema(fields: &[FieldEncoding]) -> InputSchema {
    InputSchema {
        fields: fields.iter().map(FieldEncoding::input).collect(),
        time_unit: None,
    }
}

/// Names of all design columns, without the intercept.
pub(crate) fn column_names(fields: &[FieldEncoding]) -> Vec<String> {
    fields
        .iter()
        .flat_map(FieldEncoding::column_names)
        .collect()
}

/// Learns the encoding of one column; `None` if it carries no information.
pub(crate) fn learn(
    name: &str,
    raw: &RawColumn,
    weights: &[f64],
    rows: &[usize],
    spec: &LogisticSpec,
) -> Result<Option<FieldEncoding>, ChurnError> {
    if spec.offset.as_deref() == Some(name) {
        return offset(name, raw, rows).map(Some);
    }
    let refused = match raw {
        RawColumn::Numbers(values) => {
            let reject = spec.missing_numeric == MissingNumeric::Reject;
            values.iter().position(|v| v.is_nan()).filter(|_| reject)
        }
        RawColumn::Levels { codes, .. } => {
            let reject = spec.missing_categorical == MissingCategorical::Reject;
            codes.iter().position(Option::is_none).filter(|_| reject)
        }
    };
    if let Some(index) = refused {
        let allowed = "present (or choose another missing rule)";
        return Err(ChurnError::cell(name, rows[index], "missing", allowed));
    }
    Ok(match raw {
        RawColumn::Numbers(values) => learn_number(name, values, weights, spec),
        RawColumn::Levels { levels, codes } => learn_category(name, levels, codes, weights, spec),
    })
}

/// The offset: a number as it is, without a rule for gaps.
fn offset(name: &str, raw: &RawColumn, rows: &[usize]) -> Result<FieldEncoding, ChurnError> {
    if let RawColumn::Numbers(values) = raw
        && let Some(index) = values.iter().position(|v| v.is_nan())
    {
        let allowed = "present: an offset has no rule for gaps";
        return Err(ChurnError::cell(name, rows[index], "missing", allowed));
    }
    let basis = Basis::new(Vec::new());
    let basis = basis.ok_or_else(|| ChurnError::setting("offset", name, "a column of numbers"))?;
    Ok(FieldEncoding::Number(NumberField {
        name: name.to_owned(),
        basis,
        imputed: 0.0,
        has_indicator: false,
        missing: MissingRule::Reject,
    }))
}

fn learn_number(
    name: &str,
    values: &[f64],
    weights: &[f64],
    spec: &LogisticSpec,
) -> Option<FieldEncoding> {
    let pairs = values.iter().copied().zip(weights.iter().copied());
    let mut present: Vec<(f64, f64)> = pairs.filter(|(value, _)| !value.is_nan()).collect();
    present.sort_by(|a, b| a.0.total_cmp(&b.0));
    let has_indicator = present.len() < values.len();
    let (low, high) = (present.first()?.0, present.last()?.0);
    if low == high && !has_indicator {
        return None;
    }
    let total: f64 = present.iter().fold(0.0, |sum, (_, w)| sum + w);
    // Against the lowest value: no cancellation however far the column lies from zero.
    let above = present.iter().fold(0.0, |sum, (v, w)| sum + w * (v - low));
    let knots = match spec.numeric_basis {
        NumericBasis::Linear => Vec::new(),
        NumericBasis::Spline => learn_knots(&present, total, spec.knots),
    };
    Some(FieldEncoding::Number(NumberField {
        name: name.to_owned(),
        basis: Basis::new(knots).or_else(|| Basis::new(Vec::new()))?,
        imputed: low + above / total,
        has_indicator,
        missing: match spec.missing_numeric {
            MissingNumeric::Impute => MissingRule::Impute,
            MissingNumeric::Reject => MissingRule::Reject,
        },
    }))
}

/// Distinct weighted quantiles: the smallest value at or below which lies that share of weight.
fn learn_knots(sorted: &[(f64, f64)], total: f64, count: usize) -> Vec<f64> {
    let mut knots: Vec<f64> = Vec::new();
    let mut below = 0.0;
    let mut quantiles = knot_quantiles(count).iter().peekable();
    for (value, weight) in sorted {
        below += weight;
        while let Some(quantile) = quantiles.peek() {
            // A hair below the share counts as reaching it: `0.05 * 400` is not quite 20.
            if below < **quantile * total * (1.0 - 1e-12) {
                break;
            }
            if knots.last() != Some(value) {
                knots.push(*value);
            }
            quantiles.next();
        }
    }
    if knots.len() < 3 { Vec::new() } else { knots }
}

fn learn_category(
    name: &str,
    levels: &[String],
    codes: &[Option<usize>],
    weights: &[f64],
    spec: &LogisticSpec,
) -> Option<FieldEncoding> {
    let mut counts = vec![0.0; levels.len()];
    for (code, weight) in codes.iter().zip(weights) {
        if let Some(code) = code {
            counts[*code] += weight;
        }
    }
    let kept = |level: usize| counts[level] >= spec.min_level_count;
    let mut group_names: Vec<String> = Vec::new();
    let mut groups = vec![usize::MAX; levels.len()];
    for level in (0..levels.len()).filter(|level| kept(*level)) {
        groups[level] = group_names.len();
        group_names.push(levels[level].clone());
    }
    if group_names.len() < levels.len() {
        let other = group_names.len();
        group_names.push(OTHER.to_owned());
        groups
            .iter_mut()
            .filter(|g| **g == usize::MAX)
            .for_each(|g| *g = other);
    }
    let occurred = codes.iter().any(Option::is_none);
    let own = occurred
        && matches!(
            spec.missing_categorical,
            MissingCategorical::Auto | MissingCategorical::OwnLevel
        );
    let (missing, missing_group) = match spec.missing_categorical {
        MissingCategorical::Reject => (MissingRule::Reject, None),
        _ if own => {
            group_names.push(MISSING.to_owned());
            (MissingRule::OwnLevel, Some(group_names.len() - 1))
        }
        _ => (MissingRule::Impute, Some(most_frequent(&groups, &counts)?)),
    };
    (group_names.len() > 1).then(|| {
        FieldEncoding::Category(CategoryField {
            name: name.to_owned(),
            levels: levels.to_vec(),
            groups,
            group_names,
            missing,
            missing_group,
            unseen: spec.unseen,
        })
    })
}

/// Group of the heaviest level, the first of equals.
fn most_frequent(groups: &[usize], counts: &[f64]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for level in 0..counts.len() {
        if best.is_none_or(|own| counts[level] > counts[own]) {
            best = Some(level);
        }
    }
    best.map(|level| groups[level])
}
