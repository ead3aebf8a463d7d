//! Hostile model files: a kept corpus is refused with typed errors in bounded memory, and mutations
//! of sound files are refused or harmless. `CVM_SLOW=1` runs a hundred times as many.
// The counting allocator below is the only unsafe code: it forwards to the system's.
#![allow(unsafe_code)]

use cvm_churn::trees::TreeEnsemble;
use cvm_churn::trees::import::{ImportOptions, read};
use cvm_core::{RowStatus, ScoreBlock, Scorer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes allocated and not yet freed, and the most there were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system allocator with the caller's own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most memory an import of a file below 100 kB may take.
const MOST_BYTES: usize = 64 << 20;
const MUTATIONS: usize = 400;

/// Tests of this file count bytes, so they run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hostile")
        .join(folder);
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(path)
        .expect("a corpus")
        .map(|entry| {
            let entry = entry.expect("a file");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("a readable file"))
        })
        .collect();
    found.sort();
    found
}

fn format(name: &str) -> &str {
    name.split('-').next().expect("a format")
}

/// Imports a file; a sound model is rebuilt from its state and scores its own probe rows.
fn open(format: &str, bytes: &[u8]) -> Result<(), String> {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let read = read(format, bytes, &ImportOptions::default()).map_err(|error| error.to_string());
    let model =
        read.and_then(|read| TreeEnsemble::new(read.ensemble).map_err(|error| error.to_string()));
    let peak = PEAK.load(Ordering::Relaxed);
    assert!(
        peak < before + MOST_BYTES,
        "{peak} bytes for a file of {}",
        bytes.len()
    );
    let model = model?;
    let rows = model.probe_rows();
    let batch = rows.batch().expect("probe rows");
    let bound = batch.bind(model.schema()).expect("the model's own columns");
    let mut columns = vec![vec![0.0; rows.row_count]; model.outputs().len()];
    let mut status = vec![RowStatus::OK; rows.row_count];
    let wanted: Vec<usize> = (0..columns.len()).collect();
    let mut block = ScoreBlock {
        outputs: columns.iter_mut().map(Vec::as_mut_slice).collect(),
        status: &mut status,
    };
    model.score_rows(&bound, 0, &wanted, &model.probe_options(), &mut block);
    for (row, status) in status.iter().enumerate() {
        let finite = columns.iter().all(|column| column[row].is_finite());
        assert_eq!(finite, status.is_ok(), "row {row} of {status:?}");
    }
    Ok(())
}

#[test]
fn seeds_are_sound() {
    let _alone = alone();
    let seeds = files("seeds");
    assert!(seeds.len() >= 6);
    for (name, bytes) in seeds {
        assert_eq!(open(format(&name), &bytes), Ok(()), "{name}");
    }
}

#[test]
fn hostile_files_are_refused_in_words() {
    let _alone = alone();
    let hostile = files("refused");
    assert!(hostile.len() >= 20);
    for (name, bytes) in hostile {
        let why = open(format(&name), &bytes).expect_err(&name);
        assert!(
            !why.is_empty() && why.len() < 2000,
            "{name}: {} bytes",
            why.len()
        );
    }
}

#[test]
fn a_chain_of_a_hundred_thousand_splits_is_refused() {
    let _alone = alone();
    let depth = 100_000;
    let list = |cell: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = (0..2 * depth + 1).map(cell).collect();
        format!("[{}]", cells.join(","))
    };
    // Odd places are leaves; an even one goes on to the next even one.
    let is_leaf = |node: usize| node % 2 == 1 || node == 2 * depth;
    let either = |node: usize, leaf: &str, split: String| match is_leaf(node) {
        true => leaf.to_owned(),
        false => split,
    };
    let fields = r#"[{"name": "x", "accepts_missing": true, "levels": null, "unseen": "missing"}]"#;
    let rules = r#"{"compare": "less", "input": "f64", "accepts_infinite": true,
        "category": "truncate", "sum": "f64"}"#;
    let text = format!(
        r#"{{"document": "cvm trees 1", "library": "none", "rules": {rules}, "outputs": 1,
            "leaf_width": 1, "link": "sigmoid", "slope": 1, "divisor": 1, "base": [0],
            "fields": {fields}, "trees": [{{"output": 0, "members": {{}}, "feature": {},
            "threshold": {}, "left": {}, "right": {}, "default_left": {}, "value": {},
            "cover": {}}}]}}"#,
        list(&|node| either(node, "-1", "0".to_owned())),
        list(&|node| node.to_string()),
        list(&|node| either(node, "-1", (node + 1).to_string())),
        list(&|node| either(node, "-1", (node + 2).to_string())),
        list(&|_| "0".to_owned()),
        list(&|_| "1".to_owned()),
        list(&|_| "1".to_owned()),
    );
    let read = read("arrays", text.as_bytes(), &ImportOptions::default());
    let why = match read {
        Err(error) => error.to_string(),
        Ok(read) => TreeEnsemble::new(read.ensemble).unwrap_err().to_string(),
    };
    assert!(why.contains("deeper than 2048"), "{why}");
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.bits() % end.max(1) as u64) as usize
    }
}

/// What a number of a text may become.
const HOSTILE: [&str; 12] = [
    "-1",
    "0",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "1e308",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "0.5",
];

/// One change: a flipped bit, a cut, a piece doubled, dropped or moved, a number made hostile.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = bytes.len();
    let (a, b) = (random.below(len), random.below(len));
    let (start, end) = (a.min(b), a.max(b).min(a.min(b) + 200));
    match random.below(7) {
        0 => bytes.truncate(a),
        1 => drop(bytes.drain(start..end)),
        2 => {
            let piece = bytes[start..end].to_vec();
            bytes.splice(b..b, piece);
        }
        3 => bytes[a] = random.bits() as u8,
        4 => bytes[a] ^= 1 << random.below(8),
        _ => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let Some(at) = bytes[a..].iter().position(is_digit) else {
                return;
            };
            let first = a + at;
            let count = bytes[first..].iter().take_while(|b| is_digit(b)).count();
            let new = HOSTILE[random.below(HOSTILE.len())].bytes();
            bytes.splice(first..first + count, new);
        }
    }
}

#[test]
fn mutations_of_sound_files_are_refused_or_harmless() {
    let _alone = alone();
    let slow = std::env::var_os("CVM_SLOW").is_some();
    let count = if slow { 100 * MUTATIONS } else { MUTATIONS };
    let (mut refused, mut tried) = (0, 0);
    for (place, (name, sound)) in files("seeds").into_iter().enumerate() {
        let mut random = Random(place as u64);
        for _ in 0..count {
            let mut bytes = sound.clone();
            for _ in 0..1 + random.below(3) {
                if !bytes.is_empty() {
                    mutate(&mut bytes, &mut random);
                }
            }
            tried += 1;
            refused += usize::from(open(format(&name), &bytes).is_err());
        }
    }
    assert!(refused * 2 > tried, "only {refused} of {tried} refused");
}
