use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use futures::FutureExt;
use futures_lite::future::{block_on, zip};

use super::*;

/// One that waits for its turn, and whether it was called.
struct Waits {
    turn: Pin<Box<dyn Future<Output = Turn>>>,
    called: Arc<Called>,
}

#[derive(Default)]
struct Called(AtomicBool);

impl Wake for Called {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Waits {
    fn new(turns: &Turns, server: &str) -> Self {
        let (turns, server) = (turns.clone(), server.to_owned());
        let mut waits = Self {
            turn: Box::pin(async move { turns.next(server).await }),
            called: Arc::default(),
        };
        assert!(waits.come().is_none(), "there is no room");
        waits
    }

    fn come(&mut self) -> Option<Turn> {
        let waker = self.called.clone().into();
        match self.turn.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    fn called(&self) -> bool {
        self.called.0.swap(false, Ordering::Relaxed)
    }
}

fn take(turns: &Turns, server: &str) -> Turn {
    let turn = turns.next(server.to_owned()).now_or_never();
    turn.expect("there is room")
}

/// So many turns, of as many servers as it takes.
fn many(turns: &Turns, count: usize) -> Vec<Turn> {
    let server = |n| format!("server {}", n / SHARE);
    (0..count).map(|n| take(turns, &server(n))).collect()
}

#[test]
fn who_was_called_and_is_not_polled_is_in_nobodys_way() {
    // One server's share, and all that there are.
    for count in [SHARE, MOST] {
        let turns = Turns::default();
        let mut held = many(&turns, count);
        let mut stuck = [(); 3].map(|()| Waits::new(&turns, "server 0"));
        let last = Waits::new(&turns, "server 0");
        // It is asleep when a turn ends, and no other does.
        let turn = block_on(zip(last.turn, async { drop(held.swap_remove(0)) }));
        drop((turn, held));
        assert!(stuck.iter_mut().all(|stuck| stuck.come().is_some()));
    }
}

#[test]
fn the_next_is_called_at_once_when_another_comes_or_ends() {
    let turns = Turns::default();
    let mut held = many(&turns, SHARE);
    let stuck = Waits::new(&turns, "server 0");
    let mut others = [(); 3].map(|()| Waits::new(&turns, "server 0"));
    held.pop();
    assert!(stuck.called());
    assert!(!others[0].called());
    held.pop();
    assert!(others[0].called(), "another turn has ended");
    assert!(!others[1].called());
    held.extend(others[0].come());
    assert!(others[1].called(), "there is room for one more");
    held.extend(others[1].come());
    assert!(!others[2].called(), "there is none left");
    assert_eq!(held.len(), SHARE);
}

#[test]
fn who_comes_too_late_keeps_its_place() {
    let turns = Turns::default();
    let mut held = many(&turns, SHARE);
    let mut waits = [(); 2].map(|()| Waits::new(&turns, "server 0"));
    held.pop();
    held.push(take(&turns, "server 0"));
    assert!(waits[0].called());
    assert!(waits[0].come().is_none());
    held.pop();
    assert!(waits[0].called(), "before the other");
    assert!(!waits[1].called());
}

#[test]
fn who_is_given_up_leaves_its_call_to_the_next() {
    let turns = Turns::default();
    let mut held = many(&turns, SHARE);
    let [first, second, third] = [(); 3].map(|()| Waits::new(&turns, "server 0"));
    drop(second);
    held.pop();
    assert!(first.called());
    drop(first);
    assert!(third.called());
    drop((third, held));
    assert_eq!(turns.lock().running, 0);
    assert!(turns.lock().servers.is_empty(), "nothing is remembered");
}

#[test]
fn room_is_for_whoever_has_waited_longest_of_those_whose_server_has_some() {
    let turns = Turns::default();
    let mut held = many(&turns, MOST);
    let full = Waits::new(&turns, "server 1");
    let first = Waits::new(&turns, "another");
    let second = Waits::new(&turns, "server 0");
    held.swap_remove(0);
    assert!(first.called());
    held.swap_remove(1);
    assert!(second.called());
    assert!(!full.called(), "its server has its share");
}
