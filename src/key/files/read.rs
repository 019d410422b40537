//! Digests a file, if it does not change meanwhile.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::tree::Fact;

/// Bytes of a thread's buffer. A larger file is read in several pieces.
pub(crate) const BUFFER: usize = 128 * 1024;

/// The error of opening a file. One that became a link (`LOOP`) or a socket (`NXIO`) since its folder was listed is gone as
/// a file.
pub(super) fn vanished(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NXIO => io::ErrorKind::NotFound.into(),
        other => other.into(),
    }
}

/// The metadata that must not change while the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Seconds and nanoseconds of the last change of the content, then those of the last change of the inode.
    pub clocks: [i128; 4],
    pub inode: u64,
    /// Permission bits, as in `st_mode & 0o7777`.
    pub mode: u32,
}

impl Stamp {
    /// [`Fact::modified`] and [`Fact::touched`].
    fn times(&self) -> (u32, u16) {
        let [b0, b1, b2, b3, ..] = self.clocks[0].to_le_bytes();
        let seconds = i64::try_from(self.clocks[2]).unwrap_or_default();
        let nanoseconds = i64::try_from(self.clocks[3]).unwrap_or_default();
        (u32::from_le_bytes([b0, b1, b2, b3]), touched(self.inode, seconds, nanoseconds))
    }
}

/// [`Fact::touched`] of an inode with this time of its last change.
pub(crate) fn touched(inode: u64, seconds: i64, nanoseconds: i64) -> u16 {
    let mut hash = Sha256::new();
    for part in [inode.to_le_bytes(), seconds.to_le_bytes(), nanoseconds.to_le_bytes()] {
        hash.update(part);
    }
    let digest = hash.finalize();
    u16::from_le_bytes([digest[0], digest[1]])
}

/// An open file, or a test's replacement for one.
pub(crate) trait Source {
    fn stamp(&self) -> io::Result<Stamp>;
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for OwnedFd {
    fn stamp(&self) -> io::Result<Stamp> {
        let stat = rustix::fs::fstat(self)?;
        // Something else may have the name since the folder was listed.
        if file_type(&stat) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no longer a regular file"));
        }
        Ok(Stamp {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            clocks: [
                stat.st_mtime.into(),
                stat.st_mtime_nsec.into(),
                stat.st_ctime.into(),
                stat.st_ctime_nsec.into(),
            ],
            inode: stat.st_ino,
            mode: mode(&stat),
        })
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&*self, &mut *buffer))?)
    }
}

pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[allow(clippy::useless_conversion, reason = "the raw type is narrower on macOS")]
pub(crate) fn mode(stat: &Stat) -> u32 {
    rustix::fs::Mode::from_raw_mode(stat.st_mode).bits().into()
}

/// The reason that a file has no digest.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    /// It changed during both attempts.
    Changed,
}

/// Digests the file that `open` opens. If it changes or vanishes meanwhile, it is read once more.
pub(crate) fn digest<S: Source>(
    mut open: impl FnMut() -> io::Result<S>,
    buffer: &mut [u8],
) -> Result<Fact, Failure> {
    for _ in 0..2 {
        match attempt(&mut open, buffer) {
            Ok(Some(fact)) => return Ok(fact),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::Io(error)),
        }
    }
    Err(Failure::Changed)
}

/// Digests the file; `None` if it changed meanwhile.
fn attempt<S: Source>(
    open: &mut impl FnMut() -> io::Result<S>,
    buffer: &mut [u8],
) -> io::Result<Option<Fact>> {
    let mut source = open()?;
    let before = source.stamp()?;
    let mut hash = Sha256::new();
    let mut total: u64 = 0;
    // To stop at the size from the stamp saves a read a file; if the file has grown, the second stamp tells.
    while total == 0 || total < before.size {
        let count = source.read(buffer)?;
        if count == 0 {
            break;
        }
        hash.update(buffer.get(..count).unwrap_or_default());
        total += count as u64;
    }
    let is_unchanged = total == before.size && source.stamp()? == before;
    Ok(is_unchanged.then(|| Fact::file(before.size, before.mode, before.times(), hash.finalize().into())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::cell::Cell;

    /// A file that changes after it was opened, as often as `growths` says.
    struct Growing<'a> {
        growths: &'a Cell<u32>,
        stamps: Cell<u32>,
        left: usize,
    }

    impl Source for Growing<'_> {
        fn stamp(&self) -> io::Result<Stamp> {
            let later = self.stamps.replace(1) == 1 && self.growths.get() > 0;
            if later {
                self.growths.set(self.growths.get() - 1);
            }
            Ok(Stamp { size: 4, clocks: [0, i128::from(later), 0, 0], inode: 0, mode: 0o644 })
        }
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.left.min(buffer.len());
            self.left -= count;
            buffer.iter_mut().take(count).for_each(|b| *b = b'x');
            Ok(count)
        }
    }

    fn read(growths: u32, left: usize) -> Result<Fact, Failure> {
        let growths = Cell::new(growths);
        digest(|| Ok(Growing { growths: &growths, stamps: Cell::new(0), left }), &mut [0; 3])
    }

    #[test]
    fn a_file_at_rest_is_read_once() {
        assert_eq!(read(0, 4).unwrap().digest, <[u8; 32]>::from(Sha256::digest(b"xxxx")));
    }

    #[test]
    fn a_file_that_changes_is_read_once_more_and_not_twice() {
        assert!(read(1, 4).is_ok());
        assert!(matches!(read(2, 4), Err(Failure::Changed)));
    }

    #[test]
    fn a_file_shorter_than_announced_has_changed() {
        assert!(matches!(read(0, 3), Err(Failure::Changed)));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_of_its_own() {
        let denied = || Err::<OwnedFd, _>(io::Error::from(io::ErrorKind::PermissionDenied));
        assert!(matches!(digest(denied, &mut [0; 8]), Err(Failure::Io(_))));
        let gone = || Err::<OwnedFd, _>(io::Error::from(io::ErrorKind::NotFound));
        assert!(matches!(digest(gone, &mut [0; 8]), Err(Failure::Changed)));
    }
}
