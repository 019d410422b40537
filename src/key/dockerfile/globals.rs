//! Which global arguments (`ARG`s before the first `FROM`) the target does not read. Of `ARG A=1⏎ARG B=2⏎FROM x:$A` it
//! is `B`.

use std::collections::BTreeSet;

use super::instruction::{Body, Instruction};
use super::stages::Stages;

/// Arguments that BuildKit itself reads, or gives a value, whether or not the file declares them: `BUILDKIT_…`,
/// `BUILDPLATFORM`, `TARGETARCH` and the others of these names, and `SOURCE_DATE_EPOCH`.
pub(crate) fn is_read_undeclared(name: &str) -> bool {
    name.starts_with("BUILD") || name.starts_with("TARGET") || name == crate::env::SOURCE_DATE_EPOCH
}

/// Global arguments whose value comes to no reached stage: no `FROM` of one names them, no `ARG` of one declares
/// them, and no global argument that is read has them in its default (BuildKit `buildMetaArgs`, `dispatchArg`).
/// `head` are the instructions before the first `FROM`.
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
    let mut unread = BTreeSet::new();
    // Backwards, because a default can name only arguments that stand before it.
    for instruction in head.iter().rev() {
        let Body::Arg(arguments) = &instruction.body else { continue };
        for (name, default) in arguments.iter().rev() {
            if is_read_undeclared(name) || read.contains(name.as_str()) {
                read.extend(default.iter().flat_map(|text| names(text)));
                unread.remove(name);
            } else {
                unread.insert(name.clone());
            }
        }
    }
    unread
}

/// Everything in a text that may be a variable's name, as `Lex` reads names: words, numbers that words begin with (`$1x`
/// is `$1` and `x`), and single characters (`$@`). Too many names do no harm: an argument only counts that need not.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let numbers = words.clone().map(|word| {
        let end = word.find(|c: char| !c.is_numeric()).unwrap_or(word.len());
        word.get(..end).unwrap_or_default()
    });
    let marks = text.char_indices().filter(|(_, c)| "@*#?-$!".contains(*c));
    words.chain(numbers).chain(marks.filter_map(|(at, c)| text.get(at..at + c.len_utf8())))
}
