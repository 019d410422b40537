//! What each change does.

use super::{Change, Place};
use crate::case::{Case, Source};
use crate::dockerfile::{Copy, Here, Instruction, Run, Stage};
use crate::tree::Node;

impl Change {
    /// The case with this change; nothing where it does not apply.
    #[allow(clippy::too_many_lines, reason = "one arm for each change")]
    pub fn apply(&self, case: &Case) -> Option<Case> {
        let mut new = case.clone();
        let file = &mut new.dockerfile;
        match self {
            Self::Clone => return Some(new),
            Self::Content(path) => {
                let Node::File { text, .. } = new.tree.0.get_mut(path)? else { return None };
                let last = text.trim_end_matches('\n').chars().last()?;
                let other = if last == '7' { "8" } else { "7" };
                let end = text.trim_end_matches('\n').len();
                text.replace_range(end - last.len_utf8()..end, other);
            }
            Self::Length(path) => {
                let Node::File { text, .. } = new.tree.0.get_mut(path)? else { return None };
                text.push_str("more\n");
            }
            Self::Executable(path) => {
                let Node::File { mode, .. } = new.tree.0.get_mut(path)? else { return None };
                *mode ^= 0o111;
            }
            Self::AddFile(path) => {
                let parent_is_file = path
                    .split_once('/')
                    .is_some_and(|(folder, _)| !matches!(new.tree.0.get(folder), None | Some(Node::Folder)));
                if new.tree.0.contains_key(path) || parent_is_file {
                    return None;
                }
                new.tree.file(path, "added\n");
            }
            Self::RemoveFile(path) => {
                if new.tree.0.len() == 1 {
                    return None;
                }
                new.tree.0.remove(path)?;
            }
            Self::RenameFile(path) => {
                let node = new.tree.0.remove(path)?;
                if node == Node::Folder {
                    return None;
                }
                new.tree.0.insert(format!("{path}2"), node);
            }
            Self::LinkTarget(path) => {
                let Node::Link(target) = new.tree.0.get_mut(path)? else { return None };
                target.push_str("2");
            }
            Self::IgnoreAdd(path) => new.ignore.get_or_insert_default().push(path.clone()),
            Self::IgnoreRemove(number) => {
                let lines = new.ignore.as_mut().filter(|lines| *number < lines.len())?;
                lines.remove(*number);
            }
            Self::IgnoreComment => new.ignore.as_mut()?.insert(0, "# other".to_owned()),
            Self::KeywordCase => file.style.lower ^= true,
            Self::BlankLines => file.style.blank_lines ^= true,
            Self::Indent => file.style.indent ^= true,
            Self::Comment => file.style.comment = Some("another comment".to_owned()),
            Self::DockerfilePath => {
                new.file = if case.file == "ci/Other" { "Dockerfile" } else { "ci/Other" }.to_owned();
            }
            Self::GlobalDefault(number) => {
                let arg = file.globals.get_mut(*number)?;
                let other = match &*arg.name {
                    "BASE" => "{REG}/base:2",
                    "TAG" => "2",
                    _ => "other",
                };
                arg.default = Some(other.to_owned());
            }
            Self::ArgDefault((stage, number)) => {
                let Instruction::Arg(arg) = file.stages[*stage].body.get_mut(*number)? else { return None };
                arg.default = Some(if arg.name == "FILE" { "b.txt" } else { "another" }.to_owned());
            }
            Self::RemoveInstruction((stage, number)) => {
                let body = &mut file.stages[*stage].body;
                if *number >= body.len() {
                    return None;
                }
                body.remove(*number);
            }
            Self::SwapInstructions((stage, number)) => {
                let body = &mut file.stages[*stage].body;
                if number + 1 >= body.len() || body[*number] == body[*number + 1] {
                    return None;
                }
                body.swap(*number, number + 1);
            }
            Self::AddEnv(stage) => {
                let (name, value) = ("ADDED".to_owned(), "yes".to_owned());
                file.stages.get_mut(*stage)?.body.push(Instruction::Pair { keyword: "ENV", name, value });
            }
            Self::PairValue((stage, number)) => {
                let pair = file.stages.get_mut(*stage)?.body.get_mut(*number)?;
                let Instruction::Pair { value, .. } = pair else { return None };
                value.push('2');
            }
            Self::AddStage => {
                let last = file.stages.len() - 1;
                // A number that a later stage is known by would be another's.
                if new.inputs.target.is_none() && last > 0 && !file.text().contains("--from=") {
                    return None;
                }
                let (name, base) = (Some("not-reached".to_owned()), "{REG}/base:2".to_owned());
                let (sources, destination) = (vec!["a.txt".to_owned()], "/not/reached".to_owned());
                let copy = Copy { add: false, from: None, flags: vec![], sources, destination, json: false };
                file.stages
                    .insert(last, Stage { base, platform: None, name, body: vec![Instruction::Copy(copy)] });
            }
            Self::AddCopy(stage) => {
                let (sources, destination) = (vec!["a.txt".to_owned()], "/added/".to_owned());
                let copy = Copy { add: false, from: None, flags: vec![], sources, destination, json: false };
                file.stages.get_mut(*stage)?.body.push(Instruction::Copy(copy));
            }
            Self::JsonForm(place) => match instruction(&mut new, *place)? {
                Instruction::Copy(copy) if !copy.sources.iter().any(|path| path.contains(' ')) => {
                    copy.json ^= true;
                }
                Instruction::Run(run) => run.exec ^= true,
                _ => return None,
            },
            Self::HereDelimiter(place) => here(&mut new, *place)?.delimiter.push('2'),
            Self::HereLine(place) => here(&mut new, *place)?.lines.push("# one more".to_owned()),
            Self::HereQuotes(place) => here(&mut new, *place)?.quoted ^= true,
            Self::Flag(place) => {
                let Instruction::Copy(copy) = instruction(&mut new, *place)? else { return None };
                copy.flags.push("--chmod=640".to_owned());
            }
            Self::Destination(place) => {
                let Instruction::Copy(copy) = instruction(&mut new, *place)? else { return None };
                copy.destination = "/other/place/".to_owned();
            }
            Self::FromNumber((stage, number)) => {
                let names: Vec<_> = file.stages.iter().map(|stage| stage.name.clone()).collect();
                let Instruction::Copy(copy) = instruction(&mut new, (*stage, *number))? else { return None };
                let from = copy.from.as_mut()?;
                let meant = names[..*stage]
                    .iter()
                    .rposition(|name| name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(from)))?;
                *from = meant.to_string();
            }
            Self::RunText(place) => {
                let Instruction::Run(Run { command, .. }) = instruction(&mut new, *place)? else {
                    return None;
                };
                command.push_str(" && echo more >/more");
            }
            Self::BuildArg(name) => {
                let value = match *name {
                    "TAG" => "2",
                    "FILE" => "b.txt",
                    "HTTP_PROXY" => "http://127.0.0.1:9",
                    _ => "changed",
                };
                new.inputs.build_args.retain(|(known, _)| known != name);
                new.inputs.build_args.push(((*name).to_owned(), Some(value.to_owned())));
            }
            Self::BuildArgNotDeclared => {
                new.inputs.build_args.push(("SOURCE_COMMIT".to_owned(), Some("0123456".to_owned())));
            }
            Self::BuildArgTwice => {
                let (name, _) = new.inputs.build_args.first()?.clone();
                new.inputs.build_args.insert(0, (name, Some("overridden".to_owned())));
            }
            Self::LabelAdd => new.inputs.labels.push(("added".to_owned(), "yes".to_owned())),
            Self::LabelOrder => {
                if new.inputs.labels.len() < 2 {
                    return None;
                }
                new.inputs.labels.reverse();
            }
            Self::TargetNamed => {
                let name = file.stages.last()?.name.clone()?;
                if new.inputs.target.is_some() {
                    return None;
                }
                new.inputs.target = Some(name);
            }
            Self::TargetCase => {
                let target = new.inputs.target.as_mut()?;
                *target = if *target == target.to_uppercase() {
                    target.to_lowercase()
                } else {
                    target.to_uppercase()
                };
            }
            Self::TargetOther => {
                let name = file.stages.first()?.name.clone()?;
                new.inputs.target = Some(name);
            }
            Self::PlatformNamed => {
                if new.inputs.platforms.is_some() {
                    return None;
                }
                new.inputs.platforms = Some("linux/amd64".to_owned());
            }
            Self::PlatformOther => new.inputs.platforms = Some("linux/arm64".to_owned()),
            Self::HostAdd => new.inputs.add_hosts.push("some.host:10.0.0.1".to_owned()),
            Self::HostOrder => {
                if new.inputs.add_hosts.len() < 2 {
                    return None;
                }
                new.inputs.add_hosts.reverse();
            }
            Self::NetworkNamed => new.inputs.network = Some("default".to_owned()),
            Self::SecretAdd => {
                // The same id twice is refused by name.
                if !new.inputs.secrets.is_empty() {
                    return None;
                }
                new.inputs.secrets.push(("tok".to_owned(), "another".to_owned()));
            }
            Self::SecretValue => new.inputs.secrets.first_mut()?.1 = "0ther-value".to_owned(),
            Self::ContextUnused => {
                let image = Source::Reference("docker-image://{REG}/base:2".to_owned());
                new.inputs.contexts.push(("not-used".to_owned(), image));
            }
            Self::ContextContent(number) => {
                let (_, Source::Folder(tree)) = new.inputs.contexts.get_mut(*number)? else { return None };
                let Node::File { text, .. } = tree.0.values_mut().next()? else { return None };
                text.insert(0, '9');
                text.pop();
            }
            Self::ContextImage(number) => {
                let (_, Source::Reference(text)) = new.inputs.contexts.get_mut(*number)? else { return None };
                let other =
                    if text.contains("git") { "{WEB}r.git#v2" } else { "docker-image://{REG}/base:1" };
                other.clone_into(text);
            }
            Self::Own(name, value) => {
                new.inputs.own.push(((*name).to_owned(), (*value).to_owned()));
            }
            Self::BaseSpelled(stage) => {
                let base = &mut file.stages.get_mut(*stage)?.base;
                if base == "{REG}/base:1" {
                    "{REG}/base:1@{DIGEST}".clone_into(base);
                } else if base == "differential-local" {
                    "docker.io/library/differential-local:latest".clone_into(base);
                } else {
                    return None;
                }
            }
        }
        (new != *case).then_some(new)
    }
}

fn instruction(case: &mut Case, (stage, number): Place) -> Option<&mut Instruction> {
    case.dockerfile.stages.get_mut(stage)?.body.get_mut(number)
}

fn here(case: &mut Case, place: Place) -> Option<&mut Here> {
    match instruction(case, place)? {
        Instruction::Here(here) => Some(here),
        _ => None,
    }
}
