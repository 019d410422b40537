//! The word processor against BuildKit's own cases.
#![allow(clippy::unwrap_used)]

use super::lex::{Lex, Lookup};

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
