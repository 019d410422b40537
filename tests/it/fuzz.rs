//! The fuzz targets on stable: a seeded loop of mutations instead of libFuzzer, which needs
//! nightly (`fuzz/`). It is a smoke test, not a search: no coverage guides it.
//! `BUILD_ONCE_FUZZ_SECONDS` makes it longer, for each target.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use crate::support::scanner as oracle;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Where mutations begin: something valid for each target, and what has been trouble.
const SEEDS: [&str; 24] = [
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci:sha-rf9d832d9-app-1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "linux/arm64/v8",
    "A=1\n# comment\n\n\"B=one\ntwo \"\"quoted\"\"\"\r\nC=3,D=4\n",
    r#"{"containerimage.digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","containerimage.config.digest":1}"#,
    crate::support::PROGRESS,
    "{\n  \"vertexes\": []\n}\nDockerfile:7\nERROR: failed to solve: exit code: 1\n",
    r#"{"vertexes":[{"digest":"a","name":"::error::x","started":"2026-01-01T00:00:00Z","error":"\r::x::"}]}"#,
    r#"{"logs":[{"vertex":"a","stream":1,"data":"Ojplcm9yOjp4DTo6eDo6","timestamp":"2026-01-01T00:00:00Z"}]}"#,
    "\u{1b}[2K::set-output name=digest::x\r##[error]y\n\0::stop-commands::z",
    "\u{1b}]8;;https://x\u{7}##\u{1b}[0m[add-mask]a\u{1b}",
    "a<<EOF\nb\nEOF\noutcome=forged",
    "failed to solve: failed to push h/ci:t: unexpected status from PUT request: 503 Service Unavailable",
    "process \"/bin/sh -c make\" did not complete successfully: exit code: 2",
    "denied: User: arn:aws:sts::1:x is not authorized to perform: ecr:PutImage on resource: y",
    r#"{"repository":{"default_branch":"main"},"pull_request":{"number":12,"user":{"login":"ann"},"head":{"sha":"1","ref":"fix","repo":{"id":1,"full_name":"o/r"}},"base":{"ref":"main","repo":{"id":1,"full_name":"o/r"}}}}"#,
    r#"{"repository":{"default_branch":"main"},"merge_group":{"head_sha":"1","base_ref":"refs/heads/main"}}"#,
    r#"{"repository":{"default_branch":"main"},"workflow_run":{"event":"pull_request","head_repository":{"full_name":"o/r"}}}"#,
    "# syntax=docker/dockerfile:1\nARG A=${B:-x}\nFROM a AS b\nCOPY --from=c <<EOF /x\ny\nEOF\nRUN --mount=type=bind,from=b,target=/x make\n",
    "# escape=`\nFROM --platform=$BUILDPLATFORM a\nRUN a `\n# c\n b\nADD --checksum=sha256:aa https://x/y /\nONBUILD COPY . /\n",
    "FROM scratch\nENV A=\"x $A\" B='y'\nCOPY [\"a b\", \"/\"]\nHEALTHCHECK NONE\n",
    "# c\n*.md\n!README.md\n/a/**/b?[c-d]\\*\n!a/\n",
    "**/*\n!**/x\n[\n",
    "::::",
    "ORIGIN: \u{2028}\u{85}\u{feff}::x::",
];

/// Pieces that mean something to one parser or another.
const WORDS: [&str; 32] = [
    "\r", "\n", "\r\n", "\0", "\u{1b}[", "\u{1b}]", "\u{7}", "::", "##[", "]", "%0A", "%25", "<<", "=", ",",
    "\"", "'", "`", "\\", "$", "${", "}", "/", ":", "@", "!", "**", "\u{feff}", "\u{2028}", "ERROR: ",
    "FROM ", "EOF",
];

/// xorshift64*: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn mutated(&mut self) -> Vec<u8> {
        let mut data = self.pick(&SEEDS).as_bytes().to_vec();
        for _ in 0..=self.below(8) {
            let (at, end) = (self.below(data.len() + 1), self.below(data.len() + 1));
            let (from, to) = (at.min(end), at.max(end).min(at.min(end) + 40));
            match self.below(6) {
                0 => drop(data.splice(at..at, self.pick(&WORDS).bytes())),
                1 => drop(data.drain(from..to)),
                2 => {
                    let piece = data[from..to].to_vec();
                    drop(data.splice(at..at, piece));
                }
                3 => drop(data.splice(at..at, self.pick(&SEEDS).bytes())),
                4 => data.truncate(at),
                _ => {
                    if let Some(byte) = data.get_mut(at) {
                        *byte = u8::try_from(self.next() & 0xff).unwrap();
                    }
                }
            }
        }
        data
    }
}

#[test]
fn every_target_holds_under_mutation() {
    let seconds = std::env::var("BUILD_ONCE_FUZZ_SECONDS").ok().map(|text| text.parse::<u64>().unwrap());
    let seed = seconds.map_or(0x5eed, |_| u64::from(std::process::id()) | 1);
    for (name, target) in targets::TARGETS {
        let mut numbers = Numbers(seed);
        let start = Instant::now();
        let mut runs = 0_u32;
        while seconds.map_or(runs < 1500, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
            let data = numbers.mutated();
            runs += 1;
            assert!(
                catch_unwind(|| target(&data)).is_ok(),
                "{name}, seed {seed}, run {runs}: {:?}",
                String::from_utf8_lossy(&data)
            );
        }
        println!("fuzz {name}: {runs} runs in {:.1} s", start.elapsed().as_secs_f64());
    }
    for (_, target) in targets::TARGETS {
        for seed in SEEDS {
            target(seed.as_bytes());
        }
        target(b"");
    }
}

/// Every target can be started by `cargo fuzz run`.
#[test]
fn every_target_has_its_program() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let programs = std::fs::read_dir(folder.join("fuzz_targets")).unwrap().count();
    assert_eq!(programs, targets::TARGETS.len());
    for (name, _) in targets::TARGETS {
        let program = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(
            program.contains(&format!("targets::{name}(data)")) && manifest.contains(&format!("\"{name}\""))
        );
    }
}
