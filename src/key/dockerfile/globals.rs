//! Arguments before the first `FROM` that the target does not read.

use std::collections::BTreeSet;

use super::instruction::{Body, Instruction};
use super::stages::Stages;

/// Global arguments whose value reaches no reached stage: no `FROM` of one names them, no `ARG` of one declares
/// them, and no global argument that is read has them in its default (BuildKit `buildMetaArgs`, `dispatchArg`).
/// Those that BuildKit knows by name count as read.
pub(crate) fn unread(
    head: &[Instruction],
    stages: &Stages<'_>,
    reached: &BTreeSet<usize>,
) -> BTreeSet<String> {
    let mut read: BTreeSet<&str> = BTreeSet::new();
    for stage in reached.iter().filter_map(|number| stages.stages.get(*number)) {
        if let Body::From { image, platform, .. } = &stage.from.body {
            read.extend(names(image).chain(platform.iter().flat_map(|text| names(text))));
        }
        for command in stage.commands() {
            if let Body::Arg(list) = &command.body {
                read.extend(list.iter().map(|(name, _)| name.as_str()));
            }
        }
    }
    let mut left = BTreeSet::new();
    for instruction in head.iter().rev() {
        let Body::Arg(arguments) = &instruction.body else { continue };
        for (name, default) in arguments.iter().rev() {
            let known = ["BUILD", "TARGET"].iter().any(|prefix| name.starts_with(prefix))
                || name == crate::env::SOURCE_DATE_EPOCH;
            if known || read.contains(name.as_str()) {
                read.extend(default.iter().flat_map(|text| names(text)));
                left.remove(name);
            } else {
                left.insert(name.clone());
            }
        }
    }
    left
}

/// Everything in a text that may be a variable's name: words, numbers that words begin with, and single characters.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let numbers = words.clone().map(|word| {
        let end = word.find(|c: char| !c.is_numeric()).unwrap_or(word.len());
        word.get(..end).unwrap_or_default()
    });
    let marks = text.char_indices().filter(|(_, c)| "@*#?-$!".contains(*c));
    words.chain(numbers).chain(marks.filter_map(|(at, c)| text.get(at..at + c.len_utf8())))
}
