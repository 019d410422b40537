//! The limits on everything from outside: size, number, depth and time. Each is far above what honest projects and
//! registries need, and low enough that hostile content costs little time and memory. `docs/limits.md` is made from
//! [`TABLE`].

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A limit with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Most {
    /// Bytes.
    Bytes(u64),
    /// A number of things.
    Count(usize),
    /// A time.
    Time(Duration),
}

impl fmt::Display for Most {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) if bytes.is_multiple_of(MIB) => write!(f, "{} MiB", bytes / MIB),
            Self::Bytes(bytes) => write!(f, "{} KiB", bytes / KIB),
            Self::Count(count) => {
                let digits = count.to_string();
                let split = digits.len() % 3;
                for (at, digit) in digits.chars().enumerate() {
                    if at > 0 && at % 3 == split {
                        f.write_str(",")?;
                    }
                    write!(f, "{digit}")?;
                }
                Ok(())
            }
            Self::Time(time) => write!(f, "{} s", time.as_secs()),
        }
    }
}

/// A row of the table: the limited thing, the limit, and what happens beyond it.
pub(crate) type Row = (&'static str, Most, &'static str);

// `NAME: Unit(type) = limit, "what is limited", "what happens beyond it";` makes a constant and a row of the table.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ident($type:ty) = $value:expr, $what:literal, $beyond:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: $type = $value;)*
        /// Every limit, in the order of the docs.
        pub const TABLE: &[Row] = &[$(($what, Most::$kind($name), $beyond),)*];
    };
}

limits! {
    /// Bytes of a Dockerfile.
    DOCKERFILE: Bytes(u64) = MIB, "Dockerfile", "refused, exit 10";
    /// Instructions of a Dockerfile, those of `ONBUILD` once for each stage that they run in.
    INSTRUCTIONS: Count(usize) = 20_000, "instructions of a Dockerfile, `ONBUILD` counted in each stage that it runs in", "refused, exit 10";
    /// Levels of `${A:-${B:-…}}`.
    NESTING: Count(usize) = 100, "levels of `${A:-${B:-…}}` in a Dockerfile", "refused, exit 10";
    /// Bytes that the expanded variables of a Dockerfile come to, summed over every place that uses one.
    EXPANDED: Bytes(u64) = 8 * MIB, "what the variables of a Dockerfile come to", "refused, exit 10";
    /// Steps that the patterns of `${A#pattern}` and `${A/pattern/text}` may take.
    MATCHING: Count(usize) = 10_000_000, "steps that all patterns of `${A#pattern}` and `${A/pattern/text}` take", "refused, exit 10";
    /// Paths that a Dockerfile copies from the context.
    COPIED: Count(usize) = 10_000, "paths that `COPY`, `ADD` and bind mounts name", "refused, exit 10";
    /// Images, contexts and URLs that a Dockerfile names: each costs a request.
    OUTSIDE: Count(usize) = 500, "images, and URLs of `ADD`, in a Dockerfile", "refused, exit 10";
    /// Bytes of an ignore file.
    IGNORE_FILE: Bytes(u64) = MIB, "`.dockerignore`, with what `exclude` adds", "refused, exit 2";
    /// Patterns of an ignore file: each is held against each path.
    IGNORE_RULES: Count(usize) = 10_000, "patterns of a `.dockerignore`", "refused, exit 10";
    /// Bytes of one pattern: as long as the longest path.
    PATTERN: Bytes(u64) = 4 * KIB, "one pattern of a `.dockerignore` or of `key-files`", "refused, exit 10 (of `key-files`: exit 2)";
    /// Patterns of `key-files`, with what `{a,b}` in them comes to: each is held against each path.
    ALTERNATIVES: Count(usize) = 10_000, "patterns of `key-files`, each alternative of `{a,b}` by itself", "refused, exit 2";
    /// Bytes of all patterns of `key-files`, with each alternative by itself.
    ALTERNATIVES_TEXT: Bytes(u64) = 256 * KIB, "all patterns of `key-files`, each alternative of `{a,b}` by itself", "refused, exit 2";
    /// Values inside files that `key-files` names: for each the file is searched and read.
    SUB_KEYS: Count(usize) = 1_000, "values of files that `key-files` takes (`file.json#a.b`)", "refused, exit 2";
    /// Steps that the patterns of a folder take: each pattern against each path, or 64 states of its expression at one
    /// character.
    PATH_MATCHING: Count(usize) = 20_000_000_000, "steps that all patterns of `.dockerignore`, `key-files` and `COPY` take for all paths of a folder", "refused, exit 2";
    /// Bytes of a file that an input names: `build-args-file` and its like, `buildkitd-config`.
    INPUT_FILE: Bytes(u64) = MIB, "a file that an input names (`build-args-file`, `buildkitd-config` and their like)", "refused, exit 2";
    /// Bytes of a file of which one value counts (`key-files: file.json#a.b`), of a printed key, and of saved facts.
    DOCUMENT_FILE: Bytes(u64) = 16 * MIB, "a file that `key-files` takes one value of; a file for `key --explain` or `plan --facts`", "refused, exit 2";
    /// Bytes of the event file; GitHub sends at most 25 MB.
    EVENT: Bytes(u64) = 32 * MIB, "the event file of GitHub", "refused, exit 2";
    /// Members of all objects of the event.
    EVENT_MEMBERS: Count(usize) = 100_000, "members of all objects of the event", "refused, exit 2";
    /// Files, links and folders that the key covers.
    FILES: Count(usize) = 5_000_000, "files, links and folders that the key covers, of one folder", "refused, exit 2";
    /// Bytes of one file of a repository in the context, such as `packed-refs`, which has about 60 for each reference.
    GIT_FILE: Bytes(u64) = 64 * MIB, "`packed-refs` and `shallow` of a repository in the context", "the repository's bytes count";
    /// Tags and replacements of a repository in the context, each.
    GIT_TAGS: Count(usize) = 200_000, "tags and replacements of a repository in the context", "the repository's bytes count";
    /// Submodules of a repository in the context.
    GIT_MODULES: Count(usize) = 1_000, "submodules of a repository in the context", "the repository's bytes count";
    /// Folders in one another, and submodules in one another, of a repository in the context.
    GIT_DEPTH: Count(usize) = 32, "levels of folders below a repository's `modules` and `refs/tags`", "the repository's bytes count";
    /// Bytes of a configuration of git that is searched for credentials.
    GIT_CONFIG: Bytes(u64) = MIB, "a configuration of git that is searched for credentials", "taken for one that holds a credential";
    /// Bytes of docker's configuration.
    DOCKER_CONFIG: Bytes(u64) = MIB, "docker's own `config.json`", "taken as absent";
    /// Bytes of a certificate or key that docker keeps for a registry.
    CERTIFICATE: Bytes(u64) = MIB, "a file of docker's `certs.d`", "taken as absent";
    /// Files of one registry's folder in docker's `certs.d`.
    CERTIFICATES: Count(usize) = 64, "files of a registry's folder in docker's `certs.d`", "the rest is not read";
    /// Bytes of buildx's metadata file, which says what it built.
    METADATA: Bytes(u64) = 16 * MIB, "buildx's metadata file", "not known what was built, exit 30";
    /// Bytes of a message of buildx's progress, which may be spread over lines.
    PROGRESS_MESSAGE: Bytes(u64) = 8 * MIB, "one message of buildx's progress", "shown as plain text";
    /// Bytes of one line that a child process prints.
    LINE: Bytes(u64) = 8 * MIB, "one line of what `docker buildx build` and `docker pull` print", "comes in pieces";
    /// Bytes that a child process prints, where they are read as a whole.
    CHILD_OUTPUT: Bytes(u64) = 64 * MIB, "what one `docker` or `git` command prints", "the command counts as failed";
    /// Names in a list that docker prints.
    LISTED: Count(usize) = 100_000, "names in a list of docker's (containers, volumes)", "the list counts as failed";
    /// Bytes of an answer of the engine's socket.
    ENGINE_ANSWER: Bytes(u64) = 64 * MIB, "an answer of the engine at its socket", "the docker CLI is asked";
    /// How long the engine's socket may take to answer a question.
    ENGINE_QUESTION: Time(Duration) = Duration::from_secs(5), "one question to the engine at its socket (what takes the disk: 30 s)", "the docker CLI is asked";
    /// Bytes of a manifest, an index or a configuration.
    MANIFEST: Bytes(u64) = 8 * MIB, "a manifest, an index or a configuration of an image", "the registry's answer is unknown";
    /// Bytes of a token service's answer.
    TOKEN: Bytes(u64) = MIB, "the answer of a registry's token service", "the registry's answer is unknown";
    /// Bytes of an answer of AWS.
    AWS_ANSWER: Bytes(u64) = 16 * MIB, "an answer of AWS's API or of instance metadata", "the request counts as failed";
    /// Pages of a list of a bucket's objects, of 1,000 objects each.
    S3_PAGES: Count(usize) = 200, "pages of a list of a bucket's objects, of 1,000 objects each", "the list counts as unknown";
    /// Pages of a repository's images in ECR, of 1,000 images each.
    ECR_PAGES: Count(usize) = 100, "pages of a repository's images in ECR, of 1,000 images each", "the list counts as unknown";
    /// Bytes of an answer of GitHub's API: a page of 100 pull requests has some two million.
    GITHUB_ANSWER: Bytes(u64) = 64 * MIB, "an answer of GitHub's API", "the request counts as failed";
    /// Pages of a list of GitHub's.
    GITHUB_PAGES: Count(usize) = 200, "pages of a list of GitHub's API", "refused, exit 30";
    /// Requests to GitHub's API of one run; a job's token has 1,000 an hour for a repository.
    GITHUB_REQUESTS: Count(usize) = 4_000, "requests of one run to GitHub's API", "refused, exit 30";
    /// How long all questions of `doctor` may take together.
    DOCTOR: Time(Duration) = Duration::from_secs(4), "all questions of `doctor`", "the check says that it got no answer, a warning";
    /// Bytes of all names and values of an answer's headers.
    HEADERS: Bytes(u64) = 64 * KIB, "the headers of a registry's or a token service's answer", "the registry's answer is unknown";
    /// Redirects that a read of a registry follows: registries keep blobs elsewhere.
    REDIRECTS: Count(usize) = 5, "redirects of one request to a registry", "the registry's answer is unknown";
    /// Pages of a repository's list of tags, of 1,000 each.
    TAG_PAGES: Count(usize) = 100, "pages of a repository's list of tags, of 1,000 tags each", "the list is not used";
    /// Pages of the list of manifests that are about one image.
    REFERRER_PAGES: Count(usize) = 20, "pages of the manifests that are about one image (signatures, attestations)", "refused, exit 30";
    /// Manifests about images: those that `prune` removes with them, and those that are copied with one.
    REFERRERS: Count(usize) = 10_000, "manifests about the images that `prune` removes", "nothing is removed, exit 30";
    /// Commits after this run's whose tags are asked for, and versions of a repository.
    LATER_COMMITS: Count(usize) = 50, "commits after this run's, and versions of a repository, whose tags are asked for", "older ones are not looked at";
    /// Images of an index that are looked at.
    CHILDREN: Count(usize) = 64, "images of an index that are asked for", "refused, exit 40";
    /// Lines of the input `digests`.
    PARTS: Count(usize) = 64, "lines of the input `digests`", "refused, exit 2";
    /// Images that the input `digests` of a pull names.
    PULLED: Count(usize) = 1_000, "images that `digests` names with `mode: pull`", "refused, exit 2";
    /// Jobs of the output `matrix`; GitHub starts no more of one matrix.
    JOBS: Count(usize) = 256, "jobs of the output `matrix`", "refused, exit 2";
    /// Bytes of the file of a lifecycle policy: four for each of the 30,720 characters that ECR takes.
    LIFECYCLE_FILE: Bytes(u64) = 120 * KIB, "the file of `lifecycle`, and 100 to 30,720 characters of it, as ECR takes", "refused, exit 2";
    /// How long a run waits for ECR's preview of a lifecycle policy, which takes seconds to minutes.
    PREVIEW: Time(Duration) = Duration::from_mins(2), "ECR's preview of a lifecycle policy", "no policy is written; `degraded`";
    /// Bytes of a document in a local layer cache.
    CACHE_DOCUMENT: Bytes(u64) = 16 * MIB, "a manifest in a local layer cache", "the cache is not used";
    /// Bytes of all documents of a local layer cache.
    CACHE_DOCUMENTS: Bytes(u64) = 64 * MIB, "all manifests in a local layer cache", "the cache is not used";
    /// Bytes of a lineage's file, which notes what a builder was sent: 32 for each of eight million files.
    LINEAGE: Bytes(u64) = 256 * MIB, "the note of what a builder was sent", "all files are sent once more";
    /// Bytes of a file that an `ADD` fetches, for its checksum.
    FETCHED: Bytes(u64) = 1024 * MIB, "a file behind a URL of `ADD`", "refused, exit 30";
    /// Redirects of the fetch of one URL; BuildKit's Go follows as many.
    FETCH_REDIRECTS: Count(usize) = 10, "redirects of the fetch of one URL of `ADD`", "refused, exit 30";
    /// Requests to registries that are open at once.
    REQUESTS: Count(usize) = 8, "requests to registries at once; the same for URLs, and for repositories of `ADD`", "the next one waits";
    /// Levels of indexes in one another that are copied to another repository.
    NESTED: Count(usize) = 3, "indexes in one another, of an image that is copied to another repository", "refused, exit 40";
    /// Layers that are copied at once.
    COPIES: Count(usize) = 4, "layers that are copied to another repository at once", "the next one waits";
    /// How long a registry may take no byte of a layer that is copied to it, or not answer after the last one.
    UPLOAD_SILENCE: Time(Duration) = Duration::from_mins(2), "a registry that takes nothing of a layer that is copied to it", "the copy is tried again, then exit 30";
    /// How long one request to a registry may take to the last byte of the answer, login included.
    REQUEST: Time(Duration) = Duration::from_mins(1), "one request to a registry, login included", "the registry's answer is unknown";
    /// How long a run waits in all because registries ask it to, or before it asks again.
    WAIT_IN_ALL: Time(Duration) = Duration::from_mins(1), "all waits of a run before it asks a registry again", "the registry's answer is unknown";
    /// How long a fetch of one URL may take.
    FETCH: Time(Duration) = Duration::from_mins(5), "the fetch of one URL of `ADD`", "refused, exit 30";
}

/// Reads a regular file, links followed. Any other (a pipe, a device) is refused without a wait.
///
/// # Errors
/// If it cannot be read, is no regular file, or has more than `most` bytes.
pub(crate) fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut options = fs_err::OpenOptions::new();
    // Opening a pipe would wait for its writer.
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    let refused =
        |why: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{} {why}", path.display()));
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refused("is no regular file".to_owned()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(most)).unwrap_or_default());
    // One byte more tells a file of `most` bytes from a larger one.
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(refused(format!("is larger than {}", Most::Bytes(most))));
    }
    Ok(bytes)
}

/// As [`read_file`], for text.
///
/// # Errors
/// Also if it is not UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_file(path, most)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{} is not UTF-8", path.display())))
}

/// Counts the cost of reading a Dockerfile. Errors are reasons, as clauses.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: Cell<u64>,
    steps: Cell<usize>,
}

impl Meter {
    /// Counts the expanded text of a variable or a word.
    ///
    /// # Errors
    /// If the sum is over [`EXPANDED`].
    pub(crate) fn add_text(&self, text: &str) -> Result<(), String> {
        self.bytes.set(self.bytes.get().saturating_add(text.len() as u64));
        if self.bytes.get() > EXPANDED {
            return Err(format!("the variables come to more than {}", Most::Bytes(EXPANDED)));
        }
        Ok(())
    }

    /// Counts steps of matching.
    ///
    /// # Errors
    /// If the sum is over [`MATCHING`].
    pub(crate) fn add_steps(&self, steps: usize) -> Result<(), String> {
        self.steps.set(self.steps.get().saturating_add(steps));
        if self.steps.get() > MATCHING {
            return Err(format!("the patterns take more than {} steps", Most::Count(MATCHING)));
        }
        Ok(())
    }
}

/// Words the reason for a refusal by a limit.
#[must_use]
pub(crate) fn more_than(most: usize, what: &str) -> String {
    format!("more than {} {what}", Most::Count(most))
}

/// Makes a named pipe, by the program that Linux and macOS have.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "only in tests")]
pub(crate) fn make_pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(Most::Bytes(2 * MIB).to_string(), "2 MiB");
        assert_eq!(Most::Bytes(3 * KIB).to_string(), "3 KiB");
        for (count, text) in
            [(1, "1"), (100, "100"), (1000, "1,000"), (20_000, "20,000"), (1_000_000, "1,000,000")]
        {
            assert_eq!(Most::Count(count).to_string(), text);
        }
    }

    #[test]
    fn d29_only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = read_file(path, 10).unwrap_err().to_string();
            assert!(error.contains("no regular file"), "{error}");
        }
        let file = folder.path().join("file");
        fs_err::write(&file, [b'x'; 11]).unwrap();
        assert!(read_file(&file, 10).unwrap_err().to_string().contains("larger than"));
        assert_eq!(read_file(&file, 11).unwrap().len(), 11);
    }
}
