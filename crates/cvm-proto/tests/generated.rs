//! The committed code in `src/gen` is what `proto/` generates. To rewrite it after a change there:
//! `CVM_REGENERATE=1 cargo test -p cvm-proto --no-default-features --test generated`.

use prost::Message;
use std::error::Error;
use std::path::{Path, PathBuf};

/// Generated files: the Rust code, and the descriptors that reflection serves.
const FILES: [&str; 4] = [
    "cvm.v1.rs",
    "cvm.admin.v1.rs",
    "inference.rs",
    "descriptors.bin",
];

const PROTOS: [&str; 8] = [
    "cvm/v1/frame.proto",
    "cvm/v1/schema.proto",
    "cvm/v1/scoring.proto",
    "cvm/v1/scoring_service.proto",
    "cvm/v1/model_service.proto",
    "cvm/admin/v1/admin_service.proto",
    "inference/v2/inference_service.proto",
    "inference/v2/model_config.proto",
];

fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Generates everything into `out`.
fn generate(out: &Path) -> Result<(), Box<dyn Error>> {
    let descriptors = protox::compile(PROTOS, [crate_dir().join("../../proto")])?;
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .extern_path(".cvm.v1.DoubleValues", "crate::DoubleValues")
        .build_transport(false)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .out_dir(out)
        .compile_fds(descriptors)?;
    for code in FILES.into_iter().filter(|file| file.ends_with(".rs")) {
        let code = out.join(code);
        std::fs::write(&code, with_request_codec(&std::fs::read_to_string(&code)?))?;
    }
    Ok(())
}

/// Servers decode with a codec of their own: bytes that are not the message are the caller's fault.
fn with_request_codec(code: &str) -> String {
    let mut in_server = false;
    let mut out = String::with_capacity(code.len());
    for line in code.lines() {
        if let Some(module) = line.strip_prefix("pub mod ") {
            in_server = module.ends_with("_server {");
        }
        if in_server {
            out.push_str(&line.replace("tonic_prost::ProstCodec", "crate::RequestCodec"));
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

#[test]
fn committed_code_is_what_proto_generates() -> Result<(), Box<dyn Error>> {
    let committed = crate_dir().join("src/gen");
    if std::env::var_os("CVM_REGENERATE").is_some() {
        return generate(&committed);
    }
    let fresh = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gen");
    std::fs::create_dir_all(&fresh)?;
    generate(&fresh)?;
    for file in FILES {
        let (old, new) = (
            std::fs::read(committed.join(file))?,
            std::fs::read(fresh.join(file))?,
        );
        assert!(!new.is_empty(), "{file} is empty");
        assert!(
            old == new,
            "src/gen/{file} is stale: run CVM_REGENERATE=1 cargo test -p cvm-proto"
        );
    }
    Ok(())
}

#[test]
fn every_proto_file_is_generated() -> Result<(), Box<dyn Error>> {
    let mut found = Vec::new();
    for package in ["cvm/v1", "cvm/admin/v1", "inference/v2"] {
        for entry in std::fs::read_dir(crate_dir().join("../../proto").join(package))? {
            found.push(format!(
                "{package}/{}",
                entry?.file_name().to_string_lossy()
            ));
        }
    }
    found.sort();
    let mut listed: Vec<String> = PROTOS.map(str::to_owned).to_vec();
    listed.sort();
    assert_eq!(found, listed);
    Ok(())
}
