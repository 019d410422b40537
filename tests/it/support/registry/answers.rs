//! What the registry answers to the program.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use build_once::testing::{Digest, MEDIA_TYPES};
use serde_json::{Value, json};

use super::{Deletes, Login, State};
use crate::support::http::{Request, Response};

impl State {
    pub(super) fn answer(&mut self, request: &Request) -> Response {
        if request.target.starts_with("/_") {
            return self.control(request);
        }
        if let Some(fault) = self
            .faults
            .iter_mut()
            .find(|(part, times, _)| *times > 0 && request.target.contains(part.as_str()))
        {
            fault.1 -= 1;
            return fault.2.clone();
        }
        let fits = |(method, part, _): &(&str, String, Response)| {
            *method == request.method && request.target.contains(part.as_str())
        };
        if let Some(at) = self.method_faults.iter().position(fits) {
            return self.method_faults.remove(at).2;
        }
        if let Some(date) = self.date.as_ref().filter(|_| request.target == "/v2/") {
            return Response::new(401, "").header("date", date);
        }
        if request.target.starts_with("/token") {
            return self.token(request);
        }
        if let Some(refusal) = self.guard(request) {
            return refusal;
        }
        let parts: Vec<&str> = request.target.trim_start_matches("/v2/").rsplitn(3, '/').collect();
        let [reference, kind, repository] = parts.as_slice() else { return Response::new(404, "") };
        if self.gone.contains(*repository) {
            return Response::error(404, "NAME_UNKNOWN", "repository name not known to registry");
        }
        let name = format!("{repository}/{reference}");
        if request.target.contains("/blobs/uploads/") {
            return match (request.method.as_str(), self.may_push) {
                ("POST", true) => self.open_upload(request),
                ("PUT", true) => self.end_upload(request),
                ("DELETE", true) => Response::new(204, ""),
                _ => Response::error(403, "DENIED", "requested access to the resource is denied"),
            };
        }
        match (request.method.as_str(), *kind) {
            ("GET", "tags") => self.list(repository, reference),
            ("GET", "referrers") => match self.referrers {
                Some(size) => self.referrers(repository, reference, size),
                None => Response::new(404, "404 page not found"),
            },
            ("DELETE", "manifests") => self.delete(repository, reference),
            ("PUT", "manifests") => {
                let stored = (request.body.clone(), request.header("content-type").to_owned());
                self.manifests.insert(format!("{repository}/{}", Digest::of(&stored.0)), stored.clone());
                self.manifests.insert(name, stored);
                Response::new(201, "")
            }
            (_, "manifests") => match self.manifests.get(&name) {
                Some((bytes, media_type)) => Response::new(200, bytes.clone())
                    .header("content-type", media_type)
                    .header("docker-content-digest", Digest::of(bytes).as_str()),
                None => Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            },
            ("HEAD", "blobs") if !self.held.contains(&name) => Response::new(404, ""),
            (_, "blobs") => match self.blobs.get(*reference) {
                Some(bytes) => Response::new(200, bytes.clone()),
                None => Response::error(404, "BLOB_UNKNOWN", "blob unknown"),
            },
            _ => Response::new(405, ""),
        }
    }

    /// `GET …/referrers/<digest>[?page=<n>]`.
    fn referrers(&self, repository: &str, of: &str, size: usize) -> Response {
        let (digest, page) = of.split_once("?page=").unwrap_or((of, "0"));
        let page: usize = page.parse().unwrap();
        let about = |(name, (bytes, kind)): (&String, &(Vec<u8>, String))| {
            let own = name.strip_prefix(&format!("{repository}/"))?;
            let document: Value = serde_json::from_slice(bytes).ok()?;
            let is_about = own.starts_with("sha256:") && document["subject"]["digest"] == digest;
            is_about.then(|| json!({"mediaType": kind, "digest": own, "size": bytes.len()}))
        };
        let all: Vec<Value> = self.manifests.iter().filter_map(about).collect();
        let part: Vec<&Value> = all.iter().skip(page.saturating_mul(size)).take(size).collect();
        let index = json!({"schemaVersion": 2, "mediaType": MEDIA_TYPES[0], "manifests": part});
        let response = Response::new(200, index.to_string()).header("content-type", MEDIA_TYPES[0]);
        if all.len() > (page + 1).saturating_mul(size) {
            let next = format!("</v2/{repository}/referrers/{digest}?page={}>; rel=\"next\"", page + 1);
            return response.header("link", &next);
        }
        response
    }

    /// `POST …/blobs/uploads/[?mount=…&from=…]`.
    fn open_upload(&mut self, request: &Request) -> Response {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let repository = path.trim_start_matches("/v2/").split_once("/blobs/").unwrap().0;
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap_or_default()
        };
        let (digest, from) = (value("mount"), value("from"));
        if self.mounts && self.held.contains(&format!("{from}/{digest}")) {
            self.held.insert(format!("{repository}/{digest}"));
            return Response::new(201, "");
        }
        Response::new(202, "").header("location", format!("{path}u1?_state=x"))
    }

    /// `PUT …/blobs/uploads/u1?_state=x&digest=…`.
    fn end_upload(&mut self, request: &Request) -> Response {
        let (path, query) = request.target.split_once('?').unwrap();
        let repository = path.trim_start_matches("/v2/").split_once("/blobs/").unwrap().0;
        let digest = Digest::of(&request.body).to_string();
        if !query.contains("_state=x") || !query.ends_with(&digest.replace(':', "%3A")) {
            return Response::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
        }
        self.held.insert(format!("{repository}/{digest}"));
        self.blobs.insert(digest, request.body.clone());
        Response::new(201, "")
    }

    fn guard(&self, request: &Request) -> Option<Response> {
        let given = request.header("authorization");
        let (expected, challenge) = match self.login {
            Login::Nobody => return None,
            Login::Basic(user, password) => (
                format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
                "Basic realm=\"stub\"".to_owned(),
            ),
            Login::Bearer(..) => {
                let challenge = format!("Bearer realm=\"http://{}/token\",service=\"stub\"", self.address);
                ("Bearer the-token".to_owned(), challenge)
            }
        };
        (given != expected).then(|| {
            Response::error(401, "UNAUTHORIZED", "authentication required")
                .header("www-authenticate", challenge)
        })
    }

    fn token(&self, request: &Request) -> Response {
        let Login::Bearer(user, password) = self.login else { return Response::new(404, "") };
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        if request.header("authorization") == expected {
            Response::new(200, json!({"token": "the-token"}).to_string())
        } else {
            Response::new(401, "{}")
        }
    }

    /// `list?n=1000&last=x`
    fn list(&self, repository: &str, query: &str) -> Response {
        let last = query.split_once("last=").map(|(_, last)| last.split('&').next().unwrap().to_owned());
        let prefix = format!("{repository}/");
        let names = self.manifests.keys().filter_map(|name| name.strip_prefix(&prefix));
        let all: Vec<&str> =
            names.filter(|name| !name.starts_with("sha256:") && !name.contains('/')).collect();
        let rest: Vec<&str> =
            all.into_iter().filter(|name| last.as_deref().is_none_or(|last| *name > last)).collect();
        if self.page == usize::MAX {
            let next = format!("{}x", last.as_deref().unwrap_or_default());
            return Response::new(200, r#"{"tags":["latest"]}"#)
                .header("link", format!("</v2/{repository}/tags/list?last={next}>; rel=\"next\""));
        }
        let size = if self.page == 0 { rest.len() } else { self.page };
        let page = &rest[..size.min(rest.len())];
        let answer = Response::new(200, json!({"name": repository, "tags": page}).to_string());
        if page.len() < rest.len() {
            let next =
                format!("</v2/{repository}/tags/list?last={}&n={size}>; rel=\"next\"", page.last().unwrap());
            return answer.header("link", next);
        }
        answer
    }

    fn delete(&mut self, repository: &str, reference: &str) -> Response {
        let by_digest = reference.starts_with("sha256:");
        let name = format!("{repository}/{reference}");
        match self.deletes {
            Deletes::Nothing => return Response::error(405, "UNSUPPORTED", "The operation is unsupported."),
            // As CNCF distribution 2.8 does.
            Deletes::Manifests if !by_digest => {
                return Response::error(
                    400,
                    "DIGEST_INVALID",
                    "provided digest did not match uploaded content",
                );
            }
            _ => {}
        }
        let Some((bytes, _)) = self.manifests.get(&name).cloned() else {
            return Response::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        if by_digest || self.deletes == Deletes::ImagesByTag {
            let prefix = format!("{repository}/");
            self.manifests.retain(|name, (other, _)| !name.starts_with(&prefix) || *other != bytes);
        } else {
            self.manifests.remove(&name);
        }
        Response::new(202, "")
    }
}
