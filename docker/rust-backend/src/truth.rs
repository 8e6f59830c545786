// SPDX-License-Identifier: MIT
//! What the backend really did, counted by itself as it happens: CPU time by the clock of the thread that spent it. Tests
//! compare a profile with this, not with the split that was asked for.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::work;

/// How often, how many bytes, how long. Updated by all threads.
#[derive(Default)]
pub struct Tally {
    pub count: AtomicU64,
    pub bytes: AtomicU64,
    pub ns: AtomicU64,
}

impl Tally {
    pub fn add(&self, count: u64, bytes: u64, ns: u64) {
        self.count.fetch_add(count, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.ns.fetch_add(ns, Relaxed);
    }

    fn reset(&self) {
        self.count.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.ns.store(0, Relaxed);
    }
}

/// All counts since the start, or the last reset.
#[derive(Default)]
pub struct Truth {
    since_ns: AtomicU64,
    process_cpu_ns: AtomicU64,
    pub requests: AtomicU64,
    pub slow_requests: AtomicU64,
    pub work: [Tally; work::COUNT], // calls; thread CPU ns
    pub lock_wait: Tally,           // std::sync::Mutex: acquisitions; wall ns until acquired
    pub lock_hold: Tally,           // and wall ns held
    pub fsync: Tally,               // write + fsync pairs; bytes written; wall ns
    pub alloc: Tally,               // allocations, all freed again; bytes; wall ns
    pub leak: Tally,                // blocks never freed; bytes asked for
    pub reads: Tally,               // read calls; bytes; wall ns
    pub db: Tally,                  // queries; bytes of answers; wall ns
    pub async_lock_wait: Tally,     // tokio::sync::Mutex: acquisitions; wall ns until acquired, no thread waiting
    pub async_lock_hold: Tally,     // and wall ns held, across an await
    pub blocking_wait: Tally,       // spawn_blocking: calls; wall ns until a thread of the pool began
    pub blocking_run: Tally,        // and wall ns in that thread
    pub hold: Tally,                // sleeps in a task that kept its worker; wall ns
}

/// A clock's time in ns; 0 when the clock does not exist.
pub fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };

    if unsafe { libc::clock_gettime(clock, &mut now) } != 0 {
        return 0;
    }
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub fn wall_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

pub fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

impl Truth {
    fn tallies(&self) -> [(&'static str, &Tally); 12] {
        [
            ("lock_wait", &self.lock_wait),
            ("lock_hold", &self.lock_hold),
            ("fsync", &self.fsync),
            ("alloc", &self.alloc),
            ("leak", &self.leak),
            ("reads", &self.reads),
            ("db", &self.db),
            ("async_lock_wait", &self.async_lock_wait),
            ("async_lock_hold", &self.async_lock_hold),
            ("blocking_wait", &self.blocking_wait),
            ("blocking_run", &self.blocking_run),
            ("hold", &self.hold),
        ]
    }

    /// Begin to count from now, from zero.
    pub fn reset(&self) {
        self.since_ns.store(wall_ns(), Relaxed);
        self.process_cpu_ns.store(clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID), Relaxed);
        self.requests.store(0, Relaxed);
        self.slow_requests.store(0, Relaxed);
        self.work.iter().for_each(Tally::reset);
        self.tallies().iter().for_each(|(_, tally)| tally.reset());
    }

    fn functions(&self) -> String {
        let total_ns: u64 = self.work.iter().map(|tally| tally.ns.load(Relaxed)).sum();
        let mut text = format!(",\n  \"work_cpu_ns\": {total_ns},\n  \"functions\": {{");

        for (i, (symbol, tally)) in work::SYMBOLS.iter().zip(&self.work).enumerate() {
            let ns = tally.ns.load(Relaxed);
            let _ = write!(
                text,
                "{}\n    \"{}\": {{\"calls\": {}, \"cpu_ns\": {ns}, \"share\": {:.6}, \"symbol\": \"{symbol}\"}}",
                if i == 0 { "" } else { "," },
                symbol.rsplit("::").next().unwrap_or(symbol),
                tally.count.load(Relaxed),
                if total_ns > 0 { ns as f64 / total_ns as f64 } else { 0.0 },
            );
        }
        text + "\n  }"
    }

    /// All as a JSON object.
    pub fn write(&self, threads: usize) -> String {
        let mut text = format!("{{\n  \"pid\": {},\n  \"threads\": {threads}", std::process::id());
        let process_cpu_ns = clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID) - self.process_cpu_ns.load(Relaxed);

        let _ = write!(text, ",\n  \"since_ns\": {},\n  \"now_ns\": {}", self.since_ns.load(Relaxed), wall_ns());
        let _ = write!(text, ",\n  \"process_cpu_ns\": {process_cpu_ns}");
        let _ = write!(text, ",\n  \"requests\": {}", self.requests.load(Relaxed));
        let _ = write!(text, ",\n  \"slow_requests\": {}", self.slow_requests.load(Relaxed));
        text += &self.functions();
        for (name, tally) in self.tallies() {
            let _ = write!(
                text,
                ",\n  \"{name}\": {{\"count\": {}, \"bytes\": {}, \"ns\": {}}}",
                tally.count.load(Relaxed),
                tally.bytes.load(Relaxed),
                tally.ns.load(Relaxed),
            );
        }
        text + "\n}\n"
    }
}
