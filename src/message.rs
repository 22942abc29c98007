//! The head of an HTTP message, whatever carries it: its header fields (RFC 9110 section 5), and a response around them.
//!
//! All fields of a message lie in one text, as HTTP/1.1 writes them, and a list says where each is. What passes the gateway
//! is copied twice, as a whole, and a look at a field is a look at a number: a map of shared strings costs several times
//! as much. Invariant: a name is a token in lower case, and a value holds no control character, so no field can become two.

use std::fmt;
use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The name of a field that we look for.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    text: &'static str,
    hash: u32,
}

impl Name {
    /// In lower case.
    ///
    /// # Panics
    /// Where it is no token in lower case, which the compiler finds out in a constant.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        assert!(!text.is_empty(), "a name has at least one byte");
        let Token { length, hash, capitals } = by_byte(text.as_bytes());
        assert!(length == text.len() && !capitals, "a name is a token in lower case");
        Self { text, hash }
    }

    /// Whether this is it: a [`token`] in any case, and its hash.
    #[must_use]
    pub fn is(self, token: &[u8], hash: u32) -> bool {
        self.hash == hash && token.eq_ignore_ascii_case(self.text.as_bytes())
    }

    /// As it is written.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.text
    }
}

/// Names that more than one part of the house looks for.
pub mod name {
    use super::Name;

    /// Whom the request is for.
    pub const HOST: Name = Name::new("host");
    /// How many bytes the body has.
    pub const CONTENT_LENGTH: Name = Name::new("content-length");
    /// How the body is framed.
    pub const TRANSFER_ENCODING: Name = Name::new("transfer-encoding");
    /// What becomes of the connection.
    pub const CONNECTION: Name = Name::new("connection");
    /// What the body is.
    pub const CONTENT_TYPE: Name = Name::new("content-type");
    /// How it is compressed.
    pub const CONTENT_ENCODING: Name = Name::new("content-encoding");
    /// Our id of the request, which the logs have too.
    pub const TOLLGATE_REQUEST_ID: Name = Name::new("x-tollgate-request-id");
}

/// What a hash begins with: the basis of FNV-1a, whose way this is, but eight bytes at a time.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// Takes in up to eight bytes in lower case; those that are not there are zero.
const fn step(hash: u64, eight: u64) -> u64 {
    (hash ^ eight).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// The half of it that is kept.
#[expect(clippy::cast_possible_truncation, reason = "half of it is enough")]
const fn half(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

/// What a byte of a token is in lower case; 0 for one that may not be in a token (RFC 9110 section 5.6.2).
const LOWER: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphanumeric()
            || matches!(b, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        {
            table[byte] = b.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

/// A token, as a name of a field is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Bytes of it.
    pub length: usize,
    /// Of its lower case.
    pub hash: u32,
    /// It has capitals.
    pub capitals: bool,
}

/// The token at the beginning of `bytes`, which may be empty.
#[must_use]
pub fn token(bytes: &[u8]) -> Token {
    let (mut length, mut hash, mut capitals) = (0, BASIS, 0);
    loop {
        let rest = bytes.get(length..).unwrap_or_default();
        let word = match rest.first_chunk::<8>() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => {
                let mut eight = [0; 8];
                eight[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(eight)
            }
        };
        let Usual { all, upper } = usual(word);
        let others = all ^ HIGH;
        let inside = others.trailing_zeros() as usize / 8;
        // A byte that names seldom have.
        if inside < 8
            && let Some(&byte) = rest.get(inside)
            && LOWER[usize::from(byte)] != 0
        {
            return by_byte(bytes);
        }
        length += inside;
        let before = if inside < 8 { (1 << (8 * inside)) - 1 } else { u64::MAX };
        let upper = upper & before;
        capitals |= upper;
        if inside > 0 {
            hash = step(hash, (word | (upper >> 2)) & before);
        }
        if inside < 8 {
            return Token { length, hash: half(hash), capitals: capitals != 0 };
        }
    }
}

/// The same, slowly, for any token.
const fn by_byte(bytes: &[u8]) -> Token {
    let (mut length, mut hash, mut eight, mut changed) = (0, BASIS, 0, 0);
    while length < bytes.len() {
        let byte = bytes[length];
        let lower = LOWER[byte as usize];
        if lower == 0 {
            break;
        }
        eight |= (lower as u64) << (length % 8 * 8);
        changed |= byte ^ lower;
        length += 1;
        if length.is_multiple_of(8) {
            hash = step(hash, eight);
            eight = 0;
        }
    }
    if !length.is_multiple_of(8) {
        hash = step(hash, eight);
    }
    Token { length, hash: half(hash), capitals: changed != 0 }
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Which of eight bytes names usually have: letters, digits, hyphens; and which of those are capitals. A mark is the highest
/// bit of its byte.
struct Usual {
    all: u64,
    upper: u64,
}

const fn usual(word: u64) -> Usual {
    // No sum here carries into the next byte: neither side is beyond 0x7f.
    const fn at_least(seven: u64, byte: u8) -> u64 {
        seven + ONES * (0x80 - byte as u64)
    }
    let seven = word & !HIGH;
    let folded = seven | (ONES * 0x20);
    let letters = at_least(folded, b'a') & !at_least(folded, b'z' + 1);
    let digits = at_least(seven, b'0') & !at_least(seven, b'9' + 1);
    let hyphens = !((seven ^ (ONES * b'-' as u64)) + !HIGH);
    let all = (letters | digits | hyphens) & !word & HIGH;
    Usual { all, upper: letters & !(seven << 2) & !word & HIGH }
}

/// How many bytes at the beginning may be in a value: all but control characters; of those, only the tab (RFC 9110 section
/// 5.5).
#[must_use]
pub fn value_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += eights(&bytes[at..]);
        match bytes.get(at) {
            Some(b'\t' | b' '..=b'~' | 0x80..) => at += 1,
            _ => return at,
        }
    }
}

/// The same eight bytes at a time, up to the first that is a control character, tabs too.
fn eights(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // Below 0x20, or 0x7f. A borrow can only mark a byte behind one that is marked rightly, and the first one counts.
        let low = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let del = word ^ (ONES * 0x7f);
        let found = low | (del.wrapping_sub(ONES) & !del & HIGH);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

/// Where a field is in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    /// Of the name.
    pub(crate) hash: u32,
    /// Where it begins, and how many bytes its name has.
    pub(crate) at: u32,
    pub(crate) name: u32,
    /// Where its value begins, and how many bytes that has.
    pub(crate) value_at: u32,
    pub(crate) value: u32,
    /// It stands there just as we would write it.
    pub(crate) plain: bool,
    /// The name has capitals.
    pub(crate) capitals: bool,
}

/// Room for what is added to a head that has come: to grow costs more.
const SPARE: usize = 64;

/// What stands between name and value, and behind it.
const COLON: &[u8] = b": ";
const END: &[u8] = b"\r\n";

impl Line {
    fn name(self) -> Range<usize> {
        self.at as usize..self.at as usize + self.name as usize
    }

    fn value(self) -> Range<usize> {
        self.value_at as usize..self.value_at as usize + self.value as usize
    }
}

/// The fields of a message, in the order in which they came.
#[derive(Clone, Default)]
pub struct Fields {
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// One of them.
#[derive(Clone, Copy)]
pub struct Field<'f> {
    /// A token in lower case.
    pub name: &'f [u8],
    /// Without blanks around it.
    pub value: &'f [u8],
    hash: u32,
}

impl Field<'_> {
    /// Whether this is its name.
    #[must_use]
    pub fn is(&self, name: Name) -> bool {
        self.hash == name.hash && self.name == name.text.as_bytes()
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.name))
    }
}

/// Names only: a value may be a key.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Fields {
    /// With room for so many fields of so many bytes in all.
    #[must_use]
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), lines: Vec::with_capacity(fields) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// All values of a name.
    pub fn all(&self, name: Name) -> impl DoubleEndedIterator<Item = &[u8]> {
        let alike = self.lines.iter().filter(move |line| line.hash == name.hash);
        alike.map(|&line| self.field(line)).filter(move |field| field.is(name)).map(|field| field.value)
    }

    /// Whether there is one of this name.
    #[must_use]
    pub fn contains(&self, name: Name) -> bool {
        self.get(name).is_some()
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> {
        self.lines.iter().map(|&line| self.field(line))
    }

    fn field(&self, line: Line) -> Field<'_> {
        let name = self.text.get(line.name()).unwrap_or_default();
        let value = self.text.get(line.value()).unwrap_or_default();
        Field { name, value, hash: line.hash }
    }

    /// Adds a field. One whose name is no token or whose value holds a control character is none, and is left out.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let token = token(name.as_bytes());
        if token.length == name.len() && !name.is_empty() {
            self.append(name, token, value);
        }
    }

    /// Adds a field of a name that we know. One whose value holds a control character is none, and is left out.
    pub fn add(&mut self, name: Name, value: &[u8]) {
        self.append(name.text, Token { length: name.text.len(), hash: name.hash, capitals: false }, value);
    }

    fn append(&mut self, name: &str, token: Token, value: &[u8]) {
        if value_len(value) != value.len() {
            return;
        }
        // A text beyond four gigabytes is no message that anybody lets in.
        let (Ok(at), Ok(name_len), Ok(value_len)) =
            (u32::try_from(self.text.len()), u32::try_from(token.length), u32::try_from(value.len()))
        else {
            return;
        };
        self.text.reserve(name.len() + value.len() + COLON.len() + END.len());
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(COLON);
        self.text.extend_from_slice(value);
        self.text.extend_from_slice(END);
        let line = Line {
            hash: token.hash,
            at,
            name: name_len,
            value_at: at.saturating_add(name_len).saturating_add(2),
            value: value_len,
            plain: true,
            capitals: token.capitals,
        };
        if token.capitals
            && let Some(name) = self.text.get_mut(line.name())
        {
            name.make_ascii_lowercase();
        }
        self.lines.push(line);
    }

    /// Lines as they came, which have been looked at: each name is a [`token`] with its hash, each value as [`value_len`]
    /// allows it.
    pub(crate) fn copied(came: &[u8], lines: Vec<Line>) -> Self {
        let mut text = Vec::with_capacity(came.len() + SPARE);
        text.extend_from_slice(came);
        for line in lines.iter().filter(|line| line.capitals) {
            if let Some(name) = text.get_mut(line.name()) {
                name.make_ascii_lowercase();
            }
        }
        Self { text, lines }
    }

    /// Keeps only those that are wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(Field<'_>) -> bool) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|&line| wanted(self.field(line)));
        self.lines = lines;
    }

    /// Takes all of a name out.
    pub fn remove(&mut self, name: Name) {
        if self.contains(name) {
            self.retain(|field| !field.is(name));
        }
    }

    /// As many bytes as [`write`](Self::write) may write.
    #[must_use]
    pub fn written_len(&self) -> usize {
        self.lines.iter().map(|line| line.name as usize + line.value as usize + COLON.len() + END.len()).sum()
    }

    /// Writes those that are wanted as lines of HTTP/1.1 (RFC 9112 section 5).
    pub fn write(&self, out: &mut Vec<u8>, mut wanted: impl FnMut(Field<'_>) -> bool) {
        // Neighbours that stand there as they are to be written go out together.
        let mut run = 0..0;
        let text = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        for &line in &self.lines {
            if !wanted(self.field(line)) {
                continue;
            }
            if line.plain && line.at as usize == run.end {
                run.end = line.value().end + END.len();
                continue;
            }
            out.extend_from_slice(text(std::mem::replace(&mut run, 0..0)));
            if line.plain {
                run = line.at as usize..line.value().end + END.len();
            } else {
                for part in [text(line.name()), COLON, text(line.value()), END] {
                    out.extend_from_slice(part);
                }
            }
        }
        out.extend_from_slice(text(run));
    }

    /// Those that are wanted, as other libraries want them.
    pub fn to_map(&self, mut wanted: impl FnMut(Field<'_>) -> bool) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for field in self.iter() {
            if wanted(field)
                && let Ok(name) = HeaderName::from_bytes(field.name)
                && let Ok(value) = HeaderValue::from_bytes(field.value)
            {
                map.append(name, value);
            }
        }
        map
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let bytes = map.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let mut fields = Self::with_capacity(map.len(), bytes);
        for (name, value) in map {
            fields.push(name.as_str(), value.as_bytes());
        }
        fields
    }
}

/// An answer, of ours or of a provider.
#[derive(Debug)]
pub struct Response<B> {
    /// The status.
    pub status: StatusCode,
    /// The header fields. Those that frame the body mean nothing here: whoever sends it frames it anew.
    pub fields: Fields,
    /// The body.
    pub body: B,
}

impl<B> Response<B> {
    /// 200, without any field.
    pub fn new(body: B) -> Self {
        Self { status: StatusCode::OK, fields: Fields::default(), body }
    }

    /// With another body.
    pub fn map<C>(self, change: impl FnOnce(B) -> C) -> Response<C> {
        Response { status: self.status, fields: self.fields, body: change(self.body) }
    }
}

#[cfg(test)]
mod tests;
