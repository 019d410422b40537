//! The layer caches of the input `cache`: whether they can be reached, and how large they are.

use super::{Check, Known};
use crate::image::ImageReference;
use crate::shown;

/// GitHub's cache service holds this much of a repository for free.
const GHA_FREE: u64 = 10 * 1024 * 1024 * 1024;

/// A layer cache in the registry: its size in bytes, if it is there and tells.
pub(crate) type RegistryCache = (ImageReference, Known<Option<Option<u64>>>);

/// GitHub's cache service.
pub(crate) struct Gha {
    /// The runner's variables that are not set.
    pub missing: Vec<&'static str>,
    /// What the run may do, where the runner says so: none, read, write or write-only.
    pub mode: Option<String>,
    /// Whether the service answers; `None` if its address is not known.
    pub reached: Option<Known<()>>,
    /// Bytes of all entries of the repository.
    pub used: Known<u64>,
}

/// A folder of this machine.
pub(crate) struct Folder {
    pub path: String,
    /// Why it cannot hold a cache.
    pub off: Option<String>,
    /// Bytes of what is in it, if they could be counted in time.
    pub size: Option<u64>,
}

/// A store that is only asked whether it answers: its host, and the status of its answer.
pub(crate) struct Bucket {
    pub kind: &'static str,
    pub host: String,
    pub status: Known<u16>,
}

/// The readable caches of one image, in the order in which BuildKit reads them.
pub(crate) fn registry(caches: &[RegistryCache]) -> Vec<Check> {
    let name = "cache registry";
    let there = |cache: &&RegistryCache| matches!(cache.1, Ok(Some(_)));
    if let Some((reference, size)) = caches.iter().find(there) {
        let size = match size {
            Ok(Some(Some(bytes))) => shown::bytes(*bytes),
            _ => "of a size that its manifest does not tell".to_owned(),
        };
        return vec![Check::ok(name, format!("{reference}: {size}"))];
    }
    let failed = caches.iter().find_map(|(_, answer)| answer.as_ref().err());
    if let Some(error) = failed {
        return vec![Check::unknown(name, error)];
    }
    let names = shown::list(caches.iter().map(|(reference, _)| reference));
    if names.is_empty() {
        return vec![Check::warn(name, "this run may read no layer cache", "see the zones in docs/trust.md")];
    }
    vec![Check::warn(
        name,
        format!("no layer cache yet, so the first build runs every step: {names}"),
        "let a trusted run (the default branch) build once with cache-write: auto; if one has, look at the lifecycle rules and at the input image",
    )]
}

pub(crate) fn gha(gha: &Gha) -> Vec<Check> {
    let name = "cache gha";
    if !gha.missing.is_empty() {
        let why = format!("the runner's variables are not there: {}", gha.missing.join(", "));
        return vec![Check::fail(
            name,
            why,
            "use the action (it hands them to its own step), not the program in a run step; outside GitHub Actions use another cache",
        )];
    }
    let mut checks = vec![match (&gha.reached, gha.mode.as_deref()) {
        (Some(Err(error)), _) => Check::refused(name, error),
        (_, Some(mode @ ("none" | "read"))) => Check::warn(
            name,
            format!(
                "this run's token may {}: nothing is written (events that strangers start)",
                if mode == "read" { "only read" } else { "neither read nor write" }
            ),
            "nothing; push and schedule write it",
        ),
        (Some(Ok(())), _) => Check::ok(name, "the cache service answers"),
        (None, _) => Check::warn(name, "could not be checked: its address is not known", "use the action"),
    }];
    checks.push(match &gha.used {
        Ok(used) if *used > GHA_FREE / 10 * 9 => Check::warn(
            "size of cache gha",
            format!(
                "{} of the {} that are free: old entries are removed, new builds miss",
                shown::bytes(*used),
                shown::bytes(GHA_FREE)
            ),
            "gh cache list --sort size_in_bytes; build-once prune removes entries of closed pull requests",
        ),
        Ok(used) => {
            Check::ok("size of cache gha", format!("{} of {}", shown::bytes(*used), shown::bytes(GHA_FREE)))
        }
        Err(error) => Check::unknown("size of cache gha", error),
    });
    checks
}

pub(crate) fn folder(folder: &Folder) -> Check {
    let name = "cache local";
    match (&folder.off, folder.size) {
        (Some(why), _) => {
            Check::fail(name, why, "name another folder in the input cache-dir, or make it writable")
        }
        (None, Some(bytes)) => Check::ok(name, format!("{}: {}", folder.path, shown::bytes(bytes))),
        (None, None) => Check::warn(
            name,
            format!(
                "{} can hold a cache; its size could not be checked: it has too many files to count in time",
                folder.path
            ),
            format!("du -sh {}", folder.path),
        ),
    }
}

pub(crate) fn bucket(bucket: &Bucket) -> Check {
    let name = &format!("cache {}", bucket.kind);
    let host = &bucket.host;
    match &bucket.status {
        // 403: it is there, and this question had no signature.
        Ok(200..=299 | 401 | 403 | 400) => {
            Check::ok(name, format!("{host} answers; rights are not asked for"))
        }
        Ok(404) => Check::fail(
            name,
            format!("{host} answers that there is no such bucket"),
            "correct bucket and region in the input cache",
        ),
        Ok(status @ 300..=399) => Check::warn(
            name,
            format!("{host} answers {status}: the bucket is in another region"),
            "correct region in the input cache",
        ),
        Ok(status) => {
            Check::warn(name, format!("could not be checked: {host} answers {status}"), "try again")
        }
        Err(error) => Check::refused(name, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{self, Fail, Ok as Good, Warn};
    use crate::error::Error;
    use crate::failure::FailureKind;

    fn error() -> Error {
        Error::of(FailureKind::Refused, "no")
    }

    #[test]
    fn caches_of_the_registry() {
        let of = |answers: Vec<Known<Option<Option<u64>>>>| {
            let reference: ImageReference = "h.example/ci:cache".parse().unwrap();
            let caches: Vec<RegistryCache> =
                answers.into_iter().map(|answer| (reference.clone(), answer)).collect();
            registry(&caches)[0].verdict
        };
        assert_eq!(of(vec![]), Warn);
        assert_eq!(of(vec![Ok(None)]), Warn);
        assert_eq!(of(vec![Ok(None), Ok(Some(Some(7)))]), Good);
        assert_eq!(of(vec![Ok(None), Err(error())]), Warn);
    }

    #[test]
    fn githubs_cache_service() {
        let good = || Gha { missing: vec![], mode: None, reached: Some(Ok(())), used: Ok(1) };
        let of = |gha: &Gha| super::gha(gha).iter().map(|check| check.verdict).max().unwrap();
        assert_eq!(of(&good()), Good);
        assert_eq!(of(&Gha { missing: vec!["ACTIONS_RUNTIME_TOKEN"], ..good() }), Fail);
        assert_eq!(of(&Gha { mode: Some("read".into()), ..good() }), Warn);
        assert_eq!(of(&Gha { reached: Some(Err(error())), ..good() }), Fail);
        assert_eq!(of(&Gha { used: Ok(GHA_FREE), ..good() }), Warn);
        assert_eq!(of(&Gha { used: Err(error()), ..good() }), Warn);
    }

    #[test]
    fn folders_and_buckets() {
        let of = |off: Option<&str>, size| {
            folder(&Folder { path: "/c".into(), off: off.map(str::to_owned), size }).verdict
        };
        assert_eq!([of(None, Some(1)), of(None, None), of(Some("no"), None)], [Good, Warn, Fail]);
        let of = |status: Known<u16>| -> Verdict {
            bucket(&Bucket { kind: "s3", host: "b".into(), status }).verdict
        };
        assert_eq!(
            [of(Ok(403)), of(Ok(404)), of(Ok(301)), of(Ok(500)), of(Err(error()))],
            [Good, Fail, Warn, Warn, Fail]
        );
    }
}
