//! Vectors for texts: OpenAI's `…/embeddings` (<https://platform.openai.com/docs/api-reference/embeddings>), Gemini's
//! `:embedContent` and `:batchEmbedContents` (<https://ai.google.dev/api/embeddings>).
//!
//! Invariant: the same text has the same vector, of length 1, in every shape; different texts have different ones. They mean
//! nothing: texts that resemble each other have vectors that do not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::json::{Json, object};
use super::script::Script;

/// Numbers in a vector, where the request does not say how many.
const DIMENSIONS: u64 = 16;
/// Most that are given.
const MAX_DIMENSIONS: u64 = 4096;
/// Most texts of one request, as OpenAI has it.
const MAX_TEXTS: usize = 2048;

/// The answer to `POST …/embeddings`, or what is wrong with the request.
pub fn openai(body: &[u8], script: &Script) -> Result<Json, String> {
    let request = read(body)?;
    let model = request["model"].as_str().filter(|model| !model.is_empty()).ok_or("model: a name is required")?;
    let texts = match &request["input"] {
        Value::String(text) => vec![text.clone()],
        // One text as tokens, or several texts.
        Value::Array(tokens) if tokens.first().is_some_and(Value::is_number) => vec![request["input"].to_string()],
        Value::Array(texts) if !texts.is_empty() => texts.iter().map(text).collect(),
        _ => return Err("input: a text, or a list of texts, is required".to_owned()),
    };
    few(texts.len())?;
    let dimensions = dimensions(&request["dimensions"])?;
    let base64 = request["encoding_format"] == "base64";
    let data: Vec<Json> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, dimensions);
            let shown = if base64 {
                Json::from(STANDARD.encode(vector.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>()))
            } else {
                Json::of(&vector)
            };
            object! { "object": "embedding", "index": index, "embedding": shown }
        })
        .collect();
    let mut fields = vec![
        ("object", Json::from("list")),
        ("data", Json::array(&data)),
        ("model", script.model.as_deref().unwrap_or(model).into()),
    ];
    if script.report_usage {
        let tokens = script.usage.prompt();
        fields.push(("usage", object! { "prompt_tokens": tokens, "total_tokens": tokens }));
    }
    Ok(Json::fields(&fields))
}

/// The answer to `POST …/models/{model}:embedContent`, or what is wrong with the request.
pub fn gemini(body: &[u8]) -> Result<Json, String> {
    Ok(object! { "embedding": content(&read(body)?)? })
}

/// The answer to `POST …/models/{model}:batchEmbedContents`, or what is wrong with the request.
pub fn gemini_batch(body: &[u8]) -> Result<Json, String> {
    let request = read(body)?;
    let requests = request["requests"].as_array().filter(|all| !all.is_empty()).ok_or("requests: none are there")?;
    few(requests.len())?;
    let all = requests.iter().map(content).collect::<Result<Vec<Json>, String>>()?;
    Ok(object! { "embeddings": Json::array(&all) })
}

fn content(request: &Value) -> Result<Json, String> {
    let parts = request["content"]["parts"].as_array().filter(|parts| !parts.is_empty());
    let text = parts.ok_or("content: it has no parts")?.iter().map(|part| text(&part["text"])).collect::<String>();
    let size = request.get("outputDimensionality").or_else(|| request.get("output_dimensionality"));
    Ok(object! { "values": Json::of(&vector(&text, dimensions(size.unwrap_or(&Value::Null))?)) })
}

fn read(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body cannot be read: {error}"))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn few(texts: usize) -> Result<(), String> {
    (texts <= MAX_TEXTS).then_some(()).ok_or_else(|| format!("input: more than {MAX_TEXTS} texts"))
}

fn dimensions(value: &Value) -> Result<u64, String> {
    match value {
        Value::Null => Ok(DIMENSIONS),
        given => given
            .as_u64()
            .filter(|n| (1..=MAX_DIMENSIONS).contains(n))
            .ok_or_else(|| format!("dimensions: a number from 1 to {MAX_DIMENSIONS} is required")),
    }
}

fn vector(text: &str, dimensions: u64) -> Vec<f32> {
    let mut hash = crc32fast::Hasher::new();
    hash.update(text.as_bytes());
    let raw: Vec<f32> = (0..dimensions)
        .map(|n| {
            let mut hash = hash.clone();
            hash.update(&n.to_le_bytes());
            // The low 16 bits as a number from -1 to 1, never 0, so that the length never is.
            let [low, high, ..] = hash.finalize().to_le_bytes();
            (f32::from(u16::from_le_bytes([low, high])) + 0.5) / 32768.0 - 1.0
        })
        .collect();
    let length = raw.iter().map(|n| n * n).sum::<f32>().sqrt();
    raw.iter().map(|n| n / length).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(answer: Result<Json, String>) -> Value {
        serde_json::from_str(answer.unwrap().as_str()).unwrap()
    }

    #[test]
    fn the_same_text_has_the_same_vector_in_every_shape() {
        let script = Script::default();
        let floats = value(openai(br#"{"model":"m","input":["a","b"],"dimensions":3}"#, &script));
        let encoded = value(openai(br#"{"model":"m","input":"a","dimensions":3,"encoding_format":"base64"}"#, &script));
        let one = value(gemini(br#"{"content":{"parts":[{"text":"a"}]},"outputDimensionality":3}"#));
        let many =
            value(gemini_batch(br#"{"requests":[{"content":{"parts":[{"text":"b"}]},"output_dimensionality":3}]}"#));
        let first = &floats["data"][0]["embedding"];
        assert_ne!(first, &floats["data"][1]["embedding"]);
        assert_eq!(first, &one["embedding"]["values"]);
        assert_eq!(floats["data"][1]["embedding"], many["embeddings"][0]["values"]);
        let bytes = STANDARD.decode(encoded["data"][0]["embedding"].as_str().unwrap()).unwrap();
        let decoded: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        assert_eq!(decoded, vector("a", 3));
        assert_eq!(floats["usage"], json!({ "prompt_tokens": 1320, "total_tokens": 1320 }));
        let silent = value(openai(br#"{"model":"m","input":[1,2]}"#, &Script { report_usage: false, ..script }));
        assert_eq!((silent["data"].as_array().unwrap().len(), silent.get("usage")), (1, None));
    }

    #[test]
    fn vectors_have_length_one() {
        for (text, dimensions) in [("", 1), ("a", 2), ("ä", 4096)] {
            let length = vector(text, dimensions).iter().map(|n| n * n).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 1e-3, "{text} {length}");
        }
    }

    #[test]
    fn what_cannot_be_embedded_is_told() {
        let script = Script::default();
        for body in [
            "{",
            "{}",
            r#"{"model":"m"}"#,
            r#"{"model":"m","input":[]}"#,
            r#"{"model":"","input":"a"}"#,
            r#"{"model":"m","input":"a","dimensions":0}"#,
        ] {
            assert!(openai(body.as_bytes(), &script).is_err(), "{body}");
        }
        assert!(gemini(b"{}").is_err());
        assert!(gemini_batch(br#"{"requests":[]}"#).is_err());
    }
}
