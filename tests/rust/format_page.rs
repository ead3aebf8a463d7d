//! The reader printed in the page of the model format reads model files, and refuses damaged ones.

use cvm_testkit::golden::Corpus;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PAGE: &str = include_str!("../../docs/format/v1.md");
const SAMPLE: &[u8] = include_bytes!("../../crates/cvm-artifact/tests/data/v1_small.cvm");

/// What the page leaves to its reader: to call it, and to print what it gave.
const CALL: &str = r#"

if __name__ == "__main__":
    import sys

    for path in sys.argv[1:]:
        header, arrays = read(path)
        bits = {name: [struct.pack(">d", x).hex() for x in xs] for name, xs in arrays.items()}
        print(json.dumps({"header": header, "arrays": bits}))
"#;

/// The one block of Python in the page.
fn reader() -> &'static str {
    let mut blocks = PAGE.split("```python\n").skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    assert!(blocks.next().is_none(), "one block of Python");
    block.expect("a block of Python")
}

/// The reader as a script in `folder`.
fn script(folder: &Path) -> PathBuf {
    let path = folder.join("reader.py");
    fs::write(&path, format!("{}{CALL}", reader())).expect("script written");
    path
}

fn run(script: &Path, files: &[PathBuf]) -> Output {
    let mut python = Command::new("python3");
    python.arg("-I").arg(script).args(files);
    python.output().expect("python3 runs")
}

/// What the reader prints for `path`.
fn read(script: &Path, path: &Path) -> serde_json::Value {
    let output = run(script, &[path.to_owned()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", path.display());
    serde_json::from_slice(&output.stdout).expect("JSON from the reader")
}

#[test]
fn the_reader_of_the_page_reads_the_first_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("v1_small.cvm");
    fs::write(&path, SAMPLE).expect("sample written");
    let found = read(&script(folder.path()), &path);
    assert_eq!(found["header"]["kind"], "test.small");
    assert_eq!(found["header"]["format_version"], 1);
    assert_eq!(found["header"]["probe"]["arithmetic"], 1);
    let arrays = serde_json::json!({
        "params": ["3fcf1a9fbe76c8b4", "8000000000000000", "0000000000000001"],
        "fit.covariance": ["7ff0000000000000", "fff80000deadbeef"],
        "empty": [],
    });
    assert_eq!(found["arrays"], arrays);
}

#[test]
fn the_reader_of_the_page_gives_the_arrays_the_door_gives() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(folder.path());
    for corpus in Corpus::all() {
        let spec = &corpus.models[0];
        let (model, found) = (
            corpus.open(&spec.name),
            read(&script, &corpus.model_path(&spec.name)),
        );
        assert_eq!(found["header"]["kind"], corpus.kind);
        let arrays = found["arrays"].as_object().expect("arrays by name");
        assert_eq!(arrays.len(), model.arrays().len(), "{}", corpus.kind);
        assert!(!arrays.is_empty(), "{}", corpus.kind);
        for array in model.arrays() {
            let bits = array.values.iter().map(|x| format!("{:016x}", x.to_bits()));
            let bits: Vec<String> = bits.collect();
            assert_eq!(
                arrays[&array.name],
                serde_json::json!(bits),
                "{}",
                array.name
            );
        }
    }
}

/// One flipped bit in every part of the file, a missing and an added byte.
#[test]
fn the_reader_of_the_page_refuses_damaged_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = script(folder.path());
    let last = SAMPLE.len() - 1;
    let mut damaged: Vec<Vec<u8>> = Vec::new();
    for at in [0, 8, 17, 30, 200, 1_000, last - 60, last - 31, last] {
        let mut bytes = SAMPLE.to_vec();
        bytes[at] ^= 4;
        damaged.push(bytes);
    }
    damaged.push(SAMPLE[..last].to_vec());
    damaged.push([SAMPLE, &[0]].concat());
    for (index, bytes) in damaged.iter().enumerate() {
        let path = folder.path().join(format!("{index}.cvm"));
        fs::write(&path, bytes).expect("damaged file written");
        let output = run(&script, &[path]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "file {index} was read");
        let refused = errors.contains("ValueError: ");
        assert!(
            refused && output.stdout.is_empty(),
            "file {index}: {errors}"
        );
    }
}
