//! An interactive line shell: `help` lists what it knows.

mod commands;

use std::io::Write as _;

use ww_guest_sdk::futures::io::{AsyncBufReadExt, BufReader};
use ww_guest_sdk::{Error, Exit, Membrane, graft, stdin};

use crate::commands::{HELP, echo, id, peers, run};

#[ww_guest_sdk::main]
async fn main(membrane: Membrane) -> Result<Exit, Error> {
    let session = graft(&membrane).await?;
    let mut input = BufReader::new(stdin());
    if let Ok(greeting) = std::fs::read_to_string("/etc/motd") {
        print!("{greeting}");
    }
    loop {
        print!("> ");
        std::io::stdout().flush()?;
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).await? == 0 {
            println!();
            return Ok(Exit(0));
        }
        let line = String::from_utf8_lossy(&line);
        let words: Vec<_> = line.split_whitespace().collect();
        let reply = match words[..] {
            [] => continue,
            ["help"] => Ok(HELP.to_owned()),
            ["id"] => id(&session).await,
            ["peers"] => peers(&session).await,
            ["echo", ..] => echo(&session, &words[1..].join(" ")).await,
            ["run", name, ..] => run(&session, name, &words[1..]).await,
            ["exit"] => return Ok(Exit(0)),
            ["exit", code] => match code.parse() {
                Ok(code) => return Ok(Exit(code)),
                Err(_) => Err(format!("an exit code is a number from 0 to 255, not {code}").into()),
            },
            [command, ..] => Err(format!("{command}: not understood, try help").into()),
        };
        match reply {
            Ok(text) => print!("{text}"),
            Err(error) => println!("{error}"),
        }
    }
}
