use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::AsyncRead;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

use crate::stdio::Input;

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
    /// # Errors
    ///
    /// `NotFound`, `NotADirectory`, `IsADirectory` and what else the host says.
    pub fn open(path: impl AsRef<str>) -> io::Result<Self> {
        let path = path.as_ref();
        let mounts = get_directories();
        // The longest that `path` is in: one mount may lie in another.
        let inside = mounts.iter().filter_map(|(directory, mount)| {
            let rest = path.strip_prefix(mount.trim_end_matches('/'))?;
            Some((mount.len(), directory, rest.strip_prefix('/')?))
        });
        let (_, directory, rest) = inside
            .max_by_key(|(len, ..)| *len)
            .ok_or(io::ErrorKind::NotFound)?;
        let descriptor = directory
            .open_at(
                PathFlags::SYMLINK_FOLLOW,
                if rest.is_empty() { "." } else { rest },
                OpenFlags::empty(),
                DescriptorFlags::READ,
            )
            .map_err(io_error)?;
        Ok(Self {
            content: Input::new(descriptor.read_via_stream(0).map_err(io_error)?),
            _descriptor: descriptor,
        })
    }
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.content).poll_read(cx, buffer)
    }
}

fn io_error(code: ErrorCode) -> io::Error {
    let kind = match code {
        ErrorCode::NoEntry => io::ErrorKind::NotFound,
        ErrorCode::NotDirectory => io::ErrorKind::NotADirectory,
        ErrorCode::IsDirectory => io::ErrorKind::IsADirectory,
        ErrorCode::Access | ErrorCode::NotPermitted => io::ErrorKind::PermissionDenied,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, code.message().to_owned())
}
