//! JSON values that never fail to be read: what is of another type counts as absent.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};

/// A number of tokens. Negative is zero, a fraction is dropped, too large saturates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count(pub Option<u64>);

impl Count {
    /// Absent is zero.
    pub fn or_zero(self) -> u64 {
        self.0.unwrap_or(0)
    }

    /// Uses of a tool; absent is none.
    pub fn uses(self) -> u32 {
        u32::try_from(self.or_zero()).unwrap_or(u32::MAX)
    }

    /// Replaced by what is there.
    pub fn update(&mut self, later: Self) {
        self.0 = later.0.or(self.0);
    }
}

/// A word of a closed set; an empty one says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Word<T>(pub Option<T>);

impl<T: Copy> Word<T> {
    /// Replaced by what is there.
    pub fn update(&mut self, later: Self) {
        self.0 = later.0.or(self.0);
    }
}

/// Of Gemini's lists of counts by modality, what has a price of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Modalities {
    pub audio: u64,
    pub image: u64,
}

/// An object; anything else is an empty one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient::<Self>(PhantomData))
    }
}

impl<'de, T: for<'a> From<&'a str>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient::<Self>(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Modalities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient::<Self>(PhantomData))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Lenient::<Self>(PhantomData))
    }
}

/// What becomes of the kinds of value that somebody wants; the default is absence.
trait Read<'de>: Sized {
    fn absent() -> Self;
    fn number(_: u64) -> Self {
        Self::absent()
    }
    fn text(_: &str) -> Self {
        Self::absent()
    }
    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::absent())
    }
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::absent())
    }
}

impl Read<'_> for Count {
    fn absent() -> Self {
        Self(None)
    }

    fn number(n: u64) -> Self {
        Self(Some(n))
    }
}

impl<'de, T: Deserialize<'de> + Default> Read<'de> for Object<T> {
    fn absent() -> Self {
        Self(T::default())
    }

    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Self)
    }
}

impl<T: for<'a> From<&'a str>> Read<'_> for Word<T> {
    fn absent() -> Self {
        Self(None)
    }

    fn text(text: &str) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl<'de> Read<'de> for Modalities {
    fn absent() -> Self {
        Self::default()
    }

    fn seq<A: SeqAccess<'de>>(mut seq: A) -> Result<Self, A::Error> {
        #[derive(Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct OfOne {
            modality: Word<Modality>,
            token_count: Count,
        }
        let mut all = Self::default();
        while let Some(Object(OfOne { modality, token_count })) = seq.next_element()? {
            match modality.0 {
                Some(Modality::Audio) => all.audio = all.audio.saturating_add(token_count.or_zero()),
                Some(Modality::Image) => all.image = all.image.saturating_add(token_count.or_zero()),
                Some(Modality::Other) | None => {}
            }
        }
        Ok(all)
    }
}

#[derive(Clone, Copy, Default)]
enum Modality {
    Audio,
    Image,
    #[default]
    Other,
}

impl From<&str> for Modality {
    fn from(name: &str) -> Self {
        match name {
            "AUDIO" => Self::Audio,
            "IMAGE" => Self::Image,
            _ => Self::Other,
        }
    }
}

struct Lenient<R>(PhantomData<R>);

impl<'de, R: Read<'de>> Visitor<'de> for Lenient<R> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E>(self, n: u64) -> Result<R, E> {
        Ok(R::number(n))
    }

    fn visit_i64<E>(self, n: i64) -> Result<R, E> {
        Ok(R::number(u64::try_from(n).unwrap_or(0)))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, which is what is wanted"
    )]
    fn visit_f64<E>(self, n: f64) -> Result<R, E> {
        Ok(R::number(n as u64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<R, E> {
        Ok(R::absent())
    }

    fn visit_str<E>(self, text: &str) -> Result<R, E> {
        Ok(R::text(text))
    }

    fn visit_unit<E>(self) -> Result<R, E> {
        Ok(R::absent())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<R, A::Error> {
        R::seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R, A::Error> {
        R::map(map)
    }
}
