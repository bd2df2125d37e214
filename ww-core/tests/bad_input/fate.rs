use std::sync::LazyLock;

use futures::{AsyncReadExt, AsyncWriteExt};
use ww_core::cell::{Builder, Cell, Exit, Input, Output};
use ww_core::{Error, Runtime, pipe};

use crate::patience::patiently;

/// All cells share its one worker.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Runtime::builder().workers(1).build();
    runtime.expect("the engine starts")
});

pub(crate) fn guest(name: &str) -> Builder {
    Builder::new().image(example_images::path(name))
}

/// Spawns and waits: how it ends, at whichever point.
pub(crate) fn fate(builder: Builder) -> Result<Exit, Error> {
    patiently(async { builder.runtime(&RUNTIME).spawn().await?.wait().await })
}

/// A cell that answers lines, on the worker that bad input meets.
pub(crate) struct Neighbour {
    _cell: Cell,
    stdin: pipe::Writer,
    stdout: pipe::Reader,
}

impl Neighbour {
    pub(crate) fn new() -> Self {
        let builder = guest("echo-child")
            .stdin(Input::piped())
            .stdout(Output::piped());
        let cell = patiently(builder.runtime(&RUNTIME).spawn()).expect("it spawns");
        Self {
            stdin: cell.take_stdin().expect("it is piped"),
            stdout: cell.take_stdout().expect("it is piped"),
            _cell: cell,
        }
    }

    pub(crate) fn answers(&mut self) {
        patiently(async {
            let mut answer = [0; 6];
            self.stdin.write_all(b"still\n").await.expect("it reads");
            self.stdout
                .read_exact(&mut answer)
                .await
                .expect("it writes");
            assert_eq!(&answer, b"still\n");
        });
    }
}
