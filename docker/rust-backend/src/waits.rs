// SPDX-License-Identifier: MIT
//! The planted causes of an asynchronous service: where a request waits though no thread blocks, or blocks a thread that
//! others need.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::slow::Backend;
use crate::truth::{thread_cpu_ns, wall_ns};
use crate::work::{hash_rounds, Work};

/// A query that costs a database about a millisecond of CPU: Redis runs it on its one thread, one after the other.
const QUERY: &str = "local s = 0 for i = 1, 100000 do s = s + i end return s";

/// mode=async-lock: hold one tokio::sync::Mutex across an await. Others wait for it as tasks; no thread does.
pub async fn refresh_session(backend: &Backend) {
    let asked_ns = wall_ns();
    let guard = backend.session_lock.lock().await;
    let got_ns = wall_ns();

    tokio::time::sleep(Duration::from_micros(backend.options.work_us)).await;
    backend.truth.async_lock_hold.add(1, 0, wall_ns() - got_ns);
    drop(guard);
    backend.truth.async_lock_wait.add(1, 0, got_ns - asked_ns);
}

#[inline(never)]
fn resize_picture(backend: &Backend, asked_ns: u64, seed: u64) -> u64 {
    let began_ns = wall_ns();
    let cpu_ns = thread_cpu_ns();
    let result = hash_rounds(seed, backend.amounts.passes(Work::Hash, backend.options.work_us * 1000));

    backend.truth.work[Work::Hash as usize].add(1, 0, thread_cpu_ns() - cpu_ns);
    backend.truth.blocking_wait.add(1, 0, began_ns - asked_ns);
    backend.truth.blocking_run.add(1, 0, wall_ns() - began_ns);
    result
}

/// mode=blocking: hand the work to a thread of the blocking pool and wait for it as a task.
pub async fn attach_picture(backend: &Arc<Backend>, seed: u64) -> u64 {
    let mine = Arc::clone(backend);
    let asked_ns = wall_ns();

    tokio::task::spawn_blocking(move || resize_picture(&mine, asked_ns, seed)).await.unwrap_or(0)
}

/// mode=hold: sleep in the task without giving its worker back: the tasks queued behind it wait too.
#[inline(never)]
pub fn call_legacy_service(backend: &Backend) {
    let began_ns = wall_ns();

    std::thread::sleep(Duration::from_micros(backend.options.work_us));
    backend.truth.hold.add(1, 0, wall_ns() - began_ns);
}

/// mode=db: one query, on a connection that is kept for the next. The request waits as a task; no thread does.
pub async fn ask_database(backend: &Backend) -> io::Result<()> {
    let place = backend.options.db.as_ref();
    let place = place.ok_or_else(|| io::Error::new(io::ErrorKind::Other, "no database; --db HOST:PORT names one"))?;
    let began_ns = wall_ns();
    let mut answer = [0; 256];
    let idle = backend.db_idle.lock().map_or(None, |mut streams| streams.pop());
    let mut stream = match idle {
        Some(stream) => stream,
        None => TcpStream::connect(place).await?,
    };

    stream.write_all(format!("*3\r\n$4\r\nEVAL\r\n${}\r\n{QUERY}\r\n$1\r\n0\r\n", QUERY.len()).as_bytes()).await?;
    let bytes = stream.read(&mut answer).await?;
    if bytes == 0 || answer[0] != b':' {
        let text = String::from_utf8_lossy(&answer[..bytes]).trim().to_string();
        return Err(io::Error::new(io::ErrorKind::Other, format!("{place} answered {text:?}")));
    }
    if let Ok(mut streams) = backend.db_idle.lock() {
        streams.push(stream);
    }
    backend.truth.db.add(1, bytes as u64, wall_ns() - began_ns);
    Ok(())
}
