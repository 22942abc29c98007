//! One frame of a journal file: `length u32, crc32 u32, kind u8, payload`, all little-endian; length and sum are of kind and
//! payload.
//!
//! Pure. Invariant: whatever bytes are decoded, the answer is a frame or none, never a panic, and what was encoded comes
//! back. Payloads of one kind only ever grow at their end: a reader takes what it knows and leaves the rest.

use crate::agent::Agent;
use crate::ledger::name::Name;
use crate::ledger::record::{End, Final, Flags, Intent, Progress, Said};
use crate::money::Pico;
use crate::protocol::Dialect;
use crate::protocol::usage::{Tier, Usage};

/// Length and sum.
pub const HEAD: usize = 8;
/// Longest kind and payload. Ours have less than 1 KiB.
pub const LONGEST: usize = 4096;
/// Of a session and of a user's claim, in bytes.
const SHORT: usize = 64;
/// Of a model's name, in bytes.
const MODEL: usize = 128;
/// Of a name in the configuration, in bytes: `config` allows 128.
const NAME: usize = 1024;

/// A name's number in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Local(pub u32);

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'b> {
    /// From here on, this number stands for this name.
    Name(Local, &'b str),
    /// A call goes to a provider.
    Intent(Intent<'b, Local>),
    /// How it stands.
    Progress(u64, Progress),
    /// One attempt of a call failed; the call goes on.
    Attempt(Final<'b, Local>),
    /// A call is over.
    Final(Final<'b, Local>),
    /// A call never got to a provider after all: it leaves no record.
    Void(u64),
    /// A kind of a later version.
    Unknown(u8),
}

/// Names of the closed sets, numbered like all others.
#[derive(Debug)]
pub struct Sets {
    agents: [Name; Agent::ALL.len()],
    dialects: [Name; Dialect::ALL.len()],
}

impl Default for Sets {
    fn default() -> Self {
        Self {
            agents: Agent::ALL.map(|agent| Name::of(agent.name())),
            dialects: Dialect::ALL.map(|dialect| Name::of(dialect.name())),
        }
    }
}

impl Sets {
    fn agent(&self, said: Said<Agent, Name>) -> Name {
        match said {
            Said::Here(agent) => self.agents.get(agent as usize).copied().unwrap_or_default(),
            Said::Read(name) => name,
        }
    }

    fn dialect(&self, said: Said<Dialect, Name>) -> Name {
        match said {
            Said::Here(dialect) => self.dialects.get(dialect as usize).copied().unwrap_or_default(),
            Said::Read(name) => name,
        }
    }

    /// Every name that the frame of an intent will use.
    pub fn of_intent(&self, intent: &Intent<'_>) -> [Name; 6] {
        let Intent { key, owner, team, organisation, agent, dialect, .. } = *intent;
        [key, owner, team, organisation, self.agent(agent), self.dialect(dialect)]
    }
}

/// Appends a name's frame.
pub fn name(out: &mut Vec<u8>, name: Name, text: &str) {
    framed(out, 1, |out| {
        out.extend_from_slice(&name.number().to_le_bytes());
        out.extend_from_slice(cut(text, NAME).as_bytes());
    });
}

/// Appends an intent's frame.
pub fn intent(out: &mut Vec<u8>, sets: &Sets, intent: &Intent<'_>) {
    framed(out, 2, |out| who(out, sets, intent));
}

/// Appends a progress' frame.
pub fn progress(out: &mut Vec<u8>, call: u64, progress: &Progress) {
    let Progress { cost, input, output } = *progress;
    framed(out, 3, |out| {
        for number in [call, cost.pico(), input, output] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    });
}

/// Appends a failed attempt's frame.
pub fn attempt(out: &mut Vec<u8>, sets: &Sets, record: &Final<'_>) {
    framed(out, 4, |out| whole(out, sets, record));
}

/// Appends a final's frame.
pub fn finish(out: &mut Vec<u8>, sets: &Sets, record: &Final<'_>) {
    framed(out, 5, |out| whole(out, sets, record));
}

/// Appends the frame of a call that came to nothing.
pub fn void(out: &mut Vec<u8>, call: u64) {
    framed(out, 6, |out| out.extend_from_slice(&call.to_le_bytes()));
}

fn framed(out: &mut Vec<u8>, kind: u8, payload: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.push(kind);
    payload(out);
    let Some((head, body)) = out.get_mut(begin..).and_then(|frame| frame.split_first_chunk_mut::<HEAD>()) else {
        return;
    };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32fast::hash(body).to_le_bytes();
    *head = [length[0], length[1], length[2], length[3], sum[0], sum[1], sum[2], sum[3]];
}

fn who(out: &mut Vec<u8>, sets: &Sets, intent: &Intent<'_>) {
    let Intent { call, at, hold, known, session, user, asked, .. } = *intent;
    for number in [call, at, hold.pico(), known.pico()] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for name in sets.of_intent(intent) {
        out.extend_from_slice(&name.number().to_le_bytes());
    }
    text(out, session, SHORT);
    text(out, user, SHORT);
    text(out, asked, MODEL);
}

fn whole(out: &mut Vec<u8>, sets: &Sets, record: &Final<'_>) {
    let Final { ref intent, provider, credential, prices, served, usage, .. } = *record;
    let Final { cost, status, end, attempts, latency, first, flags, .. } = *record;
    who(out, sets, intent);
    for name in [provider, credential, prices] {
        out.extend_from_slice(&name.number().to_le_bytes());
    }
    out.extend_from_slice(&cost.pico().to_le_bytes());
    for number in [status, attempts, flags.0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.push(end as u8);
    for millis in [latency, first.unwrap_or(u32::MAX)] {
        out.extend_from_slice(&millis.to_le_bytes());
    }
    text(out, served, MODEL);
    let counts = counts(&usage);
    // Most calls have nothing of the later kinds.
    let many = counts.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1);
    out.push(many as u8);
    for count in counts.iter().take(many) {
        varint(out, *count);
    }
}

/// Kinds of usage on disk.
const KINDS: usize = 18;

/// In an order that never changes; new kinds are added at the end.
fn counts(usage: &Usage) -> [u64; KINDS] {
    let Usage { input, cache_read, cache_write, cache_write_1h, cache_write_12h, output, reasoning, .. } = *usage;
    let Usage { audio_input, audio_output, image_output, web_search, web_fetch, map_search, file_search, .. } = *usage;
    let Usage { code_execution, image_generation, other_tools, tier, fast, us, .. } = *usage;
    let tier = TIERS.iter().position(|known| *known == tier).unwrap_or(0) as u64;
    let class = tier | u64::from(fast) << 8 | u64::from(us) << 9;
    let [web_search, web_fetch, map_search, file_search] =
        [web_search, web_fetch, map_search, file_search].map(u64::from);
    let [code_execution, image_generation, other_tools] =
        [code_execution, image_generation, other_tools].map(u64::from);
    let tokens = [input, cache_read, cache_write, cache_write_1h, output, reasoning, cache_write_12h];
    let [a, b, c, d, e, f, g] = tokens;
    let [h, i, j] = [audio_input, audio_output, image_output];
    let [k, l, m, n, o, p, q] =
        [web_search, web_fetch, map_search, file_search, code_execution, image_generation, other_tools];
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, class]
}

/// By their numbers on disk.
const TIERS: [Tier; 6] = [Tier::Unsaid, Tier::Standard, Tier::Batch, Tier::Flex, Tier::Priority, Tier::Other];

fn usage(counts: &[u64; KINDS]) -> Usage {
    let [input, cache_read, cache_write, cache_write_1h, output, reasoning, cache_write_12h, sound_in, sound_out, ..] =
        *counts;
    let [.., image_output, k, l, m, n, o, p, q, class] = *counts;
    let [web_search, web_fetch, map_search, file_search, code_execution, image_generation, other_tools] =
        [k, l, m, n, o, p, q].map(|uses| u32::try_from(uses).unwrap_or(u32::MAX));
    Usage {
        input,
        cache_read,
        cache_write,
        cache_write_1h,
        cache_write_12h,
        output,
        reasoning,
        audio_input: sound_in,
        audio_output: sound_out,
        image_output,
        web_search,
        web_fetch,
        map_search,
        file_search,
        code_execution,
        image_generation,
        other_tools,
        tier: TIERS.get((class & 0xff) as usize).copied().unwrap_or(Tier::Other),
        fast: class & 1 << 8 != 0,
        us: class & 1 << 9 != 0,
    }
}

fn text(out: &mut Vec<u8>, text: &str, most: usize) {
    let text = cut(text, most);
    out.push(u8::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

/// As much of it as there is room for, in whole characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Whether a frame's bytes behind its head give a name.
#[must_use]
pub fn is_name(body: &[u8]) -> bool {
    body.first() == Some(&1)
}

/// The call whose intent a frame is, without reading more of it.
#[must_use]
pub fn begins(body: &[u8]) -> Option<u64> {
    let (kind, mut rest) = body.split_first().map(|(kind, rest)| (*kind, Rest(rest)))?;
    if kind == 2 { rest.u64() } else { None }
}

/// What the bytes of a frame behind its head say; `None` where they are of a known kind and not of its form.
pub fn decode(body: &[u8]) -> Option<Frame<'_>> {
    let (kind, mut rest) = body.split_first().map(|(kind, rest)| (*kind, Rest(rest)))?;
    Some(match kind {
        1 => Frame::Name(rest.name()?, std::str::from_utf8(rest.0).ok()?),
        2 => Frame::Intent(rest.who()?),
        3 => {
            let call = rest.u64()?;
            Frame::Progress(call, Progress { cost: rest.money()?, input: rest.u64()?, output: rest.u64()? })
        }
        4 => Frame::Attempt(rest.whole()?),
        5 => Frame::Final(rest.whole()?),
        6 => Frame::Void(rest.u64()?),
        later => Frame::Unknown(later),
    })
}

/// What is still to be decoded.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn money(&mut self) -> Option<Pico> {
        self.u64().map(Pico::new)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn name(&mut self) -> Option<Local> {
        self.u32().map(Local)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    fn who(&mut self) -> Option<Intent<'b, Local>> {
        let (call, at, hold, known) = (self.u64()?, self.u64()?, self.money()?, self.money()?);
        Some(Intent {
            call,
            at,
            hold,
            known,
            key: self.name()?,
            owner: self.name()?,
            team: self.name()?,
            organisation: self.name()?,
            agent: Said::Read(self.name()?),
            dialect: Said::Read(self.name()?),
            session: self.text()?,
            user: self.text()?,
            asked: self.text()?,
        })
    }

    fn whole(&mut self) -> Option<Final<'b, Local>> {
        let intent = self.who()?;
        let (provider, credential, prices) = (self.name()?, self.name()?, self.name()?);
        let cost = self.money()?;
        let (status, attempts, flags) = (self.u16()?, self.u16()?, Flags(self.u16()?));
        let end = End::from_number(self.u8()?)?;
        let (latency, first) = (self.u32()?, Some(self.u32()?).filter(|first| *first != u32::MAX));
        let served = self.text()?;
        let mut counts = [0; KINDS];
        let many = usize::from(self.u8()?);
        for at in 0..many {
            let count = self.varint()?;
            if let Some(place) = counts.get_mut(at) {
                *place = count;
            }
        }
        let usage = usage(&counts);
        Some(Final {
            intent,
            provider,
            credential,
            prices,
            served,
            usage,
            cost,
            status,
            end,
            attempts,
            latency,
            first,
            flags,
        })
    }
}

#[cfg(test)]
mod tests;
