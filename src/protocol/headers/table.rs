//! The header table: what is taken out of requests and of responses, and why.
//!
//! Everything else passes, in particular `anthropic-beta`, `anthropic-version`, `openai-beta`, `originator`, `user-agent`,
//! session and stainless headers, `traceparent`, `retry-after`, `x-should-retry`, rate limits, request ids and
//! `x-codex-turn-state`.

/// One header, and why it does not pass.
pub struct Row {
    /// In lower case, as HTTP/2 has it.
    pub text: &'static str,
    /// Why.
    pub why: &'static str,
}

/// All headers whose names begin alike, and why they do not pass.
pub struct Family {
    /// How the names begin, in lower case; at least three bytes.
    pub prefix: &'static str,
    /// Why.
    pub why: &'static str,
}

/// Rows, and an index over them that answers for most names without comparing any.
pub struct Table<const N: usize> {
    rows: [Row; N],
    /// Rows by [`bucket`] of their name, as bit sets.
    buckets: [u64; BUCKETS],
    families: &'static [Family],
    /// How their names begin, as a bit set by [`start`].
    starts: u64,
}

const BUCKETS: usize = 64;

/// Length and first byte spread the names well enough that most buckets hold none or one.
const fn bucket(name: &[u8]) -> usize {
    match name {
        [first, ..] => (name.len() + 5 * *first as usize) % BUCKETS,
        [] => 0,
    }
}

/// The first and the third byte as one bit: between them lies what tells `x-forwarded-for`, `x-stainless-os` and
/// `anthropic-beta` apart. None for shorter names.
const fn start(name: &[u8]) -> u64 {
    match name {
        [first, _, third, ..] => 1 << ((*first ^ *third) % 64),
        _ => 0,
    }
}

impl<const N: usize> Table<N> {
    const fn new(rows: [Row; N], families: &'static [Family]) -> Self {
        assert!(N <= u64::BITS as usize, "a bit set of rows is a u64");
        let mut buckets = [0; BUCKETS];
        let mut row = 0;
        while row < N {
            buckets[bucket(rows[row].text.as_bytes())] |= 1 << row;
            row += 1;
        }
        let (mut starts, mut family) = (0, 0);
        while family < families.len() {
            let prefix = families[family].prefix.as_bytes();
            assert!(start(prefix) != 0, "a family needs three bytes in front");
            starts |= start(prefix);
            family += 1;
        }
        Self { rows, buckets, families, starts }
    }

    /// Whether a name (in lower case) has a row or belongs to a family.
    #[must_use]
    pub fn names(&self, name: &[u8]) -> bool {
        let mut candidates = self.buckets[bucket(name)];
        while candidates != 0 {
            if self.rows[candidates.trailing_zeros() as usize].text.as_bytes() == name {
                return true;
            }
            candidates &= candidates - 1;
        }
        // One bit rules out most names, and to compare prefixes is a call each.
        self.starts & start(name) != 0 && self.families.iter().any(|family| name.starts_with(family.prefix.as_bytes()))
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// All families.
    #[must_use]
    pub fn families(&self) -> &'static [Family] {
        self.families
    }
}

macro_rules! table {
    ($(#[$doc:meta])* $table:ident { $($name:literal: $why:expr,)+ } families { $($prefix:literal: $prefix_why:expr,)+ }) => {
        $(#[$doc])*
        pub static $table: Table<{ [$($name),+].len() }> = Table::new(
            [$(Row { text: $name, why: $why }),+],
            &[$(Family { prefix: $prefix, why: $prefix_why }),+],
        );
    };
}

const HOP: &str = "speaks to the next hop only (RFC 9110 section 7.6.1)";
const CREDENTIAL: &str = "a client's credential, or a gateway key";
const BILLING: &str = "chooses who is billed: that belongs to the credential";
const NETWORK: &str = "tells where the client sits, and how it came to us";
const BROWSER: &str = "names a page of ours; providers treat the call as a browser's and refuse it";
const REROUTES: &str = "makes some servers serve another method or path than the one that was checked";
const ACCOUNT: &str = "names our account at the provider";
const UPLOAD: &str = "sends the rest of an upload around us, and may hold our credential";
const HOST_POLICY: &str = "speaks for the provider's host, and would be taken as said of ours";

table! {
    /// What does not go upstream.
    ///
    /// `sec-fetch-mode` passes: every agent on Node sends it, also on the direct path, and it means nothing to a provider.
    REQUEST {
        "connection": HOP,
        "keep-alive": HOP,
        "te": HOP,
        "trailer": HOP,
        "transfer-encoding": HOP,
        "upgrade": HOP,
        "http2-settings": "belongs to an upgrade to HTTP/2, which we do not pass on (RFC 7540 section 3.2.1)",
        "host": "names us; the upstream's own name is sent",
        "content-length": "framing is made anew, from the body that is really sent",
        "expect": "we have read the body; the upstream need not be asked whether it wants it",
        "accept-encoding": "a compressed answer would hide its usage from us",

        "authorization": CREDENTIAL,
        "x-api-key": CREDENTIAL,
        "x-goog-api-key": CREDENTIAL,
        "api-key": CREDENTIAL,
        "ocp-apim-subscription-key": CREDENTIAL,
        "x-amz-security-token": CREDENTIAL,
        "x-goog-iam-authorization-token": CREDENTIAL,
        "cookie": CREDENTIAL,

        "openai-organization": BILLING,
        "openai-project": BILLING,
        "anthropic-organization-id": BILLING,
        "anthropic-workspace-id": BILLING,
        "chatgpt-account-id": BILLING,
        "x-goog-user-project": BILLING,

        "forwarded": NETWORK,
        "via": NETWORK,
        "x-real-ip": NETWORK,
        "x-client-ip": NETWORK,
        "x-cluster-client-ip": NETWORK,
        "x-original-forwarded-for": NETWORK,
        "true-client-ip": NETWORK,
        "fastly-client-ip": NETWORK,
        "fly-client-ip": NETWORK,

        "origin": BROWSER,
        "referer": BROWSER,

        "x-http-method": REROUTES,
        "x-http-method-override": REROUTES,
        "x-method-override": REROUTES,
        "x-original-url": REROUTES,
        "x-rewrite-url": REROUTES,
    }
    families {
        "x-tollgate-": "addressed to us",
        "x-forwarded-": NETWORK,
        "x-envoy-": NETWORK,
        "cf-": NETWORK,
        "proxy-": HOP,
    }
}

table! {
    /// What does not come back.
    ///
    /// `server` and `cf-ray` pass: they name no account, and tell whose error page it is and what to quote to support.
    RESPONSE {
        "connection": HOP,
        "keep-alive": HOP,
        "te": HOP,
        "trailer": HOP,
        "transfer-encoding": HOP,
        "upgrade": HOP,
        "www-authenticate": "asks for a credential of ours that no client has",

        "set-cookie": "binds the client to a session that is ours",
        "set-cookie2": "the older name of set-cookie",
        "openai-organization": ACCOUNT,
        "openai-project": ACCOUNT,
        "anthropic-organization-id": ACCOUNT,
        "anthropic-workspace-id": ACCOUNT,
        "chatgpt-account-id": ACCOUNT,
        "x-goog-user-project": ACCOUNT,

        "alt-svc": "sends the client's next call around us, with its gateway key",
        "location": "sends the client to another host, with its gateway key",
        "refresh": "sends the client to another host",
        "x-goog-upload-url": UPLOAD,
        "x-goog-upload-control-url": UPLOAD,
        "x-accel-redirect": "commands a proxy that stands in front of us",
        "strict-transport-security": HOST_POLICY,
        "public-key-pins": HOST_POLICY,
        "expect-ct": HOST_POLICY,
        "clear-site-data": HOST_POLICY,
        "nel": HOST_POLICY,
        "report-to": HOST_POLICY,
        "reporting-endpoints": HOST_POLICY,
    }
    families {
        "x-tollgate-": "would be taken for ours",
        "access-control-": "would open our host to any page in a browser",
        "proxy-": HOP,
    }
}
