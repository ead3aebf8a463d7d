//! The manners of the house that a machine can check: shape of files and functions, words that do
//! not belong in a repository.

use cvm_tests::lexer::functions;
use cvm_tests::sources::{Source, files, rust};

const MOST_LINES_OF_A_FILE: usize = 800;
const MOST_LINES_OF_A_FUNCTION: usize = 70;
/// Longest functions may be few: the median says how the house is built.
const MEDIAN_LINES_OF_A_FUNCTION: usize = 14;

fn all_rust() -> Vec<Source> {
    let sources = rust("");
    assert!(sources.len() > 60, "only {} Rust files seen", sources.len());
    sources
}

/// Tables of published or computed constants, whose length is the data's.
fn is_table(source: &Source) -> bool {
    source.path == "crates/cvm-math/src/coefficients.rs"
}

#[test]
fn every_module_opens_with_a_sentence() {
    for source in all_rust() {
        let first = source.text.lines().next().unwrap_or_default();
        let sentence = first.strip_prefix("//! ").unwrap_or_default();
        assert!(sentence.len() > 5, "{} opens with `{first}`", source.path);
    }
}

#[test]
fn files_are_short() {
    for source in all_rust().iter().filter(|source| !is_table(source)) {
        let lines = source.text.lines().count();
        assert!(
            lines <= MOST_LINES_OF_A_FILE,
            "{} has {lines} lines",
            source.path
        );
    }
}

#[test]
fn functions_are_short() {
    let mut lengths = Vec::new();
    let mut long = Vec::new();
    for source in all_rust() {
        for function in functions(&source.code()) {
            lengths.push(function.line_count);
            if function.line_count > MOST_LINES_OF_A_FUNCTION {
                let (name, line, count) = (&function.name, function.line, function.line_count);
                long.push(format!("{}:{line}: {name} has {count} lines", source.path));
            }
        }
    }
    lengths.sort_unstable();
    assert!(lengths.len() > 500, "only {} functions seen", lengths.len());
    assert!(long.is_empty(), "split them:\n{}", long.join("\n"));
    let median = lengths[lengths.len() / 2];
    assert!(
        median <= MEDIAN_LINES_OF_A_FUNCTION,
        "median length {median}"
    );
}

/// Words in two parts, so that this file does not hold them.
const BANNED_WORDS: [(&str, &str, &str); 9] = [
    ("TO", "DO", "file an issue"),
    ("FIX", "ME", "mend it or file an issue"),
    ("crates", ".io", "name no registry's host"),
    ("py", "pi.org", "name no registry's host"),
    ("pythonhosted", ".org", "name no registry's host"),
    ("/wo", "rk/", "no path of one machine"),
    ("/ro", "ot/", "no path of one machine"),
    ("/ho", "me/", "no path of one machine"),
    ("/Use", "rs/", "no path of one machine"),
];

#[test]
fn banned_words_are_absent() {
    let endings = [
        ".rs", ".py", ".pyi", ".toml", ".md", ".proto", ".sh", "Makefile", "NOTICE",
    ];
    let sources = files("", &endings);
    assert!(sources.len() > 80, "only {} files seen", sources.len());
    let mut found = Vec::new();
    for source in &sources {
        for (head, tail, advice) in BANNED_WORDS {
            let word = format!("{head}{tail}");
            let lines = source.text.lines().enumerate();
            found.extend(
                lines
                    .filter(|(_, line)| holds(line, &word))
                    .map(|(index, _)| format!("{}:{}: `{word}`: {advice}", source.path, index + 1)),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether `line` holds `word` on its own: not as the middle of a longer word or path.
fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default().chars().next_back();
        let after = line
            .get(at + word.len()..)
            .unwrap_or_default()
            .chars()
            .next();
        let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joined(before) && (word.ends_with('/') || !joined(after))
    })
}

#[test]
fn the_search_for_words_sees_whole_words_only() {
    let word = ["TO", "DO"].concat();
    assert!(holds(&format!("// {word}: later"), &word));
    assert!(!holds(&format!("MAS{word}N"), &word));
    let path = ["/wo", "rk/"].concat();
    assert!(holds(&format!("open(\"{path}x\")"), &path));
    assert!(!holds(&format!("net{path}x"), &path));
}

#[test]
fn nothing_unfinished_is_compiled() {
    let macros = ["todo!(", "unimplemented!(", "dbg!("];
    for source in all_rust() {
        let code = source.code();
        for name in macros {
            assert!(!code.contains(name), "{} holds {name}…)", source.path);
        }
    }
}
