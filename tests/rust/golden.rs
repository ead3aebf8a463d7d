//! The golden corpus through the Rust door: published numbers within their tolerance, and the bits
//! that every other surface must give too.
//!
//! `UPDATE_GOLDEN=1` writes models that do not exist yet and pins the bits anew. A model file, once
//! released, is never written again: that old files load for ever is a promise. (Before the first
//! release, `UPDATE_GOLDEN=models` writes them all anew after a change of the arithmetic.)

use cvm_testkit::golden::{Case, FitCase};
use cvm_testkit::pinned::{PinnedFit, PinnedScores};
use cvm_testkit::{Corpus, Pinned, compare};

fn update() -> Option<String> {
    std::env::var("UPDATE_GOLDEN")
        .ok()
        .filter(|value| !value.is_empty())
}

/// Writes absent models and pins bits: before anything is compared.
fn pin(corpus: &Corpus, rewrite_models: bool) -> Pinned {
    let mut pinned = Pinned::new(&corpus.kind);
    for spec in &corpus.models {
        let path = corpus.model_path(&spec.name);
        if rewrite_models || !path.exists() {
            std::fs::create_dir_all(path.with_file_name("")).expect("folder of models");
            spec.build(&corpus.kind).save(&path).expect("model saved");
        }
        let fingerprint = corpus.open(&spec.name).fingerprint().to_string();
        pinned.models.insert(spec.name.clone(), fingerprint);
    }
    for case in &corpus.cases {
        let scores = score(corpus, case);
        pinned
            .cases
            .insert(case.name.clone(), PinnedScores::of(&scores));
    }
    for case in &corpus.fits {
        let fitted = fit(corpus, case);
        pinned
            .fits
            .insert(case.name.clone(), PinnedFit::of(&fitted.report));
    }
    pinned
}

fn corpora() -> Vec<(Corpus, Pinned)> {
    let corpora = Corpus::all();
    assert!(corpora.len() >= 4, "only {} kinds", corpora.len());
    let with_pins = corpora.into_iter().map(|corpus| {
        if let Some(what) = update() {
            pin(&corpus, what == "models").save();
        }
        let pinned = Pinned::load(&corpus.kind);
        (corpus, pinned)
    });
    with_pins.collect()
}

fn score(corpus: &Corpus, case: &Case) -> cvm::Scores {
    let frame = case.frame();
    let batch = frame.batch().expect("columns of a case");
    let model = corpus.open(&case.model);
    let scores = model.score(&batch, &case.options);
    scores.unwrap_or_else(|error| panic!("{}: {}: {error}", corpus.kind, case.name))
}

fn fit(corpus: &Corpus, case: &FitCase) -> cvm::Fitted {
    let frame = case.frame();
    let batch = frame.batch().expect("columns of a table");
    cvm::fit(&corpus.kind, &batch, &case.fit_options())
        .unwrap_or_else(|error| panic!("{}: {}: {error}", corpus.kind, case.name))
}

/// One test, so that pins are written before they are read.
#[test]
fn the_corpus_holds() {
    for (corpus, pinned) in corpora() {
        check_models(&corpus, &pinned);
        check_cases(&corpus, &pinned);
        check_fits(&corpus, &pinned);
    }
}

fn check_models(corpus: &Corpus, pinned: &Pinned) {
    assert!(!corpus.models.is_empty(), "{} has no model", corpus.kind);
    assert_eq!(
        pinned.models.len(),
        corpus.models.len(),
        "{}: models",
        corpus.kind
    );
    for spec in &corpus.models {
        let model = corpus.open(&spec.name);
        assert_eq!(model.kind(), corpus.kind);
        let want = pinned.models.get(&spec.name);
        assert_eq!(
            want,
            Some(&model.fingerprint().to_string()),
            "{}",
            spec.name
        );
    }
}

fn check_cases(corpus: &Corpus, pinned: &Pinned) {
    assert!(corpus.cases.len() >= 4, "{} has few cases", corpus.kind);
    assert_eq!(
        pinned.cases.len(),
        corpus.cases.len(),
        "{}: run UPDATE_GOLDEN=1",
        corpus.kind
    );
    let known = corpus
        .cases
        .iter()
        .filter(|case| !case.expect.is_empty())
        .count();
    assert!(
        known >= 2,
        "{} has {known} cases with numbers of others",
        corpus.kind
    );
    for case in &corpus.cases {
        let scores = score(corpus, case);
        let mut found = case.differences(&scores);
        found.extend(pinned.cases[&case.name].differences_of(&scores));
        assert!(
            found.is_empty(),
            "{}: {}:\n{}",
            corpus.kind,
            case.name,
            found.join("\n")
        );
    }
}

fn check_fits(corpus: &Corpus, pinned: &Pinned) {
    assert_eq!(
        pinned.fits.len(),
        corpus.fits.len(),
        "{}: run UPDATE_GOLDEN=1",
        corpus.kind
    );
    for case in &corpus.fits {
        let fitted = fit(corpus, case);
        let report = &fitted.report;
        let name = format!("{}: {}", corpus.kind, case.name);
        assert!(report.converged, "{name}");
        for (param, value) in report.param_names.iter().zip(&report.params) {
            let want = case.params[param];
            let close = compare::is_close(*value, want, 0.0, case.rel);
            assert!(
                close,
                "{name}: {param} is {value}, {want} by {}",
                case.source
            );
        }
        let (got, want) = (report.log_likelihood, case.log_likelihood);
        let close = compare::is_close(got, want, case.log_likelihood_abs, 0.0);
        assert!(
            close,
            "{name}: log-likelihood is {got}, {want} by {}",
            case.source
        );
        let used = report.row_count - report.excluded_row_count;
        assert_eq!(case.rows_used.unwrap_or(used), used, "{name}: rows used");
        check_totals(case, &fitted.model, &name);
        assert_eq!(
            pinned.fits[&case.name],
            PinnedFit::of(report),
            "{name}: pinned bits"
        );
    }
}

fn check_totals(case: &FitCase, model: &cvm::Model, name: &str) {
    let Some(options) = &case.score else {
        return;
    };
    let frame = case.frame();
    let batch = frame.batch().expect("columns of a table");
    let scores = model.score(&batch, options).expect("scores of the table");
    for (output, total) in &case.totals {
        let got: f64 = scores.get(output).expect("output").iter().sum();
        let close = compare::is_close(got, total.value, 0.0, total.rel);
        assert!(close, "{name}: sum of {output} is {got}, {}", total.value);
    }
}

fn assert_near(fresh: &cvm::Scores, stored: &cvm::Scores, name: &str) {
    assert_eq!(fresh.status, stored.status, "{name}");
    for (output, values) in &stored.outputs {
        let again = fresh.get(output).expect("same outputs");
        for (a, b) in values.iter().zip(again) {
            let close = compare::is_close(*b, *a, 0.0, 2e-7);
            assert!(close, "{name}: {output}: {a} {b}");
        }
    }
}

/// The files were made from the specifications beside them: today's build of a specification gives
/// the same scores, though the file may be of an older format. Where the specification says that
/// the file is older than a change of imports, its scores are near.
#[test]
fn model_files_are_what_their_specification_says() {
    if update().is_some() {
        return; // The other test is writing the files.
    }
    let mut compared = 0;
    for corpus in Corpus::all() {
        for spec in &corpus.models {
            let (built, opened) = (spec.build(&corpus.kind), corpus.open(&spec.name));
            let cases = corpus.cases.iter().filter(|case| case.model == spec.name);
            for case in cases {
                let frame = case.frame();
                let batch = frame.batch().expect("columns of a case");
                let fresh = built.score(&batch, &case.options).expect("fresh scores");
                let stored = opened.score(&batch, &case.options).expect("stored scores");
                match &spec.older {
                    None => {
                        let difference = compare::first_difference(&fresh, &stored);
                        assert_eq!(difference, None, "{}", case.name);
                    }
                    Some(_) => assert_near(&fresh, &stored, &case.name),
                }
                compared += 1;
            }
        }
    }
    assert!(compared >= 20, "only {compared} cases compared");
}
