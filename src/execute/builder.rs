//! Builders of this run's own, from their boot to their end, and those that killed runs left.

use std::cell::RefCell;

use tokio::task::JoinHandle;

use super::react::Can;
use super::retry::Attempts;
use super::{Record, StepContext};
use crate::buildkit::{NewBuilder, container_of};
use crate::crash;
use crate::error::Result;
use crate::facts::Leftover;
use crate::image::ImageReference;
use crate::inputs::Settings;
use crate::plan::Choice;
use crate::ports::buildx::Buildx;
use crate::ports::docker::Docker;
use crate::ports::{Ports, Writes};

/// A boot that began before the plan was complete.
#[derive(Default)]
pub(crate) struct Boot(RefCell<Option<UnderWay>>);

struct UnderWay {
    builder: NewBuilder,
    keep: bool,
    docker: Docker,
    boot: JoinHandle<Result<()>>,
}

impl Boot {
    /// Starts it, if a builder is to be made and the user's own configuration suffices to pull
    /// its image; else the plan's step does it with this run's credentials.
    pub(crate) fn start(&self, choice: &Choice, ports: &Ports, settings: &Settings) {
        let Choice::Fresh { builder, keep, .. } = choice else { return };
        #[expect(clippy::disallowed_methods, reason = "the one step that begins before its plan is complete")]
        let Ok(docker) = ports.writing_docker(Writes::granted()) else { return };
        if needs_credentials(settings) {
            return;
        }
        let (builder, keep) = (builder.clone(), *keep);
        let boot = tokio::spawn({
            let (docker, builder) = (docker.clone(), builder.clone());
            let stall = settings.reliability.stall_timeout;
            async move {
                crash::on_purpose("boot");
                Buildx::new(docker).with_stall(stall).create_builder(&builder, keep).await
            }
        });
        self.0.replace(Some(UnderWay { builder, keep, docker, boot }));
    }

    /// Waits for this builder if it is under way; `None` if its boot has not begun.
    pub(super) async fn finish(&self, builder: &NewBuilder) -> Option<Result<()>> {
        let under_way = self.0.take().filter(|under_way| under_way.builder == *builder)?;
        Some(joined(under_way.boot).await)
    }

    /// Removes what no plan came to use. Nothing to do after a step has taken it.
    pub(crate) async fn discard(&self) {
        let Some(UnderWay { builder, keep, docker, boot }) = self.0.take() else { return };
        if joined(boot).await.is_ok() && !keep {
            // The next run sweeps what is still there.
            Buildx::new(docker).remove_builder(&builder.name).await.ok();
        }
    }
}

async fn joined(boot: JoinHandle<Result<()>>) -> Result<()> {
    boot.await.unwrap_or_else(|error| Err(crash::joined(&error)))
}

/// Whether the builder's image comes from a registry that only this run is logged in to.
fn needs_credentials(settings: &Settings) -> bool {
    let image = settings.builder.image.as_ref().and_then(|image| image.parse::<ImageReference>().ok());
    image.is_some_and(|image| {
        let registry = image.registry();
        registry.contains(".dkr.ecr.") || settings.access.logins.iter().any(|login| login.host == registry)
    })
}

/// Boots it; one that hangs, or whose image did not come over a broken network, is made again
/// unless the build can do without.
pub(super) async fn create(
    builder: &NewBuilder,
    keep: bool,
    optional: bool,
    context: &StepContext<'_>,
    docker: &Docker,
) -> Result<()> {
    let buildx = Buildx::new(docker.clone()).with_stall(context.request.settings.reliability.stall_timeout);
    let mut attempts = Attempts::default();
    let mut booted = match context.boot.finish(builder).await {
        Some(booted) => booted,
        None => buildx.create_builder(builder, keep).await,
    };
    loop {
        match booted {
            Err(error) if !optional => {
                attempts.after(error, None, Can::default(), context).await?;
                booted = buildx.create_builder(builder, keep).await;
            }
            other => return other,
        }
    }
}

/// A builder that goes with the run: also when the run is dropped halfway, as after the grace
/// that a cancelled run has.
pub(super) struct Temporary {
    pub(super) name: String,
    docker: Docker,
    removed: bool,
}

impl Temporary {
    /// `docker`: one that needs no folder of this run's.
    pub(super) const fn new(name: String, docker: Docker) -> Self {
        Self { name, docker, removed: false }
    }

    pub(super) async fn remove(mut self) -> Result<()> {
        self.removed = true;
        Buildx::new(self.docker.clone()).remove_builder(&self.name).await
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.removed {
            Buildx::new(self.docker.clone()).abandon_builder(&self.name);
        }
    }
}

/// Removes them. Another run may be at it too, and nothing here depends on it: what fails is told.
pub(super) async fn sweep(builders: &[Leftover], docker: &Docker, record: &mut Record) {
    for builder in builders {
        let removed = if builder.known {
            Buildx::new(docker.clone()).remove_builder(&builder.name).await
        } else {
            docker.remove_builder_container(&container_of(&builder.name)).await
        };
        if let Err(error) = removed {
            record.notices.push(format!("a killed run's builder is still there: {}", error.headline()));
        }
    }
}
