//! Every kind of the catalog has what a kind must have: golden numbers, a page, a Python class.

use cvm_testkit::golden::folder;
use cvm_tests::sources::files;

fn kinds() -> Vec<&'static str> {
    let kinds: Vec<&str> = cvm::catalog().iter().map(|entry| entry.kind).collect();
    assert!(kinds.len() >= 4, "the catalog lists {kinds:?}");
    kinds
}

#[test]
fn every_kind_has_golden_numbers_and_every_file_a_kind() {
    let kinds = kinds();
    for kind in &kinds {
        assert!(
            folder().join(format!("{kind}.toml")).is_file(),
            "tests/golden/{kind}.toml"
        );
        assert!(
            folder().join("bits").join(format!("{kind}.toml")).is_file(),
            "bits of {kind}"
        );
    }
    for source in files("tests/golden", &[".toml"]) {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        let kind = name.strip_suffix(".toml").unwrap_or_default();
        assert!(
            kinds.contains(&kind),
            "{} is of no kind in the catalog",
            source.path
        );
    }
}

/// `clv.bg_nbd` is told in `docs/models/bg_nbd.md`.
#[test]
fn every_kind_has_a_page() {
    let pages = files("docs/models", &[".md"]);
    for kind in kinds() {
        let name = kind.rsplit('.').next().unwrap_or_default();
        let page = pages
            .iter()
            .find(|page| page.path.ends_with(&format!("/{name}.md")));
        let page = page.unwrap_or_else(|| panic!("docs/models/{name}.md is missing"));
        assert!(page.text.len() > 500, "{} is a stub", page.path);
    }
}

#[test]
fn every_kind_has_a_python_class() {
    let sources = files("python/cvm", &[".py"]);
    assert!(sources.len() > 3, "only {} files of Python", sources.len());
    for kind in kinds() {
        let line = format!("kind: ClassVar[str] = \"{kind}\"");
        let found = sources
            .iter()
            .filter(|source| source.text.contains(&line))
            .count();
        assert_eq!(found, 1, "classes with `{line}`");
    }
}

/// Names and meanings are what people read: none is blank, none is used twice.
#[test]
fn entries_describe_themselves() {
    let mut titles: Vec<&str> = cvm::catalog().iter().map(|entry| entry.title).collect();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), cvm::catalog().len(), "titles are distinct");
    for entry in cvm::catalog() {
        let (family, name) = entry.kind.split_once('.').unwrap_or_default();
        assert!(!family.is_empty() && !name.is_empty(), "{}", entry.kind);
        for spec in entry.params {
            let told = [spec.name, spec.unit, spec.meaning];
            assert!(
                told.iter().all(|text| !text.is_empty()),
                "{}: {spec:?}",
                entry.kind
            );
        }
    }
}
