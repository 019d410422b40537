//! `docs/migrate.md`, and docker/build-push-action's own table of arguments (`__tests__/context.test.ts`).

use std::ffi::OsString;

use build_once::testing::Env;
use build_once::testing::{Call, Command, ContextSource, ImageRequest, RawInputs, Switch, arguments, parse};

/// Its inputs, from its action.yml (v7.3.0).
pub(crate) const INPUTS: [&str; 33] = [
    "add-hosts",
    "allow",
    "annotations",
    "attests",
    "build-args",
    "build-contexts",
    "builder",
    "cache-from",
    "cache-to",
    "call",
    "cgroup-parent",
    "context",
    "file",
    "github-token",
    "labels",
    "load",
    "network",
    "no-cache",
    "no-cache-filters",
    "outputs",
    "platforms",
    "provenance",
    "pull",
    "push",
    "sbom",
    "secret-envs",
    "secret-files",
    "secrets",
    "shm-size",
    "ssh",
    "tags",
    "target",
    "ulimit",
];

/// D45. The runner drops what is not declared with no more than a warning.
#[test]
fn d45_every_input_is_declared_and_on_the_page() {
    let table = crate::docs::page::rows("docs/migrate.md", "| input there | here |\n");
    let rows: Vec<&str> = table.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(rows, INPUTS);
    let declared: Vec<String> = RawInputs::schema().map(|(_, name, _)| name).collect();
    for name in INPUTS {
        assert!(declared.iter().any(|known| known == name), "{name}");
    }
}

fn read(inputs: &[(&str, &str)]) -> Result<ImageRequest, String> {
    let variables: Vec<(String, &str)> = inputs
        .iter()
        .map(|(name, value)| (format!("INPUT_{}", name.replace('-', "_").to_uppercase()), *value))
        .collect();
    let fixed = [
        ("GITHUB_REPOSITORY", "docker/build-push-action"),
        ("GITHUB_SHA", "0123456789012345678901234567890123456789"),
        ("MY_SECRET_ENV", "a"),
        ("ANOTHER_SECRET_ENV", "b"),
        ("INPUT_IMAGE", "app"),
    ];
    let env: Env = variables.iter().map(|(name, value)| (name.as_str(), *value)).chain(fixed).collect();
    let argv = arguments(&[OsString::from("build-once")], &env).unwrap();
    let Ok(Command::Run(flags)) = parse(&argv) else { panic!("{argv:?}") };
    ImageRequest::read(&flags.inputs, &env).map_err(|error| error.to_string())
}

fn taken(inputs: &[(&str, &str)]) -> ImageRequest {
    read(inputs).unwrap_or_else(|error| panic!("{inputs:?}: {error}"))
}

fn refused(inputs: &[(&str, &str)], what_to_write: &str) {
    let error = read(inputs).map(|_| ()).unwrap_err();
    assert!(error.contains(what_to_write), "{inputs:?}: {error}");
}

const GIT: &str = "https://github.com/docker/build-push-action.git#refs/heads/master";

/// Rows 0 to 38 of its table, without those that differ in the version of buildx alone.
#[test]
fn d46_its_table_of_arguments() {
    // 0, 4, 5, 17, 18, 34
    let plain = taken(&[("context", "."), ("load", "false"), ("push", "false"), ("pull", "false")]);
    assert_eq!((plain.load, plain.push, plain.settings.call), (Switch::Off, Switch::Off, Call::Build));
    // 1, 25
    let args = taken(&[(
        "build-args",
        "MY_ARG=val1,val2,val3\nARG=val\n\"MULTILINE=aaaa\nbbbb\nccc\"\nFOO=bar#baz",
    )]);
    let value = |name: &str| args.build.build_args.iter().find(|(known, _)| known == name).unwrap().1.clone();
    assert_eq!((value("MY_ARG"), value("MULTILINE")), ("val1,val2,val3".into(), "aaaa\nbbbb\nccc".into()));
    assert_eq!(value("FOO"), "bar#baz");
    // 2
    assert_eq!(taken(&[("tags", "name/app:7.4, name/app:latest")]).tags.len(), 2);
    // 3, 12, 28, 29: labels and annotations hold commas and quotes; the files are refused.
    let description = "org.opencontainers.image.description=Reference of operation \"filter (top-n)\", x";
    let labels = taken(&[("labels", description)]).build.labels;
    assert_eq!(labels[0].1, "Reference of operation \"filter (top-n)\", x");
    refused(&[("outputs", "type=local,dest=./release-out")], "docker cp");
    let levels = "example1=www\nindex:example2=xxx\nmanifest:example3=yyy\nmanifest-descriptor[linux/amd64]:example4=zzz";
    assert_eq!(taken(&[("annotations", levels)]).build.annotations.len(), 4);
    // 6, 8, 9
    let secrets = "GIT_AUTH_TOKEN=abcdefghi,jklmno=0123456789\n\"MYSECRET=aaaaaaaa\nbbbbbbb\nccccccccc\"\nFOO=bar\n\"EMPTYLINE=aaaa\n\nbbbb\nccc\"";
    let git = taken(&[
        ("context", GIT),
        ("platforms", "linux/amd64,linux/arm64"),
        ("secrets", secrets),
        ("push", "true"),
    ]);
    assert_eq!(git.build.context, ContextSource::Remote(GIT.to_owned()));
    assert_eq!((git.build.secrets.len(), git.build.platforms.len()), (4, 2));
    let value = git.secrets.of(&git.build.secrets[3]).unwrap();
    assert_eq!(value.expose(), "aaaa\n\nbbbb\nccc");
    // 10: without quotes a value ends with its line, there as here.
    let cut = taken(&[("secrets", "A=aaaa\nbbbb\nFOO=bar\nINVALID_SECRET=")]);
    assert_eq!((cut.build.secrets.len(), cut.settings.warnings.len()), (2, 2));
    // 7, 15, 16, 35, 36
    refused(&[("outputs", ".")], "docker cp");
    let own = taken(&[("context", "{{defaultContext}}:docker"), ("github-token", "t")]);
    let url =
        "https://github.com/docker/build-push-action.git#0123456789012345678901234567890123456789:docker";
    assert_eq!(own.build.context, ContextSource::Remote(url.to_owned()));
    assert_eq!(own.build.git_token.unwrap().id, "GIT_AUTH_TOKEN.github.com");
    // 11, 13, 14
    let run = taken(&[
        ("add-hosts", "docker:10.180.0.1,foo:10.0.0.1"),
        ("network", "host"),
        ("cgroup-parent", "foo"),
        ("shm-size", "2g"),
        ("ulimit", "nofile=1024:1024\nnproc=3"),
        ("secret-files", "MY_SECRET=/etc/hostname"),
    ]);
    assert_eq!((run.build.add_hosts.len(), run.build.ulimit.len()), (2, 2));
    assert_eq!(run.build.cgroup_parent.as_deref(), Some("foo"));
    // 19 to 22, 31 to 33
    let provenance = |inputs: &[(&str, &str)]| taken(inputs).build.provenance.to_string();
    assert_eq!(provenance(&[("provenance", "true")]), "true");
    assert_eq!(provenance(&[("provenance", "builder-id=foo")]), "builder-id=foo");
    assert_eq!(provenance(&[("provenance", "false")]), "false");
    assert_eq!(
        provenance(&[("attests", "type=provenance,mode=min"), ("provenance", "mode=max")]),
        "mode=max"
    );
    assert_eq!(provenance(&[("attests", "type=provenance,mode=min")]), "mode=min");
    assert_eq!(taken(&[("sbom", "true")]).build.sbom.to_string(), "true");
    // 23, 24
    assert_eq!(taken(&[("outputs", "type=docker")]).load, Switch::On);
    assert_eq!(taken(&[("load", "true")]).load, Switch::On);
    // 26, 27
    for list in [
        "MY_SECRET=MY_SECRET_ENV\nANOTHER_SECRET=ANOTHER_SECRET_ENV",
        "MY_SECRET=MY_SECRET_ENV,ANOTHER_SECRET=ANOTHER_SECRET_ENV",
    ] {
        assert_eq!(taken(&[("secret-envs", list)]).build.secrets.len(), 2);
    }
    // 30
    let by_digest =
        "type=image,\"name=localhost:5000/name/app\",push-by-digest=true,name-canonical=true,push=true";
    let by_digest = taken(&[("outputs", by_digest)]);
    assert_eq!((by_digest.push, by_digest.tags.len()), (Switch::On, 0));
    assert_eq!(by_digest.settings.repository.clone().unwrap().to_string(), "localhost:5000/name/app");
    // 37, 38
    let query = "https://github.com/docker/build-push-action.git?ref=refs/heads/master&subdir=test";
    assert_eq!(taken(&[("context", query)]).build.context, ContextSource::Remote(query.to_owned()));
}

/// D45. With `push: true` and `tags`, as most of its CI has them, no further input is needed.
#[test]
fn d45_the_first_name_in_tags_names_the_image() {
    let lab = crate::support::Lab::new();
    let tag = format!("{}:latest", lab.registry.repository());
    let run =
        lab.build_once().input("image", "").input("tags", &tag).input("push", "true").run().succeeds("built");
    assert!(run.output("tag").starts_with("key-rf9d832d9-ci-"), "{}", run.output("tag"));
}
