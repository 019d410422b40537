//! An image for two platforms: both in one build, each in a job of its own and then merged, one of them there already.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde_json::Value;

use super::judge::State;
use super::runs::{Look, Runs};
use super::{Findings, Subject};
use crate::case::Case;
use crate::change::Change;
use crate::check;
use crate::desk::Desk;
use crate::dice::Dice;
use crate::harness::KEY;
use crate::image::Content;
use crate::plain::{Plain, Seen};

/// A case without a platform, one change of it, and how its platforms come to be there.
#[derive(Clone, Debug)]
pub struct Platforms {
    pub case: Case,
    pub edit: Option<Change>,
    pub order: Order,
}

/// Which runs come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Both in one build, then each is found.
    Together,
    /// Each in a job of its own, then they are merged.
    Apart,
    /// The one with this number alone, then both: only the other one is missing.
    Half(usize),
}

const BOTH: &str = "linux/amd64,linux/arm64";
const EACH: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// The changes that are of one platform alone.
const OWN: [&str; 2] = ["only-amd64", "only-arm64"];

impl Platforms {
    /// Made from the seed.
    pub fn any(dice: &mut Dice) -> Self {
        let case = crate::generate::for_platforms(dice);
        let edit = match dice.below(4) {
            0 => None,
            1 => Some(Change::Content(dice.text(&OWN))),
            _ => Some(Change::any(dice, &case).0),
        };
        let order = match dice.below(5) {
            0 => Order::Together,
            1 | 2 => Order::Apart,
            _ => Order::Half(dice.below(2)),
        };
        Self { case, edit, order }
    }

    /// The case with the change. The platforms stay.
    fn changed(&self) -> Case {
        let changed = self.edit.as_ref().and_then(|change| change.apply(&self.case));
        let mut changed = changed.unwrap_or_else(|| self.case.clone());
        changed.inputs.platforms = None;
        changed
    }
}

/// For these platforms.
fn with(case: &Case, platforms: &str) -> Case {
    let mut case = case.clone();
    case.inputs.platforms = Some(platforms.to_owned());
    case
}

/// What plain buildx makes for both, and for each.
fn build(desk: &Desk<'_>, case: &Case) -> Vec<Plain> {
    let both = desk.build_unrecorded(&with(case, BOTH));
    let of = |platform: &str| match &both {
        Plain::Image(Seen { content: Some(content), .. }) if content.images.len() == EACH.len() => {
            Plain::built(part(content, platform))
        }
        // None, or a stage for one platform alone is in both.
        _ => desk.build_unrecorded(&with(case, platform)),
    };
    let each = EACH.map(of);
    [vec![both], each.to_vec()].concat()
}

/// The image of one platform.
fn part(content: &Content, platform: &str) -> Content {
    let images = content.images.iter().filter(|(name, _)| name.starts_with(platform));
    Content { images: images.map(|(name, image)| (name.clone(), image.clone())).collect() }
}

impl Subject for Platforms {
    fn marks(&self, desk: &Desk<'_>) -> Vec<Option<String>> {
        let marks = |case: &Case| [BOTH, EACH[0], EACH[1]].map(|platforms| desk.mark(&with(case, platforms)));
        [marks(&self.case), marks(&self.changed())].concat()
    }

    fn build(&self, desk: &Desk<'_>) -> Vec<Plain> {
        let (changed, first) = (self.changed(), build(desk, &self.case));
        let second = if bare(&changed) == bare(&self.case) { first.clone() } else { build(desk, &changed) };
        [first, second].concat()
    }

    fn run(&self, desk: &Desk<'_>, plain: &[Plain]) -> Findings {
        let mut told = Told { runs: Runs::new(desk, "m") };
        let (before, after) = plain.split_at(1 + EACH.len());
        let case = &self.case;
        match self.order {
            Order::Together => {
                let _ = told.both("together", "build", case, before);
                for number in 0..EACH.len() {
                    told.one("found apart", number, case, before);
                }
            }
            Order::Apart => {
                for number in 0..EACH.len() {
                    told.one("apart", number, case, before);
                }
                let _ = told.both("merged", "merge", case, before);
                let _ = told.both("merged before", "build", case, before);
            }
            Order::Half(there) => {
                told.one("one of two", there, case, before);
                let _ = told.both("the other one too", "build", case, before);
                told.one("built as the other one", 1 - there, case, before);
            }
        }
        let changed = self.changed();
        let last = told.both("changed", "build", &changed, after);
        // Last, because the engine has the image from then on.
        if let Some(index) = last {
            told.pull(&index, &changed);
        }
        told.runs.findings
    }

    fn smaller(&self) -> Vec<Self> {
        let cases = crate::shrink::smaller(&self.case).into_iter();
        cases.map(|case| Self { case, ..self.clone() }).collect()
    }
}

/// Without the inputs that plain buildx has no part in.
fn bare(case: &Case) -> Case {
    let mut case = case.clone();
    case.inputs.own.clear();
    case
}

/// The images of an index, by platform: the key and the digest of each.
type Index = BTreeMap<String, (String, String)>;

struct Told<'a> {
    runs: Runs<'a>,
}

impl Told<'_> {
    /// One platform in a job of its own.
    fn one(&mut self, what: &'static str, number: usize, case: &Case, plain: &[Plain]) {
        let (how, case) = (self.runs.next().input("load", "false"), with(case, EACH[number]));
        let ran = check::run(self.runs.desk, &case, "one", &how);
        let (built, inputs) = (ran.output("built") == "true", format!("{case:?}"));
        let look = Look { name: EACH[number], inputs, parent: None, plain: &plain[1 + number], built };
        self.runs.look(what, &how, &ran, look);
    }

    /// Both, built or merged, and each platform's image in the index.
    fn both(&mut self, what: &'static str, mode: &str, case: &Case, plain: &[Plain]) -> Option<Index> {
        let how = self.runs.next().input("mode", mode);
        let how = if mode == "merge" { how.input("on-missing", "fail") } else { how.input("load", "false") };
        let both = with(case, BOTH);
        let ran = check::run(self.runs.desk, &both, "both", &how);
        let built = ran.output("built") == "true" || ran.output("outcome") == "merged";
        let look = Look { name: BOTH, inputs: format!("{both:?}"), parent: None, plain: &plain[0], built };
        self.runs.look(what, &how, &ran, look);
        if ran.code != Some(0) {
            return None;
        }
        let index = self.index(ran.output("digest"));
        if !index.keys().eq(EACH) {
            self.runs.untrue(what, &ran, vec![format!("the index is {index:?}")]);
            return None;
        }
        for (platform, plain) in EACH.into_iter().zip(&plain[1..]) {
            let (key, digest) = index[platform].clone();
            let inputs = format!("{:?}", with(case, platform));
            // Where no run has built it, this one has.
            let built = self.runs.digest(platform, &key).is_none();
            let state = State { inputs, key, digest, parent: None, plain: plain.clone() };
            self.runs.judge(what, platform, state, built);
        }
        Some(index)
    }

    fn index(&self, digest: &str) -> Index {
        let registry = &self.runs.desk.registry;
        let manifest = registry.manifest(digest).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let child = |child: &Value| {
            let (platform, digest) = (&child["platform"], text(&child["digest"]));
            let key = registry.manifest(&digest).map(|manifest| text(&manifest["annotations"][KEY]));
            let name = format!("{}/{}", text(&platform["os"]), text(&platform["architecture"]));
            (name, (key.unwrap_or_default(), digest))
        };
        manifest["manifests"].as_array().into_iter().flatten().map(child).collect()
    }

    /// A job that needs the image for the other platform than the engine's.
    fn pull(&mut self, index: &Index, case: &Case) {
        let what = "pull";
        let how = self.runs.next().input("mode", "pull").input("on-missing", "fail");
        let ran = check::run(self.runs.desk, &with(case, EACH[1]), "pull", &how);
        let (key, digest) = &index[EACH[1]];
        let engine = self.runs.desk.engine(&how.host).image(ran.output("local-image"));
        // Its label has the index's key where both were one build: a build has one label for all platforms.
        let architecture = engine.map(|image| image["Architecture"].clone());
        let is_it = (ran.output("key"), ran.output("digest")) == (key, digest);
        let sentences = (!is_it || architecture != Some("arm64".into())).then(|| {
            let said = format!("{} {}", ran.output("outcome"), ran.output("digest"));
            format!("pulled {said} for {architecture:?}, and the index has {digest} of key {key}")
        });
        let sentences = sentences.into_iter().collect();
        self.runs.untrue(what, &ran, sentences);
    }
}

impl Display for Platforms {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{BOTH}: {:?}, changed: {:?}", self.order, self.edit)?;
        write!(to, "{}", self.case)
    }
}
