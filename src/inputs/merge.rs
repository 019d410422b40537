//! The inputs of `mode: merge`, which makes one index of images that other jobs built, one for each platform. It finds them
//! by their keys, or the input `digests` names them.
//!
//! In: the input `digests`, such as `linux/amd64=sha256:…⏎linux/arm64=sha256:…`. Out: [`Part`]s.

use super::build::{BuildInputs, annotations};
use super::lists::InputText as _;
use super::outputs::Outputs;
use super::problems::Problems;
use super::raw::RawInputs;
use super::types::Mode;
use crate::budget::PARTS;
use crate::image::{Digest, Platform};

/// One line of the input `digests`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Part {
    /// What the image must be built for; `None` where the line does not say.
    pub(crate) platform: Option<Platform>,
    /// The image that another job built.
    pub(crate) digest: Digest,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.platform {
            Some(platform) => write!(f, "{platform}={}", self.digest),
            None => write!(f, "{}", self.digest),
        }
    }
}

/// Reads the lines of the input `digests`.
pub(super) fn parts(problems: &mut Problems, mode: Mode, lines: &[String]) -> Vec<Part> {
    let problem = match (mode, lines.len()) {
        (Mode::Merge, count) if count > PARTS => format!("has {count} lines, and at most {PARTS} are merged"),
        (Mode::Build | Mode::Pull | Mode::Plan, 1..) => {
            "only goes with mode merge, and with mode pull".to_owned()
        }
        _ => return lines.iter().filter_map(|line| part(problems, line)).collect(),
    };
    problems.add("digests", problem);
    Vec::new()
}

fn part(problems: &mut Problems, line: &str) -> Option<Part> {
    let (platform, digest) =
        line.split_once('=').map_or((None, line), |(platform, digest)| (Some(platform), digest.trim()));
    // The job's output `digest` is empty where it published nothing.
    if digest.is_empty() {
        problems.add("digests", format!("`{line}` has no digest: the job that built it published nothing"));
        return None;
    }
    let digest = problems.parse("digests", Some(digest));
    let platform = match platform {
        Some(text) => Some(problems.parse("digests", Some(text))?),
        None => None,
    };
    Some(Part { platform, digest: digest? })
}

/// Notes inputs that do not go with `mode: merge`. Reads `annotations` again, which the index gets: other problems of
/// `build` are not told in this mode.
pub(super) fn check(
    problems: &mut Problems,
    raw: &RawInputs,
    (outputs, by_digest): (&Outputs, bool),
    build: &mut BuildInputs,
) {
    let is = |value: &Option<String>, word: &str| {
        value.trimmed().is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    for (input, is_given, why) in [
        ("load", is(&raw.load, "true"), "mode merge loads nothing: let the job that uses the image pull it"),
        ("push", is(&raw.push, "false"), "mode merge does nothing but publish"),
        ("outputs", outputs.given, "mode merge has no result but the one in the repository"),
        ("call", is(&raw.call, "check"), "mode merge checks no Dockerfile"),
    ] {
        if is_given {
            problems.add(input, why);
        }
    }
    // `DOCKER_DEFAULT_PLATFORM` of this machine says nothing of the platforms that other machines built.
    build.implied_platform = raw.platforms.trimmed().is_none();
    if by_digest {
        build.annotations = annotations(problems, raw, outputs);
    } else if build.implied_platform || build.only_platform().is_some() {
        let needed = "needs several platforms with mode merge: those that are found by their keys; or name images in digests";
        problems.add("platforms", needed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::inputs::ImageRequest;

    fn read(change: impl FnOnce(&mut RawInputs)) -> Result<ImageRequest, String> {
        let digest = Digest::of(b"x");
        let mut raw = RawInputs {
            image: Some("app".into()),
            mode: Some("merge".into()),
            digests: Some(format!("linux/amd64={digest}\n\n # no line\n{digest}")),
            context: Some("absent".into()),
            ..RawInputs::default()
        };
        change(&mut raw);
        ImageRequest::read(&raw, &Env::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_names_a_platform_or_none() {
        let parts = read(|_| {}).unwrap().parts;
        let digest = Digest::of(b"x");
        let shown: Vec<String> = parts.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [format!("linux/amd64={digest}"), digest.to_string()]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        type Change = fn(&mut RawInputs);
        let rows: [(Change, &str); 17] = [
            (|raw| raw.digests = None, "`platforms`: needs several platforms with mode merge"),
            (
                |raw| (raw.digests, raw.platforms) = (Some(" \n".into()), Some("linux/arm64".into())),
                "`platforms`: needs several platforms with mode merge",
            ),
            (|raw| raw.digests = Some("linux/arm64=".into()), "`linux/arm64=` has no digest"),
            (|raw| raw.digests = Some("linux/arm64=sha256:1".into()), "`sha256:1` is not a digest"),
            (|raw| raw.digests = Some(format!("arm64={}", Digest::of(b"x"))), "`arm64` is not a platform"),
            (|raw| raw.digests = Some(format!("{}\n", Digest::of(b"x")).repeat(PARTS + 1)), "at most"),
            (|raw| raw.mode = Some("build".into()), "`digests`: only goes with mode merge"),
            (|raw| raw.digest = Some(Digest::of(b"x").to_string()), "`digest`: only goes with mode pull"),
            (|raw| raw.rebuild = Some("true".into()), "`rebuild`: only goes with mode build"),
            (|raw| raw.load = Some("true".into()), "`load`: mode merge loads nothing"),
            (|raw| raw.push = Some("false".into()), "`push`: mode merge does nothing but publish"),
            (|raw| raw.call = Some("check".into()), "`call`: mode merge checks no Dockerfile"),
            (|raw| raw.annotations = Some("index:io.github.build-once.key=1".into()), "build-once's own"),
            (|raw| raw.annotations = Some("title".into()), "`annotations`: "),
            (|raw| raw.annotations_file = Some("absent".into()), "`annotations-file`: "),
            (|raw| raw.tags_file = Some("absent".into()), "`tags-file`: "),
            (|raw| raw.platforms = Some("linux".into()), "`platforms`: "),
        ];
        for (change, said) in rows {
            let error = read(change).unwrap_err();
            assert!(error.contains(said), "{said}: {error}");
        }
    }
}
