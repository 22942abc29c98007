//! Who is measured: the provider alone, the baseline, the gateway, or whoever is behind a URL.
//!
//! Invariant: all of them are asked for the same things, and checked by the same answers. One that answers other bytes than the
//! provider is checked by how its answers end, and the report says so.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::answer::Expected;
use super::child::{Child, Workplace, free_address};
use super::connection::Connection;
use super::drive::Sent;
use super::kind::{Addressee, Kind};
use super::proc;
use super::tally::Fault;
use crate::protocol::Dialect;

/// The key that the generated configuration knows.
const KEY: &str = "tk-loadtest-0123456789abcdef";

/// Where a subject comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The simulated provider, with nothing in between.
    Direct,
    /// The built-in bare proxy.
    Baseline,
    /// This program's gateway, with a generated configuration.
    Gateway,
    /// Somebody who runs already.
    Url(Url),
}

/// A base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `host:port`.
    pub authority: String,
    /// The path, without a slash at its end.
    pub prefix: String,
    /// The key to show there.
    pub key: Option<String>,
    /// More headers.
    pub headers: Vec<String>,
}

/// A subject, running.
#[derive(Debug)]
pub struct Subject {
    /// As reports name it.
    pub name: String,
    /// Where it listens.
    pub to: SocketAddr,
    /// Its processes; none if they cannot be seen.
    pub pids: Vec<u32>,
    /// What is sent to it.
    pub sent: Vec<Sent>,
    /// Whether its answers are the provider's, byte for byte.
    pub exact: bool,
    addressee: Addressee,
    child: Option<Child>,
}

/// What starting subjects takes.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// Where the provider is.
    pub provider: SocketAddr,
    /// The provider's processes.
    pub provider_pids: &'a [u32],
    /// Whose cores.
    pub cores: &'a [usize],
    /// Where files lie.
    pub place: &'a Workplace,
    /// The model asked for.
    pub model: &'a str,
}

impl Subject {
    /// Starts it, or finds it, and waits until it listens.
    ///
    /// # Errors
    /// It does not start, or does not listen.
    pub fn start(name: &str, origin: &Origin, ground: &Ground<'_>) -> Result<Self, String> {
        let workers = ground.cores.len().max(1).to_string();
        let (to, child, key) = match origin {
            Origin::Direct => (ground.provider, None, None),
            Origin::Baseline => {
                let at = free_address()?;
                let mut arguments = vec!["passthrough".to_owned()];
                arguments.extend(["--listen".into(), at.to_string(), "--upstream".into(), ground.provider.to_string()]);
                arguments.extend(["--workers".into(), workers]);
                (at, Some(Child::start(name, &arguments, &[], ground.cores, ground.place)?), None)
            }
            Origin::Gateway => {
                let at = free_address()?;
                let file = ground.place.path("tollgate.toml");
                fs::write(&file, rules(at, ground, 0)).map_err(|error| format!("{}: {error}", file.display()))?;
                let arguments = ["serve".to_owned(), "--config".to_owned(), file.display().to_string()];
                // Nothing of the operator's own environment may change what is measured.
                let child = Child::start(name, &arguments, &ENVIRONMENT, ground.cores, ground.place)?;
                (at, Some(child), Some(KEY.to_owned()))
            }
            Origin::Url(url) => (resolve(&url.authority)?, None, url.key.clone()),
        };
        let mut addressee = Addressee {
            authority: to.to_string(),
            prefix: String::new(),
            key,
            model: ground.model.to_owned(),
            headers: Vec::new(),
        };
        if let Origin::Url(url) = origin {
            addressee.authority.clone_from(&url.authority);
            addressee.prefix.clone_from(&url.prefix);
            addressee.headers.clone_from(&url.headers);
        }
        let pids = match (&child, origin) {
            (Some(child), _) => vec![child.pid()],
            (None, Origin::Direct) => ground.provider_pids.to_vec(),
            (None, _) if to.ip().is_loopback() => proc::listeners(to.port()),
            (None, _) => Vec::new(),
        };
        let mut subject = Self { name: name.to_owned(), to, pids, sent: Vec::new(), exact: true, addressee, child };
        if let Some(child) = &mut subject.child {
            child.listens(to)?;
        }
        Ok(subject)
    }

    /// Renders what is sent to it, and asks once for each kind, to see that it answers and how. `known`: what the provider itself
    /// answers, in the order of `kinds`; none for the provider. `patient`: a refusal is asked again, for the provider fails.
    ///
    /// # Errors
    /// It refuses, or does not answer.
    pub fn prepare(
        &mut self,
        kinds: &[Kind],
        known: Option<&[Expected]>,
        close: bool,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Vec<Expected>, String> {
        let mut all = Vec::new();
        self.sent.clear();
        for (index, kind) in kinds.iter().enumerate() {
            let request = kind.render(&self.addressee, close);
            let body =
                runtime.block_on(self.ask(&request)).map_err(|why| format!("{}: {}: {why}", self.name, kind.name))?;
            let own = Expected::Bytes { length: body.len() as u64, crc: crc32fast::hash(&body) };
            let expected = match known.and_then(|known| known.get(index)) {
                // The bytes are the same, until a gateway keeps a silent connection alive.
                _ if kind.silent => Expected::EndsWith(ends(kind)),
                Some(provider) if *provider == own => own,
                Some(_) => {
                    self.exact = false;
                    Expected::EndsWith(ends(kind))
                }
                None => own,
            };
            all.push(expected.clone());
            self.sent.push(Sent { request: request.into(), expected, stream: kind.stream, weight: kind.weight });
        }
        Ok(all)
    }

    /// Asks until there is an answer: one that has just started, or whose provider fails on purpose, is given time.
    async fn ask(&self, request: &[u8]) -> Result<Vec<u8>, String> {
        const PATIENCE: Duration = Duration::from_secs(10);
        /// A slow stream takes as long as it takes.
        const LONGEST: Duration = Duration::from_secs(90);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let why = match tokio::time::timeout(LONGEST, Connection::new(self.to, true).ask(request)).await {
                Ok(Ok((200, body))) => return Ok(body),
                Ok(Ok((status, body))) => {
                    let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                    let why = format!("status {status}: {text}");
                    match status {
                        401 | 403 => return Err(format!("{why} (its key: --key, or TOLLGATE_KEY)")),
                        400 | 404 | 405 => return Err(why),
                        _ => why,
                    }
                }
                // Who is ours listens by now.
                Ok(Err(fault @ Fault::Refused)) => return Err(format!("{fault}: does it listen on {}?", self.to)),
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if Instant::now() > deadline {
                return Err(why);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether its process, if it is ours, still runs.
    ///
    /// # Errors
    /// It has ended.
    pub fn lives(&mut self) -> Result<(), String> {
        self.child.as_mut().map_or(Ok(()), Child::lives)
    }
}

/// Usage counting, keys, metrics and the access log are on: what is measured is what is run.
fn rules(at: SocketAddr, ground: &Ground<'_>, generation: u64) -> String {
    let Ground { provider, cores, place, .. } = ground;
    let workers = cores.len().max(1);
    let log = place.path("access.log");
    let further =
        (0..generation % 2).map(|_| "[[key]]\nname = \"another\"\nsecret = { env = \"LOADTEST_OTHER_KEY\" }\n");
    format!(
        "version = 1\n\
         [listen]\naddress = \"{at}\"\nadmin = \"127.0.0.1:0\"\nworkers = {workers}\nmax_connections = 65536\n\
         [log]\nlevel = \"warn\"\naccess = {{ file = {log:?} }}\n\
         [limits]\ninflight_requests = 65536\n\
         [state]\ndirectory = {state:?}\n\
         [[provider]]\nname = \"simulated\"\nspeaks = [\"chat\", \"anthropic\", \"responses\", \"gemini\"]\n\
         base_url = \"http://{provider}\"\ncredential = {{ env = \"LOADTEST_CREDENTIAL\" }}\n\
         [[model]]\nname = \"*\"\nprovider = \"simulated\"\n\
         [[key]]\nname = \"load\"\nowner = \"load\"\nteam = \"load\"\nsecret = {{ env = \"LOADTEST_KEY\" }}\n{}",
        further.collect::<String>(),
        state = place.path("state"),
    )
}

const ENVIRONMENT: [(&str, &str); 5] = [
    ("LOADTEST_KEY", KEY),
    ("LOADTEST_OTHER_KEY", "tk-another-0123456789abcdef"),
    ("LOADTEST_CREDENTIAL", "sk-not-a-secret"),
    ("NO_PROXY", "*"),
    ("no_proxy", "*"),
];

/// Writes other rules for a gateway of ours, which follows its file. Says when it may be done again.
///
/// # Errors
/// The file cannot be written.
pub fn change_rules(subject: &Subject, ground: &Ground<'_>, generation: u64) -> Result<(), String> {
    let (file, new) = (ground.place.path("tollgate.toml"), ground.place.path("tollgate.toml.new"));
    let written = fs::write(&new, rules(subject.to, ground, generation)).and_then(|()| fs::rename(&new, &file));
    written.map_err(|error| format!("{}: {error}", file.display()))
}

/// What whole answers end with, whoever words them.
const fn ends(kind: &Kind) -> &'static [&'static str] {
    match (kind.stream, kind.dialect) {
        (false, _) => &["}"],
        (true, Dialect::Anthropic) => &["message_stop"],
        (true, Dialect::Chat) => &["[DONE]"],
        (true, Dialect::Responses) => &["response.completed", "response.incomplete"],
        (true, Dialect::Gemini) => &["finishReason"],
    }
}

fn resolve(authority: &str) -> Result<SocketAddr, String> {
    let found = authority.to_socket_addrs().map_err(|error| format!("{authority}: {error}"))?.next();
    found.ok_or_else(|| format!("{authority} has no address"))
}
