use std::any::Any;
use std::fmt;
use std::rc::Rc;

use capnp::capability::Client;
use capnp::{Error, MessageSize};
use futures::future::LocalBoxFuture;

use crate::{Direction, Membrane, Method};

/// Decides on each call across a [`Membrane`](crate::Membrane), on top of
/// whether that stands.
///
/// - A policy is asked when a call is made, before anything of it reaches the
///   other side; where a request is built and sent later, when it is sent.
/// - Whatever is reached through the membrane is behind the same policy:
///   capabilities in answers and pipelines too, whatever they are cast to.
/// - It may not wait. It may call, wrap or revoke.
///
/// Two policies in a tuple are one that passes what both pass; the first is
/// asked first.
pub trait Policy: 'static {
    /// A call from outside to a capability of the inside.
    fn inbound(&self, call: &Call) -> Verdict;

    /// A call from inside to a capability of the outside: to a callback, as a
    /// rule. Passes, unless a policy says otherwise.
    fn outbound(&self, call: &Call) -> Verdict {
        let _ = call;
        Verdict::pass()
    }

    /// What it knows of the method that `call` is a call of; see [`Methods`](crate::Methods).
    /// Nothing, unless a policy says otherwise.
    fn method(&self, call: &Call) -> Option<Method> {
        let _ = call;
        None
    }

    /// Whether [`weigh`](Self::weigh) is to be asked about each message.
    fn weighs(&self) -> bool {
        false
    }

    /// A message of a call that was passed, or of its answer, about to cross.
    ///
    /// An answer is shown when the call has been executed; pipelined calls on
    /// what is in it may have gone ahead.
    ///
    /// # Errors
    ///
    /// The message may not cross. The call fails with this.
    fn weigh(&self, passage: &Passage) -> Result<(), Error> {
        let _ = passage;
        Ok(())
    }

    /// Called when a membrane has been made with this policy. Holding on to a
    /// clone of `membrane` keeps both for ever; see
    /// [`Caretaker`](crate::policies::Caretaker) for one that does not.
    fn joined(&self, membrane: &Membrane) {
        let _ = membrane;
    }

    /// What it does, in a few words, for [`Authority`](crate::Authority). Its
    /// type's name, unless a policy says otherwise.
    fn describe(&self) -> String {
        let name = std::any::type_name::<Self>();
        let name = name.split('<').next().unwrap_or(name);
        name.rsplit("::").next().unwrap_or(name).to_owned()
    }
}

/// A call that a policy decides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    pub(crate) interface: u64,
    pub(crate) method: u16,
}

impl Call {
    /// Id of the interface that declares the method.
    pub fn interface(&self) -> u64 {
        self.interface
    }

    /// Ordinal of the method in that interface.
    pub fn method(&self) -> u16 {
        self.method
    }
}

/// A message that crosses: what a call carries, or its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passage {
    call: Call,
    direction: Direction,
    answer: bool,
    size: MessageSize,
}

impl Passage {
    pub(crate) fn params(call: Call, direction: Direction, size: MessageSize) -> Self {
        Self {
            call,
            direction,
            answer: false,
            size,
        }
    }

    pub(crate) fn answer(call: Call, direction: Direction, size: MessageSize) -> Self {
        Self {
            call,
            direction,
            answer: true,
            size,
        }
    }

    /// The call that it belongs to.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Which way it crosses.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether it is the answer of the call.
    pub fn is_answer(&self) -> bool {
        self.answer
    }

    /// Its content, in bytes, as it would be in a message of its own. What is
    /// pointed to twice counts twice. The frame around it, and what a
    /// connection adds, do not count.
    pub fn bytes(&self) -> u64 {
        self.size.word_count.saturating_add(1).saturating_mul(8)
    }

    /// How many capabilities it points to.
    pub fn capabilities(&self) -> u32 {
        self.size.cap_count
    }
}

/// What becomes of a call.
#[must_use]
pub struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) tickets: Vec<Box<dyn Any>>,
}

pub(crate) enum Outcome {
    Pass,
    Redirect(Redirect),
    Deny(Error),
}

pub(crate) struct Redirect {
    pub(crate) target: Client,
    /// Where it waits for the resolution of a promise, when it gives up.
    pub(crate) deadline: Option<LocalBoxFuture<'static, ()>>,
}

impl Verdict {
    /// The call goes to the capability that it was made on.
    pub fn pass() -> Self {
        Self::of(Outcome::Pass)
    }

    /// The call goes to another capability of the same side instead.
    pub fn redirect(target: Client) -> Self {
        Self::of(Outcome::Redirect(Redirect {
            target,
            deadline: None,
        }))
    }

    /// The call goes to another capability of the same side instead, unless it
    /// was made on a promise that turns out to be the caller's own: then it
    /// goes there, and does not cross.
    ///
    /// That is known once the promise has resolved. The call waits for it, and
    /// fails when `deadline` is over first; whoever holds the promise may never
    /// resolve it. Calls that wait for the same `target` keep their order, and
    /// have the deadline of the first.
    pub fn redirect_resolved(target: Client, deadline: impl Future<Output = ()> + 'static) -> Self {
        Self::of(Outcome::Redirect(Redirect {
            target,
            deadline: Some(Box::pin(deadline)),
        }))
    }

    /// The call fails. A stream of calls fails with it: where a call is known
    /// to stream, every later one on the same capability fails too, whoever makes
    /// it. So where a policy denies what comes too fast or too much, each caller
    /// needs a membrane of its own.
    pub fn deny(error: Error) -> Self {
        Self::of(Outcome::Deny(error))
    }

    /// Keeps `ticket` until the call is over, and then drops it.
    pub fn holding(mut self, ticket: impl Any) -> Self {
        self.tickets.push(Box::new(ticket));
        self
    }

    fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            tickets: Vec::new(),
        }
    }

    /// This verdict, or what `next` says of what it passes.
    pub(crate) fn and(mut self, next: impl FnOnce() -> Self) -> Self {
        if let Outcome::Deny(_) = self.outcome {
            return self;
        }
        let mut next = next();
        self.tickets.append(&mut next.tickets);
        if !matches!(next.outcome, Outcome::Pass) {
            self.outcome = next.outcome;
        }
        self
    }
}

impl<A: Policy, B: Policy> Policy for (A, B) {
    fn inbound(&self, call: &Call) -> Verdict {
        self.0.inbound(call).and(|| self.1.inbound(call))
    }

    fn outbound(&self, call: &Call) -> Verdict {
        self.0.outbound(call).and(|| self.1.outbound(call))
    }

    fn method(&self, call: &Call) -> Option<Method> {
        self.0.method(call).or_else(|| self.1.method(call))
    }

    fn weighs(&self) -> bool {
        self.0.weighs() || self.1.weighs()
    }

    fn weigh(&self, passage: &Passage) -> Result<(), Error> {
        self.0.weigh(passage)?;
        self.1.weigh(passage)
    }

    fn joined(&self, membrane: &Membrane) {
        self.0.joined(membrane);
        self.1.joined(membrane);
    }

    fn describe(&self) -> String {
        format!("{}; {}", self.0.describe(), self.1.describe())
    }
}

/// Passes every call.
impl Policy for () {
    fn inbound(&self, _: &Call) -> Verdict {
        Verdict::pass()
    }

    fn describe(&self) -> String {
        "any call".to_owned()
    }
}

impl<P: Policy + ?Sized> Policy for Rc<P> {
    fn inbound(&self, call: &Call) -> Verdict {
        (**self).inbound(call)
    }

    fn outbound(&self, call: &Call) -> Verdict {
        (**self).outbound(call)
    }

    fn method(&self, call: &Call) -> Option<Method> {
        (**self).method(call)
    }

    fn weighs(&self) -> bool {
        (**self).weighs()
    }

    fn weigh(&self, passage: &Passage) -> Result<(), Error> {
        (**self).weigh(passage)
    }

    fn joined(&self, membrane: &Membrane) {
        (**self).joined(membrane);
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn inbound(&self, call: &Call) -> Verdict {
        (**self).inbound(call)
    }

    fn outbound(&self, call: &Call) -> Verdict {
        (**self).outbound(call)
    }

    fn method(&self, call: &Call) -> Option<Method> {
        (**self).method(call)
    }

    fn weighs(&self) -> bool {
        (**self).weighs()
    }

    fn weigh(&self, passage: &Passage) -> Result<(), Error> {
        (**self).weigh(passage)
    }

    fn joined(&self, membrane: &Membrane) {
        (**self).joined(membrane);
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match &self.outcome {
            Outcome::Pass => "pass".to_owned(),
            Outcome::Redirect(_) => "redirect".to_owned(),
            Outcome::Deny(error) => format!("deny: {error}"),
        };
        f.debug_struct("Verdict")
            .field("outcome", &outcome)
            .field("tickets", &self.tickets.len())
            .finish()
    }
}
