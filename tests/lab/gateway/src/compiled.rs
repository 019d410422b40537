//! The rules in force: matching and counting.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::header::HeaderName;
use regex::bytes::{Regex, RegexBuilder};

use crate::exchange;
use crate::journal::lock;
use crate::rules::{Fault, Rule, RuleState, swapped};

/// The rules in force and their hit counts: sets of them by name, so that tests which run at
/// once each have their own. Where two sets fit a request, the first by name wins.
#[derive(Default)]
pub(crate) struct RuleSets {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sets: BTreeMap<String, Vec<Active>>,
    /// When credentials were last handed out.
    renewed: Option<Instant>,
}

/// A rule with its expressions compiled, and its counts.
struct Active {
    rule: Rule,
    path: Option<Regex>,
    headers: Vec<(HeaderName, Regex)>,
    fault: Arc<Fault>,
    matched: u64,
    applied: u64,
    /// First hit, by path for `hide`, under the empty path for `expire_auth`.
    since: HashMap<String, Instant>,
}

impl RuleSets {
    /// Puts these in place of the set's others, or none if one of them is wrong.
    pub(crate) fn replace(&self, set: &str, rules: Vec<Rule>) -> Result<(), String> {
        let active = rules
            .into_iter()
            .enumerate()
            .map(|(n, rule)| Active::compile(rule).map_err(|e| format!("rule {n}: {e}")))
            .collect::<Result<Vec<_>, _>>()?;
        lock(&self.state).sets.insert(set.to_owned(), active);
        Ok(())
    }

    pub(crate) fn remove(&self, set: &str) {
        lock(&self.state).sets.remove(set);
    }

    pub(crate) fn states(&self, set: &str) -> Vec<RuleState> {
        let state = lock(&self.state);
        let rules = state.sets.get(set).into_iter().flatten();
        rules.map(|a| RuleState { rule: a.rule.clone(), matched: a.matched, applied: a.applied }).collect()
    }

    /// The fault this request gets, if any; counts the hit.
    pub(crate) fn pick<B>(&self, request: &Request<B>, authorised: bool) -> Option<Arc<Fault>> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let target = request.headers().get("x-amz-target");
        if target.is_some_and(|t| t.as_bytes().ends_with(b".GetAuthorizationToken")) {
            state.renewed = Some(now);
        }
        let renewed = state.renewed;
        let fits = |active: &Active| (authorised || active.rule.before_auth) && active.fits(request);
        state
            .sets
            .values_mut()
            .flatten()
            .filter(|active| fits(active))
            .find_map(|active| active.hit(request.uri().path(), now, renewed))
    }
}

impl Active {
    fn compile(rule: Rule) -> Result<Self, String> {
        let path = rule.path.as_deref().map(expression).transpose()?;
        let headers = rule
            .header
            .iter()
            .map(|(name, pattern)| {
                let name = name.parse::<HeaderName>().map_err(|e| format!("{name}: {e}"))?;
                Ok((name, expression(pattern)?))
            })
            .collect::<Result<Vec<_>, String>>()?;
        // What could fail later is tried here, where the script's author sees it.
        match &rule.fault {
            Fault::Status { code, headers, body } => {
                exchange::canned(*code, headers, body.as_ref()).map(drop)?;
            }
            Fault::ExpireAuth { code, body, .. } => {
                exchange::expired(*code, body.as_ref()).map(drop)?;
            }
            Fault::SwapBody { body, base64 } => {
                swapped(body.as_ref(), base64.as_deref()).map(drop)?;
            }
            _ => {}
        }
        let fault = Arc::new(rule.fault.clone());
        Ok(Self { rule, path, headers, fault, matched: 0, applied: 0, since: HashMap::new() })
    }

    fn fits<B>(&self, request: &Request<B>) -> bool {
        let method = request.method().as_str();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let methods = self.rule.method.as_deref();
        methods.is_none_or(|all| all.split('|').any(|one| one.trim().eq_ignore_ascii_case(method)))
            && self.path.as_ref().is_none_or(|regex| regex.is_match(path.as_bytes()))
            && self.headers.iter().all(|(name, regex)| {
                let mut values = request.headers().get_all(name).iter();
                values.any(|value| regex.is_match(value.as_bytes()))
            })
    }

    /// Counts a fitting request; the fault, if it is this request's turn.
    fn hit(&mut self, path: &str, now: Instant, renewed: Option<Instant>) -> Option<Arc<Fault>> {
        self.matched += 1;
        let spared = self.matched <= self.rule.skip;
        let spent = self.rule.times.is_some_and(|times| self.applied >= times);
        if spared || spent || !self.in_force(path, now, renewed) {
            return None;
        }
        self.applied += 1;
        Some(Arc::clone(&self.fault))
    }

    /// Whether the clock agrees, for the faults that depend on it.
    fn in_force(&mut self, path: &str, now: Instant, renewed: Option<Instant>) -> bool {
        match *self.fault {
            Fault::Hide { ms } => {
                let first = *self.since.entry(path.to_owned()).or_insert(now);
                now.duration_since(first) < Duration::from_millis(ms)
            }
            Fault::ExpireAuth { after_ms, .. } => {
                let first = *self.since.entry(String::new()).or_insert(now);
                let start = renewed.map_or(first, |renewed| renewed.max(first));
                now.saturating_duration_since(start) >= Duration::from_millis(after_ms)
            }
            _ => true,
        }
    }
}

/// Bytes, not Unicode: paths and headers are ASCII, and `\d` works without the tables.
fn expression(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).unicode(false).build().map_err(|e| format!("{pattern}: {e}"))
}
