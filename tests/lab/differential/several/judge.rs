//! What a run must have made of an image, after what earlier runs made of it. Pure.

use crate::check::Fault;
use crate::plain::Plain;

/// One image as a run left it.
#[derive(Clone, Debug)]
pub struct State {
    /// All that decides its content, as text.
    pub inputs: String,
    pub key: String,
    /// Empty if the run says none.
    pub digest: String,
    /// The key of the image that it takes files or layers of, where the run says it.
    pub parent: Option<String>,
    pub plain: Plain,
}

/// What earlier runs left of it in the repository.
#[derive(Debug, Default)]
pub struct Past(Vec<State>);

pub const PARENT: &str = "a child has one key on two parents";
pub const BUILT_AGAIN: &str = "built although it is there";
pub const NEVER_BUILT: &str = "a hit of what no run has built";
pub const OTHER_IMAGE: &str = "a hit of another image";
pub const TWO_KEYS: &str = "the same inputs have two keys";
pub const TWO_IMAGES: &str = "one key, two images";

impl Past {
    /// What does not go with what is known. `built`: the run says that it built the image.
    pub fn judge(&self, now: &State, built: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, lie: &'static str, known: Option<&State>| {
            if !holds {
                let line = |state: &State| format!("key {} digest {}", state.key, state.digest);
                let lines = known.map(line).into_iter().chain([line(now)]).collect();
                faults.push(Fault::Lie(lie, lines));
            }
        };
        for known in &self.0 {
            let same_key = known.key == now.key;
            must(same_key || known.inputs != now.inputs, TWO_KEYS, Some(known));
            let parents = known.parent.as_ref().zip(now.parent.as_ref());
            must(!same_key || parents.is_none_or(|(one, two)| one == two), PARENT, Some(known));
            if let (Plain::Image(one), Plain::Image(two)) = (&known.plain, &now.plain) {
                must(!same_key || one.marks.content == two.marks.content, TWO_IMAGES, Some(known));
            }
        }
        let there: Vec<&State> = self.0.iter().filter(|known| known.key == now.key).collect();
        must(there.is_empty() || !built, BUILT_AGAIN, there.first().copied());
        must(!there.is_empty() || built, NEVER_BUILT, None);
        let is_one = now.digest.is_empty() || there.iter().any(|known| known.digest == now.digest);
        must(there.is_empty() || built || is_one, OTHER_IMAGE, there.first().copied());
        faults
    }

    /// Takes note of what a run left in the repository.
    pub fn add(&mut self, state: State) {
        self.0.push(state);
    }

    /// The digest that is there under a key.
    pub fn digest(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|known| known.key == key).map(|known| &*known.digest)
    }
}
