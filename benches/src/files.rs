//! Directories of the host, made for one run and removed after it.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use ww_loader::Bytes;

use crate::Outcome;

/// A directory whose files are known.
pub struct Files {
    directory: TempDir,
    paths: Vec<PathBuf>,
}

impl Files {
    /// A gibibyte: half in files of 128 MiB, a quarter each in files of 1 MiB
    /// and of 64 KiB.
    ///
    /// # Errors
    ///
    /// There is no room.
    pub fn gibibyte() -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let mut paths = Vec::new();
        let mut chance = Chance(1);
        for (name, count, len) in [
            ("large", 4, 128 << 20),
            ("middle", 256, 1 << 20),
            ("small", 4096, 64 << 10),
        ] {
            for number in 0..count {
                // At most 256 names a directory.
                let within = directory.path().join(format!("{name}/{}", number / 256));
                fs::create_dir_all(&within)?;
                let path = within.join(number.to_string());
                let mut file = BufWriter::new(File::create(&path)?);
                for _ in 0..len / 8 {
                    file.write_all(&chance.next().to_le_bytes())?;
                }
                file.flush()?;
                paths.push(path);
            }
        }
        Ok(Self { directory, paths })
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Reads them all, and hashes them as if they were one.
    ///
    /// # Errors
    ///
    /// One cannot be read.
    pub fn hash(&self) -> Outcome<()> {
        let mut buffer = vec![0; 1 << 20];
        let mut hash = Sha256::new();
        for path in &self.paths {
            read(path, &mut buffer, |piece| hash.update(piece))?;
        }
        std::hint::black_box(hash.finalize());
        Ok(())
    }
}

/// Reads a file piece by piece.
///
/// # Errors
///
/// It cannot be read.
pub fn read(path: &Path, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> Outcome<()> {
    let mut file = File::open(path)?;
    loop {
        match file.read(buffer)? {
            0 => return Ok(()),
            len => take(&buffer[..len]),
        }
    }
}

/// All files of a directory, by path below it.
///
/// # Errors
///
/// One cannot be read.
pub fn all(root: &Path) -> Outcome<Vec<(String, Bytes)>> {
    let mut files = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path
                .strip_prefix(root)?
                .to_str()
                .ok_or("a name is no text")?;
            files.push((name.to_owned(), fs::read(&path)?.into()));
        }
    }
    Ok(files)
}

/// This many bytes, no chunk of which equals another.
pub fn bytes(len: usize) -> Vec<u8> {
    let mut chance = Chance(2);
    let words = (0..len.div_ceil(8)).flat_map(|_| chance.next().to_le_bytes());
    words.take(len).collect()
}

/// Numbers that do not repeat: xorshift64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
