//! Powers of time and their steps, `(T+t)^c − T^c`, with derivatives in `c`.

use cvm_math::{exp, expm1, ln, log1p, pow};

/// `x = T^c` and the step `d = (T+t)^c − T^c`, with two derivatives in `c` each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PowerStep {
    pub(crate) start: [f64; 3],
    pub(crate) step: [f64; 3],
}

impl PowerStep {
    /// At finite `t > 0`.
    pub(crate) fn new(tenure: f64, t: f64, c: f64) -> Self {
        if tenure == 0.0 {
            let (x, log) = (pow(t, c), ln(t));
            return PowerStep {
                start: [0.0; 3],
                step: [x, x * log, x * log * log],
            };
        }
        let (x, log) = (pow(tenure, c), ln(tenure));
        let further = log1p(t / tenure);
        let gain = expm1(c * further);
        let factor = 1.0 + gain;
        let first = log * gain + factor * further;
        let second = log * log * gain + factor * further * (2.0 * log + further);
        PowerStep {
            start: [x, x * log, x * log * log],
            step: [x * gain, x * first, x * second],
        }
    }

    /// The step alone; `t` may be 0 or infinite.
    pub(crate) fn value(tenure: f64, t: f64, c: f64) -> f64 {
        if tenure == 0.0 {
            return pow(t, c);
        }
        // No step, also from a power beyond the doubles.
        if t == 0.0 {
            return 0.0;
        }
        pow(tenure, c) * expm1(c * log1p(t / tenure))
    }

    /// The step alone, from `ln t` where `T + t` is `t`.
    pub(crate) fn far(tenure: f64, ln_t: f64, c: f64) -> f64 {
        let start = if tenure == 0.0 { 0.0 } else { pow(tenure, c) };
        let end = exp(c * ln_t);
        if end == f64::INFINITY {
            return end;
        }
        end - start
    }
}

#[cfg(test)]
mod tests {
    use super::PowerStep;

    #[test]
    fn derivatives_agree_with_differences() {
        for (tenure, t) in [(0.0, 3.0), (0.0, 1.0), (5.0, 1.0), (400.0, 0.25)] {
            for c in [0.05, 1.0, 1.6, 3.0] {
                let at = PowerStep::new(tenure, t, c);
                let up = PowerStep::new(tenure, t, c + 1e-5);
                let down = PowerStep::new(tenure, t, c - 1e-5);
                for (at, (up, down)) in [
                    (at.step, (up.step, down.step)),
                    (at.start, (up.start, down.start)),
                ] {
                    for order in 0..2 {
                        let slope = (up[order] - down[order]) / 2e-5;
                        let size = 1.0 + slope.abs();
                        assert!(
                            (slope - at[order + 1]).abs() < 1e-7 * size,
                            "{tenure} {t} {c}"
                        );
                    }
                }
                let alone = PowerStep::value(tenure, t, c);
                assert!((alone - at.step[0]).abs() <= 1e-15 * alone);
            }
        }
    }
}
