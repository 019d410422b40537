//! Asks everything side by side, and has what comes of it judged.

use std::path::Path;
use std::time::Duration;

use reqwest::Url;

use crate::budget::DOCTOR;
use crate::doctor::caches::{self, Bucket, Folder, Gha};
use crate::doctor::disk::{self, Disk};
use crate::doctor::network::{self, Clocks, Program, ProxyFacts};
use crate::doctor::tools::{self, Tools};
use crate::doctor::{Check, Known};
use crate::env::{self, SLUG};
use crate::error::{Error, Result};
use crate::failure::FailureKind;
use crate::inputs::{CacheKind, CacheSpec, DoctorRequest};
use crate::pipeline::Prepared;
use crate::ports::buildx::Buildx;
use crate::ports::clock::Stopwatch;
use crate::ports::proxies::Proxies;
use crate::ports::reach::{self, Reached};
use crate::ports::temporary::temporary_folder;
use crate::ports::{Ports, disk as disks, host, local_cache, s3};
use crate::trust::ImageRun;

/// Most files of a local layer cache that are counted.
const COUNTED: usize = 50_000;

/// What every question needs.
pub(super) struct Doctor<'a> {
    pub(super) ports: &'a Ports,
    pub(super) image: ImageRun<'a>,
    pub(super) asked: &'a DoctorRequest,
    pub(super) token: Option<String>,
    pub(super) proxies: Proxies,
    watch: Stopwatch,
}

/// Every check, in the order in which people read them.
pub(super) async fn checks(prepared: &Prepared, asked: &DoctorRequest, token: Option<String>) -> Vec<Check> {
    let image = match prepared.first() {
        Ok(image) => image,
        Err(error) => return vec![Check::refused("inputs", &error)],
    };
    let ports = &prepared.ports;
    let proxies = Proxies::new(&ports.env);
    let doctor = Doctor { ports, image, asked, token, proxies, watch: Stopwatch::start() };
    let (machine, shared, project, gha, buckets, program) = tokio::join!(
        Box::pin(doctor.machine()),
        Box::pin(doctor.repositories()),
        Box::pin(doctor.project()),
        Box::pin(doctor.gha()),
        Box::pin(doctor.buckets()),
        Box::pin(doctor.program()),
    );
    let (machine, engine_has_proxy) = machine;
    let (program, download) = program;
    let answers = download.into_iter().chain(shared.answers).chain(project.answer);
    let clocks: Vec<Clocks> = answers.filter_map(clocks).collect();
    let registry = shared.home.as_ref().map(|home| doctor.is_proxied(home));
    let mut all = machine;
    all.extend(shared.checks);
    all.extend(project.checks);
    all.extend(gha);
    all.extend(doctor.folder());
    all.extend(buckets);
    all.push(network::clock(&clocks));
    all.push(network::proxies(&doctor.proxy_facts(registry, engine_has_proxy)));
    all.push(program);
    all
}

fn clocks(answer: Reached) -> Option<Clocks> {
    let (theirs, ours) = answer.clocks?;
    Some(Clocks { host: answer.host, theirs, ours })
}

impl Doctor<'_> {
    /// The answer, if it comes before the time of all questions is over.
    pub(super) async fn within<T>(&self, what: &str, work: impl Future<Output = Result<T>>) -> Known<T> {
        self.ready(what, work).await.unwrap_or_else(Err)
    }

    /// The same of what answers without an error.
    pub(super) async fn ready<T>(&self, what: &str, work: impl Future<Output = T>) -> Known<T> {
        let left: Duration = DOCTOR.saturating_sub(self.watch.elapsed());
        let slow = |_| {
            let error = Error::of(FailureKind::Hang, what);
            error
                .cause(format!("no answer within {} s", DOCTOR.as_secs()))
                .hint("try again; look at the network and at what else runs")
        };
        tokio::time::timeout(left, work).await.map_err(slow)
    }

    /// The tools and the disks; and whether the engine has a proxy.
    async fn machine(&self) -> (Vec<Check>, Option<bool>) {
        let docker = match self.ports.docker() {
            // Most commands of a build are the CLI's: an engine that answers the socket alone is of no use.
            Ok(docker) => docker.by_cli(),
            Err(error) => {
                let tools = Tools {
                    engine: Err(error.clone()),
                    buildx: Err(error.clone()),
                    builder: Err(error),
                    platforms: Vec::new(),
                };
                let mut checks = tools::checks(&tools);
                checks.extend(self.disks(None));
                return (checks, None);
            }
        };
        let buildx = Buildx::new(docker.clone());
        let name = self.image.request.settings.builder.name.as_deref();
        let (engine, version, builder, store) = tokio::join!(
            self.within("failed to ask the docker engine", docker.engine()),
            self.within("failed to ask docker buildx for its version", buildx.version()),
            self.within("failed to ask docker buildx for its builder", buildx.builder(name)),
            self.within("failed to ask what the engine's store takes", docker.disk_usage()),
        );
        let root = engine.as_ref().ok().and_then(|engine| engine.root.clone());
        // The engine's data may be on another machine.
        let root = root.filter(|root| host::name().is_some_and(|name| name == root.machine));
        let has_proxy = engine.as_ref().ok().map(|engine| engine.has_proxy);
        let reached = engine.is_ok();
        let platforms = self.image.request.build.platforms.clone();
        let mut checks = tools::checks(&Tools { engine, buildx: version, builder, platforms });
        checks.extend(self.disks(root.as_ref().map(|root| root.folder.as_path())));
        if reached {
            checks.push(disk::store(&store));
        }
        (checks, has_proxy)
    }

    fn disks(&self, docker: Option<&Path>) -> Vec<Check> {
        let room = |what, folder: &Path| {
            let room = disks::space(folder).ok_or_else(|| {
                let what = format!("failed to look at the disk of {}", folder.display());
                Error::of(FailureKind::Machine, what).cause("the system does not tell its size")
            });
            disk::check(&Disk { what, path: folder.display().to_string(), room })
        };
        let mut checks = vec![room("temporary files", &temporary_folder(&self.ports.env))];
        checks.extend(docker.map(|root| room("docker's data", root)));
        checks
    }

    fn caches(&self, kinds: &[CacheKind]) -> impl Iterator<Item = &CacheSpec> {
        self.image.request.cache.kinds.iter().filter(move |cache| kinds.contains(&cache.kind))
    }

    async fn gha(&self) -> Vec<Check> {
        if self.caches(&[CacheKind::Gha]).next().is_none() {
            return Vec::new();
        }
        let env = &self.ports.env;
        let address = env.get(env::ACTIONS_RESULTS_URL).or_else(|| env.get(env::ACTIONS_CACHE_URL));
        let mut missing = Vec::new();
        if env.get(env::ACTIONS_RUNTIME_TOKEN).is_none() {
            missing.push(env::ACTIONS_RUNTIME_TOKEN);
        }
        if address.is_none() {
            missing.push(env::ACTIONS_RESULTS_URL);
        }
        let reached = async {
            let url = Url::parse(address?).ok()?;
            let what = "failed to reach GitHub's cache service";
            Some(self.within(what, reach::head(&url, self.proxies.clone())).await.map(drop))
        };
        let (reached, used) = tokio::join!(reached, self.used_cache());
        caches::gha(&Gha {
            missing,
            mode: env.get(env::ACTIONS_CACHE_MODE).map(str::to_owned),
            reached,
            used,
        })
    }

    fn folder(&self) -> Option<Check> {
        self.caches(&[CacheKind::Local]).next()?;
        let path = self.image.request.cache.dir.as_ref()?;
        let off = local_cache::why_unusable(path);
        let size = host::size_of(path, COUNTED);
        Some(caches::folder(&Folder { path: path.display().to_string(), off, size }))
    }

    async fn buckets(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for cache in self.caches(&[CacheKind::S3, CacheKind::Azblob]) {
            let Some(url) = address(cache) else { continue };
            let what = format!("failed to reach {}", url.host_str().unwrap_or_default());
            let answer = self.within(&what, reach::head(&url, self.proxies.clone())).await;
            checks.push(caches::bucket(&Bucket {
                kind: cache.kind.name(),
                host: url.host_str().unwrap_or_default().to_owned(),
                status: answer.map(|answer| answer.status),
            }));
        }
        checks
    }

    /// Where a runner without a copy downloads the program from, as `dist/install.sh` does.
    async fn program(&self) -> (Check, Option<Reached>) {
        let env = &self.ports.env;
        if let Some(path) = env.get(env::BUILD_ONCE_BIN) {
            return (network::program(&Program::Local(path.to_owned())), None);
        }
        let own = format!("https://github.com/{SLUG}/releases/download");
        let mirror = env.get(env::BUILD_ONCE_DOWNLOAD_URL);
        let base = mirror.unwrap_or(&own).trim_end_matches('/');
        let (version, machine) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
        let system = if cfg!(target_os = "macos") { "apple-darwin" } else { "unknown-linux-musl" };
        let text = format!("{base}/v{version}/build-once-{machine}-{system}");
        let bad = || Error::input("the variable BUILD_ONCE_DOWNLOAD_URL is no URL");
        let answer = match Url::parse(&text) {
            Ok(url) => {
                self.within("failed to reach the program's release", reach::head(&url, self.proxies.clone()))
                    .await
            }
            Err(_) => Err(bad()),
        };
        let reached = answer.as_ref().ok().cloned();
        let status = answer.map(|answer| answer.status);
        (network::program(&Program::Download { url: text, is_mirror: mirror.is_some(), status }), reached)
    }

    fn is_proxied(&self, registry: &str) -> bool {
        Url::parse(&format!("https://{registry}/")).is_ok_and(|url| self.proxies.of(&url).is_some())
    }

    fn proxy_facts(&self, registry: Option<bool>, engine: Option<bool>) -> ProxyFacts {
        let env = &self.ports.env;
        let names = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
        let small = |name: &str| name.to_ascii_lowercase();
        let is_set = |name: &&str| env.get(name).or_else(|| env.get(&small(name))).is_some();
        let differs = |name: &&str| {
            let (capitals, small) = (env.get(name), env.get(&small(name)));
            capitals.is_some() && small.is_some() && capitals != small
        };
        let list = |filter: &dyn Fn(&&str) -> bool| {
            names.iter().copied().filter(|name| filter(name)).map(str::to_owned).collect()
        };
        ProxyFacts {
            set: list(&is_set),
            unread: Proxies::unread(env).map(str::to_owned).collect(),
            differ: list(&differs),
            registry,
            engine,
        }
    }
}

/// The address of a bucket or a container, in the form that its owner gave.
fn address(cache: &CacheSpec) -> Option<Url> {
    let text = match cache.kind {
        CacheKind::Azblob => cache.get("account_url")?.to_owned(),
        CacheKind::S3 => s3::address(cache)?.trim_end_matches('/').to_owned(),
        CacheKind::Registry | CacheKind::Gha | CacheKind::Local | CacheKind::Inline => return None,
    };
    Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}
