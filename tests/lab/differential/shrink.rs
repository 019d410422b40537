//! Smaller forms of a case.

use super::case::{Case, Inputs};
use super::dockerfile::{Instruction, Style};

/// Each with one thing less, the largest steps first.
pub fn smaller(case: &Case) -> Vec<Case> {
    let mut list = Vec::new();
    let mut with = |change: &dyn Fn(&mut Case)| {
        let mut new = case.clone();
        change(&mut new);
        if new != *case {
            list.push(new);
        }
    };
    with(&|case| case.inputs = Inputs::default());
    with(&|case| case.ignore = None);
    with(&|case| case.dockerfile.style = Style::default());
    with(&|case| case.dockerfile.directives.clear());
    with(&|case| case.dockerfile.globals.clear());
    with(&|case| case.file = "Dockerfile".to_owned());
    for stage in (0..case.dockerfile.stages.len()).rev() {
        if case.dockerfile.stages.len() > 1 {
            with(&|case| drop(case.dockerfile.stages.remove(stage)));
        }
        with(&|case| case.dockerfile.stages[stage].body.clear());
        with(&|case| case.dockerfile.stages[stage].platform = None);
        with(&|case| case.dockerfile.stages[stage].name = None);
        with(&|case| "scratch".clone_into(&mut case.dockerfile.stages[stage].base));
        for number in (0..case.dockerfile.stages[stage].body.len()).rev() {
            with(&|case| drop(case.dockerfile.stages[stage].body.remove(number)));
            with(&|case| {
                if let Instruction::Copy(copy) = &mut case.dockerfile.stages[stage].body[number] {
                    copy.flags.clear();
                }
            });
        }
    }
    for path in case.tree.0.keys() {
        with(&|case| drop(case.tree.0.remove(path)));
    }
    for number in 0..case.ignore.as_ref().map_or(0, Vec::len) {
        with(&|case| drop(case.ignore.as_mut().unwrap().remove(number)));
    }
    with(&|case| case.inputs.build_args.clear());
    with(&|case| case.inputs.contexts.clear());
    with(&|case| case.inputs.labels.clear());
    with(&|case| case.inputs.secrets.clear());
    with(&|case| case.inputs.own.clear());
    with(&|case| case.inputs.target = None);
    with(&|case| case.inputs.platforms = None);
    // An image without a layer shows nothing of what a larger one does.
    list.retain(|case| case.dockerfile.stages.iter().any(|stage| !stage.body.is_empty()));
    list
}
