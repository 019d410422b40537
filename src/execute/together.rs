//! Builds several images in one `docker buildx bake`: BuildKit does each shared step once, and gets each context once.
//! If that fails, an image whose own step failed has that error; every other one is built again by itself, with all the
//! reactions that a single build has. By then BuildKit has most of its steps.

use super::build::{self, Attempt, Member, succeed, try_together};
use super::{Record, StepContext};
use crate::buildkit::{BuildSpec, NewBuilder};
use crate::error::{Error, Result};
use crate::failure::FailureClass;
use crate::ports::buildx::{Buildx, Built};
use crate::ports::docker::Docker;

/// One of the images, with the builder that was made for this run alone.
pub(super) struct Together<'a, 'r> {
    pub spec: BuildSpec,
    pub context: StepContext<'a>,
    pub record: &'r mut Record,
    pub own: Option<&'a NewBuilder>,
}

/// Builds the images. Each record gets what came of its image.
pub(super) async fn run(images: &mut [Together<'_, '_>], docker: &Docker) {
    let Some(first) = images.first() else { return };
    let stall = first.context.request.settings.reliability.stall_timeout;
    let buildx = Buildx::new(docker.clone()).with_stall(stall);
    let tried = {
        let members = images.iter_mut();
        let mut members: Vec<Member<'_, '_>> = members
            .map(|image| Member { spec: &image.spec, context: &image.context, record: &mut *image.record })
            .collect();
        try_together(&mut members, &buildx).await
    };
    let (attempts, built) = match tried {
        Ok(tried) => tried,
        Err(error) => {
            for image in images.iter_mut() {
                image.record.error = Some(error.clone());
            }
            return;
        }
    };
    let Built { result, errors, .. } = built;
    match result {
        Ok(metadata) => {
            for ((image, Attempt { local, .. }), metadata) in images.iter_mut().zip(attempts).zip(metadata) {
                let done = succeed(&image.spec, metadata, local, &image.context, image.record).await;
                image.record.error = done.err();
            }
        }
        Err(error) if error.is_stopped() || error.class == FailureClass::Interrupted => {
            for image in images.iter_mut() {
                image.record.error = Some(error.clone());
            }
        }
        Err(_) => {
            // Their locks are open for the next attempts.
            drop(attempts);
            each_alone(images, errors, docker).await;
        }
    }
}

/// Builds each image by itself whose own step has not failed; those that others are built on come first.
async fn each_alone(images: &mut [Together<'_, '_>], errors: Vec<Option<Error>>, docker: &Docker) {
    let names: Vec<String> = images.iter().map(|image| image.spec.image.clone()).collect();
    let mut failed: Vec<(String, Error)> = Vec::new();
    for (at, own_error) in errors.into_iter().enumerate() {
        let image = &mut images[at];
        let broken_base = image
            .spec
            .with_linked()
            .iter()
            .skip(1)
            .find_map(|base| failed.iter().find(|(name, _)| *name == base.image).cloned());
        let result: Result<()> = match (own_error.filter(is_final), broken_base) {
            (_, Some((base, error))) => Err(error.of_base(&names[at], &base)),
            (Some(error), None) => Err(error),
            (None, None) => {
                image.context.ports.console.line(&format!("{}: building it by itself", names[at]));
                build::run(&image.spec, image.own, &image.context, docker, image.record).await
            }
        };
        if let Err(error) = result {
            failed.push((names[at].clone(), error.clone()));
            image.record.error = Some(error);
        }
    }
}

/// Tells whether another try would fail in the same way.
fn is_final(error: &Error) -> bool {
    error.class == FailureClass::Build
}
