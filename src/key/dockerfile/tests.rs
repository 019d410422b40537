//! How BuildKit reads a Dockerfile; several tables are from its own tests.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::image::Platform;

const BUILDER: fn() -> Platform = || "linux/amd64".parse().unwrap();

pub(super) struct Ask<'a> {
    pub(super) target: Option<&'a str>,
    pub(super) args: &'a [(&'a str, &'a str)],
    pub(super) platforms: &'a [&'a str],
    pub(super) contexts: &'a [&'a str],
}

pub(super) const PLAIN: Ask<'static> = Ask { target: None, args: &[], platforms: &[], contexts: &[] };

pub(super) fn ask(text: &str, ask: &Ask<'_>) -> Result<Analysis, KeyError> {
    let args: Vec<_> = ask.args.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let platforms: Vec<_> = ask.platforms.iter().map(|p| p.parse().unwrap()).collect();
    let contexts: Vec<_> = ask.contexts.iter().map(|c| (*c).to_owned()).collect();
    let request = AnalysisRequest {
        file: "Dockerfile",
        target: ask.target,
        build_args: &args,
        platforms: &platforms,
        build_platform: &BUILDER(),
        build_contexts: &contexts,
        triggers: &[],
    };
    analyse(text.as_bytes(), &request)
}

pub(super) fn plain(text: &str) -> Analysis {
    ask(text, &PLAIN).unwrap()
}

pub(super) fn images(analysis: &Analysis) -> Vec<(&str, usize)> {
    analysis.images.iter().map(|image| (image.reference.as_str(), image.line)).collect()
}

fn sources(analysis: &Analysis) -> Vec<&str> {
    let Copied::Known(sources) = &analysis.copied else { panic!("{:?}", analysis.copied) };
    sources.iter().map(|source| source.path.as_str()).collect()
}

pub(super) fn reason(analysis: &Analysis) -> &str {
    let Copied::Unknown(reason) = &analysis.copied else { panic!("{:?}", analysis.copied) };
    reason
}

pub(super) fn fault(text: &str) -> String {
    let error = ask(text, &PLAIN).unwrap_err();
    assert!(error.is_user_build_error(), "{error}");
    error.to_string()
}

#[test]
fn only_what_the_target_reaches_counts() {
    let text = "FROM a AS one\nCOPY 1 /\nFROM b AS two\nCOPY 2 /\nFROM c AS three\nCOPY --from=ONE /1 /\nRUN --mount=from=d,target=/d true\nFROM two\n";
    let three = ask(text, &Ask { target: Some("THREE"), ..PLAIN }).unwrap();
    assert_eq!(three.stages, ["one", "three"]);
    assert_eq!(images(&three), [("a", 1), ("c", 5), ("d", 7)]);
    assert_eq!(sources(&three), ["1"]);
    let last = plain(text);
    assert_eq!(
        (last.stages.as_slice(), images(&last)),
        (["two".to_owned(), "stage-3".to_owned()].as_slice(), vec![("b", 3)])
    );
    let missing = ask(text, &Ask { target: Some("four"), ..PLAIN }).unwrap_err();
    assert_eq!(missing.to_string(), "target `four` is not a stage of Dockerfile (stages: one, two, three)");
    assert!(!missing.is_user_build_error());
}

#[test]
fn stage_references() {
    let numbered = plain("FROM a\nFROM b\nCOPY --from=0 /x /\n");
    assert_eq!(images(&numbered), [("a", 1), ("b", 2)]);
    let image = plain("FROM scratch\nCOPY --from=ghcr.io/x/y:1 /x /\nCOPY --from=scratch /x /\n");
    assert_eq!(images(&image), [("ghcr.io/x/y:1", 2)]);
    assert_eq!(image.images[0].role, Role::Copy);
    // The same name twice: a FROM sees the one above it, a COPY the last one.
    let twice = plain("FROM a AS x\nFROM x AS y\nFROM b AS x\nFROM y\nCOPY --from=x /b /\n");
    assert_eq!(images(&twice), [("a", 1), ("b", 3)]);
    assert!(
        fault("FROM a\nCOPY --from=1 /x /\nFROM b AS c\nFROM c\nCOPY --from=7 / /\n")
            .contains("Dockerfile:5: there is no stage 7")
    );
    assert!(
        fault("FROM a\nCOPY --from=later /x /\nFROM b AS later\nFROM 0\nCOPY --from=0 /x /\n")
            .contains("Dockerfile:2: stage `later` must be defined")
    );
    assert!(fault("FROM a AS x\nCOPY --from=x /x /\n").contains("must be defined"));
    assert!(
        fault("FROM a\nARG V\nCOPY --from=$V /x /\n").starts_with("Dockerfile:3: --from takes no variables")
    );
    assert!(
        fault("FROM a\nRUN --mount=type=bind,from=$V,target=/x x\n")
            .starts_with("Dockerfile:2: `from` of a mount")
    );
}

#[test]
fn variables_in_from() {
    let text = "ARG BASE=python\nARG TAG=3\nARG FULL=${BASE}:${TAG}-slim\nFROM --platform=$BUILDPLATFORM ${FULL}\nFROM foo-${TARGETARCH}${TARGETVARIANT:+-$TARGETVARIANT}:${NOPE:-x}\nCOPY --from=0 / /\n";
    let analysis = plain(text);
    assert_eq!(images(&analysis), [("python:3-slim", 4), ("foo-amd64:x", 5)]);
    assert_eq!(analysis.images[0].platform.as_deref(), Some("linux/amd64"));
    let given = ask(
        text,
        &Ask { args: &[("TAG", "4"), ("NOPE", "y")], platforms: &["linux/arm/v7", "linux/aarch64"], ..PLAIN },
    )
    .unwrap();
    assert_eq!(images(&given), [("python:4-slim", 4), ("foo-arm-v7:x", 5), ("foo-arm64:x", 5)]);
    assert!(fault("FROM $NOTHING\n").contains("Dockerfile:1: `FROM $NOTHING` names no image"));
    assert!(fault("ARG X=\"${Y:?must be given}\"\nFROM a\n").contains("Dockerfile:1: `Y`: must be given"));
    assert_eq!(
        images(&ask("ARG V\nFROM a:$V\n", &Ask { args: &[("V", "1"), ("V", "2")], ..PLAIN }).unwrap()),
        [("a:2", 2)]
    );
}

#[test]
fn variables_in_sources() {
    let known =
        plain("ARG G=g\nFROM scratch\nARG A=a\nARG G\nENV E=$A-e F=$E\nCOPY $A ${G} $E x$F /\nFROM 0\n");
    assert_eq!(known.stages, ["stage-1"], "`FROM 0` names an image");
    let known = plain(
        "ARG G=g\nFROM scratch AS s\nARG A=a\nARG G\nENV E=$A-e F=$E\nCOPY $A ${G} $E x$F /\nFROM s\nCOPY 2$A ./\n",
    );
    assert_eq!(sources(&known), ["2a", "a", "a-e", "g", "x"]);
    assert!(known.declared_args.iter().eq(["A", "G"]));
    let image = plain("FROM base\nCOPY $HOME/x /\n");
    assert_eq!(reason(&image), "line 2: `$HOME` in `$HOME/x` may come from the base image");
    assert_eq!(
        reason(&plain("FROM base\nARG HOME\nENV D=$HOME\nCOPY $D /\n")),
        "line 4: `$D` in `$D` may come from the base image"
    );
    let mount = plain("FROM base\nRUN --mount=type=$T,source=f,target=/m cat /m\n");
    assert_eq!(reason(&mount), "line 2: `$T` in a mount may come from the base image");
    assert_eq!(sources(&plain("FROM base\nARG HOME=/h\nENV D=$HOME\nCOPY $D /\n")), ["/h"]);
    assert_eq!(
        sources(&ask("FROM base\nARG D\nCOPY $D /\n", &Ask { args: &[("D", "d")], ..PLAIN }).unwrap()),
        ["d"]
    );
}

#[test]
fn sources_of_every_shape() {
    let text = r#"FROM scratch
copy --chown=1:1 --exclude=*.md --exclude=x a b/ /dest/
COPY ["e f", "g", "/dest/"]
ADD local.tar.gz https://example.com/x.tgz /dest/
ADD --checksum=sha256:aa https://example.com/y /dest/
ADD https://github.com/o/r.git#v1 git@github.com:o/r.git#0123456789012345678901234567890123456789:dir github.com/o/r /dest/
COPY <<one <<-"two" h /dest/
	$content
one
	raw
	two
RUN --mount=type=bind,source=m,target=/m --mount=type=cache,target=/c --mount=type=secret,id=s --mount="type=bind,src=n n,target=/n" true
RUN --mount=target=/src,from=img,source=/no true
ONBUILD COPY never /
"#;
    let analysis = plain(text);
    assert_eq!(
        sources(&analysis),
        ["a", "b/", "e f", "g", "github.com/o/r", "h", "local.tar.gz", "m", "n n"]
    );
    let Copied::Known(list) = &analysis.copied else { panic!() };
    assert!(list.iter().any(|s| s.path == "a" && *s.excludes == ["*.md", "x"] && s.line == 2));
    let remote: Vec<_> = analysis.remote.iter().map(|r| (r.url.as_str(), r.line, r.pin.clone())).collect();
    assert_eq!(
        remote,
        [
            ("https://example.com/x.tgz", 4, Pin::File),
            ("https://example.com/y", 5, Pin::Fixed("sha256:aa".to_owned())),
            (
                "https://github.com/o/r.git#v1",
                6,
                Pin::Repository(GitRef {
                    remote: "https://github.com/o/r.git".to_owned(),
                    reference: "v1".to_owned(),
                    ..GitRef::default()
                })
            ),
            (
                "git@github.com:o/r.git#0123456789012345678901234567890123456789:dir",
                6,
                Pin::Fixed("0123456789012345678901234567890123456789".to_owned())
            ),
        ]
    );
    assert_eq!(images(&analysis), [("img", 13)]);
    assert!(fault("FROM a\nCOPY https://x/y /\n").contains("COPY takes no URL"));
    assert_eq!(
        sources(&plain("FROM a\nRUN --mount=target=/src make\n")),
        [""],
        "a mount without a source is the whole context"
    );
}

#[test]
fn a_url_that_only_the_base_image_knows_is_not_guessed() {
    let analysis = plain("FROM a\nADD $MIRROR/x.tgz /\nADD dir/$X /\n");
    assert_eq!(
        analysis.remote,
        [RemoteSource {
            url: "$MIRROR/x.tgz".to_owned(),
            line: 2,
            pin: Pin::Unknown { variable: "MIRROR".to_owned() }
        }]
    );
}

#[test]
fn triggers_of_a_stage_run_in_the_stage_built_on_it() {
    let text = "FROM a AS tools\nFROM b AS parent\nONBUILD COPY --from=tools /t /\nONBUILD COPY app /\nFROM parent\n";
    let analysis = plain(text);
    assert_eq!((sources(&analysis), analysis.stages.len()), (vec!["app"], 3));
    assert!(fault("FROM a\nONBUILD FROM b\n").contains("FROM is not allowed after ONBUILD"));
}

#[test]
fn build_contexts_take_the_place_of_images_and_stages() {
    let text = "FROM docker.io/library/alpine:latest AS base\nRUN x\nFROM base AS mid\nCOPY --from=assets / /\nCOPY y /\nFROM mid\n";
    let with = |contexts: &[&str]| {
        let analysis = ask(text, &Ask { contexts, ..PLAIN }).unwrap();
        let images = images(&analysis).iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        (images, analysis.contexts.into_iter().collect::<Vec<_>>())
    };
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(with(&["alpine", "unused"]), (strings(&["assets"]), strings(&["alpine"])));
    assert_eq!(with(&["assets"]), (strings(&["docker.io/library/alpine:latest"]), strings(&["assets"])));
    assert_eq!(with(&["base", "assets"]), (vec![], strings(&["assets", "base"])));
    assert_eq!(with(&["mid"]), (vec![], strings(&["mid"])), "a replaced stage needs nothing itself");
}

/// D51
#[test]
fn d51_short_names_are_those_of_docker() {
    for (name, short) in [
        ("docker.io/library/alpine:latest", "alpine"),
        ("index.docker.io/library/alpine:3", "alpine:3"),
        ("library/foo/bar", "library/foo/bar"),
        ("docker.io/library/foo/bar", "library/foo/bar"),
        ("docker.io/foo/bar:latest", "foo/bar"),
        ("ghcr.io/library/foo", "ghcr.io/library/foo"),
    ] {
        assert_eq!(familiar(name), short);
    }
}

#[test]
fn frontends() {
    for (text, official) in [
        ("# syntax=docker/dockerfile:1\nFROM a\n", true),
        ("#syntax = docker.io/docker/dockerfile:1.7-labs@sha256:abc\nFROM a\n", true),
        ("#!/usr/bin/env x\n# syntax=docker/dockerfile-upstream:master\nFROM a\n", true),
        ("// syntax=example.com/own:1\nFROM a\n", false),
        ("{\"syntax\": \"example.com:5000/own/dockerfile\"}", false),
        // D60. Mirrors of Docker's own.
        ("# syntax=mirror.example/docker/dockerfile:1\nFROM a\n", true),
        ("# syntax=mirror.example:5000/hub/docker/dockerfile-upstream@sha256:abc\nFROM a\n", true),
        ("# syntax=mirror.example/notdocker/dockerfile:1\nFROM a\n", false),
        ("# syntax=acme/docker/dockerfile:1\nFROM a\n", false),
        ("# syntax=acme/dockerfile:1 --opt\nNEW thing\n", false),
    ] {
        let analysis = plain(text);
        assert_eq!(analysis.frontend.as_ref().unwrap().official, official, "{text}");
        assert_eq!(analysis.whole_text_reason.is_none(), official);
        if !official {
            assert!(reason(&analysis).contains("may read the file in its own way"));
        }
    }
    assert_eq!(
        plain("# syntax=acme/x:1 --opt\nFROM a").frontend.unwrap(),
        Frontend {
            reference: "acme/x:1".to_owned(),
            directive: "acme/x:1 --opt".to_owned(),
            line: 1,
            official: false,
        }
    );
    assert!(plain("# a comment first\n# syntax=acme/x\nFROM a\n").frontend.is_none());
    let argument = ask(
        "# syntax=docker/dockerfile:1\nFROM a\n",
        &Ask { args: &[("BUILDKIT_SYNTAX", "acme/x")], ..PLAIN },
    )
    .unwrap();
    assert_eq!(argument.frontend.unwrap().reference, "acme/x");
}

#[test]
fn lines_and_directives() {
    // A backtick as escape: the backslashes stay.
    let text = "\u{feff}# escape=`\r\n# check=skip=all\r\nFROM a `\r\n  AS `\r\n# inside\r\n\r\n  win\r\nCOPY c:\\x `\r\n y\\ /\r\n";
    let analysis = plain(text);
    assert_eq!(
        (analysis.stages.as_slice(), sources(&analysis)),
        (["win".to_owned()].as_slice(), vec!["c:\\x", "y\\"])
    );
    let text = "FROM a\nRUN echo \\\n  # comment\n\n  b <<EOF && cat <<'X' >y\nCOPY not /\nEOF\nCOPY nor /\nX\nCOPY yes /\n";
    assert_eq!(sources(&plain(text)), ["yes"]);
    assert_eq!(
        sources(&plain("FROM a\nRUN echo \\\\\nCOPY x /\n")),
        ["x"],
        "a doubled escape does not continue"
    );
    assert_eq!(sources(&plain("FROM a\nRUN [\"cat\", \"<<EOF\"]\nCOPY x /\n")), ["x"]);
    assert_eq!(sources(&plain("FROM a\nRUN cat <<< EOF\nCOPY x /\n")), ["x"]);
    for (text, want) in [
        ("FROM a\nRUN <<EOF\nx\n", "Dockerfile:2: here-document `EOF` is never closed"),
        ("# escape=x\nFROM a\n", "Dockerfile:1: escape `x` must be ` or \\"),
        ("# escape=`\n# escape=`\nFROM a\n", "Dockerfile:2: only one escape directive can be used"),
        ("FROM a\n\nCOPPY x /\n", "Dockerfile:3: unknown instruction: COPPY"),
        ("FROM a\nCOPY x\n", "Dockerfile:2: COPY needs a source and a destination"),
        ("RUN x\nFROM a\n", "Dockerfile:1: RUN before the first FROM"),
        ("FROM a b\n", "Dockerfile:1: FROM takes an image, or an image AS a name"),
        ("FROM a AS 1st\n", "Dockerfile:1: `1st` cannot name a stage"),
        ("# nothing\n", "Dockerfile:1: there is no FROM"),
        ("", "Dockerfile:1: there is no FROM"),
        ("FROM a\nCOPY \"x /\n", "Dockerfile:2: a double quote is never closed"),
    ] {
        assert!(fault(text).starts_with(want), "{text:?}: {}", fault(text));
    }
}

#[test]
fn the_digest_is_of_what_decides() {
    let base = "ARG V=1\nFROM a:$V AS x\nRUN one \\\n && two\nFROM b AS unused\nRUN u\nFROM x\nCOPY --from=0 c /\nRUN <<EOF\nh\nEOF\n";
    let same = |text: &str| plain(text).digest == plain(base).digest;
    assert!(same(&base.replace("RUN u", "RUN other")), "an unreached stage");
    assert!(same(&base.replace("FROM b AS unused\nRUN u\n", "")), "an unreached stage that goes");
    assert!(
        same(&base.replace("\nRUN u", "\n# note\n\nRUN u").replace("\n && two", "\n# why\n\n && two")),
        "comments and blank lines"
    );
    assert!(
        same(&base.replace("RUN one", "run  one").replace("AS x", "as X")),
        "letter case of keywords and stage names"
    );
    assert!(same(&base.replace('\n', "\r\n").replace("h\r\n", "h\n")), "line endings outside here-documents");
    for (from, to) in [
        ("V=1", "V=2"),
        ("RUN one", "RUN 0ne"),
        ("&& two", "&&  two"),
        ("\nh\n", "\ni\n"),
        ("<<EOF", "<<'EOF'"),
        ("--from=0", ""),
        ("c /", "c  /x"),
        ("FROM x\n", "FROM b\n"),
    ] {
        assert!(!same(&base.replace(from, to)), "{from} -> {to}");
    }
    // The same number, another stage.
    let one = plain("FROM a\nRUN a\nFROM b\nRUN b\nFROM c\nCOPY --from=0 / /\nCOPY --from=1 / /x\n").digest;
    let two = plain("FROM a\nRUN a\nFROM b\nRUN b\nFROM c\nCOPY --from=1 / /\nCOPY --from=0 / /x\n").digest;
    assert_ne!(one, two);
    let raw = |bytes: &[u8]| {
        let build = BUILDER();
        let request = AnalysisRequest {
            file: "D",
            target: None,
            build_args: &[],
            platforms: &[],
            build_platform: &build,
            build_contexts: &[],
            triggers: &[],
        };
        analyse(bytes, &request).unwrap()
    };
    let latin = raw(b"FROM a\n# \xe9\nCOPY \xe9 /\n");
    assert_eq!(reason(&latin), "the Dockerfile is not UTF-8");
    assert_ne!(latin.digest, raw(b"FROM a\n# \xe8\nCOPY \xe9 /\n").digest);
}
