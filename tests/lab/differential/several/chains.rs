//! Images of one definition, some built on others: in one run, in steps, with some of them there and others not.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs;

use super::runs::{Look, Runs, each, is_excused};
use super::{Findings, Subject};
use crate::change::Change;
use crate::desk::{Desk, How, Ran};
use crate::dice::Dice;
use crate::family::Family;
use crate::image::read;
use crate::plain::Plain;
use crate::store::Layout;

/// A definition, one change of one of its images, and the order of the runs.
#[derive(Clone, Debug)]
pub struct Chain {
    pub family: Family,
    /// Of the member with this name.
    pub edit: Option<(&'static str, Change)>,
    pub order: Order,
    /// Whether images are loaded, so that later runs find them in the engine.
    pub load: bool,
}

/// Which runs follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Some images in one run, then all of them, then all of the changed definition.
    Some,
    /// All of them in one run, those of the changed definition in steps, then in one run.
    Steps,
    /// In steps, then all of the changed definition in one run.
    StepsFirst,
}

impl Chain {
    /// Made from the seed.
    pub fn any(dice: &mut Dice) -> Self {
        let family = crate::generate::family(dice);
        let member = dice.below(family.members.len());
        let edit = dice.percent(85).then(|| {
            let member = &family.members[member];
            (member.name, Change::any(dice, &member.case).0)
        });
        let order = *dice.of(&[Order::Some, Order::Some, Order::Steps, Order::StepsFirst]);
        Self { family, edit, order, load: dice.percent(25) }
    }

    /// The definition with the change.
    pub fn changed(&self) -> Family {
        let mut family = self.family.clone();
        let Some((name, change)) = &self.edit else { return family };
        let Some(place) = family.place(name) else { return family };
        if let Some(case) = change.apply(&family.members[place].case) {
            family.members[place].case = case;
        }
        family
    }
}

impl Subject for Chain {
    fn marks(&self, desk: &Desk<'_>) -> Vec<Option<String>> {
        let marks = |family: &Family| -> Vec<_> {
            (0..family.members.len()).map(|member| family.mark(desk, member)).collect()
        };
        [marks(&self.family), marks(&self.changed())].concat()
    }

    fn build(&self, desk: &Desk<'_>) -> Vec<Plain> {
        let (family, changed) = (&self.family, self.changed());
        let all: Vec<usize> = (0..family.members.len()).collect();
        let first = plain(desk, family, &all);
        let other = |&member: &usize| family.inputs(member) != changed.inputs(member);
        let others: Vec<usize> = all.iter().copied().filter(other).collect();
        let second = plain(desk, &changed, &others);
        let of = |member: &usize| second.get(member).unwrap_or(&first[member]).clone();
        first.values().cloned().chain(all.iter().map(of)).collect()
    }

    fn run(&self, desk: &Desk<'_>, plain: &[Plain]) -> Findings {
        let changed = self.changed();
        let (before, after) = plain.split_at(self.family.members.len());
        let mut told = Told { runs: Runs::new(desk, "c"), load: self.load };
        let all: Vec<usize> = (0..before.len()).collect();
        match self.order {
            Order::Some => {
                // Those at odd places, or the first one: what they are built on is not asked for.
                let some: Vec<usize> = all.iter().copied().filter(|place| place % 2 == 1).collect();
                told.bake("some", &self.family, before, if before.len() == 2 { &all[..1] } else { &some });
                told.bake("all", &self.family, before, &all);
                told.bake("changed", &changed, after, &all);
            }
            Order::Steps => {
                told.bake("all", &self.family, before, &all);
                told.steps("changed, in steps", &changed, after);
                told.bake("changed", &changed, after, &all);
            }
            Order::StepsFirst => {
                told.steps("in steps", &self.family, before);
                told.bake("changed", &changed, after, &all);
            }
        }
        told.runs.findings
    }

    fn smaller(&self) -> Vec<Self> {
        let mut list = Vec::new();
        for place in (0..self.family.members.len()).rev() {
            let mut family = self.family.clone();
            let gone = family.members.remove(place);
            let needed =
                family.members.iter().any(|one| one.link.as_ref().is_some_and(|link| link.on == gone.name));
            if family.members.len() > 1 && !needed {
                list.push(Self { family, ..self.clone() });
            }
        }
        for place in 0..self.family.members.len() {
            for case in crate::shrink::smaller(&self.family.members[place].case) {
                let mut family = self.family.clone();
                family.members[place].case = case;
                // What it takes of another one stays.
                if family.takes_parent(place) == self.family.takes_parent(place) {
                    list.push(Self { family, ..self.clone() });
                }
            }
        }
        list
    }
}

/// What plain buildx makes of some members: all in one run, and if that fails each in its own.
fn plain(desk: &Desk<'_>, family: &Family, members: &[usize]) -> BTreeMap<usize, Plain> {
    if members.is_empty() {
        return BTreeMap::new();
    }
    let root = desk.folder("plain");
    let folders = root.file_name().unwrap().to_string_lossy().into_owned();
    let mut definition = family.write(&root, &folders, desk.world);
    for (name, target) in &mut definition.targets {
        let output = format!("type=oci,tar=false,compression=uncompressed,dest=image-{name}");
        target["output"] = vec![output].into();
    }
    let name = |member: usize| family.members[member].name;
    let build = |members: &[usize]| {
        let mut bake = desk.buildx();
        bake.args([
            "bake",
            "--progress=plain",
            "--no-cache",
            "--provenance=false",
            "--builder=default",
            "--file",
        ]);
        bake.arg(definition.save(&root)).args(members.iter().map(|member| name(*member)));
        bake.current_dir(&root).envs(definition.environment.iter().cloned()).output().unwrap()
    };
    let image = |member: usize| {
        let folder = root.join(format!("image-{}", name(member)));
        let layout = Layout(&folder);
        Plain::built(read(&layout, &layout.digest()))
    };
    let alone = |member: usize| {
        let output = build(&[member]);
        if output.status.success() {
            image(member)
        } else {
            Plain::Refused(Some(crate::desk::last_words(&output)))
        }
    };
    let good = build(members).status.success();
    let made =
        members.iter().map(|&member| (member, if good { image(member) } else { alone(member) })).collect();
    fs::remove_dir_all(&root).unwrap();
    made
}

struct Told<'a> {
    runs: Runs<'a>,
    load: bool,
}

impl Told<'_> {
    fn how(&mut self) -> How {
        let load = if self.load { "auto" } else { "false" };
        self.runs.next().input("load", load)
    }

    /// Runs the program on some members in one run.
    fn bake(&mut self, what: &'static str, family: &Family, plain: &[Plain], asked: &[usize]) {
        let (how, root) = (self.how(), self.runs.desk.folder("bake"));
        let targets: Vec<&str> = asked.iter().map(|member| family.members[*member].name).collect();
        let definition = family.write(&root, "ctx", self.runs.desk.world);
        let ran = self.runs.desk.run(&definition.invocation(&root, &targets), &how);
        fs::remove_dir_all(&root).unwrap();
        let mut images = each(&ran);
        let of = |member: usize| format!("{}-{}", self.runs.prefix, family.members[member].name);
        let own = asked.iter().filter_map(|&member| Some((member, images.remove(&of(member))?))).collect();
        let mut sentences = whole(&ran, &own);
        if own.len() < asked.len() || !images.is_empty() {
            sentences.push(format!("asked for {targets:?}, and output images is {}", ran.output("images")));
        }
        self.runs.untrue(what, &ran, sentences);
        self.members(what, family, plain, &own, &how);
    }

    /// Runs the program once for each member.
    fn steps(&mut self, what: &'static str, family: &Family, plain: &[Plain]) {
        let (how, mut own) = (self.how(), BTreeMap::new());
        for member in 0..family.members.len() {
            let root = self.runs.desk.folder("step");
            let step = family.step(member, &root, &self.runs.prefix, self.runs.desk.world);
            let ran = self.runs.desk.run(&step, &self.named(&how, family, member));
            fs::remove_dir_all(&root).unwrap();
            own.insert(member, ran);
        }
        self.members(what, family, plain, &own, &how);
    }

    fn named(&self, how: &How, family: &Family, member: usize) -> How {
        How { image: format!("{}-{}", self.runs.prefix, family.members[member].name), ..how.clone() }
    }

    /// Looks at each image of a run.
    fn members(
        &mut self,
        what: &'static str,
        family: &Family,
        plain: &[Plain],
        own: &BTreeMap<usize, Ran>,
        how: &How,
    ) {
        for (&member, ran) in own {
            let parent = family.parent(member).and_then(|parent| own.get(&parent));
            if parent.is_some_and(is_excused) {
                continue;
            }
            let how = self.named(how, family, member);
            let key = parent.map(|parent| parent.output("key").to_owned()).filter(|key| !key.is_empty());
            let look = Look {
                name: family.members[member].name,
                inputs: family.inputs(member),
                parent: key.filter(|_| family.takes_parent(member)),
                plain: &plain[member],
                built: ran.output("built") == "true",
            };
            let good = self.runs.look(what, &how, ran, look);
            let mut sentences = Vec::new();
            if ran.code == Some(0)
                && ran.output("built") == "false"
                && ran.log.contains(&format!("[{} ", how.image))
            {
                sentences.push(format!("{} is there, and BuildKit builds steps of it", how.image));
            }
            // Plain buildx has made the same steps on this builder, and BuildKit takes either result. What is there enters by
            // its digest.
            let is_there = |parent: &&Ran| parent.output("built") == "false";
            let is_base = good && family.begins_with_parent(member);
            if let Some(parent) = parent.filter(is_there).filter(|_| is_base) {
                sentences.extend(self.stands_elsewhere(ran, parent));
            }
            self.runs.untrue(what, ran, sentences);
        }
    }

    /// Whether an image that this run built begins with other layers than those of the image it is built on, as published.
    fn stands_elsewhere(&self, ran: &Ran, parent: &Ran) -> Option<String> {
        let layers = |ran: &Ran| {
            let manifest = self.runs.desk.registry.manifest(ran.output("digest"))?;
            manifest["layers"].as_array().cloned()
        };
        if ran.output("pushed") != "true" || parent.output("digest").is_empty() {
            return None;
        }
        let (child, parent) = (layers(ran)?, layers(parent)?);
        let sentence = || format!("it is built on other layers than {parent:?}: {child:?}");
        (!child.starts_with(&parent)).then(sentence)
    }
}

/// What a run says of all its images together and is not so.
fn whole(ran: &Ran, own: &BTreeMap<usize, Ran>) -> Vec<String> {
    let all = || own.values().map(|ran| ran.output("outcome"));
    let first =
        ["failed", "built", "built-local"].into_iter().find(|outcome| all().any(|one| one == *outcome));
    let outcome = ran.output("outcome");
    let as_they = first.map_or(all().any(|one| one == outcome), |first| first == outcome);
    let failed = all().any(|one| one == "failed");
    let missing: Vec<String> = serde_json::from_str(ran.output("missing")).unwrap_or_default();
    let mut said = Vec::new();
    if !as_they || failed != (ran.code != Some(0)) || missing.is_empty() == failed {
        let of_all: Vec<&str> = all().collect();
        said.push(format!("{of_all:?}: outcome {outcome}, code {:?}, missing {missing:?}", ran.code));
    }
    said
}

impl Display for Chain {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{:?}, load {}, changed: {:?}", self.order, self.load, self.edit)?;
        write!(to, "{}", self.family)
    }
}
