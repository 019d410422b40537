//! Sources that are not files of the context: URLs and git repositories
//! (BuildKit `dfgitutil/git_ref.go`, `gitutil/git_url.go`).

/// Where an `ADD` source or a build context lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A path.
    Local,
    /// A file behind a URL.
    Http,
    /// A git repository.
    Git,
}

/// What `source` is, read as an `ADD` source. As a build context, `github.com/…` means git as well.
#[must_use]
pub fn place(source: &str) -> Place {
    if source.starts_with("./") || source.starts_with("../") {
        return Place::Local;
    }
    if let Some((scheme, rest)) = source.split_once("://") {
        let path = rest.split(['#', '?']).next().unwrap_or_default();
        return match scheme.to_ascii_lowercase().as_str() {
            "git" | "ssh" => Place::Git,
            "http" | "https" if path.strip_suffix(".git").is_some() => Place::Git,
            "http" | "https" => Place::Http,
            _ => Place::Local,
        };
    }
    if is_scp(source) { Place::Git } else { Place::Local }
}

/// `user@host:path`.
fn is_scp(source: &str) -> bool {
    let word = |text: &str, extra: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(&c))
    };
    source
        .split_once('@')
        .and_then(|(user, rest)| Some((user, rest.split_once(':')?.0)))
        .is_some_and(|(user, host)| word(user, &['-']) && word(host, &['-', '.']))
}

/// The full commit that a git source names (`#<commit>`, `?commit=`, `?checksum=`); such a source cannot move.
#[must_use]
pub fn commit(source: &str) -> Option<&str> {
    let (rest, fragment) = source.split_once('#').unwrap_or((source, ""));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let named = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| matches!(*name, "commit" | "checksum"));
    let reference = fragment.split(':').next().unwrap_or_default();
    [named.map_or("", |(_, value)| value), reference].into_iter().find(|text| is_commit(text))
}

/// A whole SHA-1 or SHA-256 object name.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}
