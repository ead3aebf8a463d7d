//! Files of the log: named by their beginning, one after the other, each up to a size.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long nothing is tried after the log could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// The files of a log.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    max_bytes: u64,
    /// Number of the newest file of this process.
    number: u32,
    open: Option<Open>,
    /// Since when, and why, nothing can be written.
    broken: Option<(Instant, String)>,
}

#[derive(Debug)]
struct Open {
    file: BufWriter<File>,
    bytes: u64,
}

impl Files {
    /// Makes the folder, and the first file in it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn begin(folder: PathBuf, max_bytes: u64) -> Result<Files, String> {
        let failed = |error: std::io::Error| format!("the audit log {}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let open = Open::new(&folder, 1).map_err(failed)?;
        Ok(Files {
            folder,
            max_bytes,
            number: 1,
            open: Some(open),
            broken: None,
        })
    }

    /// Writes a line; whether it is written. After a failure a new file is begun, since the last one may
    /// end in the middle of a line.
    pub(super) fn write(&mut self, line: &[u8]) -> bool {
        if let Some((since, _)) = &self.broken
            && since.elapsed() < PAUSE
        {
            return false;
        }
        let written = self.try_write(line);
        match written {
            Ok(()) => {
                if self.broken.take().is_some() {
                    tracing::info!(folder = ?self.folder, "the audit log is written again");
                }
                true
            }
            Err(error) => {
                self.give_up(&error);
                false
            }
        }
    }

    /// Hands what is written to the system.
    pub(super) fn flush(&mut self) {
        let flushed = self.open.as_mut().map(|open| open.file.flush());
        if let Some(Err(error)) = flushed {
            self.give_up(&error);
        }
    }

    /// Puts what is written on the disk.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.close()
        {
            self.give_up(&error);
        }
    }

    fn try_write(&mut self, line: &[u8]) -> std::io::Result<()> {
        let size = line.len() as u64;
        let full = |open: &Open| open.bytes > 0 && open.bytes + size > self.max_bytes;
        if self.open.as_ref().is_some_and(full)
            && let Some(full) = self.open.take()
        {
            full.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                self.number += 1;
                self.open.insert(Open::new(&self.folder, self.number)?)
            }
        };
        open.file.write_all(line)?;
        open.bytes += size;
        Ok(())
    }

    fn give_up(&mut self, error: &std::io::Error) {
        self.open = None;
        let why = error.to_string();
        if self.broken.as_ref().is_none_or(|(_, told)| *told != why) {
            tracing::error!(folder = ?self.folder, %error, "the audit log cannot be written; records are lost");
        }
        self.broken = Some((Instant::now(), why));
    }
}

impl Open {
    /// `audit-20261127T104949Z-4711-0001.jsonl`: in order of time, for its owner only.
    fn new(folder: &Path, number: u32) -> std::io::Result<Open> {
        let seconds: String = instant(SystemTime::now()).chars().take(19).collect();
        let begun: String = seconds.chars().filter(|c| !"-:".contains(*c)).collect();
        let process = std::process::id();
        let name = format!("audit-{begun}Z-{process}-{number:04}.jsonl");
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        permit(&mut options);
        Ok(Open {
            file: BufWriter::new(options.open(folder.join(name))?),
            bytes: 0,
        })
    }

    fn close(self) -> std::io::Result<()> {
        let file = self.file.into_inner().map_err(|error| error.into_error())?;
        file.sync_data()
    }
}

#[cfg(unix)]
fn permit(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn permit(_options: &mut OpenOptions) {}

/// A moment as RFC 3339 writes it.
pub(super) fn instant(time: SystemTime) -> String {
    prost_types::Timestamp::from(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::Files;
    use tempfile::TempDir;

    fn contents(folder: &TempDir) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect()
    }

    #[test]
    fn a_full_file_is_followed_by_another_and_no_line_is_cut() {
        let folder = TempDir::new().unwrap();
        let mut files = Files::begin(folder.path().to_owned(), 10).unwrap();
        for line in ["1234\n", "6789\n", "b\n", "longer than a file\n", "c\n"] {
            assert!(files.write(line.as_bytes()));
        }
        files.close();
        let expected = ["1234\n6789\n", "b\n", "longer than a file\n", "c\n"];
        assert_eq!(
            contents(&folder),
            expected.map(|text| text.as_bytes().to_vec())
        );
    }

    #[test]
    fn a_folder_that_goes_away_loses_records_and_nothing_else() {
        let folder = TempDir::new().unwrap();
        let inside = folder.path().join("log");
        let mut files = Files::begin(inside.clone(), 3).unwrap();
        assert!(files.write(b"1\n"));
        files.flush();
        std::fs::remove_dir_all(&inside).unwrap();
        assert!(!files.write(b"22\n"));
        std::fs::create_dir(&inside).unwrap();
        assert!(!files.write(b"33\n"), "not tried again at once");
        std::thread::sleep(super::PAUSE);
        assert!(files.write(b"44\n"));
        files.close();
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 1);
    }
}
