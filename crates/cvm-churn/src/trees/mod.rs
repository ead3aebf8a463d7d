//! Tree ensembles of other libraries, scored as those libraries score them: bit for bit, or refused.
//!
//! One representation holds every library's trees: the width of inputs and sums, the comparison,
//! where missing values go, category sets, linear leaves, the order of addition, the link. Importers
//! are in [`import`]; what they do not understand they refuse by name. See `docs/models/trees.md`.

mod attribution;
mod builder;
mod fields;
mod forest;
pub mod import;
mod interventional;
mod kernel;
pub mod limits;
mod link;
mod model;
mod oblivious;
mod oblivious_kernel;
mod probe;
mod quadrature;
mod quantise;
mod rules;
mod shap;
mod state;
mod walk;

pub use fields::{Field, Role, UnseenPolicy};
pub(crate) use forest::LEAF;
pub use forest::{Forest, LinearLeaf};
pub use link::{Exponential, Finish, Link};
pub use model::{Ensemble, TreeEnsemble, Trees};
pub use oblivious::Oblivious;
pub use rules::{CategoryRule, CategorySets, Compare, InputWidth, Missing, NodeRule, Rules, Width};
