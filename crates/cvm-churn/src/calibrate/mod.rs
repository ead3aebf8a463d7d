//! Calibration: a monotone map from a model's log-odds to probabilities that come true.
//!
//! A calibrator is learnt on rows the model was not fitted on, and becomes a part of the model's
//! state: [`Calibrated`] is the model with it, scored in the same path as before. Ranks are kept:
//! no method ever puts two customers in the other order. See `docs/models/calibration.md`.

mod averaged;
mod calibrator;
mod choose;
mod fit;
mod isotonic;
mod regression;
mod sample;
mod scorer;
mod venn_abers;

pub use averaged::{Averaged, Map, Member};
pub use calibrator::{Calibrator, Curve, Method};
pub use choose::{Candidate, Choice, FOLDS, choose};
pub use fit::{MIN_CHURNERS_AUTO_ISOTONIC, MIN_CHURNERS_ISOTONIC, MIN_ROWS, fit};
pub use isotonic::pool_adjacent_violators;
pub use sample::Sample;
pub use scorer::{Calibrated, Source, take};
