//! A registry that is not ECR and asks for a password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{Program, Repository, Workspace, lab};

fn password() -> &'static str {
    lab().get("BUILD_ONCE_LAB_REGISTRY_PASSWORD")
}

fn user() -> &'static str {
    lab().get("BUILD_ONCE_LAB_REGISTRY_USER")
}

fn program<'a>(work: &'a Workspace, repository: &Repository) -> Program<'a> {
    work.program().repository(repository).secret(password())
}

/// Build, hit, alias and pull with the same credentials.
fn whole_life(work: &Workspace, repository: &Repository, ready: impl Fn(Program<'_>) -> Program<'_>) {
    let built = ready(program(work, repository)).run().is("built");
    built.is_published(repository, &[&work.commit_tag(), &built.key_tag("", &work.image)]);
    work.commit("same content");
    ready(program(work, repository)).run().is("reused-key").has(built.output("digest"));
    assert_eq!(repository.digest(&work.commit_tag()), built.output("digest"));
    work.forget();
    let pulled = ready(program(work, repository)).input("mode", "pull").run().is("reused-tag");
    assert_eq!(work.docker(&["run", "--rm", pulled.output("local-image"), "cat", "/made.txt"]), work.image);
    assert!(repository.tags().iter().any(|tag| tag.starts_with("cache-")), "{:?}", repository.tags());
}

#[test]
fn a_login_from_the_inputs() {
    let (work, repository) = (Workspace::new("logins"), Repository::plain("logins"));
    let login = format!("{} {} REGISTRY_PASSWORD", repository.host, user());
    whole_life(&work, &repository, |program| {
        program.input("logins", &login).env("REGISTRY_PASSWORD", password())
    });
}

#[test]
fn a_login_in_the_docker_configuration() {
    let (work, repository) = (Workspace::new("auths"), Repository::plain("auths"));
    let auth = STANDARD.encode(format!("{}:{}", user(), password()));
    work.docker_config(&json!({"auths": {repository.host.clone(): {"auth": auth}}}));
    whole_life(&work, &repository, |program| program.secret(&auth));
}

#[test]
fn a_login_from_a_credential_helper() {
    let (work, repository) = (Workspace::new("helper"), Repository::plain("helper"));
    let bin = work.root().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let helper = bin.join("docker-credential-test");
    let answer = json!({"ServerURL": repository.host, "Username": user(), "Secret": password()});
    let script = format!(
        "#!/bin/sh\nread -r host\n[ \"$1 $host\" = 'get {}' ] || exit 1\necho '{answer}'\n",
        repository.host
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    work.docker_config(&json!({"credHelpers": {repository.host.clone(): "test"}}));
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), lab().bin);
    whole_life(&work, &repository, |program| program.env("PATH", &path));
}

#[test]
fn a_wrong_password() {
    let (work, repository) = (Workspace::new("wrong-password"), Repository::plain("wrong-password"));
    let login = format!("{} {} REGISTRY_PASSWORD", repository.host, user());
    let program = || {
        let program = program(&work, &repository).input("logins", &login).secret("not-the-password");
        program.env("REGISTRY_PASSWORD", "not-the-password")
    };
    let required = program().input("registry-policy", "required").run().failed(20, "access");
    assert!(
        required
            .log
            .contains(&format!("check the user and the password of the login for {}", repository.host)),
        "{}",
        required.log
    );
    program().run().is("built-local").degraded();
    assert!(repository.tags().is_empty());
}

#[test]
fn no_password_at_all() {
    let (work, repository) = (Workspace::new("no-password"), Repository::plain("no-password"));
    let none = program(&work, &repository).input("registry-policy", "required").run().failed(20, "access");
    let error = none.annotations("error")[0];
    assert!(error.contains("asks for a login and there is none"), "{error}");
    // A fork's run has no secrets: the login is skipped, not an error of its own.
    let login = format!("{} {} REGISTRY_PASSWORD", repository.host, user());
    let fork = program(&work, &repository).input("logins", &login).pull_request(4, &work.head(), true).run();
    fork.is("built-local").degraded();
}
