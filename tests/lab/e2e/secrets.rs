//! Build secrets: in the step that mounts them, and nowhere else.

use crate::harness::{Finished, Repository, Workspace, lab};

const VALUES: [&str; 3] =
    ["v4lue-of-the-first", "v4lue-of-the-second", "v4lue of the third, \"quoted\" = yes"];

fn program(work: &Workspace, repository: &Repository, values: [&str; 3]) -> Finished {
    let file = work.root().join("a,b.secret");
    std::fs::write(&file, values[2]).unwrap();
    let mut program = work
        .program()
        .repository(repository)
        .input("secrets", &format!("by_value={}", values[0]))
        .input("secret-envs", "by_env=SOME_VARIABLE")
        .env("SOME_VARIABLE", values[1])
        .input("secret-files", &format!("by_file={}", file.display()));
    for value in values {
        program = program.secret(value);
    }
    program.run()
}

#[test]
fn by_value_by_variable_and_by_file() {
    let (work, repository) = (Workspace::new("secrets"), Repository::open("secrets"));
    let mounts = ["by_value", "by_env", "by_file"].map(|id| format!("--mount=type=secret,id={id}")).join(" ");
    let sums = "cd /run/secrets && for s in by_value by_env by_file; do sha256sum $s; done >/sums.txt";
    work.write(
        "Dockerfile",
        &format!("ARG BASE\nFROM ${{BASE}}\nCOPY content.txt /\nRUN --network=none {mounts} {sums}\n"),
    );
    work.commit("secrets");
    let built = program(&work, &repository, VALUES).is("built");
    let sums = work.docker(&["run", "--rm", built.output("image"), "cat", "/sums.txt"]);
    for value in VALUES {
        let sum = format!("{:x}", <sha2::Sha256 as sha2::Digest>::digest(value.as_bytes()));
        assert!(sums.contains(&sum), "{value} did not reach its step: {sums}");
    }
    let image = repository.image(built.output("digest")).unwrap();
    let published = format!("{} {}", image.manifest, repository.config(&image));
    for value in VALUES {
        assert!(!published.contains(value) && !published.contains(&format!("{value:?}")), "{published}");
    }
    // Rotating a secret is no other content.
    let rotated = program(&work, &repository, ["r0tated-one", "r0tated-two", "r0tated-three"]);
    rotated.is("reused-tag").has(built.output("digest"));
}

#[test]
fn a_secret_that_a_step_prints_is_masked() {
    let work = Workspace::new("printed");
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY content.txt /\nRUN --mount=type=secret,id=token cat /run/secrets/token\n");
    work.commit("prints");
    let built = work.program().input("secrets", "token=v4lue-that-is-printed").run().is("built-local");
    // The runner replaces what it was told before; that is all anyone can do about a step that prints.
    let masked = built.stdout.find("::add-mask::v4lue-that-is-printed").unwrap();
    assert!(masked < built.stdout.rfind("v4lue-that-is-printed").unwrap());
    assert!(!built.summary.contains("v4lue") && !built.plan.as_deref().unwrap().contains("v4lue"));
}

#[test]
fn a_secret_that_is_empty_or_not_there() {
    let work = Workspace::new("no-secret");
    work.program().input("secret-files", "token=/no/such/file").run().failed(2, "input");
    assert!(!work.docker(&["image", "ls"]).contains(&work.image));
    work.program().input("secret-envs", "token=NOT_SET").run().failed(2, "input");
    // D46: docker/build-push-action warns and goes on.
    let run = work.program().input("secrets", "token=").run().is("built-local");
    assert!(run.annotations("warning").iter().any(|text| text.contains("token")), "{}", run.log);
}

#[test]
fn the_password_of_ecr_is_masked_before_anything_else() {
    let (work, repository) = (Workspace::new("masked"), Repository::ecr("masked"));
    let built = work.program().repository(&repository).run().is("built");
    let mask = format!("::add-mask::{}", lab().get("BUILD_ONCE_LAB_ECR_PASSWORD"));
    let at = built.stdout.lines().position(|line| line == mask).expect("a mask");
    assert!(built.stdout.lines().take(at).all(|line| !line.contains("docker buildx")), "{}", built.stdout);
}
