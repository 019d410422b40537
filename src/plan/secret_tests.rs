//! What a plan holds of secrets.

use std::sync::Arc;

use super::builder::{Choice, Needs};
use super::verdict::{Build, Notes, Verdict};
use super::{Action, PlanContext, assemble};
use crate::buildkit::BuildxVersion;
use crate::env::Env;
use crate::facts::{ImageFacts, LateFacts, NoRepository, RepositoryFact, StoreFacts, Toolchain};
use crate::inputs::{ImageRequest, RawInputs, SecretSource};
use crate::key::{KeyBuilder, Scope};
use crate::run::RunContext;
use crate::trust::{ImageRun, access};

const CANARY: &str = "canary-5ec2e7";

/// The ids are there. No value is, in no field: `Debug` would print `[secret]` for it.
#[test]
fn a_plan_holds_ids_of_secrets_and_no_value() {
    let env = Env::from([("TOKEN", CANARY)]);
    let raw = RawInputs {
        image: Some("app".into()),
        context: Some("https://github.com/o/r.git".into()),
        build_contexts: Some(format!("lib=https://ann:{CANARY}@git.example/lib.git")),
        secrets: Some(format!("by-value={CANARY}")),
        secret_envs: Some("by-env=TOKEN".into()),
        github_token: Some(CANARY.into()),
        ..RawInputs::default()
    };
    let request = ImageRequest::read(&raw, &env).unwrap();
    let run = RunContext::read(&env, None).unwrap();
    let access = access(&request, &run);
    let mut facts = ImageFacts::empty(Arc::new(RepositoryFact::None(NoRepository::NotNamed)));
    facts.key = Some(KeyBuilder::new(Scope::Context).finish());
    facts.pins.context = Some("https://github.com/o/r.git#1".into());
    facts.pins.contexts = vec![("lib".into(), format!("https://ann:{CANARY}@git.example/lib.git#2"))];
    let buildx = BuildxVersion::parse("v0.29.1").unwrap();
    let toolchain = Some(Arc::new(Toolchain { buildx, builder: None, engine: None }));
    let late = LateFacts { toolchain, ..LateFacts::default() };
    let image = ImageRun { request: &request, run: &run, access: &access };
    let given = PlanContext { image, facts: &facts, late: &late, env: &env };
    let verdict = Build {
        reason: String::new(),
        publish: false,
        shared: false,
        load: true,
        only: None,
        notes: Notes::default(),
    };
    let needs =
        Needs { cache_export: false, index: false, manifest: false, engine_images: false, own_layers: false };
    let choice = Choice::AtHand { name: None, without_cache_export: false, without_layers: false };
    let plan = assemble(
        vec![(Some(given), Verdict::Build(verdict))],
        Some((needs, Ok(choice))),
        &StoreFacts::default(),
    )
    .unwrap();

    let build = plan.actions.iter().find_map(|planned| match &planned.action {
        Action::Build { spec, .. } => Some(spec),
        _ => None,
    });
    let build = &build.unwrap().build;
    let ids: Vec<&str> = build.all_secrets().map(|secret| secret.id.as_str()).collect();
    assert_eq!(ids, ["by-value", "by-env", "GIT_AUTH_HEADER.git.example", "GIT_AUTH_TOKEN.github.com"]);
    for text in [format!("{plan:?}"), serde_json::to_string(&plan.actions).unwrap()] {
        assert!(text.contains("by-value"), "{text}");
        assert!(!text.contains(CANARY) && !text.contains("[secret]"), "{text}");
    }
    // The request has each of them, for where buildx is started.
    for secret in build.all_secrets() {
        let value = request.secrets.of(secret).unwrap().expose();
        assert!(secret.source == SecretSource::Value && !value.is_empty(), "{}", secret.id);
        assert!(value == CANARY || value.starts_with("Basic "), "{}", secret.id);
    }
}
