//! Evaluation of many quadrature nodes at once with SIMD elementary functions.

use super::panels::{Integrand, Panel};
use cvm_math::slice;

/// Nodes of the longest rule.
const LONGEST_RULE: usize = 16;

/// A buffer of nodes of panels that may belong to different integrals.
#[derive(Debug)]
pub(crate) struct Nodes<const CAPACITY: usize> {
    count: usize,
    /// Weights in `w`, then those times the integrand: an integral in units of `c`.
    pub(super) values: [f64; CAPACITY],
    /// `w`, then the distance `u` from the start of the integral.
    pub(super) passed: [f64; CAPACITY],
    /// Then `ln(1 + u/A)`.
    pub(super) log_scale: [f64; CAPACITY],
    /// Then `ln M(u)`.
    pub(super) log_law: [f64; CAPACITY],
    unit: [f64; CAPACITY],
    law_scale: [f64; CAPACITY],
    exponent: [f64; CAPACITY],
}

impl<const CAPACITY: usize> Nodes<CAPACITY> {
    pub(crate) fn new() -> Self {
        Nodes {
            count: 0,
            values: [0.0; CAPACITY],
            passed: [0.0; CAPACITY],
            log_scale: [0.0; CAPACITY],
            log_law: [0.0; CAPACITY],
            unit: [0.0; CAPACITY],
            law_scale: [0.0; CAPACITY],
            exponent: [0.0; CAPACITY],
        }
    }

    /// Distance of a node from the start of the integral.
    pub(crate) fn passed(&self, index: usize) -> f64 {
        self.passed[index]
    }

    /// A node's part of the integral, in units of [`Integrand::unit`].
    pub(crate) fn value(&self, index: usize) -> f64 {
        self.values[index]
    }

    /// Whether another panel might not fit.
    pub(crate) fn is_full(&self) -> bool {
        self.count + LONGEST_RULE > CAPACITY
    }

    /// Adds the nodes of a panel; returns their places.
    pub(crate) fn push(&mut self, integrand: &Integrand, panel: Panel) -> std::ops::Range<usize> {
        let first = self.count;
        let unit = integrand.unit();
        for &(node, weight) in panel.rule {
            let index = self.count;
            self.passed[index] = panel.start + panel.length * node;
            self.values[index] = panel.length * weight;
            self.unit[index] = unit;
            self.log_scale[index] = integrand.scale;
            self.law_scale[index] = integrand.law.scale;
            self.count += 1;
        }
        first..self.count
    }

    /// Sum of weights times the integrand, which empties the buffer.
    pub(super) fn sum(&mut self, integrand: &Integrand) -> f64 {
        let count = self.evaluate(integrand);
        self.values[..count].iter().sum()
    }

    /// Evaluates all nodes and empties the buffer; returns their number. Powers and rates are those
    /// of `integrand`; scales are those each panel was pushed with.
    pub(crate) fn evaluate(&mut self, integrand: &Integrand) -> usize {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return 0;
        }
        let w = &mut self.exponent[..count];
        w.copy_from_slice(&self.passed[..count]);
        let passed = &mut self.passed[..count];
        slice::expm1(w, passed);
        for (passed, unit) in passed.iter_mut().zip(&self.unit) {
            *passed *= unit;
        }
        if integrand.power == 0.0 {
            self.log_scale[..count].fill(0.0);
        } else {
            let arguments = &mut self.log_scale[..count];
            for (argument, passed) in arguments.iter_mut().zip(passed.iter()) {
                *argument = passed / *argument;
            }
            slice::log1p_in_place(arguments);
        }
        self.evaluate_law(integrand, count);
        let exponent = &mut self.exponent[..count];
        for (index, exponent) in exponent.iter_mut().enumerate() {
            let buying = integrand.power * self.log_scale[index];
            let leaving = integrand.law_power * self.log_law[index];
            *exponent += integrand.rate * self.passed[index] - buying - leaving;
        }
        slice::exp_in_place(exponent);
        for (value, factor) in self.values.iter_mut().zip(exponent.iter()) {
            *value *= factor;
        }
        count
    }

    fn evaluate_law(&mut self, integrand: &Integrand, count: usize) {
        let growth = integrand.law.growth;
        let logs = &mut self.log_law[..count];
        if growth == 0.0 {
            for (index, log) in logs.iter_mut().enumerate() {
                *log = self.passed[index] / self.law_scale[index];
            }
            slice::log1p_in_place(logs);
            return;
        }
        for (index, log) in logs.iter_mut().enumerate() {
            *log = growth * self.passed[index];
        }
        slice::expm1_in_place(logs);
        for (index, log) in logs.iter_mut().enumerate() {
            *log /= growth * self.law_scale[index];
        }
        slice::log1p_in_place(logs);
        for (index, log) in logs.iter_mut().enumerate() {
            if *log == f64::INFINITY {
                let mut law = integrand.law;
                law.scale = self.law_scale[index];
                *log = law.ln_growth_far(self.passed[index]);
            }
        }
    }
}
