//! docker 26.1 with buildx 0.13: what self-hosted runners have that nobody updates.

use crate::harness::{Repository, Workspace, lab};

fn old(test: &str) -> (Workspace, String) {
    let work = Workspace::new(test);
    work.buildx(lab().get("BUILD_ONCE_LAB_BUILDX_OLD"));
    let bin = work.root().join("old");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(lab().get("BUILD_ONCE_LAB_DOCKER_OLD"), bin.join("docker")).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    (work, path)
}

#[test]
fn build_hit_and_alias() {
    let ((work, path), repository) = (old("old"), Repository::ecr("old"));
    let program = || work.program().repository(&repository).env("PATH", &path);
    let built = program().run().is("built");
    assert_eq!(built.plan()["steps"][0]["step"], "build");
    built.is_published(&repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    assert_eq!(built.number("total-steps"), 2, "{}", built.log);
    program().run().is("reused-tag").has(built.output("digest"));

    work.commit("same content");
    program().run().is("reused-key").has(built.output("digest"));
    let (new, old) =
        (repository.image(&work.commit_tag()).unwrap(), repository.image(built.output("digest")).unwrap());
    assert_eq!((new.digest, new.media_type), (old.digest, old.media_type), "no index around it");
}

#[test]
fn an_index_and_its_alias() {
    let ((work, path), repository) = (old("old-index"), Repository::ecr("old-index"));
    let program = || {
        work.program()
            .repository(&repository)
            .env("PATH", &path)
            .input("platforms", "linux/amd64,linux/arm64")
    };
    let built = program().run().is("built");
    work.commit("same content");
    program().run().is("reused-key").has(built.output("digest"));
    assert_eq!(repository.digest(&work.commit_tag()), built.output("digest"));
}

#[test]
fn a_failing_step() {
    let ((work, path), repository) = (old("old-failing"), Repository::open("old-failing"));
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo about to fail && false\n");
    work.commit("broken");
    let failed = work.program().repository(&repository).env("PATH", &path).run().failed(10, "build");
    assert!(
        failed.annotations("error")[0].contains("file=Dockerfile,line=3"),
        "{:?}",
        failed.annotations("error")
    );
}

#[test]
fn pushed_and_loaded_in_one_go() {
    let ((work, path), repository) = (old("old-both"), Repository::open("old-both"));
    let program = work.program().repository(&repository).env("PATH", &path).input("load", "true");
    let built = crate::engines::fresh(program.input("driver", "docker-container")).run().is("built");
    built.is_published(&repository, &[&work.commit_tag()]);
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
    crate::engines::nothing_left(&work, lab().get("DOCKER_HOST"));
}
