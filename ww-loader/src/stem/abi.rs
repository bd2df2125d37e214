//! The encoding of calls and answers, as Solidity's specification of its ABI
//! has it, and of bytes in JSON-RPC.

/// The first four bytes of the Keccak-256 of `head()`.
pub(super) const HEAD: &str = "0x8f7dcfa3";

/// The length of a word.
const WORD: usize = 32;

/// The longest CID, in bytes, that is taken.
const MAX_CID: usize = 256;

/// The number and the bytes that are encoded as `(uint64, bytes)`. Only the one
/// encoding that compilers make is taken.
pub(super) fn head(answer: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    let (words, rest) = answer.as_chunks::<WORD>();
    let [seq, offset, len, cid @ ..] = words else {
        return Err("it is too short");
    };
    if !rest.is_empty() {
        return Err("it is no whole number of words");
    }
    let seq = number(seq).ok_or("the number has more than 64 bits")?;
    if number(offset) != Some(2 * WORD as u64) {
        return Err("the bytes do not stand behind the number");
    }
    let len = number(len).and_then(|len| usize::try_from(len).ok());
    let len = len.filter(|len| *len <= MAX_CID);
    let len = len.ok_or("the bytes are too many for a CID")?;
    if cid.len() != len.div_ceil(WORD) {
        return Err("the bytes are not as many as they are said to be");
    }
    let (cid, padding) = cid.as_flattened().split_at(len);
    match padding.iter().all(|byte| *byte == 0) {
        true => Ok((seq, cid)),
        false => Err("the bytes are followed by something"),
    }
}

/// The number in a word, if it has at most 64 bits.
fn number(word: &[u8; WORD]) -> Option<u64> {
    let (high, low) = word.split_last_chunk()?;
    high.iter()
        .all(|byte| *byte == 0)
        .then(|| u64::from_be_bytes(*low))
}

/// The bytes of an even number of hexadecimal digits.
pub(super) fn bytes(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let byte = |[high, low]: &[u8; 2]| {
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    };
    pairs.iter().map(byte).collect()
}
