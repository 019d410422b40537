//! A git repository as BuildKit's URLs name it (`dfgitutil/git_ref.go`, `gitutil/git_url.go`, `sshutil/scpurl.go`).
//!
//! In: `https://h/r.git?submodules=false#main:docker`. Out: a [`GitRef`] with the remote `https://h/r.git`, the reference
//! `main`, the folder `docker` and no submodules. The query may say what stands after the `#`, too: `?ref=main&subdir=docker`.

use super::go::go_bool;
use crate::key::dockerignore::rooted;

/// A repository, and what of it is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitRef {
    /// The URL without query and fragment, as it is written.
    pub remote: String,
    /// A branch, a tag, a full name (`refs/…`) or a commit; empty for the default branch.
    pub reference: String,
    /// The id, or its beginning, that the object must have: BuildKit refuses another one.
    pub checksum: Option<String>,
    /// The folder that is taken; empty for all folders.
    pub folder: String,
    /// Whether `.git` is kept, where the URL says so.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched, where the URL says so.
    pub submodules: Option<bool>,
    /// Whether files get the time of their commit (`mtime=commit`), not that of the checkout.
    pub commit_times: bool,
}

impl GitRef {
    /// Reads `text`; `None` if it names no repository.
    ///
    /// # Errors
    /// What BuildKit refuses in a repository's URL, as a reason.
    #[must_use]
    pub fn parse(text: &str) -> Option<Result<Self, String>> {
        if text.starts_with("./") || text.starts_with("../") || text.contains(|c: char| c.is_ascii_control())
        {
            return None;
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (remote, fragment) = match scheme(remote) {
            Some(scheme) => {
                let after_scheme = remote.get(scheme.len() + "://".len()..).unwrap_or_default();
                let path = after_scheme.split_once('/').map_or("", |(_, path)| path);
                let path = decode(path, false)?;
                match scheme.as_str() {
                    "git" | "ssh" => {}
                    // Any other URL of this kind names a file.
                    "http" | "https" if path.strip_suffix(".git").is_some() => {}
                    _ => return None,
                }
                (format!("{scheme}://{after_scheme}"), decode(fragment, false)?)
            }
            None if is_scp(remote) => (remote.to_owned(), fragment.to_owned()),
            None if remote.starts_with("github.com/") => (remote.to_owned(), decode(fragment, false)?),
            None => return None,
        };
        let (reference, folder) = fragment.split_once(':').unwrap_or((&fragment, ""));
        let folder = String::from_utf8_lossy(&rooted(folder.as_bytes())).into_owned();
        let mut git = Self { remote, reference: reference.to_owned(), folder, ..Self::default() };
        Some(git.query(query).map(|()| git))
    }

    /// Reads the query, whose parts may be given once each.
    fn query(&mut self, query: &str) -> Result<(), String> {
        let (mut tag, mut branch) = (None, None);
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name, true), decode(value, true)) else { continue };
            if seen.contains(&name) {
                return Err(format!("query `{name}` is given more than once"));
            }
            let is_switch = matches!(name.as_str(), "keep-git-dir" | "submodules" | "fetch-by-commit");
            if value.is_empty() && !is_switch {
                return Err(format!("query `{name}` has no value"));
            }
            let is_on = || match go_bool(&value) {
                // The name alone is on.
                None if value.is_empty() => Ok(true),
                None => Err(format!("query `{name}`: `{value}` is no truth value")),
                Some(on) => Ok(on),
            };
            match name.as_str() {
                "ref" => set_once(&mut self.reference, value)?,
                "subdir" => set_once(&mut self.folder, value)?,
                "tag" => tag = Some(with_prefix("refs/tags/", value)),
                "branch" => branch = Some(with_prefix("refs/heads/", value)),
                "checksum" | "commit" => self.checksum = Some(value),
                "keep-git-dir" => self.keep_git_dir = Some(is_on()?),
                "submodules" => self.submodules = Some(is_on()?),
                // It needs a whole checksum, which says already what is fetched.
                "fetch-by-commit" => {
                    is_on()?;
                }
                "mtime" => match value.as_str() {
                    "checkout" | "commit" => self.commit_times = value == "commit",
                    _ => return Err(format!("query `mtime`: `{value}` is neither `checkout` nor `commit`")),
                },
                _ => return Err(format!("query `{name}` is not known")),
            }
            seen.push(name);
        }
        if tag.is_some() && branch.is_some() {
            return Err("a branch and a tag at once".to_owned());
        }
        tag.or(branch).map_or(Ok(()), |name| set_once(&mut self.reference, name))
    }

    /// The object that is meant, if that cannot change: a whole id is given as reference or as checksum.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        [Some(self.reference.as_str()), self.checksum.as_deref()]
            .into_iter()
            .flatten()
            .find(|id| is_commit(id))
    }

    /// The URL that the git program is given.
    #[must_use]
    pub fn url(&self) -> String {
        if self.remote.starts_with("github.com/") {
            format!("https://{}", self.remote)
        } else {
            self.remote.clone()
        }
    }

    /// The URL without user and password.
    #[must_use]
    pub fn without_user(&self) -> String {
        match self.remote.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                format!("{scheme}://{}/{path}", host.rsplit('@').next().unwrap_or(host))
            }
            None => self.remote.clone(),
        }
    }

    /// BuildKit's name for the repository at `reference`, whatever the protocol (`llb.Git`): `git://h/r.git#main:docker`.
    /// Source policies match this name.
    #[must_use]
    pub fn identifier(&self, reference: &str) -> String {
        let (host, path) = if let Some((_, rest)) = self.remote.split_once("://") {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            (host, decode(path, false).unwrap_or_else(|| path.to_owned()))
        } else {
            let separator = if self.remote.starts_with("github.com/") { '/' } else { ':' };
            let (host, path) = self.remote.split_once(separator).unwrap_or((&self.remote, ""));
            (host, path.to_owned())
        };
        let host = host.rsplit('@').next().unwrap_or(host);
        let path = rooted(path.as_bytes());
        let mut name = format!("git://{host}/{}", String::from_utf8_lossy(&path));
        if !reference.is_empty() || !self.folder.is_empty() {
            name.extend(["#", reference]);
        }
        if !self.folder.is_empty() {
            name.extend([":", &self.folder]);
        }
        name
    }

    /// A URL for the same folder and switches at this commit, as BuildKit reads it.
    #[must_use]
    pub fn at(&self, commit: &str) -> String {
        let mut queries = Vec::new();
        let switches = [("keep-git-dir", self.keep_git_dir), ("submodules", self.submodules)];
        for (name, on) in switches.into_iter().filter_map(|(name, on)| Some((name, on?))) {
            queries.push(format!("{name}={on}"));
        }
        if self.commit_times {
            queries.push("mtime=commit".to_owned());
        }
        let query = if queries.is_empty() { String::new() } else { format!("?{}", queries.join("&")) };
        // BuildKit decodes what stands after the `#`, but not in `user@host:path`.
        let folder = if is_scp(&self.remote) { self.folder.clone() } else { self.folder.replace('%', "%25") };
        let folder = if folder.is_empty() { folder } else { format!(":{folder}") };
        format!("{}{query}#{commit}{folder}", self.remote)
    }
}

/// Sets a part that the URL may have said at another place already, with the same value.
fn set_once(part: &mut String, value: String) -> Result<(), String> {
    if !part.is_empty() && *part != value {
        return Err(format!("`{part}` and `{value}` at once"));
    }
    *part = value;
    Ok(())
}

fn with_prefix(prefix: &str, name: String) -> String {
    if name.starts_with(prefix) { name } else { format!("{prefix}{name}") }
}

/// The protocol in lower case, `https` of `HTTPS://h/r.git`.
fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once("://")?;
    (!scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()))
        .then(|| scheme.to_ascii_lowercase())
}

/// Whether the text is a remote as `scp` writes it, `user@host:path`.
fn is_scp(source: &str) -> bool {
    let word = |text: &str, extra: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    source
        .split_once('@')
        .and_then(|(user, rest)| Some((user, rest.split_once(':')?.0)))
        .is_some_and(|(user, host)| word(user, "-_") && word(host, "-."))
}

/// Decodes `%41` to `A`, and in a query `+` to a blank; `None` if the text is not well-formed.
fn decode(text: &str, is_query: bool) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if is_query => b' ',
            b => b,
        });
    }
    String::from_utf8(out).ok()
}

/// Whether the text is a whole SHA-1 or SHA-256 object id, in lower case as git writes it.
#[must_use]
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn git(remote: &str, reference: &str, folder: &str) -> GitRef {
        GitRef {
            remote: remote.to_owned(),
            reference: reference.to_owned(),
            folder: folder.to_owned(),
            ..GitRef::default()
        }
    }

    /// D56. BuildKit's own table (`git_ref_test.go`, `TestParseGitRef`).
    #[test]
    fn d56_buildkits_table_of_git_urls() {
        let moby = "https://github.com/moby/buildkit.git";
        for (text, want) in [
            ("https://example.com/foo.git", git("https://example.com/foo.git", "", "")),
            (
                "https://example.com/foo.git#release/1.2",
                git("https://example.com/foo.git", "release/1.2", ""),
            ),
            ("git://example.com/foo", git("git://example.com/foo", "", "")),
            ("github.com/moby/buildkit#master", git("github.com/moby/buildkit", "master", "")),
            ("git@github.com:moby/buildkit", git("git@github.com:moby/buildkit", "", "")),
            ("https://h/b.git#baz/qux:quux/quuz", git("https://h/b.git", "baz/qux", "quux/quuz")),
            ("https://h/d.git#:myfolder", git("https://h/d.git", "", "myfolder")),
            ("https://h/d.git#v1:/a/../b//c/", git("https://h/d.git", "v1", "b/c")),
            ("https://h/d.git?ref=v1.0.0&subdir=/subdir", git("https://h/d.git", "v1.0.0", "/subdir")),
            ("https://h/d.git?subdir=/subdir#v1.0.0", git("https://h/d.git", "v1.0.0", "/subdir")),
            ("https://h/d.git?tag=v1.0.0", git("https://h/d.git", "refs/tags/v1.0.0", "")),
            ("https://h/d.git?tag=refs/tags/v1", git("https://h/d.git", "refs/tags/v1", "")),
            ("github.com/moby/buildkit?tag=v1.0.0", git("github.com/moby/buildkit", "refs/tags/v1.0.0", "")),
            ("https://h/d.git?branch=v1.0", git("https://h/d.git", "refs/heads/v1.0", "")),
            ("git@h:m/b.git?subdir=/subdir#v1.0.0", git("git@h:m/b.git", "v1.0.0", "/subdir")),
            ("HTTPS://h/d.git", git("https://h/d.git", "", "")),
            ("https://h/d.git?mtime=checkout", git("https://h/d.git", "", "")),
            ("https://h/d.git?fetch-by-commit=false", git("https://h/d.git", "", "")),
            ("https://h/d%2Egit#a%20b", git("https://h/d%2Egit", "a b", "")),
        ] {
            assert_eq!(GitRef::parse(text), Some(Ok(want)), "{text}");
        }
        for text in [
            "https://example.com/",
            "https://example.com/foo.git/",
            "https://example.com/foo.git.bar",
            "custom.xyz/moby/buildkit.git",
            "https://github.com/moby/buildkit",
            "http://github.com/docker/docker.git:#branch",
            "./.git",
            ".git",
            "ftp://h/r.git",
            "git+ssh://git@h/r.git",
        ] {
            assert_eq!(GitRef::parse(text), None, "{text}");
        }
        for (query, why) in [
            ("?ref=v1.0.0#v1.2.3", "at once"),
            ("?ref=v1.0.0&tag=v1.2.3", "at once"),
            ("?tag=v1.0.0&branch=v1.0", "a branch and a tag"),
            ("?subdir=a#v:b", "at once"),
            ("?mtime=invalid", "neither"),
            ("?fetch-by-commit=invalid", "truth value"),
            ("?keep-git-dir=yes", "truth value"),
            ("?submodules=", ""),
            ("?ref=", "no value"),
            ("?ref=a&ref=a", "more than once"),
            ("?invalid=123", "`invalid` is not known"),
        ] {
            let read = GitRef::parse(&format!("{moby}{query}")).unwrap();
            assert_eq!(read.is_err(), !why.is_empty(), "{query}");
            assert!(read.err().unwrap_or_default().contains(why), "{query}");
        }
    }

    #[test]
    fn d56_switches_and_ids() {
        let id = "0123456789012345678901234567890123456789";
        let read = |text: &str| GitRef::parse(text).unwrap().unwrap();
        let all = read(&format!(
            "https://h/r.git?keep-git-dir=1&submodules=0&mtime=commit&checksum={id}&fetch-by-commit#main:x"
        ));
        assert_eq!((all.keep_git_dir, all.submodules, all.commit_times), (Some(true), Some(false), true));
        assert_eq!(all.fixed(), Some(id));
        assert_eq!(
            all.at(id),
            format!("https://h/r.git?keep-git-dir=true&submodules=false&mtime=commit#{id}:x")
        );
        assert_eq!(read(&format!("https://h/r.git?commit={id}#v1")).fixed(), Some(id));
        assert_eq!(read("https://h/r.git?checksum=0123#v1").fixed(), None);
        assert_eq!(read(&format!("git@h:r.git#{}", id.to_uppercase())).fixed(), Some(id), "digits alone");
        assert!(!is_commit(&"A".repeat(40)), "BuildKit takes it for a name");
        assert_eq!(read("https://h/r.git?keep-git-dir").keep_git_dir, Some(true));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// A URL at a commit names the same folder of the same repository, fixed, whatever the first one was.
        #[test]
        fn d56_a_url_at_a_commit_is_read_back(
            remote in "(https://[a-z]{1,4}(:[0-9]{2})?/[a-z./%2]{0,8}[a-z]\\.git|git@[a-z.]{1,5}:[a-z/]{1,8}|ssh://u@h/[a-z]{1,5})",
            query in "(\\?(ref=[a-z]{1,3}|tag=v[0-9]|branch=[a-z]|keep-git-dir(=[01])?|submodules=(true|F)|mtime=commit))?",
            fragment in "(#[a-z/]{0,4}(:[a-z%/.]{0,6})?)?",
        ) {
            let commit = "0123456789abcdef0123456789abcdef01234567";
            let Some(Ok(git)) = GitRef::parse(&format!("{remote}{query}{fragment}")) else { return Ok(()) };
            let pinned = GitRef::parse(&git.at(commit)).unwrap().unwrap();
            prop_assert_eq!(pinned.fixed(), Some(commit));
            let want = GitRef { reference: commit.to_owned(), checksum: None, ..git };
            prop_assert_eq!(pinned, want);
        }

        #[test]
        fn d56_any_text_is_read(text in "\\PC{0,40}", start in "(https://|git@|github.com/|)") {
            let _ = GitRef::parse(&format!("{start}{text}")).map(|read| read.map(|git| git.identifier("x")));
        }
    }

    #[test]
    fn repositories_by_buildkits_names() {
        for (url, name) in [
            ("https://h.example/o/r.git", "git://h.example/o/r.git"),
            ("ssh://git@h.example:22/o/r.git", "git://h.example:22/o/r.git"),
            ("git@h.example:o/r.git", "git://h.example/o/r.git"),
            ("git@h.example:/o/r.git", "git://h.example/o/r.git"),
            ("git://h.example/o/r", "git://h.example/o/r"),
            ("github.com/o/r", "git://github.com/o/r"),
            ("https://u:p@h.example//o/./r.git#v1", "git://h.example/o/r.git#v1"),
            ("https://h.example/r.git?ref=v1&subdir=/s", "git://h.example/r.git#v1:/s"),
        ] {
            let git = GitRef::parse(url).unwrap().unwrap();
            assert_eq!(git.identifier(&git.reference), name);
        }
    }
}
