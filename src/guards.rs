//! Checks that keep the zones apart, each with a name. Code asks `Guard::ExpectedKey.holds()` before it goes without the
//! check. `tests/it/attacks` shows for each guard that an attack which it stops works without it. Only a build with debug
//! assertions can go without one, after [`switch_off`] or in [`without`]; in a release [`Guard::holds`] is a constant.

macro_rules! guards {
    ($($(#[doc = $doc:literal])+ $guard:ident = $name:literal;)+) => {
        /// One of the checks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Guard {
            $($(#[doc = $doc])+ $guard,)+
        }

        impl Guard {
            /// Every guard.
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
    /// The event file must be of the event, the ref and the repository that the run's variables name.
    EventAgrees = "event-agrees";
    /// An event that is not understood has the lowest trust.
    UnknownEvent = "unknown-event";
    /// A pull request is the repository's own only if head and base agree by id and name.
    HeadRepository = "head-repository";
    /// Dependabot is known by who made the change, not by who started the run.
    Dependabot = "dependabot";
    /// A branch without protection is not trusted.
    ProtectedRef = "protected-ref";
    /// A ref of the merge queue is trusted as such only if the merge queue itself pushed it.
    QueuePusher = "queue-pusher";
    /// `pull_request_target` does not build.
    TargetEvent = "target-event";
    /// Each zone's tags begin with its own prefix.
    ZonePrefix = "zone-prefix";
    /// No branch has the prefix of another zone.
    BranchMark = "branch-mark";
    /// Shared names say of which GitHub repository they are.
    RepositoryMark = "repository-mark";
    /// Names of images and branches that differ give tags that differ.
    NamesApart = "names-apart";
    /// An image is used only if it carries the run's key.
    ExpectedKey = "expected-key";
    /// An index is used only if each of its images carries the key.
    EveryChild = "every-child";
    /// What the registry sends is what its digest says.
    ContentDigest = "content-digest";
    /// A fork's run writes nothing.
    ForkWrites = "fork-writes";
    /// Only trusted runs set the references in `tags`.
    AskedTags = "asked-tags";
    /// Only trusted runs make repositories and change their settings.
    SetUp = "set-up";
    /// References that the user writes in inputs keep to the zone's rights.
    WrittenReferences = "written-references";
    /// `extra-args` has no flag that names or sends the image.
    ExtraFlags = "extra-flags";
    /// A merge takes only images of zones that the run may read.
    MergedZones = "merged-zones";
    /// Only the program sets its own labels and annotations.
    OwnLabels = "own-labels";
    /// An image in the engine counts only by its private name; its labels prove nothing.
    LocalRecord = "local-record";
    /// The engine's private names say of which GitHub repository and zone an image is.
    LocalZones = "local-zones";
    /// An image in the engine is no base image if only runs of other repositories or of less trust made it.
    LocalBase = "local-base";
    /// A trusted run uses no layers that other runs have made on its engine.
    OwnLayers = "own-layers";
    /// A builder that trusted runs keep builds for trusted runs alone.
    KeptBuilder = "kept-builder";
    /// A folder with a layer cache belongs to the runner's user, and is no link.
    CacheFolder = "cache-folder";
    /// Text from outside cannot be a workflow command (`::set-output …`).
    InertLog = "inert-log";
    /// Text from outside cannot be Markdown.
    InertSummary = "inert-summary";
}

#[cfg(not(debug_assertions))]
impl Guard {
    /// Tells whether the guard holds: always.
    #[must_use]
    pub(crate) const fn holds(self) -> bool {
        true
    }
}

// A release in which a guard does not hold, or in which the compiler cannot know that, does not compile.
#[cfg(not(debug_assertions))]
const _: () = {
    let mut at = 0;
    while at < Guard::ALL.len() {
        assert!(Guard::ALL[at].holds());
        at += 1;
    }
};

/// The guards that are off in all threads, one bit each.
#[cfg(debug_assertions)]
static OFF: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[cfg(debug_assertions)]
std::thread_local! {
    /// The guards that are off in this thread, one bit each.
    static OFF_HERE: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(debug_assertions)]
impl Guard {
    /// Tells whether the guard holds: unless [`switch_off`] or [`without`] named it.
    #[must_use]
    pub(crate) fn holds(self) -> bool {
        (OFF.load(std::sync::atomic::Ordering::Relaxed) | OFF_HERE.get()) & self.bit() == 0
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// Switches guards off for the rest of the process. `names`: separated by commas.
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

/// Does the work without the guard of this name; it holds in other threads, and in this one afterwards.
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
