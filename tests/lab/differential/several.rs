//! What is asked in several runs: a definition's images, an image for several platforms.

mod chains;
mod judge;
mod platforms;
mod runs;

pub use chains::{Chain, Order as ChainOrder};
pub use platforms::{Order as PlatformOrder, Platforms};

use std::collections::BTreeMap;
use std::fmt::Display;

use super::check::Fault;
use super::desk::Desk;
use super::plain::Plain;

/// What the runs of a subject showed.
#[derive(Default)]
pub struct Findings {
    /// Each with the run that showed it.
    pub faults: Vec<(&'static str, Fault)>,
    /// How often a run built an image, found it, or failed as plain buildx does.
    pub images: BTreeMap<&'static str, usize>,
}

/// Inputs of runs that belong together.
pub trait Subject: Clone + Display {
    /// The hashes under which what plain buildx makes of it is recorded.
    fn marks(&self, desk: &Desk<'_>) -> Vec<Option<String>>;

    /// Builds the same with plain buildx, in the order of [`Self::marks`].
    fn build(&self, desk: &Desk<'_>) -> Vec<Plain>;

    /// Makes its runs.
    fn run(&self, desk: &Desk<'_>, plain: &[Plain]) -> Findings;

    /// Each with one thing less.
    fn smaller(&self) -> Vec<Self>;
}

/// The findings of a search, for people.
pub struct Shown {
    pub findings: Findings,
    /// The smallest subject that still shows the first of them.
    pub text: String,
    /// Whether plain buildx built in this run.
    pub is_built: bool,
}

/// The smaller subjects that are tried for a finding: each takes several runs.
const TRIES: usize = 12;

/// Makes the runs of a subject. `sampled`: plain buildx builds although there are records. What records say against
/// build-once counts only if plain buildx says so too.
pub fn search<S: Subject>(desk: &Desk<'_>, subject: &S, sampled: bool) -> Shown {
    let recorded = recorded(desk, subject);
    let (mut plain, mut is_built) = match &recorded {
        Some(plain) if !sampled => (plain.clone(), false),
        _ => (build(desk, subject), true),
    };
    let mut findings = subject.run(desk, &plain);
    if !is_built && !findings.faults.is_empty() {
        (plain, is_built) = (build(desk, subject), true);
        let again = subject.run(desk, &plain);
        // One that shows in some runs alone is a finding all the same.
        if !again.faults.is_empty() || !is_like(recorded.as_ref(), &plain) {
            findings = again;
        }
    }
    if is_built && !is_like(recorded.as_ref(), &plain) {
        findings.faults.push(("plain", Fault::Record));
    }
    let small = shrink(desk, subject, &findings);
    Shown { text: small.to_string(), findings, is_built }
}

fn recorded<S: Subject>(desk: &Desk<'_>, subject: &S) -> Option<Vec<Plain>> {
    subject.marks(desk).into_iter().map(|mark| desk.world.records.find(&mark?)).collect()
}

/// Whether records, where there are any, say the same.
fn is_like(recorded: Option<&Vec<Plain>>, built: &[Plain]) -> bool {
    recorded.is_none_or(|recorded| recorded.iter().zip(built).all(|(one, two)| one.is_like(two)))
}

fn build<S: Subject>(desk: &Desk<'_>, subject: &S) -> Vec<Plain> {
    let built = subject.build(desk);
    if desk.world.records.writing {
        let again = subject.build(desk);
        for ((mark, one), two) in subject.marks(desk).into_iter().zip(&built).zip(&again) {
            match mark.filter(|_| one.is_like(two)) {
                Some(mark) => desk.world.records.note(&mark, one),
                None => {
                    println!("not recorded, because two builds differ or a name is of this run:\n{subject}")
                }
            }
        }
    }
    built
}

fn shrink<S: Subject>(desk: &Desk<'_>, subject: &S, findings: &Findings) -> S {
    let mut best = subject.clone();
    let Some((what, fault)) = findings.faults.iter().find(|(_, fault)| *fault != Fault::Record) else {
        return best;
    };
    let mut tries = desk.shrink.min(TRIES);
    let shows = |candidate: &S| {
        let found = candidate.run(desk, &candidate.build(desk));
        found.faults.iter().any(|(run, found)| run == what && found.kind() == fault.kind())
    };
    loop {
        let candidates = best.smaller();
        let candidates: Vec<S> = candidates.into_iter().take(tries).collect();
        let mut found = None;
        for candidate in candidates {
            tries -= 1;
            if shows(&candidate) {
                found = Some(candidate);
                break;
            }
        }
        match found {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}
