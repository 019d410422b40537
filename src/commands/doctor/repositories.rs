//! The shared repositories: where they are named, whether they answer, how ECR has them set up, what the role may do.

use futures_util::future::join_all;

use super::gather::Doctor;
use crate::doctor::ecr::Ecr;
use crate::doctor::oidc::{Oidc, Token};
use crate::doctor::repository::{Seen, Upload};
use crate::doctor::{Check, Known, aws, caches, ecr, oidc, repository, rights, takers};
use crate::env;
use crate::error::{Error, Result};
use crate::facts::resolve_repository;
use crate::failure::FailureKind;
use crate::image::{EcrHost, ImageReference, Repository};
use crate::inputs::CacheKind;
use crate::ports::Writes;
use crate::ports::ecr_set_up::EcrSetUp;
use crate::ports::identity::{Caller, Decision};
use crate::ports::oidc as tokens;
use crate::ports::reach::Reached;
use crate::ports::registry::{Probe, Resolve};

/// No run sets this tag.
const UNUSED_TAG: &str = "build-once-doctor";

/// The region in which AWS is asked if neither an input nor a repository names one. STS and IAM answer the same in every
/// region of a partition.
const DEFAULT_REGION: &str = "us-east-1";

#[derive(Default)]
pub(super) struct Shared {
    pub(super) checks: Vec<Check>,
    /// The registry of the repository that all zones read.
    pub(super) home: Option<String>,
    /// What registries answered, for the check of this machine's clock.
    pub(super) answers: Vec<Reached>,
}

/// What AWS says of the job.
struct Job {
    caller: Known<Caller>,
    decisions: Known<Vec<Decision>>,
}

impl Doctor<'_> {
    pub(super) async fn repositories(&self) -> Shared {
        let (ports, request) = (self.ports, self.image.request);
        let what = "failed to find the repository";
        let found = self.within(what, resolve_repository(&[request], &ports.env, &ports.aws)).await;
        let mut checks = vec![repository::source(&found)];
        let home = found.ok().and_then(|fact| fact.repository().cloned());
        let Some(home) = home else {
            checks.extend(self.identity(None, None).await);
            return Shared { checks, ..Shared::default() };
        };
        let other = request.settings.pr_repository.as_ref();
        let all: Vec<&Repository> = std::iter::once(&home).chain(other).collect();
        let host = EcrHost::parse(home.registry()).filter(|host| !host.public);
        let (seen, pinged, job, set_ups, caches, tags) = tokio::join!(
            Box::pin(join_all(all.iter().map(|repository| self.look(repository)))),
            Box::pin(self.within("failed to reach the registry", ports.registry.ping(home.registry()))),
            Box::pin(self.job(&all, host.as_ref())),
            Box::pin(join_all(all.iter().map(|repository| self.set_up(repository)))),
            Box::pin(self.registry_caches(&home)),
            Box::pin(self.tags(&home)),
        );
        let run = self.image.run;
        for seen in &seen {
            checks.extend(repository::checks(seen, self.image.access, &run.zone));
        }
        if let Some(Job { caller, decisions }) = job {
            let reads = matches!(seen[0].probe, Probe::Present(_) | Probe::Absent { no_repository: false });
            checks.push(aws::caller(&caller, &home));
            let shown = rights::Shown { reads, has_tags: !tags.is_empty() };
            checks.extend(rights::checks(&decisions, shown, &all, self.image.access));
            let (taken, identity) = tokio::join!(
                Box::pin(self.takers(
                    caller.as_ref().ok(),
                    rights::publishes(&decisions, &home),
                    host.as_ref()
                )),
                Box::pin(self.identity(Some(caller.clone()), host.as_ref())),
            );
            checks.extend(identity.into_iter().chain(taken));
        } else if self.asked.role.is_some() {
            let (taken, identity) =
                tokio::join!(Box::pin(self.takers(None, None, None)), Box::pin(self.identity(None, None)));
            checks.extend(identity.into_iter().chain(taken));
        }
        let set_ups: Vec<Ecr> = set_ups.into_iter().flatten().collect();
        for set_up in &set_ups {
            checks.extend(ecr::checks(set_up));
        }
        if let [home, other] = &set_ups[..] {
            checks.extend(ecr::between(home, other));
        }
        checks.extend(caches);
        checks.extend(repository::tags(&tags, self.image.access));
        Shared { checks, home: Some(home.registry().to_owned()), answers: pinged.into_iter().collect() }
    }

    /// Asks the registry for a tag that is not there, and begins an upload if that is asked for.
    async fn look(&self, repository: &Repository) -> Seen {
        let registry = &self.ports.registry;
        let what = format!("failed to ask {}", repository.registry());
        let probe = self.ready(&what, registry.probe(&repository.tagged(UNUSED_TAG))).await;
        let probe = probe.unwrap_or_else(Probe::Unknown);
        let upload = if self.asked.upload_probe {
            #[expect(clippy::disallowed_methods, reason = "the input upload-probe asks for this one write")]
            let writes = Writes::granted();
            Some(match self.ready(&what, registry.may_push(repository, writes)).await {
                Ok(Some(true)) => Upload::Taken,
                Ok(Some(false)) => Upload::Refused,
                Ok(None) | Err(_) => Upload::Unclear,
            })
        } else {
            None
        };
        Seen { repository: repository.clone(), probe, upload }
    }

    /// Who the job is to AWS and what it may do; `None` if the repository is not ECR's.
    async fn job(&self, all: &[&Repository], host: Option<&EcrHost>) -> Option<Job> {
        let host = host?;
        let aws = &self.ports.aws;
        let caller = self.within("failed to ask AWS whose credentials these are", aws.caller(host)).await;
        let decisions = match &caller {
            Ok(caller) => self.simulate(caller, all, host).await,
            Err(error) => Err(error.clone()),
        };
        Some(Job { caller, decisions })
    }

    async fn simulate(&self, caller: &Caller, all: &[&Repository], host: &EcrHost) -> Known<Vec<Decision>> {
        let what = "failed to ask IAM what the role may do";
        let principal = caller.principal().ok_or_else(|| {
            let error = Error::of(FailureKind::AwsUnavailable, what);
            error.cause(format!("{} is neither a role nor a user", caller.arn))
        })?;
        let endpoint = self.iam();
        let questions = rights::questions(all);
        let asked = questions
            .iter()
            .map(|question| self.within(what, self.ports.aws.simulate(&principal, question, host, endpoint)));
        let answers: Vec<Vec<Decision>> = join_all(asked).await.into_iter().collect::<Result<_>>()?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Who may take the role of the input `role-to-assume`, else the one that the job has taken. `publishes`: what the
    /// job's own role may do.
    async fn takers(
        &self,
        caller: Option<&Caller>,
        publishes: Option<bool>,
        host: Option<&EcrHost>,
    ) -> Option<Check> {
        let taken = caller.filter(|caller| caller.arn.contains(":assumed-role/")).and_then(Caller::principal);
        let role = self.asked.role.clone().or_else(|| taken.clone())?;
        let name = |arn: &str| arn.rsplit('/').next().map(str::to_owned);
        let publishes = publishes.filter(|_| taken.is_some_and(|taken| name(&taken) == name(&role)));
        let policy = self.ports.aws.trust_policy(&role, self.region(host), self.iam());
        let policy = self.within("failed to read who may take the role", policy).await;
        Some(takers::check(&role, &policy, publishes))
    }

    /// The region in which STS and IAM are asked. `host`: ECR's, which is in the partition of the job.
    fn region<'a>(&'a self, host: Option<&'a EcrHost>) -> &'a str {
        let asked = self.image.request.settings.access.aws_region.as_deref();
        asked.or_else(|| host.map(|host| host.region.as_str())).unwrap_or(DEFAULT_REGION)
    }

    /// An endpoint in place of IAM's own.
    fn iam(&self) -> Option<&str> {
        let env = &self.ports.env;
        env.get(env::AWS_ENDPOINT_URL_IAM).or_else(|| env.get(env::AWS_ENDPOINT_URL))
    }

    /// The OIDC token and what AWS says to it. Outside of GitHub there is none.
    async fn identity(&self, caller: Option<Known<Caller>>, host: Option<&EcrHost>) -> Vec<Check> {
        let env = &self.ports.env;
        let is_asked = caller.is_some() || self.asked.role.is_some();
        if !env.in_github_actions() || !is_asked {
            return Vec::new();
        }
        let (proxies, console) = (self.proxies.clone(), &self.ports.console);
        let audience = &self.asked.audience;
        let what = "failed to get an OIDC token from GitHub";
        let found = if tokens::is_offered(env) {
            Some(self.within(what, tokens::token(env, audience, proxies, console)).await)
        } else {
            None
        };
        let trust = match (&self.asked.role, &found) {
            (Some(role), Some(Ok((token, _)))) => {
                let answer = self.ports.aws.may_take(role, token, self.region(host));
                Some((role.clone(), self.within("failed to take the role", answer).await))
            }
            (Some(role), _) => Some((role.clone(), Err(Error::of(FailureKind::AuthMissing, what)))),
            (None, _) => None,
        };
        let token = match found {
            None => Token::NotOffered,
            Some(answer) => Token::Asked(answer.map(|(_, claims)| claims)),
        };
        let none = || Err(Error::of(FailureKind::AwsCredentials, "no AWS credentials were found"));
        let facts = Oidc { token, audience: audience.clone(), trust, caller: caller.unwrap_or_else(none) };
        oidc::checks(&facts, &self.image.run.zone)
    }

    /// How ECR has the repository set up; `None` if it is not ECR's.
    async fn set_up(&self, repository: &Repository) -> Option<Ecr> {
        let ecr = EcrSetUp::of(&self.ports.aws, repository);
        let what = &format!("failed to ask ECR about {repository}");
        let (settings, lifecycle, scanning, mounts) = match self.ready(what, ecr).await {
            Ok(None) => return None,
            Ok(Some(ecr)) => tokio::join!(
                self.within(what, async { ecr.describe().await.found(what) }),
                self.within(what, async { ecr.lifecycle().await.found(what) }),
                self.within(what, async { ecr.registry_scanning().await.found(what) }),
                self.within(what, async { ecr.mounts().await.found(what) }),
            ),
            Err(error) => (Err(error.clone()), Err(error.clone()), Err(error.clone()), Err(error)),
        };
        let written = self.image.names(repository).written_cache();
        let cache_tag = written.filter(|cache| cache.repository() == repository);
        Some(Ecr {
            repository: repository.clone(),
            settings,
            lifecycle,
            scanning,
            mounts,
            cache_tag: cache_tag.and_then(|cache| cache.tag().map(str::to_owned)),
        })
    }

    /// The layer caches that this run may read.
    async fn registry_caches(&self, home: &Repository) -> Vec<Check> {
        if !self.asked.names_image || !self.image.request.cache.has(CacheKind::Registry) {
            return Vec::new();
        }
        let asked = self.image.names(home).caches().into_iter().map(async |reference| {
            let what = format!("failed to look up {reference}");
            let answer = match self.ready(&what, self.ports.registry.probe(&reference)).await {
                Ok(Probe::Present(manifest)) => Ok(Some(manifest.size())),
                Ok(Probe::Absent { .. }) => Ok(None),
                Ok(Probe::Unknown(error)) | Err(error) => Err(error),
            };
            (reference, answer)
        });
        caches::registry(&join_all(asked).await)
    }

    /// Whether the references in the input `tags` are there.
    async fn tags(&self, home: &Repository) -> Vec<(ImageReference, Result<(), Resolve>)> {
        let asked = self.image.names(home).asked_tags().into_iter().map(async |reference| {
            let what = format!("failed to look up {reference}");
            let answer = self.ready(&what, self.ports.registry.resolve(&reference)).await;
            let answer = answer.unwrap_or_else(|error| Err(Resolve::Failed(error)));
            (reference, answer.map(drop))
        });
        join_all(asked).await
    }
}
