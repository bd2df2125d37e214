use std::cell::RefCell;

use futures::channel::oneshot;
use futures::future::join;
use futures::{AsyncReadExt, AsyncWriteExt};
use ww_core::cell::{Input, Local, Output};
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::session::{Puppet, puppet};
use crate::stage::{call, finish, guest};

#[test]
fn a_host_calls_what_its_guest_exports() {
    patiently(async {
        let cell = guest("exporter").stdin(Input::piped());
        let cell = cell.spawn().await.unwrap();
        let large = "x".repeat(1_000_000);
        let expected = format!("Echo: {large}");
        let answer = cell.with(async move |local: Local| {
            let executor: executor::Client = local.exported();
            assert_eq!(call(&executor, "small").await?, "Echo: small");
            Ok(call(&executor, &large).await?)
        });
        assert!(answer.await.unwrap() == expected);
    });
}

#[test]
fn a_call_waits_for_the_export() {
    patiently(async {
        let mut guest = Puppet::new(puppet()).await;
        let (ask, asked) = oneshot::channel();
        let answer = guest.cell.with(async move |local: Local| {
            let exported: executor::Client = local.exported();
            let answer = call(&exported, "early");
            ask.send(()).expect("the test waits");
            Ok(answer.await?)
        });
        let late = guest
            .cell
            .with(async |local: Local| Ok(call(&local.exported(), "late").await?));
        let export = async {
            asked.await.expect("the call is made");
            assert_eq!(guest.told("graft").await, "epoch 1");
            assert_eq!(guest.told("export").await, "exported");
        };
        let (answer, ()) = join(answer, export).await;
        assert_eq!(answer.unwrap(), "Echo: early");
        assert_eq!(late.await.unwrap(), "Echo: late");
        drop(guest.stdin);
        assert_eq!(guest.cell.wait().await.unwrap().code(), 0);
    });
}

/// What a cell exports may be asked for where its bootstrap is made, before
/// there is anything to ask.
#[test]
fn what_a_guest_will_export_can_be_asked_for_before_it_starts() {
    patiently(async {
        let (tell, told) = oneshot::channel();
        let cell = guest("exporter")
            .stdin(Input::piped())
            .bootstrap(|local| {
                let exported: executor::Client = local.exported();
                local.spawn(async move {
                    // The test has failed if it does not listen.
                    let _ = tell.send(call(&exported, "early").await);
                });
                Ok(exported_nothing())
            })
            .spawn()
            .await
            .unwrap();
        assert_eq!(told.await.unwrap().unwrap(), "Echo: early");
        drop(cell.take_stdin());
        assert_eq!(cell.wait().await.unwrap().code(), 0);
    });
}

fn exported_nothing() -> capnp::capability::Client {
    capnp_rpc::new_broken_cap(capnp::Error::failed("nobody calls this".into()))
}

#[test]
fn what_is_never_exported_is_broken() {
    patiently(async {
        let asked = async |local: Local| {
            let exported: executor::Client = local.exported();
            let error = call(&exported, "anyone?")
                .await
                .expect_err("nobody is there");
            assert_eq!(error.kind, capnp::ErrorKind::Disconnected, "{error}");
            Ok(())
        };
        // It speaks no RPC.
        let cell = guest("echo-child").stdin(Input::piped());
        let cell = cell.spawn().await.unwrap();
        cell.with(asked).await.unwrap();

        // It does, and exits without an export.
        let guest = Puppet::new(puppet()).await;
        let (ask, ready) = oneshot::channel();
        let pending = guest.cell.with(async move |local: Local| {
            let exported: executor::Client = local.exported();
            let answer = call(&exported, "anyone?");
            ask.send(()).expect("the test waits");
            let error = answer.await.expect_err("nobody is there");
            assert_eq!(error.kind, capnp::ErrorKind::Disconnected, "{error}");
            Ok(())
        });
        let exit = async {
            ready.await.expect("the call is made");
            let Puppet { mut stdin, .. } = guest;
            stdin.write_all(b"exit 4\n").await.unwrap();
            guest.cell.wait().await.unwrap().code()
        };
        let (pending, code) = join(pending, exit).await;
        pending.unwrap();
        assert_eq!(code, 4);
    });
}

thread_local! {
    /// How a capability gets from one cell to another: by their thread.
    static HANDED: RefCell<Option<executor::Client>> = const { RefCell::new(None) };
}

#[test]
fn what_one_cell_exports_is_handed_to_another_beside_it() {
    patiently(async {
        let server = guest("exporter").stdin(Input::piped());
        let server = server.spawn().await.unwrap();
        server
            .with(async |local: Local| {
                HANDED.set(Some(local.exported()));
                Ok(())
            })
            .await
            .unwrap();
        let client = guest("probe-streams")
            .args(["from cell to cell"])
            .stdout(Output::piped())
            .beside(&server)
            .bootstrap(|_| Ok(HANDED.take().expect("it was put there")));
        let client = client.spawn().await.unwrap();
        let (exit, told) = finish(&client).await;
        assert_eq!(exit.unwrap().code(), 0);
        assert_eq!(told, "Echo: from cell to cell\n");

        // What was handed over breaks with whose it was.
        let bystander = guest("echo-child").stdin(Input::piped()).beside(&server);
        let bystander = bystander.spawn().await.unwrap();
        bystander.with(async |_| Ok(())).await.unwrap();
        server
            .with(async |local: Local| {
                HANDED.set(Some(local.exported()));
                Ok(())
            })
            .await
            .unwrap();
        server.kill();
        assert!(server.wait().await.is_err());
        let orphan = guest("probe-streams")
            .args(["anyone?"])
            .stderr(Output::piped())
            .beside(&bystander)
            .bootstrap(|_| Ok(HANDED.take().expect("it was put there")));
        let orphan = orphan.spawn().await.unwrap();
        let mut told = String::new();
        let mut stderr = orphan.take_stderr().unwrap();
        stderr.read_to_string(&mut told).await.unwrap();
        assert_eq!(orphan.wait().await.unwrap().code(), 1);
        assert!(told.contains("Disconnected"), "{told}");
    });
}
