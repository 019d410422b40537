//! Reads everything that a plan rests on.

use std::collections::{BTreeMap, BTreeSet};

use super::links::Links;
use super::listing::{Listing, Store};
use super::policy::{Policy, Scope};
use super::project::{Project, ProjectState, Wanted};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::image::{Digest, TagZone, parse_tag};

/// Everything that a plan rests on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    pub(crate) listing: Listing,
    /// The references of all manifests that the listing leads to.
    pub(crate) links: BTreeMap<Digest, Links>,
    pub(crate) project: ProjectState,
}

/// The most that the machine's clock may differ from others. Ages would be wrong by it.
const CLOCK: u64 = 60 * 60;

/// Reads the repository, then the GitHub repository. In this order a pull request that is opened meanwhile has no tag in
/// the listing.
///
/// # Errors
/// If any part cannot be read: then it is not known what may go.
pub(super) async fn survey(
    store: &impl Store,
    project: &impl Project,
    policy: &Policy,
    also: &Wanted,
    now: u64,
) -> Result<Survey> {
    let mut listing = store.listing().await?;
    let wanted = wanted(&listing, policy, also);
    let state = project.state(&wanted).await?;
    for (clock, whose) in [(state.clock, "GitHub's"), (listing.clock, "the registry's")] {
        if let Some(clock) = clock.filter(|clock| clock.abs_diff(now) > CLOCK) {
            let what = format!("the clock of this machine differs from {whose} by {} s", clock.abs_diff(now));
            return Err(
                Error::of(FailureKind::ClockSkew, what).cause("ages would be wrong: nothing is removed")
            );
        }
    }
    let mut links = read_all(store, &listing).await?;
    if lost(&listing, &links).is_some() {
        // Another run may have removed it between the two looks.
        listing = store.listing().await?;
        links = read_all(store, &listing).await?;
    }
    if let Some(digest) = lost(&listing, &links) {
        let what = format!("the registry lists {digest} and does not have it");
        return Err(Error::of(FailureKind::BadAnswer, what)
            .cause("it is not known what it needs: nothing is removed")
            .hint("push it again, or remove its tags"));
    }
    Ok(Survey { listing, links, project: state })
}

/// A manifest that is listed and was not read: what it needs would look as if nothing needed it.
fn lost<'a>(listing: &'a Listing, links: &BTreeMap<Digest, Links>) -> Option<&'a Digest> {
    listing.versions.keys().find(|digest| !links.contains_key(*digest))
}

/// The references of everything that is listed, and of what that refers to.
async fn read_all(store: &impl Store, listing: &Listing) -> Result<BTreeMap<Digest, Links>> {
    let mut links = BTreeMap::new();
    read(store, listing.versions.keys().cloned().collect(), &mut links).await?;
    Ok(links)
}

/// Adds the references of these manifests, and of what they list or are about: an index without a tag may be known by its
/// signature alone.
pub(super) async fn read(
    store: &impl Store,
    mut next: Vec<Digest>,
    links: &mut BTreeMap<Digest, Links>,
) -> Result<()> {
    let mut absent: BTreeSet<Digest> = BTreeSet::new();
    while !next.is_empty() {
        let found = store.links(&next).await?;
        absent.extend(next.into_iter().filter(|digest| !found.contains_key(digest)));
        let near = found.values().flat_map(|links| links.children.iter().chain(&links.subject));
        let near = near.cloned().collect::<BTreeSet<_>>();
        links.extend(found);
        let is_new = |digest: &Digest| !links.contains_key(digest) && !absent.contains(digest);
        next = near.into_iter().filter(is_new).collect();
    }
    Ok(())
}

/// What GitHub is asked: about the names in the registry, and about what else is to be cleaned.
fn wanted(listing: &Listing, policy: &Policy, also: &Wanted) -> Wanted {
    let mut wanted = also.clone();
    for tag in listing.versions.values().flat_map(|version| &version.tags) {
        match parse_tag(tag, &policy.mark).map(|own| own.zone) {
            Some(TagZone::PullRequest(number)) => {
                wanted.pulls.insert(number);
            }
            Some(TagZone::Branch(_)) => wanted.branches = true,
            Some(TagZone::Trusted | TagZone::Queue) | None => {}
        }
    }
    if let Scope::PullRequest(own) = policy.scope {
        wanted.pulls.retain(|number| *number == own);
        wanted.branches = false;
    }
    wanted
}
