//! Artifact to bytes: the same artifact always gives the same bytes.

use crate::header::Header;
use crate::limits::MAX_FILE_BYTES;
use crate::rules::{self, Breach};
use crate::{Artifact, ArtifactError, json, layout, payload};

/// Bytes of the file; equal artifacts give equal bytes, whatever the order of their maps.
///
/// # Errors
/// [`ArtifactError::Invalid`]: the artifact breaks a rule or a limit of the format.
pub fn encode(artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
    check(artifact)?;
    let header = header_bytes(artifact).map_err(Breach::on_writing)?;
    let sections = [
        (layout::HEADER, header),
        (layout::ARRAYS, arrays(artifact)),
        (layout::PROBE_INPUTS, probe_inputs(artifact)),
        (layout::PROBE_SCORES, probe_scores(artifact)),
        (layout::PROBE_STATUS, probe_status(artifact)),
    ];
    layout::pack(&sections).map_err(|error| Breach::new("file", error.to_string()).on_writing())
}

/// Whether the artifact keeps the rules and limits of the format.
///
/// # Errors
/// [`ArtifactError::Invalid`], as [`encode`].
pub fn check(artifact: &Artifact) -> Result<(), ArtifactError> {
    rules::check(artifact).map_err(Breach::on_writing)?;
    check_size(artifact).map_err(Breach::on_writing)
}

/// Refuses what cannot fit before building it.
fn check_size(artifact: &Artifact) -> Result<(), Breach> {
    let arrays = artifact.state.arrays.iter().map(|array| array.values.len());
    let probe = &artifact.probe;
    let columns = probe.rows.columns.len() + probe.scores.len();
    let count = arrays
        .chain([columns * probe.rows.row_count])
        .fold(0, usize::saturating_add);
    if count <= MAX_FILE_BYTES / 8 {
        return Ok(());
    }
    let problem = format!(
        "has {count} numbers, at most {} allowed",
        MAX_FILE_BYTES / 8
    );
    Err(Breach::new("artifact", problem))
}

/// The header, read back: what is written can be read under the same limits.
fn header_bytes(artifact: &Artifact) -> Result<Vec<u8>, Breach> {
    let refuse = |problem: String| Breach::new("header", problem);
    let header = serde_json::to_value(Header::of(artifact)).map_err(|e| refuse(e.to_string()))?;
    let bytes = json::render(&header).map_err(refuse)?.into_bytes();
    json::parse(&bytes).map_err(refuse)?;
    Ok(bytes)
}

fn arrays(artifact: &Artifact) -> Vec<u8> {
    let mut out = Vec::new();
    for array in &artifact.state.arrays {
        payload::push_numbers(&mut out, &array.values);
    }
    out
}

fn probe_inputs(artifact: &Artifact) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, column) in &artifact.probe.rows.columns {
        payload::push_column(&mut out, column);
    }
    out
}

fn probe_scores(artifact: &Artifact) -> Vec<u8> {
    let mut out = Vec::new();
    for (_, values) in &artifact.probe.scores {
        payload::push_numbers(&mut out, values);
    }
    out
}

fn probe_status(artifact: &Artifact) -> Vec<u8> {
    let mut out = Vec::new();
    for status in &artifact.probe.status {
        payload::push_status(&mut out, *status);
    }
    out
}
