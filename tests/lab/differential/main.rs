//! A differential search: what build-once publishes against what plain `docker buildx build` makes, on the
//! lab's engine, for cases that are made from a seed.

#![allow(clippy::disallowed_methods, reason = "the fences are the program's")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod case;
mod change;
mod check;
mod claims;
mod desk;
mod dice;
mod dockerfile;
mod family;
mod generate;
#[allow(dead_code, unused_imports, reason = "the end-to-end tests use the rest")]
#[path = "../e2e/harness/mod.rs"]
mod harness;
mod image;
mod plain;
mod planted;
mod reach;
mod report;
mod several;
mod shrink;
mod store;
mod story;
mod tree;
mod web;
mod work;
mod world;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Days since 1970.
fn day() -> u64 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs() / 86_400)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn main() -> ExitCode {
    // What cargo hands to every test program, such as --nocapture, has no meaning here.
    let count = number("BUILD_ONCE_CASES", 150);
    let first = number("BUILD_ONCE_CASE", 0);
    let few = |name: &str, default: u64| usize::try_from(number(name, default)).unwrap();
    let wanted = work::Wanted {
        seed: number("BUILD_ONCE_SEED", 1),
        pairs: few("BUILD_ONCE_PAIRS", 100),
        stories: few("BUILD_ONCE_STORIES", 6),
        chains: few("BUILD_ONCE_CHAINS", 4),
        platforms: few("BUILD_ONCE_PLATFORMS", 4),
        sample: number("BUILD_ONCE_SAMPLE", day() % work::SAMPLED),
        verbose: std::env::var_os("BUILD_ONCE_VERBOSE").is_some(),
    };
    let shrink = few("BUILD_ONCE_SHRINK", 40);
    let workers = few("BUILD_ONCE_WORKERS", 3);
    println!("cases {first} to {}, {wanted:?}", first + count - 1);
    let begin = Instant::now();
    // Other seeds have no records.
    let world = world::World::new(wanted.seed == 1 && wanted.sample < work::SAMPLED);
    let mut report = report::Report::default();
    report.seconds.insert("set up", begin.elapsed().as_secs_f64());
    let lies = planted::LIES.iter().filter(|_| first == 0);
    let lies = Mutex::new(lies);
    let (next, all) = (AtomicU64::new(first), Mutex::new(report));
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (world, next, all, lies) = (&world, &next, &all, &lies);
            scope.spawn(move || {
                let desk = desk::Desk::new(world, worker, shrink);
                let tell = |report: report::Report| {
                    for text in report.faults.values().flatten() {
                        println!("{text}");
                    }
                    all.lock().unwrap().add(report);
                };
                let lie = || lies.lock().unwrap().next();
                while let Some(lie) = lie() {
                    tell(planted::plant(&desk, wanted, lie));
                }
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + count {
                        return;
                    }
                    tell(work::case(&desk, wanted, number));
                    if number % 200 == 199 {
                        world.clean();
                    }
                }
            });
        }
    });
    let mut report = all.into_inner().unwrap();
    let cleaning = Instant::now();
    world.clean();
    report.seconds.insert("clean", cleaning.elapsed().as_secs_f64());
    println!("{}", report.text(begin.elapsed().as_secs_f64()));
    if world.records.writing {
        if report.failed() == 0 {
            world.records.write();
        } else {
            println!("no records are written, because something was found");
        }
    }
    if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
