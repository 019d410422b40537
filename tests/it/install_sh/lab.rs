//! The stage: a copy of `dist/install.sh`, fakes for what it asks, and what came of a run.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub(super) const VERSION: &str = "1.2.3";
pub(super) const LINUX: &str = "x86_64-unknown-linux-musl";
pub(super) const PROGRAM: &[u8] = b"#!/bin/sh\necho this is the program\n";

/// Writes its arguments to `calls`, then does as the files beside it say: `serve/NAME` is what a URL's
/// last part leads to, `partial` what comes instead, `exit` the code to fail with. Is `wget` too.
pub(super) const CURL: &str = r#"#!/bin/sh
here=${0%/*}
{ printf '%s\n' "${0##*/}" "$@"; printf '%s\n' --; } >>"$here/calls"
while [ $# -gt 1 ]; do
  case $1 in --output | -O) out=$2 ;; esac
  shift
done
if [ -e "$here/partial" ]; then cat "$here/partial" >"$out"; fi
if [ -e "$here/exit" ]; then
  echo "curl: something went wrong" >&2
  exit "$(cat "$here/exit")"
fi
[ -e "$here/partial" ] || cat "$here/serve/${1##*/}" >"$out"
"#;

const UNAME: &str = "#!/bin/sh\ncase $1 in -s) echo \"${FAKE_SYSTEM:-Linux}\" ;; -m) echo \"${FAKE_MACHINE:-x86_64}\" ;; esac\n";

/// All that the script may use besides bash and the fakes. `perl` is for `shasum`.
const TOOLS: &str = "cat chmod dirname grep mkdir mktemp mv perl rm sh sha256sum shasum ls cp";

fn find(tool: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(tool))
        .find(|file| file.exists())
}

/// A copy of the script in a folder of its own. Its path has a space and a quote in it.
pub(super) struct Lab {
    pub(super) root: TempDir,
}

impl Lab {
    /// Version 1.2.3 is released, the download works, nothing is cached.
    pub(super) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("in stall's ").tempdir().unwrap();
        let lab = Self { root };
        for folder in ["dist", "bin/serve", "home", "tool cache"] {
            fs::create_dir_all(lab.path(folder)).unwrap();
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/install.sh");
        fs::copy(source, lab.path("dist/install.sh")).unwrap();
        fs::write(lab.path("dist/VERSION"), format!("{VERSION}\n")).unwrap();
        fs::write(lab.asset(LINUX), PROGRAM).unwrap();
        lab.sums(&format!("# comment\n{}  build-once-{LINUX}\n", sum(&lab.asset(LINUX))));
        lab.executable("bin/curl", CURL);
        lab.executable("bin/uname", UNAME);
        for tool in TOOLS.split_whitespace() {
            if let Some(found) = find(tool) {
                symlink(found, lab.path("bin").join(tool)).unwrap();
            }
        }
        lab
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub(super) fn asset(&self, triple: &str) -> PathBuf {
        self.path(&format!("bin/serve/build-once-{triple}"))
    }

    pub(super) fn cached(&self) -> PathBuf {
        self.path(&format!("tool cache/build-once/{VERSION}/{LINUX}/build-once"))
    }

    pub(super) fn sums(&self, text: &str) {
        fs::write(self.path("dist/SHA256SUMS"), text).unwrap();
    }

    /// Every download ends with this code of curl's.
    pub(super) fn curl_fails(&self, code: &str) {
        fs::write(self.path("bin/exit"), code).unwrap();
    }

    pub(super) fn executable(&self, below: &str, text: &str) -> PathBuf {
        let file = self.path(below);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    pub(super) fn plant(&self, text: &str) {
        fs::create_dir_all(self.cached().parent().unwrap()).unwrap();
        fs::write(self.cached(), text).unwrap();
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(find("bash").unwrap());
        command
            .arg(self.path("dist/install.sh"))
            .current_dir(self.root.path())
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"))
            .env("RUNNER_TOOL_CACHE", self.path("tool cache"))
            .stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, env: &[(&str, &str)]) -> Run {
        Run::of(&self.command().envs(env.iter().copied()).output().unwrap())
    }

    /// The arguments of every call of the downloader, one a line, calls ended by `--`.
    pub(super) fn calls(&self) -> String {
        fs::read_to_string(self.path("bin/calls")).unwrap_or_default()
    }

    /// The URLs that were asked for.
    pub(super) fn urls(&self) -> Vec<String> {
        self.calls().split("\n--\n").filter_map(|call| call.lines().last().map(str::to_owned)).collect()
    }

    /// The program is where it belongs, and nothing lies beside it.
    pub(super) fn assert_installed(&self) {
        let program = self.cached();
        assert_eq!(fs::read(&program).unwrap(), PROGRAM);
        let data = fs::symlink_metadata(&program).unwrap();
        assert!(data.is_file() && data.permissions().mode() & 0o111 == 0o111, "{data:?}");
        self.assert_only_program();
    }

    pub(super) fn assert_only_program(&self) {
        let Ok(entries) = fs::read_dir(self.cached().parent().unwrap()) else { return };
        let rest: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name()).filter(|name| name != "build-once").collect();
        assert!(rest.is_empty(), "left behind: {rest:?}");
    }
}

/// How a run ended.
pub(super) struct Run {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Run {
    pub(super) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// It printed this path and not a byte more.
    pub(super) fn assert_path(&self, path: &Path) {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (Some(0), format!("{}\n", path.display()).as_str()),
            "{}",
            self.stderr
        );
    }

    /// It failed with this code, printed no path, and said all of this.
    pub(super) fn assert_failed(&self, code: i32, said: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{}", self.stderr);
        for text in said {
            assert!(self.stderr.contains(text), "no `{text}` in {}", self.stderr);
        }
        assert!(self.stderr.contains("\nhint: "), "no hint in {}", self.stderr);
    }
}

pub(super) fn sum(file: &Path) -> String {
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .stdin(fs::File::open(file).unwrap())
            .output()
            .ok()
            .filter(|o| o.status.success())
    };
    let output = run("sha256sum", &[]).or_else(|| run("shasum", &["-a", "256"])).unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}
