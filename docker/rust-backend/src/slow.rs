// SPDX-License-Identifier: MIT
//! The slow page: what a profile of this backend must find.
//!
//! ```text
//! slow_endpoint -> show_thread -> check_signatures  -> hash_rounds
//!                              -> order_comments    -> sort_comments
//!                              -> format_comments   -> render_markdown
//! ```
//!
//! Below slow_endpoint no function is inlined and no call is a tail call: each is a real frame.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use crate::calibrate::Amounts;
use crate::causes::{churn_memory, leak_session, Causes};
use crate::options::Options;
use crate::truth::{thread_cpu_ns, wall_ns, Truth};
use crate::waits;
use crate::work::{hash_rounds, render_markdown, sort_comments, Work};

/// In the modes that plant another cause, the page itself costs a tenth.
const LIGHT_DIVISOR: u64 = 10;

/// What all requests share.
pub struct Backend {
    pub options: Options,
    pub amounts: Amounts,
    pub causes: Causes,
    pub truth: Truth,
    pub session_lock: tokio::sync::Mutex<()>,
    pub db_idle: std::sync::Mutex<Vec<tokio::net::TcpStream>>,
}

/// A measured piece of work: how much of it, and since when.
struct Piece {
    work: Work,
    passes: u64,
    began_ns: u64,
}

impl Piece {
    fn begin(backend: &Backend, work: Work, divisor: u64) -> Piece {
        let passes = backend.amounts.passes(work, backend.amounts.target_ns[work as usize] / divisor);

        Piece { work, passes, began_ns: thread_cpu_ns() }
    }

    fn end(&self, backend: &Backend) {
        let ns = thread_cpu_ns() - self.began_ns;

        backend.truth.work[self.work as usize].add(1, 0, ns);
        backend.amounts.learn(self.work, self.passes, ns);
    }
}

#[inline(never)]
fn check_signatures(backend: &Backend, seed: u64, divisor: u64) -> u64 {
    let piece = Piece::begin(backend, Work::Hash, divisor);
    let result = hash_rounds(seed, piece.passes);

    piece.end(backend);
    result
}

#[inline(never)]
fn order_comments(backend: &Backend, seed: u64, divisor: u64) -> u64 {
    let piece = Piece::begin(backend, Work::Sort, divisor);
    let result = sort_comments(seed, piece.passes);

    piece.end(backend);
    result
}

#[inline(never)]
fn format_comments(backend: &Backend, seed: u64, divisor: u64) -> u64 {
    let piece = Piece::begin(backend, Work::Markdown, divisor);
    let result = render_markdown(seed, piece.passes);

    piece.end(backend);
    result
}

#[inline(never)]
fn show_thread(backend: &Backend, seed: u64, divisor: u64) -> u64 {
    let mut result = check_signatures(backend, seed, divisor);

    result ^= order_comments(backend, result, divisor);
    result ^= format_comments(backend, result, divisor);
    result
}

/// What the mode adds to the page: None for a mode that does not exist.
async fn plant_cause(backend: &Arc<Backend>, mode: &str, seed: u64) -> Option<io::Result<u64>> {
    let options = &backend.options;
    let (causes, truth) = (&backend.causes, &backend.truth);

    Some(match mode {
        "lock" => Ok(causes.rebuild_cache(truth, seed, backend.amounts.passes(Work::Hash, options.work_us * 1000))),
        "io" => causes.append_audit_record(truth).map(|_| 0),
        "alloc" => Ok(churn_memory(truth, seed)),
        "leak" => {
            leak_session(truth, options.leak_bytes, options.leak_limit);
            Ok(0)
        }
        "syscalls" => Ok(causes.read_templates(truth, options.reads)),
        "db" => waits::ask_database(backend).await.map(|_| 0),
        "blocking" => Ok(waits::attach_picture(backend, seed).await),
        "async-lock" => {
            waits::refresh_session(backend).await;
            Ok(0)
        }
        "hold" => {
            waits::call_legacy_service(backend);
            Ok(0)
        }
        _ => return None,
    })
}

/// Do the work of GET /slow: the HTTP status (400 for an unknown mode, 500 when a cause failed) and the page's text.
pub async fn slow_endpoint(backend: &Arc<Backend>, mode: &str) -> (u16, String) {
    let seed = wall_ns();
    let divisor = if mode == "cpu" { 1 } else { LIGHT_DIVISOR };
    let mut result = show_thread(backend, seed, divisor);

    if mode != "cpu" {
        match plant_cause(backend, mode, seed).await {
            Some(Ok(more)) => result ^= more,
            Some(Err(error)) => return (500, format!("thread {result:016x}: {error}\n")),
            None => {
                let modes = "cpu, lock, io, alloc, leak, syscalls, db, blocking, async-lock, hold";
                return (400, format!("no such mode; there are {modes}\n"));
            }
        }
    }
    backend.truth.slow_requests.fetch_add(1, Relaxed);
    (200, format!("thread {result:016x}\n"))
}
