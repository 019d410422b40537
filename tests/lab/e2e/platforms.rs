//! Several platforms, attestations: the image is an index.

use crate::engines::{classic, no_classic};
use crate::harness::{Finished, Repository, Workspace, lab};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn life_of_an_index(work: &Workspace, repository: &Repository, input: (&str, &str)) -> Finished {
    let program = || work.program().repository(repository).input(input.0, input.1);
    let built = program().run().is("built");
    built.is_published(repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    assert_eq!(repository.image(built.output("digest")).unwrap().media_type, INDEX);
    program().run().is("reused-tag").has(built.output("digest"));
    work.commit("same content");
    program().run().is("reused-key").has(built.output("digest"));
    let alias = repository.image(&work.commit_tag()).unwrap();
    assert_eq!((alias.digest.as_str(), alias.media_type.as_str()), (built.output("digest"), INDEX));
    built
}

#[test]
fn two_platforms() {
    let (work, repository) = (Workspace::new("platforms"), Repository::ecr("platforms"));
    let built = life_of_an_index(&work, &repository, ("platforms", "linux/amd64,linux/arm64"));
    let mut platforms = repository.image(built.output("digest")).unwrap().platforms();
    platforms.sort();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    // The other order is the same request; another platform is not.
    let program = || work.program().repository(&repository);
    program()
        .input("platforms", "linux/arm64\nlinux/amd64")
        .run()
        .is("reused-tag")
        .has(built.output("digest"));
    // Its key is that of the platform in the index, so it is not built again.
    let one = program().input("platforms", "linux/amd64").run().is("reused-key");
    assert_ne!(one.output("key"), built.output("key"));
}

#[test]
fn a_test_job_runs_its_own_platform_of_an_index() {
    let (work, repository) = (Workspace::new("platform-pull"), Repository::open("platform-pull"));
    let built = work
        .program()
        .repository(&repository)
        .input("platforms", "linux/amd64,linux/arm64")
        .run()
        .is("built");
    work.forget();
    let pulled =
        work.program().repository(&repository).input("mode", "pull").input("digest", built.output("digest"));
    pulled.folder(work.root()).run().is("reused-digest").has(built.output("digest"));
    assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), work.image);
}

#[test]
fn attestations() {
    let (work, repository) = (Workspace::new("provenance"), Repository::ecr("provenance"));
    let built = life_of_an_index(&work, &repository, ("provenance", "mode=min"));
    assert_eq!(repository.image(built.output("digest")).unwrap().platforms(), ["linux/amd64"]);
}

#[test]
fn the_classic_store_gets_a_builder_for_an_index() {
    if no_classic() {
        return;
    }
    let classic = classic();
    let (work, repository) = (Workspace::new("classic-index"), Repository::open("classic-index"));
    let program = work.program().repository(&repository).engine(classic).input("cache", "none");
    let program = program.input("platforms", "linux/amd64,linux/arm64").input("driver-opts", "network=host");
    let built = program.input("buildkit-image", lab().get("BUILD_ONCE_LAB_BUILDKIT_IMAGE")).run().is("built");
    assert_eq!(built.steps(), ["create-builder", "build", "read-back", "set-key-tag", "tag-platforms"]);
    built.is_published(&repository, &[&work.commit_tag()]);
    crate::engines::nothing_left(&work, classic);
}

// D59
#[test]
fn d59_two_platforms_and_nothing_to_publish_on_the_classic_store() {
    if no_classic() {
        return;
    }
    let work = Workspace::new("classic-both");
    let program = crate::engines::fresh(work.program().engine(classic()));
    let built = program.input("platforms", "linux/amd64,linux/arm64").run().is("built-local");
    assert_eq!(built.steps(), ["create-builder", "build", "load", "tag"]);
    assert!(built.log.contains("linux/amd64 alone is loaded"), "{}", built.log);
    let run = ["run", "--rm", &work.image, "cat", "/made.txt"];
    assert_eq!(work.docker_on(classic(), &run), work.image);
    crate::engines::nothing_left(&work, classic());
    let again = work.program().engine(classic()).input("platforms", "linux/amd64,linux/arm64");
    again.run().is("reused-local");
}

// D77
#[test]
fn d77_annotations_and_compression_are_there_whoever_builds() {
    if no_classic() {
        return;
    }
    for host in [lab().get("DOCKER_HOST"), classic()] {
        let (work, repository) = (Workspace::new("as-asked"), Repository::open("as-asked"));
        let program = crate::engines::fresh(work.program().repository(&repository).engine(host));
        let built = program
            .input("cache", "none")
            .input("annotations", "org.example.who=me")
            .input("compression", "zstd,force,level=3")
            .run()
            .is("built");
        let image = repository.image(built.output("digest")).unwrap();
        assert_eq!(image.manifest["annotations"]["org.example.who"], "me", "{host}");
        for layer in image.manifest["layers"].as_array().unwrap() {
            assert!(layer["mediaType"].as_str().unwrap().ends_with("zstd"), "{host}: {layer}");
        }
    }
}

// D43
#[test]
fn d43_an_index_annotation_of_one_platform() {
    let (work, repository) = (Workspace::new("index-note"), Repository::open("index-note"));
    let program = work.program().repository(&repository).input("annotations", "index:org.example.who=me");
    let built = program.run().is("built");
    let index = repository.image(built.output("digest")).unwrap();
    assert_eq!((index.media_type.as_str(), index.platforms()), (INDEX, vec!["linux/amd64".to_owned()]));
    assert_eq!(index.manifest["annotations"]["org.example.who"], "me");
    work.program().repository(&repository).run().is("reused-tag").has(&index.digest);
}

// D84
#[test]
fn d84_the_platform_that_is_asked_for_is_loaded() {
    if no_classic() {
        return;
    }
    let (work, repository) = (Workspace::new("other-one"), Repository::open("other-one"));
    let both = "linux/amd64,linux/arm64";
    let built = work.program().repository(&repository).input("platforms", both).run().is("built");
    for host in [lab().get("DOCKER_HOST"), classic()] {
        let pull = |platform: &str| {
            let program = work.program().repository(&repository).engine(host).input("mode", "pull");
            let program = program.input("digest", built.output("digest")).input("platforms", platform);
            program.run().is("reused-digest");
            work.docker_on(host, &["image", "inspect", "--format", "{{.Architecture}}", &work.image])
        };
        work.forget();
        assert_eq!(pull("linux/arm64"), "arm64", "{host}");
    }
}

#[test]
fn two_platforms_that_were_built_apart_are_merged() {
    let (work, repository) = (Workspace::new("merge"), Repository::open("merge"));
    work.write("Dockerfile", "FROM scratch\nCOPY made.txt /\n");
    work.write("made.txt", &work.image);
    let part = |platform: &str, provenance: &str| {
        let name = format!("{}-{}", work.image, platform.rsplit('/').next().unwrap());
        let program =
            work.program().repository(&repository).input("image", &name).input("platforms", platform);
        program.input("provenance", provenance).run().is("built").output("digest").to_owned()
    };
    // One with its attestation, as an index.
    let (amd64, arm64) = (part("linux/amd64", "mode=min"), part("linux/arm64", "mode=min"));
    let digests = format!("linux/arm64={arm64}\nlinux/amd64={amd64}");
    let merge = |digests: &str| {
        let program = work.program().repository(&repository).input("mode", "merge").input("digests", digests);
        program.folder(work.root()).run().is("merged")
    };
    let merged = merge(&digests);
    assert_eq!(repository.digest(&work.commit_tag()), merged.output("digest"));
    let mut platforms = repository.image(merged.output("digest")).unwrap().platforms();
    platforms.sort();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    let inspected = work.docker(&["buildx", "imagetools", "inspect", merged.output("image")]);
    for said in ["linux/amd64", "linux/arm64", "attestation-manifest"] {
        assert!(inspected.contains(said), "{said}\n{inspected}");
    }
    let again = merge(&format!("{amd64}\n{arm64}"));
    assert_eq!((again.output("digest"), again.output("pushed")), (merged.output("digest"), "false"));
    work.forget();
    let pulled =
        work.program().repository(&repository).input("mode", "pull").input("digest", merged.output("digest"));
    pulled.folder(work.root()).run().is("reused-digest").has(merged.output("digest"));
}
