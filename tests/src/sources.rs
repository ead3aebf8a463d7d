//! The text files of the workspace.

use crate::{lexer, root};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing written by hand.
const SKIPPED: [&str; 8] = [
    "target",
    ".git",
    ".venv",
    "dist",
    "demo-out",
    "__pycache__",
    "gen",
    "node_modules",
];

/// A text file of the workspace.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path below the root, with forward slashes.
    pub path: String,
    /// Content.
    pub text: String,
}

impl Source {
    /// The code without comments and literals, for Rust sources.
    #[must_use]
    pub fn code(&self) -> String {
        lexer::blank(&self.text)
    }

    /// [`Source::code`] without test modules.
    #[must_use]
    pub fn shipped_code(&self) -> String {
        lexer::without_tests(&self.code())
    }
}

/// Files below `folder` (empty: the whole workspace) whose name ends in one of `endings`.
#[must_use]
pub fn files(folder: &str, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Rust sources below `folder`, generated ones excluded.
#[must_use]
pub fn rust(folder: &str) -> Vec<Source> {
    files(folder, &[".rs"])
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) && !name.starts_with(".") {
                collect(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.extend(read(&path));
        }
    }
}

fn read(path: &PathBuf) -> Option<Source> {
    let text = fs::read_to_string(path).ok()?;
    let below = path.strip_prefix(root()).ok()?;
    let parts: Vec<String> = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    Some(Source {
        path: parts.join("/"),
        text,
    })
}

/// Lines of `code` that contain `needle` not preceded by a letter, digit or underscore, as
/// `path:line: text` with the text of the original file.
#[must_use]
pub fn hits(source: &Source, code: &str, needle: &str) -> Vec<String> {
    let wordy = |c: char| c.is_alphanumeric() || c == '_';
    let starts_wordy = needle.starts_with(wordy);
    let matches = |line: &str| {
        line.match_indices(needle)
            .any(|(at, _)| !starts_wordy || !line.get(..at).unwrap_or_default().ends_with(wordy))
    };
    let shown = source.text.lines().zip(code.lines()).enumerate();
    shown
        .filter(|(_, (_, line))| matches(line))
        .map(|(index, (text, _))| format!("{}:{}: {}", source.path, index + 1, text.trim()))
        .collect()
}
