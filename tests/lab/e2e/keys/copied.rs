//! Scope `copied` is narrow and misses nothing: where a change makes another image, it makes another key.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use super::sets::{Set, found, run, texts};
use super::trees::{Dice, tree};
use crate::harness::lab;

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

/// A tree in the context, and the Dockerfile that copies from it.
struct Tree {
    folder: String,
    paths: Vec<String>,
    from: Vec<String>,
}

impl Tree {
    /// `COPY` to `/out/` of an image that has nothing else.
    fn stage(&self) -> String {
        let list: Vec<&str> = self.from.iter().map(String::as_str).chain(["/out/"]).collect();
        format!("FROM scratch AS {}\nCOPY {}\n", self.folder, serde_json::to_string(&list).unwrap())
    }

    fn file(&self) -> String {
        format!("{}.Dockerfile", self.folder)
    }

    fn key(&self, root: &Path) -> String {
        fs::write(root.join(self.file()), self.stage()).unwrap();
        let mut all = texts(&["key", "--image", "keys", "--ssm-parameter", "/e2e/none", "--key", "copied"]);
        all.extend(texts(&["--context", "context", "--file", &self.file()]));
        let text = String::from_utf8(run(env!("CARGO_BIN_EXE_build-once"), root, &all)).unwrap();
        assert!(text.contains("copied"), "{text}");
        text.lines().next().unwrap().to_owned()
    }
}

/// What counts when images are compared (of files, what the key counts), for each tree; `None` if its build fails. All
/// are built at once; only where that fails, each by itself.
fn images(root: &Path, trees: &[Tree]) -> Vec<Option<Set>> {
    let stages: String = trees.iter().map(Tree::stage).collect();
    let copies = trees.iter().map(|Tree { folder, .. }| format!("COPY --from={folder} / /{folder}/\n"));
    fs::write(root.join("all.Dockerfile"), format!("{stages}FROM scratch\n{}", copies.collect::<String>()))
        .unwrap();
    let _ = fs::remove_dir_all(root.join("built"));
    let build = [
        "buildx",
        "build",
        "--quiet",
        "--file",
        "all.Dockerfile",
        "--output",
        "type=local,dest=built",
        "context",
    ];
    let output = Command::new(lab().get("BUILD_ONCE_LAB_DOCKER"))
        .args(build)
        .current_dir(root)
        .env("DOCKER_HOST", lab().get("DOCKER_HOST"))
        .env("DOCKER_CONFIG", lab().get("DOCKER_CONFIG"))
        .output()
        .unwrap();
    match trees {
        _ if output.status.success() => {
            trees.iter().map(|tree| Some(found(&root.join("built").join(&tree.folder)))).collect()
        }
        [_] => vec![None],
        _ => trees.chunks(1).flat_map(|tree| images(root, tree)).collect(),
    }
}

/// Scope `copied`: where another image comes of a change, the key is another one too.
#[test]
fn a_narrow_key_misses_nothing() {
    const TREES: usize = 40;
    // So many in one build: one that fails makes as many builds more.
    const AT_ONCE: usize = 8;
    let seed = std::env::var("BUILD_ONCE_LAB_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut dice = Dice(seed ^ 0xC0_91ED);
    let root = tempfile::Builder::new().prefix("build-once-keys-").tempdir().unwrap();
    let root = root.path();
    let context = root.join("context");
    fs::create_dir(&context).unwrap();
    let mut trees = Vec::new();
    for number in 0..TREES {
        let folder = format!("c{number}");
        fs::create_dir(context.join(&folder)).unwrap();
        let paths = tree(&mut dice, &context.join(&folder));
        let from = sources(&mut dice, &context, &folder, &paths);
        if !from.is_empty() {
            trees.push(Tree { folder, paths, from });
        }
    }
    let (mut wrong, mut wider, mut differ) = (Vec::new(), 0, 0);
    for trees in trees.chunks(AT_ONCE) {
        let before = images(root, trees);
        let old: Vec<String> = trees.iter().map(|tree| tree.key(root)).collect();
        let changes: Vec<String> = trees
            .iter()
            .map(|Tree { folder, paths, from }| {
                // Mostly what is copied, now and then what is not.
                let start = |source: &String| {
                    source[folder.len() + 1..]
                        .trim_start_matches("./")
                        .trim_end_matches(['*', '/'])
                        .to_owned()
                };
                let starts: Vec<String> = from.iter().map(start).collect();
                let is_copied = |path: &&String| starts.iter().any(|start| path.starts_with(start));
                let copied: Vec<String> = paths.iter().filter(is_copied).cloned().collect();
                let touched = if copied.is_empty() || dice.one_in(4) { paths } else { &copied };
                change(&mut dice, &context.join(folder), touched)
            })
            .collect();
        let after = images(root, trees);
        for (at, tree) in trees.iter().enumerate() {
            if before[at].is_none() {
                eprintln!("not built: {}", tree.stage());
                continue;
            }
            let new = tree.key(root);
            // A build that fails now is a change as well.
            let same = after[at] == before[at];
            differ += usize::from(!same);
            if !same && old[at] == new {
                wrong.push(format!(
                    "seed {seed}: {}, and the key is the same: {}",
                    changes[at],
                    tree.stage()
                ));
            }
            wider += usize::from(same && old[at] != new);
        }
    }
    eprintln!("{differ} of {TREES} images differ, {wider} keys are wider than their image");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(differ >= TREES / 5, "too few images differ to tell anything: {differ}");
}
