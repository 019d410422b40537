//! BuildKit's progress stream (`--progress=rawjson`): JSON lines of vertices, statuses, logs
//! and warnings (BuildKit `client/graph.go`), and plain lines at the end.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

mod exported;
mod phases;
mod summary;
#[cfg(test)]
mod tests;
mod wire;

use exported::Exported;
use phases::{is_step, moment, place, status_phase};
pub(crate) use summary::ProgressSummary;
#[cfg(test)]
use summary::StepTime;
use wire::{Message, Vertex};

use super::checks::{Finding, first_line};
use crate::budget::PROGRESS_MESSAGE;
use crate::phase::Phase;

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what happened to a vertex, each independent of the others"
)]
struct State {
    number: usize,
    name: String,
    started: Option<OffsetDateTime>,
    completed: Option<OffsetDateTime>,
    cached: bool,
    error: String,
    announced: bool,
    closed: bool,
    /// It has begun to push.
    pushes: bool,
    /// The log line that has no end yet.
    partial: Vec<u8>,
    /// The last lines, for the report.
    tail: std::collections::VecDeque<String>,
}

/// Reads the stream and writes it for people.
pub struct Progress {
    raw: bool,
    vertices: HashMap<String, State>,
    spans: Vec<(Phase, OffsetDateTime, OffsetDateTime)>,
    warnings: Vec<Finding>,
    exported: Exported,
    /// Plain lines at the end; the last `ERROR:` and the Dockerfile's line are among them.
    error: Option<String>,
    failed_at: Option<(String, usize)>,
    /// The first plain line since the last message.
    said: Option<String>,
    /// A message that has not ended: buildx 0.13 spreads each over many lines.
    spread: Vec<u8>,
    /// Folders of layer caches that buildx itself leaves out, each with the reason.
    unread_folders: Vec<(String, String)>,
}

/// What is said of a vertex that was stopped.
const STOPPED: &str = "context canceled";
/// Most warnings that are kept.
const MOST_WARNINGS: usize = 100;
/// Lines of a step's log that the report quotes.
const TAIL: usize = 20;
/// A log line longer than this is broken.
const LONGEST_LINE: usize = 64 * 1024;

impl Progress {
    /// `raw` is false for a buildx that only writes plain text: then the text passes through.
    #[must_use]
    pub fn new(raw: bool) -> Self {
        Self {
            raw,
            vertices: HashMap::new(),
            spans: Vec::new(),
            warnings: Vec::new(),
            exported: Exported::default(),
            error: None,
            failed_at: None,
            said: None,
            spread: Vec::new(),
            unread_folders: Vec::new(),
        }
    }

    /// One line of buildx's standard error.
    pub fn line(&mut self, line: &[u8], log: &mut impl FnMut(&[u8])) {
        if self.raw && (line == b"{" || !self.spread.is_empty()) {
            let inner = line == b"{" || line == b"}" || line.first().is_none_or(u8::is_ascii_whitespace);
            if inner && (self.spread.len() + line.len()) as u64 <= PROGRESS_MESSAGE {
                self.spread.extend_from_slice(line);
                self.spread.push(b'\n');
                if line == b"}" {
                    let whole = std::mem::take(&mut self.spread);
                    match serde_json::from_slice::<Message<'_>>(&whole) {
                        Ok(message) => self.message(message, log),
                        Err(_) => self.plain_lines(&whole, log),
                    }
                }
                return;
            }
            // It was no message.
            let text = std::mem::take(&mut self.spread);
            self.plain_lines(&text, log);
        }
        if self.raw
            && line.first() == Some(&b'{')
            && let Ok(message) = serde_json::from_slice::<Message<'_>>(line)
        {
            return self.message(message, log);
        }
        self.plain(line, log);
    }

    fn plain_lines(&mut self, text: &[u8], log: &mut impl FnMut(&[u8])) {
        for line in text.split(|byte| *byte == b'\n') {
            self.plain(line, log);
        }
    }

    /// A line for people.
    fn plain(&mut self, line: &[u8], log: &mut impl FnMut(&[u8])) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if let Some(error) = text.strip_prefix("ERROR: ").or_else(|| text.strip_prefix("error: ")) {
            self.error = Some(error.to_owned());
        } else if let Some(error) = self.error.as_mut().filter(|error| error.ends_with("git stderr:"))
            && text.starts_with("fatal: ")
        {
            // What git says goes on over more lines.
            error.push(' ');
            error.push_str(text);
        } else if self.failed_at.is_none() && (self.raw || self.error.is_none()) {
            self.failed_at = source_line(text);
        }
        if let Some((folder, why)) = unread_folder(text)
            && self.unread_folders.len() < MOST_WARNINGS
        {
            self.unread_folders.push((folder.to_owned(), why.to_owned()));
        }
        if !text.is_empty() {
            if self.raw && self.said.is_none() && !text.starts_with("WARN") {
                self.said = Some(text.to_owned());
            }
            log(line);
        }
    }

    /// The final error: what buildx calls one, else the first it says after the last message.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.clone().or_else(|| self.said.clone())
    }

    /// The part of the build that failed, if a vertex did.
    pub(crate) fn failed_phase(&self) -> Option<Phase> {
        let failed = failed(self.vertices.values(), self.error.as_deref())?;
        place(&failed.name, failed.pushes)
    }

    /// Whether no step of the Dockerfile runs, as far as the stream tells: then something is to
    /// move.
    pub(crate) fn waits(&self) -> bool {
        self.raw && !self.under_way().any(|state| is_step(&state.name))
    }

    /// What was begun last and has not ended.
    pub(crate) fn doing(&self) -> &'static str {
        self.begun_last().map_or("talking to the builder", Phase::doing)
    }

    fn begun_last(&self) -> Option<Phase> {
        let last = self.under_way().max_by_key(|state| state.number)?;
        place(&last.name, last.pushes)
    }

    /// What BuildKit was at when it was told to stop: it ends every vertex with this error then.
    fn stopped_last(&self) -> Option<Phase> {
        let stopped = self.vertices.values().filter(|state| state.error.contains(STOPPED));
        let last = stopped.max_by_key(|state| state.number)?;
        place(&last.name, last.pushes)
    }

    fn under_way(&self) -> impl Iterator<Item = &State> {
        self.vertices.values().filter(|state| state.started.is_some() && state.completed.is_none())
    }

    /// File and line of the failing instruction.
    #[must_use]
    pub fn failed_at(&self) -> Option<(String, usize)> {
        if self.raw { self.failed_at.clone() } else { None }
    }

    /// Writes what is still without a line end.
    pub fn finish(&mut self, log: &mut impl FnMut(&[u8])) {
        for state in self.vertices.values_mut() {
            flush(state, log);
        }
        let text = std::mem::take(&mut self.spread);
        self.plain_lines(&text, log);
    }

    fn message(&mut self, message: Message<'_>, log: &mut impl FnMut(&[u8])) {
        self.said = None;
        for vertex in message.vertexes {
            self.vertex(vertex, log);
        }
        for status in message.statuses {
            self.exported.status(&status.id);
            if status_phase(&status.id) == Some(Phase::Push)
                && let Some(state) = self.vertices.get_mut(status.vertex.as_ref())
            {
                state.pushes = true;
            }
            if let (Some(phase), Some(from), Some(to)) = (
                status_phase(&status.id),
                moment(status.started.as_deref()),
                moment(status.completed.as_deref()),
            ) {
                self.spans.push((phase, from, to));
            }
        }
        for entry in message.logs {
            if let (Some(state), Ok(data)) =
                (self.vertices.get_mut(entry.vertex.as_ref()), STANDARD.decode(entry.data.as_bytes()))
            {
                write_log(state, &data, log);
            }
        }
        for warning in message.warnings {
            let short = STANDARD.decode(warning.short.as_bytes()).unwrap_or_default();
            let short = String::from_utf8_lossy(&short).into_owned();
            let warning = Finding { text: short, line: first_line(&warning.range) };
            if !warning.text.is_empty()
                && !self.warnings.contains(&warning)
                && self.warnings.len() < MOST_WARNINGS
            {
                log(format!("WARNING: {}", warning.text).as_bytes());
                self.warnings.push(warning);
            }
        }
    }

    fn vertex(&mut self, vertex: Vertex<'_>, log: &mut impl FnMut(&[u8])) {
        let next = self.vertices.len() + 1;
        let state = self
            .vertices
            .entry(vertex.digest.into_owned())
            .or_insert_with(|| State { number: next, ..State::default() });
        state.name = vertex.name;
        state.cached |= vertex.cached;
        state.started = moment(vertex.started.as_deref()).or(state.started);
        state.completed = moment(vertex.completed.as_deref()).or(state.completed);
        if !vertex.error.is_empty() {
            state.error = vertex.error;
        }
        let number = state.number;
        if state.started.is_some() && !state.announced {
            state.announced = true;
            log(format!("#{number} {}", state.name).as_bytes());
        }
        if state.completed.is_some() && !state.closed {
            state.closed = true;
            flush(state, log);
            let seconds = state.seconds().unwrap_or_default();
            if !state.error.is_empty() {
                log(format!("#{number} ERROR: {}", state.error).as_bytes());
            } else if state.cached {
                log(format!("#{number} CACHED").as_bytes());
            } else {
                log(format!("#{number} DONE {seconds:.1}s").as_bytes());
            }
        }
    }
}

impl State {
    fn seconds(&self) -> Option<f64> {
        Some((self.completed? - self.started?).as_seconds_f64())
    }
}

/// The vertex that the build failed at: the first one whose error the final one repeats, else the
/// first that has one. Those that were stopped because another failed are no reason.
fn failed<'a>(vertices: impl Iterator<Item = &'a State>, error: Option<&str>) -> Option<&'a State> {
    let broken = vertices.filter(|state| !state.error.is_empty() && !state.error.contains(STOPPED));
    broken.min_by_key(|state| (!error.is_some_and(|error| error.contains(&state.error)), state.number))
}

fn write_log(state: &mut State, data: &[u8], log: &mut impl FnMut(&[u8])) {
    for piece in data.split_inclusive(|byte| *byte == b'\n') {
        state.partial.extend_from_slice(piece);
        if piece.ends_with(b"\n") || state.partial.len() > LONGEST_LINE {
            flush(state, log);
        }
    }
}

fn flush(state: &mut State, log: &mut impl FnMut(&[u8])) {
    if state.partial.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(&state.partial).trim_end().to_owned();
    log(format!("#{} {text}", state.number).as_bytes());
    state.tail.push_back(crate::shown::cut(&text, 500));
    if state.tail.len() > TAIL {
        state.tail.pop_front();
    }
    state.partial.clear();
}

/// What buildx says of a folder that holds no layer cache (`parseCacheEntry`, `build/opt.go`).
fn unread_folder(line: &str) -> Option<(&str, &str)> {
    line.split_once("local cache import at ")?.1.split_once(" not found due to err: ")
}

/// `Dockerfile:12`, on a line of its own above the excerpt.
fn source_line(text: &str) -> Option<(String, usize)> {
    let (file, line) = text.rsplit_once(':')?;
    let line = line.parse().ok()?;
    (!file.is_empty() && !file.contains(' ')).then(|| (file.to_owned(), line))
}
