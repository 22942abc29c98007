//! `tollgate mock`: the simulated provider as a command, to try a gateway or an agent without a key and without cost.
//!
//! Flags are laid over the script file, so that a file can be tried with one thing changed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use tokio::signal::unix::{SignalKind, signal};

use super::leash::Leash;
use crate::simulator::{Chunking, Fault, Recorded, Script, Simulator, Tools, Witness};

const EXAMPLES: &str = "\
Examples:
  tollgate mock
      Answers at http://127.0.0.1:9001, whatever is asked, in the dialect that is spoken.

  tollgate mock --chunks 200 --chunk-bytes 40 --first-byte-ms 300 --gap-ms 20
      Streams like a busy model: 8000 bytes of text in 200 events, 20 ms apart.

  tollgate mock --fault status=529,retry-after=2,count=3
  tollgate mock --fault cut=5,how=reset,nth=2 --fault silence=3,every=10
      Fails: the first three calls with 529; or the second breaks off after 5 events, and of
      the others every tenth falls silent after 3.

  tollgate mock --script slow.toml --record calls.jsonl
      Plays a script and keeps what arrives, keys cut to their first 8 characters.

An agent whose user says: run `date` and tell me what it printed
gets its own shell tool called with that command, and then hears what it printed.

Faults: --fault WHAT[,WHICH…], the first match wins. A streamed answer is counted in events, a
JSON answer in halves.
  what    status=CODE [retry-after=S, message=TEXT, body=TEXT]   a refusal
          reset | close | hang | garbage                         before the response head
          headers-then-reset                                     after it
          cut=N [how=reset|close|clean]                          stops after N events
          error=N [code=CODE, message=TEXT]                      an error after N events
          silence=N                                              nothing more after N events
          pause=N [ms=MS]                                        nothing for a while after N events
          hold                                                   complete, but never ends
  which   path=PART, dialect=anthropic|chat|responses|gemini, stream=yes|no, says=PART OF THE BODY,
          skip=N, nth=N, every=N, count=N

While it runs: GET /__stats tells what it has counted; POST /__script plays another script (its
fields, as JSON); POST /__hurry, true or false, leaves all waiting out for a while.";

/// Run a simulated provider: all four dialects, no key, no cost
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES, after_help = "Use --help for examples and the list of faults.")]
pub struct Mock {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9001", value_parser = address)]
    listen: SocketAddr,
    /// A script to play (TOML); the other flags change it
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// What it answers
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// In how many pieces a streamed text comes
    #[arg(long, value_name = "N", value_parser = positive)]
    chunks: Option<NonZeroU32>,
    /// How many bytes a piece has; with --chunks it sets the length of the answer
    #[arg(long, value_name = "BYTES", value_parser = positive)]
    chunk_bytes: Option<NonZeroU32>,
    /// Milliseconds before the response head
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    first_byte_ms: Option<u64>,
    /// Milliseconds between two chunks of a stream
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    gap_ms: Option<u64>,
    /// How a stream is cut into HTTP chunks: per-event, whole, bytes=N, random=SEED
    #[arg(long, value_name = "HOW", value_parser = chunking)]
    chunking: Option<Chunking>,
    /// The model named in answers, instead of the one asked for
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Refuse requests that do not show this key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Never call a tool
    #[arg(long)]
    no_tools: bool,
    /// Something that goes wrong, such as status=529,retry-after=2,count=3; may be repeated
    #[arg(long = "fault", value_name = "WHAT[,WHICH…]")]
    faults: Vec<Fault>,
    /// For load tests: do not read requests, only look for "stream":true; all answers have the same ids
    #[arg(long)]
    skim: bool,
    /// For load tests: threads that answer
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=64))]
    workers: u8,
    /// Append every request to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    leash: Leash,
}

/// Serves until it is told to stop. An error is told on standard error, by the flag that caused it.
#[must_use]
pub fn run(args: Mock) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served =
        runtime.map_err(|error| format!("cannot start: {error}")).and_then(|runtime| runtime.block_on(serve(args)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Mock) -> Result<(), String> {
    args.leash.hold().map_err(|error| format!("cannot start: {error}"))?;
    let listen = args.listen;
    let workers = NonZeroUsize::new(args.workers.into()).unwrap_or(NonZeroUsize::MIN);
    let witness = args.record.as_deref().map(recorder).transpose()?;
    let script = args.script()?;
    let started = Simulator::start_wide(script, listen, witness, workers).await;
    let simulator = started.map_err(|error| {
        let hint =
            if error.kind() == io::ErrorKind::AddrInUse { "; another port, or 0 for any free one, may do" } else { "" };
        format!("--listen {listen}: {error}{hint}")
    })?;
    // Whoever reads this may have gone; that is no reason to stop.
    let _ = writeln!(io::stdout(), "{}", greeting(&simulator.url()));
    stopped().await.map_err(|error| format!("cannot wait for signals: {error}"))
}

impl Mock {
    /// The script file with the flags laid over it.
    fn script(self) -> Result<Script, String> {
        let mut script = self.script.as_deref().map(read).transpose()?.unwrap_or_default();
        script.text = self.text.unwrap_or(script.text);
        script.chunks = self.chunks.or(script.chunks);
        script.chunk_bytes = self.chunk_bytes.or(script.chunk_bytes);
        script.first_byte_ms = self.first_byte_ms.unwrap_or(script.first_byte_ms);
        script.gap_ms = self.gap_ms.unwrap_or(script.gap_ms);
        script.chunking = self.chunking.unwrap_or(script.chunking);
        script.model = self.model.or(script.model);
        script.key = self.key.or(script.key);
        if self.no_tools {
            script.tools = Tools::Ignore;
        }
        if self.skim {
            (script.skim, script.fixed_ids) = (true, true);
        }
        script.faults.extend(self.faults);
        Ok(script)
    }
}

fn read(path: &Path) -> Result<Script, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("--script {}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("--script {}: {error}", path.display()))
}

fn recorder(path: &Path) -> Result<Witness, String> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    let file = Mutex::new(file.map_err(|error| format!("--record {}: {error}", path.display()))?);
    let path = path.to_owned();
    Ok(Box::new(move |request: &Recorded| {
        if let Err(error) = append(&file, request) {
            tracing::warn!(path = %path.display(), %error, "a request was not recorded");
        }
    }))
}

/// In one write, so that lines of several processes do not mix.
fn append(file: &Mutex<File>, request: &Recorded) -> io::Result<()> {
    let line = format!("{}\n", request.redacted());
    file.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write_all(line.as_bytes())
}

fn greeting(url: &str) -> String {
    let hi = r#""messages":[{"role":"user","content":"hi"}]"#;
    format!(
        "A simulated provider answers at {url}, in all four dialects. Try it:

  curl {url}/v1/messages -d '{{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":100,{hi}}}'
  curl -N {url}/v1/chat/completions -d '{{\"model\":\"gpt-5.5\",\"stream\":true,{hi}}}'
  curl {url}/__stats

Stop it with Ctrl-C."
    )
}

async fn stopped() -> io::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminated.recv() => Ok(()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an IP address and a port, such as 127.0.0.1:9001".to_owned())
}

fn positive(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "a whole number from 1 to 4294967295".to_owned())
}

fn milliseconds(text: &str) -> Result<u64, String> {
    const HOUR: u64 = 3_600_000;
    let number = text.parse().ok().filter(|ms| *ms <= HOUR);
    number.ok_or_else(|| "a whole number of milliseconds, up to an hour".to_owned())
}

fn chunking(text: &str) -> Result<Chunking, String> {
    let wrong = || "per-event, whole, bytes=N (from 1) or random=SEED".to_owned();
    match text.split_once('=') {
        None if text == "per-event" => Ok(Chunking::PerEvent),
        None if text == "whole" => Ok(Chunking::Whole),
        Some(("bytes", size)) => size.parse().ok().filter(|size| *size > 0).map(Chunking::Bytes).ok_or_else(wrong),
        Some(("random", seed)) => seed.parse().map(Chunking::Random).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;
    use crate::simulator::Effect;

    fn parse(flags: &str) -> Result<Mock, String> {
        let command = Mock::augment_args(clap::Command::new("mock").no_binary_name(true));
        let matches = command.try_get_matches_from(flags.split_whitespace()).map_err(|error| error.to_string())?;
        Mock::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_it_plays_the_default() {
        let mock = parse("").unwrap();
        assert_eq!(mock.listen, ([127, 0, 0, 1], 9001).into());
        assert_eq!(mock.script().unwrap(), Script::default());
    }

    #[test]
    fn flags_are_laid_over_the_script() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "text = 'hi'\nchunks = 3\nmodel = 'a'\n[[faults]]\neffect = 'reset'").unwrap();
        let flags = "--chunks 5 --chunk-bytes 7 --first-byte-ms 1 --gap-ms 2 --chunking bytes=9 --model b --key k \
                     --no-tools --fault hold,count=1 --fault status=500 --script";
        let script = parse(&format!("{flags} {}", file.path().display())).unwrap().script().unwrap();
        let want = Script {
            text: "hi".into(),
            chunks: NonZeroU32::new(5),
            chunk_bytes: NonZeroU32::new(7),
            first_byte_ms: 1,
            gap_ms: 2,
            chunking: Chunking::Bytes(9),
            model: Some("b".into()),
            key: Some("k".into()),
            tools: Tools::Ignore,
            faults: vec![
                Fault::always(Effect::Reset),
                Fault::first(1, Effect::Hold),
                Fault::always(Effect::status(500)),
            ],
            ..Script::default()
        };
        assert_eq!(script, want);
    }

    #[track_caller]
    fn refused(flags: &str, flag: &str, takes: &str) {
        let error = parse(flags).and_then(Mock::script).unwrap_err();
        assert!(error.contains(flag) && error.contains(takes), "{flags}: {error}");
    }

    #[test]
    fn a_bad_flag_is_named_with_what_it_takes() {
        refused("--listen here", "--listen", "127.0.0.1:9001");
        refused("--chunks 0", "--chunks", "from 1");
        refused("--chunk-bytes -1", "-1", "--");
        refused("--chunk-bytes x", "--chunk-bytes", "from 1");
        refused("--gap-ms 1s", "--gap-ms", "milliseconds");
        refused("--first-byte-ms 99999999", "--first-byte-ms", "up to an hour");
        refused("--chunking bytes=0", "--chunking", "bytes=N");
        refused("--chunking sideways", "--chunking", "per-event");
        refused("--fault explode", "--fault", "status=CODE");
        refused("--fault cut=5,how=softly", "--fault", "reset, close or clean");
        refused("--script /nowhere.toml", "--script /nowhere.toml", "No such file");
    }

    #[test]
    fn a_bad_script_is_shown_with_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "text = 'hi'\nchunk = 3\n").unwrap();
        refused(&format!("--script {}", file.path().display()), "line 2", "chunk_bytes");
    }
}
