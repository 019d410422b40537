//! Makes the verdicts of all images from their facts, and chooses the one builder of a run.

use super::builder::{Choice, Names, Needs, choose};
use super::chain;
use super::decide::decide;
use super::verdict::{Build, Verdict};
use super::wanted::only_says;
use crate::buildkit::owner::Owner;
use crate::error::Result;
use crate::facts::{BuilderFacts, ForBuild, ImageFacts, Toolchain, entitlements};
use crate::inputs::ImageRequest;
use crate::trust::ImageRun;

/// The images with their verdicts, before the tools are asked for.
pub(crate) struct Judged {
    /// The facts of each image, if they could be read.
    pub facts: Vec<Option<ImageFacts>>,
    pub verdicts: Vec<Verdict>,
}

/// An image that is to be built.
pub(crate) struct Building {
    /// Its place in the request.
    pub at: usize,
    /// What has to be read for it.
    pub wanted: ForBuild,
    needs: Needs,
}

impl Judged {
    /// The verdicts that follow from the facts.
    pub(crate) fn new(images: &[ImageRun<'_>], facts: Vec<Result<ImageFacts>>) -> Self {
        let judged = |(image, facts): (&ImageRun<'_>, Result<ImageFacts>)| match facts {
            Ok(facts) => {
                let verdict = decide(*image, &facts);
                (Some(facts), verdict)
            }
            Err(error) => (None, Verdict::Fail(error)),
        };
        let (facts, mut verdicts): (Vec<_>, Vec<_>) = images.iter().zip(facts).map(judged).unzip();
        let requests: Vec<&ImageRequest> = images.iter().map(|image| image.request).collect();
        chain::settle(&requests, &facts, &mut verdicts);
        Self { facts, verdicts }
    }

    /// With `mode: plan`, the images that are missing though the registry answers: their places.
    pub(crate) fn missing(&self, images: &[ImageRun<'_>]) -> Vec<usize> {
        let is_missing = |verdict: &Verdict| matches!(verdict, Verdict::Build(Build { shared: true, .. }));
        let missing = |(at, verdict)| (is_missing(verdict) && only_says(*images.get(at)?)).then_some(at);
        self.verdicts.iter().enumerate().filter_map(missing).collect()
    }

    /// The images that are to be built.
    pub(crate) fn building(&self, images: &[ImageRun<'_>]) -> Vec<Building> {
        let building = |at: usize| match (self.facts.get(at)?, self.verdicts.get(at)?) {
            (Some(facts), Verdict::Build(build)) if !only_says(*images.get(at)?) => {
                let Build { shared, load, .. } = *build;
                let needs = Needs::of_build(*images.get(at)?, facts, build);
                Some(Building { at, wanted: ForBuild { shared, load }, needs })
            }
            _ => None,
        };
        (0..images.len()).filter_map(building).collect()
    }
}

/// Chooses the builder for all builds, and returns it with their needs; `None` if nothing is built. `unique`: a name of this
/// run alone.
pub(crate) fn builder_for(
    building: &[Building],
    images: &[ImageRun<'_>],
    (toolchain, builders): (&Toolchain, &BuilderFacts),
    (unique, owner): (&str, Option<&Owner>),
) -> Option<(Needs, Result<Choice>)> {
    let needs = building.iter().map(|image| image.needs).reduce(Needs::and)?;
    let builds = || building.iter().filter_map(|image| images.get(image.at));
    // Settings and rights are the run's: any image has them.
    let ImageRun { request, access, .. } = *builds().next()?;
    let allowed = entitlements(builds().map(|image| image.request));
    let needs = needs.with_makers(builders, access, Some(toolchain));
    let names = Names::new(unique, owner, builders, access);
    Some((needs, choose(&request.settings.builder, &allowed, toolchain, needs, names)))
}
