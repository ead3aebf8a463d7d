//! What must hold for every kind of the catalog, whoever wrote it.

use cvm::{Frame, Model, RowCode, ScoreOptions, Scores};
use cvm_testkit::rows::Random;
use cvm_testkit::{Corpus, Subject, compare, gradient, recover, rows};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const SIMULATED_CUSTOMERS: usize = 20_000;
/// Distance of an estimate from the truth that five seeds of four parameters never reach by chance:
/// about one in a thousand runs would.
const STANDARD_ERRORS: f64 = 4.0;
const GRADIENT_TOLERANCE: f64 = 1e-7;
/// Relative difference of an estimate where rows are not merged: what the end of a search leaves.
const ORDER_TOLERANCE: f64 = 1e-9;
/// Rows from which on scoring takes a second thread.
const ROWS_OF_TWO_THREADS: usize = 2 * 16_384;
/// Rows scored by every output of every model of the corpus: more than one chunk.
const ROWS: usize = 600;

/// Kinds with a likelihood, one after the other; what each took shows with `--nocapture`.
fn each_subject(mut check: impl FnMut(&Subject)) {
    let found = Subject::all();
    assert!(found.len() >= 2, "only {} kinds", found.len());
    for subject in &found {
        let start = Instant::now();
        check(subject);
        println!("{}: {:.1?}", subject.kind(), start.elapsed());
    }
}

/// A model of the corpus as a file.
struct Sample {
    name: String,
    model: Arc<Model>,
    one_row_in: usize,
}

impl Sample {
    /// As many of `count` rows as this kind needs.
    fn rows(&self, count: usize) -> usize {
        count.div_ceil(self.one_row_in)
    }
}

/// Every model of the corpus, opened once for all tests.
fn models() -> &'static [Sample] {
    static MODELS: OnceLock<Vec<Sample>> = OnceLock::new();
    MODELS.get_or_init(|| {
        let mut found = Vec::new();
        for corpus in Corpus::all() {
            let one_row_in = corpus.harness.as_ref().map_or(1, |spec| spec.one_row_in);
            for spec in &corpus.models {
                let start = Instant::now();
                found.push(Sample {
                    name: format!("{}/{}", corpus.kind, spec.name),
                    model: corpus.open(&spec.name),
                    one_row_in,
                });
                println!(
                    "open {}/{}: {:.1?}",
                    corpus.kind,
                    spec.name,
                    start.elapsed()
                );
            }
        }
        assert!(found.len() >= 8, "only {} models", found.len());
        found
    })
}

fn each_model(mut check: impl FnMut(&Sample)) {
    for sample in models() {
        let start = Instant::now();
        check(sample);
        println!("{}: {:.1?}", sample.name, start.elapsed());
    }
}

fn score(model: &Model, frame: &Frame, threads: usize) -> Scores {
    let batch = frame.batch().expect("columns of a frame");
    let options = &model.probe().options;
    model.score_on(&batch, options, threads).expect("scores")
}

#[test]
fn gradients_agree_with_differences() {
    each_subject(|subject| {
        let kind = subject.kind();
        let templates = subject.templates(40);
        let mut checked = 0;
        for (seed, params) in subject.params_of_models().into_iter().enumerate() {
            for scale in [0.5, 1.0, 2.5] {
                let params: Vec<f64> = params.iter().map(|value| value * scale).collect();
                for row in subject.simulate(&params, &templates, seed as u64) {
                    let value = gradient::value_error(subject, &params, &row);
                    let value = value.expect("a legal row");
                    assert!(value < 1e-12, "{kind}: {params:?} {row:?}: {value:e}");
                    let error = gradient::worst_error(subject, &params, &row);
                    let error = error.expect("a legal row");
                    let fine = error < GRADIENT_TOLERANCE;
                    assert!(fine, "{kind}: {params:?} {row:?}: {error:e}");
                    checked += 1;
                }
            }
        }
        assert!(checked >= 100, "{kind}: only {checked} gradients");
    });
}

#[test]
fn simulated_parameters_are_recovered() {
    each_subject(|subject| {
        let kind = subject.kind();
        let templates = subject.templates(SIMULATED_CUSTOMERS);
        let truth = subject.truth();
        for seed in SEEDS {
            let found = recover::simulate_and_fit(subject, &truth, &templates, seed);
            let found = found.unwrap_or_else(|error| panic!("{kind} {seed}: {error}"));
            assert!(found.report.converged, "{kind} {seed}");
            let near = found
                .distance
                .iter()
                .all(|distance| *distance < STANDARD_ERRORS);
            assert!(near, "{kind} {seed}: {found:?}");
        }
    });
}

/// Standard errors are honest: over many simulated samples, 95 % intervals hold the truth about 95 %
/// of the time. The bounds are four binomial standard deviations wide for the number of samples.
/// Whether the environment leaves the kind in: `CVM_KIND` names the one to look at by hand.
fn is_asked_for(subject: &Subject) -> bool {
    std::env::var("CVM_KIND").map_or(true, |kind| kind == subject.kind())
}

#[test]
fn confidence_intervals_cover_the_truth() {
    let slow = std::env::var_os("CVM_SLOW").is_some();
    each_subject(|subject| {
        let samples: usize = if slow {
            500
        } else {
            40_usize.div_ceil(subject.spec.one_quick_sample_in)
        };
        let samples = samples.div_ceil(subject.spec.one_sample_in) as u64;
        if !is_asked_for(subject) {
            return;
        }
        let (kind, truth) = (subject.kind(), subject.truth());
        let templates = subject.templates(subject.spec.covered_customers);
        let one = |seed: u64| {
            let found = recover::simulate_and_fit(subject, &truth, &templates, 1_000 + seed);
            found.unwrap_or_else(|error| panic!("{kind} {seed}: {error}"))
        };
        let part = |start: u64| (start..samples).step_by(2).map(one).collect::<Vec<_>>();
        let found = std::thread::scope(|scope| {
            let other = scope.spawn(|| part(1));
            let mut found = part(0);
            found.extend(other.join().expect("fits of the other thread"));
            found
        });
        let share = |index: usize| {
            let covers = |found: &&recover::Recovered| found.covers[index];
            found.iter().filter(covers).count() as f64 / samples as f64
        };
        let slack = 4.0 * (0.95 * 0.05 / samples as f64).sqrt();
        let shares: Vec<f64> = (0..truth.len()).map(share).collect();
        println!("{kind}: {shares:.3?} of {samples} intervals cover");
        for (share, name) in shares.iter().zip(subject.param_names()) {
            let near = (share - 0.95).abs() < slack;
            assert!(near, "{kind} {name}: {share}");
        }
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let allowed = if samples >= 500 { 0.02 } else { slack };
        assert!((mean - 0.95).abs() <= allowed, "{kind}: {shares:?}");
    });
}

#[test]
fn simulation_is_the_same_for_the_same_seed_and_another_for_another() {
    each_subject(|subject| {
        let (templates, truth) = (subject.templates(500), subject.truth());
        let draw = |seed| subject.simulate(&truth, &templates, seed);
        assert_eq!(draw(7), draw(7), "{}", subject.kind());
        assert_ne!(draw(7), draw(8), "{}", subject.kind());
    });
}

#[test]
fn fits_do_not_depend_on_the_thread_count_or_the_order_of_rows() {
    each_subject(|subject| {
        let kind = subject.kind();
        let templates = subject.templates(SIMULATED_CUSTOMERS);
        let mut drawn = subject.simulate(&subject.truth(), &templates, 11);
        let fit = |rows: &[Vec<f64>], threads: usize| {
            let fitted = subject.fit(rows, threads).expect("a fit");
            (fitted.model.fingerprint(), fitted.report.params)
        };
        let alone = fit(&drawn, 1);
        for threads in [2, 7] {
            assert_eq!(fit(&drawn, threads), alone, "{kind} on {threads} threads");
        }
        // The fingerprint may differ: training facts hold means summed in the order of the rows.
        shuffle(&mut drawn, 13);
        let shuffled = fit(&drawn, 2).1;
        for (got, want) in shuffled.iter().zip(&alone.1) {
            // Rows with paths are not merged: their sums run in the order given.
            let near = !subject.spec.covariates.is_empty()
                && (got - want).abs() <= ORDER_TOLERANCE * want.abs();
            assert!(
                near || got.to_bits() == want.to_bits(),
                "{kind} shuffled: {got} and {want}"
            );
        }
    });
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut random = Random::new(seed);
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last + 1));
    }
}

#[test]
fn a_file_gives_the_model_back() {
    each_model(|sample| {
        let Sample { name, model, .. } = sample;
        let bytes = model.encode().expect("bytes of a model");
        assert_eq!(
            bytes,
            model.encode().expect("bytes again"),
            "{name}: same bytes twice"
        );
        let back = Model::open(&bytes).expect("a model from its own bytes");
        assert_eq!(back.fingerprint(), model.fingerprint(), "{name}");
        assert_eq!(back.encode().expect("bytes once more"), bytes, "{name}");
        assert_eq!(back.schema(), model.schema(), "{name}");
        let frame = rows::frame(model.schema(), sample.rows(ROWS), 5);
        let difference =
            compare::first_difference(&score(&back, &frame, 1), &score(model, &frame, 1));
        assert_eq!(difference, None, "{name}");
    });
}

#[test]
fn random_rows_are_scored_or_refused_and_never_both() {
    let mut refused = 0;
    each_model(|sample| {
        let Sample { name, model, .. } = sample;
        let frame = rows::frame(model.schema(), sample.rows(ROWS), 17);
        let scores = score(model, &frame, 1);
        let scored = |code: RowCode| matches!(code, RowCode::Ok | RowCode::Infinite);
        let good = scores.status.iter().filter(|s| scored(s.code)).count();
        let rows = frame.row_count;
        assert!(
            good > rows / 10,
            "{name}: only {good} of {rows} rows are good"
        );
        refused += rows - good;
        for (output, values) in &scores.outputs {
            for (row, (value, status)) in values.iter().zip(&scores.status).enumerate() {
                let is_number = !value.is_nan();
                assert_eq!(
                    is_number,
                    scored(status.code),
                    "{name}: {output} row {row} is {value}"
                );
                // Only a quantile that is never reached and the logarithm of nothing are infinite.
                let may = status.code == RowCode::Infinite
                    || *output == "next_purchase_periods"
                    || output.starts_with("log_");
                assert!(
                    value.is_finite() || !is_number || may,
                    "{name}: {output} row {row}"
                );
            }
        }
    });
    assert!(
        refused > 1_000,
        "only {refused} rows refused: the rows are too tame"
    );
}

/// `score(a ++ b) == score(a) ++ score(b)`, wherever the cut is.
#[test]
fn rows_are_independent() {
    each_model(|sample| {
        let Sample { name, model, .. } = sample;
        let frame = rows::frame(model.schema(), sample.rows(ROWS), 23);
        let whole = score(model, &frame, 1);
        let mut random = Random::new(29);
        for _ in 0..3 {
            let mut start = 0;
            while start < frame.row_count {
                let end = (start + 1 + random.below(300)).min(frame.row_count);
                let part = score(model, &rows::slice(&frame, start..end), 1);
                let want = part_of(&whole, start, end);
                let difference = compare::first_difference(&part, &want);
                assert_eq!(difference, None, "{name}: rows {start}..{end}");
                start = end;
            }
        }
    });
}

fn part_of(scores: &Scores, start: usize, end: usize) -> Scores {
    let outputs = scores.outputs.iter();
    Scores {
        outputs: outputs
            .map(|(name, values)| (*name, values[start..end].to_vec()))
            .collect(),
        status: scores.status[start..end].to_vec(),
        issues: Vec::new(),
        reasons: None,
    }
}

#[test]
fn scores_do_not_depend_on_the_thread_count() {
    each_model(|sample| {
        let Sample { name, model, .. } = sample;
        let count = sample.rows(35_003);
        if count < ROWS_OF_TWO_THREADS {
            return;
        }
        let frame = rows::frame(model.schema(), count, 31);
        let batch = frame.batch().expect("columns of a frame");
        // The usual outputs: rows of the others cost too much for so many.
        let options = ScoreOptions {
            outputs: Vec::new(),
            ..model.probe().options.clone()
        };
        let on = |threads| model.score_on(&batch, &options, threads).expect("scores");
        let alone = on(1);
        for threads in [2, 8] {
            let together = on(threads);
            let difference = compare::first_difference(&together, &alone);
            assert_eq!(difference, None, "{name} on {threads} threads");
            assert_eq!(together.issues, alone.issues, "{name} on {threads} threads");
        }
    });
}

/// Columns of a row-major matrix, as a notebook has them, score as their copies do.
#[test]
fn strided_columns_score_like_contiguous_ones() {
    each_model(|sample| {
        let Sample { name, model, .. } = sample;
        let frame = rows::frame(model.schema(), sample.rows(ROWS), 37);
        let (names, matrix) = rows::matrix(&frame);
        let batch = rows::strided(&frame, &names, &matrix);
        let strided = model.score(&batch, &model.probe().options).expect("scores");
        let difference = compare::first_difference(&strided, &score(model, &frame, 1));
        assert_eq!(difference, None, "{name}");
    });
}

/// Asking for one output gives the bits it has among all of them.
#[test]
fn outputs_do_not_depend_on_each_other() {
    each_model(|sample| {
        let Sample { name, model, .. } = sample;
        let frame = rows::frame(model.schema(), sample.rows(ROWS / 4), 41);
        let all = score(model, &frame, 1);
        for (output, values) in &all.outputs {
            let mut options = model.probe().options.clone();
            options.outputs = vec![(*output).to_owned()];
            let batch = frame.batch().expect("columns of a frame");
            let alone = model.score(&batch, &options).expect("one output");
            let got = alone.get(output).expect("the output asked for");
            for (row, (got, want)) in got.iter().zip(values).enumerate() {
                // A row that only another output cannot serve may well be served alone.
                let same = compare::same_bits(*got, *want) || !all.status[row].is_ok();
                assert!(same, "{name}: {output} row {row}: {got:e} and {want:e}");
            }
        }
    });
}
