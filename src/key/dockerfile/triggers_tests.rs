//! `ONBUILD` instructions of base images.

use std::collections::BTreeSet;

use super::tests::{images, plain, reason};
use super::*;

fn with(text: &str, triggers: &[(&str, Option<&[&str]>)]) -> Analysis {
    let given = |(base, texts): &(&str, Option<&[&str]>)| BaseTriggers {
        base: (*base).to_owned(),
        line: 1,
        texts: texts.map(|texts| texts.iter().map(|&text| text.to_owned()).collect()),
    };
    let triggers: Vec<_> = triggers.iter().map(given).collect();
    let request = AnalysisRequest {
        file: "Dockerfile",
        target: None,
        build_args: &[],
        platforms: &[],
        build_platform: &"linux/amd64".parse().unwrap(),
        build_contexts: &["assets".to_owned()],
        triggers: &triggers,
    };
    analyse(text.as_bytes(), &request).unwrap()
}

fn paths(analysis: &Analysis) -> Vec<&str> {
    let Copied::Known(sources) = &analysis.copied else { panic!("{:?}", analysis.copied) };
    sources.iter().map(|source| source.path.as_str()).collect()
}

#[test]
fn e05_triggers_of_a_base_count_as_instructions_of_its_stages() {
    let text = "ARG NODE_ENV=a\nFROM b AS tools\nFROM node:onbuild AS first\nFROM first\nCOPY x /\n";
    let found = with(
        text,
        &[(
            "node:onbuild",
            Some(&[
                "ARG NODE_ENV",
                "ENV E=$NODE_ENV D=sub",
                "COPY package.json $D/lock /app/",
                "RUN --mount=type=secret,id=npm npm install",
                "COPY --from=tools /t /t",
                "COPY --from=assets /a /a",
                "COPY --from=other:1 /o /o",
            ]),
        )],
    );
    assert_eq!(paths(&found), ["package.json", "sub/lock", "x"]);
    assert_eq!(images(&found), [("b", 2), ("node:onbuild", 3), ("other:1", 1)]);
    assert!(found.contexts.contains("assets") && found.may_read("NODE_ENV"));
    assert!(found.secrets.contains("npm") && !found.secrets.contains("other") && found.runs);
    assert_eq!(found.stages, ["tools", "first", "stage-2"]);
    // Not in a stage that only copies from it, and not twice.
    let copies = with("FROM scratch\nCOPY --from=base / /\n", &[("base", Some(&["COPY . /"]))]);
    assert!(paths(&copies).is_empty());
}

#[test]
fn e05_every_list_of_triggers_has_a_digest_of_its_own() {
    let text = "FROM base AS a\nFROM base AS b\nCOPY --from=a / /\n";
    let lists: [&[&str]; 6] = [
        &["COPY a /"],
        &["COPY a /", "COPY a /"],
        &["COPY b /"],
        &["RUN a"],
        &["COPY a /", "RUN a"],
        &["RUN a", "COPY a /"],
    ];
    let mut digests = vec![plain(text).narrow_digest];
    digests.extend(lists.iter().map(|list| with(text, &[("base", Some(list))]).narrow_digest));
    let different: BTreeSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
    // In one base or in the other.
    let text = "FROM one AS a\nFROM two\nCOPY --from=a / /\n";
    let list: Option<&[&str]> = Some(&["RUN a"]);
    assert_ne!(with(text, &[("one", list)]).digest, with(text, &[("two", list)]).digest);
}

#[test]
fn e05_where_triggers_cannot_be_read_the_whole_context_counts() {
    let text = "FROM scratch AS s\nFROM base\nCOPY x /\n";
    for (triggers, why) in [
        (None, "they differ by platform"),
        (Some(&["RUN <<E\nx\nE"][..]), "`RUN <<E\nx\nE` is more than one line"),
        (Some(&["# COPY . /"]), "`# COPY . /` is not one instruction"),
        (Some(&["COPY a /\nCOPY b /"]), "is not one instruction"),
        (Some(&["FROM x"]), "`FROM x` cannot be a trigger"),
        (Some(&["5"]), "unknown instruction: 5"),
        (Some(&["COPY --from=later / /"]), "base"),
        (Some(&["COPY $UNKNOWN /"]), "`$UNKNOWN` in `$UNKNOWN` may come from the base image"),
        (Some(&["COPY --new=1 a /"]), "--new"),
    ] {
        let text = if triggers == Some(&["COPY --from=later / /"]) {
            "FROM base AS a\nFROM x AS later\nFROM a\nCOPY --from=later x /\n"
        } else {
            text
        };
        let found = with(text, &[("base", triggers)]);
        assert!(reason(&found).contains(why), "{:?}", found.copied);
    }
    let escaped = with("# escape=`\nFROM base\nCOPY x /\n", &[("base", Some(&["COPY a /"]))]);
    assert!(reason(&escaped).ends_with("the Dockerfile has an escape character of its own"));
}
