//! `inference_service.proto`: a request of the Open Inference Protocol as a job, its answer, and what
//! a model is in the protocol's words.

use super::tensor::{from_raw, from_typed, packed, rows_of};
use super::{
    ConvertError, Encoding, MAX_COLUMNS, MAX_OUTPUTS, ModelCard, ModelName, ScoreAnswer, ScoreJob,
    shown,
};
use crate::inference as oip;
use crate::inference::infer_parameter::ParameterChoice;
use bytes::Bytes;
use cvm::{FieldKind, Frame, RowCode, ScoreOptions};
use std::collections::{HashMap, HashSet};

/// The output that tells what became of each row.
const ROW_STATUS: &str = "row_status";

/// A checked request, and the form its answer takes.
#[derive(Debug, Clone, PartialEq)]
pub struct InferJob {
    /// The rows and the options.
    pub job: ScoreJob,
    form: Form,
}

/// The form of an answer: that of its request.
#[derive(Debug, Clone, PartialEq)]
struct Form {
    model_name: String,
    raw: bool,
    /// Shape [rows, 1].
    wide: bool,
    /// Outputs in the order asked for; empty for the usual ones.
    names: Vec<String>,
    /// The answer is to say that it is the last one of its request.
    told_final: bool,
}

/// The model a name and a version, empty for the one served, mean.
///
/// # Errors
/// A name or a version that no model can have.
pub fn model_name(name: &str, version: &str) -> Result<ModelName, ConvertError> {
    let unknown = || {
        let why = format!("is {}: not the name of a model", shown(name));
        ConvertError::new("model_name", why)
    };
    if let Some((id, alias)) = name.split_once('@') {
        if !ModelName::is_id(id) || !ModelName::is_id(alias) || !version.is_empty() {
            return Err(unknown());
        }
        let (id, alias) = (id.to_owned(), alias.to_owned());
        return Ok(ModelName::Aliased { id, alias });
    }
    if !ModelName::is_id(name) {
        return Err(unknown());
    }
    let id = name.to_owned();
    if version.is_empty() {
        return Ok(ModelName::Served { id });
    }
    if !ModelName::is_version(version) {
        let why = format!("is {}: not a version of a model", shown(version));
        return Err(ConvertError::new("model_version", why));
    }
    let version = version.to_owned();
    Ok(ModelName::Pinned { id, version })
}

impl TryFrom<oip::ModelInferRequest> for InferJob {
    type Error = ConvertError;

    fn try_from(request: oip::ModelInferRequest) -> Result<InferJob, ConvertError> {
        let oip::ModelInferRequest {
            model_name: name,
            model_version,
            id,
            parameters,
            inputs,
            outputs,
            raw_input_contents,
        } = request;
        let model = model_name(&name, &model_version)?;
        let names = output_names(outputs)?;
        let told_final = parameters.get(ASKS_FINAL).is_some_and(is_true);
        let mut options = options_in(parameters)?;
        let scored = names.iter().filter(|name| *name != ROW_STATUS);
        options.outputs = scored.cloned().collect();
        let raw = !raw_input_contents.is_empty();
        let (frame, wide) = frame_in(inputs, raw_input_contents)?;
        Ok(InferJob {
            job: ScoreJob {
                model,
                frame,
                options,
                encoding: Encoding::DoublesLe,
                row_keys: Vec::new(),
                request_id: id,
            },
            form: Form {
                model_name: name,
                raw,
                wide,
                names,
                told_final,
            },
        })
    }
}

fn output_names(
    outputs: Vec<oip::model_infer_request::InferRequestedOutputTensor>,
) -> Result<Vec<String>, ConvertError> {
    if outputs.len() > MAX_OUTPUTS {
        let why = format!("names {}: at most {MAX_OUTPUTS} are allowed", outputs.len());
        return Err(ConvertError::new("outputs", why));
    }
    Ok(outputs.into_iter().map(|output| output.name).collect())
}

fn frame_in(
    inputs: Vec<oip::model_infer_request::InferInputTensor>,
    raw: Vec<Bytes>,
) -> Result<(Frame, bool), ConvertError> {
    if inputs.len() > MAX_COLUMNS {
        let why = format!("has {}: at most {MAX_COLUMNS} are allowed", inputs.len());
        return Err(ConvertError::new("inputs", why));
    }
    if !raw.is_empty() && raw.len() != inputs.len() {
        let why = format!("has {} items for {} inputs", raw.len(), inputs.len());
        return Err(ConvertError::new("raw_input_contents", why));
    }
    let mut shape: Option<(usize, bool)> = None;
    let mut seen = HashSet::with_capacity(inputs.len());
    let mut columns = Vec::with_capacity(inputs.len());
    let mut raw = raw.into_iter();
    for (index, input) in inputs.into_iter().enumerate() {
        let oip::model_infer_request::InferInputTensor {
            name,
            datatype,
            shape: own_shape,
            parameters: _,
            contents,
        } = input;
        let within = |error: ConvertError| error.under(format_args!("inputs[{index}]"));
        let own = rows_of(&own_shape).map_err(within)?;
        let (rows, _) = *shape.get_or_insert(own);
        if own.0 != rows {
            let why = format!("is {own_shape:?}: the first input has {rows} rows");
            return Err(within(ConvertError::new("shape", why)));
        }
        if !seen.insert(name.clone()) {
            let why = format!("{} is the name of an earlier input", shown(&name));
            return Err(within(ConvertError::new("name", why)));
        }
        let column = match raw.next() {
            Some(raw) => from_raw(&datatype, rows, &raw),
            None => from_typed(&datatype, rows, contents.unwrap_or_default()),
        };
        columns.push((name, column.map_err(within)?));
    }
    let (row_count, wide) = shape.unwrap_or((0, false));
    Ok((Frame { row_count, columns }, wide))
}

/// Triton's clients ask by it that the last answer to a request says so in [`FINAL`]; each request has
/// one answer here.
const ASKS_FINAL: &str = "triton_enable_empty_final_response";
const FINAL: &str = "triton_final_response";

fn is_true(parameter: &oip::InferParameter) -> bool {
    matches!(
        parameter.parameter_choice,
        Some(ParameterChoice::BoolParam(true))
    )
}

/// What stock clients send along: hints for a scheduler, which are none of ours.
const HINTS: [&str; 7] = [
    ASKS_FINAL,
    "sequence_id",
    "sequence_start",
    "sequence_end",
    "priority",
    "timeout",
    "binary_data_output",
];

fn options_in(
    parameters: HashMap<String, oip::InferParameter>,
) -> Result<ScoreOptions, ConvertError> {
    let mut options = ScoreOptions::default();
    for (name, parameter) in parameters {
        if HINTS.contains(&name.as_str()) {
            continue;
        }
        let Some(slot) = options.number_mut(&name) else {
            let why = format!("is unknown; known: {}", ScoreOptions::NUMBERS.join(", "));
            return Err(ConvertError::new(
                format!("parameters.{}", shown(&name)),
                why,
            ));
        };
        let value = number(parameter).ok_or_else(|| {
            let field = format!("parameters.{name}");
            ConvertError::new(field, "must be a number, or text that is one")
        })?;
        *slot = Some(value);
    }
    Ok(options)
}

#[allow(clippy::cast_precision_loss)]
fn number(parameter: oip::InferParameter) -> Option<f64> {
    match parameter.parameter_choice? {
        ParameterChoice::BoolParam(_) => None,
        ParameterChoice::Int64Param(value) => Some(value as f64),
        ParameterChoice::Uint64Param(value) => Some(value as f64),
        ParameterChoice::DoubleParam(value) => Some(value),
        ParameterChoice::StringParam(text) => text.trim().parse().ok(),
    }
}

/// One output before it is rendered.
enum Output {
    Numbers(Vec<f64>),
    Text(Vec<&'static str>),
}

impl InferJob {
    /// Splits the request from the form of its answer, which turns the answer into a message.
    pub fn split(
        self,
    ) -> (
        ScoreJob,
        impl FnOnce(ScoreAnswer) -> oip::ModelInferResponse + Send,
    ) {
        let form = self.form;
        (self.job, move |answer| form.render(answer))
    }
}

impl Form {
    fn render(self, answer: ScoreAnswer) -> oip::ModelInferResponse {
        let ScoreAnswer {
            model,
            row_count,
            outputs,
            statuses,
            issues,
            row_keys: _,
            request_id,
            // That protocol's requests cannot ask for them, and have no row keys to split by.
            reasons: _,
            row_models: _,
        } = answer;
        let version = model.model_version.rsplit_once("/versions/");
        let mut parameters = HashMap::from([
            ("fingerprint".to_owned(), text(model.fingerprint.clone())),
            ("kind".to_owned(), text(model.kind.clone())),
        ]);
        if self.told_final {
            let parameter_choice = Some(ParameterChoice::BoolParam(true));
            parameters.insert(FINAL.to_owned(), oip::InferParameter { parameter_choice });
        }
        if !issues.is_empty() {
            let said: Vec<&str> = issues.iter().map(|issue| issue.message.as_str()).collect();
            parameters.insert("row_errors".to_owned(), text(said.join("; ")));
        }
        let asked = self.names.iter().any(|name| name == ROW_STATUS);
        let told = asked || !statuses.is_empty();
        let mut rendered: Vec<(String, Output)> = outputs
            .into_iter()
            .map(|column| (column.name, Output::Numbers(column.values)))
            .collect();
        if told {
            let names = match statuses.is_empty() {
                true => vec![RowCode::Ok.name(); row_count],
                false => statuses.iter().map(|code| code.name()).collect(),
            };
            rendered.push((ROW_STATUS.to_owned(), Output::Text(names)));
        }
        // As asked for: the status may stand between the scores.
        let place = |name: &String| self.names.iter().position(|own| own == name);
        rendered.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
        let shape = shape(row_count, self.wide);
        let mut raw_output_contents = Vec::new();
        let mut tensors = Vec::with_capacity(rendered.len());
        for (name, output) in rendered {
            let (datatype, contents) = self.contents(output, &mut raw_output_contents);
            tensors.push(oip::model_infer_response::InferOutputTensor {
                name,
                datatype: datatype.to_owned(),
                shape: shape.clone(),
                parameters: HashMap::new(),
                contents,
            });
        }
        oip::ModelInferResponse {
            model_name: self.model_name,
            model_version: version.map_or_else(String::new, |(_, version)| version.to_owned()),
            id: request_id,
            parameters,
            outputs: tensors,
            raw_output_contents,
        }
    }

    fn contents(
        &self,
        output: Output,
        raw: &mut Vec<Bytes>,
    ) -> (&'static str, Option<oip::InferTensorContents>) {
        let empty = oip::InferTensorContents::default();
        match output {
            Output::Numbers(values) if self.raw => {
                raw.push(super::frame::bytes_from_numbers(values.into_iter()));
                ("FP64", None)
            }
            Output::Numbers(fp64_contents) => {
                let contents = oip::InferTensorContents {
                    fp64_contents,
                    ..empty
                };
                ("FP64", Some(contents))
            }
            Output::Text(texts) if self.raw => {
                raw.push(packed(texts.into_iter()));
                ("BYTES", None)
            }
            Output::Text(texts) => {
                let texts = texts
                    .into_iter()
                    .map(|text| Bytes::from_static(text.as_bytes()));
                let contents = oip::InferTensorContents {
                    bytes_contents: texts.collect(),
                    ..empty
                };
                ("BYTES", Some(contents))
            }
        }
    }
}

fn text(value: String) -> oip::InferParameter {
    oip::InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(value)),
    }
}

fn shape(rows: usize, wide: bool) -> Vec<i64> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    match wide {
        true => vec![rows, 1],
        false => vec![rows],
    }
}

/// Inputs and outputs of a model.
#[must_use]
pub fn model_metadata(card: &ModelCard) -> oip::ModelMetadataResponse {
    let tensor = |name: &str, datatype: &str| oip::model_metadata_response::TensorMetadata {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        // As the configuration has it: a batch of values with one dimension of one.
        shape: vec![-1, 1],
    };
    let fields = card.schema.fields.iter();
    let scores = card
        .outputs
        .iter()
        .map(|output| tensor(&output.name, "FP64"));
    oip::ModelMetadataResponse {
        name: id(card),
        versions: vec![card.version.clone()],
        platform: format!("cvm_{}", card.kind),
        inputs: fields
            .map(|field| match field.kind {
                FieldKind::Number { .. } => tensor(&field.name, "FP64"),
                FieldKind::Category { .. } => tensor(&field.name, "BYTES"),
            })
            .collect(),
        outputs: scores.chain([tensor(ROW_STATUS, "BYTES")]).collect(),
    }
}

/// A model's configuration, for batches of at most `max_rows`.
#[must_use]
pub fn model_config(card: &ModelCard, max_rows: usize) -> oip::ModelConfig {
    let parameter = |value: &str| oip::ModelParameter {
        string_value: value.to_owned(),
    };
    let output = |name: &str, data_type: oip::DataType| oip::ModelOutput {
        name: name.to_owned(),
        data_type: data_type.into(),
        dims: vec![1],
    };
    let fields = card.schema.fields.iter();
    let scores = card.outputs.iter();
    let scores = scores.map(|own| output(&own.name, oip::DataType::TypeFp64));
    oip::ModelConfig {
        name: id(card),
        platform: "cvm".to_owned(),
        max_batch_size: i32::try_from(max_rows).unwrap_or(i32::MAX),
        input: fields
            .map(|field| oip::ModelInput {
                name: field.name.clone(),
                data_type: match field.kind {
                    FieldKind::Number { .. } => oip::DataType::TypeFp64,
                    FieldKind::Category { .. } => oip::DataType::TypeString,
                }
                .into(),
                dims: vec![1],
                optional: false,
            })
            .collect(),
        output: scores
            .chain([output(ROW_STATUS, oip::DataType::TypeString)])
            .collect(),
        parameters: HashMap::from([
            ("kind".to_owned(), parameter(&card.kind)),
            ("fingerprint".to_owned(), parameter(&card.fingerprint)),
        ]),
        backend: "cvm".to_owned(),
        model_transaction_policy: Some(oip::ModelTransactionPolicy { decoupled: false }),
    }
}

fn id(card: &ModelCard) -> String {
    let name = card.name.strip_prefix("models/");
    name.unwrap_or(&card.name).to_owned()
}
