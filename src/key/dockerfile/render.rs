//! The text that decides, and nothing else of a file: what comments, blank lines and unreached stages say does
//! not reach the digest.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::Request;
use super::instruction::{Body, Instruction};
use super::lines::Fault;
use super::stages::{Base, Stages};

/// Length-prefixed text into a digest, so that no two sequences read the same.
pub struct Digest(Sha256);

impl Digest {
    pub fn new(domain: &str) -> Self {
        let mut digest = Self(Sha256::new());
        digest.text(domain);
        digest
    }
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
    pub fn texts(&mut self, texts: &[&str]) {
        for text in texts {
            self.text(text);
        }
    }
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
    pub fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The digest of a file's whole text.
pub fn whole(text: &[u8]) -> [u8; 32] {
    let mut digest = Digest::new("dockerfile, whole");
    digest.bytes(text);
    digest.finish()
}

/// The digest of the global arguments and the reached stages as written, and that of the images and contexts they
/// come to, in order. Apart, because a build argument may change the second alone.
pub fn reached(
    head: (&str, char),
    globals: &[Instruction],
    stages: &Stages<'_>,
    reached: &BTreeSet<usize>,
    request: &Request<'_>,
) -> Result<[[u8; 32]; 2], Fault> {
    let mut uses = Digest::new("dockerfile, uses");
    let mut digest = Digest::new("dockerfile, reached");
    digest.text(head.0);
    digest.text(head.1.encode_utf8(&mut [0; 4]));
    digest.count(globals.len());
    for instruction in globals {
        feed(&mut digest, instruction);
    }
    let place = |number: &usize| reached.iter().position(|r| r == number).unwrap_or(usize::MAX);
    digest.count(reached.len());
    for number in reached {
        let Some(stage) = stages.stages.get(*number) else { continue };
        feed(&mut digest, stage.from);
        digest.count(stage.instructions.len());
        for instruction in stage.instructions {
            feed(&mut digest, instruction);
        }
        // A stage number in the text means another stage once unreached ones come or go: say which is meant.
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
    Ok([digest.finish(), uses.finish()])
}

fn feed(digest: &mut Digest, instruction: &Instruction) {
    digest.text(&instruction.command.keyword);
    digest.count(instruction.command.flags.len());
    for flag in &instruction.command.flags {
        digest.text(flag);
    }
    // The stage's name is lower-cased by BuildKit; everything else is taken as written.
    match &instruction.body {
        Body::From { image, name, .. } => {
            digest.text(image);
            digest.text(name.as_deref().unwrap_or_default());
        }
        _ => digest.text(&instruction.command.rest),
    }
    digest.count(instruction.heredocs.len());
    for heredoc in &instruction.heredocs {
        digest.text(&heredoc.name);
        digest.text(if heredoc.expand { "expand" } else { "" });
        digest.text(if heredoc.chomp { "chomp" } else { "" });
        digest.text(&heredoc.content);
    }
}
