//! What is asked in several runs: images built on each other, and some alone; an image for two platforms.

use crate::case::Case;
use crate::dice::Dice;
use crate::dockerfile::{Arg, Copy, Here, Instruction};
use crate::family::{Family, Link, Member};

const NAMES: [&str; 4] = ["one", "two", "three", "four"];

/// Two to four images; the second is built on the first, others as it comes.
pub fn family(dice: &mut Dice) -> Family {
    let mut family = Family::default();
    for place in 0..2 + dice.below(3) {
        let mut case = super::case(dice);
        case.inputs.own.clear();
        (case.inputs.platforms, case.inputs.target) = (None, None);
        // bake knows a context by its short name alone.
        case.inputs.contexts.retain(|(name, _)| !name.ends_with(":latest"));
        let link = (place == 1 || place > 1 && dice.percent(60)).then(|| {
            let context = dice.text(&["parent", "parent", "base", "node"]);
            let is_taken = case.inputs.contexts.iter().any(|(name, _)| name.starts_with(&context));
            let context = if is_taken { "parent".to_owned() } else { context };
            Link { on: NAMES[dice.below(place)], context }
        });
        let last = case.dockerfile.stages.last_mut().unwrap();
        // What later ones can copy.
        let file = Here {
            run: false,
            arrow: "<<",
            quoted: false,
            delimiter: "X".to_owned(),
            lines: vec![format!("of {}", NAMES[place])],
            destination: "/chain/file".to_owned(),
        };
        last.body.push(Instruction::Here(file));
        if let Some(Link { context, .. }) = &link {
            if dice.percent(70) {
                last.base.clone_from(context);
                last.platform = None;
            } else {
                let (sources, destination) = (vec!["/chain".to_owned()], "/copied/".to_owned());
                let from = Some(context.clone());
                let copy = Copy { add: false, from, flags: Vec::new(), sources, destination, json: false };
                last.body.push(Instruction::Copy(copy));
            }
        }
        family.members.push(Member { name: NAMES[place], case, link });
    }
    family
}

/// A case of which each platform has a file of its own. It names no platforms.
pub fn for_platforms(dice: &mut Dice) -> Case {
    let mut case = super::case(dice);
    case.inputs.platforms = None;
    for name in ["only-amd64", "only-arm64"] {
        case.tree.file(name, &format!("{name} {:05}\n", dice.below(100_000)));
    }
    if let Some(lines) = &mut case.ignore {
        lines.push("!only-*".to_owned());
    }
    case.inputs.target = None;
    let last = case.dockerfile.stages.last_mut().unwrap();
    last.body.push(Instruction::Arg(Arg { name: "TARGETARCH".to_owned(), default: None }));
    let (sources, destination) = (vec!["only-${TARGETARCH}".to_owned()], "/only/".to_owned());
    let copy = Copy { add: false, from: None, flags: Vec::new(), sources, destination, json: false };
    last.body.push(Instruction::Copy(copy));
    case
}
