use std::fmt;
use std::str::FromStr;

use super::StemError;

/// The address of a contract: 20 bytes, written as `0x` and 40 hexadecimal
/// digits in either case. The checksum that their case may be (EIP-55) is not
/// looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(pub [u8; 20]);

impl FromStr for Address {
    type Err = StemError;

    fn from_str(text: &str) -> Result<Self, StemError> {
        let bytes = text.strip_prefix("0x").and_then(super::abi::bytes);
        let address = bytes.and_then(|bytes| bytes.try_into().ok());
        address.map(Self).ok_or_else(|| StemError::Address {
            text: text.chars().take(64).collect(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
