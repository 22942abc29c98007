//! `[upstream]`, the environment and a provider's own `proxy` -> the way to a provider.
//!
//! What a provider says itself wins, then `[upstream]`, then the environment. Invariants: a proxy that is named and cannot be
//! used is an error, never a direct connection; this machine is reached directly unless a provider itself names a proxy; no
//! message holds any part of a proxy's URL, which is where a password stands.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::url::BaseUrl;
use super::{Context, Entry, secret, url};
use crate::config::schema;
use crate::config::units::{At, HeaderText, SECRET_HINT};
use crate::provider::DialectSet;
use crate::provider::proxy::{Proxy, basic};

/// How to all providers that do not say themselves.
pub struct Egress {
    way: Way,
    directly: Vec<Rule>,
    /// How long an answer of the resolver is as good as new.
    pub dns_ttl: Duration,
}

enum Way {
    Direct,
    Proxy(Proxy),
    /// As the environment says for the scheme of each.
    Environment,
}

pub fn egress(cx: &mut Context<'_>, given: &schema::Upstream) -> Egress {
    let schema::Upstream { proxy, no_proxy, dns_ttl } = given;
    let table = Entry { table: "upstream", index: None };
    let way = match proxy {
        None => Way::Environment,
        // What is wrong with it has been told.
        Some(text) => named(cx, table, text).flatten().map_or(Way::Direct, Way::Proxy),
    };
    let directly = match no_proxy {
        Some(list) => list.iter().filter_map(|text| rule(cx, table, text)).collect(),
        None => from_environment(cx),
    };
    let dns_ttl = dns_ttl.as_ref().map_or(Duration::from_secs(30), |given| {
        if given.value.0 < Duration::from_secs(1) || given.value.0 > Duration::from_secs(3600) {
            cx.error(given.at, "upstream.dns_ttl".into(), "it is not between 1s and 1h");
        }
        given.value.0
    });
    Egress { way, directly, dns_ttl }
}

impl Egress {
    /// The proxy on the way to a provider that is at `base`, if there is one.
    pub fn proxy(
        &self,
        cx: &mut Context<'_>,
        entry: Entry,
        (at, own): (usize, Option<&At<HeaderText>>),
        base: &BaseUrl,
    ) -> Option<Proxy> {
        if let Some(text) = own {
            return named(cx, entry, text).flatten();
        }
        if is_this_machine(&base.host) || self.directly.iter().any(|rule| rule.matches(&base.host, base.port)) {
            return None;
        }
        match &self.way {
            Way::Direct => None,
            Way::Proxy(proxy) => Some(proxy.clone()),
            Way::Environment => {
                let names = if base.tls { ["https_proxy", "HTTPS_PROXY"] } else { ["http_proxy", "HTTP_PROXY"] };
                let (name, text) = first_set(cx, &[names[0], names[1], "all_proxy", "ALL_PROXY"])?;
                match parse(&text) {
                    Ok(proxy) => Some(proxy),
                    Err(what) => {
                        cx.error(at, entry.field("proxy"), format!("environment variable {name}: {what}"))
                            .hint(format!("mend {name}; or say proxy = \"none\", or a proxy, here or in [upstream]"));
                        None
                    }
                }
            }
        }
    }
}

/// A proxy of the file: `Some(None)` for none, `None` after an error.
fn named(cx: &mut Context<'_>, entry: Entry, given: &At<HeaderText>) -> Option<Option<Proxy>> {
    let text = match &given.value {
        HeaderText::Plain(text) if text == "none" => return Some(None),
        HeaderText::Plain(text) if text.contains('@') => {
            cx.error(given.at, entry.field("proxy"), "it holds a user name or password").hint(SECRET_HINT);
            return None;
        }
        HeaderText::Plain(text) => Zeroizing::new(text.clone()),
        HeaderText::Secret(place) => secret::read(cx, entry, "proxy", given.at, place)?,
    };
    match parse(&text) {
        Ok(proxy) => Some(Some(proxy)),
        Err(what) => {
            cx.error(given.at, entry.field("proxy"), what).hint("as in \"http://proxy.example:3128\", or \"none\"");
            None
        }
    }
}

/// The first of these variables that says something.
fn first_set(cx: &Context<'_>, names: &[&'static str]) -> Option<(&'static str, Zeroizing<String>)> {
    names.iter().find_map(|name| {
        let text = (cx.env)(name).map(Zeroizing::new)?;
        (!text.trim().is_empty()).then(|| (*name, Zeroizing::new(text.trim().to_owned())))
    })
}

/// `[http://][user[:password]@]host[:port][/]`, user and password with `%XX` for what a URL may not hold.
fn parse(text: &str) -> Result<Proxy, &'static str> {
    let rest = match text.split_once("://") {
        None => text,
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some(_) => return Err("only proxies at http:// are supported (TLS to the provider goes through them)"),
    };
    let (credential, place) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((credential, place)) => (Some(credential), place),
    };
    let wrong = "it is not the address of a proxy";
    let base = url::parse(&format!("http://{place}"), DialectSet::default()).map_err(|_| wrong)?;
    if !base.prefix.is_empty() {
        return Err("it has a path");
    }
    let authorization = match credential {
        None => None,
        Some(credential) => {
            let (user, password) = credential.split_once(':').unwrap_or((credential, ""));
            let decoded = unescape(user).zip(unescape(password));
            let header = decoded.and_then(|(user, password)| basic(&user, &password));
            Some(header.ok_or("its user or password cannot be sent (%XX stands for one byte of UTF-8)")?)
        }
    };
    Ok(Proxy { host: base.host.into(), port: base.port, authorization })
}

fn unescape(text: &str) -> Option<Zeroizing<String>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = str::from_utf8(behind.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

/// What is reached without a proxy.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    whom: Whom,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Whom {
    All,
    /// The name and everything below it.
    Name(String),
    Net(IpNet),
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self { whom: Whom::All, port: None });
        }
        if text.contains('/') {
            return Some(Self { whom: Whom::Net(text.parse().ok()?), port: None });
        }
        if let Ok(ip) = unbracketed(text).parse::<IpAddr>() {
            return Some(Self { whom: Whom::Net(ip.into()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            None => (text, None),
            Some((host, port)) => (host, Some(port.parse().ok()?)),
        };
        if let Ok(ip) = unbracketed(host).parse::<IpAddr>() {
            return Some(Self { whom: Whom::Net(ip.into()), port });
        }
        let name = host.strip_prefix("*.").or(host.strip_prefix('.')).unwrap_or(host).to_ascii_lowercase();
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        (!name.is_empty() && name.bytes().all(legal)).then_some(Self { whom: Whom::Name(name), port })
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        match &self.whom {
            Whom::All => true,
            Whom::Name(name) => {
                host.strip_suffix(&**name).is_some_and(|front| front.is_empty() || front.ends_with('.'))
            }
            Whom::Net(net) => host.parse::<IpAddr>().is_ok_and(|ip| net.contains(&ip.to_canonical())),
        }
    }
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn rule(cx: &mut Context<'_>, table: Entry, given: &At<String>) -> Option<Rule> {
    let rule = Rule::parse(given.trim());
    if rule.is_none() {
        cx.error(given.at, table.field("no_proxy"), "one of these is neither a host nor a network")
            .hint("as in \"intern.example\" (and all below it), \"10.0.0.0/8\", \"host:8443\" or \"*\"");
    }
    rule
}

fn from_environment(cx: &mut Context<'_>) -> Vec<Rule> {
    let Some((name, text)) = first_set(cx, &["no_proxy", "NO_PROXY"]) else { return Vec::new() };
    let mut rules = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        match Rule::parse(word) {
            Some(rule) => rules.push(rule),
            None => {
                cx.warn(
                    0,
                    "upstream.no_proxy".into(),
                    format!("environment variable {name}: a word is not understood"),
                );
            }
        }
    }
    rules
}

pub fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;
