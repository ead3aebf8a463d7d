//! Versions and signatures as a script makes them: publish, keygen, sign, verify.

use crate::support::Workspace;
use cvm::repository::Manifest;
use std::fs;

fn model(at: &Workspace, name: &str, r: &str) {
    let params = ["alpha=4.414", "a=0.793", "b=2.426"];
    let line = ["new", "clv.bg_nbd", r, "-o", name];
    at.run(&[&line[..3], &params[..], &line[3..]].concat()).ok();
}

#[test]
fn a_published_file_is_a_version_of_its_folder() {
    let at = Workspace::new();
    model(&at, "m.cvm", "r=0.243");
    at.run(&["publish", "m.cvm", "models/retail", "--version", "1"])
        .ok();
    model(&at, "n.cvm", "r=0.25");
    let said = at.run(&["publish", "n.cvm", "models/retail"]).ok();
    let manifest = Manifest::read(&at.path().join("models/retail")).expect("a manifest");
    assert_eq!(manifest.versions.len(), 2);
    assert!(
        said.stdout.contains(&manifest.versions[1].sha256),
        "{}",
        said.stdout
    );
    let again = ["publish", "n.cvm", "models/retail", "--version", "1"];
    let told = at.run(&again).fails(2);
    assert!(told.stderr.contains("other bytes"), "{}", told.stderr);
    at.write("text.cvm", "text");
    at.run(&["publish", "text.cvm", "models/retail"]).fails(4);
    at.run(&["publish", "absent.cvm", "models/retail"]).fails(3);
}

#[test]
fn a_signed_file_verifies_and_no_other() {
    let at = Workspace::new();
    model(&at, "m.cvm", "r=0.243");
    at.run(&["keygen", "-o", "key.pem"]).ok();
    at.run(&["keygen", "-o", "other.pem"]).ok();
    at.run(&["keygen", "-o", "key.pem"]).fails(2);
    let verify = ["verify", "m.cvm", "--key", "key.pem.pub"];
    let told = at.run(&verify).fails(4);
    assert!(told.stderr.contains("no signature"), "{}", told.stderr);
    let sign = [
        "sign",
        "m.cvm",
        "--key",
        "key.pem",
        "--model",
        "retail",
        "--counter",
        "7",
    ];
    at.run(&sign).ok();
    let said = at.run(&verify).ok().stdout;
    assert!(said.contains("signed for retail with counter 7"), "{said}");
    at.run(&[&verify[..], &["--model", "retail"]].concat()).ok();
    at.run(&[&verify[..], &["--model", "churn"]].concat())
        .fails(4);
    at.run(&["verify", "m.cvm", "--key", "other.pem.pub"])
        .fails(4);
    at.run(&["verify", "m.cvm", "--key", "key.pem"]).fails(4);
    // Another sound model under the signature of the first.
    model(&at, "m.cvm", "r=0.25");
    let told = at.run(&verify).fails(4);
    assert!(
        told.stderr.contains("not one of this file"),
        "{}",
        told.stderr
    );
    at.run(&[
        "sign",
        "m.cvm",
        "--key",
        "key.pem.pub",
        "--model",
        "a",
        "--counter",
        "1",
    ])
    .fails(4);
    at.run(&[
        "sign",
        "m.cvm",
        "--key",
        "key.pem",
        "--model",
        "A b",
        "--counter",
        "1",
    ])
    .fails(2);
}

#[cfg(unix)]
#[test]
fn a_private_key_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let at = Workspace::new();
    at.run(&["keygen", "-o", "key.pem"]).ok();
    let facts = fs::metadata(at.path().join("key.pem")).expect("a key");
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
}
