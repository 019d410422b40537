//! What the reached stages take from outside: files of the context, images, build contexts, URLs, secrets. Of
//! `FROM a⏎ARG N=1⏎COPY dir/$N /` that is the image `a` and the path `dir/1`.

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

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub images: Vec<ImageUse>,
    /// Names of build contexts.
    pub contexts: BTreeSet<String>,
    /// Paths in the main context.
    pub sources: BTreeSet<CopySource>,
    /// Why `sources` may lack some, as a clause.
    pub unknown: Option<String>,
    pub remote: Vec<RemoteSource>,
    /// Names of declared arguments.
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

    /// Adds what was found for another target platform.
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

    fn add_unknown(&mut self, reason: String) {
        self.unknown.get_or_insert(reason);
    }

    fn add_source(&mut self, source: CopySource) -> Result<(), String> {
        self.sources.insert(source);
        if self.sources.len() > COPIED {
            return Err(more_than(COPIED, "paths are copied from the context"));
        }
        Ok(())
    }

    fn add_remote(&mut self, source: RemoteSource) -> Result<(), String> {
        self.remote.push(source);
        if self.remote.len() > OUTSIDE {
            return Err(more_than(OUTSIDE, "URLs are added"));
        }
        Ok(())
    }

    /// Adds what a stage is built on, or what a `--from` names. `platform` is that of the stage's `FROM`.
    fn add_base(
        &mut self,
        base: Base,
        instruction: &Instruction,
        platform: Option<&str>,
    ) -> Result<(), String> {
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

/// Walks the reached stages in order with their variables, for one target platform.
pub(crate) struct Collector<'a> {
    pub request: &'a AnalysisRequest<'a>,
    pub stages: &'a Stages<'a>,
    pub globals: &'a Scope,
}

impl Collector<'_> {
    pub(crate) fn run(&self, reached: &BTreeSet<usize>) -> Result<Collected, Fault> {
        let mut out = Collected::default();
        // The variables at the end of each stage, with which a stage built on it begins.
        let mut scopes: BTreeMap<usize, Scope> = BTreeMap::new();
        for &number in reached {
            let Some(stage) = self.stages.stages.get(number) else { continue };
            for (base, instruction) in self.stages.needs(number, self.request)? {
                out.add_base(base, instruction, stage.platform.as_deref())
                    .map_err(|reason| (instruction.line, reason))?;
            }
            let mut scope = match &stage.base {
                Base::Stage(base) => scopes.get(base).cloned().unwrap_or_else(|| self.globals.of_scratch()),
                Base::Scratch => self.globals.of_scratch(),
                Base::Context(_) | Base::Image(_) => self.globals.of_image(),
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
                    scope.arg(self.request, self.globals, name, default.as_deref())?;
                }
            }
            Body::Env(pairs) => scope.env(pairs)?,
            Body::Copy(copy) if copy.from.is_none() => collect_copy(copy, instruction.line, scope, out)?,
            Body::Run(mounts) => {
                out.runs = true;
                for text in mounts {
                    collect_mount(text, instruction.line, scope, out)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A `COPY` or `ADD` without `--from`.
fn collect_copy(copy: &Copy, line: usize, scope: &Scope, out: &mut Collected) -> Result<(), String> {
    let known = |text: &str| {
        let expanded = scope.expand(text)?;
        Ok::<_, String>(Some(expanded.word).filter(|_| expanded.unknown.is_empty()))
    };
    let mut excludes = Vec::new();
    for exclude in &copy.excludes {
        // An exclusion that is not known excludes nothing.
        excludes.extend(known(exclude)?);
    }
    let excludes: Arc<[String]> = excludes.into();
    let checksum = copy.checksum.as_deref().map(known).transpose()?.flatten();
    let mut flags = GitFlags {
        checksum: checksum.filter(|checksum| !checksum.is_empty()),
        keep_git_dir: copy.keep_git_dir,
    };
    for source in &copy.sources {
        let expanded = scope.expand(source)?;
        if let Some(name) = expanded.unknown.first() {
            out.add_unknown(format!("line {line}: `${name}` in `{source}` may come from the base image"));
            // What begins with a variable may turn out to be a URL; what begins with a path cannot.
            let may_be_url = source.starts_with('$') || remote::place(&expanded.word) != Ok(Place::Local);
            if copy.add && may_be_url {
                let pin = Pin::Unknown { variable: name.clone() };
                out.add_remote(RemoteSource { url: source.clone(), line, pin })?;
            }
            continue;
        }
        let source = expanded.word;
        let place = remote::place(&source)
            .map_err(|reason| format!("`{source}` is not a repository that BuildKit takes: {reason}"))?;
        let pin = match place {
            Place::Local => {
                out.add_source(CopySource { path: source, excludes: Arc::clone(&excludes), line })?;
                continue;
            }
            _ if !copy.add => return Err(format!("COPY takes no URL (`{source}`): use ADD")),
            Place::Git(git) => flags.pin(git)?,
            Place::Http => flags.checksum.clone().map_or(Pin::File, Pin::Fixed),
        };
        out.add_remote(RemoteSource { url: source, line, pin })?;
    }
    Ok(())
}

/// Flags of an `ADD` that say what of a repository is wanted.
struct GitFlags {
    checksum: Option<String>,
    keep_git_dir: Option<bool>,
}

impl GitFlags {
    /// The repository with these flags, which must not contradict its URL. What the URL says holds for the sources that
    /// follow it in the instruction, too, as in BuildKit (`dispatchCopy`).
    fn pin(&mut self, mut git: GitRef) -> Result<Pin, String> {
        if git.keep_git_dir.is_some_and(|url| self.keep_git_dir.is_some_and(|flag| flag != url)) {
            return Err("--keep-git-dir and the URL's keep-git-dir differ".to_owned());
        }
        let checksums = git.checksum.as_ref().zip(self.checksum.as_ref());
        if let Some((url, flag)) = checksums.filter(|(url, flag)| url != flag) {
            return Err(format!("--checksum and the URL's checksum differ: `{flag}` and `{url}`"));
        }
        git.keep_git_dir = git.keep_git_dir.or(self.keep_git_dir);
        git.checksum = git.checksum.or_else(|| self.checksum.clone());
        *self = Self { checksum: git.checksum.clone(), keep_git_dir: git.keep_git_dir };
        Ok(git.fixed().map(|id| Pin::Fixed(id.to_owned())).unwrap_or(Pin::Repository(git)))
    }
}

/// A `RUN --mount`.
fn collect_mount(text: &str, line: usize, scope: &Scope, out: &mut Collected) -> Result<(), String> {
    let mut unknown = None;
    let mount = mount(text, |value| {
        let expanded = scope.expand(value)?;
        unknown = unknown.take().or(expanded.unknown.into_iter().next());
        Ok(expanded.word)
    })?;
    if let Some(id) = mount.secret() {
        out.secrets.any |= unknown.is_some();
        out.secrets.ids.insert(id);
    }
    // The type may be a variable too (`parseMount`): one that is not known may bind a file or a secret.
    let is_other = ["cache", "secret", "ssh", "tmpfs"].contains(&mount.kind.as_str());
    out.secrets.any |= !is_other && mount.kind != "bind" && unknown.is_some();
    if is_other || mount.from.is_some() {
        return Ok(());
    }
    match unknown {
        Some(name) => {
            out.add_unknown(format!("line {line}: `${name}` in a mount may come from the base image"));
            Ok(())
        }
        None => out.add_source(CopySource { path: mount.source, excludes: Arc::default(), line }),
    }
}
