//! Marks shared names with their GitHub repository, because several may use one registry repository.

use super::hash::{hash, is_hash};
use super::host_of_server;

/// `r` and eight hex digits of a hash over the server and the GitHub repository's number, which stays when the
/// repository gets another name. If the number is not known, the hash is over the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// Makes the mark from the server's URL, the repository's number and its name; `None` if neither number nor name is
    /// known.
    #[must_use]
    pub fn of(server: Option<&str>, id: Option<&str>, name: Option<&str>) -> Option<Self> {
        let number = id.and_then(|id| id.parse::<u64>().ok()).map(|id| id.to_string());
        // A name has a slash, so no name is read as a number.
        let which = number.or_else(|| name.map(str::to_lowercase))?;
        let server = host_of_server(server).unwrap_or("github.com").to_lowercase();
        Some(Self(format!("r{}", hash(&format!("{server}\0{which}")))))
    }

    /// The mark's text in a name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tells whether a word of a tag has the form of a mark.
pub(super) fn is_mark(word: &str) -> bool {
    word.strip_prefix('r').is_some_and(is_hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d91_each_github_repository_has_its_mark() {
        let mark = |server, id, name| Mark::of(server, id, name).map(|mark| mark.0);
        let github = mark(Some("https://github.com"), Some("1"), Some("o/r")).unwrap();
        assert_eq!(github, "rf9d832d9");
        assert!(is_mark(&github));
        // A new name, and a runner that does not name the server.
        assert_eq!(mark(None, Some("1"), Some("o/new")).as_ref(), Some(&github));
        let name = mark(None, None, Some("o/r")).unwrap();
        for (server, id, name, expected) in [
            (None, Some(""), Some("O/R"), Some(&name)),
            (None, Some("no number"), Some("o/r"), Some(&name)),
            (None, None, None, None),
        ] {
            assert_eq!(mark(server, id, name).as_ref(), expected, "{server:?} {id:?}");
        }
        for other in [
            mark(None, Some("2"), Some("o/r")),
            mark(None, None, Some("o/other")),
            mark(Some("https://ghe.example"), Some("1"), Some("o/r")),
        ] {
            let other = other.unwrap();
            assert!(other != github && other != name, "{other}");
        }
    }
}
