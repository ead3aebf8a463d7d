//! Settings from a file, the environment and flags, and what `check-config` says of them.

use crate::support::folder;
use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str], environment: &[(&str, &str)], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvm-server"))
        .current_dir(folder)
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// The exit code, standard output and standard error of a check.
fn check(arguments: &[&str], environment: &[(&str, &str)], folder: &Path) -> (i32, String, String) {
    let line = [&["check-config"], arguments].concat();
    let done = run(&line, environment, folder);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        done.status.code().unwrap(),
        text(&done.stdout),
        text(&done.stderr),
    )
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = folder();
    let file = "models = \".\"\nmax_rows = 5\nworkers = 3\ndrain_seconds = 7\n\
                allow_model_control = true\ncors_origins = [\"https://a.example\", \"https://b.example\"]\n";
    std::fs::write(folder.path().join("server.toml"), file).unwrap();
    let environment = [("CVM_WORKERS", "4"), ("CVM_DRAIN_SECONDS", "8")];
    let flags = ["--config", "server.toml", "--drain-seconds", "9"];
    let (code, told, why) = check(&flags, &environment, folder.path());
    assert_eq!(code, 0, "{why}");
    for line in [
        "models = \".\"  # file",
        "max_rows = 5  # file",
        "workers = 4  # environment, CVM_WORKERS",
        "drain_seconds = 9  # flag",
        "allow_model_control = true  # file",
        "cors_origins = [\"https://a.example\", \"https://b.example\"]  # file",
        "max_connections = 1024  # default",
        "listen = \"127.0.0.1:50051\"  # default",
        "# tokens is not set",
    ] {
        assert!(told.lines().any(|own| own == line), "{line}\n{told}");
    }
    // What is told is itself a file that says the same.
    std::fs::write(folder.path().join("again.toml"), &told).unwrap();
    let named = [("CVM_CONFIG", "again.toml")];
    let (code, again, why) = check(&[], &named, folder.path());
    assert_eq!(code, 0, "{why}");
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.split("  #").next().unwrap().to_owned());
        lines.collect()
    };
    assert_eq!(values(&told), values(&again));
}

#[test]
fn a_wrong_file_is_refused_with_what_is_wrong() {
    let folder = folder();
    for (text, why) in [
        (
            "max_row = 5",
            "unknown setting `max_row`; did you mean `max_rows`?",
        ),
        (
            "tls-cert = \"a\"",
            "unknown setting `tls-cert`; did you mean `tls_cert`?",
        ),
        ("zzz = 1\nmax_row = 5", "unknown setting `zzz`"),
        ("config = \"other.toml\"", "unknown setting `config`"),
        ("max_rows = 0", "'0' for '--max-rows"),
        ("max_rows = \"many\"", "'many' for '--max-rows"),
        ("max_rows = [1, 2]", "max_rows: must be one value"),
        ("listen = true", "'true' for '--listen"),
        ("[server]\nmax_rows = 1", "unknown setting `server`"),
        ("max_rows = 1979-05-27", "max_rows: must be a plain value"),
        ("max_rows = ", "TOML parse error"),
        ("tls_cert = \"c.pem\"", "--tls-cert needs --tls-key"),
        ("tokens = \"absent.toml\"", "absent.toml"),
        ("listen = \"0.0.0.0:50051\"", "--allow-insecure-network"),
        (
            "cors_origins = [\"app.example\"]",
            "must be `*` or an origin",
        ),
    ] {
        std::fs::write(folder.path().join("server.toml"), text).unwrap();
        let flags = ["--config", "server.toml", "--models", "."];
        let (code, told, error) = check(&flags, &[], folder.path());
        assert!(
            code == 2 && error.contains(why),
            "{text}: {code} {told} {error}"
        );
        // The server itself refuses as well, and does not listen.
        let served = run(&flags, &[], folder.path());
        assert_eq!(served.status.code(), Some(2), "{text}");
    }
    let (code, _, error) = check(&["--config", "absent.toml"], &[], folder.path());
    assert!(code == 2 && error.contains("absent.toml"), "{code} {error}");
    let (code, _, error) = check(&["--models", "absent"], &[], folder.path());
    assert!(code == 3 && error.contains("absent"), "{code} {error}");
    let (code, _, error) = check(&["--models", ".", "--max-row", "5"], &[], folder.path());
    assert!(code == 2 && error.contains("--max-rows"), "{code} {error}");
}
