//! Decides what follows a failed attempt, by one rule for builds, builders and tags.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::failure::{FailureKind, Reaction};
use crate::phase::Phase;
use crate::texts::words;

words! {
    /// How the next attempt differs from the failed one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Change {
        /// In nothing; finished layers are in the builder's cache.
        Nothing = "",
        /// The builder is replaced by a new one.
        FreshBuilder = " on a fresh builder",
        /// No layer of the builder's own is used: one that BuildKit lost track of stays broken.
        WithoutLayers = " without the builder's layers",
        /// No layer cache is read.
        WithoutCacheImports = " without reading the layer cache",
        /// No layer cache is written.
        WithoutCacheExports = " without writing the layer cache",
        /// The registries get a new token.
        NewLogin = " with a new login",
    }
    /// The end of a sentence such as "trying again".
    pub(super) const fn words;
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// The failure stands.
    Stop,
    /// Another attempt follows after the wait.
    Again { wait: Duration, change: Change },
}

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed {
    pub(super) kind: FailureKind,
    /// The part of the build that failed, where that is known.
    pub(super) phase: Option<Phase>,
    /// The wait that the registry asked for.
    pub(super) retry_after: Option<Duration>,
}

/// Which changes the next attempt can make.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one a change")]
pub(super) struct Can {
    /// The run made the builder, so it may replace it.
    pub(super) replace_builder: bool,
    /// The failed attempt used the builder's layers.
    pub(super) drop_layers: bool,
    /// The failed attempt read layer caches.
    pub(super) drop_imports: bool,
    /// The failed attempt wrote layer caches.
    pub(super) drop_exports: bool,
}

/// The attempts before.
#[derive(Clone, Debug, Default)]
pub(super) struct SoFar {
    /// Kinds of earlier failures.
    pub(super) seen: Vec<FailureKind>,
    /// Attempts after the first that count against `retries`.
    pub(super) retried: u32,
    /// The time since the first failure.
    pub(super) since_first: Duration,
}

/// What limits further attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The input `retries`.
    pub(super) retries: u32,
    /// What is left of the input `timeout`.
    pub(super) remaining: Option<Duration>,
    /// A random number between 0 and 1, so that jobs do not try again at the same moment.
    pub(super) jitter: f64,
}

/// No attempt begins later than this after the first failure. BuildKit retries single requests itself, so what
/// still fails here costs a whole build.
const RETRY_WINDOW: Duration = Duration::from_mins(10);
/// The longest wait before an attempt, unless the registry asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Decides whether another attempt follows, after which wait and with which change. A kind of failure that calls for one
/// changed attempt gets one; once a change is made, the caller clears it in [`Can`]. Attempts without a cache or with a new
/// login cost none of the `retries`; a fresh builder costs one.
pub(super) fn decide(failed: Failed, can: Can, so_far: &SoFar, limits: Limits) -> Decision {
    let reaction = failed.kind.reaction_at(failed.phase);
    let before = so_far.seen.contains(&failed.kind);
    // With the seconds of the first wait, which doubles with each retry: 1 for a slip, 2 for a server to recover, 4 for
    // one that is overloaded or restarts.
    let (change, first_wait) = match reaction {
        Reaction::Once | Reaction::FreshBuilder | Reaction::NewLogin if before => return Decision::Stop,
        Reaction::Once => (Change::Nothing, 1),
        Reaction::WithoutLayers if before && can.drop_layers => (Change::WithoutLayers, 0),
        Reaction::WithoutLayers if before => return Decision::Stop,
        Reaction::Again | Reaction::WithoutLayers => (Change::Nothing, 2),
        Reaction::FreshBuilder if can.replace_builder => (Change::FreshBuilder, 0),
        // A builder of the user's: buildx boots it again if it was stopped, and an engine restarts by itself.
        Reaction::Slowly | Reaction::FreshBuilder => (Change::Nothing, 4),
        Reaction::WithoutCacheImports if can.drop_imports => (Change::WithoutCacheImports, 0),
        Reaction::WithoutCacheExports if can.drop_exports => (Change::WithoutCacheExports, 0),
        // No cache can have sent the wrong bytes: they were damaged on their way, and are fetched once more.
        Reaction::WithoutCacheImports if failed.kind == FailureKind::DigestMismatch && !before => {
            (Change::Nothing, 1)
        }
        Reaction::Stop | Reaction::WithoutCacheImports | Reaction::WithoutCacheExports => {
            return Decision::Stop;
        }
        Reaction::NewLogin => (Change::NewLogin, 0),
    };
    if counts(change) && so_far.retried >= limits.retries {
        return Decision::Stop;
    }
    let backoff = Backoff { first: Duration::from_secs(first_wait), longest: LONGEST_WAIT };
    let wait = backoff.wait(so_far.retried, limits.jitter);
    let wait = match failed.retry_after {
        // The registry asked it for the same request; one without a cache or with a new login is another.
        Some(asked) if counts(change) => {
            wait.max(asked.saturating_add(Duration::from_secs(1).mul_f64(limits.jitter)))
        }
        _ => wait,
    };
    let too_late = so_far.since_first.saturating_add(wait) > RETRY_WINDOW
        || limits.remaining.is_some_and(|remaining| wait >= remaining);
    if too_late { Decision::Stop } else { Decision::Again { wait, change } }
}

/// True if an attempt with this change counts against `retries`.
pub(super) const fn counts(change: Change) -> bool {
    matches!(change, Change::Nothing | Change::FreshBuilder)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use FailureKind as K;

    const ALL: Can = Can { replace_builder: true, drop_layers: true, drop_imports: true, drop_exports: true };
    const NONE: Can =
        Can { replace_builder: false, drop_layers: false, drop_imports: false, drop_exports: false };
    const LIMITS: Limits = Limits { retries: 3, remaining: None, jitter: 1.0 };

    fn failed(kind: K, phase: Option<Phase>) -> Failed {
        Failed { kind, phase, retry_after: None }
    }

    fn after(seen: &[K], retried: u32) -> SoFar {
        SoFar { seen: seen.to_vec(), retried, since_first: Duration::ZERO }
    }

    fn again(seconds: u64, change: Change) -> Decision {
        Decision::Again { wait: Duration::from_secs(seconds), change }
    }

    type Row = (K, Option<Phase>, Can, &'static [K], u32, Decision);

    #[test]
    fn the_table() {
        let push = Some(Phase::Push);
        let rows: &[Row] = &[
            // A user's error, a refusal, a full disk.
            (K::DockerfileError, Some(Phase::Steps), ALL, &[], 0, Decision::Stop),
            (K::AuthDenied, push, ALL, &[], 0, Decision::Stop),
            (K::DiskFull, push, ALL, &[], 0, Decision::Stop),
            (K::Oom, None, ALL, &[], 0, Decision::Stop),
            (K::ImmutableTag, push, ALL, &[], 0, Decision::Stop),
            (K::PullLimit, Some(Phase::Base), ALL, &[], 0, Decision::Stop),
            // Network and registry: the same builder, longer and longer waits.
            (K::TransientNetwork, push, ALL, &[], 0, again(2, Change::Nothing)),
            (K::RegistryError, push, ALL, &[K::RegistryError], 1, again(4, Change::Nothing)),
            (
                K::RegistryError,
                push,
                ALL,
                &[K::RegistryError, K::RegistryError],
                2,
                again(8, Change::Nothing),
            ),
            (K::RegistryError, push, ALL, &[K::RegistryError; 3], 3, Decision::Stop),
            (K::Throttled, push, ALL, &[], 0, again(4, Change::Nothing)),
            (K::Throttled, push, ALL, &[K::Throttled, K::Throttled], 2, again(16, Change::Nothing)),
            (K::UploadClash, push, ALL, &[], 0, again(2, Change::Nothing)),
            (K::BuildkitInternal, Some(Phase::Steps), ALL, &[], 0, again(2, Change::Nothing)),
            (
                K::BuildkitInternal,
                Some(Phase::Steps),
                ALL,
                &[K::BuildkitInternal],
                3,
                again(0, Change::WithoutLayers),
            ),
            (K::BuildkitInternal, Some(Phase::Steps), NONE, &[K::BuildkitInternal], 1, Decision::Stop),
            // Once.
            (K::Dns, push, ALL, &[], 0, again(1, Change::Nothing)),
            (K::Dns, push, ALL, &[K::Dns], 1, Decision::Stop),
            (K::Refused, push, ALL, &[K::Dns], 1, again(2, Change::Nothing)),
            (K::Unknown, push, ALL, &[], 0, Decision::Stop),
            (K::Unknown, None, ALL, &[], 0, Decision::Stop),
            (K::Unknown, Some(Phase::Base), ALL, &[], 0, Decision::Stop),
            // The builder.
            (K::BuilderLost, Some(Phase::Steps), ALL, &[], 0, again(0, Change::FreshBuilder)),
            (K::BuilderLost, None, ALL, &[K::BuilderLost], 1, Decision::Stop),
            (K::BuilderLost, None, NONE, &[], 0, again(4, Change::Nothing)),
            (K::Hang, push, ALL, &[], 0, again(0, Change::FreshBuilder)),
            (K::Hang, push, ALL, &[K::Hang], 1, Decision::Stop),
            // The cache; costs no retries.
            (K::CacheReadLost, Some(Phase::Steps), ALL, &[], 3, again(0, Change::WithoutCacheImports)),
            (K::CacheReadLost, Some(Phase::Steps), NONE, &[K::CacheReadLost], 0, Decision::Stop),
            (
                K::CacheWriteFailed,
                Some(Phase::CacheExport),
                ALL,
                &[],
                3,
                again(0, Change::WithoutCacheExports),
            ),
            (K::Hang, Some(Phase::CacheExport), ALL, &[], 3, again(0, Change::WithoutCacheExports)),
            (K::Hang, Some(Phase::CacheImport), ALL, &[], 3, again(0, Change::WithoutCacheImports)),
            (K::DigestMismatch, push, ALL, &[], 0, again(0, Change::WithoutCacheImports)),
            (K::DigestMismatch, push, NONE, &[], 0, again(1, Change::Nothing)),
            (K::DigestMismatch, push, NONE, &[K::DigestMismatch], 1, Decision::Stop),
            // The login.
            (K::AuthExpired, push, ALL, &[], 3, again(0, Change::NewLogin)),
            (K::AuthExpired, push, ALL, &[K::AuthExpired], 0, Decision::Stop),
        ];
        for (kind, phase, can, seen, retried, expected) in rows {
            let decision = decide(failed(*kind, *phase), *can, &after(seen, *retried), LIMITS);
            assert_eq!(decision, *expected, "{} {phase:?} after {retried}", kind.name());
        }
    }

    #[test]
    fn no_retries_means_no_retries_but_for_caches_and_logins() {
        let none = Limits { retries: 0, ..LIMITS };
        for kind in K::ALL {
            let decision = decide(failed(*kind, Some(Phase::Push)), ALL, &SoFar::default(), none);
            if let Decision::Again { change, .. } = decision {
                assert!(!counts(change), "{}: {change:?}", kind.name());
            }
        }
    }

    #[test]
    fn the_other_side_says_how_long() {
        let asked = Failed { retry_after: Some(Duration::from_secs(20)), ..failed(K::Throttled, None) };
        assert_eq!(decide(asked, NONE, &SoFar::default(), LIMITS), again(21, Change::Nothing));
        let sooner = Failed { retry_after: Some(Duration::from_millis(1)), ..asked };
        assert_eq!(decide(sooner, NONE, &SoFar::default(), LIMITS), again(4, Change::Nothing));
        let hours = Failed { retry_after: Some(Duration::from_hours(6)), ..asked };
        assert_eq!(decide(hours, NONE, &SoFar::default(), LIMITS), Decision::Stop);
    }

    #[test]
    fn the_clock_ends_it() {
        let late = SoFar { since_first: RETRY_WINDOW, ..SoFar::default() };
        assert_eq!(decide(failed(K::RegistryError, None), NONE, &late, LIMITS), Decision::Stop);
        let short = Limits { remaining: Some(Duration::from_secs(2)), ..LIMITS };
        assert_eq!(decide(failed(K::RegistryError, None), NONE, &SoFar::default(), short), Decision::Stop);
    }

    proptest! {
        /// Whatever fails, the attempts end: within their number, and within the window.
        #[test]
        fn every_schedule_is_bounded(
            kinds in proptest::collection::vec(0..K::ALL.len(), 60),
            retries in 0..9_u32,
            jitter in 0.0..1.0_f64,
        ) {
            let limits = Limits { retries, remaining: None, jitter };
            let (mut so_far, mut can, mut attempts) = (SoFar::default(), ALL, 1_u32);
            for at in kinds {
                let kind = K::ALL[at];
                let decision = decide(failed(kind, Some(Phase::Push)), can, &so_far, limits);
                so_far.seen.push(kind);
                let Decision::Again { wait, change } = decision else { break };
                attempts += 1;
                prop_assert!(wait <= LONGEST_WAIT);
                so_far.since_first += wait;
                so_far.retried += u32::from(counts(change));
                can.drop_layers &= change != Change::WithoutLayers;
                can.drop_imports &= change != Change::WithoutCacheImports;
                can.drop_exports &= change != Change::WithoutCacheExports;
            }
            // The first, the retries, and one each for both caches, the layers and the login.
            prop_assert!(attempts <= 1 + retries + 4, "{attempts}");
            prop_assert!(so_far.since_first <= RETRY_WINDOW);
        }
    }
}
