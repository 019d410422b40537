//! Sets git up for questions to remote repositories: with the tokens that BuildKit will use (`source/git`,
//! `authSecretNames`), and with the job's settings of git in the environment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::budget;
use crate::env::Env;
use crate::inputs::http_login;
use crate::inputs::{Secret, SecretSource};
use crate::secret::SecretString;
use crate::shown;

/// Prefixes of variables that set git up; none of them makes git print what it sends.
const GIT_VARIABLES: [&str; 4] = ["GIT_CONFIG_", "GIT_SSH", "GIT_SSL_", "GIT_PROXY_"];

/// The secrets and settings of this run for remote git repositories.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remotes {
    /// The secrets for git, with the values that are not in files.
    secrets: Vec<(Secret, Option<SecretString>)>,
    /// The variables that set git up.
    settings: Vec<(String, SecretString)>,
    /// The number of settings in the environment, `GIT_CONFIG_COUNT`; a login becomes the next one.
    numbered: usize,
}

impl Remotes {
    /// Takes the secrets that are for git, and git's variables.
    pub(crate) fn new<'a>(
        secrets: impl Iterator<Item = (&'a Secret, Option<&'a SecretString>)>,
        env: &Env,
    ) -> Self {
        let is_setting =
            |name: &str| name == "GIT_ASKPASS" || GIT_VARIABLES.iter().any(|prefix| name.starts_with(prefix));
        let settings = env.iter().filter(|(name, _)| is_setting(name));
        Self {
            secrets: secrets
                .filter(|(secret, _)| secret.id.starts_with("GIT_AUTH_"))
                .map(|(secret, value)| (secret.clone(), value.cloned()))
                .collect(),
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect(),
            numbered: env
                .get("GIT_CONFIG_COUNT")
                .and_then(|count| count.trim().parse().ok())
                .unwrap_or_default(),
        }
    }

    /// The variables for a question to this repository: the job's own, and its login. Other processes can read a
    /// child's arguments, so a login is a setting in the environment.
    pub(super) fn variables(&self, url: &str) -> Vec<(String, SecretString)> {
        let mut variables = self.settings.clone();
        if let Some((scope, header)) = self.login(url) {
            let number = self.numbered;
            variables.retain(|(name, _)| name != "GIT_CONFIG_COUNT");
            variables.extend([
                ("GIT_CONFIG_COUNT".to_owned(), (number + 1).to_string().into()),
                (format!("GIT_CONFIG_KEY_{number}"), format!("http.{scope}.extraHeader").into()),
                (format!("GIT_CONFIG_VALUE_{number}"), format!("Authorization: {}", header.expose()).into()),
            ]);
        }
        variables
    }

    /// The URLs that a login is for, and the value of its header. The order of secrets is BuildKit's; it gets the user of a URL
    /// as the secret of its host.
    fn login(&self, url: &str) -> Option<(String, SecretString)> {
        let clean = shown::without_users(url);
        let rest = ["https://", "http://"].iter().find_map(|scheme| clean.strip_prefix(scheme))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // The same token for all of GitHub, as BuildKit has it (`tokenScope`).
        let github =
            ["https://github.com/", "https://www.github.com/"].into_iter().find(|url| clean.starts_with(url));
        let scope = github.map_or_else(|| clean.clone().into_owned(), str::to_owned);
        let header = self
            .secret(&format!("GIT_AUTH_HEADER.{host}"))
            .or_else(|| http_login(url).map(|(_, header)| header))
            .or_else(|| self.secret(&format!("GIT_AUTH_TOKEN.{host}")).map(as_header))
            .or_else(|| self.secret("GIT_AUTH_HEADER"))
            .or_else(|| self.secret("GIT_AUTH_TOKEN").map(as_header))?;
        Some((scope, header))
    }

    fn secret(&self, id: &str) -> Option<SecretString> {
        let (secret, value) = self.secrets.iter().find(|(secret, _)| secret.id == id)?;
        match &secret.source {
            SecretSource::Value => value.clone(),
            SecretSource::File(path) => {
                let bytes = budget::read_file(path, budget::INPUT_FILE).ok()?;
                Some(String::from_utf8(bytes).ok()?.trim_end().to_owned().into())
            }
        }
    }
}

fn as_header(token: SecretString) -> SecretString {
    format!("basic {}", STANDARD.encode(format!("x-access-token:{}", token.expose()))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Held = (Secret, SecretString);

    fn secret(id: &str, value: &str) -> Held {
        (Secret { id: id.to_owned(), source: SecretSource::Value }, value.to_owned().into())
    }

    fn remotes(secrets: &[Held], env: &Env) -> Remotes {
        Remotes::new(secrets.iter().map(|(secret, value)| (secret, Some(value))), env)
    }

    fn variable(remotes: &Remotes, url: &str, name: &str) -> Option<String> {
        let variables = remotes.variables(url);
        variables.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.expose().to_owned())
    }

    #[test]
    fn d46_a_private_repository_is_asked_with_buildkits_own_secrets() {
        let basic = |text: &str| format!("Authorization: basic {}", STANDARD.encode(text));
        let header = |secrets: &[Held], url: &str| {
            variable(&remotes(secrets, &Env::default()), url, "GIT_CONFIG_VALUE_0")
        };
        let (token, of_host) = (secret("GIT_AUTH_TOKEN", "t"), secret("GIT_AUTH_TOKEN.h.example:8080", "u"));
        let own = secret("GIT_AUTH_HEADER.h.example:8080", "bearer v");
        let url = "http://h.example:8080/r.git";
        assert_eq!(header(&[], url), None);
        assert_eq!(header(std::slice::from_ref(&token), url), Some(basic("x-access-token:t")));
        assert_eq!(header(&[token.clone(), of_host.clone()], url), Some(basic("x-access-token:u")));
        assert_eq!(
            header(&[token.clone(), of_host.clone(), own], url),
            Some("Authorization: bearer v".into())
        );
        // Not for another port, and not beside ssh.
        assert_eq!(header(&[of_host], "http://h.example/r.git"), None);
        assert_eq!(header(std::slice::from_ref(&token), "git@h.example:r.git"), None);
        let scope = |url: &str| {
            let remotes = remotes(std::slice::from_ref(&token), &Env::default());
            variable(&remotes, url, "GIT_CONFIG_KEY_0")
        };
        assert_eq!(scope("https://github.com/o/r.git").unwrap(), "http.https://github.com/.extraHeader");
        assert_eq!(scope(url).unwrap(), "http.http://h.example:8080/r.git.extraHeader");
    }

    #[test]
    fn d12_a_password_is_no_argument() {
        let variables =
            |name: &str| variable(&Remotes::default(), "https://bob:p%40w@h.example:8443/r.git", name);
        assert_eq!(variables("GIT_CONFIG_KEY_0").unwrap(), "http.https://h.example:8443/r.git.extraHeader");
        let header = format!("Authorization: Basic {}", STANDARD.encode("bob:p@w"));
        assert_eq!(variables("GIT_CONFIG_VALUE_0").unwrap(), header);
        for plain in ["https://h/r.git", "git@h:r.git", "ssh://git@h/r.git"] {
            assert!(Remotes::default().variables(plain).is_empty(), "{plain}");
        }
    }

    #[test]
    fn d68_git_gets_its_settings_of_the_environment() {
        let env = Env::from([
            ("GIT_SSH_COMMAND", "ssh -i key"),
            ("GIT_CONFIG_GLOBAL", "/etc/own"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "url.https://mirror.example/.insteadOf"),
            ("GIT_CONFIG_VALUE_0", "https://h.example/"),
            ("GIT_TRACE_CURL", "1"),
            ("GIT_DIR", "/elsewhere"),
        ]);
        let token = secret("GIT_AUTH_TOKEN", "t");
        let remotes = remotes(&[token], &env);
        let value = |name: &str| variable(&remotes, "https://h.example/r.git", name).unwrap_or_default();
        assert_eq!(
            (value("GIT_SSH_COMMAND"), value("GIT_CONFIG_GLOBAL")),
            ("ssh -i key".into(), "/etc/own".into())
        );
        assert_eq!(
            (value("GIT_CONFIG_COUNT"), value("GIT_CONFIG_VALUE_0")),
            ("2".into(), "https://h.example/".into())
        );
        assert_eq!(value("GIT_CONFIG_KEY_1"), "http.https://h.example/r.git.extraHeader");
        assert_eq!((value("GIT_TRACE_CURL"), value("GIT_DIR")), (String::new(), String::new()));
        let without = remotes.variables("git@h.example:r.git");
        assert_eq!(without.len(), 5, "{without:?}");
    }
}
