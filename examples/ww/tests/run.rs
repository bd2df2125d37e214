//! The command, run as a user would.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs `ww` with `args` and `input` as its standard input.
fn ww<S: AsRef<std::ffi::OsStr>>(args: &[S], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ww"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ww starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A command that reads no input may be gone before it is written.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("ww ends")
}

fn run(image: &str, args: &[&str], input: &str) -> Output {
    let image = example_images::path(image);
    let image = image.to_str().expect("path is UTF-8");
    ww(&[&["run", image, "--"], args].concat(), input)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("output is UTF-8")
}

#[test]
fn pid0_speaks_to_its_host_and_to_a_cell_of_its_own() {
    let output = run("pid0", &[], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(lines[0], "grafted under epoch 0");
    assert!(lines[1].starts_with("host is 12D3KooW"), "{}", lines[1]);
    assert_eq!(
        lines[2..],
        [
            "Echo: anyone there?",
            "echo-child answers: a line to the child",
            "echo-child exited with 0",
            "exporter Echo: from cell to cell",
        ]
    );
}

#[test]
fn the_shell_does_what_it_is_told_and_exits_with_the_code_it_is_given() {
    let script = "echo hi  there\nnonsense\nrun hello\nrun nobody\nexit 7\n";
    let output = run("shell", &[], script);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for part in [
        "Echo: hi there\n",
        "nonsense: not understood",
        "hello exited with 0\n",
        "nobody: ",
    ] {
        assert!(said.contains(part), "{part:?} is missing in {said:?}");
    }
}

#[test]
fn the_end_of_input_ends_the_shell() {
    let output = run("shell", &[], "help\n");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("exit [CODE]"));
}

#[test]
fn exit_codes_and_arguments_pass_through() {
    for code in [0, 1, 42, 255] {
        let output = run("exits", &[&code.to_string()], "");
        assert_eq!(output.status.code(), Some(code));
    }
    let output = run("hello", &["--help", "-x"], "");
    assert_eq!(text(&output.stdout), "Hello, --help, -x!\n");
}

#[test]
fn a_later_layer_wins() {
    let layer = tempfile::tempdir().expect("temporary directory");
    let etc = layer.path().join("etc");
    fs::create_dir(&etc).expect("etc");
    fs::write(etc.join("motd"), "laid over\n").expect("motd");
    let image = example_images::path("shell");
    let output = ww(&[Path::new("run"), &image, layer.path()], "exit\n");
    assert!(text(&output.stdout).starts_with("laid over\n"));
}

#[test]
fn what_cannot_run_is_named_with_the_reason() {
    let nowhere = Path::new("/no/such/image");
    let empty = tempfile::tempdir().expect("temporary directory");
    let module = tempfile::tempdir().expect("temporary directory");
    fs::create_dir(module.path().join("bin")).expect("bin");
    fs::write(module.path().join("bin/main.wasm"), b"\0asm\x01\0\0\0").expect("module");
    let cases: [(&[&Path], i32, &[&str]); 5] = [
        (&[Path::new("run"), nowhere], 1, &["/no/such/image"]),
        (&[Path::new("run"), empty.path()], 1, &["bin/main.wasm"]),
        (
            &[Path::new("run"), module.path()],
            1,
            &["core module", "wasm32-wasip2"],
        ),
        (&[Path::new("run")], 2, &["no image given", "Usage: ww run"]),
        (&[Path::new("walk")], 2, &["no such command: walk"]),
    ];
    for (args, code, parts) in cases {
        let output = ww(args, "");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is missing in {said:?}");
        }
    }
}

#[test]
fn a_trap_is_shown_with_the_guests_call_stack() {
    let output = run("traps", &[], "");
    assert_eq!(output.status.code(), Some(134));
    let said = text(&output.stderr);
    assert!(said.contains("the guest has panicked"), "{said}");
    // Innermost first, by name.
    let named = |name| said.find(name).unwrap_or_else(|| panic!("{name}: {said}"));
    assert!(named("!abort\n") < named("!traps::main\n"), "{said}");
}
