//! Every place in which a body may name a stored thing, in every vendor's grammar; and those that only look like one.

use proptest::prelude::*;

use super::Vendor::{Anthropic, Gemini, OpenAi};
use super::*;

fn named(vendor: Vendor, text: &str) -> Vec<(Object, String)> {
    let mut found = Found::default();
    find(vendor, text.as_bytes(), &mut found);
    found.finish().unwrap().into_iter().map(|named| (named.object, named.id.into())).collect()
}

#[track_caller]
fn names(vendor: Vendor, text: &str, want: &[(Object, &str)]) {
    serde_json::from_str::<serde::de::IgnoredAny>(text).unwrap();
    let found = named(vendor, text);
    let found: Vec<_> = found.iter().map(|(object, id)| (*object, &**id)).collect();
    assert_eq!(found, want, "{text}");
}

#[test]
fn anthropic() {
    use Object::{Container, File, Foreign};
    let row = |text: &str, want: &[(Object, &str)]| names(Anthropic, text, want);
    row(
        r#"{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}"#,
        &[(File, "file_1")],
    );
    row(r#"{"messages":[{"content":[{"type":"container_upload","file_id":"file_1"}]}]}"#, &[(File, "file_1")]);
    row(
        r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"file_id":"f"}}]}]}]}"#,
        &[(File, "f")],
    );
    row(r#"{ "a" : [ { "file\u005fid" : "f\u0069le_1" } ] }"#, &[(File, "file_1")]);
    row(r#"{"a":{"file_id":"f1","file_id":"f2"}}"#, &[(File, "f1"), (File, "f2")]);
    row(r#"{"container":"container_1"}"#, &[(Container, "container_1")]);
    row(r#"{"container":{"skills":[{"skill_id":"pdf"}],"id":"container_1"}}"#, &[(Container, "container_1")]);
    row(r#"{"thread":{"id":"t"}}"#, &[(Foreign, "t")]);
    row(
        r#"{"requests":[{"custom_id":"a","params":{"container":"c","x":{"file_id":"f"}}}]}"#,
        &[(Container, "c"), (File, "f")],
    );
    row(
        r#"{"messages":[{"content":[{"type":"tool_use","id":"t","input":{"file_id":"f","x":{"file_id":"f"}}}]}]}"#,
        &[],
    );
    row(r#"{"tools":[{"input_schema":{"properties":{"file_id":{"type":"string","default":"x"}}}}]}"#, &[]);
    row(r#"{"metadata":{"file_id":"f"},"container":null,"x":{"container":"c"},"y":{"file_id":7}}"#, &[]);
    row(r#"{"messages":[{"content":"{\"file_id\":\"f\"}"}]}"#, &[]);
}

#[test]
fn openai() {
    use Object::{BatchInput, Container, Conversation, File, Foreign, Response, VectorStore};
    let row = |text: &str, want: &[(Object, &str)]| names(OpenAi, text, want);
    row(r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"file-1"}}]}]}"#, &[(File, "file-1")]);
    row(
        r#"{"messages":[{"role":"assistant","audio":{"id":"audio_1"}}],"audio":{"voice":"a"}}"#,
        &[(Foreign, "audio_1")],
    );
    row(r#"{"input":[{"role":"user","content":[{"type":"input_image","file_id":"file-1"}]}]}"#, &[(File, "file-1")]);
    row(r#"{"tools":[{"type":"code_interpreter","container":"cntr_1"}]}"#, &[(Container, "cntr_1")]);
    row(r#"{"tools":[{"container":{"type":"auto","file_ids":["a","b"]}}]}"#, &[(File, "a"), (File, "b")]);
    row(r#"{"tools":[{"environment":{"container_id":"cntr_1"}}]}"#, &[(Container, "cntr_1")]);
    row(r#"{"tools":[{"vector_store_ids":["vs_1","vs_2"]}]}"#, &[(VectorStore, "vs_1"), (VectorStore, "vs_2")]);
    row(
        r#"{"prompt":{"id":"pmpt_1","variables":{"a":{"file_id":"file-1"}}}}"#,
        &[(Foreign, "pmpt_1"), (File, "file-1")],
    );
    row(r#"{"input_file_id":"file-1","endpoint":"/v1/responses"}"#, &[(BatchInput, "file-1")]);
    row(
        r#"{"body":{"previous_response_id":"resp_1","conversation":{"id":"conv_1"}}}"#,
        &[(Response, "resp_1"), (Conversation, "conv_1")],
    );
    row(r#"{"conversation":"conv_1"}"#, &[(Conversation, "conv_1")]);
    row(r#"{"prompt":"a cat","metadata":{"file_id":"f"},"attributes":{"file_id":"f"}}"#, &[]);
    row(r#"{"tools":[{"parameters":{"properties":{"file_id":{}},"file_id":"x","items":[{"id":"x"}]}}]}"#, &[]);
    row(r#"{"messages":[{"tool_calls":[{"function":{"arguments":"{\"file_id\":\"x\"}"}}]}]}"#, &[]);
    row(r#"{"input":[{"content":[{"annotations":[{"file_id":"cfile_1","container_id":"c"}]}]}]}"#, &[]);
}

#[test]
fn items_are_references_unless_they_hold_all_of_themselves() {
    for (item, reference) in [
        (r#"{"type":"item_reference","id":"msg_1"}"#, true),
        (r#"{"id":"msg_1","type":"item_reference"}"#, true),
        (r#"{"id":"msg_1"}"#, true),
        (r#"{"type":null,"id":"msg_1"}"#, true),
        (r#"{"type":"message","type":"item_reference","id":"msg_1"}"#, true),
        (r#"{"type":"item_reference","type":"message","id":"msg_1"}"#, true),
        (r#"{"type":"item\u005freference","id":"msg_1"}"#, true),
        (r#"{"typ\u0065":"item_reference","i\u0064":"msg_1"}"#, true),
        (r#"{"type":"what_comes_tomorrow","id":"msg_1"}"#, true),
        (r#"{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"a"}]}"#, false),
        (r#"{"type":"function_call","id":"msg_1","call_id":"c","arguments":"{}","name":"n"}"#, false),
        (r#"{"type":"web_search_call","id":"msg_1","action":{"type":"search"}}"#, false),
        (r#"{"role":"user","content":[{"id":"x","type":"y"}]}"#, false),
        (r#"{"type":"reasoning","id":"msg_1","summary":[],"encrypted_content":"gAAAA"}"#, false),
        (r#"{"type":"reasoning","id":"msg_1","summary":[]}"#, true),
        (r#"{"type":"reasoning","id":"msg_1","encrypted_content":null}"#, true),
        (r#"{"type":"reasoning","id":"msg_1","encrypted_content":""}"#, true),
        (r#"{"type":"reasoning","id":"msg_1","encrypted_content":"a","encrypted_content":null}"#, true),
        (r#"{"type":"reasoning","id":"msg_1","encrypted_content":{"a":"b"}}"#, true),
        (r#"{"type":"message","type":"reasoning","id":"msg_1"}"#, true),
        (r#"{"type":"reasoning","encrypted_content":null}"#, false),
        (r#"{"type":"image_generation_call","id":"msg_1","result":"iVBOR"}"#, false),
        (r#"{"type":"image_generation_call","id":"msg_1"}"#, true),
    ] {
        let want: &[_] = if reference { &[(Object::Item, "msg_1")] } else { &[] };
        for body in
            ["{\"input\":[ITEM]}", "{\"input\":[{\"type\":\"message\"},ITEM,{\"id\":null}]}", "{\"items\":[ITEM]}"]
        {
            names(OpenAi, &body.replace("ITEM", item), want);
        }
    }
    names(OpenAi, r#"{"input":[{"type":"mcp_approval_response","approval_request_id":"m"}]}"#, &[(Object::Item, "m")]);
    names(
        OpenAi,
        r#"{"input":[{"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1"}]}"#,
        &[(Object::Container, "cntr_1"), (Object::Item, "ci_1")],
    );
}

#[test]
fn gemini() {
    use Object::{BatchInput, CachedContent, File, Foreign};
    let row = |text: &str, want: &[(Object, &str)]| names(Gemini, text, want);
    let part = |uri: &str| format!(r#"{{"contents":[{{"parts":[{{"fileData":{{"fileUri":"{uri}"}}}}]}}]}}"#);
    let google = "https://generativelanguage.googleapis.com";
    for (uri, want) in [
        (format!("{google}/v1beta/files/a-1"), Some("a-1")),
        (format!("{google}/v1beta/files/a-1?alt=media#x"), Some("a-1")),
        ("files/a-1".to_owned(), Some("a-1")),
        ("v1beta/files/a-1".to_owned(), Some("a-1")),
        ("http://other.test/v1beta/files/a-1".to_owned(), Some("a-1")),
        ("HTTPS://GENERATIVELANGUAGE.GOOGLEAPIS.COM./v1beta/files/a-1".to_owned(), Some("a-1")),
        ("https://www.youtube.com/watch?v=1".to_owned(), None),
        ("https://example.org/docs/files/report.pdf".to_owned(), None),
        ("https://notgoogleapis.com/x".to_owned(), None),
    ] {
        let want: Vec<_> = want.into_iter().map(|id| (File, id)).collect();
        row(&part(&uri), &want);
    }
    // What cannot be told from a file is one that nobody has.
    for uri in
        ["gs://bucket/a", "https://generativelanguage.googleapis.com/v1beta/%66iles/a", "https://a@b.test/x", "a", ""]
    {
        row(&part(uri), &[(File, uri)]);
    }
    row(r#"{"contents":[{"parts":[{"file_data":{"file_uri":"files\/a"}}]}]}"#, &[(File, "a")]);
    row(
        r#"{"systemInstruction":{"parts":[{"functionResponse":{"parts":[{"fileData":{"fileU\u0072i":"files/a"}}]}}]}}"#,
        &[(File, "a")],
    );
    for key in ["cachedContent", "cached_content", "cached\\u0043ontent"] {
        row(&format!(r#"{{"{key}":"cachedContents/c1"}}"#), &[(CachedContent, "c1")]);
    }
    row(r#"{"tools":[{"fileSearch":{"fileSearchStoreNames":["fileSearchStores/s"]}}]}"#, &[(Foreign, "s")]);
    row(
        r#"{"batch":{"input_config":{"requests":{"requests":[{"request":{"cachedContent":"cachedContents/c"}}]}}}}"#,
        &[(CachedContent, "c")],
    );
    row(r#"{"batch":{"inputConfig":{"fileName":"files/f"}}}"#, &[(BatchInput, "f")]);
    row(r#"{"contents":[{"parts":[{"functionCall":{"name":"n","args":{"fileUri":"files/a"}}}]}]}"#, &[]);
    row(r#"{"contents":[{"parts":[{"functionResponse":{"response":{"file_uri":"files/a"}}}]}]}"#, &[]);
    row(r#"{"tools":[{"functionDeclarations":[{"parameters":{"properties":{"fileUri":{"enum":["a"]}}}}]}]}"#, &[]);
}

#[test]
fn a_careless_spelling_is_read_as_a_careless_parser_reads_it() {
    // No JSON, but some parsers take the byte behind the backslash for itself.
    assert_eq!(named(Gemini, r#"{"file\Uri":"files/a"}"#), [(Object::File, "a".to_owned())]);
}

#[test]
fn too_many_ids_are_refused() {
    let ids = |n: usize| {
        let ids: Vec<String> = (0..n).map(|i| format!("\"f{i}\"")).collect();
        let mut found = Found::default();
        find(
            OpenAi,
            format!("{{\"file_ids\":[{0}],\"x\":{{\"file_ids\":[{0}]}}}}", ids.join(",")).as_bytes(),
            &mut found,
        );
        found.finish().map(|found| found.len())
    };
    assert_eq!(ids(MOST), Ok(MOST), "each counts once");
    assert!(ids(MOST + 1).is_err());
}

#[test]
fn a_file_of_calls_is_clean_or_it_is_none() {
    let form = |file: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; \
             name=\"file\"; filename=\"a.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n{file}\r\n--b--\r\n"
        )
    };
    let call = r#"{"custom_id":"1","body":{"model":"m","previous_response_id":"resp_1","input":[{"id":"msg_1"}]}}"#;
    for (name, file, want) in [
        ("one", call.to_owned(), Some(2)),
        ("several", format!("{call}\n\n{call}\r\n{{}}"), Some(2)),
        ("with blanks", format!("  {call} \t"), Some(2)),
        ("nothing", String::new(), None),
        ("no object", format!("[{call}]"), None),
        ("two in a line", format!("{call} {call}"), None),
        ("another line end", format!("{{}}\r{call}"), None),
        ("a hidden line", format!("x\u{b}{call}"), None),
        ("not whole", call[..40].to_owned(), None),
        ("raw control characters", format!("{{\"a\":\"\r{}\"}}", call.replace('"', "\\\"")), None),
    ] {
        let mut found = Found::default();
        let clean = lines_are_clean(OpenAi, form(&file).as_bytes(), &mut found);
        assert_eq!(clean.then(|| found.finish().unwrap().len()), want, "{name}");
    }
    let encoded = form(call).replace("application/jsonl", "application/jsonl; charset=utf-7");
    assert!(!lines_are_clean(OpenAi, encoded.as_bytes(), &mut Found::default()));
    let utf16: Vec<u8> = form(call).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(!lines_are_clean(OpenAi, &utf16, &mut Found::default()));
}

proptest! {
    /// Whatever is there, a file's id is found between it, and nothing panics.
    #[test]
    fn no_text_around_an_id_hides_it(before in text(), after in text(), key in "[a-z]{1,9}") {
        let body = format!(r#"{{"{key}":{before},"content":[{after},{{"file_id":"file-x"}}],"{key}":{after}}}"#);
        prop_assert!(named(Anthropic, &body).contains(&(Object::File, "file-x".to_owned())), "{body}");
    }

    #[test]
    fn no_bytes_are_too_wild(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for vendor in [Anthropic, OpenAi, Gemini] {
            find(vendor, &bytes, &mut Found::default());
            lines_are_clean(vendor, &bytes, &mut Found::default());
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("{}".to_owned()),
        Just("[ ]".to_owned()),
        Just(r#""a\\\" ] } : , b""#.to_owned()),
        Just(r#""\\""#.to_owned()),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(" , "))),
            proptest::collection::vec(inner, 0..4).prop_map(|list| {
                let pairs: Vec<String> = list.iter().map(|value| format!("\"k\" : {value}")).collect();
                format!("{{{}}}", pairs.join(","))
            }),
        ]
    })
}
