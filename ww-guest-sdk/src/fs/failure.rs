use std::io;

use wasip2::filesystem::types::ErrorCode;

use super::told;

/// What the host says by `code` of `what`, which is a path or its own words.
pub(super) fn failure(code: ErrorCode, what: &str) -> io::Error {
    let kind = match code {
        ErrorCode::NoEntry => io::ErrorKind::NotFound,
        ErrorCode::NotDirectory => io::ErrorKind::NotADirectory,
        ErrorCode::IsDirectory => io::ErrorKind::IsADirectory,
        ErrorCode::Access | ErrorCode::NotPermitted => io::ErrorKind::PermissionDenied,
        ErrorCode::NameTooLong => io::ErrorKind::InvalidFilename,
        ErrorCode::Unsupported => io::ErrorKind::Unsupported,
        _ => io::ErrorKind::Other,
    };
    told(kind, what, code.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_the_kind_of_its_code_and_tells_what_failed() {
        for (code, kind, text) in [
            (ErrorCode::NoEntry, io::ErrorKind::NotFound, "No such file"),
            (
                ErrorCode::NotDirectory,
                io::ErrorKind::NotADirectory,
                "Not a directory",
            ),
            (
                ErrorCode::NotPermitted,
                io::ErrorKind::PermissionDenied,
                "not permitted",
            ),
            (
                ErrorCode::NameTooLong,
                io::ErrorKind::InvalidFilename,
                "too long",
            ),
            (
                ErrorCode::Unsupported,
                io::ErrorKind::Unsupported,
                "Not supported",
            ),
            (ErrorCode::Io, io::ErrorKind::Other, "I/O error"),
        ] {
            let error = failure(code, "/etc/motto");
            assert_eq!(error.kind(), kind, "{error}");
            let told = error.to_string();
            assert!(told.starts_with("/etc/motto: "), "{told}");
            assert!(told.contains(text), "{told}");
        }
    }
}
