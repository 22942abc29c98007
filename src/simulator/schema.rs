//! The smallest value that a JSON schema accepts, for requests that demand one.
//!
//! Understands what agents write: local `$ref`s, `const`, `enum`, `anyOf` and its like (the first branch), types in
//! either case (Gemini writes `OBJECT`), lower bounds. It does not prove that the value is valid.

use serde_json::{Map, Value, json};

/// References may be circular.
const MAX_DEPTH: usize = 32;

/// A value for a schema.
pub fn smallest(schema: &Value) -> Value {
    fill(schema, schema, 0)
}

/// A value for a part of a schema, whose references are looked up in the whole.
pub fn smallest_within(part: &Value, whole: &Value) -> Value {
    fill(part, whole, 0)
}

fn fill(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |found| fill(found, root, depth + 1));
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return choose(values);
    }
    for branches in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(branches).and_then(|all| all.get(0)) {
            return fill(first, root, depth + 1);
        }
    }
    match kind(schema).as_str() {
        "array" => array(schema, root, depth),
        "string" => Value::from("x".repeat(bound(schema, "minLength").clamp(1, 64) as usize)),
        "integer" => json!(bound(schema, "minimum").max(1)),
        "number" => json!(schema.get("minimum").and_then(Value::as_f64).unwrap_or(0.5)),
        "boolean" => json!(false),
        "null" => Value::Null,
        _ => object(schema, root, depth),
    }
}

/// Agents ask who speaks next: `user` hands the turn back, where `model` would ask again for ever.
fn choose(values: &[Value]) -> Value {
    let user = values.iter().find(|value| *value == "user");
    user.or_else(|| values.first()).cloned().unwrap_or_default()
}

fn kind(schema: &Value) -> String {
    let kind = schema.get("type");
    let kind = kind.and_then(|kind| kind.get(0)).or(kind);
    kind.and_then(Value::as_str).unwrap_or("object").to_ascii_lowercase()
}

/// Gemini's protobuf JSON writes 64-bit numbers as strings.
fn bound(schema: &Value, name: &str) -> u64 {
    let value = schema.get(name);
    value.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok())).unwrap_or_default()
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let item = schema.get("items").unwrap_or(&Value::Null);
    (0..bound(schema, "minItems").min(16)).map(|_| fill(item, root, depth + 1)).collect()
}

/// Required fields only; all of them where the schema does not say which are.
fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return json!({}) };
    let required = schema.get("required").and_then(Value::as_array);
    let wanted = properties.iter().filter(|(name, _)| required.is_none_or(|r| r.iter().any(|n| n == name.as_str())));
    Value::Object(wanted.map(|(name, part)| (name.clone(), fill(part, root, depth + 1))).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn gives(schema: &Value, want: &Value) {
        assert_eq!(smallest(schema), *want, "{schema}");
    }

    #[test]
    fn the_smallest_value() {
        gives(&json!({"type":"string"}), &json!("x"));
        gives(&json!({"type":"string","minLength":"3"}), &json!("xxx"));
        gives(&json!({"type":["integer","null"],"minimum":7}), &json!(7));
        gives(&json!({"type":"ARRAY","items":{"type":"BOOLEAN"},"minItems":2}), &json!([false, false]));
        gives(&json!({"const":4}), &json!(4));
        gives(&json!({"enum":["model","user"]}), &json!("user"));
        gives(&json!({"anyOf":[{"type":"null"},{"type":"string"}]}), &Value::Null);
        gives(
            &json!({"type":"OBJECT","properties":{"a":{"type":"STRING"},"b":{"type":"INTEGER"}},"required":["b"]}),
            &json!({"b":1}),
        );
        gives(&json!({"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"boolean"}}}), &json!({"a":false}));
        gives(&json!({"type":"object"}), &json!({}));
    }

    #[test]
    fn a_circle_ends() {
        let schema = json!({"properties":{"next":{"$ref":"#"}},"required":["next"]});
        assert!(smallest(&schema).get("next").is_some());
    }
}
