//! The header of version 1 as its own types, so that the file does not change when a domain type does.

use crate::{Artifact, OutputInfo};
use cvm_core::{
    Domain, FieldKind, FrameColumn, InputField, InputSchema, MissingRule, ScoreOptions, TimeUnit,
    UnseenRule,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Value of `format`.
pub(crate) const FORMAT: &str = "cvm-artifact";

/// The header object; every key is always present.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) arrays: Vec<ArrayEntry>,
    pub(crate) extensions: Map<String, Value>,
    pub(crate) format: String,
    pub(crate) format_version: u32,
    pub(crate) kind: String,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) outputs: Vec<OutputInfo>,
    pub(crate) probe: ProbeEntry,
    pub(crate) required_extensions: Vec<String>,
    pub(crate) schema: SchemaEntry,
    pub(crate) settings: Map<String, Value>,
    pub(crate) training: Map<String, Value>,
}

/// Name and shape of an array; its values follow those of the entry before.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArrayEntry {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeEntry {
    pub(crate) arithmetic: u32,
    pub(crate) columns: Vec<ColumnEntry>,
    pub(crate) options: OptionsEntry,
    pub(crate) row_count: usize,
    pub(crate) scores: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnEntry {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) of: ColumnType,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ColumnType {
    Numbers,
    Text { dictionary: Vec<String> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptionsEntry {
    horizon_periods: Option<f64>,
    discount_rate_per_year: Option<f64>,
    margin: Option<f64>,
    outputs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    purchases: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantile: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_per_period: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_per_order: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interval_level: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elapsed_periods: Option<f64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaEntry {
    fields: Vec<FieldEntry>,
    time_unit: Option<TimeUnit>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    name: String,
    #[serde(rename = "type")]
    of: FieldType,
    unit: String,
    missing: MissingRule,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FieldType {
    Number {
        domain: Domain,
    },
    Category {
        levels: Vec<String>,
        unseen: UnseenRule,
    },
}

impl Header {
    /// Header of an artifact without extensions.
    pub(crate) fn of(artifact: &Artifact) -> Self {
        let arrays = artifact.state.arrays.iter().map(|array| ArrayEntry {
            name: array.name.clone(),
            shape: array.shape.clone(),
        });
        Header {
            arrays: arrays.collect(),
            extensions: Map::new(),
            format: FORMAT.to_owned(),
            format_version: crate::FORMAT_VERSION,
            kind: artifact.state.kind.clone(),
            metadata: artifact.metadata.clone(),
            outputs: artifact.outputs.clone(),
            probe: ProbeEntry::of(&artifact.probe),
            required_extensions: Vec::new(),
            schema: SchemaEntry::from(&artifact.schema),
            settings: artifact.state.settings.clone(),
            training: artifact.training.clone(),
        }
    }
}

impl ProbeEntry {
    fn of(probe: &crate::Probe) -> Self {
        let columns = probe.rows.columns.iter().map(|(name, column)| ColumnEntry {
            name: name.clone(),
            of: ColumnType::of(column),
        });
        ProbeEntry {
            arithmetic: probe.arithmetic,
            columns: columns.collect(),
            options: OptionsEntry::from(&probe.options),
            row_count: probe.rows.row_count,
            scores: probe.scores.iter().map(|(name, _)| name.clone()).collect(),
        }
    }
}

impl ColumnType {
    fn of(column: &FrameColumn) -> Self {
        match column {
            FrameColumn::Numbers(_) => ColumnType::Numbers,
            FrameColumn::Text { dictionary, .. } => ColumnType::Text {
                dictionary: dictionary.clone(),
            },
        }
    }
}

impl From<&ScoreOptions> for OptionsEntry {
    fn from(options: &ScoreOptions) -> Self {
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
            // Of a call, not of a probe.
            reasons: _,
        } = options.clone();
        OptionsEntry {
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
        }
    }
}

impl From<OptionsEntry> for ScoreOptions {
    fn from(entry: OptionsEntry) -> Self {
        let OptionsEntry {
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
        } = entry;
        ScoreOptions {
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
            reasons: None,
        }
    }
}

impl From<&InputSchema> for SchemaEntry {
    fn from(schema: &InputSchema) -> Self {
        let InputSchema { fields, time_unit } = schema;
        SchemaEntry {
            fields: fields.iter().cloned().map(FieldEntry::from).collect(),
            time_unit: *time_unit,
        }
    }
}

impl From<SchemaEntry> for InputSchema {
    fn from(entry: SchemaEntry) -> Self {
        let SchemaEntry { fields, time_unit } = entry;
        InputSchema {
            fields: fields.into_iter().map(InputField::from).collect(),
            time_unit,
        }
    }
}

impl From<InputField> for FieldEntry {
    fn from(field: InputField) -> Self {
        let InputField {
            name,
            kind,
            unit,
            missing,
        } = field;
        let of = match kind {
            FieldKind::Number { domain } => FieldType::Number { domain },
            FieldKind::Category { levels, unseen } => FieldType::Category { levels, unseen },
        };
        FieldEntry {
            name,
            of,
            unit,
            missing,
        }
    }
}

impl From<FieldEntry> for InputField {
    fn from(entry: FieldEntry) -> Self {
        let FieldEntry {
            name,
            of,
            unit,
            missing,
        } = entry;
        let kind = match of {
            FieldType::Number { domain } => FieldKind::Number { domain },
            FieldType::Category { levels, unseen } => FieldKind::Category { levels, unseen },
        };
        InputField {
            name,
            kind,
            unit,
            missing,
        }
    }
}
