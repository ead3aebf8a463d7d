//! A folder of its own for each test, and the binary run in it.

use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The binary under test.
pub fn cvm() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cvm"))
}

/// A folder that goes away with the test.
pub struct Workspace(TempDir);

/// What a run said.
#[derive(Debug)]
pub struct Said {
    /// Arguments, for messages.
    args: Vec<String>,
    /// Exit code.
    code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Workspace {
    /// An empty folder.
    pub fn new() -> Self {
        Workspace(tempfile::tempdir().expect("a temporary folder"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file");
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).expect("a text file")
    }

    /// Runs the binary in the folder.
    pub fn run(&self, args: &[&str]) -> Said {
        let output = cvm()
            .current_dir(self.path())
            .args(args)
            .output()
            .expect("the binary runs");
        Said {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// The run must have succeeded.
    pub fn ok(self) -> Self {
        self.fails(0)
    }

    /// The run must have ended with `code`.
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{:?}: {}", self.args, self.stderr);
        self
    }
}
