//! One case from its number to its report.

use std::time::Instant;

use super::case::Case;
use super::change::Change;
use super::check::{self, Fault, Pair};
use super::desk::{Desk, How, Key};
use super::dice::Dice;
use super::generate;
use super::plain::Plain;
use super::report::Report;
use super::several::{Chain, Platforms, Subject, search};
use super::story::Told;

/// What is asked of the cases.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub seed: u64,
    /// Of a hundred cases, how many have a pair.
    pub pairs: usize,
    /// Of a hundred cases, how many have runs that follow each other.
    pub stories: usize,
    /// Of a hundred cases, how many have images of one definition that are built on each other.
    pub chains: usize,
    /// Of a hundred cases, how many have an image for two platforms, built together and apart.
    pub platforms: usize,
    /// Of [`SAMPLED`] cases, which one's record is compared with what plain buildx makes.
    pub sample: u64,
    pub verbose: bool,
}

/// Cases of which one is built although there is a record.
pub const SAMPLED: u64 = 10;

/// Makes the case with this number and asks everything of it.
pub fn case(desk: &Desk<'_>, wanted: Wanted, number: u64) -> Report {
    let mut dice = Dice::of_case(wanted.seed, number);
    let case = generate::case(&mut dice);
    let mut work = Work { desk, wanted, number, report: Report { cases: 1, ..Report::default() } };
    let plain = work.plain(&case);
    let how = How::new(desk, &format!("{}-{number}", desk.world.run));
    let key = work.image(&case, &plain, &how);
    // A record was compared with it when it was written.
    if dice.percent(3) && plain.is_built() {
        work.reference(&case, &plain);
    }
    if dice.percent(wanted.pairs) {
        let (change, changed) = Change::any(&mut dice, &case);
        let other = work.timed("key", || check::key(desk, &changed));
        let second = work.plain(&changed);
        work.pair((&case, &key, &plain), (&change, &changed, &other, &second));
        if let (Err(why), Plain::Image(_), true) = (&other, &second, key.is_ok())
            && !check::is_documented(why)
        {
            work.fault("key", Fault::Refused(why.clone()), &format!("{change:?}\n{changed}"));
        }
        if dice.percent(25) && matches!(second, Plain::Image(_)) && other.is_ok() {
            work.follows(&case, &change, &changed, &second, &how);
        }
        if dice.percent(wanted.stories / 3) {
            let told = Told { desk, case: &case, plain: &plain };
            let faults = work.timed("warm", || told.warm(&changed, &second));
            work.faults(faults, &format!("{change:?}\n{case}"));
        }
    }
    if matches!(plain, Plain::Image(_)) && key.is_ok() && dice.percent(wanted.stories) {
        let told = Told { desk, case: &case, plain: &plain };
        let faults = work.timed("stories", || match dice.below(8) {
            0 => told.degraded(),
            1 => told.half(),
            2 => told.cancelled(),
            _ => told.published(&mut dice),
        });
        work.faults(faults, &case.to_string());
    }
    // Choices of their own: the case itself is the same with and without them.
    let mut dice = Dice::of_case(!wanted.seed, number);
    if dice.percent(wanted.chains) {
        work.several("chains", &Chain::any(&mut dice));
    }
    if dice.percent(wanted.platforms) {
        work.several("platforms", &Platforms::any(&mut dice));
    }
    work.report
}

/// Asks of one case, and of its change, what is asked of all.
pub fn planted(desk: &Desk<'_>, wanted: Wanted, case: &Case, change: Option<Change>) -> Report {
    let mut work = Work { desk, wanted, number: wanted.sample + 1, report: Report::default() };
    let plain = work.plain(case);
    let how = How::new(desk, &format!("{}-p{}", desk.world.run, check::serial()));
    let key = work.image(case, &plain, &how);
    if let Some((change, changed)) = change.and_then(|change| change.apply(case).map(|to| (change, to))) {
        let (other, second) = (check::key(desk, &changed), work.plain(&changed));
        work.pair((case, &key, &plain), (&change, &changed, &other, &second));
    }
    work.report
}

struct Work<'a> {
    desk: &'a Desk<'a>,
    wanted: Wanted,
    number: u64,
    report: Report,
}

impl Work<'_> {
    fn timed<T>(&mut self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = work();
        *self.report.seconds.entry(name).or_default() += begin.elapsed().as_secs_f64();
        *self.report.checks.entry(name).or_default() += 1;
        done
    }

    fn fault(&mut self, what: &str, fault: Fault, case: &str) {
        self.report.fault(self.wanted.seed, self.number, what, &fault, case);
    }

    fn faults(&mut self, faults: Vec<(&'static str, Fault)>, case: &str) {
        for (what, fault) in faults {
            self.fault(what, fault, case);
        }
    }

    /// Runs that follow each other, of inputs that have nothing to do with the case.
    fn several<S: Subject>(&mut self, kind: &'static str, subject: &S) {
        let (desk, sampled) = (self.desk, self.number % SAMPLED == self.wanted.sample);
        if self.wanted.verbose {
            println!("{kind} of case {}: {subject}", self.number);
        }
        let shown = self.timed(kind, || search(desk, subject, sampled));
        *self.report.checks.entry("recorded").or_default() += usize::from(!shown.is_built);
        for (ended, count) in shown.findings.images {
            *self.report.several.entry(ended).or_default() += count;
        }
        self.faults(shown.findings.faults, &shown.text);
    }

    /// What plain buildx makes of a case. Of what is recorded a part is built, another one every day.
    fn plain(&mut self, case: &Case) -> Plain {
        let desk = self.desk;
        let recorded = desk.recorded(case);
        if let Some(plain) = recorded.clone().filter(|_| self.number % SAMPLED != self.wanted.sample) {
            *self.report.checks.entry("recorded").or_default() += 1;
            return plain;
        }
        let built = self.timed("plain", || desk.build(case));
        if recorded.is_some_and(|recorded| !recorded.is_like(&built)) {
            self.fault("plain", Fault::Record, &case.to_string());
        }
        built
    }

    /// (a), and the key that the run says.
    fn image(&mut self, case: &Case, plain: &Plain, how: &How) -> Key {
        let desk = self.desk;
        let ran = self.timed("run", || check::run(desk, case, "once", how));
        self.report.images += 1;
        if let Plain::Refused(words) = plain {
            let why = Plain::why(words.as_ref());
            self.report.both_refused += usize::from(ran.code != Some(0));
            if self.wanted.verbose {
                println!("neither builds: case {}: {why}\n{}\n{case}", self.number, ran.output("reason"));
            }
        }
        let fault = self.timed("read", || check::published(desk, case, plain, &ran));
        if let Some(fault) = fault {
            let (small, shown) = check::shrink(desk, case, &fault, check::image_fault);
            self.fault("build", shown, &small.to_string());
        }
        let untrue = self.timed("claims", || super::claims::untrue(desk, how, &ran));
        if !untrue.is_empty() {
            self.fault("build", Fault::Untrue(untrue), &case.to_string());
        }
        let key = ran.output("key");
        if key.is_empty() { Err(ran.output("reason").to_owned()) } else { Ok(key.to_owned()) }
    }

    /// Plain buildx without a cache on a builder with a past makes what it makes on a fresh builder.
    fn reference(&mut self, case: &Case, plain: &Plain) {
        let desk = self.desk;
        // The lab's builders know no image of the engine's, and no git.
        let text = case.to_string();
        if text.contains(super::world::LOCAL) || text.contains("r.git") {
            return;
        }
        let fresh = self.timed("fresh plain", || desk.plain_on_fresh(case));
        let differences = match (plain, &fresh) {
            (Plain::Image(plain), Plain::Image(fresh)) if plain.marks.content == fresh.marks.content => {
                return;
            }
            (Plain::Refused(_), Plain::Refused(_)) => return,
            (Plain::Image(plain), Plain::Image(fresh)) => {
                let contents = plain.content.as_ref().zip(fresh.content.as_ref());
                contents.map(|(one, two)| one.differences(two)).unwrap_or_default()
            }
            _ => vec![format!("{fresh:.200?}")],
        };
        let fault = Fault::Lie("the reference depends on the builder", differences);
        self.fault("fresh plain", fault, &case.to_string());
    }

    /// (b)
    fn pair(
        &mut self,
        (case, key, plain): (&Case, &Key, &Plain),
        (change, changed, other, second): (&Change, &Case, &Key, &Plain),
    ) {
        let kind = change.kind();
        self.report.pairs += 1;
        *self.report.by_kind.entry(kind.clone()).or_default() += 1;
        let desk = self.desk;
        let mut pair = check::pair((key, plain), (other, second));
        if matches!(pair, Pair::Fault(_)) && !(plain.is_built() && second.is_built()) {
            let built = (desk.build(case), desk.build(changed));
            let stale = !plain.is_like(&built.0) || !second.is_like(&built.1);
            pair = match check::pair((key, &built.0), (other, &built.1)) {
                Pair::Fault(fault) => Pair::Fault(fault),
                _ if stale => Pair::Fault(Fault::Record),
                pair => pair,
            };
        }
        let pair = self.timed("on the way", || super::reach::judged(desk, pair, change, case, changed));
        match pair {
            Pair::Hit => self.report.hits += 1,
            Pair::Miss => self.report.misses += 1,
            Pair::Nothing => self.report.nothing += 1,
            Pair::Needless => {
                *self.report.needless.entry(kind).or_default() += 1;
                if self.wanted.verbose {
                    println!("NEEDLESS seed {} case {} {change:?}\n{case}", self.wanted.seed, self.number);
                }
            }
            Pair::Fault(fault) => {
                let again = |desk: &Desk<'_>, case: &Case| check::pair_fault(desk, case, change);
                let (small, shown) = check::shrink(self.desk, case, &fault, again);
                self.fault("pair", shown, &format!("{change:?}\n{small}"));
            }
        }
    }

    /// (c): the changed case under the same name, on a builder that has built the other one.
    fn follows(&mut self, case: &Case, change: &Change, changed: &Case, second: &Plain, how: &How) {
        let desk = self.desk;
        let how = how.clone().commit(9);
        let ran = self.timed("follows", || check::run(desk, changed, "once", &how));
        let text = || format!("{change:?}\n{case}");
        if let Some(fault) = check::published(desk, changed, second, &ran) {
            self.fault("follows", fault, &text());
        }
        let untrue = super::claims::untrue(desk, &how, &ran);
        if !untrue.is_empty() {
            self.fault("follows", Fault::Untrue(untrue), &text());
        }
    }
}
