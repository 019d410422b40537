//! What a Dockerfile builds a requested target from, read the way BuildKit reads it.
//!
//! Sources: BuildKit's `frontend/dockerfile/{parser,instructions,shell,dockerfile2llb}` and
//! `frontend/dockerui`. The file is parsed here rather than by a crate because a key needs BuildKit's own
//! reading of continuations, several here-documents in a line, and duplicate stage names.

mod analysis;
mod collect;
mod frontend;
mod git_ref;
mod glob;
mod globals;
mod grammar;
#[cfg(test)]
mod hostile_tests;
mod instruction;
mod lex;
#[cfg(test)]
mod lex_tests;
mod lines;
#[cfg(test)]
mod narrow_tests;
mod remote;
mod render;
mod request;
mod scope;
mod stages;
#[cfg(test)]
mod tests;
mod triggers;
#[cfg(test)]
mod triggers_tests;
#[cfg(test)]
mod whole_tests;
mod words;

use std::collections::BTreeSet;

use crate::budget::{DOCKERFILE, INSTRUCTIONS, Most, more_than};
use crate::image::Platform;
use crate::key::error::KeyError;
pub(crate) use analysis::{Analysis, Copied, ImageUse, Pin, RemoteSource, Role, SecretMounts};
use collect::{Collected, Collector};
pub(crate) use frontend::Frontend;
pub use git_ref::GitRef;
pub(crate) use git_ref::go_bool;
use instruction::{Body, Instruction};
use lines::Fault;
pub(crate) use remote::{Place, context_place};
pub(crate) use render::Digest;
pub use request::AnalysisRequest;
use scope::Scope;
use stages::{Broken, Stages};
pub(crate) use triggers::BaseTriggers;
use triggers::Triggers;
pub(crate) use words::csv;

/// Reads `text` for one request.
///
/// # Errors
/// What the build itself would refuse, with its line ([`KeyError::is_user_build_error`]); a target that is no stage.
pub fn analyse(text: &[u8], request: &AnalysisRequest<'_>) -> Result<Analysis, KeyError> {
    let bytes = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lossy = String::from_utf8_lossy(bytes);
    let frontend = frontend::detect(&lossy, request);
    let foreign = frontend
        .as_ref()
        .filter(|frontend| !frontend.official)
        .map(|frontend| format!("frontend `{}` may read the file in its own way", frontend.reference));
    let mut analysis = match with_triggers(&lossy, request, frontend.as_ref()) {
        Ok(analysis) => analysis,
        // Only its own frontend can say what such a file means.
        Err(KeyError::Dockerfile { .. } | KeyError::Unset { .. }) if foreign.is_some() => Analysis::opaque(),
        Err(error) => return Err(error),
    };
    analysis.whole_text_reason = foreign
        .or_else(|| std::str::from_utf8(bytes).is_err().then(|| "the Dockerfile is not UTF-8".to_owned()))
        .or(analysis.whole_text_reason.take());
    if let Some(reason) = &analysis.whole_text_reason {
        analysis.copied = Copied::Unknown(reason.clone());
        (analysis.secrets, analysis.runs) = (SecretMounts::unknown(), true);
        analysis.digest = render::whole(bytes);
        analysis.narrow_digest = analysis.digest;
        analysis.unread.clear();
    }
    if frontend.as_ref().is_some_and(|frontend| !frontend.official) {
        request.target.unwrap_or_default().clone_into(&mut analysis.target);
    }
    analysis.frontend = frontend;
    Ok(analysis)
}

fn refused((line, reason): Fault, request: &AnalysisRequest<'_>) -> KeyError {
    KeyError::Dockerfile { file: request.file.to_owned(), line, reason: lex::short(&reason, 1000) }
}

/// With the bases' `ONBUILD` instructions in the stages that they run in; where they cannot be read, without.
fn with_triggers(
    text: &str,
    request: &AnalysisRequest<'_>,
    frontend: Option<&Frontend>,
) -> Result<Analysis, KeyError> {
    let [first, ..] = request.triggers else { return read(text, request, frontend, &Triggers::new()) };
    let escape = lines::split(text).map_or('\\', |lines| lines.escape);
    let read_with = |triggers| match read(text, request, frontend, &triggers) {
        Ok(analysis) if analysis.whole_text_reason.is_none() => Ok(analysis),
        Ok(analysis) => Err(analysis.whole_text_reason.unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    };
    let (base, why) = match triggers::read(request.triggers, escape) {
        Ok(triggers) => match read_with(triggers) {
            Ok(analysis) => return Ok(analysis),
            Err(why) => (first.base.as_str(), why),
        },
        Err(fault) => fault,
    };
    let mut analysis = read(text, request, frontend, &Triggers::new())?;
    analysis.note_unread_triggers(base, &lex::short(&why, 200));
    Ok(analysis)
}

fn read(
    text: &str,
    request: &AnalysisRequest<'_>,
    frontend: Option<&Frontend>,
    triggers: &Triggers,
) -> Result<Analysis, KeyError> {
    let fault = |fault| refused(fault, request);
    let broken = |broken: Broken| match broken {
        Broken::Fault(found) => fault(found),
        Broken::Unset { line, image, variables } => {
            KeyError::Unset { file: request.file.to_owned(), line, image, variables: variables.join(" and ") }
        }
    };
    let (instructions, escape) = instructions(text).map_err(fault)?;
    let first =
        instructions.iter().position(|i| matches!(i.body, Body::From { .. })).unwrap_or(instructions.len());
    let (head, rest) = instructions.split_at(first);
    if let Some(stray) = head.iter().find(|i| !matches!(i.body, Body::Arg(_))) {
        return Err(fault((
            stray.line,
            format!("{} before the first FROM", stray.command.keyword.to_uppercase()),
        )));
    }
    if rest.is_empty() {
        return Err(fault((1, "there is no FROM in the file".to_owned())));
    }
    let own = [request.build_platform.clone()];
    let platforms: BTreeSet<&Platform> =
        if request.platforms.is_empty() { own.iter().collect() } else { request.platforms.iter().collect() };
    let last = rest
        .iter()
        .rev()
        .find_map(|i| if let Body::From { name, .. } = &i.body { Some(name.as_deref()) } else { None });
    let asked = request.target.filter(|name| !name.is_empty()).or(last.flatten()).unwrap_or("default");
    let mut collected = Collected::default();
    let (mut digest, mut narrow, mut uses) =
        (Digest::new("dockerfile"), Digest::new("dockerfile"), Digest::new("dockerfile, uses"));
    let mut unread: Option<BTreeSet<String>> = None;
    let (mut names, mut from_platform, mut counted) = (Vec::new(), None, String::new());
    let mut doubt = instructions.iter().find_map(|i| Some(format!("line {}: {}", i.line, i.doubt.as_ref()?)));
    for platform in platforms {
        let mut globals = Scope::predefined(request, platform, asked);
        for instruction in head {
            let Body::Arg(arguments) = &instruction.body else { continue };
            for (name, default) in arguments {
                collected.declared.insert(name.clone());
                globals
                    .global_arg(request, name, default.as_deref(), escape)
                    .map_err(|reason| fault((instruction.line, reason)))?;
            }
        }
        let stages = Stages::resolve((rest, triggers), &globals, request, escape).map_err(broken)?;
        let target = target(&stages, request)?;
        let reached = stages.reached(target, request).map_err(fault)?;
        stages.check(&reached).map_err(broken)?;
        from_platform = from_platform.or_else(|| stages.platform_of(target));
        let last = target + 1 == stages.stages.len();
        counted = stages
            .stages
            .get(target)
            .filter(|_| !last)
            .and_then(|stage| stage.name.clone())
            .unwrap_or_default();
        doubt = doubt.or_else(|| stages.doubt(&reached, request));
        let collector = Collector { request, stages: &stages, globals: &globals, escape };
        collected.merge(collector.run(&reached).map_err(fault)?);
        let syntax = frontend.map_or("", |frontend| frontend.directive.as_str());
        let own = globals::unread(head, &stages, &reached);
        let render = |left_out: &BTreeSet<String>| {
            render::reached((syntax, escape), (head, left_out), &stages, &reached, request).map_err(fault)
        };
        let [text, outside] = render(&BTreeSet::new())?;
        digest.bytes(&text);
        uses.bytes(&outside);
        narrow.bytes(&render(&own)?[0]);
        unread = Some(unread.map_or_else(|| own.clone(), |all| &all & &own));
        names = reached.iter().map(|number| stage_name(&stages, *number)).collect();
    }
    // There, its spelling can be read.
    if collected.declared.contains("TARGETSTAGE") {
        asked.clone_into(&mut counted);
    }
    Ok(Analysis {
        target: counted,
        digest: digest.finish(),
        narrow_digest: narrow.finish(),
        unread: unread.unwrap_or_default(),
        uses: uses.finish(),
        whole_text_reason: doubt,
        stages: names,
        from_platform,
        stage_names: rest
            .iter()
            .filter_map(|i| if let Body::From { name, .. } = &i.body { name.clone() } else { None })
            .collect(),
        copied: collected.copied(),
        images: collected.images,
        contexts: collected.contexts,
        remote: collected.remote,
        declared_args: collected.declared,
        secrets: collected.secrets,
        runs: collected.runs,
        ..Analysis::opaque()
    })
}

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

fn target(stages: &Stages<'_>, request: &AnalysisRequest<'_>) -> Result<usize, KeyError> {
    let Some(name) = request.target.filter(|name| !name.is_empty()) else {
        return Ok(stages.stages.len().saturating_sub(1));
    };
    stages.find(name).ok_or_else(|| KeyError::Target {
        file: request.file.to_owned(),
        target: name.to_owned(),
        stages: stages.stages.iter().filter_map(|stage| stage.name.clone()).take(50).collect(),
    })
}

fn stage_name(stages: &Stages<'_>, number: usize) -> String {
    stages
        .stages
        .get(number)
        .and_then(|stage| stage.name.clone())
        .unwrap_or_else(|| format!("stage-{number}"))
}

/// An image reference by its short name: no Docker Hub host, no `library/`, no `:latest`
/// (`reference.FamiliarString`, then what BuildKit's `NamedContext` trims).
#[must_use]
pub(crate) fn familiar(name: &str) -> String {
    let name =
        name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    let name = name.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name).to_owned()
}
