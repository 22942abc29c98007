//! Connections that are there before the first request asks.
//!
//! Deliberately only at the start, and as long-lived as any idle connection: what nobody uses is closed again.

use std::sync::Arc;

use tracing::warn;

use super::connect::{Opened, connect};
use super::pool::Pool;
use crate::provider::Provider;

/// Opens what each of the providers wants, in the background. A provider that cannot be reached is told in the log, once.
pub fn start(pool: &Arc<Pool>, providers: impl Iterator<Item = Arc<Provider>>) {
    let mut begun: Vec<Arc<Provider>> = Vec::new();
    for provider in providers.filter(|provider| provider.prewarm > 0) {
        if begun.iter().any(|other| Arc::ptr_eq(other, &provider)) {
            continue;
        }
        begun.push(Arc::clone(&provider));
        let pool = Arc::clone(pool);
        #[expect(clippy::let_underscore_future, reason = "bounded by the connect time-out; nobody waits for it")]
        let _ = tokio::spawn(async move { open(&pool, &provider).await });
    }
}

async fn open(pool: &Pool, provider: &Provider) {
    for _ in 0..provider.prewarm {
        match connect(provider, pool).await {
            Ok(Opened::Http1(conn)) => pool.checkin(conn),
            Ok(Opened::Http2(shared)) => {
                // One serves many requests.
                drop(pool.share(&provider.origin, shared));
                return;
            }
            Err(why) => {
                warn!(provider = %provider.name, why = %crate::error::Error::from(why), "cannot be connected to in advance");
                return;
            }
        }
    }
}
