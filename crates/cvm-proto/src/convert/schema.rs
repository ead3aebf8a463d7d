//! `schema.proto`: what a model needs to see.

use super::{ConvertError, required, unknown_number};
use crate::v1 as pb;
use crate::v1::input_field::Kind;
use cvm::{Domain, FieldKind, InputField, InputSchema, MissingRule, TimeUnit, UnseenRule};

impl From<InputSchema> for pb::InputSchema {
    fn from(schema: InputSchema) -> pb::InputSchema {
        let InputSchema { fields, time_unit } = schema;
        let unit = time_unit.map_or(pb::TimeUnit::Unspecified, pb::TimeUnit::from);
        pb::InputSchema {
            fields: fields.into_iter().map(pb::InputField::from).collect(),
            time_unit: unit.into(),
        }
    }
}

impl TryFrom<pb::InputSchema> for InputSchema {
    type Error = ConvertError;

    fn try_from(schema: pb::InputSchema) -> Result<InputSchema, ConvertError> {
        let pb::InputSchema { fields, time_unit } = schema;
        let fields = fields
            .into_iter()
            .enumerate()
            .map(|(index, field)| {
                InputField::try_from(field).map_err(|e| e.under(format_args!("fields[{index}]")))
            })
            .collect::<Result<_, _>>()?;
        Ok(InputSchema {
            fields,
            time_unit: time_unit_in(time_unit)?,
        })
    }
}

impl From<InputField> for pb::InputField {
    fn from(field: InputField) -> pb::InputField {
        let InputField {
            name,
            kind,
            unit,
            missing,
        } = field;
        let kind = match kind {
            FieldKind::Number { domain } => Kind::Number(pb::NumberInput {
                domain: pb::Domain::from(domain).into(),
            }),
            FieldKind::Category { levels, unseen } => Kind::Category(pb::CategoryInput {
                levels,
                unseen_rule: pb::UnseenRule::from(unseen).into(),
            }),
        };
        pb::InputField {
            name,
            unit,
            missing_rule: pb::MissingRule::from(missing).into(),
            kind: Some(kind),
        }
    }
}

impl TryFrom<pb::InputField> for InputField {
    type Error = ConvertError;

    fn try_from(field: pb::InputField) -> Result<InputField, ConvertError> {
        let pb::InputField {
            name,
            unit,
            missing_rule,
            kind,
        } = field;
        let kind = match required(kind, "kind")? {
            Kind::Number(pb::NumberInput { domain }) => FieldKind::Number {
                domain: domain_in(domain)?,
            },
            Kind::Category(pb::CategoryInput {
                levels,
                unseen_rule,
            }) => FieldKind::Category {
                levels,
                unseen: unseen_in(unseen_rule)?,
            },
        };
        Ok(InputField {
            name,
            kind,
            unit,
            missing: missing_in(missing_rule)?,
        })
    }
}

impl From<Domain> for pb::Domain {
    fn from(domain: Domain) -> pb::Domain {
        match domain {
            Domain::Finite => pb::Domain::Finite,
            Domain::Positive => pb::Domain::Positive,
            Domain::NonNegative => pb::Domain::NonNegative,
            Domain::Count => pb::Domain::Count,
            Domain::Probability => pb::Domain::Probability,
            Domain::Any => pb::Domain::Any,
        }
    }
}

fn domain_in(number: i32) -> Result<Domain, ConvertError> {
    match pb::Domain::try_from(number) {
        Ok(pb::Domain::Finite) => Ok(Domain::Finite),
        Ok(pb::Domain::Positive) => Ok(Domain::Positive),
        Ok(pb::Domain::NonNegative) => Ok(Domain::NonNegative),
        Ok(pb::Domain::Count) => Ok(Domain::Count),
        Ok(pb::Domain::Probability) => Ok(Domain::Probability),
        Ok(pb::Domain::Any) => Ok(Domain::Any),
        Ok(pb::Domain::Unspecified) | Err(_) => {
            Err(unknown_number("number.domain", number, "Domain"))
        }
    }
}

impl From<MissingRule> for pb::MissingRule {
    fn from(rule: MissingRule) -> pb::MissingRule {
        match rule {
            MissingRule::Reject => pb::MissingRule::Reject,
            MissingRule::Impute => pb::MissingRule::Impute,
            MissingRule::OwnLevel => pb::MissingRule::OwnLevel,
        }
    }
}

fn missing_in(number: i32) -> Result<MissingRule, ConvertError> {
    match pb::MissingRule::try_from(number) {
        Ok(pb::MissingRule::Reject) => Ok(MissingRule::Reject),
        Ok(pb::MissingRule::Impute) => Ok(MissingRule::Impute),
        Ok(pb::MissingRule::OwnLevel) => Ok(MissingRule::OwnLevel),
        Ok(pb::MissingRule::Unspecified) | Err(_) => {
            Err(unknown_number("missing_rule", number, "MissingRule"))
        }
    }
}

impl From<UnseenRule> for pb::UnseenRule {
    fn from(rule: UnseenRule) -> pb::UnseenRule {
        match rule {
            UnseenRule::Reject => pb::UnseenRule::Reject,
            UnseenRule::AsMissing => pb::UnseenRule::AsMissing,
            UnseenRule::Reference => pb::UnseenRule::Reference,
        }
    }
}

fn unseen_in(number: i32) -> Result<UnseenRule, ConvertError> {
    match pb::UnseenRule::try_from(number) {
        Ok(pb::UnseenRule::Reject) => Ok(UnseenRule::Reject),
        Ok(pb::UnseenRule::AsMissing) => Ok(UnseenRule::AsMissing),
        Ok(pb::UnseenRule::Reference) => Ok(UnseenRule::Reference),
        Ok(pb::UnseenRule::Unspecified) | Err(_) => {
            Err(unknown_number("category.unseen_rule", number, "UnseenRule"))
        }
    }
}

impl From<TimeUnit> for pb::TimeUnit {
    fn from(unit: TimeUnit) -> pb::TimeUnit {
        match unit {
            TimeUnit::Second => pb::TimeUnit::Second,
            TimeUnit::Minute => pb::TimeUnit::Minute,
            TimeUnit::Hour => pb::TimeUnit::Hour,
            TimeUnit::Day => pb::TimeUnit::Day,
            TimeUnit::Week => pb::TimeUnit::Week,
            TimeUnit::Month => pb::TimeUnit::Month,
            TimeUnit::Quarter => pb::TimeUnit::Quarter,
            TimeUnit::Year => pb::TimeUnit::Year,
        }
    }
}

fn time_unit_in(number: i32) -> Result<Option<TimeUnit>, ConvertError> {
    match pb::TimeUnit::try_from(number) {
        Ok(pb::TimeUnit::Unspecified) => Ok(None),
        Ok(pb::TimeUnit::Second) => Ok(Some(TimeUnit::Second)),
        Ok(pb::TimeUnit::Minute) => Ok(Some(TimeUnit::Minute)),
        Ok(pb::TimeUnit::Hour) => Ok(Some(TimeUnit::Hour)),
        Ok(pb::TimeUnit::Day) => Ok(Some(TimeUnit::Day)),
        Ok(pb::TimeUnit::Week) => Ok(Some(TimeUnit::Week)),
        Ok(pb::TimeUnit::Month) => Ok(Some(TimeUnit::Month)),
        Ok(pb::TimeUnit::Quarter) => Ok(Some(TimeUnit::Quarter)),
        Ok(pb::TimeUnit::Year) => Ok(Some(TimeUnit::Year)),
        Err(_) => Err(unknown_number("time_unit", number, "TimeUnit")),
    }
}
