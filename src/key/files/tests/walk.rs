//! Limits of a walk.

use std::path::Path;

use crate::budget::FILES;
use crate::key::dockerignore::Ignore;
use crate::key::files::Selector;
use crate::key::files::walk::run_within;

#[test]
fn the_entries_of_a_tree_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c/d"] {
        fs_err::create_dir_all(folder.path().join(name)).unwrap();
    }
    let selector = Selector::context(Ignore::default());
    assert!(run_within(folder.path(), &selector, 4, 1).is_ok());
    let error = run_within(folder.path(), &selector, 3, 1).unwrap_err();
    assert_eq!(error.to_string(), "more than 3 files, links and folders: too many for one key");
}

// Thousands of rules would be matched with millions of paths.
#[test]
fn d33_the_steps_of_matching_in_a_walk_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("a-file"), "").unwrap();
    fs_err::write(folder.path().join("another"), "").unwrap();
    let ignore = Ignore::parse("**/*x*y\n!b\n".repeat(100).as_bytes(), Path::new("i"));
    let selector = Selector::context(ignore.unwrap());
    assert!(run_within(folder.path(), &selector, FILES, 10_000).is_ok());
    let error = run_within(folder.path(), &selector, FILES, 200).unwrap_err();
    assert!(error.to_string().ends_with("takes more than 200 steps"), "{error}");
    assert!(!error.is_user_build_error());
}
