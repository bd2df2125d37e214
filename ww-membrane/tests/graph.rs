//! A membrane against a reference: under random calls between two sides, each
//! reference is to what the model says, and none is to the other side's bare
//! capability.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may panic, and says of what"
)]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use capnp::Error;
use capnp::capability::DynClientHook;
use capnp::capability::{Client, FromClientHook};
use futures_lite::future::{block_on, yield_now};
use support::*;
use ww_membrane::Membrane;
use ww_rpc::cell_capnp::program;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Inside,
    Outside,
}

/// An object of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Object {
    number: usize,
    side: Side,
}

/// A reference that somebody holds, and what the model says it is to.
#[derive(Clone)]
struct Reference {
    client: program::Client,
    object: Object,
    /// Which membrane it came through, where it is to the other side.
    through: usize,
}

/// What all objects share.
struct World {
    random: Cell<u64>,
    /// The bare capabilities, by where they are.
    bare: RefCell<HashMap<usize, Object>>,
    nodes: RefCell<Vec<Rc<Node>>>,
    /// What the call that is under way brings: the object handed in, and the
    /// membrane that it comes through.
    brings: Cell<Option<(Object, usize)>>,
    /// What it gives back, and the membrane that came through.
    gives: Cell<Option<(Object, usize)>>,
    /// Whether hooks can be told apart: not over a connection.
    local: bool,
    /// Checks made.
    checked: Cell<usize>,
    /// Calls from within calls.
    nested: Cell<usize>,
}

/// Keeps what it is handed, and gives back something that it has.
struct Node {
    object: Object,
    world: Rc<World>,
    held: RefCell<Vec<Reference>>,
}

impl World {
    fn new(seed: u64, local: bool) -> Rc<Self> {
        Rc::new(Self {
            random: Cell::new(seed),
            bare: RefCell::default(),
            nodes: RefCell::default(),
            brings: Cell::new(None),
            gives: Cell::new(None),
            local,
            checked: Cell::new(0),
            nested: Cell::new(0),
        })
    }

    /// Marsaglia's xorshift.
    fn random(&self, below: usize) -> usize {
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.set(random);
        (random % below as u64) as usize
    }

    fn object(self: &Rc<Self>, side: Side) -> Reference {
        let object = Object {
            number: self.nodes.borrow().len(),
            side,
        };
        let node = Rc::new(Node {
            object,
            world: self.clone(),
            held: RefCell::default(),
        });
        self.nodes.borrow_mut().push(node.clone());
        let client: program::Client = capnp_rpc::new_client_from_rc(node.clone());
        let ptr = client.client.hook.get_ptr();
        self.bare.borrow_mut().insert(ptr, object);
        let own = Reference {
            client,
            object,
            through: 0,
        };
        node.held.borrow_mut().push(own.clone());
        own
    }

    /// Holds `client`, as `side` has it, against what it should be.
    fn check(&self, side: Side, client: &Client, object: Object) {
        if !self.local {
            return;
        }
        let hook = resolved(client.hook.add_ref());
        let bare = self.bare.borrow();
        let bare = bare.get(&hook.get_ptr()).filter(|_| hook.get_brand() == 0);
        if object.side == side {
            assert_eq!(bare, Some(&object), "{side:?} has its own back");
        } else {
            assert_eq!(bare, None, "{side:?} has a bare {object:?}");
        }
        self.checked.set(self.checked.get() + 1);
    }

    /// Calls `target` on behalf of `side`, and hands in `given`.
    async fn call(
        self: &Rc<Self>,
        side: Side,
        target: &Reference,
        given: &Reference,
    ) -> Result<Reference, Error> {
        let crosses = target.object.side != side;
        let through = |held: usize| if crosses { target.through } else { held };
        // capnp-rpc loses the capabilities of a call on a promise that has
        // resolved to something of the caller's own.
        let callee: program::Client =
            FromClientHook::new(resolved(target.client.client.hook.add_ref()));
        let mut request = callee.spawn_request();
        let handed: Box<DynClientHook> = match self.random(4) {
            // As a promise of it. Over a connection capnp-rpc panics where one
            // is handed to itself.
            0 if self.local => {
                let client = given.client.clone();
                let promise: Client = capnp_rpc::new_future_client(async move {
                    yield_now().await;
                    Ok(client.client)
                });
                promise.hook
            }
            _ => given.client.client.hook.add_ref(),
        };
        let promised = self.random(3) == 0;
        request.get().init_bootstrap().set_as_capability(handed);
        self.brings
            .set(Some((given.object, through(given.through))));
        let sent = request.send();
        let pipelined = sent.pipeline.get_process();
        let answer = sent.promise.await;
        self.brings.set(None);
        let answer = answer?;
        let (object, held) = self.gives.take().expect("it was answered");
        let result = match promised {
            true => {
                // Over a connection nobody says when it has.
                if self.local {
                    pipelined.client.when_resolved().await?;
                }
                pipelined
            }
            false => answer.get()?.get_process()?,
        };
        let through = if object.side == side {
            0
        } else {
            through(held)
        };
        // What it resolves to survives the membrane, and the promise does not.
        let result = Reference {
            client: FromClientHook::new(resolved(result.client.hook)),
            object,
            through,
        };
        self.check(side, &result.client.client, object);
        Ok(result)
    }
}

fn resolved(mut hook: Box<DynClientHook>) -> Box<DynClientHook> {
    for _ in 0..100 {
        match hook.get_resolved() {
            Some(next) => hook = next,
            None => break,
        }
    }
    hook
}

impl program::Server for Node {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let world = &self.world;
        let side = self.object.side;
        let (object, through) = world.brings.take().expect("a call brings something");
        let given: program::Client = params.get()?.get_bootstrap().get_as_capability()?;
        if world.local {
            given.client.when_resolved().await?;
        }
        world.check(side, &given.client, object);
        let given = Reference {
            client: FromClientHook::new(resolved(given.client.hook)),
            object,
            through: if object.side == side { 0 } else { through },
        };
        let (target, other, gives) = {
            let mut held = self.held.borrow_mut();
            if held.len() > 8 {
                let gone = 1 + world.random(held.len() - 1);
                held.swap_remove(gone);
            }
            held.push(given);
            let any = || held[world.random(held.len())].clone();
            (any(), any(), any())
        };
        // Sometimes it calls something that it has, itself included.
        if world.nested.get() < 3 && world.random(3) == 0 {
            world.nested.set(world.nested.get() + 1);
            let called = world.call(side, &target, &other).await;
            world.nested.set(world.nested.get() - 1);
            if let Ok(found) = called {
                self.held.borrow_mut().push(found);
            }
        }
        results.get().set_process(gives.client.clone().cast_to());
        world.gives.set(Some((gives.object, gives.through)));
        Ok(())
    }
}

/// Makes random calls from outside until one of the membranes has been
/// revoked, or so many have been made. Answers how many were.
async fn episode(
    world: &Rc<World>,
    members: &[Membrane],
    mut outside: Vec<Reference>,
    most: usize,
) -> usize {
    for count in 0..most {
        let any = |outside: &[Reference]| outside[world.random(outside.len())].clone();
        match world.random(60) {
            0 => outside.push(world.object(Side::Outside)),
            1 if world.local => {
                let inside = world.object(Side::Inside);
                let through = 1 + world.random(members.len());
                let client = members[through - 1].wrap(inside.client.clone());
                world.check(Side::Outside, &client.client, inside.object);
                outside.push(Reference {
                    client,
                    object: inside.object,
                    through,
                });
            }
            2 if count > 20 => {
                let falls = 1 + world.random(members.len());
                members[falls - 1].revoke(Error::disconnected("fell".into()));
                assert_eq!(members[falls - 1].held(), 0);
                fallen(world, &outside, falls).await;
                return count;
            }
            _ => {
                let (target, given) = (any(&outside), any(&outside));
                let found = world.call(Side::Outside, &target, &given).await;
                outside.push(found.expect("all that is held is alive"));
            }
        }
        if outside.len() > 24 {
            outside.swap_remove(world.random(outside.len()));
        }
    }
    most
}

/// Every reference that came through the membrane that fell is dead, on both
/// sides, and every other is alive.
async fn fallen(world: &Rc<World>, outside: &[Reference], falls: usize) {
    let mut all: Vec<(Side, Reference)> = Vec::new();
    all.extend(outside.iter().map(|held| (Side::Outside, held.clone())));
    for node in &*world.nodes.borrow() {
        let held = node.held.borrow();
        all.extend(held.iter().map(|held| (node.object.side, held.clone())));
        drop(held);
        // Only who is called first is looked at.
        node.held
            .borrow_mut()
            .retain(|held| held.object == node.object);
    }
    world.nested.set(3);
    for (side, held) in all {
        let crosses = held.object.side != side;
        let own = world
            .nodes
            .borrow()
            .iter()
            .find(|node| node.object.side == side)
            .cloned();
        let own = own.map(|node| node.held.borrow()[0].clone());
        let Some(own) = own else { continue };
        let called = world.call(side, &held, &own).await;
        if crosses && held.through == falls {
            assert!(called.is_err(), "{side:?} has a dead {:?}", held.object);
        } else if world.local {
            assert!(
                called.is_ok(),
                "{side:?} has {:?}: {:?}",
                held.object,
                called.err()
            );
        }
        // What one call has left is not for the next.
        for node in &*world.nodes.borrow() {
            node.held.borrow_mut().truncate(1);
        }
    }
    world.nested.set(0);
}

const SEED: u64 = 0x5eed_0fca_b1e5_0001;

#[test]
fn a_hundred_thousand_random_calls_leave_nothing_bare() {
    let (mut calls, mut checked, mut seed) = (0, 0, SEED);
    while calls < 100_000 {
        eprintln!("seed {seed:#x}");
        let world = World::new(seed, true);
        let root = Membrane::ungated();
        let members = [root.child(()), root.child(()), root.child(()), root.clone()];
        let inside = world.object(Side::Inside);
        let held = Reference {
            client: members[0].wrap(inside.client.clone()),
            object: inside.object,
            through: 1,
        };
        drop(inside);
        let outside = vec![held, world.object(Side::Outside)];
        // The root takes the others with it, so it is not among those that fall.
        calls += block_on(episode(&world, &members[..3], outside, 2_000));
        checked += world.checked.get();
        seed = world.random.get();
        for node in world.nodes.take() {
            node.held.take();
        }
    }
    assert!(checked > calls, "{checked} of {calls}");
}

#[test]
fn random_calls_over_a_connection_end_with_the_membrane() {
    let (mut calls, mut seed) = (0, SEED);
    while calls < 5_000 {
        eprintln!("seed {seed:#x}");
        let world = World::new(seed, false);
        let membrane = Membrane::ungated();
        let inside = world.object(Side::Inside);
        let object = inside.object;
        let ours = world.clone();
        let made = Rc::new(Cell::new(0));
        let count = made.clone();
        let members = [membrane.clone()];
        connected(membrane.wrap(inside.client), |hub| async move {
            let held = Reference {
                client: hub,
                object,
                through: 1,
            };
            let outside = vec![held, ours.object(Side::Outside)];
            count.set(episode(&ours, &members, outside, 500).await);
        });
        calls += made.get();
        seed = world.random.get();
        for node in world.nodes.take() {
            node.held.take();
        }
    }
}
