//! Whether spend depends on how often customers buy, from the columns of a batch.

use crate::Error;
use cvm_clv::{Independence, IndependenceSettings};
use cvm_core::{Batch, Domain, InputField, InputSchema, MissingRule};

/// Tests the columns `frequency` and `monetary_value`; rows without a repeat purchase are left out.
///
/// # Errors
/// `InvalidInput` for a column that is missing, values out of range, or too few customers.
pub fn spend_independence(
    batch: &Batch<'_>,
    settings: &IndependenceSettings,
) -> Result<Independence, Error> {
    let number = |name: &str, unit: &str, domain| InputField {
        missing: MissingRule::Impute,
        ..InputField::number(name, unit, domain)
    };
    let schema = InputSchema {
        fields: vec![
            number("frequency", "purchases", Domain::Count),
            number("monetary_value", "currency", Domain::NonNegative),
        ],
        time_unit: None,
    };
    let bound = batch.bind(&schema)?;
    let column = |field: usize| {
        let mut values = vec![0.0; bound.row_count];
        bound.read_numbers(field, 0, &mut values);
        values
    };
    Ok(cvm_clv::independence(&column(0), &column(1), settings)?)
}
