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
//! - [`ecr`]: the settings of a repository in Amazon ECR; pure.
//! - [`trust`]: the one place where a zone's rights are decided, and where everything that is shared gets its name.
//! - [`key`]: the *build key*, SHA-256 over everything that decides the image's content.
//! - [`coherence`]: what the key sees and BuildKit's caches do not, each with its cure.
//! - [`buildkit`]: the words and formats of docker, buildx and BuildKit; pure.
//! - [`facts`]: everything that is read before the decisions. A *probe* of a registry has three answers: present,
//!   absent, unknown; unknown is never taken for one of the others.
//! - [`plan`]: the decisions and every action that follows from them, complete before the first write.
//! - [`guards`]: checks that keep the zones apart, each with a name. A test switches one off to show that the attack
//!   works without it; in a release every guard holds.
//! - [`execute`]: carries the actions out, side by side where none waits for another, and keeps the journal.
//! - [`report`]: outputs, summary and annotations, made from the journal on every exit.
//! - [`prune`]: which old images, tags and caches go, and in which order.
//! - [`doctor`]: the verdicts of `build-once doctor`, from facts.
//! - [`saved`]: the document of what a plan was made from, without secrets.
//! - [`pipeline`]: leads from the inputs to the plan, and from such a document to the plan.
//! - [`session`]: one run of the program from signals to exit code.
//! - [`commands`]: the commands besides `run`.
//! - [`cli`]: the command line, from its arguments to the exit code.
//! - [`ports`]: the adapters to the outside, one module each: processes ([`ports::exec`] is the
//!   only spawner), docker, buildx, registries, AWS, the runner's files, the log, the clock.
//! - [`backoff`]: how long to wait before something is tried again.
//! - [`budget`]: the limit of everything that comes from outside.
//! - [`shown`]: removes secrets and the users of URLs from every text that people see.
//! - [`secret`], `secret_name`: a secret value; which names look like a secret's.
//! - [`env`](mod@env), [`error`]: every variable's name; the one error type.
//! - [`failure`]: the table of failures: cause, class, exit code, reaction, hint. [`crash`] makes a panic one of them.
//! - [`phase`], [`zone`]: the parts of a build; the zones of trust.
//! - [`texts`]: macros for types that are a text outside of the program.
//!
//! Types of a run, in the order in which they come up:
//!
//! | type | what it holds |
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
//! | `Action`, `Source`, `TagGuard` | one write, or the check after it; the image it works on; which image a tag may have for it to be set |
//! | `Execution`, `StepContext` | what carrying out a plan needs; the part of it that one action gets |
//! | `Journal`, `Record` | what all actions did; what one action did |
//! | `RunState`, `Report` | all that is known of the run so far; all that outputs, summary and annotations are made from |
//!
//! Words that have one meaning everywhere:
//!
//! | word | meaning |
//! | --- | --- |
//! | mark | the hash in a shared name that says of which GitHub repository it is |
//! | zone | how far a run is trusted: `trusted` (the default branch, protected branches, git tags), `queue` (a merge queue), pull request and branch without protection (both shown as `pr`), `fork` (and what nothing is known of) |
//! | guard | a check that keeps zones apart ([`guards`]); one `holds` unless a test switches it off to show the attack. A `TagGuard` is another thing: the condition of a tag write |
//! | private name | a name in the engine's store that build-once alone gives: repository, zone and key |
//! | pin | the content that a base image, a URL or a git repository had when the key was made |
//! | hold | make a build use what the key saw: the build is *held* to a pin |
//! | trigger | an `ONBUILD` instruction of a base image |
//! | lineage | builds that share a session name in BuildKit, and so the files sent before: BuildKit sees every difference between their files by size or time |
//! | generation | a folder with one export of a local layer cache; it is never changed |
//! | adopt | report another run's image with the same key in place of one's own |
//! | engine | the docker daemon, with its image store |
//! | `Writes` | the right to write that only the execution of a plan has; without it the ports only read |
//!
//! Lints keep these boundaries: `clippy.toml` names the calls that only one module may make. A number such as `D34`
//! beside a test is that of the defect which the test keeps away.

// So that dead code is found; `testing` has what tests use.
#![warn(unreachable_pub)]
// The AWS clients' futures nest more deeply than the default.
#![recursion_limit = "256"]

mod backoff;
mod budget;
mod buildkit;
mod cli;
mod coherence;
mod commands;
mod crash;
mod doctor;
mod ecr;
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
mod prune;
mod report;
mod run;
mod saved;
mod secret;
mod secret_name;
mod session;
mod shown;
mod texts;
mod trust;
mod zone;

pub use cli::main;

/// For the tests and the fuzz targets alone; anything in it may change.
#[doc(hidden)]
pub mod testing {
    pub use crate::budget::TABLE as LIMITS;
    pub use crate::buildkit::failure::classify;
    pub use crate::buildkit::owner::Owner;
    pub use crate::buildkit::{
        BuildMetadata, Builder, BuildxVersion, CacheEntry, Engine, LocalCaches, LocalImage, Progress, checks,
    };
    pub use crate::cli::{replay, run_images};
    pub use crate::coherence::transfer::Lineage;
    pub use crate::commands::doctor::OUTPUTS as DOCTOR_OUTPUTS;
    pub use crate::commands::prune::OUTPUTS as PRUNE_OUTPUTS;
    pub use crate::env::Env;
    pub use crate::error::Error;
    pub use crate::failure::{FailureClass, FailureKind};
    #[cfg(debug_assertions)]
    pub use crate::guards::without;
    pub use crate::image::{
        ANNOTATION_KEY, Digest, EcrHost, ImageName, ImageReference, MEDIA_TYPES, Manifest, Platform, hex,
        is_this_machine, sanitise,
    };
    pub use crate::inputs::{
        CacheMode, Call, Command, CommandLine, ContextSource, DoctorInputs, ImageRequest, PruneInputs,
        RawInputs, RunsOn, Switch, UserTag, arguments, comma_items, http_login, items, pairs, parse,
    };
    pub use crate::key::dockerfile::{AnalysisRequest, GitRef, analyse};
    pub use crate::key::dockerignore::{Ignore, Inherited};
    pub use crate::key::files::{Selector, Tree, key_files, leaking, walk};
    pub use crate::key::names::{escape, unescape};
    pub use crate::key::{EntryKind, explain};
    pub use crate::plan::{MatrixJob, Outcome};
    pub use crate::ports::actions::{Annotation, Level, encode_outputs, inert, write_summary};
    pub use crate::ports::docker::listed;
    pub use crate::ports::docker_config::UserDockerConfig;
    pub use crate::ports::git::pick;
    pub use crate::ports::host::this_process;
    pub use crate::ports::local_cache::LocalCacheUse;
    pub use crate::ports::registry::{Challenge, bearer, redirected, registry_error};
    pub use crate::report::{
        ImageReport, OUTPUTS, Report, SetUpReport, TagOutcome, TagReport, annotations, outputs, summary,
    };
    pub use crate::run::RunContext;
    pub use crate::shown::without_users;
    pub use crate::trust::{Purpose, RIGHTS, Resource, Right};
    pub use crate::zone::Zone;
}
