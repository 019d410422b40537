//! How secrets reach buildx: each value in a variable of its own, which `--secret id=…,env=…` names. No value is in an
//! argument, where every user of the machine could read it.

use crate::inputs::{BuildInputs, Secret, SecretSource, SecretValues};
use crate::key::dockerfile::csv_field;
use crate::secret::SecretString;

/// Environment variables that carry the secrets' values to buildx, which `--secret id=…,env=…` names. `first`: the place of
/// the first one among the secrets of all builds of one command.
pub(super) fn secret_env(
    build: &BuildInputs,
    first: usize,
    values: &SecretValues,
) -> impl Iterator<Item = (String, SecretString)> {
    let secrets = build.all_secrets().zip(first..);
    secrets.filter_map(|(secret, at)| Some((secret_variable(at), values.of(secret)?.clone())))
}

/// The variable for the secret with this place in the list. An id may have characters that a variable cannot.
fn secret_variable(at: usize) -> String {
    format!("BUILD_ONCE_SECRET_{at}")
}

/// The value of `--secret`.
pub(super) fn secret_arg(at: usize, secret: &Secret) -> String {
    match &secret.source {
        SecretSource::Value => format!("id={},env={}", secret.id, secret_variable(at)),
        SecretSource::File(path) => {
            format!("id={},{}", secret.id, csv_field(&format!("src={}", path.display())))
        }
    }
}
