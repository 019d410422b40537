//! Stages: what each is built on and what it takes from elsewhere (BuildKit `dockerfile2llb/convert.go`).
//!
//! In: the instructions from the first `FROM` on. Out: [`Stages`], which say of each `FROM` and `--from` whether it
//! names an earlier stage, a build context or an image ([`Base`]), and which stages a target *reaches*: those that are
//! built for it.

use std::collections::{BTreeSet, HashMap};

use super::instruction::{Body, Instruction};
use super::lines::Fault;
use super::scope::Scope;
use super::triggers::Triggers;
use super::{AnalysisRequest, familiar};
use crate::budget::{INSTRUCTIONS, more_than};
use crate::image::{ImageReference, Platform};

/// How many stages the error lists for a target that is none of them.
const SHOWN_STAGES: usize = 50;

/// Where a stage or a `--from` gets its files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Base {
    Scratch,
    /// An earlier stage, by number, from 0.
    Stage(usize),
    /// A build context, by name.
    Context(String),
    /// An image, by reference.
    Image(String),
}

/// Why a file cannot be built.
#[derive(Debug)]
pub(crate) enum Broken {
    /// What is wrong in one line.
    Fault(Fault),
    /// The target is none of these stages.
    Target { target: String, stages: Vec<String> },
    /// A `FROM` comes to no image, for want of these variables.
    Unset { line: usize, image: String, variables: Vec<String> },
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// One stage.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub name: Option<String>,
    /// The `FROM` that begins it.
    pub from: &'a Instruction,
    pub base: Base,
    /// Variables in the image's name that have no value.
    pub unset: Vec<String>,
    /// `--platform`, variables replaced.
    pub platform: Option<String>,
    /// What follows the `FROM`.
    pub instructions: &'a [Instruction],
    /// The `ONBUILD` instructions of its base, which run first; or why one of them cannot run.
    pub triggers: Result<Vec<&'a Instruction>, Fault>,
}

/// Every stage of a file, in order.
#[derive(Debug)]
pub(crate) struct Stages<'a> {
    pub stages: Vec<Stage<'a>>,
    /// The last stage of each name.
    named: HashMap<&'a str, usize>,
}

impl<'a> Stages<'a> {
    /// Resolves each `FROM`. `rest` starts with the first `FROM`.
    pub(crate) fn resolve(
        rest: &'a [Instruction],
        triggers_of_bases: &'a Triggers,
        globals: &Scope,
        request: &AnalysisRequest<'_>,
    ) -> Result<Self, Broken> {
        let mut out = Self { stages: Vec::new(), named: HashMap::new() };
        let mut triggered = 0;
        for instructions in rest.chunk_by(|_, next| !matches!(next.body, Body::From { .. })) {
            let Some((from, instructions)) = instructions.split_first() else { continue };
            let Body::From { name, .. } = &from.body else { continue };
            let stage = out.stage(from, instructions, (triggers_of_bases, globals, request))?;
            triggered += stage.triggers.as_ref().map_or(0, Vec::len);
            if triggered > INSTRUCTIONS {
                let reason = more_than(INSTRUCTIONS, "ONBUILD instructions run in the stages");
                return Err((from.line, reason).into());
            }
            if let Some(name) = name {
                out.named.insert(name, out.stages.len());
            }
            out.stages.push(stage);
        }
        Ok(out)
    }

    /// The stage that `from` begins; the stages before it are known.
    fn stage(
        &self,
        from: &'a Instruction,
        instructions: &'a [Instruction],
        (triggers_of_bases, globals, request): (&'a Triggers, &Scope, &AnalysisRequest<'_>),
    ) -> Result<Stage<'a>, Broken> {
        let Body::From { image: written, name, platform } = &from.body else {
            return Err((from.line, "FROM is missing".to_owned()).into());
        };
        let expand = |text: &str| globals.expand(text).map_err(|reason| (from.line, reason));
        let image = expand(written)?;
        if image.word.is_empty() {
            return Err(Broken::Unset { line: from.line, image: written.clone(), variables: image.unset });
        }
        let platform = platform.as_deref().map(expand).transpose()?.map(|expanded| expanded.word);
        if platform.as_deref() == Some("") {
            let reason = "the platform of FROM is empty: its variable has no value".to_owned();
            return Err((from.line, reason).into());
        }
        // A build context that has a stage's name takes the stage's place entirely.
        let replaced = name.as_deref().and_then(|name| request.context(name)).map(Base::Context);
        let instructions = if replaced.is_some() { &[] } else { instructions };
        let base = replaced.unwrap_or_else(|| match self.find(&image.word) {
            Some(number) => Base::Stage(number),
            None => from_outside(&image.word, request),
        });
        let triggers = match &base {
            Base::Stage(number) => self.triggers_of(*number),
            Base::Context(name) | Base::Image(name) => {
                Ok(triggers_of_bases.get(name).into_iter().flatten().collect())
            }
            Base::Scratch => Ok(Vec::new()),
        };
        Ok(Stage { name: name.clone(), from, base, unset: image.unset, platform, instructions, triggers })
    }

    /// The `ONBUILD` instructions of a stage of this file. One that cannot be read is no fault of its own stage, but of
    /// those that are built on it.
    fn triggers_of(&self, number: usize) -> Result<Vec<&'a Instruction>, Fault> {
        let instructions = self.stages.get(number).map_or(&[][..], |stage| stage.instructions);
        let triggers = instructions.iter().filter_map(|i| match &i.body {
            Body::Onbuild(inner) => Some(inner.as_ref().as_ref().map_err(|reason| (i.line, reason.clone()))),
            _ => None,
        });
        triggers.collect()
    }

    /// The texts of a stage's own `ONBUILD` instructions, as an image of it has them; `None` if one is not a single line.
    pub(crate) fn onbuild(&self, number: usize) -> Option<Vec<String>> {
        let instructions = self.stages.get(number).map_or(&[][..], |stage| stage.instructions);
        let own = instructions.iter().filter(|i| matches!(i.body, Body::Onbuild(_)));
        own.map(|i| i.heredocs.is_empty().then(|| i.command.rest.clone())).collect()
    }

    /// Refuses a reached stage whose image's name is none because variables in it have no value (`FROM app:$UNSET`).
    pub(crate) fn check(&self, reached: &BTreeSet<usize>) -> Result<(), Broken> {
        for stage in reached.iter().filter_map(|number| self.stages.get(*number)) {
            let (Base::Image(name), Body::From { image, .. }) = (&stage.base, &stage.from.body) else {
                continue;
            };
            if !stage.unset.is_empty() && name.parse::<ImageReference>().is_err() {
                let (image, variables) = (image.clone(), stage.unset.clone());
                return Err(Broken::Unset { line: stage.from.line, image, variables });
            }
        }
        Ok(())
    }

    /// The stage to build.
    pub(crate) fn target(&self, request: &AnalysisRequest<'_>) -> Result<usize, Broken> {
        let Some(name) = request.target.filter(|name| !name.is_empty()) else {
            return Ok(self.stages.len().saturating_sub(1));
        };
        self.find(name).ok_or_else(|| Broken::Target {
            target: name.to_owned(),
            stages: self.stages.iter().filter_map(|stage| stage.name.clone()).take(SHOWN_STAGES).collect(),
        })
    }

    /// A stage's name, or `stage-2` for the third stage if it has none.
    pub(crate) fn shown_name(&self, number: usize) -> String {
        let name = self.stages.get(number).and_then(|stage| stage.name.clone());
        name.unwrap_or_else(|| format!("stage-{number}"))
    }

    /// `--platform` of the image that a stage begins with, be it that of a stage that it is built on.
    pub(crate) fn platform_of(&self, number: usize) -> Option<String> {
        let mut stage = self.stages.get(number)?;
        // This ends: a stage is built on an earlier one.
        while let Base::Stage(earlier) = stage.base {
            stage = self.stages.get(earlier)?;
        }
        stage.platform.clone()
    }

    /// Why BuildKit may read the file in another way than it is read here: a stage that is not reached does not resolve,
    /// or a platform is not known. BuildKit refuses some, but not all, of such files. In a stage that is not reached it
    /// takes `--from` of a later stage, if that one is reached and so does not need this one.
    pub(crate) fn doubt(&self, reached: &BTreeSet<usize>, request: &AnalysisRequest<'_>) -> Option<String> {
        let fault_of = |(number, stage): (usize, &Stage<'_>)| {
            let is_reached = |later: usize| reached.contains(&later);
            let needs = || self.needs_where(number, request, is_reached);
            let unreached = if is_reached(number) { None } else { needs().err() };
            let platform = stage.platform.as_deref().filter(|text| text.parse::<Platform>().is_err());
            let platform = platform.map(|text| (stage.from.line, format!("`{text}` is no platform")));
            unreached.or(platform)
        };
        let (line, reason) = self.stages.iter().enumerate().find_map(fault_of)?;
        Some(format!("line {line}: {reason}"))
    }

    /// The last stage of that name, whatever its case.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.named.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// What the `--from` of an instruction in stage `current` names: an earlier stage by number or name, else a build
    /// context or an image.
    pub(crate) fn from(
        &self,
        from: &str,
        current: usize,
        request: &AnalysisRequest<'_>,
    ) -> Result<Base, String> {
        self.resolve_from(from, current, request, |_| false)
    }

    /// As [`Self::from`]. `may_be_later` says of a stage whether it may be named before it is defined.
    fn resolve_from(
        &self,
        from: &str,
        current: usize,
        request: &AnalysisRequest<'_>,
        may_be_later: impl Fn(usize) -> bool,
    ) -> Result<Base, String> {
        let number = match from.parse::<usize>() {
            Ok(number) => Some(number),
            Err(_) => self.find(from),
        };
        match number {
            Some(number) if number < current => Ok(Base::Stage(number)),
            Some(number) if number < self.stages.len() => {
                // A build context takes the place of the stage.
                let context = from_outside(from, request);
                if matches!(context, Base::Context(_)) {
                    return Ok(context);
                }
                if may_be_later(number) {
                    return Ok(Base::Stage(number));
                }
                Err(format!("stage `{from}` must be defined before it is used"))
            }
            Some(_) => Err(format!("there is no stage {from}")),
            None => Ok(from_outside(from, request)),
        }
    }

    /// What stage `number` takes directly: its base, and every `--from`.
    pub(crate) fn needs(
        &self,
        number: usize,
        request: &AnalysisRequest<'_>,
    ) -> Result<Vec<(Base, &'a Instruction)>, Fault> {
        self.needs_where(number, request, |_| false)
    }

    /// As [`Self::needs`], with `may_be_later` of [`Self::resolve_from`].
    fn needs_where(
        &self,
        number: usize,
        request: &AnalysisRequest<'_>,
        may_be_later: impl Fn(usize) -> bool,
    ) -> Result<Vec<(Base, &'a Instruction)>, Fault> {
        let Some(stage) = self.stages.get(number) else { return Ok(Vec::new()) };
        if let Err(fault) = &stage.triggers {
            return Err(fault.clone());
        }
        let mut out = vec![(stage.base.clone(), stage.from)];
        for instruction in stage.commands() {
            for from in sources(instruction).map_err(|reason| (instruction.line, reason))? {
                let base = self.resolve_from(&from, number, request, &may_be_later);
                let base = base.map_err(|reason| (instruction.line, reason))?;
                out.push((base, instruction));
            }
        }
        Ok(out)
    }

    /// The stages that are built for `target`, itself included, in order.
    pub(crate) fn reached(
        &self,
        target: usize,
        request: &AnalysisRequest<'_>,
    ) -> Result<BTreeSet<usize>, Fault> {
        let mut seen = BTreeSet::new();
        let mut open = vec![target];
        while let Some(number) = open.pop() {
            if seen.insert(number) {
                let needs = self.needs(number, request)?;
                open.extend(needs.iter().filter_map(|(base, _)| {
                    if let Base::Stage(number) = base { Some(*number) } else { None }
                }));
            }
        }
        Ok(seen)
    }
}

impl<'a> Stage<'a> {
    /// What runs in the stage, the triggers of its base first.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &'a Instruction> + use<'_, 'a> {
        self.triggers.iter().flatten().copied().chain(self.instructions)
    }
}

/// The `--from` values of an instruction.
pub(crate) fn sources(instruction: &Instruction) -> Result<Vec<String>, String> {
    match &instruction.body {
        Body::Copy(copy) => match &copy.from {
            Some(from) if from.contains(['$', '\\', '"', '\'']) => {
                Err("--from takes no variables: define a stage with FROM and name it instead".to_owned())
            }
            from => Ok(from.iter().cloned().collect()),
        },
        Body::Run(mounts) => {
            let mut out = Vec::new();
            for text in mounts {
                // BuildKit looks at `from` before variables are replaced (`detectRunMount`).
                let mount = super::instruction::mount(text, |value| Ok(value.to_owned()))?;
                out.extend(mount.from.filter(|_| mount.kind != "tmpfs"));
            }
            Ok(out)
        }
        _ => Ok(Vec::new()),
    }
}

/// What a name stands for that is no stage's.
fn from_outside(name: &str, request: &AnalysisRequest<'_>) -> Base {
    if name == "scratch" {
        return Base::Scratch;
    }
    request.context(&familiar(name)).map_or_else(|| Base::Image(name.to_owned()), Base::Context)
}
