//! A builder with less memory than a step of the build wants.

use crate::engines::{classic, fresh, no_classic, nothing_left};
use crate::harness::{Repository, Workspace};

/// F23: the kernel ends the largest process, which is the step's and not BuildKit's: the step
/// failed, and what it lacked is said with the builder's limit.
#[test]
fn a_step_larger_than_its_builder() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("memory"), Repository::ecr("memory"));
    work.write(
        "Dockerfile",
        "ARG BASE\nFROM ${BASE}\nCOPY content.txt /\nRUN --network=none head -c 900000000 /dev/zero | tail -c 900000000 | wc -c >/eaten && test \"$(cat /eaten)\" != 0 || exit 137\n",
    );
    work.commit("eats memory");
    let program = fresh(work.program().repository(&repository).engine(classic()));
    let limited = "network=host\nmemory=300m\nmemory-swap=300m";
    let program = program.input("driver-opts", limited).input("cache", "none").input("provenance", "true");
    let failed = program.input("retries", "3").run().failed(10, "build");
    assert_eq!(failed.output("attempts"), "1", "the same again would end the same: {}", failed.log);
    let error = failed.annotations("error")[0];
    assert!(
        error.contains("137") && error.contains("the builder ran out of its memory of 300 MiB"),
        "{error}"
    );
    nothing_left(&work, classic());
    assert!(repository.tags().is_empty(), "{:?}", repository.tags());
}
