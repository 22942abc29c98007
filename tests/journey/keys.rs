//! Keys that were rotated: what works beside the new one, and how what has stopped is refused.

use tollgate::snapshot::keyring::digest;

use crate::scripted::{self, Gateway, json, post, read};

const NEW: &str = "tk-the-new-key-of-b";
const OLD: &str = "tk-the-old-key-of-b";

/// A gateway with one more key, rotated, whose old one works until then; and what a call with each hears.
async fn statuses(until: &str, expires: &str) -> Vec<(u16, String)> {
    let hex = |key: &str| digest(key.as_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let rules = format!(
        "{}\n[[key]]\nname = \"b\"\nsha256 = \"{}\"\nprevious = [{{ sha256 = \"{}\", until = {until} }}]\n{expires}\n",
        scripted::RULES,
        hex(NEW),
        hex(OLD)
    );
    let mut heard = Vec::new();
    for key in [NEW, OLD] {
        let gateway = Gateway::with(&rules, vec![json(200, "{}")], 1);
        let mut request = post("/v1/messages", r#"{"model":"m","max_tokens":9}"#);
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        let answer = gateway.ask(request).await;
        let status = answer.status().as_u16();
        let (body, _) = read(answer.into_body()).await;
        assert_eq!(gateway.attempts().len(), usize::from(status == 200), "{until}");
        heard.push((status, String::from_utf8(body).unwrap()));
    }
    heard
}

#[tokio::test]
async fn the_old_key_works_until_its_grace_ends_and_is_then_refused_as_expired() {
    let within = statuses("2999-01-01", "").await;
    assert_eq!([within[0].0, within[1].0], [200, 200]);
    let after = statuses("2001-01-01T00:00:00Z", "").await;
    assert_eq!([after[0].0, after[1].0], [200, 401]);
    assert!(after[1].1.contains("2001-01-01T00:00:00Z"), "it says since when: {}", after[1].1);
    let ended = statuses("2999-01-01", "expires = 2001-01-01").await;
    assert_eq!([ended[0].0, ended[1].0], [401, 401], "no grace outlives the key's own end");
}
