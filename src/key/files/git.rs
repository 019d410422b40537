//! A repository in the context: what git would answer there, without its bytes.
//!
//! Two clones of one commit agree in their commit, the name that is checked out, their tags and how far their
//! history goes back; they agree in hardly a byte of `.git` (the index, logs, packs, credentials). The files are
//! read here rather than by git: git may be missing, refuses folders of another user, and obeys the repository's
//! own configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::git_config as config;
use crate::budget::{self, GIT_CONFIG, GIT_DEPTH, GIT_FILE, GIT_MODULES, GIT_TAGS};
use crate::key::dockerfile::Digest;
use crate::key::names::hex;

/// What git would answer in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answers {
    /// The commit that is checked out; empty before the first one.
    pub commit: String,
    /// The branch as `refs/heads/…`; empty if the commit is checked out by itself.
    pub branch: String,
    /// SHA-256 over the name and object of each tag and each replacement (`git replace`); empty without any.
    pub tags: String,
    /// SHA-256 over the commits at which a shallow history ends; empty if it is whole.
    pub shallow: String,
    /// SHA-256 over the answers of each submodule's repository in it; empty without any.
    pub submodules: String,
}

/// What a folder named `.git` is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repository {
    /// No repository: nothing but a folder of that name.
    None,
    /// One that can be read.
    Answers(Answers),
    /// One that cannot; the reason is a clause for the user.
    Unreadable(&'static str),
}

/// Most references that refer to one another.
const HOPS: usize = 5;

/// Reads the repository in the folder `git`.
#[must_use]
pub(crate) fn read(git: &Path) -> Repository {
    at_depth(git, 0)
}

/// `depth`: how many submodules it is in.
fn at_depth(git: &Path, depth: usize) -> Repository {
    let Some(head) = text(&git.join("HEAD"), 4096) else { return Repository::None };
    if !git.join("objects").is_dir() {
        return Repository::None;
    }
    // `git init --ref-format=reftable`: HEAD and refs are stand-ins there.
    if git.join("reftable").is_dir() {
        return Repository::Unreadable("its references are in git's table format");
    }
    let packed = match packed(git) {
        Ok(packed) => packed,
        Err(why) => return Repository::Unreadable(why),
    };
    let head = head.trim();
    let branch = head.strip_prefix("ref:").map(str::trim).unwrap_or_default();
    let commit = if branch.is_empty() { Some(head.to_owned()) } else { resolve(git, branch, &packed) };
    let commit = match commit {
        Some(commit) if is_object(&commit) => commit,
        Some(_) => return Repository::Unreadable("its HEAD names no commit"),
        None => String::new(),
    };
    let mut tags: BTreeMap<String, String> =
        packed.into_iter().filter(|(name, _)| NAMED.iter().any(|folder| name.starts_with(folder))).collect();
    for folder in NAMED {
        if loose(&git.join(folder), folder, &mut tags, 0).is_none() {
            return Repository::Unreadable("its tags cannot be read");
        }
    }
    if tags.len() > GIT_TAGS {
        return Repository::Unreadable("it has too many tags");
    }
    let Some(submodules) = submodules(git, depth) else {
        return Repository::Unreadable("one of its submodules cannot be read");
    };
    let shallow: BTreeSet<String> = match text(&git.join("shallow"), GIT_FILE) {
        Some(text) => text.lines().map(str::to_owned).collect(),
        None if git.join("shallow").exists() => {
            return Repository::Unreadable("its shallow file cannot be read");
        }
        None => BTreeSet::new(),
    };
    let sum = |domain: &str, lines: &mut dyn Iterator<Item = &String>| {
        let mut lines = lines.peekable();
        if lines.peek().is_none() {
            return String::new();
        }
        let mut digest = Digest::new(domain);
        lines.for_each(|line| digest.text(line));
        hex(&digest.finish())
    };
    Repository::Answers(Answers {
        commit,
        branch: branch.to_owned(),
        tags: sum("git tags", &mut tags.iter().flat_map(|(name, object)| [name, object])),
        shallow: sum("git shallow", &mut shallow.iter()),
        submodules: sum("git submodules", &mut submodules.iter()),
    })
}

/// Folders of references that decide answers beside the commit and the branch.
const NAMED: [&str; 2] = ["refs/tags/", "refs/replace/"];

/// Each submodule's folder below `modules`, with its answers one after the other; nothing if one cannot be read.
fn submodules(git: &Path, depth: usize) -> Option<Vec<String>> {
    let root = git.join("modules");
    let mut open = Vec::new();
    modules(&root, &mut open, 0).filter(|()| depth <= HOPS)?;
    let mut found = Vec::new();
    open.retain(|folder| !open_above(&root, folder));
    open.sort();
    for folder in open {
        let Repository::Answers(own) = at_depth(&folder, depth + 1) else { return None };
        found.push(folder.strip_prefix(&root).ok()?.to_string_lossy().into_owned());
        found.extend([own.commit, own.branch, own.tags, own.shallow, own.submodules]);
    }
    Some(found)
}

/// Whether a repository lies in one that lies below `root` itself.
fn open_above(root: &Path, folder: &Path) -> bool {
    let above = folder.ancestors().skip(1).take_while(|above| *above != root);
    above.into_iter().any(|above| above.join("HEAD").is_file())
}

/// Whether the text of a file named `.git` says that the repository is at a place of this machine, where no build
/// can find it: in the image git answers nothing. Work trees have such a file; submodules have a relative one.
#[must_use]
pub(crate) fn is_elsewhere(text: &str) -> bool {
    text.strip_prefix("gitdir:").is_some_and(|place| place.trim().starts_with('/'))
}

/// A small regular file's text; nothing if it is none, is larger, or is not UTF-8.
pub(super) fn text(path: &Path, most: u64) -> Option<String> {
    fs_err::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    budget::read_text(path, most).ok()
}

fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// References of `packed-refs`; the object of an annotated tag is the tag's own.
fn packed(git: &Path) -> Result<BTreeMap<String, String>, &'static str> {
    let path = git.join("packed-refs");
    let Some(text) = text(&path, GIT_FILE) else {
        return if path.exists() { Err("its packed-refs cannot be read") } else { Ok(BTreeMap::new()) };
    };
    let lines = text.lines().filter(|line| !line.starts_with(['#', '^']));
    Ok(lines
        .filter_map(|line| line.split_once(' '))
        .map(|(object, name)| (name.to_owned(), object.to_owned()))
        .collect())
}

/// The object that a reference names; a loose one wins. Nothing if there is none yet.
fn resolve(git: &Path, name: &str, packed: &BTreeMap<String, String>) -> Option<String> {
    let mut name = name.to_owned();
    for _ in 0..HOPS {
        // A name is no way out of the repository.
        if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
            return Some(String::new());
        }
        let Some(found) = text(&git.join(&name), 4096) else { return packed.get(&name).cloned() };
        match found.trim().strip_prefix("ref:") {
            Some(next) => next.trim().clone_into(&mut name),
            None => return Some(found.trim().to_owned()),
        }
    }
    Some(String::new())
}

/// Tags that are files of their own.
fn loose(folder: &Path, prefix: &str, tags: &mut BTreeMap<String, String>, depth: usize) -> Option<()> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(()),
        Err(_) => return None,
    };
    for entry in entries {
        let entry = entry.ok()?;
        let name = format!("{prefix}{}", entry.file_name().to_str()?);
        let kind = entry.file_type().ok()?;
        if tags.len() > GIT_TAGS || depth > GIT_DEPTH {
            return None;
        }
        if kind.is_dir() {
            loose(&entry.path(), &format!("{name}/"), tags, depth + 1)?;
        } else if name.strip_suffix(".lock").is_none() {
            tags.insert(name, text(&entry.path(), 4096)?.trim().to_owned());
        }
    }
    Some(())
}

/// The file, below `root`, that holds a credential of the repository `git`: its configuration, those of its
/// submodules, or one that these include and that lies below `root` too.
#[must_use]
pub(crate) fn credential(root: &Path, git: &Path) -> Option<PathBuf> {
    let mut open = vec![(git.join("config"), 0), (git.join("config.worktree"), 0)];
    let mut inner = Vec::new();
    // Of more than can be searched, the first ones.
    let _ = modules(&git.join("modules"), &mut inner, 0);
    open.extend(inner.into_iter().map(|folder| (folder.join("config"), 0)));
    let mut seen = BTreeSet::new();
    while let Some((path, depth)) = open.pop() {
        let inside = fs_err::canonicalize(&path).ok().zip(fs_err::canonicalize(root).ok());
        let Some((path, _)) = inside.filter(|(path, root)| path.starts_with(root)) else { continue };
        if seen.len() > 2 * GIT_MODULES || !seen.insert(path.clone()) {
            continue;
        }
        let found = match text(&path, GIT_CONFIG) {
            Some(config) => config::scan(&config),
            None if fs_err::metadata(&path)
                .is_ok_and(|found| found.is_file() && found.len() > GIT_CONFIG) =>
            {
                config::Found { credential: true, includes: Vec::new() }
            }
            None => continue,
        };
        if found.credential {
            let root = fs_err::canonicalize(root).ok()?;
            return path.strip_prefix(root).ok().map(Path::to_owned);
        }
        if depth < 3 {
            let folder = path.parent().unwrap_or(root);
            open.extend(found.includes.iter().map(|include| (folder.join(include), depth + 1)));
        }
    }
    None
}

/// The repositories of submodules below a folder, those in each other too; nothing if there are too many to search.
fn modules(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) -> Option<()> {
    for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if found.len() >= GIT_MODULES || depth >= GIT_DEPTH {
            return None;
        }
        let path = entry.path();
        if path.join("HEAD").is_file() {
            modules(&path.join("modules"), found, depth + 1)?;
            found.push(path);
        } else {
            modules(&path, found, depth + 1)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    const COMMIT: &str = "1111111111111111111111111111111111111111";
    const TAG: &str = "2222222222222222222222222222222222222222";

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("objects")).unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        folder
    }

    fn answers(files: &[(&str, &str)]) -> Answers {
        match read(repository(files).path()) {
            Repository::Answers(answers) => answers,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn d41_loose_and_packed_references_say_the_same() {
        let line = format!("{COMMIT}\n");
        let loose = [
            ("HEAD", "ref: refs/heads/main\n"),
            ("refs/heads/main", line.as_str()),
            ("refs/tags/a/v1", TAG),
            ("index", "x"),
            ("config", "y"),
        ];
        let packed = format!(
            "# pack-refs with: peeled\n{COMMIT} refs/heads/main\n{TAG} refs/tags/a/v1\n^{COMMIT}\n{TAG} refs/remotes/origin/other\n"
        );
        let packed = [("HEAD", "ref: refs/heads/main"), ("packed-refs", packed.as_str())];
        let (one, two) = (answers(&loose), answers(&packed));
        assert_eq!(one, two);
        assert_eq!((one.commit.as_str(), one.branch.as_str()), (COMMIT, "refs/heads/main"));
        assert!(!one.tags.is_empty() && one.shallow.is_empty());
    }

    #[test]
    fn d41_each_answer_counts() {
        let detached = answers(&[("HEAD", COMMIT)]);
        let main = answers(&[("HEAD", "ref: refs/heads/main"), ("refs/heads/main", COMMIT)]);
        let tagged = answers(&[("HEAD", COMMIT), ("refs/tags/v", TAG)]);
        let moved = answers(&[("HEAD", COMMIT), ("refs/tags/v", COMMIT)]);
        let shallow = answers(&[("HEAD", COMMIT), ("shallow", COMMIT)]);
        let unborn = answers(&[("HEAD", "ref: refs/heads/main")]);
        let replaced = answers(&[("HEAD", COMMIT), ("refs/replace/v", TAG)]);
        let module = |tag: &str| {
            let (head, object) = (("modules/a/b/HEAD", COMMIT), ("modules/a/b/objects/x", ""));
            answers(&[("HEAD", COMMIT), head, object, ("modules/a/b/refs/tags/v", tag)])
        };
        let inner = answers(&[
            ("HEAD", COMMIT),
            ("modules/a/b/HEAD", COMMIT),
            ("modules/a/b/objects/x", ""),
            ("modules/a/b/refs/tags/v", TAG),
            ("modules/a/b/modules/c/HEAD", COMMIT),
            ("modules/a/b/modules/c/objects/x", ""),
        ]);
        let (submodule, other) = (module(TAG), module(COMMIT));
        let all =
            [&detached, &main, &tagged, &moved, &shallow, &unborn, &replaced, &submodule, &other, &inner];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| one != other), "{one:?}");
        }
        let order = answers(&[("HEAD", COMMIT), ("shallow", &format!("{TAG}\n{COMMIT}\n"))]);
        assert_eq!(order, answers(&[("HEAD", COMMIT), ("shallow", &format!("{COMMIT}\n{TAG}\n"))]));
    }

    #[test]
    fn what_cannot_be_read_is_not_guessed() {
        assert_eq!(read(repository(&[("a", "b")]).path()), Repository::None);
        for broken in [
            vec![("HEAD", "nonsense")],
            vec![("HEAD", "ref: refs/heads/.invalid"), ("reftable/tables.list", "")],
            vec![("HEAD", "ref: refs/../../../etc/passwd")],
            vec![("HEAD", "ref: refs/heads/a"), ("refs/heads/a", "ref: refs/heads/a")],
        ] {
            let folder = repository(&broken);
            assert!(matches!(read(folder.path()), Repository::Unreadable(_)), "{broken:?}");
        }
    }

    #[test]
    fn a_work_trees_file_names_a_place_of_this_machine() {
        assert!(is_elsewhere("gitdir: /home/x/.git/worktrees/y\n"));
        assert!(!is_elsewhere("gitdir: ../.git/modules/sub\n") && !is_elsewhere("text"));
    }

    #[test]
    fn d41_a_credential_is_found_where_it_would_be_copied() {
        let root = tempfile::tempdir().unwrap();
        let git = root.path().join(".git");
        let held = "[http \"https://h/\"]\n extraheader = AUTHORIZATION: basic x\n";
        let write = |name: &str, text: &str| {
            let path = git.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("config", "[core]\n");
        assert_eq!(credential(root.path(), &git), None);
        write("config", "[include]\n path = more\n");
        write("more", held);
        assert_eq!(credential(root.path(), &git).unwrap(), Path::new(".git/more"));
        let outside = tempfile::tempdir().unwrap();
        fs_err::write(outside.path().join("c"), held).unwrap();
        write("config", &format!("[include]\n path = {}\n", outside.path().join("c").display()));
        assert_eq!(credential(root.path(), &git), None, "it is not in the context");
        write("modules/sub/HEAD", COMMIT);
        write("modules/sub/config", held);
        assert_eq!(credential(root.path(), &git).unwrap(), Path::new(".git/modules/sub/config"));
    }
}
