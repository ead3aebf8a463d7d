//! Models for tests and benches.

use cvm::{Frame, Model, TimeUnit};

/// BG/NBD with the parameters published for CDNOW (Fader, Hardie & Lee 2005), `r` scaled.
pub fn bg_nbd(scale: f64) -> Model {
    let params = [
        ("r", 0.2426 * scale),
        ("alpha", 4.4136),
        ("a", 0.7929),
        ("b", 2.4259),
    ];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    cvm::from_params("clv.bg_nbd", &params, Some(TimeUnit::Week)).unwrap()
}

/// A churn model of 500 trees of 64 leaves on 20 columns, its target by chance.
pub fn boosted() -> Model {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let bytes = BYTES.get_or_init(|| fitted(&noise(2_000)).encode().unwrap());
    Model::open(bytes).unwrap()
}

fn fitted(frame: &Frame) -> Model {
    let settings = serde_json::json!({
        "target": "y", "rounds": 500, "learning_rate": 0.05, "grow": "leafwise",
        "max_leaves": 64, "depth": 12, "min_child_weight": 1e-3, "early_stopping_rounds": 0,
    });
    let options = cvm::FitOptions {
        settings: settings.as_object().cloned().unwrap(),
        ..Default::default()
    };
    let fitted = cvm::fit("churn.boosted", &frame.batch().unwrap(), &options);
    fitted.unwrap().model
}

/// Numbers in [0, 1), the same every time for a seed.
pub fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        // Constants of MMIX (Knuth, TAOCP 2, 3rd edition, section 3.3.4, table 1).
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    }
}

/// Columns `x0` to `x19` and a target `y` without any sense, the same every time.
fn noise(rows: usize) -> Frame {
    let mut next = uniform(7);
    let mut frame = Frame::new(rows);
    for column in 0..20 {
        frame = frame.with_numbers(format!("x{column}"), (0..rows).map(|_| next()).collect());
    }
    let target = (0..rows).map(|_| f64::from(next() < 0.3)).collect();
    frame.with_numbers("y", target)
}
