//! A machine for a test, the program on it, and what came of it.

mod aws;
pub(crate) mod ecr;
mod ecr_model;
mod ecr_set_up;
mod engine;
pub(crate) mod github;
pub(crate) mod http;
mod lab;
pub(crate) mod masker;
mod moments;
mod registry;
mod result;
mod run;
pub(crate) mod scanner;
mod scrub;
pub(crate) mod tls_front;

pub(crate) use aws::{Aws, refusal};
pub(crate) use ecr_set_up::{ECR, Ecr};
pub(crate) use engine::{EngineSocket, Manner};
pub(crate) use http::{Request, Response, Server};
pub(crate) use lab::{Call, Lab, PROGRESS};
pub(crate) use moments::Moments;
pub(crate) use registry::{Deletes, Login, Registry};
pub(crate) use result::Run;
pub(crate) use run::{BuildOnce, CANARY, HEAD, MERGE, Running};
pub(crate) use scanner::{Command, bare_commands};
pub(crate) use scrub::scrub;
