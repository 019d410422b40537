//! Misses that no key can spare: the image is the same although a stage on its way is not, or although a `RUN` step
//! got another text or other hosts, of which only the step knows what it makes.

use super::case::Case;
use super::change::Change;
use super::check::Pair;
use super::desk::Desk;
use super::dockerfile::{Instruction, Stage};
use super::plain::Plain;

/// The stages that the target is made from, the target too. Texts are searched for names, so a stage more
/// than BuildKit would build may be among them.
fn reached(case: &Case) -> Vec<usize> {
    let stages = &case.dockerfile.stages;
    let is =
        |stage: &Stage, name: &str| stage.name.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name));
    let last = stages.len() - 1;
    let target = case.inputs.target.as_ref();
    let target = target.map_or(Some(last), |name| stages.iter().rposition(|stage| is(stage, name)));
    let mut found: Vec<usize> = target.into_iter().collect();
    let mut next = 0;
    while let Some(number) = found.get(next).copied() {
        next += 1;
        let stage = &stages[number];
        let body = stage.body.iter().fold(String::new(), |text, line| text + &line.text() + "\n");
        for (before, other) in stages[..number].iter().enumerate() {
            let names = other.name.iter().cloned().chain([before.to_string()]);
            let used = names
                .clone()
                .any(|name| body.to_lowercase().contains(&format!("from={}", name.to_lowercase())));
            let on = is(other, &stage.base);
            if (used || on) && !found.contains(&before) {
                found.push(before);
            }
        }
    }
    found
}

/// Whether a reached stage before the target has another image in the changed case.
pub fn differs_on_the_way(desk: &Desk<'_>, case: &Case, changed: &Case) -> bool {
    let (mut numbers, others) = (reached(case), reached(changed));
    if numbers.is_empty() || case.dockerfile.stages.len() != changed.dockerfile.stages.len() {
        return false;
    }
    numbers.remove(0);
    numbers.retain(|number| others.contains(number));
    numbers.into_iter().any(|number| {
        let only = |case: &Case| {
            let mut case = case.clone();
            // The file stays whole: the context may hold it.
            // Of two stages of one name, the name is the last one's.
            let name = format!("reached-{number}");
            case.dockerfile.stages[number].name = Some(name.clone());
            case.inputs.target = Some(name);
            desk.plain(&case)
        };
        match (only(case), only(changed)) {
            (Plain::Image(one), Plain::Image(two)) => one.marks != two.marks,
            _ => false,
        }
    })
}

/// The texts of the `RUN` steps that are reached, and the bases whose triggers may hold some.
fn steps(case: &Case) -> Vec<String> {
    let steps_of = |number: usize| {
        let stage = &case.dockerfile.stages[number];
        let runs = stage.body.iter().map(Instruction::text).filter(|text| text.starts_with("RUN"));
        let triggers = stage.base.starts_with("{BASES}:run").then(|| stage.base.clone());
        runs.chain(triggers).collect::<Vec<_>>()
    };
    let mut numbers = reached(case);
    numbers.sort_unstable();
    numbers.into_iter().flat_map(steps_of).collect()
}

/// What a pair is once this is known.
pub fn judged(desk: &Desk<'_>, pair: Pair, change: &Change, case: &Case, changed: &Case) -> Pair {
    if pair != Pair::Needless {
        return pair;
    }
    // It counts because it was asked to: the whole context, and all arguments and secrets (docs/keys.md).
    let asked = case.inputs.own.contains(&("key".to_owned(), "context".to_owned()));
    let before = steps(case);
    let hosts = matches!(change, Change::HostAdd | Change::NetworkNamed) && !before.is_empty();
    let spared = !asked && !hosts && before == steps(changed);
    if spared && !differs_on_the_way(desk, case, changed) { pair } else { Pair::Miss }
}
