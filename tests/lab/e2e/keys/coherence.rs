//! Two caches, one truth (`docs/coherence.md`): for each kind of entry in a key, change that entry
//! alone, and the image's content follows, whatever BuildKit's own caches hold (D61 to D64, D76, D108).

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use build_once::testing::EntryKind;

use super::sources::Web;
use crate::caches::Builder;
use crate::engines::fresh;
use crate::harness::{Program, Repository, Workspace, lab};

/// Each of the image's files is a fact that one entry decides. One step makes most of them: only one
/// entry changes at a time, so it runs again for that entry or not at all.
const DOCKERFILE: &str = r#"ARG BASE
FROM ${BASE} AS other
FROM ${BASE} AS main
ARG VALUE=none
ARG HTTP_PROXY
COPY content.txt data.json /
COPY --from=extra etc/base-version /extra
COPY --from=folder . /folder/
ADD {url} /added
RUN --mount=type=secret,id=tok --mount=type=secret,id=env,env=TOK \
    echo "stage main" >/stage; cat /proc/sys/kernel/random/uuid >/made; echo "$VALUE ${HTTP_PROXY:-none}" >/value; \
    if [ -s /run/secrets/tok ]; then echo full; else echo trial; fi >/secret; echo "${TOK:-unset}" >/secret-env; \
    grep probe /etc/hosts >/hosts; ulimit -n >/limit; ls /sys/class/net >/net; echo text-1 >/text
"#;

/// A checkout, what lies around it, and how its image is built.
struct Scenery {
    work: Workspace,
    repository: Repository,
    /// What the web server serves.
    served: tempfile::TempDir,
    _web: Web,
}

impl Scenery {
    fn new(name: &str) -> Self {
        let (work, repository) = (Workspace::new(name), Repository::open(name));
        let served = tempfile::tempdir().unwrap();
        fs::write(served.path().join("added"), "added-1").unwrap();
        let web = Web::serve(served.path().to_owned());
        work.write("Dockerfile", &DOCKERFILE.replace("{url}", &web.url("added")));
        work.write(".dockerignore", ".git\nnamed\n");
        work.write("data.json", "{\"a\": 1, \"b\": 1}\n");
        work.write("named/f", "named-1\n");
        repository.copy_base("1", "base");
        repository.copy_base("1", "extra");
        let this = Self { work, repository, served, _web: web };
        // All of one time, as archives and build tools leave them.
        for file in ["Dockerfile", "content.txt", "data.json", "named/f"] {
            this.set_time(file);
        }
        this
    }

    fn set_time(&self, file: &str) {
        let file = File::options().write(true).open(self.work.folder().join(file)).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        file.set_times(FileTimes::new().set_modified(then).set_accessed(then)).unwrap();
    }

    /// Other content of the same length, at the same time.
    fn swap(&self, file: &str, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let text = fs::read_to_string(self.work.folder().join(file)).unwrap();
        assert!(text.contains(from), "{file}: {text}");
        self.work.write(file, &text.replace(from, to));
        self.set_time(file);
    }

    fn program(&self) -> Program<'_> {
        let name = self.repository.name();
        self.work
            .program()
            .repository(&self.repository)
            .input("target", "main")
            .input("key", "context")
            .input("build-args", &format!("BASE={name}:base\nVALUE=value-1"))
            .input("build-contexts", &format!("extra=docker-image://{name}:extra\nfolder=named"))
            .input("add-hosts", "probe:10.0.0.1")
            .input("secrets", "other=1")
            .input("extra-args", "--ulimit nofile=71:71")
            .input("key-extra", "extra-1")
    }

    /// What the published image holds.
    fn facts(&self, program: Program<'_>) -> Facts {
        let run = program.run().is("built");
        let image = self.repository.image(run.output("digest")).unwrap();
        let image = self.repository.single(image);
        let mut facts = self.repository.texts(&image);
        let config = self.repository.config(&image);
        for (name, value) in
            [("label", &config["config"]["Labels"]["l"]), ("architecture", &config["architecture"])]
        {
            facts.insert(name.to_owned(), value.as_str().unwrap().to_owned());
        }
        Facts { key: run.output("key").to_owned(), facts, log: run.log.clone() }
    }
}

struct Facts {
    key: String,
    facts: BTreeMap<String, String>,
    log: String,
}

impl Facts {
    fn get(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", |text| text.trim())
    }
}

type Change = for<'a> fn(&'a Scenery, Program<'a>) -> Program<'a>;

/// What a case changes, and the line of the report that must tell it: its value, or only that it is
/// another one than before.
struct Case(&'static str, Option<&'static str>, Change);

/// Every kind of entry has its cases: a new kind does not compile without.
fn cases(kind: EntryKind) -> Vec<Case> {
    match kind {
        EntryKind::Format => vec![],   // the same in every run of one program
        EntryKind::Scope => vec![],    // which files count, not what they hold
        EntryKind::Frontend => vec![], // sources::the_frontend_is_the_one_of_the_key
        EntryKind::Target => {
            vec![Case("stage", Some(""), |_, program| program.input("target", "other"))]
        }
        EntryKind::Platform => {
            vec![Case("architecture", Some("arm64"), |_, program| program.input("platforms", "linux/arm64"))]
        }
        EntryKind::BaseImage => vec![Case("etc/base-version", Some("2"), |scenery, program| {
            scenery.repository.copy_base("2", "base");
            program
        })],
        EntryKind::BuildContext => vec![Case("extra", Some("2"), |scenery, program| {
            scenery.repository.copy_base("2", "extra");
            program
        })],
        EntryKind::Dockerfile => vec![Case("text", Some("text-2"), |scenery, program| {
            scenery.swap("Dockerfile", "text-1", "text-2");
            program
        })],
        EntryKind::BuildArg => vec![
            Case("value", Some("value-2 none"), |scenery, program| {
                program
                    .input("build-args", &format!("BASE={}:base\nVALUE=value-2", scenery.repository.name()))
            }),
            Case("value", Some("value-1 http://192.0.2.1"), |scenery, program| {
                let base = format!("BASE={}:base\nVALUE=value-1", scenery.repository.name());
                program.input("build-args", &format!("{base}\nHTTP_PROXY=http://192.0.2.1"))
            }),
        ],
        EntryKind::AddSource => vec![Case("added", Some("added-2"), |scenery, program| {
            fs::write(scenery.served.path().join("added"), "added-2").unwrap();
            program
        })],
        EntryKind::FileValue => {
            vec![Case("data.json", Some("{\"a\": 2, \"b\": 1}"), |scenery, program| {
                scenery.swap("data.json", "\"a\": 1", "\"a\": 2");
                program.input("key", "files").input("key-files", "data.json#a")
            })]
        }
        EntryKind::Label => {
            vec![Case("label", Some("two"), |_, program| program.input("labels", "l=two"))]
        }
        EntryKind::SecretId => vec![
            Case("secret", Some("full"), |_, program| program.input("secrets", "other=1\ntok=x")),
            Case("secret", Some("trial"), |_, program| program),
            Case("secret-env", Some("x"), |_, program| program.input("secrets", "other=1\nenv=x")),
        ],
        EntryKind::Setting => vec![
            Case("hosts", Some("10.0.0.2\tprobe"), |_, program| program.input("add-hosts", "probe:10.0.0.2")),
            Case("net", Some("lo"), |_, program| program.input("network", "none")),
        ],
        EntryKind::ExtraArg => {
            vec![Case("limit", Some("72"), |_, program| program.input("extra-args", "--ulimit nofile=72:72"))]
        }
        EntryKind::KeyExtra => {
            vec![Case("made", None, |_, program| program.input("key-extra", "extra-2"))]
        }
        EntryKind::Period => vec![Case("made", None, |_, program| program.input("max-age", "7d"))],
        EntryKind::Files => vec![
            Case("content.txt", Some("other"), |scenery, program| {
                let text = fs::read_to_string(scenery.work.folder().join("content.txt")).unwrap();
                let other = format!("{:<width$}", "other", width = text.len());
                scenery.swap("content.txt", &text, &other);
                program
            }),
            Case("folder/f", Some("named-2"), |scenery, program| {
                scenery.swap("named/f", "named-1", "named-2");
                program
            }),
        ],
        // Its bytes are files, and no two clones have one time: differential cases copy them.
        EntryKind::Git => vec![],
        kind => panic!("no case for the kind of entry {kind}"),
    }
}

/// Builds before and after each change, on a builder that `on` picks.
fn content_follows_key(scenery: &Scenery, on: &dyn for<'a> Fn(Program<'a>) -> Program<'a>) {
    let mut number = 0;
    let mut build = |change: Option<Change>| {
        number += 1;
        // A key of its own for each build, by what no layer depends on.
        let program = on(scenery.program()).input("labels", &format!("l=one\nnumber={number}"));
        let program = match change {
            Some(change) => change(scenery, program),
            None => program,
        };
        scenery.facts(program)
    };
    let mut before = build(None);
    assert_eq!(
        build(None).get("made"),
        before.get("made"),
        "the builder has no warm cache: nothing is shown"
    );
    let mut wrong = Vec::new();
    for kind in EntryKind::all() {
        for Case(line, expected, change) in cases(kind) {
            let after = build(Some(change));
            assert_ne!(after.key, before.key, "{kind}");
            let (now, then) = (after.get(line), before.get(line));
            if now == then || expected.is_some_and(|expected| now != expected) {
                wrong.push(format!(
                    "{kind}: {line} is {now:?}, was {then:?}, should be {expected:?}\n{}",
                    after.log
                ));
            }
            before = after;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// D61, D62, D63, D64, D76, D108.
#[test]
fn content_follows_the_key_on_a_builder_with_a_past() {
    content_follows_key(&Scenery::new("past"), &|program| program.input("cache", "none"));
}

/// The same with layers that come from the registry: the builder is empty before each build.
#[test]
fn content_follows_the_key_on_an_empty_builder_with_a_warm_cache() {
    let scenery = Scenery::new("empty");
    let builder = Builder::new(&scenery.work);
    content_follows_key(&scenery, &|program| {
        builder.empty();
        program.input("builder", &builder.name)
    });
}

/// The same of one file, on builders that are made for each build.
#[test]
fn content_follows_the_key_on_a_builder_made_for_the_build() {
    let scenery = Scenery::new("made");
    let build = |number: u8| {
        let program = fresh(scenery.program()).input("driver", "docker-container");
        scenery.facts(program.input("labels", &format!("l=one\nnumber={number}")))
    };
    let before = build(1);
    assert_eq!(build(2).get("made"), before.get("made"), "no layer came from the registry: nothing is shown");
    scenery.swap("data.json", "\"a\": 1", "\"a\": 2");
    let after = build(3);
    assert_eq!(after.get("data.json"), "{\"a\": 2, \"b\": 1}", "{}", after.log);
    assert_ne!(after.get("made"), before.get("made"));
}

/// D105: BuildKit knows a context by its folder's last name alone, so that the file of another project, or
/// of a fork's run, goes into main's image. The control is plain buildx.
#[test]
fn d105_no_file_of_another_folder_of_the_same_name() {
    let other = Workspace::new("folder-fork");
    let main = Workspace::new("folder-main");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (work, text) in [(&other, "evil code"), (&main, "good code")] {
        work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY a.txt Dockerfile /\n");
        work.write("a.txt", text);
        work.commit("code");
        for name in ["a.txt", "Dockerfile"] {
            let file = File::options().write(true).open(work.folder().join(name)).unwrap();
            file.set_times(FileTimes::new().set_modified(time)).unwrap();
        }
    }
    let plain = |work: &Workspace| {
        let folder = work.folder();
        let base = format!("BASE={}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE"));
        let build = ["buildx", "build", "--quiet", "--build-arg", &base, "--load", "--tag", "plain-d105"];
        // One user's builds on one machine.
        main.docker(&[&build, &[folder.to_str().unwrap()][..]].concat());
        main.docker(&["run", "--rm", "plain-d105", "cat", "/a.txt"])
    };
    assert_eq!(
        [plain(&other), plain(&main)],
        ["evil code", "evil code"],
        "the control: BuildKit is not fooled"
    );
    main.docker(&["image", "rm", "plain-d105"]);

    let head = other.head();
    let home = main.home();
    let fork = other.program().env("HOME", home.to_str().unwrap()).pull_request(12, &head, true);
    fork.input("push", "false").run().is("built-local");
    let built = main.program().run().is("built-local");
    let text = main.docker(&["run", "--rm", &main.image, "cat", "/a.txt"]);
    assert_eq!(text, "good code", "{}", built.log);
}

/// A large context is not sent again for the sake of one file: the lineage goes on.
#[test]
fn a_lineage_goes_on_while_changes_can_be_told() {
    let work = Workspace::new("lineage");
    let records = work.home().join(".cache/build-once/transfers");
    let name = || {
        let files: Vec<_> = fs::read_dir(&records).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        fs::read(&files[0]).unwrap()[40..72].to_vec()
    };
    let build = |text: &str, seconds: u64| {
        work.write("content.txt", text);
        let file = File::options().write(true).open(work.folder().join("content.txt")).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
        work.program().run().is("built-local");
        assert_eq!(work.docker(&["run", "--rm", &work.image, "cat", "/made.txt"]), text);
        name()
    };
    let first = build("one", 1_700_000_000);
    assert_eq!(build("other", 1_700_000_000), first, "another size");
    assert_eq!(build("OTHER", 1_700_000_001), first, "another time");
    let second = build("third", 1_700_000_001);
    assert_ne!(second, first, "neither");
    // What a build that failed has sent counts too.
    let dockerfile = fs::read_to_string(work.folder().join("Dockerfile")).unwrap();
    work.write("Dockerfile", &format!("{dockerfile}RUN false\n"));
    work.write("content.txt", "fails");
    let file = File::options().write(true).open(work.folder().join("content.txt")).unwrap();
    file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7))).unwrap();
    work.program().run().failed(10, "build");
    assert_eq!(name(), second);
    work.write("Dockerfile", &dockerfile);
    assert_ne!(build("works", 7), second);
}

/// A file that changes after the key is computed and before it is sent goes into that image; it does not go
/// into a later one, whose key has seen another content of that size and time.
#[test]
fn a_change_between_key_and_transfer_stays_in_its_image() {
    let work = Workspace::new("race");
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY a.txt /a.txt\n");
    let write = |text: &str, seconds: u64| {
        work.write("a.txt", text);
        let file = File::options().write(true).open(work.folder().join("a.txt")).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    };
    let content = || work.docker(&["run", "--rm", &work.image, "cat", "/a.txt"]);
    write("AAA1", 1_700_000_001);
    work.program().run().is("built-local");

    // A plug-in that writes the file before it builds.
    let buildx = lab().get("BUILD_ONCE_LAB_BUILDX");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = build ]; then printf BBBB >a.txt; touch -d @1700000003 a.txt; fi\nexec {buildx} \"$@\"\n"
    );
    let wrapper = work.root().join("docker-buildx");
    fs::write(&wrapper, text).unwrap();
    let mut mode = fs::metadata(&wrapper).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&wrapper, mode).unwrap();
    work.buildx(wrapper.to_str().unwrap());
    write("AAA2", 1_700_000_002);
    work.program().run().is("built-local");
    assert_eq!(content(), "BBBB", "no change came between: nothing is shown");

    work.buildx(buildx);
    write("CCCC", 1_700_000_003);
    let later = work.program().run().is("built-local");
    assert_eq!(content(), "CCCC", "{}", later.log);
}
