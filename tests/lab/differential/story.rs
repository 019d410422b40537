//! Runs that follow each other: a hit in place of a build, a builder with a past, a registry that is not
//! there, a tag that cannot be set, an interrupt. Each run is checked for what it says.

use super::case::Case;
use super::check::{Fault, is_documented, published, run, serial};
use super::claims::untrue;
use super::desk::{Desk, How, Ran};
use super::dice::Dice;
use super::dockerfile::{Instruction, Run};
use super::plain::Plain;
use super::world::{LOCAL, World};
use crate::harness::lab;

/// A case with the image that plain buildx makes of it.
pub struct Told<'a> {
    pub desk: &'a Desk<'a>,
    pub case: &'a Case,
    pub plain: &'a Plain,
}

type Faults = Vec<(&'static str, Fault)>;

impl Told<'_> {
    fn name(&self) -> String {
        format!("{}-t{}", self.desk.world.run, serial())
    }

    /// One run, checked for what it says; `good`: it must also end well.
    fn run(&self, what: &'static str, how: &How, good: bool, faults: &mut Faults) -> Ran {
        let ran = run(self.desk, self.case, "story", how);
        let untrue = untrue(self.desk, how, &ran);
        if !untrue.is_empty() {
            let asked = asked(how, &ran);
            faults.push((what, Fault::Untrue([untrue, vec![asked]].concat())));
        }
        if good && ran.code != Some(0) && !is_documented(ran.output("reason")) {
            let asked = asked(how, &ran);
            faults.push((what, Fault::Refused(asked)));
        }
        ran
    }

    /// Built, found again by the same commit, by another one, and pulled; with publishing inputs at random.
    pub fn published(&self, dice: &mut Dice) -> Faults {
        let (mut faults, mut how) = (Vec::new(), How::new(self.desk, &self.name()));
        if dice.percent(15) && !lab().get("BUILD_ONCE_LAB_CLASSIC_HOST").is_empty() {
            how = how.classic();
        }
        how = publishing(dice, how);
        let silent = how.get("push") == Some("false");
        let first = self.run("build", &how, true, &mut faults);
        if first.code != Some(0) || silent {
            return faults;
        }
        if let Some(fault) = published(self.desk, self.case, self.plain, &first) {
            faults.push(("build", fault));
        }
        let hits = [("the same commit", how.clone()), ("another commit", how.clone().commit(7))];
        for (what, how) in hits {
            let hit = self.run(what, &how, true, &mut faults);
            self.is_hit(what, &first, &hit, &mut faults);
        }
        let pull = how.without("tags").without("annotations").without("push").input("mode", "pull");
        let pull = if dice.percent(50) { pull.input("digest", first.output("digest")) } else { pull };
        let pulled = self.run("pull", &pull.without("load"), true, &mut faults);
        self.is_hit("pull", &first, &pulled, &mut faults);
        if pulled.code == Some(0) && pulled.output("local-image").is_empty() {
            faults.push(("pull", Fault::Untrue(vec!["pulled, and no local-image".to_owned()])));
        }
        faults
    }

    fn is_hit(&self, what: &'static str, first: &Ran, hit: &Ran, faults: &mut Faults) {
        let same = hit.output("digest") == first.output("digest");
        if hit.code == Some(0) && (!same || hit.output("built") == "true") {
            let said = |ran: &Ran| format!("{} {}", ran.output("outcome"), ran.output("digest"));
            let lines = vec![said(first), said(hit), hit.output("reason").to_owned()];
            faults.push((what, Fault::Untrue(lines)));
        }
    }

    /// A registry that refuses connections: built for this machine, then found there.
    pub fn degraded(&self) -> Faults {
        let mut faults = Vec::new();
        let how = How::new(self.desk, &self.name()).without("repository").without("cache");
        let how = how.input("repository", "127.0.0.1:9/nothing");
        let first = self.run("no registry", &how, true, &mut faults);
        if first.code == Some(0) && first.output("degraded") != "true" {
            faults
                .push(("no registry", Fault::Untrue(vec!["no registry, and degraded is false".to_owned()])));
        }
        faults
    }

    /// A tag in a registry that refuses connections, beside one that can be set.
    pub fn half(&self) -> Faults {
        let mut faults = Vec::new();
        let how = How::new(self.desk, &self.name());
        let own = format!("{}:{}-v1", how.get("repository").unwrap_or_default(), how.image);
        let how = how.input("tags", &format!("{own}\n127.0.0.1:9/nothing:v2"));
        let first = self.run("half", &how, false, &mut faults);
        let again = self.run("half, again", &how.commit(3), false, &mut faults);
        for (what, ran) in [("half", &first), ("half, again", &again)] {
            if ran.code == Some(0) && ran.output("degraded") != "true" {
                faults.push((
                    what,
                    Fault::Untrue(vec!["a tag that cannot be set, and all is well".to_owned()]),
                ));
            }
        }
        faults
    }

    /// An interrupt while the build runs.
    pub fn cancelled(&self) -> Faults {
        let (mut faults, mut case) = (Vec::new(), self.case.clone());
        let command = format!("sleep 2; echo {}", serial());
        let wait = Instruction::Run(Run { mounts: Vec::new(), command, exec: false });
        let last = case.dockerfile.stages.last_mut().unwrap();
        "{REG}/base:1".clone_into(&mut last.base);
        last.body.insert(0, wait);
        case.inputs.target = None;
        let told = Told { desk: self.desk, case: &case, plain: self.plain };
        let mut how = How::new(self.desk, &self.name());
        how.interrupt_at = Some("docker buildx build");
        let ran = told.run("interrupted", &how, false, &mut faults);
        if ran.code == Some(0) {
            faults.push(("interrupted", Fault::Untrue(vec!["interrupted, and all is well".to_owned()])));
        }
        faults
    }

    /// Fresh builders, and the registry's layer cache, which the first run fills.
    pub fn warm(&self, changed: &Case, changed_plain: &Plain) -> Faults {
        let mut faults = Vec::new();
        let text = format!("{}{changed}", self.case);
        if text.contains(LOCAL) || text.contains("r.git") {
            return faults;
        }
        let how =
            How::new(self.desk, &self.name()).without("cache").without("builder").input("cache-mode", "max");
        for (what, case, plain) in
            [("fresh builder", self.case, self.plain), ("warm registry cache", changed, changed_plain)]
        {
            let told = Told { desk: self.desk, case, plain };
            // Of two commits: the first one has left its tag.
            let how = how.clone().commit(if what == "fresh builder" { 1 } else { 2 });
            let ran = told.run(what, &how, matches!(plain, Plain::Image(_)), &mut faults);
            if let Some(fault) = published(self.desk, case, plain, &ran) {
                faults.push((what, fault));
            }
        }
        faults
    }
}

/// What was asked, and how it ended.
fn asked(how: &How, ran: &Ran) -> String {
    let inputs: Vec<String> = how.inputs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{} on {}: {}", inputs.join(" "), how.host, ran.output("reason"))
}

/// Publishing inputs at random.
fn publishing(dice: &mut Dice, mut how: How) -> How {
    let own = |tag: &str| format!("{}:{}-{tag}", how.get("repository").unwrap_or_default(), how.image);
    let tags = [own("v1"), own("v2"), format!("{}/differential/other:{}", World::host(), how.image)];
    let count = dice.below(4);
    if count > 0 {
        how = how.input("tags", &tags[..count].join("\n"));
    }
    if dice.percent(40) {
        how = how.input("annotations", &dice.text(&["a.b=c", "manifest:a.b=c", "index:a.b=c"]));
    }
    if dice.percent(30) {
        how = how.input("compression", &dice.text(&["zstd", "gzip"]));
    }
    if dice.percent(50) {
        how = how.input("load", &dice.text(&["true", "false"]));
    }
    if dice.percent(30) {
        how = how.input("push", &dice.text(&["true", "false"]));
    }
    how
}
