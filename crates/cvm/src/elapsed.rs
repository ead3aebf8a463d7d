//! Rows as of a later moment: the age of a customer of whom nothing was seen since.

use cvm_core::{Batch, Column, Domain, FieldKind, InputError, ScoreOptions, Scorer};

const FIELD: &str = "options.elapsed_periods";

/// The name of the age of `scorer`'s rows and its values as of `options.elapsed_periods` later; `None`
/// if nothing has elapsed, or the batch has no such numbers, which binding it will tell.
///
/// # Errors
/// The model has no age, or counts whole periods and the time elapsed is none.
pub(crate) fn aged(
    scorer: &dyn Scorer,
    batch: &Batch<'_>,
    options: &ScoreOptions,
) -> Result<Option<(&'static str, Vec<f64>)>, InputError> {
    let Some(elapsed) = options.elapsed_periods.filter(|elapsed| *elapsed != 0.0) else {
        return Ok(None);
    };
    let Some(age) = scorer.age() else {
        let kind = scorer.kind();
        let why = format!("is {elapsed}: must be 0 or unset, as models of kind {kind} have no age");
        return Err(InputError::new(FIELD, why));
    };
    let counted = scorer.schema().fields.iter().any(|field| {
        let domain = Domain::Count;
        field.name == age && field.kind == FieldKind::Number { domain }
    });
    if counted && !Domain::Count.contains(elapsed) {
        let why = format!("is {elapsed}: must be a whole number, as {age} counts periods");
        return Err(InputError::new(FIELD, why));
    }
    Ok(match batch.get(age) {
        Some(Column::Numbers(values)) => {
            Some((age, values.iter().map(|value| value + elapsed).collect()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use crate::{Model, from_params};
    use cvm_core::{Frame, ScoreOptions};

    fn model(kind: &str, params: &[(&str, f64)]) -> Model {
        let params: Vec<(String, f64)> = params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        from_params(kind, &params, None).unwrap()
    }

    fn refusal(model: &Model, frame: &Frame, elapsed_periods: f64) -> String {
        let options = ScoreOptions {
            elapsed_periods: Some(elapsed_periods),
            ..ScoreOptions::default()
        };
        let scored = model.score(&frame.batch().unwrap(), &options);
        scored.unwrap_err().to_string()
    }

    #[test]
    fn a_model_without_an_age_and_half_a_counted_period_are_refused() {
        let spend = model("clv.gamma_gamma", &[("p", 6.25), ("q", 3.74), ("v", 15.44)]);
        let orders = Frame::new(1)
            .with_numbers("frequency", vec![1.0])
            .with_numbers("monetary_value", vec![20.0]);
        let told = refusal(&spend, &orders, 2.0);
        assert!(
            told.contains("models of kind clv.gamma_gamma have no age"),
            "{told}"
        );
        let contract = model("clv.sbg", &[("alpha", 0.7), ("beta", 1.2)]);
        let present = Frame::new(1).with_numbers("tenure", vec![1.0]);
        let told = refusal(&contract, &present, 0.5);
        assert!(
            told.contains("a whole number, as tenure counts periods"),
            "{told}"
        );
        let told = refusal(&contract, &present, -1.0);
        assert!(told.contains("options.elapsed_periods"), "{told}");
    }
}
