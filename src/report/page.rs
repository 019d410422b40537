//! The job summary as a whole.

use super::set_up::add_set_up;
use super::summary::{add_image, add_times};
use super::{ImageReport, Report, disk, overview};

/// The summary as Markdown.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    if report.images.is_empty() {
        // The inputs could not be read.
        add_image(&mut text, report, &ImageReport { outcome: report.outcome(), ..ImageReport::default() });
    }
    match report.images.as_slice() {
        [only] => add_image(&mut text, report, only),
        [] => {}
        _ => overview::add(&mut text, report),
    }
    add_set_up(&mut text, &report.set_up);
    disk::add(&mut text, &report.disk);
    add_times(&mut text, report);
    text
}
