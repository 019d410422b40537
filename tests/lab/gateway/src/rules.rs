//! The script: which requests suffer which fault.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A fault and the requests it applies to. The first rule that fits and has hits left wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Methods, separated by `|`; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Regular expression searched in path and query; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Regular expressions, by header name, that must all be found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// How many fitting requests to spare first; they go on to the next rule.
    #[serde(default)]
    pub skip: u64,
    /// How many requests to fault after that; absent or null: for ever.
    #[serde(default)]
    pub times: Option<u64>,
    /// Also applies to requests that the credentials check would refuse. Without it, the
    /// client's first, unauthenticated attempt costs no hit.
    #[serde(default)]
    pub before_auth: bool,
    /// What is done to them.
    pub fault: Fault,
}

impl Rule {
    /// A fault for every request, for ever.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            method: None,
            path: None,
            header: BTreeMap::new(),
            skip: 0,
            times: None,
            before_auth: false,
            fault,
        }
    }
}

/// A rule and what it has done so far.
#[derive(Clone, Debug, Serialize)]
pub struct RuleState {
    /// The rule as it was given.
    #[serde(flatten)]
    pub rule: Rule,
    /// Requests that reached the rule and fitted.
    pub matched: u64,
    /// Requests it faulted.
    pub applied: u64,
}

/// What can go wrong. Where a body may be given: a JSON string is sent as it is, any other
/// JSON as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Reads the request, answers this; the upstream never hears of it.
    Status {
        /// The status code.
        code: u16,
        /// Headers of the answer.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Its body.
        #[serde(default)]
        body: Option<Value>,
    },
    /// Waits, then forwards.
    Delay {
        /// How long.
        ms: u64,
    },
    /// Reads the request and never answers.
    Hang {},
    /// Resets the client's connection in the middle of its upload, and aborts the
    /// upstream's. A request with a shorter body passes unharmed.
    CutRequest {
        /// Request body bytes forwarded first.
        after_bytes: u64,
    },
    /// Closes the client's connection in the middle of the answer. An answer that is not
    /// longer than that passes unharmed.
    CutResponse {
        /// Response body bytes sent first.
        after_bytes: u64,
    },
    /// Resets the client's connection (a real RST) without forwarding or answering.
    Reset {},
    /// Lets the upstream do the whole request, then closes instead of answering.
    DropAfterCommit {},
    /// Answers with other bytes under the upstream's status and headers, its digest too.
    SwapBody {
        /// The bytes.
        #[serde(default)]
        body: Option<Value>,
        /// The bytes in base64, instead.
        #[serde(default)]
        base64: Option<String>,
    },
    /// Answers with the first bytes only, as a whole and well-formed answer.
    TruncateBody {
        /// How many.
        bytes: u64,
    },
    /// Not found for a while, counted per path from the first request the rule did not
    /// spare; then no longer: eventual consistency.
    Hide {
        /// How long.
        ms: u64,
    },
    /// Slows both bodies down.
    Throttle {
        /// The rate, each way.
        bytes_per_second: u64,
    },
    /// Good for a while from the first fitting request, then refused. Seeing a
    /// `GetAuthorizationToken` call pass by starts the time anew.
    ExpireAuth {
        /// How long it stays good.
        after_ms: u64,
        /// The status of the refusal.
        #[serde(default = "forbidden")]
        code: u16,
        /// Its body; absent: ECR's text for an expired token.
        #[serde(default)]
        body: Option<Value>,
    },
}

fn forbidden() -> u16 {
    403
}

impl Fault {
    /// Its `kind`, for the journal.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::Hang {} => "hang",
            Self::CutRequest { .. } => "cut_request",
            Self::CutResponse { .. } => "cut_response",
            Self::Reset {} => "reset",
            Self::DropAfterCommit {} => "drop_after_commit",
            Self::SwapBody { .. } => "swap_body",
            Self::TruncateBody { .. } => "truncate_body",
            Self::Hide { .. } => "hide",
            Self::Throttle { .. } => "throttle",
            Self::ExpireAuth { .. } => "expire_auth",
        }
    }
}

/// The bytes of a body given as JSON.
pub(crate) fn bytes_of(body: Option<&Value>) -> Bytes {
    match body {
        None => Bytes::new(),
        Some(Value::String(text)) => Bytes::from(text.clone()),
        Some(other) => Bytes::from(other.to_string()),
    }
}

/// The bytes of a body given as JSON or in base64.
pub(crate) fn swapped(body: Option<&Value>, base64: Option<&str>) -> Result<Bytes, String> {
    match base64 {
        Some(text) => STANDARD.decode(text).map(Bytes::from).map_err(|e| format!("base64: {e}")),
        None => Ok(bytes_of(body)),
    }
}
