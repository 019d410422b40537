//! Makes and removes the builders of this run, and removes those that killed runs left.

use std::cell::{Cell, RefCell};

use tokio::sync::Mutex;
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

/// The boot of the run's own builder that began before the plan was complete, if one did, and what replaced that builder.
#[derive(Default)]
pub(crate) struct Boot {
    under_way: RefCell<Option<UnderWay>>,
    /// How often the builder was replaced.
    replaced: Cell<u32>,
    /// Held by the build that replaces it.
    replacing: Mutex<()>,
}

struct UnderWay {
    builder: NewBuilder,
    keep: bool,
    docker: Docker,
    boot: JoinHandle<Result<()>>,
}

impl Boot {
    /// Starts the boot, if a builder is to be made and the user's own docker configuration suffices to pull its image. Else
    /// the plan's action boots it, with this run's credentials. Booting takes seconds, in which the plan is completed.
    pub(crate) fn start(&self, choice: &Choice, ports: &Ports, settings: &Settings) {
        let Choice::Fresh { builder, keep, .. } = choice else { return };
        // A boot has begun already, for another image or for the run's first plan. If this builder is another one, its action
        // boots it.
        if self.under_way.borrow().is_some() {
            return;
        }
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
        self.under_way.replace(Some(UnderWay { builder, keep, docker, boot }));
    }

    /// Waits for this builder's boot; `None` if it has not begun.
    pub(super) async fn finish(&self, builder: &NewBuilder) -> Option<Result<()>> {
        let under_way = self.under_way.borrow_mut().take_if(|under_way| under_way.builder == *builder)?;
        Some(joined(under_way.boot).await)
    }

    /// How often the builder was replaced so far.
    pub(super) const fn replaced(&self) -> u32 {
        self.replaced.get()
    }

    /// Replaces the builder by a new one of the same name, so that the plan still holds. Builds that lose it side by side
    /// replace it once. `before`: how often it had been replaced when the build began.
    ///
    /// # Errors
    /// If the new one does not boot.
    pub(super) async fn replace(&self, builder: &NewBuilder, before: u32, buildx: &Buildx) -> Result<()> {
        let _held = self.replacing.lock().await;
        if self.replaced.get() == before {
            // If the old one cannot be removed, making the new one fails and tells why.
            buildx.remove_builder(&builder.name).await.ok();
            // A builder that other runs share is not replaced: see `Earlier::for_action`.
            buildx.create_builder(builder, false).await?;
            self.replaced.set(before + 1);
        }
        Ok(())
    }

    /// Removes a builder that no action has used.
    pub(crate) async fn discard(&self) {
        let Some(UnderWay { builder, keep, docker, boot }) = self.under_way.take() else { return };
        if joined(boot).await.is_ok() && !keep {
            // If that fails, the next run removes it.
            Buildx::new(docker).remove_builder(&builder.name).await.ok();
        }
    }
}

async fn joined(boot: JoinHandle<Result<()>>) -> Result<()> {
    boot.await.unwrap_or_else(|error| Err(crash::joined(&error)))
}

/// True if the builder's image comes from a registry that only this run is logged in to.
fn needs_credentials(settings: &Settings) -> bool {
    let image = settings.builder.image.as_ref().and_then(|image| image.parse::<ImageReference>().ok());
    image.is_some_and(|image| {
        let registry = image.registry();
        // This run gets its own tokens for ECR.
        registry.contains(".dkr.ecr.") || settings.access.logins.iter().any(|login| login.host == registry)
    })
}

/// Makes and boots the builder, with retries unless it is `optional`: then the build can do without it.
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

/// A builder that is removed at the end of the run, even if the run is dropped halfway because the time that a cancelled
/// run has is over.
pub(super) struct Temporary {
    pub(super) name: String,
    docker: Docker,
    removed: bool,
}

impl Temporary {
    /// `docker` must not need a folder of this run's: they may be removed first.
    pub(super) const fn new(name: String, docker: Docker) -> Self {
        Self { name, docker, removed: false }
    }

    pub(super) async fn remove(mut self) -> Result<()> {
        // Also if the run is dropped meanwhile: where one removal takes too long, a second one would too.
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

/// Removes builders of killed runs. A failure is only a notice: another run may remove them too.
pub(super) async fn remove_leftovers(builders: &[Leftover], docker: &Docker, record: &mut Record) {
    for builder in builders {
        // buildx may not know a builder whose run was killed; then only its container is left.
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
