//! The files a key sees are the files BuildKit sends: random trees and ignore files, built for real.
//!
//! Many trees go into one build, each a build context of its own. The set of files in the image (path, kind,
//! executable bit, contents) must be the set in `build-once key --json`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use build_once::key::names::{escape, hex, unescape};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::lab;

/// Kind, executable bit, SHA-256 of contents or of a link's target; by path.
type Set = BTreeMap<Vec<u8>, (String, bool, String)>;

/// A reproducible source of choices (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

const NAMES: [&str; 34] = [
    "a",
    "b",
    "c",
    "foo",
    "bar",
    "src",
    "docs",
    "node_modules",
    ".hidden",
    ".git",
    "a.txt",
    "b.md",
    "Foo",
    "x y",
    " lead",
    "trail ",
    "tab\there",
    "new\nline",
    "caf\u{e9}",
    "cafe\u{301}",
    "\u{65e5}\u{672c}",
    "st*r",
    "q?",
    "[br]",
    "back\\slash",
    "!bang",
    "#hash",
    "-dash",
    "c++",
    "a.b.c",
    "...",
    "%41",
    "\u{1f980}",
    "\u{7f}",
];

/// A random tree; the paths made, folders with a slash.
fn tree(dice: &mut Dice, root: &Path) -> Vec<String> {
    let mut folders = vec![String::new()];
    let mut paths = Vec::new();
    for _ in 0..2 + dice.below(18) {
        let parent = folders[dice.below(folders.len())].clone();
        let long = "n".repeat(255);
        let name = if dice.one_in(60) { &*long } else { dice.of(&NAMES) };
        let path = format!("{parent}{name}");
        let full = root.join(&path);
        if fs::symlink_metadata(&full).is_ok() {
            continue;
        }
        match dice.below(10) {
            0..=2 => {
                fs::create_dir(&full).unwrap();
                folders.push(format!("{path}/"));
            }
            3 => {
                let target = match dice.below(6) {
                    0 => ".".to_owned(),
                    1 => "..".to_owned(),
                    2 => name.to_owned(),
                    3 => "/etc/hostname".to_owned(),
                    4 => dice.of(&NAMES).to_owned(),
                    _ => paths.get(dice.below(paths.len().max(1))).cloned().unwrap_or("gone".to_owned()),
                };
                symlink(target, &full).unwrap();
            }
            _ => {
                fs::write(&full, format!("{}", dice.below(5))).unwrap();
                let mode = [0o644, 0o644, 0o600, 0o755, 0o711, 0o655, 0o4755][dice.below(7)];
                fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        paths.push(path);
    }
    paths
}

/// A random ignore file that speaks of these paths; none now and then.
fn ignore(dice: &mut Dice, paths: &[String]) -> Option<String> {
    if dice.one_in(6) || paths.is_empty() {
        return None;
    }
    let mut text = String::new();
    if dice.one_in(10) {
        text.push('\u{feff}');
    }
    for _ in 0..=dice.below(6) {
        let path = &paths[dice.below(paths.len())];
        // Signs that mean something in a pattern, taken literally.
        let literal: String = path
            .chars()
            .map(|c| if "*?[]\\".contains(c) { format!("\\{c}") } else { c.to_string() })
            .collect();
        let last = literal.rsplit('/').next().unwrap().to_owned();
        let first = literal.split('/').next().unwrap().to_owned();
        let start: String = last.chars().take(1).filter(|c| c.is_alphanumeric()).collect();
        let pattern = match dice.below(20) {
            0 => "*".to_owned(),
            1 => "**".to_owned(),
            2 => format!("**/{last}"),
            3 => format!("{first}/**"),
            4 => format!("*/{last}"),
            5 => format!("{start}*"),
            6 => format!("**/{start}*"),
            7 => format!("/{literal}"),
            8 => format!("{literal}/"),
            9 => format!("./{first}/../{literal}"),
            10 => "**/*.md".to_owned(),
            11 => "[a-c]".to_owned(),
            12 => "**/[^a-c]*".to_owned(),
            13 => "?".to_owned(),
            14 => format!("{first}/*/{last}"),
            15 => format!("{first}/**/{last}"),
            16 => format!("*/*{start}"),
            _ => literal,
        };
        // BuildKit hands patterns on as a header, and fails where that takes no control characters.
        if pattern.contains(|c: char| c.is_ascii_control()) {
            continue;
        }
        let exception = if dice.one_in(3) { "!" } else { "" };
        let end = dice.of(&["\n", "\n", "\n", "\r\n", "  \n", "\n\n", "\n# a comment\n"]);
        text.extend([exception, &pattern, end]);
    }
    Some(text)
}

fn run(program: &str, folder: &Path, arguments: &[String]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("DOCKER_HOST", lab().get("DOCKER_HOST"))
        .env("DOCKER_CONFIG", lab().get("DOCKER_CONFIG"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn texts(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&text| text.to_owned()).collect()
}

/// The sets the key sees, by context.
fn seen(folder: &Path, arguments: &[String]) -> BTreeMap<String, Set> {
    let mut all = texts(&["key", "--json", "--image", "keys", "--ssm-parameter", "/e2e/none"]);
    all.extend_from_slice(arguments);
    let listing: Value =
        serde_json::from_slice(&run(env!("CARGO_BIN_EXE_build-once"), folder, &all)).unwrap();
    let mut sets: BTreeMap<String, Set> = BTreeMap::new();
    for file in listing["files"].as_array().unwrap() {
        let text = |name: &str| file[name].as_str().unwrap().to_owned();
        let kind = text("kind");
        let sum = if kind == "folder" { String::new() } else { text("sha256") };
        let path = unescape(&text("path")).unwrap();
        sets.entry(text("context")).or_default().insert(path, (kind, text("flags").contains('x'), sum));
    }
    sets
}

/// The set below a folder that BuildKit wrote.
fn found(root: &Path) -> Set {
    fn walk(folder: &Path, prefix: &[u8], set: &mut Set) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = [prefix, entry.file_name().as_bytes()].concat();
            let metadata = fs::symlink_metadata(entry.path()).unwrap();
            let sum = |bytes: &[u8]| hex(&Sha256::digest(bytes));
            let fact = if metadata.is_dir() {
                walk(&entry.path(), &[&path, &b"/"[..]].concat(), set);
                ("folder", false, String::new())
            } else if metadata.is_symlink() {
                ("link", false, sum(fs::read_link(entry.path()).unwrap().as_os_str().as_bytes()))
            } else {
                ("file", metadata.permissions().mode() & 0o100 != 0, sum(&fs::read(entry.path()).unwrap()))
            };
            set.insert(path, (fact.0.to_owned(), fact.1, fact.2));
        }
    }
    let mut set = Set::new();
    walk(root, b"", &mut set);
    set
}

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn difference(key: &Set, image: &Set) -> Vec<String> {
    let all: std::collections::BTreeSet<_> = key.keys().chain(image.keys()).collect();
    let differs = all.into_iter().filter(|path| match (key.get(*path), image.get(*path)) {
        // BuildKit lists files by one reading of the rules and opens them by another; where only the second
        // leaves a file out, it sends it empty (fsutil `send.go`). The key counts what it holds all the same.
        (Some(key), Some(image)) => {
            (&key.0, key.1) != (&image.0, image.1) || (key.2 != image.2 && image.2 != EMPTY)
        }
        _ => true,
    });
    differs
        .map(|path| format!("{}: key {:?}, image {:?}", escape(path), key.get(path), image.get(path)))
        .collect()
}

/// Trees of one build. A layer each, and overlay file systems stack no more than some hundred.
const BATCH: usize = 50;
const BATCHES: u64 = 4;

#[test]
fn the_key_sees_what_buildkit_sends() {
    let seed = std::env::var("BUILD_ONCE_LAB_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut threads = Vec::new();
    for batch in 0..BATCHES {
        threads.push(std::thread::spawn(move || one_batch(seed * 1000 + batch)));
    }
    let wrong: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A build of many trees as build contexts, and one as the context itself.
fn one_batch(seed: u64) -> Vec<String> {
    let root = tempfile::Builder::new().prefix("build-once-keys-").tempdir().unwrap();
    let root = root.path();
    let mut dice = Dice(seed);
    let mut dockerfile = "FROM scratch\nCOPY . /context/\n".to_owned();
    let mut arguments = Vec::new();
    let mut rules = BTreeMap::new();
    for number in 0..BATCH {
        let name = format!("c{number}");
        let folder = root.join(&name);
        fs::create_dir(&folder).unwrap();
        let paths = tree(&mut dice, &folder);
        if let Some(text) = ignore(&mut dice, &paths) {
            fs::write(folder.join(".dockerignore"), &text).unwrap();
            rules.insert(name.clone(), text);
        }
        writeln!(dockerfile, "COPY --from={name} . /{name}/").unwrap();
        arguments.push(format!("{name}=./{name}"));
    }
    // The context's own rules may stand beside the Dockerfile, and then those in the context do not count.
    let context = root.join("main");
    fs::create_dir(&context).unwrap();
    let paths = tree(&mut dice, &context);
    for name in ["main/.dockerignore", "Dockerfile.dockerignore"] {
        if let Some(text) = ignore(&mut dice, &paths) {
            fs::write(root.join(name), &text).unwrap();
            rules.insert(name.to_owned(), text);
        }
    }
    fs::write(root.join("Dockerfile"), dockerfile).unwrap();

    let list = arguments.join("\n");
    let sets = seen(root, &texts(&["--context", "main", "--file", "Dockerfile", "--build-contexts", &list]));
    let mut build = texts(&[
        "buildx",
        "build",
        "--quiet",
        "--no-cache",
        "--file",
        "Dockerfile",
        "--output",
        "type=local,dest=out",
    ]);
    build.extend(arguments.iter().flat_map(|context| ["--build-context".to_owned(), context.clone()]));
    build.push("main".to_owned());
    run(lab().get("BUILD_ONCE_LAB_DOCKER"), root, &build);

    let none = Set::new();
    let mut wrong = Vec::new();
    for name in (0..BATCH).map(|number| format!("c{number}")).chain(["context".to_owned()]) {
        let image = found(&root.join("out").join(&name));
        let differs = difference(sets.get(&name).unwrap_or(&none), &image);
        if !differs.is_empty() {
            wrong.push(format!("seed {seed}, {name}, rules {:?}:\n{}", rules.get(&name), differs.join("\n")));
        }
    }
    wrong
}

#[test]
fn a_name_that_is_not_utf_8() {
    // What BuildKit makes of it is its affair; a key for it is one that no other name has.
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    fs::write(root.path().join(OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    let sets = seen(root.path(), &[]);
    assert!(sets["context"].contains_key(&b"caf\xe9"[..]));
    let output = Command::new(lab().get("BUILD_ONCE_LAB_DOCKER"))
        .args(["buildx", "build", "--quiet", "--output", "type=local,dest=out", "."])
        .current_dir(root.path())
        .env("DOCKER_HOST", lab().get("DOCKER_HOST"))
        .env("DOCKER_CONFIG", lab().get("DOCKER_CONFIG"))
        .output()
        .unwrap();
    if output.status.success() {
        assert!(found(&root.path().join("out")).contains_key(&b"caf\xe9"[..]), "sent under another name");
    } else {
        assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-8"), "{output:?}");
    }
}

/// Sources of a `COPY` below a folder of the context, such that the build takes them; none if there are none.
fn sources(dice: &mut Dice, root: &Path, folder: &str, paths: &[String]) -> Vec<String> {
    let top = root.join(folder);
    let Ok(top) = top.canonicalize() else { return Vec::new() };
    // Links may lead anywhere within their own tree.
    let inside =
        |path: &str| top.join(path).canonicalize().is_ok_and(|real| real.starts_with(&top) && real != top);
    let good: Vec<&String> = paths.iter().filter(|path| inside(path)).collect();
    let mut found = Vec::new();
    for _ in 0..=dice.below(3) {
        let Some(path) = good.get(dice.below(good.len().max(1))) else { break };
        let literal: String = path
            .chars()
            .map(|c| if "*?[]\\".contains(c) { format!("\\{c}") } else { c.to_string() })
            .collect();
        let source = match dice.below(5) {
            // All of its siblings, links that lead nowhere left out of the bargain.
            0 => {
                let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
                let siblings = fs::read_dir(top.join(parent)).unwrap();
                let names: Vec<_> =
                    siblings.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
                let all = names.iter().all(|name| inside(format!("{parent}/{name}").trim_start_matches('/')));
                let parent = literal.rsplit_once('/').map_or("", |(parent, _)| parent);
                if all && !parent.contains('\\') {
                    format!("{parent}/*").trim_start_matches('/').to_owned()
                } else {
                    literal
                }
            }
            1 => format!("./{literal}"),
            2 if fs::metadata(top.join(path)).unwrap().is_dir() => format!("{literal}/"),
            _ => literal,
        };
        found.push(format!("{folder}/{source}"));
    }
    found
}

/// Changes one thing somewhere; says what.
fn change(dice: &mut Dice, folder: &Path, paths: &[String]) -> String {
    let path = &paths[dice.below(paths.len())];
    let full = folder.join(path);
    let kind = fs::symlink_metadata(&full).unwrap();
    if kind.is_symlink() {
        fs::remove_file(&full).unwrap();
        symlink("elsewhere", &full).unwrap();
        return format!("{path:?} leads elsewhere");
    }
    if kind.is_dir() {
        fs::write(full.join("come"), "new").unwrap();
        return format!("{path:?} holds one more");
    }
    match dice.below(3) {
        0 => {
            fs::remove_file(&full).unwrap();
            fs::create_dir(&full).unwrap();
            format!("{path:?} is a folder")
        }
        1 => {
            let mode = kind.permissions().mode() ^ 0o100;
            fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
            format!("{path:?} has another mode")
        }
        _ => {
            fs::write(&full, "other").unwrap();
            format!("{path:?} holds other text")
        }
    }
}

/// What counts when images are compared: of files, what the key counts.
fn image(root: &Path, dockerfile: &str, number: usize, out: &str) -> Option<Set> {
    let (name, dest) = (format!("one-{number}.Dockerfile"), format!("{out}-{number}"));
    fs::write(root.join(&name), dockerfile).unwrap();
    let output = Command::new(lab().get("BUILD_ONCE_LAB_DOCKER"))
        .args([
            "buildx",
            "build",
            "--quiet",
            "--file",
            &name,
            "--output",
            &format!("type=local,dest={dest}"),
            "context",
        ])
        .current_dir(root)
        .env("DOCKER_HOST", lab().get("DOCKER_HOST"))
        .env("DOCKER_CONFIG", lab().get("DOCKER_CONFIG"))
        .output()
        .unwrap();
    output.status.success().then(|| found(&root.join(dest)))
}

/// Scope `copied`: where another image comes of a change, the key is another one too.
#[test]
fn a_narrow_key_misses_nothing() {
    const TREES: usize = 40;
    let seed = std::env::var("BUILD_ONCE_LAB_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut dice = Dice(seed ^ 0xC0_91ED);
    let root = tempfile::Builder::new().prefix("build-once-keys-").tempdir().unwrap();
    let root = root.path();
    let context = root.join("context");
    fs::create_dir(&context).unwrap();
    let (mut wrong, mut wider, mut differ) = (Vec::new(), 0, 0);
    for number in 0..TREES {
        let name = format!("c{number}");
        fs::create_dir(context.join(&name)).unwrap();
        let paths = tree(&mut dice, &context.join(&name));
        let from = sources(&mut dice, &context, &name, &paths);
        if from.is_empty() {
            continue;
        }
        let list =
            serde_json::to_string(&from.iter().map(String::as_str).chain(["/out/"]).collect::<Vec<_>>())
                .unwrap();
        let dockerfile = format!("FROM scratch\nCOPY {list}\n");
        let file = format!("one-{number}.Dockerfile");
        let key = || {
            let mut all =
                texts(&["key", "--image", "keys", "--ssm-parameter", "/e2e/none", "--key", "copied"]);
            all.extend(texts(&["--context", "context", "--file", &file]));
            let text = String::from_utf8(run(env!("CARGO_BIN_EXE_build-once"), root, &all)).unwrap();
            assert!(text.contains("copied"), "{text}");
            text.lines().next().unwrap().to_owned()
        };
        let Some(before) = image(root, &dockerfile, number, "before") else {
            eprintln!("not built: {dockerfile}");
            continue;
        };
        let old = key();
        // Mostly what is copied, now and then what is not.
        let start = |source: &String| {
            source[name.len() + 1..].trim_start_matches("./").trim_end_matches(['*', '/']).to_owned()
        };
        let starts: Vec<String> = from.iter().map(start).collect();
        let copied: Vec<String> =
            paths.iter().filter(|path| starts.iter().any(|start| path.starts_with(start))).cloned().collect();
        let touched = if copied.is_empty() || dice.one_in(4) { &paths } else { &copied };
        let what = change(&mut dice, &context.join(&name), touched);
        let new = key();
        // A build that fails now is a change as well.
        let same = image(root, &dockerfile, number, "after").as_ref() == Some(&before);
        differ += usize::from(!same);
        if !same && old == new {
            wrong.push(format!("seed {seed}, tree {number}: {what}, and {dockerfile} has the same key"));
        }
        wider += usize::from(same && old != new);
    }
    eprintln!("{differ} of {TREES} images differ, {wider} keys are wider than their image");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(differ >= TREES / 5, "too few images differ to tell anything: {differ}");
}
