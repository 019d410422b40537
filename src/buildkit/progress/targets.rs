//! Parts the stream of one bake by target: buildx puts the target's name before each vertex (`progress.WithPrefix`), as in
//! `[api 2/5] RUN make` or `[api] exporting to image`.

use std::collections::HashMap;

use super::Progress;
use super::wire::{Message, Vertex};

/// The targets of a bake; none for a build.
#[derive(Default)]
pub(super) struct Targets {
    each: Vec<(String, Progress)>,
    /// The target of each vertex, by the vertex's digest. Targets that share a step share its vertex.
    of_vertex: HashMap<String, Vec<usize>>,
}

impl Targets {
    pub(super) fn new(names: &[String], raw: bool) -> Self {
        let each = names.iter().map(|name| (name.clone(), Progress::new(raw))).collect();
        Self { each, of_vertex: HashMap::new() }
    }

    /// Takes the progress of each target out.
    pub(super) fn take(&mut self) -> Vec<Progress> {
        std::mem::take(&mut self.each).into_iter().map(|(_, progress)| progress).collect()
    }

    /// A vertex's name without the target's: `[2/5] RUN make`.
    pub(super) fn plain(&self, name: &str) -> String {
        self.split(name).map_or_else(|| name.to_owned(), |(_, plain)| plain)
    }

    /// The target that a vertex is of, and the vertex's name without it.
    fn split(&self, name: &str) -> Option<(usize, String)> {
        let inside = name.strip_prefix('[')?;
        self.each.iter().enumerate().find_map(|(at, (target, _))| {
            let rest = inside.strip_prefix(target.as_str())?;
            if let Some(rest) = rest.strip_prefix("] ") {
                return Some((at, rest.to_owned()));
            }
            Some((at, format!("[{}", rest.strip_prefix(' ')?)))
        })
    }

    /// Gives each target its part of a message.
    pub(super) fn message(&mut self, message: &Message<'_>) {
        if self.each.is_empty() {
            return;
        }
        let mut parts: Vec<Message<'_>> = self.each.iter().map(|_| Message::default()).collect();
        for vertex in &message.vertexes {
            let Some((at, plain)) = self.split(&vertex.name) else { continue };
            let known = self.of_vertex.entry(vertex.digest.clone().into_owned()).or_default();
            if !known.contains(&at) {
                known.push(at);
            }
            parts[at].vertexes.push(Vertex { name: plain, ..vertex.clone() });
        }
        let targets = |vertex: &str| self.of_vertex.get(vertex).into_iter().flatten().copied();
        for status in &message.statuses {
            targets(&status.vertex).for_each(|at| parts[at].statuses.push(status.clone()));
        }
        for log in &message.logs {
            targets(&log.vertex).for_each(|at| parts[at].logs.push(log.clone()));
        }
        for warning in &message.warnings {
            targets(&warning.vertex).for_each(|at| parts[at].warnings.push(warning.clone()));
        }
        for ((_, progress), part) in self.each.iter_mut().zip(parts) {
            progress.message(part, &mut |_| {});
        }
    }
}
