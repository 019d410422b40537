//! Leads from the inputs to the plan: everything before the first write. [`prepare`] checks the inputs and masks secrets,
//! [`plan_for`] reads and decides, [`replay`] makes the plan again from a document ([`crate::saved`]).

use serde_json::Value;

use crate::env::Env;
use crate::error::{Error, Result};
use crate::facts::{
    BuilderFacts, Disk, Gathered, LateFacts, StoreFacts, Toolchain, bake, explain_misses, gather,
    gather_late, gather_store,
};
use crate::failure::FailureClass;
use crate::inputs::{
    self, ContextSource, ImageInputs, ImageRequest, LeftOutTag, RawInputs, Request, SecretSource, extra_args,
    pulled,
};
use crate::plan::{Choice, Judged, Needs, Plan, PlanContext, Rendered, Verdict, assemble, builder_for};
use crate::ports::exec::CancelSignal;
use crate::ports::{Ports, console::Console, random};
use crate::run::{RunContext, essence};
use crate::saved::{self, Saved};
use crate::trust::{Access, ImageRun, access};
use crate::{budget, env, image, plan, ports, shown};

/// The checked inputs, the classified run and the adapters; no request was sent yet.
pub(crate) struct Prepared {
    pub request: Request,
    pub run: RunContext,
    /// The inputs of each image as they were given.
    inputs: Vec<ImageInputs>,
    /// The members of the event that count.
    event: Value,
    /// What the run may do for each image.
    access: Vec<Access>,
    /// The adapters to the outside.
    pub ports: Ports,
}

/// Each image of the request with the run and its rights.
fn runs<'a>(request: &'a Request, run: &'a RunContext, access: &'a [Access]) -> Vec<ImageRun<'a>> {
    let images = request.images.iter().zip(access);
    images.map(|(request, access)| ImageRun { request, run, access }).collect()
}

impl Prepared {
    /// Every image with its rights, in the request's order.
    pub(crate) fn images(&self) -> Vec<ImageRun<'_>> {
        runs(&self.request, &self.run, &self.access)
    }

    /// The inputs of an image as they were given. Names of images are unique in a request.
    fn inputs(&self, image: ImageRun<'_>) -> Option<&ImageInputs> {
        let mut images = self.request.images.iter().zip(&self.inputs);
        images.find(|(request, _)| request.image == image.request.image).map(|(_, inputs)| inputs)
    }

    /// The first image, for commands about one image.
    ///
    /// # Errors
    /// If there is none, which is a defect.
    pub(crate) fn first(&self) -> Result<ImageRun<'_>> {
        let image = self.images().into_iter().next();
        image.ok_or_else(|| Error::new(FailureClass::Bug, "a request without an image"))
    }
}

/// Everything known before the first write.
pub(crate) struct Decided {
    /// What the plan is made from.
    pub found: Found,
    pub plan: Plan,
}

impl Decided {
    /// The plan for people and for programs. `images`: those that it was made for.
    pub(crate) fn rendered<'a>(&'a self, run: &'a RunContext, images: &[ImageRun<'a>]) -> Rendered<'a> {
        let facts = self.found.judged.facts.iter().map(Option::as_ref);
        Rendered { run, images: images.iter().copied().zip(facts).collect(), plan: &self.plan }
    }

    /// The plan as JSON. `with_facts`: also what it was made from, for [`replay`].
    pub(crate) fn json(&self, prepared: &Prepared, images: &[ImageRun<'_>], with_facts: bool) -> Value {
        let mut plan = plan::json(&self.rendered(&prepared.run, images));
        if with_facts {
            plan["facts"] = self.found.saved(prepared, images);
        }
        plan
    }
}

/// What a plan is made from.
pub(crate) struct Found {
    pub judged: Judged,
    /// The engine's store.
    pub store: StoreFacts,
    /// What only builds need to know, of each image.
    late: Vec<LateFacts>,
    /// The indices of the images for which that could not be read.
    late_failed: Vec<usize>,
    /// The builder of all builds, with what they ask of it.
    builder: Option<(Needs, Result<Choice>)>,
}

impl Found {
    /// The tools, if something is built.
    pub(crate) fn toolchain(&self) -> Option<&Toolchain> {
        self.late.iter().find_map(|late| late.toolchain.as_deref())
    }

    /// The plan that follows.
    ///
    /// # Errors
    /// If there is one image, and nothing can be done about it.
    pub(crate) fn plan(&self, images: &[ImageRun<'_>], env: &Env) -> Result<Plan> {
        let contexts = images.iter().zip(&self.judged.facts).zip(&self.late).map(|((image, facts), late)| {
            let facts = facts.as_ref()?;
            Some(PlanContext { image: *image, facts, late, env })
        });
        let verdicts = self.judged.verdicts.iter().cloned();
        assemble(contexts.zip(verdicts).collect(), self.builder.clone(), &self.store)
    }

    /// The document that [`replay`] reads.
    pub(crate) fn saved(&self, prepared: &Prepared, images: &[ImageRun<'_>]) -> Value {
        let of_image = |at: usize| {
            let inputs = prepared.inputs(images[at]);
            let (inputs, left_out) =
                inputs.map(|inputs| saved::inputs(&inputs.raw, images[at].request)).unwrap_or_default();
            let (facts, verdict) = (self.judged.facts[at].as_ref(), &self.judged.verdicts[at]);
            // A verdict that follows from the facts is made again by the replay.
            let failed = match verdict {
                Verdict::Fail(error) if facts.is_none() || self.late_failed.contains(&at) => Some(error),
                _ => None,
            };
            let late = &self.late[at];
            let build = (late.toolchain.is_some() || late.miss.is_some()).then_some(late);
            serde_json::json!({
                "inputs": inputs, "only_linked": !images[at].request.asked, "local_names": images[at].request.local_names, "left_out": left_out, "facts": facts, "build": build, "failed": failed,
            })
        };
        let run = &prepared.run;
        // In a run with an event, the commit and the branch follow from it.
        let git =
            run.event.is_none().then(|| serde_json::json!({"commit": run.commit, "branch": run.branch}));
        serde_json::json!({
            "version": saved::VERSION,
            "env": saved::variables(&prepared.ports.env),
            "event": prepared.event,
            "git": git,
            "store": self.store,
            "images": (0..images.len()).map(of_image).collect::<Vec<_>>(),
        })
    }
}

/// Checks the inputs and classifies the run.
///
/// # Errors
/// Names every bad input, or an event file that cannot be read.
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
    // Passwords are masked before a message can quote them.
    for raw in raw {
        mask_passwords(raw, console);
    }
    let images = match raw {
        [only] if inputs::is_bake(only) => bake::images(only, env, console, cancel.clone()).await?,
        raw => pulled::each(raw)?.iter().map(ImageInputs::from).collect(),
    };
    for image in &images {
        mask_passwords(&image.raw, console);
    }
    let mut request = Request::read(&images, env)?;
    let event = match env.get(env::GITHUB_EVENT_PATH).filter(|_| env.in_github_actions()) {
        Some(path) => Some(
            budget::read_text(std::path::Path::new(path), budget::EVENT)
                .map_err(|error| Error::input("failed to read the event file").because(&error))?,
        ),
        None => None,
    };
    let mut run = RunContext::read(env, event.as_deref())?;
    for image in &mut request.images {
        extra_args::add_to_inputs(image, &run, env)?;
    }
    let console = &console.clone().with_style(request.settings.report.log);
    env.proxy_passwords().for_each(|password| console.mask(&password));
    request.images.iter().for_each(|image| mask(image, console));
    let github_tokens = raw.iter().filter_map(|raw| raw.github_token.as_deref());
    let tokens = env.get(env::ACTIONS_RUNTIME_TOKEN).into_iter().chain(github_tokens);
    tokens.for_each(|token| console.mask(token));
    let ports = Ports::new(&request, env, console.clone(), cancel);
    ports.user_config.proxies(env).for_each(|(_, proxy)| console.mask_user(proxy));
    // On a developer's machine git tells the commit and the branch.
    if run.event.is_none() {
        ports::git::complete(&mut run, &ports.exec).await;
    }
    for image in &mut request.images {
        image.expand_tags(&run, ports::clock::unix_seconds())?;
        for LeftOutTag { tag, why } in &image.left_out_tags {
            ports.console.line(&format!("the tag {tag} is left out: {why}"));
        }
    }
    let access = request.images.iter().map(|image| access(image, &run)).collect();
    let event = event.as_deref().map(essence).unwrap_or_default();
    Ok(Prepared { request, run, inputs: images, event, access, ports })
}

/// Masks the passwords in the URLs of all inputs.
fn mask_passwords(raw: &RawInputs, console: &Console) {
    let texts = raw.entries().filter_map(|(_, text)| text);
    texts.flat_map(shown::passwords).for_each(|password| console.mask(password));
}

/// Masks the secrets of a build.
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

/// Bytes of the longest secret file that is masked; buildx takes no longer one.
const MASKED_FILE: u64 = 500 * 1024;

/// Masks the content of a secret's file. If the file cannot be read, the build fails and says so.
fn mask_file(path: &std::path::Path, console: &Console) {
    if let Ok(bytes) = budget::read_file(path, MASKED_FILE) {
        console.mask(&String::from_utf8_lossy(&bytes));
    }
}

/// Reads everything that a plan is made from, for `plan --save-facts`; writes nothing.
///
/// # Errors
/// If a read that every image rests on fails.
pub(crate) async fn find(prepared: &Prepared, images: &[ImageRun<'_>]) -> Result<Found> {
    let facts = gather(&prepared.ports, images).await?;
    Ok(find_late(prepared, images, facts, |_| {}).await)
}

/// Makes the plan from these facts. `chosen` gets the builder as soon as it is certain, before the rest of the plan,
/// because booting a builder takes longer than any read.
///
/// # Errors
/// If there is one image, and nothing can be done about it.
pub(crate) async fn plan_for(
    prepared: &Prepared,
    images: &[ImageRun<'_>],
    facts: Gathered,
    chosen: impl FnOnce(&Choice),
) -> Result<Decided> {
    let found = find_late(prepared, images, facts, chosen).await;
    let plan = found.plan(images, &prepared.ports.env)?;
    Ok(Decided { found, plan })
}

/// Judges the images, then reads what only builds need, if there are any. What cannot be read fails the images that are
/// built, and not the others.
async fn find_late(
    prepared: &Prepared,
    images: &[ImageRun<'_>],
    facts: Gathered,
    chosen: impl FnOnce(&Choice),
) -> Found {
    let Prepared { run, ports, .. } = prepared;
    let Gathered { images: facts, store } = facts;
    let mut judged = Judged::new(images, facts);
    let unique = unique_name(run);
    // Noted in the builder, so that later runs know whether its run still lives.
    let owner = ports::host::this_process();
    let building = judged.building(images);
    let mut builder = None;
    let mut late: Vec<LateFacts> = images.iter().map(|_| LateFacts::default()).collect();
    let mut late_failed = Vec::new();
    // Where the engine gets no image, none of its images is too old and none needs room.
    let added = images.iter().zip(&judged.verdicts).find(|(_, verdict)| verdict.adds_to_engine());
    let added = added.map(|(image, _)| *image).filter(|_| ports.env.is_self_hosted());
    let store = async {
        match (store, added) {
            (Some(store), _) => store,
            (None, Some(image)) => gather_store(ports, &image.request.settings, &image.access.place).await,
            (None, None) => StoreFacts::default(),
        }
    };
    let mut store = if building.is_empty() {
        store.await
    } else {
        let builds: Vec<_> = building
            .iter()
            .filter_map(|build| Some((images[build.at], judged.facts[build.at].as_ref()?, build.wanted)))
            .collect();
        let tools_known = |toolchain: &Toolchain, builders: &BuilderFacts| {
            let names = (unique.as_str(), owner.as_ref());
            builder = builder_for(&building, images, (toolchain, builders), names);
            // If there is none, the plan says why.
            if let Some((_, Ok(choice))) = &builder {
                chosen(choice);
            }
        };
        let (store, found) = tokio::join!(store, gather_late(ports, &builds, tools_known));
        match found {
            Ok(found) => {
                for (build, found) in building.iter().zip(found) {
                    late[build.at] = found;
                }
            }
            Err(error) => {
                for build in &building {
                    judged.verdicts[build.at] = Verdict::Fail(error.clone());
                    late_failed.push(build.at);
                }
            }
        }
        store
    };
    let missing = judged.missing(images);
    let of_missing = missing.iter().filter_map(|at| Some((images[*at], judged.facts[*at].as_ref()?)));
    let misses = explain_misses(ports, &of_missing.collect::<Vec<_>>()).await;
    for (at, miss) in missing.into_iter().zip(misses) {
        late[at].miss = miss;
    }
    if store.disk.is_none() {
        let engine = late.iter().find_map(|late| late.toolchain.as_ref()?.engine.as_ref());
        store.disk = engine.and_then(|engine| Disk::at(engine.root.as_ref()?));
    }
    Found { judged, store, late, late_failed, builder }
}

/// A text for the name of this run's builder. It is random, because two jobs of one run may share an engine.
fn unique_name(run: &RunContext) -> String {
    let random: String = random::hex_128().unwrap_or_default().chars().take(8).collect();
    image::usable(format!("{}-{random}", run.unique).trim_start_matches('-'), 100)
}

/// A plan made from saved facts, with the request and run that it was made for.
pub(crate) struct Replayed {
    request: Request,
    run: RunContext,
    access: Vec<Access>,
    decided: Decided,
}

impl Replayed {
    /// Shows the plan, to people or to programs.
    pub(crate) fn show<T>(&self, show: impl FnOnce(&Rendered<'_>) -> T) -> T {
        let images = runs(&self.request, &self.run, &self.access);
        show(&self.decided.rendered(&self.run, &images))
    }
}

/// Makes the plan from saved facts; reads nothing else.
///
/// # Errors
/// As [`plan_for`].
pub(crate) fn replay(mut saved: Saved) -> Result<Replayed> {
    let env = saved.env();
    let (request, run) = saved.request(&env)?;
    let access: Vec<Access> = request.images.iter().map(|image| access(image, &run)).collect();
    let images = runs(&request, &run, &access);
    let facts = saved.images.iter_mut().zip(&request.images).map(|(saved, request)| saved.found(request));
    let mut judged = Judged::new(&images, facts.collect());
    let late: Vec<LateFacts> =
        saved.images.iter_mut().map(|image| image.build.take().unwrap_or_default()).collect();
    // An image whose late facts failed has early facts all the same.
    let mut late_failed = Vec::new();
    for (at, image) in saved.images.iter().enumerate() {
        if let Some(error) = &image.failed {
            judged.verdicts[at] = Verdict::Fail(error.clone());
            late_failed.push(at);
        }
    }
    let building = judged.building(&images);
    let tools = building.iter().find_map(|build| {
        let late = &late[build.at];
        Some((late.toolchain.as_deref()?, &*late.builders))
    });
    let builder = tools.and_then(|tools| builder_for(&building, &images, tools, (&run.unique, None)));
    let found = Found { judged, store: saved.store, late, late_failed, builder };
    let plan = found.plan(&images, &env)?;
    Ok(Replayed { request, run, access, decided: Decided { found, plan } })
}
