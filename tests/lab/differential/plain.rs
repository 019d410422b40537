//! What plain buildx makes of a case: built in this run, or as it was recorded for the fixed cases.
//!
//! The image of fixed inputs has always the same content, so `plain.tsv` holds a hash of it. A record is found by a hash
//! of everything that its build was given, the base images and the versions of engine and buildx among it: one that
//! is of other inputs is never used.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::image::Content;

/// What plain buildx makes of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    Image(Seen),
    /// With its last words, where it was built in this run.
    Refused(Option<String>),
}

/// An image that plain buildx has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub marks: Marks,
    /// Where it was built in this run.
    pub content: Option<Content>,
}

/// Hashes of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Of its files and configuration on each platform.
    pub content: String,
    /// Of each layer's entries too.
    pub layers: String,
}

/// A hash, short enough for a table.
pub fn mark(text: &str) -> String {
    let mut hash = format!("{:x}", Sha256::digest(text));
    hash.truncate(32);
    hash
}

impl Plain {
    /// What was built.
    pub fn built(image: Content) -> Self {
        Self::Image(Seen { marks: image.marks(), content: Some(image) })
    }

    /// Whether it was built in this run, so that there is more of it than hashes.
    pub fn is_built(&self) -> bool {
        match self {
            Self::Image(seen) => seen.content.is_some(),
            Self::Refused(words) => words.is_some(),
        }
    }

    /// Whether both have the same content, or are none. Layers are not compared: those of a step with a mount differ from
    /// one run of the engine to another.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image(one), Self::Image(two)) => one.marks.content == two.marks.content,
            (Self::Refused(_), Self::Refused(_)) => true,
            _ => false,
        }
    }

    /// Why there is no image, in words.
    pub fn why(words: Option<&String>) -> String {
        words.cloned().unwrap_or_else(|| "plain buildx refused it when it was recorded".to_owned())
    }

    fn record(&self) -> String {
        match self {
            Self::Image(Seen { marks, .. }) => format!("{}\t{}", marks.content, marks.layers),
            Self::Refused(_) => REFUSED.to_owned(),
        }
    }

    fn of_record(text: &str) -> Self {
        match text.split_once('\t') {
            Some((content, layers)) => {
                let marks = Marks { content: content.to_owned(), layers: layers.to_owned() };
                Self::Image(Seen { marks, content: None })
            }
            None => Self::Refused(None),
        }
    }
}

const REFUSED: &str = "refused";

/// The records, and how they are used.
#[derive(Debug)]
pub struct Records {
    known: BTreeMap<String, String>,
    /// Records are written, and none is used.
    pub writing: bool,
    written: Mutex<BTreeMap<String, String>>,
}

const HEAD: &str = "# What plain buildx makes of the fixed cases: a hash of the inputs, of the image, and of its layers. \
    Written by BUILD_ONCE_UPDATE=1 tests/lab/test differential";

impl Records {
    /// Reads them, unless all is to be built.
    pub fn read(used: bool) -> Self {
        let writing = std::env::var("BUILD_ONCE_UPDATE").is_ok_and(|value| value == "1");
        let text =
            if used && !writing { fs::read_to_string(path()).unwrap_or_default() } else { String::new() };
        let records = text.lines().filter(|line| !line.starts_with('#'));
        let records = records.filter_map(|line| line.split_once('\t'));
        let known = records.map(|(inputs, image)| (inputs.to_owned(), image.to_owned())).collect();
        Self { known, writing, written: Mutex::default() }
    }

    /// What is recorded for these inputs.
    pub fn find(&self, inputs: &str) -> Option<Plain> {
        self.known.get(inputs).map(|text| Plain::of_record(text))
    }

    /// Keeps what was built, for [`Self::write`].
    pub fn note(&self, inputs: &str, plain: &Plain) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(inputs.to_owned(), plain.record());
    }

    /// Writes what was noted, in place of what there was.
    pub fn write(&self) {
        let mut text = format!("{HEAD}\n");
        for (inputs, image) in &*self.written.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(text, "{inputs}\t{image}");
        }
        fs::write(path(), text).unwrap();
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lab/differential/plain.tsv")
}
