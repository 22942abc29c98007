//! `[[provider]]` -> facts about an upstream.
//!
//! Invariant: every header that leaves with our calls is either the provider's credential or one that the operator may add;
//! framing, routing and authentication headers are refused here, so nothing downstream has to check.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use http::{HeaderName, HeaderValue};
use rustls::ClientConfig;

use super::egress::{Egress, is_this_machine};
use super::{Context, Entry, dialect, entries, name, secret, time, url};
use crate::config::problem::nearest;
use crate::config::schema;
use crate::config::units::{At, HeaderText, SECRET_HINT};
use crate::price::Vendor;
use crate::protocol::Dialect;
use crate::provider::credential::{Credential, Scheme, sensitive};
use crate::provider::{DialectSet, KEPT_WARM, Origin, Provider, Timeouts, tls};

/// What models can refer to.
pub struct Providers<'s> {
    by_name: HashMap<&'s str, Named>,
}

struct Named {
    entry: Entry,
    at: usize,
    /// `None` if it has problems of its own: those who name it are not to blame.
    provider: Option<Arc<Provider>>,
    /// Whose list prices hold there.
    vendor: Option<Vendor>,
    used: bool,
}

impl Providers<'_> {
    /// The provider of that name; `Err` with what was probably meant if there is none.
    pub fn find(&mut self, name: &str) -> Result<Option<Arc<Provider>>, Option<&str>> {
        if let Some(named) = self.by_name.get_mut(name) {
            named.used = true;
            return Ok(named.provider.clone());
        }
        Err(nearest(name, self.by_name.keys().copied()))
    }

    /// Whose list prices hold at the provider of that name.
    pub fn vendor(&self, name: &str) -> Option<Vendor> {
        self.by_name.get(name)?.vendor
    }

    /// Those that speak a dialect, in the order of the configuration.
    pub fn speaking(&self, dialect: Dialect) -> Vec<&Arc<Provider>> {
        let mut named: Vec<_> = self.by_name.values().collect();
        named.sort_by_key(|named| named.at);
        named.iter().filter_map(|named| named.provider.as_ref()).filter(|p| p.dialects.contains(dialect)).collect()
    }

    /// All, in the order of the configuration.
    pub fn all(&self) -> Vec<Arc<Provider>> {
        let mut named: Vec<_> = self.by_name.values().collect();
        named.sort_by_key(|named| named.at);
        named.iter().filter_map(|named| named.provider.clone()).collect()
    }

    /// Once all models are known.
    pub fn warn_unused(&self, cx: &mut Context<'_>) {
        for (name, Named { entry, at, used, .. }) in &self.by_name {
            if !used {
                cx.warn(*at, entry.field("name"), format!("no [[model]] names provider {name}, so nothing goes there"));
            }
        }
    }
}

pub fn providers<'s>(
    cx: &mut Context<'_>,
    list: &'s [At<schema::Provider>],
    defaults: Timeouts,
    egress: &Egress,
) -> Providers<'s> {
    let mut by_name: HashMap<&str, Named> = HashMap::new();
    for (entry, provider) in entries("provider", list) {
        let compiled = compile(cx, entry, provider, defaults, egress).map(Arc::new);
        let at = provider.name.at;
        if let Some(Named { at: first, .. }) = by_name.get(provider.name.as_str()) {
            let line = cx.line(*first);
            cx.error(at, entry.field("name"), format!("two providers are named {}", *provider.name))
                .hint(format!("the other one is on line {line}"));
            continue;
        }
        let vendor = compiled.as_ref().and_then(|compiled| {
            let kind = provider.kind.unwrap_or(schema::Kind::Compatible);
            super::price::vendor(kind, provider.prices.as_ref(), &compiled.origin.host)
        });
        by_name.insert(&provider.name, Named { entry, at, provider: compiled, vendor, used: false });
    }
    Providers { by_name }
}

fn compile(
    cx: &mut Context<'_>,
    entry: Entry,
    given: &At<schema::Provider>,
    defaults: Timeouts,
    egress: &Egress,
) -> Option<Provider> {
    let before = cx.problems.len();
    let schema::Provider {
        name,
        kind,
        speaks,
        base_url,
        credential,
        auth,
        headers,
        timeouts,
        client_credential,
        usage_request,
        max_inflight,
        ca_file,
        proxy,
        prewarm,
        prices: _,
    } = &given.value;
    let kind = kind.unwrap_or(schema::Kind::Compatible);
    let label = self::name(cx, entry, "name", name);
    let dialects = speaks_what(cx, entry, given, kind, speaks.as_ref());
    let base = base(cx, entry, given, kind, base_url.as_ref(), dialects);
    let credential_sent = credential.is_some();
    let credential = self::credential(cx, entry, credential.as_ref(), *auth, dialects);
    let headers = self::headers(cx, entry, headers);
    let timeouts = self::timeouts(cx, entry, timeouts, defaults);
    let max_inflight = self::max_inflight(cx, entry, max_inflight.as_ref());
    let prewarm = self::prewarm(cx, entry, prewarm.as_ref());
    let extra_ca = ca_file.as_ref().map(|file| (file.at, authorities(cx, entry, file)));
    let base = base?;
    if credential_sent && !base.tls && !is_this_machine(&base.host) {
        let at = base_url.as_ref().map_or(given.at, |url| url.at);
        cx.warn(at, entry.field("base_url"), "the credential travels there without TLS").hint("use https://");
    }
    if !credential_sent && kind != schema::Kind::Compatible && base_url.is_none() {
        cx.warn(given.at, entry.field("credential"), "none is given, and this provider refuses calls without")
            .hint("credential = { env = \"NAME\" } or { file = \"path\" }");
    }
    let extra_ca = extra_ca.as_ref().and_then(|(at, pem)| Some((*at, pem.as_deref()?)));
    let tls = if base.tls { Some(trust(cx, entry, extra_ca)) } else { None };
    let proxy = egress.proxy(cx, entry, (given.at, proxy.as_ref()), &base);
    let mut origin = Origin::new(base.tls, &base.host, base.port, extra_ca.map(|(_, pem)| pem));
    if let Some(proxy) = proxy {
        origin = origin.map(|origin| origin.through(proxy));
    }
    (cx.problems.len() == before).then_some(())?;
    Some(Provider {
        name: label?.into(),
        origin: Arc::new(origin?),
        prefix: base.prefix.into(),
        dialects,
        credential,
        headers,
        timeouts,
        client_credential: client_credential.as_ref().is_some_and(|given| given.value),
        // Mistral tells its usage always, and refuses fields that it does not know (https://docs.mistral.ai/api/).
        usage_request: usage_request.unwrap_or(&*base.host != "api.mistral.ai"),
        max_inflight,
        tls: tls.flatten(),
        dns_ttl: egress.dns_ttl,
        prewarm,
    })
}

fn timeouts(cx: &mut Context<'_>, entry: Entry, given: &schema::ProviderTimeouts, defaults: Timeouts) -> Timeouts {
    let schema::ProviderTimeouts { connect, first_byte, idle } = given;
    Timeouts {
        connect: time(cx, entry.field("timeouts.connect"), connect.as_ref(), defaults.connect),
        first_byte: time(cx, entry.field("timeouts.first_byte"), first_byte.as_ref(), defaults.first_byte),
        idle: time(cx, entry.field("timeouts.idle"), idle.as_ref(), defaults.idle),
    }
}

fn max_inflight(cx: &mut Context<'_>, entry: Entry, given: Option<&At<u64>>) -> Option<u64> {
    let given = given?;
    if given.value == 0 {
        cx.error(given.at, entry.field("max_inflight"), "zero would refuse every call");
    }
    Some(given.value)
}

fn prewarm(cx: &mut Context<'_>, entry: Entry, given: Option<&At<u64>>) -> usize {
    let Some(given) = given else { return 0 };
    match usize::try_from(given.value) {
        Ok(n) if n <= KEPT_WARM => n,
        _ => {
            cx.error(given.at, entry.field("prewarm"), format!("it is not between 0 and {KEPT_WARM}"));
            0
        }
    }
}

fn speaks_what(
    cx: &mut Context<'_>,
    entry: Entry,
    given: &At<schema::Provider>,
    kind: schema::Kind,
    speaks: Option<&At<Vec<schema::DialectName>>>,
) -> DialectSet {
    use schema::DialectName::{Anthropic, Chat, Gemini, Responses};
    let usual: &[schema::DialectName] = match kind {
        schema::Kind::Anthropic => &[Anthropic],
        schema::Kind::Openai => &[Chat, Responses],
        schema::Kind::Gemini => &[Gemini],
        schema::Kind::Compatible => &[],
    };
    let names = speaks.map_or(usual, |names| names.as_slice());
    if names.is_empty() {
        let at = speaks.map_or(given.at, |names| names.at);
        cx.error(at, entry.field("speaks"), "it is not said which APIs this provider speaks").hint(
            "speaks = [\"chat\"], or any of anthropic, chat, responses, gemini; or kind = \"openai\" and the like",
        );
    }
    names.iter().map(|name| dialect(*name)).collect()
}

fn base(
    cx: &mut Context<'_>,
    entry: Entry,
    given: &At<schema::Provider>,
    kind: schema::Kind,
    written: Option<&At<String>>,
    dialects: DialectSet,
) -> Option<url::BaseUrl> {
    let (at, text) = match (written, kind) {
        (Some(written), _) => (written.at, written.as_str()),
        (None, schema::Kind::Anthropic) => (given.at, "https://api.anthropic.com"),
        (None, schema::Kind::Openai) => (given.at, "https://api.openai.com"),
        (None, schema::Kind::Gemini) => (given.at, "https://generativelanguage.googleapis.com"),
        (None, schema::Kind::Compatible) => {
            cx.error(given.at, entry.field("base_url"), "it is not said where this provider is")
                .hint("base_url = \"https://…\", or kind = \"anthropic\", \"openai\" or \"gemini\"");
            return None;
        }
    };
    match url::parse(text, dialects) {
        Ok(base) => Some(base),
        Err((what, hint)) => {
            cx.error(at, entry.field("base_url"), what).hint(hint);
            None
        }
    }
}

fn credential(
    cx: &mut Context<'_>,
    entry: Entry,
    place: Option<&At<crate::config::units::Secret>>,
    auth: Option<schema::Auth>,
    dialects: DialectSet,
) -> Credential {
    let mut credential = Credential::default();
    let Some(place) = place else { return credential };
    if auth == Some(schema::Auth::None) {
        cx.error(place.at, entry.field("credential"), "auth = \"none\" sends no credential")
            .hint("leave one of the two out");
        return credential;
    }
    let Some(key) = secret::read(cx, entry, "credential", place.at, place) else { return credential };
    for dialect in dialects.iter() {
        let scheme = match auth {
            Some(schema::Auth::Bearer) => Scheme::Bearer,
            Some(schema::Auth::XApiKey) => Scheme::XApiKey,
            Some(schema::Auth::XGoogApiKey) => Scheme::XGoogApiKey,
            Some(schema::Auth::ApiKey) => Scheme::ApiKey,
            None | Some(schema::Auth::None) => Scheme::of(dialect),
        };
        if let Some((name, value)) = scheme.header(&key) {
            credential.set(dialect, name, value);
        }
    }
    credential
}

fn headers(
    cx: &mut Context<'_>,
    entry: Entry,
    given: &std::collections::BTreeMap<String, At<HeaderText>>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (written, text) in given {
        let field = format!("headers.{written}");
        let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
            cx.error(text.at, entry.field(field), "this is no name of a header");
            continue;
        };
        if let Some(why) = reserved(&name) {
            cx.error(text.at, entry.field(field), format!("{name} cannot be set here: {}", why.0)).hint(why.1);
            continue;
        }
        if headers.iter().any(|(other, _)| *other == name) {
            cx.error(text.at, entry.field(field), format!("{name} is there twice, in two spellings"));
            continue;
        }
        let value = match &text.value {
            HeaderText::Plain(text) => HeaderValue::from_str(text).ok(),
            HeaderText::Secret(place) => match secret::read(cx, entry, &field, text.at, place) {
                Some(text) => sensitive(["", &text]),
                None => continue,
            },
        };
        match value {
            Some(value) => headers.push((name, value)),
            None => {
                cx.error(text.at, entry.field(field), "it has characters that a header may not have");
            }
        }
    }
    headers
}

/// Why an operator may not add a header, and what to do instead.
fn reserved(name: &HeaderName) -> Option<(&'static str, &'static str)> {
    match name.as_str() {
        "authorization" | "x-api-key" | "x-goog-api-key" | "api-key" | "cookie" | "x-tollgate-key" => {
            Some(("it authenticates", SECRET_HINT))
        }
        // RFC 9110 section 7.6.1 and RFC 9112 section 9: of one connection, and re-made on each.
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "te"
        | "trailer"
        | "transfer-encoding"
        | "upgrade"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "expect" => Some(("it belongs to one connection", "leave it out")),
        "host" | "content-length" | "content-type" | "content-encoding" => {
            Some(("Tollgate sets it for each call", "leave it out; the host is that of base_url"))
        }
        "accept-encoding" => Some(("a compressed answer could not be metered", "leave it out")),
        _ => None,
    }
}

pub fn authorities(cx: &mut Context<'_>, entry: Entry, written: &At<PathBuf>) -> Option<Vec<u8>> {
    let path = cx.path(written);
    cx.watched.push(path.clone());
    match std::fs::read(&path) {
        Ok(pem) => Some(pem),
        Err(e) => {
            cx.error(written.at, entry.field("ca_file"), format!("{} cannot be read: {e}", path.display()));
            None
        }
    }
}

/// Whom to trust. The public authorities are one configuration for good, so that a reload forgets no TLS session.
pub fn trust(cx: &mut Context<'_>, entry: Entry, extra_ca: Option<(usize, &[u8])>) -> Option<Arc<ClientConfig>> {
    static PUBLIC: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if extra_ca.is_none()
        && let Some(public) = PUBLIC.get()
    {
        return Some(Arc::clone(public));
    }
    match tls::client_config(extra_ca.map(|(_, pem)| pem)) {
        Ok(config) if extra_ca.is_none() => Some(Arc::clone(PUBLIC.get_or_init(|| config))),
        Ok(config) => Some(config),
        Err(why) => {
            let at = extra_ca.map_or(0, |(at, _)| at);
            cx.error(at, entry.field("ca_file"), why).hint("a file with -----BEGIN CERTIFICATE----- blocks");
            None
        }
    }
}
