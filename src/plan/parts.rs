//! Judges the images that an index is made of.

use std::collections::BTreeMap;

use crate::facts::{FoundPart, Line, LineKind};
use crate::image::{ANNOTATION_COMMITTED, ANNOTATION_MERGE_REVISION, ANNOTATION_REVISION, Platform};

/// The lines of a part must be images, at least one, and attestations of these. The error is a reason.
pub(super) fn check_lines(found: &FoundPart) -> Result<(), String> {
    for line in &found.lines {
        let is_known = match &line.kind {
            LineKind::Image(_) => true,
            LineKind::Attestation(image) => images(found).any(|(_, digest)| digest == image),
            LineKind::Other => false,
        };
        if !is_known {
            let digest = &line.digest;
            return Err(format!("it names {digest}, which is neither an image nor an attestation of one"));
        }
    }
    if images(found).next().is_none() {
        return Err("it has no image".to_owned());
    }
    Ok(())
}

pub(super) fn images(found: &FoundPart) -> impl Iterator<Item = (&Platform, &String)> {
    found.lines.iter().filter_map(Line::image)
}

/// Checks that a part is an image for this platform alone, perhaps with its attestations. The error is a reason.
pub(super) fn check_platform(part: &FoundPart, platform: &Platform) -> Result<(), String> {
    check_lines(part)?;
    let platforms: Vec<&Platform> = images(part).map(|(platform, _)| platform).collect();
    match *platforms {
        [own] if own == platform => Ok(()),
        [own] => Err(format!("it is for {own}")),
        _ => Err("it has several platforms".to_owned()),
    }
}

/// What all parts say of their commit.
pub(super) fn common(parts: &[&FoundPart]) -> BTreeMap<String, String> {
    let common = |name: &&str| {
        let mut values = parts.iter().map(|found| found.annotations.get(*name));
        let first = values.next()??;
        values.all(|value| value == Some(first)).then(|| ((*name).to_owned(), first.clone()))
    };
    [ANNOTATION_REVISION, ANNOTATION_MERGE_REVISION, ANNOTATION_COMMITTED].iter().filter_map(common).collect()
}
