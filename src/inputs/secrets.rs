//! The build secrets, and the logins that BuildKit gets as secrets.
//!
//! In: the inputs `secrets`, `secret-envs`, `secret-files` and `github-token`, and the users in URLs of git
//! repositories. Out: [`Secret`]s, which are ids alone and may be shown, and apart from them their [`SecretValues`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::http_login::http_login;
use super::lists::{InputText as _, pairs};
use super::problems::Problems;
use super::raw::RawInputs;
use crate::env::{self, Env};
use crate::secret::SecretString;
use crate::shown;

/// A build secret without its value, which is among [`SecretValues`], so that no plan holds it. The id counts in the
/// key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// What `RUN --mount=type=secret,id=…` names.
    pub id: String,
    /// Where the value is.
    pub source: SecretSource,
}

/// Where a secret's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Among [`SecretValues`]: an input said it, or the environment.
    Value,
    File(PathBuf),
}

/// The values of secrets by their ids. A process that needs one gets it in its environment when it is started.
#[derive(Clone, Debug, Default)]
pub struct SecretValues(BTreeMap<String, SecretString>);

impl SecretValues {
    /// The value of a secret that no file holds.
    #[must_use]
    pub fn of(&self, secret: &Secret) -> Option<&SecretString> {
        self.0.get(&secret.id).filter(|_| secret.source == SecretSource::Value)
    }

    /// Adds a value, unless the id has one already.
    pub(super) fn add(&mut self, id: String, value: SecretString) {
        self.0.entry(id).or_insert(value);
    }

    /// Adds the login of a URL, if it has one.
    pub(super) fn add_login(&mut self, url: &str) {
        if let Some((id, header)) = login(url) {
            self.add(id, header);
        }
    }
}

/// The id of the secret that BuildKit reads a host's login from (BuildKit, `source/git`: `GIT_AUTH_HEADER.<host>`), and
/// its value; `None` if the URL has no user.
fn login(url: &str) -> Option<(String, SecretString)> {
    let (origin, header) = http_login(url)?;
    let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host);
    Some((format!("GIT_AUTH_HEADER.{host}"), header))
}

/// The URL of a git repository without its user. A secret that holds the user is added to `secrets`; its value is in
/// [`SecretValues`] since the inputs were read. Arguments can be read by every process of the machine, secrets cannot.
pub(crate) fn without_login(url: &str, secrets: &mut Vec<Secret>) -> String {
    let Some((id, _)) = login(url) else { return url.to_owned() };
    if !secrets.iter().any(|secret| secret.id == id) {
        secrets.push(Secret { id, source: SecretSource::Value });
    }
    shown::without_users(url).into_owned()
}

/// A plan shows a secret's id alone.
impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.id)
    }
}

/// The secrets of all three inputs; their values are put into `values`. What docker/build-push-action leaves out with a
/// warning is left out with a warning here too.
pub(super) fn secrets(
    problems: &mut Problems,
    raw: &RawInputs,
    env: &Env,
    values: &mut SecretValues,
) -> Vec<Secret> {
    let mut secrets: Vec<Secret> = Vec::new();
    for (input, list) in [
        ("secrets", raw.secrets.items()),
        ("secret-envs", raw.secret_envs.comma_items()),
        ("secret-files", raw.secret_files.items()),
    ] {
        for (at, pair) in pairs(list).into_iter().enumerate() {
            // Never the text itself: a malformed secret is still a secret.
            let Ok((id, value)) = pair else {
                problems.warn(input, format!("item {} is not ID=value and is left out; a value of several lines is written in double quotes, \"ID=value\"", at + 1));
                continue;
            };
            let is_id = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
            if !id.bytes().all(is_id) {
                problems.add(input, "an id has characters other than letters, digits, `_`, `-`, `.` and `:`");
            } else if value.is_empty() {
                problems.warn(input, format!("secret `{id}` is empty and is left out"));
            } else if secrets.iter().any(|secret| secret.id == id) {
                problems.add(input, format!("secret `{id}` is given twice"));
            } else {
                match source_and_value(input, value, env) {
                    Ok((source, value)) => {
                        if let Some(value) = value {
                            values.add(id.clone(), value);
                        }
                        secrets.push(Secret { id, source });
                    }
                    Err(why) => problems.add(input, format!("secret `{id}`: {why}")),
                }
            }
        }
    }
    secrets
}

/// Where a secret's value is, and the value unless a file holds it. `given` stands after `ID=`: by the input it is the
/// value, a variable's name or a path.
fn source_and_value(
    input: &str,
    given: String,
    env: &Env,
) -> Result<(SecretSource, Option<SecretString>), String> {
    match input {
        "secret-envs" => match env.get(&given) {
            Some(secret) => Ok((SecretSource::Value, Some(secret.to_owned().into()))),
            None => Err(format!("the environment variable {given} is not set")),
        },
        "secret-files" => match fs_err::metadata(&given) {
            Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {
                Ok((SecretSource::File(PathBuf::from(given)), None))
            }
            Ok(_) => Err(format!("`{given}` is empty or no file")),
            Err(error) => Err(error.to_string()),
        },
        _ => Ok((SecretSource::Value, Some(given.into()))),
    }
}

/// The secret made of the input `github-token`, if the context is a repository of this run's own server and the
/// user gave no login for it. BuildKit logs in to git with the secrets `GIT_AUTH_TOKEN` and `GIT_AUTH_HEADER`, each with
/// or without `.HOST` after it (`source/git`). The token's value is put into `values`.
pub(super) fn git_token(
    raw: &RawInputs,
    context: &str,
    secrets: &[Secret],
    env: &Env,
    values: &mut SecretValues,
) -> Option<Secret> {
    let token = raw.github_token.trimmed()?;
    let server = env.get(env::GITHUB_SERVER_URL).unwrap_or("https://github.com").trim_end_matches('/');
    let host = server.split_once("://").map_or(server, |(_, host)| host);
    let id = format!("GIT_AUTH_TOKEN.{host}");
    let header_id = format!("GIT_AUTH_HEADER.{host}");
    let logins = ["GIT_AUTH_TOKEN", &id, "GIT_AUTH_HEADER", &header_id];
    let has_login = secrets.iter().any(|secret| logins.contains(&secret.id.as_str()));
    // The `/` matters: https://github.com.evil.example is another server.
    let is_own_server = context.strip_prefix(server).is_some_and(|rest| rest.starts_with('/'));
    (is_own_server && !has_login).then(|| {
        values.add(id.clone(), token.to_owned().into());
        Secret { id, source: SecretSource::Value }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &RawInputs, env: &Env) -> (Vec<Secret>, Vec<String>, Option<String>) {
        read_values(raw, env, &mut SecretValues::default())
    }

    fn read_values(
        raw: &RawInputs,
        env: &Env,
        values: &mut SecretValues,
    ) -> (Vec<Secret>, Vec<String>, Option<String>) {
        let mut problems = Problems::default();
        let secrets = secrets(&mut problems, raw, env, values);
        let warnings = problems.take_warnings();
        (secrets, warnings, problems.finish().err().map(|error| error.to_string()))
    }

    #[test]
    fn a_bad_secret_is_an_error_that_does_not_show_it() {
        let env = Env::from([("SET", "x")]);
        for (raw, expected) in [
            (RawInputs { secrets: Some("a=hunter2\na=hunter2".into()), ..Default::default() }, "given twice"),
            (RawInputs { secret_envs: Some("a=UNSET".into()), ..Default::default() }, "UNSET is not set"),
            (RawInputs { secret_files: Some("a=/absent".into()), ..Default::default() }, "/absent"),
            (RawInputs { secrets: Some("a b=hunter2".into()), ..Default::default() }, "an id has"),
        ] {
            let text = read(&raw, &env).2.unwrap();
            assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn d46_what_has_no_value_is_left_out_with_a_warning() {
        // docker/build-push-action's table, row 10: lines of a value without quotes.
        let raw = RawInputs {
            secrets: Some("A=hunter2,1=2\nhunter3\n\nEMPTY=\n\"B=x\n\ny\"\nFOO=bar".into()),
            secret_envs: Some("C=SET, D=SET\nINVALID=".into()),
            secret_files: Some("INVALID=".into()),
            ..Default::default()
        };
        let mut values = SecretValues::default();
        let (secrets, warnings, error) = read_values(&raw, &Env::from([("SET", "x")]), &mut values);
        let ids: Vec<_> = secrets.iter().map(|secret| secret.id.as_str()).collect();
        assert_eq!((ids, error), (vec!["A", "B", "FOO", "C", "D"], None));
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(
            warnings[0].starts_with("input `secrets`: item 2 is not ID=value and is left out"),
            "{warnings:?}"
        );
        assert!(warnings[1].contains("`EMPTY` is empty and is left out"), "{warnings:?}");
        assert!(!warnings.concat().contains("hunter"), "{warnings:?}");
        assert_eq!(values.of(&secrets[1]), Some(&"x\n\ny".to_owned().into()));
    }

    #[test]
    fn d45_the_jobs_token_is_for_the_repositorys_own_server() {
        let raw = RawInputs { github_token: Some("t".into()), ..Default::default() };
        let id = |context: &str, secrets: &[Secret], env: &Env| {
            let mut values = SecretValues::default();
            git_token(&raw, context, secrets, env, &mut values).map(|secret| {
                assert_eq!(values.of(&secret), Some(&"t".to_owned().into()));
                secret.id
            })
        };
        let env = Env::from([("GITHUB_SERVER_URL", "http://10.0.0.5:22827")]);
        let plain = Env::default();
        assert_eq!(
            id("https://github.com/o/r.git#x", &[], &plain).as_deref(),
            Some("GIT_AUTH_TOKEN.github.com")
        );
        assert_eq!(
            id("http://10.0.0.5:22827/o/r.git", &[], &env).as_deref(),
            Some("GIT_AUTH_TOKEN.10.0.0.5:22827")
        );
        for context in [".", "https://github.com.evil.example/o/r.git", "https://gitlab.com/o/r.git"] {
            assert_eq!(id(context, &[], &plain), None, "{context}");
        }
        let own = Secret { id: "GIT_AUTH_TOKEN".into(), source: SecretSource::Value };
        assert_eq!(id("https://github.com/o/r.git", &[own], &plain), None);
    }
}
