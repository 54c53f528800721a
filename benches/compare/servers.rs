//! Servers and their clients as this process sees them: started, stopped while others play, told what to do.
//!
//! May touch: child processes and their pipes. Invariant: outside of its slice a server is stopped, so a spinning one
//! takes nobody's time and a sleeping one has no timer to wake up for.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command};

use serde_json::Value;

use crate::process::{Core, Process};
use crate::toolbox::{NODE_SOURCE, Toolbox};

/// Which server takes part, as what, and how it is called in tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contestant {
    pub label: String,
    /// `floor`, `mio`, `tokio`, `halfclose`, `switches`, `libuv` or `node`.
    pub server: &'static str,
    pub mode: String,
    pub wait: &'static str,
}

impl Contestant {
    pub fn new(label: &str, server: &'static str, mode: &str) -> Contestant {
        Contestant { label: label.to_owned(), server, mode: mode.to_owned(), wait: "sleep" }
    }

    pub fn waiting(self, wait: &'static str) -> Contestant {
        Contestant { wait, ..self }
    }

    /// The command that is this server, or why it cannot take part.
    pub fn command(&self, toolbox: &Toolbox, unix: Option<&str>) -> Result<Command, String> {
        let mut command = match self.server {
            "libuv" => Command::new(toolbox.libuv.as_ref()?),
            "node" => {
                let mut command = Command::new(toolbox.node.as_ref()?);
                command.arg(NODE_SOURCE);
                command
            }
            _ => {
                let mut command = Command::new(&toolbox.own);
                command.args(["--server", self.server]);
                command
            }
        };
        command.args([self.mode.as_str(), self.wait]).args(unix);
        Ok(command)
    }
}

/// A server that listens.
pub struct Server {
    pub process: Process,
    pub address: String,
}

impl Server {
    /// Starts the command and waits for its announcement.
    pub fn start(command: &mut Command, toolbox: &Toolbox) -> Result<Server, String> {
        Server::start_and_follow(command, toolbox, |_| ())
    }

    /// The same, with somebody who takes what else the child prints before it is waited for.
    pub fn start_and_follow(
        command: &mut Command,
        toolbox: &Toolbox,
        follow: impl FnOnce(&mut Child),
    ) -> Result<Server, String> {
        let mut process =
            Process::spawn(command, &toolbox.folder, Core::Server).map_err(|error| format!("{command:?}: {error}"))?;
        follow(&mut process.child);
        let output = process.child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        let address = line.trim().strip_prefix("listening on ").ok_or("it ended before it listened")?.to_owned();
        Ok(Server { process, address })
    }
}

/// A process that is clients.
pub struct Client {
    process: Process,
    answers: BufReader<ChildStdout>,
}

impl Client {
    pub fn start(toolbox: &Toolbox, server: u32, wait: &str) -> Result<Client, String> {
        let mut command = Command::new(&toolbox.own);
        command.args(["--client", &server.to_string(), wait]);
        let mut process =
            Process::spawn(&mut command, &toolbox.folder, Core::Client).map_err(|error| error.to_string())?;
        let answers = process.child.stdout.take().map(BufReader::new).ok_or("no output")?;
        Ok(Client { process, answers })
    }

    /// Has a command carried out, and gives the answer.
    pub fn tell(&mut self, command: &str) -> Result<Value, String> {
        let input = self.process.child.stdin.as_mut().ok_or("no input")?;
        writeln!(input, "{command}").map_err(|error| format!("{command}: {error}"))?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| format!("{command}: {error}"))?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| format!("{command}: {error}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }
}

/// A server with its clients connected.
pub struct Pair {
    pub contestant: Contestant,
    pub server: Server,
    pub client: Client,
}

impl Pair {
    /// Starts both, connects `connections` clients, and stops the server.
    pub fn start(
        toolbox: &Toolbox,
        contestant: &Contestant,
        unix: Option<&str>,
        connections: usize,
    ) -> Result<Pair, String> {
        let server = Server::start(&mut contestant.command(toolbox, unix)?, toolbox)?;
        let mut client = Client::start(toolbox, server.process.id(), contestant.wait)?;
        client.tell(&format!("open {connections} usual {}", server.address))?;
        server.process.stop();
        Ok(Pair { contestant: contestant.clone(), server, client })
    }

    /// Has a command carried out while the server may run.
    pub fn tell(&mut self, command: &str) -> Result<Value, String> {
        self.server.process.resume();
        let answer = self.client.tell(command);
        self.server.process.stop();
        answer.map_err(|error| format!("{}: {error}", self.contestant.label))
    }
}
