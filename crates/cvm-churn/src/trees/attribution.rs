//! Attributions of a row's raw score to its fields, by any of the ways there are.
//!
//! | way            | what a field that is not in the coalition does              | cost per row     |
//! |----------------|-------------------------------------------------------------|------------------|
//! | path-dependent | follows both children, by their shares of training weight   | nodes            |
//! | interventional | takes the value of a background row, on average over them   | nodes × rows     |
//! | approximate    | nothing: what a split changes is its own field's alone      | depth            |
//!
//! The first two are Shapley values of a game; the last is not, and says so.

use super::builder::Builder;
use super::forest::{Forest, LEAF};
use super::interventional::Background;
use super::model::{Ensemble, Trees};
use super::rules::Rules;
use super::shap::PathDependent;
use std::ops::Range;

/// Labels of the ways.
pub(crate) const PATH_DEPENDENT: &str = "path-dependent TreeSHAP";
pub(crate) const INTERVENTIONAL: &str = "interventional TreeSHAP";
pub(crate) const APPROXIMATE: &str = "approximate: path attribution, not Shapley values";

/// Trees with what every way needs to know of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Game<'g> {
    pub(crate) forest: &'g Forest,
    pub(crate) rules: &'g Rules,
    pub(crate) field_count: usize,
    pub(crate) output_count: usize,
}

impl Game<'_> {
    /// Outputs that a tree adds to.
    pub(crate) fn outputs_of(&self, tree: usize) -> Range<usize> {
        if self.forest.width > 1 {
            return 0..self.forest.width;
        }
        let own = usize::from(self.forest.tree_outputs.get(tree).copied().unwrap_or(0));
        own..own + 1
    }

    /// What a leaf adds to one of its tree's outputs.
    #[inline]
    pub(crate) fn leaf_value(&self, node: usize, output: usize) -> f64 {
        if self.forest.width == 1 {
            return self.forest.values[node];
        }
        let vector = self.forest.leaf_vector(node);
        vector.get(output).copied().unwrap_or(0.0)
    }
}

/// An ensemble laid out for attribution.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Oblivious trees as binary ones.
    expanded: Option<Forest>,
    /// What the training weight tells, or why it tells nothing.
    weighed: Result<Weighed, String>,
}

/// What follows from the training weight of nodes.
#[derive(Debug, Clone)]
struct Weighed {
    /// Share of its parent's weight, by node.
    shares: Vec<f64>,
    /// Leaf values expected from a node on, by node and then by output of its tree.
    expected: Vec<f64>,
    /// The layout of the exact way, or why there is none.
    exact: Result<PathDependent, String>,
    /// Raw score expected before anything is known, by output.
    base: Vec<f64>,
}

impl Layout {
    /// The layout of `ensemble`.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) fn new(ensemble: &Ensemble) -> Result<Layout, String> {
        let expanded = match &ensemble.trees {
            Trees::Binary(_) => None,
            Trees::Oblivious(_) => Some(expand(ensemble)?),
        };
        let mut layout = Layout {
            expanded,
            weighed: Err(String::new()),
        };
        let forest = layout.forest(ensemble)?;
        if !forest.linear.is_empty() {
            return Err("linear leaves have no attribution by fields".to_owned());
        }
        layout.weighed = Weighed::new(ensemble, &layout.game(ensemble)?);
        Ok(layout)
    }

    fn forest<'l>(&'l self, ensemble: &'l Ensemble) -> Result<&'l Forest, String> {
        match (&self.expanded, &ensemble.trees) {
            (Some(forest), _) | (None, Trees::Binary(forest)) => Ok(forest),
            _ => Err("oblivious trees are not expanded".to_owned()),
        }
    }

    fn game<'l>(&'l self, ensemble: &'l Ensemble) -> Result<Game<'l>, String> {
        Ok(Game {
            forest: self.forest(ensemble)?,
            rules: &ensemble.rules,
            field_count: ensemble.fields.len(),
            output_count: ensemble.output_count(),
        })
    }

    /// The way of attribution that `how` names, ready for blocks of rows.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) fn explainer<'l>(
        &'l self,
        ensemble: &'l Ensemble,
        how: How,
    ) -> Result<Explainer<'l>, String> {
        let game = self.game(ensemble)?;
        let weighed = || self.weighed.as_ref().map_err(Clone::clone);
        let (way, base) = match how {
            How::PathDependent => {
                let weighed = weighed()?;
                let exact = weighed.exact.as_ref().map_err(Clone::clone)?;
                (Way::Exact(exact, &weighed.shares), weighed.base.clone())
            }
            How::Approximate => {
                let weighed = weighed()?;
                (Way::Path(&weighed.expected), weighed.base.clone())
            }
            How::Interventional { values, rows } => {
                let background = Background::new(&game, values, rows)?;
                let base = background.base(ensemble, &game);
                (Way::Background(background), base)
            }
        };
        Ok(Explainer {
            scale: ensemble.finish.scale / ensemble.finish.divisor,
            game,
            way,
            base,
        })
    }
}

/// A way of attribution, with what it needs.
#[derive(Debug)]
pub(crate) enum How {
    PathDependent,
    /// Prepared values of background rows, field after field.
    Interventional {
        values: Vec<f64>,
        rows: usize,
    },
    Approximate,
}

#[derive(Debug)]
enum Way<'l> {
    Exact(&'l PathDependent, &'l [f64]),
    Background(Background),
    /// Expected leaf values by node.
    Path(&'l [f64]),
}

/// Explains blocks of rows.
#[derive(Debug)]
pub(crate) struct Explainer<'l> {
    game: Game<'l>,
    way: Way<'l>,
    /// Raw scores are `(scale · sum + bias) / divisor`.
    scale: f64,
    /// Raw score expected before anything is known, by output.
    pub(crate) base: Vec<f64>,
}

impl Explainer<'_> {
    /// Attributions of `rows` rows of prepared values, field after field: row after row, in it
    /// output after output, in it field after field.
    pub(crate) fn explain(&self, values: &[f64], rows: usize, out: &mut [f64]) {
        out.fill(0.0);
        match &self.way {
            Way::Exact(exact, shares) => exact.add(&self.game, shares, values, rows, out),
            Way::Background(background) => background.add(&self.game, values, rows, out),
            Way::Path(expected) => self.follow(expected, values, rows, out),
        }
        if self.scale != 1.0 {
            out.iter_mut().for_each(|phi| *phi *= self.scale);
        }
    }

    /// What each split on a row's way changes in the expected value goes to the split's field.
    ///
    /// Source: Saabas (2014), *Interpreting random forests*; known to depend on the order of splits.
    fn follow(&self, expected: &[f64], values: &[f64], rows: usize, out: &mut [f64]) {
        let Game {
            forest,
            rules,
            field_count,
            output_count,
        } = self.game;
        let width = forest.width;
        for (row, out) in out.chunks_exact_mut(field_count * output_count).enumerate() {
            for (tree, nodes) in forest.trees().enumerate() {
                let mut node = nodes.start;
                while forest.features[node] != LEAF {
                    let field = forest.features[node] as usize;
                    let left = forest.goes_left(node, values[field * rows + row], rules);
                    let next = if left { node + 1 } else { forest.right(node) };
                    for (place, output) in self.game.outputs_of(tree).enumerate() {
                        let change =
                            expected[next * width + place] - expected[node * width + place];
                        out[output * field_count + field] += change;
                    }
                    node = next;
                }
            }
        }
    }
}

impl Weighed {
    fn new(ensemble: &Ensemble, game: &Game<'_>) -> Result<Weighed, String> {
        let forest = game.forest;
        if forest.covers.len() != forest.features.len() {
            return Err(
                "the model does not say how many training rows reached its nodes; \
                        give background rows"
                    .to_owned(),
            );
        }
        let shares = shares(forest);
        let expected = expected(game, &shares);
        let mut sums = ensemble.finish.base.clone();
        for (tree, nodes) in forest.trees().enumerate() {
            for (place, output) in game.outputs_of(tree).enumerate() {
                sums[output] += expected[nodes.start * forest.width + place];
            }
        }
        Ok(Weighed {
            exact: PathDependent::new(forest, &shares),
            base: raw(ensemble, &sums),
            shares,
            expected,
        })
    }
}

/// Raw scores of sums.
pub(crate) fn raw(ensemble: &Ensemble, sums: &[f64]) -> Vec<f64> {
    let raw = sums.iter().enumerate();
    raw.map(|(output, sum)| ensemble.finish.raw(output, *sum))
        .collect()
}

/// Leaf values expected from each node on: of a split the mean of its children by their shares.
fn expected(game: &Game<'_>, shares: &[f64]) -> Vec<f64> {
    let forest = game.forest;
    let width = forest.width;
    let mut expected = vec![0.0; forest.features.len() * width];
    for node in (0..forest.features.len()).rev() {
        for place in 0..width {
            expected[node * width + place] = if forest.features[node] == LEAF {
                game.leaf_value(node, place)
            } else {
                let children = [node + 1, forest.right(node)];
                let [left, right] = children.map(|c| shares[c] * expected[c * width + place]);
                left + right
            };
        }
    }
    expected
}

/// Oblivious trees as binary ones.
fn expand(ensemble: &Ensemble) -> Result<Forest, String> {
    let Trees::Oblivious(trees) = &ensemble.trees else {
        return Err("not oblivious".to_owned());
    };
    let mut builder = Builder::new(trees.width);
    for tree in trees.trees() {
        let (nodes, covers) = trees.expand(tree);
        builder.push(0, 0, &nodes, &covers)?;
    }
    builder
        .finish()
        .link(ensemble.fields.len(), ensemble.output_count())
}

/// Share of the parent's cover; 0 where nothing reached the parent.
fn shares(forest: &Forest) -> Vec<f64> {
    let mut shares = vec![1.0; forest.features.len()];
    for node in 0..forest.features.len() {
        if forest.features[node] == LEAF {
            continue;
        }
        // Of the children, not of the node: shares of siblings then sum to 1 even where a library
        // counts its nodes loosely.
        let children = [node + 1, forest.right(node)];
        let total: f64 = children.iter().map(|child| forest.covers[*child]).sum();
        for child in children {
            shares[child] = if total > 0.0 {
                forest.covers[child] / total
            } else {
                0.0
            };
        }
    }
    shares
}
