//! One client's connection: sends a request, reads the answer, tells the times. Raw HTTP/1.1, because a client library would
//! cost more than what is measured.
//!
//! Invariant: one request at a time; after anything but a good, whole answer the connection is not used again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answer::{Answer, Expected, fault_of};
use super::tally::{Fault, Tally};

const BUFFER: usize = 16 * 1024;

/// A connection that is opened when it is needed.
pub struct Connection {
    to: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Box<[u8]>,
    /// Whether each request has a connection of its own.
    fresh: bool,
}

/// What is sent, and what should come.
pub struct Exchange<'a> {
    /// The whole request.
    pub request: &'a [u8],
    /// The answer.
    pub expected: &'a Expected,
    /// Whether the answer is a stream, whose gaps count.
    pub stream: bool,
    /// When it was due.
    pub due: Instant,
    /// Whether it was due in the measured time; if not, it only warms up.
    pub measured: bool,
    /// Between these, gaps of a stream count.
    pub gaps: Option<(Instant, Instant)>,
    /// Where its bytes are counted while they wait for an answer.
    pub in_flight: &'a InFlight,
}

/// Bytes of requests that were sent and not answered yet.
#[derive(Debug, Default)]
pub struct InFlight {
    now: AtomicU64,
    most: AtomicU64,
}

/// A request's part of them.
struct Waiting<'a>(&'a InFlight, u64);

impl InFlight {
    /// Most at one time.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }

    fn add(&self, bytes: usize) -> Waiting<'_> {
        let now = self.now.fetch_add(bytes as u64, Relaxed) + bytes as u64;
        self.most.fetch_max(now, Relaxed);
        Waiting(self, bytes as u64)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(self.1, Relaxed);
    }
}

/// When things happened to one answer.
struct Moments {
    sent: Instant,
    first: Option<Instant>,
    last: Instant,
    answer: Answer,
}

impl Connection {
    /// Not open yet.
    #[must_use]
    pub fn new(to: SocketAddr, fresh: bool) -> Self {
        Self { to, stream: None, buffer: vec![0; BUFFER].into(), fresh }
    }

    /// Opens it, if it is not.
    ///
    /// # Errors
    /// Nobody accepts.
    pub async fn open(&mut self, tally: &RefCell<Tally>) -> Result<(), Fault> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.to).await.map_err(|error| fault_of(&error))?;
            stream.set_nodelay(true).map_err(|error| fault_of(&error))?;
            tally.borrow_mut().connects += 1;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Sends one request, reads its answer, counts both. Says whether it went well.
    pub async fn exchange(&mut self, exchange: Exchange<'_>, tally: &RefCell<Tally>) -> bool {
        let done = self.converse(&exchange, Answer::new(false), tally).await;
        let mut tally = tally.borrow_mut();
        let good = done.and_then(|moments| moments.answer.check(exchange.expected).map(|()| moments));
        match good {
            Ok(moments) => {
                if self.fresh || moments.answer.closes() {
                    self.stream = None;
                }
                tally.good += 1;
                tally.bytes += moments.answer.content().length;
                tally.events += if exchange.stream { moments.answer.content().events } else { 0 };
                if exchange.measured {
                    tally.latency.add(moments.last - exchange.due);
                    tally.service.add(moments.last - moments.sent);
                    tally.first_byte.add(moments.first.unwrap_or(moments.last) - exchange.due);
                }
                true
            }
            Err(fault) => {
                self.stream = None;
                tally.fault(fault, 1);
                false
            }
        }
    }

    /// One request outside any measurement: status and body.
    ///
    /// # Errors
    /// There is no whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>), Fault> {
        let exchange = Exchange {
            request,
            expected: &Expected::EndsWith(&[]),
            stream: false,
            due: Instant::now(),
            measured: false,
            gaps: None,
            in_flight: &InFlight::default(),
        };
        let done = self.converse(&exchange, Answer::new(true), &RefCell::default()).await;
        self.stream = None;
        done.map(|moments| moments.answer.into_parts())
    }

    async fn converse(
        &mut self,
        exchange: &Exchange<'_>,
        mut answer: Answer,
        tally: &RefCell<Tally>,
    ) -> Result<Moments, Fault> {
        self.open(tally).await?;
        let Some(stream) = &mut self.stream else { return Err(Fault::Socket) };
        let sent = Instant::now();
        // Who refuses early may have closed; his answer may still be there.
        let written = stream.write_all(exchange.request).await;
        let mut waiting = Some(exchange.in_flight.add(exchange.request.len()));
        let mut first = None;
        let mut last = sent;
        loop {
            let count = match stream.read(&mut self.buffer).await {
                Ok(0) if answer.closed() => return Ok(Moments { sent, first, last, answer }),
                Ok(0) => return Err(Fault::Closed),
                Ok(count) => count,
                Err(error) => return Err(fault_of(written.as_ref().err().unwrap_or(&error))),
            };
            let now = Instant::now();
            waiting.take();
            let before = answer.content().length;
            let done = answer.read(&self.buffer[..count])?;
            if answer.content().length > before {
                let counts = exchange.gaps.is_some_and(|(from, until)| (from..until).contains(&now));
                if first.is_some() && exchange.stream && counts {
                    tally.borrow_mut().gap.add_finely(now - last);
                }
                first = first.or(Some(now));
                last = now;
            }
            if done {
                return Ok(Moments { sent, first, last: now, answer });
            }
        }
    }
}
