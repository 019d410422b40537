//! GitHub's API as `prune` asks it. A request that the `OpenAPI` description of GitHub (npm `@octokit/openapi`) does not have is
//! a failure of the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{Request, Response, Server};
use super::run::{BuildOnce, CANARY};

/// Methods, paths and the parameters of their queries, from the description. `*` is one part of a path.
const ROUTES: [(&str, &str, &[&str]); 13] = [
    ("GET", "/repos/*/*/pulls", &["state", "head", "base", "sort", "direction", "per_page", "page"]),
    ("GET", "/repos/*/*", &[]),
    ("GET", "/repos/*/*/pulls/*", &[]),
    ("GET", "/repos/*/*/git/matching-refs/*", &[]),
    ("GET", "/repos/*/*/actions/caches", &["per_page", "page", "ref", "key", "sort", "direction"]),
    ("DELETE", "/repos/*/*/actions/caches/*", &[]),
    ("GET", "/users/*", &[]),
    ("GET", "/repos/*/*/compare/*", &["page", "per_page"]),
    (
        "GET",
        "/repos/*/*/commits",
        &["sha", "path", "author", "committer", "since", "until", "per_page", "page"],
    ),
    ("GET", "/orgs/*/packages/container/*/versions", &["page", "per_page", "state"]),
    // The description leaves the parameters out; the API has them.
    ("GET", "/users/*/packages/container/*/versions", &["page", "per_page", "state"]),
    ("GET", "/orgs/*/packages/container/*/versions/*", &[]),
    ("DELETE", "/orgs/*/packages/container/*/versions/*", &[]),
];

/// Values that a parameter may have.
const VALUES: [(&str, &[&str]); 3] = [
    ("state", &["open", "closed", "all", "active", "deleted"]),
    ("direction", &["asc", "desc"]),
    (
        "sort",
        &[
            "created",
            "updated",
            "popularity",
            "long-running",
            "created_at",
            "last_accessed_at",
            "size_in_bytes",
        ],
    ),
];

/// A version of a package.
#[derive(Clone, Debug)]
pub(crate) struct PackageVersion {
    pub id: u64,
    pub digest: String,
    pub tags: Vec<String>,
    pub created: String,
}

#[derive(Default)]
struct State {
    /// Closed pull requests with their times; others up to the largest are open.
    closed: BTreeMap<u64, String>,
    open: BTreeSet<u64>,
    branches: BTreeSet<String>,
    /// Commits of `main`, oldest first; all others are beside it.
    history: Vec<String>,
    caches: Vec<Value>,
    versions: Vec<PackageVersion>,
    /// Part of the target, how often, what instead.
    faults: Vec<(String, usize, Response)>,
    /// Why a request is none that GitHub's description has.
    wrong: Vec<String>,
    date: Option<String>,
    owner: &'static str,
    pace: std::time::Duration,
    deleted: Vec<String>,
}

pub(crate) struct GitHub {
    server: Server,
    state: Arc<Mutex<State>>,
}

pub(crate) const TOKEN: &str = "canary-5ec2e7-github";

impl GitHub {
    /// The repository `o/r` with the branch `main`.
    pub(crate) fn start() -> Self {
        let state = State { branches: ["main".to_owned()].into(), owner: "Organization", ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let pace = shared.lock().unwrap().pace;
            std::thread::sleep(pace);
            shared.lock().unwrap().answer(request)
        });
        Self { server, state }
    }

    pub(crate) fn serves<'a>(&self, program: BuildOnce<'a>) -> BuildOnce<'a> {
        assert!(TOKEN.starts_with(CANARY));
        program.env("GITHUB_API_URL", &format!("http://{}", self.server.address)).input("github-token", TOKEN)
    }

    /// This pull request was closed so many days ago.
    pub(crate) fn close(&self, number: u64, days: i64) {
        let at = time::OffsetDateTime::now_utc() - time::Duration::days(days);
        let at = at.format(&time::format_description::well_known::Rfc3339).unwrap();
        let mut state = self.state.lock().unwrap();
        state.open.remove(&number);
        state.closed.insert(number, at);
    }

    pub(crate) fn open(&self, number: u64) {
        let mut state = self.state.lock().unwrap();
        state.closed.remove(&number);
        state.open.insert(number);
    }

    /// `main` has these commits, oldest first.
    pub(crate) fn history(&self, commits: &[&str]) {
        self.state.lock().unwrap().history = commits.iter().map(|&commit| commit.to_owned()).collect();
    }

    pub(crate) fn branch(&self, name: &str) {
        self.state.lock().unwrap().branches.insert(name.to_owned());
    }

    pub(crate) fn remove_branch(&self, name: &str) {
        self.state.lock().unwrap().branches.remove(name);
    }

    pub(crate) fn cache(&self, id: u64, git_ref: &str, bytes: u64) {
        let entry =
            json!({"id": id, "ref": git_ref, "key": format!("buildkit-{id}"), "size_in_bytes": bytes});
        self.state.lock().unwrap().caches.push(entry);
    }

    pub(crate) fn version(&self, version: PackageVersion) {
        self.state.lock().unwrap().versions.push(version);
    }

    pub(crate) fn versions(&self) -> Vec<PackageVersion> {
        self.state.lock().unwrap().versions.clone()
    }

    /// What was deleted, `DELETE target`.
    pub(crate) fn deleted(&self) -> Vec<String> {
        self.state.lock().unwrap().deleted.clone()
    }

    pub(crate) fn fault(&self, target: &str, times: usize, instead: Response) {
        self.state.lock().unwrap().faults.push((target.to_owned(), times, instead));
    }

    /// Its clock.
    pub(crate) fn date(&self, date: &str) {
        self.state.lock().unwrap().date = Some(date.to_owned());
    }

    /// Every answer takes this long.
    pub(crate) fn slow(&self, pace: std::time::Duration) {
        self.state.lock().unwrap().pace = pace;
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.server
            .requests()
            .iter()
            .map(|request| format!("{} {}", request.method, request.target))
            .collect()
    }

    pub(crate) fn forget_requests(&self) {
        self.server.forget();
    }

    /// Every request was one that GitHub's description has.
    pub(crate) fn check(&self) {
        assert_eq!(self.state.lock().unwrap().wrong, [""; 0]);
    }
}

/// Why this request is malformed.
fn malformed(request: &Request) -> Option<String> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |pattern: &str| {
        let pattern: Vec<&str> = pattern.split('/').collect();
        pattern.len() == parts.len()
            && pattern
                .iter()
                .zip(&parts)
                .all(|(wanted, part)| (*wanted == "*" && !part.is_empty()) || wanted == part)
    };
    let route = ROUTES.iter().find(|(method, pattern, _)| *method == request.method && fits(pattern));
    let Some((_, _, parameters)) = route else { return Some("no such path".to_owned()) };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else { return Some(format!("{pair} has no value")) };
        if !parameters.contains(&name) {
            return Some(format!("no parameter {name}"));
        }
        let known = VALUES.iter().find(|(known, _)| *known == name);
        if known.is_some_and(|(_, values)| !values.contains(&value)) {
            return Some(format!("{name} is not {value}"));
        }
        let number = value.parse::<usize>().unwrap_or_default();
        if (name == "per_page" && !(1..=100).contains(&number)) || (name == "page" && number == 0) {
            return Some(format!("{name} is not {value}"));
        }
    }
    let headers = [
        ("accept", "application/vnd.github+json"),
        ("x-github-api-version", "2022-11-28"),
        ("authorization", &*format!("Bearer {TOKEN}")),
    ];
    if let Some((name, _)) = headers.iter().find(|(name, value)| request.header(name) != *value) {
        return Some(format!("the header {name} is {:?}", request.header(name)));
    }
    request.header("user-agent").is_empty().then(|| "no user-agent".to_owned())
}

impl State {
    #[expect(clippy::too_many_lines, reason = "every route, in the order of GitHub's description")]
    fn answer(&mut self, request: &Request) -> Response {
        if let Some(why) = malformed(request) {
            self.wrong.push(format!("{} {}: {why}", request.method, request.target));
            return Response::new(400, json!({"message": why}).to_string());
        }
        let asked = format!("{} {}", request.method, request.target);
        let found = self.faults.iter_mut().find(|(part, times, _)| *times > 0 && fits(part, &asked));
        if let Some(fault) = found {
            fault.1 -= 1;
            return fault.2.clone();
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let parameter = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(&format!("{name}=")))
                .unwrap_or_default()
                .to_owned()
        };
        let answer = match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["repos", owner, name]) => {
                Response::new(200, json!({"full_name": format!("{owner}/{name}")}).to_string())
            }
            ("GET", ["repos", _, _, "pulls"]) => {
                let mut numbers: Vec<u64> = if parameter("state") == "closed" {
                    self.closed.keys().copied().collect()
                } else {
                    self.open.iter().copied().collect()
                };
                numbers.reverse();
                paged(
                    &numbers.into_iter().map(|number| self.pull(number)).collect::<Vec<_>>(),
                    query,
                    |page| page,
                )
            }
            ("GET", ["repos", _, _, "pulls", number]) => {
                let number: u64 = number.parse().unwrap_or_default();
                if self.open.contains(&number) || self.closed.contains_key(&number) {
                    Response::new(200, self.pull(number).to_string())
                } else {
                    Response::new(404, json!({"message": "Not Found"}).to_string())
                }
            }
            ("GET", ["repos", _, _, "compare", commits]) => {
                let place = |name: &str| match name {
                    "main" => self.history.len().checked_sub(1),
                    commit => self.history.iter().position(|known| known == commit),
                };
                let (base, head) = commits.split_once("...").unwrap();
                let status = match (place(base), place(head)) {
                    (Some(base), Some(head)) if base == head => "identical",
                    (Some(base), Some(head)) if base < head => "ahead",
                    (Some(_), Some(_)) => "behind",
                    _ => "diverged",
                };
                // The first page has all files.
                assert_ne!(parameter("page"), "1");
                Response::new(200, json!({"status": status, "commits": []}).to_string())
            }
            ("GET", ["repos", _, _, "commits"]) => {
                assert_eq!(parameter("sha"), "main");
                let newest: Vec<Value> = self.history.iter().rev().map(|sha| json!({"sha": sha})).collect();
                paged(&newest, query, |page| page)
            }
            ("GET", ["repos", _, _, "git", "matching-refs", "heads"]) => {
                let refs = self
                    .branches
                    .iter()
                    .map(|name| json!({"ref": format!("refs/heads/{name}"), "object": {}}));
                Response::new(200, Value::from(refs.collect::<Vec<_>>()).to_string())
            }
            ("GET", ["repos", _, _, "actions", "caches"]) => {
                let git_ref = parameter("ref").replace("%2F", "/");
                let fits = |entry: &&Value| git_ref.is_empty() || entry["ref"] == git_ref.as_str();
                let entries: Vec<Value> = self.caches.iter().filter(fits).cloned().collect();
                let total = entries.len();
                paged(&entries, query, |page| json!({"total_count": total, "actions_caches": page}))
            }
            ("DELETE", ["repos", _, _, "actions", "caches", id]) => {
                let before = self.caches.len();
                let id: u64 = id.parse().unwrap();
                self.caches.retain(|entry| entry["id"] != id);
                self.deletes(request, before != self.caches.len())
            }
            ("GET", ["users", _]) => {
                Response::new(200, json!({"login": "o", "type": self.owner}).to_string())
            }
            ("GET", [_, _, "packages", "container", _, "versions"]) => {
                let mut versions: Vec<Value> = self.versions.iter().map(described).collect();
                versions.reverse();
                paged(&versions, query, |page| page)
            }
            ("GET", [_, _, "packages", "container", _, "versions", id]) => {
                match self.versions.iter().find(|version| version.id.to_string() == *id) {
                    Some(found) => Response::new(200, described(found).to_string()),
                    None => Response::new(404, json!({"message": "Not Found"}).to_string()),
                }
            }
            ("DELETE", [_, _, "packages", "container", _, "versions", id]) => {
                let id: u64 = id.parse().unwrap();
                let tagged = self.versions.iter().filter(|version| !version.tags.is_empty()).count();
                let is_last = tagged == 1
                    && self.versions.iter().any(|version| version.id == id && !version.tags.is_empty());
                if is_last {
                    let message = "You cannot delete the last tagged version of a package. You must delete the package instead.";
                    return Response::new(400, json!({"message": message}).to_string());
                }
                let before = self.versions.len();
                self.versions.retain(|version| version.id != id);
                self.deletes(request, before != self.versions.len())
            }
            _ => Response::new(404, json!({"message": "Not Found"}).to_string()),
        };
        match &self.date {
            Some(date) => answer.header("date", date.as_str()),
            None => answer,
        }
    }

    fn deletes(&mut self, request: &Request, found: bool) -> Response {
        if !found {
            return Response::new(404, json!({"message": "Not Found"}).to_string());
        }
        self.deleted.push(format!("{} {}", request.method, request.target));
        Response::new(204, "")
    }

    fn pull(&self, number: u64) -> Value {
        let closed_at = self.closed.get(&number);
        let state = if closed_at.is_some() { "closed" } else { "open" };
        json!({"number": number, "state": state, "closed_at": closed_at, "title": "…"})
    }
}

/// A page of a list, with `Link` as GitHub sends it.
fn paged(items: &[Value], query: &str, wrap: impl FnOnce(Value) -> Value) -> Response {
    let number = |name: &str, default: usize| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (page, size) = (number("page", 1), number("per_page", 30));
    let start = ((page - 1) * size).min(items.len());
    let end = (start + size).min(items.len());
    let answer = Response::new(200, wrap(Value::from(items[start..end].to_vec())).to_string());
    if end < items.len() {
        let next = format!("<https://api.github.com/x?page={}>; rel=\"next\"", page + 1);
        return answer.header("link", next);
    }
    answer
}

/// A version as the API describes it.
fn described(version: &PackageVersion) -> Value {
    json!({"id": version.id, "name": version.digest, "created_at": version.created,
        "updated_at": version.created, "metadata": {"package_type": "container", "container": {"tags": version.tags}}})
}

/// Whether a fault is meant: its text is part of the question, or begins with the method and is the end of it.
fn fits(part: &str, asked: &str) -> bool {
    match part.split_once(' ') {
        Some((method, end)) => asked.starts_with(method) && asked.ends_with(end),
        None => asked.contains(part),
    }
}
