//! What a hostile input costs: 64 KiB of each kind, made from a seed, in processor time and memory.
//! `BUILD_ONCE_HOSTILE` is how many of each kind (20), `BUILD_ONCE_SEED` another seed.
//! A program of its own: time and memory are those of the whole process.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "this is a test: what breaks here must break loudly, and it prints its figures"
)]

use std::fmt::Write as _;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

#[path = "../../fuzz/hostile.rs"]
#[allow(dead_code, reason = "shared with tests/it and fuzz/")]
mod hostile;
#[path = "../it/support/scanner.rs"]
#[allow(dead_code, reason = "shared with tests/it and fuzz/")]
mod oracle;
#[path = "../../fuzz/targets.rs"]
mod targets;

use hostile::{Maker, SIZE};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The most that one input may cost, in a debug build too.
const TIME: Duration = Duration::from_secs(1);
const BYTES: usize = 64 << 20;

/// Processor time of the process so far: what else runs on the machine does not count.
fn used() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap(), u32::try_from(now.tv_nsec).unwrap())
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let (count, seed) = (number("BUILD_ONCE_HOSTILE", 20), number("BUILD_ONCE_SEED", 0x5eed));
    let mut table = String::new();
    let mut failed = 0;
    for (name, target) in targets::TARGETS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let mut maker = Maker::new(seed, name);
        let (mut longest, mut largest) = (Duration::ZERO, 0);
        for at in 1..=count {
            let data = maker.hostile();
            let (before, held) = (used(), MEMORY.current_usage());
            MEMORY.reset_peak_usage();
            target(&data);
            let (time, bytes) = (used().saturating_sub(before), MEMORY.peak_usage().saturating_sub(held));
            if time > TIME || bytes > BYTES {
                failed += 1;
                let start = String::from_utf8_lossy(&data[..data.len().min(200)]).into_owned();
                println!("{name}, seed {seed}, input {at}: {time:?}, {} KiB: {start:?}", bytes >> 10);
                if let Some(folder) = std::env::var_os("BUILD_ONCE_HOSTILE_KEEP") {
                    std::fs::write(std::path::Path::new(&folder).join(format!("{name}-{at}")), &data)
                        .unwrap();
                }
            }
            longest = longest.max(time);
            largest = largest.max(bytes);
        }
        let milliseconds = longest.as_secs_f64() * 1000.0;
        writeln!(
            table,
            "| `{name}` | {milliseconds:.0} ms | {:.1} MiB |",
            largest as f64 / f64::from(1 << 20)
        )
        .unwrap();
    }
    println!("worst of {count} inputs of {} KiB a kind, seed {seed}:\n{table}", SIZE >> 10);
    println!("{} passed, {failed} failed", targets::TARGETS.len());
    assert_eq!(failed, 0, "an input takes more than {} s or {} MiB", TIME.as_secs(), BYTES >> 20);
}
