//! What runs beside a connection in its task: its timer, and the end of the whole server.
//!
//! Invariant: polled only when it has been woken itself. A connection is polled several times a request, and to ask a timer
//! each time would cost more than the timer does.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Beside(Arc<Side>);

#[derive(Debug, Default)]
struct Side {
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Side {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Relaxed);
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.wake_by_ref();
        }
    }
}

impl Beside {
    /// To be polled at the beginning.
    pub(super) fn new() -> Self {
        let side = Side::default();
        side.woken.store(true, Relaxed);
        Self(Arc::new(side))
    }

    /// The waker to poll with, if there is a reason to.
    pub(super) fn woken(&self, cx: &Context<'_>) -> Option<Waker> {
        if !self.0.woken.load(Relaxed) {
            return None;
        }
        let mut task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(task) => task.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        self.0.woken.store(false, Relaxed);
        Some(Waker::from(Arc::clone(&self.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn what_is_beside_is_polled_first_and_then_when_it_is_woken() {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&task);
        let beside = Beside::new();
        let waker = beside.woken(&cx).unwrap();
        assert!(beside.woken(&cx).is_none());
        waker.wake();
        assert_eq!(count.0.load(Relaxed), 1);
        assert!(beside.woken(&cx).is_some() && beside.woken(&cx).is_none());
    }
}
