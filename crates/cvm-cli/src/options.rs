//! Arguments to the engine's options.

use crate::failure::Failure;
use cvm::TimeUnit;
use serde_json::{Map, Value};

/// A time unit by name.
pub fn time_unit(argument: &str, text: &str) -> Result<TimeUnit, Failure> {
    TimeUnit::parse(text).ok_or_else(|| {
        let names: Vec<&str> = TimeUnit::ALL.iter().map(|unit| unit.name()).collect();
        let why = format!("is \"{text}\": must be one of {}", names.join(", "));
        Failure::argument(argument, why)
    })
}

/// `NAME=JSON` settings; a value that is not JSON is text.
pub fn settings(argument: &str, pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for pair in pairs {
        let (name, text) = split(argument, pair)?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        if map.insert(name.to_owned(), value).is_some() {
            return Err(Failure::argument(argument, format!("gives `{name}` twice")));
        }
    }
    Ok(map)
}

/// `NAME=VALUE` with a number for a value.
pub fn number(argument: &str, pair: &str) -> Result<(String, f64), Failure> {
    let (name, text) = split(argument, pair)?;
    match text.parse() {
        Ok(value) => Ok((name.to_owned(), value)),
        Err(_) => {
            let why = format!("has \"{text}\" for `{name}`: must be a number");
            Err(Failure::argument(argument, why))
        }
    }
}

/// Both sides of the first `=`.
pub fn split<'a>(argument: &str, pair: &'a str) -> Result<(&'a str, &'a str), Failure> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name, value)),
        _ => {
            let why = format!("is \"{pair}\": must be NAME=VALUE");
            Err(Failure::argument(argument, why))
        }
    }
}

/// Threads to use: all there are for 0.
pub fn thread_count(requested: usize) -> usize {
    if requested > 0 {
        return requested;
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
