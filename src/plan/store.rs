//! Decides which images of this GitHub repository the engine keeps, and whether another one fits on its disk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::buildkit::StoredImage;
use crate::error::{Error, Result};
use crate::facts::StoreFacts;
use crate::failure::FailureKind;
use crate::image::{Mark, image_of_private_name, parse_tag};
use crate::shown::bytes;

/// Images of one name that stay whatever their age: the one in use, and the one to go back to.
const NEWEST_KEPT: usize = 2;

/// An image that is removed from the engine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct OldImage {
    pub id: String,
    /// Its tags, which are removed before it.
    pub names: Vec<String>,
    /// Whole days since it was built or pulled.
    pub days: u64,
    pub bytes: u64,
}

/// The images that were built or pulled longer ago than `keep`: those with names of this GitHub repository only, which no
/// container uses. The newest two of each image stay, and those with an id in `needed`.
pub(super) fn old_images(
    store: &StoreFacts,
    keep: Duration,
    (place, mark): (&str, Option<&Mark>),
    needed: &BTreeSet<&str>,
) -> Vec<OldImage> {
    let mut by_image: BTreeMap<&str, Vec<&StoredImage>> = BTreeMap::new();
    for image in &store.images {
        let of: BTreeSet<&str> =
            image.names.iter().filter_map(|name| image_of_private_name(name, place)).collect();
        for name in of {
            by_image.entry(name).or_default().push(image);
        }
    }
    let mut newest = BTreeSet::new();
    for images in by_image.values_mut() {
        images.sort_by_key(|image| image.age);
        newest.extend(images.iter().take(NEWEST_KEPT).map(|image| image.id.as_str()));
    }
    let own = |name: &String| {
        // In containerd's store a reference by digest is a name too; every pull leaves one.
        name.contains('@')
            || image_of_private_name(name, place).is_some()
            || name.rsplit_once(':').zip(mark).is_some_and(|((_, tag), mark)| parse_tag(tag, mark).is_some())
    };
    let old = store.images.iter().filter_map(|image| {
        let age = image.age.filter(|age| *age > keep.as_secs())?;
        let stays = newest.contains(image.id.as_str())
            || needed.contains(image.id.as_str())
            || store.used.contains(&image.id)
            || !image.names.iter().any(|name| image_of_private_name(name, place).is_some())
            || !image.names.iter().all(own);
        let names = image.names.iter().filter(|name| !name.contains('@')).cloned().collect();
        (!stays).then(|| OldImage { id: image.id.clone(), names, days: age / 86_400, bytes: image.bytes })
    });
    old.collect()
}

/// An image that the engine is to get, by the bytes of its packed layers; `private` is a private name of it. The engine needs at least twice as many: it
/// unpacks them beside. That is certain only if it has no image yet whose layers could be shared; else it is a warning.
///
/// # Errors
/// If the image cannot fit.
pub(super) fn room_for(
    image: &str,
    private: &str,
    packed: u64,
    store: &StoreFacts,
    freed: u64,
) -> Result<Option<String>> {
    let Some(disk) = &store.disk else { return Ok(None) };
    let (free, wanted) = (disk.space.free.saturating_add(freed), packed.saturating_mul(2));
    // Of any key.
    let without_tag = |name: &str| name.rsplit_once(':').map(|(name, _)| name.to_owned());
    let own = without_tag(private);
    let known = store.images.iter().any(|stored| stored.names.iter().any(|name| without_tag(name) == own));
    if free >= wanted || known {
        return Ok(None);
    }
    let figures = format!(
        "{image} needs at least {} there, {} unpacked and as much packed; {} of {} are free on the disk of {}",
        bytes(wanted),
        bytes(packed),
        bytes(disk.space.free),
        bytes(disk.space.total),
        disk.folder.display()
    );
    if disk.no_images {
        return Err(Error::of(FailureKind::DiskFull, "the engine has no room for the image").cause(figures));
    }
    Ok(Some(format!("the engine may have no room for the image: {figures}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildkit::Space;
    use crate::facts::Disk;

    const DAY: u64 = 86_400;

    fn image(id: &str, days: u64, names: &[&str]) -> StoredImage {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        StoredImage { id: id.to_owned(), names, age: Some(days * DAY), bytes: 1 << 30 }
    }

    fn own(id: &str, days: u64) -> StoredImage {
        image(id, days, &[&format!("build-once.invalid/o/r/app:trusted-key-{id}")])
    }

    fn removed(images: &[StoredImage], used: &[&str], needed: &[&str]) -> Vec<String> {
        let used = used.iter().map(|&id| id.to_owned()).collect();
        let store = StoreFacts { images: images.to_vec(), used, ..StoreFacts::default() };
        let keep = Duration::from_secs(14 * DAY);
        let mark = Mark::of(None, Some("7"), None);
        let needed = needed.iter().copied().collect();
        let old = old_images(&store, keep, ("o/r", mark.as_ref()), &needed);
        old.into_iter().map(|image| image.id).collect()
    }

    #[test]
    fn the_newest_two_of_each_image_stay() {
        let all = [own("a", 40), own("b", 30), own("c", 20), own("d", 15)];
        assert_eq!(removed(&all, &[], &[]), ["a", "b"]);
        assert_eq!(removed(&all, &["a"], &[]), ["b"], "a container uses it");
        assert_eq!(removed(&all, &[], &["b"]), ["a"], "the run uses it");
        let young = [own("a", 40), own("b", 14), own("c", 1), own("d", 0)];
        assert_eq!(removed(&young, &[], &[]), ["a"], "14 days are not more than 14 days");
        let other = image("z", 90, &["build-once.invalid/o/r/other:trusted-key-z"]);
        assert_eq!(removed(&[own("a", 40), other, own("c", 20), own("d", 15)], &[], &[]), ["a"]);
    }

    #[test]
    fn an_image_with_any_name_of_others_stays() {
        let mut all = vec![own("x", 1), own("y", 2)];
        let private = "build-once.invalid/o/r/app:trusted-key-old";
        let own_tag = format!(
            "h.example/ci:pr-7-sha-{}-app-0123456789abcdef0123456789abcdef01234567",
            Mark::of(None, Some("7"), None).unwrap().as_str()
        );
        for (name, goes) in [
            ("h.example/ci@sha256:0123", true),
            (&own_tag, true),
            ("h.example/ci:key-rffffffff-app-0123", false),
            ("app:latest", false),
            ("build-once.invalid/o/s/app:trusted-key-old", false),
            ("h.example/ci:1.2", false),
            ("base:1", false),
        ] {
            all.push(image("old", 90, &[private, name]));
            assert_eq!(!removed(&all, &[], &[]).is_empty(), goes, "{name}");
            all.pop();
        }
        // A label is inherited, a name is not: an image without a private name is not ours.
        all.push(image("old", 90, &["h.example/ci@sha256:0123"]));
        assert!(removed(&all, &[], &[]).is_empty());
        all.push(StoredImage { age: None, ..own("unknown", 0) });
        assert!(removed(&all, &[], &[]).is_empty());
    }

    #[test]
    fn an_image_that_cannot_fit_is_refused_with_figures() {
        let disk = |free, no_images| {
            let space = Space { free, total: 100 << 30 };
            Some(Disk { folder: "/var/lib/docker".into(), space, no_images })
        };
        let store = |free, no_images| StoreFacts { disk: disk(free, no_images), ..StoreFacts::default() };
        let room = |free: u64, no_images, freed| {
            room_for(
                "app",
                "build-once.invalid/o/r/app:trusted-key-x",
                10 << 30,
                &store(free << 30, no_images),
                freed,
            )
        };
        assert!(room(20, true, 0).unwrap().is_none());
        let refused = room(19, true, 0).unwrap_err().to_string();
        assert!(
            refused.contains("20.0 GiB") && refused.contains("19.0 GiB of 100.0 GiB are free"),
            "{refused}"
        );
        assert!(room(19, true, 1 << 30).unwrap().is_none());
        assert!(room(19, false, 0).unwrap().unwrap().contains("may have no room"));
        let mut known = store(1, true);
        known.images.push(own("a", 1));
        assert!(
            room_for("app", "build-once.invalid/o/r/app:trusted-key-x", 10 << 30, &known, 0)
                .unwrap()
                .is_none(),
            "its layers may be there"
        );
        assert!(
            room_for("app", "build-once.invalid/o/r/app:trusted-key-x", 10 << 30, &StoreFacts::default(), 0)
                .unwrap()
                .is_none()
        );
    }
}
