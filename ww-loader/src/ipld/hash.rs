use sha2::{Digest, Sha256, Sha512};

/// Codes of the multicodec table.
pub(super) const IDENTITY: u64 = 0x00;
pub(super) const SHA2_256: u64 = 0x12;
const SHA2_512: u64 = 0x13;
const BLAKE3: u64 = 0x1e;

/// Whether `digest` is what the function gives for `bytes`, or `None` where
/// that cannot be told. A digest that was cut short proves less than its
/// function, so only whole ones count.
pub(super) fn matches(function: u64, digest: &[u8], bytes: &[u8]) -> Option<bool> {
    match (function, digest.len()) {
        (IDENTITY, _) => Some(digest == bytes),
        (SHA2_256, 32) => Some(digest == Sha256::digest(bytes).as_slice()),
        (SHA2_512, 64) => Some(digest == Sha512::digest(bytes).as_slice()),
        (BLAKE3, 32) => Some(digest == blake3::hash(bytes).as_bytes()),
        _ => None,
    }
}

/// Whether [`matches`] can tell for such a digest.
pub(super) fn is_known(function: u64, len: usize) -> bool {
    matches!(
        (function, len),
        (IDENTITY, _) | (SHA2_256 | BLAKE3, 32) | (SHA2_512, 64)
    )
}

pub(super) fn sha2_256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
