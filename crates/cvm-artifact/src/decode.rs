//! Bytes to artifact: everything is verified before anything is believed.

use crate::header::{ArrayEntry, FORMAT, Header, ProbeEntry};
use crate::layout::Sections;
use crate::limits::{MAX_ARRAYS, MAX_COLUMNS, MAX_PROBE_ROWS};
use crate::payload::{self, Reader};
use crate::rules::{self, Breach};
use crate::{Artifact, ArtifactError, FORMAT_VERSION, Fingerprint, Probe, json, layout};
use cvm_core::{Array, Frame, InputSchema, ModelState, ScoreOptions};
use serde_json::Value;

/// Extensions this build understands, beyond version 1 as it began.
const KNOWN_EXTENSIONS: [&str; 0] = [];

/// Reads and verifies a whole file: layout, checksums, hash, header, values, rules.
///
/// # Errors
/// Anything that is not exactly a file this or an older version wrote.
pub fn decode(bytes: &[u8]) -> Result<(Artifact, Fingerprint), ArtifactError> {
    let sections = layout::unpack(bytes)?;
    let header = read_header(sections.get(layout::HEADER))?;
    let artifact = assemble(header, &sections).map_err(Breach::on_reading)?;
    rules::check(&artifact).map_err(Breach::on_reading)?;
    Ok((artifact, sections.fingerprint))
}

/// Checks a file as [`decode`] does and gives its fingerprint.
///
/// Whether the model still reproduces its probe scores is for the crate that can score.
///
/// # Errors
/// As [`decode`].
pub fn verify(bytes: &[u8]) -> Result<Fingerprint, ArtifactError> {
    decode(bytes).map(|(_, fingerprint)| fingerprint)
}

fn read_header(bytes: &[u8]) -> Result<Header, ArtifactError> {
    let value = json::parse(bytes).map_err(|problem| ArtifactError::Header { problem })?;
    check_extensions(&value)?;
    let not_understood = |problem: String| ArtifactError::HeaderContent { problem };
    let header: Header =
        serde_json::from_value(value.clone()).map_err(|e| not_understood(e.to_string()))?;
    if header.format != FORMAT || header.format_version != FORMAT_VERSION {
        let Header {
            format,
            format_version,
            ..
        } = header;
        return Err(not_understood(format!(
            "is of format {format} {format_version}, expected {FORMAT} {FORMAT_VERSION}"
        )));
    }
    // What the types read leniently, an absent option or a number of another type, is refused here.
    let again = serde_json::to_value(&header).map_err(|e| not_understood(e.to_string()))?;
    match differing_key(&value, &again) {
        None => Ok(header),
        Some(key) => Err(not_understood(format!(
            "`{key}` is not as this format writes it"
        ))),
    }
}

/// Asked first: whoever requires an extension may have changed anything else as well.
fn check_extensions(header: &Value) -> Result<(), ArtifactError> {
    let required = header.get("required_extensions").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    for name in names {
        if !KNOWN_EXTENSIONS.contains(&name) {
            return Err(ArtifactError::UnsupportedExtension {
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

fn differing_key(found: &Value, written: &Value) -> Option<String> {
    let (found, written) = (found.as_object()?, written.as_object()?);
    let differs = |key: &&String| found.get(*key) != written.get(*key);
    written.keys().chain(found.keys()).find(differs).cloned()
}

fn assemble(header: Header, sections: &Sections<'_>) -> Result<Artifact, Breach> {
    let Header {
        arrays,
        extensions: _,
        format: _,
        format_version: _,
        kind,
        metadata,
        outputs,
        probe,
        required_extensions: _,
        schema,
        settings,
        training,
    } = header;
    let arrays = read_arrays(arrays, sections)?;
    Ok(Artifact {
        state: ModelState {
            kind,
            settings,
            arrays,
        },
        schema: InputSchema::from(schema),
        outputs,
        training,
        metadata,
        probe: read_probe(probe, sections)?,
    })
}

fn read_arrays(entries: Vec<ArrayEntry>, sections: &Sections<'_>) -> Result<Vec<Array>, Breach> {
    check_limit("arrays", entries.len(), MAX_ARRAYS)?;
    let expected_bytes = payload::arrays_bytes(&entries);
    let mut reader = Reader::new("arrays", sections.get(layout::ARRAYS), expected_bytes)?;
    let arrays = entries.into_iter().map(|entry| reader.array(entry));
    arrays.collect()
}

fn read_probe(entry: ProbeEntry, sections: &Sections<'_>) -> Result<Probe, Breach> {
    let ProbeEntry {
        arithmetic,
        columns,
        options,
        row_count,
        scores,
    } = entry;
    check_limit("probe.row_count", row_count, MAX_PROBE_ROWS)?;
    check_limit("probe.columns", columns.len(), MAX_COLUMNS)?;
    check_limit("probe.scores", scores.len(), MAX_COLUMNS)?;

    let expected_bytes = payload::columns_bytes(&columns, row_count);
    let inputs = sections.get(layout::PROBE_INPUTS);
    let mut reader = Reader::new("probe inputs", inputs, expected_bytes)?;
    let mut rows = Frame::new(row_count);
    for column in columns {
        let values = reader.column(column.of, row_count)?;
        rows.columns.push((column.name, values));
    }

    let expected_bytes = payload::scores_bytes(scores.len(), row_count);
    let values = sections.get(layout::PROBE_SCORES);
    let mut reader = Reader::new("probe scores", values, expected_bytes)?;
    let scores = scores
        .into_iter()
        .map(|name| Ok((name, reader.numbers(row_count)?)));
    let scores = scores.collect::<Result<_, Breach>>()?;

    let expected_bytes = payload::status_bytes(row_count);
    let status = sections.get(layout::PROBE_STATUS);
    let mut reader = Reader::new("probe status", status, expected_bytes)?;
    let status = (0..row_count).map(|row| reader.status(row));
    Ok(Probe {
        arithmetic,
        rows,
        options: ScoreOptions::from(options),
        scores,
        status: status.collect::<Result<_, Breach>>()?,
    })
}

fn check_limit(field: &str, found: usize, limit: usize) -> Result<(), Breach> {
    if found <= limit {
        return Ok(());
    }
    Err(Breach::new(
        field,
        format!("is {found}, at most {limit} allowed"),
    ))
}
