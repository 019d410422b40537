//! What is asked of a case, and what counts as a finding.

use super::case::Case;
use super::change::Change;
use super::desk::{Desk, How, Key, Ran};
use super::plain::Plain;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An image that plain buildx does not make, or one key for two images.
    Lie(&'static str, Vec<String>),
    /// No image where plain buildx makes one.
    Refused(String),
    /// What a run says is not so.
    Untrue(Vec<String>),
    /// Plain buildx makes something else than what is recorded of it.
    Record,
}

impl Fault {
    /// What stays the same while a case is made smaller.
    pub fn kind(&self) -> String {
        match self {
            Self::Lie(what, _) => format!("lie: {what}"),
            Self::Refused(why) => {
                // Without what names this run.
                let is_plain = |word: &&str| word.chars().all(|one| one.is_ascii_alphabetic());
                let words: Vec<&str> = why.split([' ', ':', '`']).filter(is_plain).take(6).collect();
                format!("refused: {}", words.join(" "))
            }
            Self::Untrue(_) => "untrue".to_owned(),
            Self::Record => "a record that is not so: see tests/lab/README.md".to_owned(),
        }
    }
}

/// What build-once refuses by name though plain buildx builds it, or drops what is asked for without a word:
/// docs/keys.md, docs/builders.md.
const DOCUMENTED: [&str; 2] =
    ["is a branch and a tag, of two commits", "need an engine with the containerd image store"];

/// Whether a refusal is documented.
pub fn is_documented(reason: &str) -> bool {
    DOCUMENTED.iter().any(|words| reason.contains(words))
}

/// The key of a case.
pub fn key(desk: &Desk<'_>, case: &Case) -> Key {
    let root = desk.folder("key-of");
    let key = desk.key(&case.write(&root, "ctx", desk.world).invocation());
    let _ = std::fs::remove_dir_all(&root);
    key
}

/// (a): the published image is the one that plain buildx builds. What a record says against it is told only after
/// plain buildx has said so too.
pub fn published(desk: &Desk<'_>, case: &Case, plain: &Plain, ran: &Ran) -> Option<Fault> {
    let fault = differs(desk, plain, ran)?;
    if plain.is_built() {
        return Some(fault);
    }
    let built = desk.build(case);
    let stale = (!plain.is_like(&built)).then_some(Fault::Record);
    differs(desk, &built, ran).or(stale)
}

/// What differs between what a run published and what plain buildx makes.
pub fn differs(desk: &Desk<'_>, plain: &Plain, ran: &Ran) -> Option<Fault> {
    let built = ran.code == Some(0);
    match plain {
        Plain::Refused(_) if !built => None,
        Plain::Refused(why) => Some(Fault::Lie(
            "an image where plain buildx fails",
            vec![Plain::why(why.as_ref()), ran.output("reason").to_owned()],
        )),
        Plain::Image(_) if !built && is_documented(ran.output("reason")) => None,
        Plain::Image(_) if !built => Some(Fault::Refused(ran.output("reason").to_owned())),
        Plain::Image(image) => {
            let Some(published) = desk.published(ran) else {
                return Some(Fault::Lie("no image under the output digest", vec![ran.log.clone()]));
            };
            let differ = || {
                let lines = image.content.as_ref().map(|content| content.differences(&published));
                Fault::Lie("the published image differs", lines.unwrap_or_default())
            };
            (image.marks.content != published.marks().content).then(differ)
        }
    }
}

/// Runs the program on a case that lies in `folder`.
pub fn run(desk: &Desk<'_>, case: &Case, folder: &str, how: &How) -> Ran {
    let root = desk.folder(folder);
    let own = root.file_name().unwrap().to_string_lossy().into_owned();
    let name = if desk.world.apart { &*own } else { "ctx" };
    let ran = desk.run(&case.write(&root, name, desk.world).invocation(), how);
    let _ = std::fs::remove_dir_all(&root);
    ran
}

/// What a pair showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pair {
    /// Equal keys, equal images.
    Hit,
    /// Unequal keys, unequal images.
    Miss,
    /// Unequal keys, equal images.
    Needless,
    /// No image on either side, or no key: nothing to compare.
    Nothing,
    Fault(Fault),
}

/// (b): equal keys have equal images.
pub fn pair(one: (&Key, &Plain), two: (&Key, &Plain)) -> Pair {
    let (Ok(key), Ok(other)) = (one.0, two.0) else { return Pair::Nothing };
    match (one.1, two.1) {
        (Plain::Refused(_), Plain::Refused(_)) => Pair::Nothing,
        (Plain::Image(image), Plain::Image(second)) => {
            match (key == other, image.marks.content == second.marks.content) {
                (true, true) => Pair::Hit,
                (false, false) => Pair::Miss,
                // The same files in other layers are another image.
                (false, true) if image.marks != second.marks => Pair::Miss,
                (false, true) => Pair::Needless,
                (true, false) => {
                    let contents = image.content.as_ref().zip(second.content.as_ref());
                    let lines = contents.map(|(one, two)| one.differences(two)).unwrap_or_default();
                    Pair::Fault(Fault::Lie("one key, two images", lines))
                }
            }
        }
        (Plain::Refused(why), _) | (_, Plain::Refused(why)) if key == other => Pair::Fault(Fault::Lie(
            "one key, and one of the two cannot be built",
            vec![Plain::why(why.as_ref())],
        )),
        _ => Pair::Miss,
    }
}

/// The smallest case that still shows this, and what it then shows.
pub fn shrink(
    desk: &Desk<'_>,
    case: &Case,
    fault: &Fault,
    mut again: impl FnMut(&Desk<'_>, &Case) -> Option<Fault>,
) -> (Case, Fault) {
    let (mut best, mut shown) = (case.clone(), fault.clone());
    let mut tries = if *fault == Fault::Record { 0 } else { desk.shrink };
    loop {
        let mut smaller = false;
        for candidate in super::shrink::smaller(&best) {
            if tries == 0 {
                return (best, shown);
            }
            tries -= 1;
            if let Some(fault) = again(desk, &candidate).filter(|found| found.kind() == fault.kind()) {
                (best, shown, smaller) = (candidate, fault, true);
                break;
            }
        }
        if !smaller {
            return (best, shown);
        }
    }
}

/// (a) of one case, from its beginning.
pub fn image_fault(desk: &Desk<'_>, case: &Case) -> Option<Fault> {
    let plain = desk.build(case);
    let how = How::new(desk, &format!("{}-s{}", desk.world.run, serial()));
    published(desk, case, &plain, &run(desk, case, "shrunk", &how))
}

/// (b) of one case and a change, from its beginning.
pub fn pair_fault(desk: &Desk<'_>, case: &Case, change: &Change) -> Option<Fault> {
    let changed = change.apply(case)?;
    let (one, two) = (key(desk, case), key(desk, &changed));
    if one.is_err() || one != two {
        return None;
    }
    match pair((&one, &desk.build(case)), (&two, &desk.build(&changed))) {
        Pair::Fault(fault) => Some(fault),
        _ => None,
    }
}

/// A number that no other image of this run has.
pub fn serial() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}
