//! Several images of one definition, some of them built on others.

use std::fmt::{self, Display};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::case::{Case, Invocation, Source, Written};
use super::desk::Desk;
use super::plain::mark;
use super::world::World;

/// A definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Each is built on an earlier one, if on any.
    pub members: Vec<Member>,
}

/// One image, which is a target of the definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: &'static str,
    pub case: Case,
    pub link: Option<Link>,
}

/// What an image is built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The name of the other member.
    pub on: &'static str,
    /// The build context that it is.
    pub context: String,
}

/// A definition on the disk.
pub struct Definition {
    pub targets: Map<String, Value>,
    pub environment: Vec<(String, String)>,
}

const FILE: &str = "docker-bake.json";

impl Family {
    /// Where a member stands.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }

    /// The member that this one is built on.
    pub fn parent(&self, member: usize) -> Option<usize> {
        self.place(self.members[member].link.as_ref()?.on)
    }

    /// Variables of all members: a run has one environment.
    fn environment(&self) -> Vec<(String, String)> {
        self.members.iter().flat_map(|member| member.case.environment()).collect()
    }

    /// All that decides the image of a member, as text.
    pub fn inputs(&self, member: usize) -> String {
        let mut case = self.members[member].case.clone();
        case.inputs.own.clear();
        let link = self.members[member].link.as_ref().map(|link| &link.context);
        let parent = self.parent(member).map(|parent| self.inputs(parent));
        format!("{case:?} {link:?} {parent:?} {:?}", self.environment())
    }

    /// The hash under which what plain buildx makes of a member is recorded.
    pub fn mark(&self, desk: &Desk<'_>, member: usize) -> Option<String> {
        let own = desk.mark(&self.members[member].case)?;
        if let Some(parent) = self.parent(member) {
            self.mark(desk, parent)?;
        }
        Some(mark(&format!("of a definition: {own} {}", self.inputs(member))))
    }

    /// Whether a member begins with the layers of the one that it is built on.
    pub fn begins_with_parent(&self, member: usize) -> bool {
        let Member { case, link: Some(link), .. } = &self.members[member] else { return false };
        let last = case.dockerfile.stages.last().unwrap();
        case.inputs.target.is_none() && last.base == link.context
    }

    /// Whether the stage that is built takes anything of the member that this one is built on.
    pub fn takes_parent(&self, member: usize) -> bool {
        let Member { case, link: Some(link), .. } = &self.members[member] else { return false };
        let from = format!("from={}", link.context);
        let last = case.dockerfile.stages.last().unwrap();
        let copies = last.body.iter().any(|instruction| instruction.text().contains(&from));
        case.inputs.target.is_none() && (last.base == link.context || copies)
    }

    /// Writes the contexts below `root`, each as `folders-NAME`.
    pub fn write(&self, root: &Path, folders: &str, world: &World) -> Definition {
        let mut definition = Definition { targets: Map::new(), environment: self.environment() };
        for member in &self.members {
            let name = format!("{folders}-{}", member.name);
            let written = member.case.write(root, &name, world);
            let mut target = written.target();
            if let Some(link) = &member.link {
                target["contexts"][&link.context] = format!("target:{}", link.on).into();
            }
            definition.targets.insert(member.name.to_owned(), target);
        }
        definition
    }

    /// Writes one member, and starts the program on it alone: what it is built on is an image of another step, whose name
    /// begins with `prefix`.
    pub fn step(&self, member: usize, root: &Path, prefix: &str, world: &World) -> Invocation {
        let Member { name, case, link } = &self.members[member];
        let mut case = case.clone();
        case.inputs.own.clear();
        if let Some(link) = link {
            let image = Source::Reference(format!("build-once://{prefix}-{}", link.on));
            case.inputs.contexts.push((link.context.clone(), image));
        }
        let name = format!("ctx-{name}");
        case.write(root, &name, world);
        let written = Written { case: &case, root, name: &name, world };
        Invocation { environment: self.environment(), ..written.invocation() }
    }
}

impl Definition {
    /// Writes the file.
    pub fn save(&self, root: &Path) -> &'static str {
        let text = json!({"target": self.targets}).to_string();
        std::fs::write(root.join(FILE), text).unwrap();
        FILE
    }

    /// The program's start on some of its targets.
    pub fn invocation(self, root: &Path, targets: &[&str]) -> Invocation {
        let inputs = [("bake", self.save(root).to_owned()), ("targets", targets.join(","))];
        let inputs = inputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Invocation { folder: root.to_owned(), inputs, environment: self.environment }
    }
}

impl Display for Family {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for member in &self.members {
            writeln!(to, "===== {}", member.name)?;
            if let Some(link) = &member.link {
                writeln!(to, "context {} is target:{}", link.context, link.on)?;
            }
            write!(to, "{}", member.case)?;
        }
        Ok(())
    }
}
