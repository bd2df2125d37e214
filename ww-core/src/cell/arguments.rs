use std::ffi::OsString;

use crate::error::Error;

/// Arguments as a component can take them.
pub(super) fn argv(argv: Vec<OsString>) -> Result<Vec<String>, Error> {
    let text = |(index, argument): (usize, OsString)| {
        argument.into_string().map_err(|argument| Error::Argument {
            index,
            lossy: argument.to_string_lossy().into_owned(),
        })
    };
    argv.into_iter().enumerate().map(text).collect()
}

/// Environment variables as a component can take them.
pub(super) fn env(env: Vec<(OsString, OsString)>) -> Result<Vec<(String, String)>, Error> {
    let text = |(name, value): (OsString, OsString)| {
        let fault = |reason| {
            let name = name.to_string_lossy().into_owned();
            Err(Error::Environment { name, reason })
        };
        match (name.to_str(), value.to_str()) {
            (Some(""), _) => fault("is no name: it is empty"),
            (Some(name_text), _) if name_text.contains('=') => fault("is no name: it contains '='"),
            (Some(name_text), Some(value)) => Ok((name_text.to_owned(), value.to_owned())),
            (None, _) => fault("has a name that is not UTF-8"),
            (_, None) => fault("has a value that is not UTF-8"),
        }
    };
    env.into_iter().map(text).collect()
}
