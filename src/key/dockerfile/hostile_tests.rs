//! D28: texts that once hung, ate memory or ended the process. Each is read, or refused with a reason that names
//! the limit.

use super::{Analysis, AnalysisRequest, analyse};
use crate::image::Platform;
use crate::key::error::KeyError;

fn read(text: &str) -> Result<Analysis, KeyError> {
    let request = AnalysisRequest {
        file: "Dockerfile",
        target: None,
        build_args: &[],
        platforms: &[],
        build_platform: &Platform::of_this_machine(),
        build_contexts: &[],
        triggers: &[],
    };
    analyse(text.as_bytes(), &request)
}

fn repeated(times: usize, text: impl Fn(usize) -> String) -> String {
    (0..times).map(text).collect()
}

#[track_caller]
fn refused(text: &str, reason: &str) {
    let error = read(text).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
    assert!(error.len() < 2000, "{} bytes of message", error.len());
}

#[test]
fn d28_nested_variables_have_a_limit() {
    let nested =
        |levels: usize| format!("FROM scratch\nENV A={}x{}\n", "${A:-".repeat(levels), "}".repeat(levels));
    assert!(read(&nested(90)).is_ok());
    refused(&nested(101), "more than 100 levels");
    refused(&nested(12_000), "more than 100 levels");
}

#[test]
fn d28_onbuild_in_onbuild_is_refused() {
    refused(
        &format!("FROM scratch\n{} RUN x\n", "ONBUILD ".repeat(8000)),
        "ONBUILD is not allowed after ONBUILD",
    );
}

#[test]
fn d28_doubling_variables_have_a_limit() {
    refused(
        &format!("FROM scratch\nENV A=aaaaaaaa\n{}", "ENV A=$A$A\n".repeat(40)),
        "come to more than 8 MiB",
    );
    // Read and dropped, it costs as much.
    let wide = format!("FROM scratch\nENV A={}\nENV B={}\n", "a".repeat(30_000), "${A:+x}".repeat(4000));
    refused(&wide, "come to more than 8 MiB");
    // A replacement in each place.
    let many =
        format!("FROM scratch\nENV A={}\nENV B=${{A//a/{}}}\n", "a".repeat(30_000), "b".repeat(30_000));
    refused(&many, "come to more than 8 MiB");
}

#[test]
fn d28_patterns_are_matched_without_backtracking() {
    let (value, stars) = ("a".repeat(200), "*a".repeat(40));
    for word in ["${X#S*b}", "${X%%S*b}", "${X/S*b/y}", "${X//S*b/y}"] {
        let text = format!("FROM scratch\nENV X={value}\nENV Y={}\n", word.replace('S', &stars));
        read(&text).unwrap();
    }
    let long =
        format!("FROM scratch\nENV X={}\nENV Y=${{X//{}b/y}}\n", "a".repeat(30_000), "?a".repeat(2000));
    refused(&long, "more than 10,000,000 steps");
}

#[test]
fn d28_long_files_are_read_in_a_time_that_grows_with_them() {
    let lines = repeated(19_000, |n| format!("ENV A{n}=$A{}x\n", n / 2));
    let text = format!("FROM scratch\n{lines}");
    read(&text).unwrap();
    refused(&format!("FROM scratch\n{}", "ENV A=1\n".repeat(20_000)), "more than 20,000 instructions");
    // Each stage stands on the one before, and adds to what it inherits.
    let stages = repeated(9000, |n| format!("FROM s{n} AS s{}\nENV B{n}=1\n", n + 1));
    let analysis = read(&format!("FROM scratch AS s0\nENV A=1\n{stages}")).unwrap();
    assert_eq!(analysis.stages.len(), 9001);
    let globals = repeated(9000, |n| format!("ARG G{n}=$G{}\n", n / 2));
    let args = repeated(9000, |n| format!("ARG G{n}\n"));
    read(&format!("{globals}FROM scratch\n{args}")).unwrap();
}

#[test]
fn d28_what_triggers_come_to_has_a_limit() {
    let triggers = format!("FROM scratch AS b\n{}", "ONBUILD ENV A=1\n".repeat(3000));
    refused(&format!("{triggers}{}", "FROM b\n".repeat(4000)), "more than 20,000 ONBUILD instructions");
}

#[test]
fn d28_a_file_has_a_size() {
    refused(&format!("FROM scratch\n#{}\n", "x".repeat(1 << 20)), "larger than 1 MiB");
}

#[test]
fn d33_what_is_named_outside_has_a_limit() {
    let urls = repeated(1500, |n| format!("ADD https://h/{n} /\n"));
    refused(&format!("FROM scratch\n{urls}"), "more than 500 URLs");
    let images = repeated(600, |n| format!("COPY --from=h/i{n} /a /\n"));
    refused(&format!("FROM scratch\n{images}"), "more than 500 images");
    let paths = repeated(11_000, |n| format!("p{n} "));
    refused(&format!("FROM scratch\nCOPY {paths} /\n"), "more than 10,000 paths");
}
