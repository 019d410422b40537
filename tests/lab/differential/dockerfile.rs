//! A Dockerfile as data, so that a change is one change and a failing case can be made smaller.

use std::fmt::Write as _;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dockerfile {
    /// Lines before everything else, such as `# escape=\``.
    pub directives: Vec<String>,
    /// `ARG`s before the first `FROM`.
    pub globals: Vec<Arg>,
    pub stages: Vec<Stage>,
    pub style: Style,
}

/// How the same instructions are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub lower: bool,
    pub blank_lines: bool,
    pub indent: bool,
    /// A comment after each instruction.
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    pub name: String,
    pub default: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub base: String,
    pub platform: Option<String>,
    pub name: Option<String>,
    pub body: Vec<Instruction>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    Copy(Copy),
    Here(Here),
    Run(Run),
    Arg(Arg),
    /// `ENV`, `LABEL`: a name and a value that is written in double quotes.
    Pair {
        keyword: &'static str,
        name: String,
        value: String,
    },
    /// Everything that is a keyword and a text: `WORKDIR`, `USER`, `CMD`, `EXPOSE`.
    Plain {
        keyword: &'static str,
        rest: String,
    },
    OnBuild(Box<Instruction>),
}

/// `COPY` or `ADD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub add: bool,
    pub from: Option<String>,
    pub flags: Vec<String>,
    pub sources: Vec<String>,
    pub destination: String,
    pub json: bool,
}

/// `COPY` or `RUN` with a here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    pub run: bool,
    /// What stands before the delimiter: `<<`, `<<-`, `<< `.
    pub arrow: &'static str,
    pub quoted: bool,
    pub delimiter: String,
    pub lines: Vec<String>,
    /// Of a `COPY`.
    pub destination: String,
}

/// `RUN` in shell form or exec form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// `type=bind,…`
    pub mounts: Vec<String>,
    pub command: String,
    pub exec: bool,
}

impl Dockerfile {
    /// Its text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.directives {
            let _ = writeln!(text, "{line}");
        }
        for arg in &self.globals {
            self.line(&mut text, &format!("ARG {}", arg.text()));
        }
        for stage in &self.stages {
            let platform =
                stage.platform.as_ref().map_or(String::new(), |name| format!("--platform={name} "));
            let name = stage.name.as_ref().map_or(String::new(), |name| format!(" AS {name}"));
            self.line(&mut text, &format!("FROM {platform}{}{name}", stage.base));
            for instruction in &stage.body {
                self.line(&mut text, &instruction.text());
            }
        }
        text
    }

    fn line(&self, text: &mut String, line: &str) {
        let (keyword, rest) = line.split_once(' ').unwrap();
        let keyword = if self.style.lower { keyword.to_lowercase() } else { keyword.to_owned() };
        let indent = if self.style.indent { "  " } else { "" };
        let _ = writeln!(text, "{indent}{keyword} {rest}");
        if self.style.blank_lines {
            text.push('\n');
        }
        if let Some(comment) = &self.style.comment {
            let _ = writeln!(text, "# {comment}");
        }
    }
}

impl Arg {
    fn text(&self) -> String {
        self.default.as_ref().map_or_else(|| self.name.clone(), |value| format!("{}={value}", self.name))
    }
}

impl Instruction {
    /// `KEYWORD rest`, with the lines of a here-document.
    pub fn text(&self) -> String {
        match self {
            Self::Copy(copy) => copy.text(),
            Self::Here(here) => here.text(),
            Self::Run(run) => run.text(),
            Self::Arg(arg) => format!("ARG {}", arg.text()),
            Self::Pair { keyword, name, value } => format!("{keyword} {name}=\"{value}\""),
            Self::Plain { keyword, rest } => format!("{keyword} {rest}"),
            Self::OnBuild(inner) => format!("ONBUILD {}", inner.text()),
        }
    }
}

fn json(words: &[&str]) -> String {
    serde_json::to_string(words).unwrap()
}

impl Copy {
    fn text(&self) -> String {
        let keyword = if self.add { "ADD" } else { "COPY" };
        let mut flags: Vec<String> = self.from.iter().map(|name| format!("--from={name}")).collect();
        flags.extend(self.flags.iter().cloned());
        let flags = flags.iter().fold(String::new(), |text, flag| text + flag + " ");
        let words: Vec<&str> = self.sources.iter().chain([&self.destination]).map(String::as_str).collect();
        let blank = words.iter().any(|word| word.contains([' ', '"']));
        let words = if self.json || blank { json(&words) } else { words.join(" ") };
        format!("{keyword} {flags}{words}")
    }
}

impl Here {
    fn text(&self) -> String {
        let name = &self.delimiter;
        let written = if self.quoted { format!("\"{name}\"") } else { name.clone() };
        let body = self.lines.iter().fold(String::new(), |text, line| text + line + "\n");
        let arrow = self.arrow;
        if self.run {
            format!("RUN {arrow}{written}\n{body}{name}")
        } else {
            format!("COPY {arrow}{written} {}\n{body}{name}", self.destination)
        }
    }
}

impl Run {
    fn text(&self) -> String {
        let mounts = self.mounts.iter().fold(String::new(), |text, mount| format!("{text}--mount={mount} "));
        let command = if self.exec { json(&["/bin/sh", "-c", &self.command]) } else { self.command.clone() };
        // Without a network a step costs the engine half of the time. Those in exec form keep the build's.
        let network = if self.exec { "" } else { "--network=none " };
        format!("RUN {network}{mounts}{command}")
    }
}
