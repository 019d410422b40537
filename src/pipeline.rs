//! From the inputs to the plan: everything that comes before the first write.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::facts::{BuilderFacts, Facts, LateFacts, Toolchain, gather, gather_late};
use crate::inputs::{ContextSource, Inputs, RawInputs, SecretSource, extra_args};
use crate::plan::{Choice, Names, Needs, Plan, PlanContext, assemble};
use crate::ports::exec::CancelSignal;
use crate::ports::{Ports, console::Console, random};
use crate::run::RunContext;
use crate::trust::{Access, access};
use crate::{budget, env, image, plan, ports, shown};

/// Inputs checked, run classified, ports ready; nothing asked yet.
pub(crate) struct Prepared {
    pub inputs: Inputs,
    pub run: RunContext,
    /// Its rights.
    pub access: Access,
    /// What it talks to the outside by.
    pub ports: Ports,
}

/// Everything known before the first write.
pub(crate) struct Decided {
    pub facts: Facts,
    /// Those that only this decision needs.
    pub late: LateFacts,
    pub plan: Plan,
}

/// Checks the inputs and classifies the run.
///
/// # Errors
/// One that names every bad input, or an event file that cannot be read.
pub(crate) async fn prepare(
    raw: &RawInputs,
    env: &Env,
    console: &Console,
    cancel: CancelSignal,
) -> Result<Prepared> {
    // For tests/it/attacks; a release has neither the variable nor the function.
    #[cfg(debug_assertions)]
    if let Some(names) = env.get("BUILD_ONCE_WITHOUT_GUARDS") {
        crate::guards::switch_off(names).map_err(Error::input)?;
    }
    // Before a message can quote them.
    for (_, text) in raw.entries() {
        text.into_iter().flat_map(shown::passwords).for_each(|password| console.mask(password));
    }
    let mut inputs = Inputs::read(raw, env)?;
    let event = match env.get(env::GITHUB_EVENT_PATH).filter(|_| env.in_github_actions()) {
        Some(path) => Some(
            budget::read_text(std::path::Path::new(path), budget::EVENT)
                .map_err(|error| Error::input("failed to read the event file").because(&error))?,
        ),
        None => None,
    };
    let mut run = RunContext::read(env, event.as_deref())?;
    extra_args::take(&mut inputs, &run, env)?;
    let console = &console.clone().with_style(inputs.report.log);
    env.proxy_passwords().for_each(|password| console.mask(&password));
    for secret in inputs.build.all_secrets() {
        match &secret.source {
            SecretSource::Value(value) => console.mask(value.expose()),
            SecretSource::File(path) => mask_file(path, console),
        }
    }
    let values = inputs.build.build_args.iter().chain(&inputs.build.build_contexts);
    let contexts = values.map(|(_, value)| value.as_str());
    let context = match &inputs.build.context {
        ContextSource::Remote(url) => Some(url.as_str()),
        ContextSource::Folder(_) => None,
    };
    contexts.chain(context).for_each(|url| console.mask_user(url));
    let tokens = [env.get(env::ACTIONS_RUNTIME_TOKEN), raw.github_token.as_deref()];
    tokens.into_iter().flatten().for_each(|token| console.mask(token));
    let ports = Ports::new(&inputs, env, console.clone(), cancel);
    ports.user_config.proxies(env).for_each(|(_, proxy)| console.mask_user(proxy));
    if run.event.is_none() {
        ports::git::complete(&mut run, &ports.exec).await;
    }
    let access = access(&inputs, &run);
    Ok(Prepared { inputs, run, access, ports })
}

/// Longest secret file whose value is masked; a longer one is no password, and docker takes none above 500 KiB.
const MASKED_FILE: u64 = 500 * 1024;

/// Hides what a file of a secret holds. One that cannot be read is the build's to complain of.
fn mask_file(path: &std::path::Path, console: &Console) {
    if let Ok(bytes) = budget::read_file(path, MASKED_FILE) {
        console.mask(&String::from_utf8_lossy(&bytes));
    }
}

/// Reads everything and decides; writes nothing.
///
/// # Errors
/// If a read that the decision rests on fails, or the decision is that it cannot be done.
pub(crate) async fn decide(prepared: &Prepared) -> Result<Decided> {
    let Prepared { inputs, run, access, ports } = prepared;
    let facts = gather(ports, inputs, run, access).await?;
    plan_for(prepared, facts, |_| {}).await
}

/// The plan for these facts. `chosen` is told the builder as soon as it is certain, before the
/// rest of the plan: booting one takes longer than every question there is.
///
/// # Errors
/// If the tools it needs are not there, or the decision is that it cannot be done.
pub(crate) async fn plan_for(
    prepared: &Prepared,
    facts: Facts,
    chosen: impl FnOnce(&Choice),
) -> Result<Decided> {
    let Prepared { inputs, run, access, ports } = prepared;
    let verdict = plan::decide(inputs, run, access, &facts);
    let unique = [run.unique.clone(), random::hex_128().unwrap_or_default().chars().take(8).collect()];
    let unique = image::usable(unique.join("-").trim_start_matches('-'), 100);
    let owner = ports::host::this_process();
    let owner = owner.as_ref();
    let needs = Needs::of(inputs, access, &facts, &verdict);
    let tools_known = |toolchain: &Toolchain, builders: &BuilderFacts| {
        // If there is none, the plan says why.
        if let Ok(choice) = plan::choose(
            inputs,
            toolchain,
            needs.with(builders, access, Some(toolchain)),
            Names::new(&unique, owner, builders, access),
        ) {
            chosen(&choice);
        }
    };
    let late = match verdict.for_build() {
        Some(wanted) => gather_late(ports, inputs, run, access, &facts, wanted, tools_known).await?,
        None => LateFacts::default(),
    };
    let given = PlanContext {
        inputs,
        run,
        access,
        facts: &facts,
        late: &late,
        env: &ports.env,
        unique: &unique,
        owner,
    };
    let plan = assemble(&given, verdict)?;
    Ok(Decided { facts, late, plan })
}
