//! What is built is what the key saw: frontends, URLs, git repositories.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Repository, Workspace, engine, lab};

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
pub(super) struct Web {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Web {
    pub(super) fn serve(root: PathBuf) -> Self {
        Self::serve_to(root, None)
    }

    /// Only for requests with this value of `Authorization`.
    pub(super) fn serve_to(root: PathBuf, login: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (root, login) = (root.clone(), login.clone());
                std::thread::spawn(move || answer(&stream.unwrap(), &root, login.as_deref()));
            }
        });
        Self { port, stop }
    }

    /// Its host and port.
    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn answer(mut stream: &std::net::TcpStream, root: &Path, login: Option<&str>) {
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
    let given = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then_some(value)
    });
    let (status, body) = match body {
        _ if login.is_some() && given != login => {
            ("401 Unauthorized\r\nwww-authenticate: Basic realm=\"x\"", Vec::new())
        }
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes());
    if !request.starts_with("HEAD") {
        let _ = stream.write_all(&body);
    }
}

pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
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

/// A mount's type that stands in the base image, which the key does not read, may be `bind`.
#[test]
fn a_mount_whose_type_is_the_bases_binds_what_the_key_saw() {
    let (work, base) = (Workspace::new("mount-type"), Repository::open("mount-type"));
    let folder = work.root().join("typed");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("Dockerfile"),
        format!("FROM {}\nENV T=bind\n", lab().get("BUILD_ONCE_LAB_BASE_IMAGE")),
    )
    .unwrap();
    let name = format!("{}:typed", base.name());
    work.docker(&["buildx", "build", "--quiet", "--push", "--tag", &name, folder.to_str().unwrap()]);
    let step = "RUN --network=none --mount=type=$T,source=content.txt,target=/m cat /m >/made.txt";
    work.write("Dockerfile", &format!("FROM {name}\n{step}\n"));
    for text in ["one", "two"] {
        work.write("content.txt", text);
        work.program().run().is("built-local");
        assert_eq!(engine(&["run", "--rm", &work.image, "cat", "/made.txt"]), text);
    }
}

/// D69. The same of a repository whose submodule cannot be had.
#[test]
fn d69_a_submodule_that_cannot_be_had() {
    let (work, web) = (Workspace::new("submodule"), tempfile::tempdir().unwrap());
    let source = web.path().join("work");
    fs::create_dir(&source).unwrap();
    git(&source, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(source.join("Dockerfile"), "ARG BASE\nFROM ${BASE}\n").unwrap();
    fs::write(
        source.join(".gitmodules"),
        "[submodule \"s\"]\n\tpath = s\n\turl = http://127.0.0.1:1/none.git\n",
    )
    .unwrap();
    git(&source, &["add", "--all"]);
    git(
        &source,
        &["update-index", "--add", "--cacheinfo", "160000,1111111111111111111111111111111111111111,s"],
    );
    git(&source, &["commit", "--quiet", "--message=x"]);
    git(web.path(), &["clone", "--quiet", "--bare", "work", "r.git"]);
    git(&web.path().join("r.git"), &["update-server-info"]);
    let server = Web::serve(web.path().to_owned());
    let run = work.program().input("context", &server.url("r.git")).run().failed(20, "access");
    let error = run.annotations("error")[0];
    assert!(error.contains("fatal: unable to access 'http://127.0.0.1:1/none.git/'"), "{error}");
    assert!(error.contains("submodules") && !error.contains("add the Dockerfile"), "{error}");
}
