//! `COPY` and `ADD`.

use super::{Known, Writer};
use crate::case::Source;
use crate::dockerfile::{Copy, Instruction};
use crate::tree::Node;
use crate::world::LOCAL;

impl Writer<'_> {
    pub(super) fn flags(&mut self) -> Vec<String> {
        let mut flags = Vec::new();
        if self.dice.percent(10) {
            flags.push(self.dice.text(&["--chmod=600", "--chmod=0755"]));
        }
        if self.dice.percent(8) {
            flags.push("--chown=1000:1000".to_owned());
        }
        if self.dice.percent(12) {
            flags.push("--link".to_owned());
        }
        flags
    }

    /// Sources in the context.
    pub(super) fn sources(&mut self, number: usize) -> Vec<String> {
        let paths = self.sent();
        let mut list = Vec::new();
        for _ in 0..1 + self.dice.below(8) / 6 {
            let path = self.dice.of(&paths).clone();
            // What a pattern or a variable would be made of is quoted.
            let path = path.replace('[', "[[]").replace('$', "\\$");
            list.push(match self.dice.below(12) {
                0 => ".".to_owned(),
                1 => "*.txt".to_owned(),
                2 => format!("/{path}"),
                3 => format!("./{path}"),
                4 => path.split_once('/').map_or(path.clone(), |(folder, _)| folder.to_owned()),
                5 => path.split_once('/').map_or(path.clone(), |(folder, _)| format!("{folder}/*")),
                6 if self.stages[number].variables.contains(&"FILE".to_owned()) => "${FILE}".to_owned(),
                7 => format!("{}?", &path[..path.floor_char_boundary(path.len() - 1)]),
                _ => path,
            });
        }
        list
    }

    /// Paths that the ignore rules leave in the context, most likely: a copy of another fails.
    pub(super) fn sent(&mut self) -> Vec<String> {
        let lines = self.case.ignore.clone().unwrap_or_default();
        let is_taken = |path: &str| {
            let named = |line: &String| {
                let line = line.trim_matches('/');
                path == line || path.starts_with(&format!("{line}/"))
            };
            let pattern = lines.iter().any(|line| match &**line {
                "*.md" => path.ends_with(".md"),
                "**/inner" => path.ends_with("inner"),
                "?" => {
                    path.chars().next().is_some_and(|_| path.split('/').next().unwrap().chars().count() == 1)
                }
                "*" => path != "a.txt",
                _ => false,
            });
            pattern || lines.iter().any(named)
        };
        let all: Vec<String> = self.case.tree.0.keys().cloned().collect();
        let sent: Vec<String> = all.iter().filter(|path| !is_taken(path)).cloned().collect();
        if sent.is_empty() || self.dice.percent(2) { all } else { sent }
    }

    pub(super) fn copy(&mut self, number: usize) -> Instruction {
        let mut copy = Copy {
            add: self.dice.percent(15),
            from: None,
            flags: self.flags(),
            sources: self.sources(number),
            destination: self.destination(number),
            json: self.dice.percent(15),
        };
        if copy.sources.len() > 1 && !copy.destination.ends_with('/') {
            copy.destination.push('/');
        }
        if self.dice.percent(30) {
            copy.add = false;
            self.from(number, &mut copy);
        } else if !copy.add && self.dice.percent(10) {
            copy.flags.push(self.dice.text(&["--exclude=*.md", "--exclude=inner", "--exclude=**/b*"]));
        }
        self.keep(number, &copy);
        Instruction::Copy(copy)
    }

    /// Copies from another stage, an image or a named context.
    pub(super) fn from(&mut self, number: usize, copy: &mut Copy) {
        let (from, files) = if number > 0 && self.dice.percent(70) {
            let other = self.dice.below(number);
            let known = self.stages[other].clone();
            // A name that this stage has too is this one's.
            let known =
                if known.name == self.stages[number].name { Known { name: None, ..known } } else { known };
            let by_name = known.name.clone().filter(|_| self.dice.percent(70));
            let name = by_name.unwrap_or_else(|| other.to_string());
            (if self.dice.percent(8) { name.to_uppercase() } else { name }, known.files)
        } else if !self.case.inputs.contexts.is_empty() && self.dice.percent(60) {
            let (name, source) = self.dice.of(&self.case.inputs.contexts).clone();
            let files = match source {
                Source::Folder(tree) => tree.files(),
                Source::Reference(text) if text.contains("git") => vec!["x".to_owned(), "sub/y".to_owned()],
                Source::Reference(_) => vec!["/etc/passwd".to_owned()],
            };
            (name, files)
        } else {
            let name = self.dice.text(&["{REG}/base:2", "{BASES}:index", "{BASES}:tiny", LOCAL]);
            self.copies_local |= name == LOCAL;
            let file = if name.ends_with("tiny") { "/one/file" } else { "/etc/base-version" };
            (name, vec![file.to_owned()])
        };
        copy.from = Some(from);
        copy.sources =
            vec![if files.is_empty() { "/etc/passwd".to_owned() } else { self.dice.of(&files).clone() }];
    }

    /// Remembers what a copy made, where that is plain.
    pub(super) fn keep(&mut self, number: usize, copy: &Copy) {
        if copy.sources.len() != 1
            || copy.destination.contains('$')
            || copy.destination.starts_with(['r', '.'])
        {
            return;
        }
        let source = &copy.sources[0];
        let is_file = copy.from.is_some() || matches!(self.case.tree.0.get(source), Some(Node::File { .. }));
        if is_file {
            let name = source.rsplit('/').next().unwrap();
            let path = if copy.destination.ends_with('/') {
                format!("{}{name}", copy.destination)
            } else {
                copy.destination.clone()
            };
            self.stages[number].files.push(path);
        }
    }

    pub(super) fn add(&mut self, number: usize) -> Instruction {
        let source = self.dice.text(&[
            "{WEB}file",
            "{WEB}r.git",
            "{WEB}r.git#v1",
            "{WEB}r.git#v2",
            "{WEB}r.git#main:sub",
            "{WEB}r.git#both",
            "{WEB}r.git?ref=v1&subdir=sub",
            "{WEB}r.git?tag=both",
            "{WEB}r.git?branch=both",
        ]);
        let mut flags = self.flags();
        if source.contains("git") && self.dice.percent(15) {
            flags.push("--keep-git-dir=true".to_owned());
        }
        let destination = self.destination(number);
        let destination = if destination.ends_with('/') { destination } else { destination + "/" };
        Instruction::Copy(Copy {
            add: true,
            from: None,
            flags,
            sources: vec![source],
            destination,
            json: false,
        })
    }
}
