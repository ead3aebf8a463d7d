//! What a retention campaign earns: profit by share contacted, its maximum (MPC), and the expected
//! maximum over the share of churners who accept the offer (EMPC).
//!
//! | symbol | meaning                                                        | unit     |
//! |--------|----------------------------------------------------------------|----------|
//! | `V`    | value of a customer kept: one for all, or one per customer      | currency |
//! | `d`    | cost of the offer, paid by whoever accepts; stayers all accept  | currency |
//! | `f`    | cost of contacting a customer                                   | currency |
//! | `γ`    | share of contacted churners who accept and stay                 | 1        |
//!
//! ```text
//! P(t; γ) = [ Σ churners at or above t (γ (V − d) − f) − Σ stayers at or above t (d + f) ] / customers
//! MPC     = max_t P(t; γ)
//! EMPC    = ∫ max_t P(t; γ) h(γ) dγ,   h = Beta(α, β)
//! ```
//!
//! Source: Verbraken, Verbeke & Baesens (2013), *IEEE Transactions on Knowledge and Data
//! Engineering* 25(5), eq. 4, 11 and 14, with `V = 200`, `d = 10`, `f = 1`, `α = 6`, `β = 14` in §4.2
//! there; profit of Neslin et al. (2006). A value per customer takes the place of the constant.

use super::envelope::{BetaWeights, Line, Piece, envelope};
use super::ranked::{Ranked, totals};
use super::{MetricError, check, first_bad, weight};

/// Value and costs of a campaign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProfitSettings {
    /// Value of a customer kept, where customers have none of their own.
    pub value: f64,
    /// Cost of the offer.
    pub offer_cost: f64,
    /// Cost of a contact.
    pub contact_cost: f64,
    /// First shape of the distribution of `γ`.
    pub alpha: f64,
    /// Second shape.
    pub beta: f64,
}

impl Default for ProfitSettings {
    fn default() -> Self {
        ProfitSettings {
            value: 200.0,
            offer_cost: 10.0,
            contact_cost: 1.0,
            alpha: 6.0,
            beta: 14.0,
        }
    }
}

impl ProfitSettings {
    fn check(&self) -> Result<BetaWeights, MetricError> {
        let numbers = [
            ("value", self.value),
            ("offer_cost", self.offer_cost),
            ("contact_cost", self.contact_cost),
        ];
        for (name, value) in numbers {
            if !(0.0..=1e15).contains(&value) {
                return Err(MetricError::Argument {
                    name,
                    value,
                    allowed: "a number from 0 to 1e15",
                });
            }
        }
        BetaWeights::new(self.alpha, self.beta)
    }
}

/// The best that can be done with a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profit {
    /// Profit per customer of the whole base.
    pub profit: f64,
    /// Share of customers to contact; for EMPC its expectation.
    pub contacted_share: f64,
    /// Score from which on customers are contacted; `inf` for nobody.
    pub threshold: f64,
}

/// Profit when everybody at or above a score is contacted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProfitPoint {
    /// Share contacted.
    pub contacted_share: f64,
    /// Profit per customer of the whole base, at the mean of `γ`.
    pub profit: f64,
    /// The score.
    pub threshold: f64,
}

/// Thresholds with the line of profit in `γ` of each; the first contacts nobody.
struct Campaign {
    lines: Vec<Line>,
    shares: Vec<f64>,
    thresholds: Vec<f64>,
}

impl Campaign {
    fn new(
        ranked: &Ranked,
        weights: Option<&[f64]>,
        values: Option<&[f64]>,
        settings: &ProfitSettings,
    ) -> Result<Campaign, MetricError> {
        let (churners, stayers) = totals(&ranked.groups(weights))?;
        let all = churners + stayers;
        let mut campaign = Campaign {
            lines: vec![Line {
                slope: 0.0,
                intercept: 0.0,
            }],
            shares: vec![0.0],
            thresholds: vec![f64::INFINITY],
        };
        let (mut gain, mut cost, mut contacted) = (0.0, 0.0, 0.0);
        for (group, row) in ranked.rows() {
            let own = weight(weights, row);
            let value = values.map_or(settings.value, |values| values[row]);
            if ranked.churned(row) {
                gain += own * (value - settings.offer_cost);
                cost += own * settings.contact_cost;
            } else {
                cost += own * (settings.offer_cost + settings.contact_cost);
            }
            contacted += own;
            // One threshold per group of equal scores: its last row decides.
            if campaign.lines.len() < group + 2 {
                campaign.lines.push(Line {
                    slope: 0.0,
                    intercept: 0.0,
                });
                campaign.shares.push(0.0);
                campaign.thresholds.push(ranked.score(group));
            }
            campaign.lines[group + 1] = Line {
                slope: gain / all,
                intercept: -cost / all,
            };
            campaign.shares[group + 1] = (contacted / all).min(1.0);
        }
        Ok(campaign)
    }

    fn profit(&self, place: usize, gamma: f64) -> f64 {
        self.lines[place].slope * gamma + self.lines[place].intercept
    }

    fn best(&self, gamma: f64) -> Profit {
        let mut best = 0;
        for place in 1..self.lines.len() {
            if self.profit(place, gamma) > self.profit(best, gamma) {
                best = place;
            }
        }
        Profit {
            profit: self.profit(best, gamma),
            contacted_share: self.shares[best],
            threshold: self.thresholds[best],
        }
    }

    fn expected(&self, accept: &BetaWeights) -> Profit {
        let pieces = envelope(&self.lines, accept);
        let sum =
            |of: &dyn Fn(&Piece) -> f64| pieces.iter().fold(0.0, |sum, piece| sum + of(piece));
        let share = sum(&|piece| self.shares[piece.line] * piece.probability);
        // A share lies on a threshold only up to rounding.
        let at = self.shares.iter().position(|own| *own >= share - 1e-12);
        Profit {
            profit: sum(&|piece| piece.value(&self.lines)),
            contacted_share: share,
            threshold: at.map_or(f64::INFINITY, |at| self.thresholds[at]),
        }
    }
}

fn campaign(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    values: Option<&[f64]>,
    settings: &ProfitSettings,
) -> Result<(Campaign, BetaWeights), MetricError> {
    check(churned, scores, weights, false)?;
    let accept = settings.check()?;
    if let Some(values) = values {
        check_values(values, churned.len())?;
    }
    let ranked = Ranked::new(churned, scores)?;
    Ok((Campaign::new(&ranked, weights, values, settings)?, accept))
}

/// Values of customers: one per row, finite.
pub(crate) fn check_values(values: &[f64], expected: usize) -> Result<(), MetricError> {
    if values.len() != expected {
        return Err(MetricError::Length {
            name: "values",
            got: values.len(),
            expected,
        });
    }
    first_bad("values", values, "a finite number", |value| {
        value.is_finite()
    })
}

/// Expected maximum profit.
///
/// # Errors
/// [`MetricError`]: ragged input, a NaN score, a bad weight or value, one class only, a setting out
/// of range.
pub fn empc(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    values: Option<&[f64]>,
    settings: &ProfitSettings,
) -> Result<Profit, MetricError> {
    let (campaign, accept) = campaign(churned, scores, weights, values, settings)?;
    Ok(campaign.expected(&accept))
}

/// Maximum profit at the mean share of churners who accept.
///
/// # Errors
/// As [`empc`].
pub fn mpc(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    values: Option<&[f64]>,
    settings: &ProfitSettings,
) -> Result<Profit, MetricError> {
    let (campaign, accept) = campaign(churned, scores, weights, values, settings)?;
    Ok(campaign.best(accept.mean()))
}

/// Expected maximum profit of sorted rows under other weights.
pub(crate) fn empc_of(
    ranked: &Ranked,
    weights: Option<&[f64]>,
    values: Option<&[f64]>,
    settings: &ProfitSettings,
) -> Result<f64, MetricError> {
    let accept = settings.check()?;
    Ok(Campaign::new(ranked, weights, values, settings)?
        .expected(&accept)
        .profit)
}

/// Maximum profit of sorted rows under other weights.
pub(crate) fn mpc_of(
    ranked: &Ranked,
    weights: Option<&[f64]>,
    values: Option<&[f64]>,
    settings: &ProfitSettings,
) -> Result<f64, MetricError> {
    let accept = settings.check()?;
    Ok(Campaign::new(ranked, weights, values, settings)?
        .best(accept.mean())
        .profit)
}

/// Profit at every threshold, nobody first.
///
/// # Errors
/// As [`empc`].
pub fn profit_curve(
    churned: &[bool],
    scores: &[f64],
    weights: Option<&[f64]>,
    values: Option<&[f64]>,
    settings: &ProfitSettings,
) -> Result<Vec<ProfitPoint>, MetricError> {
    let (campaign, accept) = campaign(churned, scores, weights, values, settings)?;
    let point = |place: usize| ProfitPoint {
        contacted_share: campaign.shares[place],
        profit: campaign.profit(place, accept.mean()),
        threshold: campaign.thresholds[place],
    };
    Ok((0..campaign.lines.len()).map(point).collect())
}
