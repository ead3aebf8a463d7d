//! Feature dictionaries in files: JSON, or TOML by the ending.

use crate::failure::Failure;
use crate::models::at;
use cvm::{ErrorKind, FeatureDictionary};
use std::path::Path;

/// Largest file read.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a dictionary.
pub fn read(path: &Path) -> Result<FeatureDictionary, Failure> {
    let wrong = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        cvm::Error::new(kind, format!("{}: {error}", path.display()))
    };
    let size = std::fs::metadata(path).map_err(wrong)?.len();
    if size > MAX_BYTES {
        let why = format!("has {size} bytes: at most {MAX_BYTES} are read");
        return Err(Failure::argument("--dictionary", why));
    }
    let text = std::fs::read_to_string(path).map_err(wrong)?;
    let garbled = |error: String| Failure::argument("--dictionary", error);
    let is_toml = path.extension().is_some_and(|ending| ending == "toml");
    let value = if is_toml {
        toml::from_str(&text).map_err(|error| garbled(error.to_string()))?
    } else {
        serde_json::from_str(&text).map_err(|error| garbled(error.to_string()))?
    };
    Ok(FeatureDictionary::from_json(value).map_err(|error| at(path, error))?)
}
