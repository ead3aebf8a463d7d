//! Who may know whom: the walls of the house, checked over the dependency graph and the sources.
//!
//! Each rule is an absence, so each scan also proves that it looked: a rule whose scan finds
//! nothing to look at fails.

use cvm_tests::graph::Graph;
use cvm_tests::sources::{Source, files, hits, rust};
use std::collections::BTreeMap;

/// What each package may declare of the workspace. A new package must be placed here first.
const MAY_KNOW: [(&str, &[&str]); 16] = [
    ("cvm-core", &[]),
    ("cvm-math", &[]),
    ("cvm-clv", &["cvm-core", "cvm-math"]),
    ("cvm-churn", &["cvm-core", "cvm-math"]),
    ("cvm-fit", &["cvm-core", "cvm-math"]),
    ("cvm-record", &["cvm-core", "cvm-math"]),
    ("cvm-artifact", &["cvm-core", "cvm-math"]),
    (
        "cvm",
        &[
            "cvm-core",
            "cvm-math",
            "cvm-clv",
            "cvm-churn",
            "cvm-fit",
            "cvm-record",
            "cvm-artifact",
        ],
    ),
    ("cvm-proto", &["cvm"]),
    ("cvm-load", &["cvm", "cvm-math", "cvm-proto"]),
    ("cvm-store", &["cvm"]),
    ("cvm-cli", &["cvm", "cvm-store"]),
    ("cvm-server", &["cvm", "cvm-proto", "cvm-store"]),
    ("cvm-python", &["cvm", "cvm-proto"]),
    ("cvm-testkit", &["cvm-core", "cvm-math", "cvm"]),
    (
        "cvm-tests",
        &["cvm", "cvm-proto", "cvm-server", "cvm-testkit"],
    ),
];

/// May be development dependencies of any package above `cvm`; what they know is checked itself.
const TEST_ONLY: [&str; 2] = ["cvm-testkit", "cvm-load"];

fn graph() -> Graph {
    Graph::load().expect("cargo metadata of this workspace")
}

fn allowed(package: &str) -> &'static [&'static str] {
    let row = MAY_KNOW.iter().find(|(name, _)| *name == package);
    row.unwrap_or_else(|| panic!("{package} is new: give it a line in MAY_KNOW"))
        .1
}

#[test]
fn every_package_knows_only_what_the_map_allows() {
    let graph = graph();
    assert_eq!(graph.declared.len(), MAY_KNOW.len(), "packages of the map");
    let mut edges = 0;
    for package in graph.declared.keys() {
        let above_cvm = allowed(package).contains(&"cvm");
        for edge in graph.workspace_edges(package) {
            edges += 1;
            let test_only =
                TEST_ONLY.contains(&edge.name.as_str()) && edge.kind == "dev" && above_cvm;
            assert!(
                test_only || allowed(package).contains(&edge.name.as_str()),
                "{package} may not depend on {} ({}): see ARCHITECTURE.md",
                edge.name,
                edge.kind
            );
        }
    }
    assert!(edges > 20, "only {edges} edges seen");
}

#[test]
fn the_scoring_crate_reaches_no_transport_and_no_python() {
    let graph = graph();
    let below = graph.reach("cvm");
    assert!(below.len() > 20, "only {} packages below cvm", below.len());
    let banned = [
        "tokio",
        "tonic",
        "prost",
        "hyper",
        "pyo3",
        "h2",
        "mio",
        "async-std",
        "reqwest",
    ];
    for name in below {
        let family = name.split('-').next().unwrap_or(name);
        assert!(!banned.contains(&family), "cvm reaches {name}");
    }
}

/// The search of the rule above finds what is there to be found.
#[test]
fn the_search_finds_the_transport_where_it_is() {
    let graph = graph();
    assert!(graph.reach("cvm-server").contains("tonic"));
    assert!(graph.reach("cvm-server").contains("tokio"));
}

fn leaf_and_model_sources() -> Vec<Source> {
    let folders = ["cvm-core", "cvm-math", "cvm-clv", "cvm-churn", "cvm-fit"];
    let of = |crate_name: &&str| rust(&format!("crates/{crate_name}/src"));
    folders.iter().flat_map(of).collect()
}

#[test]
fn leaves_and_models_read_no_clock_file_or_environment() {
    let banned = [
        "std::time",
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "SystemTime",
        "Instant::",
        "thread_rng",
        "RandomState",
        "env!(",
        "println!(",
        "eprintln!(",
    ];
    let sources = leaf_and_model_sources();
    assert!(sources.len() > 30, "only {} files", sources.len());
    let found: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            let code = source.shipped_code();
            banned
                .iter()
                .flat_map(move |word| hits(source, &code, word))
        })
        .collect();
    assert!(
        found.is_empty(),
        "now is an argument, randomness a seed:\n{}",
        found.join("\n")
    );
}

#[test]
fn only_the_estimator_and_the_door_start_threads() {
    // The load generator keeps its own time.
    let starters = [
        "crates/cvm-fit/",
        "crates/cvm/",
        "crates/cvm-record/",
        "crates/cvm-load/",
    ];
    let sources = rust("crates");
    let mut seen = BTreeMap::new();
    for source in sources
        .iter()
        .filter(|source| source.path.contains("/src/"))
    {
        let found = hits(source, &source.shipped_code(), "std::thread");
        let crate_name = source.path.split('/').nth(1).unwrap_or_default();
        if !found.is_empty() && crate_name != "cvm-cli" {
            let may = starters.iter().any(|start| source.path.starts_with(start));
            assert!(may, "threads belong to the caller:\n{}", found.join("\n"));
            seen.insert(crate_name.to_owned(), found.len());
        }
    }
    assert!(
        seen.contains_key("cvm-fit") && seen.contains_key("cvm"),
        "{seen:?}"
    );
}

/// Functions of `f64` whose result depends on the platform.
const TRANSCENDENTAL: [&str; 18] = [
    "ln", "log", "log2", "log10", "ln_1p", "exp", "exp2", "exp_m1", "powf", "powi", "sin", "cos",
    "tan", "sinh", "cosh", "tanh", "cbrt", "mul_add",
];

#[test]
fn clippy_bans_every_function_that_differs_between_platforms() {
    let clippy = files("", &["clippy.toml"]);
    assert_eq!(clippy.len(), 1, "one clippy.toml, at the root");
    for name in TRANSCENDENTAL {
        let line = format!("path = \"f64::{name}\"");
        assert!(
            clippy[0].text.contains(&line),
            "clippy.toml does not ban f64::{name}"
        );
    }
}

#[test]
fn transcendentals_come_from_cvm_math_only() {
    let sources: Vec<Source> = [
        rust("crates"),
        rust("server"),
        rust("python"),
        rust("tests"),
    ]
    .concat()
    .into_iter()
    .filter(|source| !source.path.starts_with("crates/cvm-math/"))
    .collect();
    assert!(sources.len() > 60, "only {} files", sources.len());
    let mut found = Vec::new();
    for source in &sources {
        let code = source.code();
        for name in TRANSCENDENTAL {
            found.extend(hits(source, &code, &format!(".{name}(")));
            found.extend(hits(source, &code, &format!("f64::{name}")));
        }
    }
    assert!(found.is_empty(), "use cvm_math:\n{}", found.join("\n"));
}

/// Files that may say `allow(clippy::disallowed_methods)`, each with its reason.
const MAY_ALLOW_LIBM: [(&str, &str); 2] = [
    (
        "crates/cvm-math/benches/functions.rs",
        "compares with the platform's libm",
    ),
    (
        "crates/cvm-math/src/libraries/",
        "repeats algorithms that are defined by fused multiply-adds",
    ),
];

#[test]
fn nobody_lifts_the_ban_quietly() {
    let sources = rust("");
    assert!(sources.len() > 60, "only {} files", sources.len());
    for source in sources {
        for hit in hits(&source, &source.code(), "clippy::disallowed_methods") {
            let listed = MAY_ALLOW_LIBM
                .iter()
                .any(|(path, _)| source.path.starts_with(path));
            assert!(listed, "list it with its reason in MAY_ALLOW_LIBM: {hit}");
        }
    }
}

#[test]
fn wire_types_stay_at_the_border() {
    let border = [
        "crates/cvm-proto/",
        "server/",
        "python/src/",
        "tests/",
        "crates/cvm-cli/tests/",
        "crates/cvm-load/",
    ];
    let wire = ["prost::", "tonic::", "cvm_proto", "prost_types::", "pyo3::"];
    let (mut inside, mut at_border) = (0, 0);
    for source in rust("") {
        let code = source.code();
        let found: Vec<String> = wire
            .iter()
            .flat_map(|word| hits(&source, &code, word))
            .collect();
        if border.iter().any(|folder| source.path.starts_with(folder)) {
            at_border += found.len();
        } else {
            inside += 1;
            assert!(
                found.is_empty(),
                "the domain knows no wire type:\n{}",
                found.join("\n")
            );
        }
    }
    assert!(inside > 50, "only {inside} files");
    assert!(
        at_border > 10,
        "only {at_border} uses at the border: the scan is blind"
    );
}

/// Crates that face client data: they deny what can panic.
#[test]
fn border_crates_deny_what_can_panic() {
    let lints = ["unwrap_used", "expect_used", "panic", "indexing_slicing"];
    let border = [
        ("server", &["server/src/lib.rs", "server/Cargo.toml"][..]),
        (
            "cvm-proto",
            &["crates/cvm-proto/src/lib.rs", "crates/cvm-proto/Cargo.toml"],
        ),
        ("python", &["python/src/lib.rs", "python/Cargo.toml"]),
        (
            "cvm-cli",
            &["crates/cvm-cli/src/main.rs", "crates/cvm-cli/Cargo.toml"],
        ),
        ("cvm-load", &["crates/cvm-load/src/lib.rs"]),
    ];
    for (name, places) in border {
        let all = [
            files("server", &["lib.rs", "Cargo.toml"]),
            files("crates", &["lib.rs", "main.rs", "Cargo.toml"]),
            files("python", &["lib.rs", "Cargo.toml"]),
        ]
        .concat();
        let text: String = all
            .iter()
            .filter(|source| places.contains(&source.path.as_str()))
            .map(|source| source.text.as_str())
            .collect();
        for lint in lints {
            assert!(text.contains(lint), "{name} does not deny clippy::{lint}");
        }
    }
}

#[test]
fn python_classes_are_frozen() {
    let mut classes = 0;
    for source in rust("python/src") {
        let code = source.code();
        for (at, _) in code.match_indices("#[pyclass") {
            classes += 1;
            let attribute = code[at..].split(']').next().unwrap_or_default();
            assert!(
                attribute.contains("frozen"),
                "{}: {attribute}] is not frozen",
                source.path
            );
        }
    }
    assert!(classes > 0, "no class seen");
}

/// Files that may hold `unsafe`, each with its reason; every block says why it is sound.
const MAY_BE_UNSAFE: [(&str, &str); 6] = [
    (
        "crates/cvm-churn/tests/hostile.rs",
        "an allocator that counts what an import takes",
    ),
    (
        "crates/cvm-math/src/dispatch.rs",
        "vector instructions behind a check of the processor",
    ),
    (
        "crates/cvm-math/src/slice.rs",
        "vector instructions behind a check of the processor",
    ),
    (
        "crates/cvm-math/src/hyp2f1/batch.rs",
        "vector instructions behind a check of the processor",
    ),
    (
        "crates/cvm-math/src/libraries/",
        "fused multiply-adds behind a check of the processor",
    ),
    ("python/src/arrow_ffi.rs", "the Arrow C data interface"),
];

#[test]
fn unsafe_code_is_listed_and_argued() {
    let sources = rust("");
    assert!(sources.len() > 60, "only {} files", sources.len());
    for source in sources {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, line) in source.code().lines().enumerate() {
            if !is_unsafe(line) {
                continue;
            }
            let listed = MAY_BE_UNSAFE
                .iter()
                .any(|(path, _)| source.path.starts_with(path));
            assert!(
                listed,
                "{}:{}: list the file with its reason",
                source.path,
                index + 1
            );
            let above = lines[index.saturating_sub(12)..=index].join("\n");
            let argued = above.contains("SAFETY") || above.contains("# Safety");
            assert!(argued, "{}:{}: no SAFETY comment", source.path, index + 1);
        }
    }
}

/// The keyword where it opens a block or an implementation, or declares a function.
fn is_unsafe(line: &str) -> bool {
    let words: Vec<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    words.contains(&"unsafe")
}
