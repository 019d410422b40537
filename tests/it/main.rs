//! The program from outside: a fake docker, a registry and AWS on this machine, an environment
//! made from nothing. No engine and no network are needed.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "these are tests: what breaks here must break loudly"
)]

mod advice;
mod asked;
mod attacks;
mod bake;
mod budgets;
mod build;
mod builder;
mod caches;
mod canaries;
mod cancel;
mod causes;
mod checks;
mod commands;
mod content;
mod contract;
mod copies;
mod defects;
mod definitions;
mod disk;
mod docs;
mod doctor;
mod engine;
mod examples;
mod failures;
mod fuzz;
mod hangs;
mod hit;
mod hostile;
mod imports;
mod inputs;
mod install_sh;
mod key_scope;
mod limits;
mod local;
mod local_cache;
mod log;
mod login;
mod logins;
mod many;
mod many_share;
mod masks;
mod matrix;
mod merge;
mod migrate;
mod migrate_ci;
mod moments;
mod older;
mod outcomes;
mod plan;
mod plan_job;
mod plans;
mod platform_jobs;
mod platforms;
mod pr_repository;
mod promises;
mod prune;
mod pull;
mod race;
mod raw_caches;
mod reactions;
mod reads;
mod rebuild;
mod said;
mod saved;
mod secrets;
mod set_up;
mod spellings;
mod summary;
mod support;
mod tags;
mod tls;
mod token_service;
mod trust;
mod two_repositories;
mod unknown;
mod unread;
mod zones;
