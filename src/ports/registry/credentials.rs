//! Finds the credential for each registry, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell};

use crate::env::Env;
use crate::error::Error;
use crate::image::EcrHost;
use crate::inputs::Login;
use crate::ports::aws::Aws;
use crate::ports::console::Console;
use crate::ports::docker_config::{Credential, UserDockerConfig};
use crate::ports::exec::Exec;
use crate::secret::SecretString;

/// A credential that is found when it is first needed. A failure is kept too, because it comes after retries;
/// [`Credentials::renew`] asks once more.
type Cell = Arc<OnceCell<Result<Option<Credential>, Error>>>;

/// Finds credentials in the input `logins`, else gets ECR's tokens, else takes those of the user's docker configuration.
/// Every password is masked before it is used.
pub(crate) struct Credentials {
    /// The input `logins`, by registry.
    logins: BTreeMap<String, Credential>,
    aws: Aws,
    user: UserDockerConfig,
    exec: Exec,
    console: Console,
    /// What was found so far, by registry.
    found: Mutex<BTreeMap<String, Cell>>,
}

impl Credentials {
    /// Reads the passwords of logins from their variables. A login whose variable is not set is left out, because a fork's run
    /// has no secrets.
    #[must_use]
    pub(crate) fn new(
        logins: &[Login],
        env: &Env,
        aws: Aws,
        user: UserDockerConfig,
        exec: Exec,
        console: Console,
    ) -> Self {
        let mut known = BTreeMap::new();
        for login in logins {
            match env.get(&login.password_env) {
                Some(password) => {
                    // As `docker login --password-stdin` does: a secret made by `echo` ends in a line break.
                    let password = password.strip_suffix('\n').unwrap_or(password);
                    let password = password.strip_suffix('\r').unwrap_or(password);
                    console.mask(password);
                    let password = SecretString::from(password.to_owned());
                    known.insert(login.host.clone(), Credential { user: login.user.clone(), password });
                }
                None => console
                    .line(&format!("login for {} skipped: {} is not set", login.host, login.password_env)),
            }
        }
        Self { logins: known, aws, user, exec, console, found: Mutex::default() }
    }

    /// The credential for a registry; `None` is anonymous.
    ///
    /// # Errors
    /// If ECR gives no token and the user's configuration has none either.
    pub(crate) async fn for_registry(&self, registry: &str) -> Result<Option<Credential>, Error> {
        let cell = Arc::clone(self.found.lock().await.entry(registry.to_owned()).or_default());
        cell.get_or_init(|| self.find(registry)).await.clone()
    }

    /// Asks for the credential once more: ECR for another token, or the credential helper. A credential of an input or of
    /// a file stays the same.
    ///
    /// # Errors
    /// As [`Self::for_registry`].
    pub(super) async fn renew(&self, registry: &str) -> Result<(), Error> {
        self.found.lock().await.remove(registry);
        self.for_registry(registry).await.map(drop)
    }

    /// The credential for a registry that asks for one with every request, which is ECR. `None` for others, which may serve
    /// images without a login.
    ///
    /// # Errors
    /// As [`Self::for_registry`].
    pub(super) async fn preemptive(&self, registry: &str) -> Result<Option<Credential>, Error> {
        match EcrHost::parse(registry) {
            Some(host) if !host.public => self.for_registry(registry).await,
            _ => Ok(None),
        }
    }

    /// Every credential found so far, for the docker configuration of child processes.
    pub(crate) async fn collected(&self) -> BTreeMap<String, Credential> {
        let found = self.found.lock().await;
        let found = found.iter().filter_map(|(registry, cell)| match cell.get() {
            Some(Ok(Some(credential))) => Some((registry.clone(), credential.clone())),
            _ => None,
        });
        self.logins.clone().into_iter().chain(found).collect()
    }

    /// The credential that the user's docker is logged in with.
    async fn user_login(&self, registry: &str) -> Option<Credential> {
        let mut failures = Vec::new();
        let found = self.user.credential(registry, &self.exec, &mut failures).await;
        // A helper's failure matters only if nothing else gives a login.
        if found.is_none() {
            for failure in failures {
                self.console.line(&format!("note: {failure}"));
            }
        }
        found.inspect(|credential| self.console.mask(credential.password.expose()))
    }

    async fn find(&self, registry: &str) -> Result<Option<Credential>, Error> {
        if let Some(login) = self.logins.get(registry) {
            return Ok(Some(login.clone()));
        }
        let Some(host) = EcrHost::parse(registry) else {
            return Ok(self.user_login(registry).await);
        };
        match self.aws.registry_password(&host).await {
            Ok(password) => {
                self.console.mask(password.expose());
                Ok(Some(Credential { user: "AWS".to_owned(), password }))
            }
            // Without AWS credentials, a login of an earlier step counts. Public ECR needs no login.
            Err(error) => match self.user_login(registry).await {
                Some(credential) => Ok(Some(credential)),
                None if host.public => Ok(None),
                None => Err(error),
            },
        }
    }
}
