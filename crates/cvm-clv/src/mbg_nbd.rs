//! MBG/NBD: the BG/NBD with a chance to leave already after the first purchase.
//!
//! While alive, a customer buys as a Poisson process of rate `λ`; after each purchase, the first
//! one at time 0 included, they leave for good with probability `p`. Across customers
//! `λ ~ Gamma(r, α)` and `p ~ Beta(a, b)`, independently. So a customer who never came back may
//! have lapsed: `P(alive) = b/(a+b)` at the moment of the first purchase, and falls from there.
//!
//! | symbol | field       | unit      | meaning                               |
//! |--------|-------------|-----------|---------------------------------------|
//! | `x`    | `frequency` | purchases | repeat purchases in `(0, T]`          |
//! | `t_x`  | `recency`   | periods   | time of the last repeat; 0 if `x = 0` |
//! | `T`    | `age`       | periods   | first purchase to end of observation  |
//!
//! ```text
//! L = Γ(r+x)/Γ(r) · α^r · B(a, b+x+1)/B(a, b)
//!     · [ (α+T)^−(r+x)  +  a/(b+x) · (α+t_x)^−(r+x) ]
//! ```
//!
//! Source: Batislam, Denizel & Filiztekin (2007), *International Journal of Research in Marketing*
//! 24(3), 201–209; Hoppe & Wagner (2007), *Marketing: JRM* 3(2), 75–90 (the CBG/NBD, the same
//! model).
//!
//! Everything is that of [`crate::bg_nbd`] with `x + 1` chances to leave instead of `x`: given
//! alive, `p ~ Beta(a, b+x+1)`. Derivations: docs/models/mbg_nbd.md.

use crate::bg_nbd::BetaGeometricNbd;

/// The MBG/NBD model at given parameters.
pub type MbgNbd = BetaGeometricNbd<true>;

#[cfg(test)]
mod tests {
    use super::MbgNbd;
    use crate::{PurchaseFormulas, Rfm};

    #[test]
    fn a_new_customer_may_have_left_at_once() {
        let model = MbgNbd::new(0.525, 6.183, 0.891, 1.614).unwrap();
        let alive = model.p_alive(&Rfm::NEW);
        assert!((alive - 1.614 / (0.891 + 1.614)).abs() < 1e-15, "{alive}");
    }
}
