//! A case from the seed: files.

use super::case::{Case, Inputs, Source};
use super::dice::Dice;
use super::tree::{Node, Tree};

mod builds;
mod family;
mod stages;

pub use builds::inputs;
pub use family::{family, for_platforms};

const NAMES: [&str; 22] = [
    "a",
    "b",
    "foo",
    "src",
    "docs",
    "a.txt",
    "b.txt",
    "c.md",
    "Foo",
    "x y",
    "caf\u{e9}",
    "[br]",
    "#hash",
    "-dash",
    "c++",
    ".hidden",
    "%41",
    "bang!",
    "run.sh",
    "a.b.c",
    "q~",
    "node_modules",
];

/// One of everything that a build is given.
pub fn case(dice: &mut Dice) -> Case {
    let mut case = Case { tree: tree(dice, 7), file: file(dice), ..Case::default() };
    case.ignore = dice.percent(35).then(|| ignore(dice, &case.tree));
    case.inputs = Inputs::default();
    if dice.percent(30) {
        case.inputs.contexts = contexts(dice);
    }
    stages::dockerfile(dice, &mut case);
    inputs(dice, &mut case);
    case
}

fn file(dice: &mut Dice) -> String {
    dice.text(&["Dockerfile", "Dockerfile", "Dockerfile", "docker/ci.Dockerfile", "Containerfile"])
}

/// A tree of some nodes; at least one text file at its top.
pub fn tree(dice: &mut Dice, most: usize) -> Tree {
    let mut tree = Tree::default();
    tree.file("a.txt", &text(dice));
    let mut folders = vec![String::new()];
    for _ in 0..1 + dice.below(most) {
        let path = format!("{}{}", dice.of(&folders).clone(), dice.of(&NAMES));
        if tree.0.contains_key(&path) || tree.0.keys().any(|known| known.starts_with(&format!("{path}/"))) {
            continue;
        }
        match dice.below(10) {
            0..=2 => {
                if dice.percent(80) {
                    tree.file(&format!("{path}/inner"), &text(dice));
                } else {
                    tree.0.insert(path.clone(), Node::Folder);
                }
                folders.push(format!("{path}/"));
            }
            3 => {
                let files = tree.files();
                let known = dice.of(&files).clone();
                let target = match dice.below(4) {
                    0 => "nowhere".to_owned(),
                    1 => "..".to_owned(),
                    // Absolute, and as BuildKit reads it within the context.
                    2 => format!("/{known}"),
                    // From the link's own folder.
                    _ => "../".repeat(path.matches('/').count()) + &known,
                };
                tree.0.insert(path, Node::Link(target));
            }
            4 => {
                let mode = *dice.of(&[0o755, 0o755, 0o4755, 0o2755]);
                tree.0.insert(path, Node::File { text: text(dice), mode });
            }
            _ => tree.file(&path, &text(dice)),
        }
    }
    tree
}

fn text(dice: &mut Dice) -> String {
    // Of one length, mostly, so that a change of content is one of content only.
    if dice.percent(85) { format!("text {:05}\n", dice.below(100_000)) } else { "x".repeat(dice.below(5)) }
}

fn ignore(dice: &mut Dice, tree: &Tree) -> Vec<String> {
    let paths: Vec<String> = tree.0.keys().cloned().collect();
    let plain = |path: &String| !path.contains(['[', '!', '#']) && path.trim() == path;
    let paths: Vec<String> = paths.into_iter().filter(plain).collect();
    let mut lines = Vec::new();
    for _ in 0..1 + dice.below(4) {
        let path = dice.of(&paths).clone();
        lines.push(match dice.below(9) {
            0 => "*.md".to_owned(),
            1 => "**/inner".to_owned(),
            2 => format!("!{path}"),
            3 => "# a comment".to_owned(),
            4 => "docs".to_owned(),
            5 => "/src/".to_owned(),
            6 => "node_modules/**".to_owned(),
            7 => "?".to_owned(),
            _ => path,
        });
    }
    if dice.percent(15) {
        lines.insert(0, "*".to_owned());
        lines.push("!a.txt".to_owned());
        lines.push(format!("!{}", dice.of(&paths)));
    }
    lines
}

/// Named contexts; some have the names of stages and bases.
fn contexts(dice: &mut Dice) -> Vec<(String, Source)> {
    let mut list = Vec::new();
    for _ in 0..1 + dice.below(2) {
        let name = dice.text(&["extra", "node", "build", "alpine", "differential-local", "node:latest"]);
        let source = match dice.below(4) {
            0 => Source::Reference("docker-image://{REG}/base:2".to_owned()),
            1 => Source::Reference("docker-image://{BASES}:env".to_owned()),
            2 => Source::Reference("{WEB}r.git#v1".to_owned()),
            _ => Source::Folder(tree(dice, 3)),
        };
        if !list.iter().any(|(known, _): &(String, Source)| known.eq_ignore_ascii_case(&name)) {
            list.push((name, source));
        }
    }
    list
}
