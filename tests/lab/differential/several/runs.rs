//! Runs that follow each other, and what holds for each image of each of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Findings;
use super::judge::{Past, State};
use crate::check::{Fault, differs, is_documented, serial};
use crate::claims::untrue;
use crate::desk::{Desk, How, Ran};
use crate::plain::Plain;

/// Runs of one subject: their images have names of their own.
pub struct Runs<'a> {
    pub desk: &'a Desk<'a>,
    /// What all names of images begin with.
    pub prefix: String,
    /// By the image's name, for some platforms with those.
    past: BTreeMap<String, Past>,
    pub findings: Findings,
    commits: u8,
}

/// An image of a run, and what it must be.
pub struct Look<'a> {
    /// Under which name the past knows it.
    pub name: &'a str,
    pub inputs: String,
    pub parent: Option<String>,
    pub plain: &'a Plain,
    /// Whether the run says that it put the image there.
    pub built: bool,
}

impl<'a> Runs<'a> {
    /// None yet.
    pub fn new(desk: &'a Desk<'a>, kind: &str) -> Self {
        let prefix = format!("{}-{kind}{}", desk.world.run, serial());
        Self { desk, prefix, past: BTreeMap::new(), findings: Findings::default(), commits: 0 }
    }

    /// How the next one runs: of another commit than those before it.
    pub fn next(&mut self) -> How {
        self.commits += 1;
        How::new(self.desk, &self.prefix).commit(self.commits)
    }

    /// Notes what is not so.
    pub fn untrue(&mut self, what: &'static str, ran: &Ran, sentences: Vec<String>) {
        if !sentences.is_empty() {
            let log = ran.log.lines().rev().take(4).map(str::to_owned);
            self.findings.faults.push((what, Fault::Untrue(sentences.into_iter().chain(log).collect())));
        }
    }

    /// Looks at one image of a run that `ran` speaks of. True if it is what plain buildx makes.
    pub fn look(&mut self, what: &'static str, how: &How, ran: &Ran, look: Look<'_>) -> bool {
        let sentences = untrue(self.desk, how, ran);
        self.untrue(what, ran, sentences);
        let fault = differs(self.desk, look.plain, ran);
        let good = fault.is_none();
        self.findings.faults.extend(fault.map(|fault| (what, fault)));
        let ended = match (ran.code, look.built) {
            (Some(0), true) => "built",
            (Some(0), false) => "found",
            _ => "failed as with plain buildx",
        };
        *self.findings.images.entry(ended).or_default() += usize::from(good);
        if ran.code != Some(0) {
            return good;
        }
        let state = State {
            inputs: look.inputs,
            key: ran.output("key").to_owned(),
            digest: ran.output("digest").to_owned(),
            parent: look.parent,
            plain: look.plain.clone(),
        };
        self.judge(what, look.name, state, look.built);
        good
    }

    /// Compares an image with what earlier runs left of it.
    pub fn judge(&mut self, what: &'static str, name: &str, state: State, built: bool) {
        let past = self.past.entry(name.to_owned()).or_default();
        self.findings.faults.extend(past.judge(&state, built).into_iter().map(|fault| (what, fault)));
        if built {
            past.add(state);
        }
    }

    /// The digest that is there under a key of an image.
    pub fn digest(&self, name: &str, key: &str) -> Option<&str> {
        self.past.get(name)?.digest(key)
    }
}

/// What a run of several images says of each, by name, as a run of that image alone would say it.
pub fn each(ran: &Ran) -> BTreeMap<String, Ran> {
    let images: Map<String, Value> = serde_json::from_str(ran.output("images")).unwrap_or_default();
    images.into_iter().map(|(name, image)| (name, one(ran, &image))).collect()
}

fn one(ran: &Ran, image: &Value) -> Ran {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut outputs: BTreeMap<String, String> = image
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.replace("reference", "image"), text(value)))
        .collect();
    let failed = outputs.get("outcome").is_none_or(|outcome| outcome == "failed");
    let class = if failed { ran.output("failure-class") } else { "" };
    outputs.insert("failure-class".to_owned(), class.to_owned());
    outputs.insert("degraded".to_owned(), ran.output("degraded").to_owned());
    Ran {
        code: if failed { ran.code.filter(|code| *code != 0).or(Some(-1)) } else { Some(0) },
        outputs,
        log: ran.log.clone(),
    }
}

/// Whether an image was refused for a reason that the docs name.
pub fn is_excused(ran: &Ran) -> bool {
    ran.code != Some(0) && is_documented(ran.output("reason"))
}
