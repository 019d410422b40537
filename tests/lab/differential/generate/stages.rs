//! The Dockerfile of a case.

mod copies;

use crate::case::Case;
use crate::dice::Dice;
use crate::dockerfile::{Arg, Dockerfile, Here, Instruction, Run, Stage, Style};
use crate::world::LOCAL;

/// What a stage that was begun holds and knows.
#[derive(Clone, Default)]
struct Known {
    name: Option<String>,
    shell: bool,
    /// Absolute paths of files.
    files: Vec<String>,
    variables: Vec<String>,
}

struct Writer<'a> {
    dice: &'a mut Dice,
    case: &'a mut Case,
    stages: Vec<Known>,
    globals: Vec<String>,
    /// Whether a stage copies from the image that only the engines know.
    copies_local: bool,
}

const STAGE_NAMES: [&str; 9] = ["build", "node", "base", "a", "Final", "alpine", LOCAL, "stage-1", "extra"];

/// Writes the Dockerfile into the case.
pub fn dockerfile(dice: &mut Dice, case: &mut Case) {
    let mut writer = Writer { dice, case, stages: Vec::new(), globals: Vec::new(), copies_local: false };
    let mut file = Dockerfile { style: writer.style(), ..Dockerfile::default() };
    if writer.dice.percent(5) {
        file.directives.push("# check=skip=all".to_owned());
    }
    file.globals = writer.global_args();
    for number in 0..1 + writer.dice.below(4) {
        let stage = writer.stage(number);
        file.stages.push(stage);
    }
    case.dockerfile = file;
}

impl Writer<'_> {
    fn style(&mut self) -> Style {
        let dice = &mut *self.dice;
        Style {
            lower: dice.percent(10),
            blank_lines: dice.percent(10),
            indent: dice.percent(10),
            comment: dice.percent(10).then(|| "a comment".to_owned()),
        }
    }

    fn global_args(&mut self) -> Vec<Arg> {
        let mut list = Vec::new();
        for (name, default) in
            [("BASE", Some("{REG}/base:1")), ("TAG", Some("1")), ("NAME", Some("global")), ("NONE", None)]
        {
            if self.dice.percent(30) {
                self.globals.push(name.to_owned());
                list.push(Arg { name: name.to_owned(), default: default.map(str::to_owned) });
            }
        }
        list
    }

    /// A base, and what is known of it.
    fn base(&mut self) -> (String, Known) {
        let shell = |files: &[&str]| Known {
            shell: true,
            files: [&["/etc/passwd", "/etc/base-version"], files]
                .concat()
                .iter()
                .map(|&file| file.to_owned())
                .collect(),
            ..Known::default()
        };
        if !self.stages.is_empty() && self.dice.percent(40) {
            let known = self.dice.of(&self.stages).clone();
            if let Some(name) = known.name.clone() {
                let name = name.to_lowercase();
                return (name, Known { name: None, ..known });
            }
        }
        if self.globals.contains(&"BASE".to_owned()) && self.dice.percent(50) {
            return (self.dice.text(&["${BASE}", "$BASE", "${BASE:-scratch}"]), shell(&[]));
        }
        if self.globals.contains(&"TAG".to_owned()) && self.dice.percent(30) {
            return (self.dice.text(&["{REG}/base:${TAG}", "{REG}/base:${TAG:-2}"]), shell(&[]));
        }
        let named: Vec<_> = self.case.inputs.contexts.iter().map(|(name, _)| name.clone()).collect();
        if !named.is_empty() && self.dice.percent(25) {
            let name = self.dice.of(&named).trim_end_matches(":latest").to_lowercase();
            return (name, Known::default());
        }
        match self.dice.below(60) {
            0 => ("scratch".to_owned(), Known::default()),
            1 => {
                ("{BASES}:tiny".to_owned(), Known { files: vec!["/one/file".to_owned()], ..Known::default() })
            }
            2 | 22 => ("{BASES}:onbuild".to_owned(), shell(&[])),
            3 => ("{BASES}:env".to_owned(), Known { shell: false, ..shell(&[]) }),
            4 | 11..=13 => ("{BASES}:index".to_owned(), shell(&[])),
            10 | 23 => ("{BASES}:triggers".to_owned(), shell(&["/onbuild/tiny"])),
            5 | 24 => ("{BASES}:run".to_owned(), shell(&["/triggered"])),
            6 | 14..=16 => (
                self.dice.text(&[LOCAL, &format!("{LOCAL}:latest"), &format!("docker.io/library/{LOCAL}")]),
                shell(&[]),
            ),
            7 | 17 => (self.dice.text(&["{REG}/base@{DIGEST}", "{REG}/base:1@{DIGEST}"]), shell(&[])),
            8 | 18..=20 => ("{REG}/base:2".to_owned(), shell(&[])),
            9 | 21 => ("{REG}/base".to_owned(), shell(&[])),
            _ => ("{REG}/base:1".to_owned(), shell(&[])),
        }
    }

    fn stage(&mut self, number: usize) -> Stage {
        let (base, mut known) = self.base();
        let named = self.dice.percent(75);
        known.name = named.then(|| self.dice.text(&STAGE_NAMES));
        // A name that an earlier stage copies from must not become a stage's: the file would be a wrong one.
        if known.name.as_deref() == Some(LOCAL) && self.copies_local {
            known.name = None;
        }
        let platform = self
            .dice
            .percent(6)
            .then(|| self.dice.text(&["$BUILDPLATFORM", "linux/amd64", "linux/arm64", "$TARGETPLATFORM"]));
        let stage = Stage { base, platform, name: known.name.clone(), body: Vec::new() };
        self.stages.push(known);
        let mut body = Vec::new();
        for _ in 0..1 + self.dice.below(4) {
            body.push(self.instruction(number));
        }
        Stage { body, ..stage }
    }

    fn instruction(&mut self, number: usize) -> Instruction {
        let shell = self.stages[number].shell;
        match self.dice.below(20) {
            0..=6 => self.copy(number),
            7 | 8 => self.here(number),
            9 | 10 if shell => self.run(number),
            11 => self.argument(number),
            12 => {
                let name = self.dice.text(&["V", "OTHER", "NAME"]);
                let value = self.word(number);
                self.stages[number].variables.push(name.clone());
                Instruction::Pair { keyword: "ENV", name, value }
            }
            13 => {
                let (name, value) = (self.dice.text(&["one", "two", "com.example.x"]), self.word(number));
                Instruction::Pair { keyword: "LABEL", name, value }
            }
            14 => {
                let (keyword, rest) = *self.dice.of(&[
                    ("WORKDIR", "/w"),
                    ("WORKDIR", "w/${NAME:-deep}"),
                    ("USER", "0:0"),
                    ("CMD", "[\"/bin/sh\", \"-c\", \"true\"]"),
                    ("CMD", "echo $NAME"),
                    ("EXPOSE", "80/tcp 443"),
                    ("STOPSIGNAL", "SIGINT"),
                    ("VOLUME", "/v"),
                    ("ENTRYPOINT", "[\"/bin/sh\"]"),
                    ("MAINTAINER", "me"),
                    ("HEALTHCHECK", "--interval=5s CMD true"),
                    ("SHELL", "[\"/bin/sh\", \"-ec\"]"),
                ]);
                Instruction::Plain { keyword, rest: rest.to_owned() }
            }
            15 => Instruction::OnBuild(Box::new(self.copy(number))),
            16 => self.add(number),
            _ => self.copy(number),
        }
    }

    /// A value: plain, or with a variable in it.
    fn word(&mut self, number: usize) -> String {
        let variables = self.stages[number].variables.clone();
        let plain = self.dice.text(&["value", "v 1", "a.txt", "1000"]);
        if variables.is_empty() || self.dice.percent(50) {
            return plain;
        }
        let name = self.dice.of(&variables).clone();
        match self.dice.below(7) {
            0 => format!("${name}"),
            1 => format!("${{{name}:-{plain}}}"),
            2 => format!("${{{name}:+{plain}}}"),
            3 => format!("${{{name}%.*}}"),
            4 => format!("${{{name}/a/b}}"),
            5 => format!("${{{name}#*.}}"),
            _ => format!("x${{{name}}}y"),
        }
    }

    fn argument(&mut self, number: usize) -> Instruction {
        let name =
            self.dice.text(&["V", "NAME", "BASE", "TAG", "TARGETARCH", "UNUSED", "HTTP_PROXY", "FILE"]);
        let default = if name == "TARGETARCH" || self.dice.percent(40) {
            None
        } else if name == "FILE" {
            Some("a.txt".to_owned())
        } else {
            Some(self.dice.text(&["one", "two", "a.txt"]))
        };
        self.stages[number].variables.push(name.clone());
        Instruction::Arg(Arg { name, default })
    }

    fn destination(&mut self, number: usize) -> String {
        let text = self.dice.text(&["/out/", "/d/", "/w/", "rel/", "/out/a.txt", "/deep/er/", "./"]);
        let variables = &self.stages[number].variables;
        if !variables.is_empty() && self.dice.percent(15) {
            format!("/out/${{{}:-none}}/", self.dice.of(variables))
        } else {
            text
        }
    }

    fn here(&mut self, number: usize) -> Instruction {
        let run = self.stages[number].shell && self.dice.percent(25);
        let variables = self.stages[number].variables.clone();
        let mut lines = vec![if run { "echo made >/run-here".to_owned() } else { "line one".to_owned() }];
        if let Some(name) = variables.first() {
            lines.push(if run {
                format!("echo ${name} >>/run-here")
            } else {
                format!("${name} and ${{{name}:-x}}")
            });
        }
        if !run && self.dice.percent(30) {
            lines.push("\ttabbed".to_owned());
        }
        if !run {
            self.stages[number].files.push("/here/doc".to_owned());
        }
        // A COPY takes what stands after the blank for a file's name.
        let spaced = self.dice.percent(if run { 25 } else { 1 });
        Instruction::Here(Here {
            run,
            arrow: if spaced { "<< " } else { self.dice.of::<&str>(&["<<", "<<", "<<-"]) },
            quoted: self.dice.percent(30),
            delimiter: self.dice.text(&["EOF", "X", "E-1"]),
            lines,
            destination: "/here/doc".to_owned(),
        })
    }

    fn run(&mut self, number: usize) -> Instruction {
        let (mut mounts, mut command) = (Vec::new(), "echo made >/run-file".to_owned());
        match self.dice.below(8) {
            0 => {
                let paths = self.sent();
                let plain: Vec<_> =
                    paths.iter().filter(|path| !path.contains([' ', ',', '"', '$', '\''])).collect();
                if plain.is_empty() {
                    return self.here(number);
                }
                let path = (*self.dice.of(&plain)).clone();
                mounts.push(format!("type=bind,source={path},target=/mnt/file"));
                command = "(cat /mnt/file || ls /mnt/file) >/run-file 2>&1".to_owned();
            }
            1 => {
                mounts.push("type=bind,target=/mnt".to_owned());
                command =
                    "(cd /mnt && find . | sort && find . -type f -exec sha256sum {} + | sort) >/run-file"
                        .to_owned();
            }
            2 if number > 0 => {
                let other = self.dice.below(number);
                let name = self.stages[other].name.clone().unwrap_or_else(|| other.to_string());
                mounts.push(format!("type=bind,from={name},target=/mnt"));
                command = "(cd /mnt && find . -name '*.txt' | sort) >/run-file".to_owned();
            }
            3 => {
                mounts.push("type=secret,id=tok".to_owned());
                command = "(cat /run/secrets/tok 2>/dev/null || echo none) >/run-file".to_owned();
            }
            4 => {
                mounts.push("type=cache,id={RUN}-cache,target=/mnt".to_owned());
                command = "echo kept >/mnt/x && cat /mnt/x >/run-file".to_owned();
            }
            5 => {
                command = "env | grep -E '^(V|NAME|OTHER|TAG|FILE|TARGETARCH)=' | sort >/run-file || true"
                    .to_owned()
            }
            6 => {
                mounts.push("type=bind,from={BASES}:index,target=/mnt".to_owned());
                command = "cat /mnt/etc/base-version >/run-file".to_owned();
            }
            _ => {}
        }
        self.stages[number].files.push("/run-file".to_owned());
        Instruction::Run(Run { mounts, command, exec: self.dice.percent(15) })
    }
}
