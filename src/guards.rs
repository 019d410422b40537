//! What keeps the zones apart, by name. `tests/it/attacks` shows for each that an attack it stops
//! works without it. Only a build with debug assertions can go without one, and only when
//! [`switch_off`] is called; in a release [`Guard::holds`] is a constant.

macro_rules! guards {
    ($($(#[doc = $doc:literal])+ $guard:ident = $name:literal;)+) => {
        /// One guard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Guard {
            $($(#[doc = $doc])+ $guard,)+
        }

        impl Guard {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$guard,)+];

            /// The name by which a test switches it off.
            #[cfg(debug_assertions)]
            #[must_use]
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$guard => $name,)+
                }
            }
        }
    };
}

guards! {
    /// The event file must be that of the event, the ref and the repository of the run.
    EventAgrees = "event-agrees";
    /// An event that is not understood has the lowest trust.
    UnknownEvent = "unknown-event";
    /// A pull request is the repository's own only if head and base agree by id and name.
    HeadRepository = "head-repository";
    /// Dependabot is known by who made the change, not by who started the run.
    Dependabot = "dependabot";
    /// A branch without protection is not trusted.
    ProtectedRef = "protected-ref";
    /// Only the merge queue itself pushes what the queue is trusted with.
    QueuePusher = "queue-pusher";
    /// `pull_request_target` does not build.
    TargetEvent = "target-event";
    /// Each zone's tags begin with its own prefix.
    ZonePrefix = "zone-prefix";
    /// A branch's prefix is none that another zone can have.
    BranchMark = "branch-mark";
    /// Shared names say of which GitHub repository they are.
    RepositoryMark = "repository-mark";
    /// Different names stay different when they are made into tags.
    NamesApart = "names-apart";
    /// An image is used only if it carries the key.
    ExpectedKey = "expected-key";
    /// Every image of an index carries it.
    EveryChild = "every-child";
    /// What the registry sends is what its digest says.
    ContentDigest = "content-digest";
    /// A fork's run writes nothing.
    ForkWrites = "fork-writes";
    /// Only trusted runs set the references in `tags`.
    AskedTags = "asked-tags";
    /// References the user writes out keep to the zone's rights.
    WrittenReferences = "written-references";
    /// `extra-args` holds no flag that names or sends the result.
    ExtraFlags = "extra-flags";
    /// What is merged was published by a zone that the run may read.
    MergedZones = "merged-zones";
    /// Only the program sets its own labels and annotations.
    OwnLabels = "own-labels";
    /// An image of the engine's counts only by its private name; its labels prove nothing.
    LocalRecord = "local-record";
    /// The engine's private names say of which GitHub repository and zone an image is.
    LocalZones = "local-zones";
    /// No image that only runs of other repositories or of less trust made is a base because the engine has it.
    LocalBase = "local-base";
    /// A trusted run takes no layers that others have made on its engine.
    OwnLayers = "own-layers";
    /// A builder that trusted runs keep builds for them alone.
    KeptBuilder = "kept-builder";
    /// A folder with a layer cache is the runner's own, and no link.
    CacheFolder = "cache-folder";
    /// Foreign text cannot be a workflow command.
    InertLog = "inert-log";
    /// Foreign text cannot be Markdown.
    InertSummary = "inert-summary";
}

#[cfg(not(debug_assertions))]
impl Guard {
    /// Whether it holds: always.
    #[must_use]
    pub(crate) const fn holds(self) -> bool {
        true
    }
}

// A release in which one does not hold, or in which that is not known before it runs, does not compile.
#[cfg(not(debug_assertions))]
const _: () = {
    let mut at = 0;
    while at < Guard::ALL.len() {
        assert!(Guard::ALL[at].holds());
        at += 1;
    }
};

#[cfg(debug_assertions)]
static OFF: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[cfg(debug_assertions)]
std::thread_local! {
    /// Those that this thread goes without.
    static OFF_HERE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(debug_assertions)]
impl Guard {
    /// Whether it holds: unless [`switch_off`] or [`without`] named it.
    #[must_use]
    pub(crate) fn holds(self) -> bool {
        (OFF.load(std::sync::atomic::Ordering::Relaxed) | OFF_HERE.get()) & self.bit() == 0
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// Goes without the guards named, separated by commas.
///
/// # Errors
/// If a name is not known: a test must not pass because it names nothing.
#[cfg(debug_assertions)]
pub(crate) fn switch_off(names: &str) -> Result<(), String> {
    for name in names.split(',') {
        OFF.fetch_or(named(name)?.bit(), std::sync::atomic::Ordering::Relaxed);
    }
    Ok(())
}

/// Does the work without the guard of this name; other threads keep it.
///
/// # Errors
/// If no guard has the name.
#[cfg(debug_assertions)]
pub fn without<T>(name: &str, work: impl FnOnce() -> T) -> Result<T, String> {
    let before = OFF_HERE.replace(OFF_HERE.get() | named(name)?.bit());
    let done = work();
    OFF_HERE.set(before);
    Ok(done)
}

#[cfg(debug_assertions)]
fn named(name: &str) -> Result<&'static Guard, String> {
    let guard = Guard::ALL.iter().find(|guard| guard.name() == name);
    guard.ok_or_else(|| format!("no guard is called {name}"))
}
