//! git's configuration, as far as credentials go.

/// What one file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub credential: bool,
    /// Files that it includes, as written.
    pub includes: Vec<String>,
}

/// Looks for headers that log in, for passwords in URLs, and for what is included.
pub(crate) fn scan(text: &str) -> Found {
    let mut found = Found::default();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        found.credential |= has_user_info(line);
        let rest = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((head, rest)) => {
                section = head.split([' ', '.', '"']).next().unwrap_or_default().to_ascii_lowercase();
                rest.trim()
            }
            None => line,
        };
        let Some((name, value)) = rest.split_once('=') else { continue };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        match (section.as_str(), name.as_str()) {
            ("http", "extraheader") => found.credential |= !value.is_empty(),
            ("include" | "includeif", "path") => found.includes.push(value.to_owned()),
            _ => {}
        }
    }
    found
}

/// `https://user:password@host`, and a token in the user's place.
fn has_user_info(line: &str) -> bool {
    line.match_indices("://").any(|(at, _)| {
        let rest = line.get(at + 3..).unwrap_or_default();
        let host = rest.split(['/', '"', ' ', '?', '#']).next().unwrap_or_default();
        let Some((user, _)) = host.rsplit_once('@') else { return false };
        user.split_once(':').map_or(user.len() >= 20, |(_, password)| !password.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::scan;

    #[test]
    fn d41_a_credential_is_seen_and_an_address_is_not_one() {
        for held in [
            "[http \"https://github.com/\"]\n\textraheader = AUTHORIZATION: basic eA==",
            "[http]\n\tExtraHeader=Authorization: bearer x",
            "[remote \"o\"]\n\turl = https://x-access-token:ghs_1@github.com/o/r",
            "[url \"https://u:p@h/\"]\n\tinsteadOf = https://h/",
            "[remote \"o\"] url = https://ghp_0123456789012345678901@h/r",
        ] {
            assert!(scan(held).credential, "{held}");
        }
        for clean in [
            "[remote \"origin\"]\n\turl = https://github.com/o/r\n\turl = git@github.com:o/r.git",
            "[remote \"origin\"]\n\turl = ssh://git@host/o/r",
            "[http]\n\tsslVerify = true\n[user]\n\temail = a:b@c",
            "[http]\n\textraheader =",
        ] {
            assert!(!scan(clean).credential, "{clean}");
        }
        let included = scan("[includeIf \"gitdir:/x/.git\"]\n\tpath = \"/t/git-credentials.config\"");
        assert_eq!(included.includes, ["/t/git-credentials.config"]);
    }
}
