//! Writes the definition for one `docker buildx bake` over several builds, each a target with a name of its own:
//! `{"target":{"api":{"context":"api","contexts":{"base":"target:base"},…}}}`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::args::ListFlag;
use super::{BuildSpec, BuildxVersion};
use crate::inputs::ContextSource;

/// A definition, with what the command needs besides.
pub(crate) struct BakeFile {
    /// The definition.
    pub definition: Value,
    /// The target of each build, in their order. bake builds these; the others are only linked to.
    pub targets: Vec<String>,
    /// What the builds ask for (`--allow`).
    pub entitlements: BTreeSet<String>,
    /// Every build in the definition, with the place of its first secret among those of all.
    pub secrets: Vec<(BuildSpec, usize)>,
}

impl BakeFile {
    /// The definition of these builds and of those that they are linked to.
    #[must_use]
    pub(crate) fn new(builds: &[&BuildSpec], version: &BuildxVersion) -> Self {
        let mut named: BTreeMap<&str, (String, &BuildSpec, bool)> = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for build in builds {
            named.insert(&build.image, (target_name(&build.image, &mut taken), build, true));
        }
        let mut next: Vec<&BuildSpec> = builds.to_vec();
        while let Some(build) = next.pop() {
            for link in &build.links {
                if !named.contains_key(link.spec.image.as_str()) {
                    let name = target_name(&link.spec.image, &mut taken);
                    named.insert(&link.spec.image, (name, &link.spec, false));
                    next.push(&link.spec);
                }
            }
        }
        let mut file = Self {
            definition: Value::Null,
            targets: builds.iter().map(|build| named[build.image.as_str()].0.clone()).collect(),
            entitlements: BTreeSet::new(),
            secrets: Vec::new(),
        };
        let mut targets = Map::new();
        let mut first = 0;
        for (name, build, is_built) in named.values() {
            let linked = build
                .links
                .iter()
                .map(|link| (link.context.clone(), format!("target:{}", named[link.spec.image.as_str()].0)));
            let target = target(build, version, linked.collect(), *is_built, first);
            targets.insert(name.clone(), target);
            file.entitlements.extend(build.build.allow.iter().cloned());
            file.secrets.push(((*build).clone(), first));
            first += build.build.all_secrets().count();
        }
        file.definition = json!({ "target": targets });
        file
    }
}

/// A name that bake takes for a target: letters, digits, `_` and `-`.
fn target_name(image: &str, taken: &mut BTreeSet<String>) -> String {
    let usable = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let plain: String = image.chars().map(usable).collect();
    let mut name = plain.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{plain}-{number}");
        number += 1;
    }
    name
}

/// One target. `linked`: its contexts that are other targets. One that is not built is only linked to: it gets no name, and
/// writes nothing.
fn target(
    spec: &BuildSpec,
    version: &BuildxVersion,
    linked: Vec<(String, String)>,
    is_built: bool,
    first_secret: usize,
) -> Value {
    let build = &spec.build;
    let mut target = Map::new();
    let mut set = |name: &str, value: Value| target.insert(name.to_owned(), value);
    let texts = |list: &[String]| list.iter().map(|text| literal(text)).collect::<Value>();
    let pairs = |list: &[(String, String)]| {
        // Of two values of one name the last one counts.
        let pairs = list.iter().map(|(name, value)| (literal_text(name), literal(value)));
        Value::Object(pairs.collect())
    };
    set("context", literal(&String::from(build.context.clone())));
    set("dockerfile", literal(&spec.dockerfile_of_bake()));
    for (name, value) in
        [("target", &build.target), ("network", &build.network), ("shm-size", &build.shm_size)]
    {
        if let Some(value) = value {
            set(name, literal(value));
        }
    }
    set("args", pairs(&build.build_args));
    set("labels", pairs(&build.labels));
    let contexts: Vec<(String, String)> = build.build_contexts.iter().cloned().chain(linked).collect();
    set("contexts", pairs(&contexts));
    let hosts: Vec<(String, String)> = build
        .add_hosts
        .iter()
        .filter_map(|host| host.split_once(['=', ':']))
        .map(|(name, address)| (name.to_owned(), address.to_owned()))
        .collect();
    if !hosts.is_empty() {
        set("extra-hosts", pairs(&hosts));
    }
    set("platforms", build.platforms.iter().map(ToString::to_string).collect());
    for ListFlag { bake, values, of_result, .. } in spec.list_flags(version, first_secret) {
        if let Some(name) = bake.filter(|_| !values.is_empty() && (is_built || !of_result)) {
            set(name, texts(&values));
        }
    }
    for (name, is_on) in [("no-cache", build.no_cache), ("pull", build.pull)] {
        if is_on {
            set(name, true.into());
        }
    }
    let attestations: Vec<String> = [("provenance", &build.provenance), ("sbom", &build.sbom)]
        .map(|(kind, asked)| asked.of_bake(kind))
        .into_iter()
        .collect();
    set("attest", texts(&attestations));
    let output = if is_built { spec.outputs_of_bake() } else { vec!["type=cacheonly".to_owned()] };
    set("output", texts(&output));
    Value::Object(target)
}

/// A text that means itself: in bake's JSON `${` and `%{` begin a template (HCL, JSON syntax, "Expressions").
fn literal(text: &str) -> Value {
    Value::String(literal_text(text))
}

fn literal_text(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

impl BuildSpec {
    /// The Dockerfile's path; bake takes a relative one as relative to the context.
    fn dockerfile_of_bake(&self) -> String {
        let file = self.build.dockerfile();
        let is_local = matches!(self.build.context, ContextSource::Folder(_));
        let absolute = std::path::absolute(&file).ok().filter(|_| is_local);
        absolute.unwrap_or(file).display().to_string()
    }

    /// What bake calls the outputs of `docker buildx build`.
    fn outputs_of_bake(&self) -> Vec<String> {
        let long = |output: String| match output.as_str() {
            "--push" => "type=image,push=true".to_owned(),
            "--load" => "type=docker".to_owned(),
            other => other.trim_start_matches("--output=").to_owned(),
        };
        self.outputs().into_iter().map(long).collect()
    }

    /// Tells whether bake can build it together with others: two arguments of `docker buildx build` have no field there.
    #[must_use]
    pub(crate) fn suits_bake(&self) -> bool {
        self.build.extra_args.is_empty() && self.build.cgroup_parent.is_none()
    }
}
