//! `build-once prune`: which old images, tags and layer caches can go; with `apply` it removes them.

mod buckets;
mod caches;
mod distribution;
mod ecr;
mod manifests;
mod packages;
mod report;
mod stores;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;

use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::facts::resolve_repository;
use crate::failure::{FailureClass, FailureKind};
use crate::image::{Mark, Repository};
use crate::inputs::{CacheKind, CacheSpec, PruneFlags, PruneInputs, PruneRequest};
use crate::pipeline::{Prepared, prepare};
use crate::ports::Writes;
use crate::ports::actions::{self, Annotation, Level};
use crate::ports::clock::{Stopwatch, unix_seconds};
use crate::ports::console::Console;
use crate::ports::exec::{CancelSignal, Stop, cancelled};
use crate::ports::github::{GitHub, Slug};
use crate::ports::proxies::Proxies;
use crate::ports::s3::Bucket;
use crate::ports::temporary::{PrivateFolder, RUN, temporary_folder};
use crate::prune::{Outcome, Policy, Scope, Step, Wanted, apply, line, survey_and_plan};
use crate::secret::SecretString;
use crate::shown;
use crate::trust::cache_home;
use crate::zone::Zone;

use distribution::DistributionStore;
use ecr::EcrStore;
use manifests::Manifests;
use packages::PackageStore;
pub use report::OUTPUTS;
use report::{Cleaned, Report};
use stores::{AnyStore, GitHubProject};

/// Runs the command, from its flags to its exit code. Outputs and summary are written on every path.
pub(crate) async fn run(flags: &PruneFlags, env: &Env, console: &Console, cancel: CancelSignal) -> u8 {
    let watch = Stopwatch::start();
    let mut report = Report::default();
    let signal = cancel.clone();
    // What is stopped in the middle leaves nothing worse than before.
    let done = tokio::select! {
        biased;
        stop = cancelled(&signal) => Err(stopped(stop)),
        done = clean(flags, env, console, cancel, &mut report) => done,
    };
    if let Err(error) = done {
        report.failed.get_or_insert(error);
    }
    report.seconds = watch.seconds();
    publish(&report, flags, env, console)
}

fn stopped(stop: Stop) -> Error {
    let class = if stop == Stop::Interrupt { FailureClass::Interrupted } else { FailureClass::Terminated };
    Error::new(class, "prune was stopped; the log says what it had removed by then")
}

/// Reports a failure before the command could start.
pub(crate) fn fail(error: Error, env: &Env, console: &Console) -> u8 {
    let report = Report { failed: Some(error), ..Report::default() };
    let flags = PruneFlags { json: false, verbose: false, inputs: PruneInputs::default() };
    publish(&report, &flags, env, console)
}

fn publish(report: &Report, flags: &PruneFlags, env: &Env, console: &Console) -> u8 {
    let mut document = report.json();
    shown::hide_in(&mut document);
    let text = if flags.json { format!("{document:#}\n") } else { report.markdown() };
    let in_workflow = env.in_github_actions();
    if flags.json {
        console.result(&actions::inert_json(&text), false);
    } else {
        for line in text.lines() {
            console.line(line);
        }
    }
    let mut code = 0;
    if let Some(error) = &report.failed {
        code = error.class.exit_code();
        if in_workflow {
            console.annotate(&Annotation::new(Level::Error, "build-once prune", error.to_string()));
        } else {
            console.result(&super::lines(&format!("error: {error}\n")), true);
        }
    }
    if flags.inputs.with_summary()
        && let Err(error) = actions::write_summary(env, &report.markdown())
    {
        console.line(&format!("note: the job summary is not written: {error}"));
    }
    let plan = if in_workflow { keep(&document, env) } else { None };
    let plan = plan.map(|path| path.display().to_string()).unwrap_or_default();
    if let Err(error) = actions::write_outputs(env, &report.outputs(&plan)) {
        console.line(&format!("error: the outputs are not written: {error}"));
        code = code.max(error.class.exit_code());
    }
    code
}

/// Writes the plan where later steps of the job can read it.
fn keep(document: &serde_json::Value, env: &Env) -> Option<PathBuf> {
    let folder = PrivateFolder::new(RUN, &temporary_folder(env)).ok()?;
    let path = folder.keep().join("prune.json");
    fs_err::write(&path, format!("{document:#}\n")).ok()?;
    Some(path)
}

async fn clean(
    flags: &PruneFlags,
    env: &Env,
    console: &Console,
    cancel: CancelSignal,
    report: &mut Report,
) -> Result<()> {
    let request = flags.inputs.read()?;
    report.applied = request.apply;
    let prepared = &prepare(&[flags.inputs.access()], env, console, cancel).await?;
    let scope = scope(prepared, &request)?;
    let mark = prepared.run.mark.clone().ok_or_else(|| {
        Error::input("nothing says of which GitHub repository the tags are").hint("set GITHUB_REPOSITORY_ID")
    })?;
    let settings = &prepared.request.settings;
    let token = flags.inputs.github_token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    let token = token.map(|token| SecretString::from(token.to_owned()));
    let github = GitHub::new(env, token, settings.reliability.retries, &Proxies::new(env))?;
    let slug = prepared.run.repository.as_deref().and_then(Slug::parse);
    let default_branch = prepared.run.default_branch.clone();
    let project = GitHubProject { github: &github, slug: slug.clone(), default_branch };
    let parts = Parts { prepared, request: &request, scope, mark, github: &github, project: &project };
    let done = parts.clean_all(slug.as_ref(), report).await;
    console.debug(&format!("{} requests to GitHub", github.requests()));
    done
}

/// What a run may remove.
///
/// # Errors
/// If it may remove nothing, and is to.
fn scope(prepared: &Prepared, request: &PruneRequest) -> Result<Scope> {
    match &prepared.run.zone {
        Zone::Trusted => Ok(Scope::Everything),
        Zone::PullRequest(number) => Ok(Scope::PullRequest(*number)),
        _ if !request.apply => Ok(Scope::Everything),
        zone => {
            let what = format!("a run of the zone {} removes nothing", zone.name());
            Err(Error::new(FailureClass::Access, what)
                .cause(&prepared.run.zone_reason)
                .hint("run prune on a schedule, or on: pull_request with types: [closed], in the repository itself; without apply it shows the plan"))
        }
    }
}

/// What the parts of a run share.
struct Parts<'a> {
    prepared: &'a Prepared,
    request: &'a PruneRequest,
    scope: Scope,
    mark: Mark,
    github: &'a GitHub,
    project: &'a GitHubProject<'a>,
}

impl Parts<'_> {
    async fn clean_all(&self, slug: Option<&Slug>, report: &mut Report) -> Result<()> {
        let mut room = self.request.max_delete;
        if self.request.cache(CacheKind::Registry).is_some() {
            for repository in self.repositories(report).await? {
                let cleaned = Box::pin(self.clean_repository(repository, room)).await?;
                room = room.saturating_sub(cleaned.plan.steps().count());
                let failure = cleaned.applied.as_ref().and_then(|applied| applied.failure()).cloned();
                report.repositories.push(cleaned);
                if let Some(error) = failure {
                    return Err(error);
                }
            }
        }
        self.clean_caches(slug, room, report).await
    }

    /// The repositories to clean. A pull request's run has one of its own where there is one.
    async fn repositories(&self, report: &mut Report) -> Result<Vec<Repository>> {
        let ports = &self.prepared.ports;
        let image = self.prepared.first()?;
        let fact = resolve_repository(&[image.request], &ports.env, &ports.aws).await?;
        let shared = fact.repository().cloned();
        let second = self.prepared.request.settings.pr_repository.clone();
        if shared.is_none() {
            report
                .notices
                .push("there is no repository to clean: name it in the input repository".to_owned());
        }
        Ok(match (self.scope, shared, second) {
            (Scope::PullRequest(_), Some(_), Some(second)) => vec![second],
            (_, shared, second) => shared.into_iter().chain(second).collect(),
        })
    }

    fn policy(&self) -> Policy {
        let PruneRequest { min_age, unused, commits, queue, untagged, keep_caches, keep_keys, .. } =
            self.request;
        Policy {
            mark: self.mark.clone(),
            scope: self.scope,
            min_age: min_age.as_secs(),
            unused: unused.as_secs(),
            commits: commits.as_secs(),
            queue: queue.as_secs(),
            untagged: untagged.map(|age| age.as_secs()),
            keep_caches: *keep_caches,
            keep_keys: *keep_keys,
        }
    }

    async fn clean_repository(&self, repository: Repository, room: usize) -> Result<Cleaned> {
        let manifests = Manifests::new(self.request.manifest_cache.clone());
        let writes = Cell::new(None);
        let store = self.store(&repository, &manifests, &writes).await;
        let policy = self.policy();
        let now = unix_seconds();
        let (found, mut planned) =
            survey_and_plan(&store, self.project, &policy, &Wanted::default(), now).await?;
        planned.limit(&found, room, self.request.max_delete);
        drop(found);
        if planned.is_drastic() && !self.request.force && self.request.apply {
            let (deletions, versions) = (planned.deletions(), planned.versions);
            return Err(Error::of(
                FailureKind::BadInput,
                format!(
                    "{deletions} of the {versions} images of {repository} would be removed: more than half"
                ),
            )
            .cause("nothing was removed")
            .hint("look at the plan without apply; force: true goes on"));
        }
        if !self.request.apply {
            return Ok(Cleaned { repository, plan: planned, applied: None });
        }
        writes.set(Some(granted()));
        // A run that is stopped has told what it removed by then.
        let console = &self.prepared.ports.console;
        let tell = |step: &Step, outcome: &Outcome| console.line(&line(step, outcome));
        let applied = apply(&planned, &store, self.project, &policy, unix_seconds, tell).await;
        drop(store);
        Ok(Cleaned { repository, plan: planned, applied: Some(applied) })
    }

    async fn store<'s>(
        &'s self,
        repository: &'s Repository,
        manifests: &'s Manifests,
        writes: &'s Cell<Option<Writes>>,
    ) -> AnyStore<'s> {
        let ports = &self.prepared.ports;
        if let Some(ecr) = ports.aws.ecr(repository).await {
            return AnyStore::Ecr(EcrStore {
                ecr,
                repository,
                manifests,
                described: RefCell::default(),
                writes,
            });
        }
        let registry = &ports.registry;
        if is_packages(repository.registry(), &ports.env) {
            let package = tokio::sync::OnceCell::new();
            let github = self.github;
            return AnyStore::Packages(PackageStore {
                github,
                registry,
                repository,
                manifests,
                package,
                writes,
            });
        }
        AnyStore::Distribution(DistributionStore {
            registry,
            repository,
            manifests,
            mark: &self.mark,
            writes,
            seen: RefCell::default(),
            lists_referrers: Cell::new(None),
            cannot_untag: Cell::new(false),
            untags_well: Cell::new(false),
        })
    }

    async fn clean_caches(&self, slug: Option<&Slug>, room: usize, report: &mut Report) -> Result<()> {
        let apply = &self.request.apply;
        let has = |kind| self.request.cache(kind).is_some();
        if let Some(slug) = slug.filter(|_| has(CacheKind::Gha)) {
            let mut old = caches::old_entries(self.github, slug, self.project, self.scope).await?;
            if old.len() > room {
                let left = old.len() - room;
                report
                    .notices
                    .push(format!("{left} more cache entries are left to the next run (`max-delete`)"));
                old.truncate(room);
            }
            let mut ended = Ok(());
            if *apply && !old.is_empty() {
                ended = caches::remove_entries(&mut old, self.github, slug, self.project, granted()).await;
            }
            report.caches.extend(old);
            ended?;
        }
        let folder = self.prepared.first()?.request.cache.dir.clone();
        if let Some(folder) = folder.filter(|_| has(CacheKind::Local)) {
            let home = folder.join(cache_home(&self.prepared.run));
            let mut old = caches::old_folders(&folder, &home, self.project, self.scope).await?;
            let mut ended = Ok(());
            if *apply && !old.is_empty() {
                let (project, scope) = (self.project, self.scope);
                ended = caches::remove_folders(&mut old, &folder, &home, project, scope, granted()).await;
            }
            report.caches.extend(old);
            ended?;
        }
        if let Some(cache) = self.request.cache(CacheKind::S3) {
            self.clean_bucket(cache, report).await?;
        }
        Ok(())
    }

    async fn clean_bucket(&self, cache: &CacheSpec, report: &mut Report) -> Result<()> {
        let (aws, settings) = (&self.prepared.ports.aws, &self.prepared.request.settings);
        let bucket = &Bucket::new(aws, cache, settings.reliability.retries).await?;
        let prefix =
            format!("{}{}/", cache.get("prefix").unwrap_or_default(), cache_home(&self.prepared.run));
        let mut old = buckets::old_zones(bucket, &prefix, self.project, self.scope).await?;
        let mut ended = Ok(());
        if self.request.apply && !old.is_empty() {
            let (project, scope) = (self.project, self.scope);
            ended = buckets::remove_zones(&mut old, bucket, &prefix, project, scope, granted()).await;
        }
        report.caches.extend(old);
        ended
    }
}

/// The registries of GitHub Packages: that of github.com, and `containers.HOST` of a server of one's own. A test can
/// name another one, unless the program is a release.
fn is_packages(registry: &str, env: &Env) -> bool {
    let test = env.get(env::BUILD_ONCE_TEST_PACKAGES).filter(|_| cfg!(debug_assertions));
    let server = env.get(env::GITHUB_SERVER_URL).and_then(|url| url.split_once("://")).map(|(_, host)| host);
    registry == "ghcr.io"
        || test == Some(registry)
        || server.is_some_and(|host| host != "github.com" && registry == format!("containers.{host}"))
}

#[expect(clippy::disallowed_methods, reason = "the plan is complete: now it is executed")]
const fn granted() -> Writes {
    Writes::granted()
}
