use std::error::Error as StdError;
use std::{fmt, io};

use capnp::ErrorKind;

/// Why a guest failed: any error, and those behind it.
///
/// Every error type converts to it by `?`, Cap'n Proto's, I/O's and UTF-8's
/// among them, and so does text. By `?` it converts to Cap'n Proto's, which is what
/// the methods of servers return:
///
/// ```
/// use ww_guest_sdk::{Error, capnp, fs};
///
/// async fn motto() -> Result<String, Error> {
///     Ok(fs::read_to_string("/etc/motto").await?.trim().to_owned())
/// }
///
/// async fn serve() -> Result<(), capnp::Error> {
///     let motto = motto().await?;
///     // …
/// #   drop(motto);
///     Ok(())
/// }
/// ```
pub struct Error(Box<dyn std::error::Error + Send + Sync>);

impl Error {
    /// The error itself.
    pub fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }

    /// The error itself, as the standard library has errors of any type.
    pub fn into_boxed(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.0
    }

    /// The first error of this type in the chain, where there is one.
    ///
    /// ```
    /// use std::num::ParseIntError;
    ///
    /// # use ww_guest_sdk::Error;
    /// let error = Error::from("x".parse::<u8>().unwrap_err());
    /// assert!(error.find::<ParseIntError>().is_some());
    /// ```
    pub fn find<E: StdError + 'static>(&self) -> Option<&E> {
        let mut link: Option<&(dyn StdError + 'static)> = Some(&*self.0);
        while let Some(error) = link {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // What an I/O error is made of is not its source.
            let inner = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            if let Some(found) = inner.and_then(|inner| inner.downcast_ref()) {
                return Some(found);
            }
            link = error.source();
        }
        None
    }

    /// What kind of failure a call met, where it was a call that failed, be it
    /// on a capability or on a stream: `Disconnected` means that the capability is
    /// dead (its epoch has passed, it was revoked, the cell or the host behind it
    /// has gone), that a peer was not reached, or that files could not be fetched
    /// for now, so that another graft or another time may have another answer;
    /// `Overloaded` that a limit was met, which for a child that has used up its
    /// time is final; `Unimplemented` that the other side knows no such method.
    pub fn kind(&self) -> Option<ErrorKind> {
        self.find::<capnp::Error>().map(|error| error.kind)
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

impl From<Error> for capnp::Error {
    /// Keeps the [kind](Error::kind), `Failed` where there is none, and the text of
    /// the whole chain.
    fn from(error: Error) -> Self {
        match error.0.downcast::<Self>() {
            Ok(error) => *error,
            Err(error) => {
                let error = Error(error);
                Self {
                    kind: error.kind().unwrap_or(ErrorKind::Failed),
                    extra: error.to_string(),
                }
            }
        }
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
