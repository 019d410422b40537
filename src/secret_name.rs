//! Names that look like secrets, by BuildKit's rule `SecretsUsedInArgOrEnv`
//! (`frontend/dockerfile/dockerfile2llb/convert.go`, `getSecretsRegex`).

const DENY: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
const ALLOW: [&str; 3] = ["public", "file", "version"];

/// Tells whether one of the words between underscores is in [`DENY`] and none in [`ALLOW`]: `GITHUB_TOKEN`, but not
/// `PUBLIC_KEY` and not `TOKENIZER`.
#[must_use]
pub(crate) fn looks_secret(name: &str) -> bool {
    let has =
        |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)));
    has(&DENY) && !has(&ALLOW)
}

#[cfg(test)]
mod tests {
    use super::looks_secret;

    #[test]
    fn buildkits_own_examples() {
        for name in [
            "api_key",
            "DATABASE_PASSWORD",
            "GITHUB_TOKEN",
            "secret_MESSAGE",
            "AUTH",
            "apikey",
            "git_key",
            "PASSWD",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in [
            "PUBLIC_KEY",
            "public_token",
            "KEY_FILE",
            "TOKEN_VERSION",
            "SUPER_Secretary",
            "tokenizer",
            "bar_credentialsss",
            "",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
