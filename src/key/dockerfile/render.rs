//! The digest of the text that decides the target. Comments, blank lines and stages that are not reached do not count.
//! A change of what is fed into it changes every build key.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::AnalysisRequest;
use super::instruction::{Body, Instruction};
use super::lines::Fault;
use super::stages::{Base, Stages};
use super::words::Command;

/// SHA-256 of a sequence of texts and numbers. Each text is fed after its length, so that `ab`, `c` and `a`, `bc` differ.
pub(crate) struct Digest(Sha256);

impl Digest {
    /// `domain` says what is digested, so that sequences of different kinds have different digests.
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

/// The digests of what the reached stages say. They are apart, because a build argument may change `uses` alone.
pub(crate) struct Rendered {
    /// Of the text.
    pub text: [u8; 32],
    /// Of the names of images and build contexts that the text comes to, in order.
    pub uses: [u8; 32],
}

/// Makes the digests of a file for one target and platform.
pub(crate) struct Renderer<'a> {
    /// The frontend that the file asks for; empty if none.
    pub syntax: &'a str,
    pub escape: char,
    /// The instructions before the first `FROM`.
    pub head: &'a [Instruction],
    pub stages: &'a Stages<'a>,
    pub reached: &'a BTreeSet<usize>,
    pub request: &'a AnalysisRequest<'a>,
}

impl Renderer<'_> {
    /// Renders the file without the global arguments `left_out`.
    pub(crate) fn render(&self, left_out: &BTreeSet<String>) -> Result<Rendered, Fault> {
        let mut text = Digest::new("dockerfile, reached");
        let mut uses = Digest::new("dockerfile, uses");
        self.render_head(&mut text, left_out);
        // A stage is named by its place among the reached ones: its number changes when an unreached one comes or goes.
        let places: BTreeMap<usize, usize> =
            self.reached.iter().enumerate().map(|(place, number)| (*number, place)).collect();
        text.count(self.reached.len());
        for number in self.reached {
            self.render_stage(*number, &places, &mut text, &mut uses)?;
        }
        self.render_triggers_of_images(&mut text);
        Ok(Rendered { text: text.finish(), uses: uses.finish() })
    }

    fn render_head(&self, text: &mut Digest, left_out: &BTreeSet<String>) {
        text.text(self.syntax);
        text.text(self.escape.encode_utf8(&mut [0; 4]));
        let lists =
            self.head.iter().filter_map(|i| if let Body::Arg(list) = &i.body { Some(list) } else { None });
        let arguments: Vec<_> = lists.flatten().filter(|(name, _)| !left_out.contains(name)).collect();
        text.count(arguments.len());
        for (name, default) in arguments {
            text.text(name);
            text.count(usize::from(default.is_some()));
            text.text(default.as_deref().unwrap_or_default());
        }
    }

    fn render_stage(
        &self,
        number: usize,
        places: &BTreeMap<usize, usize>,
        text: &mut Digest,
        uses: &mut Digest,
    ) -> Result<(), Fault> {
        let Some(stage) = self.stages.stages.get(number) else { return Ok(()) };
        render_instruction(text, stage.from, |_| false);
        // What a variable chooses counts, whether or not the variable does. `BUILDPLATFORM` is the exception: it names
        // the machine that builds, and cross-building is meant to give the same image.
        let written =
            if let Body::From { platform, .. } = &stage.from.body { platform.as_deref() } else { None };
        let varies = written.is_some_and(|text| text.contains('$') && !text.contains("BUILDPLATFORM"));
        if let Some(platform) = stage.platform.as_deref().filter(|_| varies) {
            uses.texts(&["--platform", platform]);
        }
        text.count(stage.instructions.len());
        for instruction in stage.instructions {
            let is_stage =
                |from: &str| matches!(self.stages.from(from, number, self.request), Ok(Base::Stage(_)));
            render_instruction(text, instruction, is_stage);
        }
        let needs = self.stages.needs(number, self.request)?;
        text.count(needs.len());
        for (base, _) in needs {
            match base {
                Base::Scratch => text.text("scratch"),
                Base::Stage(number) => text.count(places.get(&number).copied().unwrap_or(usize::MAX)),
                Base::Context(name) | Base::Image(name) => {
                    text.text("outside");
                    uses.text(&name);
                }
            }
        }
        Ok(())
    }

    /// The `ONBUILD` instructions of base images, which stand nowhere in the file. Those of stages of the file were
    /// rendered with these.
    fn render_triggers_of_images(&self, text: &mut Digest) {
        let stages = self.reached.iter().filter_map(|number| self.stages.stages.get(*number));
        for (place, stage) in stages.enumerate() {
            let triggers = stage.triggers.iter().flatten().filter(|_| !matches!(stage.base, Base::Stage(_)));
            for trigger in triggers {
                text.count(place);
                render_instruction(text, trigger, |_| false);
            }
        }
    }
}

/// Adds an instruction to a digest. `is_stage` says whether a `--from` names a stage: then its value is left out,
/// because a stage has several names, and `needs` says which one is meant.
fn render_instruction(digest: &mut Digest, instruction: &Instruction, is_stage: impl Fn(&str) -> bool) {
    let Command { keyword, flags, rest } = &instruction.command;
    digest.text(keyword);
    digest.count(flags.len());
    let copy = if let Body::Copy(copy) = &instruction.body { Some(copy) } else { None };
    let from = copy.and_then(|copy| copy.from.as_deref()).filter(|from| is_stage(from));
    for flag in flags {
        let names_stage = from.is_some() && flag.starts_with("--from=");
        digest.text(if names_stage { "--from" } else { flag });
    }
    match &instruction.body {
        // With the name in lower case, as BuildKit reads it.
        Body::From { image, name, .. } => {
            digest.text(image);
            digest.text(name.as_deref().unwrap_or_default());
        }
        // As words: the JSON form of a `COPY` and the blanks between words decide nothing.
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
