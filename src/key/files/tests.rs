//! What a walk finds and what the digest of its tree depends on: odd names and kinds, links, permissions, order.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::key::dockerignore::Ignore;

mod listed;
mod walk;

/// A folder of files for one test.
struct Place(TempDir);

impl Place {
    fn new(files: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for file in files {
            place.write(file.as_bytes(), file);
        }
        place
    }
    fn path(&self, name: &[u8]) -> PathBuf {
        full(self.0.path(), name)
    }
    fn write(&self, name: &[u8], text: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    fn link(&self, name: &str, target: &str) {
        fs_err::os::unix::fs::symlink(target, self.path(name.as_bytes())).unwrap();
    }
    fn mode(&self, name: &str, mode: u32) {
        let path = self.path(name.as_bytes());
        fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    fn walk(&self, ignore: &str) -> (Tree, Vec<Warning>) {
        walk(self.0.path(), &Selector::context(rules(ignore))).unwrap()
    }
    fn digest(&self) -> [u8; 32] {
        self.walk("").0.digest()
    }
    fn copied(&self, ignore: &str, sources: &[&str]) -> Vec<String> {
        let sources: Vec<_> = sources
            .iter()
            .map(|path| CopySource { path: (*path).to_owned(), excludes: [].into(), line: 1 })
            .collect();
        let selector = Selector::copied(self.0.path(), rules(ignore), &sources).unwrap();
        names(&walk(self.0.path(), &selector).unwrap().0)
    }
    fn files(&self, patterns: &[&str]) -> Result<KeyFiles, KeyError> {
        key_files(self.0.path(), &patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>())
    }
}

fn rules(text: &str) -> Ignore {
    Ignore::parse(text.as_bytes(), Path::new(".dockerignore")).unwrap()
}

/// Every entry; folders end in a slash.
fn names(tree: &Tree) -> Vec<String> {
    let mut out = Vec::new();
    tree.visit(|path, entry| out.push(escape(path) + if entry.kind == Kind::Folder { "/" } else { "" }));
    out
}

#[test]
fn the_ignore_file_decides_and_kept_files_keep_their_folders() {
    let place = Place::new(&["a/keep", "a/drop", "b/drop", "c", "deep/x/y/keep"]);
    fs_err::create_dir(place.path(b"empty")).unwrap();
    assert_eq!(
        names(&place.walk("*\n!**/keep\n!empty").0),
        ["a/", "a/keep", "deep/", "deep/x/", "deep/x/y/", "deep/x/y/keep", "empty/"]
    );
    assert_eq!(names(&place.walk("a\nb\ndeep").0), ["c", "empty/"]);
    assert_eq!(names(&place.walk("**").0), [""; 0]);
}

#[test]
fn an_empty_folder_counts() {
    let place = Place::new(&["a"]);
    let before = place.digest();
    fs_err::create_dir(place.path(b"empty")).unwrap();
    assert_ne!(place.digest(), before);
}

#[test]
#[cfg_attr(target_os = "macos", ignore = "its file system takes names in UTF-8 alone")]
fn odd_names_count_as_they_are() {
    let long = vec![b'n'; 255];
    let odd: [&[u8]; 9] = [
        b"a b",
        b"new\nline",
        b"\xff\xfe",
        b" lead",
        b"trail ",
        b"-x",
        b"\"q\"",
        "é".as_bytes(),
        "e\u{301}".as_bytes(),
    ];
    let place = Place::new(&[]);
    odd.iter().chain([&long.as_slice()]).for_each(|name| place.write(name, "x"));
    let (tree, warnings) = place.walk("");
    let mut seen = Vec::new();
    tree.visit(|path, _| seen.push(path.to_vec()));
    let mut want: Vec<_> = odd.iter().map(|n| n.to_vec()).chain([long]).collect();
    want.sort();
    assert_eq!((seen, warnings), (want, vec![]));
}

#[test]
fn only_the_executable_and_set_id_bits_of_a_file_count() {
    let place = Place::new(&["dir/tool"]);
    let digest = |mode| {
        place.mode("dir/tool", mode);
        place.digest()
    };
    let plain = digest(0o644);
    let executable = digest(0o755);
    assert_ne!(plain, executable);
    for same in [0o600, 0o664, 0o666, 0o640] {
        assert_eq!(digest(same), plain, "{same:o}");
    }
    assert_eq!(digest(0o700), executable);
    let set = [digest(0o4755), digest(0o2755), digest(0o6755)];
    assert!(set.iter().all(|d| *d != executable) && set[0] != set[1] && set[1] != set[2]);
    place.mode("dir/tool", 0o644);
    for mode in [0o700, 0o755, 0o775, 0o2775, 0o1777] {
        place.mode("dir", mode);
        assert_eq!(place.digest(), plain, "folder {mode:o}");
    }
}

#[test]
fn links_count_by_their_target_and_are_never_followed() {
    let place = Place::new(&["real/file"]);
    place.link("loop", "loop");
    place.link("up", "..");
    place.link("real/self", ".");
    place.link("out", "/etc");
    place.link("nowhere", "missing");
    let (tree, warnings) = place.walk("");
    assert_eq!(names(&tree), ["loop", "nowhere", "out", "real/", "real/file", "real/self", "up"]);
    assert!(warnings.is_empty());
    let before = tree.digest();
    fs_err::remove_file(place.path(b"nowhere")).unwrap();
    place.link("nowhere", "elsewhere");
    assert_ne!(place.digest(), before);
}

#[test]
fn a_link_and_a_file_with_its_target_as_content_differ() {
    let (a, b) = (Place::new(&[]), Place::new(&[]));
    a.link("x", "target");
    b.write(b"x", "target");
    assert_ne!(a.digest(), b.digest());
}

#[test]
/// BuildKit puts a pipe into the image as it is, and for a socket an empty file.
fn d86_pipes_and_sockets_count_by_name_and_kind() {
    let place = Place::new(&["a"]);
    let before = place.digest();
    let _socket = std::os::unix::net::UnixListener::bind(place.path(b"sock")).unwrap();
    crate::budget::make_pipe(&place.path(b"pipe"));
    let (tree, warnings) = place.walk("");
    assert_eq!(names(&tree), ["a", "pipe", "sock"]);
    assert_ne!(tree.digest(), before);
    assert_eq!(place.digest(), tree.digest());
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "`pipe` is a pipe: the build gets it, and its name and kind count in the key",
            "`sock` is a socket: the build gets an empty file of that name, and its name and kind count in the key"
        ]
    );
    assert!(place.walk("sock\npipe").1.is_empty());
    // Another kind under the same name is another image.
    fs_err::remove_file(place.path(b"pipe")).unwrap();
    place.write(b"pipe", "");
    assert_ne!(place.digest(), tree.digest());
}

#[test]
fn d41_a_repository_counts_by_what_git_would_answer_and_is_reported() {
    let place = Place::new(&["a", ".git/index", ".git/config", ".git/objects/pack/x"]);
    let head = b"1111111111111111111111111111111111111111";
    place.write(b".git/HEAD", std::str::from_utf8(head).unwrap());
    let (tree, warnings) = place.walk("");
    assert_eq!(names(&tree), ["a"]);
    let (path, answers) = tree.repositories().next().unwrap();
    assert_eq!((path, answers.unwrap().commit.as_bytes()), (b".git".as_slice(), head.as_slice()));
    assert!(matches!(&warnings[..], [Warning::Git(taken)] if taken.path == b".git"), "{warnings:?}");
    let left_out = place.walk(".git");
    assert!(left_out.1.is_empty() && left_out.0.repositories().next().is_none());
    // A file of it that is named counts as any other.
    assert_eq!(names(&place.walk(".git\n!.git/HEAD").0), [".git/", ".git/HEAD", "a"]);
    // Deeper ones count in the same way.
    let place = Place::new(&["sub/.git/HEAD"]);
    assert_eq!(names(&place.walk("").0).len(), 3, "no repository: a folder of that name");
    place.write(b"work/.git", "gitdir: /home/x/.git/worktrees/y\n");
    place.write(b"module/.git", "gitdir: ../.git/modules/y\n");
    let tree = place.walk("").0;
    assert_eq!(tree.repositories().collect::<Vec<_>>(), [(b"work/.git".as_slice(), None)]);
    assert!(names(&tree).contains(&"module/.git".to_owned()));
}

#[test]
fn a_folder_that_may_not_be_read_is_an_error_only_if_it_counts() {
    let place = Place::new(&["closed/x", "a"]);
    place.mode("closed", 0o000);
    if fs_err::read_dir(place.path(b"closed")).is_ok() {
        return; // The superuser may read everything.
    }
    let all = walk(place.0.path(), &Selector::context(Ignore::default()));
    assert!(matches!(all, Err(KeyError::Read { .. })));
    assert_eq!(names(&place.walk("closed\n!**/keep").0), ["a"]);
    place.mode("closed", 0o700);
}

#[test]
fn the_root_may_be_a_link_but_must_be_a_folder() {
    let place = Place::new(&["dir/a"]);
    place.link("link", "dir");
    let through = walk(&place.path(b"link"), &Selector::default()).unwrap().0;
    assert_eq!(names(&through), ["a"]);
    for bad in [&b"missing"[..], b"dir/a"] {
        assert!(matches!(walk(&place.path(bad), &Selector::default()), Err(KeyError::Context { .. })));
    }
    place.link("loop", "loop");
    assert!(matches!(walk(&place.path(b"loop"), &Selector::default()), Err(KeyError::Read { .. })));
}

#[test]
fn a_folder_of_many_files_is_shared_out_without_loss() {
    let place = Place::new(&[]);
    fs_err::create_dir(place.path(b"many")).unwrap();
    (0..500)
        .for_each(|n| fs_err::write(place.path(format!("many/{n:03}").as_bytes()), n.to_string()).unwrap());
    let tree = place.walk("").0;
    assert_eq!(tree.len(), 500);
    let mut wrong = 0;
    tree.visit(|path, entry| {
        let text = String::from_utf8_lossy(path);
        if let Some(Ok(n)) = text.strip_prefix("many/").map(str::parse::<u32>) {
            let want: [u8; 32] =
                sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), n.to_string()))
                    .into();
            wrong += u32::from(entry.fact.digest != want);
        }
    });
    assert_eq!(wrong, 0);
}

#[test]
fn copied_sources() {
    let place = Place::new(&["a.py", "b.txt", "src/m.py", "src/sub/n.py", "src/sub/data", "docs/x"]);
    for (sources, want) in [
        (vec!["src"], vec!["src/", "src/m.py", "src/sub/", "src/sub/data", "src/sub/n.py"]),
        (vec!["./src/sub/"], vec!["src/", "src/sub/", "src/sub/data", "src/sub/n.py"]),
        (vec!["*.py"], vec!["a.py"]),
        (vec!["src/*.py", "/b.txt"], vec!["b.txt", "src/", "src/m.py"]),
        (vec!["src/**/*.py"], vec!["src/", "src/m.py", "src/sub/", "src/sub/n.py"]),
        (vec!["../b.txt"], vec!["b.txt"]),
        (vec!["missing"], vec![]),
        (vec![], vec![]),
    ] {
        assert_eq!(place.copied("", &sources), want, "{sources:?}");
    }
    assert_eq!(place.copied("", &["."]).len(), 9);
    assert_eq!(place.copied("src/sub", &["src"]), ["src/", "src/m.py"]);
}

#[test]
fn copied_follows_links_inside_the_context() {
    let place = Place::new(&["v1/app", "v1/lib", "other"]);
    place.link("current", "v1");
    place.link("escape", "../../other");
    place.link("loop", "loop");
    assert_eq!(place.copied("", &["current/app"]), ["current", "v1/", "v1/app"]);
    assert_eq!(place.copied("", &["curr*"]), ["current", "v1/", "v1/app", "v1/lib"]);
    assert_eq!(place.copied("", &["escape"]), ["escape", "other"]);
    assert_eq!(place.copied("", &["loop"]), ["loop"]);
}

#[test]
fn copied_excludes() {
    let place = Place::new(&["src/a.py", "src/a.md", "src/sub/b.md", "top.md"]);
    let picked = |path: &str, exclude: &str| {
        let source = CopySource { path: path.to_owned(), excludes: [exclude.to_owned()].into(), line: 1 };
        let selector = Selector::copied(place.0.path(), Ignore::default(), &[source]).unwrap();
        names(&walk(place.0.path(), &selector).unwrap().0)
    };
    assert_eq!(picked("src", "*.md"), ["src/", "src/a.py", "src/sub/", "src/sub/b.md"]);
    assert_eq!(picked("src", "**/*.md"), ["src/", "src/a.py", "src/sub/"]);
    assert_eq!(picked(".", "src"), ["top.md"]);
    assert_eq!(picked("src", "!*.py").len(), 5, "an exception leaves nothing out");
    assert_eq!(picked("s*", "**/*.md").len(), 5, "a wildcard leaves nothing out");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever the order of creation, the times and the permissions: one tree, one digest; another tree, another.
    #[test]
    fn the_digest_is_of_the_tree_alone(
        files in proptest::collection::btree_map("[a-c]{1,2}(/[d-f\\n ]{1,2}){0,2}", "[x-z]{0,3}", 0..12),
        seed in any::<u64>(),
    ) {
        // A name cannot be both a file and a folder.
        let files: Vec<_> = files.iter().filter(|(a, _)| !files.keys().any(|b| b.starts_with(&format!("{a}/")))).collect();
        let (one, two) = (Place::new(&[]), Place::new(&[]));
        for (name, text) in &files {
            one.write(name.as_bytes(), text);
        }
        let mut shuffled = files.clone();
        shuffled.sort_by_key(|(name, _)| seed.wrapping_mul(name.len() as u64 + 7).rotate_left(u32::from(name.as_bytes()[0])));
        for (name, text) in shuffled.iter().rev() {
            two.write(name.as_bytes(), text);
            two.mode(name, if seed % 2 == 0 { 0o600 } else { 0o664 });
        }
        prop_assert_eq!(one.digest(), two.digest());
        two.write(b"extra", "");
        prop_assert_ne!(one.digest(), two.digest());
    }
}

#[test]
#[cfg_attr(target_os = "macos", ignore = "its file system takes names in UTF-8 alone")]
fn names_that_are_not_text_can_be_opened_again() {
    let name = OsString::from_vec(vec![b'a', 0xff]);
    let place = Place::new(&[]);
    place.write(b"a\xff", "x");
    assert!(fs_err::read(place.0.path().join(name)).is_ok());
}
