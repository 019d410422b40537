//! The whole file: instructions that are not reached, targets, and generated stages.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{Ask, PLAIN, ask, fault, images, plain, reason};

/// D109. What BuildKit's parser refuses, it refuses in stages that are not reached, too.
#[test]
fn d109_every_instruction_is_checked() {
    for (line, why) in [
        ("COPPY a b", "unknown instruction: COPPY"),
        ("COPY --chown a b", "--chown needs a value"),
        ("COPY --link=yes a b", "--link is true or false, not `yes`"),
        ("COPY --from=a --from=b a b", "--from is given more than once"),
        ("COPY a <<EOF\nEOF", "cannot write to a here-document"),
        ("ADD --unpack=1 a b", "--unpack is true or false"),
        ("COPY a", "needs a source and a destination"),
        ("ENV", "ENV takes name=value"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV =b", "ENV takes name=value"),
        ("LABEL A=1 B", "must be of the form name=value"),
        ("LABEL", "LABEL takes name=value"),
        ("WORKDIR", "WORKDIR takes one argument"),
        ("USER", "USER takes one argument"),
        ("STOPSIGNAL", "STOPSIGNAL takes one argument"),
        ("MAINTAINER", "MAINTAINER takes one argument"),
        ("EXPOSE", "EXPOSE takes at least one port"),
        ("VOLUME", "VOLUME takes at least one path"),
        ("VOLUME [\"\"]", "VOLUME takes at least one path"),
        ("SHELL sh -c", "SHELL takes a JSON array"),
        ("SHELL []", "SHELL takes a JSON array"),
        ("CMD [\"a\", 1]", "CMD takes an array of strings only"),
        ("HEALTHCHECK", "HEALTHCHECK takes NONE"),
        ("HEALTHCHECK NONE x", "takes no arguments"),
        ("HEALTHCHECK CMD", "HEALTHCHECK takes NONE, or CMD"),
        ("HEALTHCHECK RUN x", "not RUN"),
        ("ARG =x", "ARG needs a name"),
        ("ONBUILD", "ONBUILD takes an instruction"),
        ("ONBUILD MAINTAINER x", "MAINTAINER is not allowed after ONBUILD"),
        ("RUN --network=lan x", "--network is default, none or host"),
        ("RUN --mount=type=bind,from=$V,target=/x x", "`from` of a mount takes no variables"),
        ("RUN --mount=\\\"a x", "a quote is never closed"),
    ] {
        let text = format!("FROM a AS unreached\n{line}\nFROM b\n");
        let fault = fault(&text);
        assert!(fault.starts_with("Dockerfile:2: ") && fault.contains(why), "{line}: {fault}");
    }
}

/// D109. What only a newer frontend could mean, or what BuildKit refuses while it resolves stages: then the whole text
/// counts, and no image is found under a key that such a line does not change.
#[test]
fn d109_what_is_in_doubt_counts() {
    let base = "FROM a AS unreached\nFROM b\nCOPY x /\n";
    for (line, why) in [
        ("COPY --new=1 a b", "line 2: COPY has a flag --new that is not known here"),
        ("RUN --new x", "line 2: RUN has a flag --new that is not known here"),
        ("COPY --from=$V a b", "line 2: --from takes no variables"),
        ("COPY --from=9 a b", "line 2: there is no stage 9"),
        ("COPY --from=unreached a b", "line 2: stage `unreached` must be defined before it is used"),
    ] {
        let with = |line: &str| plain(&base.replace("\nFROM b", &format!("\n{line}\nFROM b")));
        let analysis = with(line);
        assert!(reason(&analysis).starts_with(why), "{}", reason(&analysis));
        assert_ne!(analysis.digest, plain(base).digest);
        assert_ne!(analysis.digest, with(&format!("{line} ")).digest, "{line}");
    }
    let platform = plain("FROM --platform=what/ever/and/more a\nFROM b\n");
    assert_eq!(reason(&platform), "line 1: `what/ever/and/more` is no platform");
    // An unreached stage may copy from a later one of a name that is taken twice; not from one that comes back to it.
    let twice = "FROM a AS x\nFROM b AS unreached\nCOPY --from=x / /\nFROM x AS x\nCOPY y /\n";
    assert_eq!(plain(twice).whole_text_reason, None);
    let circle = "FROM b AS one\nCOPY --from=two / /\nFROM one AS two\nFROM a\n";
    assert!(reason(&plain(circle)).starts_with("line 2: stage `two` must be defined"));
    // What no parser looks at.
    for line in
        ["HEALTHCHECK --x NONE", "ARG --x=1 A", "STOPSIGNAL --x KILL", "ONBUILD FOO", "ONBUILD COPY --x a"]
    {
        assert!(plain(&format!("FROM a\n{line}\nFROM b\n")).whole_text_reason.is_none(), "{line}");
    }
    assert!(fault("FROM a AS p\nONBUILD FOO\nFROM p\n").contains("Dockerfile:2: unknown instruction: FOO"));
}

/// D70, D88. BuildKit compares names without regard to case, and takes the last stage where none is named.
#[test]
fn d70_d88_one_stage_is_one_target() {
    let text = "FROM a AS Mid\nFROM b AS Final\n";
    let target = |text: &str, target: Option<&str>| ask(text, &Ask { target, ..PLAIN }).unwrap().target;
    for last in [None, Some(""), Some("final"), Some("FINAL")] {
        assert_eq!(target(text, last), "", "{last:?}");
    }
    assert_eq!((target(text, Some("MID")), target(text, Some("mid"))), ("mid".to_owned(), "mid".to_owned()));
    // There, its spelling is in the image.
    let declares = "FROM a AS final\nARG TARGETSTAGE\nRUN echo $TARGETSTAGE\n";
    assert_eq!(
        (target(declares, None), target(declares, Some("FINAL"))),
        ("final".to_owned(), "FINAL".to_owned())
    );
    // Also where only the stages of one platform declare it, be it not the last one.
    let by_platform = "FROM x AS amd64\nARG TARGETSTAGE\nFROM x AS arm64\nFROM $TARGETARCH AS final\n";
    let both = Ask { target: Some("FINAL"), platforms: &["linux/amd64", "linux/arm64"], ..PLAIN };
    assert_eq!(ask(by_platform, &both).unwrap().target, "FINAL");
    let foreign = format!("# syntax=acme/x\n{text}");
    assert_eq!(
        (target(&foreign, Some("FINAL")), target(&foreign, None)),
        ("FINAL".to_owned(), String::new())
    );
}

/// D60.
#[test]
fn d60_a_base_without_a_value_names_its_place_and_its_cure() {
    for (text, message, hint) in [
        (
            "ARG A\nFROM ${A}\n",
            "Dockerfile:2: `FROM ${A}` names no image: A without a value",
            "give A in build-args",
        ),
        (
            "ARG A\nARG B\nFROM ${A}:${B}\n",
            "Dockerfile:3: `FROM ${A}:${B}` names no image: A and B without a value",
            "give A and B in build-args",
        ),
        (
            "ARG B\nFROM a:${B}\n",
            "Dockerfile:2: `FROM a:${B}` names no image: B without a value",
            "give B in build-args",
        ),
    ] {
        let error = ask(text, &PLAIN).unwrap_err();
        assert!(error.is_user_build_error());
        assert_eq!((error.to_string().as_str(), &*error.hint()), (message, hint));
    }
    assert_eq!(images(&plain("ARG A\nFROM a${A}\n")), [("a", 2)]);
    assert_eq!(images(&plain("ARG A\nFROM ${A:-b}\n")), [("b", 2)]);
}

/// Stages `s0`, `s1`, …: each with the number of the stage it is built on, and of those it copies from.
fn stages() -> impl Strategy<Value = Vec<(Option<usize>, Vec<usize>)>> {
    proptest::collection::vec(
        (proptest::option::of(0..8_usize), proptest::collection::vec(0..8_usize, 0..3)),
        1..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is reached, against the closure by hand; by name or by number, in any case.
    #[test]
    fn reached_stages_are_the_closure(stages in stages(), target in 0..8_usize, by_number in any::<bool>()) {
        let target = target % stages.len();
        let mut text = String::new();
        let mut needs: Vec<Vec<usize>> = Vec::new();
        for (number, (base, copies)) in stages.iter().enumerate() {
            let base = base.filter(|base| *base < number);
            let from = base.map_or_else(|| format!("image{number}"), |base| format!("s{base}"));
            text.extend(["FROM ", &from, " AS S", &number.to_string(), "\n"]);
            let mut own: Vec<usize> = base.into_iter().collect();
            for copy in copies.iter().filter(|copy| **copy < number) {
                let from = if by_number { copy.to_string() } else { format!("S{copy}") };
                text.extend(["COPY --from=", &from, " /x /", &number.to_string(), "\n"]);
                own.push(*copy);
            }
            needs.push(own);
        }
        let mut reached = BTreeSet::from([target]);
        for number in (0..=target).rev() {
            if reached.contains(&number) {
                reached.extend(&needs[number]);
            }
        }
        let name = format!("s{target}");
        let analysis = ask(&text, &Ask { target: Some(&name), ..PLAIN }).unwrap();
        let want: Vec<String> = reached.iter().map(|number| format!("s{number}")).collect();
        prop_assert_eq!(&analysis.stages, &want);
        prop_assert!(analysis.whole_text_reason.is_none());
        let bases: Vec<String> = reached
            .iter()
            .filter(|number| stages[**number].0.is_none_or(|base| base >= **number))
            .map(|number| format!("image{number}"))
            .collect();
        let images: Vec<String> = analysis.images.iter().map(|image| image.reference.clone()).collect();
        prop_assert_eq!(images, bases);
    }
}
