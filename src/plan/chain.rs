//! What the verdicts of images that are built on one another mean for each other.

use std::collections::BTreeMap;

use super::context::{PlanContext, bug};
use super::verdict::{Build, Notes, ReuseLocal, Verdict};
use crate::buildkit::{BuildSpec, ImagePin, LinkedBuild};
use crate::error::{Error, Result};
use crate::facts::ImageFacts;
use crate::image::{ImageName, ImageReference};
use crate::inputs::chain::{levels, parents};
use crate::inputs::{ImageRequest, Link};

/// Corrects the verdicts: an image whose base failed fails too, if it is built; a base that only the engine has is built
/// again, because a builder may not see the engine's images; a base that nobody asked for and that no build needs is left
/// out.
pub(super) fn settle(images: &[&ImageRequest], facts: &[Option<ImageFacts>], verdicts: &mut [Verdict]) {
    let levels = levels(images);
    for at in levels.iter().flatten() {
        let failed = parents(images, *at).into_iter().find_map(|(link, parent)| match &verdicts[parent] {
            Verdict::Fail(error) => Some((link, error.clone())),
            _ => None,
        });
        if let (Some((link, error)), Verdict::Build(_)) = (failed, &verdicts[*at]) {
            verdicts[*at] = Verdict::Fail(error.of_base(&images[*at].image, &link.image));
        }
    }
    for at in levels.iter().rev().flatten() {
        let is_needed = (0..images.len()).any(|child| {
            matches!(verdicts[child], Verdict::Build(_))
                && parents(images, child).iter().any(|(_, parent)| parent == at)
        });
        match &verdicts[*at] {
            Verdict::ReuseLocal(ReuseLocal { .. }) if is_needed => {
                let shared = facts[*at].as_ref().is_some_and(|facts| facts.repository.repository().is_some());
                verdicts[*at] = Verdict::Build(Build {
                    reason: "an image that is built needs it, and only the engine has it".to_owned(),
                    publish: false,
                    shared,
                    load: images[*at].asked,
                    only: None,
                    notes: Notes::default(),
                });
            }
            // What is built on it needs every platform in one build.
            Verdict::Build(build) if is_needed && build.only.is_some() => {
                verdicts[*at] = Verdict::Build(Build { only: None, ..build.clone() });
            }
            Verdict::Merge(merge) if is_needed => {
                verdicts[*at] = Verdict::Build(Build {
                    reason: "no image has this key".to_owned(),
                    publish: true,
                    shared: true,
                    load: merge.load,
                    only: None,
                    notes: merge.notes.clone(),
                });
            }
            Verdict::Fail(_) | Verdict::Unneeded => {}
            _ if !is_needed && !images[*at].asked => verdicts[*at] = Verdict::Unneeded,
            _ => {}
        }
    }
}

/// The builds that later ones are linked to, while a plan is made.
pub(super) struct Chain {
    /// The indices of the images, those that others are built on first.
    order: Vec<usize>,
    known: Vec<Known>,
    /// Two images or more are built for themselves.
    several: bool,
    /// The names of images that are held to another image by the builds so far.
    pins: BTreeMap<ImageReference, ImageReference>,
}

/// What is known of an image that others are built on.
struct Known {
    /// `None` if nothing could be read of it.
    image: Option<ImageName>,
    state: State,
}

enum State {
    /// It is no image of the registry's, and no build of it is planned so far.
    Open,
    /// The registry has it.
    There(ImageReference),
    Built(Box<BuildSpec>),
    Failed(Error),
}

impl Chain {
    /// Knows the images that are there.
    pub(super) fn new(images: &[(Option<PlanContext<'_>>, Verdict)]) -> Self {
        let requests: Vec<&ImageRequest> =
            images.iter().filter_map(|(given, _)| Some(given.as_ref()?.image.request)).collect();
        let known_at: Vec<usize> = (0..images.len()).filter(|at| images[*at].0.is_some()).collect();
        let mut order: Vec<usize> = levels(&requests).into_iter().flatten().map(|at| known_at[at]).collect();
        order.extend((0..images.len()).filter(|at| images[*at].0.is_none()));
        let known = images.iter().map(|(given, verdict)| {
            let state = match verdict {
                Verdict::Reuse(reuse) => State::There(reuse.reference.repository().at(reuse.digest.clone())),
                Verdict::Fail(error) => State::Failed(error.clone()),
                _ => State::Open,
            };
            let image = given.as_ref().map(|given| given.image.request.image.clone());
            Known { image, state }
        });
        let builds = |(given, verdict): &&(Option<PlanContext<'_>>, Verdict)| {
            matches!(verdict, Verdict::Build(_))
                && given.as_ref().is_some_and(|given| given.image.request.asked)
        };
        Self {
            order,
            known: known.collect(),
            several: images.iter().filter(builds).count() > 1,
            pins: BTreeMap::new(),
        }
    }

    /// The images, those that others are built on first.
    pub(super) fn order(&self) -> Vec<usize> {
        self.order.clone()
    }

    fn state(&self, image: &ImageName) -> Option<&State> {
        self.known.iter().find(|known| known.image.as_ref() == Some(image)).map(|known| &known.state)
    }

    fn set(&mut self, image: &ImageName, state: State) {
        if let Some(known) = self.known.iter_mut().find(|known| known.image.as_ref() == Some(image)) {
            known.state = state;
        }
    }

    /// Links the build to those that it is built on: an image that is there enters by its digest, and one that is built in
    /// this run as that build.
    ///
    /// # Errors
    /// If one of them cannot be built.
    pub(super) fn link(&self, request: &ImageRequest, spec: &mut BuildSpec) -> Result<()> {
        for Link { context, image } in &request.links {
            spec.build.build_contexts.retain(|(name, _)| name != context);
            match self.state(image) {
                Some(State::There(reference)) => {
                    spec.build.build_contexts.push((context.clone(), format!("docker-image://{reference}")));
                    spec.reads.insert(reference.registry().to_owned());
                }
                Some(State::Built(parent)) => {
                    spec.links.push(LinkedBuild { context: context.clone(), spec: parent.clone() });
                }
                Some(State::Failed(error)) => {
                    return Err(error.clone().of_base(&request.image, image));
                }
                Some(State::Open) | None => return Err(bug("a build on an image that is not there")),
            }
        }
        Ok(())
    }

    /// Notes the build of an image, for those that are built on it.
    pub(super) fn built(&mut self, request: &ImageRequest, spec: &BuildSpec) {
        self.set(&request.image, State::Built(Box::new(spec.clone())));
    }

    /// Notes that nothing can be done about an image. `at`: its index.
    pub(super) fn fail(&mut self, at: usize, error: &Error) {
        if let Some(known) = self.known.get_mut(at) {
            known.state = State::Failed(error.clone());
        }
    }

    /// Tells whether the image is built in one go with others. Not if bake has no field for what it asks, or if the builds
    /// would be held to two images under one name.
    pub(super) fn goes_together(&mut self, spec: &BuildSpec) -> bool {
        let all = spec.with_linked();
        let pins = || all.iter().flat_map(|spec| &spec.images);
        let fits = |pin: &ImagePin| self.pins.get(&pin.name).is_none_or(|known| *known == pin.pinned);
        if !self.several || !all.iter().all(|spec| spec.suits_bake()) || !pins().all(fits) {
            return false;
        }
        self.pins.extend(pins().map(|pin| (pin.name.clone(), pin.pinned.clone())));
        true
    }
}
