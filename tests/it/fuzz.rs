//! The fuzz targets on stable: a seeded loop of mutations instead of libFuzzer, which needs
//! nightly (`fuzz/`). It is a smoke test, not a search: no coverage guides it.
//! `BUILD_ONCE_FUZZ_SECONDS` makes it longer, for each target.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use crate::support::scanner as oracle;

#[path = "../../fuzz/hostile.rs"]
#[allow(dead_code, reason = "shared with tests/hostile")]
mod hostile;
#[path = "../../fuzz/targets.rs"]
mod targets;

use hostile::Maker;

#[test]
fn every_target_holds_under_mutation() {
    let seconds = std::env::var("BUILD_ONCE_FUZZ_SECONDS").ok().map(|text| text.parse::<u64>().unwrap());
    let seed = seconds.map_or(0x5eed, |_| u64::from(std::process::id()) | 1);
    for (name, target) in targets::TARGETS {
        let mut maker = Maker::new(seed, name);
        let start = Instant::now();
        let mut runs = 0_u32;
        while seconds.map_or(runs < 300, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
            let data = maker.mutated();
            runs += 1;
            assert!(
                catch_unwind(|| target(&data)).is_ok(),
                "{name}, seed {seed}, run {runs}: {:?}",
                String::from_utf8_lossy(&data)
            );
        }
        println!("fuzz {name}: {runs} runs in {:.1} s", start.elapsed().as_secs_f64());
    }
    for (name, target) in targets::TARGETS {
        for (_, seed) in hostile::seeds() {
            assert!(catch_unwind(|| target(&seed)).is_ok(), "{name}: {:?}", String::from_utf8_lossy(&seed));
        }
        target(b"");
    }
}

/// Every target can be started by `cargo fuzz run`.
#[test]
fn every_target_has_its_program() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let programs = std::fs::read_dir(folder.join("fuzz_targets")).unwrap().count();
    assert_eq!(programs, targets::TARGETS.len());
    for (name, _) in targets::TARGETS {
        let program = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        let called = program.contains(&format!("targets::{name}(data)"))
            || ["answers", "folders"]
                .iter()
                .any(|of| program.contains(&format!("targets::{of}::{name}(data)")));
        assert!(called && manifest.contains(&format!("\"{name}\"")), "{name}");
    }
}
