//! Settings from flags, the environment and a file, in this order of rank, and where each came from.
//!
//! The file is TOML and its keys are the flags' names: `max_rows = 1000` is `--max-rows 1000`. Its
//! values become the defaults of the command line, so that they are read, and refused, by the same code.

use crate::listen::{self, RunError};
use crate::settings::Settings;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

const CHECK: &str = "check-config";

/// What the command line asks for.
#[derive(Debug)]
pub enum Asked {
    /// To serve.
    Serve(Settings),
    /// To look at the settings only.
    Check(Config),
}

/// Settings, each with where it came from.
#[derive(Debug)]
pub struct Config {
    /// The settings.
    pub settings: Settings,
    lines: Vec<String>,
}

/// As a file for `--config`.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Config {
    /// Whether a server would start: settings fit each other, and every file they name can be used.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), RunError> {
        let settings = &self.settings;
        settings.check_exposure().map_err(RunError::Identity)?;
        listen::check(settings)
    }
}

/// Values of a file, as the command line would write them.
type Values = BTreeMap<String, Vec<String>>;

/// Reads a command line with its environment, and the file it names.
///
/// # Errors
/// What to print, and the exit code: of help and version too.
pub fn asked(line: impl IntoIterator<Item = OsString>) -> Result<Asked, clap::Error> {
    let line: Vec<OsString> = line.into_iter().collect();
    // Flags and environment first: they name the file, and what is wrong in them is not the file's.
    let first = command(&Values::new(), true).try_get_matches_from(&line)?;
    let (_, first) = chosen(&first);
    let Some(path) = first.get_one::<PathBuf>("config").cloned() else {
        return understood(
            &command(&Values::new(), false).try_get_matches_from(&line)?,
            None,
        );
    };
    let wrong = |why: String| {
        let why = format!("{}: {why}\n", path.display());
        command(&Values::new(), true).error(ErrorKind::InvalidValue, why)
    };
    let values = read(&path).map_err(&wrong)?;
    let matches = command(&values, false).try_get_matches_from(&line);
    let matches = matches.map_err(|error| wrong(plain(&error)))?;
    understood(&matches, Some(&values))
}

fn command(file: &Values, lenient: bool) -> Command {
    let check = Command::new(CHECK)
        .about("Prints every setting and where it came from, and checks the files they name");
    let all = |command| with_settings(command, file, lenient);
    all(Settings::command())
        .subcommand(all(Settings::augment_args(check)))
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
}

fn with_settings(command: Command, file: &Values, lenient: bool) -> Command {
    let config = Arg::new("config")
        .long("config")
        .env("CVM_CONFIG")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("File of settings (TOML): keys are the flags' names, with underscores");
    command
        .arg(config)
        .mut_args(|arg| match file.get(arg.get_id().as_str()) {
            Some(values) => arg.required(false).default_values(values),
            None if lenient => arg.required(false),
            None => arg,
        })
}

/// The matches that hold the settings, and whether they are to be checked only.
fn chosen(matches: &ArgMatches) -> (bool, &ArgMatches) {
    match matches.subcommand() {
        Some((_, matches)) => (true, matches),
        None => (false, matches),
    }
}

fn understood(matches: &ArgMatches, file: Option<&Values>) -> Result<Asked, clap::Error> {
    let (check, matches) = chosen(matches);
    let settings = Settings::from_arg_matches(matches)?;
    if !check {
        return Ok(Asked::Serve(settings));
    }
    let names = settings_names();
    let lines = names.iter().map(|name| told(name, matches, file)).collect();
    Ok(Asked::Check(Config { settings, lines }))
}

/// A setting as a line of a file, with where it came from.
fn told(name: &str, matches: &ArgMatches, file: Option<&Values>) -> String {
    let Some(raw) = matches.get_raw(name) else {
        return format!("# {name} is not set");
    };
    let values: Vec<String> = raw.map(|value| toml_of(&value.to_string_lossy())).collect();
    let value = match values.as_slice() {
        [value] => value.clone(),
        values => format!("[{}]", values.join(", ")),
    };
    let source = match matches.value_source(name) {
        Some(ValueSource::CommandLine) => "flag".to_owned(),
        Some(ValueSource::EnvVariable) => format!("environment, CVM_{}", name.to_uppercase()),
        _ if file.is_some_and(|file| file.contains_key(name)) => "file".to_owned(),
        _ => "default".to_owned(),
    };
    format!("{name} = {value}  # {source}")
}

fn toml_of(value: &str) -> String {
    match (value.parse::<i64>(), value) {
        (Ok(number), _) => number.to_string(),
        (Err(_), "true" | "false") => value.to_owned(),
        (Err(_), text) => toml::Value::String(text.to_owned()).to_string(),
    }
}

/// Names of all settings, in the order of the help.
fn settings_names() -> Vec<String> {
    names_of(|_| true)
}

fn names_of(which: impl Fn(&Arg) -> bool) -> Vec<String> {
    let command = Settings::augment_args(Command::new(CHECK));
    let named = command.get_arguments().filter(|arg| which(arg));
    named.map(|arg| arg.get_id().to_string()).collect()
}

/// Whether a setting may have several values.
fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn read(path: &Path) -> Result<Values, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
    let (known, lists) = (settings_names(), names_of(is_list));
    let unknown: Vec<String> = table
        .keys()
        .filter(|key| !known.contains(key))
        .map(|key| unknown(key, &known))
        .collect();
    if !unknown.is_empty() {
        return Err(unknown.join("; "));
    }
    table
        .into_iter()
        .map(|(key, value)| {
            let values = words(value).ok_or_else(|| format!("{key}: must be a plain value"))?;
            if values.len() > 1 && !lists.contains(&key) {
                return Err(format!("{key}: must be one value"));
            }
            Ok((key, values))
        })
        .collect()
}

/// Says that a key is unknown, and which known one it may have been meant to be.
fn unknown(key: &str, known: &[String]) -> String {
    let close = known
        .iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(key, name), name));
    let nearest = close.max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest.filter(|(likeness, _)| *likeness > 0.4) {
        Some((_, name)) => format!("unknown setting `{key}`; did you mean `{name}`?"),
        None => format!("unknown setting `{key}`"),
    }
}

/// A value as words of a command line; none if it is a table.
fn words(value: toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        // A whole number that a templating tool wrote as `5.0` is read as `5`.
        toml::Value::Float(number) => Some(vec![number.to_string()]),
        toml::Value::Boolean(truth) => Some(vec![truth.to_string()]),
        toml::Value::Array(values) => {
            let words: Option<Vec<Vec<String>>> = values.into_iter().map(words).collect();
            words.map(|words| words.concat())
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The first line of what clap says, without its word `error`.
fn plain(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}
