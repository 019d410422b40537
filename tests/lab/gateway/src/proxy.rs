//! One request from arrival to answer.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri, Version};

use crate::auth::{self, Basic};
use crate::body::{self, Body, Direction, Metered};
use crate::compiled::RuleSets;
use crate::exchange::Exchange;
use crate::headers::{fix_location, strip_hop_by_hop};
use crate::journal::{Journal, Record};
use crate::server::Connection;
use crate::upstream::Upstream;

/// What all requests share.
pub(crate) struct Proxy {
    pub(crate) upstream: Upstream,
    pub(crate) basic: Option<Basic>,
    /// `http` or `https`, as clients see it.
    pub(crate) scheme: &'static str,
    pub(crate) rules: RuleSets,
    pub(crate) journal: Journal,
}

impl Proxy {
    /// Answers a request, with a fault if a rule says so.
    pub(crate) async fn handle(
        &self,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let record = self.journal.open(connection.id(), &request);
        // A connection that is cut drops this future; the entry ends then, too.
        let open = FinishOnDrop(Some(Arc::clone(&record)));
        let basic = self.basic.as_ref().filter(|_| auth::guards(request.uri()));
        let authorised = basic.is_none_or(|basic| basic.accepts(request.headers()));
        let fault = self.rules.pick(&request, authorised);
        let request =
            request.map(|body| Metered::new(body, Arc::clone(&record), Direction::Request).boxed_unsync());
        let exchange = Exchange { proxy: self, connection, record: &record, authorised };
        let response = match fault {
            Some(fault) => {
                record.faulted(fault.kind());
                exchange.faulted(&fault, request).await
            }
            None => exchange.plain(request).await,
        };
        record.answered(response.status());
        open.hand_over();
        response.map(|body| Metered::new(body, record, Direction::Response).boxed_unsync())
    }

    /// Passes a request on and its answer back.
    pub(crate) async fn forward(&self, mut request: Request<Body>, record: &Record) -> Response<Body> {
        let host = request.headers().get(HOST).cloned();
        self.prepare(&mut request);
        match self.upstream.send(request).await {
            Ok(mut response) => {
                record.upstream_answered(response.status());
                *response.version_mut() = Version::HTTP_11;
                strip_hop_by_hop(response.headers_mut());
                let upstream = self.upstream.authority();
                let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(upstream);
                fix_location(response.headers_mut(), self.scheme, host, upstream);
                response
            }
            Err(error) => body::text(StatusCode::BAD_GATEWAY, format!("lab-gateway: upstream: {error}\n")),
        }
    }

    fn prepare(&self, request: &mut Request<Body>) {
        *request.version_mut() = Version::HTTP_11;
        strip_hop_by_hop(request.headers_mut());
        if self.basic.is_some() && auth::guards(request.uri()) {
            // Checked here; the upstream need not know these credentials.
            request.headers_mut().remove(AUTHORIZATION);
        }
        // Registries build absolute addresses from this and from Host, which stays.
        request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static(self.scheme));
        if request.uri().authority().is_some()
            && let Some(path) = request.uri().path_and_query().cloned()
        {
            *request.uri_mut() = Uri::from(path);
        }
    }
}

/// Ends an entry unless the answer's body takes over.
struct FinishOnDrop(Option<Arc<Record>>);

impl FinishOnDrop {
    fn hand_over(mut self) {
        self.0 = None;
    }
}

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        if let Some(record) = &self.0 {
            record.finish();
        }
    }
}
