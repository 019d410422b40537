//! The steps of action.yml and of the sub-actions: a short script that becomes the program.

use std::fs;

use build_once::testing::{DOCTOR_OUTPUTS, PRUNE_OUTPUTS};
use serde_yaml_ng::Value;

use super::{action, doctor_inputs, path, prune_inputs, run_step, variable};

#[test]
fn the_action_is_a_step_that_becomes_the_program() {
    let (_, action) = action();
    assert_eq!(action["runs"]["using"].as_str(), Some("composite"));
    let run = run_step(&action);
    assert_eq!((run["id"].as_str(), run["shell"].as_str()), (Some("run"), Some("bash")));
    let script = run["run"].as_str().unwrap();
    // GitHub would put the text of an expression, such as the name of a branch, into the shell script.
    assert!(!script.contains("${{"), "{script}");
    // Signals reach the process that the runner started, and no other.
    assert!(script.lines().last().unwrap().starts_with("exec "), "{script}");
    assert!(script.contains("$GITHUB_ACTION_PATH/dist/install.sh"), "{script}");
    for gone in ["github.action_path", "github.action_ref"] {
        assert!(!script.contains(gone), "{gone} is wrong in containers and composites");
    }
}

#[test]
fn no_text_holds_an_expression() {
    let (_, action) = action();
    let mut texts = vec![("description", action["description"].as_str().unwrap())];
    for kind in ["inputs", "outputs"] {
        for (name, item) in action[kind].as_mapping().unwrap() {
            texts.push((name.as_str().unwrap(), item["description"].as_str().unwrap()));
            assert!(
                item["default"].is_null() || item["default"].is_string(),
                "{name:?}: GitHub reads defaults as text"
            );
        }
    }
    for (name, text) in texts {
        assert!(
            !text.contains("${{") && !text.is_empty(),
            "{name}: GitHub would evaluate it, and fail to load the action"
        );
    }
}

/// `prune/action.yml` and `doctor/action.yml` start the same program by the same script, and hand every input over.
#[test]
fn the_sub_actions_are_a_step_that_becomes_the_program() {
    for (name, known, outputs, steps) in [
        ("prune", prune_inputs(), PRUNE_OUTPUTS.len(), 1),
        // Two more hand over the variables of the cache service, as in the main action.
        ("doctor", doctor_inputs(), DOCTOR_OUTPUTS.len(), 3),
    ] {
        let text = fs::read_to_string(path(&format!("{name}/action.yml"))).unwrap();
        let action: Value = serde_yaml_ng::from_str(&text).unwrap();
        assert_eq!(action["runs"]["steps"].as_sequence().unwrap().len(), steps, "{name}");
        let step = run_step(&action);
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{") && script.contains("/dist/install.sh"), "{script}");
        let end = format!(" {name}\n");
        assert!(script.lines().last().unwrap().starts_with("exec ") && script.ends_with(&end), "{script}");
        assert_eq!(action["inputs"].as_mapping().unwrap().len(), known.len(), "{name}");
        for input in known {
            let expression = format!("${{{{ inputs.{} }}}}", input.name);
            assert_eq!(step["env"][variable(&input.name).as_str()].as_str(), Some(expression.as_str()));
            let default = &action["inputs"][input.name.as_str()]["default"];
            assert_eq!(default.as_str(), input.in_action(), "{}", input.name);
        }
        assert_eq!(action["outputs"].as_mapping().unwrap().len(), outputs, "{name}");
    }
}
