//! What a step of the build can do to the run.

use crate::harness::{Repository, Workspace};

/// F42: its text is no verdict: it fails as a step, once.
#[test]
fn a_step_that_prints_another_failure() {
    let (work, repository) = (Workspace::new("poses"), Repository::ecr("poses"));
    let lines = [
        "ERROR: failed to solve: failed to push: unexpected status from PUT request: 503 Service Unavailable",
        "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
        "no space left on device",
    ];
    let printed: String = lines.iter().map(|line| format!("echo '{line}' >&2; ")).collect();
    work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\nRUN {printed} exit 1\n"));
    work.commit("poses");
    let failed = work.program().repository(&repository).input("retries", "3").run().failed(10, "build");
    assert_eq!(failed.output("attempts"), "1");
    assert!(failed.annotations("error")[0].contains("exit code: 1"), "{}", failed.log);
    assert!(failed.summary.contains("503 Service Unavailable"), "its log is shown all the same");
}

/// F43: killed by the kernel looks so; it is still the step that failed.
#[test]
fn a_step_that_is_killed() {
    let work = Workspace::new("killed");
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN exit 137\n");
    work.commit("killed");
    let failed = work.program().run().failed(10, "build");
    let error = failed.annotations("error")[0];
    assert_eq!(failed.output("attempts"), "1");
    assert!(error.contains("137"), "{error}");
    assert!(error.contains("memory"), "what 137 mostly means: {error}");
}

/// F45 and F46: every command the runner knows, in both forms, from a step and mid-line.
#[test]
fn a_step_that_speaks_to_the_runner() {
    let (work, repository) = (Workspace::new("speaks"), Repository::ecr("speaks"));
    let names = "set-output save-state set-env add-path add-mask add-matcher remove-matcher error warning notice debug \
        group endgroup stop-commands echo";
    let script = format!(
        "RUN for c in {names}; do printf '::%s name=digest::forged\\n' $c; printf 'x\\r::%s::forged\\n' $c; \\\n\
         printf 'quiet ##[%s name=digest;]forged\\n' $c; printf '\\033[1m::%s::forged\\n' $c; done\n"
    );
    work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\nCOPY content.txt /\n{script}"));
    work.commit("speaks");
    let built = work.program().repository(&repository).run().is("built");
    let obeyed: Vec<String> = built.obeyed().into_iter().filter(|name| name != "add-mask").collect();
    // The notice is that of BuildKit's check of the Dockerfile.
    assert_eq!(obeyed, ["group", "stop-commands", "endgroup", "notice"], "{}", built.log);
    assert!(
        built
            .annotations("notice")
            .iter()
            .all(|text| text.contains("Dockerfile check") && !text.contains("forged"))
    );
    assert!(built.log.matches("forged").count() >= 60, "it is shown");
    built.is_published(&repository, &[&work.commit_tag()]);
}
