//! Searches git's configuration for credentials that a build would get with `.git`, such as the header with a token that
//! actions/checkout writes there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::git::find_submodules;
use crate::budget::{self, GIT_CONFIG, GIT_MODULES};

/// Most configuration files that are searched: one of each submodule, with one that it includes.
const CONFIGS: usize = 2 * GIT_MODULES;
/// Most files in a chain of includes, as in git (`MAX_INCLUDE_DEPTH`).
const INCLUDE_DEPTH: usize = 10;

/// Finds a configuration file of the repository `git` that holds, or may hold, a credential: its own, one of its
/// submodules, or one that these include. Only files below `root` count; the path is relative to it. The caller warns of what
/// is found, so it must be a file that a person can look at: of more files than [`CONFIGS`] or [`GIT_MODULES`] allow, and of
/// a longer chain of includes, the rest is not searched and not reported.
#[must_use]
pub(super) fn find_credential(root: &Path, git: &Path) -> Option<PathBuf> {
    let root = fs_err::canonicalize(root).ok()?;
    let mut submodules = Vec::new();
    // If there are too many, those that were found are searched.
    let _ = find_submodules(&git.join("modules"), &mut submodules, 0);
    let configs = [git.join("config"), git.join("config.worktree")].into_iter();
    let configs = configs.chain(submodules.into_iter().map(|folder| folder.join("config")));
    let mut to_search: Vec<_> = configs.map(|config| (config, 0)).collect();
    let mut seen = BTreeSet::new();
    while let Some((path, depth)) = to_search.pop() {
        let Some(path) = fs_err::canonicalize(&path).ok().filter(|path| path.starts_with(&root)) else {
            continue;
        };
        if seen.len() >= CONFIGS || !seen.insert(path.clone()) || !path.is_file() {
            continue;
        }
        // One that is too large or not UTF-8 may hold a credential.
        let unknown = Findings { has_credential: true, includes: Vec::new() };
        let found = budget::read_text(&path, GIT_CONFIG).map_or(unknown, |text| scan(&text));
        if found.has_credential {
            return path.strip_prefix(&root).ok().map(Path::to_owned);
        }
        if depth < INCLUDE_DEPTH {
            let folder = path.parent().unwrap_or(&root);
            to_search.extend(found.includes.iter().map(|include| (folder.join(include), depth + 1)));
        }
    }
    None
}

/// The findings in one configuration file.
#[derive(Debug, Default)]
struct Findings {
    has_credential: bool,
    /// Files that this one includes, as written.
    includes: Vec<String>,
}

/// Searches a configuration for additional headers (which headers log in is not known), passwords in URLs, and included
/// files.
fn scan(text: &str) -> Findings {
    let mut found = Findings::default();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        found.has_credential |= has_user_info(line);
        let rest = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((head, rest)) => {
                section = head.split([' ', '.', '"']).next().unwrap_or_default().to_ascii_lowercase();
                rest.trim()
            }
            None => line,
        };
        let Some((name, value)) = rest.split_once('=') else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), without_comment(value));
        match (section.as_str(), name.as_str()) {
            ("http", "extraheader") => found.has_credential |= !value.is_empty(),
            ("include" | "includeif", "path") => found.includes.push(value.to_owned()),
            _ => {}
        }
    }
    found
}

/// A value without quotes and without the comment behind it (git-config, "Syntax").
fn without_comment(value: &str) -> &str {
    let value = value.trim();
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default(),
        None => value.split(['#', ';']).next().unwrap_or_default().trim_end(),
    }
}

/// Tells whether a line has a URL with a password, or with a user so long that it may be a token: those of GitHub have 40
/// characters, names of users rarely 20.
fn has_user_info(line: &str) -> bool {
    line.match_indices("://").any(|(at, _)| {
        let rest = line.get(at + 3..).unwrap_or_default();
        let host = rest.split(['/', '"', ' ', '?', '#']).next().unwrap_or_default();
        let Some((user, _)) = host.rsplit_once('@') else { return false };
        user.split_once(':').map_or(user.len() >= 20, |(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn d41_a_credential_is_seen_and_an_address_is_not_one() {
        for held in [
            "[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic eA==",
            "[http]\n\tExtraHeader=Authorization: bearer x",
            "[remote \"o\"]\n\turl = https://x-access-token:ghs_1@github.com/o/r",
            "[url \"https://u:p@h/\"]\n\tinsteadOf = https://h/",
            "[remote \"o\"] url = https://ghp_0123456789012345678901@h/r",
        ] {
            assert!(scan(held).has_credential, "{held}");
        }
        for clean in [
            "[remote \"origin\"]\n\turl = https://github.com/o/r\n\turl = git@github.com:o/r.git",
            "[remote \"origin\"]\n\turl = ssh://git@host/o/r",
            "[http]\n\tsslVerify = true\n[user]\n\temail = a:b@c",
            "[http]\n\textraheader =",
        ] {
            assert!(!scan(clean).has_credential, "{clean}");
        }
        let included = scan("[includeIf \"gitdir:/x/.git\"]\n\tpath = \"/t/git-credentials.config\"");
        assert_eq!(included.includes, ["/t/git-credentials.config"]);
        let commented = scan("[include]\n\tpath = more # those of CI\n\tpath = \"a b\" ; too\n");
        assert_eq!(commented.includes, ["more", "a b"]);
    }

    #[test]
    fn d41_a_credential_is_found_where_it_would_be_copied() {
        let root = tempfile::tempdir().unwrap();
        let git = root.path().join(".git");
        let held = "[http \"https://h/\"]\n extraheader = AUTHORIZATION: basic x\n";
        let write = |name: &str, text: &[u8]| {
            let path = git.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("config", b"[core]\n");
        assert_eq!(find_credential(root.path(), &git), None);
        write("config", b"[include]\n path = more\n");
        write("more", held.as_bytes());
        assert_eq!(find_credential(root.path(), &git).unwrap(), Path::new(".git/more"));
        let outside = tempfile::tempdir().unwrap();
        fs_err::write(outside.path().join("c"), held).unwrap();
        write("config", format!("[include]\n path = {}\n", outside.path().join("c").display()).as_bytes());
        assert_eq!(find_credential(root.path(), &git), None, "it is not in the context");
        write("modules/sub/HEAD", b"");
        write("modules/sub/config", held.as_bytes());
        assert_eq!(find_credential(root.path(), &git).unwrap(), Path::new(".git/modules/sub/config"));
    }

    #[test]
    fn a_configuration_that_cannot_be_searched_may_hold_a_credential() {
        let root = tempfile::tempdir().unwrap();
        let git = root.path().join(".git");
        fs_err::create_dir(&git).unwrap();
        let large = vec![b'#'; usize::try_from(GIT_CONFIG).unwrap() + 1];
        for content in [b"[user]\n name = J\xfcrgen\n".as_slice(), &large] {
            fs_err::write(git.join("config"), content).unwrap();
            assert_eq!(find_credential(root.path(), &git).unwrap(), Path::new(".git/config"));
        }
        fs_err::remove_file(git.join("config")).unwrap();
        fs_err::create_dir(git.join("config")).unwrap();
        assert_eq!(find_credential(root.path(), &git), None);
    }
}
