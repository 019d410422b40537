//! # build-once
//!
//! Builds a CI image once per content and lets every other job pull it. This page is the map.
//!
//! ```text
//! Env ─▶ RawInputs ─▶ Request{settings, images} ─┐              inputs/   pure
//! Env + event file ─▶ RunContext{zone} ──────────┤              run/      pure
//! (ImageRequest, RunContext) ─▶ Access, names ───┤              trust/    pure
//! ImageRequest + files ─▶ BuildKey{entries} ─────┤              key/      reads files
//! ports ─▶ ImageFacts{repository, lookups, local image}         facts/    all reads, side by side
//! (ImageRun, ImageFacts) ─▶ decide() ─▶ Verdict of each image   plan/     pure: no clock, no port
//! (verdicts, LateFacts) ─▶ assemble() ─▶ Plan{images, actions}  plan/     pure
//! Plan ─▶ execute(ports, cancel) ─▶ Journal, a record an action execute/  the only writes
//! (Plan, Journal) ─▶ Report ─▶ outputs, summary, annotations    report/   pure, then one writer
//! ```
//!
//! - [`inputs`]: one clap definition is the source of flags, `action.yml` and `docs/inputs.md`.
//! - [`run`]: which event and commit, and the *zone*: how far the run is trusted.
//! - [`image`]: references, digests, manifests, and the scheme of tags.
//! - [`trust`]: the one place where a zone's rights are decided, and where everything that is shared gets its name.
//! - [`key`]: the *build key*, SHA-256 over everything that decides the image's content.
//! - [`buildkit`]: what docker, buildx and BuildKit call things; pure.
//! - [`facts`]: what is asked before anything is decided. A *probe* has three answers: present,
//!   absent, unknown; unknown is never read as one of the others.
//! - [`plan`]: the decisions and every action they take, fully known before the first write.
//! - [`guards`]: what keeps the zones apart, by name, for the tests that go without one.
//! - [`execute`]: the actions, one small file each, side by side where none waits for another; the journal.
//! - [`report`]: outputs, summary and annotations, drawn from the journal on every exit.
//! - [`crash`]: a panic ends a run as a failure does.
//! - [`pipeline`]: from the inputs to the plan.
//! - [`session`]: one run of the program from signals to exit code.
//! - [`commands`]: what the program does besides `run`.
//! - [`ports`]: the adapters to the outside, one module each: processes ([`ports::exec`] is the
//!   only spawner), docker, buildx, registries, AWS, the runner's files, the log, the clock.
//! - [`backoff`]: how long to wait before something is tried again.
//! - [`budget`]: the most that is taken of anything from outside.
//! - [`shown`]: what people see: secrets and the users of URLs are gone before a text is escaped or cut.
//! - [`env`](mod@env), [`error`]: every variable's name; the one error type.
//! - [`failure`]: the table of failures: cause, class, exit code, reaction, hint.
//! - [`cli`]: the command line, from its arguments to the exit code.
//!
//! Words of a run, in the order in which they come up:
//!
//! | word | what it is |
//! | --- | --- |
//! | `RawInputs`, `Request` | the action's inputs as text; the same, checked and typed |
//! | `Settings`, `ImageRequest` | what all images of the run share; what is asked for one image |
//! | `RunContext`, `Zone` | the GitHub run: event, commit, branch; how far it is trusted |
//! | `Access`, `ZoneNames` | what the zone may read and write; the tags it uses for that |
//! | `ImageRun` | one image's request with the run and its rights |
//! | `BuildKey` | the hash that an image is found by, and the entries it is made from |
//! | `ImageFacts`, `Lookup` | everything that was read of one image; one question to a registry with its answer |
//! | `Verdict` | reuse, build, merge or fail, with the reason |
//! | `LateFacts` | what only a build needs to know: tools, builders, caches, the comparison with earlier images |
//! | `PlanContext` | all of the above of one image, as the planner gets it |
//! | `Plan`, `ImagePlan` | the actions of the run; the decision about one image, as reported |
//! | `Action`, `Source`, `TagGuard` | one write, or the check after it; the image it works on; what may stand under a tag for it to be set |
//! | `Execution`, `StepContext` | what a plan is carried out with; what one action gets of it |
//! | `Journal`, `Record` | what happened; what one action did |
//! | `RunState`, `Report` | what is known of the run so far; what outputs, summary and annotations are made from |
//!
//! The fences are lints: `clippy.toml` names the calls that only one module may make.

// Dead code is seen, and what tests use is named in one place.
#![warn(unreachable_pub)]
// The AWS clients' futures are deep.
#![recursion_limit = "256"]

mod backoff;
mod budget;
mod buildkit;
mod cli;
mod coherence;
mod commands;
mod crash;
mod env;
mod error;
mod execute;
mod facts;
mod failure;
mod guards;
mod image;
mod inputs;
mod key;
mod phase;
mod pipeline;
mod plan;
mod ports;
mod report;
mod run;
mod secret;
mod secret_name;
mod session;
mod shown;
mod trust;
mod zone;

pub use cli::main;

/// What the tests and the fuzz targets use; no one else's to rely on.
#[doc(hidden)]
pub mod testing {
    pub use crate::budget::TABLE as LIMITS;
    pub use crate::buildkit::failure::classify;
    pub use crate::buildkit::owner::Owner;
    pub use crate::buildkit::{
        BuildMetadata, Builder, BuildxVersion, CacheEntry, Engine, LocalCaches, LocalImage, Progress, checks,
    };
    pub use crate::cli::run_images;
    pub use crate::coherence::transfer::Lineage;
    pub use crate::env::Env;
    pub use crate::error::Error;
    pub use crate::failure::{FailureClass, FailureKind};
    pub use crate::image::{
        ANNOTATION_KEY, Digest, EcrHost, ImageName, ImageReference, MEDIA_TYPES, Manifest, Platform, hex,
        is_this_machine, sanitise,
    };
    pub use crate::inputs::{
        CacheMode, Call, Command, CommandLine, ContextSource, ImageRequest, RawInputs, Switch, arguments,
        comma_items, http_login, items, pairs, parse,
    };
    pub use crate::key::dockerfile::{AnalysisRequest, GitRef, analyse};
    pub use crate::key::dockerignore::{Ignore, Inherited};
    pub use crate::key::files::{Selector, Tree, key_files, leaking, walk};
    pub use crate::key::names::{escape, unescape};
    pub use crate::key::{EntryKind, explain};
    pub use crate::plan::Outcome;
    pub use crate::ports::actions::{Annotation, Level, encode_outputs, inert, write_summary};
    pub use crate::ports::docker::listed;
    pub use crate::ports::docker_config::UserDockerConfig;
    pub use crate::ports::git::pick;
    pub use crate::ports::host::this_process;
    pub use crate::ports::local_cache::LocalCacheUse;
    pub use crate::ports::registry::{Challenge, bearer, redirected, registry_error};
    pub use crate::report::{ImageReport, OUTPUTS, Report, annotations, outputs, summary};
    pub use crate::run::RunContext;
    pub use crate::shown::without_users;
    pub use crate::zone::Zone;
}
