//! The input `tags`: full references, and short names, which are tags of the run's own repository. Both may name facts
//! of the run, such as `${SHA}`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::image::{ImageReference, Repository, usable};
use crate::run::RunContext;
use crate::texts::words;

/// One item of the input `tags`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTag {
    /// The repository of a full reference; `None` for a short name.
    home: Option<Repository>,
    /// Before [`expand`] with names of the run, such as `${SHA}`.
    tag: String,
}

/// An item of `tags` that names a fact which the run does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOutTag {
    /// The item as it was given.
    pub tag: UserTag,
    /// The reason, as a clause.
    pub why: &'static str,
}

impl UserTag {
    /// The reference; a short name is a tag of `own`.
    #[must_use]
    pub(crate) fn within(&self, own: &Repository) -> ImageReference {
        self.home.as_ref().unwrap_or(own).tagged(self.tag.as_str())
    }

    /// A full reference; `None` for a short name.
    #[must_use]
    pub(crate) fn reference(&self) -> Option<ImageReference> {
        Some(self.home.as_ref()?.tagged(self.tag.as_str()))
    }

    /// The tag without its repository.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.tag
    }

    /// The repository of a full reference.
    #[must_use]
    pub(crate) const fn repository(&self) -> Option<&Repository> {
        self.home.as_ref()
    }

    /// Reads a text as a full reference, also if it is one word.
    ///
    /// # Errors
    /// The reason, as a clause.
    pub(super) fn full(text: &str) -> Result<Self, String> {
        let not_closed = || format!("`{text}`: a ${{ is not closed");
        // Names are replaced by a digit, so that the rest can be checked.
        let sample = replaced(text, not_closed, |name| match Fact::of(name) {
            Some(_) => Ok("0".to_owned()),
            None => Err(unknown(text, name)),
        })?;
        let reference: ImageReference = sample.parse().map_err(|error: crate::image::InvalidReference| {
            format!("`{text}` is not an image reference: {}", error.reason())
        })?;
        if reference.digest().is_some() {
            return Err(format!("`{text}` has a digest: name the tag that the image is to get"));
        }
        let last = text.rfind('/').map_or(0, |slash| slash + 1);
        let (head, tag) = match text[last..].find(':') {
            Some(colon) => (&text[..last + colon], &text[last + colon + 1..]),
            None => (text, "latest"),
        };
        if head.contains("${") {
            return Err(format!("`{text}`: names such as ${{SHA}} stand in the tag, not in the repository"));
        }
        Ok(Self { home: Some(reference.repository().clone()), tag: tag.to_owned() })
    }

    /// The item with the run's facts, or why it has none.
    fn expanded(&self, facts: &Facts<'_>) -> Result<Result<Self, &'static str>> {
        let mut missing = None;
        let not_closed = || String::new();
        let tag = replaced(&self.tag, not_closed, |name| {
            let fact = Fact::of(name).ok_or_else(|| unknown(&self.tag, name))?;
            Ok(facts.value(fact).unwrap_or_else(|| {
                missing.get_or_insert(fact.missing());
                String::new()
            }))
        })
        .map_err(|why| Error::input(format!("input `tags`: {why}")))?;
        if let Some(why) = missing {
            return Ok(Err(why));
        }
        let expanded = Self { tag, ..self.clone() };
        match format!("h.example/x:{}", expanded.tag).parse::<ImageReference>() {
            Ok(_) => Ok(Ok(expanded)),
            Err(error) => Err(Error::input(format!(
                "input `tags`: `{self}` becomes `{}`: {}",
                expanded.tag,
                error.reason()
            ))
            .hint(
                "a tag has at most 128 of the characters A-Z a-z 0-9 . _ - and begins with none of . and -",
            )),
        }
    }
}

impl FromStr for UserTag {
    type Err = String;

    /// A text with `/`, `:` or `@` is a full reference, any other a short name.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(['/', ':', '@']) {
            return Self::full(text);
        }
        // As a tag of some repository it is checked by the same rules.
        let tag = Self::full(&format!("h.example/x:{text}")).map_err(|why| {
            let why = why.replace("h.example/x:", "");
            why.replace("is not an image reference: ", "is neither a tag nor an image reference: ")
        })?;
        Ok(Self { home: None, ..tag })
    }
}

impl fmt::Display for UserTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.home {
            Some(home) => write!(f, "{home}:{}", self.tag),
            None => f.write_str(&self.tag),
        }
    }
}

/// Replaces each `${NAME}` by its `value`. `not_closed`: the error of one without `}`.
pub(super) fn replaced<E>(
    text: &str,
    not_closed: impl Fn() -> E,
    mut value: impl FnMut(&str) -> Result<String, E>,
) -> Result<String, E> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(&not_closed)?;
        done.push_str(before);
        done.push_str(&value(name)?);
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

fn unknown(text: &str, name: &str) -> String {
    format!("`{text}`: ${{{name}}} is not known; {} are", Fact::ALL.map(Fact::name).join(", "))
}

words! {
    /// A fact of the run that a tag may name.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fact {
        Sha = "SHA",
        ShortSha = "SHORT_SHA",
        Date = "DATE",
        Branch = "BRANCH",
        Version = "VERSION",
        Pr = "PR",
        Run = "RUN",
    }
    const fn name;
    const ALL;
}

impl Fact {
    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| fact.name() == name)
    }

    /// Why a run has no value for it.
    const fn missing(self) -> &'static str {
        match self {
            Self::Sha | Self::ShortSha => "it is not known which commit this run is of",
            Self::Date => "this machine's clock is not set",
            Self::Branch => "this run is of no branch",
            Self::Version => "this run is of no git tag with a version, such as v1.2.3",
            Self::Pr => "this run is of no pull request",
            Self::Run => "this run has no number: it is not one of GitHub's",
        }
    }
}

/// Characters of a commit's short name, as docker/metadata-action has it.
const SHORT_SHA: usize = 7;

/// Most characters of a branch's name in a tag, so that there is room for more.
const BRANCH: usize = 100;

/// Where the values come from.
struct Facts<'a> {
    run: &'a RunContext,
    /// Seconds since 1970, UTC.
    now: u64,
}

impl Facts<'_> {
    fn value(&self, fact: Fact) -> Option<String> {
        let run = self.run;
        let head = || run.commit.as_ref().map(|commit| commit.head.clone());
        match fact {
            Fact::Sha => head(),
            Fact::ShortSha => head().map(|head| head.chars().take(SHORT_SHA).collect()),
            Fact::Date => {
                let today = time::OffsetDateTime::from_unix_timestamp(i64::try_from(self.now).ok()?).ok()?;
                (self.now > 0)
                    .then(|| format!("{:04}{:02}{:02}", today.year(), u8::from(today.month()), today.day()))
            }
            Fact::Branch => run.tag_branch().and_then(as_tag),
            Fact::Version => run.version().map(|version| version.to_string()).and_then(|text| as_tag(&text)),
            Fact::Pr => run.pull_request.as_ref().map(|pull_request| pull_request.number.to_string()),
            Fact::Run => run.run_id.clone(),
        }
    }
}

/// The text with `-` for each character that no tag has, and without `.` and `-` in front, where no tag has them.
fn as_tag(text: &str) -> Option<String> {
    let tag = usable(text, BRANCH);
    let tag = tag.trim_start_matches(['.', '-']);
    (!tag.is_empty()).then(|| tag.to_owned())
}

/// Puts the run's facts into `tags`. An item that names a fact which the run does not have is left out, so that one list
/// serves every event. `now`: seconds since 1970, UTC.
///
/// # Errors
/// If what comes of an item is no tag.
pub(super) fn expand(
    given: Vec<UserTag>,
    run: &RunContext,
    now: u64,
) -> Result<(Vec<UserTag>, Vec<LeftOutTag>)> {
    let facts = Facts { run, now };
    let (mut tags, mut left_out) = (Vec::new(), Vec::new());
    for tag in given {
        match tag.expanded(&facts)? {
            Ok(expanded) if !tags.contains(&expanded) => tags.push(expanded),
            Ok(_) => {}
            Err(why) => left_out.push(LeftOutTag { tag, why }),
        }
    }
    Ok((tags, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::inputs::{ImageRequest, RawInputs};

    const SHA: &str = "2222222222222222222222222222222222222222";
    /// 2026-03-09, late in the evening, UTC.
    const NOW: u64 = 1_773_100_000;

    /// What `tags` comes to in a run with these variables and this event, and what is left out.
    fn expanded(tags: &str, env: &[(&str, &str)], event: &str) -> Result<(Vec<String>, Vec<String>)> {
        let raw = RawInputs {
            image: Some("app".into()),
            repository: Some("h.example/ci".into()),
            tags: Some(tags.into()),
            ..RawInputs::default()
        };
        let base = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", SHA),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_RUN_ID", "77"),
        ];
        let env: Env = base.iter().chain(env).copied().collect();
        let mut request = ImageRequest::read(&raw, &env)?;
        request.expand_tags(&RunContext::read(&env, Some(event))?, NOW)?;
        let left_out =
            request.left_out_tags.iter().map(|left| format!("{}: {}", left.tag, left.why)).collect();
        Ok((request.tags.iter().map(ToString::to_string).collect(), left_out))
    }

    const ALL: &str = "${SHA}\n${SHORT_SHA}\nnightly-${DATE}\nb-${BRANCH}\n${VERSION}\npr-${PR}\nrun-${RUN}";

    #[test]
    fn what_each_name_stands_for_on_each_event() {
        let common = [SHA, "2222222", "nightly-20260309"];
        let push = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", "refs/heads/feature/x")];
        let (tags, left_out) = expanded(ALL, &push, "{}").unwrap();
        assert_eq!(tags, [&common[..], &["b-feature-x", "run-77"]].concat());
        assert_eq!(
            left_out,
            [
                "${VERSION}: this run is of no git tag with a version, such as v1.2.3",
                "pr-${PR}: this run is of no pull request"
            ]
        );
        for (git_tag, version) in [
            ("v1.2.3", Some("1.2.3")),
            ("1.2.3-rc.1", Some("1.2.3-rc.1")),
            ("v1.2.3+b7", Some("1.2.3-b7")),
            ("v1.2", None),
            ("nightly", None),
        ] {
            let git_ref = format!("refs/tags/{git_tag}");
            let of_tag = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", git_ref.as_str())];
            let (tags, left_out) = expanded(ALL, &of_tag, "{}").unwrap();
            let version: Vec<&str> = version.into_iter().collect();
            assert_eq!(tags, [&common[..], &version, &["run-77"]].concat(), "{git_tag}");
            assert_eq!(left_out.len(), 3 - version.len(), "{left_out:?}");
        }
        let pull = [("GITHUB_EVENT_NAME", "pull_request"), ("GITHUB_REF", "refs/pull/12/merge")];
        let head = "3".repeat(40);
        let event = format!(r#"{{"pull_request":{{"number":12,"head":{{"sha":"{head}","ref":"fix"}}}}}}"#);
        let (tags, _) = expanded(ALL, &pull, &event).unwrap();
        assert_eq!(tags, [head.as_str(), "3333333", "nightly-20260309", "pr-12", "run-77"]);
        let queue =
            [("GITHUB_EVENT_NAME", "merge_group"), ("GITHUB_REF", "refs/heads/gh-readonly-queue/main/pr-1")];
        let event =
            r#"{"repository":{"default_branch":"main"},"merge_group":{"base_ref":"refs/heads/main"}}"#;
        let (_, left_out) = expanded("${BRANCH}", &queue, event).unwrap();
        assert_eq!(left_out, ["${BRANCH}: this run is of no branch"]);
    }

    #[test]
    fn full_references_have_them_too() {
        let push = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", "refs/heads/main")];
        let (tags, _) = expanded("ghcr.io/o/app:${SHORT_SHA}-x, latest, o/app, latest", &push, "{}").unwrap();
        assert_eq!(tags, ["ghcr.io/o/app:2222222-x", "latest", "docker.io/o/app:latest"]);
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (tags, why) in [
            (
                "${SHORTSHA}",
                "`${SHORTSHA}`: ${SHORTSHA} is not known; SHA, SHORT_SHA, DATE, BRANCH, VERSION, PR, RUN are",
            ),
            ("${github.sha}", "${github.sha} is not known"),
            ("x-${SHA", "a ${ is not closed"),
            ("ghcr.io/${BRANCH}/app:x", "stand in the tag, not in the repository"),
            (
                "ghcr.io/o/app@sha256:0000000000000000000000000000000000000000000000000000000000000000",
                "has a digest",
            ),
            ("a b", "`a b` is neither a tag nor an image reference: the tag is not valid"),
            ("-x", "the tag is not valid"),
            ("ghcr.io/o/App:x", "is not an image reference: the name must be lower-case"),
        ] {
            let error = expanded(tags, &[], "{}").unwrap_err().to_string();
            assert!(error.contains("input `tags`") && error.contains(why), "{tags}: {error}");
        }
        let long = format!("refs/heads/{}", "b".repeat(120));
        let push = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", long.as_str())];
        assert_eq!(expanded("${BRANCH}", &push, "{}").unwrap().0, ["b".repeat(100)]);
        let error = expanded("${BRANCH}-${SHA}", &push, "{}").unwrap_err().to_string();
        assert!(error.contains("`${BRANCH}-${SHA}` becomes `bbb"), "{error}");
    }

    #[test]
    fn one_word_is_an_image_where_nothing_else_names_one() {
        let raw = |repository: Option<&str>| RawInputs {
            repository: repository.map(str::to_owned),
            tags: Some("app".into()),
            ..RawInputs::default()
        };
        let alone = ImageRequest::read(&raw(None), &Env::default()).unwrap();
        assert_eq!(
            (alone.image.as_str(), alone.tags[0].to_string().as_str()),
            ("app", "docker.io/library/app:latest")
        );
        let error = ImageRequest::read(&raw(Some("h.example/ci")), &Env::default()).unwrap_err().to_string();
        assert!(error.contains("input `image`"), "{error}");
    }
}
