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
    each(name, forget_in_containerd);
}

/// Removes their names. Where it can it leaves the content to containerd's own tidying.
pub fn tidy(name: &str) {
    each(name, tidy_containerd);
}

/// docker makes containerd look through its whole store after each name that goes, for 0.1 to 0.2 s of processor time. So
/// `of_own` removes what is in the containerd of the lab's own engine; it returns false where that is another engine.
fn each(name: &str, of_own: fn(&str) -> bool) {
    for host in hosts() {
        if host != lab().get("DOCKER_HOST") || !of_own(name) {
            forget_at(host, name);
        }
    }
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

/// `ctr images` with these arguments, in the containerd of the lab's own engine; `None` where that is another engine.
fn containerd(arguments: &[&str]) -> Option<String> {
    let program = Path::new(lab().get("BUILD_ONCE_LAB_CACHE")).join("root/usr/bin/ctr");
    let socket = Path::new(lab().get("BUILD_ONCE_LAB_RUN")).join("engine/containerd/containerd.sock");
    let mut ctr = Command::new(program);
    ctr.arg("--address").arg(socket).args(["--namespace", "moby", "images"]).args(arguments);
    let output = ctr.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn tidy_containerd(name: &str) -> bool {
    let Some(list) = containerd(&["list", "--quiet"]) else { return false };
    let own: Vec<&str> = list.lines().filter(|line| line.contains(name)).collect();
    own.chunks(100).all(|names| containerd(&[&["remove"], names].concat()).is_some())
}

fn forget_in_containerd(name: &str) -> bool {
    // Another test may remove an image at that moment.
    (0..5).any(|_| {
        let Some(list) = containerd(&["list"]) else { return false };
        // Each line is a reference, a media type, a digest, and more.
        let columns = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let lines: Vec<Vec<&str>> = columns.filter(|columns| columns.len() > 2).collect();
        let own: Vec<&str> = lines.iter().filter(|line| line[0].contains(name)).map(|line| line[2]).collect();
        let names: Vec<&str> =
            lines.iter().filter(|line| own.contains(&line[2])).map(|line| line[0]).collect();
        names.is_empty() || {
            let _ = containerd(&[&["remove", "--sync"], &*names].concat());
            false
        }
    })
}
