//! `scoring.proto`: options, stamps, output columns, statuses and refused rows.

use super::frame::{bytes_from_numbers, numbers_from_bytes};
use super::{ConvertError, required, row_count_in, row_count_out, unknown_number};
use crate::v1 as pb;
use crate::v1::output_column::Values;
use cvm::{ReasonOptions, RowCode, RowIssue, ScoreOptions};

/// Most outputs a request may name.
pub const MAX_OUTPUTS: usize = 256;

/// Form of the output columns of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Packed doubles.
    #[default]
    Doubles,
    /// Raw little-endian bytes, for bulk.
    DoublesLe,
}

impl From<Encoding> for pb::OutputEncoding {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Doubles => pb::OutputEncoding::Doubles,
            Encoding::DoublesLe => pb::OutputEncoding::DoublesLe,
        }
    }
}

impl From<pb::OutputEncoding> for Encoding {
    fn from(encoding: pb::OutputEncoding) -> Self {
        match encoding {
            pb::OutputEncoding::Unspecified | pb::OutputEncoding::Doubles => Encoding::Doubles,
            pb::OutputEncoding::DoublesLe => Encoding::DoublesLe,
        }
    }
}

pub(super) fn encoding_in(number: i32, field: &str) -> Result<Encoding, ConvertError> {
    pb::OutputEncoding::try_from(number)
        .map(Encoding::from)
        .map_err(|_| unknown_number(field, number, "OutputEncoding"))
}

impl TryFrom<pb::ScoreOptions> for ScoreOptions {
    type Error = ConvertError;

    fn try_from(options: pb::ScoreOptions) -> Result<ScoreOptions, ConvertError> {
        let pb::ScoreOptions {
            horizon_periods,
            discount_rate_per_year,
            margin,
            outputs,
            purchases,
            quantile,
            cost_per_period,
            cost_per_order,
            interval_level,
            elapsed_periods,
            reasons,
        } = options;
        if outputs.len() > MAX_OUTPUTS {
            let why = format!("names {}: at most {MAX_OUTPUTS} are allowed", outputs.len());
            return Err(ConvertError::new("outputs", why));
        }
        Ok(ScoreOptions {
            horizon_periods,
            discount_rate_per_year,
            margin,
            outputs,
            purchases,
            quantile,
            cost_per_period,
            cost_per_order,
            interval_level,
            elapsed_periods,
            reasons: reasons
                .map(ReasonOptions::try_from)
                .transpose()
                .map_err(|error| error.under("reasons"))?,
        })
    }
}

impl From<ScoreOptions> for pb::ScoreOptions {
    fn from(options: ScoreOptions) -> pb::ScoreOptions {
        let ScoreOptions {
            horizon_periods,
            discount_rate_per_year,
            margin,
            outputs,
            purchases,
            quantile,
            cost_per_period,
            cost_per_order,
            interval_level,
            elapsed_periods,
            reasons,
        } = options;
        pb::ScoreOptions {
            horizon_periods,
            discount_rate_per_year,
            margin,
            outputs,
            purchases,
            quantile,
            cost_per_period,
            cost_per_order,
            interval_level,
            elapsed_periods,
            reasons: reasons.map(pb::ReasonOptions::from),
        }
    }
}

/// The model that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStamp {
    /// Resource name `models/{model}/versions/{version}`.
    pub model_version: String,
    /// SHA-256 of the model file's content in lowercase hexadecimal digits.
    pub fingerprint: String,
    /// Kind, such as `clv.bg_nbd`.
    pub kind: String,
}

impl From<ModelStamp> for pb::ModelStamp {
    fn from(stamp: ModelStamp) -> pb::ModelStamp {
        let ModelStamp {
            model_version,
            fingerprint,
            kind,
        } = stamp;
        pb::ModelStamp {
            model_version,
            fingerprint,
            kind,
        }
    }
}

impl From<pb::ModelStamp> for ModelStamp {
    fn from(stamp: pb::ModelStamp) -> ModelStamp {
        let pb::ModelStamp {
            model_version,
            fingerprint,
            kind,
        } = stamp;
        ModelStamp {
            model_version,
            fingerprint,
            kind,
        }
    }
}

/// One output column of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredColumn {
    /// Name, such as `expected_purchases`.
    pub name: String,
    /// Unit: `purchases`, `currency`, `probability`, `1`.
    pub unit: String,
    /// One value per row; NaN where the row was refused.
    pub values: Vec<f64>,
}

impl ScoredColumn {
    pub(super) fn encode(self, encoding: Encoding) -> pb::OutputColumn {
        let ScoredColumn { name, unit, values } = self;
        let values = match encoding {
            Encoding::Doubles => Values::Doubles(pb::DoubleValues { values }),
            Encoding::DoublesLe => Values::DoublesLe(bytes_from_numbers(values.into_iter())),
        };
        pb::OutputColumn {
            name,
            unit,
            values: Some(values),
        }
    }

    pub(super) fn decode(column: pb::OutputColumn, rows: usize) -> Result<Self, ConvertError> {
        let pb::OutputColumn { name, unit, values } = column;
        let values = match required(values, "values")? {
            Values::Doubles(pb::DoubleValues { values }) if values.len() == rows => values,
            Values::Doubles(pb::DoubleValues { values }) => {
                let why = format!("has {} values, row_count is {rows}", values.len());
                return Err(ConvertError::new("doubles", why));
            }
            Values::DoublesLe(bytes) => numbers_from_bytes(&bytes, rows)
                .map_err(|why| ConvertError::new("doubles_le", why))?,
        };
        Ok(ScoredColumn { name, unit, values })
    }
}

impl From<RowCode> for pb::RowStatus {
    fn from(code: RowCode) -> pb::RowStatus {
        match code {
            RowCode::Ok => pb::RowStatus::Ok,
            RowCode::Missing => pb::RowStatus::Missing,
            RowCode::NotFinite => pb::RowStatus::NotFinite,
            RowCode::OutOfRange => pb::RowStatus::OutOfRange,
            RowCode::Inconsistent => pb::RowStatus::Inconsistent,
            RowCode::UnseenLevel => pb::RowStatus::UnseenLevel,
            RowCode::Undefined => pb::RowStatus::Undefined,
            RowCode::Infinite => pb::RowStatus::Infinite,
            RowCode::NotCovered => pb::RowStatus::NotCovered,
        }
    }
}

/// The code of a status number.
pub(super) fn row_code(number: i32, field: impl Into<String>) -> Result<RowCode, ConvertError> {
    match pb::RowStatus::try_from(number) {
        Ok(pb::RowStatus::Ok) => Ok(RowCode::Ok),
        Ok(pb::RowStatus::Missing) => Ok(RowCode::Missing),
        Ok(pb::RowStatus::NotFinite) => Ok(RowCode::NotFinite),
        Ok(pb::RowStatus::OutOfRange) => Ok(RowCode::OutOfRange),
        Ok(pb::RowStatus::Inconsistent) => Ok(RowCode::Inconsistent),
        Ok(pb::RowStatus::UnseenLevel) => Ok(RowCode::UnseenLevel),
        Ok(pb::RowStatus::Undefined) => Ok(RowCode::Undefined),
        Ok(pb::RowStatus::Infinite) => Ok(RowCode::Infinite),
        Ok(pb::RowStatus::NotCovered) => Ok(RowCode::NotCovered),
        Ok(pb::RowStatus::Unspecified) | Err(_) => Err(unknown_number(field, number, "RowStatus")),
    }
}

impl From<RowIssue> for pb::RowError {
    fn from(issue: RowIssue) -> pb::RowError {
        let RowIssue {
            row,
            code,
            field,
            value,
            message,
        } = issue;
        pb::RowError {
            row: row_count_out(row),
            status: pb::RowStatus::from(code).into(),
            field,
            value,
            message,
        }
    }
}

impl TryFrom<pb::RowError> for RowIssue {
    type Error = ConvertError;

    fn try_from(error: pb::RowError) -> Result<RowIssue, ConvertError> {
        let pb::RowError {
            row,
            status,
            field,
            value,
            message,
        } = error;
        Ok(RowIssue {
            row: row_count_in(row, "row")?,
            code: row_code(status, "status")?,
            field,
            value,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_OUTPUTS, row_code};
    use crate::v1 as pb;
    use cvm::{ReasonDirection, ReasonOptions, RowCode, ScoreOptions};

    #[test]
    fn every_row_code_has_its_number_and_no_other_number_is_one() {
        for code in RowCode::ALL {
            let number = i32::from(pb::RowStatus::from(code));
            assert_eq!(number, code as i32);
            assert_eq!(row_code(number, "status"), Ok(code));
        }
        for number in [-1, 0, 10, i32::MAX] {
            assert!(row_code(number, "status").is_err(), "{number}");
        }
    }

    #[test]
    fn options_come_back_and_their_outputs_are_capped() {
        let options = ScoreOptions {
            horizon_periods: Some(39.0),
            discount_rate_per_year: None,
            margin: Some(0.5),
            outputs: vec!["p_alive".to_owned()],
            purchases: Some(2.0),
            quantile: Some(0.25),
            cost_per_period: Some(0.1),
            cost_per_order: None,
            interval_level: Some(0.95),
            elapsed_periods: Some(2.5),
            reasons: Some(ReasonOptions {
                count: 3,
                only_actionable: true,
                direction: ReasonDirection::Lowers,
                approximate: true,
            }),
        };
        let wire = pb::ScoreOptions::from(options.clone());
        assert_eq!(ScoreOptions::try_from(wire), Ok(options));
        let many = pb::ScoreOptions {
            outputs: vec![String::new(); MAX_OUTPUTS + 1],
            ..Default::default()
        };
        assert_eq!(ScoreOptions::try_from(many).unwrap_err().field, "outputs");
    }
}
