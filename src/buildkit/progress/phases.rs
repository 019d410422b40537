//! Reads the phase of a build from BuildKit's names of vertices and statuses: `importing cache manifest from h/r:c` is
//! of the phase `CacheImport`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::phase::Phase;

/// Tells whether a vertex is a step of the Dockerfile that can be cached, such as `[2/5] RUN …` or `[build 1/4] COPY …`,
/// not `FROM` or a step of BuildKit's own.
pub(super) fn is_step(name: &str) -> bool {
    let Some((inside, instruction)) = name.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else {
        return false;
    };
    let numbered =
        inside.rsplit(' ').next().and_then(|last| last.split_once('/')).is_some_and(|(step, of)| {
            [step, of].iter().all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        });
    numbered && !instruction.starts_with("FROM ")
}

/// The phase that the time of a vertex counts to. `None` where it has none, or where its statuses tell more.
pub(super) fn vertex_phase(name: &str) -> Option<Phase> {
    if is_step(name) {
        Some(Phase::Steps)
    } else if name.starts_with("[internal] load metadata") || name.contains("] FROM ") {
        Some(Phase::Base)
    } else if name.starts_with("[internal] load build context") {
        Some(Phase::Context)
    } else if name.starts_with("importing cache") {
        Some(Phase::CacheImport)
    } else if name.starts_with("exporting cache") || name == "exporting to GitHub Actions Cache" {
        Some(Phase::CacheExport)
    } else {
        None
    }
}

/// The phase to report if a vertex fails or hangs. `pushes`: the vertex has begun to push.
pub(super) fn phase_at_end(name: &str, pushes: bool) -> Option<Phase> {
    if let Some(phase) = vertex_phase(name) {
        Some(phase)
    // The time of these counts by their statuses, or not at all. Of one that ends, only the name is left to tell.
    } else if name.starts_with("resolve image config for ") || name.starts_with("FROM ") {
        Some(Phase::Base)
    } else if name.starts_with("exporting to ") || name.starts_with("importing to ") {
        Some(if pushes { Phase::Push } else { Phase::Export })
    } else if name.starts_with("[internal] load ") {
        Some(Phase::Context)
    } else {
        None
    }
}

/// The phase that the time of a status counts to.
pub(super) fn status_phase(id: &str) -> Option<Phase> {
    if id.starts_with("pushing ") {
        Some(Phase::Push)
    } else if id.starts_with("exporting ")
        || id.starts_with("sending tarball")
        || id.starts_with("unpacking to")
    {
        Some(Phase::Export)
    } else {
        None
    }
}

pub(super) fn moment(text: Option<&str>) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text?, &Rfc3339).ok()
}

/// The seconds that the spans of each phase cover, each a beginning and an end; where spans overlap, the time counts once.
pub(super) fn covered(mut spans: Vec<(Phase, OffsetDateTime, OffsetDateTime)>) -> Vec<(Phase, f64)> {
    spans.sort();
    let mut phases: Vec<(Phase, f64)> = Vec::new();
    // The latest end of the spans of the last phase in `phases`.
    let mut until: Option<OffsetDateTime> = None;
    for (phase, from, to) in spans {
        if phases.last().is_none_or(|(last, _)| *last != phase) {
            phases.push((phase, 0.0));
            until = None;
        }
        let uncovered = to - until.map_or(from, |until| from.max(until));
        if let Some((_, sum)) = phases.last_mut() {
            *sum += uncovered.as_seconds_f64().max(0.0);
        }
        until = Some(until.map_or(to, |until| until.max(to)));
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "2026-01-01T00:00:0";

    #[test]
    fn where_a_vertex_belongs() {
        for (name, pushes, phase) in [
            ("[2/5] RUN make", false, Some(Phase::Steps)),
            ("[build 1/4] FROM docker.io/library/x", false, Some(Phase::Base)),
            (
                "resolve image config for docker-image://docker.io/docker/dockerfile:1",
                false,
                Some(Phase::Base),
            ),
            ("[internal] load metadata for h/x:1", false, Some(Phase::Base)),
            ("[internal] load build definition from Dockerfile", false, Some(Phase::Context)),
            ("exporting to image", false, Some(Phase::Export)),
            ("exporting to image", true, Some(Phase::Push)),
            ("exporting cache to registry", true, Some(Phase::CacheExport)),
            ("importing cache manifest from h/x:c", false, Some(Phase::CacheImport)),
            ("[internal] booting buildkit", false, None),
        ] {
            assert_eq!(phase_at_end(name, pushes), phase, "{name}");
        }
    }

    #[test]
    fn overlapping_spans_count_once() {
        let at = |second: u8| moment(Some(&format!("{T}{second}Z"))).unwrap();
        let spans = vec![
            (Phase::Push, at(0), at(4)),
            (Phase::Push, at(1), at(2)),
            (Phase::Push, at(3), at(6)),
            (Phase::Steps, at(0), at(1)),
        ];
        assert_eq!(covered(spans), [(Phase::Steps, 1.0), (Phase::Push, 6.0)]);
    }
}
