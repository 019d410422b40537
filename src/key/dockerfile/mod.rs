//! What a Dockerfile builds a requested target from, read the way BuildKit reads it.
//!
//! In: the file's text and an [`AnalysisRequest`]. Out: an [`Analysis`]. For `FROM a AS x⏎COPY 1 /⏎FROM b⏎COPY 2 /` and
//! the target `x` it says: image `a`, path `1` of the context, and a digest of the first two lines.
//!
//! A text is split into logical `lines`, each into `words`, which make an `instruction`. `stages` says what each stage
//! is built on and which ones the target *reaches*, `scope` and `lex` replace variables, `collect` lists what the
//! reached stages take, and `render` makes the digest of what they say. `read` puts these together.
//!
//! Sources: BuildKit's `frontend/dockerfile/{parser,instructions,shell,dockerfile2llb}` and
//! `frontend/dockerui`. The file is parsed here rather than by a crate because a key needs BuildKit's own
//! reading of continuations, several here-documents in a line, and duplicate stage names.

mod analysis;
mod collect;
mod frontend;
mod git_ref;
mod glob;
mod globals;
mod go;
mod grammar;
#[cfg(test)]
mod hostile_tests;
mod instruction;
mod lex;
#[cfg(test)]
mod lex_tests;
mod lines;
#[cfg(test)]
mod narrow_tests;
mod read;
mod remote;
mod render;
mod request;
mod scope;
mod split;
mod stages;
#[cfg(test)]
mod tests;
mod triggers;
#[cfg(test)]
mod triggers_tests;
#[cfg(test)]
mod whole_tests;
mod words;

use crate::key::error::KeyError;
pub(crate) use analysis::{Analysis, Copied, ImageUse, Pin, RemoteSource, Role, SecretMounts};
pub(crate) use frontend::Frontend;
pub use git_ref::GitRef;
pub(crate) use go::{csv, csv_field, go_bool};
use read::read;
pub(crate) use remote::{Place, context_place};
pub(crate) use render::Digest;
pub use request::AnalysisRequest;
pub(crate) use triggers::BaseTriggers;
use triggers::Triggers;

/// Reads the Dockerfile `text` for one request.
///
/// # Errors
/// What the build itself would refuse, with its line ([`KeyError::is_user_build_error`]); a target that is no stage.
pub fn analyse(text: &[u8], request: &AnalysisRequest<'_>) -> Result<Analysis, KeyError> {
    let bytes = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lossy = String::from_utf8_lossy(bytes);
    let frontend = frontend::detect(&lossy, request);
    let foreign_frontend = frontend.as_ref().filter(|frontend| !frontend.official);
    let foreign =
        foreign_frontend.map(|f| format!("frontend `{}` may read the file in its own way", f.reference));
    let mut analysis = match with_triggers(&lossy, request, frontend.as_ref()) {
        Ok(analysis) => analysis,
        // Only its own frontend can say what such a file means.
        Err(KeyError::Dockerfile { .. } | KeyError::Unset { .. }) if foreign.is_some() => Analysis::opaque(),
        Err(error) => return Err(error),
    };
    analysis.whole_text_reason = foreign
        .or_else(|| std::str::from_utf8(bytes).is_err().then(|| "the Dockerfile is not UTF-8".to_owned()))
        .or(analysis.whole_text_reason.take());
    if let Some(reason) = &analysis.whole_text_reason {
        analysis.copied = Copied::Unknown(reason.clone());
        (analysis.secrets, analysis.runs) = (SecretMounts::unknown(), true);
        analysis.digest = render::whole(bytes);
        analysis.narrow_digest = analysis.digest;
        analysis.unread.clear();
    }
    // To a foreign frontend the target is a text, which need not be a stage.
    if foreign_frontend.is_some() {
        request.target.unwrap_or_default().clone_into(&mut analysis.target);
    }
    analysis.frontend = frontend;
    Ok(analysis)
}

/// Reads the file with the bases' `ONBUILD` instructions in the stages that they run in. Where those cannot be read, it
/// is read without them, and the analysis says that anything may be copied.
fn with_triggers(
    text: &str,
    request: &AnalysisRequest<'_>,
    frontend: Option<&Frontend>,
) -> Result<Analysis, KeyError> {
    let [first, ..] = request.triggers else { return read(text, request, frontend, &Triggers::new()) };
    let escape = lines::split(text).map_or('\\', |lines| lines.escape);
    let read_with = |triggers| match read(text, request, frontend, &triggers) {
        Ok(analysis) if analysis.whole_text_reason.is_none() => Ok(analysis),
        Ok(analysis) => Err(analysis.whole_text_reason.unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    };
    let (base, why) = match triggers::read(request.triggers, escape) {
        Ok(triggers) => match read_with(triggers) {
            Ok(analysis) => return Ok(analysis),
            // Which base's triggers are to blame is not known: the first one stands for all.
            Err(why) => (first.base.as_str(), why),
        },
        Err(base_and_reason) => base_and_reason,
    };
    let mut analysis = read(text, request, frontend, &Triggers::new())?;
    analysis.note_unread_triggers(base, &lex::short(&why, 200));
    Ok(analysis)
}

/// An image reference by its short name: no Docker Hub host, no `library/`, no `:latest`
/// (`reference.FamiliarString`, then what BuildKit's `NamedContext` trims).
#[must_use]
pub(crate) fn familiar(name: &str) -> String {
    let name =
        name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    let name = name.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name).to_owned()
}
