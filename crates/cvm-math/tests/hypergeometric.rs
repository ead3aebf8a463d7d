//! 2F1 against references: relative error of F at most 1e-12 wherever the models need it.
mod common;

use common::hyp_table;

/// |Δ ln|F|| relative to max(1, |ln|F||): the relative error of F, or of its logarithm where F
/// itself is beyond what a logarithm in a double can tell.
fn error(got: f64, record: &common::Record<5>) -> f64 {
    record.error_abs(got) / record.value.abs().max(1.0)
}

#[test]
fn logarithm_and_sign() {
    let mut worst = (0.0, [0.0; 5]);
    let records = hyp_table();
    assert!(records.len() >= 3000);
    for (record, sign) in &records {
        let [a, b, c, z, one_minus_z] = record.args;
        let (ln, got_sign) = cvm_math::ln_hyp2f1(a, b, c, z, one_minus_z);
        assert_eq!(got_sign, *sign, "sign at {:?}: {ln}", record.args);
        let e = error(ln, record);
        if !(e <= worst.0) {
            worst = (e, record.args);
        }
        if !(e <= 1e-12) {
            println!("{e:.2e} at {:?}: {ln} for {}", record.args, record.value);
        }
    }
    println!(
        "hyp2f1: {} records, max {:.2e} at {:?}",
        records.len(),
        worst.0,
        worst.1
    );
    assert!(worst.0 <= 1e-12);
}
