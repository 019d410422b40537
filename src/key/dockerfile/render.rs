//! The text that decides, and nothing else of a file: what comments, blank lines and unreached stages say does
//! not reach the digest.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::AnalysisRequest;
use super::instruction::{Body, Instruction};
use super::lines::Fault;
use super::stages::{Base, Stages};
use super::words::Command;

/// Length-prefixed text into a digest, so that no two sequences read the same.
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn new(domain: &str) -> Self {
        let mut digest = Self(Sha256::new());
        digest.text(domain);
        digest
    }
    pub(crate) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
    pub(crate) fn texts(&mut self, texts: &[&str]) {
        for text in texts {
            self.text(text);
        }
    }
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
    pub(crate) fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }
    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The digest of a file's whole text.
pub(crate) fn whole(text: &[u8]) -> [u8; 32] {
    let mut digest = Digest::new("dockerfile, whole");
    digest.bytes(text);
    digest.finish()
}

/// The digest of the global arguments, but for those left out, and of the reached stages, and that of the images and
/// contexts they come to, in order. Apart, because a build argument may change the second alone.
pub(crate) fn reached(
    head: (&str, char),
    (globals, left_out): (&[Instruction], &BTreeSet<String>),
    stages: &Stages<'_>,
    reached: &BTreeSet<usize>,
    request: &AnalysisRequest<'_>,
) -> Result<[[u8; 32]; 2], Fault> {
    let mut uses = Digest::new("dockerfile, uses");
    let mut digest = Digest::new("dockerfile, reached");
    digest.text(head.0);
    digest.text(head.1.encode_utf8(&mut [0; 4]));
    let globals =
        globals.iter().filter_map(|one| if let Body::Arg(list) = &one.body { Some(list) } else { None });
    let globals: Vec<_> = globals.flatten().filter(|(name, _)| !left_out.contains(name)).collect();
    digest.count(globals.len());
    for (name, default) in globals {
        digest.text(name);
        digest.count(usize::from(default.is_some()));
        digest.text(default.as_deref().unwrap_or_default());
    }
    let places: BTreeMap<usize, usize> =
        reached.iter().enumerate().map(|(place, number)| (*number, place)).collect();
    let place = |number: &usize| places.get(number).copied().unwrap_or(usize::MAX);
    digest.count(reached.len());
    for number in reached {
        let Some(stage) = stages.stages.get(*number) else { continue };
        feed(&mut digest, stage.from, |_| false);
        // What a variable chooses counts, whether or not the variable does. That of the machine that builds decides
        // nothing: cross-building is meant to give the same image.
        let written =
            if let Body::From { platform, .. } = &stage.from.body { platform.as_deref() } else { None };
        let varies = written.is_some_and(|text| text.contains('$') && !text.contains("BUILDPLATFORM"));
        if let Some(platform) = stage.platform.as_deref().filter(|_| varies) {
            uses.texts(&["--platform", platform]);
        }
        digest.count(stage.instructions.len());
        for instruction in stage.instructions {
            let of_stage = |from: &str| matches!(stages.from(from, *number, request), Ok(Base::Stage(_)));
            feed(&mut digest, instruction, of_stage);
        }
        // A stage has several names, and its number means another stage once unreached ones come or go: say which is
        // meant.
        let needs = stages.needs(*number, request)?;
        digest.count(needs.len());
        for (base, _) in needs {
            match base {
                Base::Scratch => digest.text("scratch"),
                Base::Stage(number) => digest.count(place(&number)),
                Base::Context(name) | Base::Image(name) => {
                    digest.text("outside");
                    uses.text(&name);
                }
            }
        }
    }
    // Those of a base image stand nowhere in the text.
    for (place, stage) in reached.iter().filter_map(|number| stages.stages.get(*number)).enumerate() {
        let triggers = stage.triggers.iter().flatten().filter(|_| !matches!(stage.base, Base::Stage(_)));
        for trigger in triggers {
            digest.count(place);
            feed(&mut digest, trigger, |_| false);
        }
    }
    Ok([digest.finish(), uses.finish()])
}

/// `of_stage` says whether a `--from` names a stage.
fn feed(digest: &mut Digest, instruction: &Instruction, of_stage: impl Fn(&str) -> bool) {
    let Command { keyword, flags, rest } = &instruction.command;
    digest.text(keyword);
    digest.count(flags.len());
    let copy = if let Body::Copy(copy) = &instruction.body { Some(copy) } else { None };
    let from = copy.and_then(|copy| copy.from.as_deref()).filter(|from| of_stage(from));
    for flag in flags {
        let stage = from.is_some() && flag.starts_with("--from=");
        digest.text(if stage { "--from" } else { flag });
    }
    match &instruction.body {
        // The stage's name is lower-cased by BuildKit.
        Body::From { image, name, .. } => {
            digest.text(image);
            digest.text(name.as_deref().unwrap_or_default());
        }
        // As words, however they are written.
        Body::Copy(copy) => {
            digest.count(copy.words.len());
            for word in &copy.words {
                digest.text(word);
            }
        }
        // Everything else is taken as written.
        _ => digest.text(rest),
    }
    digest.count(instruction.heredocs.len());
    for heredoc in &instruction.heredocs {
        digest.text(&heredoc.name);
        digest.text(if heredoc.expand { "expand" } else { "" });
        digest.text(if heredoc.chomp { "chomp" } else { "" });
        digest.text(&heredoc.content);
    }
}
