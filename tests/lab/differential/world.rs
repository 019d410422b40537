//! What the cases share: base images, a web server with files and git repositories, names of this run.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::plain::{Records, mark};
use super::store::Registry;
use super::web::Web;
use crate::harness::{engine, engine_at, images, lab, unique};

/// Made once per run, and taken away with it.
pub struct World {
    /// Of this run alone; a part of every name that it makes.
    pub run: String,
    pub root: TempDir,
    /// Whether each context's folder has a name of its own. Else all have one, and BuildKit would take what
    /// looks unchanged from another one's transfer, if it were let.
    pub apart: bool,
    /// The build-once that is looked at.
    pub program: String,
    /// What plain buildx makes of the fixed cases.
    pub records: Records,
    /// A hash of what builds depend on and cases do not say: base images, versions of engine and buildx.
    pub surroundings: String,
    web: Web,
}

/// The repository of the base images, the same for all runs: what is in it never changes.
const BASES: &str = "differential/base4";

/// Base images beside the lab's own. `FROM {REG}/base:1` is built on, so all have its shell, but `tiny`.
const DOCKERFILES: [(&str, &str, &str); 6] = [
    (
        "onbuild",
        "linux/amd64",
        "FROM {REG}/base:1\nONBUILD COPY *.txt /onbuild/\nONBUILD ENV FROM_TRIGGER=yes\n",
    ),
    (
        "env",
        "linux/amd64",
        "FROM {REG}/base:1\nENV BASE_DIR=/opt NAME=env-base\nLABEL base=env\nWORKDIR /opt/work\nUSER 1000:1000\nVOLUME /data\nENTRYPOINT [\"/bin/sh\"]\n",
    ),
    ("tiny", "linux/amd64", "FROM scratch\nCOPY <<X /one/file\ntiny\nX\n"),
    ("index", "linux/amd64,linux/arm64", "FROM {REG}/base:1\nARG TARGETARCH\nENV ARCH=${TARGETARCH}\n"),
    (
        "run",
        "linux/amd64",
        "FROM {REG}/base:2\nONBUILD ARG WHO=x\nONBUILD RUN --network=none echo ${WHO} >/triggered\n",
    ),
    (
        "triggers",
        "linux/amd64",
        "FROM {REG}/base:1\nONBUILD ARG NAME=base\nONBUILD COPY --from={BASES}:tiny /one/file /onbuild/tiny\nONBUILD COPY *.md /onbuild/\nONBUILD LABEL trigger=${NAME}\n",
    ),
];

/// The name of an image that only the engines know.
pub const LOCAL: &str = "differential-local";

impl World {
    /// Makes what is not there yet. `recorded`: what is recorded of plain builds is used.
    pub fn new(recorded: bool) -> Self {
        let root = tempfile::Builder::new().prefix("build-once-differential-").tempdir().unwrap();
        let web = root.path().join("web");
        fs::create_dir(&web).unwrap();
        repositories(&web);
        let own = || env!("CARGO_BIN_EXE_build-once").to_owned();
        let program = std::env::var("BUILD_ONCE_BIN").unwrap_or_else(|_| own());
        let apart = std::env::var_os("BUILD_ONCE_APART").is_some();
        let this = Self {
            apart,
            program,
            records: Records::read(recorded),
            surroundings: surroundings(),
            run: unique("d").replace("-0-", ""),
            web: Web::serve(web),
            root,
        };
        this.bases();
        this
    }

    /// The open registry.
    pub fn host() -> &'static str {
        lab().get("BUILD_ONCE_LAB_OPEN_REGISTRY")
    }

    /// `{REG}`, `{BASES}`, `{WEB}` and `{DIGEST}` in the texts of cases: they stay the same from run to run.
    pub fn fill(&self, text: &str) -> String {
        let bases = format!("{}/{BASES}", Self::host());
        let text = text.replace("{BASES}", &bases).replace("{REG}", Self::host());
        let text = text.replace("{WEB}", &self.web.url("")).replace("{RUN}", &self.run);
        if text.contains("{DIGEST}") { text.replace("{DIGEST}", &base_digest()) } else { text }
    }

    /// Where this run publishes.
    pub fn repository(&self) -> String {
        format!("differential/{}", self.run)
    }

    fn bases(&self) {
        let registry = Registry::new(Self::host(), BASES);
        let empty = self.root.path().join("bases");
        fs::create_dir(&empty).unwrap();
        for (tag, platforms, text) in DOCKERFILES {
            if registry.digest(tag).is_some() {
                continue;
            }
            let file = self.root.path().join("base.Dockerfile");
            fs::write(&file, self.fill(text)).unwrap();
            let name = self.fill(&format!("type=image,push=true,name={{BASES}}:{tag}"));
            let build = ["buildx", "build", "--builder", "default", "--provenance=false", "--output", &name];
            let build = [&build[..], &["--platform", platforms, "--file"]].concat();
            engine(&[&build[..], &[file.to_str().unwrap(), empty.to_str().unwrap()]].concat());
        }
        let one = self.fill("{REG}/base:1");
        for host in [lab().get("DOCKER_HOST"), lab().get("BUILD_ONCE_LAB_CLASSIC_HOST")] {
            if !host.is_empty() && !engine_at(host, &["image", "inspect", LOCAL]).0 {
                engine_at(host, &["pull", "--quiet", &one]);
                engine_at(host, &["tag", &one, LOCAL]);
            }
        }
    }

    /// Takes this run's images out of the engines' stores.
    pub fn clean(&self) {
        images::tidy(&self.run);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.clean();
    }
}

fn surroundings() -> String {
    let registry = Registry::new(World::host(), "base");
    let bases = ["1", "2", "latest"].map(|tag| registry.digest(tag));
    let version = engine(&["version", "--format", "{{.Server.Version}} {{.Server.GitCommit}}"]);
    let buildx = Command::new(lab().get("BUILD_ONCE_LAB_BUILDX")).arg("version").output().unwrap();
    let buildx = String::from_utf8_lossy(&buildx.stdout).into_owned();
    // A record that is never found is told by comparing two runs' lines.
    println!("builds depend on the bases {bases:?}, engine {version}, {buildx}");
    mark(&format!("{bases:?} {BASES} {DOCKERFILES:?} {version} {buildx}"))
}

fn base_digest() -> String {
    static DIGEST: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    DIGEST.get_or_init(|| Registry::new(World::host(), "base").digest("1").unwrap()).clone()
}

fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args(["-c", "user.name=lab", "-c", "user.email=lab@example.test", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `r.git`: two branches, a tag of each kind, a branch and a tag of one name; `file`: a plain file.
fn repositories(web: &Path) {
    fs::write(web.join("file"), "from the web").unwrap();
    let work = web.join("work");
    fs::create_dir_all(work.join("sub")).unwrap();
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    fs::write(work.join("x"), "from git").unwrap();
    fs::write(work.join("sub/y"), "below").unwrap();
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--message=one"]);
    git(&work, &["tag", "v1"]);
    git(&work, &["branch", "both"]);
    fs::write(work.join("x"), "from git, later").unwrap();
    git(&work, &["commit", "--quiet", "--all", "--message=two"]);
    git(&work, &["tag", "--annotate", "--message=two", "v2"]);
    git(&work, &["tag", "both"]);
    git(web, &["clone", "--quiet", "--bare", "work", "r.git"]);
    git(&web.join("r.git"), &["update-server-info"]);
}
