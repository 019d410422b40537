//! A case: everything that a build is given.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::dockerfile::Dockerfile;
use super::plain::mark;
use super::tree::Tree;
use super::world::World;

/// What one build is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    pub tree: Tree,
    pub dockerfile: Dockerfile,
    /// Where the Dockerfile lies in the context.
    pub file: String,
    /// Lines of `.dockerignore`.
    pub ignore: Option<Vec<String>>,
    pub inputs: Inputs,
}

/// What stands beside the context. Names are docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Without a value: the environment's.
    pub build_args: Vec<(String, Option<String>)>,
    pub environment: Vec<(String, String)>,
    pub contexts: Vec<(String, Source)>,
    pub labels: Vec<(String, String)>,
    pub target: Option<String>,
    pub platforms: Option<String>,
    pub secrets: Vec<(String, String)>,
    pub add_hosts: Vec<String>,
    pub network: Option<String>,
    /// Other inputs of the action that plain buildx has no part in: `key`, `key-extra`, `no-cache`.
    pub own: Vec<(String, String)>,
}

/// A named context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Folder(Tree),
    /// `docker-image://…`, a git repository.
    Reference(String),
}

/// A case as it lies on the disk.
pub struct Written<'a> {
    pub case: &'a Case,
    pub root: &'a Path,
    /// The name of the context's folder.
    pub name: &'a str,
    pub world: &'a World,
}

/// What the program is started with, beside what stands in [`How`](super::desk::How).
pub struct Invocation {
    /// Where it is started.
    pub folder: PathBuf,
    /// The action's inputs, by name.
    pub inputs: Vec<(String, String)>,
    pub environment: Vec<(String, String)>,
}

impl Case {
    /// Writes it below `root`: the context as `name`, folders of named contexts as `name-CONTEXT`.
    pub fn write<'a>(&'a self, root: &'a Path, name: &'a str, world: &'a World) -> Written<'a> {
        let mut tree = self.tree.clone();
        if let Some(lines) = &self.ignore {
            tree.file(".dockerignore", &lines.iter().fold(String::new(), |text, line| text + line + "\n"));
        }
        tree.file(&self.file, &world.fill(&self.dockerfile.text()));
        tree.write(&root.join(name));
        for (context, source) in &self.inputs.contexts {
            if let Source::Folder(tree) = source {
                tree.write(&root.join(format!("{name}-{context}")));
            }
        }
        Written { case: self, root, name, world }
    }

    /// The variables that arguments refer to.
    pub fn environment(&self) -> Vec<(String, String)> {
        let secrets = self.inputs.secrets.iter().map(|(id, value)| (secret_variable(id), value.clone()));
        self.inputs.environment.iter().cloned().chain(secrets).collect()
    }
}

impl Written<'_> {
    /// The named contexts, as `NAME=SOURCE`.
    fn contexts(&self) -> Vec<String> {
        let one = |(context, source): &(String, Source)| match source {
            Source::Folder(_) => {
                format!("{context}={}", self.root.join(format!("{}-{context}", self.name)).display())
            }
            Source::Reference(text) => format!("{context}={}", self.world.fill(text)),
        };
        self.case.inputs.contexts.iter().map(one).collect()
    }

    fn build_args(&self) -> Vec<String> {
        let one = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name}={}", self.world.fill(value)),
            None => name.clone(),
        };
        self.case.inputs.build_args.iter().map(one).collect()
    }

    /// The arguments of `docker buildx build`, without the context's folder.
    pub fn arguments(&self) -> Vec<String> {
        let inputs = &self.case.inputs;
        let mut all = Vec::new();
        let mut add = |flag: &str, values: &[String]| {
            all.extend(values.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
        };
        let context = self.root.join(self.name);
        if self.case.file != "Dockerfile" {
            add("--file", &[context.join(&self.case.file).display().to_string()]);
        }
        add("--build-arg", &self.build_args());
        add("--build-context", &self.contexts());
        let labels: Vec<_> = inputs.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        add("--label", &labels);
        add("--target", inputs.target.as_slice());
        add("--platform", inputs.platforms.as_slice());
        let secrets: Vec<_> =
            inputs.secrets.iter().map(|(id, _)| format!("id={id},env={}", secret_variable(id))).collect();
        add("--secret", &secrets);
        add("--add-host", &inputs.add_hosts);
        add("--network", inputs.network.as_slice());
        all
    }

    /// A hash of all that plain buildx is given; nothing where two builds of the same may differ: BuildKit's own
    /// clone of a repository holds times, and some names are of this run alone.
    pub fn inputs_mark(&self) -> Option<String> {
        let mut case = self.case.clone();
        case.inputs.own.clear();
        let text = format!("{case:?}\n{}", case.dockerfile.text());
        if text.contains("{RUN}") || text.contains("keep-git-dir") {
            return None;
        }
        let root = self.root.join(self.name).display().to_string();
        let arguments = format!("{:?}", self.arguments()).replace(&root, "ROOT");
        let given = format!("{}\n{arguments}\n{:?}", self.world.fill(&text), self.case.environment());
        Some(mark(&format!("{}\n{given}", self.world.surroundings)))
    }

    /// The same as a target of a definition for `docker buildx bake`.
    pub fn target(&self) -> Value {
        let inputs = &self.case.inputs;
        let text = |value: &String| Value::from(self.world.fill(value));
        let object = |pairs: &mut dyn Iterator<Item = (String, Value)>| Value::Object(pairs.collect());
        let pair = |text: String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.into()));
        let value = |value: &Option<String>| value.as_ref().map_or(Value::Null, text);
        let host = |host: &String| host.split_once(':').map(|(name, ip)| (name.to_owned(), ip.into()));
        let mut target = Map::new();
        let mut add = |name: &str, value: Value| {
            if !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty()) {
                target.insert(name.to_owned(), value);
            }
        };
        add("context", self.name.into());
        add("dockerfile", (*self.case.file).into());
        add("args", object(&mut inputs.build_args.iter().map(|(name, given)| (name.clone(), value(given)))));
        add("contexts", object(&mut self.contexts().into_iter().filter_map(pair)));
        add("labels", object(&mut inputs.labels.iter().map(|(name, value)| (name.clone(), text(value)))));
        add("target", inputs.target.clone().into());
        add("platforms", inputs.platforms.as_ref().map_or(Value::Null, |names| json!([names])));
        let secrets = inputs.secrets.iter().map(|(id, _)| format!("id={id},env={}", secret_variable(id)));
        add("secret", secrets.collect::<Vec<_>>().into());
        add("extra-hosts", object(&mut inputs.add_hosts.iter().filter_map(host)));
        add("network", inputs.network.clone().into());
        Value::Object(target)
    }

    /// The program's start in the folder above the context.
    pub fn invocation(&self) -> Invocation {
        let (inputs, environment) = (self.inputs(), self.case.environment());
        Invocation { folder: self.root.to_owned(), inputs, environment }
    }

    /// The action's inputs, by name.
    fn inputs(&self) -> Vec<(String, String)> {
        let inputs = &self.case.inputs;
        let mut all = vec![("context".to_owned(), self.root.join(self.name).display().to_string())];
        let mut add = |name: &str, values: &[String]| {
            if !values.is_empty() {
                all.push((name.to_owned(), values.join("\n")));
            }
        };
        if self.case.file != "Dockerfile" {
            add("file", &[self.root.join(self.name).join(&self.case.file).display().to_string()]);
        }
        add("build-args", &self.build_args());
        add("build-contexts", &self.contexts());
        let pairs = |list: &[(String, String)]| -> Vec<String> {
            list.iter().map(|(name, value)| format!("{name}={value}")).collect()
        };
        add("labels", &pairs(&inputs.labels));
        add("target", inputs.target.as_slice());
        add("platforms", inputs.platforms.as_slice());
        add("secrets", &pairs(&inputs.secrets));
        add("add-hosts", &inputs.add_hosts);
        add("network", inputs.network.as_slice());
        all.extend(inputs.own.iter().cloned());
        all
    }
}

fn secret_variable(id: &str) -> String {
    format!("DIFFERENTIAL_SECRET_{}", id.to_uppercase())
}

impl Display for Case {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "--- {}", self.file)?;
        write!(to, "{}", self.dockerfile.text())?;
        writeln!(to, "--- files")?;
        write!(to, "{}", self.tree)?;
        if let Some(lines) = &self.ignore {
            writeln!(to, "--- .dockerignore {lines:?}")?;
        }
        let inputs = format!("{:?}", self.inputs);
        let default = format!("{:?}", Inputs::default());
        if inputs != default {
            writeln!(to, "--- {inputs}")?;
        }
        Ok(())
    }
}
