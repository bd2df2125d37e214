//! Content that is far larger to read than to send.

use capnp::{any_pointer, any_pointer_list};

const WIDTH: u32 = 10;

/// Words that are read of lists within one another, so many deep, where each list
/// points at the next ten times.
pub fn read(depth: u32) -> usize {
    (1..=depth).map(|depth| WIDTH.pow(depth) as usize).sum()
}

/// Such lists, of which each points at the next once, to be the last of a message.
pub fn nested(content: any_pointer::Builder<'_>, depth: u32) {
    let mut content = content;
    for _ in 0..depth {
        let list: any_pointer_list::Builder<'_> = content.initn_as(WIDTH);
        content = list.get(0);
    }
}

/// Has them point ten times.
pub fn shared(mut bytes: Vec<u8>, depth: u32) -> Vec<u8> {
    let first = bytes.len() - (WIDTH * depth) as usize * 8;
    let lists = bytes[first..].chunks_mut(WIDTH as usize * 8);
    for list in lists.take(depth as usize - 1) {
        assert_eq!(list[..4], ((WIDTH - 1) << 2 | 1).to_le_bytes());
        let end: [u8; 4] = list[4..8].try_into().expect("half a word");
        for (at, word) in (0..).zip(list.chunks_mut(8)) {
            word[..4].copy_from_slice(&((WIDTH - 1 - at) << 2 | 1).to_le_bytes());
            word[4..].copy_from_slice(&end);
        }
    }
    bytes
}
