//! The access log: lines of JSON, to standard output or a file.
//!
//! A core appends to a buffer of its own; full buffers, and every 100 ms the others, go to one writer thread, so no request
//! waits for a disk. Invariant: bounded: a writer that cannot keep up makes lines be dropped, and every dropped line is
//! counted (`tollgate_access_log_dropped_total`). A file that was moved away (log rotation) is opened anew within a second.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::metrics::Metrics;
use crate::money::Pico;

/// A buffer goes to the writer at this size.
const BUFFER: usize = 256 * 1024;
/// Buffers that may wait for the writer.
const QUEUE: usize = 16;
/// How often the file's name is compared with the file.
const LOOK: Duration = Duration::from_secs(1);

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// One core's end of the access log.
#[derive(Debug)]
pub struct AccessLog {
    buffer: Option<Mutex<Buffer>>,
    core: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    stamp: Stamp,
    lines: u64,
    writer: SyncSender<Vec<u8>>,
}

/// The thread that writes. Ends when every [`AccessLog`] is gone.
#[derive(Debug)]
pub struct Writer {
    sender: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the destination and starts the thread.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn start(destination: &Destination) -> io::Result<Self> {
        let mut sink = match destination {
            Destination::Off => return Ok(Self { sender: None, thread: None }),
            Destination::Stdout => Sink::Stdout,
            Destination::File(path) => Sink::open(path.clone())?,
        };
        let (sender, receiver) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let thread = thread.spawn(move || sink.drain(&receiver))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// A core's end.
    #[must_use]
    pub fn for_core(&self, core: usize, metrics: &Arc<Metrics>) -> AccessLog {
        let buffer = self.sender.as_ref().map(|writer| {
            Mutex::new(Buffer { bytes: Vec::new(), stamp: Stamp::default(), lines: 0, writer: writer.clone() })
        });
        AccessLog { buffer, core, metrics: Arc::clone(metrics) }
    }

    /// Waits until everything handed over is written. Every [`AccessLog`] must be gone, or this waits for it.
    pub fn finish(mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl AccessLog {
    /// Appends a line, which `write` must end.
    pub fn write(&self, write: impl FnOnce(&mut Vec<u8>, &mut Stamp)) {
        let Some(buffer) = &self.buffer else { return };
        // Uncontended: only this core's thread locks it, and never across an await.
        let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.bytes.capacity() == 0 {
            buffer.bytes.reserve_exact(BUFFER + 4096);
        }
        let Buffer { bytes, stamp, .. } = &mut *buffer;
        write(bytes, stamp);
        buffer.lines += 1;
        if buffer.bytes.len() >= BUFFER {
            self.hand_over(&mut buffer);
        }
    }

    /// Hands over what there is. Called every 100 ms.
    pub fn flush(&self) {
        let Some(buffer) = &self.buffer else { return };
        let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        if !buffer.bytes.is_empty() {
            self.hand_over(&mut buffer);
        }
    }

    fn hand_over(&self, buffer: &mut Buffer) {
        let lines = std::mem::take(&mut buffer.lines);
        let full = std::mem::take(&mut buffer.bytes);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = buffer.writer.try_send(full) {
            self.metrics.core(self.core).log_dropped.fetch_add(lines, Relaxed);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

enum Sink {
    Stdout,
    File { path: PathBuf, file: File, looked: Instant },
}

impl Sink {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        Ok(Self::File { path, file, looked: Instant::now() })
    }

    fn drain(&mut self, receiver: &Receiver<Vec<u8>>) {
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(lines) => {
                    if let Err(error) = self.write(&lines) {
                        tracing::error!(%error, "access log: lines lost");
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().write_all(lines),
            Self::File { path, file, looked } => {
                if looked.elapsed() >= LOOK {
                    *looked = Instant::now();
                    if !same(path, file) {
                        *file = append(path)?;
                    }
                }
                file.write_all(lines)
            }
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Whether the name still leads to the open file.
fn same(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(named), Ok(open)) = (path.metadata(), file.metadata()) else { return false };
    named.dev() == open.dev() && named.ino() == open.ino()
}

/// The name of a field, with all that stands around it, so that it is written at once. Made by [`field!`](crate::field).
#[derive(Debug, Clone, Copy)]
pub struct Field(pub &'static str);

/// The [`Field`](crate::telemetry::access_log::Field) of a name, which must need no escapes.
#[macro_export]
macro_rules! field {
    ($name:literal) => {
        $crate::telemetry::access_log::Field(concat!(",\"", $name, "\":"))
    };
}

/// Texts that many records have alike, written once.
#[derive(Clone, PartialEq, Eq)]
pub struct Written(Box<[u8]>);

impl Written {
    /// Those that are there.
    #[must_use]
    pub fn texts<const N: usize>(fields: [(Field, Option<&str>); N]) -> Self {
        let mut out = Vec::new();
        let mut line = Line { out: &mut out };
        for (name, value) in fields {
            line.maybe(name, value);
        }
        Self(out.into_boxed_slice())
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// One record being written: an object, field by field.
pub struct Line<'b> {
    out: &'b mut Vec<u8>,
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line(…)")
    }
}

impl<'b> Line<'b> {
    /// Begins with `time`, RFC 3339 in UTC with milliseconds.
    #[must_use]
    pub fn begin(out: &'b mut Vec<u8>, stamp: &mut Stamp, since_epoch: Duration) -> Self {
        out.extend_from_slice(b"{\"time\":\"");
        stamp.write(out, since_epoch);
        out.push(b'"');
        Self { out }
    }

    #[inline]
    fn name(&mut self, name: Field) {
        self.out.extend_from_slice(name.0.as_bytes());
    }

    /// A text that needs no escapes: a word of ours, or a token (RFC 9110 section 5.6.2).
    #[inline]
    pub fn word(&mut self, name: Field, value: &str) {
        self.name(name);
        self.plain(value.as_bytes());
    }

    #[inline]
    fn plain(&mut self, value: &[u8]) {
        self.out.reserve(value.len() + 2);
        self.out.push(b'"');
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    /// A text, escaped.
    pub fn text(&mut self, name: Field, value: &str) {
        self.name(name);
        write_string(self.out, value);
    }

    /// A text where there is one; left out otherwise.
    pub fn maybe(&mut self, name: Field, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An address.
    pub fn address(&mut self, name: Field, value: IpAddr) {
        self.name(name);
        self.out.push(b'"');
        match value {
            // By hand: the formatting machinery costs as much as five fields.
            IpAddr::V4(v4) => {
                for (i, part) in v4.octets().into_iter().enumerate() {
                    if i > 0 {
                        self.out.push(b'.');
                    }
                    write_number(self.out, part.into());
                }
            }
            IpAddr::V6(v6) => {
                let _ = write!(self.out, "{v6}");
            }
        }
        self.out.push(b'"');
    }

    /// A number.
    pub fn number(&mut self, name: Field, value: u64) {
        self.name(name);
        write_number(self.out, value);
    }

    /// Dollars, exactly: as many decimals as it has, at most twelve.
    pub fn dollars(&mut self, name: Field, amount: Pico) {
        self.name(name);
        let (whole, rest) = (amount.pico() / Pico::DOLLAR.pico(), amount.pico() % Pico::DOLLAR.pico());
        write_number(self.out, whole);
        if rest == 0 {
            return;
        }
        // By hand, as addresses are.
        let (mut decimals, mut left) = ([b'0'; 12], rest);
        for digit in decimals.iter_mut().rev() {
            *digit += u8::try_from(left % 10).unwrap_or_default();
            left /= 10;
        }
        let length = decimals.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        self.out.push(b'.');
        self.out.extend_from_slice(&decimals[..length]);
    }

    /// True or false.
    pub fn flag(&mut self, name: Field, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Null.
    pub fn null(&mut self, name: Field) {
        self.name(name);
        self.out.extend_from_slice(b"null");
    }

    /// Numbers by name.
    pub fn object(&mut self, name: Field, fields: impl Iterator<Item = (&'static str, u64)>) {
        self.name(name);
        let mut separator = b'{';
        for (field, value) in fields {
            self.out.push(separator);
            separator = b',';
            self.out.push(b'"');
            self.out.extend_from_slice(field.as_bytes());
            self.out.extend_from_slice(b"\":");
            write_number(self.out, value);
        }
        self.out.push(b'}');
    }

    /// Fields that were written before.
    pub fn written(&mut self, fields: &Written) {
        self.out.extend_from_slice(&fields.0);
    }

    /// The end of the record and of its line.
    pub fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

fn write_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A JSON string (RFC 8259 section 7).
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        for byte in text.bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                ..0x20 => {
                    let mut escape = String::new();
                    let _ = write!(escape, "\\u{byte:04x}");
                    out.extend_from_slice(escape.as_bytes());
                }
                _ => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

/// Whether no byte needs an escape. Without an early end, so that it is done sixteen bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    !text.iter().fold(false, |special, b| special | (*b < 0x20) | (*b == b'"') | (*b == b'\\'))
}

/// The time as text. Remembers its last second, for a busy core writes many records in one.
#[derive(Debug, Default)]
pub struct Stamp {
    second: Option<u64>,
    text: [u8; 20],
}

impl Stamp {
    /// `2026-11-24T12:34:56.789Z` (RFC 3339).
    fn write(&mut self, out: &mut Vec<u8>, since_epoch: Duration) {
        let second = since_epoch.as_secs();
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = to_the_second(second);
        }
        out.extend_from_slice(&self.text);
        let millis = since_epoch.subsec_millis();
        let digit = |divisor: u32| b'0' + u8::try_from(millis / divisor % 10).unwrap_or_default();
        out.extend_from_slice(&[digit(100), digit(10), digit(1), b'Z']);
    }
}

/// `2026-11-24T12:34:56.`: the civil date by Howard Hinnant's algorithm for the proleptic Gregorian calendar.
fn to_the_second(seconds: u64) -> [u8; 20] {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut out = [0; 20];
    let mut at = 0;
    for (value, width, end) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (second / 3_600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
    ] {
        for place in (0..width).rev() {
            out[at] = b'0' + u8::try_from(value / 10_u64.pow(place) % 10).unwrap_or_default();
            at += 1;
        }
        out[at] = end;
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn time(seconds: u64, millis: u64, want: &str) {
        let mut out = Vec::new();
        Stamp::default().write(&mut out, Duration::from_millis(seconds * 1_000 + millis));
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn times() {
        time(0, 0, "1970-01-01T00:00:00.000Z");
        time(951_782_399, 999, "2000-02-28T23:59:59.999Z");
        time(951_782_400, 0, "2000-02-29T00:00:00.000Z");
        time(4_107_542_400, 1, "2100-03-01T00:00:00.001Z");
        time(1_795_521_600, 0, "2026-11-24T12:00:00.000Z");
    }

    #[test]
    fn a_line_is_one_json_object_whatever_the_texts() {
        let mut out = Vec::new();
        let mut line = Line::begin(&mut out, &mut Stamp::default(), Duration::ZERO);
        line.text(crate::field!("a"), "quote \" back \\ newline \n tab \t bell \u{7} é");
        line.number(crate::field!("n"), u64::MAX);
        line.null(crate::field!("x"));
        line.flag(crate::field!("f"), true);
        line.dollars(crate::field!("d"), Pico::new(1_000_000));
        line.object(crate::field!("o"), [("p", 0), ("q", 12)].into_iter());
        line.end();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["a"], "quote \" back \\ newline \n tab \t bell \u{7} é");
        assert_eq!(value["n"], u64::MAX);
        assert_eq!(value["d"], 0.000_001);
        assert_eq!(value["o"]["q"], 12);
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
    }

    #[test]
    fn dollars_are_exact() {
        for (pico, want) in [
            (0, "0"),
            (1, "0.000000000001"),
            (1_234_500_000_000, "1.2345"),
            (33_100_000, "0.0000331"),
            (7_000_000_000_000, "7"),
            (u64::MAX, "18446744.073709551615"),
        ] {
            let mut out = Vec::new();
            let mut line = Line::begin(&mut out, &mut Stamp::default(), Duration::ZERO);
            line.dollars(crate::field!("cost"), Pico::new(pico));
            line.end();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.split("\"cost\":").nth(1).unwrap().trim_end(), format!("{want}}}"));
        }
    }

    #[test]
    fn a_moved_file_is_opened_anew_and_nothing_is_lost_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let metrics = Arc::new(Metrics::new(1));
        let writer = Writer::start(&Destination::File(path.clone())).unwrap();
        let log = writer.for_core(0, &metrics);
        log.write(|b, _| b.extend_from_slice(b"one\n"));
        log.flush();
        let written = || std::fs::read_to_string(&path).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(5);
        while written() != "one\n" && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::rename(&path, dir.path().join("access.log.1")).unwrap();
        std::thread::sleep(LOOK);
        log.write(|b, _| b.extend_from_slice(b"two\n"));
        drop(log);
        writer.finish();
        assert_eq!(written(), "two\n");
    }
}
