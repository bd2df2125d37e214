//! An HTTP server on the loopback that answers as badly as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<String>,
}

pub(crate) enum Reply {
    Whole(u16, Vec<u8>),
    Redirect(u16, String),
    /// Says that it has more than it sends.
    Cut(Vec<u8>),
    /// Sends the first bytes, then zeros as long as anybody reads.
    Endless(Vec<u8>),
    /// Sends the first bytes, then the others as long as anybody reads, and
    /// nothing of its own.
    Flood(Vec<u8>, Vec<u8>),
    /// Sends this much of an answer, runs the function, and goes silent.
    Stall(Vec<u8>, Arc<dyn Fn() + Send + Sync>),
    /// Sends this much of an answer, goes silent, and tells when the other side
    /// has hung up.
    Mute(Vec<u8>, mpsc::Sender<()>),
    /// Sends bytes that are no HTTP.
    Garbage(Vec<u8>),
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log) = (answer.clone(), log.clone());
                thread::spawn(move || serve(stream.unwrap(), &*answer, &log));
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One request a connection. Who hangs up early is no concern of the server's.
fn serve(stream: TcpStream, answer: &dyn Fn(&Asked) -> Reply, log: &Mutex<Vec<Asked>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => lines.push(line.trim_end().to_owned()),
        }
    }
    let mut words = lines[0].split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let asked = Asked {
        method: word(),
        target: word(),
        headers: lines[1..].to_vec(),
    };
    log.lock().unwrap().push(asked.clone());
    let _ = send(stream, answer(&asked));
}

fn send(mut stream: TcpStream, reply: Reply) -> std::io::Result<()> {
    let head = |status: u16, rest: &str| {
        format!("HTTP/1.1 {status} Said\r\nConnection: close\r\n{rest}\r\n").into_bytes()
    };
    match reply {
        Reply::Whole(status, body) => {
            let len = format!(
                "Content-Type: text/plain\r\nContent-Length: {}\r\n",
                body.len()
            );
            stream.write_all(&head(status, &len))?;
            stream.write_all(&body)
        }
        Reply::Redirect(status, to) => {
            let rest = format!("Location: {to}\r\nContent-Length: 0\r\n");
            stream.write_all(&head(status, &rest))
        }
        Reply::Cut(body) => {
            let len = format!("Content-Length: {}\r\n", body.len() + 1);
            stream.write_all(&head(200, &len))?;
            stream.write_all(&body)
        }
        Reply::Endless(bytes) => {
            stream.write_all(&head(200, ""))?;
            stream.write_all(&bytes)?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
        Reply::Flood(first, rest) => {
            stream.write_all(&first)?;
            loop {
                stream.write_all(&rest)?;
            }
        }
        Reply::Stall(bytes, then) => {
            stream.write_all(&bytes)?;
            then();
            stream.read(&mut [0]).map(drop)
        }
        Reply::Mute(bytes, closed) => {
            stream.write_all(&bytes)?;
            let read = stream.read(&mut [0]).map(drop);
            let _ = closed.send(());
            read
        }
        Reply::Garbage(bytes) => stream.write_all(&bytes),
    }
}
