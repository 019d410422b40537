//! Images of one run that are built on one another.

use super::ImageRequest;
use super::links::Link;

/// The images in levels, by their indices: each is built on images of earlier levels alone. Links to images that are not
/// in the list, and those of a circle, which a request does not have, are left out.
#[must_use]
pub(crate) fn levels(images: &[&ImageRequest]) -> Vec<Vec<usize>> {
    let mut levels: Vec<Vec<usize>> = Vec::new();
    let mut left: Vec<usize> = (0..images.len()).collect();
    while !left.is_empty() {
        let waits = |at: &usize| parents(images, *at).iter().any(|(_, parent)| left.contains(parent));
        let (later, now): (Vec<usize>, Vec<usize>) = left.iter().partition(|at| waits(at));
        if now.is_empty() {
            levels.push(later);
            break;
        }
        levels.push(now);
        left = later;
    }
    levels
}

/// The images that this one is built on: each link with the image's index.
#[must_use]
pub(crate) fn parents<'a>(images: &[&'a ImageRequest], at: usize) -> Vec<(&'a Link, usize)> {
    let find = |link: &Link| images.iter().position(|other| other.image == link.image);
    images[at].links.iter().filter_map(|link| Some((link, find(link)?))).collect()
}

/// The images that the given ones are built on, and that those are built on, by their indices.
#[must_use]
pub(crate) fn ancestors(images: &[&ImageRequest], of: &[usize]) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    let mut next: Vec<usize> = of.to_vec();
    while let Some(at) = next.pop() {
        for (_, parent) in parents(images, at) {
            if !found.contains(&parent) {
                found.push(parent);
                next.push(parent);
            }
        }
    }
    found
}
