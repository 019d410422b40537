//! What happened: one entry per request, in the order the requests arrived.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use serde::{Deserialize, Serialize};

use crate::body::Direction;

/// One request as the journal tells it. Credentials are never in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1 over the gateway's whole life, clearing included.
    pub seq: u64,
    /// Milliseconds from the gateway's start to the request's arrival.
    pub at_ms: u64,
    /// Milliseconds from arrival to the end of the answer; absent while under way.
    pub took_ms: Option<u64>,
    /// Requests on one kept-alive client connection share this number.
    pub connection: u64,
    /// The request's method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The client program's name for itself.
    pub user_agent: Option<String>,
    /// The AWS operation (`x-amz-target`).
    pub target: Option<String>,
    /// Whether there was an `Authorization` header; never what it said.
    pub had_auth: bool,
    /// The status sent to the client; absent if none was.
    pub status: Option<u16>,
    /// The status the upstream gave; absent if it was not asked or did not answer.
    pub upstream_status: Option<u16>,
    /// The kind of the fault that was applied.
    pub fault: Option<String>,
    /// Body bytes read from the client.
    pub request_bytes: u64,
    /// Body bytes handed to the client's connection.
    pub response_bytes: u64,
}

/// An entry being written.
pub(crate) struct Record {
    arrival: Instant,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    entry: Mutex<Entry>,
}

impl Record {
    pub(crate) fn count(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::Request => &self.request_bytes,
            Direction::Response => &self.response_bytes,
        };
        counter.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn faulted(&self, kind: &str) {
        lock(&self.entry).fault = Some(kind.to_owned());
    }

    pub(crate) fn upstream_answered(&self, status: StatusCode) {
        lock(&self.entry).upstream_status = Some(status.as_u16());
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        lock(&self.entry).status = Some(status.as_u16());
    }

    /// The exchange is over, answered or not; only the first call counts.
    pub(crate) fn finish(&self) {
        let took = millis(self.arrival);
        lock(&self.entry).took_ms.get_or_insert(took);
    }

    fn snapshot(&self) -> Entry {
        let mut entry = lock(&self.entry).clone();
        entry.request_bytes = self.request_bytes.load(Relaxed);
        entry.response_bytes = self.response_bytes.load(Relaxed);
        entry
    }
}

/// All records since the last clearing.
pub(crate) struct Journal {
    start: Instant,
    seq: AtomicU64,
    records: Mutex<Vec<Arc<Record>>>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), seq: AtomicU64::new(0), records: Mutex::new(Vec::new()) }
    }

    /// Opens the entry of a request that has just arrived.
    pub(crate) fn open(&self, connection: u64, request: &Request<Incoming>) -> Arc<Record> {
        let headers = request.headers();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        // Number and place are given under one lock: the list is in order of arrival.
        let mut records = lock(&self.records);
        let record = Arc::new(Record {
            arrival: Instant::now(),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            entry: Mutex::new(Entry {
                seq: self.seq.fetch_add(1, Relaxed) + 1,
                at_ms: millis(self.start),
                took_ms: None,
                connection,
                method: request.method().to_string(),
                path: path.to_owned(),
                user_agent: header(headers, USER_AGENT.as_str()),
                target: header(headers, "x-amz-target"),
                had_auth: headers.contains_key(AUTHORIZATION),
                status: None,
                upstream_status: None,
                fault: None,
                request_bytes: 0,
                response_bytes: 0,
            }),
        });
        records.push(Arc::clone(&record));
        record
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        lock(&self.records).iter().map(|record| record.snapshot()).collect()
    }

    pub(crate) fn clear(&self) {
        lock(&self.records).clear();
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Locks; a thread that panicked elsewhere does not make the data wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
