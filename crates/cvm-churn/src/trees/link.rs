//! From sums over trees to raw scores and to what they mean: probabilities or predictions.
//!
//! Each link repeats its library's formula in the library's width and order, with the library's own
//! `exp` ([`Exponential`]): answers are equal in every bit, as raw scores are.

use super::limits::MAX_CLASSES;
use super::rules::Width;
use cvm_core::OutputSpec;
use cvm_math::libraries::{fmath_exp, glibc_exp, glibc_expf, interpret_exp};
use serde::{Deserialize, Serialize};

/// What turns raw scores into the model's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// The raw score is all there is (a custom objective).
    Raw,
    /// The raw score is the prediction.
    Identity,
    /// The raw score is the probability (averaged trees).
    Probability,
    /// `1/(1 + e^(−slope·raw))`.
    Sigmoid,
    /// The same in 32 bits, as XGBoost computes it.
    SigmoidF32,
    /// `e^raw/(1 + e^raw)`, as InterpretML computes it; 1 where the power is infinite.
    Odds,
    /// `e^raw`.
    Exp,
    /// `e^raw` in 32 bits.
    ExpF32,
    /// `sign(raw)·raw²` (LightGBM's `reg_sqrt`).
    SignedSquare,
    /// `ln(1 + e^raw)` (LightGBM's `cross_entropy_lambda`).
    Softplus,
    /// Shares of `e^raw`.
    Softmax,
    /// The same in 32 bits, as XGBoost computes it.
    SoftmaxF32,
    /// A sigmoid per class, not normalised (one against all).
    SigmoidEach,
    /// Raw scores are probabilities of classes (averaged trees).
    ProbabilityEach,
}

impl Link {
    /// Whether the model is about more than two classes.
    #[must_use]
    pub fn is_multiclass(self) -> bool {
        use Link::{ProbabilityEach, SigmoidEach, Softmax, SoftmaxF32};
        matches!(self, Softmax | SoftmaxF32 | SigmoidEach | ProbabilityEach)
    }

    fn is_probability(self) -> bool {
        use Link::{Odds, Probability, Sigmoid, SigmoidF32};
        matches!(self, Probability | Sigmoid | SigmoidF32 | Odds)
    }

    /// Whether the answer is computed without `exp`, hence exactly as the library does.
    #[must_use]
    pub fn is_exact(self) -> bool {
        use Link::{Identity, Probability, ProbabilityEach, Raw, SignedSquare};
        matches!(
            self,
            Raw | Identity | Probability | ProbabilityEach | SignedSquare
        )
    }
}

/// Whose `exp` a link takes, in every bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exponential {
    /// That of `cvm-math`: models grown here, and files written before there was a choice.
    #[default]
    Own,
    /// That of glibc, in the link's width: LightGBM, XGBoost, scikit-learn, CatBoost's sigmoids.
    Glibc,
    /// That of the library fmath: CatBoost's shares of classes.
    Fmath,
    /// That of InterpretML.
    Interpret,
}

impl Exponential {
    /// Whether it is that of `cvm-math`, which files need not say.
    #[must_use]
    pub fn is_own(&self) -> bool {
        *self == Exponential::Own
    }

    fn of(self, x: f64) -> f64 {
        match self {
            Exponential::Own => cvm_math::exp(x),
            Exponential::Glibc => glibc_exp(x),
            Exponential::Fmath => fmath_exp(x),
            Exponential::Interpret => interpret_exp(x),
        }
    }

    /// `1/(1 + e^(−x))`. That of `cvm-math` is its own function, right to an ulp.
    pub(crate) fn sigmoid(self, x: f64) -> f64 {
        match self {
            Exponential::Own => cvm_math::sigmoid(x),
            other => 1.0 / (1.0 + other.of(-x)),
        }
    }

    /// In 32 bits; only glibc's is known in that width.
    fn of_f32(self, x: f32) -> f32 {
        match self {
            Exponential::Glibc => glibc_expf(x),
            other => other.of(f64::from(x)) as f32,
        }
    }
}

/// How sums become answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// What each output's sum starts from.
    pub base: Vec<f64>,
    /// `raw = (scale · sum + bias) / divisor`.
    pub scale: f64,
    /// See `scale`; one per output.
    pub bias: Vec<f64>,
    /// See `scale`.
    pub divisor: f64,
    /// The link.
    pub link: Link,
    /// The `exp` of the link.
    pub exponential: Exponential,
    /// Slope of a sigmoid.
    pub slope: f64,
    /// The link sees `raw / link_divisor` (LightGBM's averaged random forest).
    pub link_divisor: f64,
}

impl Finish {
    /// Sums that start from `base` and are scores as they are.
    #[must_use]
    pub fn plain(base: Vec<f64>, link: Link) -> Finish {
        Finish {
            bias: vec![0.0; base.len()],
            base,
            scale: 1.0,
            divisor: 1.0,
            link,
            exponential: Exponential::Own,
            slope: 1.0,
            link_divisor: 1.0,
        }
    }

    /// The same with the `exp` of a library.
    #[must_use]
    pub fn with(self, exponential: Exponential) -> Finish {
        Finish {
            exponential,
            ..self
        }
    }

    /// Numbers in the order they are stored: scale, divisor, slope, link divisor.
    pub(crate) fn numbers(&self) -> [f64; 4] {
        [self.scale, self.divisor, self.slope, self.link_divisor]
    }

    pub(crate) fn check(&self, outputs: usize) -> Result<(), String> {
        if self.base.len() != outputs || self.bias.len() != outputs {
            return Err(format!("base or bias are not {outputs} numbers"));
        }
        let numbers = self.numbers();
        let all = self.base.iter().chain(&self.bias).chain(&numbers);
        if let Some(bad) = all.into_iter().find(|value| !value.is_finite()) {
            return Err(format!("base, bias, scale or slope holds {bad}"));
        }
        if self.divisor == 0.0 || self.link_divisor == 0.0 {
            return Err("a divisor is 0".to_owned());
        }
        match (self.link.is_multiclass(), outputs) {
            (false, 1) => Ok(()),
            (true, 2..=MAX_CLASSES) => Ok(()),
            (multiclass, _) => Err(format!(
                "{outputs} outputs: must be {}",
                if multiclass { "2 to 32" } else { "1" }
            )),
        }
    }

    /// Raw score of one output from its sum; a sum of 32 bits is its own raw score.
    #[inline]
    pub(crate) fn raw(&self, output: usize, sum: f64) -> f64 {
        let mut raw = sum;
        if self.scale != 1.0 || self.bias[output] != 0.0 {
            raw = self.scale * raw + self.bias[output];
        }
        if self.divisor != 1.0 {
            raw /= self.divisor;
        }
        raw
    }

    /// Replaces raw scores of one row by answers.
    pub(crate) fn answer(&self, raw: &mut [f64]) {
        if self.link_divisor != 1.0 {
            raw.iter_mut().for_each(|raw| *raw /= self.link_divisor);
        }
        let exp = |x: f64| self.exponential.of(x);
        let each = |raw: &mut [f64], answer: &dyn Fn(f64) -> f64| {
            raw.iter_mut().for_each(|x| *x = answer(*x));
        };
        match self.link {
            Link::Raw | Link::Identity | Link::Probability | Link::ProbabilityEach => {}
            Link::Sigmoid | Link::SigmoidEach => {
                each(raw, &|x| 1.0 / (1.0 + exp(-self.slope * x)));
            }
            Link::Odds => each(raw, &|x| odds_to_probability(exp(x))),
            Link::SigmoidF32 => each(raw, &|x| sigmoid_f32(self.exponential, x)),
            Link::Exp => each(raw, &exp),
            Link::ExpF32 => each(raw, &|x| f64::from(self.exponential.of_f32(x as f32))),
            Link::SignedSquare => each(raw, &signed_square),
            Link::Softplus => each(raw, &|x| cvm_math::log1p(exp(x))),
            Link::Softmax => softmax(self.exponential, raw),
            Link::SoftmaxF32 => softmax_f32(self.exponential, raw),
        }
    }
}

fn odds_to_probability(odds: f64) -> f64 {
    if odds == f64::INFINITY {
        1.0
    } else {
        odds / (odds + 1.0)
    }
}

fn signed_square(x: f64) -> f64 {
    let square = x * x;
    if x < 0.0 { -square } else { square }
}

fn sigmoid_f32(exponential: Exponential, x: f64) -> f64 {
    let power = exponential.of_f32((-(x as f32)).min(88.7));
    f64::from(1.0_f32 / (power + 1.0 + 1e-16))
}

fn softmax(exponential: Exponential, raw: &mut [f64]) {
    let top = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for x in raw.iter_mut() {
        *x = exponential.of(*x - top);
        sum += *x;
    }
    raw.iter_mut().for_each(|x| *x /= sum);
}

fn softmax_f32(exponential: Exponential, raw: &mut [f64]) {
    let top = raw.iter().map(|x| *x as f32).fold(f32::MIN, f32::max);
    let mut sum = 0.0_f64;
    for x in raw.iter_mut() {
        *x = f64::from(exponential.of_f32(*x as f32 - top));
        sum += *x;
    }
    let sum = sum as f32;
    raw.iter_mut().for_each(|x| *x = f64::from(*x as f32 / sum));
}

/// Rounds to the width sums have.
pub(crate) fn narrow(width: Width, value: f64) -> f64 {
    match width {
        Width::F64 => value,
        Width::F32 => f64::from(value as f32),
    }
}

const RAW: OutputSpec = OutputSpec {
    name: "raw_score",
    unit: "1",
    needs_horizon: false,
    on_request: false,
    meaning: "score before the link: the original library's raw score, bit for bit",
};
const BINARY: &[OutputSpec] = &[
    OutputSpec {
        name: "churn_probability",
        unit: "probability",
        needs_horizon: false,
        on_request: false,
        meaning: "probability of class 1, the one that means churn",
    },
    RAW,
];
const VALUE: &[OutputSpec] = &[
    OutputSpec {
        name: "prediction",
        unit: "1",
        needs_horizon: false,
        on_request: false,
        meaning: "predicted value, in the unit of the training target",
    },
    RAW,
];

macro_rules! class_outputs {
    ($($class:literal)*) => {
        &[$(
            OutputSpec {
                name: concat!("class_", $class, "_probability"),
                unit: "probability",
                needs_horizon: false,
                on_request: false,
                meaning: concat!("probability of class ", $class),
            },
            OutputSpec {
                name: concat!("class_", $class, "_raw_score"),
                unit: "1",
                needs_horizon: false,
                on_request: false,
                meaning: concat!("score of class ", $class, " before the link"),
            },
        )*]
    };
}

const CLASSES: &[OutputSpec] = class_outputs!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
);

/// Output columns of a model: for each output the answer and the raw score, in this order; only
/// the raw score if there is no link.
pub(crate) fn outputs(link: Link, count: usize) -> &'static [OutputSpec] {
    match link {
        Link::Raw => &BINARY[1..],
        _ if link.is_multiclass() => CLASSES.get(..2 * count).unwrap_or(CLASSES),
        _ if link.is_probability() => BINARY,
        _ => VALUE,
    }
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, Finish, Link, outputs};

    #[test]
    fn links_agree_with_their_definitions() {
        let answer = |link: Link, mut raw: Vec<f64>| {
            Finish::plain(vec![0.0; raw.len()], link).answer(&mut raw);
            raw
        };
        assert_eq!(answer(Link::Sigmoid, vec![0.0]), [0.5]);
        assert_eq!(answer(Link::SigmoidF32, vec![0.0]), [0.5]);
        assert_eq!(answer(Link::SignedSquare, vec![-3.0]), [-9.0]);
        assert_eq!(answer(Link::Softmax, vec![1.0, 1.0]), [0.5, 0.5]);
        let wide = answer(Link::SigmoidF32, vec![-1000.0])[0];
        assert!(wide > 0.0 && wide < 1e-38, "{wide}");
        assert_eq!(answer(Link::Odds, vec![0.0, 1e4]), [0.5, 1.0]);
        let shares = answer(Link::SoftmaxF32, vec![0.0, 1.0, 2.0]);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn every_class_has_two_columns() {
        assert_eq!(CLASSES.len(), 64);
        let names: Vec<&str> = outputs(Link::Softmax, 2).iter().map(|o| o.name).collect();
        let want = ["class_0_probability", "class_0_raw_score"];
        assert_eq!(names[..2], want);
        assert_eq!(names.len(), 4);
        assert_eq!(outputs(Link::Raw, 1)[0].name, "raw_score");
    }
}
