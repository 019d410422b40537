//! Plans the set-up of repositories in ECR: makes one that is absent, changes what an input asks to change, and compares
//! the rest.

use super::actions::{Action, ActionId, Draft, ImagePlan, SetUpChange};
use super::context::PlanContext;
use super::repositories::{LIFECYCLE, RepositorySetUp, drift_notice, foreign_policy};
use crate::ecr::{
    Answer, Described, EcrInputs, Existing, LifecyclePolicy, Mutability, NewRepository, RowState, Ruled,
    SettingRow, TooManyMovingTags,
};
use crate::error::Error;
use crate::facts::{EcrFacts, ImageFacts, LookupResult, is_private};
use crate::failure::FailureKind;
use crate::image::{ImageReference, Repository};
use crate::inputs::{Mode, RegistryPolicy};
use crate::shown;
use crate::trust::ImageRun;

/// The AWS tag of a repository that this program makes; its value is the GitHub repository.
const MADE_BY: &str = "build-once";

/// The set-up of all repositories of a run.
#[derive(Default)]
pub(super) struct SetUpPlan {
    /// In the order repository, pr-repository.
    pub repositories: Vec<RepositorySetUp>,
    /// The actions that make repositories.
    made: Vec<(Repository, ActionId)>,
    notices: Vec<String>,
    degraded: Vec<String>,
    /// Why the set-up is refused.
    pub error: Option<Error>,
}

/// Tells whether the run, or the build that it plans, makes this repository if it does not exist.
#[must_use]
pub(super) fn makes(image: ImageRun<'_>, repository: &Repository) -> bool {
    let settings = &image.request.settings;
    // `mode: plan` plans for a job that builds, which makes it.
    let may_make = matches!(settings.mode, Mode::Build | Mode::Plan) && image.access.set_up;
    may_make && settings.ecr.create && is_private(repository)
}

/// How a repository should be set up.
struct Wanted<'a> {
    inputs: &'a EcrInputs,
    /// Which tags may be moved.
    mutability: Mutability,
    /// True if a change that ECR refuses fails the run.
    required: bool,
}

impl SetUpPlan {
    /// Adds the actions of the set-up. `images`: those whose facts could be read.
    pub(super) fn new(images: &[&PlanContext<'_>], draft: &mut Draft) -> Self {
        let mut plan = Self::default();
        let Some(first) = images.first() else { return plan };
        let settings = &first.image.request.settings;
        plan.notices.extend(not_set_up(first));
        if !first.image.sets_up() {
            return plan;
        }
        let required = settings.reliability.policy == RegistryPolicy::Required;
        let shared = first.facts.repository.repository();
        for facts in first.facts.set_up.repositories.iter().filter(|facts| is_private(&facts.repository)) {
            // Runs of less trust set tags of their own in pr-repository, which this run does not know.
            let immutable = settings.ecr.immutable_tags && shared == Some(&facts.repository);
            let inputs = EcrInputs { immutable_tags: immutable, ..settings.ecr.clone() };
            let tags: Vec<ImageReference> =
                images.iter().flat_map(|image| image.image.names(&facts.repository).asked_tags()).collect();
            let tags = tags.iter().filter(|tag| tag.repository().is(&facts.repository));
            let tags = tags.filter_map(ImageReference::tag);
            let commit = first.image.run.commit.as_ref().map(|commit| commit.head.as_str());
            let mutability = match inputs.mutability(tags, (commit, first.image.run.run_id.as_deref())) {
                Ok(mutability) => mutability,
                Err(error) => {
                    plan.error.get_or_insert_with(|| too_many(&error));
                    continue;
                }
            };
            let wanted = Wanted { inputs: &inputs, mutability, required };
            if is_absent(facts, images) {
                plan.make(first, facts, wanted, draft);
            } else {
                plan.compare(facts, &wanted, draft);
            }
        }
        if let (true, Some(why)) = (required, plan.degraded.first()) {
            let error = Error::of(FailureKind::NotSetUp, why.clone());
            plan.error.get_or_insert(
                error.hint("registry-policy: required makes this a failure; auto goes on without"),
            );
        }
        plan
    }

    /// The action that makes the repository, if one does.
    pub(super) fn made(&self, repository: &Repository) -> Option<ActionId> {
        self.made.iter().find(|(made, _)| made.is(repository)).map(|(_, action)| *action)
    }

    /// Adds what is said of the set-up to the first image's plan.
    pub(super) fn say(&mut self, plan: &mut ImagePlan) {
        plan.notices.append(&mut self.notices);
        plan.degraded = shown::clauses(plan.degraded.take().into_iter().chain(self.degraded.drain(..)));
    }

    fn make(&mut self, given: &PlanContext<'_>, facts: &EcrFacts, wanted: Wanted<'_>, draft: &mut Draft) {
        let Wanted { inputs, mutability, required } = wanted;
        let repository = &facts.repository;
        if !inputs.create {
            let why = format!(
                "{repository} does not exist, so nothing is set up there; create-repository: true makes it"
            );
            self.degraded.push(why);
            return;
        }
        let row = |setting, want: String| SettingRow {
            setting,
            want,
            have: "none yet".to_owned(),
            state: RowState::Changes,
        };
        let encryption = inputs.encryption();
        let mut rows =
            vec![row("encryption", encryption.to_string()), row("tag mutability", mutability.to_string())];
        let scan = inputs.scan_on_push.map(|scan| (scan, self.ruled(facts)));
        let flag = match &scan {
            Some((scan, Ruled::ByRepository)) => {
                rows.push(row("scan on push", format!("{scan}, by the repository's own flag")));
                Some(*scan)
            }
            Some((scan, Ruled::ByRegistry { scans, rule })) => {
                rows.push(by_registry(*scan, *scans, rule));
                None
            }
            None => None,
        };
        let owner = given.image.run.repository.clone().unwrap_or_else(|| "true".to_owned());
        let tags = vec![(MADE_BY.to_owned(), owner)];
        let settings = NewRepository { mutability, scan_on_push: flag, encryption, tags };
        let action =
            Action::CreateRepository { repository: repository.clone(), settings: Box::new(settings) };
        let made = draft.add([], action);
        self.made.push((repository.clone(), made));
        if let Some(policy) = &inputs.lifecycle {
            rows.push(row(LIFECYCLE, describe_policy(policy)));
            let change = SetUpChange::Lifecycle { policy: policy.clone(), made_by: Some(made) };
            draft.add([made], Action::SetUp { repository: repository.clone(), change, required });
        }
        self.add(repository, true, rows);
    }

    /// Notes the rows of a repository, and what differs and stays so.
    fn add(&mut self, repository: &Repository, makes: bool, settings: Vec<SettingRow>) {
        self.notices.extend(drift_notice(repository, &settings));
        if makes || !settings.is_empty() {
            self.repositories.push(RepositorySetUp { repository: repository.clone(), makes, settings });
        }
    }

    fn compare(&mut self, facts: &EcrFacts, wanted: &Wanted<'_>, draft: &mut Draft) {
        let repository = &facts.repository;
        let mut change = |change| {
            let required = wanted.required;
            draft.add([], Action::SetUp { repository: repository.clone(), change, required });
        };
        let mut rows = Vec::new();
        match &facts.described {
            Some(Answer::Found(have)) => {
                rows.extend(encryption_row(wanted.inputs, have));
                if wanted.inputs.immutable_tags {
                    rows.push(mutability_row(&wanted.mutability, &have.mutability, &mut change));
                }
                if let Some(scan) = wanted.inputs.scan_on_push {
                    let ruled = self.ruled(facts);
                    rows.push(scan_row(scan, have.scan_on_push, &ruled, &mut change));
                }
            }
            Some(Answer::Unknown(error)) => {
                self.degraded
                    .push(format!("{repository} is not compared with the inputs: {}", error.advice()));
            }
            Some(Answer::NoRepository) | None => {}
        }
        if let (Some(policy), Some(have)) = (&wanted.inputs.lifecycle, &facts.lifecycle) {
            match have {
                Answer::Found(text) => {
                    let existing = text.as_ref().map(|text| policy.compare(text));
                    if existing == Some(Existing::Foreign) {
                        self.degraded.push(foreign_policy(repository).advice());
                    }
                    rows.push(lifecycle_row(policy, existing, &mut change));
                }
                Answer::Unknown(error) => {
                    let why =
                        format!("the lifecycle policy of {repository} is not written: {}", error.advice());
                    self.degraded.push(why);
                }
                Answer::NoRepository => {}
            }
        }
        self.add(repository, false, rows);
    }

    /// The setting that decides about scanning. If it is not known, the repository's flag is what can be set.
    fn ruled(&mut self, facts: &EcrFacts) -> Ruled {
        match &facts.scanning {
            Some(Answer::Found(scanning)) => scanning.judge(facts.repository.path()),
            Some(Answer::Unknown(error)) => {
                let why = format!(
                    "it is not known whether the registry's scanning rules or the repository's own flag decide for {}: {}",
                    facts.repository,
                    error.advice()
                );
                if !self.notices.contains(&why) {
                    self.notices.push(why);
                }
                Ruled::ByRepository
            }
            Some(Answer::NoRepository) | None => Ruled::ByRepository,
        }
    }
}

/// Tells whether the repository does not exist, by what ECR or the look-ups say.
fn is_absent(facts: &EcrFacts, images: &[&PlanContext<'_>]) -> bool {
    let missing = |facts: &EcrFacts, image: &ImageFacts| {
        image.lookups.iter().any(|lookup| {
            lookup.seen == LookupResult::Absent { no_repository: true }
                && lookup.reference.repository().is(&facts.repository)
        })
    };
    matches!(facts.described, Some(Answer::NoRepository))
        || matches!(facts.lifecycle, Some(Answer::NoRepository))
        || images.iter().any(|image| missing(facts, image.facts))
}

/// Why the run sets nothing up, though the inputs ask for it.
fn not_set_up(given: &PlanContext<'_>) -> Option<String> {
    let ImageRun { request, run, access } = given.image;
    let settings = &request.settings;
    let asked = settings.ecr.asked();
    let shared = given.facts.repository.repository();
    if asked.is_empty() {
        return None;
    }
    let names = asked.join(", ");
    let repositories = shared.into_iter().chain(&settings.pr_repository);
    let elsewhere = shown::list(repositories.filter(|repository| !is_private(repository)));
    let why = if settings.mode != Mode::Build {
        "the job that builds does that".to_owned()
    } else if shared.is_none() {
        "there is no repository".to_owned()
    } else if !access.set_up {
        if access.write_images {
            format!("only trusted runs set repositories up, and this is {}", run.zone_reason)
        } else {
            "this run may not publish".to_owned()
        }
    } else if elsewhere.is_empty() {
        return None;
    } else {
        format!(
            "{elsewhere} is not in private Amazon ECR; ECR Public needs a repository made by hand, most other registries make it with the first push"
        )
    };
    Some(format!("not done: {names}; {why}"))
}

fn too_many(error: &TooManyMovingTags) -> Error {
    Error::input("immutable-tags: more tags move than ECR can exclude")
        .because(error)
        .hint("publish fewer tags that move, or leave immutable-tags out")
}

fn encryption_row(inputs: &EcrInputs, have: &Described) -> Option<SettingRow> {
    inputs.kms_key.as_ref()?;
    let wanted = inputs.encryption();
    // Decided when a repository is made.
    let state = if wanted.is_given_by(&have.encryption) { RowState::AsAsked } else { RowState::Differs };
    let (want, have) = (wanted.to_string(), have.encryption.to_string());
    Some(SettingRow { setting: "encryption", want, have, state })
}

fn mutability_row(
    wanted: &Mutability,
    have: &Mutability,
    change: &mut impl FnMut(SetUpChange),
) -> SettingRow {
    let (want, state) = match have.changed_to(wanted) {
        Ok(None) => (wanted.clone(), RowState::AsAsked),
        Ok(Some(new)) => {
            change(SetUpChange::Mutability { mutability: new.clone() });
            (new, RowState::Changes)
        }
        Err(TooManyMovingTags { .. }) => (wanted.clone(), RowState::Differs),
    };
    SettingRow { setting: "tag mutability", want: want.to_string(), have: have.to_string(), state }
}

fn by_registry(scan: bool, scans: bool, rule: &str) -> SettingRow {
    let state = if scan == scans { RowState::AsAsked } else { RowState::Differs };
    SettingRow { setting: "scan on push", want: scan.to_string(), have: format!("{scans}, by {rule}"), state }
}

fn scan_row(scan: bool, flag: bool, ruled: &Ruled, change: &mut impl FnMut(SetUpChange)) -> SettingRow {
    match ruled {
        Ruled::ByRegistry { scans, rule } => by_registry(scan, *scans, rule),
        Ruled::ByRepository => {
            let state = if scan == flag {
                RowState::AsAsked
            } else {
                change(SetUpChange::ScanOnPush { scan });
                RowState::Changes
            };
            let have = format!("{flag}, by the repository's own flag");
            SettingRow { setting: "scan on push", want: scan.to_string(), have, state }
        }
    }
}

fn lifecycle_row(
    policy: &LifecyclePolicy,
    existing: Option<Existing>,
    change: &mut impl FnMut(SetUpChange),
) -> SettingRow {
    let (have, state) = match existing {
        Some(Existing::Same) => ("the same", RowState::AsAsked),
        Some(Existing::Own) => ("other rules of build-once", RowState::Changes),
        Some(Existing::Foreign) => ("rules of another author", RowState::Differs),
        None => ("none", RowState::Changes),
    };
    if state == RowState::Changes {
        change(SetUpChange::Lifecycle { policy: policy.clone(), made_by: None });
    }
    SettingRow { setting: LIFECYCLE, want: describe_policy(policy), have: have.to_owned(), state }
}

fn describe_policy(policy: &LifecyclePolicy) -> String {
    match policy.len() {
        1 => "1 rule".to_owned(),
        rules => format!("{rules} rules"),
    }
}
