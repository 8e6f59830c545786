// SPDX-License-Identifier: MIT
//! The planted causes that any threaded service can have: what else than CPU makes /slow slow, one at a time, each counted
//! in the truth. Those of an asynchronous one are in waits.rs.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

use crate::truth::{thread_cpu_ns, wall_ns, Truth};
use crate::work::{hash_rounds, Work};

const RECORD_BYTES: u64 = 4096;
const FILE_BYTES: u64 = 1 << 20; // records go round in it, so that it does not grow
const CHURN_BLOCKS: usize = 4000;
const CHURN_LIVE: usize = 64;
const LARGE_BYTES: usize = 256 << 10; // above glibc's mmap threshold: every one maps, faults and unmaps
const LEAK_BLOCK: u64 = 1024;

/// What the causes keep between requests. The file goes away with it.
pub struct Causes {
    cache_lock: Mutex<()>,
    file: File,
    file_path: PathBuf,
    file_offset: AtomicU64,
}

impl Causes {
    pub fn new(folder: &str) -> io::Result<Causes> {
        let file_path = PathBuf::from(folder).join(format!("backend-{}-{}", std::process::id(), wall_ns()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&file_path)?;

        file.write_all_at(&[0; RECORD_BYTES as usize], 0)?;
        Ok(Causes { cache_lock: Mutex::new(()), file, file_path, file_offset: AtomicU64::new(0) })
    }

    /// mode=lock: work for so many hash rounds while holding the one lock of all workers.
    #[inline(never)]
    pub fn rebuild_cache(&self, truth: &Truth, seed: u64, rounds: u64) -> u64 {
        let asked_ns = wall_ns();
        let guard = self.cache_lock.lock();
        let got_ns = wall_ns();
        let cpu_ns = thread_cpu_ns();
        let result = hash_rounds(seed, rounds);
        let spent_ns = thread_cpu_ns() - cpu_ns;

        truth.lock_hold.add(1, 0, wall_ns() - got_ns);
        drop(guard);
        truth.lock_wait.add(1, 0, got_ns - asked_ns);
        truth.work[Work::Hash as usize].add(1, 0, spent_ns);
        result
    }

    /// mode=io: write a record of 4 KiB and wait, with the worker, until it is on disk.
    #[inline(never)]
    pub fn append_audit_record(&self, truth: &Truth) -> io::Result<()> {
        let began_ns = wall_ns();
        let offset = self.file_offset.fetch_add(RECORD_BYTES, Relaxed) % FILE_BYTES;
        let record = [b'a' + (offset / RECORD_BYTES % 26) as u8; RECORD_BYTES as usize];

        self.file.write_all_at(&record, offset)?;
        self.file.sync_all()?;
        truth.fsync.add(1, RECORD_BYTES, wall_ns() - began_ns);
        Ok(())
    }

    /// mode=syscalls: read a file of 4 KiB byte by byte, so many times.
    #[inline(never)]
    pub fn read_templates(&self, truth: &Truth, reads: u64) -> u64 {
        let began_ns = wall_ns();
        let (mut bytes, mut sum) = (0, 0u64);

        for i in 0..reads {
            let mut byte = [0];
            bytes += self.file.read_at(&mut byte, i % RECORD_BYTES).unwrap_or(0) as u64;
            sum += byte[0] as u64;
        }
        truth.reads.add(reads, bytes, wall_ns() - began_ns);
        sum
    }
}

impl Drop for Causes {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file_path);
    }
}

/// A block with one byte of each of its pages written, which no optimiser may leave out.
fn touched_block(bytes: usize, value: u8) -> Vec<u8> {
    let mut block = Vec::with_capacity(bytes);
    let start: *mut u8 = block.as_mut_ptr();

    for at in (0..bytes).step_by(4096) {
        // Within the capacity; a byte has no invalid values.
        unsafe { start.add(at).write_volatile(value) };
    }
    block
}

/// Sizes spread over 16 bytes to 4 KiB; one in 500 is large.
fn churn_bytes(random: &mut u64) -> usize {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    if (*random >> 33) % 500 == 0 {
        return LARGE_BYTES;
    }
    16 << ((*random >> 40) % 9)
}

/// mode=alloc: allocate and free some thousand blocks of many sizes, large ones among them.
#[inline(never)]
pub fn churn_memory(truth: &Truth, seed: u64) -> u64 {
    let began_ns = wall_ns();
    let mut live: Vec<Vec<u8>> = vec![Vec::new(); CHURN_LIVE];
    let mut random = seed | 1;
    let mut bytes = 0;

    for i in 0..CHURN_BLOCKS {
        let block_bytes = churn_bytes(&mut random);
        live[i % CHURN_LIVE] = touched_block(block_bytes, random as u8);
        bytes += block_bytes as u64;
    }
    drop(live);
    truth.alloc.add(CHURN_BLOCKS as u64, bytes, wall_ns() - began_ns);
    random
}

/// mode=leak: forget so many bytes, in blocks of 1 KiB, unless the limit is reached.
#[inline(never)]
pub fn leak_session(truth: &Truth, bytes: u64, limit: u64) {
    let mut done = 0;

    while done < bytes {
        let block_bytes = (bytes - done).min(LEAK_BLOCK);
        if truth.leak.bytes.load(Relaxed) + block_bytes > limit {
            break;
        }
        std::mem::forget(touched_block(block_bytes as usize, 1));
        truth.leak.add(1, block_bytes, 0);
        done += block_bytes;
    }
}
