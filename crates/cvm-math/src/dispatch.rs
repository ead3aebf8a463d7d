//! Which SIMD width the slice functions run at; every width gives the same bits.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set the slice functions are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What the target always has (SSE2 on x86-64, NEON on aarch64).
    Baseline = 1,
    /// AVX2: four doubles at a time.
    Avx2 = 2,
    /// AVX-512 F, DQ and VL: eight doubles at a time.
    Avx512 = 3,
}

impl Level {
    /// Every level, narrowest first.
    pub const ALL: [Level; 3] = [Level::Baseline, Level::Avx2, Level::Avx512];

    /// Whether this processor can run the level.
    pub fn is_available(self) -> bool {
        self <= detected()
    }
}

/// The widest level of this processor, found once.
#[inline]
pub fn detected() -> Level {
    static CACHED: AtomicU8 = AtomicU8::new(0);
    match CACHED.load(Ordering::Relaxed) {
        1 => Level::Baseline,
        2 => Level::Avx2,
        3 => Level::Avx512,
        _ => {
            let level = detect();
            CACHED.store(level as u8, Ordering::Relaxed);
            level
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx512 = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vl");
    match std::is_x86_feature_detected!("avx2") {
        true if avx512 => Level::Avx512,
        true => Level::Avx2,
        false => Level::Baseline,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Baseline
}

/// Runs loops of any crate, compiled for each level and run at this processor's: what is inlined into
/// `loops` is vectorised at that width. The same bits at each: no level fuses or reorders arithmetic.
///
/// ```
/// let x = [1.0, 2.0, 3.0];
/// let mut halves = [0.0; 3];
/// cvm_math::dispatch::widest(|| {
///     for (half, x) in halves.iter_mut().zip(x) {
///         *half = x / 2.0;
///     }
/// });
/// assert_eq!(halves, [0.5, 1.0, 1.5]);
/// ```
#[inline]
#[allow(unsafe_code)]
pub fn widest<R>(loops: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn avx2<R>(loops: impl FnOnce() -> R) -> R {
        loops()
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,avx512f,avx512dq,avx512vl")]
    fn avx512<R>(loops: impl FnOnce() -> R) -> R {
        loops()
    }

    match detected() {
        // SAFETY: `detected` says that this processor has the features of the level.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512(loops) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(loops) },
        _ => loops(),
    }
}

/// Runs a loop compiled for each level: `by_level!(level, (arguments: types), body)`.
///
/// The body is inlined into one function per level, where LLVM vectorises it at that level's
/// width. A level this processor lacks runs at the widest it has.
macro_rules! by_level {
    ($level:expr, ($($arg:ident : $ty:ty),*), $body:block) => {{
        #[inline(always)]
        fn body($($arg: $ty),*) $body

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn avx2($($arg: $ty),*) {
            body($($arg),*)
        }

        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,avx512f,avx512dq,avx512vl")]
        fn avx512($($arg: $ty),*) {
            body($($arg),*)
        }

        match std::cmp::Ord::min($level, $crate::dispatch::detected()) {
            // SAFETY: `detected` says that this processor has the features of the level.
            #[cfg(target_arch = "x86_64")]
            $crate::dispatch::Level::Avx512 => unsafe { avx512($($arg),*) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            $crate::dispatch::Level::Avx2 => unsafe { avx2($($arg),*) },
            _ => body($($arg),*),
        }
    }};
}
pub(crate) use by_level;
