//! Fits a plan to the number of removals that one run may make.

use std::collections::HashSet;

use super::plan::{Group, Plan, count_bytes};
use super::survey::Survey;
use crate::image::Digest;

impl Plan {
    /// Keeps the first `room` removals of a run that may make `most` in all, and leaves the others to the next run.
    ///
    /// A group goes whole or not at all. Where a registry lists tags alone, no later run would find the images of an
    /// index that went without them. So a group with more than `most` removals stays, and the plan says so; the groups
    /// after it go on.
    pub(crate) fn limit(&mut self, survey: &Survey, room: usize, most: usize) {
        let mut room = room.min(most);
        let mut is_full = false;
        let mut left: Vec<Group> = Vec::new();
        let mut kept: Vec<Group> = Vec::new();
        for group in std::mem::take(&mut self.groups) {
            let size = group.steps.len();
            if size > most {
                self.too_large.groups += 1;
                self.too_large.removals += size;
                self.too_large.largest = self.too_large.largest.max(size);
                left.push(group);
                continue;
            }
            self.left += if is_full || size > room { size } else { 0 };
            is_full |= size > room;
            if is_full {
                left.push(group);
            } else {
                room -= size;
                kept.push(group);
            }
        }
        // What several images need is in the last one's group. While one of the others stays, it stays too, and a later run
        // finds it through that one.
        let deleted = left.iter().flat_map(|group| &group.steps).filter(|planned| planned.step.deletes());
        let mut stays: HashSet<Digest> = deleted.map(|planned| planned.step.digest().clone()).collect();
        loop {
            let before = stays.len();
            for group in &mut kept {
                group.steps.retain(|planned| {
                    let waits = planned.after.iter().any(|digest| stays.contains(digest));
                    if waits {
                        stays.insert(planned.step.digest().clone());
                        self.left += 1;
                    }
                    !waits
                });
            }
            if stays.len() == before {
                break;
            }
        }
        self.groups = kept;
        count_bytes(survey, self);
    }
}
