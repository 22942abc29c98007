//! `[budget] webhook` -> who is told when a budget is nearly spent.
//!
//! Invariants: what is told leaves this machine under TLS only; and no message holds the path or the query of the URL, by
//! which alone many receivers know who may post.

use std::sync::Arc;

use http::uri::PathAndQuery;
use zeroize::Zeroizing;

use super::egress::{Egress, is_this_machine};
use super::{Context, Entry, provider, secret, url};
use crate::config::schema;
use crate::config::units::{At, HeaderText, Secret};
use crate::provider::Origin;
use crate::provider::webhook::{SigningSecret, Webhook};

const EXAMPLE: &str = "as in \"https://alerts.example/tollgate\"";

pub fn webhook(cx: &mut Context<'_>, given: &At<schema::Webhook>, egress: &Egress) -> Option<Arc<Webhook>> {
    let before = cx.problems.len();
    let entry = Entry { table: "budget.webhook", index: None };
    let schema::Webhook { url, secret, ca_file, proxy } = &given.value;
    let place = place(cx, entry, url);
    let secret = secret.as_ref().and_then(|place| signing(cx, entry, place));
    let extra_ca = ca_file.as_ref().and_then(|file| Some((file.at, provider::authorities(cx, entry, file)?)));
    let extra_ca = extra_ca.as_ref().map(|(at, pem)| (*at, pem.as_slice()));
    let (base, target) = place?;
    let tls = if base.tls { Some(provider::trust(cx, entry, extra_ca)?) } else { None };
    let proxy = egress.proxy(cx, entry, (given.at, proxy.as_ref()), &base);
    let mut origin = Origin::new(base.tls, &base.host, base.port, extra_ca.map(|(_, pem)| pem))?;
    if let Some(proxy) = proxy {
        origin = origin.through(proxy);
    }
    (cx.problems.len() == before).then_some(())?;
    let tls = tls.map(|shared| {
        // A message now and then needs no HTTP/2.
        let mut own = (*shared).clone();
        own.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(own)
    });
    Some(Arc::new(Webhook { origin, target, secret, tls, dns_ttl: egress.dns_ttl }))
}

/// Where it is, and path and query.
fn place(cx: &mut Context<'_>, entry: Entry, given: &At<HeaderText>) -> Option<(url::BaseUrl, Zeroizing<String>)> {
    let text = match &given.value {
        HeaderText::Plain(text) => Zeroizing::new(text.clone()),
        HeaderText::Secret(place) => secret::read(cx, entry, "url", given.at, place)?,
    };
    let (base, rest) = match url::split(&text) {
        Ok(split) => split,
        Err((what, _)) => {
            cx.error(given.at, entry.field("url"), what).hint(EXAMPLE);
            return None;
        }
    };
    if !base.tls && !is_this_machine(&base.host) {
        cx.error(given.at, entry.field("url"), "what is told would travel there without TLS")
            .hint("https://; http:// only on this machine");
        return None;
    }
    let target = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    let target = Zeroizing::new(target);
    if target.contains('#') || !target.is_ascii() || target.parse::<PathAndQuery>().is_err() {
        cx.error(given.at, entry.field("url"), "its path is not one, or it has a fragment").hint(EXAMPLE);
        return None;
    }
    Some((base, target))
}

fn signing(cx: &mut Context<'_>, entry: Entry, place: &At<Secret>) -> Option<SigningSecret> {
    let text = secret::read(cx, entry, "secret", place.at, place)?;
    match SigningSecret::parse(&text) {
        Ok(secret) => Some(secret),
        Err(what) => {
            cx.error(place.at, entry.field("secret"), what)
                .hint("echo \"whsec_$(openssl rand -base64 32)\" makes one; the receiver needs the same");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::load_text;
    use crate::telemetry::metrics::Metrics;

    const REST: &str = "\n[[provider]]\nname = 'p'\nspeaks = ['chat']\nbase_url = 'http://127.0.0.1:1'\n\
         [[model]]\nname = 'm'\nprovider = 'p'\n[[key]]\nname = 'k'\nsecret = { env = 'KEY' }\n";

    fn env(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("a-key-of-sixteen-characters".to_owned()),
            "SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
            "SHORT" => Some("whsec_aHVudGVyMg==".to_owned()),
            "URL" => Some("https://hooks.example/hunter2?sig=hunter2".to_owned()),
            "BAD_URL" => Some("https://hooks.example/hunter2#hunter2".to_owned()),
            "https_proxy" => Some("http://proxy.example:3128".to_owned()),
            _ => None,
        }
    }

    fn read(hook: &str) -> Result<Option<Arc<Webhook>>, String> {
        let text = format!("version = 1\n[budget]\nwebhook = {{ {hook} }}{REST}");
        let loaded = load_text(Path::new("t.toml"), &text, &env, &Metrics::default());
        loaded.map(|loaded| loaded.prepared.0.webhook).map_err(|problems| problems.to_string())
    }

    #[test]
    fn where_it_goes() {
        for (hook, tls, authority, target, proxied) in [
            ("url = 'https://a.example'", true, "a.example", "/", true),
            ("url = 'https://A.example:8443/x/y?z=1'", true, "a.example:8443", "/x/y?z=1", true),
            ("url = 'https://a.example?z=1'", true, "a.example", "/?z=1", true),
            ("url = 'https://a.example/x', proxy = 'none'", true, "a.example", "/x", false),
            ("url = 'http://127.0.0.1:9/x'", false, "127.0.0.1:9", "/x", false),
            ("url = 'http://[::1]:9/x', secret = { env = 'SECRET' }", false, "[::1]:9", "/x", false),
            ("url = { env = 'URL' }", true, "hooks.example", "/hunter2?sig=hunter2", true),
        ] {
            let read = read(hook).unwrap_or_else(|e| panic!("{hook}: {e}")).unwrap();
            assert_eq!((read.tls.is_some(), read.origin.tls), (tls, tls), "{hook}");
            assert_eq!((read.origin.authority.to_str().unwrap(), read.target.as_str()), (authority, target), "{hook}");
            assert_eq!(read.origin.proxy.is_some(), proxied, "{hook}");
            assert_eq!(read.secret.is_some(), hook.contains("SECRET"), "{hook}");
            for tls in read.tls.iter() {
                assert_eq!(tls.alpn_protocols, [b"http/1.1".to_vec()], "{hook}");
            }
        }
    }

    #[test]
    fn what_is_refused_says_where_and_shows_nothing_of_it() {
        for (hook, want) in [
            ("url = 'alerts.example'", "budget.webhook.url: it does not begin with https://"),
            ("url = 'ftp://alerts.example'", "budget.webhook.url: it does not begin with https://"),
            ("url = 'https://me:hunter2@alerts.example'", "budget.webhook.url: it holds a user name or password"),
            (
                "url = 'http://alerts.example/hunter2'",
                "budget.webhook.url: what is told would travel there without TLS",
            ),
            ("url = 'http://10.0.0.1/hunter2'", "without TLS"),
            ("url = 'https://alerts.example/hunter2#x'", "fragment"),
            ("url = 'https://alerts.example/hunter2 x'", "its path is not one"),
            ("url = 'https://alerts.example/hünter2'", "its path is not one"),
            ("url = 'https://'", "its host is not one"),
            ("url = { env = 'BAD_URL' }", "fragment"),
            ("url = { env = 'NO_URL' }", "environment variable NO_URL is not set"),
            ("url = 'https://a.example', secret = 'whsec_hunter2'", "a secret in clear"),
            (
                "url = 'https://a.example', secret = { env = 'SHORT' }",
                "budget.webhook.secret: what follows whsec_ is not 24",
            ),
            ("url = 'https://a.example', secret = { env = 'KEY' }", "it does not begin with whsec_"),
            (
                "url = 'https://a.example', ca_file = '/nonexistent'",
                "budget.webhook.ca_file: /nonexistent cannot be read",
            ),
            ("url = 'https://a.example', proxy = 'https://p:1'", "budget.webhook.proxy: only proxies at http://"),
            ("uri = 'https://a.example'", "did you mean url?"),
            ("secret = { env = 'SECRET' }", "missing field"),
        ] {
            let said = read(hook).expect_err(hook);
            assert!(said.contains(want), "{hook}: {said}");
            assert!(said.starts_with("t.toml:3:"), "{hook}: {said}");
            assert!(!said.contains("hunter2") && !said.contains("hünter2"), "{hook}: {said}");
        }
    }
}
