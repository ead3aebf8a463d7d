//! The mean of calibrated classifiers: what scikit-learn's `CalibratedClassifierCV` predicts.
//!
//! Every member is a model with a map of one of its outputs `f` to a probability:
//!
//! ```text
//! sigmoid   p = 1/(1 + e^(a f + b))
//! segments  p = y_j + (y_{j+1} − y_j)/(x_{j+1} − x_j) (f − x_j)      f pulled into [x_0, x_n]
//! answer    (0 + p_1 + … + p_K) / K
//! ```
//! The order of operations is that of scikit-learn (`sklearn.calibration`, `numpy.interp`), and so is
//! the `exp`, glibc's: every bit is. A row that any member refuses has no answer.

use crate::Logistic;
use crate::trees::{Exponential, TreeEnsemble};
use cvm_core::{
    Array, BoundBatch, Frame, FrameColumn, InputError, InputSchema, ModelState, OutputSpec,
    RowStatus, ScoreBlock, ScoreOptions, Scorer, StateError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most members: a limit for hostile files.
const MOST_MEMBERS: usize = 256;
/// Most points of a curve, as above.
const MOST_POINTS: usize = 1 << 20;

/// Whose `exp` a sigmoid may take: files name these two.
const MAP_EXPONENTIALS: [Exponential; 2] = [Exponential::Own, Exponential::Glibc];

const OUTPUTS: &[OutputSpec] = &[OutputSpec {
    name: "churn_probability",
    unit: "probability",
    needs_horizon: false,
    on_request: false,
    meaning: "mean of the members' calibrated probabilities that the customer leaves",
}];

/// From an output of a member to a probability.
#[derive(Debug, Clone, PartialEq)]
pub enum Map {
    /// `1/(1 + e^(a f + b))`.
    Sigmoid {
        /// `a`; negative where the output rises with the probability.
        a: f64,
        /// `b`.
        b: f64,
        /// Whose `e^x`: glibc's, or that of `cvm-math` in files of before there was a choice.
        exponential: Exponential,
    },
    /// Line segments; level beyond the ends.
    Segments {
        /// Values of the output, ascending.
        x: Vec<f64>,
        /// Probability at each.
        y: Vec<f64>,
    },
}

impl Map {
    fn name(&self) -> &'static str {
        match self {
            Map::Sigmoid { exponential, .. } if exponential.is_own() => "sigmoid",
            Map::Sigmoid { .. } => "expit",
            Map::Segments { .. } => "segments",
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Map::Sigmoid { exponential, .. } if !MAP_EXPONENTIALS.contains(exponential) => {
                Err(format!("a sigmoid cannot take {exponential:?}"))
            }
            Map::Sigmoid { a, b, .. } if a.is_finite() && b.is_finite() => Ok(()),
            Map::Sigmoid { a, b, .. } => Err(format!("numbers of a sigmoid are {a} and {b}")),
            Map::Segments { x, y } => {
                let rises = x.windows(2).all(|pair| pair[0] < pair[1]);
                let sound = x.iter().all(|x| x.is_finite())
                    && y.iter().all(|y| (0.0..=1.0).contains(y))
                    && !x.is_empty()
                    && x.len() == y.len();
                match rises && sound && x.len() <= MOST_POINTS {
                    true => Ok(()),
                    false => Err("segments do not rise along x, or leave 0 to 1".to_owned()),
                }
            }
        }
    }

    /// Probability at an output's value; NaN for NaN.
    fn probability(&self, f: f64) -> f64 {
        match self {
            _ if f.is_nan() => f64::NAN,
            Map::Sigmoid { a, b, exponential } => exponential.sigmoid(-(a * f + b)),
            Map::Segments { x, y } => segment(x, y, f),
        }
    }
}

fn segment(x: &[f64], y: &[f64], f: f64) -> f64 {
    let next = x.partition_point(|own| *own <= f);
    let Some(last) = next.checked_sub(1) else {
        return y[0];
    };
    match x.get(next) {
        None => y[last],
        Some(above) => {
            let slope = (y[next] - y[last]) / (above - x[last]);
            slope * (f - x[last]) + y[last]
        }
    }
}

/// A model and the map of its output.
#[derive(Debug)]
pub struct Member {
    scorer: Box<dyn Scorer>,
    /// Place of the output among the model's.
    place: usize,
    map: Map,
}

impl Member {
    /// `scorer` with `map` of its output `source`.
    ///
    /// # Errors
    /// An output the model does not have, or that asks for a horizon; a map that is none.
    pub fn new(scorer: Box<dyn Scorer>, source: &str, map: Map) -> Result<Member, String> {
        map.check()?;
        let found = scorer.outputs().iter().position(|o| o.name == source);
        match found {
            Some(place) if !scorer.outputs()[place].needs_horizon => {
                Ok(Member { scorer, place, map })
            }
            _ => Err(format!("a {} has no output `{source}`", scorer.kind())),
        }
    }
}

/// The mean of calibrated classifiers.
#[derive(Debug)]
pub struct Averaged {
    members: Vec<Member>,
}

/// A member in the settings of a state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberState {
    source: String,
    map: String,
}

impl Averaged {
    /// Kind in the catalog.
    pub const KIND: &'static str = "churn.calibrated";
    /// Name for people.
    pub const TITLE: &'static str = "Mean of calibrated classifiers";

    /// The mean of `members`.
    ///
    /// # Errors
    /// No member or too many, or members that read different columns.
    pub fn new(members: Vec<Member>) -> Result<Averaged, String> {
        if members.is_empty() || members.len() > MOST_MEMBERS {
            let count = members.len();
            return Err(format!("{count} members: must be 1 to {MOST_MEMBERS}"));
        }
        let first = members[0].scorer.schema();
        for (place, member) in members.iter().enumerate() {
            let fields = first.fields.iter().zip(&member.scorer.schema().fields);
            let other = fields.into_iter().find(|(a, b)| a != b);
            if let Some((field, _)) = other {
                return Err(format!(
                    "member {place} reads `{}` by other rules (levels, gaps) than member 0: give \
                     every fold the same levels, such as categories= of an encoder",
                    field.name
                ));
            }
            if first != member.scorer.schema() {
                return Err(format!("member {place} reads other columns than member 0"));
            }
        }
        Ok(Averaged { members })
    }

    /// Rebuilds a model from its state.
    ///
    /// # Errors
    /// `StateError::Malformed` naming the part that is absent, of the wrong shape or out of range.
    pub fn from_state(state: &ModelState) -> Result<Averaged, StateError> {
        let malformed = |problem: String| StateError::malformed(Averaged::KIND, problem);
        let list = state.settings.get("members").cloned().unwrap_or_default();
        let list: Vec<MemberState> = serde_json::from_value(list)
            .map_err(|error| malformed(format!("settings.members: {error}")))?;
        if list.len() > MOST_MEMBERS || state.settings.len() != list.len() + 1 {
            return Err(malformed(format!("{} members are listed", list.len())));
        }
        let members = list.iter().enumerate().map(|(place, own)| {
            let scorer = open(&state.nested(&format!("member_{place}"))?)?;
            let map = read_map(state, place, &own.map)?;
            Member::new(scorer, &own.source, map).map_err(malformed)
        });
        let members = members.collect::<Result<_, _>>()?;
        Averaged::new(members).map_err(malformed)
    }

    /// Kinds of the members.
    pub fn member_kinds(&self) -> impl Iterator<Item = &'static str> {
        self.members.iter().map(|member| member.scorer.kind())
    }
}

/// A member's model: of the kinds a classifier is imported as.
fn open(state: &ModelState) -> Result<Box<dyn Scorer>, StateError> {
    match state.kind.as_str() {
        "churn.trees" => Ok(Box::new(TreeEnsemble::from_state(state)?)),
        "churn.logistic" => Ok(Box::new(Logistic::from_state(state)?)),
        other => Err(StateError::malformed(
            Averaged::KIND,
            format!("a member is of kind `{other}`: must be churn.trees or churn.logistic"),
        )),
    }
}

fn read_map(state: &ModelState, place: usize, name: &str) -> Result<Map, StateError> {
    match name {
        "sigmoid" | "expit" => {
            let numbers = state.vector(&format!("map_{place}.numbers"), 2)?;
            Ok(Map::Sigmoid {
                a: numbers[0],
                b: numbers[1],
                exponential: match name {
                    "expit" => Exponential::Glibc,
                    _ => Exponential::Own,
                },
            })
        }
        "segments" => Ok(Map::Segments {
            x: state.array(&format!("map_{place}.x"))?.values.clone(),
            y: state.array(&format!("map_{place}.y"))?.values.clone(),
        }),
        other => {
            let problem = format!("map `{other}`: must be sigmoid, expit or segments");
            Err(StateError::malformed(Averaged::KIND, problem))
        }
    }
}

fn map_arrays(map: &Map, place: usize) -> Vec<Array> {
    let named = |name: &str, values: Vec<f64>| Array::vector(format!("map_{place}.{name}"), values);
    match map {
        Map::Sigmoid { a, b, .. } => vec![named("numbers", vec![*a, *b])],
        Map::Segments { x, y } => vec![named("x", x.clone()), named("y", y.clone())],
    }
}

/// Adds the rows of `more`, which has the same columns.
fn append(frame: &mut Frame, more: &Frame) {
    for ((_, own), (_, new)) in frame.columns.iter_mut().zip(&more.columns) {
        match (own, new) {
            (FrameColumn::Numbers(own), FrameColumn::Numbers(new)) => own.extend(new),
            (
                FrameColumn::Text { dictionary, codes },
                FrameColumn::Text {
                    dictionary: words,
                    codes: new,
                },
            ) => {
                let places: Vec<i32> = words.iter().map(|word| code_of(dictionary, word)).collect();
                let place = |code: &i32| {
                    let known = usize::try_from(*code)
                        .ok()
                        .and_then(|code| places.get(code));
                    known.copied().unwrap_or(-1)
                };
                codes.extend(new.iter().map(place));
            }
            // Never: schemas are equal.
            _ => return,
        }
    }
    frame.row_count += more.row_count;
}

/// Code of a word, which is added if it is new.
fn code_of(dictionary: &mut Vec<String>, word: &str) -> i32 {
    let known = dictionary.iter().position(|own| own == word);
    let place = known.unwrap_or_else(|| {
        dictionary.push(word.to_owned());
        dictionary.len() - 1
    });
    i32::try_from(place).unwrap_or(-1)
}

impl Scorer for Averaged {
    fn kind(&self) -> &'static str {
        Averaged::KIND
    }

    fn schema(&self) -> &InputSchema {
        self.members[0].scorer.schema()
    }

    fn outputs(&self) -> &'static [OutputSpec] {
        OUTPUTS
    }

    fn state(&self) -> ModelState {
        let mut state = ModelState::new(Averaged::KIND);
        let mut list = Vec::new();
        for (place, member) in self.members.iter().enumerate() {
            let own = MemberState {
                source: member.scorer.outputs()[member.place].name.to_owned(),
                map: member.map.name().to_owned(),
            };
            list.push(serde_json::to_value(own).unwrap_or_default());
            state.nest(&format!("member_{place}"), member.scorer.state());
            state.arrays.extend(map_arrays(&member.map, place));
        }
        state
            .settings
            .insert("members".to_owned(), Value::Array(list));
        state
    }

    /// The rows of every member: each has thresholds of its own.
    fn probe_rows(&self) -> Frame {
        let mut rows = self.members[0].scorer.probe_rows();
        for member in &self.members[1..] {
            append(&mut rows, &member.scorer.probe_rows());
        }
        rows
    }

    fn probe_options(&self) -> ScoreOptions {
        ScoreOptions::default()
    }

    fn score_rows(
        &self,
        batch: &BoundBatch<'_, '_>,
        start: usize,
        _wanted: &[usize],
        options: &ScoreOptions,
        block: &mut ScoreBlock<'_>,
    ) {
        let rows = block.status.len();
        let mut sums = vec![0.0; rows];
        let mut source = vec![f64::NAN; rows];
        for member in &self.members {
            let mut status = block.status.to_vec();
            let mut inner = ScoreBlock {
                outputs: vec![&mut source],
                status: &mut status,
            };
            let place = [member.place];
            member
                .scorer
                .score_rows(batch, start, &place, options, &mut inner);
            for (sum, f) in sums.iter_mut().zip(&source) {
                *sum += member.map.probability(*f);
            }
            for (own, new) in block.status.iter_mut().zip(status) {
                if own.is_ok() {
                    *own = new;
                }
            }
        }
        #[allow(clippy::cast_precision_loss)]
        let count = self.members.len() as f64;
        for output in &mut block.outputs {
            for ((cell, sum), status) in output.iter_mut().zip(&sums).zip(&*block.status) {
                *cell = match *status == RowStatus::OK {
                    true => sum / count,
                    false => f64::NAN,
                };
            }
        }
    }

    fn check_options(&self, _options: &ScoreOptions) -> Result<(), InputError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Exponential, Map, segment};

    #[test]
    fn segments_are_level_beyond_their_ends_and_exact_at_their_points() {
        let (x, y) = ([-1.0, 0.5, 2.0], [0.1, 0.1, 0.9]);
        let at = |f| segment(&x, &y, f);
        assert_eq!([at(-9.0), at(-1.0), at(0.0), at(0.5)], [0.1; 4]);
        assert_eq!([at(2.0), at(1e300)], [0.9; 2]);
        assert!((at(1.25) - 0.5).abs() < 1e-15);
        let one = Map::Segments {
            x: vec![0.0],
            y: vec![0.3],
        };
        assert_eq!([one.probability(-1.0), one.probability(5.0)], [0.3; 2]);
        assert!(one.probability(f64::NAN).is_nan());
    }

    #[test]
    fn maps_that_are_none_are_refused() {
        let bad = [
            Map::Sigmoid {
                a: f64::NAN,
                b: 0.0,
                exponential: Exponential::Glibc,
            },
            Map::Sigmoid {
                a: 1.0,
                b: 0.0,
                exponential: Exponential::Fmath,
            },
            Map::Segments {
                x: vec![],
                y: vec![],
            },
            Map::Segments {
                x: vec![1.0, 1.0],
                y: vec![0.0, 0.5],
            },
            Map::Segments {
                x: vec![0.0, 1.0],
                y: vec![0.0, 1.5],
            },
            Map::Segments {
                x: vec![0.0],
                y: vec![0.0, 1.0],
            },
        ];
        assert!(bad.iter().all(|map| map.check().is_err()));
    }
}
