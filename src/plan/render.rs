//! The plan for people and for programs.

use std::fmt::Write as _;

use super::{Plan, Step};
use crate::buildkit::OutputTarget;
use crate::facts::{Facts, LookupResult, RepositoryFact};
use crate::image::ImageReference;
use crate::inputs::Inputs;
use crate::run::RunContext;
use crate::trust::{Access, AllNames, ZoneNames};

/// What the plan rests on, beside the plan.
pub(crate) struct Rendered<'a> {
    pub inputs: &'a Inputs,
    pub run: &'a RunContext,
    /// Its rights.
    pub access: &'a Access,
    pub facts: &'a Facts,
    pub plan: &'a Plan,
}

impl Rendered<'_> {
    /// What the run may read and write by name; nothing without a repository.
    fn names(&self) -> Option<AllNames> {
        let home = self.facts.repository.repository()?;
        let key = self.facts.key.as_ref().map(crate::key::BuildKey::short);
        Some(ZoneNames::new(self.inputs, self.run, self.access, home).all(key))
    }
}

/// As text.
#[must_use]
pub(crate) fn text(rendered: &Rendered<'_>) -> String {
    let Rendered { run, access, facts, plan, .. } = rendered;
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12} {value}");
    };
    row("outcome", plan.decision.outcome.name());
    row("reason", &plan.decision.reason);
    for change in crate::facts::explain::rest(&plan.decision.changes) {
        row("changed", &change);
    }
    row("zone", &format!("{} ({})", run.zone.name(), run.zone_reason));
    let may = [
        (access.write_images, "own images"),
        (access.write_tags, "tags"),
        (access.write_cache, "own layer cache"),
    ];
    let may: Vec<_> = may.iter().filter(|(may, _)| *may).map(|(_, what)| *what).collect();
    row("may write", &if may.is_empty() { "nothing".to_owned() } else { may.join(", ") });
    match &facts.repository {
        RepositoryFact::Found { repository, source } => {
            row("repository", &format!("{repository} (from {source})"));
        }
        RepositoryFact::None(_) => row("repository", "none"),
    }
    if let Some(key) = &facts.key {
        row("key", &key.hex);
    }
    if let Some(names) = rendered.names() {
        let mut each = |name: &str, list: &[ImageReference]| {
            for reference in list {
                row(name, &reference.to_string());
            }
        };
        each("reads", &names.reads_images);
        each("reads cache", &names.reads_caches);
        each("writes", &names.writes_images);
        each("writes cache", names.writes_cache.as_slice());
    }
    for lookup in &facts.lookups {
        row("asked", &format!("{}: {}", lookup.reference, seen(&lookup.seen)));
    }
    for warning in &plan.warnings {
        row("warning", &warning.text);
    }
    for notice in plan.notices.iter().chain(&plan.degraded) {
        row("notice", notice);
    }
    for (at, step) in plan.steps.iter().enumerate() {
        row(&format!("step {}", at + 1), &describe(step));
    }
    if plan.steps.is_empty() {
        row("steps", "none");
    }
    text
}

fn seen(seen: &LookupResult) -> String {
    match seen {
        LookupResult::Match { digest, .. } => format!("there, {digest}"),
        LookupResult::OtherKey { digest, key } => {
            format!(
                "there, {digest}, but {}",
                key.as_deref().map_or("without a key".to_owned(), |key| format!("with key {key}"))
            )
        }
        LookupResult::Absent { no_repository: true } => "the repository does not exist".to_owned(),
        LookupResult::Absent { .. } => "not there".to_owned(),
        LookupResult::Unknown(error) => format!("unknown: {}", error.headline()),
    }
}

/// One step in words.
#[must_use]
pub(crate) fn describe(step: &Step) -> String {
    match step {
        Step::Sweep { builders } => {
            let names: Vec<&str> = builders.iter().map(|builder| builder.name.as_str()).collect();
            format!("remove what killed runs left: {}", names.join(", "))
        }
        Step::NoteMaker { volume } => format!("note in the engine that this run builds there: {volume}"),
        Step::CreateBuilder { builder, keep, .. } => {
            let (name, driver) = (&builder.name, builder.driver.name());
            format!("make the {driver} builder {name}{}", if *keep { "" } else { ", removed at the end" })
        }
        Step::Build { spec } => {
            let what = match spec.output {
                OutputTarget::Push => format!("build and push {}", spec.names.join(", ")),
                OutputTarget::Load => format!("build and load {}", spec.names.join(", ")),
                OutputTarget::PushAndLoad => format!("build, push and load {}", spec.names.join(", ")),
                OutputTarget::Discard => "build".to_owned(),
            };
            let caches = |verb: &str, list: &[String]| {
                if list.is_empty() { String::new() } else { format!("; cache {verb} {}", list.join(" ")) }
            };
            let (mut from, mut to) = (spec.cache_from.clone(), spec.cache_to.clone());
            if let Some(local) = &spec.local_caches {
                let entry = |folder: &std::path::PathBuf| format!("type=local {}", folder.display());
                from.extend(local.read.iter().map(entry));
                to.extend(local.write.iter().map(entry));
            }
            format!("{what}{}{}", caches("from", &from), caches("to", &to))
        }
        Step::ReadBack { reference } => format!("read back the digest of {reference}"),
        Step::SetKeyTag { key_tag, replace: true, .. } => format!("set {key_tag} to it"),
        Step::SetKeyTag { key_tag, .. } => format!("set {key_tag} to it, or adopt what is there by then"),
        Step::PutIndex { index, target } => {
            format!("store the index {} of {} as {target}", index.digest, index.platforms())
        }
        Step::Alias { source, target, .. } => format!("set {target} to {source}"),
        Step::Load { spec } => {
            let platforms: Vec<String> = spec.build.platforms.iter().map(ToString::to_string).collect();
            format!("load {} of it as {}", platforms.join(", "), spec.names.join(", "))
        }
        Step::Pull { reference, platform: None } => format!("pull {reference}"),
        Step::Pull { reference, platform: Some(platform) } => format!("pull {reference} for {platform}"),
        Step::Tag { image, name, .. } => format!("name {image} {name}"),
    }
}

/// One step in a few words, for tables.
#[must_use]
pub(crate) fn brief(step: &Step) -> String {
    let tag = |reference: &crate::image::ImageReference| {
        reference.tag().unwrap_or_else(|| reference.identifier()).to_owned()
    };
    match step {
        Step::Sweep { .. } => "remove builders of killed runs".to_owned(),
        Step::NoteMaker { .. } => "note who builds".to_owned(),
        Step::CreateBuilder { .. } => "boot a builder".to_owned(),
        Step::Build { spec } => match spec.output {
            OutputTarget::Push => "build and push".to_owned(),
            OutputTarget::Load => "build and load".to_owned(),
            OutputTarget::PushAndLoad => "build, push and load".to_owned(),
            OutputTarget::Discard => "build".to_owned(),
        },
        Step::ReadBack { .. } => "read back the digest".to_owned(),
        Step::SetKeyTag { .. } => "set the key's tag".to_owned(),
        Step::PutIndex { .. } => "store the index".to_owned(),
        Step::Alias { target, .. } => format!("set the tag {}", tag(target)),
        Step::Load { .. } => "load".to_owned(),
        Step::Pull { .. } => "pull".to_owned(),
        Step::Tag { name, .. } => format!("name it {name}"),
    }
}

/// As JSON.
#[must_use]
pub(crate) fn json(rendered: &Rendered<'_>) -> serde_json::Value {
    let Rendered { run, access, facts, plan, .. } = rendered;
    serde_json::json!({
        "outcome": plan.decision.outcome,
        "reason": plan.decision.reason,
        "changes": plan.decision.changes,
        "run": run,
        "access": access,
        "names": rendered.names(),
        "repository": facts.repository,
        "key": facts.key.as_ref().map(|key| &key.hex),
        "bases": facts.bases,
        "lookups": facts.lookups,
        "warnings": plan.warnings,
        "notices": plan.notices,
        "degraded": plan.degraded,
        "steps": plan.steps,
    })
}
