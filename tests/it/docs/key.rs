//! `docs/keys.md`: what counts in a key and what does not. For each row that thing changes in a real request, and the
//! key changes or stays.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::page::rows;
use crate::support::{Lab, Response, Server};

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn key_with(lab: &Lab, inputs: Pairs<'_>, env: Pairs<'_>) -> String {
    let program = inputs.iter().fold(lab.build_once(), |program, (name, value)| program.input(name, value));
    let program = env.iter().fold(program, |program, (name, value)| program.env(name, value));
    let run = program.args(&["key", "--json"]).run();
    let key: Value =
        serde_json::from_str(&run.stdout).unwrap_or_else(|_| panic!("{inputs:?}: {}", run.all()));
    key["key"].as_str().unwrap().to_owned()
}

fn key(lab: &Lab) -> String {
    key_with(lab, &[], &[])
}

/// A checkout with a bit of everything.
fn lab() -> Lab {
    let lab = Lab::new();
    let host = lab.registry.address().to_owned();
    lab.registry.publish("base/os/1", &json!({"v": "1"}), &json!({}));
    let dockerfile = format!(
        "FROM {host}/base/os:1 AS one\nCOPY hello dir /in/\nARG DECLARED\nRUN --mount=type=secret,id=tok true\n\
         FROM one AS unreached\nRUN other\nFROM one AS two\nRUN last\n"
    );
    lab.write("work/Dockerfile", dockerfile);
    lab.write("work/dir/a", "a");
    lab.write("work/notes", "1");
    lab.write("work/data.json", r#"{"a": 1, "b": 1}"#);
    lab
}

fn mode(lab: &Lab, name: &str, mode: u32) {
    std::fs::set_permissions(lab.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

fn edit(lab: &Lab, from: &str, to: &str) {
    let text = std::fs::read_to_string(lab.path("work/Dockerfile")).unwrap();
    assert!(text.contains(from), "{from}");
    lab.write("work/Dockerfile", text.replacen(from, to, 1));
}

fn repository(lab: &Lab, commit: &str) {
    lab.write("work/.git/HEAD", "ref: refs/heads/main\n");
    lab.write("work/.git/refs/heads/main", format!("{}\n", commit.repeat(40)));
    lab.write("work/.git/objects/pack/1.pack", "x");
}

/// What is looked at.
#[derive(Default)]
struct Seen {
    /// Rows in the order in which they came up.
    rows: Vec<&'static str>,
}

impl Seen {
    /// In a fresh checkout with these inputs the change counts, or does not.
    fn change(&mut self, row: &'static str, counts: bool, inputs: Pairs<'_>, change: impl FnOnce(&Lab)) {
        self.change_after(row, counts, inputs, |_| {}, change);
    }

    fn change_after(
        &mut self,
        row: &'static str,
        counts: bool,
        inputs: Pairs<'_>,
        first: impl FnOnce(&Lab),
        change: impl FnOnce(&Lab),
    ) {
        self.row(row);
        let lab = lab();
        first(&lab);
        let before = key_with(&lab, inputs, &[]);
        change(&lab);
        assert_eq!(key_with(&lab, inputs, &[]) != before, counts, "{row} {inputs:?}");
    }

    /// The input counts, or does not.
    fn input(&mut self, row: &'static str, counts: bool, inputs: Pairs<'_>) {
        self.inputs(row, counts, &[], inputs);
    }

    fn inputs(&mut self, row: &'static str, counts: bool, before: Pairs<'_>, after: Pairs<'_>) {
        self.row(row);
        let lab = lab();
        lab.write("work/more/f", "x");
        assert_eq!(
            key_with(&lab, before, &[]) != key_with(&lab, after, &[]),
            counts,
            "{row}: {before:?} {after:?}"
        );
    }

    fn env(&mut self, row: &'static str, counts: bool, env: Pairs<'_>) {
        self.row(row);
        let lab = lab();
        assert_eq!(key_with(&lab, &[], env) != key(&lab), counts, "{row}: {env:?}");
    }

    fn row(&mut self, row: &'static str) {
        if self.rows.last() != Some(&row) {
            self.rows.push(row);
        }
    }

    /// The rows of this table, each by how it begins.
    #[track_caller]
    fn are_all(&self, head: &str) {
        let found: Vec<String> = rows("docs/keys.md", head).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(found.len(), self.rows.len(), "{found:#?}\n{:#?}", self.rows);
        for (found, seen) in found.iter().zip(&self.rows) {
            assert!(found.starts_with(seen), "{found}: {seen}");
        }
    }
}

#[test]
fn what_counts_in_the_key() {
    let mut seen = Seen::default();
    seen.change("files, scope `auto`", true, &[], |lab| lab.write("work/dir/a", "b"));
    seen.change("files, scope `auto`", false, &[], |lab| lab.write("work/notes", "2"));
    let context = [("key", "context")];
    seen.change("files, scope `context`", true, &context, |lab| lab.write("work/notes", "2"));
    seen.change("files, scope `context`", true, &context, |lab| {
        std::fs::create_dir(lab.path("work/empty")).unwrap();
    });
    let files = [("key", "files"), ("key-files", "hello\ndata.json#a")];
    seen.change("files, scope `files`", true, &files, |lab| lab.write("work/hello", "2"));
    seen.change("files, scope `files`", true, &files, |lab| {
        lab.write("work/data.json", r#"{"a": 2, "b": 1}"#);
    });
    seen.change("files, scope `files`", false, &files, |lab| {
        lab.write("work/data.json", r#"{"a": 1, "b": 2}"#);
    });
    seen.change("files, scope `files`", false, &files, |lab| lab.write("work/dir/a", "2"));
    seen.change("of each file", true, &[], |lab| mode(lab, "work/hello", 0o755));
    seen.change("of each file", true, &[], |lab| mode(lab, "work/hello", 0o2644));
    seen.change("of each file", true, &[], |lab| {
        std::fs::rename(lab.path("work/dir/a"), lab.path("work/dir/b")).unwrap();
    });
    seen.change("ignore rules", true, &[], |lab| lab.write("work/.dockerignore", "dir/a\n"));
    seen.input("ignore rules", true, &[("exclude", "dir/a")]);
    let all = |lab: &Lab| {
        lab.write("work/Dockerfile", "FROM scratch\nCOPY . /\n");
        repository(lab, "1");
    };
    let git = "a git repository among these files";
    seen.change_after(git, true, &[], all, |lab| repository(lab, "2"));
    seen.change_after(git, false, &[], all, |lab| lab.write("work/.git/index", "2"));
    let link = |lab: &Lab, to: &str| {
        std::fs::remove_file(lab.path("work/dir/link")).unwrap_or_default();
        symlink(to, lab.path("work/dir/link")).unwrap();
    };
    seen.change_after("of each link", true, &[], |lab| link(lab, "a"), |lab| link(lab, "b"));
    seen.change("of each pipe, socket or device", true, &[], |lab| {
        drop(std::os::unix::net::UnixListener::bind(lab.path("work/dir/s")).unwrap());
    });
    // A repository needs git and a server: lab::keys::git_urls::d56_d71_a_context_is_what_buildx_makes.
    seen.row("a context that is a git repository");
    seen.change("Dockerfile", true, &[], |lab| edit(lab, "RUN last", "RUN first"));
    seen.change("Dockerfile", false, &[], |lab| edit(lab, "RUN last", "# Why.\n\nrun last"));
    seen.change("Dockerfile", false, &[], |lab| edit(lab, "RUN other", "RUN another"));
    let moved = |lab: &Lab| {
        lab.registry.publish("base/os/1", &json!({"v": "2"}), &json!({}));
    };
    seen.change("base images", true, &[], moved);
    let page = Arc::new(Mutex::new("one"));
    let answer = Arc::clone(&page);
    let server = Server::start(move |_| Response::new(200, *answer.lock().unwrap()));
    let add =
        |lab: &Lab| edit(lab, "ARG DECLARED", &format!("ADD http://{}/f /f\nARG DECLARED", server.address));
    seen.change_after("`ADD` of URLs and git", true, &[], add, |_| *page.lock().unwrap() = "two");
    let more = [("build-contexts", "more=more")];
    let from = |lab: &Lab| {
        lab.write("work/more/f", "1");
        edit(lab, "ARG DECLARED", "COPY --from=more f /f\nARG DECLARED");
    };
    seen.change_after("build contexts", true, &more, from, |lab| lab.write("work/more/f", "2"));
    let unused = |lab: &Lab| lab.write("work/more/f", "1");
    seen.change_after("build contexts", false, &more, unused, |lab| lab.write("work/more/f", "2"));
    let args = "build arguments";
    seen.input(args, true, &[("build-args", "DECLARED=1")]);
    seen.input(args, true, &[("build-args", "TARGETARCH=arm64")]);
    seen.input(args, true, &[("extra-args", "--build-arg DECLARED=1")]);
    seen.input(args, false, &[("build-args", "UNREAD=1")]);
    let last = [("build-args", "DECLARED=2")];
    seen.inputs(args, false, &last, &[("build-args", "DECLARED=1\nDECLARED=2")]);
    seen.input("labels", true, &[("labels", "a=b")]);
    seen.input("labels", true, &[("extra-args", "--label a=b")]);
    seen.input("platforms", true, &[("platforms", "linux/s390x")]);
    seen.env("platforms", true, &[("DOCKER_DEFAULT_PLATFORM", "linux/s390x")]);
    let seen_by_steps = "secret ids, network and added hosts";
    for input in [("secrets", "tok=canary"), ("network", "host"), ("add-hosts", "some.host:10.0.0.1")] {
        seen.input(seen_by_steps, true, &[input]);
    }
    seen.input(seen_by_steps, false, &[("secrets", "other=canary")]);
    let settings = "target";
    seen.input(settings, false, &[("target", "two")]);
    for input in [
        ("target", "one"),
        ("compression", "zstd"),
        ("provenance", "true"),
        ("sbom", "true"),
        ("key-extra", "1"),
    ] {
        seen.input(settings, true, &[input]);
    }
    seen.input("extra arguments", true, &[("extra-args", "--from-the-future=x")]);
    seen.env("extra arguments", true, &[("BUILD_ONCE_EXTRA_ARGS", "--from-the-future=x")]);
    seen.input("period", true, &[("max-age", "7d")]);
    seen.input("scope, format version", true, &context);
    seen.are_all("| what | how | why |\n");
}

#[test]
fn what_does_not_count_in_the_key() {
    let mut seen = Seen::default();
    seen.change_after("git: commit", false, &[], |lab| repository(lab, "1"), |lab| repository(lab, "2"));
    let owner = "owner, times";
    seen.change(owner, false, &[], |lab| {
        let file = std::fs::File::open(lab.path("work/hello")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    });
    seen.change(owner, false, &[], |lab| mode(lab, "work/hello", 0o600));
    seen.change(owner, false, &[], |lab| mode(lab, "work/dir", 0o700));
    let copy = |lab: &Lab| lab.write("work/dir/b", "a");
    seen.change_after("extended attributes, hard links", false, &[], copy, |lab| {
        std::fs::remove_file(lab.path("work/dir/b")).unwrap();
        std::fs::hard_link(lab.path("work/dir/a"), lab.path("work/dir/b")).unwrap();
    });
    // There is nothing to change: it::plan::the_key_is_stable_and_told.
    seen.row("what `RUN` fetches");
    let secret = [("secrets", "tok=canary")];
    seen.inputs("values of secrets", false, &secret, &[("secrets", "tok=another")]);
    let proxies = "proxies";
    seen.input(proxies, false, &[("build-args", "HTTPS_PROXY=http://127.0.0.1:9")]);
    seen.change(proxies, false, &[], |lab| {
        lab.docker_config(&json!({"proxies": {"default": {"ftpProxy": "http://127.0.0.1:9"}}}));
    });
    let ignored = |value| [("build-args", value), ("key-ignore-args", "DECLARED")];
    let named = "the values of build arguments that `key-ignore-args` names";
    seen.inputs(named, false, &ignored("DECLARED=1"), &ignored("DECLARED=2"));
    for label in ["created", "revision", "version"] {
        let label = format!("org.opencontainers.image.{label}=1");
        seen.input("labels", false, &[("labels", &label)]);
    }
    let how = "annotations, tags, cache options, builder, `no-cache`, `pull`";
    for input in [
        ("annotations", "a=b"),
        ("tags", "registry.example/o/r:v1"),
        ("cache", "none"),
        ("cache-from", "type=registry,ref=registry.example/o/r:c"),
        ("cache-mode", "min"),
        ("builder", "b"),
        ("driver", "docker-container"),
        ("no-cache", "true"),
        ("no-cache-filters", "one"),
        ("pull", "true"),
    ] {
        seen.input(how, false, &[input]);
    }
    for input in [("shm-size", "1g"), ("ulimit", "nofile=1:1"), ("allow", "network.host")] {
        seen.input("`shm-size`, `ulimit`, `allow`", false, &[input]);
    }
    seen.env("`SOURCE_DATE_EPOCH` of the environment", false, &[("SOURCE_DATE_EPOCH", "1")]);
    // Another checkout in another folder, later.
    seen.change("the machine that builds", false, &[("platforms", "linux/amd64")], |_| {});
    seen.change("`# check=`", false, &[], |lab| edit(lab, "FROM", "# check=skip=all\nFROM"));
    let table = "<!-- table: it::docs::key::what_does_not_count_in_the_key -->\n";
    seen.are_all(&format!("{table}| what | why |\n"));
}

/// A value that buildx takes for the flag; none for a switch.
fn value_of(flag: &str) -> &'static str {
    match flag {
        "--add-host" => "=some.host:10.0.0.1",
        "--network" => "=host",
        "--build-arg" => "=DECLARED=1",
        "--label" | "--annotation" => "=a=b",
        "--no-cache" | "--pull" | "--compress" | "--rm" | "--force-rm" | "--squash" | "--push" | "--load" => {
            ""
        }
        "--shm-size" | "--memory" => "=1g",
        "--ulimit" => "=nofile=1:1",
        "--cache-from" | "--cache-to" => "=type=registry,ref=registry.example/o/r:c",
        _ => "=x",
    }
}

#[test]
fn each_flag_among_extra_arguments_counts_as_the_page_says() {
    let lab = lab();
    let plain = key(&lab);
    let mut count = 0;
    for row in rows("docs/keys.md", "| flag | in the key |\n") {
        let flags = row[0].split('`').skip(1).step_by(2).flat_map(|flag| match flag {
            "--cpu-…" => vec!["--cpu-shares".to_owned(), "--cpu-quota".to_owned()],
            "--cpuset-…" => vec!["--cpuset-cpus".to_owned()],
            flag => vec![flag.to_owned()],
        });
        for flag in flags {
            count += 1;
            let argument = format!("{flag}{}", value_of(&flag));
            if row[1].starts_with("refused") {
                let run = lab.build_once().input("extra-args", &argument).args(&["key"]).run();
                assert_eq!(run.code, 2, "{argument}: {}", run.all());
                continue;
            }
            let counts = row[1].starts_with("yes") || row[1].ends_with("yes");
            let same = key_with(&lab, &[("extra-args", &argument)], &[]) == plain;
            assert_eq!(same, !counts, "{argument}: {}", row[1]);
        }
    }
    assert!(count > 30, "{count}");
}
