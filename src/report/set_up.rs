//! What was set up in ECR: the settings with what was asked for, and what a lifecycle policy removes.

use std::fmt::Write as _;

use super::markdown::{cell, code};
use crate::ecr::{Preview, RowState, SettingRow};
use crate::execute::{Journal, Progressing, Record};
use crate::plan::{Action, Plan, RepositorySetUp};

/// What was set up in one repository.
#[derive(Debug)]
pub struct SetUpReport {
    repository: String,
    /// True if this run made it.
    made: bool,
    settings: Vec<SettingRow>,
    preview: Option<Preview>,
}

/// What came of the planned set-up.
#[must_use]
pub(super) fn set_up(plan: &Plan, journal: &Journal) -> Vec<SetUpReport> {
    plan.set_up.iter().map(|of| SetUpReport::new(of, plan, journal)).collect()
}

impl SetUpReport {
    fn new(of: &RepositorySetUp, plan: &Plan, journal: &Journal) -> Self {
        let actions: Vec<(&Action, &Record)> = plan
            .actions
            .iter()
            .map(|planned| &planned.action)
            .zip(&journal.records)
            .filter(|(_, record)| matches!(record.state, Progressing::Ended { .. }))
            .collect();
        let creation = actions.iter().find_map(|(action, record)| match action {
            Action::CreateRepository { repository, .. } if *repository == of.repository => {
                record.set_up.as_ref()
            }
            _ => None,
        });
        let change = |setting: &str| {
            actions.iter().find_map(|(action, record)| match action {
                Action::SetUp { repository, change, .. }
                    if *repository == of.repository && change.setting() == setting =>
                {
                    Some(record.set_up.as_ref())
                }
                _ => None,
            })
        };
        let done = |row: &SettingRow| {
            let record = if of.makes && row.setting != "lifecycle policy" {
                creation
            } else {
                change(row.setting).flatten()
            };
            record.is_some_and(|record| record.done)
        };
        let mut settings = of.settings.clone();
        for row in settings.iter_mut().filter(|row| row.state == RowState::Changes) {
            if !done(row) {
                row.state = RowState::NotSet;
            }
        }
        // Another run made it, maybe from other inputs.
        for compared in creation.and_then(|creation| creation.compared.as_ref()).into_iter().flatten() {
            if let Some(row) = settings.iter_mut().find(|row| row.setting == compared.setting) {
                row.clone_from(compared);
            }
        }
        Self {
            repository: of.repository.to_string(),
            made: creation.is_some_and(|creation| creation.made),
            preview: change("lifecycle policy").flatten().and_then(|done| done.preview.clone()),
            settings,
        }
    }
}

/// Adds the tables to the summary.
pub(super) fn add_set_up(text: &mut String, reports: &[SetUpReport]) {
    for SetUpReport { repository, made, settings, preview } in reports {
        // Writing to a String cannot fail; the results are dropped.
        let made = if *made { ", made by this run" } else { "" };
        let _ = writeln!(text, "#### Repository {}{made}\n", code(repository));
        let _ = writeln!(text, "| setting | want | have | |\n| --- | --- | --- | --- |");
        for SettingRow { setting, want, have, state } in settings {
            let _ = writeln!(text, "| {setting} | {} | {} | {} |", cell(want), cell(have), state.words());
        }
        let _ = writeln!(text);
        if let Some(preview) = preview {
            add_preview(text, preview);
        }
    }
}

fn add_preview(text: &mut String, preview: &Preview) {
    let _ =
        writeln!(text, "The lifecycle policy was previewed before it was written: {}.\n", preview.sentence());
    if preview.rules.is_empty() {
        return;
    }
    let _ = writeln!(text, "| rule | | images | such as |\n| ---: | --- | ---: | --- |");
    for (priority, rule) in &preview.rules {
        let more = if preview.cut { " or more" } else { "" };
        let examples: Vec<String> = rule.examples.iter().map(|name| code(name)).collect();
        let _ = writeln!(
            text,
            "| {priority} | {} | {}{more} | {} |",
            cell(&rule.description),
            rule.images,
            examples.join("<br>")
        );
    }
    let _ = writeln!(text);
}
