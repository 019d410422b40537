//! BuildKit's progress stream (`--progress=rawjson`) on buildx's standard error: JSON lines of vertices, statuses, logs
//! and warnings (BuildKit `client/graph.go`), and plain lines at the end.
//!
//! In: `{"vertexes":[{"digest":"sha256:…","name":"[2/5] RUN make","started":"…"}]}`. Out: lines for people
//! (`#7 [2/5] RUN make`), and at the end a [`ProgressSummary`]. A *vertex* is one piece of work, such as a step of the
//! Dockerfile or an export; a *status* is a part of one, such as the push of a layer.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

mod exported;
mod phases;
mod summary;
mod targets;
#[cfg(test)]
mod tests;
mod wire;

use exported::Exported;
use phases::{is_step, moment, phase_at_end, status_phase};
pub(crate) use summary::ProgressSummary;
#[cfg(test)]
use summary::StepTime;
use targets::Targets;
use wire::{Message, Vertex};

use super::checks::{Finding, first_line};
use crate::budget::PROGRESS_MESSAGE;
use crate::phase::Phase;

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what happened to a vertex, each independent of the others"
)]
/// What is known of a vertex so far.
struct State {
    /// Vertices are counted from 1 as they come up; the log shows it as `#7`.
    number: usize,
    name: String,
    started: Option<OffsetDateTime>,
    completed: Option<OffsetDateTime>,
    cached: bool,
    /// Empty if it has not failed.
    error: String,
    /// The log has its first line.
    announced: bool,
    /// The log has its last line.
    closed: bool,
    /// It has begun to push.
    pushes: bool,
    /// The log line that has no end yet.
    partial: Vec<u8>,
    /// The last lines of its log, for the report.
    tail: std::collections::VecDeque<String>,
}

/// Reads the stream and writes it for people.
pub struct Progress {
    /// Whether buildx writes JSON; a buildx before 0.13 writes plain lines alone.
    raw: bool,
    /// By digest.
    vertices: HashMap<String, State>,
    /// Beginning and end of statuses that belong to a phase.
    spans: Vec<(Phase, OffsetDateTime, OffsetDateTime)>,
    warnings: Vec<Finding>,
    exported: Exported,
    /// The last plain line that begins with `ERROR:`, without that.
    error: Option<String>,
    /// File and line of the failing instruction, from a plain line such as `Dockerfile:12`.
    failed_at: Option<(String, usize)>,
    /// The first plain line since the last JSON message.
    first_plain: Option<String>,
    /// The lines of a JSON message that has not ended: buildx 0.13 spreads each over many lines.
    unended_message: Vec<u8>,
    /// Folders of layer caches that buildx itself leaves out, each with the reason.
    unread_folders: Vec<(String, String)>,
    /// The builds of one bake, which share the stream.
    targets: Targets,
}

/// The error of a vertex that was stopped because another one failed, or because the build was cancelled.
const STOPPED: &str = "context canceled";
/// Most warnings that are kept.
const MOST_WARNINGS: usize = 100;
/// Lines of a step's log that the report quotes.
const TAIL: usize = 20;
/// Most characters of such a line.
const TAIL_LINE: usize = 500;
/// A log line of more bytes is broken into several.
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
            first_plain: None,
            unended_message: Vec::new(),
            unread_folders: Vec::new(),
            targets: Targets::default(),
        }
    }

    /// The same for a bake of these targets; none for a build.
    #[must_use]
    pub(crate) fn of_targets(mut self, names: &[String]) -> Self {
        self.targets = Targets::new(names, self.raw);
        self
    }

    /// The progress of each target, or that of the one build.
    #[must_use]
    pub(crate) fn into_each(mut self) -> Vec<Self> {
        let each = self.targets.take();
        if each.is_empty() { vec![self] } else { each }
    }

    /// The error of the vertex that failed.
    pub(crate) fn error_of_vertex(&self) -> Option<String> {
        failed(self.vertices.values(), self.error.as_deref()).map(|state| state.error.clone())
    }

    /// Takes one line of buildx's standard error. `log` gets each line for people.
    pub fn line(&mut self, line: &[u8], log: &mut impl FnMut(&[u8])) {
        if self.raw && (line == b"{" || !self.unended_message.is_empty()) {
            // In a message of many lines all but the first and the last are indented.
            let is_part = line == b"{" || line == b"}" || line.first().is_none_or(u8::is_ascii_whitespace);
            if is_part && (self.unended_message.len() + line.len()) as u64 <= PROGRESS_MESSAGE {
                self.unended_message.extend_from_slice(line);
                self.unended_message.push(b'\n');
                if line == b"}" {
                    let whole = std::mem::take(&mut self.unended_message);
                    match serde_json::from_slice::<Message<'_>>(&whole) {
                        Ok(message) => self.message(message, log),
                        Err(_) => self.plain_lines(&whole, log),
                    }
                }
                return;
            }
            // It was no message.
            let text = std::mem::take(&mut self.unended_message);
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

    /// Takes a line that is no JSON, and passes it on.
    fn plain(&mut self, line: &[u8], log: &mut impl FnMut(&[u8])) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim();
        if let Some(error) = text.strip_prefix("ERROR: ").or_else(|| text.strip_prefix("error: ")) {
            self.error = Some(error.to_owned());
        } else if let Some(error) = self.error.as_mut().filter(|error| error.ends_with("git stderr:"))
            && text.starts_with("fatal: ")
        {
            // git's own message follows in lines of its own.
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
            if self.raw && self.first_plain.is_none() && !text.starts_with("WARN") {
                self.first_plain = Some(text.to_owned());
            }
            log(line);
        }
    }

    /// The final error: what buildx calls one, else the first plain line after the last JSON message.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.clone().or_else(|| self.first_plain.clone())
    }

    /// The part of the build that failed, if a vertex did.
    pub(crate) fn failed_phase(&self) -> Option<Phase> {
        let failed = failed(self.vertices.values(), self.error.as_deref())?;
        phase_at_end(&failed.name, failed.pushes)
    }

    /// Whether the stream tells that no step of the Dockerfile runs. Then silence is a stall; a step may be silent.
    pub(crate) fn waits(&self) -> bool {
        self.raw && !self.under_way().any(|state| is_step(&state.name))
    }

    /// What was begun last and has not ended, for a message.
    pub(crate) fn doing(&self) -> &'static str {
        self.begun_last().map_or("talking to the builder", Phase::doing)
    }

    fn begun_last(&self) -> Option<Phase> {
        let last = self.under_way().max_by_key(|state| state.number)?;
        phase_at_end(&last.name, last.pushes)
    }

    /// What ran when BuildKit was told to stop: it ends every vertex with [`STOPPED`] then.
    fn stopped_last(&self) -> Option<Phase> {
        let stopped = self.vertices.values().filter(|state| state.error.contains(STOPPED));
        let last = stopped.max_by_key(|state| state.number)?;
        phase_at_end(&last.name, last.pushes)
    }

    fn under_way(&self) -> impl Iterator<Item = &State> {
        self.vertices.values().filter(|state| state.started.is_some() && state.completed.is_none())
    }

    /// File and line of the failing instruction.
    #[must_use]
    pub fn failed_at(&self) -> Option<(String, usize)> {
        if self.raw { self.failed_at.clone() } else { None }
    }

    /// Writes lines whose end has not come, after buildx has ended.
    pub fn finish(&mut self, log: &mut impl FnMut(&[u8])) {
        for state in self.vertices.values_mut() {
            flush(state, log);
        }
        let text = std::mem::take(&mut self.unended_message);
        self.plain_lines(&text, log);
    }

    fn message(&mut self, message: Message<'_>, log: &mut impl FnMut(&[u8])) {
        self.first_plain = None;
        self.targets.message(&message);
        for mut vertex in message.vertexes {
            let shown = vertex.name.clone();
            vertex.name = self.targets.plain(&shown);
            self.vertex(vertex, &shown, log);
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

    /// `shown`: the vertex's name for people.
    fn vertex(&mut self, vertex: Vertex<'_>, shown: &str, log: &mut impl FnMut(&[u8])) {
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
            log(format!("#{number} {shown}").as_bytes());
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

/// The vertex that the build failed at: the first one whose error buildx's final error repeats, else the first one that
/// has an error. A vertex that was stopped because another one failed does not count.
fn failed<'a>(vertices: impl Iterator<Item = &'a State>, error: Option<&str>) -> Option<&'a State> {
    let broken = vertices.filter(|state| !state.error.is_empty() && !state.error.contains(STOPPED));
    broken.min_by_key(|state| (!error.is_some_and(|error| error.contains(&state.error)), state.number))
}

/// Adds output of a vertex, which comes in pieces that may end inside a line.
fn write_log(state: &mut State, data: &[u8], log: &mut impl FnMut(&[u8])) {
    for piece in data.split_inclusive(|byte| *byte == b'\n') {
        state.partial.extend_from_slice(piece);
        if piece.ends_with(b"\n") || state.partial.len() > LONGEST_LINE {
            flush(state, log);
        }
    }
}

/// Writes the line that is collected in `partial`.
fn flush(state: &mut State, log: &mut impl FnMut(&[u8])) {
    if state.partial.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(&state.partial).trim_end().to_owned();
    log(format!("#{} {text}", state.number).as_bytes());
    state.tail.push_back(crate::shown::cut(&text, TAIL_LINE));
    if state.tail.len() > TAIL {
        state.tail.pop_front();
    }
    state.partial.clear();
}

/// Folder and reason, from buildx's warning of a folder that holds no layer cache (`parseCacheEntry`, `build/opt.go`).
fn unread_folder(line: &str) -> Option<(&str, &str)> {
    line.split_once("local cache import at ")?.1.split_once(" not found due to err: ")
}

/// File and line of `Dockerfile:12`, which buildx prints above the excerpt of the failing instruction.
fn source_line(text: &str) -> Option<(String, usize)> {
    let (file, line) = text.rsplit_once(':')?;
    let line = line.parse().ok()?;
    (!file.is_empty() && !file.contains(' ')).then(|| (file.to_owned(), line))
}
