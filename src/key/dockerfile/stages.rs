//! Stages: what each is built on and what it takes from elsewhere (BuildKit `dockerfile2llb/convert.go`).

use std::collections::{BTreeSet, HashMap};

use super::instruction::{Body, Instruction};
use super::lines::Fault;
use super::scope::Scope;
use super::triggers::Triggers;
use super::{AnalysisRequest, familiar};
use crate::budget::{INSTRUCTIONS, more_than};
use crate::image::{ImageReference, Platform};

/// Where a stage or a `--from` gets its files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Base {
    Scratch,
    /// An earlier stage, by number.
    Stage(usize),
    /// A build context, by name.
    Context(String),
    Image(String),
}

/// Why stages do not resolve.
#[derive(Debug)]
pub(crate) enum Broken {
    Fault(Fault),
    /// A `FROM` comes to no image, for want of these variables.
    Unset {
        line: usize,
        image: String,
        variables: Vec<String>,
    },
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
    pub from: &'a Instruction,
    pub base: Base,
    /// Variables that its image names and that have no value.
    pub unset: Vec<String>,
    /// `--platform`, variables replaced.
    pub platform: Option<String>,
    pub instructions: &'a [Instruction],
    /// `ONBUILD` instructions of what this one is built on; they run first.
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
    /// Resolves each `FROM`. `rest` starts with the first `FROM`; `triggers` are those of the images from outside.
    pub(crate) fn resolve(
        (rest, triggers_of_bases): (&'a [Instruction], &'a Triggers),
        globals: &Scope,
        request: &AnalysisRequest<'_>,
        escape: char,
    ) -> Result<Self, Broken> {
        let starts: Vec<usize> = rest
            .iter()
            .enumerate()
            .filter(|(_, i)| matches!(i.body, Body::From { .. }))
            .map(|(at, _)| at)
            .collect();
        let mut out = Self { stages: Vec::new(), named: HashMap::new() };
        let mut triggered = 0;
        for (number, &start) in starts.iter().enumerate() {
            let end = starts.get(number + 1).copied().unwrap_or(rest.len());
            let Some((from, instructions)) = rest.get(start..end).and_then(<[_]>::split_first) else {
                continue;
            };
            let Body::From { image, name, platform } = &from.body else { continue };
            let expand = |text: &str| globals.expand(text, escape).map_err(|reason| (from.line, reason));
            let expanded = expand(image)?;
            if expanded.word.is_empty() {
                let (image, variables) = (image.clone(), expanded.unset);
                return Err(Broken::Unset { line: from.line, image, variables });
            }
            let (image, unset) = (expanded.word, expanded.unset);
            let platform = platform.as_deref().map(expand).transpose()?.map(|expanded| expanded.word);
            if platform.as_deref() == Some("") {
                let reason = "the platform of FROM is empty: its variable has no value".to_owned();
                return Err((from.line, reason).into());
            }
            // A build context that has a stage's name takes the stage's place entirely.
            let replaced = name.as_deref().and_then(|name| request.context(name)).map(Base::Context);
            let instructions = if replaced.is_some() { &[] } else { instructions };
            let base = replaced
                .unwrap_or_else(|| out.find(&image).map_or_else(|| external(&image, request), Base::Stage));
            let triggers = match base {
                Base::Stage(number) => out.triggers_of(number),
                Base::Context(ref name) | Base::Image(ref name) => {
                    Ok(triggers_of_bases.get(name).into_iter().flatten().collect())
                }
                Base::Scratch => Ok(Vec::new()),
            };
            triggered += triggers.as_ref().map_or(0, Vec::len);
            if triggered > INSTRUCTIONS {
                let reason = more_than(INSTRUCTIONS, "ONBUILD instructions run in the stages");
                return Err((from.line, reason).into());
            }
            if let Some(name) = name {
                out.named.insert(name, number);
            }
            out.stages.push(Stage {
                name: name.clone(),
                from,
                base,
                unset,
                platform,
                instructions,
                triggers,
            });
        }
        Ok(out)
    }

    /// A trigger that cannot be read breaks the stages that it would run in.
    fn triggers_of(&self, number: usize) -> Result<Vec<&'a Instruction>, Fault> {
        let instructions = self.stages.get(number).map_or(&[][..], |stage| stage.instructions);
        let triggers = instructions.iter().filter_map(|i| match &i.body {
            Body::Onbuild(inner) => Some(inner.as_ref().as_ref().map_err(|reason| (i.line, reason.clone()))),
            _ => None,
        });
        triggers.collect()
    }

    /// Whether each reached stage comes to an image where its variables have no value.
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

    /// `--platform` of the image that a stage begins with, by way of the stages it is built on.
    pub(crate) fn platform_of(&self, number: usize) -> Option<String> {
        let mut stage = self.stages.get(number)?;
        // Always an earlier one.
        while let Base::Stage(earlier) = stage.base {
            stage = self.stages.get(earlier)?;
        }
        stage.platform.clone()
    }

    /// Why the frontend may see something in the file that is not seen here, unreached stages included: there, BuildKit
    /// refuses some of what is refused in a reached stage. It takes a name there that a later stage takes over, unless
    /// that one comes back to it.
    pub(crate) fn doubt(&self, reached: &BTreeSet<usize>, request: &AnalysisRequest<'_>) -> Option<String> {
        let unknown = |(number, stage): (usize, &Stage<'_>)| {
            let is_reached = |later: usize| reached.contains(&later);
            let needs = || self.needs_where(number, request, is_reached);
            let unreached = if is_reached(number) { None } else { needs().err() };
            let platform = stage.platform.as_deref().filter(|text| text.parse::<Platform>().is_err());
            let platform = platform.map(|text| (stage.from.line, format!("`{text}` is no platform")));
            unreached.or(platform)
        };
        let (line, reason) = self.stages.iter().enumerate().find_map(unknown)?;
        Some(format!("line {line}: {reason}"))
    }

    /// The last stage of that name, whatever its case.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.named.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// What the `--from` of an instruction in stage `current` names.
    pub(crate) fn from(
        &self,
        from: &str,
        current: usize,
        request: &AnalysisRequest<'_>,
    ) -> Result<Base, String> {
        self.resolve_from(from, current, request, |_| false)
    }

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
                let context = external(from, request);
                if matches!(context, Base::Context(_)) {
                    return Ok(context);
                }
                if may_be_later(number) {
                    return Ok(Base::Stage(number));
                }
                Err(format!("stage `{from}` must be defined before it is used"))
            }
            Some(_) => Err(format!("there is no stage {from}")),
            None => Ok(external(from, request)),
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

    /// The stages that `target` needs, itself included, in order.
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
    /// What runs in the stage, triggers first.
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
                // Only `type` and `from` matter here; neither decides by a variable's value.
                let mount = super::instruction::mount(text, |value| Ok(value.to_owned()))?;
                out.extend(mount.from.filter(|_| mount.kind != "tmpfs"));
            }
            Ok(out)
        }
        _ => Ok(Vec::new()),
    }
}

fn external(name: &str, request: &AnalysisRequest<'_>) -> Base {
    if name == "scratch" {
        return Base::Scratch;
    }
    request.context(&familiar(name)).map_or_else(|| Base::Image(name.to_owned()), Base::Context)
}
