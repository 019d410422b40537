//! The JSON of the progress stream (BuildKit `client/graph.go`). Texts in base64 are [`Log::data`] and
//! [`Warning::short`].

use serde::Deserialize;

use super::super::checks::Range;

#[derive(Default, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(default, borrow)]
    pub(super) vertexes: Vec<Vertex<'a>>,
    #[serde(default, borrow)]
    pub(super) statuses: Vec<Status<'a>>,
    #[serde(default, borrow)]
    pub(super) logs: Vec<Log<'a>>,
    #[serde(default, borrow)]
    pub(super) warnings: Vec<Warning<'a>>,
}

pub(super) type Text<'a> = std::borrow::Cow<'a, str>;

#[derive(Clone, Deserialize)]
pub(super) struct Vertex<'a> {
    #[serde(borrow)]
    pub(super) digest: Text<'a>,
    #[serde(default)]
    pub(super) name: String,
    pub(super) started: Option<String>,
    pub(super) completed: Option<String>,
    #[serde(default)]
    pub(super) cached: bool,
    #[serde(default)]
    pub(super) error: String,
}

#[derive(Clone, Deserialize)]
pub(super) struct Status<'a> {
    /// What is done, such as `pushing layers`.
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(default, borrow)]
    pub(super) vertex: Text<'a>,
    pub(super) started: Option<String>,
    pub(super) completed: Option<String>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Log<'a> {
    #[serde(borrow)]
    pub(super) vertex: Text<'a>,
    #[serde(borrow)]
    pub(super) data: Text<'a>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Warning<'a> {
    #[serde(default, borrow)]
    pub(super) vertex: Text<'a>,
    #[serde(borrow)]
    pub(super) short: Text<'a>,
    /// Lines of the Dockerfile.
    #[serde(default)]
    pub(super) range: Vec<Range>,
}
