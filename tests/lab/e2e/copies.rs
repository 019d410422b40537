//! Tags in other repositories and registries: copies of an image without an engine.

use crate::harness::{Repository, Workspace};

/// From an open registry to ECR, beside it, and back; with attestations, on a hit.
#[test]
fn between_registries_without_docker() {
    let work = Workspace::new("copies");
    let (home, ecr, beside) =
        (Repository::open("copies"), Repository::ecr("copies"), Repository::open("copies-beside"));
    let program = || {
        let program = work.program().repository(&home).input("driver", "docker-container");
        program.input("provenance", "mode=min").input("platforms", "linux/amd64,linux/arm64")
    };
    let built = crate::engines::fresh(program()).run().is("built");
    // No docker is on this path.
    let bin = work.root().join("git-alone");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink("/usr/bin/git", bin.join("git")).unwrap();
    let tags = format!("{}:v1\n{}:v1\nlatest", ecr.name(), beside.name());
    let hit = || program().input("tags", &tags).env("PATH", bin.to_str().unwrap()).run();
    let first = hit().is("reused-tag").has(built.output("digest"));
    for copy in [&ecr, &beside] {
        assert_eq!(copy.digest("v1"), built.output("digest"), "{}", first.log);
        let index = copy.get(&format!("manifests/{}", built.output("digest"))).json();
        let children = index["manifests"].as_array().unwrap();
        assert_eq!(children.len(), 4, "two images and their attestations: {index}");
        for child in children {
            let image = copy.image(child["digest"].as_str().unwrap()).unwrap();
            let blobs =
                image.manifest["layers"].as_array().unwrap().iter().chain([&image.manifest["config"]]);
            for blob in blobs {
                let bytes = copy.blob(blob["digest"].as_str().unwrap());
                assert_eq!(bytes.len() as u64, blob["size"].as_u64().unwrap());
            }
        }
    }
    assert_eq!(home.digest("latest"), built.output("digest"));
    // What is there is not sent again.
    let before = ecr.journal().iter().filter(|entry| entry.is_write()).count();
    hit().is("reused-tag");
    assert_eq!(ecr.journal().iter().filter(|entry| entry.is_write()).count(), before);
    let digest = built.output("digest").to_owned();
    let run = work.docker(&["run", "--rm", &format!("{}@{digest}", beside.name()), "cat", "/made.txt"]);
    assert_eq!(run, work.image);
}
