//! What does not decide the target, though it stands in the file.
#![allow(clippy::unwrap_used)]

use super::tests::{Ask, PLAIN, ask, plain};

/// Two files, and whether their targets are one.
fn same(one: &str, two: &str) -> bool {
    plain(one).narrow_digest == plain(two).narrow_digest
}

#[test]
fn a_global_argument_that_nothing_reads_decides_nothing() {
    let text = |none: &str, tail: &str| format!("ARG BASE=a\nARG NONE={none}\nFROM $BASE\n{tail}");
    assert!(same(&text("1", ""), &text("2", "")));
    assert!(same(&text("1", "RUN echo $NONE\n"), &text("2", "RUN echo $NONE\n")));
    assert!(!plain(&text("1", "")).may_read("NONE"));
    assert_ne!(
        plain(&text("1", "")).digest,
        plain(&text("2", "")).digest,
        "a trigger of the base might read it"
    );
    for tail in ["ARG NONE\n", "ARG NONE=own\n", "FROM b:$NONE\n", "FROM --platform=$NONE b\n"] {
        let platform = text("linux/amd64", tail);
        assert!(!same(&platform, &text("linux/arm64", tail)), "{tail}");
        assert!(plain(&platform).may_read("NONE"), "{tail}");
    }
    let chain = |value: &str| format!("ARG A={value}\nARG B=$A\nARG C=x\nFROM i:$B\n");
    assert!(!same(&chain("1"), &chain("2")));
    assert!(same(&chain("1"), &chain("1").replace("C=x", "C=y")));
    let unreached = |value: &str| format!("ARG A={value}\nFROM i:$A AS one\nFROM scratch\n");
    assert!(same(&unreached("1"), &unreached("2")));
    let trigger = |value: &str| format!("ARG A={value}\nFROM scratch AS one\nONBUILD ARG A\nFROM one\n");
    assert!(!same(&trigger("1"), &trigger("2")));
    let known = |value: &str| format!("ARG TARGETARCH={value}\nFROM scratch\n");
    assert!(!same(&known("1"), &known("2")));
}

#[test]
fn copies_that_say_the_same_are_the_same() {
    let text = |copy: &str| format!("FROM a AS one\nFROM b AS two\nFROM c\n{copy}\n");
    assert!(same(&text("COPY a b  /x/"), &text("COPY [\"a\",\"b\", \"/x/\"]")));
    assert!(same(&text("COPY --from=one /a /x/"), &text("COPY --from=0 /a /x/")));
    assert!(same(&text("COPY --from=ONE /a /x/"), &text("COPY --from=one /a /x/")));
    assert!(!same(&text("COPY --from=one /a /x/"), &text("COPY --from=two /a /x/")));
    assert!(!same(&text("COPY --from=one /a /x/"), &text("COPY --from=other /a /x/")));
    assert!(!same(&text("COPY --from=one /a /x/"), &text("COPY /a /x/")));
    assert!(!same(&text("COPY [\"a b\",\"/x/\"]"), &text("COPY a b /x/")));
    assert!(!same(&text("COPY --from=one a /x/\nCOPY a /x/"), &text("COPY a /x/\nCOPY --from=one a /x/")));
}

#[test]
fn the_platform_that_a_variable_chooses_counts() {
    let uses = |text: &str, value: &str| ask(text, &Ask { args: &[("V", value)], ..PLAIN }).unwrap().uses;
    let text = "ARG V\nFROM --platform=$V a\n";
    assert_ne!(uses(text, "linux/amd64"), uses(text, "linux/arm64"));
    let other = "ARG V\nFROM --platform=$BUILDPLATFORM a\n";
    assert_eq!(uses(other, "linux/amd64"), uses(other, "linux/arm64"));
}
