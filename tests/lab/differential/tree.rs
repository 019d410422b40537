//! The files of a context.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// One file, link or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File { text: String, mode: u32 },
    Link(String),
    Folder,
}

/// By path below the context's folder; the folders above a node are made with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Node>);

impl Tree {
    /// Adds a plain file.
    pub fn file(&mut self, path: &str, text: &str) {
        self.0.insert(path.to_owned(), Node::File { text: text.to_owned(), mode: 0o644 });
    }

    /// The paths of its files.
    pub fn files(&self) -> Vec<String> {
        let files = self.0.iter().filter(|(_, node)| matches!(node, Node::File { .. }));
        files.map(|(path, _)| path.clone()).collect()
    }

    /// Makes `root` hold exactly this. Every file has one and the same time, as after a checkout with fixed
    /// times, so that a file that keeps its size looks unchanged to whoever trusts size and time.
    pub fn write(&self, root: &Path) {
        if root.exists() {
            fs::remove_dir_all(root).unwrap();
        }
        fs::create_dir_all(root).unwrap();
        for (path, node) in &self.0 {
            let full = root.join(path);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            match node {
                Node::Folder => fs::create_dir_all(&full).unwrap(),
                Node::Link(target) => symlink(target, &full).unwrap(),
                Node::File { text, mode } => {
                    fs::write(&full, text).unwrap();
                    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
                    File::options().write(true).open(&full).unwrap().set_modified(time).unwrap();
                    fs::set_permissions(&full, fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
        }
    }
}

impl Display for Tree {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, node) in &self.0 {
            match node {
                Node::File { text, mode } => writeln!(to, "  {path:?} {mode:o} {text:?}")?,
                Node::Link(target) => writeln!(to, "  {path:?} -> {target:?}")?,
                Node::Folder => writeln!(to, "  {path:?}/")?,
            }
        }
        Ok(())
    }
}
