//! What a gateway has written into its usage journal.

use std::sync::Arc;

use tempfile::TempDir;
use tollgate::journal::frame::Frame;
use tollgate::journal::segment::Segment;
use tollgate::journal::{Journal, Settings};
use tollgate::ledger::record::{End, Flags};
use tollgate::money::Pico;
use tollgate::protocol::usage::Usage;

use super::scripted::{Act, Gateway};

/// One entry about a whole call, or about an attempt of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub team: String,
    pub session: String,
    pub user: String,
    pub asked: String,
    pub provider: String,
    pub credential: String,
    pub served: String,
    pub usage: Usage,
    pub cost: Pico,
    pub status: u16,
    pub end: End,
    pub attempts: u16,
    pub flags: Flags,
}

/// All of them, in order.
#[derive(Debug, Default)]
pub struct Book {
    /// Cost and output of a call under way.
    pub notes: Vec<(Pico, u64)>,
    pub attempts: Vec<Entry>,
    pub finals: Vec<Entry>,
}

/// A gateway that keeps a journal.
pub struct Journaled {
    pub gateway: Gateway,
    journal: Journal,
    folder: TempDir,
}

impl Journaled {
    pub fn with(rules: &str, acts: Vec<Act>, targets: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::start(Settings::new(folder.path().to_owned()), 1).unwrap();
        let mut gateway = Gateway::with(rules, acts, targets);
        Arc::get_mut(&mut gateway.core).unwrap().journal = journal.for_core(0).unwrap();
        Self { gateway, journal, folder }
    }

    /// Ends it, and reads.
    pub fn read(self) -> Book {
        let Self { gateway, journal, folder } = self;
        drop(gateway);
        journal.finish();
        let mut book = Book::default();
        for run in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
            if !run.file_type().unwrap().is_dir() {
                continue;
            }
            for file in std::fs::read_dir(run.path()).unwrap() {
                if let Ok(mut segment) = Segment::open(&file.unwrap().path(), 0) {
                    book.take(&mut segment);
                }
            }
        }
        book
    }
}

impl Book {
    fn take(&mut self, segment: &mut Segment) {
        while let Some(parsed) = segment.next(true).unwrap() {
            let (record, into) = match segment.frame(parsed) {
                Some(Frame::Progress(_, progress)) => {
                    self.notes.push((progress.cost, progress.output));
                    continue;
                }
                Some(Frame::Attempt(record)) => (record, &mut self.attempts),
                Some(Frame::Final(record)) => (record, &mut self.finals),
                _ => continue,
            };
            into.push(Entry {
                team: segment.name(record.intent.team).to_owned(),
                session: record.intent.session.to_owned(),
                user: record.intent.user.to_owned(),
                asked: record.intent.asked.to_owned(),
                provider: segment.name(record.provider).to_owned(),
                credential: segment.name(record.credential).to_owned(),
                served: record.served.to_owned(),
                usage: record.usage,
                cost: record.cost,
                status: record.status,
                end: record.end,
                attempts: record.attempts,
                flags: record.flags,
            });
        }
    }
}
