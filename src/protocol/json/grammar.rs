//! The states of RFC 8259's grammar, and the way through those that compact JSON seldom meets: layout, numbers, literals,
//! empty objects and arrays, watched keys, and every fault.
//!
//! Invariant: each call goes on by at least one byte, or fails; strings are never entered here.

use super::{Root, Scanner, Want, Watch};
use crate::error::BodyError;

/// Where in the grammar the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Before the object.
    Root,
    /// Before a value.
    Value,
    /// The same, or the end of an empty array.
    ValueOrEnd,
    /// Before a key.
    Key,
    /// The same, or the end of an empty object.
    KeyOrEnd,
    /// Behind a key.
    Colon,
    /// Before a value that the watch wants.
    Wanted,
    /// Behind a value.
    Next,
    /// Inside a key.
    KeyText,
    /// Inside a string.
    ValueText,
    /// Inside `true`, `false` or `null`.
    Literal,
    /// Behind the `-` of a number (section 6).
    Minus,
    /// Behind a leading zero.
    Zero,
    /// Behind a digit in front of the point.
    Int,
    /// Behind the point.
    Point,
    /// Behind a digit behind the point.
    Fraction,
    /// Behind the `e`.
    Exponent,
    /// Behind its sign.
    ExponentSign,
    /// Behind one of its digits.
    ExponentDigit,
    /// Behind the object.
    End,
}

impl Scanner {
    /// Reads on until the fast road goes on, or the frame ends; returns the state and the place there.
    #[inline(never)]
    pub(super) fn detour<W: Watch>(
        &mut self,
        mut state: State,
        frame: &[u8],
        mut i: usize,
        watch: &mut W,
    ) -> Result<(State, usize), BodyError> {
        while let Some(&byte) = frame.get(i) {
            if byte <= b' ' && matches!(byte, b' ' | b'\n' | b'\r' | b'\t') && may_stand_before(state) {
                i += 1;
                continue;
            }
            match state {
                State::KeyText | State::ValueText => break,
                State::Root => {
                    match (byte, self.root) {
                        (b'{', _) => state = State::KeyOrEnd,
                        (b'[', Root::ObjectOrArray) => {
                            self.top = 2;
                            self.watched = 2;
                            state = State::ValueOrEnd;
                        }
                        _ => return Err(self.broken("a JSON object", i)),
                    }
                    self.open(byte == b'{')?;
                }
                State::Key | State::KeyOrEnd => match byte {
                    b'"' => state = State::KeyText,
                    b'}' if state == State::KeyOrEnd => state = self.close(byte, frame, i + 1, watch)?,
                    _ => return Err(self.broken("a key in quotes", i)),
                },
                State::Colon if byte == b':' => {
                    // Inside a captured value its own keys come here too, and must not start it anew.
                    let wanted = self.start.is_none() && matches!(self.want, Want::Value { .. });
                    state = if wanted { State::Wanted } else { State::Value };
                }
                State::Colon => return Err(self.broken("`:`", i)),
                State::Wanted => {
                    self.start = Some(self.offset + i);
                    state = State::Value;
                    continue;
                }
                State::Value | State::ValueOrEnd => match byte {
                    b']' if state == State::ValueOrEnd => state = self.close(byte, frame, i + 1, watch)?,
                    _ => {
                        state = self.value(byte, i)?;
                        // A literal that lies whole in the frame is taken at once, its last byte below.
                        if state == State::Literal
                            && frame.get(i + 1..).is_some_and(|rest| rest.starts_with(self.literal))
                        {
                            i += self.literal.len() - 1;
                            self.literal = &self.literal[self.literal.len() - 1..];
                        }
                    }
                },
                State::Next => match byte {
                    b',' => state = if self.in_object { State::Key } else { State::Value },
                    b'}' | b']' => state = self.close(byte, frame, i + 1, watch)?,
                    _ => return Err(self.broken("`,` or the end of an object or array", i)),
                },
                State::Literal => {
                    self.literal = match self.literal.split_first() {
                        Some((want, rest)) if *want == byte => rest,
                        _ => return Err(self.broken("`true`, `false` or `null`", i)),
                    };
                    if self.literal.is_empty() {
                        state = State::Next;
                        if self.depth <= self.watched {
                            self.ended(frame, i + 1, watch)?;
                        }
                    }
                }
                State::End => return Err(self.broken("nothing more after the JSON object", i)),
                number => match behind(number, byte) {
                    Some(next) => state = next,
                    None if may_end(number) => {
                        state = State::Next;
                        if self.depth <= self.watched {
                            self.ended(frame, i, watch)?;
                        }
                        continue;
                    }
                    None => return Err(self.broken("a digit", i)),
                },
            }
            i += 1;
        }
        Ok((state, i))
    }

    /// The state behind the first byte of a value.
    #[inline]
    fn value(&mut self, byte: u8, at: usize) -> Result<State, BodyError> {
        Ok(match byte {
            b'"' => State::ValueText,
            b'{' => {
                self.open(true)?;
                State::KeyOrEnd
            }
            b'[' => {
                self.open(false)?;
                State::ValueOrEnd
            }
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Int,
            b't' => self.spell(b"rue"),
            b'f' => self.spell(b"alse"),
            b'n' => self.spell(b"ull"),
            _ => return Err(self.broken("a value", at)),
        })
    }

    fn spell(&mut self, rest: &'static [u8]) -> State {
        self.literal = rest;
        State::Literal
    }
}

/// Whether layout may stand here (section 2: around the six structural characters).
fn may_stand_before(state: State) -> bool {
    matches!(
        state,
        State::Root
            | State::Value
            | State::ValueOrEnd
            | State::Key
            | State::KeyOrEnd
            | State::Colon
            | State::Wanted
            | State::Next
            | State::End
    )
}

/// The state behind one more byte of a number; `None` when it does not belong to it.
fn behind(number: State, byte: u8) -> Option<State> {
    let digit = byte.is_ascii_digit();
    match number {
        State::Minus if byte == b'0' => Some(State::Zero),
        State::Minus | State::Int if digit => Some(State::Int),
        State::Zero | State::Int if byte == b'.' => Some(State::Point),
        State::Zero | State::Int | State::Fraction if byte | 0x20 == b'e' => Some(State::Exponent),
        State::Point | State::Fraction if digit => Some(State::Fraction),
        State::Exponent if byte == b'+' || byte == b'-' => Some(State::ExponentSign),
        State::Exponent | State::ExponentSign | State::ExponentDigit if digit => Some(State::ExponentDigit),
        _ => None,
    }
}

fn may_end(number: State) -> bool {
    matches!(number, State::Zero | State::Int | State::Fraction | State::ExponentDigit)
}
