//! Content that is far larger to read than to send.

use capnp::{any_pointer, any_pointer_list};

const WIDTH: u32 = 10;
const DEPTH: u32 = 5;

/// Words that are sent of it.
pub const SENT: usize = (WIDTH * DEPTH) as usize;

/// Words that are read of it: ten lists of ten lists, and so on.
pub const READ: usize = 111_110;

/// Lists within one another, to be the last of a message.
pub fn nested(content: any_pointer::Builder<'_>) {
    let mut content = content;
    for _ in 0..DEPTH {
        let list: any_pointer_list::Builder<'_> = content.initn_as(WIDTH);
        content = list.get(0);
    }
}

/// Points every word of each list but the innermost at the one within it.
pub fn shared(mut bytes: Vec<u8>) -> Vec<u8> {
    let first = bytes.len() - SENT * 8;
    let lists = bytes[first..].chunks_mut(WIDTH as usize * 8);
    for list in lists.take(DEPTH as usize - 1) {
        assert_eq!(list[..4], ((WIDTH - 1) << 2 | 1).to_le_bytes());
        let end: [u8; 4] = list[4..8].try_into().expect("half a word");
        for (at, word) in (0..).zip(list.chunks_mut(8)) {
            word[..4].copy_from_slice(&((WIDTH - 1 - at) << 2 | 1).to_le_bytes());
            word[4..].copy_from_slice(&end);
        }
    }
    bytes
}
