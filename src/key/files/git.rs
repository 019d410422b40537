//! Reads a git repository in the context: what git would answer there, without the bytes of `.git`.
//!
//! Two clones of one commit agree in their commit, the name that is checked out, their tags and how far their
//! history goes back. Most bytes of `.git` differ (the index, logs, packs, credentials). The program reads the files
//! itself, because git may be missing, refuses folders of another user, and obeys the repository's own
//! configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::budget::{self, GIT_DEPTH, GIT_FILE, GIT_MODULES, GIT_TAGS};
use crate::image::hex;
use crate::key::dockerfile::Digest;

/// What git would answer in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answers {
    /// The commit that is checked out; empty before the first one.
    pub commit: String,
    /// The branch as `refs/heads/…`; empty if the commit is checked out by itself.
    pub branch: String,
    /// SHA-256 over the name and object of each tag and each replacement (`git replace`) in hex; empty without any.
    pub tags: String,
    /// SHA-256 over the commits at which a shallow history ends, in hex; empty if the history is whole.
    pub shallow: String,
    /// SHA-256 over the answers of each submodule's repository, in hex; empty without any.
    pub submodules: String,
}

/// Most symbolic references in a chain, as git has it (`SYMREF_MAXDEPTH`).
const REFERENCE_HOPS: usize = 5;
/// Most submodules in one another.
const SUBMODULE_DEPTH: usize = 5;
/// Most bytes of a file with one line, such as `HEAD` or a reference.
const LINE_FILE: u64 = 4096;
/// Folders of the references that count: they decide git's answers beside the commit and the branch.
const COUNTED_REFS: [&str; 2] = ["refs/tags/", "refs/replace/"];

/// Reads the folder `git`, named `.git`; `None` if it is no repository.
///
/// # Errors
/// If the repository cannot be read; the reason is a clause for the user.
pub(crate) fn read(git: &Path) -> Result<Option<Answers>, &'static str> {
    read_nested(git, 0)
}

/// As [`read`], for a repository that is in `depth` others.
fn read_nested(git: &Path, depth: usize) -> Result<Option<Answers>, &'static str> {
    let Some(head) = line(&git.join("HEAD")) else { return Ok(None) };
    if !git.join("objects").is_dir() {
        return Ok(None);
    }
    // After `git init --ref-format=reftable`, HEAD and refs do not hold the references.
    if git.join("reftable").is_dir() {
        return Err("its references are in git's table format");
    }
    let packed = packed(git)?;
    let branch = head.strip_prefix("ref:").map(str::trim).unwrap_or_default();
    let commit = if branch.is_empty() { Some(head.clone()) } else { resolve(git, branch, &packed) };
    let commit = match commit {
        Some(commit) if is_object(&commit) => commit,
        Some(_) => return Err("its HEAD names no commit"),
        None => String::new(),
    };
    let counts = |name: &str| COUNTED_REFS.iter().any(|folder| name.starts_with(folder));
    let mut tags: BTreeMap<String, String> = packed.into_iter().filter(|(name, _)| counts(name)).collect();
    for folder in COUNTED_REFS {
        add_loose(&git.join(folder), folder, &mut tags, 0).ok_or("its tags cannot be read")?;
    }
    if tags.len() > GIT_TAGS {
        return Err("it has too many tags");
    }
    let submodules = submodules(git, depth).ok_or("one of its submodules cannot be read")?;
    let shallow = optional_text(&git.join("shallow")).map_err(|()| "its shallow file cannot be read")?;
    let shallow: BTreeSet<String> = shallow.lines().map(str::to_owned).collect();
    Ok(Some(Answers {
        branch: branch.to_owned(),
        commit,
        tags: sum("git tags", tags.iter().flat_map(|(name, object)| [name, object])),
        shallow: sum("git shallow", shallow.iter()),
        submodules: sum("git submodules", submodules.iter()),
    }))
}

/// SHA-256 over lines in hex; empty without lines.
fn sum<'a>(domain: &str, lines: impl Iterator<Item = &'a String>) -> String {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return String::new();
    }
    let mut digest = Digest::new(domain);
    lines.for_each(|line| digest.text(line));
    hex(&digest.finish())
}

/// Lists each submodule's folder below `modules` and its answers; `None` if one cannot be read.
fn submodules(git: &Path, depth: usize) -> Option<Vec<String>> {
    let root = git.join("modules");
    let mut folders = Vec::new();
    find_submodules(&root, &mut folders, 0)?;
    if depth > SUBMODULE_DEPTH {
        return None;
    }
    // A nested one counts in the answers of the submodule that it is in.
    folders.retain(|folder| !is_nested(&root, folder));
    folders.sort();
    let mut found = Vec::new();
    for folder in folders {
        let answers = read_nested(&folder, depth + 1).ok()??;
        found.push(folder.strip_prefix(&root).ok()?.to_string_lossy().into_owned());
        found.extend([answers.commit, answers.branch, answers.tags, answers.shallow, answers.submodules]);
    }
    Some(found)
}

/// Tells whether a folder between `root` and `folder` is a repository too.
fn is_nested(root: &Path, folder: &Path) -> bool {
    let mut above = folder.ancestors().skip(1).take_while(|above| *above != root);
    above.any(|above| above.join("HEAD").is_file())
}

/// Adds to `found` the repositories of submodules below `folder`, nested ones first; `None` if there are too many.
pub(super) fn find_submodules(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) -> Option<()> {
    for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if found.len() >= GIT_MODULES || depth >= GIT_DEPTH {
            return None;
        }
        let path = entry.path();
        if path.join("HEAD").is_file() {
            find_submodules(&path.join("modules"), found, depth + 1)?;
            found.push(path);
        } else {
            find_submodules(&path, found, depth + 1)?;
        }
    }
    Some(())
}

/// Tells whether the file `path`, named `.git`, leads to a repository at an absolute path of this machine, as that of a
/// work tree does. No build can find that, so git answers nothing in the image. The path in a submodule's file is
/// relative.
#[must_use]
pub(crate) fn leads_elsewhere(path: &Path) -> bool {
    let text = text(path, LINE_FILE).unwrap_or_default();
    text.strip_prefix("gitdir:").is_some_and(|target| target.trim().starts_with('/'))
}

/// Reads a small regular file, without surrounding white space; `None` if it cannot be read, is larger than
/// [`LINE_FILE`] or is not UTF-8.
fn line(path: &Path) -> Option<String> {
    text(path, LINE_FILE).map(|text| text.trim().to_owned())
}

/// Reads a regular file of at most `most` bytes; a link is not followed.
fn text(path: &Path, most: u64) -> Option<String> {
    fs_err::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    budget::read_text(path, most).ok()
}

/// Reads a file of the repository that may be absent: then the text is empty.
fn optional_text(path: &Path) -> Result<String, ()> {
    match text(path, GIT_FILE) {
        Some(text) => Ok(text),
        None if path.exists() => Err(()),
        None => Ok(String::new()),
    }
}

/// Tells whether the text is the name of an object, by SHA-1 or SHA-256.
fn is_object(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads the references of `packed-refs`. An annotated tag has the tag's own object, not the commit.
fn packed(git: &Path) -> Result<BTreeMap<String, String>, &'static str> {
    let text = optional_text(&git.join("packed-refs")).map_err(|()| "its packed-refs cannot be read")?;
    let lines = text.lines().filter(|line| !line.starts_with(['#', '^']));
    Ok(lines
        .filter_map(|line| line.split_once(' '))
        .map(|(object, name)| (name.to_owned(), object.to_owned()))
        .collect())
}

/// Follows a reference to its object. A loose reference wins over a packed one. `None` if the reference is absent, as
/// before the first commit; an empty text if it is not valid.
fn resolve(git: &Path, name: &str, packed: &BTreeMap<String, String>) -> Option<String> {
    let mut name = name.to_owned();
    for _ in 0..REFERENCE_HOPS {
        // A name must not lead out of the repository.
        if !name.starts_with("refs/") || name.split('/').any(|part| part == "..") {
            return Some(String::new());
        }
        let Some(found) = line(&git.join(&name)) else { return packed.get(&name).cloned() };
        match found.strip_prefix("ref:") {
            Some(next) => next.trim().clone_into(&mut name),
            None => return Some(found),
        }
    }
    Some(String::new())
}

/// Adds the references that are files of their own below `folder`, each named `prefix` and its path. `None` if one cannot
/// be read, or there are too many. Files that git locks a reference with (`v1.lock`) are none.
fn add_loose(folder: &Path, prefix: &str, tags: &mut BTreeMap<String, String>, depth: usize) -> Option<()> {
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
            add_loose(&entry.path(), &format!("{name}/"), tags, depth + 1)?;
        } else if name.strip_suffix(".lock").is_none() {
            tags.insert(name, line(&entry.path())?);
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
        read(repository(files).path()).unwrap().unwrap()
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
        assert_eq!(read(repository(&[("a", "b")]).path()), Ok(None));
        for broken in [
            vec![("HEAD", "nonsense")],
            vec![("HEAD", "ref: refs/heads/.invalid"), ("reftable/tables.list", "")],
            vec![("HEAD", "ref: refs/../../../etc/passwd")],
            vec![("HEAD", "ref: refs/heads/a"), ("refs/heads/a", "ref: refs/heads/a")],
        ] {
            let folder = repository(&broken);
            assert!(read(folder.path()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_work_trees_file_names_a_place_of_this_machine() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, elsewhere) in [
            ("gitdir: /home/x/.git/worktrees/y\n", true),
            ("gitdir: ../.git/modules/sub\n", false),
            ("text", false),
        ] {
            fs_err::write(file.path(), text).unwrap();
            assert_eq!(leads_elsewhere(file.path()), elsewhere, "{text}");
        }
    }
}
