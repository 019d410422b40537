//! Go's `filepath.Clean` on bytes, with Unix's separators: moby compares paths in this form.

/// Makes the shortest path that leads to the same file: without `.` and doubled slashes, and without `..` after a folder.
/// An empty path is `.`.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.first() == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&last) if last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(b".."),
            },
            name => parts.push(name),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// Makes a path relative to the context's root, cleaned as an absolute one, so that `..` cannot leave the context. The root
/// itself is empty.
pub(crate) fn rooted(path: &[u8]) -> Vec<u8> {
    let mut absolute = clean(&[b"/", path].concat());
    absolute.remove(0);
    absolute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_follows_go() {
        for (input, want) in [
            ("", "."),
            (".", "."),
            ("abc/", "abc"),
            ("abc//def", "abc/def"),
            ("abc/./def/../ghi", "abc/ghi"),
            ("../../a", "../../a"),
            ("a/../..", ".."),
            ("/..", "/"),
            ("/a/../../b", "/b"),
            ("!../x", "!../x"),
            ("!a/..", "."),
            ("//a", "/a"),
            ("**/", "**"),
        ] {
            assert_eq!(clean(input.as_bytes()), want.as_bytes(), "{input}");
        }
    }

    #[test]
    fn rooted_never_leaves_the_context() {
        assert_eq!(rooted(b"../../etc"), b"etc");
        assert_eq!(rooted(b"./a/./b/"), b"a/b");
        assert_eq!(rooted(b"/"), b"");
        assert_eq!(rooted(b"."), b"");
    }
}
