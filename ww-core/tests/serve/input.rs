//! Bad input, and what is said about it.

use capnp::ErrorKind;
use futures::future::join_all;

use crate::stage::{Spawn, Stage, compile, echo, run_bytes, stderr, stdout, text, wait};

#[test]
fn bytes_that_are_no_component_are_refused_with_the_reason() {
    let cases: [(&str, Vec<u8>); 4] = [
        ("component", Vec::new()),
        ("component", b"no wasm at all".to_vec()),
        ("component", wat::parse_str("(module)").unwrap()),
        ("wasi:cli/run", wat::parse_str("(component)").unwrap()),
    ];
    Stage::run(async |stage| {
        let executor = stage.executor();
        for (reason, wasm) in cases {
            let run = run_bytes(&executor, &wasm, &[], &[]).await.map(drop);
            let mut request = executor.compile_request();
            request.get().set_wasm(&wasm);
            let compile = request.send().promise.await.map(drop);
            for refused in [run, compile] {
                let error = refused.unwrap_err();
                assert!(error.extra.contains(reason), "{error}");
            }
        }
        // And the executor goes on.
        assert_eq!(
            echo(&executor, "still here").await.unwrap(),
            "Echo: still here"
        );
    });
}

#[test]
fn env_items_that_are_not_key_value_are_refused_by_name() {
    Stage::run(async |stage| {
        let executor = stage.executor();
        let program = compile(&executor, "hello").await.unwrap();
        let wasm = example_images::wasm("hello");
        let long = "x".repeat(10_000);
        for item in ["PATH", "=value", "", &long] {
            let env = ["GOOD=1", item];
            let spawn = Spawn {
                env: &env,
                ..Spawn::default()
            };
            let spawned = spawn.spawn(&program).await.map(drop);
            let ran = run_bytes(&executor, &wasm, &[], &env).await.map(drop);
            for refused in [spawned, ran] {
                let error = refused.unwrap_err();
                let named = format!("env item \"{}", &item[..item.len().min(50)]);
                assert!(error.extra.contains(&named), "{error}");
                assert!(error.extra.len() < 500);
            }
        }
    });
}

#[test]
fn texts_that_are_not_utf_8_are_refused_by_position() {
    Stage::run(async |stage| {
        let wasm = example_images::wasm("hello");
        let executor = stage.executor();
        for (what, in_args) in [("argument 1", true), ("env item 1", false)] {
            let mut request = executor.run_bytes_request();
            let mut params = request.get();
            params.set_wasm(&wasm);
            let mut list = match in_args {
                true => params.init_args(2),
                false => params.init_env(2),
            };
            list.set(0, "A=1");
            list.set(1, capnp::text::Reader(b"B=\xff"));
            let error = request.send().promise.await.map(drop).unwrap_err();
            assert!(error.extra.contains(what), "{error}");
        }
    });
}

#[test]
fn args_are_the_whole_argv_and_env_reaches_the_guest() {
    Stage::run(async |stage| {
        for (args, greeting) in [
            (&[][..], "Hello from a cell!\n"),
            (&["hello"], "Hello from a cell!\n"),
            (&["hello", "Ada", "näïve"], "Hello, Ada, näïve!\n"),
        ] {
            let process = stage.spawn("hello", args).await;
            assert_eq!(text(stdout(&process).await).await, greeting);
            assert_eq!(wait(&process).await.unwrap(), 0);
        }

        // What Rust's standard library says of a panic depends on it.
        let program = compile(&stage.executor(), "traps").await.unwrap();
        for (env, hint) in [(&[][..], true), (&["RUST_BACKTRACE=1", "X=a=b"], false)] {
            let spawn = Spawn {
                env,
                ..Spawn::args(&["traps"])
            };
            let process = spawn.spawn(&program).await.unwrap();
            let text = text(stderr(&process).await).await;
            assert_eq!(text.contains("run with `RUST_BACKTRACE=1`"), hint, "{text}");
        }
    });
}

#[test]
fn more_compilations_than_16_at_a_time_are_refused_as_overload() {
    Stage::run(async |stage| {
        let executor = stage.executor();
        // Far from quick to compile, and each another.
        let component = |number: u32| {
            let code = "(i32.mul (i32.const 7) (i32.clz (local.get 0)))".repeat(2000);
            let drops = "drop ".repeat(2000);
            let text = format!(
                r#"(component (core module
                    (func (param i32) {code} {drops} (drop (i32.const {number})))))"#
            );
            wat::parse_str(text).unwrap()
        };
        let asked = (0..24).map(|number| {
            let wasm = component(number);
            let executor = executor.clone();
            async move {
                if number % 2 == 0 {
                    return run_bytes(&executor, &wasm, &[], &[]).await.map(drop);
                }
                let mut request = executor.compile_request();
                request.get().set_wasm(&wasm);
                request.send().promise.await.map(drop)
            }
        });
        let (mut compiled, mut refused) = (0, 0);
        for answer in join_all(asked).await {
            let error = answer.unwrap_err();
            match error.kind {
                ErrorKind::Overloaded => refused += 1,
                _ => compiled += 1,
            }
            let reason = match error.kind {
                ErrorKind::Overloaded => "16 of its calls",
                _ => "wasi:cli/run",
            };
            assert!(error.extra.contains(reason), "{error}");
        }
        assert_eq!((compiled, refused), (16, 8));

        compile(&executor, "hello").await.map(drop).unwrap();
    });
}

#[test]
fn args_and_env_are_bounded_together() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "hello").await.unwrap();
        let half = "x".repeat(600_000);
        let item = format!("A={half}");
        let empty = vec![""; 50_000];
        let cases: [(&[&str], &[&str], Option<&str>); 5] = [
            (&["hello", &half], &[], None),
            (&["hello"], &[&item], None),
            (&["hello", &half, &half], &[], Some("argument 2")),
            (&["hello", &half], &["B=1", &item], Some("env item 1")),
            (&empty, &[], Some("argument 4")),
        ];
        for (args, env, refused) in cases {
            let spawn = Spawn {
                env,
                ..Spawn::args(args)
            };
            match (spawn.spawn(&program).await, refused) {
                (Ok(process), None) => assert_eq!(wait(&process).await.unwrap(), 0),
                (Err(error), Some(item)) => {
                    for part in [item, "1048576 bytes"] {
                        assert!(error.extra.contains(part), "{error}");
                    }
                }
                (spawned, _) => panic!("{refused:?}: {:?}", spawned.map(drop)),
            }
        }
    });
}
