//! By the folder of layer caches on a runner that serves jobs of every trust one after the other.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::{Played, World, fails, told};

const MAIN: &str = "trusted/cache-rf9d832d9-app-main";
const PULL_REQUEST: &str = "pr-12/pr-12-cache-rf9d832d9-app";

/// The folder of this repository's caches, with one that a pull request wrote.
fn filled(world: &World) -> PathBuf {
    let attacker = world.lab.build_once().pull_request(12).input("cache-write", "always");
    let run = world.run(local(world, attacker));
    let mut written = Vec::new();
    find(&world.lab.path("caches"), &mut written);
    let cache = written.into_iter().find(|path| path.ends_with(PULL_REQUEST));
    let cache = cache.unwrap_or_else(|| panic!("nothing was cached: {}", told(&run)));
    let home = cache.ancestors().nth(2).unwrap().to_owned();
    fs::create_dir(home.join("trusted")).unwrap();
    fs::set_permissions(home.join("trusted"), fs::Permissions::from_mode(0o700)).unwrap();
    home
}

fn local<'a>(world: &World, program: crate::support::BuildOnce<'a>) -> crate::support::BuildOnce<'a> {
    let dir = world.lab.path("caches");
    program
        .input("repository", &world.repository())
        .input("cache", "local")
        .input("cache-dir", dir.to_str().unwrap())
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        found.push(entry.path());
        find(&entry.path(), found);
    }
}

/// It worked if the build of main is given a cache from that folder.
fn is_imported(world: &World) -> Played {
    world.lab.another_machine();
    let victim = world.run(local(world, world.lab.build_once()));
    let imported = |call: &&crate::support::Call| {
        call.values("--cache-from").iter().any(|cache| cache.starts_with("type=local"))
    };
    Played { worked: victim.called("buildx build").iter().any(imported), told: told(&victim) }
}

#[test]
fn a_folder_that_others_can_write() {
    fails("cache-folder", "can be written by other users", |world| {
        let home = filled(world);
        fs::rename(home.join(PULL_REQUEST), home.join(MAIN)).unwrap();
        fs::set_permissions(home.join("trusted"), fs::Permissions::from_mode(0o777)).unwrap();
        is_imported(world)
    });
}

#[test]
fn a_link_in_the_place_of_mains_cache() {
    fails("cache-folder", "is a symbolic link", |world| {
        let home = filled(world);
        symlink(home.join(PULL_REQUEST), home.join(MAIN)).unwrap();
        is_imported(world)
    });
}

#[test]
fn a_current_that_leads_elsewhere() {
    fails("cache-folder", "leads out of the cache", |world| {
        let home = filled(world);
        let generation = fs::read_link(home.join(PULL_REQUEST).join("current")).unwrap();
        fs::create_dir(home.join(MAIN)).unwrap();
        fs::set_permissions(home.join(MAIN), fs::Permissions::from_mode(0o700)).unwrap();
        symlink(home.join(PULL_REQUEST).join(generation), home.join(MAIN).join("current")).unwrap();
        is_imported(world)
    });
}
