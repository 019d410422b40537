//! From the inputs to the plan: everything that comes before the first write.

use std::sync::Arc;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::facts::{
    BuilderFacts, ForBuild, ImageFacts, LateFacts, Toolchain, entitlements, gather, gather_late,
};
use crate::failure::FailureClass;
use crate::inputs::{ContextSource, ImageRequest, RawInputs, Request, SecretSource, extra_args};
use crate::plan::{Choice, Names, Needs, Plan, PlanContext, Rendered, Verdict, assemble};
use crate::ports::exec::CancelSignal;
use crate::ports::{Ports, console::Console, random};
use crate::run::RunContext;
use crate::trust::{Access, ImageRun, access};
use crate::{budget, env, image, plan, ports, shown};

/// Inputs checked, run classified, ports ready; nothing asked yet.
pub(crate) struct Prepared {
    pub request: Request,
    pub run: RunContext,
    /// What the run may do for each image.
    access: Vec<Access>,
    /// What it talks to the outside by.
    pub ports: Ports,
}

impl Prepared {
    /// Every image with its rights, in the request's order.
    pub(crate) fn images(&self) -> Vec<ImageRun<'_>> {
        let images = self.request.images.iter().zip(&self.access);
        images.map(|(request, access)| ImageRun { request, run: &self.run, access }).collect()
    }
}

impl Prepared {
    /// The image, where commands are about one alone.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn first(&self) -> Result<ImageRun<'_>> {
        let image = self.images().into_iter().next();
        image.ok_or_else(|| Error::new(FailureClass::Bug, "a request without an image"))
    }
}

/// Everything known before the first write.
pub(crate) struct Decided {
    /// What was found out about each image, where it could be found out.
    pub facts: Vec<Option<ImageFacts>>,
    /// The tools, where something is built.
    pub toolchain: Option<Arc<Toolchain>>,
    pub plan: Plan,
}

impl Decided {
    /// The plan for people and for programs. `images`: those that it was made for.
    pub(crate) fn rendered<'a>(&'a self, run: &'a RunContext, images: &[ImageRun<'a>]) -> Rendered<'a> {
        let facts = self.facts.iter().map(Option::as_ref);
        Rendered { run, images: images.iter().copied().zip(facts).collect(), plan: &self.plan }
    }
}

/// Checks the inputs and classifies the run.
///
/// # Errors
/// One that names every bad input, or an event file that cannot be read.
pub(crate) async fn prepare(
    raw: &[RawInputs],
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
    for (_, text) in raw.iter().flat_map(RawInputs::entries) {
        text.into_iter().flat_map(shown::passwords).for_each(|password| console.mask(password));
    }
    let mut request = Request::read(raw, env)?;
    let event = match env.get(env::GITHUB_EVENT_PATH).filter(|_| env.in_github_actions()) {
        Some(path) => Some(
            budget::read_text(std::path::Path::new(path), budget::EVENT)
                .map_err(|error| Error::input("failed to read the event file").because(&error))?,
        ),
        None => None,
    };
    let mut run = RunContext::read(env, event.as_deref())?;
    for image in &mut request.images {
        extra_args::take(image, &run, env)?;
    }
    let console = &console.clone().with_style(request.settings.report.log);
    env.proxy_passwords().for_each(|password| console.mask(&password));
    request.images.iter().for_each(|image| mask(image, console));
    let given = raw.iter().filter_map(|raw| raw.github_token.as_deref());
    let tokens = env.get(env::ACTIONS_RUNTIME_TOKEN).into_iter().chain(given);
    tokens.for_each(|token| console.mask(token));
    let ports = Ports::new(&request, env, console.clone(), cancel);
    ports.user_config.proxies(env).for_each(|(_, proxy)| console.mask_user(proxy));
    if run.event.is_none() {
        ports::git::complete(&mut run, &ports.exec).await;
    }
    let access = request.images.iter().map(|image| access(image, &run)).collect();
    Ok(Prepared { request, run, access, ports })
}

/// Hides what the build is told in confidence.
fn mask(image: &ImageRequest, console: &Console) {
    for (secret, value) in image.all_secrets() {
        if let Some(value) = value {
            console.mask(value.expose());
        }
        if let SecretSource::File(path) = &secret.source {
            mask_file(path, console);
        }
    }
    let build = &image.build;
    let values = build.build_args.iter().chain(&build.build_contexts);
    values.for_each(|(_, value)| console.mask_user(value));
    if let ContextSource::Remote(url) = &build.context {
        console.mask_user(url);
    }
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
    let images = prepared.images();
    let facts = gather(&prepared.ports, &images).await?;
    plan_for(prepared, &images, facts, |_| {}).await
}

/// The plan for these facts. `chosen` is told the builder as soon as it is certain, before the
/// rest of the plan: booting one takes longer than every question there is.
///
/// # Errors
/// If there is one image, and nothing can be done about it.
pub(crate) async fn plan_for(
    prepared: &Prepared,
    images: &[ImageRun<'_>],
    facts: Vec<Result<ImageFacts>>,
    chosen: impl FnOnce(&Choice),
) -> Result<Decided> {
    let Prepared { request, run, ports, .. } = prepared;
    let (facts, mut verdicts): (Vec<_>, Vec<_>) = images.iter().zip(facts).map(judged).unzip();
    let unique = [run.unique.clone(), random::hex_128().unwrap_or_default().chars().take(8).collect()];
    let unique = image::usable(unique.join("-").trim_start_matches('-'), 100);
    let owner = ports::host::this_process();
    let owner = owner.as_ref();
    let building: Vec<(usize, ForBuild, Needs)> = (0..images.len())
        .filter_map(|at| match (&facts[at], &verdicts[at]) {
            (Some(facts), Verdict::Build(build)) => {
                let wanted = ForBuild { shared: build.shared, load: build.load };
                Some((at, wanted, Needs::of(images[at], facts, build)))
            }
            _ => None,
        })
        .collect();
    let mut builder = None;
    let mut late: Vec<LateFacts> = images.iter().map(|_| LateFacts::default()).collect();
    if let Some(needs) = building.iter().map(|(.., needs)| *needs).reduce(Needs::and) {
        let builds: Vec<_> = building
            .iter()
            .filter_map(|(at, wanted, _)| Some((images[*at], facts[*at].as_ref()?, *wanted)))
            .collect();
        let allowed = entitlements(builds.iter().map(|(image, ..)| image.request));
        let tools_known = |toolchain: &Toolchain, builders: &BuilderFacts| {
            let access = builds[0].0.access;
            let needs = needs.with(builders, access, Some(toolchain));
            let names = Names::new(&unique, owner, builders, access);
            let choice = plan::choose(&request.settings.builder, &allowed, toolchain, needs, names);
            // If there is none, the plan says why.
            if let Ok(choice) = &choice {
                chosen(choice);
            }
            builder = Some((needs, choice));
        };
        match gather_late(ports, &builds, tools_known).await {
            Ok(found) => {
                for ((at, ..), found) in building.iter().zip(found) {
                    late[*at] = found;
                }
            }
            Err(error) => {
                for (at, ..) in &building {
                    verdicts[*at] = Verdict::Fail(error.clone());
                }
            }
        }
    }
    let contexts = images.iter().zip(&facts).zip(&late).map(|((image, facts), late)| {
        let facts = facts.as_ref()?;
        Some(PlanContext { image: *image, facts, late, env: &ports.env })
    });
    let plan = assemble(contexts.zip(verdicts).collect(), builder)?;
    let toolchain = late.into_iter().find_map(|late| late.toolchain);
    Ok(Decided { facts, toolchain, plan })
}

/// The facts, and what is to be done about the image.
fn judged((image, facts): (&ImageRun<'_>, Result<ImageFacts>)) -> (Option<ImageFacts>, Verdict) {
    match facts {
        Ok(facts) => {
            let verdict = plan::decide(*image, &facts);
            (Some(facts), verdict)
        }
        Err(error) => (None, Verdict::Fail(error)),
    }
}
