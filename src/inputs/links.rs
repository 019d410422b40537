//! Build contexts that are other images of the same run (`target:NAME`).

use super::build::BuildInputs;
use super::contexts::linked_image;
use super::problems::Problems;
use super::user_tags::UserTag;
use crate::error::{Error, Result};
use crate::image::ImageName;
use crate::shown;

/// A build context that is another image of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The context's name.
    pub context: String,
    /// The image's.
    pub image: ImageName,
}

/// The build contexts that are images of the same run.
pub(super) fn links(build: &BuildInputs, problems: &mut Problems) -> Vec<Link> {
    let linked = build.build_contexts.iter().filter_map(|(name, value)| Some((name, linked_image(value)?)));
    let link = |(context, image): (&String, &str)| {
        let image = problems.parse("build-contexts", Some(image))?;
        Some(Link { context: context.clone(), image })
    };
    linked.filter_map(link).collect()
}

/// Refuses a link to an image that the run does not have, and images that are built on one another in a circle.
pub(super) fn check_links(images: &[(&ImageName, &[Link])]) -> Result<()> {
    for (image, links) in images {
        for Link { context, image: parent } in *links {
            if !images.iter().any(|(other, _)| *other == parent) {
                return Err(Error::input(format!(
                    "build-contexts: `{context}` of {image} is target:{parent}, and there is no such image in this run"
                ))
                .hint("target: names another image of the input bake"));
            }
        }
    }
    let mut left = images.to_vec();
    loop {
        let before = left.len();
        let names: Vec<&ImageName> = left.iter().map(|(image, _)| *image).collect();
        left.retain(|(_, links)| links.iter().any(|link| names.contains(&&link.image)));
        match left.first() {
            None => return Ok(()),
            Some((first, _)) if left.len() == before => {
                let names = shown::list(left.iter().map(|(image, _)| image));
                return Err(Error::input(format!(
                    "{first} is built on images that are built on it: {names}"
                )));
            }
            Some(_) => {}
        }
    }
}

/// Refuses two images with one tag: which one had it would be chance.
pub(super) fn check_tags(images: &[(&ImageName, &[UserTag], &[String])]) -> Result<()> {
    let mut known: Vec<(String, &ImageName)> = Vec::new();
    for (image, tags, local_names) in images {
        for tag in tags.iter().map(ToString::to_string).chain(local_names.iter().cloned()) {
            if let Some((_, other)) = known.iter().find(|(known, other)| *known == tag && other != image) {
                return Err(Error::input(format!("{other} and {image} have one tag: {tag}"))
                    .hint("give each its own"));
            }
            known.push((tag, image));
        }
    }
    Ok(())
}
