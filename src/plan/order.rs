//! Decides if a tag of the input `tags` is set, or stands for a later commit or version already.

use crate::error::Error;
use crate::facts::{Holder, ImageFacts, Standing, VersionFact};
use crate::failure::FailureKind;
use crate::image::{Digest, ImageReference};
use crate::inputs::OnOlder;
use crate::run::Ancestry;

/// What is done about a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TagOrder {
    /// The image has it.
    There,
    /// It is set. The text says why it is not known what it stood for, if that is so.
    Set(Option<String>),
    /// It stands for a later commit or version, and stays. The text says which.
    Older(String),
}

/// The order of what has the tag and this run's image, if that is known.
#[must_use]
pub(crate) fn order(holder: &Holder, own: Option<&Digest>) -> TagOrder {
    match holder {
        Holder::Absent => TagOrder::Set(None),
        // A registry that did not answer is asked again when the tag is set.
        Holder::Unknown(error) => TagOrder::Set(Some(error.headline())),
        Holder::Image(standing) if own.is_some() && standing.digest.as_ref() == own => TagOrder::There,
        Holder::Image(standing) => by_standing(standing),
    }
}

fn by_standing(standing: &Standing) -> TagOrder {
    match &standing.version {
        VersionFact::Later(version) => return TagOrder::Older(format!("version {version} is there")),
        VersionFact::NotLater => return TagOrder::Set(None),
        VersionFact::None => {}
    }
    let of = |commit: &str| TagOrder::Older(format!("it names the newer commit {commit}"));
    let revision = standing.revision.as_deref().unwrap_or_default();
    if let Some(later) = &standing.later {
        return of(later);
    }
    match (standing.ancestry, standing.committed) {
        (Some(Ancestry::After), _) => of(revision),
        (Some(Ancestry::Apart), _) => match &standing.left_branch {
            Some(branch) => TagOrder::Older(format!(
                "it names the commit {revision}, and this run's commit is not on {branch} any more"
            )),
            None => TagOrder::Set(Some(format!(
                "it named the commit {revision}, which is neither before nor after this run's"
            ))),
        },
        (None, Some([theirs, ours])) if theirs > ours => {
            TagOrder::Older(format!("it names the commit {revision}, which was made later"))
        }
        (Some(Ancestry::Before | Ancestry::Same), _) | (None, Some(_)) => TagOrder::Set(None),
        (None, None) => {
            let why = standing.unknown.clone();
            TagOrder::Set(Some(why.unwrap_or_else(|| "nothing tells which commit it named".to_owned())))
        }
    }
}

/// Which image a tag may have for an action to set it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TagGuard {
    /// Any image, or none.
    Any,
    /// None, or one without this run's key: one with the key wins.
    UnlessSameKey,
    /// The same, for an index that every run makes from the same parts: there is no other run to wait for.
    UnlessSameIndex,
    /// None, or one that stands for no later commit or version than this run's.
    UnlessNewer {
        /// The image that had the tag when that was judged; with another one it is judged again.
        seen: Option<Digest>,
        /// Why it is not known what that one stands for.
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown: Option<String>,
    },
}

/// A tag of the input `tags` that is not set, because it stands for a later commit or version.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct SkippedTag {
    pub tag: ImageReference,
    /// What it stands for, as a clause.
    pub why: String,
}

/// What is done about the tags of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OrderedTags {
    /// Those that are set, each with its guard.
    pub set: Vec<(ImageReference, TagGuard)>,
    pub skipped: Vec<SkippedTag>,
}

/// Decides about these tags. `own`: the image that gets them, if it is known.
///
/// # Errors
/// If one stands for a later commit or version, and the input `on-older` says that this fails the run.
pub(super) fn ordered(
    tags: Vec<ImageReference>,
    facts: &ImageFacts,
    own: Option<&Digest>,
    on_older: OnOlder,
) -> Result<OrderedTags, Error> {
    let mut ordered = OrderedTags::default();
    for tag in tags {
        let holder = facts.tags.iter().find(|fact| fact.tag == tag).map(|fact| &fact.holder);
        let seen = match holder {
            Some(Holder::Image(standing)) => standing.digest.clone(),
            Some(Holder::Absent | Holder::Unknown(_)) | None => None,
        };
        let order = holder.map_or(TagOrder::Set(None), |holder| order(holder, own));
        match order {
            _ if on_older == OnOlder::Set => ordered.set.push((tag, TagGuard::Any)),
            TagOrder::Older(why) if on_older == OnOlder::Fail => return Err(refused(&tag, &why)),
            TagOrder::Older(why) => ordered.skipped.push(SkippedTag { tag, why }),
            TagOrder::There => ordered.set.push((tag, TagGuard::UnlessNewer { seen, unknown: None })),
            TagOrder::Set(unknown) => ordered.set.push((tag, TagGuard::UnlessNewer { seen, unknown })),
        }
    }
    Ok(ordered)
}

/// The error of `on-older: fail`.
#[must_use]
pub(crate) fn refused(tag: &ImageReference, why: &str) -> Error {
    Error::of(FailureKind::OlderCommit, format!("{tag} is not set back"))
        .cause(why.to_owned())
        .hint(FailureKind::OlderCommit.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(standing: Standing) -> Holder {
        Holder::Image(Box::new(Standing { digest: Some(Digest::of(b"theirs")), ..standing }))
    }

    fn stands(ancestry: Option<Ancestry>) -> Standing {
        Standing { ancestry, revision: Some("c1".into()), ..Standing::default() }
    }

    #[test]
    fn what_is_done_about_a_tag() {
        let set = TagOrder::Set(None);
        let older = |why: &str| TagOrder::Older(why.to_owned());
        let unknown = |why: &str| TagOrder::Set(Some(why.to_owned()));
        let with = |change: &dyn Fn(&mut Standing)| {
            let mut standing = stands(None);
            change(&mut standing);
            standing
        };
        let rows: Vec<(&str, Standing, TagOrder)> = vec![
            ("an earlier commit's", stands(Some(Ancestry::Before)), set.clone()),
            ("this commit's", stands(Some(Ancestry::Same)), set.clone()),
            ("a later commit's", stands(Some(Ancestry::After)), older("it names the newer commit c1")),
            (
                "an earlier image that a later commit found again",
                Standing { later: Some("c3".into()), ..stands(Some(Ancestry::Before)) },
                older("it names the newer commit c3"),
            ),
            (
                "another branch's",
                stands(Some(Ancestry::Apart)),
                unknown("it named the commit c1, which is neither before nor after this run's"),
            ),
            (
                "after a push by force, in a run from before it",
                Standing { left_branch: Some("main".into()), ..stands(Some(Ancestry::Apart)) },
                older("it names the commit c1, and this run's commit is not on main any more"),
            ),
            (
                "made later, by the clocks",
                Standing { committed: Some([2, 1]), ..stands(None) },
                older("it names the commit c1, which was made later"),
            ),
            ("made in the same second", Standing { committed: Some([2, 2]), ..stands(None) }, set.clone()),
            (
                "history counts more than clocks",
                Standing { committed: Some([2, 1]), ..stands(Some(Ancestry::Before)) },
                set.clone(),
            ),
            ("nothing is known", stands(None), unknown("nothing tells which commit it named")),
            ("the reason is known", with(&|standing| standing.unknown = Some("404".into())), unknown("404")),
            (
                "a later version counts more than commits",
                Standing { version: VersionFact::Later("1.2.4".into()), ..stands(Some(Ancestry::Before)) },
                older("version 1.2.4 is there"),
            ),
            (
                "an earlier version counts more than commits",
                Standing { version: VersionFact::NotLater, ..stands(Some(Ancestry::After)) },
                set.clone(),
            ),
        ];
        for (what, standing, expected) in rows {
            assert_eq!(order(&image(standing), Some(&Digest::of(b"own"))), expected, "{what}");
        }
        assert_eq!(
            order(&image(stands(Some(Ancestry::After))), Some(&Digest::of(b"theirs"))),
            TagOrder::There
        );
        assert_eq!(order(&Holder::Absent, None), set);
    }
}
