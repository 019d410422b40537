//! Images in the stores of the lab's engines, by a name that is in their references.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::http::ask_engine;
use super::lab::lab;

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
    let patterns = ["", "*/", "*/*/", "*/*/*/"].map(|path| format!("{path}*{name}*"));
    let filters = json!({"reference": patterns}).to_string();
    let list =
        reqwest::Url::parse_with_params("http://engine/images/json", [("all", "1"), ("filters", &filters)]);
    let list = list.unwrap();
    let list = format!("{}?{}", list.path(), list.query().unwrap());
    // A list fails where another test removes an image at that moment.
    for _ in 0..5 {
        let Ok(answer) = ask_engine(host, "GET", &list) else { continue };
        if answer.status != 200 {
            continue;
        }
        let images = answer.json();
        let ids = images.as_array().unwrap().iter().map(|image| image["Id"].as_str().unwrap());
        if ids.clone().count() == 0 {
            break;
        }
        for id in ids {
            let _ = ask_engine(host, "DELETE", &format!("/images/{id}?force=1"));
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
