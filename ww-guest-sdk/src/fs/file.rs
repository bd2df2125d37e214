use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::AsyncRead;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Descriptor, DescriptorFlags, OpenFlags, PathFlags, filesystem_error_code,
};
use wasip2::io::error::Error as StreamFailure;

use super::failure::failure;
use super::{check, told};
use crate::stdio::{self, Input};

/// A file that is read from its beginning to its end.
#[derive(Debug)]
pub struct File {
    // Dropped before the descriptor that its stream came from.
    content: Input,
    _descriptor: Descriptor,
}

impl File {
    /// Opens the file at `path`, which is absolute: in the image, or in another
    /// directory that the host has mounted. Links are followed, within it.
    ///
    /// Blocks the guest, its connection and its tasks included, until the host
    /// has found the file, which for an image from far away takes a while.
    ///
    /// # Errors
    ///
    /// `NotFound` where there is none, or `path` is not absolute; `NotADirectory`,
    /// `IsADirectory` and what else the host says; `Other` where it could not fetch what it looked at. Reading fails so too.
    pub fn open(path: impl AsRef<str>) -> io::Result<Self> {
        let path = path.as_ref();
        check(path)?;
        let mounts = get_directories();
        // The longest that `path` is in: one mount may lie in another.
        let inside = mounts.iter().filter_map(|(directory, mount)| {
            let rest = path.strip_prefix(mount.trim_end_matches('/'))?;
            Some((mount.len(), directory, rest.strip_prefix('/')?))
        });
        let (_, directory, rest) = inside
            .max_by_key(|(len, ..)| *len)
            .ok_or_else(|| told(io::ErrorKind::NotFound, path, "nothing is mounted there"))?;
        let descriptor = directory
            .open_at(
                PathFlags::SYMLINK_FOLLOW,
                if rest.is_empty() { "." } else { rest },
                OpenFlags::empty(),
                DescriptorFlags::READ,
            )
            .map_err(|code| failure(code, path))?;
        let content = descriptor.read_via_stream(0);
        Ok(Self {
            content: Input::new(content.map_err(|code| failure(code, path))?),
            _descriptor: descriptor,
        })
    }
}

impl AsyncRead for File {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.content.poll_read_or(cx, buffer, read_failure)
    }
}

/// What became of a read that the host could not carry out.
fn read_failure(error: &StreamFailure) -> io::Error {
    match filesystem_error_code(error) {
        Some(code) => {
            let told = error.to_debug_string();
            let words: Vec<_> = told.split_whitespace().collect();
            failure(code, &words.join(" "))
        }
        None => stdio::failure(error),
    }
}
