//! Tables from moby's own tests (`patternmatcher_test.go`, `ignorefile_test.go`), and comparisons with direct ports.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;

use super::regex::Op;
use super::*;

fn rules(text: &str) -> Ignore {
    Ignore::parse(text.as_bytes(), Path::new(".dockerignore")).unwrap()
}

/// Whether a pattern matches this very path.
fn matches(pattern: &Pattern, path: &str) -> bool {
    Patterns::new(vec![pattern.clone()]).against(path.as_bytes()).hit(0)
}

/// The verdict a walk reaches: every parent is entered first.
pub(super) fn walked(ignore: &Ignore, path: &str) -> bool {
    let mut inherited = Inherited::default();
    for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
        inherited = ignore.enter(&path.as_bytes()[..at], &inherited).1;
    }
    ignore.excludes(path.as_bytes(), &inherited)
}

/// moby's `MatchesOrParentMatches`, ported line by line: it must agree where no rule is an exception.
fn matches_or_parent(patterns: &[(bool, Pattern)], path: &str) -> bool {
    let mut matched = false;
    for (exception, pattern) in patterns {
        if *exception != matched {
            continue;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        if ends.into_iter().any(|end| matches(pattern, &path[..end])) {
            matched = !exception;
        }
    }
    matched
}

// A random input of 64 KiB of stars once took a minute for one path.
#[test]
fn d33_stars_after_stars_cost_no_more_than_one() {
    let one = Pattern::new(b"**/a*").unwrap();
    for many in ["**/".repeat(1300) + "a*", "*".repeat(4000) + "/a*"] {
        let many = Pattern::new(many.as_bytes()).unwrap();
        for path in ["a", "x/ab", "x/y/a", "b", "xa", &"x/".repeat(2000)] {
            assert_eq!(matches(&many, path), matches(&one, path), "{path}");
        }
    }
    let error = Ignore::parse("*".repeat(4097).as_bytes(), Path::new(".dockerignore")).unwrap_err();
    assert!(error.to_string().ends_with("is not valid: longer than 4 KiB"), "{error}");
}

/// Pattern, path, and whether it matches exactly (2), through a parent (1) or not (0): `TestMatches`.
const MATCHES: &[(&str, &str, u8)] = &[
    ("**", "file", 2),
    // Not from moby's table: the real engine answered so for random trees.
    ("**/\\[a\\]", "[a]", 2),
    ("**/\\[a\\]", "x/[a]", 2),
    ("a**/\\[", "a[", 2),
    ("**/", "file", 2),
    ("**", "dir/file", 2),
    ("**/**", "dir/file", 2),
    ("dir/**", "dir/file", 2),
    ("dir/**", "dir/dir2/file", 2),
    ("**/dir", "dir", 2),
    ("**/dir", "dir/file", 1),
    ("**/dir2/*", "dir/dir2/file", 2),
    ("**/dir2/**", "dir/dir2/dir3/file", 2),
    ("**file", "file", 2),
    ("**file", "dir/file", 2),
    ("**/file", "dir/file", 2),
    ("**file", "dir/dir/file", 2),
    ("**/file", "dir/dir/file", 2),
    ("**/file*", "dir/dir/file", 2),
    ("**/file*", "dir/dir/file.txt", 2),
    ("**/file*txt", "dir/dir/file.txt", 2),
    ("**/file*.txt", "dir/dir/file.txt", 2),
    ("**/file*.txt*", "dir/dir/file.txt", 2),
    ("**/**/*.txt", "dir/dir/file.txt", 2),
    ("**/**/*.txt2", "dir/dir/file.txt", 0),
    ("**/*.txt", "file.txt", 2),
    ("**/**/*.txt", "file.txt", 2),
    ("a**/*.txt", "a/file.txt", 2),
    ("a**/*.txt", "a/dir/file.txt", 2),
    ("a**/*.txt", "a/dir/dir/file.txt", 2),
    ("a/*.txt", "a/dir/file.txt", 0),
    ("a/*.txt", "a/file.txt", 2),
    ("a/*.txt**", "a/file.txt", 2),
    ("a[b-d]e", "ae", 0),
    ("a[b-d]e", "ace", 2),
    ("a[b-d]e", "aae", 0),
    ("a[^b-d]e", "aze", 2),
    (".*", ".foo", 2),
    (".*", "foo", 0),
    ("abc.def", "abcdef", 0),
    ("abc.def", "abc.def", 2),
    ("abc.def", "abcZdef", 0),
    ("abc?def", "abcZdef", 2),
    ("abc?def", "abcdef", 0),
    ("a\\\\", "a\\", 2),
    ("a\\*b", "a*b", 2),
    ("**/foo/bar", "foo/bar", 2),
    ("**/foo/bar", "dir/foo/bar", 2),
    ("**/foo/bar", "dir/dir2/foo/bar", 2),
    ("abc/**", "abc", 0),
    ("abc/**", "abc/def", 2),
    ("abc/**", "abc/def/ghi", 2),
    ("**/.foo", ".foo", 2),
    ("**/.foo", "bar.foo", 0),
    ("a(b)c/def", "a(b)c/def", 2),
    ("a(b)c/def", "a(b)c/xyz", 0),
    ("a.|)$(}+{bc", "a.|)$(}+{bc", 2),
    ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", 2),
    // Go's own filepath.Match table, as far as moby runs it.
    ("*", "abc", 2),
    ("*c", "abc", 2),
    ("a*", "ab/c", 1),
    ("a*/b", "a/c/b", 0),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f", 2),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", 0),
    ("a*b?c*x", "abxbbxdbxebxczzx", 2),
    ("a*b?c*x", "abxbbxdbxebxczzy", 0),
    ("ab[^e-g]", "abc", 2),
    ("ab[^c]", "abc", 0),
    ("a?b", "a☺b", 2),
    ("a[^a]b", "a☺b", 2),
    ("a???b", "a☺b", 0),
    ("[a-ζ]*", "α", 2),
    ("*[a-ζ]", "A", 0),
    ("a?b", "a/b", 0),
    ("[\\]a]", "]", 2),
    ("[\\-x]", "-", 2),
    ("[x\\-]", "z", 0),
    ("*x", "xxx", 2),
    // What moby's translation does by accident counts too.
    ("[a*]", "a", 0),
    ("[a*]", "aa[]", 2),
    ("x\\d", "x7", 2),
    ("x\\d", "xd", 0),
    ("*.{js,ts}", "a.{js,ts}", 2),
    ("*.{js,ts}", "a.js", 0),
    ("a^b*", "a^b", 0),
];

#[test]
fn moby_table() {
    for &(pattern, path, want) in MATCHES {
        let ignore = rules(pattern);
        assert_eq!(matches(&ignore.rules[0].pattern, path), want == 2, "exact: {pattern} {path}");
        assert_eq!(walked(&ignore, path), want > 0, "walked: {pattern} {path}");
    }
}

#[test]
fn several_rules() {
    for (text, path, want) in [
        ("!fileutils.go\n*.go", "fileutils.go", true),
        ("*.go\n!fileutils.go", "fileutils.go", false),
        ("docs\n!docs/README.md", "docs/README.md", false),
        ("docs/\n!docs/README.md", "docs/README.md", false),
        ("docs/*\n!docs/README.md", "docs/README.md", false),
        ("docs\n  !docs/README.md  ", "docs/README.md", false),
        ("**\n!util/docker/web", "util/docker/web/foo", false),
        ("**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", true),
        ("**\n!dist/*.whl", "dist/a+b.whl", false),
        ("*\n!/src", "src/a/b", false),
        ("*\n!/src", "other", true),
        // A rule that cannot change the verdict of a folder is not evaluated, so nothing is inherited from it.
        ("a/b\n!a", "a/b", true),
        ("a\n!a\na/b", "a/b/c", true),
    ] {
        assert_eq!(walked(&rules(text), path), want, "{text:?} {path}");
    }
}

#[test]
fn read_all_of_moby() {
    let text = "\u{feff}test1\r\n/test2\n/a/file/here\n\nlastfile\n# this is a comment\n! /inverted/abs/path\n #not\n";
    let got: Vec<_> = rules(text)
        .rules
        .iter()
        .map(|r| (r.exception, String::from_utf8(r.pattern.text().to_vec()).unwrap()))
        .collect();
    let want = [
        (false, "test1"),
        (false, "test2"),
        (false, "a/file/here"),
        (false, "lastfile"),
        (true, "inverted/abs/path"),
        (false, "#not"),
    ];
    assert_eq!(got, want.map(|(e, p)| (e, p.to_owned())));
}

#[test]
fn invalid_patterns_name_their_line() {
    for bad in [
        "!",
        "! ",
        "[",
        "a[",
        "[^",
        "[^bc",
        "[]a]",
        "[-]",
        "[x-]",
        "[-x]",
        "[a-b-c]",
        "\\",
        "[Local-Only]/",
        "a|b*",
        "x{2}*",
        "node\\modules*",
    ] {
        let text = format!("# first\nok\n{bad}\n");
        let error = Ignore::parse(text.as_bytes(), Path::new("x/.dockerignore")).unwrap_err();
        assert!(error.to_string().starts_with("x/.dockerignore:3: "), "{bad}: {error}");
        assert!(error.is_user_build_error());
    }
}

#[test]
fn bytes_that_are_not_utf8() {
    assert!(walked_bytes("*.txt", b"\xff.txt"));
    assert!(walked_bytes("?.txt", b"\xff.txt"));
    assert!(!walked_bytes("?.txt", b"\xff\xfe.txt"));
    let exact = Ignore::parse(b"a\xff", Path::new("i")).unwrap();
    assert!(exact.excludes(b"a\xff", &Inherited::default()));
    assert!(!exact.excludes(b"a\xfe", &Inherited::default()));
}

fn walked_bytes(pattern: &str, path: &[u8]) -> bool {
    rules(pattern).excludes(path, &Inherited::default())
}

#[test]
fn folders_are_skipped_only_where_fsutil_skips() {
    assert!(rules("node_modules").may_skip(b"node_modules"));
    assert!(rules("a\n!b/c").may_skip(b"a"));
    assert!(!rules("a\n!a/b/c").may_skip(b"a"));
    assert!(!rules("a\n!**/keep").may_skip(b"a"));
    assert!(!rules("a\n!a/*").may_skip(b"a"));
    assert!(rules("*\n!a/*/**").may_skip(b"a/b"), "an oddity of fsutil that decides what is sent");
}

proptest! {
    /// Without exceptions, the walk's shortcut and moby's parent-by-parent rule are the same function.
    #[test]
    fn walking_agrees_with_matching_every_parent(
        patterns in proptest::collection::vec("(\\*\\*/)?[ab*?]{1,3}(/[ab*]{1,2})?(/\\*\\*)?", 1..5),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        let ignore = rules(&patterns.join("\n"));
        let flat: Vec<_> = ignore.rules.iter().map(|r| (r.exception, r.pattern.clone())).collect();
        prop_assert_eq!(walked(&ignore, &path), matches_or_parent(&flat, &path));
    }

    /// Skipping a folder never changes a verdict below it, but for `!a/*/**`, which fsutil cuts to `!a`: there the
    /// skip decides what is sent.
    #[test]
    fn skipping_is_sound(
        patterns in proptest::collection::vec("!?([ab*]{1,2}/){0,2}([ab*]{1,2}|[ab*]?[ab]/\\*\\*)", 1..5),
        path in "[ab]{1,2}(/[ab]{1,2}){1,3}",
    ) {
        // The folder part and a last part of `**` make that pattern too.
        let patterns: Vec<String> = patterns.into_iter().filter(|pattern| !pattern.ends_with("*/**")).collect();
        let ignore = rules(&patterns.join("\n"));
        let mut inherited = Inherited::default();
        for (at, _) in path.match_indices('/') {
            let dir = &path.as_bytes()[..at];
            let (excluded, next) = ignore.enter(dir, &inherited);
            if excluded && ignore.may_skip(dir) {
                prop_assert!(walked(&ignore, &path));
            }
            inherited = next;
        }
    }

    /// The prefilter of a folder never hides a match below it.
    #[test]
    fn may_match_below_is_sound(pattern in "[ab*?]{1,3}(/[ab*]{1,2}){0,2}", path in "[ab]{1,2}(/[ab]{1,2}){1,3}") {
        let pattern = Pattern::new(&clean(pattern.as_bytes())).unwrap();
        for (at, _) in path.match_indices('/') {
            if matches(&pattern, &path) {
                prop_assert!(pattern.may_match_below(&path.as_bytes()[..at]));
            }
        }
    }
}

#[test]
fn d69_a_control_character_is_refused_with_its_line() {
    let parse = |text: &str| Ignore::parse(text.as_bytes(), Path::new(".dockerignore"));
    let error = parse("ok\n# \u{1} in a comment\na\u{1}b\n").unwrap_err();
    assert!(error.is_user_build_error());
    let text = error.to_string();
    assert!(text.starts_with(".dockerignore:3: ignore pattern `a\\x01b` is not valid"), "{text}");
    // Around a pattern it is no part of it; and BuildKit's client escapes them all where one needs it.
    for taken in ["\ta\t\r\n", "a\u{1}b\né\n"] {
        assert!(parse(taken).is_ok(), "{taken:?}");
    }
}

/// Matches one expression with one path, step by step: the machine, which takes all at once, must agree.
fn matches_alone(ops: &[Op], before: Option<char>, rest: &[char]) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let Some((op, later)) = ops.split_first() else { return rest.is_empty() };
    let here = || matches_alone(later, before, rest);
    let next = rest.split_first();
    match op {
        Op::Start => before.is_none() && here(),
        Op::End => rest.is_empty() && here(),
        Op::Boundary(wanted) => (word(before) != word(rest.first().copied())) == *wanted && here(),
        Op::Literal(c) => {
            next.is_some_and(|(found, rest)| found == c && matches_alone(later, Some(*c), rest))
        }
        Op::One(set) => {
            next.is_some_and(|(c, rest)| set.contains(*c) && matches_alone(later, Some(*c), rest))
        }
        Op::Many(set) => {
            here() || next.is_some_and(|(c, rest)| set.contains(*c) && matches_alone(ops, Some(*c), rest))
        }
        Op::Folders => {
            let line = rest.iter().take_while(|c| **c != '\n').count();
            let ends = (0..line).filter(|at| rest[*at] == '/');
            here() || ends.into_iter().any(|at| matches_alone(later, Some('/'), &rest[at + 1..]))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Many expressions at once, over several words, match what each matches alone.
    #[test]
    fn d33_all_at_once_is_as_one_by_one(
        patterns in proptest::collection::vec(
            "(\\*\\*/?|\\*|\\?|[ab/é]|\\\\[bBdWz*]|\\[\\^?[a-z*é\\\\d]{1,3}\\]){1,9}", 1..30
        ),
        path in "([ab/é. ]|\n){0,12}",
    ) {
        let patterns: Vec<_> = patterns.iter().filter_map(|text| Pattern::new(&clean(text.as_bytes())).ok()).collect();
        let patterns = Patterns::new(patterns);
        let chars: Vec<char> = path.chars().collect();
        let against = patterns.against(path.as_bytes());
        for (index, pattern) in patterns.iter().enumerate() {
            if let Some(program) = pattern.expression() {
                let text = String::from_utf8_lossy(pattern.text()).into_owned();
                prop_assert_eq!(against.hit(index), matches_alone(program.ops(), None, &chars), "{} {:?}", text, path);
            }
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_one_character_each() {
    let hit = |pattern: &str, path: &[u8]| {
        Patterns::new(vec![Pattern::new(pattern.as_bytes()).unwrap()]).against(path).hit(0)
    };
    assert!(hit("a?b", b"a\xffb") && hit("a??b", b"a\xc3\xffb") && hit("a?b", "aéb".as_bytes()));
    assert!(!hit("a?b", b"a\xc3\xffb") && !hit("a??b", "aéb".as_bytes()));
}
