//! Which way leads to whom.

use super::*;
use crate::config::load_text;
use crate::telemetry::metrics::Metrics;

#[test]
fn proxies() {
    let shown = |text: &str| {
        parse(text).map(|p| {
            let authorization = p.authorization.map(|a| String::from_utf8_lossy(a.as_bytes()).into_owned());
            format!("{} {} {}", p.host, p.port, authorization.unwrap_or_default())
        })
    };
    for (text, want) in [
        ("http://proxy.example:3128", Ok("proxy.example 3128 ")),
        ("http://proxy.example:3128/", Ok("proxy.example 3128 ")),
        ("HTTP://Proxy.Example", Ok("proxy.example 80 ")),
        ("proxy.example:3128", Ok("proxy.example 3128 ")),
        ("http://[::1]:3128", Ok("::1 3128 ")),
        ("http://Aladdin:open%20sesame@p:1", Ok("p 1 Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
        ("http://a:b@c@p:1", Ok("p 1 Basic YTpiQGM=")),
        ("http://a@p:1", Ok("p 1 Basic YTo=")),
        ("http://a:%0d%0a@p:1", Err("its user or password")),
        ("http://a:%f@p:1", Err("its user or password")),
        ("https://p:1", Err("only proxies at http://")),
        ("socks5://p:1", Err("only proxies at http://")),
        ("http://p:1/path", Err("it has a path")),
        ("http://p:0", Err("it is not the address")),
        ("", Err("it is not the address")),
    ] {
        match (shown(text), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want, "{text}"),
            (Err(got), Err(want)) => assert!(got.starts_with(want), "{text}: {got}"),
            (got, want) => panic!("{text}: {got:?}, not {want:?}"),
        }
    }
}

#[test]
fn exceptions() {
    for (rule, yes, no) in [
        ("a.example", vec!["a.example", "x.a.example"], vec!["ba.example", "example", "a.example.org"]),
        (".a.example", vec!["a.example", "x.a.example"], vec!["ba.example"]),
        ("*.A.example", vec!["a.example", "x.a.example"], vec!["ba.example"]),
        ("a.example:443", vec!["a.example"], vec![]),
        ("a.example:80", vec![], vec!["a.example"]),
        ("10.0.0.0/8", vec!["10.1.2.3", "::ffff:10.1.2.3"], vec!["11.0.0.1", "10.example", "::1"]),
        ("10.1.2.3", vec!["10.1.2.3"], vec!["10.1.2.4"]),
        ("10.1.2.3:443", vec!["10.1.2.3"], vec!["10.1.2.4"]),
        ("0.0.0.0/0", vec!["10.1.2.3"], vec!["::1"]),
        ("fd00::/8", vec!["fd12::1"], vec!["fe80::1", "10.0.0.1"]),
        ("[fd00::1]:443", vec!["fd00::1"], vec!["fd00::2"]),
        ("::/0", vec!["fe80::1"], vec!["1.2.3.4"]),
        ("*", vec!["a.example", "10.0.0.1"], vec![]),
    ] {
        let parsed = Rule::parse(rule).unwrap();
        for host in yes {
            assert!(parsed.matches(host, 443), "{rule} is {host}");
        }
        for host in no {
            assert!(!parsed.matches(host, 443), "{rule} is not {host}");
        }
    }
    for wrong in ["", ".", "10.0.0.0/33", "10.0.0.0/x", "a b", "a:99999", "http://a"] {
        assert_eq!(Rule::parse(wrong), None, "{wrong}");
    }
}

const FILE: &str = "version = 1\n[[model]]\nname = 'm'\nprovider = 'p'\n[[key]]\nname = 'k'\n\
     sha256 = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n";

/// The proxy's host and port for a provider at `url`, or what is wrong.
fn way(url: &str, own: &str, upstream: &str, environment: &[(&str, &str)]) -> Result<Option<String>, String> {
    let env = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    let provider = format!("[[provider]]\nname = 'p'\nspeaks = ['chat']\nbase_url = '{url}'\n{own}\n");
    let text = format!("{FILE}{provider}[upstream]\n{upstream}\n");
    let loaded = load_text(std::path::Path::new("t.toml"), &text, &env, &Metrics::default());
    let rules = loaded.map_err(|problems| problems.to_string())?.prepared.0;
    let proxy = rules.routes.routes[0].targets[0].provider.origin.proxy.clone();
    Ok(proxy.map(|p| format!("{}:{}", p.host, p.port)))
}

#[test]
fn who_is_reached_how() {
    const TLS: &str = "https://a.example";
    const CLEAR: &str = "http://a.example";
    const HERE: &str = "http://127.0.0.1:9";
    let all = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://h:1"), ("ALL_PROXY", "http://a:1")];
    let unless = |list| [("https_proxy", "s:1"), ("NO_PROXY", list)];
    for (name, url, own, upstream, environment, want) in [
        ("nothing", TLS, "", "", &[][..], None),
        ("by scheme: TLS", TLS, "", "", &all[..], Some("s:1")),
        ("by scheme: clear", CLEAR, "", "", &all, Some("h:1")),
        ("for all", TLS, "", "", &all[2..], Some("a:1")),
        ("empty is unset", TLS, "", "", &[("https_proxy", ""), ("HTTPS_PROXY", "s:1")], Some("s:1")),
        ("lower case wins", TLS, "", "", &[("https_proxy", "l:1"), ("HTTPS_PROXY", "u:1")], Some("l:1")),
        ("this machine", HERE, "", "proxy = 'http://u:1'", &all, None),
        ("this machine by name", "http://localhost:9", "", "", &all, None),
        ("this machine, named", HERE, "proxy = 'http://o:1'", "", &all, Some("o:1")),
        ("excepted", TLS, "", "", &unless("b.example, .example"), None),
        ("excepted for another port", TLS, "", "", &unless("a.example:80"), Some("s:1")),
        ("the file wins", TLS, "", "proxy = 'http://u:1'", &all, Some("u:1")),
        ("none in the file", TLS, "", "proxy = 'none'", &all, None),
        ("its exceptions too", TLS, "", "no_proxy = []", &unless("a.example"), Some("s:1")),
        ("excepted in the file", TLS, "", "proxy = 'http://u:1'\nno_proxy = ['a.example']", &all, None),
        ("its own wins", TLS, "proxy = 'http://o:1'", "proxy = 'http://u:1'\nno_proxy = ['*']", &all, Some("o:1")),
        ("none of its own", TLS, "proxy = 'none'", "proxy = 'http://u:1'", &all, None),
        ("a secret", TLS, "proxy = { env = 'WAY' }", "", &[("WAY", "http://u:hunter2@w:1")], Some("w:1")),
    ] {
        assert_eq!(way(url, own, upstream, environment), Ok(want.map(str::to_owned)), "{name}");
    }
}

#[test]
fn what_cannot_be_used_is_an_error_and_shows_no_password() {
    const TLS: &str = "https://a.example";
    for (name, own, upstream, environment, want) in [
        (
            "socks",
            "",
            "",
            &[("ALL_PROXY", "socks5://me:hunter2@s:1")][..],
            "provider[0].proxy: environment variable ALL_PROXY: only",
        ),
        (
            "a password in the file",
            "",
            "proxy = 'http://me:hunter2@s:1'",
            &[],
            "upstream.proxy: it holds a user name or password",
        ),
        (
            "a bad one in a secret",
            "proxy = { env = 'WAY' }",
            "",
            &[("WAY", "http://me:hunter2@s:0")],
            "provider[0].proxy: it is not",
        ),
        ("an unset secret", "", "proxy = { env = 'WAY' }", &[], "upstream.proxy: environment variable WAY is not set"),
        ("a bad exception", "", "no_proxy = ['http://hunter2']", &[], "upstream.no_proxy: one of these"),
        ("no time", "", "dns_ttl = '0s'", &[], "upstream.dns_ttl: it is not between 1s and 1h"),
        ("a day", "", "dns_ttl = '1d'", &[], "upstream.dns_ttl: it is not between 1s and 1h"),
        ("too warm", "prewarm = 5", "", &[], "provider[0].prewarm: it is not between 0 and 4"),
    ] {
        let problems = way(TLS, own, upstream, environment).expect_err(name);
        assert!(problems.contains(want), "{name}: {problems}");
        assert!(!problems.contains("hunter2"), "{name}: {problems}");
    }
}
