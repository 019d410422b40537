//! Images in the stores of the lab's engines, by a name that is in their references.

use std::path::Path;
use std::process::Command;

use super::lab::{engine_at, lab};

fn hosts() -> impl Iterator<Item = &'static str> {
    [lab().get("DOCKER_HOST"), lab().get("BUILD_ONCE_LAB_CLASSIC_HOST")]
        .into_iter()
        .filter(|host| !host.is_empty())
}

/// Takes them out of every engine's store, content included, as on a machine that has never seen them.
pub fn forget(name: &str) {
    hosts().for_each(|host| forget_at(host, name));
}

fn forget_at(host: &str, name: &str) {
    // By filter: without one the engine measures every image it has, for most of a second. A star matches no slash.
    let filters = ["", "*/", "*/*/", "*/*/*/"].map(|path| format!("reference={path}*{name}*"));
    let mut list = vec!["image", "ls", "--all", "--format", "{{.ID}}"];
    for filter in &filters {
        list.extend(["--filter", filter]);
    }
    // A list fails where another test removes an image at that moment.
    for _ in 0..5 {
        let (listed, ids) = engine_at(host, &list);
        let mut ids: Vec<&str> = ids.lines().filter(|_| listed).collect();
        ids.dedup();
        if listed && ids.is_empty() {
            break;
        }
        if !ids.is_empty() {
            engine_at(host, &[&["image", "rm", "--force"], &*ids].concat());
        }
    }
}

/// Removes their names. Where it can it leaves the content to containerd's own tidying: after each image that
/// docker removes, containerd looks through its whole store, for 0.2 s of processor time.
pub fn tidy(name: &str) {
    for host in hosts() {
        if host != lab().get("DOCKER_HOST") || !tidy_containerd(name) {
            forget_at(host, name);
        }
    }
}

/// The same in the containerd of the lab's own engine; false where that is another engine.
fn tidy_containerd(name: &str) -> bool {
    let program = Path::new(lab().get("BUILD_ONCE_LAB_CACHE")).join("root/usr/bin/ctr");
    let socket = Path::new(lab().get("BUILD_ONCE_LAB_RUN")).join("engine/containerd/containerd.sock");
    let images = |arguments: &[&str]| {
        let mut ctr = Command::new(&program);
        ctr.arg("--address").arg(&socket).args(["--namespace", "moby", "images"]).args(arguments);
        ctr.output().ok().filter(|output| output.status.success())
    };
    let Some(list) = images(&["list", "--quiet"]) else { return false };
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let own: Vec<&str> = list.lines().filter(|line| line.contains(name)).collect();
    own.chunks(100).all(|names| images(&[&["remove"], names].concat()).is_some())
}
