//! Renders the plan as text for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::actions::{Action, ImagePlan, Plan, Planned, SetUpChange, Source};
use super::order::TagGuard;
use super::table::table;
use crate::buildkit::{BuildSpec, OutputTarget};
use crate::ecr::{NewRepository, RowState, SettingRow};
use crate::facts::{ImageFacts, Line, LookupResult, RepositoryFact};
use crate::image::ImageReference;
use crate::key::BuildKey;
use crate::run::RunContext;
use crate::shown::{self, bytes};
use crate::trust::{AllNames, ImageRun};

/// A plan with the facts that it rests on.
pub(crate) struct Rendered<'a> {
    pub run: &'a RunContext,
    /// Each image with its facts, if they could be read.
    pub images: Vec<(ImageRun<'a>, Option<&'a ImageFacts>)>,
    pub plan: &'a Plan,
}

/// Every name that the run may read or write for the image; `None` without a repository.
fn all_names(image: ImageRun<'_>, facts: &ImageFacts) -> Option<AllNames> {
    let home = facts.repository.repository()?;
    Some(image.names(home).all(facts.key.as_ref().map(BuildKey::short)))
}

/// The plan as text.
#[must_use]
pub(crate) fn text(rendered: &Rendered<'_>) -> String {
    let mut rows = Rows::default();
    let Rendered { run, images, plan } = rendered;
    if images.len() > 1 {
        rows.0 = table(images.iter().map(|(image, _)| *image).zip(&plan.images)) + "\n";
    }
    let common = common_notices(images.iter().map(|(image, _)| *image).zip(&plan.images));
    for (notice, names) in &common {
        rows.add("notice", &format!("{}: {notice}", names.join(", ")));
    }
    for ((image, facts), planned) in images.iter().zip(&plan.images).filter(|(_, planned)| planned.needed) {
        if images.len() > 1 {
            rows.add("image", image.request.image.as_str());
        }
        add_image(&mut rows, run, *image, *facts, planned);
        for notice in notices(planned).filter(|notice| !common.contains_key(notice)) {
            rows.add("notice", notice);
        }
    }
    for of in &plan.set_up {
        let made = if of.makes { " (is made)" } else { "" };
        rows.add("set-up", &format!("{}{made}", of.repository));
        for row in &of.settings {
            let SettingRow { setting, want, have, state } = row;
            let state = if *state == RowState::Changes { "to be set" } else { state.words() };
            rows.add("", &format!("{setting}: wanted {want}, is {have}: {state}"));
        }
    }
    for Planned { id, image, action, .. } in &plan.actions {
        let of = image.filter(|_| images.len() > 1).and_then(|image| images.get(image));
        let of = of.map(|(image, _)| format!("{}: ", image.request.image)).unwrap_or_default();
        rows.add(&format!("step {id}"), &format!("{of}{}", describe(action)));
    }
    if plan.actions.is_empty() {
        rows.add("steps", "none");
    }
    rows.0
}

#[derive(Default)]
struct Rows(String);

impl Rows {
    fn add(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{name:<12} {value}");
    }
}

fn add_image(
    rows: &mut Rows,
    run: &RunContext,
    image: ImageRun<'_>,
    facts: Option<&ImageFacts>,
    plan: &ImagePlan,
) {
    rows.add("outcome", plan.decision.outcome.name());
    rows.add("reason", &plan.decision.reason);
    for change in crate::facts::explain::list_for_log(&plan.decision.changes) {
        rows.add("changed", &change);
    }
    rows.add("zone", &format!("{} ({})", run.zone.name(), run.zone_reason));
    let may = [
        (image.access.write_images, "own images"),
        (image.access.write_tags, "tags"),
        (image.access.write_cache, "own layer cache"),
    ];
    let may: Vec<_> = may.iter().filter(|(may, _)| *may).map(|(_, what)| *what).collect();
    rows.add("may write", &if may.is_empty() { "nothing".to_owned() } else { may.join(", ") });
    if let Some(facts) = facts {
        add_facts(rows, image, facts);
    }
    for job in &plan.jobs {
        rows.add("job", &format!("{} on {}", job.platform, job.runs_on));
    }
    for skipped in &plan.skipped_tags {
        rows.add("skipped", &format!("the tag {}: {}", skipped.tag, skipped.why));
    }
    for warning in &plan.warnings {
        rows.add("warning", &warning.text);
    }
}

fn notices(plan: &ImagePlan) -> impl Iterator<Item = &String> {
    plan.notices.iter().chain(&plan.degraded)
}

/// Notices that more than one image has, with the names of these images.
fn common_notices<'a>(
    images: impl Iterator<Item = (ImageRun<'a>, &'a ImagePlan)>,
) -> BTreeMap<&'a String, Vec<&'a str>> {
    let mut all = BTreeMap::<&String, Vec<&str>>::new();
    for (image, planned) in images.filter(|(_, planned)| planned.needed) {
        for notice in notices(planned) {
            all.entry(notice).or_default().push(image.request.image.as_str());
        }
    }
    all.retain(|_, names| names.len() > 1);
    all
}

fn add_facts(rows: &mut Rows, image: ImageRun<'_>, facts: &ImageFacts) {
    match &*facts.repository {
        RepositoryFact::Found { repository, source } => {
            rows.add("repository", &format!("{repository} (from {source})"));
        }
        RepositoryFact::None(_) => rows.add("repository", "none"),
    }
    if let Some(key) = &facts.key {
        rows.add("key", &key.hex);
    }
    if let Some(names) = all_names(image, facts) {
        let mut each = |name: &str, list: &[ImageReference]| {
            for reference in list {
                rows.add(name, &reference.to_string());
            }
        };
        each("reads", &names.reads_images);
        each("reads cache", &names.reads_caches);
        each("writes", &names.writes_images);
        each("writes cache", names.writes_cache.as_slice());
    }
    for left_out in &image.request.left_out_tags {
        rows.add("left out", &format!("the tag {}: {}", left_out.tag, left_out.why));
    }
    for lookup in &facts.lookups {
        rows.add("asked", &format!("{}: {}", lookup.reference, answer(&lookup.seen)));
    }
}

/// What the registry answered, in words.
fn answer(seen: &LookupResult) -> String {
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

/// The image's reference or name; its digest may not be known yet.
fn name<T: fmt::Display>(source: &Source<T>) -> String {
    match source {
        Source::Known(image) => image.to_string(),
        Source::BuiltBy { name, .. } => name.to_string(),
    }
}

/// An action in words.
#[must_use]
pub(crate) fn describe(action: &Action) -> String {
    match action {
        Action::CreateRepository { repository, settings } => {
            let NewRepository { mutability, encryption, .. } = &**settings;
            format!("make the repository {repository}, {mutability}, encrypted by {encryption}")
        }
        Action::SetUp { repository, change, .. } => match change {
            SetUpChange::ScanOnPush { scan } => format!("set scan-on-push of {repository} to {scan}"),
            SetUpChange::Mutability { mutability } => {
                format!("set the tag mutability of {repository} to {mutability}")
            }
            SetUpChange::Lifecycle { made_by: None, .. } => {
                format!("preview the lifecycle policy of {repository}, then write it")
            }
            SetUpChange::Lifecycle { .. } => format!("write the lifecycle policy of {repository}"),
        },
        Action::RemoveImages { images } => {
            let size = bytes(images.iter().map(|image| image.bytes).sum());
            let days = images.iter().map(|image| image.days).min().unwrap_or_default();
            let count = images.len();
            let images = if count == 1 { "1 image".to_owned() } else { format!("{count} images") };
            format!("remove {images} of this repository, built or pulled {days} or more days ago ({size})")
        }
        Action::RemoveBuilders { builders } => {
            let names = shown::list(builders.iter().map(|builder| &builder.name));
            format!("remove what killed runs left: {names}")
        }
        Action::NoteMaker { volume } => format!("note in the engine that this run builds there: {volume}"),
        Action::CreateBuilder { builder, keep, .. } => {
            let (name, driver) = (&builder.name, builder.driver.name());
            format!("make the {driver} builder {name}{}", if *keep { "" } else { ", removed at the end" })
        }
        Action::Build { spec, .. } => describe_build(spec),
        Action::ReadBack { reference, .. } => format!("read back the digest of {reference}"),
        Action::SetKeyTag { key_tag, guard: TagGuard::Any, .. } => format!("set {key_tag} to it"),
        Action::SetKeyTag { key_tag, .. } => format!("set {key_tag} to it, or adopt what is there by then"),
        Action::TagPlatforms { platforms, .. } => {
            let tags = platforms.iter().map(|own| format!("{} to {}", own.key_tag, own.platform));
            format!("set the key tag of each platform: {}", shown::list(tags))
        }
        Action::PutIndex { index, target, .. } => {
            let other = index.parts.iter().find(|part| part.repository() != target.repository());
            let first = other.map(|part| format!("copy what is in {} alone, then ", part.repository()));
            let first = first.unwrap_or_default();
            format!("{first}store the index {} of {} as {target}", index.digest, index.platforms())
        }
        Action::JoinIndex { joined, target } => {
            let there = joined.there.iter().flat_map(|part| &part.lines).filter_map(Line::image);
            let there = shown::list(there.map(|(platform, _)| platform));
            let built = shown::list(joined.built.iter().map(|own| &own.platform));
            format!("store the index of {built}, just built, and {there} as {target}")
        }
        Action::Alias { source, target, guard: TagGuard::UnlessNewer { .. }, .. } => {
            format!("set {target} to {}, unless it names something newer", name(source))
        }
        Action::Alias { source, target, .. } => format!("set {target} to {}", name(source)),
        Action::Load { spec } => {
            format!("load {} of it as {}", shown::list(&spec.build.platforms), spec.names.join(", "))
        }
        Action::Pull { source, platform: None } => format!("pull {}", name(source)),
        Action::Pull { source, platform: Some(platform) } => {
            format!("pull {} for {platform}", name(source))
        }
        Action::Tag { source, name: local, .. } => format!("name {} {local}", name(source)),
    }
}

fn describe_build(spec: &BuildSpec) -> String {
    let is_kept = spec.output != OutputTarget::Discard;
    let names = if is_kept { format!(" {}", spec.names.join(", ")) } else { String::new() };
    let caches = |verb: &str, list: &[String]| {
        if list.is_empty() { String::new() } else { format!("; cache {verb} {}", list.join(" ")) }
    };
    let (mut from, mut to) = (spec.cache_from.clone(), spec.cache_to.clone());
    if let Some(local) = &spec.local_caches {
        let entry = |folder: &std::path::PathBuf| format!("type=local {}", folder.display());
        from.extend(local.read.iter().map(entry));
        to.extend(local.write.iter().map(entry));
    }
    format!("{}{names}{}{}", verb(spec.output), caches("from", &from), caches("to", &to))
}

/// What a build does.
const fn verb(output: OutputTarget) -> &'static str {
    match output {
        OutputTarget::Push => "build and push",
        OutputTarget::Load => "build and load",
        OutputTarget::PushAndLoad => "build, push and load",
        OutputTarget::Discard => "build",
    }
}

/// An action in a few words, for tables.
#[must_use]
pub(crate) fn brief(action: &Action) -> String {
    let tag = |reference: &crate::image::ImageReference| {
        reference.tag().unwrap_or_else(|| reference.identifier()).to_owned()
    };
    match action {
        Action::CreateRepository { .. } => "make the repository".to_owned(),
        Action::SetUp { change: SetUpChange::ScanOnPush { .. }, .. } => "set scan-on-push".to_owned(),
        Action::SetUp { change: SetUpChange::Mutability { .. }, .. } => "set the tag mutability".to_owned(),
        Action::SetUp { change: SetUpChange::Lifecycle { .. }, .. } => {
            "write the lifecycle policy".to_owned()
        }
        Action::RemoveBuilders { .. } => "remove builders of killed runs".to_owned(),
        Action::RemoveImages { .. } => "remove old images".to_owned(),
        Action::NoteMaker { .. } => "note who builds".to_owned(),
        Action::CreateBuilder { .. } => "boot a builder".to_owned(),
        Action::Build { spec, .. } => verb(spec.output).to_owned(),
        Action::ReadBack { .. } => "read back the digest".to_owned(),
        Action::SetKeyTag { .. } => "set the key's tag".to_owned(),
        Action::TagPlatforms { .. } => "set the platforms' key tags".to_owned(),
        Action::PutIndex { .. } | Action::JoinIndex { .. } => "store the index".to_owned(),
        Action::Alias { target, .. } => format!("set the tag {}", tag(target)),
        Action::Load { .. } => "load".to_owned(),
        Action::Pull { .. } => "pull".to_owned(),
        Action::Tag { name, .. } => format!("name it {name}"),
    }
}

/// The plan as JSON.
#[must_use]
pub(crate) fn json(rendered: &Rendered<'_>) -> serde_json::Value {
    let Rendered { run, images, plan } = rendered;
    let of_image = |((image, facts), planned): (&(ImageRun<'_>, Option<&ImageFacts>), &ImagePlan)| {
        let mut value = serde_json::json!({
            "image": image.request.image,
            "access": image.access,
            "names": facts.and_then(|facts| all_names(*image, facts)),
            "repository": facts.map(|facts| &*facts.repository),
            "key": facts.and_then(|facts| facts.key.as_ref()).map(|key| &key.hex),
            "bases": facts.map(|facts| &facts.bases),
            "lookups": facts.map(|facts| &facts.lookups),
        });
        if let (Some(fields), Ok(serde_json::Value::Object(own))) =
            (value.as_object_mut(), serde_json::to_value(planned))
        {
            fields.extend(own);
        }
        if !image.request.asked {
            value["asked"] = false.into();
        }
        if !image.request.links.is_empty() {
            let links = image.request.links.iter().map(|link| &link.image);
            value["built-on"] = links.map(ToString::to_string).collect();
        }
        value
    };
    let mut all = serde_json::json!({
        "run": run,
        "images": images.iter().zip(&plan.images).map(of_image).collect::<Vec<_>>(),
        "steps": plan.actions,
    });
    if !plan.set_up.is_empty() {
        all["set-up"] = serde_json::json!(plan.set_up);
    }
    all
}
