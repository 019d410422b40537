//! Reads the definition of many images (input `bake`), by `docker buildx bake --print`, which needs no engine and no
//! builder.

use crate::env::Env;
use crate::error::Result;
use crate::inputs::{BakeQuestion, ImageInputs, RawInputs, images_of_bake, items};
use crate::ports;
use crate::ports::buildx::Buildx;
use crate::ports::console::Console;
use crate::ports::docker::Docker;
use crate::ports::docker_config::UserDockerConfig;
use crate::ports::exec::CancelSignal;
use crate::secret_name::looks_secret;

/// Variables of the runner that no definition gets: the step's inputs, tokens and cloud credentials.
const WITHHELD: [&str; 4] = ["INPUT_", "ACTIONS_", "AWS_", "BUILD_ONCE_"];

/// The inputs of each image that the definition describes. The definition is read once, because it may have another value
/// each time (`timestamp()`).
///
/// # Errors
/// If there is no docker, with bake's own message if it cannot read the definition, or if it asks for what cannot be done.
pub(crate) async fn images(
    raw: &RawInputs,
    env: &Env,
    console: &Console,
    cancel: CancelSignal,
) -> Result<Vec<ImageInputs>> {
    let question = BakeQuestion::read(raw)?;
    let exec = ports::reading_exec(env, console, cancel);
    let docker = Docker::find(exec, &UserDockerConfig::load(env), None)?;
    let printed = Buildx::new(docker).print_bake(&question, variables(raw, env)).await?;
    images_of_bake(raw, &printed)
}

/// The environment that the definition's variables are taken from. The values of passwords are left out: a definition could
/// put them into an image. Their names are not, because bake looks whether a secret (`id=NPM_TOKEN`) is a variable or a file.
fn variables<'a>(raw: &RawInputs, env: &'a Env) -> Vec<(&'a str, &'a str)> {
    let logins = items(raw.logins.as_deref().unwrap_or_default());
    let passwords: Vec<&str> = logins.iter().filter_map(|login| login.split_whitespace().nth(2)).collect();
    let is_password = |name: &str| looks_secret(name) || passwords.contains(&name);
    env.iter()
        .filter(|(name, _)| !WITHHELD.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name, if is_password(name) { "" } else { value }))
        .collect()
}
