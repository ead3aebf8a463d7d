//! `cvm keygen` and `cvm sign`: keys, and detached signatures of model files.

use crate::args::{KeygenArgs, SignArgs};
use crate::failure::Failure;
use crate::models::{at, open};
use crate::render::print;
use cvm::repository::{is_model_id, replace_file};
use cvm::signature::{PublicKey, Signature, SigningKey};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs `cvm keygen`; no file is overwritten.
pub fn run_keygen(args: &KeygenArgs) -> Result<(), Failure> {
    let key = SigningKey::generate()?;
    let mut public = args.output.clone().into_os_string();
    public.push(".pub");
    let public = PathBuf::from(public);
    create(&args.output, &key.to_pem(), 0o600)?;
    create(&public, &key.public().to_pem(), 0o644)?;
    let (file, id) = (public.display(), key.public().id());
    print(&format!("key {id}: {} and {file}\n", args.output.display()))
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    permit(&mut options, mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::file(path, &error))
}

#[cfg(unix)]
fn permit(options: &mut OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(mode);
}

#[cfg(not(unix))]
fn permit(_options: &mut OpenOptions, _mode: u32) {}

/// Runs `cvm sign`: only a sound model is signed.
pub fn run(args: &SignArgs) -> Result<(), Failure> {
    if !is_model_id(&args.model) {
        let why = "must be 1 to 64 of a-z, 0-9, `-` and `_`";
        return Err(Failure::argument("--model", why));
    }
    let key = SigningKey::from_pem(&text(&args.key)?).map_err(|error| at(&args.key, error))?;
    open(&args.file)?;
    let bytes = std::fs::read(&args.file).map_err(|error| Failure::file(&args.file, &error))?;
    let signature = key.sign(&args.model, args.counter, &bytes);
    let path = Signature::path_of(&args.file);
    replace_file(&path, signature.to_text()?.as_bytes())?;
    let (file, counter) = (path.display(), args.counter);
    print(&format!(
        "{file}: {} {counter} by key {}\n",
        args.model, signature.key
    ))
}

/// The keys of a file.
pub fn keys(path: &Path) -> Result<Vec<PublicKey>, Failure> {
    let keys = PublicKey::all_from_pem(&text(path)?);
    keys.map_err(|error| at(path, error).into())
}

/// Holds the signature of a file against keys; says whose it is.
pub fn signed(
    path: &Path,
    name: &str,
    keys: &[PublicKey],
    model: Option<&str>,
) -> Result<String, cvm::Error> {
    let Some(signature) = Signature::beside(path)? else {
        let why = format!("no signature {}", Signature::path_of(path).display());
        return Err(cvm::Error::new(cvm::ErrorKind::Corrupt, why));
    };
    let bytes = std::fs::read(path)
        .map_err(|error| cvm::Error::new(cvm::ErrorKind::InvalidInput, error.to_string()))?;
    signature.verify(keys, model.unwrap_or(&signature.model), &bytes)?;
    let Signature {
        model,
        counter,
        key,
        ..
    } = signature;
    Ok(format!(
        "{name}: signed for {model} with counter {counter} by key {key}\n"
    ))
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))
}
