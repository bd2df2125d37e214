//! A node that says what the test wants it to say.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use ww_loader::ipld::Cid;

pub(crate) struct Node {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: Option<JoinHandle<()>>,
}

/// A node that is down, and will be at the same address again.
pub(crate) struct Stopped(SocketAddr);

#[derive(Default)]
struct State {
    newest: u64,
    head: Value,
    /// How often the chain was reorganised, which all hashes depend on.
    turn: u64,
    once: VecDeque<(&'static str, Reply)>,
    asked: Vec<(String, Value)>,
    /// What happens before the last of so many questions for the chain's id.
    later: Option<(usize, Then)>,
    stopping: bool,
}

type Then = Box<dyn FnOnce(&Node) + Send>;

pub(crate) enum Reply {
    Result(Value),
    Error(Value),
    /// A status, header fields, and a body.
    Raw(u16, String, String),
    /// The beginning of an answer.
    Cut,
    /// A connection that is closed.
    Nothing,
    /// These bytes, and then nothing until the other side hangs up.
    Silence(&'static str),
}

impl Node {
    pub(crate) fn start() -> Self {
        Stopped(([127, 0, 0, 1], 0).into()).start()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) fn at(&self, newest: u64) -> &Self {
        self.state.lock().unwrap().newest = newest;
        self
    }

    pub(crate) fn has(&self, seq: u64, cid: &Cid) -> &Self {
        self.answers(encoded(seq, cid.as_bytes()))
    }

    pub(crate) fn answers(&self, head: Value) -> &Self {
        self.state.lock().unwrap().head = head;
        self
    }

    pub(crate) fn reorganised(&self) -> &Self {
        self.state.lock().unwrap().turn += 1;
        self
    }

    pub(crate) fn hash(&self, block: u64) -> String {
        hash(self.state.lock().unwrap().turn, block)
    }

    /// The next question of this method is answered so.
    pub(crate) fn once(&self, method: &'static str, reply: Reply) -> &Self {
        self.state.lock().unwrap().once.push_back((method, reply));
        self
    }

    /// Does `then` when it was polled for so many times.
    pub(crate) fn later(&self, polls: usize, then: impl FnOnce(&Self) + Send + 'static) {
        self.state.lock().unwrap().later = Some((polls, Box::new(then)));
    }

    /// What was asked since this was last asked.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    pub(crate) fn stop(self) -> Stopped {
        Stopped(self.addr)
    }

    fn serve(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.state.lock().unwrap().stopping {
                return;
            }
            // A client that gives up in between is its own business.
            let _ = self.answer(stream.unwrap());
        }
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut len = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim().to_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                len = text.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; len];
        reader.read_exact(&mut body)?;
        let question: Value = serde_json::from_slice(&body)?;
        let method = question["method"].as_str().unwrap().to_owned();
        let reply = self.reply(&method, &question["params"]);
        let (status, headers, body) = match reply {
            Reply::Result(result) => {
                let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
                (200, String::new(), answer.to_string())
            }
            Reply::Error(error) => {
                let answer = json!({"jsonrpc": "2.0", "id": question["id"], "error": error});
                (200, String::new(), answer.to_string())
            }
            Reply::Raw(status, headers, body) => (status, headers, body),
            Reply::Cut => {
                return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"id\"");
            }
            Reply::Nothing => return Ok(()),
            Reply::Silence(begun) => {
                stream.write_all(begun.as_bytes())?;
                return reader.read_to_end(&mut Vec::new()).map(drop);
            }
        };
        let len = body.len();
        write!(
            stream,
            "HTTP/1.1 {status} Status\r\nconnection: close\r\n{headers}content-length: {len}\r\n\r\n{body}"
        )
    }

    fn reply(&self, method: &str, params: &Value) -> Reply {
        let mut state = self.state.lock().unwrap();
        state.asked.push((method.to_owned(), params.clone()));
        if method == "eth_chainId"
            && let Some((left, then)) = state.later.take()
        {
            match left {
                0 | 1 => {
                    drop(state);
                    then(self);
                    state = self.state.lock().unwrap();
                }
                _ => state.later = Some((left - 1, then)),
            }
        }
        if state.once.front().is_some_and(|(once, _)| *once == method) {
            return state.once.pop_front().unwrap().1;
        }
        Reply::Result(match method {
            "eth_chainId" => json!("0x7"),
            "eth_blockNumber" => json!(format!("{:#x}", state.newest)),
            "eth_getBlockByNumber" => {
                let number = u64::from_str_radix(&params[0].as_str().unwrap()[2..], 16).unwrap();
                match number <= state.newest {
                    true => json!({"number": params[0], "hash": hash(state.turn, number)}),
                    false => Value::Null,
                }
            }
            "eth_call" => state.head.clone(),
            other => panic!("nobody should ask {other}"),
        })
    }
}

impl Stopped {
    pub(crate) fn start(self) -> Node {
        let listener = TcpListener::bind(self.0).unwrap();
        let (addr, state) = (listener.local_addr().unwrap(), Arc::default());
        let mut node = Node {
            addr,
            state,
            serving: None,
        };
        let served = Node {
            addr,
            state: node.state.clone(),
            serving: None,
        };
        node.serving = Some(std::thread::spawn(move || served.serve(&listener)));
        node
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let Some(serving) = self.serving.take() else {
            return;
        };
        self.state.lock().unwrap().stopping = true;
        // Wakes the listener.
        let _ = TcpStream::connect(self.addr);
        serving.join().unwrap();
    }
}

/// The hash of a block.
pub(crate) fn hash(turn: u64, block: u64) -> String {
    format!("0x{turn:032x}{block:032x}")
}

/// `(uint64 seq, bytes cid)` as Solidity encodes it.
pub(crate) fn encoded(seq: u64, cid: &[u8]) -> Value {
    let mut text = format!("0x{seq:064x}{:064x}{:064x}", 64, cid.len());
    for byte in cid {
        text += &format!("{byte:02x}");
    }
    text += &"0".repeat((64 - cid.len() * 2 % 64) % 64);
    json!(text)
}
