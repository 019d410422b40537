//! A build that prints without end: what a step can write, as buildx hands it on.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// BuildKit's own piece of a step's log.
const PIECE: usize = 32 * 1024;
/// A line without end among the others, in bytes.
const LONG: usize = 10 * 1024 * 1024;

/// At least this many bytes of one step's log: lines with NUL, colours, bad UTF-8 and
/// commands, and a line of 10 MB.
pub(crate) fn write(bytes: u64) {
    let mut out = std::io::BufWriter::new(std::io::stderr().lock());
    let start = json!({"vertexes": [{"digest": "sha256:f1", "name": "[2/2] RUN flood", "started": "2026-01-01T00:00:00Z"}]});
    writeln!(out, "{start}").unwrap();
    let mut lines = Vec::new();
    while lines.len() < PIECE {
        lines.extend_from_slice(
            b"compiling \x1b[32mok\x1b[0m \xff\xfe \0 ::error::forged\r::set-output name=a::b\n",
        );
        lines.extend_from_slice(
            b"::add-mask::a ##[error]forged \x1b]0;title\x07 of many lines like this one\n",
        );
    }
    let message = |data: &[u8]| {
        let log = json!({"vertex": "sha256:f1", "stream": 1, "data": STANDARD.encode(data), "timestamp": "2026-01-01T00:00:00Z"});
        json!({"logs": [log]}).to_string()
    };
    let (many, long) = (message(&lines), message(&vec![b'x'; PIECE]));
    for _ in 0..(LONG / PIECE) {
        writeln!(out, "{long}").unwrap();
    }
    let rest = bytes.saturating_sub(LONG as u64);
    for _ in 0..rest.div_ceil(lines.len() as u64) {
        writeln!(out, "{many}").unwrap();
    }
    // Not buildx's form at all, and without an end.
    out.write_all(&vec![b'y'; LONG]).unwrap();
    writeln!(out).unwrap();
}
