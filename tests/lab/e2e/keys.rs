//! What a key is made from travels with the image and explains every miss; what is built is what the key saw.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use build_once::key::explain::{MAX_BYTES, decode};

use crate::harness::{Program, Repository, Workspace, engine, lab};

const ENTRIES: &str = "io.github.build-once.entries";

#[test]
fn every_miss_is_explained() {
    let (work, repository) = (Workspace::new("explained"), Repository::ecr("explained"));
    work.write(".dockerignore", ".git\n");
    let first_commit = work.commit("without .git");
    let first = work.program().repository(&repository).run().is("built");
    let none = format!("no image has this key; there is no earlier image of {} to compare with", work.image);
    assert_eq!(first.output("reason"), none);
    let image = repository.image(first.output("digest")).unwrap();
    let text = image.manifest["annotations"][ENTRIES].as_str().unwrap();
    assert_eq!(decode(text).unwrap().key, first.output("key"));
    assert!(repository.labels(&image)[ENTRIES].is_null(), "an annotation is enough");

    work.write("content.txt", "other");
    let second_commit = work.commit("touch one file");
    let second = work.program().repository(&repository).before(&first_commit).run().is("built");
    let short = &first_commit[..12];
    let expected = format!("miss: `content.txt` changed; compared with the image of commit {short}");
    assert_eq!(second.output("reason"), expected);
    assert!(second.log.contains(&expected), "{}", second.log);
    assert!(second.summary.contains("content.txt"), "{}", second.summary);

    // A pull request is compared with what it goes on top of.
    work.write("more/new.txt", "");
    let head = work.commit("add one");
    let asked = work.program().repository(&repository).pull_request(7, &head, false).run().is("built");
    let short = &second_commit[..12];
    let expected = format!("miss: `more/new.txt` added; compared with the image of commit {short}");
    assert_eq!(asked.output("reason"), expected);

    // The same commit with other inputs: its own image is nearest.
    let other =
        work.program().repository(&repository).pull_request(7, &head, false).input("labels", "team=ci");
    let other = other.run().is("built");
    assert!(
        other.output("reason").starts_with("miss: label `team` added; compared with this commit's image ")
    );

    // More than a sentence holds is listed.
    for name in ["a", "b", "c", "d"] {
        work.write(name, "");
    }
    work.commit("add some");
    let many = work.program().repository(&repository).before(&second_commit).run().is("built");
    assert!(many.output("reason").contains(", 2 more; compared"), "{}", many.output("reason"));
    assert!(many.log.contains("\n  `d` added\n") && many.summary.contains("| changed |"), "{}", many.log);
}

#[test]
fn sixteen_kibibytes_travel() {
    let (work, repository) = (Workspace::new("wide"), Repository::open("wide"));
    for number in 0..900 {
        work.write(&format!("src/part-{}/file-{number}.txt", number % 30), "x");
    }
    work.write(".dockerignore", ".git\n");
    let before = work.commit("many files");
    let first = work.program().repository(&repository).input("provenance", "mode=min").run().is("built");
    let image = repository.image(first.output("digest")).unwrap();
    let text = image.manifest["annotations"][ENTRIES].as_str().expect("an index has it too");
    assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&text.len()), "{} bytes", text.len());
    assert_eq!(decode(text).unwrap().key, first.output("key"));

    work.write("src/part-7/file-7.txt", "y");
    work.commit("touch one");
    let second = work.program().repository(&repository).input("provenance", "mode=min").before(&before).run();
    let second = second.is("built");
    assert!(second.output("reason").starts_with("miss: ") && second.output("reason").contains("`src/"));
}

#[test]
fn without_a_repository_the_label_explains() {
    let work = Workspace::new("label");
    work.write(".dockerignore", ".git\n");
    let first = work.program().run().is("built-local");
    let label = |name: &str| {
        engine(&[
            "image",
            "inspect",
            "--format",
            &format!("{{{{index .Config.Labels \"{name}\"}}}}"),
            &work.image,
        ])
    };
    assert_eq!(decode(&label(ENTRIES)).unwrap().key, first.output("key"));
    work.write("content.txt", "other");
    let second = work.program().run().is("built-local");
    let expected =
        format!("miss: `content.txt` changed; compared with {}:latest on this machine", work.image);
    assert_eq!(second.output("reason"), expected);
}

#[test]
fn the_old_store_has_the_label_alone() {
    let host = lab().get("BUILD_ONCE_LAB_CLASSIC_HOST");
    if host.is_empty() {
        return eprintln!("skipped: this lab has no engine with the classic store");
    }
    let (work, repository) = (Workspace::new("oldstore"), Repository::ecr("oldstore"));
    work.write(".dockerignore", ".git\n");
    let before = work.commit("without .git");
    let program = || work.program().repository(&repository).engine(host).input("cache", "none");
    let first = program().run().is("built");
    let image = repository.image(first.output("digest")).unwrap();
    assert!(image.manifest["annotations"].is_null());
    assert_eq!(
        decode(repository.labels(&image)[ENTRIES].as_str().unwrap()).unwrap().key,
        first.output("key")
    );
    work.write("content.txt", "other");
    work.commit("touch");
    let second = program().before(&before).run().is("built");
    assert!(
        second.output("reason").starts_with("miss: `content.txt` changed; "),
        "{}",
        second.output("reason")
    );
}

/// What `key` prints with this flag.
fn key(program: Program<'_>, flag: &str) -> String {
    let done = program.command("key").flag(flag).run();
    assert_eq!(done.code, Some(0), "{}", done.log);
    done.stdout
}

#[test]
fn key_explain_names_the_touched_file() {
    let (work, repository) = (Workspace::new("explain"), Repository::open("explain"));
    work.write(".dockerignore", ".git\n");
    work.commit("without .git");
    let built = work.program().repository(&repository).run().is("built");
    let program = || work.program().repository(&repository);
    assert!(key(program(), "--explain").starts_with("nothing differs from this commit's image "));

    work.write("content.txt", "touched");
    for flag in [
        "--explain".to_owned(),
        format!("--explain={}", work.commit_tag()),
        format!("--explain={}", built.output("image")),
    ] {
        let text = key(program(), &flag);
        assert!(
            text.contains(built.output("key")) && text.ends_with(":\n  `content.txt` changed\n"),
            "{flag}: {text}"
        );
    }
    // Two checkouts that should be equal and are not.
    let listing = work.root().join("there.json");
    fs::write(&listing, key(program(), "--json")).unwrap();
    work.write("generated/version.txt", "1");
    let text = key(program(), &format!("--explain={}", listing.display()));
    assert!(text.ends_with(":\n  `generated/version.txt` added\n"), "{text}");

    let gone = program().command("key").flag("--explain=no-such-tag").run();
    assert_eq!(gone.code, Some(2), "{}", gone.log);
    assert!(gone.log.contains("is not there"), "{}", gone.log);
}

#[test]
fn the_frontend_is_the_one_of_the_key() {
    let (work, repository) = (Workspace::new("frontend"), Repository::open("frontend"));
    // No frontend at all: how the build fails shows which image was asked.
    let digest = repository.copy_base("1", "syntax");
    let dockerfile = fs::read_to_string(work.folder().join("Dockerfile")).unwrap();
    work.write("Dockerfile", &format!("# syntax={}:syntax\n{dockerfile}", repository.name()));
    let failed = work.program().run();
    assert_ne!(failed.code, Some(0), "{}", failed.log);
    assert!(failed.log.contains(&format!("{}@{digest}", repository.name())), "{}", failed.log);
}

/// A web server for files below a folder; `/moving` answers the program and everybody else differently.
struct Web {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Web {
    fn serve(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let root = root.clone();
                std::thread::spawn(move || answer(&stream.unwrap(), &root));
            }
        });
        Self { port, stop }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(mut stream: &std::net::TcpStream, root: &Path) {
    let lines: Vec<String> =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let Some(request) = lines.first() else { return };
    let path = request
        .split(' ')
        .nth(1)
        .unwrap_or("/")
        .split('?')
        .next()
        .unwrap()
        .trim_start_matches('/')
        .to_owned();
    let ours = lines.iter().any(|line| line.to_lowercase().starts_with("user-agent: build-once"));
    let body = match &*path {
        "moving" => Ok(if ours { b"as the key saw it".to_vec() } else { b"as it is by then".to_vec() }),
        path => fs::read(root.join(path)),
    };
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes());
    if !request.starts_with("HEAD") {
        let _ = stream.write_all(&body);
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=lab", "-c", "user.email=lab@example.test", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a Dockerfile, as a web server shows it; its one commit.
fn repository(root: &Path) -> String {
    let work = root.join("work");
    fs::create_dir(&work).unwrap();
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(work.join("Dockerfile"), "ARG BASE\nFROM ${BASE}\nCOPY x /x\n").unwrap();
    fs::write(work.join("x"), "from git").unwrap();
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--message=one"]);
    git(root, &["clone", "--quiet", "--bare", "work", "r.git"]);
    git(&root.join("r.git"), &["update-server-info"]);
    git(&work, &["rev-parse", "HEAD"])
}

#[test]
fn add_takes_what_the_key_saw() {
    let (work, web) = (Workspace::new("add"), tempfile::tempdir().unwrap());
    let commit = repository(web.path());
    fs::write(web.path().join("file"), "from the web").unwrap();
    let server = Web::serve(web.path().to_owned());
    let dockerfile =
        |sources: &str| work.write("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\n{sources}"));
    dockerfile(&format!("ADD {} /file\nADD {} /r\n", server.url("file"), server.url("r.git#main")));
    let built = work.program().run().is("built-local");
    let sources = built.plan()["steps"][0]["spec"]["sources"].clone();
    assert_eq!(sources[1]["content"], *commit);
    assert_eq!(engine(&["run", "--rm", &work.image, "cat", "/file", "/r/x"]), "from the webfrom git");
    assert_eq!(work.program().run().is("reused-local").output("key"), built.output("key"));

    dockerfile(&format!("ADD {} /file\n", server.url("moving")));
    let moved = work.program().run();
    assert_ne!(moved.code, Some(0), "{}", moved.log);
    assert!(moved.log.contains("digest mismatch"), "{}", moved.log);

    dockerfile(&format!("RUN true\nADD {} /file\n", server.url("gone")));
    let gone = work.program().command("key").run();
    assert_ne!(gone.code, Some(0));
    assert!(gone.log.contains("Dockerfile:4: what "), "{}", gone.log);
}

#[test]
fn a_context_that_is_a_repository() {
    let (work, web) = (Workspace::new("context"), tempfile::tempdir().unwrap());
    let commit = repository(web.path());
    let server = Web::serve(web.path().to_owned());
    let (open, fixed) = (server.url("r.git"), format!("{}#{commit}", server.url("r.git")));
    let built = work.program().input("context", &open).run().is("built-local");
    assert!(built.log.contains(&fixed), "{}", built.log);
    assert_eq!(engine(&["run", "--rm", &work.image, "cat", "/x"]), "from git");
    work.program().input("context", &fixed).run().is("reused-local");

    // As a build context, it is held to its commit too.
    work.write("Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY --from=src x /y\n");
    let named = work.program().input("build-contexts", &format!("src={open}#main")).run().is("built-local");
    assert!(named.log.contains(&fixed), "{}", named.log);
}

/// Dockerfile, inputs, exit code, what is said.
type Row = (&'static str, &'static [(&'static str, &'static str)], i32, &'static str);

/// What can be wrong, and what is said of it.
#[test]
fn bad_inputs_are_named() {
    let work = Workspace::new("bad");
    let rows: [Row; 6] = [
        ("FROM\n", &[], 10, "Dockerfile:1: "),
        ("ARG BASE\nFROM ${BASE}\nCOPPY . /\n", &[], 10, "Dockerfile:3: "),
        ("FROM scratch\n", &[("target", "absent")], 10, "target `absent` is not a stage"),
        ("FROM scratch\n", &[("context", "absent")], 2, "absent"),
        ("FROM scratch\n", &[("file", "absent/Dockerfile")], 10, "absent/Dockerfile"),
        ("FROM scratch\n", &[("key", "files"), ("key-files", "absent/**")], 2, "matches no file"),
    ];
    for (dockerfile, inputs, code, said) in rows {
        work.write("Dockerfile", dockerfile);
        let program = inputs.iter().fold(work.program(), |program, (name, value)| program.input(name, value));
        let done = program.command("key").run();
        assert_eq!(done.code, Some(code), "{dockerfile} {inputs:?}: {}", done.log);
        assert!(done.log.contains(said), "{dockerfile} {inputs:?}: {}", done.log);
    }
}

#[test]
fn a_dockerfile_outside_the_context() {
    let work = Workspace::new("outside");
    work.write("app/x", "inside");
    work.write("docker/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY . /app\n");
    work.write("docker/Dockerfile.dockerignore", "secret\n");
    work.write("app/secret", "1");
    let program = || work.program().input("context", "app").input("file", "docker/Dockerfile");
    let built = program().run().is("built-local");
    assert_eq!(engine(&["run", "--rm", &work.image, "ls", "/app"]), "x");
    work.write("app/secret", "2");
    assert_eq!(program().run().is("reused-local").output("key"), built.output("key"));
    work.write("docker/Dockerfile", "ARG BASE\nFROM ${BASE}\nCOPY . /other\n");
    assert!(program().run().is("built-local").output("reason").starts_with("miss: the Dockerfile changed; "));
}

#[test]
fn a_context_that_can_only_be_read() {
    let work = Workspace::new("readonly");
    let mounted = work.root().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&mounted).output().unwrap();
    let folder = work.folder();
    if !mount(&["--bind", folder.to_str().unwrap()]).status.success() {
        return eprintln!("skipped: nothing can be mounted here");
    }
    let read_only = mount(&["-o", "remount,ro,bind"]).status.success();
    let there = work.program().command("key").folder(&mounted).run();
    let here = work.program().command("key").run();
    assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
    assert!(read_only);
    assert_eq!((there.code, &there.stdout), (Some(0), &here.stdout), "{}", there.log);
}

#[test]
fn a_file_that_keeps_changing() {
    let work = Workspace::new("changing");
    let path = work.folder().join("growing");
    fs::write(&path, vec![0; 300 << 20]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (grown, stopped) = (path.clone(), stop.clone());
    let writer = std::thread::spawn(move || {
        let mut growing = fs::OpenOptions::new().append(true).open(grown).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            growing.write_all(b"x").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    let done = work.program().command("key").run();
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(done.code, Some(2), "{}", done.log);
    assert!(done.log.contains("growing changed while it was being read"), "{}", done.log);
}

#[test]
fn ten_gigabytes_are_streamed() {
    let work = Workspace::new("huge");
    fs::File::create(work.folder().join("huge")).unwrap().set_len(10 << 30).unwrap();
    // With room for a tenth of it.
    let output = Command::new("bash")
        .args(["-c", "ulimit -v 1000000; exec \"$0\" key --json", env!("CARGO_BIN_EXE_build-once")])
        .current_dir(work.folder())
        .env("INPUT_IMAGE", "huge")
        .env("INPUT_BUILD_ARGS", format!("BASE={}", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")))
        .env("INPUT_SSM_PARAMETER", "/e2e/none")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"size\":10737418240"));
}
