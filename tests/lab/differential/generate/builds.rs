//! What stands beside the context.

use crate::case::Case;
use crate::dice::Dice;

/// Fills in the inputs.
pub fn inputs(dice: &mut Dice, case: &mut Case) {
    let names: Vec<String> = case.dockerfile.stages.iter().filter_map(|stage| stage.name.clone()).collect();
    if !names.is_empty() && dice.percent(25) {
        let name = dice.of(&names).clone();
        case.inputs.target = Some(if dice.percent(10) { name.to_uppercase() } else { name });
    }
    if dice.percent(35) {
        let (name, value) = *dice.of(&[
            ("V", "given"),
            ("NAME", "given"),
            ("TAG", "2"),
            ("BASE", "{REG}/base:2"),
            ("FILE", "a.txt"),
            ("NOT_DECLARED", "1"),
            ("V", ""),
        ]);
        case.inputs.build_args.push((name.to_owned(), Some(value.to_owned())));
    }
    if dice.percent(5) {
        case.inputs.build_args.push(("OTHER".to_owned(), None));
        case.inputs.environment.push(("OTHER".to_owned(), dice.text(&["from the environment", ""])));
    }
    if dice.percent(20) {
        case.inputs.labels.push((dice.text(&["one", "com.example.y"]), "label".to_owned()));
    }
    if dice.percent(10) {
        case.inputs.platforms = Some(dice.text(&["linux/amd64", "linux/arm64", "linux/amd64,linux/arm64"]));
    }
    if dice.percent(15) {
        case.inputs.secrets.push(("tok".to_owned(), "s3cret-value".to_owned()));
    }
    if dice.percent(15) {
        case.inputs.own.push(("key".to_owned(), dice.text(&["context", "copied"])));
    }
}
