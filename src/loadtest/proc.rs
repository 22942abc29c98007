//! CPU time and memory of processes, as the kernel accounts for them in `/proc` (proc(5)).
//!
//! Invariant: what cannot be read counts as absent, never as zero work done by somebody who is there.

use std::fs;
use std::time::Duration;

/// CPU time of processes with all their threads: the scheduler's nanosecond accounts, or, where threads have ended meanwhile,
/// the ten-millisecond ones that still have them.
#[must_use]
pub fn cpu(pids: &[u32]) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    for pid in pids {
        let mut precise = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            precise += schedstat(&task.path().join("schedstat").to_string_lossy()).unwrap_or_default();
        }
        sum += precise.max(coarse(*pid).unwrap_or_default());
    }
    (!pids.is_empty()).then_some(sum)
}

/// CPU time of the calling thread.
#[must_use]
pub fn own_thread_cpu() -> Duration {
    schedstat("/proc/thread-self/schedstat").unwrap_or_default()
}

/// Resident memory of processes, in bytes. What they share counts once for each.
#[must_use]
pub fn resident(pids: &[u32]) -> Option<u64> {
    let page = rustix::param::page_size() as u64;
    let mut sum = 0;
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        sum += text.split(' ').nth(1)?.parse::<u64>().ok()? * page;
    }
    (!pids.is_empty()).then_some(sum)
}

/// What the whole machine did so far: time spent on anything, and time taken away by the host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine {
    /// User, system, interrupts.
    pub busy: Duration,
    /// Wanted, but given to other machines.
    pub stolen: Duration,
}

impl Machine {
    /// Since it started.
    #[must_use]
    pub fn now() -> Self {
        let Ok(text) = fs::read_to_string("/proc/stat") else { return Self::default() };
        let ticks: Vec<u64> =
            text.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
        let sum = |which: &[usize]| ticks_to_time(which.iter().filter_map(|at| ticks.get(*at)).sum());
        Self { busy: sum(&[0, 1, 2, 5, 6]), stolen: sum(&[7]) }
    }

    /// Since then.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self { busy: self.busy.saturating_sub(before.busy), stolen: self.stolen.saturating_sub(before.stolen) }
    }
}

/// The processes that listen on a port of this machine: whoever stands behind a URL on loopback. Ours to see only if they run as
/// the same user.
#[must_use]
pub fn listeners(port: u16) -> Vec<u32> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(fs::read_to_string)
        .flat_map(|table| {
            let inodes = table.lines().filter_map(|line| listening_inode(line, port));
            inodes.map(|inode| format!("socket:[{inode}]")).collect::<Vec<_>>()
        })
        .collect();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .flat_map(|file| fs::read_link(file.path()))
            .any(|to| sockets.iter().any(|socket| to.as_os_str() == socket.as_str()))
    })
    .collect()
}

/// The processor's name, and the kernel's release.
#[must_use]
pub fn machine_names() -> (String, String) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim()).to_owned();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    (model, kernel)
}

/// A line of `/proc/net/tcp`: number, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode.
fn listening_inode(line: &str, port: u16) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let (_, found) = local.rsplit_once(':')?;
    let here = state == LISTEN && u16::from_str_radix(found, 16) == Ok(port);
    here.then(|| fields.nth(5)).flatten()
}

fn schedstat(path: &str) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn coarse(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(ticks_to_time(user + system))
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_process_that_computes_is_seen_computing() {
        let own = [std::process::id()];
        let (before, machine, thread) = (cpu(&own).unwrap(), Machine::now(), own_thread_cpu());
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        // The machine may be busy, so that we do not get all of it.
        assert!(cpu(&own).unwrap() - before > Duration::from_millis(5));
        assert!(own_thread_cpu() - thread > Duration::from_millis(5));
        assert!(Machine::now().since(machine).busy > Duration::ZERO);
    }

    #[test]
    fn memory_is_that_of_the_process() {
        let before = resident(&[std::process::id()]).unwrap();
        let much = vec![1_u8; 64 << 20];
        let with = resident(&[std::process::id()]).unwrap();
        assert!(with > before + (50 << 20), "{before} {with}");
        drop(much);
        assert_eq!(resident(&[]), None);
        assert_eq!(cpu(&[]), None);
        assert_eq!(resident(&[u32::MAX]), None);
    }

    #[test]
    fn whoever_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listeners(port), [std::process::id()]);
        drop(listener);
        assert!(listeners(port).is_empty());
    }

    #[test]
    fn a_table_of_sockets_is_read() {
        let line = "  1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listening_inode(line, 8080), Some("4711"));
        assert_eq!(listening_inode(line, 8081), None);
        assert_eq!(listening_inode(&line.replace(" 0A ", " 01 "), 8080), None);
    }
}
