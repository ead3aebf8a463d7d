//! Contract models and BG/BB against high-precision references: every function over thousands of points, edges
//! included (`data/contract_reference.py`).

mod common;

use cvm_clv::{
    Bdw, BgBb, ContractFormulas, DiscreteWeibull, Formulas, Geometric, PurchaseFormulas, Rfm, Sbg,
    Tenure,
};

/// Rows of little-endian numbers.
fn table<const N: usize>(bytes: &[u8], rows: usize) -> Vec<[f64; N]> {
    assert_eq!(bytes.len(), rows * N * 8);
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
    let row = |row: &[u8]| {
        let mut values = [0.0; N];
        for (slot, bytes) in values.iter_mut().zip(row.chunks_exact(8)) {
            *slot = number(bytes);
        }
        values
    };
    bytes.chunks_exact(N * 8).map(row).collect()
}

/// Largest relative error so far, and where.
struct Worst {
    name: &'static str,
    error: f64,
    place: Vec<f64>,
}

impl Worst {
    fn new(name: &'static str) -> Self {
        Worst {
            name,
            error: 0.0,
            place: Vec::new(),
        }
    }

    /// What is too small for a double on one side must be nothing on the other too.
    fn see(&mut self, got: f64, want: f64, place: &[f64]) {
        const NOTHING: f64 = 1e-290;
        let error = if got == want || (got.abs() < NOTHING && want.abs() < NOTHING) {
            0.0
        } else {
            (got - want).abs() / want.abs()
        };
        assert!(!error.is_nan(), "{}: {got} for {place:?}", self.name);
        if error > self.error {
            self.error = error;
            self.place = [place, &[got, want]].concat();
        }
    }

    fn within(&self, bound: f64) {
        println!("{}: {:e} at {:?}", self.name, self.error, self.place);
        assert!(
            self.error < bound,
            "{}: {:e} at {:?}",
            self.name,
            self.error,
            self.place
        );
    }
}

/// `ln P(L = T + t | L > T)` as a forecast and, at `T = 0`, as a likelihood.
fn ln_churn_at(model: &impl ContractFormulas, tenure: f64, t: f64) -> f64 {
    let before = model.hazard(tenure, t - 1.0);
    let last = model.hazard(tenure + (t - 1.0), 1.0);
    let churn = if last < 0.6 {
        cvm_math::ln(-cvm_math::expm1(-last))
    } else {
        cvm_math::log1p(-cvm_math::exp(-last))
    };
    churn - before
}

#[test]
fn hazards_of_beta_mixtures() {
    let rows = table::<7>(include_bytes!("data/contract_hazard.bin"), 5000);
    let mut hazard = Worst::new("BdW hazard");
    let mut churn = Worst::new("BdW ln P(L = T+t)");
    let mut likelihood = Worst::new("BdW log-likelihood");
    let mut sbg = Worst::new("sBG hazard");
    for row in &rows {
        let [alpha, beta, c, tenure, t, want_hazard, want_churn] = *row;
        let model = Bdw::new(alpha, beta, c).unwrap();
        hazard.see(model.hazard(tenure, t), want_hazard, row);
        churn.see(ln_churn_at(&model, tenure, t), want_churn, row);
        if tenure == 0.0 {
            let left = Tenure::new(t, 1.0).unwrap();
            let stayed = Tenure::new(t, 0.0).unwrap();
            likelihood.see(model.log_lik(&left), want_churn, row);
            likelihood.see(model.log_lik(&stayed), -want_hazard, row);
        }
        if c == 1.0 {
            let model = Sbg::new(alpha, beta).unwrap();
            sbg.see(model.hazard(tenure, t), want_hazard, row);
        }
    }
    for worst in [hazard, churn, likelihood, sbg] {
        worst.within(1e-11);
    }
}

#[test]
fn hazards_of_the_baselines() {
    let rows = table::<6>(include_bytes!("data/weibull_hazard.bin"), 5000);
    let mut hazard = Worst::new("Weibull hazard");
    let mut churn = Worst::new("Weibull ln P(L = T+t)");
    let mut geometric = Worst::new("geometric hazard");
    for row in &rows {
        let [odds, c, tenure, t, want_hazard, want_churn] = *row;
        let model = DiscreteWeibull::new(odds, c).unwrap();
        hazard.see(model.hazard(tenure, t), want_hazard, row);
        churn.see(ln_churn_at(&model, tenure, t), want_churn, row);
        if c == 1.0 {
            let model = Geometric::new(odds).unwrap();
            geometric.see(model.hazard(tenure, t), want_hazard, row);
        }
    }
    for worst in [hazard, churn, geometric] {
        worst.within(1e-11);
    }
}

#[test]
fn lifetimes() {
    let mut sbg = Worst::new("sBG lifetime");
    let mut residual = Worst::new("sBG residual");
    for row in &table::<6>(include_bytes!("data/sbg_lifetime.bin"), 5000) {
        let [alpha, beta, tenure, t, delta, want] = *row;
        let model = Sbg::new(alpha, beta).unwrap();
        sbg.see(model.lifetime(tenure, t, delta), want, row);
        // 1 + e^−δ·residual, where the 1 does not hide it.
        if t > 1.0 && want > 2.0 {
            let renewals = model.residual(tenure, t - 1.0, delta);
            residual.see(renewals, (want - 1.0) * cvm_math::exp(delta), row);
        }
    }
    let mut bdw = Worst::new("BdW lifetime");
    for row in &table::<7>(include_bytes!("data/bdw_lifetime.bin"), 5000) {
        let [alpha, beta, c, tenure, t, delta, want] = *row;
        let model = Bdw::new(alpha, beta, c).unwrap();
        bdw.see(model.lifetime(tenure, t, delta), want, row);
    }
    let mut weibull = Worst::new("Weibull lifetime");
    for row in &table::<6>(include_bytes!("data/weibull_lifetime.bin"), 5000) {
        let [odds, c, tenure, t, delta, want] = *row;
        let model = DiscreteWeibull::new(odds, c).unwrap();
        weibull.see(model.lifetime(tenure, t, delta), want, row);
    }
    for worst in [sbg, residual, bdw, weibull] {
        worst.within(1e-11);
    }
}

#[test]
fn bg_bb_histories() {
    let rows = table::<10>(include_bytes!("data/bg_bb_likelihood.bin"), 5000);
    let mut log_lik = Worst::new("BG/BB log-likelihood");
    let mut p_alive = Worst::new("BG/BB P(alive)");
    let mut ln_p_alive = Worst::new("BG/BB ln P(alive)");
    for row in &rows {
        let [
            alpha,
            beta,
            gamma,
            delta,
            x,
            recency,
            n,
            want,
            want_alive,
            want_ln,
        ] = *row;
        let model = BgBb::new(alpha, beta, gamma, delta).unwrap();
        let customer = Rfm::new(x, recency, n).unwrap();
        log_lik.see(model.log_lik(&customer), want, row);
        p_alive.see(model.p_alive(&customer), want_alive, row);
        ln_p_alive.see(model.ln_p_alive(&customer), want_ln, row);
    }
    for worst in [log_lik, p_alive, ln_p_alive] {
        worst.within(1e-11);
    }
}

/// A row with this frequency and age: forecasts given alive do not depend on the recency.
fn customer(x: f64, n: f64) -> Rfm {
    Rfm::new(x, if x > 0.0 { n } else { 0.0 }, n).unwrap()
}

#[test]
fn bg_bb_forecasts() {
    let rows = table::<11>(include_bytes!("data/bg_bb_forecast.bin"), 5000);
    let mut purchases = Worst::new("BG/BB purchases");
    let mut discounted = Worst::new("BG/BB discounted");
    let mut ahead = Worst::new("BG/BB P(alive ahead)");
    for row in &rows {
        let [
            alpha,
            beta,
            gamma,
            delta,
            x,
            n,
            t,
            rate,
            want,
            want_discounted,
            want_ahead,
        ] = *row;
        let model = BgBb::new(alpha, beta, gamma, delta).unwrap();
        let customer = customer(x, n);
        purchases.see(model.purchases(&customer, t), want, row);
        discounted.see(model.discounted(&customer, t, rate), want_discounted, row);
        ahead.see(model.p_alive_ahead(&customer, t), want_ahead, row);
    }
    for worst in [purchases, discounted, ahead] {
        worst.within(1e-11);
    }
}

#[test]
fn bg_bb_counts() {
    let rows = table::<10>(include_bytes!("data/bg_bb_counts.bin"), 5000);
    let mut pmf = Worst::new("BG/BB P(X = m)");
    let mut tail = Worst::new("BG/BB P(X >= m)");
    for row in &rows {
        let [alpha, beta, gamma, delta, x, n, t, m, want, want_tail] = *row;
        let model = BgBb::new(alpha, beta, gamma, delta).unwrap();
        let customer = customer(x, n);
        pmf.see(cvm_math::exp(model.ln_pmf(&customer, t, m)), want, row);
        tail.see(
            cvm_math::exp(model.ln_tail(&customer, t, m)),
            want_tail,
            row,
        );
    }
    for worst in [pmf, tail] {
        worst.within(1e-10);
    }
}
