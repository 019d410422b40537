//! Follows the links on the way to a path that an instruction names, as fsutil's `FollowLinks` (`followlinks.go`) does: the
//! links and their targets are sent too. With a link `a` to `b`, the path `a/x` is `a` and `b/x`.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::key::dockerignore::{Pattern, Patterns, clean, rooted};
use crate::key::error::KeyError;

/// Resolves `path`, which may have wildcards, inside `root`. Returns each link on the way and the path that it leads to;
/// `None` if that is the whole root.
///
/// # Errors
/// If a link or folder on the way cannot be read.
pub(crate) fn resolve(root: &Path, path: &[u8]) -> Result<Option<Vec<Vec<u8>>>, KeyError> {
    let mut resolver = Resolver { root, found: BTreeSet::new() };
    resolver.add(&rooted(path))?;
    if resolver.found.contains(b".".as_slice()) {
        return Ok(None);
    }
    Ok(Some(resolver.found.into_iter().collect()))
}

struct Resolver<'a> {
    root: &'a Path,
    found: BTreeSet<Vec<u8>>,
}

impl Resolver<'_> {
    /// Adds the path, and what the links on the way to it lead to.
    fn add(&mut self, path: &[u8]) -> Result<(), KeyError> {
        let mut current: Vec<u8> = b".".to_vec();
        let mut rest = path;
        loop {
            let (first, tail) = match rest.iter().position(|&b| b == b'/') {
                Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
                None => (rest, [].as_slice()),
            };
            current = clean(&[current.as_slice(), b"/", first].concat());
            let targets = self.targets(&current)?;
            let last = tail.is_empty();
            if (last || targets.is_some()) && !self.found.insert(current.clone()) {
                // It was seen before: links in a circle, or a path that is named twice.
                return Ok(());
            }
            if let Some(targets) = targets {
                for target in targets {
                    self.add(&rooted(&[&target, b"/".as_slice(), tail].concat()))?;
                }
                return Ok(());
            }
            if last {
                return Ok(());
            }
            rest = tail;
        }
    }

    /// The targets of `path`, if it is a link, or of the links that its wildcards match; `None` if there are none.
    fn targets(&self, path: &[u8]) -> Result<Option<Vec<Vec<u8>>>, KeyError> {
        let (folder, name) = match path.iter().rposition(|&b| b == b'/') {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => ([].as_slice(), path),
        };
        if !has_wildcard(name) {
            return Ok(self.target(folder, path)?.map(|target| vec![target]));
        }
        let full = super::full(self.root, folder);
        let entries = match fs_err::read_dir(&full) {
            Ok(entries) => entries,
            Err(error) if gone(&error) => return Ok(None),
            Err(source) => return Err(KeyError::Read { path: full, source }),
        };
        let Ok(pattern) = Pattern::new(name) else { return Ok(None) };
        let pattern = Patterns::new(vec![pattern]);
        let mut targets = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| KeyError::Read { path: full.clone(), source })?;
            if pattern.against(entry.file_name().as_bytes()).hit(0) {
                let path = [folder, b"/", entry.file_name().as_bytes()].concat();
                targets.extend(self.target(folder, &path)?);
            }
        }
        Ok((!targets.is_empty()).then_some(targets))
    }

    /// The target of the link `path`, which is in `folder`; `None` if it is no link.
    fn target(&self, folder: &[u8], path: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
        let full = super::full(self.root, &rooted(path));
        let link = match fs_err::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_symlink() => fs_err::read_link(&full),
            Ok(_) => return Ok(None),
            Err(error) if gone(&error) => return Ok(None),
            Err(error) => Err(error),
        };
        let link = link.map_err(|source| KeyError::Read { path: full, source })?;
        let link = link.as_os_str().as_bytes();
        Ok(Some(if link.starts_with(b"/") { rooted(link) } else { rooted(&[folder, b"/", link].concat()) }))
    }
}

/// Tells whether the name has a wildcard (fsutil, `containsWildcards`).
pub(crate) fn has_wildcard(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(b) = bytes.next() {
        match b {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
    )
}
