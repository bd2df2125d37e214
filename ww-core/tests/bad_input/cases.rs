use std::error::Error as _;

use ww_core::Error;
use ww_core::cell::{Builder, Exit};

use crate::fate::{Neighbour, fate};

/// Something wrong, and what is said of it.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) builder: Builder,
    /// Whether it is the error's own variant.
    pub(crate) is: fn(&Error) -> bool,
    /// What the error and its causes name.
    pub(crate) names: Vec<String>,
}

/// Makes a [`Case`]; the variant is written as a pattern.
macro_rules! case {
    ($what:expr, $builder:expr, $variant:pat, [$($name:expr),* $(,)?] $(,)?) => {
        $crate::cases::Case {
            what: $what,
            builder: $builder,
            is: |error| matches!(error, $variant),
            names: vec![$(String::from($name)),*],
        }
    };
}

pub(crate) use case;

/// Runs each case to its end, beside a cell that must not notice.
pub(crate) fn check(cases: impl IntoIterator<Item = Case>) {
    let mut neighbour = Neighbour::new();
    for case in cases {
        let what = case.what;
        let error = match fate(case.builder) {
            Ok(exit) => panic!("{what}: exits with {}", code(&exit)),
            Err(error) => error,
        };
        assert!((case.is)(&error), "{what}: {error:?}");
        let text = chain(&error);
        for name in case.names {
            assert!(text.contains(&name), "{what}: {name:?} is not in {text:?}");
        }
        assert!(!error.to_string().ends_with('.'), "{text}");
        neighbour.answers();
    }
}

fn code(exit: &Exit) -> i32 {
    exit.code()
}

/// An error's text, and those of its causes.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
