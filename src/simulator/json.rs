//! JSON objects whose fields stand in the order in which they were written, as providers send them.
//!
//! `serde_json`'s own map sorts its keys, and who reads a stream may well depend on `type` coming first.

use serde::Serialize;

/// A JSON value, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Of anything that can be serialised; `null` if it cannot.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::to_string(value).map_or_else(|_| Self::null(), Self)
    }

    /// `null`
    pub fn null() -> Self {
        Self("null".to_owned())
    }

    /// An array.
    pub fn array(items: &[Self]) -> Self {
        let items: Vec<&str> = items.iter().map(Self::as_str).collect();
        Self(format!("[{}]", items.join(",")))
    }

    /// An object from its fields.
    pub fn fields(fields: &[(&str, Self)]) -> Self {
        let mut text = String::from("{");
        for (name, value) in fields {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(Self::of(name).as_str());
            text.push(':');
            text.push_str(value.as_str());
        }
        text.push('}');
        Self(text)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Json> for Json {
    fn from(json: &Json) -> Self {
        json.clone()
    }
}

macro_rules! json_from {
    ($($kind:ty),+) => { $(
        impl From<$kind> for Json {
            fn from(value: $kind) -> Self { Self::of(&value) }
        }
    )+ };
}
json_from!(&str, &String, String, bool, u16, u64, usize, f32, &serde_json::Value);

/// An object: `object! { "type": "ping", "index": 3 }`. A value is anything that becomes a [`Json`].
macro_rules! object {
    ($($name:literal : $value:expr),* $(,)?) => {
        $crate::simulator::json::Json::fields(&[$(($name, $crate::simulator::json::Json::from($value))),*])
    };
}
pub(super) use object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_text_is_escaped() {
        let all = Json::array(&[true.into(), false.into()]);
        let object = object! { "z": "a\"\n", "a": 1u64, "n": Json::null(), "in": object! {}, "all": all };
        assert_eq!(object.as_str(), r#"{"z":"a\"\n","a":1,"n":null,"in":{},"all":[true,false]}"#);
    }
}
