//! Whole files in and out: size checked before reading, written under another name and renamed.

use crate::ArtifactError;
use crate::limits::MAX_FILE_BYTES;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Reads a regular file of at most [`MAX_FILE_BYTES`]; symbolic links are followed.
///
/// # Errors
/// [`ArtifactError::Io`], or [`ArtifactError::Limit`] before reading a file that is too large.
pub fn read_file(path: impl AsRef<Path>) -> Result<Vec<u8>, ArtifactError> {
    let path = path.as_ref();
    let failed = |source| io_error("read", path, source);
    // Asked before opening: opening a pipe that nobody writes to would wait for ever.
    let facts = fs::metadata(path).map_err(failed)?;
    if facts.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if !facts.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(failed(source));
    }
    let length_bytes = usize::try_from(facts.len()).unwrap_or(usize::MAX);
    check_size(length_bytes)?;
    let mut bytes = Vec::with_capacity(length_bytes);
    // One byte more than allowed, in case the file grows under the reader.
    let mut bounded = File::open(path)
        .map_err(failed)?
        .take(MAX_FILE_BYTES as u64 + 1);
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    check_size(bytes.len())?;
    Ok(bytes)
}

fn check_size(length_bytes: usize) -> Result<(), ArtifactError> {
    if length_bytes <= MAX_FILE_BYTES {
        return Ok(());
    }
    Err(ArtifactError::limit(
        "length in bytes",
        length_bytes,
        MAX_FILE_BYTES,
    ))
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> ArtifactError {
    ArtifactError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

/// Tries at a name for the temporary file: one left by a crash may bear the same.
const MAX_TEMPORARY_NAMES: usize = 1_000;

/// Writes a file so that whoever looks sees the old file or the whole new one, and so that the new
/// one survives a power cut once this returns: a temporary file `.cvm-*.tmp` in the same folder,
/// synced, renamed over `path`, the folder synced.
///
/// A symbolic link at `path` is replaced, not followed.
///
/// # Errors
/// [`ArtifactError::Io`]; until the rename the old file is as it was and the temporary one removed.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), ArtifactError> {
    let path = path.as_ref();
    let failed = |source| io_error("write", path, source);
    let folder = folder_of(path).map_err(failed)?;
    let (file, temporary) = create_temporary(&folder).map_err(failed)?;
    let written = write_synced(file, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // The first error is the one to tell; a leftover is only untidy.
        let _ = fs::remove_file(&temporary);
        return Err(failed(source));
    }
    sync_folder(&folder).map_err(failed)
}

fn folder_of(path: &Path) -> io::Result<PathBuf> {
    if path.file_name().is_none() {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok(match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    })
}

fn create_temporary(folder: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    for _ in 0..MAX_TEMPORARY_NAMES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".cvm-{process}-{number}.tmp"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, path)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn write_synced(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// The rename is durable only once its folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be opened as files here.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{read_file, write_file};
    use crate::limits::MAX_FILE_BYTES;
    use cvm_core::ErrorKind;
    use std::fs::{self, File};

    #[test]
    fn files_come_back_and_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.cvm");
        write_file(&path, b"first, longer").unwrap();
        write_file(&path, b"second").unwrap();
        assert_eq!(read_file(&path).unwrap(), b"second");
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 1, "temporary files must not stay");
    }

    #[test]
    fn temporary_files_left_by_a_crash_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..200 {
            let name = format!(".cvm-{}-{number}.tmp", std::process::id());
            fs::write(folder.path().join(name), b"left").unwrap();
        }
        let path = folder.path().join("model.cvm");
        write_file(&path, b"new").unwrap();
        assert_eq!(read_file(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 201);
    }

    #[test]
    fn a_sparse_10_gb_file_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.cvm");
        let file = File::create(&path).unwrap();
        file.set_len(10_000_000_000).unwrap();
        let message = read_file(&path).unwrap_err().to_string();
        assert!(message.contains("10000000000"), "{message}");
        file.set_len(MAX_FILE_BYTES as u64 + 1).unwrap();
        assert!(read_file(&path).is_err());
    }

    #[test]
    fn paths_that_are_no_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent.cvm");
        assert_eq!(read_file(&absent).unwrap_err().kind(), ErrorKind::NotFound);
        let inside = absent.join("model.cvm");
        assert_eq!(
            write_file(inside, b"x").unwrap_err().kind(),
            ErrorKind::NotFound
        );
        let a_folder = read_file(folder.path()).unwrap_err();
        assert_eq!(a_folder.kind(), ErrorKind::InvalidInput);
        assert!(write_file(folder.path(), b"x").is_err());
        assert!(write_file("..", b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_instead_of_read_for_ever() {
        let error = read_file("/dev/zero").unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}
