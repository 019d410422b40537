//! Arguments before the first `FROM` that the target does not read.

use std::collections::BTreeSet;

use super::instruction::{Body, Instruction};
use super::stages::Stages;

/// Global arguments whose value reaches no reached stage: no `FROM` of one names them, no `ARG` of one declares
/// them, and no global argument that is read has them in its default (BuildKit `buildMetaArgs`, `dispatchArg`).
/// Those that BuildKit knows by name count as read.
pub fn unread(head: &[Instruction], stages: &Stages<'_>, reached: &BTreeSet<usize>) -> BTreeSet<String> {
    let reached = || reached.iter().filter_map(|number| stages.stages.get(*number));
    let declares = |name: &str| {
        let mut commands = reached().flat_map(super::stages::Stage::commands);
        commands.any(
            |command| matches!(&command.body, Body::Arg(list) if list.iter().any(|(own, _)| own == name)),
        )
    };
    // A text that has the name anywhere counts as one that reads it.
    let mut texts: Vec<&str> = Vec::new();
    for stage in reached() {
        if let Body::From { image, platform, .. } = &stage.from.body {
            texts.push(image);
            texts.extend(platform.as_deref());
        }
    }
    let mut left = BTreeSet::new();
    for instruction in head.iter().rev() {
        let Body::Arg(arguments) = &instruction.body else { continue };
        for (name, default) in arguments.iter().rev() {
            let known = ["BUILD", "TARGET"].iter().any(|prefix| name.starts_with(prefix))
                || name == crate::env::SOURCE_DATE_EPOCH;
            if known || declares(name) || texts.iter().any(|text| text.contains(name.as_str())) {
                texts.extend(default.as_deref());
                left.remove(name);
            } else {
                left.insert(name.clone());
            }
        }
    }
    left
}
