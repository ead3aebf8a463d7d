//! `model_service.proto`: names of models, and what a model is.

use super::{ConvertError, required, shown};
use crate::v1 as pb;
use cvm::InputSchema;
use std::fmt;
use std::str::FromStr;

/// Which model a request means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelName {
    /// The only one the server has.
    Only,
    /// The served version of a model.
    Served {
        /// Id of the model.
        id: String,
    },
    /// A version of a model.
    Pinned {
        /// Id of the model.
        id: String,
        /// The version.
        version: String,
    },
    /// The version an alias points at.
    Aliased {
        /// Id of the model.
        id: String,
        /// The alias, such as `champion`.
        alias: String,
    },
}

impl ModelName {
    /// Whether `text` may be the id of a model: 1 to 64 of `a-z 0-9 - _`.
    #[must_use]
    pub fn is_id(text: &str) -> bool {
        cvm::repository::is_model_id(text)
    }

    /// Whether `text` may be a version: 1 to 64 of `A-Z a-z 0-9 - _ . +`.
    #[must_use]
    pub fn is_version(text: &str) -> bool {
        cvm::repository::is_version(text)
    }
}

impl FromStr for ModelName {
    type Err = ConvertError;

    fn from_str(text: &str) -> Result<ModelName, ConvertError> {
        if text.is_empty() {
            return Ok(ModelName::Only);
        }
        let rest = text.strip_prefix("models/").unwrap_or(text);
        parse(rest).ok_or_else(|| {
            let why = format!(
                "is {}: must be `models/{{model}}`, `models/{{model}}/versions/{{version}}`, \
                 `models/{{model}}@{{alias}}`, or one of them without `models/`; a model and an \
                 alias have at most 64 lowercase letters, digits, `-` and `_`",
                shown(text)
            );
            ConvertError::new("model", why)
        })
    }
}

fn parse(rest: &str) -> Option<ModelName> {
    let (id, name) = if let Some((id, version)) = rest.split_once("/versions/") {
        let (id, version) = (id.to_owned(), version.to_owned());
        let legal = ModelName::is_version(&version);
        (
            id.clone(),
            legal.then_some(ModelName::Pinned { id, version }),
        )
    } else if let Some((id, alias)) = rest.split_once('@') {
        let (id, alias) = (id.to_owned(), alias.to_owned());
        let legal = ModelName::is_id(&alias);
        (
            id.clone(),
            legal.then_some(ModelName::Aliased { id, alias }),
        )
    } else {
        let id = rest.to_owned();
        (id.clone(), Some(ModelName::Served { id }))
    };
    name.filter(|_| ModelName::is_id(&id))
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelName::Only => Ok(()),
            ModelName::Served { id } => write!(f, "models/{id}"),
            ModelName::Pinned { id, version } => write!(f, "models/{id}/versions/{version}"),
            ModelName::Aliased { id, alias } => write!(f, "models/{id}@{alias}"),
        }
    }
}

/// What a model is, for callers.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// Resource name `models/{model}`.
    pub name: String,
    /// Version.
    pub version: String,
    /// Kind, such as `clv.bg_nbd`.
    pub kind: String,
    /// SHA-256 of the model file's content in lowercase hexadecimal digits.
    pub fingerprint: String,
    /// What it needs to see.
    pub schema: InputSchema,
    /// What it can compute, in its order.
    pub outputs: Vec<ModelOutput>,
    /// Parameters of a kind with a fixed list of them.
    pub params: Vec<ModelParam>,
    /// The author's facts, a JSON object.
    pub metadata_json: String,
    /// Facts of the training, a JSON object.
    pub training_json: String,
}

/// One output column a model can compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOutput {
    /// Column name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// One clause that says what it is.
    pub meaning: String,
    /// Whether it is only defined for a horizon.
    pub needs_horizon: bool,
    /// Whether it is only computed when asked for by name.
    pub on_request: bool,
}

/// One parameter of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelParam {
    /// Symbol as in the model's paper.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// One clause that says what it governs.
    pub meaning: String,
    /// The value.
    pub value: f64,
}

impl From<ModelCard> for pb::Model {
    fn from(card: ModelCard) -> pb::Model {
        let ModelCard {
            name,
            version,
            kind,
            fingerprint,
            schema,
            outputs,
            params,
            metadata_json,
            training_json,
        } = card;
        pb::Model {
            name,
            version,
            kind,
            fingerprint,
            schema: Some(schema.into()),
            outputs: outputs.into_iter().map(pb::Output::from).collect(),
            params: params.into_iter().map(pb::Param::from).collect(),
            metadata_json,
            training_json,
        }
    }
}

impl TryFrom<pb::Model> for ModelCard {
    type Error = ConvertError;

    fn try_from(model: pb::Model) -> Result<ModelCard, ConvertError> {
        let pb::Model {
            name,
            version,
            kind,
            fingerprint,
            schema,
            outputs,
            params,
            metadata_json,
            training_json,
        } = model;
        let schema = required(schema, "schema")?;
        Ok(ModelCard {
            name,
            version,
            kind,
            fingerprint,
            schema: InputSchema::try_from(schema).map_err(|error| error.under("schema"))?,
            outputs: outputs.into_iter().map(ModelOutput::from).collect(),
            params: params.into_iter().map(ModelParam::from).collect(),
            metadata_json,
            training_json,
        })
    }
}

impl From<ModelOutput> for pb::Output {
    fn from(output: ModelOutput) -> pb::Output {
        let ModelOutput {
            name,
            unit,
            meaning,
            needs_horizon,
            on_request,
        } = output;
        pb::Output {
            name,
            unit,
            meaning,
            needs_horizon,
            on_request,
        }
    }
}

impl From<pb::Output> for ModelOutput {
    fn from(output: pb::Output) -> ModelOutput {
        let pb::Output {
            name,
            unit,
            meaning,
            needs_horizon,
            on_request,
        } = output;
        ModelOutput {
            name,
            unit,
            meaning,
            needs_horizon,
            on_request,
        }
    }
}

impl From<ModelParam> for pb::Param {
    fn from(param: ModelParam) -> pb::Param {
        let ModelParam {
            name,
            unit,
            meaning,
            value,
        } = param;
        pb::Param {
            name,
            unit,
            meaning,
            value,
        }
    }
}

impl From<pb::Param> for ModelParam {
    fn from(param: pb::Param) -> ModelParam {
        let pb::Param {
            name,
            unit,
            meaning,
            value,
        } = param;
        ModelParam {
            name,
            unit,
            meaning,
            value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ModelCard, ModelName, ModelOutput, ModelParam};
    use crate::v1 as pb;
    use cvm::{Domain, FieldKind, InputField, InputSchema, MissingRule, TimeUnit, UnseenRule};

    #[test]
    fn the_forms_of_a_name_are_read_and_printed() {
        let served = ModelName::Served {
            id: "retail-clv".to_owned(),
        };
        assert_eq!("retail-clv".parse(), Ok(served.clone()));
        assert_eq!(served.to_string().parse(), Ok(served));
        let pinned: ModelName = "models/retail/versions/2026.11+a".parse().unwrap();
        assert_eq!(pinned.to_string(), "models/retail/versions/2026.11+a");
        let aliased: ModelName = "retail@champion".parse().unwrap();
        assert_eq!(aliased.to_string(), "models/retail@champion");
        assert_eq!(aliased.to_string().parse(), Ok(aliased));
        assert_eq!("".parse(), Ok(ModelName::Only));
        let long = "a".repeat(65);
        for bad in [
            "models/",
            "A",
            "a b",
            "a/versions/",
            "../x",
            "a/versions/b/c",
            "a@",
            "@champion",
            "a@b@c",
            "a@Champion",
            "a/versions/1@champion",
            "é",
            &long,
        ] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_long_name_is_not_echoed_whole() {
        let error = "x!".repeat(1 << 20).parse::<ModelName>().unwrap_err();
        assert!(error.description.len() < 400);
    }

    fn card(unit: Option<TimeUnit>) -> ModelCard {
        let mut fields = Vec::new();
        let domains = [
            Domain::Finite,
            Domain::Positive,
            Domain::NonNegative,
            Domain::Count,
            Domain::Probability,
            Domain::Any,
        ];
        for domain in domains {
            fields.push(InputField::number(format!("{domain:?}"), "1", domain));
        }
        let rules = [
            (MissingRule::Reject, UnseenRule::Reject),
            (MissingRule::Impute, UnseenRule::AsMissing),
            (MissingRule::OwnLevel, UnseenRule::Reference),
        ];
        for (missing, unseen) in rules {
            let levels = vec!["DSL".to_owned(), "No".to_owned()];
            fields.push(InputField {
                name: format!("{missing:?}"),
                kind: FieldKind::Category { levels, unseen },
                unit: "1".to_owned(),
                missing,
            });
        }
        ModelCard {
            name: "models/retail".to_owned(),
            version: "7".to_owned(),
            kind: "clv.bg_nbd".to_owned(),
            fingerprint: "ab".repeat(32),
            schema: InputSchema {
                fields,
                time_unit: unit,
            },
            outputs: vec![ModelOutput {
                name: "p_alive".to_owned(),
                unit: "probability".to_owned(),
                meaning: "still a customer".to_owned(),
                needs_horizon: false,
                on_request: false,
            }],
            params: vec![ModelParam {
                name: "r".to_owned(),
                unit: "1".to_owned(),
                meaning: "shape".to_owned(),
                value: 0.243,
            }],
            metadata_json: "{}".to_owned(),
            training_json: "{\"rows\":2357}".to_owned(),
        }
    }

    #[test]
    fn cards_come_back_whatever_their_schema() {
        for unit in TimeUnit::ALL.into_iter().map(Some).chain([None]) {
            let card = card(unit);
            assert_eq!(ModelCard::try_from(pb::Model::from(card.clone())), Ok(card));
        }
    }

    #[test]
    fn unknown_numbers_are_refused_with_their_path() {
        let mut model = pb::Model::from(card(None));
        model.schema.as_mut().unwrap().fields[5].missing_rule = 77;
        let error = ModelCard::try_from(model).unwrap_err();
        assert_eq!(error.field, "schema.fields[5].missing_rule");
    }
}
