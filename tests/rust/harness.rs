//! What must hold for every kind of the catalog, whoever wrote it.

use cvm::{Entry, FitOptions, Frame, Harness, Model, RowCode, ScoreOptions, Scores};
use cvm_testkit::golden::{Corpus, HarnessSpec};
use cvm_testkit::rows::Random;
use cvm_testkit::{compare, gradient, recover, rows};

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const SIMULATED_CUSTOMERS: usize = 20_000;
/// Customers of a sample whose intervals are counted: enough for a normal approximation.
const COVERED_CUSTOMERS: usize = 5_000;
/// Distance of an estimate from the truth that five seeds of four parameters never reach by chance:
/// about one in a thousand runs would.
const STANDARD_ERRORS: f64 = 4.0;
const GRADIENT_TOLERANCE: f64 = 1e-7;
/// Rows scored by every output of every model of the corpus: more than one chunk.
const ROWS: usize = 600;

/// Kinds with a likelihood, with their corpus.
fn parametric() -> Vec<(&'static Entry, Harness, Corpus, HarnessSpec)> {
    let mut found = Vec::new();
    for entry in cvm::catalog() {
        let Some(harness) = entry.harness else {
            continue;
        };
        let corpus = Corpus::load(entry.kind);
        let spec = corpus.harness.clone();
        let spec = spec.unwrap_or_else(|| panic!("{}: the corpus lacks [harness]", entry.kind));
        found.push((entry, harness, corpus, spec));
    }
    assert!(
        found.len() >= 2,
        "only {} kinds with a likelihood",
        found.len()
    );
    found
}

/// Parameters of every model of a corpus, in the order of the kind.
fn params_of(entry: &Entry, corpus: &Corpus) -> Vec<Vec<f64>> {
    let values = |model: &cvm_testkit::golden::ModelSpec| {
        let of = |spec: &cvm::ParamSpec| model.params[spec.name];
        entry.params.iter().map(of).collect()
    };
    corpus.models.iter().map(values).collect()
}

/// What simulated rows are drawn with: identified by such rows.
fn truth_of(entry: &Entry, corpus: &Corpus, spec: &HarnessSpec) -> Vec<f64> {
    if spec.truth.is_empty() {
        return params_of(entry, corpus).swap_remove(0);
    }
    entry
        .params
        .iter()
        .map(|param| spec.truth[param.name])
        .collect()
}

/// A model of the corpus as a file.
struct Sample {
    name: String,
    model: Model,
    one_row_in: usize,
}

impl Sample {
    /// As many of `count` rows as this kind needs.
    fn rows(&self, count: usize) -> usize {
        count.div_ceil(self.one_row_in)
    }
}

/// Every model of the corpus.
fn models() -> Vec<Sample> {
    let mut found = Vec::new();
    for corpus in Corpus::all() {
        let one_row_in = corpus.harness.as_ref().map_or(1, |spec| spec.one_row_in);
        for spec in &corpus.models {
            found.push(Sample {
                name: format!("{}/{}", corpus.kind, spec.name),
                model: corpus.open(&spec.name),
                one_row_in,
            });
        }
    }
    assert!(found.len() >= 8, "only {} models", found.len());
    found
}

fn score(model: &Model, frame: &Frame, threads: usize) -> Scores {
    let batch = frame.batch().expect("columns of a frame");
    let options = &model.probe().options;
    model.score_on(&batch, options, threads).expect("scores")
}

#[test]
fn gradients_agree_with_differences() {
    for (entry, harness, corpus, spec) in parametric() {
        let names = (harness.columns)();
        let templates = recover::templates(&names, &spec.templates, 40);
        let mut checked = 0;
        for (seed, params) in params_of(entry, &corpus).into_iter().enumerate() {
            for scale in [0.5, 1.0, 2.5] {
                let params: Vec<f64> = params.iter().map(|value| value * scale).collect();
                let drawn = (harness.simulate)(&params, &templates, seed as u64);
                for row in drawn.expect("simulated rows") {
                    let value = gradient::value_error(&harness, &params, &row);
                    let value = value.expect("a legal row");
                    assert!(
                        value < 1e-12,
                        "{}: {params:?} {row:?}: {value:e}",
                        entry.kind
                    );
                    let error = gradient::worst_error(&harness, &params, &row);
                    let error = error.expect("a legal row");
                    let fine = error < GRADIENT_TOLERANCE;
                    assert!(fine, "{}: {params:?} {row:?}: {error:e}", entry.kind);
                    checked += 1;
                }
            }
        }
        assert!(checked >= 100, "{}: only {checked} gradients", entry.kind);
    }
}

#[test]
fn simulated_parameters_are_recovered() {
    for (entry, harness, corpus, spec) in parametric() {
        let names = (harness.columns)();
        let templates = recover::templates(
            &names,
            &spec.templates,
            SIMULATED_CUSTOMERS.min(spec.most_customers),
        );
        let truth = &truth_of(entry, &corpus, &spec);
        for seed in SEEDS {
            let found = recover::simulate_and_fit(entry, &harness, truth, &templates, seed);
            let found = found.unwrap_or_else(|error| panic!("{} {seed}: {error}", entry.kind));
            assert!(found.report.converged, "{} {seed}", entry.kind);
            let near = found
                .distance
                .iter()
                .all(|distance| *distance < STANDARD_ERRORS);
            assert!(near, "{} {seed}: {:?}", entry.kind, found);
        }
    }
}

/// Standard errors are honest: over many simulated samples, 95 % intervals hold the truth about 95 %
/// of the time. The bounds are four binomial standard deviations wide for the number of samples.
#[test]
fn confidence_intervals_cover_the_truth() {
    let slow = std::env::var_os("CVM_SLOW").is_some();
    let samples: usize = if slow { 500 } else { 40 };
    for (entry, harness, corpus, spec) in parametric() {
        let samples = samples.div_ceil(spec.one_sample_in) as u64;
        let names = (harness.columns)();
        let templates = recover::templates(
            &names,
            &spec.templates,
            COVERED_CUSTOMERS.min(spec.most_customers),
        );
        let truth = &truth_of(entry, &corpus, &spec);
        let one = |seed: u64| {
            let found = recover::simulate_and_fit(entry, &harness, truth, &templates, 1_000 + seed);
            found.unwrap_or_else(|error| panic!("{} {seed}: {error}", entry.kind))
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
        println!("{}: {shares:.3?} of {samples} intervals cover", entry.kind);
        for (share, spec) in shares.iter().zip(entry.params) {
            let near = (share - 0.95).abs() < slack;
            assert!(near, "{} {}: {share}", entry.kind, spec.name);
        }
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let allowed = if samples >= 500 { 0.02 } else { slack };
        assert!((mean - 0.95).abs() <= allowed, "{}: {shares:?}", entry.kind);
    }
}

#[test]
fn simulation_is_the_same_for_the_same_seed_and_another_for_another() {
    for (entry, harness, corpus, spec) in parametric() {
        let templates = recover::templates(&(harness.columns)(), &spec.templates, 500);
        let truth = &truth_of(entry, &corpus, &spec);
        let draw = |seed| (harness.simulate)(truth, &templates, seed).expect("simulated rows");
        assert_eq!(draw(7), draw(7), "{}", entry.kind);
        assert_ne!(draw(7), draw(8), "{}", entry.kind);
    }
}

#[test]
fn fits_do_not_depend_on_the_thread_count_or_the_order_of_rows() {
    for (entry, harness, corpus, spec) in parametric() {
        let names = (harness.columns)();
        let templates = recover::templates(
            &names,
            &spec.templates,
            SIMULATED_CUSTOMERS.min(spec.most_customers),
        );
        let truth = &truth_of(entry, &corpus, &spec);
        let mut drawn = (harness.simulate)(truth, &templates, 11).expect("simulated rows");
        let fit = |rows: &[Vec<f64>], threads: usize| {
            let frame = recover::to_frame(&names, rows);
            let options = FitOptions {
                threads,
                ..FitOptions::default()
            };
            let batch = frame.batch().expect("columns of a frame");
            let fitted = cvm::fit(entry.kind, &batch, &options).expect("a fit");
            (fitted.model.fingerprint(), fitted.report.params)
        };
        let alone = fit(&drawn, 1);
        for threads in [2, 3, 7] {
            assert_eq!(
                fit(&drawn, threads),
                alone,
                "{} on {threads} threads",
                entry.kind
            );
        }
        // The fingerprint may differ: training facts hold means summed in the order of the rows.
        let bits = |params: &[f64]| params.iter().map(|p| p.to_bits()).collect::<Vec<u64>>();
        drawn.reverse();
        let reversed = fit(&drawn, 2).1;
        assert_eq!(bits(&reversed), bits(&alone.1), "{} reversed", entry.kind);
        shuffle(&mut drawn, 13);
        let shuffled = fit(&drawn, 2).1;
        assert_eq!(bits(&shuffled), bits(&alone.1), "{} shuffled", entry.kind);
    }
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
    for sample in models() {
        let Sample { name, model, .. } = &sample;
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
    }
}

#[test]
fn random_rows_are_scored_or_refused_and_never_both() {
    let mut refused = 0;
    for sample in models() {
        let Sample { name, model, .. } = &sample;
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
    }
    assert!(
        refused > 1_000,
        "only {refused} rows refused: the rows are too tame"
    );
}

/// `score(a ++ b) == score(a) ++ score(b)`, wherever the cut is.
#[test]
fn rows_are_independent() {
    for sample in models() {
        let Sample { name, model, .. } = &sample;
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
    }
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
    for sample in models() {
        let Sample { name, model, .. } = &sample;
        let frame = rows::frame(model.schema(), sample.rows(35_003), 31);
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
    }
}

/// Columns of a row-major matrix, as a notebook has them, score as their copies do.
#[test]
fn strided_columns_score_like_contiguous_ones() {
    for sample in models() {
        let Sample { name, model, .. } = &sample;
        let frame = rows::frame(model.schema(), sample.rows(ROWS), 37);
        let (names, matrix) = rows::matrix(&frame);
        let batch = rows::strided(&frame, &names, &matrix);
        let strided = model.score(&batch, &model.probe().options).expect("scores");
        let difference = compare::first_difference(&strided, &score(model, &frame, 1));
        assert_eq!(difference, None, "{name}");
    }
}

/// Asking for one output gives the bits it has among all of them.
#[test]
fn outputs_do_not_depend_on_each_other() {
    for sample in models() {
        let Sample { name, model, .. } = &sample;
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
    }
}
