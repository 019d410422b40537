//! What a search found, in numbers and in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::check::Fault;

/// Of all cases, or of some.
#[derive(Debug, Default)]
pub struct Report {
    pub cases: usize,
    /// Lies that were planted.
    pub planted: usize,
    /// Images compared, and of them those that plain buildx could not build either.
    pub images: usize,
    pub both_refused: usize,
    pub pairs: usize,
    pub hits: usize,
    pub misses: usize,
    pub nothing: usize,
    /// By the change's kind.
    pub needless: BTreeMap<String, usize>,
    pub by_kind: BTreeMap<String, usize>,
    /// Cases with a fault, with their texts.
    pub faults: BTreeMap<u64, Vec<String>>,
    pub fault_kinds: BTreeMap<String, usize>,
    /// Images of runs that belong together: how many a run built, found, or failed to build as plain buildx does.
    pub several: BTreeMap<&'static str, usize>,
    /// Other checks by name, and how often each was made.
    pub checks: BTreeMap<&'static str, usize>,
    /// Seconds by what they went to.
    pub seconds: BTreeMap<&'static str, f64>,
}

/// Most of the misses that may be needless, in percent of all pairs.
const MOST_NEEDLESS: f64 = 3.0;
/// Pairs from which on the share is judged, and not only told: a few say too little about so small a share.
const ENOUGH_PAIRS: usize = 100;

impl Report {
    /// Adds what another worker found.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.planted += other.planted;
        self.images += other.images;
        self.both_refused += other.both_refused;
        self.pairs += other.pairs;
        self.hits += other.hits;
        self.misses += other.misses;
        self.nothing += other.nothing;
        for (case, texts) in other.faults {
            self.faults.entry(case).or_default().extend(texts);
        }
        for (to, from) in [
            (&mut self.needless, other.needless),
            (&mut self.by_kind, other.by_kind),
            (&mut self.fault_kinds, other.fault_kinds),
        ] {
            for (name, count) in from {
                *to.entry(name).or_default() += count;
            }
        }
        for (to, from) in [(&mut self.several, other.several), (&mut self.checks, other.checks)] {
            for (name, count) in from {
                *to.entry(name).or_default() += count;
            }
        }
        for (name, seconds) in other.seconds {
            *self.seconds.entry(name).or_default() += seconds;
        }
    }

    /// Notes a fault of a case, with everything that repeats it.
    pub fn fault(&mut self, seed: u64, case: u64, what: &str, fault: &Fault, text: &str) {
        *self.fault_kinds.entry(format!("{what}: {}", fault.kind())).or_default() += 1;
        let text = format!("FOUND seed {seed} case {case}: {what}: {}\n{fault:#?}\n{text}", fault.kind());
        self.faults.entry(case).or_default().push(text);
    }

    /// Notes that a planted lie was not found.
    pub fn not_found(&mut self, name: &str, seen: &str) {
        *self.fault_kinds.entry("a planted lie was not found".to_owned()).or_default() += 1;
        self.faults.entry(u64::MAX).or_default().push(format!("NOT FOUND: the planted lie {name}: {seen}"));
    }

    /// Needless misses in percent of the pairs that could be compared.
    pub fn needless_percent(&self) -> f64 {
        let count: usize = self.needless.values().sum();
        let compared = self.pairs - self.nothing;
        if compared == 0 {
            return 0.0;
        }
        f64::from(u32::try_from(count).unwrap()) * 100.0 / f64::from(u32::try_from(compared).unwrap())
    }

    /// What did not hold: cases with findings, and one more for too many needless misses.
    pub fn failed(&self) -> usize {
        let too_many = self.pairs >= ENOUGH_PAIRS && self.needless_percent() > MOST_NEEDLESS;
        self.faults.len() + usize::from(too_many)
    }

    /// Figures, and the line that is counted: one test for each case and each planted lie, and one for
    /// the needless misses.
    pub fn text(&self, seconds: f64) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} cases, {} planted lies: {} images compared ({} that neither builds), {} pairs ({} hits, {} misses, {} not comparable)",
            self.cases,
            self.planted,
            self.images,
            self.both_refused,
            self.pairs,
            self.hits,
            self.misses,
            self.nothing
        );
        let _ = writeln!(
            text,
            "figures: {} cases, {} pairs, {} cases with findings, {:.1} % needless misses, {seconds:.0} s",
            self.cases,
            self.pairs,
            self.faults.len(),
            self.needless_percent()
        );
        let needless: Vec<String> = self
            .needless
            .iter()
            .map(|(kind, count)| {
                format!("{kind} {count} of {}", self.by_kind.get(kind).copied().unwrap_or(0))
            })
            .collect();
        let _ = writeln!(
            text,
            "needless misses: {:.1} % (at most {MOST_NEEDLESS} %): {}",
            self.needless_percent(),
            needless.join(", ")
        );
        let _ = writeln!(text, "images of definitions and of platforms: {:?}", self.several);
        let _ = writeln!(text, "checks: {:?}", self.checks);
        let _ = writeln!(text, "seconds: {:.0?}", self.seconds);
        let _ = writeln!(text, "faults: {:?}", self.fault_kinds);
        let failed = self.failed();
        let passed = self.cases + self.planted + 1 - failed;
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        let _ = writeln!(
            text,
            "test result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished in {seconds:.2}s"
        );
        text
    }
}
