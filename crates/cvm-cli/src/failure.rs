//! Failures as a sentence on standard error and an exit code.

use cvm::ErrorKind;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::Path;
use std::process::ExitCode;

/// Exit code of a defect of this program.
pub const INTERNAL: u8 = 70;

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// An error of the engine or of the arguments.
    Error(cvm::Error),
    /// The reader of our output went away: nobody is left to tell.
    BrokenPipe,
}

impl From<cvm::Error> for Failure {
    fn from(error: cvm::Error) -> Self {
        Failure::Error(error)
    }
}

impl Failure {
    /// A wrong argument, by its name on the command line.
    pub fn argument(name: &str, description: impl Into<String>) -> Self {
        Failure::Error(cvm::Error::invalid(name, description))
    }

    /// A file the system refused.
    pub fn file(path: &Path, error: &io::Error) -> Self {
        let message = format!("{}: {error}", path.display());
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => return Failure::BrokenPipe,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        Failure::Error(cvm::Error::new(kind, message))
    }

    /// A defect of this program.
    pub fn defect(message: &str) -> Self {
        Failure::Error(cvm::Error::new(ErrorKind::Internal, message))
    }

    /// Standard output that could not be written.
    pub fn output(error: &io::Error) -> Self {
        Failure::file(Path::new("standard output"), error)
    }

    /// Says what went wrong; returns the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Failure::BrokenPipe => ExitCode::SUCCESS,
            Failure::Error(error) => {
                say(&explain(error));
                ExitCode::from(exit_code(error.kind))
            }
        }
    }
}

/// Whose fault it is, as a number for scripts.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidInput => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::Incompatible | ErrorKind::Corrupt => 4,
        ErrorKind::NotConverged => 5,
        ErrorKind::Overloaded | ErrorKind::Internal => INTERNAL,
    }
}

/// `error:` with one line per wrong field if there are several.
fn explain(error: &cvm::Error) -> String {
    if error.violations.len() < 2 {
        return format!("error: {}", error.message);
    }
    let lines: Vec<String> = error
        .violations
        .iter()
        .map(|violation| format!("  {}: {}", violation.field, violation.description))
        .collect();
    let count = error.violations.len();
    format!("error: {count} things are wrong\n{}", lines.join("\n"))
}

/// One message on standard error; there is nobody to tell if that fails.
pub fn say(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// A panic as a sentence that asks for a report.
pub fn print_panic(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map_or_else(String::new, |location| format!(" at {location}"));
    let payload = panic.payload();
    let owned = payload.downcast_ref::<String>().map(String::as_str);
    let words = owned.or_else(|| payload.downcast_ref::<&str>().copied());
    let words = words.unwrap_or("no message");
    say(&format!(
        "error: internal defect{place}: {words}\nplease report it with the command that caused it"
    ));
}

#[cfg(test)]
mod tests {
    use super::exit_code;
    use cvm::ErrorKind;

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        let table = [
            (ErrorKind::InvalidInput, 2),
            (ErrorKind::NotFound, 3),
            (ErrorKind::Incompatible, 4),
            (ErrorKind::Corrupt, 4),
            (ErrorKind::NotConverged, 5),
            (ErrorKind::Internal, 70),
        ];
        for (kind, code) in table {
            assert_eq!(exit_code(kind), code, "{kind:?}");
        }
    }
}
