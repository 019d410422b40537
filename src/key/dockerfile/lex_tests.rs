//! The word processor against BuildKit's own cases.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::glob;
use super::lex::{Lex, Lookup};
use super::{lines, words};

/// From BuildKit's `shell/envVarTest` and `lex_test.go`.
#[test]
fn words_as_the_shell_lexer_reads_them() {
    let env = |name: &str| match name {
        "PWD" => Lookup::Set("/home".to_owned()),
        "SHELL" => Lookup::Set("bash".to_owned()),
        "KOREAN" => Lookup::Set("한국어".to_owned()),
        "NULL" => Lookup::Set(String::new()),
        "PATTERN" => Lookup::Set("foo-bar-baz".to_owned()),
        "FILE" => Lookup::Set("a/b/c.tar.gz".to_owned()),
        "BASE" => Lookup::Unknown,
        _ => Lookup::Unset,
    };
    for (word, want) in [
        ("hello", Some("hello")),
        ("he'll'o", Some("hello")),
        ("he'llo", None),
        ("he\\'llo", Some("he'llo")),
        ("\"he\\\"llo\"", Some("he\"llo")),
        ("\"hello", None),
        ("hello\\", Some("hello")),
        ("'hel$PWD'", Some("hel$PWD")),
        ("\"hel$PWD\"", Some("hel/home")),
        ("he$PWD", Some("he/home")),
        ("he$PWD.x", Some("he/home.x")),
        ("he\\$PWD", Some("he$PWD")),
        ("he${PWD}xx", Some("he/homexx")),
        ("he${XXX}", Some("he")),
        ("he${XXX:-0}", Some("he0")),
        ("he${XXX:-$PWD:}xx", Some("he/home:xx")),
        ("he${XXX:-\\$PWD:}xx", Some("he$PWD:xx")),
        ("he${NULL:-x}", Some("hex")),
        ("he${NULL-x}", Some("he")),
        ("he${PWD:+x}", Some("hex")),
        ("he${NULL:+x}", Some("he")),
        ("he${NULL+x}", Some("hex")),
        ("he${XXX:?}", None),
        ("he${XXX:?no}", None),
        ("he${PWD:?}", Some("he/home")),
        ("$", Some("$")),
        ("$$", Some("")),
        ("he${}xx", None),
        ("he${:}xx", None),
        ("he${PWD", None),
        ("he${PWD:=x}", None),
        ("$KOREAN", Some("한국어")),
        ("${PATTERN#foo-}", Some("bar-baz")),
        ("${PATTERN#*-}", Some("bar-baz")),
        ("${PATTERN##*-}", Some("baz")),
        ("${PATTERN%-*}", Some("foo-bar")),
        ("${PATTERN%%-*}", Some("foo")),
        ("${PATTERN#x}", Some("foo-bar-baz")),
        ("${FILE##*/}", Some("c.tar.gz")),
        ("${FILE%.*.*}", Some("a/b/c")),
        ("${PATTERN/ba/X}", Some("foo-Xr-baz")),
        ("${PATTERN//ba?/X}", Some("foo-X-X")),
        ("${PATTERN//-/\\/}", Some("foo\\/bar\\/baz")),
        ("${FILE//\\//_}", Some("a_b_c.tar.gz")),
        // D110.
        ("${PATTERN///x}", Some("xfxoxox-xbxaxrx-xbxaxzx")),
        ("${PATTERN//x}", None),
        ("${NULL/*/x}", Some("x")),
        ("${NULL//*/x}", Some("x")),
        ("${PATTERN//*/x}", Some("x")),
        ("${PATTERN/*-/\\$1}", Some("\\$1baz")),
        ("${PATTERN//-/'<$0$$${x}$1>'}", Some("foo<-$>bar<-$>baz")),
        ("${PATTERN/*a*a*q/x}", Some("foo-bar-baz")),
    ] {
        let got = Lex::new('\\').process(word, &env);
        assert_eq!(got.as_ref().ok().map(|e| e.word.as_str()), want, "{word}: {got:?}");
    }
    assert_eq!(Lex::new('\\').process("a$BASE${BASE:-x}", &env).unwrap().unknown, ["BASE", "BASE"]);
    let split = Lex::new('\\').process("a 'b c' \"$PWD d\" e\\ f", &env).unwrap().words;
    assert_eq!(split, ["a", "b c", "/home d", "e f"]);
}

fn fixture(name: &str) -> String {
    fs_err::read_to_string(format!("{}/tests/fixtures/buildkit/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// BuildKit's `TestShellParser4EnvVars`.
#[test]
fn moby_words_with_variables() {
    let env = |name: &str| match name {
        "PWD" => Lookup::Set("/home".to_owned()),
        "SHELL" => Lookup::Set("bash".to_owned()),
        "KOREAN" => Lookup::Set("한국어".to_owned()),
        "NULL" => Lookup::Set(String::new()),
        _ => Lookup::Unset,
    };
    let table = fixture("envVarTest");
    let lines = table.lines().map(str::trim).filter(|line| line.starts_with(['A', 'U']));
    let mut count = 0;
    for line in lines {
        let [_, source, expected] = *line.split('|').map(str::trim).collect::<Vec<_>>() else {
            panic!("{line}")
        };
        let got = Lex::new('\\').process(source, &env).map(|expanded| expanded.word);
        let got = got.as_deref().map_or("error", |word| word);
        assert_eq!(got, expected, "{line}");
        count += 1;
    }
    assert!(count > 200, "{count}");
}

/// BuildKit's `TestShellParser4Words`.
#[test]
fn moby_words_split() {
    let mut env: Vec<(String, String)> = Vec::new();
    for line in fixture("wordsTest").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some((name, value)) = line.strip_prefix("ENV ").and_then(|pair| pair.split_once('=')) {
            env.retain(|(known, _)| known != name);
            env.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let (source, expected) = line.split_once('|').unwrap();
        let look = |name: &str| {
            let known = env.iter().find(|(own, _)| own == name);
            known.map_or(Lookup::Unset, |(_, value)| Lookup::Set(value.clone()))
        };
        let got = Lex::new('\\').process(source.trim(), &look).map(|expanded| expanded.words.join(","));
        assert_eq!(got.as_deref().unwrap_or("error"), expected.trim_start(), "{line}");
    }
}

/// BuildKit's `TestProcessWithMatches`.
#[test]
fn moby_process_with_matches() {
    let cases: Vec<serde_json::Value> = serde_json::from_str(&fixture("processWithMatches.json")).unwrap();
    assert_eq!(cases.len(), 47);
    for case in cases {
        let look =
            |name: &str| case["env"][name].as_str().map_or(Lookup::Unset, |v| Lookup::Set(v.to_owned()));
        let got =
            Lex::new('\\').process(case["input"].as_str().unwrap(), &look).map(|expanded| expanded.word);
        assert_eq!(got.ok().as_deref(), case["expected"].as_str(), "{case}");
    }
}

/// BuildKit's `TestParseExtractsHeredoc`: names, whether they expand, whether tabs go, contents.
#[test]
fn moby_heredocs() {
    let lines = lines::split(&fixture("heredocs.Dockerfile")).unwrap().lines;
    let found: Vec<_> = lines
        .iter()
        .flat_map(|line| &line.heredocs)
        .map(|h| (h.name.as_str(), h.expand, h.chomp, h.content.as_str()))
        .collect();
    let echo = "echo hello world\necho foo bar\n";
    let want = [
        ("EMPTY", true, false, ""),
        ("EMPTY2", true, false, ""),
        ("INDENT", true, false, "\tfoo\n\tbar\n"),
        ("UNINDENT", true, true, "\tbaz\n\tquux\n"),
        ("UNINDENT2", true, true, "\tbaz\n\tquux\n"),
        ("EXPAND", true, true, "\texpand $NAME\n"),
        ("NOEXPAND", false, true, "\tdon't expand $NAME\n"),
        ("COPY", true, false, echo),
        ("COMMENT", true, false, "# internal comment\necho hello world\necho foo bar # trailing comment\n"),
        ("MOUNT", true, false, "echo hello\n"),
        ("FILE1", true, false, "content 1\n"),
        ("FILE2", true, false, "content 2\n"),
        ("EOF", true, false, "\"foo\"\n'bar'\n"),
        ("X", true, false, "Y\n"),
        ("Y", true, false, "X\n"),
        ("COMPLEX", true, false, "print('hello world')\n"),
        ("file.txt", true, false, "hello world\n"),
        ("eof", false, false, "echo foo\n"),
        ("eo'f", true, false, "echo foo\n"),
        ("eo'f", false, false, "echo foo\n"),
        ("one two", false, false, "echo bar\n"),
        ("$EOF", true, false, ""),
        ("EOF", true, false, ""),
        ("EOF", true, false, ""),
    ];
    assert_eq!(found, want);
    // D40: BuildKit takes a blank after the arrow since Dockerfile 1.16.
    for word in ["<<EOF", "<<'EOF'", "<<\"EOF\"", "<<-EOF", "<<-'EOF'", "<<EO\"F\"", "<< EOF", "<<- EOF"] {
        assert_eq!(lines::heredoc(word).unwrap().unwrap().name, "EOF", "{word}");
    }
    for word in ["<<'EOF", "<<\"EOF", "<<EOF'", "<<EOF\""] {
        assert!(lines::heredoc(word).is_err(), "{word}");
    }
    for word in ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<EOF sh"] {
        assert_eq!(lines::heredoc(word), Ok(None), "{word}");
    }
}

/// BuildKit's `TestParseCases`: instructions and their flags.
#[test]
fn moby_instructions_and_flags() {
    for name in [
        "ADD-COPY-with-JSON",
        "continueIndent",
        "env",
        "escapes",
        "flags",
        "health",
        "lk4d4-the-edge-case-generator",
    ] {
        let lines = lines::split(&fixture(&format!("parser/{name}/Dockerfile"))).unwrap().lines;
        let commands: Vec<_> = lines.iter().filter_map(|line| words::command(&line.text)).collect();
        let dump = fixture(&format!("parser/{name}/result"));
        assert_eq!(commands.len(), dump.lines().count(), "{name}");
        for (command, dumped) in commands.iter().zip(dump.lines()) {
            let flags: Vec<_> = command.flags.iter().map(|flag| format!("{flag:?}")).collect();
            let flags = if flags.is_empty() { String::new() } else { format!(" [{}]", flags.join(" ")) };
            let start = format!("({}{flags}", command.keyword);
            assert!(dumped.starts_with(&start), "{name}: {dumped}: {start}");
        }
    }
}

/// What a pattern matches, by trying every way.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        Some((c, rest)) => {
            text.split_first().is_some_and(|(t, tail)| (c == t || *c == '?') && matches(rest, tail))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patterns_trim_what_they_match(value in "[ab]{0,8}", pattern in "[ab*?]{0,5}", flags in 0..4) {
        let (start, greedy) = (flags & 1 == 1, flags & 2 == 2);
        let (text, wanted): (Vec<char>, Vec<char>) = (value.chars().collect(), pattern.chars().collect());
        let mut lengths: Vec<usize> = (0..=text.len()).collect();
        if greedy {
            lengths.reverse();
        }
        let part = |length: usize| if start { &text[..length] } else { &text[text.len() - length..] };
        let length = lengths.into_iter().find(|length| matches(&wanted, part(*length))).unwrap_or(0);
        let kept: String = if start { &text[length..] } else { &text[..text.len() - length] }.iter().collect();
        let side = if start { glob::Side::Start } else { glob::Side::End };
        prop_assert_eq!(glob::trim(&value, &pattern, side, greedy, &crate::budget::Meter::default()).unwrap(), kept);
    }

    #[test]
    fn nothing_that_is_quoted_changes(text in "[^'\\x00]{0,20}") {
        let expanded = Lex::new('\\').process(&format!("'{text}'"), &|_| Lookup::Unknown).unwrap();
        prop_assert!(expanded.unknown.is_empty());
        prop_assert_eq!(expanded.word, text);
    }
}
