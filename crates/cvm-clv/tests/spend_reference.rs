//! Spend models against 60-digit references, cancelling shapes and published traps included.

use cvm_clv::{GammaGamma, LogNormalSpend, Spend, SpendFormulas};

fn table<const N: usize>(bytes: &[u8]) -> Vec<[f64; N]> {
    assert_eq!(bytes.len() % (8 * N), 0);
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
    let record = |row: &[u8]| std::array::from_fn(|i| number(&row[8 * i..8 * i + 8]));
    bytes.chunks_exact(8 * N).map(record).collect()
}

/// The five answers in the order of the tables; no likelihood without a purchase.
fn answers<F: SpendFormulas>(model: &F, row: &Spend) -> [f64; 5] {
    let log_lik = if row.frequency > 0.0 {
        model.log_lik(row)
    } else {
        0.0
    };
    [
        log_lik,
        model.expected_spend(row),
        model.variance_within(row),
        model.variance_of_mean(row),
        model.median_spend(row),
    ]
}

/// The largest error of each answer with its row: relative, and of the log-likelihood relative to
/// at least 1. Infinite answers must be met.
fn worst<const N: usize>(table: &[[f64; N]], got: impl Fn(&[f64; N]) -> [f64; 5]) -> [f64; 5] {
    let mut worst = [0.0f64; 5];
    let mut where_found = [[0.0; N]; 5];
    for row in table {
        let got = got(row);
        for (index, want) in row[N - 5..].iter().enumerate() {
            let size = if index == 0 {
                want.abs().max(1.0)
            } else {
                want.abs()
            };
            let error = if got[index] == *want {
                0.0
            } else {
                (got[index] - want).abs() / size
            };
            assert!(error.is_finite(), "{index}: {} for {row:?}", got[index]);
            if error > worst[index] {
                worst[index] = error;
                where_found[index] = *row;
            }
        }
    }
    for (error, row) in worst.iter().zip(where_found) {
        println!("{error:e} {row:?}");
    }
    worst
}

#[test]
fn gamma_gamma_holds_ten_digits_everywhere() {
    let table = table::<10>(include_bytes!("data/gamma_gamma_reference.bin"));
    assert!(table.len() >= 5_000);
    let infinite = table.iter().filter(|row| row[6].is_infinite()).count();
    assert!(infinite > 100, "{infinite}");
    let errors = worst(&table, |row| {
        let model = GammaGamma::new(row[0], row[1], row[2]).unwrap();
        answers(&model, &Spend::of_mean(row[3], row[4]))
    });
    assert!(errors.iter().all(|error| *error < 1e-10), "{errors:?}");
}

#[test]
fn log_normal_spend_holds_ten_digits_everywhere() {
    let table = table::<11>(include_bytes!("data/log_normal_spend_reference.bin"));
    assert!(table.len() >= 5_000);
    let errors = worst(&table, |row| {
        let model = LogNormalSpend::new(row[0], row[1], row[2]).unwrap();
        answers(&model, &Spend::of_logs(row[3], row[4], row[5]))
    });
    assert!(errors.iter().all(|error| *error < 1e-10), "{errors:?}");
}
