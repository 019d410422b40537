//! `ONBUILD` instructions of base images (*triggers*), read as instructions of the stages built on them.
//!
//! In: the texts in a base's configuration, such as `COPY . /app`. Out: one [`Instruction`] for each.

use std::collections::BTreeMap;

use super::instruction::{self, Instruction};
use super::lines;

/// The `ONBUILD` instructions of a base image, as its configuration has them.
#[derive(Debug, Clone)]
pub struct BaseTriggers {
    /// The image or build context that a `FROM` names, variables replaced.
    pub base: String,
    /// Line of that `FROM`, from 1.
    pub line: usize,
    /// The texts of the instructions; `None` if the base's images for the built platforms have different ones, or if they
    /// cannot be told.
    pub texts: Option<Vec<String>>,
}

/// By the base's name.
pub(super) type Triggers = BTreeMap<String, Vec<Instruction>>;

/// Parses each text by itself, as BuildKit does (`dockerfile2llb`, `parseOnBuild`).
///
/// # Errors
/// The base with an instruction that this program cannot read, and the reason.
pub(super) fn read(given: &[BaseTriggers], escape: char) -> Result<Triggers, (&str, String)> {
    let mut out = Triggers::new();
    for BaseTriggers { base, line, texts } in given {
        let fault = |reason: String| (base.as_str(), reason);
        let texts =
            texts.as_ref().ok_or_else(|| fault("they differ by platform, or cannot be told".to_owned()))?;
        let parsed: Result<Vec<_>, _> = texts.iter().map(|text| parse_trigger(text, *line, escape)).collect();
        out.insert(base.clone(), parsed.map_err(fault)?);
    }
    Ok(out)
}

fn parse_trigger(text: &str, line: usize, escape: char) -> Result<Instruction, String> {
    // The text is read with the usual escape character, its variables with the Dockerfile's.
    if escape != '\\' {
        return Err("the Dockerfile has an escape character of its own".to_owned());
    }
    let read = lines::split(text).map_err(|(_, reason)| reason)?;
    let [only] = read.lines.as_slice() else { return Err(format!("`{text}` is not one instruction")) };
    if read.escape != escape || !only.heredocs.is_empty() {
        return Err(format!("`{text}` is more than one line"));
    }
    let read = instruction::parse(only, escape)?;
    match (read.command.keyword.as_str(), read.doubt) {
        ("from" | "onbuild" | "maintainer", _) => Err(format!("`{text}` cannot be a trigger")),
        (_, Some(doubt)) => Err(doubt),
        (_, None) => Ok(Instruction { line, doubt: None, ..read }),
    }
}
