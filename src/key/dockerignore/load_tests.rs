//! Tests of where rules come from: ignore files and the input `exclude`.
#![allow(clippy::unwrap_used)]

use super::tests::walked;
use super::*;

#[test]
fn a_dockerfiles_own_ignore_file_counts_in_place_of_the_contexts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ci.Dockerfile");
    assert!(Ignore::load(dir.path(), &file).unwrap().source().is_none());
    fs_err::write(dir.path().join(".dockerignore"), "a").unwrap();
    assert!(walked(&Ignore::load(dir.path(), &file).unwrap(), "a"));
    fs_err::write(dir.path().join("ci.Dockerfile.dockerignore"), "").unwrap();
    assert!(!walked(&Ignore::load(dir.path(), &file).unwrap(), "a"));
}

/// The context's root is the root of every link.
#[test]
fn d110_an_ignore_file_that_is_a_link_is_followed_inside_the_context() {
    let dir = tempfile::tempdir().unwrap();
    let context = dir.path().join("context");
    fs_err::create_dir_all(context.join("sub/rules")).unwrap();
    fs_err::write(dir.path().join("outside"), "a").unwrap();
    fs_err::write(context.join("sub/rules/inside"), "a").unwrap();
    fs_err::os::unix::fs::symlink("/sub/rules", context.join("hop")).unwrap();
    // Whether the ignore file, a link to this target, leaves out the path `a`.
    let walks = |target: &str| {
        let link = context.join(".dockerignore");
        let _ = fs_err::remove_file(&link);
        fs_err::os::unix::fs::symlink(target, link).unwrap();
        walked(&Ignore::load(&context, &context.join("Dockerfile")).unwrap(), "a")
    };
    for found in [
        "sub/rules/inside",
        "/sub/rules/inside",
        "../../sub/rules/inside",
        "hop/inside",
        "/hop/../rules/inside",
    ] {
        assert!(walks(found), "{found}");
    }
    for nowhere in
        ["../outside", "/etc/hostname", "absent", ".dockerignore", "sub/rules", "sub/rules/inside/x"]
    {
        assert!(!walks(nowhere), "{nowhere}");
    }
}

#[test]
fn a_refused_pattern_of_exclude_is_not_blamed_on_the_ignore_file() {
    for file in ["a\nb", "a\nb\n", ""] {
        let ignore = Ignore::parse(file.as_bytes(), Path::new(".dockerignore")).unwrap();
        let error = ignore.extended(&["c".to_owned(), "[d".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("exclude:2: ignore pattern `[d` is not valid"), "{error}");
        assert!(walked(&ignore.extended(&["c".to_owned()]).unwrap(), "c"));
    }
}
