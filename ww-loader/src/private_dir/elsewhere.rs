use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::Path;

/// A directory of files that belongs to the process's user alone. There is none
/// but on Unix, so nothing of it is ever called here but [`open`](Self::open).
#[derive(Debug)]
pub struct PrivateDir(Infallible);

impl PrivateDir {
    /// # Errors
    ///
    /// Always: of kind `Unsupported`.
    pub fn open(_: &Path) -> io::Result<Self> {
        let text = "only on Unix can others be kept out of a directory";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    #[expect(missing_docs, reason = "documented above, for Unix")]
    pub fn file(&self, _: &str) -> io::Result<File> {
        match self.0 {}
    }

    #[expect(missing_docs, reason = "documented above, for Unix")]
    pub fn read(&self, _: &str, _: u64) -> Option<Vec<u8>> {
        match self.0 {}
    }

    #[expect(missing_docs, reason = "documented above, for Unix")]
    pub fn write(&self, _: &str, _: &[&[u8]]) -> io::Result<()> {
        match self.0 {}
    }

    #[expect(missing_docs, reason = "documented above, for Unix")]
    pub fn write_first(&self, _: &str, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }

    #[expect(missing_docs, reason = "documented above, for Unix")]
    pub fn remove(&self, _: &str) {
        match self.0 {}
    }

    #[expect(missing_docs, reason = "documented above, for Unix")]
    pub fn trim(&self, _: u64, _: impl Fn(&str) -> bool) -> io::Result<u64> {
        match self.0 {}
    }

    #[expect(missing_docs, reason = "documented above, for Unix")]
    pub fn weight(len: u64) -> u64 {
        len
    }
}
