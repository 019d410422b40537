//! What the reached stages take from outside: files of the context, images, contexts, URLs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::git_ref::GitRef;
use super::instruction::{Body, Copy, Instruction, mount};
use super::lines::Fault;
use super::remote::{self, Place};
use super::scope::Scope;
use super::stages::{Base, Stages};
use super::{AnalysisRequest, Copied, ImageUse, Pin, RemoteSource, Role, SecretMounts};
use crate::budget::{COPIED, OUTSIDE, more_than};
use crate::key::files::CopySource;

/// Everything found, for one target platform.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub images: Vec<ImageUse>,
    pub contexts: BTreeSet<String>,
    pub sources: BTreeSet<CopySource>,
    /// Why the sources are not all known.
    pub unknown: Option<String>,
    pub remote: Vec<RemoteSource>,
    pub declared: BTreeSet<String>,
    pub secrets: SecretMounts,
    /// Whether there is a `RUN`.
    pub runs: bool,
}

impl Collected {
    pub(crate) fn copied(&self) -> Copied {
        match &self.unknown {
            Some(reason) => Copied::Unknown(reason.clone()),
            None => Copied::Known(self.sources.iter().cloned().collect()),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for image in other.images {
            if !self.images.contains(&image) {
                self.images.push(image);
            }
        }
        for remote in other.remote {
            if !self.remote.contains(&remote) {
                self.remote.push(remote);
            }
        }
        self.contexts.extend(other.contexts);
        self.sources.extend(other.sources);
        self.declared.extend(other.declared);
        self.secrets.ids.extend(other.secrets.ids);
        self.secrets.any |= other.secrets.any;
        self.runs |= other.runs;
        self.unknown = self.unknown.take().or(other.unknown);
    }
}

/// Walks the reached stages in order with their variables.
pub(crate) struct Collector<'a> {
    pub request: &'a AnalysisRequest<'a>,
    pub stages: &'a Stages<'a>,
    pub globals: &'a Scope,
    pub escape: char,
}

impl Collector<'_> {
    pub(crate) fn run(&self, reached: &BTreeSet<usize>) -> Result<Collected, Fault> {
        let mut out = Collected::default();
        let mut scopes: BTreeMap<usize, Scope> = BTreeMap::new();
        for &number in reached {
            let Some(stage) = self.stages.stages.get(number) else { continue };
            for (base, instruction) in self.stages.needs(number, self.request)? {
                out.note(base, instruction, stage.platform.as_deref())
                    .map_err(|reason| (instruction.line, reason))?;
            }
            let mut scope = match &stage.base {
                Base::Stage(base) => scopes.get(base).cloned().unwrap_or_else(|| self.globals.of_base(false)),
                Base::Scratch => self.globals.of_base(false),
                Base::Context(_) | Base::Image(_) => self.globals.of_base(true),
            };
            for instruction in stage.commands() {
                self.instruction(instruction, &mut scope, &mut out)
                    .map_err(|reason| (instruction.line, reason))?;
            }
            scopes.insert(number, scope);
        }
        Ok(out)
    }

    fn instruction(
        &self,
        instruction: &Instruction,
        scope: &mut Scope,
        out: &mut Collected,
    ) -> Result<(), String> {
        match &instruction.body {
            Body::Arg(arguments) => {
                for (name, default) in arguments {
                    out.declared.insert(name.clone());
                    scope.arg(self.request, self.globals, name, default.as_deref(), self.escape)?;
                }
            }
            Body::Env(pairs) => scope.env(pairs, self.escape)?,
            Body::Copy(copy) if copy.from.is_none() => self.copy(copy, instruction.line, scope, out)?,
            Body::Run(mounts) => {
                out.runs = true;
                for text in mounts {
                    self.mount(text, instruction.line, scope, out)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn copy(&self, copy: &Copy, line: usize, scope: &Scope, out: &mut Collected) -> Result<(), String> {
        let mut excludes = Vec::new();
        for exclude in &copy.excludes {
            let expanded = scope.expand(exclude, self.escape)?;
            // An exclusion that is not known excludes nothing.
            excludes.extend(expanded.unknown.is_empty().then_some(expanded.word));
        }
        let excludes: Arc<[String]> = excludes.into();
        let checksum = copy.checksum.as_deref().map(|text| scope.expand(text, self.escape)).transpose()?;
        let mut checksum =
            checksum.filter(|c| c.unknown.is_empty()).map(|c| c.word).filter(|c| !c.is_empty());
        let mut keep_git_dir = copy.keep_git_dir;
        for source in &copy.sources {
            let expanded = scope.expand(source, self.escape)?;
            if let Some(name) = expanded.unknown.first() {
                out.unknown(format!("line {line}: `${name}` in `{source}` may come from the base image"));
                if copy.add {
                    // It may turn out to be a URL; a literal path cannot.
                    let url = source.starts_with('$') || remote::place(&expanded.word) != Ok(Place::Local);
                    if url {
                        let pin = Pin::Unknown { variable: name.clone() };
                        out.fetches(RemoteSource { url: source.clone(), line, pin })?;
                    }
                }
                continue;
            }
            let place = remote::place(&expanded.word).map_err(|reason| {
                format!("`{}` is not a repository that BuildKit takes: {reason}", expanded.word)
            })?;
            if place == Place::Local {
                out.copies(CopySource { path: expanded.word, excludes: Arc::clone(&excludes), line })?;
                continue;
            }
            if !copy.add {
                return Err(format!("COPY takes no URL (`{}`): use ADD", expanded.word));
            }
            let pin = match (place, &checksum) {
                (Place::Git(git), _) => {
                    let git = with_flags(git, checksum.as_ref(), keep_git_dir)?;
                    // What one URL says holds for those that follow it, too (`dispatchCopy`).
                    (checksum, keep_git_dir) = (git.checksum.clone(), git.keep_git_dir);
                    git.fixed().map(|id| Pin::Fixed(id.to_owned())).unwrap_or(Pin::Repository(git))
                }
                (_, Some(checksum)) => Pin::Fixed(checksum.clone()),
                _ => Pin::File,
            };
            out.fetches(RemoteSource { url: expanded.word, line, pin })?;
        }
        Ok(())
    }

    fn mount(&self, text: &str, line: usize, scope: &Scope, out: &mut Collected) -> Result<(), String> {
        let mut unknown = None;
        let mount = mount(text, |value| {
            let expanded = scope.expand(value, self.escape)?;
            unknown = unknown.take().or(expanded.unknown.into_iter().next());
            Ok(expanded.word)
        })?;
        if let Some(id) = mount.secret() {
            out.secrets.any |= unknown.is_some();
            out.secrets.ids.insert(id);
        }
        if mount.kind != "bind" || mount.from.is_some() {
            return Ok(());
        }
        match unknown {
            Some(name) => {
                out.unknown(format!("line {line}: `${name}` in a mount may come from the base image"));
            }
            None => {
                out.copies(CopySource { path: mount.source, excludes: Arc::default(), line })?;
            }
        }
        Ok(())
    }
}

/// A repository with what the instruction's flags add; they must not contradict its URL.
fn with_flags(
    mut git: GitRef,
    checksum: Option<&String>,
    keep_git_dir: Option<bool>,
) -> Result<GitRef, String> {
    if git.keep_git_dir.is_some_and(|own| keep_git_dir.is_some_and(|flag| flag != own)) {
        return Err("--keep-git-dir and the URL's keep-git-dir differ".to_owned());
    }
    if let Some((own, flag)) = git.checksum.as_ref().zip(checksum).filter(|(own, flag)| own != flag) {
        return Err(format!("--checksum and the URL's checksum differ: `{flag}` and `{own}`"));
    }
    git.keep_git_dir = git.keep_git_dir.or(keep_git_dir);
    git.checksum = git.checksum.or_else(|| checksum.cloned());
    Ok(git)
}

impl Collected {
    fn unknown(&mut self, reason: String) {
        self.unknown.get_or_insert(reason);
    }

    fn copies(&mut self, source: CopySource) -> Result<(), String> {
        self.sources.insert(source);
        if self.sources.len() > COPIED {
            return Err(more_than(COPIED, "paths are copied from the context"));
        }
        Ok(())
    }

    fn fetches(&mut self, source: RemoteSource) -> Result<(), String> {
        self.remote.push(source);
        if self.remote.len() > OUTSIDE {
            return Err(more_than(OUTSIDE, "URLs are added"));
        }
        Ok(())
    }

    fn note(&mut self, base: Base, instruction: &Instruction, platform: Option<&str>) -> Result<(), String> {
        match base {
            Base::Image(reference) => {
                let role = match instruction.body {
                    Body::From { .. } => Role::From,
                    Body::Run(_) => Role::Mount,
                    _ => Role::Copy,
                };
                let platform = platform.filter(|_| role == Role::From).map(str::to_owned);
                let image = ImageUse { reference, line: instruction.line, role, platform };
                if !self.images.contains(&image) {
                    self.images.push(image);
                }
                if self.images.len() > OUTSIDE {
                    return Err(more_than(OUTSIDE, "images are named"));
                }
            }
            Base::Context(name) => {
                self.contexts.insert(name);
            }
            Base::Scratch | Base::Stage(_) => {}
        }
        Ok(())
    }
}
