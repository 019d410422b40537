use super::*;
use crate::inputs::CacheMode;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn caches(root: &Path) -> LocalCaches {
    let cache = root.join("o/r/trusted/cache-app-main");
    LocalCaches { root: root.to_owned(), read: vec![cache.clone()], write: Some(cache), mode: CacheMode::Max }
}

fn private(path: &Path) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    private(root.path());
    root
}

/// Writes what BuildKit would, with this text as its only layer.
fn export(folder: &Path, text: &str) {
    let blobs = folder.join("blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8], kind: &str| {
        let digest = Digest::of(bytes);
        let path = blobs.join(digest.as_str().trim_start_matches("sha256:"));
        // As BuildKit does: a blob that is there is not written again.
        if !path.exists() {
            fs_err::write(path, bytes).unwrap();
        }
        serde_json::json!({"digest": digest.as_str(), "size": bytes.len(), "mediaType": kind})
    };
    let layer = put(text.as_bytes(), "application/vnd.oci.image.layer.v1.tar+gzip");
    let config = put(b"{}", "application/vnd.buildkit.cacheconfig.v0");
    let manifest = serde_json::json!({"config": config, "layers": [layer]}).to_string();
    let manifest = put(manifest.as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    fs_err::write(folder.join("index.json"), serde_json::json!({"manifests": [manifest]}).to_string())
        .unwrap();
}

use crate::image::Digest;

fn destination(cache: &LocalCacheUse) -> PathBuf {
    let entry = cache.destination().unwrap_or_else(|| panic!("{:?}", cache.notices));
    let entry: CacheEntry = entry.parse().unwrap();
    PathBuf::from(entry.get("dest").unwrap())
}

/// The layer of the generation that is read.
fn read(root: &Path) -> Option<String> {
    let cache = LocalCacheUse::open(&LocalCaches { write: None, ..caches(root) });
    assert!(cache.notices.is_empty(), "{:?}", cache.notices);
    let entry: CacheEntry = cache.sources().first()?.parse().unwrap();
    let folder = PathBuf::from(entry.get("src").unwrap());
    let layers = fs_err::read_dir(folder.join("blobs/sha256")).unwrap().flatten();
    let texts = layers.map(|file| fs_err::read_to_string(file.path()).unwrap());
    texts.into_iter().find(|text| text.starts_with("layer"))
}

fn write(root: &Path, text: &str) {
    let cache = LocalCacheUse::open(&caches(root));
    export(&destination(&cache), text);
    assert_eq!(cache.commit(), None);
}

fn generations(root: &Path) -> usize {
    let Ok(entries) = fs_err::read_dir(root.join("o/r/trusted/cache-app-main")) else { return 0 };
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains("gen-")).count()
}

#[test]
fn the_newest_generation_is_read_and_the_others_are_removed() {
    let root = root();
    assert_eq!(read(root.path()), None);
    for text in ["layer 1", "layer 2", "layer 3"] {
        write(root.path(), text);
        assert_eq!((read(root.path()).as_deref(), generations(root.path())), (Some(text), 1));
    }
}

#[test]
fn layers_are_linked_and_old_ones_go() {
    use std::os::unix::fs::MetadataExt as _;
    let root = root();
    let inode = |text: &str| {
        let cache = LocalCacheUse::open(&LocalCaches { write: None, ..caches(root.path()) });
        let hex = Digest::of(text.as_bytes()).as_str().trim_start_matches("sha256:").to_owned();
        let blobs = cache.read[0].path.join("blobs/sha256");
        (fs_err::metadata(blobs.join(hex)).ok().map(|m| m.ino()), fs_err::read_dir(blobs).unwrap().count())
    };
    write(root.path(), "layer 1");
    let (first, _) = inode("layer 1");
    // As BuildKit does: a blob that is there is not written again.
    let cache = LocalCacheUse::open(&caches(root.path()));
    let old = cache.read[0].path.join("index.json");
    fs_err::copy(old, destination(&cache).join("index.json")).unwrap();
    assert_eq!(cache.commit(), None);
    assert_eq!(inode("layer 1"), (first, 3));
    write(root.path(), "layer 2");
    assert_eq!(inode("layer 1"), (None, 3));
    // From a cache that is not read nothing is linked.
    let mistrust = LocalCaches { read: vec![], ..caches(root.path()) };
    let cache = LocalCacheUse::open(&mistrust);
    assert_eq!(fs_err::read_dir(destination(&cache)).unwrap().count(), 0);
}

#[test]
fn a_generation_stays_while_a_run_reads_it() {
    let root = root();
    write(root.path(), "layer 1");
    let reader = LocalCacheUse::open(&LocalCaches { write: None, ..caches(root.path()) });
    let source = reader.sources();
    write(root.path(), "layer 2");
    let entry: CacheEntry = source[0].parse().unwrap();
    assert!(Path::new(entry.get("src").unwrap()).join("index.json").exists());
    drop(reader);
    write(root.path(), "layer 3");
    assert_eq!(generations(root.path()), 1);
}

#[test]
fn a_build_that_failed_leaves_nothing() {
    let root = root();
    write(root.path(), "layer 1");
    let cache = LocalCacheUse::open(&caches(root.path()));
    export(&destination(&cache), "layer 2");
    drop(cache);
    assert_eq!((read(root.path()).as_deref(), generations(root.path())), (Some("layer 1"), 1));
}

#[test]
fn a_broken_export_does_not_become_current() {
    let root = root();
    write(root.path(), "layer 1");
    let spoil: [&dyn Fn(&Path); 4] = [
        &|folder| fs_err::remove_file(folder.join("index.json")).unwrap(),
        &|folder| fs_err::write(folder.join("index.json"), "{").unwrap(),
        &|folder| fs_err::write(folder.join("index.json"), "{}").unwrap(),
        &|folder| {
            for blob in fs_err::read_dir(folder.join("blobs/sha256")).unwrap().flatten() {
                fs_err::remove_file(blob.path()).unwrap();
                fs_err::write(blob.path(), "short").unwrap();
            }
        },
    ];
    for spoil in spoil {
        let cache = LocalCacheUse::open(&caches(root.path()));
        let folder = destination(&cache);
        export(&folder, "layer 2");
        spoil(&folder);
        assert!(cache.commit().unwrap().starts_with("local cache not written: "));
        assert_eq!((read(root.path()).as_deref(), generations(root.path())), (Some("layer 1"), 1));
    }
}

#[test]
fn a_broken_generation_is_not_read() {
    /// The blob that holds this text.
    fn blob(folder: &Path, text: &str) -> PathBuf {
        let blobs = fs_err::read_dir(folder.join("blobs/sha256")).unwrap().flatten();
        let mut paths = blobs.map(|entry| entry.path());
        paths.find(|path| fs_err::read_to_string(path).unwrap().contains(text)).unwrap()
    }
    /// D102: Makes a manifest too large to be read; all else is whole.
    fn too_large(folder: &Path, manifest: &Path) {
        let mut bytes = fs_err::read(manifest).unwrap();
        bytes.resize(usize::try_from(crate::budget::CACHE_DOCUMENT).unwrap() + 1, b' ');
        let digest = Digest::of(&bytes);
        let name = digest.as_str().trim_start_matches("sha256:");
        fs_err::write(manifest.with_file_name(name), &bytes).unwrap();
        let index = serde_json::json!({"manifests": [{"digest": digest.as_str(), "size": bytes.len(), "mediaType": "application/vnd.oci.image.manifest.v1+json"}]});
        fs_err::write(folder.join("index.json"), index.to_string()).unwrap();
    }
    type Spoil = fn(&Path);
    let broken: [(Spoil, &str); 7] = [
        (|folder| too_large(folder, &blob(folder, "layers")), "is larger than 16 MiB"),
        (|folder| fs_err::write(folder.join("index.json"), "").unwrap(), "not JSON"),
        (|folder| fs_err::write(folder.join("index.json"), "{\"manifests\": [").unwrap(), "not JSON"),
        (|folder| fs_err::remove_file(folder.join("index.json")).unwrap(), "nothing was exported"),
        (|folder| fs_err::remove_file(blob(folder, "layer 1")).unwrap(), "is not there"),
        (|folder| fs_err::write(blob(folder, "layer 1"), "layer").unwrap(), "has 5 bytes instead of 7"),
        (
            |folder| {
                let manifest = blob(folder, "layers");
                let other = fs_err::read_to_string(&manifest).unwrap().replace("gzip", "zstd");
                fs_err::write(manifest, other).unwrap();
            },
            "has other content",
        ),
    ];
    for (spoil, why) in broken {
        let root = root();
        write(root.path(), "layer 1");
        let good = LocalCacheUse::open(&LocalCaches { write: None, ..caches(root.path()) });
        spoil(&good.read[0].path);
        drop(good);
        let cache = LocalCacheUse::open(&caches(root.path()));
        assert!(cache.sources().is_empty(), "{why}");
        assert_eq!(cache.notices.len(), 1, "{:?}", cache.notices);
        let said = &cache.notices[0];
        assert!(said.starts_with("local cache not read: ") && said.contains(why), "{why}: {said}");
        // Nothing of it is linked, and the build's own generation takes its place.
        assert_eq!(fs_err::read_dir(destination(&cache)).unwrap().count(), 0);
        export(&destination(&cache), "layer 2");
        assert_eq!(cache.commit(), None);
        assert_eq!((read(root.path()).as_deref(), generations(root.path())), (Some("layer 2"), 1));
    }
}

#[test]
fn links_and_other_peoples_folders_are_refused() {
    let (root, elsewhere) = (root(), root());
    write(elsewhere.path(), "layer poison");
    let refused = |expected: &str| {
        let cache = LocalCacheUse::open(&caches(root.path()));
        assert!(cache.sources().is_empty() && cache.destination().is_none());
        assert!(cache.notices.iter().all(|notice| notice.contains(expected)), "{:?}", cache.notices);
        assert_eq!(cache.notices.len(), 2);
    };
    // A part of the way.
    symlink(elsewhere.path().join("o"), root.path().join("o")).unwrap();
    refused("is a symbolic link");
    fs_err::remove_file(root.path().join("o")).unwrap();
    write(root.path(), "layer 1");
    // A folder that others can write.
    let open = std::fs::Permissions::from_mode(0o777);
    fs_err::set_permissions(root.path().join("o/r"), open).unwrap();
    refused("can be written by other users");
    private(&root.path().join("o/r"));
    // The generation itself, and where current leads.
    let cache = root.path().join("o/r/trusted/cache-app-main");
    for target in ["../../../..", "/tmp"] {
        fs_err::remove_file(cache.join("current")).unwrap();
        symlink(target, cache.join("current")).unwrap();
        let opened = LocalCacheUse::open(&LocalCaches { write: None, ..caches(root.path()) });
        assert!(opened.sources().is_empty() && opened.notices[0].contains("leads out of the cache"));
    }
    symlink(elsewhere.path().join("o/r/trusted/cache-app-main"), cache.join("gen-0")).unwrap();
    fs_err::remove_file(cache.join("current")).unwrap();
    symlink("gen-0", cache.join("current")).unwrap();
    assert_eq!(read(root.path()), None);
}

#[test]
fn a_folder_that_cannot_hold_a_cache_is_known_before() {
    let root = root();
    assert_eq!(why_unusable(root.path()), None);
    assert_eq!(why_unusable(&root.path().join("not/there/yet")), None);
    fs_err::write(root.path().join("file"), "").unwrap();
    assert!(why_unusable(&root.path().join("file")).unwrap().contains("not a folder"));
    assert!(why_unusable(&root.path().join("file/below")).unwrap().contains("not a folder"));
    let open = std::fs::Permissions::from_mode(0o777);
    fs_err::set_permissions(root.path(), open).unwrap();
    assert!(why_unusable(root.path()).unwrap().contains("can be written by other users"));
}

const STEPS: [&str; 9] = [
    "before verifying",
    "before tidying up",
    "before writing out",
    "before locking",
    "before linking",
    "before the switch",
    "after the switch",
    "before sweeping",
    "before removing",
];

/// The other process of `a_kill_at_every_step_leaves_the_old_or_the_new`.
#[test]
#[ignore = "started by another test"]
#[expect(clippy::disallowed_methods, reason = "told by the test that starts it")]
fn child() {
    let (root, step) = (std::env::var("CHILD_ROOT").unwrap(), std::env::var("CHILD_STEP").unwrap());
    let cache = LocalCacheUse::open(&caches(Path::new(&root)));
    export(&destination(&cache), "layer new");
    let said = cache.commit_with(&mut |at| {
        if at == step {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    });
    assert_eq!(said, None);
}

#[expect(clippy::disallowed_methods, reason = "a process that can be killed")]
fn start(root: &Path, step: &str) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ports::local_cache::tests::child", "--ignored", "--nocapture"])
        .env("CHILD_ROOT", root)
        .env("CHILD_STEP", step)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_kill_at_every_step_leaves_the_old_or_the_new() {
    use std::os::unix::process::ExitStatusExt as _;
    let mut switched = false;
    for step in STEPS {
        let root = root();
        write(root.path(), "layer old");
        let status = start(root.path(), step).wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{step} was not reached");
        switched |= step == "after the switch";
        let expected = if switched { "layer new" } else { "layer old" };
        assert_eq!(read(root.path()).as_deref(), Some(expected), "{step}");
        // The next run works, and removes what the killed one left.
        write(root.path(), "layer next");
        assert_eq!(
            (read(root.path()).as_deref(), generations(root.path())),
            (Some("layer next"), 1),
            "{step}"
        );
    }
}

#[test]
fn twenty_at_once_leave_one_valid_generation() {
    let root = root();
    let children: Vec<_> = (0..20).map(|_| start(root.path(), "never")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(read(root.path()).as_deref(), Some("layer new"));
    // One that waited too long for the lock left old generations, which the next one removes.
    write(root.path(), "layer last");
    assert_eq!((read(root.path()).as_deref(), generations(root.path())), (Some("layer last"), 1));
}
