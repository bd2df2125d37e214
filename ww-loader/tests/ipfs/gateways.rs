//! A gateway of published handlers, and other servers like it, where `npm ci`
//! was run beside them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ww-loader/tests");

/// The server, which ends with this.
pub(crate) struct Gateways {
    child: Child,
    said: String,
}

impl Gateways {
    /// One that has the trees of `trees.mjs`, and besides these directories,
    /// under the numbers from 0 on. None, loudly, where the packages are not
    /// installed.
    pub(crate) fn start(test: &str, directories: &[&Path]) -> Option<Self> {
        Self::of(&["npm"], test, directories)
    }

    /// What the last of these folders serves, which uses what is in the others.
    pub(crate) fn of(folders: &[&str], test: &str, args: &[&Path]) -> Option<Self> {
        let mut here = Path::new(HERE).to_owned();
        for folder in folders {
            here = Path::new(HERE).join(folder);
            if !here.join("node_modules").exists() {
                // Not by `eprintln`, which is silent in a test that passes.
                let line = format!("SKIPPED {test}: run `npm ci` in ww-loader/tests/{folder}\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                return None;
            }
        }
        let mut child = Command::new("node")
            .arg("serve.mjs")
            .args(args)
            .current_dir(here)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let out = child.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut said).unwrap();
        assert!(said.starts_with('{'), "the server did not start");
        Some(Self { child, said })
    }

    /// What it said of `key`.
    pub(crate) fn get(&self, key: &str) -> String {
        let (_, rest) = self.said.split_once(&format!("\"{key}\":\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Drop for Gateways {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}
