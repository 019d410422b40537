//! Variables in force: arguments before the first `FROM` (*global* ones), then `ARG` and `ENV` of each stage. They are
//! set in the order of the instructions, and a text is expanded with those that are set so far.

use std::rc::Rc;

use rpds::RedBlackTreeMap;

use super::AnalysisRequest;
use super::lex::{Expanded, Lex, Lookup};
use crate::budget::Meter;
use crate::image::Platform;

/// Variables by name. Clones are cheap: they share what none of them changes, so that a file of many stages does not
/// copy all variables for each.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    known: RedBlackTreeMap<String, Lookup>,
    /// Variables that are not listed may come from the base image.
    open: bool,
    /// The file's escape character.
    escape: char,
    /// Limits what all scopes of a file expand to together.
    meter: Rc<Meter>,
}

impl Scope {
    /// The arguments BuildKit defines by itself (`defaultArgs`), for one target platform. A build argument of
    /// the same name wins.
    pub(crate) fn predefined(
        request: &AnalysisRequest<'_>,
        platform: &Platform,
        stage: &str,
        escape: char,
    ) -> Self {
        let target_stage = [("TARGETSTAGE".to_owned(), stage.to_owned())];
        let named = request
            .build_platform
            .arguments("BUILD")
            .into_iter()
            .chain(platform.arguments("TARGET"))
            .chain(target_stage);
        let mut scope = Self { known: RedBlackTreeMap::new(), open: false, escape, meter: Rc::default() };
        for (name, value) in named {
            let value = request.build_arg(&name).map_or(value, str::to_owned);
            scope.set(name, Lookup::Set(value));
        }
        scope
    }

    /// The variables that a stage built on `scratch` starts with: none. `self` are the global arguments.
    pub(crate) fn of_scratch(&self) -> Self {
        Self {
            known: RedBlackTreeMap::new(),
            open: false,
            escape: self.escape,
            meter: Rc::clone(&self.meter),
        }
    }

    /// The variables that a stage built on an image starts with: those of the image, whatever they are.
    pub(crate) fn of_image(&self) -> Self {
        Self { open: true, ..self.of_scratch() }
    }

    pub(crate) fn get(&self, name: &str) -> Lookup {
        match self.known.get(name) {
            Some(value) => value.clone(),
            // BuildKit gives every stage a PATH.
            None if self.open || name == "PATH" => Lookup::Unknown,
            None => Lookup::Unset,
        }
    }

    pub(crate) fn set(&mut self, name: String, value: Lookup) {
        self.known.insert_mut(name, value);
    }

    /// Replaces the variables in a text.
    pub(crate) fn expand(&self, text: &str) -> Result<Expanded, String> {
        Lex::new(self.escape).metered(text, &|name| self.get(name), &self.meter)
    }

    /// As [`Self::expand`], for the value of a variable: unknown if anything in it is.
    fn value(&self, text: &str) -> Result<Lookup, String> {
        let expanded = self.expand(text)?;
        Ok(if expanded.unknown.is_empty() { Lookup::Set(expanded.word) } else { Lookup::Unknown })
    }

    /// An `ARG` before the first `FROM` (`buildMetaArgs`).
    pub(crate) fn global_arg(
        &mut self,
        request: &AnalysisRequest<'_>,
        name: &str,
        default: Option<&str>,
    ) -> Result<(), String> {
        let value = match (request.build_arg(name), default) {
            (Some(given), _) => Lookup::Set(given.to_owned()),
            (None, Some(default)) => self.value(default)?,
            (None, None) => return Ok(()),
        };
        self.set(name.to_owned(), value);
        Ok(())
    }

    /// An `ARG` in a stage (`dispatchArg`): the build argument, else the default, else the global value.
    pub(crate) fn arg(
        &mut self,
        request: &AnalysisRequest<'_>,
        globals: &Self,
        name: &str,
        default: Option<&str>,
    ) -> Result<(), String> {
        let value = match (request.build_arg(name), default, globals.known.get(name)) {
            (Some(given), _, _) => Lookup::Set(given.to_owned()),
            (None, Some(default), _) => self.value(default)?,
            (None, None, Some(global)) => global.clone(),
            (None, None, None) => return Ok(()),
        };
        self.set(name.to_owned(), value);
        Ok(())
    }

    /// An `ENV`: every pair sees the values from before the instruction.
    pub(crate) fn env(&mut self, pairs: &[(String, String)]) -> Result<(), String> {
        let before = self.clone();
        for (name, value) in pairs {
            let name = before.expand(name)?.word;
            self.set(name, before.value(value)?);
        }
        Ok(())
    }
}
