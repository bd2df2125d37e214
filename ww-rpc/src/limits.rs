/// Bounds on what one message from the peer may ask of a [`Vat`](crate::Vat).
///
/// ```
/// let mut limits = ww_rpc::Limits::default();
/// limits.message_words = 1 << 10;
/// assert_eq!(limits.nesting, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Words (8 bytes each) of one message, all its segments together. A
    /// message that claims more ends the connection, before anything is
    /// allocated for it.
    pub message_words: usize,
    /// Depth of nested pointers in one message. Following a deeper one fails
    /// the call that does.
    pub nesting: i32,
}

impl Limits {
    /// How many words may be read out of a message, where pointers that share
    /// their target count each time. Forwarding reads a message several times
    /// over, and the largest allowed one must survive it.
    pub(crate) fn traversal_words(&self) -> usize {
        self.message_words.saturating_mul(4)
    }
}

impl Default for Limits {
    /// 64 MiB a message, 64 levels deep.
    fn default() -> Self {
        Self {
            message_words: 8 << 20,
            nesting: 64,
        }
    }
}
