//! What `key-files` lists.

use super::*;

#[test]
fn listed_files() {
    let place = Place::new(&["a.lock", "sub/b.lock", "sub/c.txt", ".git/x.lock", "sub/deep/d.lock"]);
    let listed = |patterns: &[&str]| names(&place.files(patterns).unwrap().tree);
    assert_eq!(listed(&["*.lock"]), ["a.lock"]);
    assert_eq!(listed(&["**/*.lock"]), ["a.lock", "sub/", "sub/b.lock", "sub/deep/", "sub/deep/d.lock"]);
    assert_eq!(listed(&["**/*.lock", "!sub/deep", ""]), ["a.lock", "sub/", "sub/b.lock"]);
    assert_eq!(listed(&["{a,z}.lock"]), ["a.lock"]);
    assert_eq!(listed(&["./sub/c.txt"]), ["sub/", "sub/c.txt"]);
    assert!(
        matches!(place.files(&["a.lock", "missing/*"]), Err(KeyError::NoMatch { pattern, .. }) if pattern == "missing/*")
    );
    assert!(matches!(place.files(&["../x"]), Err(KeyError::Pattern { .. })));
    assert!(matches!(place.files(&["[x"]), Err(KeyError::Pattern { .. })));
}

#[test]
fn listed_values() {
    let place = Place::new(&[]);
    place.write(
        b"package.json",
        r#"{"name":"x","dependencies":{"a":"1","b":"2"},"d.e":{"f":[1,{"g":true}]}}"#,
    );
    place.write(
        b"Cargo.toml",
        "[dependencies]\nserde = \"1\"\n[package]\nversion = \"1\"\nwhen = 2020-01-01\n",
    );
    let value = |text: &str| {
        place.files(&[text]).map(|files| files.sub_keys.into_iter().map(|s| s.digest).collect::<Vec<_>>())
    };
    let before = value("package.json#dependencies").unwrap();
    assert_eq!(value("*.json#dependencies").unwrap(), before);
    value("package.json#d.e.f.1.g").unwrap();
    value("Cargo.toml#package.when").unwrap();
    let serde = value("Cargo.toml#dependencies.serde").unwrap();
    assert_eq!(value("package.json#dependencies.a").unwrap(), serde, "the same string is the same value");
    assert!(matches!(value("package.json#nothing"), Err(KeyError::SubKey { .. })));
    assert!(matches!(value("gone.json#a"), Err(KeyError::NoMatch { .. })));
    place.write(b"package.json", "{\"version\":\"new\",\n \"dependencies\": {\"b\":\"2\", \"a\":\"1\"}}");
    assert_eq!(value("package.json#dependencies").unwrap(), before, "order and layout do not count");
    place.write(b"package.json", r#"{"dependencies":{"b":"2","a":1}}"#);
    assert_ne!(value("package.json#dependencies").unwrap(), before);
    place.write(b"package.json", "{");
    assert!(matches!(value("package.json#dependencies"), Err(KeyError::SubKey { .. })));
}

#[test]
fn d06_a_listed_link_counts_with_what_it_leads_to() {
    let place = Place::new(&["real/v[1].txt", "real/more/x", "other"]);
    place.link("link", "real/v[1].txt");
    place.link("folder", "real/more");
    place.link("chain", "link");
    place.link("outside", "/etc/hostname");
    place.link("broken", "gone");
    place.link("real/up", "..");
    let listed = |patterns: &[&str]| names(&place.files(patterns).unwrap().tree);
    assert_eq!(listed(&["link"]), ["link", "real/", "real/v[1].txt"]);
    assert_eq!(listed(&["chain"]), ["chain", "real/", "real/v[1].txt"]);
    assert_eq!(listed(&["folder"]), ["folder", "real/", "real/more/", "real/more/x"]);
    let before = place.files(&["link"]).unwrap().tree.digest();
    place.write(b"real/v[1].txt", "changed");
    assert_ne!(place.files(&["link"]).unwrap().tree.digest(), before);
    for (bad, why) in [("outside", "leaves the working folder"), ("broken", "names nothing")] {
        let error = place.files(&[bad]).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    // Links that are only met below a named folder count as they do in an image.
    assert_eq!(listed(&["real"]), ["real/", "real/more/", "real/more/x", "real/up", "real/v[1].txt"]);
    // A value inside a file is looked for where the link leads to.
    place.write(b"real/data.json", "{\"a\": 1}");
    place.link("data.json", "real/data.json");
    place.link("away.json", "/etc/hostname");
    let value = place.files(&["data.json#a"]).unwrap().sub_keys;
    assert_eq!(value.iter().map(|value| value.path.as_slice()).collect::<Vec<_>>(), [b"real/data.json"]);
    assert!(place.files(&["away.json#a"]).is_err());
}
