// SPDX-License-Identifier: MIT
//! attached CALLS_PER_S SECONDS LOG_FILE: as attached.c, in Rust; lines of time, calls, bytes, bytes of `keep_session`, which keeps them.
use std::io::Write;
use std::time::{Duration, Instant};

#[cfg(jemalloc)]
mod jemalloc {
    use std::alloc::{GlobalAlloc, Layout};
    extern "C" {
        fn _rjem_mallocx(size: usize, flags: i32) -> *mut u8;
        fn _rjem_rallocx(at: *mut u8, size: usize, flags: i32) -> *mut u8;
        fn _rjem_sdallocx(at: *mut u8, size: usize, flags: i32);
    }
    pub struct Jemalloc;
    fn flags(layout: &Layout) -> i32 {
        if layout.align() > 16 { layout.align().trailing_zeros() as i32 } else { 0 }
    }
    unsafe impl GlobalAlloc for Jemalloc {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            _rjem_mallocx(layout.size(), flags(&layout))
        }
        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            _rjem_sdallocx(at, layout.size(), flags(&layout))
        }
        unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            _rjem_rallocx(at, size, flags(&layout))
        }
    }
    #[global_allocator]
    static GLOBAL: Jemalloc = Jemalloc;
}

#[cfg(arena)]
mod arena {
    //! An allocator of the program's own, which no library has: blocks cut from large mappings, never given back.
    use std::alloc::{GlobalAlloc, Layout};
    use std::sync::atomic::{AtomicUsize, Ordering};
    extern "C" {
        fn mmap(at: *mut u8, bytes: usize, protection: i32, flags: i32, fd: i32, offset: i64) -> *mut u8;
    }
    pub struct Arena {
        at: AtomicUsize,
    }
    unsafe impl GlobalAlloc for Arena {
        #[inline(never)]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if self.at.load(Ordering::Relaxed) == 0 {
                let all = mmap(std::ptr::null_mut(), 8 << 30, 3, 0x4022, -1, 0) as usize;
                let _ = self.at.compare_exchange(0, all, Ordering::SeqCst, Ordering::SeqCst);
            }
            ((self.at.fetch_add(layout.size() + layout.align(), Ordering::SeqCst) + layout.align() - 1) & !(layout.align() - 1)) as *mut u8
        }
        #[inline(never)]
        unsafe fn dealloc(&self, _at: *mut u8, _layout: Layout) {}
    }
    #[global_allocator]
    static GLOBAL: Arena = Arena { at: AtomicUsize::new(0) };
}

#[inline(never)]
fn keep_session(kept: &mut Vec<Box<[u8]>>, size: usize) {
    kept.push(vec![1u8; size].into_boxed_slice());
}

#[inline(never)]
fn render_page(size: usize) -> usize {
    let page = vec![7u8; size];
    std::hint::black_box(&page).iter().step_by(64).map(|byte| *byte as usize).sum()
}

fn now_ns() -> u64 {
    let mut time = [0i64; 2];
    extern "C" {
        fn clock_gettime(clock: i32, time: *mut i64) -> i32;
    }
    unsafe { clock_gettime(1, time.as_mut_ptr()) };
    time[0] as u64 * 1_000_000_000 + time[1] as u64
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let rate: f64 = words[1].parse().unwrap();
    let seconds: f64 = words[2].parse().unwrap();
    let mut log = std::fs::File::create(&words[3]).unwrap();
    let mut kept = Vec::with_capacity(1 << 22);
    let (mut calls, mut bytes, mut of_kept, mut sum) = (0u64, 0u64, 0u64, 0usize);
    let began = Instant::now();
    let mut told = Instant::now() - Duration::from_secs(1);
    while began.elapsed().as_secs_f64() < seconds {
        while (calls as f64) < began.elapsed().as_secs_f64() * rate {
            let size = 64 + (calls as usize * 37) % 4000;
            if calls % 8 == 0 {
                keep_session(&mut kept, size);
                of_kept += size as u64;
            } else {
                sum += render_page(size);
            }
            calls += 1;
            bytes += size as u64;
        }
        if told.elapsed() > Duration::from_millis(5) {
            told = Instant::now();
            writeln!(log, "{} {} {} {}", now_ns(), calls, bytes, of_kept).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::hint::black_box(sum);
}
