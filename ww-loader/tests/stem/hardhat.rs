//! A development chain, and the contract on it: npm's `hardhat` and `solc`.
//!
//! Where `npm ci` was not run in this directory there is none, and whoever
//! wanted one says so and passes.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test takes what it needs and fails by panicking"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures_lite::future::block_on;
use serde_json::{Value, json};
use tempfile::TempDir;
use ww_loader::http::{Http, Request, Ureq};
use ww_loader::ipld::Cid;
use ww_loader::stem::Address;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ww-loader/tests/stem");

pub(crate) const CHAIN: u64 = 31_337;
const CONFIG: &str = "module.exports = {
  solidity: '0.8.28',
  networks: { hardhat: { chainId: 31337 } },
}";

/// A running chain with the contract, in which nothing is yet.
pub(crate) struct Chain {
    pub(crate) url: String,
    pub(crate) contract: Address,
    /// What calls the contract's `advance`.
    selector: String,
    child: Child,
    _project: TempDir,
}

impl Chain {
    /// A chain, where the parts for one are.
    pub(crate) fn start() -> Option<Self> {
        let modules = Path::new(HERE).join("node_modules");
        if !modules.exists() {
            // Not by `eprintln`, which is silent in a test that passes.
            let line = "SKIPPED what needs a chain: run `npm ci` in ww-loader/tests/stem\n";
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            return None;
        }
        let (code, selector) = compiled(&modules);
        let mut chain = Self::bare(&modules, selector);
        let receipt = chain.send(json!({"data": code}));
        chain.contract = receipt["contractAddress"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        Some(chain)
    }

    fn bare(modules: &Path, selector: String) -> Self {
        let project = tempfile::tempdir().unwrap();
        let at = |name: &str| project.path().join(name);
        std::fs::write(at("hardhat.config.js"), CONFIG).unwrap();
        let modules = modules.canonicalize().unwrap();
        std::os::unix::fs::symlink(modules, at("node_modules")).unwrap();
        // Whoever else may take the port in between fails the test loudly.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let port = port.unwrap().port().to_string();
        let mut child = Command::new("node")
            .args(["node_modules/hardhat/internal/cli/bootstrap.js", "node"])
            .args(["--hostname", "127.0.0.1", "--port", &port])
            .env("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true")
            .current_dir(project.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started = lines.any(|line| line.unwrap().contains("Started HTTP"));
        assert!(started, "hardhat ended before it served");
        // It stops when nobody reads what it prints.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            url: format!("http://127.0.0.1:{port}"),
            contract: Address([0; 20]),
            selector,
            child,
            _project: project,
        }
    }

    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = Request::post(&self.url, question.to_string())
            .header("content-type", "application/json");
        let response = block_on(Ureq::new().send(request)).unwrap();
        let body = block_on(response.body.read(1 << 20)).unwrap().unwrap();
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Sends a transaction, which is in a block of its own at once.
    fn send(&self, mut transaction: Value) -> Value {
        let accounts = self.ask("eth_accounts", json!([]));
        transaction["from"] = accounts[0].clone();
        let hash = self.ask("eth_sendTransaction", json!([transaction]));
        self.ask("eth_getTransactionReceipt", json!([hash]))
    }

    /// Makes this CID the head, by a transaction.
    pub(crate) fn advance(&self, cid: &Cid) {
        let data = advance(&self.selector, cid);
        self.send(json!({"to": self.contract.to_string(), "data": data}));
    }

    pub(crate) fn mine(&self, blocks: u64) {
        self.ask("hardhat_mine", json!([format!("{blocks:#x}")]));
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What deploys the contract, and what calls its `advance`.
fn compiled(modules: &Path) -> (String, String) {
    let output = Command::new("node")
        .arg(Path::new(HERE).join("compile.cjs"))
        .arg(modules)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (code, selector) = text.trim().split_once('\n').unwrap();
    (code.to_owned(), selector.to_owned())
}

/// The call of `advance` with this CID.
fn advance(selector: &str, cid: &Cid) -> String {
    let bytes = cid.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let padding = "0".repeat((64 - hex.len() % 64) % 64);
    format!("{selector}{:064x}{:064x}{hex}{padding}", 32, bytes.len())
}
