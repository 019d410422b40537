//! Reads a Dockerfile for a target: puts `lines`, `instruction`, `stages`, `scope`, `collect` and `render` together, once
//! for each platform, and sums up.

use std::collections::BTreeSet;

use super::collect::{Collected, Collector};
use super::frontend::Frontend;
use super::instruction::{self, Body, Instruction};
use super::lines::{self, Fault};
use super::render::{Digest, Rendered, Renderer};
use super::scope::Scope;
use super::stages::{Broken, Stages};
use super::triggers::Triggers;
use super::{Analysis, AnalysisRequest, globals, lex};
use crate::budget::{DOCKERFILE, INSTRUCTIONS, Most, more_than};
use crate::image::Platform;
use crate::key::error::KeyError;

/// Reads the file for every platform that is asked for. `triggers` are the `ONBUILD` instructions of base images.
///
/// # Errors
/// What the build itself would refuse; a target that is no stage.
pub(super) fn read(
    text: &str,
    request: &AnalysisRequest<'_>,
    frontend: Option<&Frontend>,
    triggers: &Triggers,
) -> Result<Analysis, KeyError> {
    read_all_platforms(text, request, frontend, triggers).map_err(|broken| broken.in_file(request.file))
}

fn read_all_platforms(
    text: &str,
    request: &AnalysisRequest<'_>,
    frontend: Option<&Frontend>,
    triggers: &Triggers,
) -> Result<Analysis, Broken> {
    let (instructions, escape) = instructions(text)?;
    let (head, rest) = at_first_from(&instructions)?;
    let syntax = frontend.map_or("", |frontend| frontend.directive.as_str());
    let file = File { syntax, escape, head, rest, triggers, request };
    let platforms: BTreeSet<&Platform> = match request.platforms {
        [] => [request.build_platform].into(),
        asked => asked.iter().collect(),
    };
    let mut sum = Sum::default();
    for platform in platforms {
        sum.add(file.for_platform(platform)?);
    }
    let analysis = sum.finish(file.target_as_written());
    Ok(Analysis {
        stage_names: rest.iter().filter_map(|i| i.stage_name().map(str::to_owned)).collect(),
        whole_text_reason: instructions
            .iter()
            .find_map(Instruction::doubt_with_line)
            .or(analysis.whole_text_reason),
        ..analysis
    })
}

/// What the platforms make of a file together.
struct Sum {
    analysis: Analysis,
    collected: Collected,
    digest: Digest,
    narrow: Digest,
    uses: Digest,
    /// `None` before the first platform.
    unread: Option<BTreeSet<String>>,
    /// The lists of the platforms, each once; `None` if one cannot be told.
    onbuild: Option<BTreeSet<Vec<String>>>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            analysis: Analysis::opaque(),
            collected: Collected::default(),
            digest: Digest::new("dockerfile"),
            narrow: Digest::new("dockerfile"),
            uses: Digest::new("dockerfile, uses"),
            unread: None,
            onbuild: Some(BTreeSet::new()),
        }
    }
}

impl Sum {
    fn add(&mut self, found: ForPlatform) {
        self.digest.bytes(&found.whole.text);
        self.uses.bytes(&found.whole.uses);
        self.narrow.bytes(&found.narrow.text);
        // An argument counts if it is read for any platform.
        self.unread = Some(match self.unread.take() {
            Some(unread) => &unread & &found.unread,
            None => found.unread,
        });
        self.onbuild = self.onbuild.take().zip(found.onbuild).map(|(mut lists, list)| {
            lists.insert(list);
            lists
        });
        let analysis = &mut self.analysis;
        analysis.whole_text_reason = analysis.whole_text_reason.take().or(found.doubt);
        // It is used only where no platform is asked for, so there is one.
        analysis.from_platform = analysis.from_platform.take().or(found.from_platform);
        // The target is the same for all platforms; the stages are the last one's.
        (analysis.stages, analysis.target) = (found.stages, found.target);
        self.collected.merge(found.collected);
    }

    fn finish(self, target_as_written: &str) -> Analysis {
        let Self { mut analysis, collected, digest, narrow, uses, unread, onbuild } = self;
        // A file that declares TARGETSTAGE can read how the target is spelled, and whether it is named at all.
        if collected.declared.contains("TARGETSTAGE") {
            target_as_written.clone_into(&mut analysis.target);
        }
        Analysis {
            digest: digest.finish(),
            narrow_digest: narrow.finish(),
            unread: unread.unwrap_or_default(),
            uses: uses.finish(),
            copied: collected.copied(),
            images: collected.images,
            contexts: collected.contexts,
            remote: collected.remote,
            declared_args: collected.declared,
            secrets: collected.secrets,
            runs: collected.runs,
            onbuild: onbuild.filter(|lists| lists.len() == 1).and_then(|mut lists| lists.pop_first()),
            ..analysis
        }
    }
}

/// The instructions of the file, and the escape character in force.
fn instructions(text: &str) -> Result<(Vec<Instruction>, char), Fault> {
    if text.len() as u64 > DOCKERFILE {
        return Err((1, format!("the file is larger than {}", Most::Bytes(DOCKERFILE))));
    }
    let lines = lines::split(text)?;
    if let Some(line) = lines.lines.get(INSTRUCTIONS) {
        return Err((line.first, more_than(INSTRUCTIONS, "instructions")));
    }
    let parse = |line| instruction::parse(line, lines.escape).map_err(|reason| (line.first, reason));
    Ok((lines.lines.iter().map(parse).collect::<Result<_, _>>()?, lines.escape))
}

/// The arguments before the first `FROM`, and the instructions from there on, of which there is at least that one.
fn at_first_from(instructions: &[Instruction]) -> Result<(&[Instruction], &[Instruction]), Fault> {
    let is_from = |instruction: &Instruction| matches!(instruction.body, Body::From { .. });
    let first = instructions.iter().position(is_from).unwrap_or(instructions.len());
    let (head, rest) = instructions.split_at(first);
    if let Some(stray) = head.iter().find(|i| !matches!(i.body, Body::Arg(_))) {
        let keyword = stray.command.keyword.to_uppercase();
        return Err((stray.line, format!("{keyword} before the first FROM")));
    }
    if rest.is_empty() {
        return Err((1, "there is no FROM in the file".to_owned()));
    }
    Ok((head, rest))
}

/// A Dockerfile taken apart, and the request.
struct File<'a> {
    /// The frontend that the file asks for, as written; empty if it asks for none.
    syntax: &'a str,
    escape: char,
    /// `ARG`s before the first `FROM`.
    head: &'a [Instruction],
    /// From the first `FROM` on.
    rest: &'a [Instruction],
    triggers: &'a Triggers,
    request: &'a AnalysisRequest<'a>,
}

/// What a build for one platform makes of the file.
struct ForPlatform {
    collected: Collected,
    /// With all global arguments.
    whole: Rendered,
    /// Without those in `unread`.
    narrow: Rendered,
    /// As [`Analysis::unread`].
    unread: BTreeSet<String>,
    /// As [`Analysis::whole_text_reason`].
    doubt: Option<String>,
    /// As [`Analysis::stages`].
    stages: Vec<String>,
    /// As [`Analysis::from_platform`].
    from_platform: Option<String>,
    /// The target's name; empty for the last stage.
    target: String,
    /// As [`Analysis::onbuild`].
    onbuild: Option<Vec<String>>,
}

impl File<'_> {
    fn for_platform(&self, platform: &Platform) -> Result<ForPlatform, Broken> {
        let Self { request, head, rest, .. } = *self;
        let mut globals = Scope::predefined(request, platform, self.target_as_written(), self.escape);
        let mut declared = BTreeSet::new();
        for instruction in head {
            let Body::Arg(arguments) = &instruction.body else { continue };
            for (name, default) in arguments {
                declared.insert(name.clone());
                globals
                    .global_arg(request, name, default.as_deref())
                    .map_err(|reason| (instruction.line, reason))?;
            }
        }
        let stages = Stages::resolve(rest, self.triggers, &globals, request)?;
        let target = stages.target(request)?;
        let reached = stages.reached(target, request)?;
        stages.check(&reached)?;
        let mut collected = Collector { request, stages: &stages, globals: &globals }.run(&reached)?;
        collected.declared.append(&mut declared);
        let unread = globals::unread(head, &stages, &reached);
        let renderer = Renderer {
            syntax: self.syntax,
            escape: self.escape,
            head,
            stages: &stages,
            reached: &reached,
            request,
        };
        let is_last = target + 1 == stages.stages.len();
        let target_name =
            stages.stages.get(target).filter(|_| !is_last).and_then(|stage| stage.name.as_deref());
        Ok(ForPlatform {
            whole: renderer.render(&BTreeSet::new())?,
            narrow: renderer.render(&unread)?,
            unread,
            doubt: stages.doubt(&reached, request),
            stages: reached.iter().map(|number| stages.shown_name(*number)).collect(),
            from_platform: stages.platform_of(target),
            onbuild: stages.onbuild(target),
            target: target_name.unwrap_or_default().to_owned(),
            collected,
        })
    }

    /// What BuildKit puts into `TARGETSTAGE`: the target as the request spells it, else the name of the last stage, else
    /// `default`.
    fn target_as_written(&self) -> &str {
        let last = self.rest.iter().rev().find(|i| matches!(i.body, Body::From { .. }));
        let asked = self.request.target.filter(|name| !name.is_empty());
        asked.or(last.and_then(Instruction::stage_name)).unwrap_or("default")
    }
}

impl Broken {
    fn in_file(self, file: &str) -> KeyError {
        let file = file.to_owned();
        match self {
            Self::Fault((line, reason)) => {
                KeyError::Dockerfile { file, line, reason: lex::short(&reason, 1000) }
            }
            Self::Unset { line, image, variables } => {
                KeyError::Unset { file, line, image, variables: variables.join(" and ") }
            }
            Self::Target { target, stages } => KeyError::Target { file, target, stages },
        }
    }
}
