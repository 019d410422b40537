//! Docker's client configuration: the user's, which is only read, and a private one for the processes of this run.
//!
//! Credentials that a run needs are written into a private folder (0700) under the runner's temporary folder, which is
//! removed at the end of the run, however it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::budget;
use crate::env::{self, Env};
use crate::error::{Error, Result};
use crate::ports::exec::{Effect, Exec, Invocation};
use crate::ports::temporary::{DOCKER, PrivateFolder, temporary_folder};
use crate::secret::SecretString;

/// A user name and a password for one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub user: String,
    /// The password, or an identity token if the user is `<token>`.
    pub password: SecretString,
}

/// Docker Hub's name in docker's configuration.
const HUB: &str = "https://index.docker.io/v1/";

/// The registry's name in docker's configuration.
fn auth_key(registry: &str) -> &str {
    if registry == "docker.io" { HUB } else { registry }
}

/// The engine's address if nothing names another one.
pub(super) const ENGINE: &str = "unix:///var/run/docker.sock";

/// Folders of plug-ins that every docker CLI on Unix looks into, in this order.
const SYSTEM_PLUGINS: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The user's configuration.
#[derive(Clone, Debug, Default)]
pub struct UserDockerConfig {
    folder: Option<PathBuf>,
    /// The members of `config.json`.
    file: Map<String, Value>,
}

impl UserDockerConfig {
    /// Reads `config.json` of `DOCKER_CONFIG` or `~/.docker`. A file that cannot be read counts as absent: a hit may not need
    /// it, and docker itself reports it.
    #[must_use]
    pub fn load(env: &Env) -> Self {
        let folder = env
            .get(env::DOCKER_CONFIG)
            .map(PathBuf::from)
            .or_else(|| env.get(env::HOME).map(|home| Path::new(home).join(".docker")));
        let read = |folder: &PathBuf| budget::read_file(&folder.join("config.json"), budget::DOCKER_CONFIG);
        let file = folder.as_ref().and_then(|folder| read(folder).ok()).unwrap_or_default();
        Self { folder, ..Self::read(&file) }
    }

    /// Reads `config.json`; one that is no object counts as empty.
    #[must_use]
    pub fn read(file: &[u8]) -> Self {
        Self { folder: None, file: serde_json::from_slice(file).unwrap_or_default() }
    }

    /// The folder of the user's builders in buildx, whatever configuration a child process gets.
    #[must_use]
    pub fn buildx_folder(&self, env: &Env) -> Option<PathBuf> {
        let named = env.get(env::BUILDX_CONFIG).map(PathBuf::from);
        named.or_else(|| self.folder.as_ref().map(|folder| folder.join("buildx")))
    }

    /// Proxies of the engine, by the names under which buildx makes build arguments of them
    /// (`storeutil.GetProxyConfig`).
    pub fn proxies(&self, env: &Env) -> impl Iterator<Item = (&'static str, &str)> {
        const NAMES: [(&str, &str); 4] = [
            ("httpProxy", "HTTP_PROXY"),
            ("httpsProxy", "HTTPS_PROXY"),
            ("noProxy", "NO_PROXY"),
            ("ftpProxy", "FTP_PROXY"),
        ];
        let host = env.get(env::DOCKER_HOST).unwrap_or(ENGINE);
        let proxies = self.file.get("proxies");
        let of_host = proxies.and_then(|proxies| proxies.get(host).or_else(|| proxies.get("default")));
        let proxy =
            move |(field, name)| Some((name, of_host?.get(field)?.as_str().filter(|url| !url.is_empty())?));
        NAMES.into_iter().filter_map(proxy)
    }

    /// A member of `config.json`.
    pub(super) fn setting(&self, name: &str) -> Option<&Value> {
        self.file.get(name)
    }

    /// The path at which docker finds a plug-in (docker/cli, `cli-plugins/manager`): in the configuration's folder, else in
    /// one of the system's. `None` if the user configured more folders, whose order differs between versions of docker.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Option<PathBuf> {
        if self.file.contains_key("cliPluginsExtraDirs") {
            return None;
        }
        let own = self.folder.as_ref().map(|folder| folder.join("cli-plugins"));
        let folders = own.into_iter().chain(SYSTEM_PLUGINS.iter().map(PathBuf::from));
        let mut candidates = folders.map(|folder| folder.join(format!("docker-{name}")));
        let found = candidates.find(|path| fs_err::symlink_metadata(path).is_ok())?;
        // Children may start in another folder.
        std::path::absolute(found).ok()
    }

    /// The user's credential for a registry: from the helper that the file names for it, else from the file. `failures` gets
    /// the messages of helpers that failed.
    pub async fn credential(
        &self,
        registry: &str,
        exec: &Exec,
        failures: &mut Vec<String>,
    ) -> Option<Credential> {
        let key = auth_key(registry);
        let helper = self
            .file
            .get("credHelpers")
            .and_then(|helpers| helpers.get(registry).or_else(|| helpers.get(key)));
        let store = self.file.get("credsStore");
        for helper in
            [helper, store].into_iter().flatten().filter_map(Value::as_str).filter(|name| !name.is_empty())
        {
            if let Some(found) = from_helper(helper, key, exec, failures).await {
                return Some(found);
            }
        }
        let auths = self.file.get("auths")?;
        let entry = auths
            .get(key)
            .or_else(|| auths.get(format!("https://{registry}")))
            .or_else(|| auths.get(registry))?;
        from_entry(entry)
    }
}

/// Reads an entry of `auths`: a token, `USER:PASSWORD` in base64, or both by their names.
fn from_entry(entry: &Value) -> Option<Credential> {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Some(Credential { user: "<token>".to_owned(), password: token.to_owned().into() });
    }
    let (user, password) = match text("auth") {
        Some(auth) => {
            let pair = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
            let (user, password) = pair.split_once(':')?;
            (user.to_owned(), password.trim_end_matches('\0').to_owned())
        }
        None => (text("username")?.to_owned(), text("password")?.to_owned()),
    };
    Some(Credential { user, password: password.into() })
}

/// Asks the program `docker-credential-<name>` (<https://github.com/docker/docker-credential-helpers>). `None` if it has no
/// credential, fails or is not there.
async fn from_helper(name: &str, key: &str, exec: &Exec, failures: &mut Vec<String>) -> Option<Credential> {
    let name = format!("docker-credential-{name}");
    let Some(program) = exec.find(&name) else {
        failures.push(format!("{name}, which docker's configuration names, is not on the PATH"));
        return None;
    };
    let ask = Invocation::new(program, Effect::Read).arg("get").stdin(SecretString::from(key.to_owned()));
    let answer = match exec.output(&ask, Duration::from_secs(10)).await {
        Ok(answer) => answer,
        Err(error) => {
            failures.push(error.to_string());
            return None;
        }
    };
    let document: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    match (document["Username"].as_str(), document["Secret"].as_str()) {
        (Some(user), Some(password)) if answer.status.success() => {
            Some(Credential { user: user.to_owned(), password: password.to_owned().into() })
        }
        _ => {
            // A helper prints its error on standard output. Of one that succeeded, that may be half of a secret.
            let words = if answer.status.success() {
                "its answer is not what docker's helpers give".to_owned()
            } else {
                format!("{} {}", answer.stdout_text().trim(), answer.stderr_text().trim())
            };
            if !words.contains("credentials not found") {
                failures.push(crate::shown::cut(&format!("{name}: {}", words.trim()), 300));
            }
            None
        }
    }
}

/// Settings of the user's that the private configuration has too. Credentials and helpers are not among them: the run writes
/// the credentials that it needs, and a helper that is missing or asks questions would only fail or wait.
const CARRIED: [&str; 6] =
    ["proxies", "currentContext", "cliPluginsExtraDirs", "features", "experimental", "plugins"];

fn failed(error: &std::io::Error) -> Error {
    Error::of_io("failed to write the private docker configuration", error)
}

/// The private configuration folder; removed when dropped.
#[derive(Debug)]
pub(crate) struct PrivateDockerConfig {
    folder: PrivateFolder,
    /// The folder of the user's builders, if no variable names it.
    buildx: Option<PathBuf>,
    /// The user's settings that are [`CARRIED`].
    settings: Map<String, Value>,
}

impl PrivateDockerConfig {
    /// Writes the user's settings and these credentials into a new private folder.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub(crate) fn create(
        env: &Env,
        user: &UserDockerConfig,
        credentials: &BTreeMap<String, Credential>,
    ) -> Result<Self> {
        let folder = PrivateFolder::new(DOCKER, &temporary_folder(env)).map_err(|error| failed(&error))?;
        if let Some(original) = &user.folder {
            // Contexts and plug-ins are found through the configuration folder.
            for name in ["contexts", "cli-plugins"] {
                let target = original.join(name);
                if fs_err::metadata(&target).is_ok() {
                    std::os::unix::fs::symlink(
                        std::path::absolute(&target).unwrap_or(target),
                        folder.path().join(name),
                    )
                    .map_err(|error| failed(&error))?;
                }
            }
        }
        let settings: Map<String, Value> = CARRIED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), user.file.get(*name)?.clone())))
            .collect();
        // buildx would else look for the user's builders below the private folder.
        let buildx = match env.get(env::BUILDX_CONFIG) {
            Some(_) => None,
            None => user.folder.as_ref().map(|original| original.join("buildx")),
        };
        let this = Self { folder, buildx, settings };
        this.renew(credentials)?;
        Ok(this)
    }

    /// Replaces the credentials. A process that reads them meanwhile gets all the old or all the new ones.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn renew(&self, credentials: &BTreeMap<String, Credential>) -> Result<()> {
        let auths: Map<String, Value> = credentials
            .iter()
            .map(|(registry, credential)| {
                let entry = if credential.user == "<token>" {
                    json!({"identitytoken": credential.password.expose()})
                } else {
                    json!({"auth": STANDARD.encode(format!("{}:{}", credential.user, credential.password.expose()))})
                };
                (auth_key(registry).to_owned(), entry)
            })
            .collect();
        let mut file = self.settings.clone();
        file.insert("auths".to_owned(), Value::Object(auths));
        let write = || {
            use std::io::Write as _;
            // Such a file is made with 0600.
            let mut new = tempfile::NamedTempFile::new_in(self.folder.path())?;
            new.write_all(Value::Object(file).to_string().as_bytes())?;
            new.persist(self.folder.path().join("config.json")).map(drop).map_err(|error| error.error)
        };
        write().map_err(|error: std::io::Error| failed(&error))
    }

    /// The starter of processes that use this configuration.
    #[must_use]
    pub(crate) fn exec(&self, exec: &Exec) -> Exec {
        let exec = exec.clone().with_env(env::DOCKER_CONFIG, &self.folder.path().to_string_lossy());
        match &self.buildx {
            Some(buildx) => exec.with_env(env::BUILDX_CONFIG, &buildx.to_string_lossy()),
            None => exec,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn exec() -> Exec {
        let (_, cancel) = tokio::sync::watch::channel(None);
        Exec::new(&Env::default(), cancel)
    }

    fn user(folder: &Path, text: &str) -> UserDockerConfig {
        fs_err::write(folder.join("config.json"), text).unwrap();
        UserDockerConfig::load(&Env::from([("DOCKER_CONFIG", folder.to_str().unwrap())]))
    }

    #[tokio::test]
    async fn reads_every_form_of_credential() {
        let folder = tempfile::tempdir().unwrap();
        let auth = STANDARD.encode("bob:p:w");
        let config = user(
            folder.path(),
            &format!(
                r#"{{"credsStore":"absent-store","auths":{{"{HUB}":{{"auth":"{auth}"}},"ghcr.io":{{"username":"u","password":"p"}},"az.io":{{"identitytoken":"t"}},"empty.io":{{}}}}}}"#
            ),
        );
        let get = async |host: &str| {
            config
                .credential(host, &exec(), &mut Vec::new())
                .await
                .map(|c| (c.user, c.password.expose().to_owned()))
        };
        assert_eq!(get("docker.io").await, Some(("bob".into(), "p:w".into())));
        assert_eq!(get("ghcr.io").await, Some(("u".into(), "p".into())));
        assert_eq!(get("az.io").await, Some(("<token>".into(), "t".into())));
        assert_eq!(get("empty.io").await, None);
        assert_eq!(get("other.io").await, None);
    }

    #[test]
    fn the_private_one_keeps_settings_and_drops_stores() {
        let (folder, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs_err::create_dir(folder.path().join("cli-plugins")).unwrap();
        let text = r#"{"credsStore":"x","credHelpers":{"a":"b"},"currentContext":"c","auths":{"old.io":{"auth":"AAAA"}}}"#;
        let config = user(folder.path(), text);
        let env = Env::from([("RUNNER_TEMP", temp.path().to_str().unwrap())]);
        let credential = Credential { user: "AWS".into(), password: "pw".to_owned().into() };
        let private =
            PrivateDockerConfig::create(&env, &config, &BTreeMap::from([("new.io".to_owned(), credential)]))
                .unwrap();
        let path = private.folder.path().to_owned();
        let written: Value =
            serde_json::from_slice(&fs_err::read(path.join("config.json")).unwrap()).unwrap();
        assert_eq!(
            written,
            json!({"currentContext": "c", "auths": {"new.io": {"auth": STANDARD.encode("AWS:pw")}}})
        );
        assert_eq!(fs_err::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs_err::metadata(path.join("config.json")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(path.join("cli-plugins").exists());
        drop(private);
        assert!(!path.exists());
        assert_eq!(fs_err::read_to_string(folder.path().join("config.json")).unwrap(), text);
    }
}
