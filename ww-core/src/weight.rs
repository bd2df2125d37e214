mod code;
mod declared;
mod definition;
mod linking;
mod module;
mod size;
mod types;
mod validation;

use std::error::Error as StdError;
use std::fmt;
use std::ops::{AddAssign, Mul};
use std::sync::Arc;

use wasmparser::BinaryReaderError;

use self::definition::Definition;
use self::linking::Linking;
use crate::error::Error;

/// What instances take of the host beside memories and tables, and what it takes
/// to make them.
///
/// Nothing interrupts the engine between one instance and the next before code of
/// the guest's runs, and it charges nobody for their globals and functions. So a
/// component is weighed before it is compiled: from what it declares, each
/// instance of a module as often as the component has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes, about, that are held as long as the cell runs.
    memory: usize,
    /// Bytes, about, that are written when it starts, those included.
    work: usize,
}

/// The most that may be written when a cell starts, and by the compiler for what
/// is written then: some ten milliseconds.
const WORK: usize = 16 << 20;

/// Why a component cannot be weighed.
#[derive(Debug)]
enum Unweighed {
    /// It has more parts, instances of parts included, than one may have.
    TooMany,
    /// It has components within one another, or that instantiate one another, to
    /// a greater depth than one may have.
    TooDeep,
    /// The types of its functions and instances have more parts, written out.
    TooLong,
    /// What its instances and components hold has more parts, each time that one of
    /// them is handed on.
    TooLarge,
    /// It has more modules and components, counted with those before each, and more
    /// names of types.
    TooSplit,
    /// Its instances take more resources from what holds more, each time that one does.
    TooShared,
    /// It carries more values between components than the compiler writes code for.
    TooFar,
    /// The code of its functions has too many of these.
    TooHard(&'static str),
    /// It imports a module or a component.
    NotGiven,
    /// It is not valid.
    Invalid(BinaryReaderError),
    /// It refers to what is not there.
    Unclear,
}

impl Weight {
    /// Weighs a component in binary form.
    ///
    /// # Errors
    ///
    /// [`Error::Compile`], if it is too heavy, or is not valid.
    pub(crate) fn of(wasm: &[u8]) -> Result<Self, Error> {
        let weighed =
            Definition::read(wasm).and_then(|(root, defined)| Linking::weigh(&root, defined));
        let reason: Arc<dyn StdError + Send + Sync> = match weighed {
            Ok(weight) if weight.work <= WORK => return Ok(weight),
            Ok(weight) => Box::<dyn StdError + Send + Sync>::from(format!(
                "its modules and their instances come to {} bytes to be written, of at most {WORK}",
                weight.work
            ))
            .into(),
            Err(Unweighed::Invalid(error)) => Arc::new(error),
            Err(other) => Arc::new(other),
        };
        Err(Error::Compile(reason))
    }

    /// Bytes that a cell's instances hold beside memories and tables.
    pub(crate) fn memory(self) -> usize {
        self.memory
    }

    /// Of what is held until the cell ends.
    fn held(bytes: usize) -> Self {
        Self {
            memory: bytes,
            work: bytes,
        }
    }

    /// Of what is written to what is counted otherwise.
    fn written(bytes: usize) -> Self {
        Self {
            memory: 0,
            work: bytes,
        }
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.memory = self.memory.saturating_add(other.memory);
        self.work = self.work.saturating_add(other.work);
    }
}

impl Mul<usize> for Weight {
    type Output = Self;

    fn mul(self, times: usize) -> Self {
        Self {
            memory: self.memory.saturating_mul(times),
            work: self.work.saturating_mul(times),
        }
    }
}

impl fmt::Display for Unweighed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(
                f,
                "the component and what it instantiates have more than {} parts",
                definition::PARTS
            ),
            Self::TooDeep => write!(
                f,
                "the component has components or instances within one another deeper than {}",
                definition::DEPTH
            ),
            Self::TooLong => write!(
                f,
                "the types of the component's functions and instances, and what its modules \
                 import, have more than {} parts, written out each time that one is used",
                validation::TYPES
            ),
            Self::TooLarge => write!(
                f,
                "what the component's instances and components hold has more than {} parts, \
                 counted each time that one of them is handed on",
                linking::COPIES
            ),
            Self::TooSplit => write!(
                f,
                "the component's modules and components, and the names that it gives types, \
                 come to more than {}, counted with all that are before each",
                validation::NAMES
            ),
            Self::TooShared => write!(
                f,
                "the component's instances come to more than {} parts, counted again for each \
                 resource that is looked for in them",
                linking::SHARED
            ),
            Self::TooFar => f.write_str(
                "the component's parts call one another with more strings and lists than can be \
                 compiled",
            ),
            Self::TooHard(what) => write!(
                f,
                "the code of the component's functions has too many {what} to be compiled"
            ),
            Self::NotGiven => {
                f.write_str("the component imports a module or a component, which no host gives")
            }
            Self::Invalid(error) => error.fmt(f),
            Self::Unclear => f.write_str("the component's instances cannot be told"),
        }
    }
}

impl StdError for Unweighed {}

impl From<BinaryReaderError> for Unweighed {
    fn from(error: BinaryReaderError) -> Self {
        Self::Invalid(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_does_not_know_is_not_read() {
        // A module that imports two globals under one name, as a proposal has it.
        let import = b"\x01\x01m\x00\x7e\x03\x7f\x00\x02\x01a\x01b";
        let section = [&[2, import.len() as u8], &import[..]].concat();
        let module = [b"\0asm\x01\0\0\0", &section[..]].concat();
        let inner = [&[1, module.len() as u8], &module[..]].concat();
        let component = [b"\0asm\x0d\0\x01\0", &inner[..]].concat();
        let error = Weight::of(&component).expect_err("no engine would take it");
        assert!(error.to_string().contains("compile"), "{error}");
    }
}
