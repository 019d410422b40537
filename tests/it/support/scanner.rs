//! How the runner reads a step's output (actions/runner: `ProcessInvoker` splits lines,
//! `ActionCommandManager` and `ActionCommand` find commands), stricter in one thing: every
//! name counts, not only the registered ones.

/// A command that the runner would obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub name: String,
    pub properties: String,
    pub message: String,
}

/// The log as the runner sees it.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// What is obeyed.
    pub commands: Vec<Command>,
    /// What is printed.
    pub lines: Vec<String>,
    /// A `stop-commands` that nothing ended.
    pub stopped: bool,
}

pub(crate) fn scan(log: &str) -> Scanned {
    let mut scanned = Scanned::default();
    let mut token: Option<String> = None;
    for line in log.split(['\r', '\n']) {
        match (parse(line), &token) {
            (Some(command), Some(end)) if command.name == *end => token = None,
            (Some(command), None) => {
                if command.name == "stop-commands" {
                    token = Some(command.message.clone());
                }
                scanned.commands.push(command);
            }
            _ if line.is_empty() => {}
            _ => scanned.lines.push(line.to_owned()),
        }
    }
    scanned.stopped = token.is_some();
    scanned
}

fn parse(line: &str) -> Option<Command> {
    let modern = line.trim_start().strip_prefix("::").and_then(|rest| rest.split_once("::"));
    let (info, message) =
        modern.or_else(|| line.split_once("##[").and_then(|(_, rest)| rest.split_once(']')))?;
    let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
    let decode = |text: &str| {
        text.replace("%0D", "\r")
            .replace("%0A", "\n")
            .replace("%3A", ":")
            .replace("%2C", ",")
            .replace("%25", "%")
    };
    Some(Command { name: name.to_owned(), properties: decode(properties), message: decode(message) })
}

/// Commands anywhere, brackets or not: what an outer program that echoes the log would obey.
pub(crate) fn bare_commands(log: &str) -> Vec<Command> {
    log.split(['\r', '\n']).filter_map(parse).collect()
}

#[test]
fn the_oracle_reads_as_the_runner_does() {
    let names = |log: &str| scan(log).commands.into_iter().map(|command| command.name).collect::<Vec<_>>();
    assert_eq!(names("  ::set-output name=a::b"), ["set-output"]);
    assert_eq!(names("x ##[error]y"), ["error"]);
    assert_eq!(names("a\r::warning::b"), ["warning"]);
    assert_eq!(names("x ::error::y"), [""; 0]);
    assert_eq!(names("::stop-commands::t\n::error::x\n::t::\n::error::y"), ["stop-commands", "error"]);
    assert!(scan("::stop-commands::t\n::u::").stopped);
}
