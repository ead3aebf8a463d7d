//! The functions on slices: `out[i] = f(x[i])`, SIMD across the elements, same bits as the scalar calls.
//!
//! Each function panics when the slices differ in length: that is a mistake of the caller's
//! code, never of data. [`at`] runs a chosen level, for tests and benchmarks.
#![allow(unsafe_code)]

use crate::dispatch::detected;

/// Panics unless both lengths agree.
#[track_caller]
fn check_lengths(inputs: usize, outputs: usize) {
    assert!(
        inputs == outputs,
        "slices differ in length: {inputs} in, {outputs} out"
    );
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident, $in_place:ident, $kernel:path;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            /// When the lengths differ.
            pub fn $name(x: &[f64], out: &mut [f64]) {
                at::$name(detected(), x, out);
            }

            /// The same, over its own input.
            pub fn $in_place(x: &mut [f64]) {
                at::$in_place(detected(), x);
            }
        )*
        /// The functions at a chosen [`Level`](crate::dispatch::Level), or the widest below it
        /// that the processor has.
        pub mod at {
            use super::check_lengths;
            use crate::dispatch::{Level, by_level};

            $(
                $(#[$doc])*
                pub fn $name(level: Level, x: &[f64], out: &mut [f64]) {
                    check_lengths(x.len(), out.len());
                    by_level!(level, (x: &[f64], out: &mut [f64]), {
                        for (out, &x) in out.iter_mut().zip(x) {
                            *out = $kernel(x);
                        }
                    });
                }

                /// The same, over its own input.
                pub fn $in_place(level: Level, x: &mut [f64]) {
                    by_level!(level, (x: &mut [f64]), {
                        for x in x {
                            *x = $kernel(*x);
                        }
                    });
                }
            )*

            /// x^y, element by element.
            pub fn pow(level: Level, x: &[f64], y: &[f64], out: &mut [f64]) {
                check_lengths(x.len(), out.len());
                check_lengths(y.len(), out.len());
                by_level!(level, (x: &[f64], y: &[f64], out: &mut [f64]), {
                    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
                        *out = crate::elementary::pow_kernel(x, y);
                    }
                });
            }

            /// ln(e^x + e^y), element by element.
            pub fn log_add_exp(level: Level, x: &[f64], y: &[f64], out: &mut [f64]) {
                check_lengths(x.len(), out.len());
                check_lengths(y.len(), out.len());
                by_level!(level, (x: &[f64], y: &[f64], out: &mut [f64]), {
                    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
                        *out = crate::elementary::log_add_exp_kernel(x, y);
                    }
                });
            }

            /// ln|Γ(x)|.
            pub fn ln_gamma(level: Level, x: &[f64], out: &mut [f64]) {
                check_lengths(x.len(), out.len());
                by_level!(level, (x: &[f64], out: &mut [f64]), {
                    for (out, &x) in out.iter_mut().zip(x) {
                        *out = crate::gamma::ln_gamma_kernel(x);
                    }
                });
                mend_nonpositive(x, out, crate::gamma::ln_gamma);
            }

            /// ψ(x).
            pub fn digamma(level: Level, x: &[f64], out: &mut [f64]) {
                check_lengths(x.len(), out.len());
                by_level!(level, (x: &[f64], out: &mut [f64]), {
                    for (out, &x) in out.iter_mut().zip(x) {
                        *out = crate::gamma::digamma_kernel(x);
                    }
                });
                mend_nonpositive(x, out, crate::gamma::digamma);
            }

            /// ψ′(x).
            pub fn trigamma(level: Level, x: &[f64], out: &mut [f64]) {
                check_lengths(x.len(), out.len());
                by_level!(level, (x: &[f64], out: &mut [f64]), {
                    for (out, &x) in out.iter_mut().zip(x) {
                        *out = crate::gamma::trigamma_kernel(x);
                    }
                });
                mend_nonpositive(x, out, crate::gamma::trigamma);
            }

            /// `(ln|F|, sign of F)` for F = 2F1(a, b; c; z).
            #[allow(clippy::too_many_arguments)]
            pub fn ln_hyp2f1(
                level: Level,
                a: &[f64],
                b: &[f64],
                c: &[f64],
                z: &[f64],
                one_minus_z: &[f64],
                ln: &mut [f64],
                sign: &mut [f64],
            ) {
                for column in [a, b, c, z, one_minus_z, &*sign] {
                    check_lengths(column.len(), ln.len());
                }
                let rows = crate::hyp2f1::batch::Rows { a, b, c, z, one_minus_z };
                crate::hyp2f1::batch::ln_hyp2f1(level, &rows, ln, sign);
            }

            /// Arguments at and below zero are rare: they take the scalar path afterwards.
            fn mend_nonpositive(x: &[f64], out: &mut [f64], scalar: fn(f64) -> f64) {
                for (out, &x) in out.iter_mut().zip(x) {
                    if x <= 0.0 {
                        *out = scalar(x);
                    }
                }
            }
        }
    };
}

unary! {
    /// ln x.
    ln, ln_in_place, crate::elementary::ln_kernel;
    /// e^x.
    exp, exp_in_place, crate::elementary::exp_kernel;
    /// ln(1 + x).
    log1p, log1p_in_place, crate::elementary::log1p_kernel;
    /// e^x - 1.
    expm1, expm1_in_place, crate::elementary::expm1_kernel;
    /// 1 / (1 + e^-x).
    sigmoid, sigmoid_in_place, crate::elementary::sigmoid_kernel;
    /// ln(1 + e^x).
    softplus, softplus_in_place, crate::elementary::softplus_kernel;
}

/// x^y, element by element.
///
/// # Panics
/// When the lengths differ.
pub fn pow(x: &[f64], y: &[f64], out: &mut [f64]) {
    at::pow(detected(), x, y, out);
}

/// ln(e^x + e^y), element by element.
///
/// # Panics
/// When the lengths differ.
pub fn log_add_exp(x: &[f64], y: &[f64], out: &mut [f64]) {
    at::log_add_exp(detected(), x, y, out);
}

/// ln|Γ(x)|.
///
/// # Panics
/// When the lengths differ.
pub fn ln_gamma(x: &[f64], out: &mut [f64]) {
    at::ln_gamma(detected(), x, out);
}

/// ψ(x).
///
/// # Panics
/// When the lengths differ.
pub fn digamma(x: &[f64], out: &mut [f64]) {
    at::digamma(detected(), x, out);
}

/// ψ′(x).
///
/// # Panics
/// When the lengths differ.
pub fn trigamma(x: &[f64], out: &mut [f64]) {
    at::trigamma(detected(), x, out);
}

/// `(ln|F|, sign of F)` for F = 2F1(a, b; c; z), row by row: [`crate::ln_hyp2f1`] in its bits,
/// several rows at a time.
///
/// # Panics
/// When the lengths differ.
pub fn ln_hyp2f1(
    a: &[f64],
    b: &[f64],
    c: &[f64],
    z: &[f64],
    one_minus_z: &[f64],
    ln: &mut [f64],
    sign: &mut [f64],
) {
    at::ln_hyp2f1(detected(), a, b, c, z, one_minus_z, ln, sign);
}
