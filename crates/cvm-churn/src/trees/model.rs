//! A tree ensemble as a model: fields in, scores out.
//!
//! A block of rows is read field by field, prepared as the original library prepares it, and walked
//! by the fastest form that can hold the trees; then the sums become raw scores and answers.

use super::attribution::{Explainer, How, Layout};
use super::fields::{self, Field, Reader};
use super::forest::Forest;
use super::kernel::Kernel;
use super::limits::MAX_CLASSES;
use super::link::{self, Finish};
use super::oblivious::Oblivious;
use super::oblivious_kernel::ObliviousKernel;
use super::rules::{InputWidth, Rules};
use super::{attribution, probe, state, walk};
use cvm_core::{
    Attributions, BoundBatch, ExplainMethod, Frame, InputError, InputSchema, ModelState,
    OutputSpec, Question, RowCode, RowStatus, ScoreBlock, ScoreOptions, Scorer, StateError,
};
use std::ops::Range;
use std::sync::OnceLock;

/// Kind in the catalog.
pub(crate) const KIND: &str = "churn.trees";
/// Rows read at once by the plain walk.
const PLAIN_ROWS: usize = 64;
/// Rows explained at once: a tree's tables are read once for all of them.
const EXPLAINED_ROWS: usize = 32;

/// The trees.
#[derive(Debug, Clone, PartialEq)]
pub enum Trees {
    /// Binary trees.
    Binary(Forest),
    /// Oblivious trees.
    Oblivious(Oblivious),
}

/// Everything a tree model consists of, as plain data.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    /// Inputs.
    pub fields: Vec<Field>,
    /// Arithmetic of nodes and sums.
    pub rules: Rules,
    /// The trees.
    pub trees: Trees,
    /// From sums to answers.
    pub finish: Finish,
}

impl Ensemble {
    /// Checks everything, and makes the indices the walk needs.
    pub(crate) fn check(mut self) -> Result<Ensemble, String> {
        fields::check(&self.fields)?;
        let outputs = self.finish.base.len();
        self.finish.check(outputs)?;
        self.trees = match self.trees {
            Trees::Binary(forest) => Trees::Binary(forest.link(self.fields.len(), outputs)?),
            Trees::Oblivious(trees) => {
                trees.check(self.fields.len(), outputs)?;
                Trees::Oblivious(trees)
            }
        };
        Ok(self)
    }

    /// Number of raw scores a row has.
    #[must_use]
    pub fn output_count(&self) -> usize {
        self.finish.base.len()
    }

    /// Number of trees.
    #[must_use]
    pub fn tree_count(&self) -> usize {
        match &self.trees {
            Trees::Binary(forest) => forest.tree_sizes.len(),
            Trees::Oblivious(trees) => trees.depths.len(),
        }
    }
}

/// The form the trees are walked in.
#[derive(Debug, Clone)]
enum Engine {
    Plain,
    Packed(Box<Kernel>),
    Oblivious(Box<ObliviousKernel>),
}

/// An ensemble of trees made by another library, scored as that library scores it.
#[derive(Debug, Clone)]
pub struct TreeEnsemble {
    ensemble: Ensemble,
    schema: InputSchema,
    reader: Reader,
    engine: Engine,
    /// Made when an explanation is first asked for.
    layout: OnceLock<Result<Layout, String>>,
}

impl TreeEnsemble {
    /// Kind in the catalog.
    pub const KIND: &'static str = KIND;

    /// Name for people.
    pub const TITLE: &'static str = "Tree ensemble";

    /// A model of checked data.
    ///
    /// # Errors
    /// `StateError::Malformed` naming the part that is wrong.
    pub fn new(ensemble: Ensemble) -> Result<TreeEnsemble, StateError> {
        let ensemble = ensemble
            .check()
            .map_err(|problem| StateError::malformed(KIND, problem))?;
        Ok(TreeEnsemble {
            schema: fields::schema(&ensemble.fields, &ensemble.rules),
            reader: Reader::new(&ensemble.fields, ensemble.rules),
            engine: engine(&ensemble),
            layout: OnceLock::new(),
            ensemble,
        })
    }

    /// Rebuilds a model from its state.
    ///
    /// # Errors
    /// `StateError::Malformed` naming the part that is absent, of the wrong shape or out of range.
    pub fn from_state(state: &ModelState) -> Result<TreeEnsemble, StateError> {
        TreeEnsemble::new(state::read(state)?)
    }

    /// The data.
    #[must_use]
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// The same model walked the plain way, for comparison.
    #[must_use]
    pub fn walked_plainly(&self) -> TreeEnsemble {
        TreeEnsemble {
            engine: Engine::Plain,
            ..self.clone()
        }
    }

    /// Name of the form the trees are walked in: `plain`, `packed` or `oblivious`.
    #[must_use]
    pub fn form(&self) -> &'static str {
        match self.engine {
            Engine::Plain => "plain",
            Engine::Packed(_) => "packed",
            Engine::Oblivious(_) => "oblivious",
        }
    }

    fn block_rows(&self) -> usize {
        match &self.engine {
            Engine::Plain => PLAIN_ROWS,
            Engine::Packed(kernel) => kernel.block_rows(),
            Engine::Oblivious(kernel) => kernel.block_rows(),
        }
    }

    /// Raw scores of `rows` rows of prepared values.
    pub(crate) fn raw_scores(&self, values: &[f64], rows: usize, raw: &mut [f64]) {
        let Ensemble {
            rules,
            trees,
            finish,
            ..
        } = &self.ensemble;
        match (&self.engine, trees) {
            (Engine::Packed(kernel), _) => kernel.sum(values, rows, raw),
            (Engine::Oblivious(kernel), Trees::Oblivious(trees)) => {
                kernel.sum(trees, values, rows, raw);
            }
            (_, Trees::Binary(forest)) => {
                walk::sum(forest, rules, &finish.base, values, rows, raw);
            }
            (Engine::Plain, Trees::Oblivious(trees)) => {
                trees.sum(rules, &finish.base, values, rows, raw);
            }
        }
        for row in raw.chunks_exact_mut(finish.base.len()) {
            for (output, sum) in row.iter_mut().enumerate() {
                *sum = finish.raw(output, *sum);
            }
        }
    }

    /// The way a question asks for, with its label.
    fn how(&self, question: &Question<'_, '_, '_>) -> Result<(How, &'static str), InputError> {
        let field = "background";
        match (question.method, question.background) {
            (ExplainMethod::Exact, None) => Ok((How::PathDependent, attribution::PATH_DEPENDENT)),
            (ExplainMethod::Approximate, None) => Ok((How::Approximate, attribution::APPROXIMATE)),
            (ExplainMethod::Interventional, Some(batch)) => {
                let rows = batch.row_count;
                let mut values = vec![0.0; rows * self.ensemble.fields.len()];
                let mut status = vec![RowStatus::OK; rows];
                let tables = self.reader.tables(batch);
                self.reader
                    .read(batch, &tables, 0, &mut values, &mut status);
                match status.iter().position(|status| !status.is_ok()) {
                    Some(row) => {
                        let issue = batch.describe(row, status[row]);
                        Err(InputError::new(field, issue.message))
                    }
                    None => Ok((
                        How::Interventional { values, rows },
                        attribution::INTERVENTIONAL,
                    )),
                }
            }
            (ExplainMethod::Interventional, None) => {
                let why = "is not given; interventional attributions need rows to compare with";
                Err(InputError::new(field, why))
            }
            (_, Some(_)) => Err(InputError::new(
                field,
                "is given; only the method `interventional` compares with it",
            )),
        }
    }

    /// Attributions and statuses of `rows` of a batch.
    fn attribute(
        &self,
        batch: &BoundBatch<'_, '_>,
        rows: Range<usize>,
        explainer: &Explainer<'_>,
    ) -> (Vec<f64>, Vec<RowStatus>) {
        let fields = self.ensemble.fields.len();
        let width = fields * self.ensemble.output_count();
        let tables = self.reader.tables(batch);
        let mut values = vec![0.0; rows.len() * width];
        let mut status = vec![RowStatus::OK; rows.len()];
        let mut inputs = vec![0.0; EXPLAINED_ROWS * fields];
        let blocks = values
            .chunks_mut(EXPLAINED_ROWS * width)
            .zip(status.chunks_mut(EXPLAINED_ROWS));
        for (block, (out, status)) in blocks.enumerate() {
            let count = status.len();
            let inputs = &mut inputs[..count * fields];
            let start = rows.start + block * EXPLAINED_ROWS;
            self.reader.read(batch, &tables, start, inputs, status);
            explainer.explain(inputs, count, out);
            for (row, status) in out.chunks_exact_mut(width).zip(status) {
                if !status.is_ok() {
                    row.fill(f64::NAN);
                }
            }
        }
        (values, status)
    }

    /// Writes the outputs of one row.
    fn write(&self, raw: &[f64], row: usize, wanted: &[usize], block: &mut ScoreBlock<'_>) {
        let mut answer = [0.0; MAX_CLASSES];
        let answer = &mut answer[..raw.len()];
        answer.copy_from_slice(raw);
        let ok = block.status[row].is_ok();
        if ok {
            self.ensemble.finish.answer(answer);
            if raw.iter().chain(&*answer).any(|value| !value.is_finite()) {
                block.status[row] = RowStatus::bad(RowCode::Undefined, 0);
            }
        }
        let ok = block.status[row].is_ok();
        // Answer and raw score take turns; a model without a link has raw scores only.
        let only_raw = self.outputs().len() == raw.len();
        for (output, which) in block.outputs.iter_mut().zip(wanted) {
            output[row] = match (ok, only_raw) {
                (false, _) => f64::NAN,
                (true, true) => raw[*which],
                (true, false) if which % 2 == 1 => raw[which / 2],
                (true, false) => answer[which / 2],
            };
        }
    }
}

fn engine(ensemble: &Ensemble) -> Engine {
    let base = &ensemble.finish.base;
    match &ensemble.trees {
        Trees::Binary(forest) => match Kernel::new(forest, ensemble.rules, base) {
            Some(kernel) => Engine::Packed(Box::new(kernel)),
            None => Engine::Plain,
        },
        Trees::Oblivious(trees) => match ObliviousKernel::new(trees, ensemble.rules, base) {
            Some(kernel) => Engine::Oblivious(Box::new(kernel)),
            None => Engine::Plain,
        },
    }
}

impl Scorer for TreeEnsemble {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn schema(&self) -> &InputSchema {
        &self.schema
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        let finish = &self.ensemble.finish;
        link::outputs(finish.link, finish.base.len())
    }

    fn state(&self) -> ModelState {
        state::write(&self.ensemble)
    }

    fn probe_rows(&self) -> Frame {
        probe::rows(&self.ensemble)
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions::default()
    }

    fn explain(
        &self,
        batch: &BoundBatch<'_, '_>,
        rows: Range<usize>,
        question: &Question<'_, '_, '_>,
    ) -> Result<Attributions, InputError> {
        let refused = |why: &str| InputError::new("model", format!("cannot be explained: {why}"));
        let layout = self.layout.get_or_init(|| Layout::new(&self.ensemble));
        let layout = layout.as_ref().map_err(|why| refused(why))?;
        let (how, method) = self.how(question)?;
        let explainer = layout
            .explainer(&self.ensemble, how)
            .map_err(|why| refused(&why))?;
        let raw = self.outputs().iter().map(|output| output.name);
        let (values, status) = self.attribute(batch, rows, &explainer);
        Ok(Attributions {
            method,
            is_exact: method != attribution::APPROXIMATE,
            outputs: raw.filter(|name| name.ends_with("raw_score")).collect(),
            base: explainer.base,
            values,
            status,
        })
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        wanted: &[usize],
        _options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let tables = self.reader.tables(batch);
        let outputs = self.ensemble.output_count();
        let rows = self.block_rows().min(block.status.len());
        let mut values = vec![0.0; rows * self.ensemble.fields.len()];
        let mut raw = vec![0.0; rows * outputs];
        for offset in (0..block.status.len()).step_by(rows.max(1)) {
            let count = rows.min(block.status.len() - offset);
            let values = &mut values[..count * self.ensemble.fields.len()];
            let raw = &mut raw[..count * outputs];
            let status = &mut block.status[offset..offset + count];
            self.reader
                .read(batch, &tables, start + offset, values, status);
            self.raw_scores(values, count, raw);
            for (row, raw) in raw.chunks_exact(outputs).enumerate() {
                self.write(raw, offset + row, wanted, block);
            }
        }
    }
}

/// The number next above `x` at the width of inputs.
pub(crate) fn next_up(width: InputWidth, x: f64) -> f64 {
    match width {
        InputWidth::F32 => f64::from((x as f32).next_up()),
        InputWidth::F64 | InputWidth::F64TinyIsZero => x.next_up(),
    }
}

/// The number next below `x` at the width of inputs.
pub(crate) fn next_down(width: InputWidth, x: f64) -> f64 {
    match width {
        InputWidth::F32 => f64::from((x as f32).next_down()),
        InputWidth::F64 | InputWidth::F64TinyIsZero => x.next_down(),
    }
}
