use std::sync::{Arc, Barrier};
use std::thread;

/// Has the allocator take what it takes for threads that meet, which it keeps for
/// those to come, and has their stacks at hand: no round has as many.
pub(crate) fn meet() {
    const THREADS: usize = 18;
    let all = Arc::new(Barrier::new(THREADS));
    let threads = [(); THREADS].map(|()| {
        let all = all.clone();
        thread::spawn(move || {
            let taken = vec![1_u8; 1000];
            all.wait();
            taken.len()
        })
    });
    for thread in threads {
        assert_eq!(thread.join().expect("it ends"), 1000);
    }
}
