//! Reports the engine's disk, before and after a run.

use std::fmt::Write as _;

use super::markdown::{cell, code};
use crate::buildkit::{Space, StoredImage, Usage};
use crate::facts::StoreFacts;
use crate::plan::OldImage;
use crate::shown::bytes;

/// Images that are listed by size.
const LARGEST: usize = 5;
/// Removed images that are listed.
const REMOVED: usize = 20;

/// What is reported of the engine's disk.
#[derive(Debug, Default)]
pub struct DiskReport {
    /// Figures before and after, if they are wanted.
    figures: Option<Figures>,
    /// Old images that were removed from the engine.
    pub(super) removed: Vec<OldImage>,
}

#[derive(Debug)]
struct Figures {
    /// A folder on the disk, with the room before and after; `None` if the engine runs on another machine.
    space: Option<(String, Space, Option<Space>)>,
    /// docker's table before and after.
    usage: (Vec<Usage>, Vec<Usage>),
    /// The largest images of this GitHub repository, before the run.
    largest: Vec<StoredImage>,
}

impl DiskReport {
    /// Adds the figures before the first write.
    pub(crate) fn before(&mut self, store: &StoreFacts) {
        let mut largest = store.images.clone();
        largest.sort_by_key(|image| std::cmp::Reverse(image.bytes));
        largest.truncate(LARGEST);
        let space = store.disk.as_ref().map(|disk| (disk.folder.display().to_string(), disk.space, None));
        self.figures = Some(Figures { space, usage: (store.usage.clone(), Vec::new()), largest });
    }

    /// Adds those at the end.
    pub(crate) fn after(&mut self, now: Option<Space>, usage: Vec<Usage>) {
        let Some(figures) = &mut self.figures else { return };
        if let Some((_, _, after)) = &mut figures.space {
            *after = now;
        }
        figures.usage.1 = usage;
    }
}

/// The summary's part about the engine's disk; nothing if there is nothing to tell.
pub(super) fn add(text: &mut String, DiskReport { figures, removed }: &DiskReport) {
    if figures.is_none() && removed.is_empty() {
        return;
    }
    let _ = writeln!(text, "<details><summary>The engine's disk</summary>\n");
    if let Some(figures) = figures {
        add_figures(text, figures);
    }
    if !removed.is_empty() {
        let freed = bytes(removed.iter().map(|image| image.bytes).sum());
        let _ = writeln!(text, "Removed {} old images ({freed}):\n", removed.len());
        let _ = writeln!(text, "| image | built or pulled | size |\n| --- | ---: | ---: |");
        for OldImage { id, names, days, bytes: size } in removed.iter().take(REMOVED) {
            let name = names.first().unwrap_or(id);
            let _ = writeln!(text, "| {} | {days} days ago | {} |", code(name), bytes(*size));
        }
        if removed.len() > REMOVED {
            let _ = writeln!(text, "| {} more | | |", removed.len() - REMOVED);
        }
        let _ = writeln!(text);
    }
    let _ = writeln!(text, "</details>\n");
}

fn add_figures(text: &mut String, Figures { space, usage: (before, after), largest }: &Figures) {
    let _ = writeln!(text, "| | before | after |\n| --- | ---: | ---: |");
    if let Some((folder, before, after)) = space {
        let after = after.map(|after| bytes(after.free)).unwrap_or_default();
        let total = bytes(before.total);
        let _ = writeln!(text, "| free of {total} at {} | {} | {after} |", code(folder), bytes(before.free));
    }
    let words =
        |usage: &Usage| cell(&format!("{} ({}, reclaimable {})", usage.size, usage.count, usage.reclaimable));
    for row in before {
        let after = after.iter().find(|after| after.kind == row.kind).map(words).unwrap_or_default();
        let _ = writeln!(text, "| {} | {} | {after} |", cell(&row.kind), words(row));
    }
    let _ = writeln!(text);
    if !largest.is_empty() {
        let _ = writeln!(text, "| largest images of this repository before | size |\n| --- | ---: |");
        for image in largest {
            let name = image.names.first().unwrap_or(&image.id);
            let _ = writeln!(text, "| {} | {} |", code(name), bytes(image.bytes));
        }
        let _ = writeln!(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Disk;

    #[test]
    fn figures_and_removed_images() {
        let usage = |size: &str| Usage {
            kind: "Build Cache".into(),
            count: "9".into(),
            size: size.into(),
            reclaimable: "1GB".into(),
        };
        let space = |free: u64| Space { free: free << 30, total: 100 << 30 };
        let image = |id: &str, gib: u64| StoredImage {
            id: id.into(),
            names: vec![format!("build-once.invalid/o/r/app:trusted-key-{id}")],
            age: None,
            bytes: gib << 30,
        };
        let store = StoreFacts {
            images: (1..8).map(|size| image(&format!("i{size}"), size)).collect(),
            disk: Some(Disk { folder: "/var/lib/docker".into(), space: space(12), no_images: false }),
            usage: vec![usage("2GB")],
            ..StoreFacts::default()
        };
        let mut disk = DiskReport::default();
        disk.before(&store);
        disk.after(Some(space(15)), vec![usage("1GB")]);
        let old = |days| OldImage { id: "sha256:a|b".into(), names: Vec::new(), days, bytes: 3 << 30 };
        disk.removed = vec![old(20), old(30)];
        let mut text = String::new();
        add(&mut text, &disk);
        insta::assert_snapshot!(text);
        text.clear();
        add(&mut text, &DiskReport::default());
        assert_eq!(text, "");
    }
}
