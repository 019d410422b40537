//! Variables in force: arguments before the first `FROM`, then `ARG` and `ENV` of each stage.

use std::rc::Rc;

use rpds::RedBlackTreeMap;

use super::AnalysisRequest;
use super::lex::{Expanded, Lex, Lookup};
use crate::budget::Meter;
use crate::image::Platform;

/// Variables by name. A copy shares what it does not change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    known: RedBlackTreeMap<String, Lookup>,
    /// Variables not listed may come from the base image.
    open: bool,
    meter: Rc<Meter>,
}

impl Scope {
    /// The arguments BuildKit defines by itself (`defaultArgs`), for one target platform. A build argument of
    /// the same name wins.
    pub(crate) fn predefined(request: &AnalysisRequest<'_>, platform: &Platform, stage: &str) -> Self {
        let own = [("TARGETSTAGE".to_owned(), stage.to_owned())];
        let named = request
            .build_platform
            .arguments("BUILD")
            .into_iter()
            .chain(platform.arguments("TARGET"))
            .chain(own);
        let mut scope = Self::default();
        for (name, value) in named {
            let value = request.build_arg(&name).map_or(value, str::to_owned);
            scope.set(name, Lookup::Set(value));
        }
        scope
    }

    /// The environment a stage starts with: nothing from `scratch`, anything from an image. What it costs counts with
    /// what these, the global arguments, have cost.
    pub(crate) fn of_base(&self, open: bool) -> Self {
        Self { known: RedBlackTreeMap::new(), open, meter: Rc::clone(&self.meter) }
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

    pub(crate) fn expand(&self, text: &str, escape: char) -> Result<Expanded, String> {
        Lex::new(escape).metered(text, &|name| self.get(name), &self.meter)
    }

    /// As [`Self::expand`], for the value of a variable: unknown if anything in it is.
    fn value(&self, text: &str, escape: char) -> Result<Lookup, String> {
        let expanded = self.expand(text, escape)?;
        Ok(if expanded.unknown.is_empty() { Lookup::Set(expanded.word) } else { Lookup::Unknown })
    }

    /// An `ARG` before the first `FROM` (`buildMetaArgs`).
    pub(crate) fn global_arg(
        &mut self,
        request: &AnalysisRequest<'_>,
        name: &str,
        default: Option<&str>,
        escape: char,
    ) -> Result<(), String> {
        let value = match (request.build_arg(name), default) {
            (Some(given), _) => Lookup::Set(given.to_owned()),
            (None, Some(default)) => self.value(default, escape)?,
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
        escape: char,
    ) -> Result<(), String> {
        let value = match (request.build_arg(name), default, globals.known.get(name)) {
            (Some(given), _, _) => Lookup::Set(given.to_owned()),
            (None, Some(default), _) => self.value(default, escape)?,
            (None, None, Some(global)) => global.clone(),
            (None, None, None) => return Ok(()),
        };
        self.set(name.to_owned(), value);
        Ok(())
    }

    /// An `ENV`: every pair sees the values from before the instruction.
    pub(crate) fn env(&mut self, pairs: &[(String, String)], escape: char) -> Result<(), String> {
        let before = self.clone();
        for (name, value) in pairs {
            let name = before.expand(name, escape)?.word;
            self.set(name, before.value(value, escape)?);
        }
        Ok(())
    }
}
