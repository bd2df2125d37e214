//! A child through its `Process`: exit codes, ends, standard streams.

use std::rc::Rc;

use futures::future::{join, poll_immediate};
use ww_core::cell::Limits;
use ww_core::network::Offline;

use crate::silent::silent;
use crate::stage::{
    Spawn, Stage, close, compile, finish, kill, push, read, stderr, stdin, stdout, text, wait,
    write,
};

const KIB_64: usize = 64 * 1024;

#[test]
fn every_exit_code_survives_and_is_answered_as_often_as_asked() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "exits").await.unwrap();
        for code in [0, 1, 2, 42, 127, 255] {
            let argument = code.to_string();
            let process = Spawn::args(&["exits", &argument])
                .spawn(&program)
                .await
                .unwrap();
            // Given up before the end, then twice at a time, then late.
            let mut given_up = Box::pin(wait(&process));
            assert!(poll_immediate(&mut given_up).await.is_none());
            drop(given_up);
            let (one, other) = join(wait(&process), wait(&process)).await;
            assert_eq!((one.unwrap(), other.unwrap()), (code, code));
            assert_eq!(wait(&process).await.unwrap(), code);
            kill(&process).await.unwrap();
            assert_eq!(wait(&process).await.unwrap(), code);
        }
    });
}

#[test]
fn an_error_from_main_is_a_failure() {
    Stage::run(async |stage| {
        let process = stage.spawn("fails", &["fails"]).await;
        assert_eq!(wait(&process).await.unwrap(), 1);
        let text = text(stderr(&process).await).await;
        assert!(text.contains("the guest has failed"), "{text}");
    });
}

#[test]
fn a_trap_is_an_error_that_names_the_cause() {
    Stage::run(async |stage| {
        for args in [&["traps"][..], &["traps", "unreachable"]] {
            let process = stage.spawn("traps", args).await;
            for _ in 0..2 {
                let error = wait(&process).await.unwrap_err();
                assert!(error.extra.contains("trapped"), "{error}");
                assert!(error.extra.contains("unreachable"), "{error}");
            }
        }
    });
}

#[test]
fn a_kill_ends_even_what_never_yields() {
    Stage::run(async |stage| {
        let process = stage.spawn("spins", &["spins"]).await;
        let (waited, killed) = join(wait(&process), kill(&process)).await;
        killed.unwrap();
        kill(&process).await.unwrap();
        for ended in [waited, wait(&process).await] {
            let error = ended.unwrap_err();
            assert!(error.extra.contains("killed"), "{error}");
        }
        assert_eq!(text(stdout(&process).await).await, "");
    });
}

#[test]
fn what_is_written_to_stdin_comes_back_on_stdout() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let stdin = stdin(&process).await.unwrap();
        let stdout = stdout(&process).await.unwrap();
        write(&stdin, b"one\n").await.unwrap();
        assert_eq!(read(&stdout, 100).await.unwrap(), b"one\n");
        push(&stdin, b"two\n").await.unwrap();
        push(&stdin, b"three").await.unwrap();
        finish(&stdin).await.unwrap();
        assert_eq!(text(Ok(stdout)).await, "two\nthree\n");
        assert_eq!(wait(&process).await.unwrap(), 0);
        let error = write(&stdin, b"four").await.unwrap_err();
        assert!(error.extra.contains("standard input is closed"), "{error}");
    });
}

#[test]
fn dropping_stdin_closes_it() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let held = stdin(&process).await.unwrap();
        let again = stdin(&process).await.unwrap();
        drop(held);
        write(&again, b"still open\n").await.unwrap();
        drop(again);
        assert_eq!(wait(&process).await.unwrap(), 0);
        assert_eq!(text(stdout(&process).await).await, "still open\n");
        let error = stdin(&process).await.map(drop).unwrap_err();
        assert!(error.extra.contains("standard input is closed"), "{error}");
    });
}

#[test]
fn output_that_nobody_asked_for_is_bounded_and_holds_up_nobody() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let input = "0123456789abcde\n".repeat(KIB_64 / 4);
        let stdin = stdin(&process).await.unwrap();
        write(&stdin, input.as_bytes()).await.unwrap();
        close(&stdin).await.unwrap();
        assert_eq!(wait(&process).await.unwrap(), 0);
        let kept = text(stdout(&process).await).await;
        assert_eq!(kept.len(), KIB_64);
        assert!(input.starts_with(&kept));
    });
}

#[test]
fn output_that_was_asked_for_is_whole_until_its_stream_is_dropped() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let input = "0123456789abcde\n".repeat(KIB_64 / 4);
        let stdin = stdin(&process).await.unwrap();

        let stdout_held = stdout(&process).await.unwrap();
        let echoed = async {
            let mut count = 0;
            while count < input.len() {
                count += read(&stdout_held, u32::MAX).await.unwrap().len();
            }
            count
        };
        let (written, count) = join(write(&stdin, input.as_bytes()), echoed).await;
        written.unwrap();
        assert_eq!(count, input.len());

        // Nobody reads, but somebody could: the child waits, and so does the
        // writer, until the stream is gone.
        let mut stalled = Box::pin(write(&stdin, input.as_bytes()));
        assert!(poll_immediate(&mut stalled).await.is_none());
        assert_eq!(read(&stdout_held, 1).await.unwrap(), b"0");
        assert!(poll_immediate(&mut stalled).await.is_none());
        drop(stdout_held);
        stalled.await.unwrap();

        // Closing is as good as dropping, and the stream can be asked for anew.
        let closed = stdout(&process).await.unwrap();
        close(&closed).await.unwrap();
        write(&stdin, input.as_bytes()).await.unwrap();
        drop(stdin);
        assert_eq!(wait(&process).await.unwrap(), 0);
        assert_eq!(read(&closed, 1).await.unwrap(), b"");
        assert!(!text(stdout(&process).await).await.is_empty());
    });
}

#[test]
fn closing_stdout_ends_the_read_that_waits() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let stdin = stdin(&process).await.unwrap();
        let stdout = stdout(&process).await.unwrap();
        let (read, closed) = join(read(&stdout, 1), close(&stdout)).await;
        closed.unwrap();
        assert_eq!(read.unwrap(), b"");
        drop(stdin);
        assert_eq!(wait(&process).await.unwrap(), 0);
    });
}

#[test]
fn usage_says_what_a_cell_holds() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let (stdin, stdout) = (
            stdin(&process).await.unwrap(),
            stdout(&process).await.unwrap(),
        );
        write(&stdin, b"started\n").await.unwrap();
        assert_eq!(read(&stdout, 100).await.unwrap(), b"started\n");

        let response = process.usage_request().send().promise.await.unwrap();
        let usage = response.get().unwrap().get_usage().unwrap();
        assert!(usage.get_busy_nanos() > 0);
        assert!(usage.get_memory_bytes() > 0);
        assert!(usage.get_peak_memory_bytes() >= usage.get_memory_bytes());
        assert_eq!(usage.get_stdio_bytes_in(), "started\n".len() as u64);
        assert_eq!(usage.get_stdio_bytes_out(), "started\n".len() as u64);
        assert_eq!(usage.get_refused().unwrap(), "");
    });
}

#[test]
fn usage_says_what_a_cell_has_called() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "caller").await.unwrap();
        let spawn = Spawn::args(&["caller", "seq", "7", "1000"]).bootstrap(stage.executor());
        let process = spawn.spawn(&program).await.unwrap();
        assert_eq!(wait(&process).await.unwrap(), 0);
        let response = process.usage_request().send().promise.await.unwrap();
        let usage = response.get().unwrap().get_usage().unwrap();
        assert_eq!((usage.get_calls_out(), usage.get_calls_in()), (7, 0));
        assert!(usage.get_rpc_bytes_out() > 7000 && usage.get_rpc_bytes_in() > 7000);
    });
}

#[test]
fn a_parent_learns_that_its_child_went_beyond_a_limit_of_its_connection() {
    Stage::run(async |stage| {
        let mut limits = Limits::default();
        limits.rpc.calls = 1000;
        let executor = Rc::new(stage.spawner(Offline::new()).limits(limits)).client();
        let program = compile(&executor, "caller").await.unwrap();
        let spawn = Spawn::args(&["caller", "flight", "5000", "8", "5000"]).bootstrap(silent());
        let process = spawn.spawn(&program).await.unwrap();
        let error = wait(&process).await.unwrap_err();
        assert_eq!(error.kind, capnp::ErrorKind::Overloaded);
        assert!(error.extra.contains("exited with 1"), "{error}");
        assert!(
            error.extra.contains("more than the limit of 1000"),
            "{error}"
        );
        let response = process.usage_request().send().promise.await.unwrap();
        let usage = response.get().unwrap().get_usage().unwrap();
        assert_eq!(usage.get_refused().unwrap(), "RPC calls in flight");
    });
}
