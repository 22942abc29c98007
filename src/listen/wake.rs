//! Who wakes whom inside one connection's task.
//!
//! hyper's connection, the service that it calls and the bodies between them all live in one task, and each of them wakes
//! that task when it has something for another: a task that is running anyway, which then runs once more for nothing.
//! So here only what comes from outside wakes it: the socket, the service's own sockets and timers ([`with_task`]). hyper
//! itself gets a waker that raises a flag ([`poll`]), and the timers beside it run only when they have fired ([`Beside`]).
//!
//! Invariant: a raised flag leads to another poll, unless it was raised by the taking of a body's last frame ([`taking`]),
//! after which hyper has nothing left to do.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    /// A connection is being polled. HTTP/2 has tasks of its own for its requests, and what is polled there has the right
    /// waker already.
    static IN_CONNECTION: Cell<bool> = const { Cell::new(false) };
    static RAISED: Cell<bool> = const { Cell::new(false) };
    static RAISES: Waker = Waker::from(Arc::new(Raise));
    /// The waker of the task whose connection is being polled.
    static TASK: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Raises the flag of the thread that it is woken on. A connection is polled, and so woken, by its own core only; a wake-up
/// from elsewhere would be a socket's or a timer's, and they have the task's own waker.
struct Raise;

impl Wake for Raise {
    fn wake(self: Arc<Self>) {
        RAISED.set(true);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        RAISED.set(true);
    }
}

/// Polls hyper's connection.
pub(super) fn poll<F: Future>(connection: Pin<&mut F>, cx: &Context<'_>) -> Poll<F::Output> {
    RAISED.set(false);
    IN_CONNECTION.set(true);
    TASK.with_borrow_mut(|task| match task {
        Some(task) => task.clone_from(cx.waker()),
        None => *task = Some(cx.waker().clone()),
    });
    let polled = RAISES.with(|raises| connection.poll(&mut Context::from_waker(raises)));
    IN_CONNECTION.set(false);
    if polled.is_pending() && RAISED.get() {
        // Not at once: others have waited longer.
        cx.waker().wake_by_ref();
    }
    polled
}

/// Polls, below hyper, what is woken from outside.
pub(super) fn with_task<R>(cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
    if !IN_CONNECTION.get() {
        return poll(cx);
    }
    // Cloned, for what is polled may poll another connection (in tests).
    match TASK.with_borrow(Clone::clone) {
        Some(task) => poll(&mut Context::from_waker(&task)),
        None => poll(cx),
    }
}

/// Takes a frame out of a request's body. Whoever takes one tells hyper that there is room for another; `last` says that
/// there will be none.
pub(super) fn taking<R>(take: impl FnOnce(&mut Context<'_>) -> R, last: impl FnOnce(&R) -> bool) -> R {
    let before = RAISED.get();
    // Wakes nobody: hyper puts a frame in and polls the service right after that, in the same poll.
    let taken = take(&mut Context::from_waker(Waker::noop()));
    if last(&taken) {
        RAISED.set(before);
    }
    taken
}

/// What runs beside a connection in its task, polled only when it has been woken itself.
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
    use std::future::poll_fn;
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn wakes(inside: impl FnMut(&mut Context<'_>)) -> u64 {
        let count = Arc::new(Count::default());
        let task = Waker::from(Arc::clone(&count));
        let mut inside = inside;
        let mut connection = std::pin::pin!(poll_fn(|cx| {
            inside(cx);
            Poll::<()>::Pending
        }));
        assert!(poll(connection.as_mut(), &Context::from_waker(&task)).is_pending());
        count.0.load(Relaxed)
    }

    #[test]
    fn what_wakes_the_task() {
        assert_eq!(wakes(|_| {}), 0);
        assert_eq!(wakes(|cx| cx.waker().wake_by_ref()), 1, "hyper asks to be polled again, however often");
        assert_eq!(wakes(|cx| with_task(cx, |cx| cx.waker().wake_by_ref())), 1, "a socket");
        let hyper = |cx: &mut Context<'_>| cx.waker().clone();
        let take = |waker: &Waker, last: bool| taking(|_| waker.wake_by_ref(), |()| last);
        assert_eq!(wakes(|cx| take(&hyper(cx), false)), 1, "there is room for another frame");
        assert_eq!(wakes(|cx| take(&hyper(cx), true)), 0, "but there is none");
        let both = |cx: &mut Context<'_>| {
            cx.waker().wake_by_ref();
            take(&hyper(cx), true);
        };
        assert_eq!(wakes(both), 1, "what was raised before stays");
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
