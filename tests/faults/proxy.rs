//! A TCP proxy that stands between the gateway and a provider and does harm, by a script with a seed.
//!
//! It knows of HTTP only this: bytes from the gateway after an answer begin a request, bytes from the provider after a request
//! begin an answer. So its faults hit one answer each, also on connections that are used again. For other tests:
//! `mod proxy;` and `mod client;` by path, then [`Proxy::start`] with the provider's address and a [`Play`]; the gateway's `base_url` is the
//! proxy's [`address`](Proxy::address). The same seed throws the same dice, whatever the sockets do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::client;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// FIN.
    Close,
    /// RST, by `SO_LINGER` 0: what was sent may be lost.
    Reset,
}

/// What happens to one request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The connection ends once the request is there; nothing is answered.
    Die(How),
    /// It ends after so many bytes of the answer; an answer that is shorter is left alone.
    Cut { after: usize, how: How },
    /// After so many bytes nothing more comes, and the connection stays.
    Stall { after: usize },
    /// These bytes come instead of an answer, and then the end.
    Instead(Vec<u8>),
    /// These bytes come in front of the answer.
    Before(Vec<u8>),
    /// The byte at this place of the answer is another one.
    Flip { at: usize },
    /// The answer comes in writes of one to so many bytes, each by itself as far as a socket lets them.
    Pieces { most: usize },
    /// The answer comes after a while.
    Delay(Duration),
    /// Whole, but then the idle connection ends after so long.
    Leave { after: Duration, how: How },
    /// These bytes are answered when the first of the request have come, the rest of which is read on or never looked at.
    Early { answer: Vec<u8>, reads_on: bool },
}

/// Chance that can be repeated (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    pub fn how(&mut self) -> How {
        if self.roll().is_multiple_of(2) { How::Close } else { How::Reset }
    }
}

/// The fault for the next request.
pub type Play = Box<dyn FnMut(&mut Dice) -> Fault + Send>;

/// A running proxy. Dropping it ends its accepting, not its connections.
pub struct Proxy {
    pub address: SocketAddr,
    stage: Arc<Stage>,
    accepting: AbortHandle,
}

struct Stage {
    provider: SocketAddr,
    script: Mutex<(Dice, Play)>,
}

impl Proxy {
    /// On any free port, on the current runtime.
    pub fn start(provider: SocketAddr, seed: u64, play: impl FnMut(&mut Dice) -> Fault + Send + 'static) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        // Little room, so that who does not read stops who sends.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1024).unwrap();
        let listener = TcpListener::from_std(socket.into()).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Mutex::new((Dice(seed), Box::new(play) as Play));
        let stage = Arc::new(Stage { provider, script });
        let ours = Arc::clone(&stage);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stage = Arc::clone(&ours);
                tokio::spawn(async move {
                    // Either side may be gone at any moment: that is what all this is about.
                    let _ = pump(stream, &stage).await;
                });
            }
        });
        Self { address, stage, accepting: accepting.abort_handle() }
    }

    /// Another script from the next request on.
    pub fn play(&self, play: impl FnMut(&mut Dice) -> Fault + Send + 'static) {
        self.stage.script.lock().unwrap().1 = Box::new(play);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Stage {
    fn next(&self) -> (Fault, Dice) {
        let (dice, play) = &mut *self.script.lock().unwrap();
        let fault = play(dice);
        (fault, Dice(dice.roll()))
    }
}

fn end(stream: TcpStream, how: How) {
    if how == How::Reset {
        let stream = stream.into_std().unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

async fn pump(mut gateway: TcpStream, stage: &Stage) -> std::io::Result<()> {
    gateway.set_nodelay(true)?;
    let mut provider = TcpStream::connect(stage.provider).await?;
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let (mut asking, mut sent) = (false, 0);
    let (mut fault, mut dice) = (Fault::None, Dice(0));
    // Kept only to know its end.
    let mut answer = Vec::new();
    loop {
        // A provider that leaves an idle connection; else never.
        let leave = match &fault {
            Fault::Leave { after, how } if !asking && client::read(&answer).whole => Some((*after, *how)),
            _ => None,
        };
        tokio::select! {
            read = gateway.read(&mut up) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                if !asking {
                    (asking, sent) = (true, 0);
                    (fault, dice) = stage.next();
                    answer.clear();
                    if let Fault::Early { answer, reads_on } = &fault {
                        gateway.write_all(answer).await?;
                        while *reads_on && gateway.read(&mut up).await? > 0 {}
                        tokio::time::sleep(Duration::from_millis(30)).await;
                        return Ok(());
                    }
                }
                provider.write_all(&up[..read]).await?;
            }
            read = provider.read(&mut down) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                if asking {
                    asking = false;
                    if let Some(how) = opens(&fault, &mut gateway).await? {
                        end(gateway, how);
                        return Ok(());
                    }
                }
                if matches!(fault, Fault::Leave { .. }) {
                    answer.extend_from_slice(&down[..read]);
                }
                if let Some(how) = passes(&fault, &mut gateway, &mut down[..read], sent, &mut dice).await? {
                    end(gateway, how);
                    return Ok(());
                }
                sent += read;
            }
            how = leaves(leave) => {
                end(gateway, how);
                return Ok(());
            }
        }
    }
}

/// What happens at the beginning of an answer; how the connection ends there, if it does.
async fn opens(fault: &Fault, gateway: &mut TcpStream) -> std::io::Result<Option<How>> {
    match fault {
        Fault::Die(how) => return Ok(Some(*how)),
        Fault::Instead(bytes) => {
            gateway.write_all(bytes).await?;
            return Ok(Some(How::Close));
        }
        Fault::Before(bytes) => gateway.write_all(bytes).await?,
        Fault::Delay(time) => tokio::time::sleep(*time).await,
        _ => {}
    }
    Ok(None)
}

/// What happens to a part of an answer, of which so much has been sent; how the connection ends behind it, if it does.
async fn passes(
    fault: &Fault,
    gateway: &mut TcpStream,
    bytes: &mut [u8],
    sent: usize,
    dice: &mut Dice,
) -> std::io::Result<Option<How>> {
    match fault {
        Fault::Cut { after, how } => {
            let part = &bytes[..bytes.len().min(after - sent)];
            gateway.write_all(part).await?;
            return Ok((sent + part.len() == *after).then_some(*how));
        }
        Fault::Stall { after } => gateway.write_all(&bytes[..bytes.len().min(after.saturating_sub(sent))]).await?,
        Fault::Flip { at } => {
            if let Some(byte) = at.checked_sub(sent).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << dice.below(8);
            }
            gateway.write_all(bytes).await?;
        }
        Fault::Pieces { most } => in_pieces(gateway, bytes, *most, dice).await?,
        _ => gateway.write_all(bytes).await?,
    }
    Ok(None)
}

/// A provider leaves when it wants to, or never.
async fn leaves(leave: Option<(Duration, How)>) -> How {
    let Some((after, how)) = leave else { return std::future::pending().await };
    tokio::time::sleep(after).await;
    how
}

async fn in_pieces(gateway: &mut TcpStream, mut bytes: &[u8], most: usize, dice: &mut Dice) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at((1 + dice.below(most)).min(bytes.len()));
        gateway.write_all(piece).await?;
        bytes = rest;
        // With no delay set, a write is a segment; the other process may now read it.
        tokio::task::yield_now().await;
    }
    Ok(())
}
