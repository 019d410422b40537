//! Random trees and ignore files, the same for the same seed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// A reproducible source of choices (splitmix64).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    pub(super) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

const NAMES: [&str; 34] = [
    "a",
    "b",
    "c",
    "foo",
    "bar",
    "src",
    "docs",
    "node_modules",
    ".hidden",
    ".git",
    "a.txt",
    "b.md",
    "Foo",
    "x y",
    " lead",
    "trail ",
    "tab\there",
    "new\nline",
    "caf\u{e9}",
    "cafe\u{301}",
    "\u{65e5}\u{672c}",
    "st*r",
    "q?",
    "[br]",
    "back\\slash",
    "!bang",
    "#hash",
    "-dash",
    "c++",
    "a.b.c",
    "...",
    "%41",
    "\u{1f980}",
    "\u{7f}",
];

/// A random tree; the paths made, folders with a slash.
pub(super) fn tree(dice: &mut Dice, root: &Path) -> Vec<String> {
    let mut folders = vec![String::new()];
    let mut paths = Vec::new();
    for _ in 0..2 + dice.below(18) {
        let parent = folders[dice.below(folders.len())].clone();
        let long = "n".repeat(255);
        let name = if dice.one_in(60) { &*long } else { dice.of(&NAMES) };
        let path = format!("{parent}{name}");
        let full = root.join(&path);
        if fs::symlink_metadata(&full).is_ok() {
            continue;
        }
        match dice.below(10) {
            0..=2 => {
                fs::create_dir(&full).unwrap();
                folders.push(format!("{path}/"));
            }
            3 => {
                let target = match dice.below(6) {
                    0 => ".".to_owned(),
                    1 => "..".to_owned(),
                    2 => name.to_owned(),
                    3 => "/etc/hostname".to_owned(),
                    4 => dice.of(&NAMES).to_owned(),
                    _ => paths.get(dice.below(paths.len().max(1))).cloned().unwrap_or("gone".to_owned()),
                };
                symlink(target, &full).unwrap();
            }
            _ => {
                fs::write(&full, format!("{}", dice.below(5))).unwrap();
                let mode = [0o644, 0o644, 0o600, 0o755, 0o711, 0o655, 0o4755][dice.below(7)];
                fs::set_permissions(&full, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        paths.push(path);
    }
    paths
}

/// A random ignore file that speaks of these paths; none now and then.
pub(super) fn ignore(dice: &mut Dice, paths: &[String]) -> Option<String> {
    if dice.one_in(6) || paths.is_empty() {
        return None;
    }
    let mut text = String::new();
    if dice.one_in(10) {
        text.push('\u{feff}');
    }
    for _ in 0..=dice.below(6) {
        let path = &paths[dice.below(paths.len())];
        // Signs that mean something in a pattern, taken literally.
        let literal: String = path
            .chars()
            .map(|c| if "*?[]\\".contains(c) { format!("\\{c}") } else { c.to_string() })
            .collect();
        let last = literal.rsplit('/').next().unwrap().to_owned();
        let first = literal.split('/').next().unwrap().to_owned();
        let start: String = last.chars().take(1).filter(|c| c.is_alphanumeric()).collect();
        let pattern = match dice.below(20) {
            0 => "*".to_owned(),
            1 => "**".to_owned(),
            2 => format!("**/{last}"),
            3 => format!("{first}/**"),
            4 => format!("*/{last}"),
            5 => format!("{start}*"),
            6 => format!("**/{start}*"),
            7 => format!("/{literal}"),
            8 => format!("{literal}/"),
            9 => format!("./{first}/../{literal}"),
            10 => "**/*.md".to_owned(),
            11 => "[a-c]".to_owned(),
            12 => "**/[^a-c]*".to_owned(),
            13 => "?".to_owned(),
            14 => format!("{first}/*/{last}"),
            15 => format!("{first}/**/{last}"),
            16 => format!("*/*{start}"),
            _ => literal,
        };
        // BuildKit hands patterns on as a header, and fails where that takes no control characters.
        if pattern.contains(|c: char| c.is_ascii_control()) {
            continue;
        }
        let exception = if dice.one_in(3) { "!" } else { "" };
        let end = dice.of(&["\n", "\n", "\n", "\r\n", "  \n", "\n\n", "\n# a comment\n"]);
        text.extend([exception, &pattern, end]);
    }
    Some(text)
}
