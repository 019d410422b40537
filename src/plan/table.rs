//! The table of a plan of several images, for people.

use std::fmt::Write as _;

use super::actions::ImagePlan;
use crate::shown::cut;
use crate::trust::ImageRun;

/// The most characters of a reason.
const LONGEST_WHY: usize = 120;

/// One line an image: name, outcome, platforms, why.
pub(super) fn table<'a>(images: impl Iterator<Item = (ImageRun<'a>, &'a ImagePlan)>) -> String {
    let head = ["image", "outcome", "platforms", "why"].map(str::to_owned);
    let asked = images.filter(|(image, _)| image.request.asked);
    let rows = asked.map(|(image, planned)| {
        let platforms: Vec<String> = image.request.build.platforms.iter().map(ToString::to_string).collect();
        let why = planned.decision.reason.lines().next().unwrap_or_default();
        let outcome = planned.decision.outcome.name().to_owned();
        [image.request.image.to_string(), outcome, platforms.join(","), cut(why, LONGEST_WHY)]
    });
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [image, outcome, platforms, why] in &rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{image:<0$}  {outcome:<1$}  {platforms:<2$}  {why}",
            widths[0], widths[1], widths[2]
        );
    }
    text
}
