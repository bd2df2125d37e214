/// Bounds on what the peer of a [`Vat`](crate::Vat) may ask of it.
///
/// The vat never stops reading: a server that calls its caller back could then
/// wait for an answer that nobody reads, and so could two vats that both write
/// more than the other takes. A peer that goes beyond a limit loses the
/// connection instead, so each limit is well beyond ordinary use. The error is of
/// kind [`Overloaded`](capnp::ErrorKind::Overloaded), whichever limit it was.
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
    ///
    /// A call of our own that is larger, or an answer, is not sent: its caller is told,
    /// with kind [`Overloaded`](capnp::ErrorKind::Overloaded), and so are those of calls
    /// on the answer of such a call. The same goes for what has more
    /// [`capabilities`](Self::capabilities), and for a call with which ours would take more
    /// [`call_words`](Self::call_words), be more than [`own_calls`](Self::own_calls), have
    /// the peer hold more [`exports`](Self::exports), or leave it more to read than fifteen
    /// sixteenths of [`queue_words`](Self::queue_words). So nobody ends the connection to a
    /// peer with the same limits by calls, unless they mention many promised answers.
    ///
    /// An answer takes 88 words beside for each of its capabilities. One of the peer's
    /// that takes more than this so fails its call.
    ///
    /// No more is read out of a message than eight times what it has, and 16,384
    /// words; where pointers share their target, that counts for each. Reading more
    /// fails the call that does. An answer out of which as much could be read at once,
    /// or four times this, fails its call; any other may be read again and again.
    pub message_words: usize,
    /// Depth of nested pointers in one message. Following a deeper one fails
    /// the call that does.
    pub nesting: i32,
    /// Capabilities of one message, however often each is pointed at: what it
    /// takes to receive them dominates all else in a message. One more ends the
    /// connection.
    pub capabilities: usize,
    /// Calls that are pipelined on one another: each is made on a promised
    /// answer of the one before, or passes one as a parameter, answered by now
    /// or not. A call on a capability that has arrived begins at one again, and
    /// the bootstrap counts as such. One more ends the connection.
    ///
    /// Where such calls end, each takes a few KiB of the stack beneath the next
    /// one: 32 need less than 512 KiB in a build without optimisation.
    pub pipeline_depth: u32,
    /// Promises of the peer's that it has resolved to one another, in a row.
    /// One more ends the connection; and so does one that is resolved to itself.
    ///
    /// As many calls, with all that they are pipelined on, may be in flight to
    /// whose answers such promises are resolved: each may wait for the next such
    /// promise. One whose server lets go of its parameters and goes on counts until
    /// it is answered, also where the peer lets go of it earlier.
    pub resolutions: u32,
    /// Calls that the peer may have in flight, bootstraps included. A call
    /// counts until it was answered, and until the peer has let go of the
    /// answer where that has capabilities or is an error. One that the peer has
    /// let go of earlier counts while its parameters are held, as others that
    /// are pipelined on it keep it running. One more ends the connection.
    pub calls: usize,
    /// Calls of our own, bootstraps included, in flight, which count as the peer counts
    /// them: until it has answered, and until it is told that the answer is let go of
    /// where that has capabilities or is an error. One more call is not sent, and fails
    /// with kind [`Overloaded`](capnp::ErrorKind::Overloaded). So a peer that takes as
    /// many `calls` ends no connection for those of ours.
    pub own_calls: usize,
    /// Words of the parameters and of the answers of those calls together. More
    /// end the connection, so this is at least `message_words`, or the largest
    /// messages cannot be calls.
    ///
    /// Parameters with capabilities count as much as a copy of them takes, which is
    /// more than the message where its pointers share their targets: a membrane
    /// keeps one beside it. A capability among them counts 88 words, and each mention
    /// of an answer that is not there yet, by a call or by an answer of the peer's, 36
    /// and one for each step of its path, until it is; where the peer lets go of the
    /// answer earlier and has mentioned it often, the mentions count on as cancelled
    /// calls do.
    pub call_words: usize,
    /// Calls that the peer may let go of before they are answered, as long as
    /// the connection lasts: where nothing else keeps such a call running,
    /// capnp-rpc never answers it and keeps some 240 bytes of it. One more ends
    /// the connection.
    pub cancelled_calls: usize,
    /// Calls of our own, bootstraps included, that the peer may leave without an
    /// answer, whether or not anybody here still waits for one: a call that was
    /// let go of is remembered until then. One more ends the connection. As
    /// capnp-rpc never answers what was cancelled, this is no less than the
    /// `cancelled_calls` of a peer that is to be bounded by those.
    ///
    /// Once 16,384 wait for no answer any more, or half as many as this, the peer is told
    /// only after its answer that another call was let go of, which runs on until then:
    /// for half as many of those as `own_calls` at a time. So two vats may let go of calls
    /// without end, as long as they come to one.
    pub unanswered_calls: usize,
    /// Capabilities of ours that the peer may hold, promises of them included,
    /// and embargoes that it may leave without an answer. One more of either
    /// ends the connection, unless a call would bring it, which is not sent.
    pub exports: usize,
    /// Words of memory that messages may take up which wait for the peer to
    /// read, be they answers or calls of our own. More end the connection, so
    /// this is more than the largest message that we write; calls that would bring more
    /// are not sent.
    pub queue_words: usize,
}

impl Limits {
    /// How many words may be read at once out of an answer of so many words.
    pub(crate) fn answer_traversal_words(&self, words: usize) -> usize {
        let most = self.message_words.saturating_mul(4);
        most.min(Self::traversal_words(words))
    }

    /// The same for any other message, where pointers that share their target
    /// count each time. A copy of it takes up what is read, and nobody counts it,
    /// so that must not be much more than what was sent.
    pub(crate) fn traversal_words(words: usize) -> usize {
        words.saturating_mul(8).saturating_add(READ_AGAIN)
    }
}

/// Words that may be read out of the smallest message, be it again and again.
const READ_AGAIN: usize = 1 << 14;

impl Default for Limits {
    /// 64 MiB a message, 64 levels deep, with 8,192 capabilities; 4,096 calls in
    /// flight either way, 32 of them on one another, with 128 MiB; 64 promises in a row;
    /// 1,048,576 cancelled ones, and as many of ours unanswered; 65,536 exports;
    /// 128 MiB that wait to be read.
    ///
    /// Messages of one connection thus take up to 320 MiB: one that is being read,
    /// those of calls, and those that wait; behind a membrane 128 MiB more, for the
    /// copies of parameters with capabilities. What capnp-rpc keeps of each call and
    /// capability comes beside that, up to 240 MiB of it for cancelled calls.
    fn default() -> Self {
        Self {
            message_words: 8 << 20,
            nesting: 64,
            capabilities: 8192,
            pipeline_depth: 32,
            resolutions: 64,
            calls: 4096,
            own_calls: 4096,
            call_words: 16 << 20,
            cancelled_calls: 1 << 20,
            unanswered_calls: 1 << 20,
            exports: 1 << 16,
            queue_words: 16 << 20,
        }
    }
}
