use std::any::Any;
use std::rc::Rc;

use capnp::capability::Promise;
use capnp::private::capability::ClientHook;
use capnp::{Error, MessageSize};
use futures::future::{Either, LocalBoxFuture, select};

use crate::hook::broken;
use crate::hook::cross::{RESOLUTIONS, cross, resolved};
use crate::hook::registry::Key;
use crate::hook::wrapper::{Wrapped, Wrapper};
use crate::policy::{Outcome, Redirect};
use crate::{Call, Passage};

/// A call that may go on.
pub(super) struct Admitted {
    pub(super) route: Route,
    pub(super) tickets: Tickets,
}

/// Where it goes.
pub(super) enum Route {
    /// To what is wrapped.
    Inside,
    /// To another capability of the inside.
    Elsewhere(Box<dyn ClientHook>),
    /// To what does all crossing that there is to do, once it is known.
    Undecided(Box<dyn ClientHook>),
}

/// What a policy wants dropped when the call is over.
#[derive(Default)]
pub(super) struct Tickets(Vec<Box<dyn Any>>);

impl Tickets {
    /// `work`, with these until it is over.
    pub(super) fn until_over<T: 'static>(self, work: Promise<T, Error>) -> Promise<T, Error> {
        if self.0.is_empty() {
            return work;
        }
        Promise::from_future(async move {
            let _tickets = self.0;
            work.await
        })
    }
}

impl Wrapped {
    /// Puts a call to the policy, unless one that it has passed already, and
    /// its parameters where they cross here.
    ///
    /// `size` is theirs, and is asked for where a policy weighs messages.
    ///
    /// # Errors
    ///
    /// The boundary has fallen, or the call is denied.
    pub(super) fn admit(
        self: &Rc<Self>,
        call: &Call,
        judged: bool,
        size: impl FnOnce() -> Result<MessageSize, Error>,
    ) -> Result<Admitted, Error> {
        if judged {
            self.boundary().check()?;
            self.weigh(call, size)?;
            return Ok(Admitted {
                route: Route::Inside,
                tickets: Tickets::default(),
            });
        }
        let admitted = self.judge(call).and_then(|admitted| {
            if !matches!(admitted.route, Route::Undecided(_)) {
                self.weigh(call, size)?;
            }
            Ok(admitted)
        });
        if admitted.is_ok() || self.boundary().stands() {
            self.count(call, admitted.is_ok());
        }
        admitted
    }

    /// Shows the policy the parameters of a call.
    fn weigh(
        &self,
        call: &Call,
        size: impl FnOnce() -> Result<MessageSize, Error>,
    ) -> Result<(), Error> {
        if !self.boundary().weighs() {
            return Ok(());
        }
        let inward = self.key().direction().reverse();
        let passage = Passage::params(*call, inward, size()?);
        let weighed = self.boundary().weigh(&passage);
        weighed.inspect_err(|error| self.deny_stream(call, error))
    }

    /// A denial sticks where a method streams.
    fn deny_stream(&self, call: &Call, error: &Error) {
        let method = self.boundary().method(call);
        if method.is_some_and(|method| method.streams()) {
            self.deny(error.clone());
        }
    }

    fn judge(self: &Rc<Self>, call: &Call) -> Result<Admitted, Error> {
        self.settle();
        if let Some(error) = self.denied() {
            self.boundary().check()?;
            return Err(error.clone());
        }
        let mut verdict = self.boundary().judge(self.key().direction(), call)?;
        let route = match verdict.outcome {
            Outcome::Pass => Route::Inside,
            Outcome::Redirect(Redirect {
                target,
                deadline: None,
            }) => Route::Elsewhere(resolved(target.hook).unwrap_or_else(broken::endless)),
            Outcome::Redirect(Redirect {
                target,
                deadline: Some(deadline),
            }) => {
                let (route, ticket) = self.resolved_first(target.hook, deadline)?;
                verdict.tickets.extend(ticket);
                route
            }
            Outcome::Deny(error) => {
                self.deny_stream(call, &error);
                return Err(error);
            }
        };
        Ok(Admitted {
            route,
            tickets: Tickets(verdict.tickets),
        })
    }

    /// Where a call goes that is redirected to `elsewhere`, unless this is a
    /// promise of something that is on the caller's side; and what the call
    /// holds on to while it waits.
    fn resolved_first(
        self: &Rc<Self>,
        elsewhere: Box<dyn ClientHook>,
        deadline: LocalBoxFuture<'static, ()>,
    ) -> Result<(Route, Option<Box<dyn Any>>), Error> {
        let target = self.target()?;
        let pending = target.get_resolved().is_none() && target.when_more_resolved().is_some();
        if !pending {
            let route = match self.own_of_caller(target) {
                Some(own) => Route::Undecided(own),
                None => Route::Elsewhere(elsewhere),
            };
            return Ok((route, None));
        }
        let key = Key::of(&*elsewhere, self.key().direction());
        let (undecided, ticket) = self.undecided(key, || {
            // Those whose calls wait hold it; what waits here must not.
            let this = Rc::downgrade(self);
            capnp_rpc::new_future_client(async move {
                let resolution = Box::pin(settled(target));
                let resolved = match select(resolution, deadline).await {
                    Either::Left((resolved, _)) => resolved,
                    Either::Right(_) => Err(Error::overloaded(
                        "promise did not resolve before the deadline of a redirected call".into(),
                    )),
                };
                let gone = || Error::failed("nobody waits any more".into());
                let this = this.upgrade().ok_or_else(gone)?;
                this.decided(key);
                this.boundary().check()?;
                Ok(match this.own_of_caller(resolved?) {
                    Some(own) => own,
                    None => Wrapper::judged(this.boundary(), key.direction(), elsewhere),
                })
            })
        });
        Ok((Route::Undecided(undecided), Some(Box::new(ticket))))
    }

    /// What `inside` is to the caller, where that does not cross.
    fn own_of_caller(&self, inside: Box<dyn ClientHook>) -> Option<Box<dyn ClientHook>> {
        let crossed = cross(self.boundary(), self.key().direction(), inside);
        let wrapped = crossed.get_brand() == self.boundary().root().brand();
        (!wrapped).then_some(crossed)
    }
}

/// The end of a chain of resolutions, once it is known.
async fn settled(mut hook: Box<dyn ClientHook>) -> Result<Box<dyn ClientHook>, Error> {
    for _ in 0..=RESOLUTIONS {
        // A promise that is asked after it has resolved never answers.
        hook = match hook.get_resolved() {
            Some(next) => next,
            None => match hook.when_more_resolved() {
                Some(next) => next.await?,
                None => return Ok(hook),
            },
        };
    }
    Ok(broken::endless())
}
