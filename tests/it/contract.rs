//! action.yml, `docs/inputs.md` and the README say what the program does: names, defaults and texts of
//! inputs from clap, those of outputs from the report. `BUILD_ONCE_UPDATE=1` writes these texts.

mod names;
mod steps;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use build_once::testing::{
    CommandLine, DOCTOR_OUTPUTS, DoctorInputs, OUTPUTS, PRUNE_OUTPUTS, PruneInputs, RawInputs,
};
use clap::CommandFactory as _;
use serde_yaml_ng::Value;

/// An input as clap knows it.
struct Input {
    heading: &'static str,
    name: String,
    default: Option<&'static str>,
    help: String,
}

impl Input {
    /// The default in action.yml; a job's token is known there alone.
    fn in_action(&self) -> Option<&'static str> {
        if self.name == "github-token" { Some("${{ github.token }}") } else { self.default }
    }
}

fn inputs() -> Vec<Input> {
    inputs_of("run", RawInputs::schema())
}

fn prune_inputs() -> Vec<Input> {
    inputs_of("prune", PruneInputs::schema())
}

fn doctor_inputs() -> Vec<Input> {
    inputs_of("doctor", DoctorInputs::schema())
}

fn inputs_of(
    command: &str,
    schema: impl Iterator<Item = (&'static str, String, Option<&'static str>)>,
) -> Vec<Input> {
    let line = CommandLine::command();
    let run = line.find_subcommand(command).unwrap();
    schema
        .map(|(heading, name, default)| {
            let argument = run.get_arguments().find(|argument| argument.get_long() == Some(&name)).unwrap();
            let known: Vec<_> =
                argument.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(known, default.into_iter().collect::<Vec<_>>(), "{name}");
            assert_eq!(argument.get_help_heading(), Some(heading), "{name}");
            // clap drops the full stop of a doc comment.
            let help = format!("{}.", argument.get_help().unwrap().to_string().trim_end_matches('.'));
            Input { heading, name, default, help }
        })
        .collect()
}

fn variable(name: &str) -> String {
    format!("INPUT_{}", name.replace('-', "_").to_uppercase())
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn action() -> (String, Value) {
    let text = fs::read_to_string(path("action.yml")).unwrap();
    let action = serde_yaml_ng::from_str(&text).unwrap();
    (text, action)
}

/// A scalar, quoted where YAML would read something else.
fn yaml(text: &str) -> String {
    let plain = serde_yaml_ng::from_str::<Value>(&format!("a: {text}"));
    if plain.is_ok_and(|read| read["a"].as_str() == Some(text)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn inputs_yaml(inputs: Vec<Input>) -> String {
    let mut text = String::new();
    let mut heading = "";
    for input in inputs {
        if heading != input.heading {
            heading = input.heading;
            writeln!(text, "  # {heading}").unwrap();
        }
        writeln!(text, "  {}:\n    description: {}", input.name, yaml(&input.help)).unwrap();
        if let Some(default) = input.in_action() {
            writeln!(text, "    default: {}", yaml(default)).unwrap();
        }
    }
    text
}

fn env_yaml(inputs: Vec<Input>) -> String {
    let line =
        |input: Input| format!("        {}: ${{{{ inputs.{} }}}}\n", variable(&input.name), input.name);
    inputs.into_iter().map(line).collect()
}

fn outputs_yaml<'a>(outputs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let output = |(name, meaning): (&str, &str)| {
        format!(
            "  {name}:\n    description: {}\n    value: ${{{{ steps.run.outputs.{name} }}}}\n",
            yaml(meaning)
        )
    };
    outputs.map(output).collect()
}

/// The outputs of the main action, by name and meaning.
fn outputs() -> impl Iterator<Item = (&'static str, &'static str)> {
    OUTPUTS.into_iter().map(|(name, meaning, _)| (name, meaning))
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const INPUTS_HEAD: &str = "| input | default | meaning |\n| --- | --- | --- |\n";

fn input_row(input: &Input) -> String {
    let default = input.default.map(|default| format!("`{default}`")).unwrap_or_default();
    format!("| `{}` | {default} | {} |\n", input.name, cell(&input.help))
}

fn inputs_markdown(inputs: Vec<Input>) -> String {
    let mut text = String::new();
    let mut heading = "";
    for input in inputs {
        if heading != input.heading {
            heading = input.heading;
            write!(text, "\n### {heading}\n\n{INPUTS_HEAD}").unwrap();
        }
        text.push_str(&input_row(&input));
    }
    text + "\n"
}

/// The inputs of most workflows.
const TEN: [&str; 10] =
    ["image", "repository", "logins", "context", "file", "build-args", "tags", "mode", "digest", "load"];

fn ten_inputs() -> String {
    let known = inputs();
    let row = |name: &&str| input_row(known.iter().find(|input| input.name == *name).unwrap());
    TEN.iter().map(row).fold(INPUTS_HEAD.to_owned(), |table, row| table + &row)
}

/// The rows of `docs/benchmarks.md` that compare a whole run, without their target.
fn figures() -> String {
    let page = fs::read_to_string(path("docs/benchmarks.md")).unwrap();
    let mut table =
        "| case | build-once | without it | ratio | command |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for case in ["hit", "alias", "pipeline", "cold"] {
        let row = page.lines().find(|line| line.starts_with(&format!("| {case}: "))).unwrap();
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, here, without, ratio, _, command] = cells[..] else { panic!("{row}") };
        writeln!(table, "| {name} | {here} | {without} | {ratio} | {command} |").unwrap();
    }
    table
}

fn outputs_markdown<'a>(outputs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let rows = outputs.map(|(name, meaning)| format!("| `{name}` | {} |\n", cell(meaning)));
    format!("\n| output | meaning |\n| --- | --- |\n{}\n", rows.collect::<String>())
}

/// What stands between two markers, each on a line of its own.
struct Section {
    file: &'static str,
    begin: &'static str,
    end: &'static str,
    generated: String,
}

fn limits_markdown() -> String {
    let rows = build_once::testing::LIMITS.iter();
    let rows = rows.map(|(what, most, beyond)| format!("| {} | {most} | {beyond} |\n", cell(what)));
    format!("| of what | most | beyond it |\n| --- | --- | --- |\n{}", rows.collect::<String>())
}

fn sections() -> Vec<Section> {
    let section = |file, begin, end, generated| Section { file, begin, end, generated };
    let mut sections = Vec::new();
    for (file, inputs, outputs) in [
        ("action.yml", inputs as fn() -> Vec<Input>, outputs().collect::<Vec<_>>()),
        ("prune/action.yml", prune_inputs, PRUNE_OUTPUTS.to_vec()),
        ("doctor/action.yml", doctor_inputs, DOCTOR_OUTPUTS.to_vec()),
    ] {
        sections.extend([
            section(file, "  # inputs: generated\n", "  # end of inputs\n", inputs_yaml(inputs())),
            section(
                file,
                "  # outputs: generated\n",
                "  # end of outputs\n",
                outputs_yaml(outputs.into_iter()),
            ),
            section(file, "        # env: generated\n", "        # end of env\n", env_yaml(inputs())),
        ]);
    }
    let (of_inputs, end_of_inputs) = ("<!-- inputs -->\n", "<!-- /inputs -->\n");
    let (of_outputs, end_of_outputs) = ("<!-- outputs -->\n", "<!-- /outputs -->\n");
    sections.extend([
        section("docs/inputs.md", of_inputs, end_of_inputs, inputs_markdown(inputs())),
        section("docs/prune.md", of_inputs, end_of_inputs, inputs_markdown(prune_inputs())),
        section("docs/doctor.md", of_inputs, end_of_inputs, inputs_markdown(doctor_inputs())),
        section("docs/doctor.md", of_outputs, end_of_outputs, outputs_markdown(DOCTOR_OUTPUTS.into_iter())),
        section("README.md", "<!-- ten inputs -->\n", "<!-- /ten inputs -->\n", ten_inputs()),
        section("README.md", "<!-- figures -->\n", "<!-- /figures -->\n", figures()),
        section("docs/limits.md", "<!-- limits -->\n", "<!-- /limits -->\n", limits_markdown()),
        section("docs/inputs.md", of_outputs, end_of_outputs, outputs_markdown(outputs())),
        section("docs/prune.md", of_outputs, end_of_outputs, outputs_markdown(PRUNE_OUTPUTS.into_iter())),
    ]);
    let set_up = crate::set_up::sections().into_iter();
    sections.extend(set_up.map(|(begin, end, text)| section("docs/set-up.md", begin, end, text)));
    sections
}

#[test]
fn generated_sections_are_as_the_program_says() {
    let update = std::env::var_os("BUILD_ONCE_UPDATE").is_some();
    for section in sections() {
        let text = fs::read_to_string(path(section.file)).unwrap();
        let missing =
            || panic!("{} has no `{}` … `{}`", section.file, section.begin.trim(), section.end.trim());
        let (before, rest) = text.split_once(section.begin).unwrap_or_else(missing);
        let (found, after) = rest.split_once(section.end).unwrap_or_else(missing);
        if found == section.generated {
            // Not written: other tests read the file.
            continue;
        }
        assert!(
            update,
            "{} is behind the program: run BUILD_ONCE_UPDATE=1 cargo test --test it contract\n{found}\n{}",
            section.file, section.generated
        );
        let new = [before, section.begin, &section.generated, section.end, after].concat();
        fs::write(path(section.file), new).unwrap();
    }
}

#[test]
fn the_action_means_what_the_program_reads() {
    let (_, action) = action();
    let declared = action["inputs"].as_mapping().unwrap();
    let env = run_step(&action)["env"].as_mapping().unwrap();
    let known = inputs();
    let given = env.keys().filter(|name| name.as_str().unwrap().starts_with("INPUT_")).count();
    assert_eq!((declared.len(), given), (known.len(), known.len()));
    for input in known {
        let found = &declared[input.name.as_str()];
        assert_eq!(found["description"].as_str(), Some(input.help.as_str()), "{}", input.name);
        assert_eq!(found["default"].as_str(), input.in_action(), "{}", input.name);
        assert!(found["required"].is_null(), "{}", input.name);
        let expression = format!("${{{{ inputs.{} }}}}", input.name);
        assert_eq!(env[variable(&input.name).as_str()].as_str(), Some(expression.as_str()));
    }
    let outputs = action["outputs"].as_mapping().unwrap();
    assert_eq!(outputs.len(), OUTPUTS.len());
    for (name, meaning, _) in OUTPUTS {
        assert_eq!(outputs[name]["description"].as_str(), Some(meaning), "{name}");
        assert_eq!(
            outputs[name]["value"].as_str(),
            Some(format!("${{{{ steps.run.outputs.{name} }}}}").as_str())
        );
    }
}

/// The step that becomes the program: the last one.
fn run_step(action: &Value) -> &Value {
    action["runs"]["steps"].as_sequence().unwrap().last().unwrap()
}

/// The cache service's variables reach the program's step through outputs of a step inside the
/// action, and only when `gha` is asked for.
#[test]
fn the_runtimes_variables_go_to_one_step() {
    let (text, action) = action();
    let steps = action["runs"]["steps"].as_sequence().unwrap();
    let [place, runtime, run] = steps.as_slice() else { panic!("{} steps", steps.len()) };
    let asked = place["if"].as_str().unwrap();
    // Wherever a cache can be named. A pull by digest builds nothing.
    for part in [
        "'gha'",
        "inputs.cache,",
        "inputs.cache-from",
        "inputs.cache-to",
        "inputs.extra-args",
        "env.BUILD_ONCE_CACHE_FROM",
        "env.BUILD_ONCE_CACHE_TO",
        "env.BUILD_ONCE_EXTRA_ARGS",
        "inputs.digest == ''",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    // Without the copy, a folder of that name is somebody else's action.
    assert_eq!(place["id"].as_str(), Some("place"));
    assert_eq!(runtime["if"].as_str(), Some("steps.place.outcome == 'success'"));
    for step in [place, runtime] {
        assert_eq!(step["continue-on-error"].as_bool(), Some(true), "no job fails for want of a cache");
    }
    assert_eq!(runtime["uses"].as_str(), Some("./.build-once-runtime"));
    let declared: Value =
        serde_yaml_ng::from_str(&fs::read_to_string(path("dist/runtime/action.yml")).unwrap()).unwrap();
    let script = fs::read_to_string(path("dist/runtime/main.js")).unwrap();
    let outputs = declared["outputs"].as_mapping().unwrap();
    let env = run["env"].as_mapping().unwrap();
    let own: Vec<_> = env.iter().filter(|(name, _)| !name.as_str().unwrap().starts_with("INPUT_")).collect();
    assert_eq!(own.len(), outputs.len());
    for (name, value) in own {
        let (name, value) = (name.as_str().unwrap(), value.as_str().unwrap());
        let (_, output) = value.split_once("steps.runtime.outputs.").unwrap();
        let output = output.split(' ').next().unwrap();
        assert!(outputs[output]["description"].as_str().unwrap().starts_with(name), "{name}");
        assert!(script.contains(&format!("'{name}'")), "{name}");
    }
    assert!(!text.contains("GITHUB_ENV") && !script.contains("GITHUB_ENV"), "never the job's environment");
}

/// The table of causes in the docs is the program's own.
#[test]
fn the_docs_list_every_cause_of_failure() {
    use build_once::testing::FailureKind;

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/troubleshooting.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- causes -->\n", "<!-- end of causes -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let row = |kind: &FailureKind| {
        let (name, code, meaning) = (kind.name(), kind.class().exit_code(), kind.meaning());
        let hint = if kind.hint().is_empty() { "its text is quoted as it came" } else { kind.hint() };
        format!("| `{name}` | {code} | {meaning} | {hint} | {} |\n", kind.reaction().words())
    };
    let head = "| `failure-cause` | exit | meaning | hint, where nothing narrower is known | tried again |\n| --- | --- | --- | --- | --- |\n";
    let table = [head.to_owned()].into_iter().chain(FailureKind::ALL.iter().map(row)).collect::<String>();
    let wanted = format!("{before}{begin}{table}{end}{after}");
    if std::env::var_os("BUILD_ONCE_UPDATE").is_some() {
        std::fs::write(path, &wanted).unwrap();
    } else {
        assert!(page == wanted, "run BUILD_ONCE_UPDATE=1 cargo test contract");
    }
}
