use std::fmt;

/// Why a guest failed: any error, and those behind it.
///
/// Every error type converts to it by `?`, Cap'n Proto's, I/O's and UTF-8's
/// among them, and so does text.
pub struct Error(Box<dyn std::error::Error + Send + Sync>);

impl Error {
    /// The error itself.
    pub fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

// An `Error` is no `std::error::Error` itself, or this would overlap with the
// conversion of every type to itself.
impl<E> From<E> for Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for Error {
    /// The whole chain on one line, `: ` between its links.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
